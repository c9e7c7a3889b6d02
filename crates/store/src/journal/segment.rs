//! The header of a segment or blob file.

/// Bytes before the first record, or before the body in a blob.
pub(crate) const HEADER_BYTES: u64 = 64;
const MAGIC: &[u8; 8] = b"MURDERJ1";

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The partition's own random number: files of another partition are not taken for ours.
    pub tag: u64,
    pub number: u64,
    /// The first record's LSN; 0 in a blob.
    pub first_lsn: u64,
}

pub(crate) fn encode_header(tag: u64, number: u64, first_lsn: u64) -> [u8; HEADER_BYTES as usize] {
    let mut out = [0; HEADER_BYTES as usize];
    out[..8].copy_from_slice(MAGIC);
    out[8..16].copy_from_slice(&tag.to_le_bytes());
    out[16..24].copy_from_slice(&number.to_le_bytes());
    out[24..32].copy_from_slice(&first_lsn.to_le_bytes());
    let crc = crc32c::crc32c(&out[..60]);
    out[60..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Reads a header; `None` when it is not one or is damaged.
pub(crate) fn decode_header(bytes: &[u8; HEADER_BYTES as usize]) -> Option<Header> {
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(word)
    };
    let crc = u32::from_le_bytes([bytes[60], bytes[61], bytes[62], bytes[63]]);
    (bytes.starts_with(MAGIC) && crc32c::crc32c(&bytes[..60]) == crc).then(|| Header {
        tag: word(8),
        number: word(16),
        first_lsn: word(24),
    })
}
