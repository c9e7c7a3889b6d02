//! Reading a damaged journal for what can be used of it.
//!
//! What was durable is known: each record says up to which record that was when it was written,
//! and each segment begins behind records that were. A bad place before that is damage, and
//! what it held is listed; one behind it is a torn tail as ever.

use std::path::Path;

use super::cursor::decode;
use super::files::{SegmentName, files};
use super::record::{ALIGN, HEADER_BYTES, Header};
use super::recovery::{Place, Scan, read};
use super::segment;
use crate::body::BodyLocation;
use crate::error::StoreError;
use crate::io::JournalIo;
use crate::journal::checkpoint::Checkpoint;

/// Records of which nothing is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    pub segment: u64,
    pub offset: u64,
    pub first_lsn: u64,
    pub last_lsn: u64,
    /// The home that the record was about, when that can still be read.
    pub home: Option<u64>,
}

/// What a damaged journal holds.
#[derive(Debug, Default)]
pub(crate) struct Salvage {
    /// The usable records, and where the journal ends. LSNs may be missing.
    pub scan: Scan,
    pub lost: Vec<Lost>,
    /// Bodies that do not fit their checksums, of records that are usable.
    pub bodies: Vec<BodyLocation>,
    /// Segments with anything wrong in them.
    pub damaged: Vec<u64>,
    /// Those that need a new header, and their first records; one may be missing.
    pub headless: Vec<(u64, u64)>,
}

/// Reads the journal as [`recovery::scan`](super::recovery::scan) does, past any damage. Homes have
/// applied records up to `applied`.
pub(crate) fn salvage(
    io: &dyn JournalIo,
    dir: &Path,
    tag: u64,
    from: &Checkpoint,
    applied: u64,
) -> Result<Salvage, StoreError> {
    let (checkpoint, epoch) = (from.lsn, from.epoch);
    let from = (from.segment, from.offset);
    let mut segments = Vec::new();
    for file in files(io, dir)? {
        if let SegmentName::Journal(number) = file
            && number >= from.0
        {
            let file = io
                .open(&file.path(dir))
                .map_err(|e| StoreError::io("opening a journal segment", &e))?;
            segments.push((number, read(&*file)?));
        }
    }
    let mut work = Work {
        tag,
        durable: checkpoint.max(applied),
        dir,
        limit: u64::MAX,
        expected: checkpoint + 1,
        trouble: None,
        out: Salvage {
            scan: Scan {
                end: from,
                epoch,
                ..Scan::default()
            },
            ..Salvage::default()
        },
    };
    if from.0 > 0 && segments.iter().all(|(number, _)| *number != from.0) {
        // Recovery wants to find it until a later checkpoint.
        work.out.headless.push((from.0, checkpoint + 1));
        work.trouble = Some(from);
    }
    let mut first_lsns = Vec::new();
    for (number, bytes) in &segments {
        if let Some(header) = work.header(bytes, *number)? {
            work.durable = work.durable.max(header.first_lsn.saturating_sub(1));
            work.out.scan.level = work.out.scan.level.max(header.level);
            first_lsns.push((*number, header.first_lsn));
        }
        for (_, header) in headers(bytes, 0, tag) {
            work.durable = work.durable.max(header.durable_lsn);
        }
    }
    for (number, bytes) in &segments {
        let start = if *number == from.0 { from.1 } else { 0 };
        let next = first_lsns.iter().find(|(later, _)| later > number);
        work.limit = next.map_or(u64::MAX, |(_, first_lsn)| *first_lsn);
        work.segment(*number, bytes, start.max(segment::HEADER_BYTES))?;
    }
    // Damage at the end of the journal, or durable records of which there is no trace: nobody knows
    // how many there were. One that no home has applied stands for those behind the last known.
    if work.expected <= work.durable || work.trouble.is_some() {
        let next = work.expected.max(work.durable + 1) + 1;
        work.lose(next, None);
        work.expected = next;
    }
    work.out.scan.next_lsn = work.expected;
    work.out.damaged.sort_unstable();
    work.out.damaged.dedup();
    Ok(work.out)
}

struct Work<'a> {
    tag: u64,
    dir: &'a Path,
    /// The first record of the next segment: from there on a tail has been given up.
    limit: u64,
    /// Every record up to this one was durable.
    durable: u64,
    expected: u64,
    /// Where something bad begins of which it is not known yet what it was.
    trouble: Option<(u64, u64)>,
    out: Salvage,
}

impl Work<'_> {
    fn header(&self, bytes: &[u8], number: u64) -> Result<Option<segment::Header>, StoreError> {
        segment::Header::of(bytes, self.tag, number).map_err(|_| self.newer(number, 0))
    }

    fn newer(&self, number: u64, offset: u64) -> StoreError {
        StoreError::Newer {
            path: SegmentName::Journal(number).path(self.dir),
            offset,
        }
    }

    fn segment(&mut self, number: u64, bytes: &[u8], start: u64) -> Result<(), StoreError> {
        if self.header(bytes, number)?.is_none() {
            // The checkpoint had been in it already.
            let begun = number == self.out.scan.end.0 && self.out.scan.end.1 > 0;
            if segment::is_blank(bytes) && self.expected > self.durable && !begun {
                // It was just being made.
                self.out.scan.empty.push(number);
                return Ok(());
            }
            self.trouble.get_or_insert((number, 0));
            self.out.damaged.push(number);
            self.out.headless.push((number, self.expected));
        }
        let mut position = start;
        if bytes.len() < start as usize {
            // It ended behind this at the checkpoint.
            self.trouble.get_or_insert((number, bytes.len() as u64));
            self.out.damaged.push(number);
        }
        self.out.scan.end = (number, position);
        loop {
            let rest = bytes.get(position as usize..).unwrap_or_default();
            if rest.iter().all(|&b| b == 0) {
                return Ok(());
            }
            if let Some(header) = self.header_at(bytes, position) {
                position = self.record(number, bytes, position, &header)?;
                if self.out.scan.torn.contains(&(number, position)) {
                    return Ok(());
                }
                self.out.scan.end = (number, position);
                continue;
            }
            if self.expected > self.durable || self.expected >= self.limit {
                self.out.scan.torn.push((number, position));
                return Ok(());
            }
            self.trouble.get_or_insert((number, position));
            self.out.damaged.push(number);
            let next = headers(bytes, position + ALIGN, self.tag)
                .find(|(at, _)| self.header_at(bytes, *at).is_some());
            match next {
                Some((at, _)) => position = at,
                // The rest of the segment is unreadable.
                None => return Ok(()),
            }
        }
    }

    /// The header of a record that has not been read yet and ends in the segment.
    fn header_at(&self, bytes: &[u8], position: u64) -> Option<Header> {
        let header = Header::decode(bytes.get(position as usize..)?, self.tag)?;
        let ends = position.checked_add(header.total())? <= bytes.len() as u64;
        (header.lsn >= self.expected && header.lsn < self.limit && ends).then_some(header)
    }

    /// Takes a record with a good header. Returns the place behind it.
    fn record(
        &mut self,
        number: u64,
        bytes: &[u8],
        position: u64,
        header: &Header,
    ) -> Result<u64, StoreError> {
        let end = position + header.total();
        if header.lsn > self.expected {
            self.lose(header.lsn, None);
        }
        self.trouble = None;
        let command_at = position as usize + HEADER_BYTES;
        let bodies_at = command_at + header.command_len as usize;
        let command = &bytes[command_at..bodies_at];
        let op = match crc32c::crc32c(command) == header.command_crc {
            true => Some(decode(command).ok_or_else(|| self.newer(number, position))?),
            false => None,
        };
        self.expected = header.lsn;
        // One of a former owner behind one of a later owner: whole, and not to be applied.
        let stale = header.epoch < self.out.scan.epoch;
        let Some(op) = op.filter(|_| !stale) else {
            if header.lsn > self.durable && !stale {
                self.out.scan.torn.push((number, position));
                return Ok(position);
            }
            self.trouble = Some((number, position));
            self.out.damaged.push(number);
            self.lose(header.lsn + 1, (header.homes == 1).then_some(header.home));
            self.expected = header.lsn + 1;
            return Ok(end);
        };
        let mut bad = Vec::new();
        let mut at = bodies_at as u64;
        for message in op.messages().iter().filter(|m| m.location().is_none()) {
            let body = bytes.get(at as usize..(at + u64::from(message.len)) as usize);
            if body.is_none_or(|body| crc32c::crc32c(body) != message.crc) {
                bad.push(BodyLocation {
                    segment: number,
                    offset: at,
                    len: message.len,
                    crc: message.crc,
                });
            }
            at += u64::from(message.len);
        }
        if !bad.is_empty() {
            if header.lsn > self.durable {
                self.out.scan.torn.push((number, position));
                return Ok(position);
            }
            self.out.damaged.push(number);
            self.out.bodies.append(&mut bad);
        }
        self.out.scan.epoch = header.epoch;
        self.out.scan.records.push(Place {
            lsn: header.lsn,
            segment: number,
            offset: position,
            command_len: header.command_len,
        });
        self.expected = op.next_lsn(header.lsn);
        Ok(end)
    }

    /// Lists the records from the expected one up to `next` as lost.
    fn lose(&mut self, next: u64, home: Option<u64>) {
        let (segment, offset) = self.trouble.take().unwrap_or(self.out.scan.end);
        self.out.lost.push(Lost {
            segment,
            offset,
            first_lsn: self.expected,
            last_lsn: next - 1,
            home,
        });
    }
}

/// Every good header of a record from `position` on.
fn headers(bytes: &[u8], position: u64, tag: u64) -> impl Iterator<Item = (u64, Header)> {
    let start = usize::try_from(position.next_multiple_of(ALIGN)).unwrap_or(usize::MAX);
    let tag_bytes = tag.to_le_bytes();
    bytes
        .get(start..)
        .unwrap_or_default()
        .chunks(ALIGN as usize)
        .enumerate()
        .filter(move |(_, chunk)| *chunk == tag_bytes)
        .filter_map(move |(at, _)| {
            let at = start + at * ALIGN as usize;
            Some((at as u64, Header::decode(bytes.get(at..)?, tag)?))
        })
}
