//! A message's bytes, a piece at a time.

use bytes::Bytes;
use murder_store::{BodyLocation, Partition, StoreError};

use crate::nul::without_nuls;

/// Messages up to this many bytes are read at once, checked against their checksum before
/// anything of them is sent.
const WHOLE_LIMIT: u32 = 1 << 20;
/// Bytes of a piece of a larger one: what a session holds of it.
const PIECE: u32 = 256 << 10;

/// Reads a message from its first byte on.
#[derive(Debug)]
pub(super) struct BodyReader<'a> {
    partition: &'a Partition,
    at: BodyLocation,
    from: u32,
    crc: u32,
}

impl<'a> BodyReader<'a> {
    pub(super) const fn new(partition: &'a Partition, at: BodyLocation) -> Self {
        Self {
            partition,
            at,
            from: 0,
            crc: 0,
        }
    }

    /// The next piece; `None` at the end. The last one comes only if the whole fits its checksum,
    /// so that nobody takes what is damaged for the message.
    ///
    /// # Errors
    /// Those of [`Partition::read_body`].
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let at = self.at;
        if self.from == at.len {
            return Ok(None);
        }
        if at.len <= WHOLE_LIMIT {
            self.from = at.len;
            return Ok(Some(without_nuls(self.partition.read_body(at).await?)));
        }
        let len = PIECE.min(at.len - self.from);
        let piece = self.partition.read_body_range(at, self.from, len).await?;
        if piece.len() != len as usize {
            return Err(at.corrupt());
        }
        self.from += len;
        self.crc = crc32c::crc32c_append(self.crc, &piece);
        if self.from == at.len && self.crc != at.crc {
            return Err(at.corrupt());
        }
        Ok(Some(without_nuls(piece)))
    }
}
