//! The homes that a shard has open: opening, committing, and trying again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::checkpoint::remove_home;
use super::Shard;
use crate::checkpoint::{Changes, ToCheckpointer};
use crate::error::StoreError;
use crate::home::Home;
use crate::metrics::Metrics;
use crate::partition_db::KnownHomes;

/// How long to wait before a home that could not be written is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// How often a home is tried during the start; after the first that did not work, the others once.
const REPLAY_TRIES: u32 = 4;

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

impl Shard {
    /// Tries something with a home until it works.
    ///
    /// # Errors
    /// That the home is damaged; [`StoreError::Closed`] when it did not work until the
    /// partition was closed.
    pub(super) fn until_done<T>(
        &mut self,
        home: u64,
        mut work: impl FnMut(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (mut stalled, mut tries) = (false, 0);
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
                    if self.replay.is_some() {
                        tries += 1;
                        if tries >= REPLAY_TRIES || self.gave_up {
                            self.give_up(home, &error);
                            if stalled {
                                self.recovered();
                            }
                            continue;
                        }
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

    /// At a start: a home that cannot be written, as on a full disk, does not keep the others from
    /// being read. The journal keeps what it has not applied.
    pub(super) fn give_up(&mut self, home: u64, error: &StoreError) {
        self.gave_up = true;
        self.owes = true;
        let why = format!("it could not be written at the start ({error}): restart when it can");
        self.shared.damage.home(home, &why);
        self.again.remove(&home);
        self.damaged
            .insert(home, StoreError::HomeDamaged { home, why });
        self.is_committed(home);
    }

    pub(super) fn recovered(&self) {
        self.shared.health.recovered();
        self.inbox.stalled(None);
        self.slow(false);
    }

    /// Says whether what it has to do will take long.
    pub(super) fn slow(&self, slow: bool) {
        self.shared.queue.slow(self.index as usize, slow);
    }

    /// Closes a home on which something failed, remembering what it has shown.
    pub(super) fn roll_back(&mut self, id: u64) {
        if let Some(mut home) = self.homes.pop(&id) {
            let entries = home.take_uncommitted();
            if !entries.is_empty() {
                self.again.insert(id, entries);
            }
        }
    }

    /// Commits what a home has shown, for as long as it takes.
    pub(super) fn commit(&mut self, home: u64) {
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

    pub(super) fn is_committed(&mut self, home: u64) {
        self.uncommitted.retain(|&other| other != home);
        self.inbox.committed(home);
    }

    /// Commits the homes that somebody waits to read.
    pub(super) fn commit_wanted(&mut self) {
        for home in self.inbox.wanted() {
            self.commit(home);
        }
    }

    pub(super) fn open(&mut self, id: u64) -> Result<&mut Home, StoreError> {
        if !self.homes.contains(&id) {
            let shared = &self.shared;
            // A home that there was is not made a second time.
            let (may, anew) = match &self.replay {
                Some(replay) if replay.is_durable(id) => (false, Anew::None),
                Some(replay) if replay.met.contains(&id) => (true, Anew::None),
                Some(replay) => (true, replay.anew),
                None => (shared.catalogue.key(id).is_none(), Anew::None),
            };
            let open = || {
                Home::open(
                    &shared.homes_dir,
                    id,
                    shared.origin.tag,
                    &shared.template,
                    may,
                )
            };
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
                    home.apply(&entries, &self.shared.segments, &|id| self.handles.view(id))
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
    pub(super) fn make_room(&mut self) {
        if self.homes.len() == self.homes.cap().get()
            && let Some((&oldest, _)) = self.homes.peek_lru()
        {
            self.commit(oldest);
            self.homes.pop(&oldest);
        }
    }
}
