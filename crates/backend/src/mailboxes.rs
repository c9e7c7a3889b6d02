//! Changes of the list of mailboxes: rights, then the master, then the store.
//!
//! Every function here checks the rights of who asks, except for what only operators do. See `docs/architecture.md`, "How a mailbox
//! change is made".
//!
//! A change goes on to its end when the session that asked for it goes away: a call to the master
//! that nobody waits for any more may still be carried out, at a moment that nobody knows. Between
//! the master's step and the store's it can fail. What can be undone is undone at once; whatever
//! else is left half done wakes the reconciliation ([`crate::reconcile`]), which settles it as it
//! does after a crash.

/// Writes an audit event of a change that is done for `identity`, on the current task's behalf.
macro_rules! audited {
    ($event:literal, $identity:expr, $($fields:tt)+) => {{
        let identity: &murder_mailbox::Identity = $identity;
        let mut actor = murder_net::Actor::current().unwrap_or_default();
        if actor.user.is_none() && !identity.user.is_empty() {
            actor.user = Some(identity.user.clone());
        }
        murder_net::audit!($event, for &actor, admin = identity.admin, $($fields)+)
    }};
}

mod acl;
mod autocreate;
mod create;
mod delete;
mod order;
mod place;
mod rename;
mod restore;

use std::sync::Arc;

use murder_location::MupdateError;
use murder_mailbox::acl::AclError;
use murder_mailbox::{Identity, MailboxName, NameError, RenameError, Rights};
use murder_net::Actor;
use murder_store::StoreError;
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::node::{Cluster, Found, Node};

pub(crate) use order::Changes;

/// A change that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Done {
    /// The master's revision that contains it; `None` when the backend works alone, or nothing
    /// had to be changed.
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
    /// What it is about may be in a partition that is not open.
    #[error("A partition of this backend is not available")]
    NotOpen,
    /// The master is away, or refuses.
    #[error(transparent)]
    Master(MupdateError),
    /// The store refuses.
    #[error(transparent)]
    Store(StoreError),
    /// The master's answer was lost at a step that is not undone: it is made, or will be, or not.
    #[error("not known whether it was done: {0}")]
    Unknown(MupdateError),
}

impl From<MupdateError> for ChangeError {
    fn from(error: MupdateError) -> Self {
        match error {
            MupdateError::AlreadyExists { .. } => Self::AlreadyExists,
            error => Self::Master(error),
        }
    }
}

impl ChangeError {
    /// The error of a step at the master after which the change is made, also by the reconciliation
    /// that follows.
    fn of_last_step(error: MupdateError) -> Self {
        match error {
            // Then it is made already, or nothing was sent and the reconciliation makes it.
            MupdateError::Unavailable(_) | MupdateError::NotSent(_) | MupdateError::Protocol(_) => {
                Self::Unknown(error)
            }
            error => error.into(),
        }
    }

    /// The error of a step at the master that makes the change if it reached it.
    fn of_deciding_step(error: MupdateError) -> Self {
        match error.may_be_done() {
            true => Self::Unknown(error),
            false => error.into(),
        }
    }
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        match error {
            // It was there when the change began.
            StoreError::NoSuchMailbox => Self::NoSuchMailbox { hidden: false },
            StoreError::MailboxExists => Self::AlreadyExists,
            StoreError::Name(error) => Self::Name(error),
            error => Self::Store(error),
        }
    }
}

impl From<RenameError> for ChangeError {
    fn from(error: RenameError) -> Self {
        match error {
            RenameError::AdministratorsOnly => Self::NotPermitted(error.text()),
            _ => Self::Cannot(error.text()),
        }
    }
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
    /// Makes a change in a task of its own, which ends early only with the node.
    async fn to_the_end<T, F>(
        self: &Arc<Self>,
        change: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, ChangeError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ChangeError>> + Send + 'static,
    {
        let (sender, done) = oneshot::channel();
        let actor = Actor::current().unwrap_or_default();
        let change = actor.scope(change(Arc::clone(self)));
        self.shutdown.spawn(
            async move {
                // The session may have gone.
                let _ = sender.send(change.await);
            }
            .in_current_span(),
        );
        // Only the end of the node's grace keeps it from its end.
        done.await.unwrap_or_else(|_| {
            Err(ChangeError::Store(StoreError::InDoubt {
                why: "the node went down".into(),
            }))
        })
    }

    /// Whether the name of a mailbox that is here is another's at the master, in another partition:
    /// a conflict, of which the master has no record to change.
    async fn is_anothers(&self, cluster: &Cluster, found: &Found) -> Result<bool, MupdateError> {
        let record = cluster.client.find(&found.meta.name).await?.mailbox;
        let place = self.place(&found.partition);
        Ok(record.is_some_and(|record| {
            record.location.id != found.meta.id && *record.location.partition != *place
        }))
    }

    /// A mailbox of this node in which `identity` has the right `needed`; `missing` is said to one
    /// who has not. Who has not got `l` either is not told that it exists (RFC 4314 section 6).
    fn find_permitted(
        &self,
        identity: &Identity,
        name: &MailboxName,
        needed: Rights,
        missing: &'static str,
    ) -> Result<Found, ChangeError> {
        let found = self
            .find(name)
            .ok_or(ChangeError::NoSuchMailbox { hidden: false })?;
        let rights = found.rights_of(identity);
        if rights.contains(needed) {
            return Ok(found);
        }
        Err(match rights.contains(Rights::LOOKUP) {
            true => ChangeError::NotPermitted(missing),
            false => ChangeError::NoSuchMailbox { hidden: true },
        })
    }
}
