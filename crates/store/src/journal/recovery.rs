//! Reading the journal after a start: what is whole, where it ends, what is damaged.

use std::path::Path;
use std::sync::Arc;

use super::cursor::{Cursor, Found, decode};
use super::files::{SegmentName, files};
use super::record::{ALIGN, HEADER_BYTES, Header};
use super::segment;
use crate::command::Op;
use crate::error::StoreError;
use crate::io::{JournalFile, JournalIo};
use crate::journal::checkpoint::Checkpoint;

/// A record that is whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub lsn: u64,
    pub segment: u64,
    pub offset: u64,
    pub command_len: u32,
}

/// What the journal holds.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The records after the checkpoint, in order.
    pub records: Vec<Place>,
    /// Where torn tails begin. They stay where they are: what follows them is in a segment that
    /// begins at the same record.
    pub torn: Vec<(u64, u64)>,
    /// Segments to which no record was ever written.
    pub empty: Vec<u64>,
    /// The first damage. What comes after it is not in `records`.
    pub damage: Option<StoreError>,
    /// The place after the last record.
    pub end: (u64, u64),
    /// The LSN of the next record to be written.
    pub next_lsn: u64,
    /// The epoch of the last record.
    pub epoch: u64,
    /// The greatest level of a segment.
    pub level: u32,
}

/// Reads the journal from a checkpoint on.
pub(crate) fn scan(
    io: &dyn JournalIo,
    dir: &Path,
    tag: u64,
    from: &Checkpoint,
) -> Result<Scan, StoreError> {
    let (checkpoint, from, epoch) = (from.lsn, (from.segment, from.offset), from.epoch);
    let segments: Vec<u64> = files(io, dir)?
        .into_iter()
        .filter_map(|f| match f {
            SegmentName::Journal(n) if n >= from.0 => Some(n),
            _ => None,
        })
        .collect();
    let mut scan = Scan {
        end: from,
        next_lsn: checkpoint + 1,
        epoch,
        ..Scan::default()
    };
    if from.0 > 0 && !segments.contains(&from.0) {
        // It is kept until a later checkpoint, whatever lives in it.
        scan.damage = Some(StoreError::Corrupt {
            segment: from.0,
            offset: from.1,
        });
        return Ok(scan);
    }
    for &number in &segments {
        let path = SegmentName::Journal(number).path(dir);
        let newer = |offset: u64| StoreError::Newer {
            path: path.clone(),
            offset,
        };
        let damage = |offset: u64| {
            Some(StoreError::Corrupt {
                segment: number,
                offset,
            })
        };
        let file = io
            .open(&path)
            .map_err(|e| StoreError::io("opening a journal segment", &e))?;
        let bytes = read(&*file)?;
        let mut position = segment::HEADER_BYTES;
        match segment::Header::of(&bytes, tag, number).map_err(|_| newer(0))? {
            // The header is durable before the first record is written. Where there is anything
            // behind a bad one, or was, that is damage; otherwise the segment was just being
            // made.
            None if (number == from.0 && from.1 > 0) || !segment::is_blank(&bytes) => {
                scan.damage = damage(0);
                return Ok(scan);
            }
            None => {
                scan.empty.push(number);
                continue;
            }
            // Records between the last one and this segment's first are missing: they were
            // durable when the segment was made.
            Some(h) if h.first_lsn > scan.next_lsn => {
                scan.damage = Some(StoreError::Corrupt {
                    segment: scan.end.0,
                    offset: scan.end.1,
                });
                return Ok(scan);
            }
            Some(_) if number == from.0 && bytes.len() < from.1 as usize => {
                scan.damage = damage(bytes.len() as u64);
                return Ok(scan);
            }
            Some(h) => {
                scan.level = scan.level.max(h.level);
                if number == from.0 {
                    position = from.1.max(position);
                }
            }
        }
        let mut cursor = Cursor {
            bytes: &*bytes,
            tag,
            position,
            expected: scan.next_lsn,
            epoch: scan.epoch,
            check_bodies: true,
        };
        loop {
            let found = cursor.next().map_err(|e| unread(&e))?;
            scan.end = (number, cursor.position);
            (scan.next_lsn, scan.epoch) = (cursor.expected, cursor.epoch);
            match found {
                Found::Record { header, offset, .. } => scan.records.push(Place {
                    lsn: header.lsn,
                    segment: number,
                    offset,
                    command_len: header.command_len,
                }),
                Found::Stale(header) => {
                    scan.damage = Some(stale(&path, &header, scan.epoch));
                    return Ok(scan);
                }
                Found::Newer => return Err(newer(cursor.position)),
                Found::Nothing => break,
            }
        }
        let (position, expected) = (cursor.position, cursor.expected);
        let rest = bytes.get(position as usize..).unwrap_or_default();
        if rest.iter().all(|&b| b == 0) {
            continue;
        }
        if later_record(&bytes, position, tag, expected).is_some() {
            scan.damage = damage(position);
            return Ok(scan);
        }
        scan.torn.push((number, position));
        // A later segment that was begun at the same record says that this tail had been
        // given up before; one that was begun later is found missing records above.
    }
    Ok(scan)
}

/// The last record that is whole in the newest segment with a good header, reading no other; 0
/// when there is none.
///
/// # Errors
/// [`StoreError::Newer`], [`StoreError::Io`].
pub(crate) fn end(io: &dyn JournalIo, dir: &Path, tag: u64) -> Result<u64, StoreError> {
    if !dir.exists() {
        return Ok(0);
    }
    for file in files(io, dir)?.into_iter().rev() {
        let SegmentName::Journal(number) = file else {
            continue;
        };
        let opened = match io.open(&file.path(dir)) {
            Ok(opened) => opened,
            // Removed meanwhile.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(StoreError::io("opening a journal segment", &e)),
        };
        let bytes = read(&*opened)?;
        let newer = |offset: u64| StoreError::Newer {
            path: file.path(dir),
            offset,
        };
        let header = segment::Header::of(&bytes, tag, number).map_err(|_| newer(0))?;
        let Some(header) = header else {
            continue;
        };
        let mut cursor = Cursor::first(&*bytes, &header, true);
        loop {
            match cursor.next().map_err(|e| unread(&e))? {
                Found::Record { .. } => {}
                Found::Newer => return Err(newer(cursor.position)),
                Found::Stale(_) | Found::Nothing => {
                    return Ok(cursor.expected.saturating_sub(1));
                }
            }
        }
    }
    Ok(0)
}

pub(crate) fn read(file: &dyn JournalFile) -> Result<Vec<u8>, StoreError> {
    let read = || {
        let len = usize::try_from(file.size()?).map_err(std::io::Error::other)?;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    };
    read().map_err(|e: std::io::Error| unread(&e))
}

fn unread(e: &std::io::Error) -> StoreError {
    StoreError::io("reading a journal segment", e)
}

/// A record of a former owner behind one of a later owner: it must never be applied, nor be taken
/// for a torn tail, whose end is cut.
pub(crate) fn stale(path: &Path, record: &Header, epoch: u64) -> StoreError {
    let Header { lsn, epoch: is, .. } = record;
    StoreError::damaged(
        path,
        format!("record {lsn} is of epoch {is}, behind one of epoch {epoch}"),
    )
}

/// The headers of the oldest and of the newest segment that have good ones.
pub(crate) fn ends(
    io: &dyn JournalIo,
    dir: &Path,
) -> Result<Option<(segment::Header, segment::Header)>, StoreError> {
    let mut found: Option<(segment::Header, segment::Header)> = None;
    for file in files(io, dir)? {
        if matches!(file, SegmentName::Blob(_)) {
            continue;
        }
        let opened = io
            .open(&file.path(dir))
            .map_err(|e| StoreError::io("opening a journal segment", &e))?;
        let mut bytes = [0; segment::HEADER_BYTES as usize];
        // One that is shorter has none.
        let _ = opened.read_exact_at(&mut bytes, 0);
        if let Some(header) = segment::Header::decode(&bytes)
            && header.number == file.number()
        {
            found = Some((found.map_or(header, |(oldest, _)| oldest), header));
        }
    }
    Ok(found)
}

/// A record behind a bad one that was written when `expected` was durable already: then the
/// bad one is damage, not a torn tail.
fn later_record(bytes: &[u8], position: u64, tag: u64, expected: u64) -> Option<Header> {
    let start = usize::try_from(position.next_multiple_of(ALIGN)).ok()?;
    let tag_bytes = tag.to_le_bytes();
    bytes
        .get(start..)?
        .chunks(ALIGN as usize)
        .enumerate()
        .filter(|(_, chunk)| *chunk == tag_bytes)
        .filter_map(|(at, _)| Header::decode(bytes.get(start + at * ALIGN as usize..)?, tag))
        .find(|header| header.durable_lsn >= expected)
}

/// Reads the command of a record that the scan has checked.
pub(crate) fn read_command(file: &Arc<dyn JournalFile>, place: &Place) -> Result<Op, StoreError> {
    let mut command = vec![0; place.command_len as usize];
    file.read_exact_at(&mut command, place.offset + HEADER_BYTES as u64)
        .map_err(|e| StoreError::io("reading a record", &e))?;
    decode(&command).ok_or(StoreError::Corrupt {
        segment: place.segment,
        offset: place.offset,
    })
}
