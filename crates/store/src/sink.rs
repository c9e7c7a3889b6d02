//! What "durable" means beyond this node's disk.

use std::fmt::Debug;
use std::ops::RangeInclusive;

use crate::error::StoreError;

/// Whoever else has to have a record before it is answered.
pub trait JournalSink: Send + Sync + Debug {
    /// Waits until the records with these LSNs, which are on this node's disk, are where else they have
    /// to be. Before it returns none of them is applied, shown or answered. Called by the journal's
    /// thread, so that the next batch waits too, and gets larger.
    ///
    /// # Errors
    /// Why that will not happen. They are answered [`StoreError::InDoubt`], as they may be there after
    /// the next start, and the partition is read-only until then.
    fn wait(&self, lsns: RangeInclusive<u64>) -> Result<(), StoreError>;
}
