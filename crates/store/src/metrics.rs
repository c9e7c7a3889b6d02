//! Counters of one partition.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the partition was opened. Each only grows.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Group commits.
    pub batches: AtomicU64,
    /// `fdatasync` calls on journal segments for batches.
    pub fsyncs: AtomicU64,
    /// Records written to the journal.
    pub records: AtomicU64,
    /// Bytes written to the journal, bodies in records included.
    pub journal_bytes: AtomicU64,
    /// Bytes of bodies written to blob files.
    pub staged_bytes: AtomicU64,
    /// Batches and large bodies that failed because the disk was full.
    pub disk_full: AtomicU64,
    /// Checkpoints completed.
    pub checkpoints: AtomicU64,
    /// Records applied again at recovery.
    pub replayed: AtomicU64,
    /// SQLite transactions of homes.
    pub transactions: AtomicU64,
    /// Homes opened for writing.
    pub homes_opened: AtomicU64,
    /// Views built from a home's database.
    pub views_loaded: AtomicU64,
    /// Segment and blob files removed because nothing in them lives.
    pub segments_dropped: AtomicU64,
    /// Messages that were added to full-text indexes.
    pub indexed: AtomicU64,
    /// Bodies that compaction wrote anew.
    pub compacted_bodies: AtomicU64,
    /// Their bytes.
    pub compacted_bytes: AtomicU64,
}

impl Metrics {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// Reads one counter.
    #[must_use]
    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
