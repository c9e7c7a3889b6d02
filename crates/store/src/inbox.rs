//! What waits for a shard, and what others wait for of it.
//!
//! A shard commits a home's work later than it shows it, so that many commands share one
//! transaction. Whoever reads the home's database asks here for the commit first.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::checkpoint::Round;
use crate::entry::Entry;
use crate::error::StoreError;

/// Commands that may wait for a shard. When there are more, the journal thread waits, and with it
/// everybody.
const QUEUE: usize = 2048;
/// How long a shard without work keeps transactions open: the next command of the home may be
/// on its way.
const LINGER: Duration = Duration::from_millis(20);

/// What a shard is sent.
#[derive(Debug)]
pub(crate) enum ToShard {
    /// Journaled commands, ascending by LSN.
    Entries(Vec<Arc<Entry>>),
    /// Report what has changed up to here.
    Checkpoint(Round),
    /// Records are lost, in repair: of one home, or of any.
    Lost {
        lsn: u64,
        home: Option<u64>,
        /// Collects the homes that are concerned.
        concerned: Arc<Mutex<BTreeSet<u64>>>,
    },
    /// Recovery is over.
    Replayed(Sender<()>),
}

impl ToShard {
    /// How many commands it has.
    pub fn commands(&self) -> usize {
        match self {
            Self::Entries(entries) => entries.len(),
            _ => 0,
        }
    }
}

/// A shard's inbox.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    /// Something is there for the shard.
    arrived: Condvar,
    /// The shard took a message, committed a home, cannot, or is gone.
    progress: Condvar,
    /// Whether somebody waits for a commit: looked at between homes, without the lock.
    wanted: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<ToShard>,
    /// Commands in the queue.
    commands: usize,
    /// Nothing more will come.
    closed: bool,
    /// The shard has ended.
    gone: bool,
    /// Homes that show more than they have committed.
    uncommitted: HashSet<u64>,
    /// Those of them whose commit somebody waits for.
    wanted: Vec<u64>,
    /// Why nothing can be committed at the moment.
    stalled: Option<StoreError>,
}

/// What a shard finds in its inbox.
#[derive(Debug)]
pub(crate) enum Next {
    Message(ToShard),
    /// Somebody waits for commits.
    Wanted,
    /// Nothing came for a while, and there are open transactions.
    Idle,
    Closed,
}

/// The sending end, one an inbox; closes it when dropped.
#[derive(Debug)]
pub(crate) struct ShardSender(Arc<Inbox>);

/// The shard's end; tells everyone who waits when it is dropped.
#[derive(Debug)]
pub(crate) struct ShardReceiver(Arc<Inbox>);

impl Inbox {
    /// The two ends.
    pub fn ends(self: &Arc<Self>) -> (ShardSender, ShardReceiver) {
        (
            ShardSender(Arc::clone(self)),
            ShardReceiver(Arc::clone(self)),
        )
    }

    /// Waits until everything that the home shows is in its database.
    ///
    /// # Errors
    /// Why it cannot be committed now; [`StoreError::Closed`].
    pub fn committed(&self, home: u64) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        while state.uncommitted.contains(&home) {
            if let Some(why) = &state.stalled {
                return Err(why.clone());
            }
            if state.gone {
                return Err(StoreError::Closed);
            }
            if !state.wanted.contains(&home) {
                state.wanted.push(home);
                self.wanted.store(true, Ordering::Release);
                self.arrived.notify_one();
            }
            self.progress.wait(&mut state);
        }
        Ok(())
    }
}

impl ShardSender {
    /// Sends a message, waiting while many are before it.
    ///
    /// # Errors
    /// [`StoreError::Closed`] when the shard is gone.
    pub fn send(&self, message: ToShard) -> Result<(), StoreError> {
        let mut state = self.0.state.lock();
        while state.commands >= QUEUE && !state.gone {
            self.0.progress.wait(&mut state);
        }
        if state.gone {
            return Err(StoreError::Closed);
        }
        state.commands += message.commands();
        state.queue.push_back(message);
        drop(state);
        self.0.arrived.notify_one();
        Ok(())
    }
}

impl Drop for ShardSender {
    fn drop(&mut self) {
        self.0.state.lock().closed = true;
        self.0.arrived.notify_all();
    }
}

impl ShardReceiver {
    /// Waits for something to do.
    pub fn next(&self, open_transactions: bool) -> Next {
        let mut state = self.0.state.lock();
        loop {
            if !state.wanted.is_empty() {
                return Next::Wanted;
            }
            if let Some(message) = state.queue.pop_front() {
                state.commands -= message.commands();
                drop(state);
                self.0.progress.notify_all();
                return Next::Message(message);
            }
            if state.closed {
                return Next::Closed;
            }
            if !open_transactions {
                self.0.arrived.wait(&mut state);
            } else if self.0.arrived.wait_for(&mut state, LINGER).timed_out()
                && state.queue.is_empty()
                && state.wanted.is_empty()
            {
                return Next::Idle;
            }
        }
    }

    /// Whether something is there.
    pub fn has_work(&self) -> bool {
        let state = self.0.state.lock();
        state.closed || !state.queue.is_empty() || !state.wanted.is_empty()
    }

    /// The homes whose commit somebody waits for.
    pub fn wanted(&self) -> Vec<u64> {
        if !self.0.wanted.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut state = self.0.state.lock();
        self.0.wanted.store(false, Ordering::Release);
        std::mem::take(&mut state.wanted)
    }

    /// Says that a home is about to show more than it has committed.
    pub fn uncommitted(&self, home: u64) {
        self.0.state.lock().uncommitted.insert(home);
    }

    /// Says that everything that the home shows is in its database, as far as it ever will be.
    pub fn committed(&self, home: u64) {
        self.0.state.lock().uncommitted.remove(&home);
        self.0.progress.notify_all();
    }

    /// Says whether, and why, nothing can be committed at the moment.
    pub fn stalled(&self, why: Option<StoreError>) {
        self.0.state.lock().stalled = why;
        self.0.progress.notify_all();
    }
}

impl Drop for ShardReceiver {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.gone = true;
        state.queue.clear();
        drop(state);
        self.0.progress.notify_all();
    }
}
