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

// Stand-in for a backend that works alone.
impl Node {
    fn visible(
        &self,
        identity: &Identity,
        name: &MailboxName,
        needed: Rights,
    ) -> Result<crate::node::Found, ChangeError> {
        let Some(found) = self.find(name) else {
            return Err(ChangeError::NoSuchMailbox { hidden: false });
        };
        let rights = found.rights_of(identity);
        if !rights.contains(Rights::LOOKUP) && !rights.contains(needed) {
            return Err(ChangeError::NoSuchMailbox { hidden: true });
        }
        if !rights.contains(needed) {
            return Err(ChangeError::NotPermitted("Permission denied"));
        }
        Ok(found)
    }
    /// CREATE.
    pub async fn create_mailbox(
        &self,
        identity: &Identity,
        name: &MailboxName,
        partition: Option<&str>,
        special_use: Option<SpecialUse>,
    ) -> Result<Done, ChangeError> {
        if self.find(name).is_some() {
            return Err(ChangeError::AlreadyExists);
        }
        let parent = name.parent().and_then(|p| self.find(&p));
        let may = identity.admin
            || name.is_owned_by(&identity.user)
            || parent
                .as_ref()
                .is_some_and(|p| p.rights_of(identity).contains(Rights::CREATE));
        if !may {
            return Err(ChangeError::NotPermitted("Permission denied"));
        }
        let partition = match partition {
            Some(name) => self
                .partitions
                .get(name)
                .ok_or(ChangeError::Cannot("No such partition"))?,
            None => self
                .partitions
                .values()
                .next()
                .ok_or(ChangeError::Cannot("No partition"))?,
        };
        let acl = match (&parent, name.owner_user()) {
            (Some(parent), _) => parent.meta.acl.to_string(),
            (None, Some(user)) => format!("{user}\tlrswipkxtean\t"),
            (None, None) => String::new(),
        };
        partition
            .create_mailbox(
                name,
                murder_store::CreateMailbox {
                    id: murder_mailbox::MailboxId::new(),
                    uidvalidity: 1,
                    acl,
                    special_use,
                    now: 0,
                    shared_seen: false,
                },
            )
            .await?;
        Ok(Done::default())
    }
    /// DELETE.
    pub async fn delete_mailbox(
        &self,
        identity: &Identity,
        name: &MailboxName,
    ) -> Result<Done, ChangeError> {
        self.visible(identity, name, Rights::DELETE_MAILBOX)?
            .partition
            .delete_mailbox(name)
            .await?;
        Ok(Done::default())
    }
    /// RENAME.
    pub async fn rename_mailbox(
        &self,
        identity: &Identity,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<Done, ChangeError> {
        let found = self.visible(identity, from, Rights::DELETE_MAILBOX)?;
        if self.find(to).is_some() {
            return Err(ChangeError::AlreadyExists);
        }
        found.partition.rename_mailbox(from, to).await?;
        Ok(Done::default())
    }
    /// SETACL and DELETEACL.
    pub async fn change_acl(
        &self,
        identity: &Identity,
        name: &MailboxName,
        identifier: &str,
        change: AclChange,
    ) -> Result<Done, ChangeError> {
        let found = self.visible(identity, name, Rights::ADMINISTER)?;
        let mut acl = murder_mailbox::Acl::parse(&found.meta.acl)?;
        let now = acl.get(identifier);
        let rights = match change {
            AclChange::Replace(rights) => rights,
            AclChange::Add(rights) => now.union(rights),
            AclChange::Remove(rights) => now.without(rights),
            AclChange::Delete => Rights::NONE,
        };
        acl.set(identifier, rights)?;
        let text: String = acl
            .entries()
            .map(|(who, rights)| format!("{who}\t{rights}\t"))
            .collect();
        found.partition.set_acl(name, &text).await?;
        Ok(Done::default())
    }
    /// Login of a backend that works alone.
    pub async fn autocreate_inbox(&self, identity: &Identity) -> Result<(), ChangeError> {
        let inbox = MailboxName::inbox_of(&identity.user)?;
        if self.find(&inbox).is_none() {
            self.create_mailbox(identity, &inbox, None, None).await?;
        }
        Ok(())
    }
    /// EXTERNAL.
    pub async fn identity_vouched(&self, user: &str) -> Option<Identity> {
        self.authenticator.identity(user)
    }
    fn home(
        &self,
        identity: &Identity,
    ) -> Result<(std::sync::Arc<murder_store::Partition>, MailboxName), ChangeError> {
        let inbox = MailboxName::inbox_of(&identity.user)?;
        let partition = self
            .partition_of_home(inbox.home_key())
            .ok_or(ChangeError::NoSuchMailbox { hidden: false })?;
        Ok((std::sync::Arc::clone(partition), inbox))
    }
    /// SUBSCRIBE.
    pub async fn subscribe(
        &self,
        identity: &Identity,
        name: &MailboxName,
    ) -> Result<(), ChangeError> {
        let (partition, inbox) = self.home(identity)?;
        Ok(partition.subscribe(inbox.home_key(), name).await?)
    }
    /// UNSUBSCRIBE.
    pub async fn unsubscribe(
        &self,
        identity: &Identity,
        name: &MailboxName,
    ) -> Result<(), ChangeError> {
        let (partition, inbox) = self.home(identity)?;
        Ok(partition.unsubscribe(inbox.home_key(), name).await?)
    }
    /// What is subscribed.
    pub async fn subscriptions(
        &self,
        identity: &Identity,
    ) -> Result<Vec<MailboxName>, ChangeError> {
        let (partition, inbox) = self.home(identity)?;
        Ok(partition.subscriptions(inbox.home_key()).await?)
    }
}
