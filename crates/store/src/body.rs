//! Where a message's bytes lie.

use crate::error::StoreError;

/// Where a message's bytes lie in the partition, and their checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BodyLocation {
    /// The number of the journal segment or blob file.
    pub segment: u64,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// Length in bytes: the message's RFC822.SIZE.
    pub len: u32,
    /// CRC32C of the bytes.
    pub crc: u32,
}

impl BodyLocation {
    /// That what is there is not what it should be.
    #[must_use]
    pub fn corrupt(&self) -> StoreError {
        StoreError::Corrupt {
            segment: self.segment,
            offset: self.offset,
        }
    }
}
