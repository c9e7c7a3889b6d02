//! What the partition's parts share. It lies below all of them: the threads, open mailboxes, and
//! what callers see.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::{RwLock, Semaphore, oneshot, watch};

use crate::blob::{BodyWriter, StagedBody};
use crate::blocking::blocking;
use crate::body::BodyLocation;
use crate::catalogue::Catalogue;
use crate::claims::Claims;
use crate::command::{Command, Op};
use crate::config::PartitionConfig;
use crate::contents::ContentCache;
use crate::damage::DamageCell;
use crate::entry::{ApplyResult, Outcome};
use crate::error::StoreError;
use crate::fulltext::FullText;
use crate::health::HealthCell;
use crate::identity::Identity;
use crate::inbox::Inbox;
use crate::items::Items;
use crate::journal::segment;
use crate::journal::segments::{SegmentPin, Segments};
use crate::metrics::Metrics;
use crate::partition_db;
use crate::queue::{JournalQueue, Submission};
use crate::readers::Readers;
use crate::recents::Recents;
use crate::reporting::Reporting;
use crate::watch::Watchers;

/// Bytes of commands and bodies that may wait for the journal: a few batches; beyond that,
/// submitters wait, which is how a slow disk slows its clients.
pub(crate) const WAITING_KIB: u32 = 64 << 10;
/// Whole bodies above [`INLINE_LIMIT`](crate::INLINE_LIMIT) that are in memory at a time, for
/// their structure to be computed.
pub(crate) const LARGE_BODIES: usize = 2;

/// Segments that were found too full, with the references they had: not asked for again before
/// a quarter of these is gone.
pub(crate) type Examined = HashMap<u64, i64>;

/// What the partition's parts share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub config: PartitionConfig,
    pub identity: Identity,
    /// What the journal's files say of themselves.
    pub origin: segment::Origin,
    /// The partition's epoch.
    pub epoch: AtomicU64,
    pub catalogue: Catalogue,
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
    pub closing: watch::Sender<bool>,
    /// Held by the compaction that is going on.
    pub compaction: tokio::sync::Mutex<Examined>,
    /// The last record that a checkpoint has counted.
    pub settled: AtomicU64,
    /// The last record that is on this node's disk.
    pub synced: watch::Sender<u64>,
    /// The last record that is durable: on the disk, and where else it has to be.
    pub durable: AtomicU64,
    pub waiting: Arc<Semaphore>,
    pub large_bodies: Arc<Semaphore>,
    /// Commits of homes fail as on a full disk.
    #[cfg(test)]
    pub commits_fail: std::sync::atomic::AtomicBool,
    pub damage: Arc<DamageCell>,
    /// Read by those who create mailboxes, written by those who give homes other keys.
    pub home_keys: RwLock<()>,
}

/// What goes with a command to the journal.
#[derive(Debug, Default)]
pub(crate) struct Payload {
    pub bodies: Vec<Bytes>,
    pub items: Vec<Arc<Items>>,
    pub staged: Vec<StagedBody>,
    pub pins: Vec<SegmentPin>,
}

impl Payload {
    /// The same messages for another record.
    pub fn again(&self) -> Self {
        Self {
            bodies: self.bodies.clone(),
            items: self.items.clone(),
            staged: self.staged.iter().map(StagedBody::again).collect(),
            pins: Vec::new(),
        }
    }
}

impl Shared {
    pub fn close(&self) {
        self.queue.close();
        self.closing.send_replace(true);
        self.fulltext.close();
    }

    /// The partition's epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The epoch that records carry.
    pub fn epoch_of_records(&self) -> u64 {
        match self.origin.level >= segment::WITH_EPOCHS {
            true => self.epoch(),
            false => 0,
        }
    }

    pub fn db_path(&self) -> PathBuf {
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

    pub async fn stage(&self, size_hint: u64) -> Result<BodyWriter, StoreError> {
        self.check_writable()?;
        BodyWriter::create(
            Arc::clone(&self.segments),
            Arc::clone(&self.metrics),
            self.origin,
            size_hint,
        )
        .await
    }

    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        let (done, finished) = std::sync::mpsc::channel();
        self.queue.checkpoint(done)?;
        blocking(move || finished.recv().map_err(|_| StoreError::Closed)).await
    }

    pub fn check_writable(&self) -> Result<(), StoreError> {
        match self.health.refusal() {
            Some(refusal) => Err(refusal),
            None => Ok(()),
        }
    }

    pub async fn read_body(
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
    pub async fn submit(&self, op: Op, payload: Payload) -> Result<Vec<ApplyResult>, StoreError> {
        self.check_writable()?;
        let homes = op.homes();
        let number = homes.len();
        let uids = op.uids();
        let command = Command { op: Some(op) };
        let encoded = command.encode_to_vec();
        let bytes = encoded.len() + payload.bodies.iter().map(Bytes::len).sum::<usize>();
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
            bodies: payload.bodies,
            items: payload.items,
            staged: payload.staged,
            pins: payload.pins,
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
    pub async fn submit_one(&self, op: Op, payload: Payload) -> Result<Outcome, StoreError> {
        let mut results = self.submit(op, payload).await?;
        results.pop().ok_or(StoreError::Closed)?
    }

    /// The most bytes in one record: it must fit a segment with room to spare.
    pub fn record_limit(&self) -> u64 {
        self.config.segment_bytes / 2
    }
}
