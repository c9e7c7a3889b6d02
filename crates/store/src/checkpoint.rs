//! What goes between the threads at a checkpoint: marks, and what shards changed before them.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::Sender;

use crate::home::{HomeState, SegmentChange, SegmentChanges};
use crate::journal::checkpoint::Checkpoint;

/// The system's time, in seconds since 1970: what it is compared with are the times of files.
pub(crate) fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

/// A mark in the journal up to which everything is to be made durable.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    /// Counts the rounds.
    pub number: u64,
    pub at: Checkpoint,
    /// Told when the round is over, whether it succeeded or not.
    pub done: Option<Sender<()>>,
}

/// What the checkpoint thread is sent.
#[derive(Debug)]
pub(crate) enum ToCheckpointer {
    /// One shard's answer to a mark.
    Report(Box<Report>),
    /// A home whose WAL has become long.
    LongWal(u64),
}

/// One shard's answer to a mark.
#[derive(Debug)]
pub(crate) struct Report {
    pub round: Round,
    pub changes: Changes,
    /// A home of the shard is damaged: its records must be kept.
    pub blocked: bool,
}

/// What shards changed since the last checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub homes: HashMap<u64, HomeState>,
    /// Whether there are new homes whose files were never synced.
    pub unsynced_files: bool,
    pub dropped: Vec<u64>,
    /// By segment and home.
    pub segments: BTreeMap<(u64, u64), SegmentChange>,
}

impl Changes {
    /// Adds what another one holds.
    pub fn merge(&mut self, other: Self) {
        self.homes.extend(other.homes);
        self.unsynced_files |= other.unsynced_files;
        self.dropped.extend(other.dropped);
        for (place, change) in other.segments {
            self.segments.entry(place).or_default().add(change);
        }
    }

    /// What records did to one home.
    pub fn of_home(home: u64, segments: SegmentChanges, state: HomeState) -> Self {
        Self {
            homes: HashMap::from([(home, state)]),
            segments: segments
                .into_iter()
                .map(|(segment, change)| ((segment, home), change))
                .collect(),
            ..Self::default()
        }
    }
}
