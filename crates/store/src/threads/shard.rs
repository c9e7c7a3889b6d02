//! A shard: the one thread that writes its homes.
//!
//! Entries come in batches, ascending by LSN. All of a home's commands of a batch are applied
//! at once. A cross-home MOVE ends the batch: its target is applied, then its source, which
//! waits for the target's outcome if that is another shard's. Waits only go to lower LSNs, so
//! they end.
//!
//! What was applied is shown and answered at once, since it is durable in the journal, and
//! committed later, with what the home gets until then: when a reader wants it, when there is
//! much of it, when nothing else is to be done, at a checkpoint.

mod checkpoint;
mod homes;
mod publish;

pub(crate) use homes::{Anew, Replay};

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use lru::LruCache;
use parking_lot::Mutex;

use self::checkpoint::Marked;
use self::publish::refuse;
use crate::checkpoint::{Changes, ToCheckpointer};
use crate::command::{self, Op};
use crate::entry::Entry;
use crate::error::StoreError;
use crate::handles::Handles;
use crate::home::{Effects, Home, schema};
use crate::inbox::{Next, ShardReceiver, ToShard};
use crate::shared::Shared;

/// The fewest homes a shard keeps open.
const MIN_OPEN: usize = 4;
/// Records after which a home commits: by then the cost of the commit is spread enough. Of large
/// mailboxes some of the changed pages leave the page cache for the WAL before.
const UNCOMMITTED_RECORDS: usize = 128;
/// Homes of a shard with open transactions: what a checkpoint may have to wait for.
const UNCOMMITTED_HOMES: usize = 256;

/// A shard thread's state.
#[derive(Debug)]
pub(crate) struct Shard {
    index: u64,
    shards: u64,
    shared: Arc<Shared>,
    handles: Arc<Handles>,
    checkpoints: Sender<ToCheckpointer>,
    inbox: ShardReceiver,
    homes: LruCache<u64, Home>,
    /// Homes with open transactions, the oldest first.
    uncommitted: VecDeque<u64>,
    /// Shown, but rolled back when something failed: to be applied again first.
    again: HashMap<u64, Vec<Arc<Entry>>>,
    damaged: HashMap<u64, StoreError>,
    /// Acknowledged records could not be applied to a damaged home: the journal has to keep them.
    owes: bool,
    /// A home could not be written during the start.
    gave_up: bool,
    changes: Changes,
    /// The checkpoint that is going on.
    marked: Option<Marked>,
    fresh: HashSet<u64>,
    replay: Option<Replay>,
    /// Nothing is applied any more: the partition was closed while a home could not be
    /// written. Replay will do it.
    abandoned: bool,
}

impl Shard {
    pub fn new(
        (index, shards): (usize, usize),
        shared: Arc<Shared>,
        handles: Arc<Handles>,
        (inbox, checkpoints): (ShardReceiver, Sender<ToCheckpointer>),
        replay: Replay,
    ) -> Self {
        let open = (shared.config.open_homes / shards).max(MIN_OPEN);
        Self {
            index: index as u64,
            shards: shards as u64,
            shared,
            handles,
            checkpoints,
            inbox,
            uncommitted: VecDeque::new(),
            again: HashMap::new(),
            homes: LruCache::new(NonZeroUsize::new(open).unwrap_or(NonZeroUsize::MIN)),
            damaged: HashMap::new(),
            owes: false,
            gave_up: false,
            changes: Changes::default(),
            marked: None,
            fresh: HashSet::new(),
            replay: Some(replay),
            abandoned: false,
        }
    }

    /// Works until the journal thread is gone.
    pub fn run(mut self) {
        loop {
            match self.inbox.next(!self.uncommitted.is_empty()) {
                Next::Message(message) => self.message(message),
                Next::Wanted => self.commit_wanted(),
                Next::Idle => {
                    while let Some(&home) = self.uncommitted.front()
                        && !self.inbox.has_work()
                    {
                        self.commit(home);
                    }
                }
                Next::Closed => break,
            }
            self.go_on_with_checkpoint();
        }
        self.finish_checkpoint();
        while let Some(&home) = self.uncommitted.front() {
            self.commit(home);
        }
    }

    fn message(&mut self, message: ToShard) {
        match message {
            ToShard::Entries(entries) => self.entries(entries),
            ToShard::Checkpoint(round) => self.checkpoint(round),
            ToShard::Lost {
                lsn,
                home,
                concerned,
            } => self.lost(lsn, home, &concerned),
            ToShard::Replayed(done) => {
                self.replay = None;
                // Whoever opens the partition waits for it.
                let _ = done.send(());
            }
        }
    }

    fn mine(&self, home: u64) -> bool {
        home % self.shards == self.index
    }

    fn entries(&mut self, entries: Vec<Arc<Entry>>) {
        let mut run = Vec::new();
        for entry in entries {
            if matches!(&entry.op, Op::CopyAcross(copy) if copy.expunge) {
                self.by_home(&std::mem::take(&mut run));
                // The target is the first of the homes.
                for &home in &entry.homes {
                    if self.mine(home) {
                        self.apply(home, std::slice::from_ref(&entry));
                    }
                }
            } else {
                run.push(entry);
            }
        }
        self.by_home(&run);
    }

    /// Applies the loss of records to the homes that it may concern: those that have not applied
    /// them before.
    fn lost(&mut self, lsn: u64, home: Option<u64>, concerned: &Mutex<BTreeSet<u64>>) {
        let homes = match home {
            Some(home) => BTreeSet::from([home]),
            None => {
                let mut homes: BTreeSet<u64> = self.shared.catalogue.homes().into_iter().collect();
                match schema::homes(&self.shared.homes_dir) {
                    Ok(files) => homes.extend(files),
                    Err(e) => tracing::error!(error = %e, "the homes on disk cannot be listed"),
                }
                homes
            }
        };
        let (index, shards) = (self.index, self.shards);
        for home in homes.into_iter().filter(|home| home % shards == index) {
            if self.shared.damage.check_home(home).is_err() {
                self.owes = true;
                continue;
            }
            match self.open(home) {
                Ok(open) if open.applied_lsn() >= lsn => continue,
                Ok(_) => {
                    concerned.lock().insert(home);
                }
                // `apply` says so and remembers it.
                Err(_) => {}
            }
            let op = Op::Lost(command::Lost { home });
            let entry = Entry::new(lsn, op, vec![home], Vec::new(), Vec::new(), None);
            let entry = Arc::new(entry);
            self.apply(home, &[entry]);
        }
    }

    /// Applies entries home by home.
    fn by_home(&mut self, entries: &[Arc<Entry>]) {
        let mut groups: BTreeMap<u64, Vec<Arc<Entry>>> = BTreeMap::new();
        for entry in entries {
            for &home in entry.homes.iter().filter(|&&home| self.mine(home)) {
                groups.entry(home).or_default().push(Arc::clone(entry));
            }
        }
        for (home, entries) in groups {
            self.apply(home, &entries);
            self.commit_wanted();
        }
    }

    /// Applies a group of entries to a home, for as long as it takes: they are durable, so
    /// they must happen.
    fn apply(&mut self, home: u64, entries: &[Arc<Entry>]) {
        if let Err(error) = self.shared.damage.check_home(home)
            && !self.damaged.contains_key(&home)
        {
            // What is replayed was acknowledged; what comes now is refused.
            self.owes |= self.replay.is_some();
            self.shared
                .queue
                .applied(self.index as usize, entries.len());
            refuse(home, entries, &error);
            return;
        }
        self.commit_marked(home);
        let slow = entries.iter().any(|entry| entry.op.is_slow());
        if slow {
            self.slow(true);
        }
        let applied = self.until_done(home, |shard| shard.try_apply(home, entries));
        let applied = applied.map(|effects| {
            let dropped = effects.dropped;
            self.publish(home, entries, effects);
            dropped
        });
        if slow {
            self.slow(false);
        }
        let queue = &self.shared.queue;
        queue.applied(self.index as usize, entries.len());
        match applied {
            Ok(dropped) => {
                let records = self.homes.peek(&home).map_or(0, Home::uncommitted);
                if dropped || records >= UNCOMMITTED_RECORDS {
                    self.commit(home);
                }
                if dropped {
                    self.forget(home);
                }
                while self.uncommitted.len() > UNCOMMITTED_HOMES
                    && let Some(&oldest) = self.uncommitted.front()
                {
                    self.commit(oldest);
                }
            }
            Err(StoreError::Closed) => {
                for entry in entries {
                    entry.abandon_arrival();
                }
            }
            Err(error) => refuse(home, entries, &error),
        }
    }

    fn try_apply(&mut self, home: u64, entries: &[Arc<Entry>]) -> Result<Effects, StoreError> {
        let (shared, handles) = (Arc::clone(&self.shared), Arc::clone(&self.handles));
        let open = self.open(home)?;
        let had = open.uncommitted();
        let effects = open.apply(entries, &shared.segments, &|id| handles.view(id))?;
        if had == 0 && open.uncommitted() > 0 {
            self.inbox.uncommitted(home);
            self.uncommitted.push_back(home);
        }
        Ok(effects)
    }

    fn tell(&self, message: ToCheckpointer) {
        if self.checkpoints.send(message).is_err() {
            tracing::error!("the checkpoint thread is gone");
        }
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        // Whatever it ended of: the journal shall not wait for it.
        self.slow(true);
    }
}
