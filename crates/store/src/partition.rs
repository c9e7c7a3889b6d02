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
pub use transfer::{Departure, Incoming};
pub use usage::{DiskUsage, HomeUsage};

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::blob::BodyWriter;
use crate::blocking::blocking;
use crate::body::BodyLocation;
use crate::config::PartitionConfig;
use crate::damage::Damage;
use crate::error::StoreError;
use crate::handles::Handles;
use crate::health::Health;
use crate::identity::Identity;
use crate::journal::reader::{JournalReadError, JournalReader};
use crate::metrics::Metrics;
use crate::shared::Shared;

/// An open partition.
///
/// Everything that changes something is a command that is durable in the journal before it is
/// applied and answered. A future that is dropped after its command was queued does not undo
/// the command.
#[derive(Debug)]
pub struct Partition {
    shared: Arc<Shared>,
    handles: Arc<Handles>,
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

    /// The partition's epoch, which its records carry: the number of the change of owner that made
    /// this node its owner.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.shared.epoch()
    }

    /// Takes a greater epoch: when this returns no record of a lower one is written any more, and
    /// the next start knows it. A lower one than the partition has changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn raise_epoch(&self, epoch: u64) -> Result<(), StoreError> {
        if self.shared.epoch.fetch_max(epoch, Ordering::AcqRel) >= epoch {
            return Ok(());
        }
        // Behind it is what was on its way.
        self.shared.checkpoint().await
    }

    /// The LSN of the last record that is durable: every change that was answered has this or a
    /// lower one.
    #[must_use]
    pub fn durable_lsn(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// Reads the journal from the record `from` on, or the first one behind it, while it is written.
    /// What its reader has yet to read is kept.
    ///
    /// # Errors
    /// See [`JournalReadError`].
    pub async fn read_journal(&self, from: u64) -> Result<JournalReader, JournalReadError> {
        let shared = &self.shared;
        let (segments, tag) = (Arc::clone(&shared.segments), shared.origin.tag);
        let (synced, closing) = (shared.synced.subscribe(), shared.closing.subscribe());
        blocking(move || Ok(JournalReader::open(&segments, tag, from, synced, closing))).await?
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
        BodyWriter::create(segments, uncounted, self.shared.origin, bytes).await?;
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
        let (shared, handles) = (Arc::clone(&self.shared), Arc::clone(&self.handles));
        blocking(move || join(&shared, &handles, threads)).await
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        // The threads finish what is queued by themselves and release the lock file last.
        self.shared.close();
        self.handles.clear();
    }
}

/// Waits for the threads of a closed partition.
fn join(
    shared: &Shared,
    handles: &Handles,
    threads: Vec<JoinHandle<()>>,
) -> Result<(), StoreError> {
    let died = threads
        .into_iter()
        .map(JoinHandle::join)
        .filter(Result::is_err)
        .count();
    handles.clear();
    shared.readers.clear();
    if died > 0 {
        return Err(StoreError::Io {
            what: "closing the partition",
            why: format!("{died} of its threads died"),
        });
    }
    Ok(())
}
