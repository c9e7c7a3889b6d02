//! What a partition is opened with.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::journal::segment;
use crate::sink::JournalSink;

/// Bodies up to this many bytes travel in the journal record; larger ones are staged in a
/// file of their own, so that neither memory nor a batch has to hold them.
pub const INLINE_LIMIT: usize = 256 * 1024;

/// Where a partition takes the time from.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    /// A clock that says what `now` does: seconds since 1970.
    pub fn new(now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn now(&self) -> i64 {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(|| {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
        })
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

/// The settings of one partition.
#[derive(Debug, Clone)]
pub struct PartitionConfig {
    /// The partition's name, for logs.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    /// Whether a partition is made where none is. Otherwise that is
    /// [`StoreError::Missing`](crate::StoreError::Missing), and nothing is made. Default yes.
    pub create: bool,
    /// Bytes of disk that are set aside, so that it can be opened and read on a full disk; 0 for
    /// none. Default 8 MiB: shared memory of SQLite for 250 homes.
    pub reserve_bytes: u64,
    /// Bytes of a journal segment, preallocated. Default 64 MiB.
    pub segment_bytes: u64,
    /// How many bytes of journal may have to be replayed after a crash before a checkpoint
    /// is made. Default 256 MiB.
    pub checkpoint_bytes: u64,
    /// Writer threads; 0 is one a core.
    pub shards: usize,
    /// Homes kept open for writing, over all shards. Default 2,048.
    pub open_homes: usize,
    /// Read connections kept open. Default 128.
    pub readers: usize,
    /// Bytes of views kept for mailboxes that nobody has open. Default 128 MiB.
    pub view_cache_bytes: usize,
    /// Bytes of precomputed items kept in memory. Default 64 MiB.
    pub item_cache_bytes: usize,
    /// Segment and blob files kept open for reading bodies. Default 256.
    pub open_segments: usize,
    /// A journal segment is emptied, its living bodies written anew, when fewer than this many
    /// percent of its bytes are living bodies; 0 to never do it. Default 50.
    pub compact_below_percent: u8,
    /// Bytes of bodies a second that compaction moves at most; 0 for no limit. Default 32 MiB.
    pub compact_bytes_per_second: u64,
    /// How long an expunged message can be restored; zero for not at all. What is expunged
    /// keeps the time that was set then. Default 7 days.
    pub expunge_delay: Duration,
    /// How long a deleted mailbox can be restored; zero for not at all. Default 7 days.
    pub delete_delay: Duration,
    /// How long deliveries are remembered, so that what is delivered again is not there twice; zero
    /// for not at all. Default 3 days.
    pub delivery_ids_kept: Duration,
    /// Whether there is a full-text index, which makes searches for text fast. Default yes.
    pub index_texts: bool,
    /// How long after messages came their home is indexed, with all that came meanwhile. Default
    /// 5 seconds.
    pub index_delay: Duration,
    /// Homes with fewer messages have no full-text index. Default 64.
    pub index_least: u32,
    /// The time.
    pub clock: Clock,
    /// How often the partition looks by itself for work that can wait, such as compaction and
    /// purging;
    /// zero for only when asked. Default a minute.
    pub maintenance_interval: Duration,
    /// Whether a master has to know how far the partition has come, see
    /// [`Partition::report`](crate::Partition::report). Default no.
    pub has_master: bool,
    /// The partition's epoch as the master has it. What its journal says counts if that is greater.
    /// Default 0.
    pub epoch: u64,
    /// The level of the journal's records, which is raised when every reader of it can read the
    /// next; one that the journal has already is never lowered. Default the newest that this version
    /// knows.
    pub journal_level: u32,
    /// Who has to have a record before it is answered, beside this node's disk. Default nobody.
    pub sink: Option<Arc<dyn JournalSink>>,
    /// Bytes of journal that are kept for a [`JournalReader`](crate::JournalReader) at most: a slower
    /// one gets no further. Default 4 GiB.
    pub reader_bytes: u64,
    /// The most UIDs that are given out beyond what the master knows, and what a mailbox's UIDNEXT
    /// jumps by at least when an old copy is put back. Default 2^20; others are for tests.
    pub uid_gap: u32,
}

/// How far a partition's UIDs may run beyond what its murder's master knows: 2^20. A mailbox that is
/// put back from an old copy loses as many, of 2^32.
pub(crate) const UID_GAP: u32 = 1 << 20;

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

impl PartitionConfig {
    /// The defaults for a partition of that name in that directory.
    #[must_use]
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
            create: true,
            reserve_bytes: 8 << 20,
            segment_bytes: 64 << 20,
            checkpoint_bytes: 256 << 20,
            shards: 0,
            open_homes: 2048,
            readers: 128,
            view_cache_bytes: 128 << 20,
            item_cache_bytes: 64 << 20,
            open_segments: 256,
            compact_below_percent: 50,
            compact_bytes_per_second: 32 << 20,
            expunge_delay: WEEK,
            delete_delay: WEEK,
            delivery_ids_kept: Duration::from_secs(3 * 24 * 3600),
            index_texts: true,
            index_delay: Duration::from_secs(5),
            index_least: 64,
            clock: Clock::default(),
            maintenance_interval: Duration::from_secs(60),
            has_master: false,
            epoch: 0,
            journal_level: segment::LEVEL,
            sink: None,
            reader_bytes: 4 << 30,
            uid_gap: UID_GAP,
        }
    }
}
