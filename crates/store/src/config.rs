//! What a partition is opened with.

use std::path::PathBuf;
use std::time::Duration;

/// Bodies up to this many bytes travel in the journal record; larger ones are staged in a
/// file of their own, so that neither memory nor a batch has to hold them.
pub const INLINE_LIMIT: usize = 256 * 1024;

/// The settings of one partition.
#[derive(Debug, Clone)]
pub struct PartitionConfig {
    /// The partition's name, for logs.
    pub name: String,
    /// Its directory; made when missing.
    pub path: PathBuf,
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
    /// Segment and blob files kept open for reading bodies. Default 256.
    pub open_segments: usize,
    /// A journal segment is emptied, its living bodies written anew, when fewer than this many
    /// percent of its bytes are living bodies; 0 to never do it. Default 50.
    pub compact_below_percent: u8,
    /// Bytes of bodies a second that compaction moves at most; 0 for no limit. Default 32 MiB.
    pub compact_bytes_per_second: u64,
    /// How often the partition looks by itself for work that can wait, such as compaction;
    /// zero for only when asked. Default a minute.
    pub maintenance_interval: Duration,
}

impl PartitionConfig {
    /// The defaults for a partition of that name in that directory.
    #[must_use]
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
            segment_bytes: 64 << 20,
            checkpoint_bytes: 256 << 20,
            shards: 0,
            open_homes: 2048,
            readers: 128,
            view_cache_bytes: 128 << 20,
            open_segments: 256,
            compact_below_percent: 50,
            compact_bytes_per_second: 32 << 20,
            maintenance_interval: Duration::from_secs(60),
        }
    }
}
