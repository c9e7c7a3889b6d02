//! CREATE (RFC 9051 section 6.3.4, RFC 6154 section 3).

use std::sync::Arc;

use murder_auth::may_be_made;
use murder_location::{Activate, MupdateClient, MupdateError, Reserve};
use murder_mailbox::{Acl, Identity, MailboxId, MailboxName, Rights, SpecialUse, uidvalidity};
use murder_store::{CreateMailbox, MailboxMeta, Partition, StoreError};

use super::order::Unfinished;
use super::{ChangeError, Done};
use crate::node::{Node, now};

/// A mailbox to be made.
pub(super) struct NewMailbox<'a> {
    pub id: MailboxId,
    pub name: &'a MailboxName,
    pub partition: &'a Arc<Partition>,
    pub acl: Acl,
    pub special_use: Option<SpecialUse>,
    pub origin: Origin<'a>,
}

/// What a new mailbox begins with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin<'a> {
    /// Nothing.
    Nothing,
    /// The messages of this INBOX, which it takes over (RENAME of an INBOX).
    Inbox(&'a MailboxName),
    /// Everything that this deleted mailbox had.
    Deleted(MailboxId),
}

/// A home is made for nobody but who could log in.
pub(super) fn check_new(name: &MailboxName) -> Result<(), ChangeError> {
    match may_be_made(name) {
        true => Ok(()),
        false => Err(ChangeError::Cannot("Nobody can log in by that name")),
    }
}

impl Node {
    /// CREATE. `partition` is one of this node's by its own name (`default`); `None`: the
    /// parent's, or the first.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn create_mailbox(
        self: &Arc<Self>,
        identity: &Identity,
        name: &MailboxName,
        partition: Option<&str>,
        special_use: Option<SpecialUse>,
    ) -> Result<Done, ChangeError> {
        self.create_mailbox_as(identity, name, partition, special_use, MailboxId::new())
            .await
    }

    /// The same; the mailbox gets this id, which is nobody's.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn create_mailbox_as(
        self: &Arc<Self>,
        identity: &Identity,
        name: &MailboxName,
        partition: Option<&str>,
        special_use: Option<SpecialUse>,
        id: MailboxId,
    ) -> Result<Done, ChangeError> {
        let (identity, name) = (identity.clone(), name.clone());
        let partition = partition.map(str::to_owned);
        self.to_the_end(|node| async move {
            node.create(&identity, &name, partition.as_deref(), special_use, id)
                .await
        })
        .await
    }

    async fn create(
        &self,
        identity: &Identity,
        name: &MailboxName,
        partition: Option<&str>,
        special_use: Option<SpecialUse>,
        id: MailboxId,
    ) -> Result<Done, ChangeError> {
        let _home = self.changes.of_homes(&[name.home_key()]).await;
        self.check_unknown(identity, name)?;
        let place = self.place_for(identity, name).await?;
        if self.find(name).is_some() {
            return Err(ChangeError::AlreadyExists);
        }
        self.check_free(name)?;
        let partition = self.partition_for(name, &place, partition)?;
        let (done, _) = self
            .make(NewMailbox {
                id,
                name,
                partition: &partition,
                acl: place.acl,
                special_use,
                origin: Origin::Nothing,
            })
            .await?;
        let partition = &partition.config().name;
        audited!("mailbox.create", identity, mailbox = %name, partition);
        Ok(done)
    }

    /// One who may see a mailbox of that name is told so before anything else.
    pub(super) fn check_unknown(
        &self,
        identity: &Identity,
        name: &MailboxName,
    ) -> Result<(), ChangeError> {
        match self.find(name) {
            Some(found) if found.rights_of(identity).contains(Rights::LOOKUP) => {
                Err(ChangeError::AlreadyExists)
            }
            _ => Ok(()),
        }
    }

    /// Reserve at the master, make it in the store, activate at the master.
    pub(super) async fn make(
        &self,
        new: NewMailbox<'_>,
    ) -> Result<(Done, MailboxMeta), ChangeError> {
        check_new(new.name)?;
        let id = new.id;
        let Some(cluster) = &self.cluster else {
            // The store raises it when the name had a greater one before.
            let uidvalidity = uidvalidity::of_time(now());
            let meta = store(&new, id, uidvalidity).await?;
            return Ok((Done::default(), meta));
        };
        let unfinished = self.changes.begin();
        let master = self.master_of(cluster, new.partition);
        let reserve = Reserve {
            name: new.name.clone(),
            id,
            partition: self.place(new.partition),
            acl: new.acl.clone(),
            special_use: new.special_use.into_iter().collect(),
        };
        let uidvalidity = match reserved(&master, reserve.clone()).await {
            Ok(uidvalidity) => uidvalidity,
            Err(error) => {
                if !error.is_unavailable() {
                    unfinished.settled();
                }
                return Err(error.into());
            }
        };
        let meta = match store(&new, id, uidvalidity).await {
            Ok(meta) => meta,
            Err(error) => {
                give_back(&master, new.name, id, unfinished).await;
                return Err(error.into());
            }
        };
        let mut activate = Activate::new(new.name.clone(), id);
        activate.uidvalidity = (meta.uidvalidity != uidvalidity).then_some(meta.uidvalidity);
        let activated = match master.activate(activate.clone()).await {
            Err(MupdateError::NotFound(_) | MupdateError::FailedPrecondition(_)) => {
                // The reservation has gone, which it does when the master did not hear of this
                // node for too long. The name may still be free.
                match reserved(&master, reserve).await {
                    Ok(uidvalidity) => {
                        activate.uidvalidity = Some(meta.uidvalidity.max(uidvalidity));
                        master.activate(activate).await
                    }
                    Err(MupdateError::AlreadyExists { .. }) if new.can_be_undone() => {
                        // Nobody was told of it.
                        if new.partition.delete_mailbox(new.name).await.is_ok() {
                            unfinished.settled();
                        }
                        return Err(ChangeError::AlreadyExists);
                    }
                    Err(error) => Err(error),
                }
            }
            answer => answer,
        };
        let revision = activated.map_err(ChangeError::of_last_step)?.revision;
        unfinished.settled();
        let done = Done {
            revision: Some(revision),
        };
        Ok((done, meta))
    }
}

impl NewMailbox<'_> {
    /// Whether it can be deleted again without a loss.
    fn can_be_undone(&self) -> bool {
        match self.origin {
            Origin::Nothing => true,
            Origin::Inbox(_) => false,
            // Then it is kept once more.
            Origin::Deleted(_) => !self.partition.config().delete_delay.is_zero(),
        }
    }
}

async fn reserved(master: &MupdateClient, reserve: Reserve) -> Result<u32, MupdateError> {
    let changed = master.reserve(reserve).await?;
    let mailbox = changed
        .mailbox
        .ok_or_else(|| MupdateError::Protocol("reserved nothing".into()))?;
    Ok(mailbox.location.uidvalidity)
}

async fn store(
    new: &NewMailbox<'_>,
    id: MailboxId,
    uidvalidity: u32,
) -> Result<MailboxMeta, StoreError> {
    let create = CreateMailbox {
        id,
        uidvalidity,
        acl: new.acl.to_string(),
        special_use: new.special_use,
        now: now(),
        shared_seen: false,
    };
    let partition = new.partition;
    match new.origin {
        Origin::Nothing => partition.create_mailbox(new.name, create).await,
        Origin::Inbox(inbox) => partition.rename_inbox(inbox, new.name, create).await,
        Origin::Deleted(deleted) => partition.restore_mailbox(deleted, new.name, create).await,
    }
}

/// Frees the name again.
async fn give_back(
    master: &MupdateClient,
    name: &MailboxName,
    id: MailboxId,
    unfinished: Unfinished<'_>,
) {
    match master.delete(name, Some(id)).await {
        Ok(_) | Err(MupdateError::NotFound(_)) => unfinished.settled(),
        Err(error) => tracing::warn!(mailbox = %name, %error, "a reservation was not given back"),
    }
}
