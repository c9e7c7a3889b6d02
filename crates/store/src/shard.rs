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

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use lru::LruCache;
use murder_mailbox::MailboxId;
use parking_lot::Mutex;

use crate::checkpoint::{Changes, Report, Round, ToCheckpointer, remove_home};
use crate::command::{self, Op};
use crate::error::StoreError;
use crate::home::{Effects, Home, schema};
use crate::inbox::{Next, ShardReceiver};
use crate::journal::{Entry, Outcome};
use crate::metrics::Metrics;
use crate::partition::Shared;
use crate::partition_db::KnownHomes;
use crate::uidset::UidSet;
use crate::watch::Change;

/// How long to wait before a home that could not be written is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// New homes up to this many are synced one by one at a checkpoint.
const FRESH_EACH: usize = 16;
/// The fewest homes a shard keeps open.
const MIN_OPEN: usize = 4;
/// Records after which a home commits: by then the cost of the commit is spread enough. Of large
/// mailboxes some of the changed pages leave the page cache for the WAL before.
const UNCOMMITTED_RECORDS: usize = 128;
/// Homes of a shard with open transactions: what a checkpoint may have to wait for.
const UNCOMMITTED_HOMES: usize = 256;

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

/// What is special while the journal is replayed.
#[derive(Debug)]
pub(crate) struct Replay {
    /// The checkpoint from which it is replayed.
    pub checkpoint: u64,
    /// The homes that it knew. Those whose files were not on disk then are made anew, as their
    /// whole history is being replayed.
    pub known: Arc<KnownHomes>,
    pub anew: Anew,
    /// Homes met so far.
    pub met: HashSet<u64>,
}

/// Which of the homes are made anew whose whole history is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anew {
    All,
    /// In repair, as not all of the history is there.
    Damaged,
    /// Where nothing is to be changed.
    None,
}

impl Replay {
    fn is_durable(&self, home: u64) -> bool {
        self.known.get(&home).is_some_and(|known| known.durable)
    }
}

/// A checkpoint of which homes are still to be written.
#[derive(Debug)]
struct Marked {
    round: Round,
    /// Homes that have not committed what was before the mark. They do before anything behind it
    /// is applied to them.
    homes: BTreeSet<u64>,
    /// New homes whose files are to be synced.
    fresh: Vec<u64>,
    /// Marks of these homes that no record carries.
    recents: HashMap<u64, Vec<(MailboxId, u32)>>,
    /// What was before the mark.
    changes: Changes,
}

/// A shard thread's state.
#[derive(Debug)]
pub(crate) struct Shard {
    index: u64,
    shards: u64,
    shared: Arc<Shared>,
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
        index: usize,
        shards: usize,
        shared: Arc<Shared>,
        inbox: ShardReceiver,
        checkpoints: Sender<ToCheckpointer>,
        replay: Replay,
    ) -> Self {
        let open = (shared.config.open_homes / shards).max(MIN_OPEN);
        Self {
            index: index as u64,
            shards: shards as u64,
            shared,
            checkpoints,
            inbox,
            uncommitted: VecDeque::new(),
            again: HashMap::new(),
            homes: LruCache::new(NonZeroUsize::new(open).unwrap_or(NonZeroUsize::MIN)),
            damaged: HashMap::new(),
            owes: false,
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
        let shared = Arc::clone(&self.shared);
        let open = self.open(home)?;
        let had = open.uncommitted();
        let effects = open.apply(entries, &shared.segments, &shared.handles)?;
        if had == 0 && open.uncommitted() > 0 {
            self.inbox.uncommitted(home);
            self.uncommitted.push_back(home);
        }
        Ok(effects)
    }

    /// Tries something with a home until it works.
    ///
    /// # Errors
    /// That the home is damaged; [`StoreError::Closed`] when it did not work until the
    /// partition was closed.
    fn until_done<T>(
        &mut self,
        home: u64,
        mut work: impl FnMut(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut stalled = false;
        loop {
            if self.abandoned {
                return Err(StoreError::Closed);
            }
            if let Some(error) = self.damaged.get(&home) {
                return Err(error.clone());
            }
            match work(self) {
                Ok(done) => {
                    if stalled {
                        self.recovered();
                    }
                    return Ok(done);
                }
                Err(error @ StoreError::HomeDamaged { .. }) => {
                    if let StoreError::HomeDamaged { home, why } = &error {
                        self.shared.damage.home(*home, why);
                    }
                    self.owes = true;
                    self.roll_back(home);
                    // The journal keeps what was shown, as there is no checkpoint any more.
                    self.again.remove(&home);
                    self.damaged.insert(home, error);
                    self.is_committed(home);
                    if stalled {
                        self.recovered();
                    }
                }
                Err(error) => {
                    self.roll_back(home);
                    if self.shared.queue.closed_within(Duration::ZERO) {
                        tracing::error!(home, %error, "closing although a home could not be written; the next start will replay");
                        self.abandoned = true;
                        continue;
                    }
                    stalled = true;
                    self.slow(true);
                    self.shared.health.stalled(&error);
                    self.inbox.stalled(Some(error));
                    self.shared.queue.closed_within(RETRY);
                }
            }
        }
    }

    fn recovered(&self) {
        self.shared.health.recovered();
        self.inbox.stalled(None);
        self.slow(false);
    }

    /// Says whether what it has to do will take long.
    fn slow(&self, slow: bool) {
        self.shared.queue.slow(self.index as usize, slow);
    }

    /// Closes a home on which something failed, remembering what it has shown.
    fn roll_back(&mut self, id: u64) {
        if let Some(mut home) = self.homes.pop(&id) {
            let entries = home.take_uncommitted();
            if !entries.is_empty() {
                self.again.insert(id, entries);
            }
        }
    }

    /// Commits what a home has shown, for as long as it takes.
    fn commit(&mut self, home: u64) {
        if !self.uncommitted.contains(&home) {
            return;
        }
        let committed = self.until_done(home, |shard| {
            let settled = shard.shared.settled();
            #[cfg(test)]
            if shard
                .shared
                .commits_fail
                .load(std::sync::atomic::Ordering::SeqCst)
            {
                return Err(StoreError::DiskFull);
            }
            Metrics::add(&shard.shared.metrics.transactions, 1);
            shard.open(home)?.commit(settled)
        });
        if let Ok(committed) = committed {
            if committed.long_wal {
                self.tell(ToCheckpointer::LongWal(home));
            }
            let changes = match &mut self.marked {
                Some(marked) if marked.homes.contains(&home) => &mut marked.changes,
                _ => &mut self.changes,
            };
            changes.merge(Changes::of_home(home, committed.segments, committed.state));
        }
        self.is_committed(home);
    }

    fn is_committed(&mut self, home: u64) {
        self.uncommitted.retain(|&other| other != home);
        self.inbox.committed(home);
    }

    /// Commits the homes that somebody waits to read.
    fn commit_wanted(&mut self) {
        for home in self.inbox.wanted() {
            self.commit(home);
        }
    }

    fn open(&mut self, id: u64) -> Result<&mut Home, StoreError> {
        if !self.homes.contains(&id) {
            let shared = &self.shared;
            // A home that there was is not made a second time.
            let (may, anew) = match &self.replay {
                Some(replay) if replay.is_durable(id) => (false, Anew::None),
                Some(replay) if replay.met.contains(&id) => (true, Anew::None),
                Some(replay) => (true, replay.anew),
                None => (shared.catalogue.key(id).is_none(), Anew::None),
            };
            let open = || Home::open(&shared.homes_dir, id, shared.tag, &shared.template, may);
            let make_anew = || {
                remove_home(&shared.homes_dir, id)
                    .map_err(|e| StoreError::io("removing an unfinished home", &e))?;
                open()
            };
            let opened = match anew {
                Anew::All => make_anew(),
                Anew::Damaged => match open() {
                    Err(StoreError::HomeDamaged { .. }) => make_anew(),
                    opened => opened,
                },
                Anew::None => open(),
            };
            let (mut home, fresh) = opened?;
            Metrics::add(&self.shared.metrics.homes_opened, 1);
            if fresh {
                self.fresh.insert(id);
            }
            if let Some(replay) = &mut self.replay
                && !replay.met.contains(&id)
            {
                // What it applied before the crash is not in the checkpoint's counts.
                let segments = home.segment_changes_since(replay.checkpoint)?;
                self.changes
                    .merge(Changes::of_home(id, segments, home.state()));
                if !home.key().is_empty() {
                    self.shared.catalogue.put(id, home.key(), home.listed());
                }
                replay.met.insert(id);
            }
            if let Some(entries) = self.again.remove(&id)
                && let Err(error) =
                    home.apply(&entries, &self.shared.segments, &self.shared.handles)
            {
                self.again.insert(id, entries);
                return Err(error);
            }
            self.make_room();
            self.homes.push(id, home);
        }
        self.homes.get_mut(&id).ok_or(StoreError::Closed)
    }

    /// Closes the home that was not used for the longest time when there are too many.
    fn make_room(&mut self) {
        if self.homes.len() == self.homes.cap().get()
            && let Some((&oldest, _)) = self.homes.peek_lru()
        {
            self.commit(oldest);
            self.homes.pop(&oldest);
        }
    }

    /// Shows what was applied: names first, then messages, then the answers.
    fn publish(&mut self, home: u64, entries: &[Arc<Entry>], effects: Effects) {
        if effects.results.iter().all(Option::is_none) {
            // Only in replay: the home may be ahead of the catalogue.
            if entries.iter().any(|e| matches!(e.op, Op::DropHome(_))) {
                self.forget(home);
            }
            return;
        }
        let shared = &self.shared;
        let before = self.watched(home);
        let mut change = Change {
            names: effects.catalogue,
            subscriptions: entries.iter().any(|e| matches!(e.op, Op::Subscribe(_))),
            annotations: effects.annotations,
            ..Change::default()
        };
        if effects.catalogue
            && let Some(open) = self.homes.peek(&home)
            && !open.key().is_empty()
        {
            shared.catalogue.put(home, open.key(), open.listed());
        }
        if effects
            .views
            .iter()
            .any(|(_, change)| !change.added.is_empty())
        {
            shared.fulltext.mark(home);
        }
        for (id, view) in effects.views {
            if view.deleted {
                shared.handles.cool(id);
            }
            if let Some(handle) = shared.handles.get(id) {
                handle.apply(&Arc::new(view));
            }
            let open = before.as_ref().and_then(|_| self.homes.peek(&home));
            let counters = open.and_then(|home| home.counters(id));
            change
                .mailboxes
                .extend(counters.map(|counters| (id, counters)));
        }
        if let Some(before) = before {
            let now = shared.catalogue.key(home);
            // A home that has got another key is gone for who watches the old one.
            let other = before.filter(|before| now.as_ref() != Some(before));
            for key in other.iter().chain(&now) {
                shared.watchers.tell(key, &change);
            }
        }
        for (entry, result) in entries.iter().zip(effects.results) {
            let Some(result) = result else { continue };
            if target_of(entry) == Some(home) {
                let arrived = match &result {
                    Ok(Outcome::Copied(copied)) => copied.source.iter().copied().collect(),
                    _ => UidSet::new(),
                };
                entry.set_arrived(arrived);
            }
            entry.answer(home, result);
        }
    }

    /// If anybody watches homes: the key of this one, if it has one.
    fn watched(&self, home: u64) -> Option<Option<Arc<str>>> {
        let shared = &self.shared;
        shared.watchers.any().then(|| shared.catalogue.key(home))
    }

    /// Lets go of a home that was dropped; the next checkpoint removes its file.
    fn forget(&mut self, home: u64) {
        self.shared.catalogue.remove(home);
        self.changes.dropped.push(home);
        self.homes.pop(&home);
    }

    /// Takes a checkpoint's mark. Its homes are written one by one, with what else is to be done
    /// in between.
    fn checkpoint(&mut self, round: Round) {
        self.finish_checkpoint();
        let mut recents: HashMap<u64, Vec<_>> = HashMap::new();
        for (home, id, uid) in self.shared.recents.of(|home| self.mine(home)) {
            recents.entry(home).or_default().push((id, uid));
        }
        let homes = self.uncommitted.iter().chain(recents.keys());
        let homes = homes.copied().collect();
        let mut changes = std::mem::take(&mut self.changes);
        let mut fresh: Vec<u64> = self.fresh.drain().collect();
        if fresh.len() > FRESH_EACH {
            fresh.clear();
            changes.unsynced_files = true;
        }
        self.marked = Some(Marked {
            round,
            homes,
            fresh,
            recents,
            changes,
        });
    }

    /// Writes one of the homes that a checkpoint waits for, and the others unless there is
    /// something else to do.
    fn go_on_with_checkpoint(&mut self) {
        while self.checkpoint_step() && !self.inbox.has_work() {}
    }

    fn finish_checkpoint(&mut self) {
        while self.checkpoint_step() {}
    }

    /// Writes or syncs one home, or reports that all are; `false` when no checkpoint is going on.
    fn checkpoint_step(&mut self) -> bool {
        let Some(marked) = &mut self.marked else {
            return false;
        };
        if let Some(&home) = marked.homes.first() {
            self.commit_marked(home);
        } else if let Some(home) = marked.fresh.pop() {
            self.sync_fresh(home);
        } else {
            self.report();
        }
        true
    }

    /// Makes a new home's file durable: SQLite's own checkpoint syncs it.
    fn sync_fresh(&mut self, home: u64) {
        // What came behind the mark: there must be no open transaction.
        self.commit(home);
        let synced = self.open(home).and_then(|home| home.checkpoint()).is_ok();
        if let Some(marked) = &mut self.marked {
            marked.changes.unsynced_files |= !synced;
        }
    }

    /// Writes what a home has before a checkpoint's mark, if it has not yet.
    fn commit_marked(&mut self, home: u64) {
        let is_marked = |marked: &Marked| marked.homes.contains(&home);
        if !self.marked.as_ref().is_some_and(is_marked) {
            return;
        }
        self.commit(home);
        let marks = self.marked.as_mut().and_then(|m| m.recents.remove(&home));
        let writable = !self.abandoned && !self.damaged.contains_key(&home);
        for (id, uid) in marks.into_iter().flatten().filter(|_| writable) {
            let written = self.open(home).and_then(|home| {
                home.set_recent(id, uid)?;
                Ok(home.state())
            });
            match written {
                Ok(state) => {
                    self.shared.recents.written(id, uid);
                    if let Some(marked) = &mut self.marked {
                        marked.changes.homes.insert(home, state);
                    }
                }
                Err(e) => tracing::warn!(home, error = %e, "could not write a recent mark"),
            }
        }
        if let Some(marked) = &mut self.marked {
            marked.homes.remove(&home);
        }
    }

    /// Tells the checkpoint thread what was before the mark.
    fn report(&mut self) {
        let Some(marked) = self.marked.take() else {
            return;
        };
        self.tell(ToCheckpointer::Report(Box::new(Report {
            round: marked.round,
            changes: marked.changes,
            blocked: self.abandoned || self.owes,
        })));
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

/// Answers for a home that cannot apply anything.
fn refuse(home: u64, entries: &[Arc<Entry>], error: &StoreError) {
    for entry in entries {
        if target_of(entry) == Some(home) {
            entry.set_arrived(UidSet::new());
        }
        entry.answer(home, Err(error.clone()));
    }
}

/// The home that a cross-home MOVE goes to.
fn target_of(entry: &Entry) -> Option<u64> {
    match &entry.op {
        Op::CopyAcross(copy) if copy.expunge => Some(copy.target_home),
        _ => None,
    }
}
