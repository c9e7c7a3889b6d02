//! A partition: one journal, many homes, and the threads between them.

mod annotations;
mod compact;
mod ground;
mod inspect;
mod mailboxes;
mod maintenance;
mod messages;
mod once;
mod open;
mod quota;
mod repair;
mod restored;
mod retention;
#[cfg(test)]
mod tests;
mod transfer;
mod usage;

pub use compact::Compacted;
pub use inspect::inspect;
pub use once::OnceId;
pub use repair::{LostRecords, Repaired, repair, repair_with};
pub use restored::{PutBack, Restored};
pub use usage::{DiskUsage, HomeUsage};

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::{RwLock, Semaphore, oneshot, watch};

use crate::blob::{BodyWriter, StagedBody, blocking};
use crate::catalogue::Catalogue;
use crate::claims::Claims;
use crate::command::{Command, Op};
use crate::config::PartitionConfig;
use crate::contents::ContentCache;
use crate::damage::{Damage, DamageCell};
use crate::error::StoreError;
use crate::fulltext::FullText;
use crate::handles::{Handles, Recents};
use crate::health::{Health, HealthCell};
use crate::identity::Identity;
use crate::inbox::Inbox;
use crate::items::Items;
use crate::journal::queue::JournalQueue;
use crate::journal::{ApplyResult, Outcome, Submission};
use crate::message::BodyLocation;
use crate::metrics::Metrics;
use crate::partition_db;
use crate::readers::Readers;
use crate::reporting::Reporting;
use crate::segments::{SegmentPin, Segments};
use crate::watch::Watchers;

/// Bytes of commands and bodies that may wait for the journal: a few batches; beyond that,
/// submitters wait, which is how a slow disk slows its clients.
const WAITING_KIB: u32 = 64 << 10;
/// Whole bodies above [`INLINE_LIMIT`](crate::INLINE_LIMIT) that are in memory at a time, for
/// their structure to be computed.
const LARGE_BODIES: usize = 2;

/// What the partition's parts share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub config: PartitionConfig,
    pub identity: Identity,
    /// The partition's own random number.
    pub tag: u64,
    pub catalogue: Catalogue,
    pub handles: Handles,
    pub recents: Recents,
    /// Messages that are being moved.
    pub claims: Claims,
    pub readers: Readers,
    pub contents: ContentCache,
    /// Of each shard.
    pub inboxes: Vec<Arc<Inbox>>,
    pub fulltext: FullText,
    pub segments: Arc<Segments>,
    pub watchers: Arc<Watchers>,
    pub metrics: Arc<Metrics>,
    pub health: HealthCell,
    pub homes_dir: PathBuf,
    /// An empty home's bytes.
    pub template: Vec<u8>,
    pub queue: JournalQueue,
    pub reporting: Arc<Reporting>,
    /// Whether the partition is closing, for those who wait asynchronously.
    closing: watch::Sender<bool>,
    /// Held by the compaction that is going on.
    compaction: tokio::sync::Mutex<compact::Examined>,
    /// The last record that a checkpoint has counted.
    settled: AtomicU64,
    /// The last record that is durable.
    durable: AtomicU64,
    waiting: Arc<Semaphore>,
    large_bodies: Arc<Semaphore>,
    /// Commits of homes fail as on a full disk.
    #[cfg(test)]
    pub commits_fail: std::sync::atomic::AtomicBool,
    pub damage: Arc<DamageCell>,
    /// Read by those who create mailboxes, written by those who give homes other keys.
    home_keys: RwLock<()>,
}

/// An open partition.
///
/// Everything that changes something is a command that is durable in the journal before it is
/// applied and answered. A future that is dropped after its command was queued does not undo
/// the command.
#[derive(Debug)]
pub struct Partition {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Partition {
    /// The settings it was opened with.
    #[must_use]
    pub fn config(&self) -> &PartitionConfig {
        &self.shared.config
    }

    /// Counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Whether it takes changes.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.health.get()
    }

    /// What of it is known to be damaged: at the start, and what was met since.
    #[must_use]
    pub fn damage(&self) -> Damage {
        self.shared.damage.get()
    }

    /// Which partition this is, and which copy of it.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.shared.identity
    }

    /// The LSN of the last record that is durable: every change that was answered has this or a
    /// lower one.
    #[must_use]
    pub fn durable_lsn(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// Begins to take a large body. `size_hint` bytes of disk are set aside for it.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`], [`StoreError::Io`], and why the partition takes no changes.
    pub async fn stage(&self, size_hint: u64) -> Result<BodyWriter, StoreError> {
        self.shared.stage(size_hint).await
    }

    /// Whether a body of that many bytes would find room on the disk now. Sets the room aside and
    /// gives it back; nothing is counted.
    ///
    /// # Errors
    /// As [`Partition::stage`].
    pub async fn check_disk(&self, bytes: u64) -> Result<(), StoreError> {
        self.shared.check_writable()?;
        let (segments, uncounted) = (Arc::clone(&self.shared.segments), Arc::default());
        BodyWriter::create(segments, uncounted, self.shared.owner(), bytes).await?;
        Ok(())
    }

    /// The bytes of a message, compared with their checksum. A location is good while the view
    /// that it is from, and the handle of that, are held: compaction moves bodies, and waits for
    /// those who know the old place.
    ///
    /// # Errors
    /// [`StoreError::BodyGone`] for a message expunged a while ago, [`StoreError::Corrupt`] for
    /// bytes or a file that are not what or where they should be,
    /// [`StoreError::Io`].
    pub async fn read_body(&self, body: BodyLocation) -> Result<Bytes, StoreError> {
        self.shared.read_body(body, 0, body.len).await
    }

    /// Part of the bytes of a message; less when it ends before.
    ///
    /// # Errors
    /// As [`Partition::read_body`]: the first time all of the body is compared with its checksum.
    pub async fn read_body_range(
        &self,
        body: BodyLocation,
        from: u32,
        len: u32,
    ) -> Result<Bytes, StoreError> {
        let from = from.min(body.len);
        self.shared
            .read_body(body, from, len.min(body.len - from))
            .await
    }

    /// Makes a checkpoint now: what was answered before needs no replay after.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        self.shared.checkpoint().await
    }

    /// Indexes what the full-text index has not got yet, and waits until that is done; at once
    /// when the index is turned off.
    pub async fn index_all(&self) {
        let homes = self.shared.catalogue.homes();
        self.shared.fulltext.finish(homes).await;
    }

    /// Finishes what is queued, makes a checkpoint and closes the files. Afterwards every
    /// change fails with [`StoreError::Closed`]; sessions must be gone before.
    ///
    /// # Errors
    /// When a thread of the partition died.
    pub async fn shutdown(&self) -> Result<(), StoreError> {
        self.shared.close();
        let threads: Vec<_> = std::mem::take(&mut *self.threads.lock());
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.join(threads)).await
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        // The threads finish what is queued by themselves and release the lock file last.
        self.shared.close();
        self.shared.handles.clear();
    }
}

/// What goes with a command to the journal.
#[derive(Debug, Default)]
struct Cargo {
    bodies: Vec<Bytes>,
    items: Vec<Arc<Items>>,
    staged: Vec<StagedBody>,
    pins: Vec<SegmentPin>,
}

impl Cargo {
    /// The same messages for another record.
    fn again(&self) -> Self {
        Self {
            bodies: self.bodies.clone(),
            items: self.items.clone(),
            staged: self.staged.iter().map(StagedBody::again).collect(),
            pins: Vec::new(),
        }
    }
}

impl Shared {
    fn close(&self) {
        self.queue.close();
        self.closing.send_replace(true);
        self.fulltext.close();
    }

    /// Waits for the threads of a closed partition.
    fn join(&self, threads: Vec<JoinHandle<()>>) -> Result<(), StoreError> {
        let died = threads
            .into_iter()
            .map(JoinHandle::join)
            .filter(Result::is_err)
            .count();
        self.handles.clear();
        self.readers.clear();
        if died > 0 {
            return Err(StoreError::Io {
                what: "closing the partition",
                why: format!("{died} of its threads died"),
            });
        }
        Ok(())
    }

    /// What files of the journal name as theirs: tag and id of the partition.
    pub fn owner(&self) -> (u64, [u8; 16]) {
        (self.tag, self.identity.partition)
    }

    fn db_path(&self) -> PathBuf {
        self.config.path.join(partition_db::FILE)
    }

    pub fn set_durable(&self, lsn: u64) {
        self.durable.store(lsn, Ordering::Release);
    }

    /// The last record that a checkpoint has counted.
    pub fn settled(&self) -> u64 {
        self.settled.load(Ordering::Acquire)
    }

    pub fn set_settled(&self, lsn: u64) {
        self.settled.store(lsn, Ordering::Release);
    }

    async fn stage(&self, size_hint: u64) -> Result<BodyWriter, StoreError> {
        self.check_writable()?;
        BodyWriter::create(
            Arc::clone(&self.segments),
            Arc::clone(&self.metrics),
            self.owner(),
            size_hint,
        )
        .await
    }

    async fn checkpoint(&self) -> Result<(), StoreError> {
        let (done, finished) = std::sync::mpsc::channel();
        self.queue.checkpoint(done)?;
        blocking(move || finished.recv().map_err(|_| StoreError::Closed)).await
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        match self.health.refusal() {
            Some(refusal) => Err(refusal),
            None => Ok(()),
        }
    }

    async fn read_body(
        &self,
        body: BodyLocation,
        from: u32,
        len: u32,
    ) -> Result<Bytes, StoreError> {
        if let Some(result) = self.segments.read_cached(body, from, len) {
            return result;
        }
        let segments = Arc::clone(&self.segments);
        blocking(move || segments.read(body, from, len)).await
    }

    /// Journals a command and waits until every home has applied it.
    async fn submit(&self, op: Op, cargo: Cargo) -> Result<Vec<ApplyResult>, StoreError> {
        self.check_writable()?;
        let homes = op.homes();
        let number = homes.len();
        let uids = op.uids();
        let command = Command { op: Some(op) };
        let encoded = command.encode_to_vec();
        let bytes = encoded.len() + cargo.bodies.iter().map(Bytes::len).sum::<usize>();
        let limit = self.record_limit();
        if bytes as u64 > limit {
            return Err(StoreError::TooLarge {
                bytes: bytes as u64,
                limit,
            });
        }
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(WAITING_KIB);
        let permit = Arc::clone(&self.waiting)
            .acquire_many_owned(kib.min(WAITING_KIB))
            .await
            .map_err(|_| StoreError::Closed)?;
        let reserved = self.reporting.reserve(uids).await?;
        let (answer, answered) = oneshot::channel();
        self.queue.submit(Submission {
            command,
            homes,
            encoded,
            bodies: cargo.bodies,
            items: cargo.items,
            staged: cargo.staged,
            pins: cargo.pins,
            answer,
            reserved,
            _permit: permit,
        })?;
        // Whoever drops the answer may have made it durable before.
        let in_doubt = |_| StoreError::InDoubt {
            why: "partition closed".into(),
        };
        let results = answered.await.map_err(in_doubt)??;
        debug_assert_eq!(results.len(), number);
        Ok(results)
    }

    /// As `submit`, for a command of one home.
    async fn submit_one(&self, op: Op, cargo: Cargo) -> Result<Outcome, StoreError> {
        let mut results = self.submit(op, cargo).await?;
        results.pop().ok_or(StoreError::Closed)?
    }

    /// The most bytes in one record: it must fit a segment with room to spare.
    fn record_limit(&self) -> u64 {
        self.config.segment_bytes / 2
    }
}
