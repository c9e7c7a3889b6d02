//! Mailbox records: changes, and what the master knows of a name.

use std::time::Duration;

use murder_mailbox::{Acl, MailboxId, MailboxName};
use murder_proto::v1::{self, operation};
use tokio::time::timeout;
use tonic::Streaming;

use super::{MupdateClient, typed};
use crate::error::MupdateError;
use crate::record::{Mailbox, SpecialUses};

/// A change was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The revision that contains it.
    pub revision: u64,
    /// The record after it; `None` after a deletion. After a rename, the root's, if the
    /// root itself is a mailbox.
    pub mailbox: Option<Mailbox>,
}

/// A batch was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The revision that contains it.
    pub revision: u64,
    /// The record after each operation, in order, as in [`Changed::mailbox`].
    pub mailboxes: Vec<Option<Mailbox>>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The revision at which it was so.
    pub revision: u64,
    /// The mailbox, if there is one of that name.
    pub mailbox: Option<Mailbox>,
}

/// A name to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserve {
    /// Canonical name.
    pub name: MailboxName,
    /// The new mailbox's identity.
    pub id: MailboxId,
    /// `node!partition`.
    pub partition: String,
    /// Who may do what.
    pub acl: Acl,
    /// What it is meant for.
    pub special_use: SpecialUses,
}

/// A mailbox to put into service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activate {
    /// Canonical name.
    pub name: MailboxName,
    /// Must be the record's.
    pub id: MailboxId,
    /// Replaces the record's ACL.
    pub acl: Option<Acl>,
    /// Replaces the record's UIDVALIDITY; must be greater.
    pub uidvalidity: Option<u32>,
}

impl Activate {
    /// As it was reserved.
    #[must_use]
    pub const fn new(name: MailboxName, id: MailboxId) -> Self {
        Self {
            name,
            id,
            acl: None,
            uidvalidity: None,
        }
    }
}

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// See [`MupdateClient::reserve`].
    Reserve(Reserve),
    /// See [`MupdateClient::activate`].
    Activate(Activate),
    /// See [`MupdateClient::begin_delete`].
    BeginDelete {
        /// Canonical name.
        name: MailboxName,
        /// Must be the record's.
        id: MailboxId,
    },
    /// See [`MupdateClient::delete`].
    Delete {
        /// Canonical name.
        name: MailboxName,
        /// When given, must be the record's.
        id: Option<MailboxId>,
    },
    /// See [`MupdateClient::rename`].
    Rename {
        /// Canonical name before.
        from: MailboxName,
        /// Canonical name after.
        to: MailboxName,
        /// Everything below `from` goes along.
        subtree: bool,
    },
    /// See [`MupdateClient::set_acl`].
    SetAcl {
        /// Canonical name.
        name: MailboxName,
        /// The new list.
        acl: Acl,
        /// When given, must be the record's.
        id: Option<MailboxId>,
    },
}

impl Operation {
    fn into_proto(self) -> v1::Operation {
        let id_bytes = |id: Option<MailboxId>| id.map_or_else(Vec::new, |id| id.to_bytes().into());
        let kind = match self {
            Self::Reserve(reserve) => operation::Kind::Reserve(v1::ReserveRequest {
                name: reserve.name.to_string(),
                id: id_bytes(Some(reserve.id)),
                partition: reserve.partition,
                acl: reserve.acl.to_string(),
                special_use: reserve.special_use.iter().map(|u| u.to_string()).collect(),
                r#type: v1::MailboxType::Mail.into(),
            }),
            Self::Activate(activate) => operation::Kind::Activate(v1::ActivateRequest {
                name: activate.name.to_string(),
                id: id_bytes(Some(activate.id)),
                acl: activate.acl.map(|acl| acl.to_string()),
                uidvalidity: activate.uidvalidity,
            }),
            Self::BeginDelete { name, id } => {
                operation::Kind::BeginDelete(v1::BeginDeleteRequest {
                    name: name.to_string(),
                    id: id_bytes(Some(id)),
                })
            }
            Self::Delete { name, id } => operation::Kind::Delete(v1::DeleteRequest {
                name: name.to_string(),
                id: id_bytes(id),
            }),
            Self::Rename { from, to, subtree } => operation::Kind::Rename(v1::RenameRequest {
                from: from.to_string(),
                to: to.to_string(),
                subtree,
            }),
            Self::SetAcl { name, acl, id } => operation::Kind::SetAcl(v1::SetAclRequest {
                name: name.to_string(),
                acl: acl.to_string(),
                id: id_bytes(id),
            }),
        };
        v1::Operation { kind: Some(kind) }
    }
}

impl MupdateClient {
    async fn one(&self, operation: Operation) -> Result<Changed, MupdateError> {
        let answer = self.change(operation.into_proto()).await?;
        Ok(Changed {
            revision: answer.revision,
            mailbox: answer.mailbox.map(typed).transpose()?,
        })
    }

    /// Takes a name for a mailbox that does not exist yet. The record that comes back has
    /// the UIDVALIDITY that the mailbox must have.
    ///
    /// # Errors
    /// [`MupdateError::AlreadyExists`] with the holder; see [`MupdateError`].
    pub async fn reserve(&self, reserve: Reserve) -> Result<Changed, MupdateError> {
        self.one(Operation::Reserve(reserve)).await
    }

    /// Says that a reserved mailbox is there now, or that one is not deleted after all. Doing it
    /// twice does no harm.
    ///
    /// # Errors
    /// [`MupdateError::NotFound`] when the reservation is gone,
    /// [`MupdateError::FailedPrecondition`] when the name is another mailbox's by now.
    pub async fn activate(&self, activate: Activate) -> Result<Changed, MupdateError> {
        self.one(Operation::Activate(activate)).await
    }

    /// Takes a mailbox out of service before it is deleted; [`MupdateClient::delete`] is the end of
    /// it, [`MupdateClient::activate`] takes it back.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn begin_delete(
        &self,
        name: &MailboxName,
        id: MailboxId,
    ) -> Result<Changed, MupdateError> {
        let name = name.clone();
        self.one(Operation::BeginDelete { name, id }).await
    }

    /// Forgets a mailbox, or gives a reservation back. With `id`, only that mailbox.
    ///
    /// # Errors
    /// [`MupdateError::NotFound`] when there is none (any more); see [`MupdateError`].
    pub async fn delete(
        &self,
        name: &MailboxName,
        id: Option<MailboxId>,
    ) -> Result<Changed, MupdateError> {
        let name = name.clone();
        self.one(Operation::Delete { name, id }).await
    }

    /// Renames a mailbox; with `subtree`, everything below it at the same moment. Ids,
    /// partitions, ACLs and UIDVALIDITYs stay.
    ///
    /// # Errors
    /// [`MupdateError::AlreadyExists`] with the holder when one of the new names is taken,
    /// [`MupdateError::NotFound`] when there is nothing to rename; see [`MupdateError`].
    pub async fn rename(
        &self,
        from: &MailboxName,
        to: &MailboxName,
        subtree: bool,
    ) -> Result<Changed, MupdateError> {
        self.one(Operation::Rename {
            from: from.clone(),
            to: to.clone(),
            subtree,
        })
        .await
    }

    /// Replaces a mailbox's ACL. With `id`, only that mailbox's.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn set_acl(
        &self,
        name: &MailboxName,
        acl: &Acl,
        id: Option<MailboxId>,
    ) -> Result<Changed, MupdateError> {
        self.one(Operation::SetAcl {
            name: name.clone(),
            acl: acl.clone(),
            id,
        })
        .await
    }

    /// Does all of these in order and at once, or none.
    ///
    /// # Errors
    /// [`MupdateError::Batch`] with each operation's error; see [`MupdateError`].
    pub async fn commit(&self, operations: Vec<Operation>) -> Result<Committed, MupdateError> {
        let request = v1::CommitRequest {
            operations: operations.into_iter().map(Operation::into_proto).collect(),
        };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.rpc();
                async move { rpc.commit(request).await }
            })
            .await?;
        if !answer.committed {
            return Err(MupdateError::Batch(
                answer
                    .results
                    .into_iter()
                    .map(|result| result.error.map(MupdateError::from_detail))
                    .collect(),
            ));
        }
        let mailboxes = answer
            .results
            .into_iter()
            .map(|result| result.mailbox.map(typed).transpose())
            .collect::<Result<_, _>>()?;
        Ok(Committed {
            revision: answer.revision,
            mailboxes,
        })
    }

    /// The master's own word on one name.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn find(&self, name: &MailboxName) -> Result<Found, MupdateError> {
        let request = v1::FindRequest {
            name: name.to_string(),
        };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.rpc();
                async move { rpc.find(request).await }
            })
            .await?;
        Ok(Found {
            revision: answer.revision,
            mailbox: answer.mailbox.map(typed).transpose()?,
        })
    }

    /// The master's own word on the mailboxes of `selection`, in name order.
    ///
    /// # Errors
    /// See [`MupdateError`]; also at the stream's end.
    pub async fn list(&self, selection: Selection<'_>) -> Result<MailboxStream, MupdateError> {
        let request = v1::ListRequest {
            prefix: selection.prefix.to_owned(),
            partition: selection.partition.to_owned(),
            owner: selection.owner.to_owned(),
        };
        let stream = self
            .call(request, |request| {
                let mut rpc = self.rpc();
                async move { rpc.list(request).await }
            })
            .await?;
        Ok(MailboxStream {
            stream,
            silence: self.call_timeout,
        })
    }

    /// Forgets a UIDVALIDITY that was decades ahead, which kept mailboxes from being made. With
    /// `dry_run` only says what would be. Returns the greatest that counts, before and after. For
    /// operators.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn lower_uidvalidity(&self, dry_run: bool) -> Result<(u32, u32), MupdateError> {
        let request = v1::LowerUidvalidityRequest { dry_run };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.rpc();
                async move { rpc.lower_uidvalidity(request).await }
            })
            .await?;
        Ok((answer.before, answer.after))
    }
}

/// Which mailboxes are listed: all that each of these allows; empty ones allow everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Selection<'a> {
    /// Text that the canonical name starts with.
    pub prefix: &'a str,
    /// The partition that they are in.
    pub partition: &'a str,
    /// The node that owns that.
    pub owner: &'a str,
}

impl<'a> Selection<'a> {
    /// All mailboxes in a partition.
    #[must_use]
    pub fn in_partition(partition: &'a str) -> Self {
        Self {
            partition,
            ..Self::default()
        }
    }
}

/// The answer to [`MupdateClient::list`].
#[derive(Debug)]
pub struct MailboxStream {
    stream: Streaming<v1::ListResponse>,
    silence: Duration,
}

impl MailboxStream {
    /// The next some mailboxes; `None` at the end.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn next(&mut self) -> Result<Option<Vec<Mailbox>>, MupdateError> {
        let message = timeout(self.silence, self.stream.message())
            .await
            .map_err(|_| MupdateError::Unavailable("no answer in time".into()))??;
        message
            .map(|part| part.mailboxes.into_iter().map(typed).collect())
            .transpose()
    }

    /// All of them.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn collect(mut self) -> Result<Vec<Mailbox>, MupdateError> {
        let mut all = Vec::new();
        while let Some(more) = self.next().await? {
            all.extend(more);
        }
        Ok(all)
    }
}
