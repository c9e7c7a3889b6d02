//! The files that bodies lie in: numbering, reading, and keeping them while they are needed.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use lru::LruCache;
use parking_lot::Mutex;

use super::checkpoint::Checkpoint;
use super::files::{SegmentName, files};
use super::retention::Retention;
use super::segment;
use crate::body::BodyLocation;
use crate::damage::DamageCell;
use crate::error::StoreError;
use crate::io::{JournalFile, JournalIo};

/// The journal's files, seen as places of bodies.
#[derive(Debug)]
pub(crate) struct Segments {
    pub io: Arc<dyn JournalIo>,
    pub dir: PathBuf,
    next: AtomicU64,
    open: Mutex<LruCache<u64, Arc<dyn JournalFile>>>,
    pub retention: Retention,
    removed: Mutex<Removed>,
    /// Bodies that were compared with their checksums, so that parts of them can be read.
    checked: Mutex<LruCache<(u64, u64, u32), ()>>,
    damage: Arc<DamageCell>,
}

/// Bodies of which it is remembered that they fit their checksums: a few MiB.
const CHECKED: NonZeroUsize = NonZeroUsize::new(64 << 10).unwrap();
/// Bytes of a body that are compared at a time.
const CHECK_AT_ONCE: usize = 256 << 10;

/// Files that were removed since the partition was opened, as nothing referred to them: first and
/// last of each run.
#[derive(Debug, Default)]
struct Removed(BTreeMap<u64, u64>);

impl Removed {
    fn add(&mut self, number: u64) {
        if self.contains(number) {
            return;
        }
        let mut last = number;
        if let Some(end) = self.0.remove(&(number + 1)) {
            last = end;
        }
        let before = self.0.range_mut(..number).next_back();
        match before.filter(|(_, end)| **end + 1 == number) {
            Some((_, end)) => *end = last,
            None => {
                self.0.insert(number, last);
            }
        }
    }

    fn contains(&self, number: u64) -> bool {
        let run = self.0.range(..=number).next_back();
        run.is_some_and(|(_, last)| *last >= number)
    }
}

impl Segments {
    pub fn new(
        io: Arc<dyn JournalIo>,
        dir: PathBuf,
        open_files: usize,
        damage: Arc<DamageCell>,
    ) -> Self {
        let open_files = NonZeroUsize::new(open_files).unwrap_or(NonZeroUsize::MIN);
        // Not `new`, which takes memory for all of them at once.
        let mut checked = LruCache::unbounded();
        checked.resize(CHECKED);
        Self {
            io,
            dir,
            next: AtomicU64::new(1),
            open: Mutex::new(LruCache::new(open_files)),
            retention: Retention::default(),
            removed: Mutex::default(),
            checked: Mutex::new(checked),
            damage,
        }
    }

    /// A number that no file has had since the partition was opened.
    pub fn next_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The greatest number that a file has been given.
    pub fn last_number(&self) -> u64 {
        self.next.load(Ordering::Relaxed) - 1
    }

    /// Makes sure that no new file gets a number up to `number`.
    pub fn raise_number(&self, number: u64) {
        self.next.fetch_max(number + 1, Ordering::Relaxed);
    }

    /// Leaves out that many numbers.
    pub fn skip_numbers(&self, count: u64) {
        self.next.fetch_add(count, Ordering::Relaxed);
    }

    /// The open file of that number.
    ///
    /// # Errors
    /// [`StoreError::BodyGone`] for one that was removed because nothing referred to it,
    /// [`StoreError::Corrupt`] for one that is missing, [`StoreError::Io`].
    pub fn file(&self, segment: u64) -> Result<Arc<dyn JournalFile>, StoreError> {
        if let Some(file) = self.open.lock().get(&segment) {
            return Ok(Arc::clone(file));
        }
        let mut opened = self.io.open(&SegmentName::Journal(segment).path(&self.dir));
        if opened
            .as_ref()
            .is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
        {
            opened = self.io.open(&SegmentName::Blob(segment).path(&self.dir));
        }
        match opened {
            Ok(file) => {
                self.open.lock().put(segment, Arc::clone(&file));
                Ok(file)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if self.removed.lock().contains(segment) {
                    return Err(StoreError::BodyGone);
                }
                self.damage.file(segment, "it is missing");
                Err(StoreError::Corrupt { segment, offset: 0 })
            }
            Err(e) => Err(StoreError::io("opening a journal file", &e)),
        }
    }

    /// The bytes at `range` of a body, if they are in memory already and are known to be right or
    /// can be compared with the checksum.
    pub fn read_cached(
        &self,
        at: BodyLocation,
        from: u32,
        len: u32,
    ) -> Option<Result<Bytes, StoreError>> {
        if !is_whole(at, from, len) && !self.is_checked(at) {
            return None;
        }
        let file = self.open.lock().get(&at.segment).map(Arc::clone)?;
        let mut bytes = vec![0; len as usize];
        if len > 0 && !file.read_cached_at(&mut bytes, at.offset + u64::from(from)) {
            return None;
        }
        Some(self.compared(at, from, bytes))
    }

    /// The bytes at `range` of a body; waits for the disk. The first time that a part of a body is
    /// asked for, all of it is compared with its checksum.
    pub fn read(&self, at: BodyLocation, from: u32, len: u32) -> Result<Bytes, StoreError> {
        let file = self.file(at.segment)?;
        if !is_whole(at, from, len) && !self.is_checked(at) {
            self.check(&*file, at)?;
        }
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, at.offset + u64::from(from))
            .map_err(|e| unread(at, &e))?;
        self.compared(at, from, bytes)
    }

    fn is_checked(&self, at: BodyLocation) -> bool {
        let key = (at.segment, at.offset, at.crc);
        self.checked.lock().get(&key).is_some()
    }

    /// Compares all of a body with its checksum, and remembers that it fits.
    fn check(&self, file: &dyn JournalFile, at: BodyLocation) -> Result<(), StoreError> {
        let mut buffer = vec![0; CHECK_AT_ONCE.min(at.len as usize)];
        let (mut done, mut crc) = (0, 0);
        while done < at.len {
            let part = buffer.len().min((at.len - done) as usize);
            let part = &mut buffer[..part];
            file.read_exact_at(part, at.offset + u64::from(done))
                .map_err(|e| unread(at, &e))?;
            crc = crc32c::crc32c_append(crc, part);
            done += part.len() as u32;
        }
        if crc != at.crc {
            return Err(at.corrupt());
        }
        self.checked.lock().put((at.segment, at.offset, at.crc), ());
        Ok(())
    }

    /// What was read, once it is known to be right: a whole body is compared with its checksum.
    fn compared(&self, at: BodyLocation, from: u32, bytes: Vec<u8>) -> Result<Bytes, StoreError> {
        if is_whole(at, from, bytes.len() as u32) && crc32c::crc32c(&bytes) != at.crc {
            return Err(at.corrupt());
        }
        Ok(bytes.into())
    }

    /// Whether a file is in its directory; meant for one that is pinned, which stays.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is missing although nobody removed it.
    pub fn exists(&self, segment: u64) -> Result<bool, StoreError> {
        // Not through the cache of open files, which may hold one that was just removed.
        let there = [SegmentName::Journal(segment), SegmentName::Blob(segment)]
            .iter()
            .any(|name| self.io.open(&name.path(&self.dir)).is_ok());
        if there || self.removed.lock().contains(segment) {
            return Ok(there);
        }
        self.damage.file(segment, "it is missing");
        Err(StoreError::Corrupt { segment, offset: 0 })
    }

    /// Keeps a file from being removed until the pin is dropped.
    pub fn pin(self: &Arc<Self>, segment: u64) -> SegmentPin {
        self.retention.hold(segment);
        SegmentPin {
            segments: Arc::clone(self),
            segment,
        }
    }

    /// Whether a file says itself that it is the one of this name, in the partition with this tag,
    /// or says nothing at all. Otherwise it may be one that is referred to by another name.
    fn is_itself(&self, name: SegmentName, tag: u64) -> io::Result<bool> {
        let file = self.io.open(&name.path(&self.dir))?;
        let mut header = [0; segment::HEADER_BYTES as usize];
        match file.read_exact_at(&mut header, 0) {
            Ok(()) => {}
            // Nothing in it was ever durable.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(true),
            Err(e) => return Err(e),
        }
        Ok(match segment::Header::decode(&header) {
            Some(says) => says.tag == tag && says.number == name.number(),
            None => header.iter().all(|&b| b == 0),
        })
    }

    /// Removes a file unless something keeps it, or it says that it is another one. `lives`: homes
    /// refer to it as of the checkpoint. Returns whether it is gone.
    pub fn remove_unless_kept(
        &self,
        name: SegmentName,
        at: &Checkpoint,
        lives: bool,
        tag: u64,
    ) -> io::Result<bool> {
        let number = name.number();
        self.retention.unless_kept(name, at, lives, || {
            if !self.is_itself(name, tag)? {
                tracing::error!(
                    segment = number,
                    "nothing refers to the file of this name, but it is another one; it is kept"
                );
                return Ok(false);
            }
            self.open.lock().pop(&number);
            self.removed.lock().add(number);
            self.io.remove(&name.path(&self.dir))?;
            Ok(true)
        })
    }

    /// Drops readers of the journal for which more than `bytes` of it are kept.
    pub fn drop_slow_readers(&self, bytes: u64) -> Result<(), StoreError> {
        if !self.retention.has_readers() {
            return Ok(());
        }
        let mut sizes = BTreeMap::new();
        for file in files(&*self.io, &self.dir)? {
            let number = file.number();
            let size = self.file(number)?.size();
            let size = size.map_err(|e| StoreError::io("looking at a journal file", &e))?;
            sizes.insert(number, size);
        }
        self.retention.drop_slow(|segment| {
            let kept: u64 = sizes.range(segment..).map(|(_, size)| size).sum();
            kept > bytes
        });
        Ok(())
    }
}

fn is_whole(at: BodyLocation, from: u32, len: u32) -> bool {
    from == 0 && len == at.len
}

fn unread(at: BodyLocation, e: &io::Error) -> StoreError {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => at.corrupt(),
        _ => StoreError::io("reading a body", e),
    }
}

/// Keeps a segment or blob file in place.
#[derive(Debug)]
pub(crate) struct SegmentPin {
    segments: Arc<Segments>,
    segment: u64,
}

impl SegmentPin {
    /// Says that the record `lsn` refers to the file.
    pub fn journaled(&self, lsn: u64) {
        self.segments.retention.referred(self.segment, lsn);
    }
}

impl Drop for SegmentPin {
    fn drop(&mut self) {
        self.segments.retention.let_go(self.segment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_files_are_runs() {
        let mut removed = Removed::default();
        for number in [5, 7, 6, 1, 9, 8, 5] {
            removed.add(number);
        }
        let found: Vec<u64> = (0..12).filter(|&n| removed.contains(n)).collect();
        assert_eq!(found, [1, 5, 6, 7, 8, 9]);
        assert_eq!(removed.0.len(), 2);
    }
}
