//! COPY and MOVE from one partition to another; see [`transfer`](crate::transfer).

use std::sync::Arc;

use murder_mailbox::{MailboxId, MailboxName};
use prost::Message as _;
use tokio::task::JoinHandle;

use super::Partition;
use super::messages::copied;
use crate::blocking::blocking;
use crate::claims::Claim;
use crate::command::{self, Adopt, Departing, Leaving, Op, TakeMessages, Transfer, TransferStep};
use crate::entry::Outcome;
use crate::error::StoreError;
use crate::handle::MailboxHandle;
use crate::message::{Copied, Expunged};
use crate::shared::{Payload, Shared};
use crate::transfer::{Destination, TransferId, TransferredMessage};
use crate::uidset::UidSet;
use crate::view::MAX_KEYWORDS;

/// The key of the home that knows what leaves. No mailbox has such a name.
const LEAVING: &str = "/leaving";

/// How long messages that were not adopted are kept after the last of them came, in seconds.
/// Who sends them is gone by then: a sender that is there forgets them itself.
const STAGED_FOR: i64 = 3600;
/// How long it is known what became of a transfer, in seconds: so long may the other side be down
/// without doubt.
const KNOWN_FOR: i64 = 30 * 24 * 3600;

/// Messages that come from another partition. Dropped before it is adopted, it leaves nothing
/// behind but what the next purge removes.
#[derive(Debug)]
pub struct Incoming {
    pub(crate) partition: Arc<Partition>,
    pub(crate) home: u64,
    pub(crate) mailbox: Vec<u8>,
    pub(crate) uidvalidity: u32,
    pub(crate) id: TransferId,
    /// Messages that were taken.
    pub(crate) messages: u64,
    /// Whether anything has to be forgotten if this is dropped.
    pub(crate) open: bool,
    /// The messages that are being written, while the next are prepared.
    pub(crate) writing: Option<JoinHandle<Result<(), StoreError>>>,
}

impl Incoming {
    /// The number of the home that they go to.
    #[must_use]
    pub fn home(&self) -> u64 {
        self.home
    }

    /// Messages that were taken so far, also those that are still being written.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages
    }
}

/// Messages on their way out by MOVE, written down so that a crash does not make two of them.
/// Nobody else moves them meanwhile.
#[derive(Debug)]
pub struct Departure {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: TransferId,
    pub(crate) home: u64,
    pub(crate) mailbox: Vec<u8>,
    pub(crate) claim: Claim,
    pub(crate) to: Destination,
}

impl Departure {
    /// The transfer.
    #[must_use]
    pub fn id(&self) -> TransferId {
        self.id
    }

    /// The messages.
    #[must_use]
    pub fn uids(&self) -> &UidSet {
        self.claim.uids()
    }

    /// What became of it is known: others may take the messages that stay.
    pub fn let_go(&mut self) {
        self.claim.retain(&UidSet::new());
    }

    /// Where they go to.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.to
    }
}

impl Partition {
    /// Begins to take messages for a mailbox from another partition.
    ///
    /// # Errors
    /// [`StoreError::NoSuchMailbox`].
    pub fn begin_transfer(
        self: &Arc<Self>,
        id: TransferId,
        name: &MailboxName,
    ) -> Result<Incoming, StoreError> {
        let (home, mailbox) = self.find(name)?;
        Ok(Incoming {
            partition: Arc::clone(self),
            home,
            mailbox: mailbox.id.to_bytes().to_vec(),
            uidvalidity: mailbox.uidvalidity,
            id,
            messages: 0,
            open: false,
            writing: None,
        })
    }

    /// What became of a transfer to home `home`: what was copied if it was adopted; `None` if it
    /// was not, and then it never will be.
    ///
    /// # Errors
    /// Those of every change.
    pub async fn settle_transfer(
        &self,
        home: u64,
        id: TransferId,
    ) -> Result<Option<Copied>, StoreError> {
        if self.shared.catalogue.key(home).is_none() {
            // It went, with whatever came to it.
            return Ok(None);
        }
        let op = self.shared.transfer(home, id, TransferStep::Settle(()));
        match self.shared.submit_one(op, Payload::default()).await? {
            Outcome::Settled(copied) => Ok(copied),
            _ => Ok(None),
        }
    }

    /// Writes down that messages leave by MOVE. After that they may be adopted elsewhere.
    ///
    /// # Errors
    /// Those of every change.
    pub async fn depart(
        &self,
        source: &MailboxHandle,
        claim: Claim,
        id: TransferId,
        to: Destination,
    ) -> Result<Departure, StoreError> {
        let departure = Departure {
            shared: Arc::clone(&self.shared),
            id,
            home: source.home(),
            mailbox: source.id().to_bytes().to_vec(),
            claim,
            to,
        };
        let to = &departure.to;
        let departing = Departing {
            home: departure.home,
            mailbox: departure.mailbox.clone(),
            uids: departure.uids().to_bytes(),
            node: to.node.clone(),
            partition: to.partition.clone(),
            to_home: to.home,
        };
        self.shared.leaving(id, Some(departing)).await?;
        Ok(departure)
    }

    /// What left by MOVE before the partition was closed, and of which it is not known what became
    /// of it. To be called once, before anybody opens a mailbox.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn unsettled(&self) -> Result<Vec<Departure>, StoreError> {
        let Some(home) = self.shared.catalogue.home(LEAVING) else {
            return Ok(Vec::new());
        };
        let shared = Arc::clone(&self.shared);
        let rows = blocking(move || shared.readers.with(home, |reader| reader.transfers())).await?;
        let mut departures = Vec::new();
        for (id, value) in rows {
            let id = TransferId::from_slice(&id);
            let (Some(id), Ok(left)) = (id, Departing::decode(&value[..])) else {
                tracing::error!("what left by MOVE cannot be read");
                continue;
            };
            let Some(mailbox) = MailboxId::from_slice(&left.mailbox) else {
                continue;
            };
            let uids = UidSet::from_bytes(&left.uids);
            departures.push(Departure {
                shared: Arc::clone(&self.shared),
                id,
                home: left.home,
                mailbox: left.mailbox,
                claim: Claim::new(&self.shared.claims, mailbox, |_| uids),
                to: Destination {
                    node: left.node,
                    partition: left.partition,
                    home: left.to_home,
                },
            });
        }
        Ok(departures)
    }
}

impl Departure {
    /// Removes the messages, which are elsewhere now: all of those that are still there, whether
    /// they have `\Deleted` or not. They cannot be restored here. To be repeated until it works.
    ///
    /// # Errors
    /// Those of every change.
    pub async fn remove(&self) -> Result<Expunged, StoreError> {
        let op = Op::Expunge(command::Expunge {
            home: self.home,
            mailbox: self.mailbox.clone(),
            uids: Some(self.uids().to_bytes()),
            now: self.shared.config.clock.now(),
            keep_until: 0,
            regardless: true,
        });
        match self.shared.submit_one(op, Payload::default()).await {
            Ok(Outcome::Expunged(expunged)) => Ok(expunged),
            // It went with the messages.
            Ok(_) | Err(StoreError::NoSuchMailbox) => Ok(Expunged::default()),
            Err(error) => Err(error),
        }
    }

    /// Forgets it: the messages were removed, or stay. Until this is durable a restart asks once
    /// more, and comes to the same.
    ///
    /// # Errors
    /// Those of every change.
    pub async fn settled(&self) -> Result<(), StoreError> {
        self.shared.leaving(self.id, None).await
    }
}

impl Incoming {
    /// Takes messages in, in ascending order of their UIDs in the source. Returns when those of
    /// the call before are durable; the call after, or [`Incoming::adopt`], waits for these.
    ///
    /// # Errors
    /// Those of every change, also for the messages of the call before.
    pub async fn take(&mut self, messages: Vec<TransferredMessage>) -> Result<(), StoreError> {
        self.open = true;
        let count = messages.len() as u64;
        let mut sources = Vec::with_capacity(messages.len());
        let mut bodies = Vec::with_capacity(messages.len());
        for message in messages {
            sources.push((message.source_uid, message.email_id));
            bodies.push(message.message);
        }
        let (mut messages, payload) = self.partition.load(bodies).await?;
        for (message, (uid, email_id)) in messages.iter_mut().zip(sources) {
            message.source_uid = uid;
            message.email_id = email_id.to_vec();
        }
        self.written().await?;
        let shared = Arc::clone(&self.partition.shared);
        let step = TransferStep::Take(TakeMessages { messages });
        let op = shared.transfer(self.home, self.id, step);
        self.messages += count;
        self.writing = Some(tokio::spawn(async move {
            shared.submit_one(op, payload).await.map(|_| ())
        }));
        Ok(())
    }

    async fn written(&mut self) -> Result<(), StoreError> {
        match self.writing.take() {
            Some(writing) => writing.await.map_err(|_| StoreError::Closed)?,
            None => Ok(()),
        }
    }

    /// Makes all of the messages appear in the mailbox.
    ///
    /// # Errors
    /// [`StoreError::NoSuchMailbox`], [`StoreError::OverQuota`], [`StoreError::UidsExhausted`],
    /// [`StoreError::NoSuchTransfer`] when it was settled before, and those of every change.
    pub async fn adopt(&mut self) -> Result<Copied, StoreError> {
        self.written().await?;
        if self.messages == 0 {
            return Ok(Copied {
                uidvalidity: self.uidvalidity,
                ..Copied::default()
            });
        }
        let shared = &self.partition.shared;
        let step = TransferStep::Adopt(Adopt {
            mailbox: self.mailbox.clone(),
            messages: self.messages,
            max_keywords: MAX_KEYWORDS as u32,
        });
        let op = shared.transfer(self.home, self.id, step);
        let adopted = copied(shared.submit_one(op, Payload::default()).await?)?;
        self.open = false;
        Ok(adopted)
    }

    /// Forgets the messages.
    ///
    /// # Errors
    /// Those of every change; the next purge after an hour removes them then.
    pub async fn discard(&mut self) -> Result<(), StoreError> {
        if !std::mem::take(&mut self.open) {
            return Ok(());
        }
        // If they were not written there is nothing to forget of them.
        let _ = self.written().await;
        let shared = &self.partition.shared;
        let op = shared.transfer(self.home, self.id, TransferStep::Discard(()));
        shared.submit_one(op, Payload::default()).await?;
        Ok(())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        let shared = Arc::clone(&self.partition.shared);
        let op = shared.transfer(self.home, self.id, TransferStep::Discard(()));
        let writing = self.writing.take();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Some(writing) = writing {
                    let _ = writing.await;
                }
                // A partition that is closing forgets them after it is opened again.
                let _ = shared.submit_one(op, Payload::default()).await;
            });
        }
    }
}

impl Shared {
    fn transfer(&self, home: u64, id: TransferId, step: TransferStep) -> Op {
        let now = self.config.clock.now();
        let known_for = match step {
            TransferStep::Take(_) => STAGED_FOR,
            _ => KNOWN_FOR,
        };
        Op::Transfer(Transfer {
            home,
            id: id.to_bytes(),
            now,
            keep_until: now.saturating_add(known_for).max(1),
            step: Some(step),
        })
    }

    async fn leaving(
        &self,
        id: TransferId,
        departure: Option<Departing>,
    ) -> Result<(), StoreError> {
        let op = Op::Leaving(Leaving {
            home: self.catalogue.home_or_reserve(LEAVING),
            key: LEAVING.to_owned(),
            id: id.to_bytes(),
            departure,
        });
        self.submit_one(op, Payload::default()).await?;
        Ok(())
    }
}
