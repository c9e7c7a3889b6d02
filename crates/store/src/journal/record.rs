//! The header of a record.
//!
//! Layout, little-endian: tag (8), CRC32C of the rest of the header (4), command length (4),
//! bodies length (8), LSN (8), durable LSN (8), first home (8), number of homes (4), CRC32C of
//! the command (4), epoch (8). Then the command, then the bodies, whose checksums are in the
//! command; zeros up to a multiple of 8.

use crate::body::BodyLocation;
use crate::command::Op;

/// Bytes of a record's header.
pub(crate) const HEADER_BYTES: usize = 64;
/// Records begin at multiples of this.
pub(crate) const ALIGN: u64 = 8;

/// What a record's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The partition's own random number: no message that a client sends can look like a
    /// record.
    pub tag: u64,
    pub command_len: u32,
    pub bodies_len: u64,
    pub lsn: u64,
    /// Every record up to this one was durable before this one was written. That tells a
    /// torn tail, which nobody was told of, from damage.
    pub durable_lsn: u64,
    pub home: u64,
    pub homes: u32,
    pub command_crc: u32,
    /// The partition's epoch when this was written: never lower than that of a record before it. 0
    /// below segment level 2.
    pub epoch: u64,
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&self.tag.to_le_bytes());
        out[12..16].copy_from_slice(&self.command_len.to_le_bytes());
        out[16..24].copy_from_slice(&self.bodies_len.to_le_bytes());
        out[24..32].copy_from_slice(&self.lsn.to_le_bytes());
        out[32..40].copy_from_slice(&self.durable_lsn.to_le_bytes());
        out[40..48].copy_from_slice(&self.home.to_le_bytes());
        out[48..52].copy_from_slice(&self.homes.to_le_bytes());
        out[52..56].copy_from_slice(&self.command_crc.to_le_bytes());
        out[56..64].copy_from_slice(&self.epoch.to_le_bytes());
        let crc = crc32c::crc32c(&out[12..]);
        out[8..12].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a header; `None` when it is not one of this partition or is damaged.
    pub fn decode(bytes: &[u8], tag: u64) -> Option<Self> {
        let word = |at: usize| -> Option<u64> {
            Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
        };
        let half = |at: usize| -> Option<u32> {
            Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
        };
        let header = Self {
            tag: word(0)?,
            command_len: half(12)?,
            bodies_len: word(16)?,
            lsn: word(24)?,
            durable_lsn: word(32)?,
            home: word(40)?,
            homes: half(48)?,
            command_crc: half(52)?,
            epoch: word(56)?,
        };
        (header.tag == tag && crc32c::crc32c(bytes.get(12..HEADER_BYTES)?) == half(8)?)
            .then_some(header)
    }

    /// Where the bodies begin, from the beginning of the record.
    pub fn bodies_at(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.command_len)
    }

    /// Bytes of the whole record, with the zeros after it.
    pub fn total(&self) -> u64 {
        (self.bodies_at() + self.bodies_len).next_multiple_of(ALIGN)
    }
}

/// Where the bodies of a record's messages are.
pub(crate) fn locations(op: &Op, segment: u64, place: u64, command_len: u64) -> Vec<BodyLocation> {
    let mut offset = place + HEADER_BYTES as u64 + command_len;
    op.messages()
        .iter()
        .map(|message| {
            message.location().unwrap_or_else(|| {
                let location = BodyLocation {
                    segment,
                    offset,
                    len: message.len,
                    crc: message.crc,
                };
                offset += u64::from(message.len);
                location
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let header = Header {
            tag: 7,
            command_len: 11,
            bodies_len: 1000,
            lsn: 42,
            durable_lsn: 40,
            home: 3,
            homes: 1,
            command_crc: 5,
            epoch: 9,
        };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes, 7), Some(header));
        assert_eq!(Header::decode(&bytes, 8), None);
        assert_eq!(header.total() % ALIGN, 0);
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&bytes, 7), None, "bit {bit}");
        }
    }
}
