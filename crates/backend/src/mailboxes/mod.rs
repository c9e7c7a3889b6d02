//! Changes of the list of mailboxes: rights, then the master, then the store.
//!
//! Every function here checks the rights of who asks. See `docs/architecture.md`, "How a mailbox
//! change is made".

use murder_mailbox::acl::AclError;
use murder_mailbox::{Identity, MailboxName, NameError, Rights, SpecialUse};
use murder_mupdate::MupdateError;
use murder_store::StoreError;

use crate::node::Node;

/// A change that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Done {
    /// The master's revision that contains it; `None` when the backend works alone.
    pub revision: Option<u64>,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// This node holds no such mailbox (or the user must not know of it: `hidden`).
    #[error("Mailbox does not exist")]
    NoSuchMailbox {
        /// It is here, but the user lacks `l`: another node has not got it either.
        hidden: bool,
    },
    /// The name is taken, here or elsewhere in the murder.
    #[error("Mailbox exists already")]
    AlreadyExists,
    /// The right to do it is missing.
    #[error("{0}")]
    NotPermitted(&'static str),
    /// It makes no sense, or cannot be done here.
    #[error("{0}")]
    Cannot(&'static str),
    /// The new name is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The ACL or its identifier is not valid.
    #[error(transparent)]
    Acl(#[from] AclError),
    /// The master is away, or refuses.
    #[error(transparent)]
    Master(#[from] MupdateError),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What SETACL does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AclChange {
    /// Exactly these rights.
    Replace(Rights),
    /// These too.
    Add(Rights),
    /// These no longer.
    Remove(Rights),
    /// The identifier is taken out (DELETEACL).
    Delete,
}

impl Node {
    /// CREATE. `partition` is one of this node's by its own name (`default`); `None`: the
    /// parent's, or the first.
    pub async fn create_mailbox(
        &self,
        _identity: &Identity,
        _name: &MailboxName,
        _partition: Option<&str>,
        _special_use: Option<SpecialUse>,
    ) -> Result<Done, ChangeError> {
        unimplemented!()
    }

    /// DELETE.
    pub async fn delete_mailbox(
        &self,
        _identity: &Identity,
        _name: &MailboxName,
    ) -> Result<Done, ChangeError> {
        unimplemented!()
    }

    /// RENAME, with everything below; an INBOX is emptied into a new mailbox.
    pub async fn rename_mailbox(
        &self,
        _identity: &Identity,
        _from: &MailboxName,
        _to: &MailboxName,
    ) -> Result<Done, ChangeError> {
        unimplemented!()
    }

    /// SETACL and DELETEACL. `identifier` begins with `-` for negative rights.
    pub async fn change_acl(
        &self,
        _identity: &Identity,
        _name: &MailboxName,
        _identifier: &str,
        _change: AclChange,
    ) -> Result<Done, ChangeError> {
        unimplemented!()
    }
}
