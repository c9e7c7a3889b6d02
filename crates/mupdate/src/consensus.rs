//! How entries get into the log, and what the log has become: what a quorum and a single
//! node have in common.

mod history;
mod log;
mod machine;
mod recent;
mod single;

use std::pin::Pin;
use std::sync::Arc;

use murder_proto::v1;
use parking_lot::RwLockReadGuard;
use tokio::sync::watch;

pub use single::{SingleNode, SingleNodeConfig};

use crate::state::{Outcome, State};

/// A future of a trait that is used as an object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why an entry is not known to be in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsensusError {
    /// It could not be made durable; it may or may not show up after a restart.
    #[error("the log cannot be written: {0}")]
    Log(String),
    /// This master is stopping.
    #[error("this master is stopping")]
    Stopping,
}

/// One revision's changes, as they are sent to watchers and kept in the history.
#[derive(Debug)]
pub struct Revision {
    /// Which.
    pub revision: u64,
    /// In order.
    pub changes: Vec<v1::Change>,
    /// Their encoded size.
    pub bytes: usize,
}

/// A part of the history.
#[derive(Debug, Clone)]
pub enum History {
    /// The changes after the revision asked for.
    Changes {
        /// In order; revisions without changes are left out.
        revisions: Vec<Arc<Revision>>,
        /// They are all changes up to here.
        up_to: u64,
    },
    /// The history does not go back so far, or the revision asked for was never reached.
    Gone,
}

/// A replicated log with the state that it makes.
pub trait Consensus: Send + Sync + 'static {
    /// Puts an entry into the log; once that is durable and applied, its revision and outcome. One
    /// that would be refused does not get into the log: its revision is that of the entry before.
    fn propose(&self, entry: v1::LogEntry)
    -> BoxFuture<'_, Result<(u64, Outcome), ConsensusError>>;

    /// A revision that contains everything answered anywhere before the call, and that
    /// [`Consensus::state`] has reached.
    fn read_barrier(&self) -> BoxFuture<'_, Result<u64, ConsensusError>>;

    /// The state now. While it is held nothing is applied.
    fn state(&self) -> RwLockReadGuard<'_, State>;

    /// Follows the revision that the state has reached.
    fn revisions(&self) -> watch::Receiver<u64>;

    /// Some changes after a revision: some hundred KiB of them at most, unless the next
    /// revision alone has more.
    fn history(&self, after: u64) -> BoxFuture<'_, Result<History, ConsensusError>>;

    /// Follows whether entries can be made durable.
    fn healthy(&self) -> watch::Receiver<bool>;

    /// Stops taking entries; what is in the log is put in order on disk.
    fn stop(&self) -> BoxFuture<'_, ()>;

    /// Stops at once, as a crash would; when it returns nothing of the log is open any more.
    fn kill(&self);
}

/// SQLite's integers are signed; revisions never come near the difference.
fn signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}
