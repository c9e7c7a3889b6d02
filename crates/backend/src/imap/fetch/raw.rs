//! Octets of a message as they lie on the disk, piece by piece.

use std::ops::Range;

use bytes::Bytes;
use murder_store::{BodyLocation, Partition, StoreError};

use super::PIECE;

/// A range of a message that is read piece by piece. A message that is read whole is compared
/// with its checksum before its last piece is given out, so that nobody takes what is damaged
/// for it.
#[derive(Debug)]
pub(crate) struct RawPieces {
    at: BodyLocation,
    rest: Range<u32>,
    /// The checksum so far; `None` for a part of a message, which has none.
    crc: Option<u32>,
}

impl RawPieces {
    /// The range `place` of the message at `at`.
    pub fn new(at: BodyLocation, place: Range<u32>) -> Self {
        Self {
            crc: (place == (0..at.len)).then_some(0),
            rest: place,
            at,
        }
    }

    /// The next piece; `None` behind the end.
    ///
    /// # Errors
    /// As [`Partition::read_body`].
    pub async fn next(&mut self, partition: &Partition) -> Result<Option<Bytes>, StoreError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let len = PIECE.min(self.rest.end - self.rest.start);
        let piece = partition
            .read_body_range(self.at, self.rest.start, len)
            .await?;
        if piece.len() != len as usize {
            // Less than the message is long.
            return Err(self.at.corrupt());
        }
        self.rest.start += len;
        if let Some(crc) = &mut self.crc {
            *crc = crc32c::crc32c_append(*crc, &piece);
            if self.rest.is_empty() && *crc != self.at.crc {
                return Err(self.at.corrupt());
            }
        }
        Ok(Some(piece))
    }
}
