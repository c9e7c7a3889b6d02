//! Going through the records of one segment.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use prost::Message as _;

use super::record::{HEADER_BYTES, Header};
use super::segment;
use crate::command::{Command, Op};
use crate::io::JournalFile;

/// The bytes of a segment: in memory, or in its file.
pub(crate) trait Bytes {
    /// The bytes at a place; `None` when they are not all there.
    fn bytes(&self, offset: u64, len: usize) -> io::Result<Option<Cow<'_, [u8]>>>;
}

impl Bytes for &[u8] {
    fn bytes(&self, offset: u64, len: usize) -> io::Result<Option<Cow<'_, [u8]>>> {
        let from = usize::try_from(offset).ok();
        let rest = from.and_then(|from| self.get(from..));
        Ok(rest.and_then(|rest| rest.get(..len)).map(Cow::Borrowed))
    }
}

impl Bytes for Arc<dyn JournalFile> {
    fn bytes(&self, offset: u64, len: usize) -> io::Result<Option<Cow<'_, [u8]>>> {
        let mut bytes = vec![0; len];
        match self.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(Some(Cow::Owned(bytes))),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// What is found where a record is looked for.
pub(crate) enum Found {
    /// The expected record, and its checksums are right.
    Record {
        header: Header,
        op: Op,
        /// Where it is.
        offset: u64,
    },
    /// It would be the expected record, but for its epoch, which is lower than that of one before.
    Stale(Header),
    /// Its checksums are right, and it says what this version does not know.
    Newer,
    Nothing,
}

/// A place between two records of a segment.
#[derive(Debug)]
pub(crate) struct Cursor<B> {
    pub bytes: B,
    pub tag: u64,
    /// Where the next record is looked for.
    pub position: u64,
    /// Its LSN.
    pub expected: u64,
    /// The epoch that it has at least.
    pub epoch: u64,
    /// Whether bodies are compared with their checksums.
    pub check_bodies: bool,
}

impl<B: Bytes> Cursor<B> {
    /// At the first record of a segment.
    pub fn first(bytes: B, header: &segment::Header, check_bodies: bool) -> Self {
        Self {
            bytes,
            tag: header.tag,
            position: segment::HEADER_BYTES,
            expected: header.first_lsn,
            epoch: 0,
            check_bodies,
        }
    }

    /// What is here; goes behind it if it is the expected record.
    pub fn next(&mut self) -> io::Result<Found> {
        let found = self.look()?.unwrap_or(Found::Nothing);
        if let Found::Record { header, op, .. } = &found {
            self.position += header.total();
            self.expected = op.next_lsn(header.lsn);
            self.epoch = header.epoch;
        }
        Ok(found)
    }

    fn look(&self) -> io::Result<Option<Found>> {
        let offset = self.position;
        let Some(bytes) = self.bytes.bytes(offset, HEADER_BYTES)? else {
            return Ok(None);
        };
        let header = Header::decode(&bytes, self.tag).filter(|h| h.lsn == self.expected);
        let Some(header) = header else {
            return Ok(None);
        };
        let command = (offset + HEADER_BYTES as u64, header.command_len as usize);
        let Some(command) = self.bytes.bytes(command.0, command.1)? else {
            return Ok(None);
        };
        if crc32c::crc32c(&command) != header.command_crc {
            return Ok(None);
        }
        let Some(op) = decode(&command) else {
            return Ok(Some(Found::Newer));
        };
        if self.check_bodies && !self.are_bodies_whole(&header, &op)? {
            return Ok(None);
        }
        Ok(Some(match header.epoch < self.epoch {
            true => Found::Stale(header),
            false => Found::Record { header, op, offset },
        }))
    }

    fn are_bodies_whole(&self, header: &Header, op: &Op) -> io::Result<bool> {
        let mut at = self.position + header.bodies_at();
        let end = at.saturating_add(header.bodies_len);
        for message in op.messages().iter().filter(|m| m.location().is_none()) {
            let body = self.bytes.bytes(at, message.len as usize)?;
            if body.is_none_or(|body| crc32c::crc32c(&body) != message.crc) {
                return Ok(false);
            }
            at += u64::from(message.len);
        }
        Ok(at == end)
    }
}

/// A command of which everything is known; `None` for one that a newer version wrote, whose
/// unknown fields would be passed over in silence otherwise.
pub(crate) fn decode(command: &[u8]) -> Option<Op> {
    let decoded = Command::decode(command).ok()?;
    (decoded.encoded_len() == command.len()).then_some(decoded.op)?
}
