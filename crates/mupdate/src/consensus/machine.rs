//! The state machine as it runs: what readers see of it at any time, and what applying entries has
//! changed that is not in the tables on disk yet.

use std::sync::Arc;
use std::time::{Duration, Instant};

use murder_location::disk::{Disk, DiskError, Meta, now_ms};
use murder_location::record::Change;
use murder_proto::v1;
use parking_lot::{Mutex, RwLock};
use prost::Message;
use tokio::sync::watch;

use super::recent::Recent;
use super::{History, Revision};
use crate::state::{Outcome, State};

/// Revisions applied and not in the tables on disk yet: what a restart has to apply again.
const FLUSH_REVISIONS: usize = 512;
/// And their changes.
const FLUSH_CHANGES: usize = 4096;
/// And how long the oldest of them may wait.
const FLUSH_AFTER: Duration = Duration::from_millis(100);

/// What readers see: the state, and its newest changes.
pub(super) struct Published {
    pub state: RwLock<State>,
    /// The revision that the state has reached.
    pub revision: watch::Sender<u64>,
    recent: Mutex<Recent>,
}

impl Published {
    /// Some changes after a revision; `None` when memory does not go back so far.
    pub fn history(&self, after: u64) -> Option<History> {
        let recent = self.recent.lock();
        let reached = *self.revision.borrow();
        if after > reached {
            return Some(History::Gone);
        }
        let (revisions, up_to) = recent.after(after, reached)?;
        Some(History::Changes { revisions, up_to })
    }
}

/// Applies entries. What that has changed is flushed later, several revisions at a time.
pub(super) struct Machine {
    published: Arc<Published>,
    /// Applied, and not in the tables on disk.
    unflushed: Vec<Arc<Revision>>,
    unflushed_changes: usize,
    unflushed_since: Option<Instant>,
    /// The revision of the tables on disk.
    flushed: u64,
}

impl Machine {
    /// From the tables on disk.
    pub fn load(disk: &Disk) -> Result<Self, DiskError> {
        let (meta, tables) = disk.load()?;
        let state = State::of(tables, &meta);
        Ok(Self {
            published: Arc::new(Published {
                recent: Mutex::new(Recent::starting_at(state.revision)),
                revision: watch::Sender::new(state.revision),
                state: RwLock::new(state),
            }),
            unflushed: Vec::new(),
            unflushed_changes: 0,
            unflushed_since: None,
            flushed: meta.revision,
        })
    }

    pub const fn published(&self) -> &Arc<Published> {
        &self.published
    }

    /// The revision of the tables on disk.
    pub const fn flushed(&self) -> u64 {
        self.flushed
    }

    /// Of each of these entries in turn, its outcome if it would be refused.
    pub fn rehearse(&self, entries: &[v1::LogEntry]) -> Vec<Option<Outcome>> {
        self.published.state.write().rehearse(entries)
    }

    /// Applies the entry at `revision`, and lets the watchers know.
    pub fn apply(&mut self, revision: u64, entry: &v1::LogEntry) -> Outcome {
        let applied = self.published.state.write().apply(revision, entry);
        let changes: Vec<v1::Change> = applied.changes.iter().map(Change::to_proto).collect();
        let revision = Arc::new(Revision {
            revision,
            bytes: changes.iter().map(Message::encoded_len).sum(),
            changes,
        });
        self.unflushed_changes += revision.changes.len();
        self.unflushed_since.get_or_insert_with(Instant::now);
        {
            let mut recent = self.published.recent.lock();
            if !revision.changes.is_empty() {
                recent.push(revision.clone());
            }
            recent.trim(self.flushed);
            // Within the lock: a reader that sees the revision finds its changes.
            self.published.revision.send_replace(revision.revision);
        }
        self.unflushed.push(revision);
        applied.outcome
    }

    /// How long a flush may be put off; `None` when there is nothing to flush.
    pub fn flush_within(&self) -> Option<Duration> {
        self.unflushed_since
            .map(|since| FLUSH_AFTER.saturating_sub(since.elapsed()))
    }

    /// Whether the next transaction is to flush, too.
    pub fn is_flush_due(&self) -> bool {
        self.unflushed.len() >= FLUSH_REVISIONS
            || self.unflushed_changes >= FLUSH_CHANGES
            || self.flush_within() == Some(Duration::ZERO)
    }

    /// Puts the next flush off: this one has failed.
    pub fn flush_later(&mut self) {
        self.unflushed_since = Some(Instant::now());
    }

    /// Within a transaction: puts what was applied into the tables. Returns what the tables do not
    /// have yet, for the history; see [`Machine::is_flushed`].
    pub fn flush(&self, disk: &Disk) -> Result<&[Arc<Revision>], DiskError> {
        for change in self.unflushed.iter().flat_map(|r| &r.changes) {
            disk.put(change)?;
        }
        let state = self.published.state.read();
        disk.put_meta(&Meta {
            revision: self.reached(),
            murder_id: state.murder_id.clone(),
            predecessors: state.predecessors.clone(),
            last_uidvalidity: state.last_uidvalidity,
            saved_ms: now_ms(),
        })?;
        Ok(&self.unflushed)
    }

    /// The revision that was applied last.
    pub fn reached(&self) -> u64 {
        self.unflushed.last().map_or(self.flushed, |r| r.revision)
    }

    /// The transaction of [`Machine::flush`] is durable.
    pub fn is_flushed(&mut self) {
        self.flushed = self.reached();
        self.unflushed.clear();
        self.unflushed_changes = 0;
        self.unflushed_since = None;
        self.published.recent.lock().trim(self.flushed);
    }
}
