//! Reading the journal while it is written.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::cursor::{Cursor, Found};
use super::files::{SegmentName, files};
use super::record::locations;
use super::recovery::stale;
use super::retention::ReaderPin;
use super::segment;
use super::segments::Segments;
use crate::blocking::blocking;
use crate::body::BodyLocation;
use crate::error::StoreError;
use crate::io::JournalFile;

/// Records that are read at a time.
const READ_AT_ONCE: usize = 256;

/// Why a reader of the journal gets no further.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalReadError {
    /// The next record is not there any more, or was not kept for a reader that slow: what it
    /// changed has to be learned from the homes.
    #[error("the journal has no record {0} any more")]
    SnapshotNeeded(u64),
    /// The journal cannot be read; [`StoreError::Closed`] when the partition closes.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A record of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRecord {
    /// Its LSN.
    pub lsn: u64,
    /// The last LSN that it stands for: the next record has the one behind it.
    pub last_lsn: u64,
    /// The partition's epoch when it was written.
    pub epoch: u64,
    /// The number of its segment.
    pub segment: u64,
    /// Where in the segment it begins, in bytes.
    pub offset: u64,
    /// Its length in bytes, bodies included.
    pub len: u64,
    /// Where the bodies of its messages are, in their order: in it, or in files of their own.
    pub bodies: Vec<BodyLocation>,
}

/// Gives the records of a journal in their order, and waits for those that are still to be written.
/// What it has yet to read is kept, and the bodies of the record that it gave last, up to
/// [`reader_bytes`](crate::PartitionConfig::reader_bytes).
#[derive(Debug)]
pub struct JournalReader {
    place: Arc<Place>,
    /// The last record that is on the disk.
    synced: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
}

#[derive(Debug)]
struct Place {
    segments: Arc<Segments>,
    tag: u64,
    pin: Arc<ReaderPin>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Records before it are passed over.
    from: u64,
    segment: u64,
    /// In the segment; `None` at the very beginning of a journal without one.
    cursor: Option<Cursor<Arc<dyn JournalFile>>>,
    read: VecDeque<JournalRecord>,
}

/// A segment that is opened.
struct Segment {
    number: u64,
    file: Arc<dyn JournalFile>,
    header: segment::Header,
}

impl JournalReader {
    /// Begins with the record `from`, or the first one behind it. Blocks.
    ///
    /// # Errors
    /// [`JournalReadError::SnapshotNeeded`] when the journal begins behind it.
    pub(crate) fn open(
        segments: &Arc<Segments>,
        tag: u64,
        from: u64,
        synced: watch::Receiver<u64>,
        closing: watch::Receiver<bool>,
    ) -> Result<Self, JournalReadError> {
        let place = Place {
            segments: Arc::clone(segments),
            tag,
            pin: segments.retention.read(),
            state: Mutex::new(State {
                from,
                segment: 0,
                cursor: None,
                read: VecDeque::new(),
            }),
        };
        place.find(from)?;
        Ok(Self {
            place: Arc::new(place),
            synced,
            closing,
        })
    }

    /// The next record, as soon as it is on the disk; not necessarily when it is answered. Dropping
    /// the future loses nothing.
    ///
    /// # Errors
    /// See [`JournalReadError`].
    pub async fn next(&mut self) -> Result<JournalRecord, JournalReadError> {
        loop {
            if let Some(record) = self.place.taken()? {
                return Ok(record);
            }
            let synced = *self.synced.borrow_and_update();
            if self.place.expected() <= synced {
                let place = Arc::clone(&self.place);
                blocking(move || Ok(place.read(synced))).await??;
                continue;
            }
            tokio::select! {
                changed = self.synced.changed() => changed.map_err(|_| StoreError::Closed)?,
                _ = self.closing.wait_for(|closing| *closing) => {
                    return Err(StoreError::Closed.into());
                }
            }
        }
    }
}

impl Place {
    /// The next of the records that were read.
    fn taken(&self) -> Result<Option<JournalRecord>, JournalReadError> {
        let mut state = self.state.lock();
        if self.pin.is_dropped() {
            let next = state.read.front().map(|record| record.lsn);
            drop(state);
            let next = next.unwrap_or_else(|| self.expected());
            return Err(JournalReadError::SnapshotNeeded(next));
        }
        let record = state.read.pop_front();
        if let Some(record) = &record {
            self.pin.move_to(record.segment, record.lsn);
        }
        Ok(record)
    }

    /// The LSN of the record that is read next.
    fn expected(&self) -> u64 {
        let state = self.state.lock();
        let expected = state.cursor.as_ref().map_or(1, |cursor| cursor.expected);
        expected.max(state.from)
    }

    /// Finds the segment that has the record, or will have it.
    fn find(&self, lsn: u64) -> Result<(), JournalReadError> {
        let mut found = None;
        for number in self.numbers()?.into_iter().rev() {
            if let Some(segment) = self.open(number)? {
                let first_lsn = segment.header.first_lsn;
                found = Some(segment);
                if first_lsn <= lsn {
                    break;
                }
            }
        }
        match found {
            Some(segment) if segment.header.first_lsn > lsn => {
                Err(JournalReadError::SnapshotNeeded(lsn))
            }
            Some(segment) => {
                let mut state = self.state.lock();
                state.segment = segment.number;
                self.pin.move_to(segment.number, segment.header.first_lsn);
                state.cursor = Some(Cursor::first(segment.file, &segment.header, false));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The segments, ascending.
    fn numbers(&self) -> Result<Vec<u64>, StoreError> {
        let files = files(&*self.segments.io, &self.segments.dir)?.into_iter();
        let numbers = files.filter_map(|file| match file {
            SegmentName::Journal(number) => Some(number),
            SegmentName::Blob(_) => None,
        });
        Ok(numbers.collect())
    }

    /// A segment and what its header says; `None` for one that is only being made, or has gone.
    fn open(&self, number: u64) -> Result<Option<Segment>, StoreError> {
        let path = SegmentName::Journal(number).path(&self.segments.dir);
        let file = match self.segments.io.open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("opening a journal segment", &e)),
        };
        let mut header = [0; segment::HEADER_BYTES as usize];
        match file.read_exact_at(&mut header, 0) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => return Err(StoreError::io("reading a journal segment", &e)),
        }
        let header = segment::Header::of(&header, self.tag, number);
        let header = header.map_err(|_| StoreError::Newer { path, offset: 0 })?;
        Ok(header.map(|header| Segment {
            number,
            file,
            header,
        }))
    }

    /// Reads some of the records up to `synced`, which are all on the disk.
    fn read(&self, synced: u64) -> Result<(), JournalReadError> {
        let mut state = self.state.lock();
        if state.cursor.is_none() {
            let from = state.from;
            drop(state);
            self.find(from)?;
            state = self.state.lock();
        }
        match self.read_some(&mut state, synced) {
            // It comes again, when those that were read before it have been taken.
            Err(_) if !state.read.is_empty() => Ok(()),
            other => other,
        }
    }

    fn read_some(&self, state: &mut State, synced: u64) -> Result<(), JournalReadError> {
        let State {
            from,
            segment,
            cursor,
            read,
        } = state;
        let Some(cursor) = cursor else {
            // The journal has records, and no segment.
            return Err(JournalReadError::SnapshotNeeded(*from));
        };
        while cursor.expected <= synced && read.len() < READ_AT_ONCE {
            let path = || SegmentName::Journal(*segment).path(&self.segments.dir);
            let error = |e: std::io::Error| StoreError::io("reading the journal", &e);
            match cursor.next().map_err(error)? {
                Found::Record { header, op, offset } if op.next_lsn(header.lsn) > *from => {
                    let command_len = u64::from(header.command_len);
                    read.push_back(JournalRecord {
                        lsn: header.lsn,
                        last_lsn: cursor.expected - 1,
                        epoch: header.epoch,
                        segment: *segment,
                        offset,
                        len: header.total(),
                        bodies: locations(&op, *segment, offset, command_len),
                    });
                }
                Found::Record { .. } => {}
                Found::Stale(header) => {
                    return Err(stale(&path(), &header, cursor.epoch).into());
                }
                Found::Newer => {
                    let (path, offset) = (path(), cursor.position);
                    return Err(StoreError::Newer { path, offset }.into());
                }
                // It goes on in another one.
                Found::Nothing => {
                    let lsn = cursor.expected;
                    let Some(next) = self.following(*segment, lsn)? else {
                        return Err(JournalReadError::SnapshotNeeded(lsn.max(*from)));
                    };
                    let epoch = cursor.epoch;
                    *segment = next.number;
                    *cursor = Cursor::first(next.file, &next.header, false);
                    cursor.epoch = epoch;
                    if read.is_empty() {
                        self.pin.move_to(*segment, lsn);
                    }
                }
            }
        }
        Ok(())
    }

    /// The segment after `number`, which begins with the record `lsn`; `None` if that has gone.
    fn following(&self, number: u64, lsn: u64) -> Result<Option<Segment>, StoreError> {
        for next in self.numbers()?.into_iter().filter(|next| *next > number) {
            let Some(segment) = self.open(next)? else {
                continue;
            };
            match segment.header.first_lsn.cmp(&lsn) {
                Ordering::Less => {}
                Ordering::Equal => return Ok(Some(segment)),
                Ordering::Greater => break,
            }
        }
        Ok(None)
    }
}
