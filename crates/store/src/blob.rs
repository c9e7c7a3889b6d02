//! Large bodies: staged in a file of their own as they arrive, referred to by a record later.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;

use crate::blocking::blocking;
use crate::body::BodyLocation;
use crate::config::INLINE_LIMIT;
use crate::error::StoreError;
use crate::io::JournalFile;
use crate::journal::files::SegmentName;
use crate::journal::segment;
use crate::journal::segments::{SegmentPin, Segments};
use crate::metrics::Metrics;

/// Bytes collected before they are written: one write for many network reads, and all that
/// an APPEND of any size holds in memory.
const WRITE_AT: usize = INLINE_LIMIT;

/// Takes a body as it arrives. Dropped before [`finish`](BodyWriter::finish), it leaves
/// nothing behind.
#[derive(Debug)]
pub struct BodyWriter {
    blob: Arc<Blob>,
    metrics: Arc<Metrics>,
    len: u64,
    crc: u32,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
}

/// A file that is unlinked when nobody refers to it.
#[derive(Debug)]
struct Blob {
    segments: Arc<Segments>,
    pin: SegmentPin,
    file: Arc<dyn JournalFile>,
    number: u64,
    kept: std::sync::atomic::AtomicBool,
}

impl Drop for Blob {
    fn drop(&mut self) {
        if self.kept.load(std::sync::atomic::Ordering::Acquire) {
            return;
        }
        let path = SegmentName::Blob(self.number).path(&self.segments.dir);
        if let Err(e) = self.segments.io.remove(&path) {
            // Recovery removes it: no record refers to it.
            tracing::warn!(path = %path.display(), error = %e, "could not remove an abandoned body");
        }
    }
}

/// A body that is durable in its own file but not yet part of a message. Dropped unused, it
/// is removed.
#[derive(Debug)]
pub struct StagedBody {
    blob: Arc<Blob>,
    location: BodyLocation,
}

impl StagedBody {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.location.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.location.len == 0
    }

    /// The same body for another record.
    pub(crate) fn again(&self) -> Self {
        Self {
            blob: Arc::clone(&self.blob),
            location: self.location,
        }
    }

    pub(crate) fn location(&self) -> BodyLocation {
        self.location
    }

    /// Says that the record `lsn` refers to it: it stays on disk.
    pub(crate) fn journaled(&self, lsn: u64) {
        self.blob.pin.journaled(lsn);
        self.blob
            .kept
            .store(true, std::sync::atomic::Ordering::Release);
    }
}

impl BodyWriter {
    pub(crate) async fn create(
        segments: Arc<Segments>,
        metrics: Arc<Metrics>,
        origin: segment::Origin,
        size_hint: u64,
    ) -> Result<Self, StoreError> {
        let blob = blocking(move || {
            let number = segments.next_number();
            let pin = segments.pin(number);
            let path = SegmentName::Blob(number).path(&segments.dir);
            let file = segments
                .io
                .create(&path)
                .map_err(|e| StoreError::io("creating a body file", &e))?;
            let blob = Blob {
                pin,
                file,
                number,
                segments,
                kept: false.into(),
            };
            // Takes the room now, so that a full disk is known before the client sends.
            blob.file
                .allocate(segment::HEADER_BYTES + size_hint)
                .and_then(|()| {
                    let header = segment::Header::new(origin, number, 0).encode();
                    blob.file.write_all_at(&mut [IoSlice::new(&header)], 0)
                })
                .map_err(|e| StoreError::io("creating a body file", &e))?;
            Ok(Arc::new(blob))
        })
        .await;
        let blob = counted(blob, &metrics)?;
        Ok(Self {
            blob,
            metrics,
            len: 0,
            crc: 0,
            waiting: Vec::new(),
            waiting_bytes: 0,
        })
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.len
    }

    /// Takes the next bytes; waits for the disk now and then, which is the back-pressure.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`], [`StoreError::TooLarge`] at 4 GiB, [`StoreError::Io`].
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.crc = crc32c::crc32c_append(self.crc, &bytes);
        self.len += bytes.len() as u64;
        if self.len > u64::from(u32::MAX) {
            return Err(StoreError::TooLarge {
                bytes: self.len,
                limit: u64::from(u32::MAX),
            });
        }
        self.waiting_bytes += bytes.len();
        self.waiting.push(bytes);
        if self.waiting_bytes >= WRITE_AT {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        let waiting = std::mem::take(&mut self.waiting);
        let offset = segment::HEADER_BYTES + self.len - self.waiting_bytes as u64;
        Metrics::add(&self.metrics.staged_bytes, self.waiting_bytes as u64);
        self.waiting_bytes = 0;
        let blob = Arc::clone(&self.blob);
        let written = blocking(move || {
            let mut bufs: Vec<IoSlice<'_>> = waiting.iter().map(|b| IoSlice::new(b)).collect();
            blob.file
                .write_all_at(&mut bufs, offset)
                .map_err(|e| StoreError::io("writing a body", &e))
        })
        .await;
        counted(written, &self.metrics)
    }

    /// Makes the body durable.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`], [`StoreError::Io`].
    pub async fn finish(mut self) -> Result<StagedBody, StoreError> {
        self.flush().await?;
        let location = BodyLocation {
            segment: self.blob.number,
            offset: segment::HEADER_BYTES,
            len: u32::try_from(self.len).unwrap_or(u32::MAX),
            crc: self.crc,
        };
        let blob = Arc::clone(&self.blob);
        let end = segment::HEADER_BYTES + self.len;
        blocking(move || {
            blob.file
                .set_len(end)
                .and_then(|()| blob.file.sync_data())
                .and_then(|()| blob.segments.io.sync_dir(&blob.segments.dir))
                .map_err(|e| StoreError::io("syncing a body", &e))
        })
        .await?;
        Ok(StagedBody {
            blob: self.blob,
            location,
        })
    }
}

/// Notes that there was no room.
fn counted<T>(result: Result<T, StoreError>, metrics: &Metrics) -> Result<T, StoreError> {
    if matches!(result, Err(StoreError::DiskFull)) {
        Metrics::add(&metrics.disk_full, 1);
    }
    result
}
