//! A journaled command on its way to its homes, and what came of it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use murder_mailbox::MailboxId;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::body::BodyLocation;
use crate::command::Op;
use crate::error::StoreError;
use crate::items::Items;
use crate::journal::segments::Segments;
use crate::mailbox::Renamed;
use crate::message::{Appended, Copied, Expunged, Stored};
use crate::retention::Purged;
use crate::uidset::UidSet;

/// What applying a command to a home gave.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Done,
    /// The mailboxes made or renamed, with their old names below the home's root.
    Mailboxes(Vec<Renamed>),
    /// For each target of an append that is in this home: its place among the targets.
    Appended(Vec<(usize, Result<Appended, StoreError>)>),
    Stored(Stored),
    Expunged(Expunged),
    Copied(Copied),
    /// Where the bodies of the record are now.
    Relocated(Vec<BodyLocation>),
    Purged(Purged),
    /// How many mailboxes went beyond what clients saw, and which got new UIDVALIDITYs instead.
    Restored {
        jumped: u64,
        renewed: Vec<MailboxId>,
    },
    /// What became of a transfer: what was copied, if it was adopted.
    Settled(Option<Copied>),
    /// A home without mailboxes went; the greatest UIDVALIDITY that it had.
    Dropped {
        uidvalidity: u32,
    },
}

/// The result of a command in one home. A refusal is a result too: it comes out the same at
/// each replay.
pub(crate) type ApplyResult = Result<Outcome, StoreError>;

/// What the submitter gets: the result of each home, in the order of
/// [`Op::homes`](crate::command::Op::homes), or why nothing was journaled.
pub(crate) type Answer = Result<Vec<ApplyResult>, StoreError>;

/// A journaled command on its way to its homes.
#[derive(Debug)]
pub(crate) struct Entry {
    pub lsn: u64,
    pub op: Op,
    pub homes: Vec<u64>,
    /// Where the messages' bodies are, in their order.
    pub locations: Vec<BodyLocation>,
    items: Vec<OnceLock<Arc<Items>>>,
    answers: Mutex<Answers>,
    /// What a cross-home MOVE did to its target, for the source to follow.
    arrived: Mutex<Arrival>,
    arrival: Condvar,
}

#[derive(Debug, Default)]
enum Arrival {
    #[default]
    Unknown,
    Arrived(UidSet),
    /// The target will not be applied before the next start.
    Abandoned,
}

#[derive(Debug, Default)]
struct Answers {
    results: BTreeMap<u64, ApplyResult>,
    sender: Option<oneshot::Sender<Answer>>,
}

impl Entry {
    /// Of a record; `homes` are those of `op`.
    pub fn new(
        lsn: u64,
        op: Op,
        homes: Vec<u64>,
        locations: Vec<BodyLocation>,
        items: Vec<Arc<Items>>,
        sender: Option<oneshot::Sender<Answer>>,
    ) -> Self {
        let mut items = items.into_iter();
        Self {
            lsn,
            homes,
            items: locations
                .iter()
                .map(|_| items.next().map_or_else(OnceLock::new, OnceLock::from))
                .collect(),
            op,
            locations,
            answers: Mutex::new(Answers {
                results: BTreeMap::new(),
                sender,
            }),
            arrived: Mutex::default(),
            arrival: Condvar::new(),
        }
    }

    /// The fetch items of a message; computed from its bytes when nobody has yet.
    pub fn items(&self, message: usize, segments: &Segments) -> Result<Arc<Items>, StoreError> {
        if let Some(items) = self.items[message].get() {
            return Ok(Arc::clone(items));
        }
        let at = self.locations[message];
        let raw = segments.read(at, 0, at.len)?;
        Ok(Arc::clone(
            self.items[message].get_or_init(|| Arc::new(Items::compute(&raw))),
        ))
    }

    /// Gives the result in one home; the last one answers the submitter.
    pub fn answer(&self, home: u64, result: ApplyResult) {
        let mut answers = self.answers.lock();
        if self.homes.len() == 1 {
            // Nearly always; a map is large.
            if let Some(sender) = answers.sender.take() {
                // A submitter that went away does not want to know.
                let _ = sender.send(Ok(vec![result]));
            }
            return;
        }
        answers.results.insert(home, result);
        if answers.results.len() < self.homes.len() {
            return;
        }
        if let Some(sender) = answers.sender.take() {
            let mut results = std::mem::take(&mut answers.results);
            let all = self
                .homes
                .iter()
                .filter_map(|home| results.remove(home))
                .collect();
            let _ = sender.send(Ok(all));
        }
    }

    /// Says which source messages have arrived at a cross-home MOVE's target.
    pub fn set_arrived(&self, uids: UidSet) {
        *self.arrived.lock() = Arrival::Arrived(uids);
        self.arrival.notify_all();
    }

    /// Says that the target of a cross-home MOVE is left to replay, so its source must be too.
    pub fn abandon_arrival(&self) {
        *self.arrived.lock() = Arrival::Abandoned;
        self.arrival.notify_all();
    }

    /// Waits for the fate of a cross-home MOVE at its target.
    ///
    /// # Errors
    /// [`StoreError::Closed`] when the partition closes before it is known.
    pub fn wait_arrived(&self) -> Result<UidSet, StoreError> {
        let mut arrived = self.arrived.lock();
        loop {
            match &*arrived {
                Arrival::Unknown => self.arrival.wait(&mut arrived),
                Arrival::Arrived(uids) => return Ok(uids.clone()),
                Arrival::Abandoned => return Err(StoreError::Closed),
            }
        }
    }
}

/// Adds an entry to the lists of the shards of its homes, once each.
pub(crate) fn distribute(entry: &Arc<Entry>, by_shard: &mut [Vec<Arc<Entry>>]) {
    let shards = by_shard.len() as u64;
    for home in &entry.homes {
        let list = &mut by_shard[(home % shards) as usize];
        if list.last().is_none_or(|last| last.lsn != entry.lsn) {
            list.push(Arc::clone(entry));
        }
    }
}
