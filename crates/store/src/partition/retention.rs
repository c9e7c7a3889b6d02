//! Restoring what was expunged or deleted, and forgetting it when its time is over.

use std::sync::Arc;
use std::time::Duration;

use murder_mailbox::{MailboxId, MailboxName};

use super::Partition;
use super::mailboxes::{new_mailbox, one_mailbox};
use super::messages::copied;
use crate::blocking::blocking;
use crate::command::{self, Op};
use crate::entry::Outcome;
use crate::error::StoreError;
use crate::handle::MailboxHandle;
use crate::mailbox::{CreateMailbox, MailboxMeta};
use crate::message::Copied;
use crate::partition_db::PartitionDb;
use crate::retention::{Purged, Restorable};
use crate::shared::{Payload, Shared};
use crate::uidset::UidSet;
use crate::view::MAX_KEYWORDS;

/// Messages that one record forgets: a few milliseconds of its shard's time.
const PURGE_ROWS: u32 = 200;

impl Partition {
    /// What can be restored in a home (a [`MailboxName::home_key`]).
    ///
    /// # Errors
    /// [`StoreError::NoSuchHome`], [`StoreError::Io`].
    pub async fn restorable(&self, home: &str) -> Result<Restorable, StoreError> {
        let shared = Arc::clone(&self.shared);
        let home = shared.catalogue.home(home).ok_or(StoreError::NoSuchHome)?;
        blocking(move || shared.readers.with(home, |r| r.restorable())).await
    }

    /// Brings back messages that were expunged from a mailbox, all or none: with new UIDs and
    /// without `\Deleted`. `uids` are those that they had; ones that are not kept are left
    /// out. Returns the UIDs that they had and those that they have.
    ///
    /// # Errors
    /// [`StoreError::NoSuchMailbox`], [`StoreError::UidsExhausted`], and those of every change.
    pub async fn restore_messages(
        &self,
        mailbox: &MailboxHandle,
        uids: &UidSet,
    ) -> Result<Copied, StoreError> {
        let op = Op::RestoreMessages(command::RestoreMessages {
            home: mailbox.home(),
            mailbox: mailbox.id().to_bytes().to_vec(),
            uids: uids.to_bytes(),
            max_keywords: MAX_KEYWORDS as u32,
        });
        copied(self.shared.submit_one(op, Payload::default()).await?)
    }

    /// Brings back a deleted mailbox of the same home with its messages and their UIDs, as
    /// `name` and with what `create` says: an identity that is new, and a UIDVALIDITY that the
    /// store raises if the name has had a greater one. Messages that had been expunged from it
    /// before can be restored then.
    ///
    /// # Errors
    /// [`StoreError::NoSuchHome`], [`StoreError::NoSuchMailbox`] when it is not kept (any
    /// more), [`StoreError::MailboxExists`], and those of every change.
    pub async fn restore_mailbox(
        &self,
        deleted: MailboxId,
        name: &MailboxName,
        create: CreateMailbox,
    ) -> Result<MailboxMeta, StoreError> {
        let shared = &self.shared;
        let _keys = shared.home_keys.read().await;
        let home = shared
            .catalogue
            .home(name.home_key())
            .ok_or(StoreError::NoSuchHome)?;
        let op = Op::RestoreMailbox(command::RestoreMailbox {
            create: new_mailbox(home, name, create),
            deleted: deleted.to_bytes().to_vec(),
        });
        one_mailbox(shared.submit_one(op, Payload::default()).await?)
    }

    /// Forgets what has been kept for as long as was set when it was expunged or deleted. The
    /// partition also does so by itself now and then.
    ///
    /// # Errors
    /// Those of every change. What was done until then stays done.
    pub async fn purge(&self) -> Result<Purged, StoreError> {
        // Which homes have something is known as of the last checkpoint.
        self.shared.checkpoint().await?;
        self.shared.purge().await
    }
}

impl Shared {
    pub(super) async fn purge(self: &Arc<Self>) -> Result<Purged, StoreError> {
        let now = self.config.clock.now();
        let shared = Arc::clone(self);
        let due = blocking(move || PartitionDb::open(&shared.db_path())?.due(now)).await?;
        let mut all = Purged::default();
        for home in due {
            loop {
                let op = Op::Purge(command::Purge {
                    home,
                    now,
                    limit: PURGE_ROWS,
                });
                match self.submit_one(op, Payload::default()).await {
                    Ok(Outcome::Purged(purged)) => {
                        all.messages += purged.messages;
                        all.mailboxes += purged.mailboxes;
                        if !purged.more {
                            break;
                        }
                    }
                    Ok(_) => break,
                    Err(StoreError::HomeDamaged { .. }) => break,
                    Err(e) => return Err(e),
                }
            }
        }
        if all != Purged::default() {
            tracing::info!(
                partition = self.config.name,
                messages = all.messages,
                mailboxes = all.mailboxes,
                "purged what can no longer be restored"
            );
        }
        Ok(all)
    }

    /// The time, and until when something that goes now is kept; 0 for not at all.
    pub(super) fn keep(&self, delay: Duration) -> (i64, i64) {
        let now = self.config.clock.now();
        if delay.is_zero() {
            return (now, 0);
        }
        let delay = i64::try_from(delay.as_secs().max(1)).unwrap_or(i64::MAX);
        (now, now.saturating_add(delay).max(1))
    }
}
