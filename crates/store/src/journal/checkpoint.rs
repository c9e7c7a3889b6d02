//! From where on the journal has to be read.

/// The last checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Checkpoint {
    /// Every record up to this one is durable in the homes.
    pub lsn: u64,
    /// Where the next record is looked for.
    pub segment: u64,
    /// Where in that segment.
    pub offset: u64,
    /// No file of the journal had a greater number.
    pub last_file: u64,
    /// When it began, in seconds since 1970 by the system's clock: no home had anything of a later
    /// record before.
    pub began: i64,
    /// The UIDs that records up to this one gave out.
    pub uids: u64,
    /// The partition's epoch: no later record has a lower one.
    pub epoch: u64,
    /// The level of the journal: no later segment has a lower one.
    pub level: u32,
}
