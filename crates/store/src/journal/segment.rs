//! The header of a segment or blob file.

/// Bytes before the first record, or before the body in a blob.
pub(crate) const HEADER_BYTES: u64 = 64;
const MAGIC: &[u8; 8] = b"MURDERJ1";

/// The newest level of records that this version knows. A segment of a greater level was written by
/// a newer version, and is not read: a field that this one does not know would be passed over in
/// silence.
///
/// | level | what is new |
/// | --- | --- |
/// | 1 | |
/// | 2 | records carry the partition's epoch |
pub(crate) const LEVEL: u32 = 2;

/// From this level on records carry the partition's epoch.
pub(crate) const WITH_EPOCHS: u32 = 2;

/// What the headers of a partition's files have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The partition's own random number.
    pub tag: u64,
    pub partition: [u8; 16],
    /// The level at which the partition writes.
    pub level: u32,
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The partition's own random number: files of another partition are not taken for ours.
    pub tag: u64,
    pub number: u64,
    /// The first record's LSN; 0 in a blob.
    pub first_lsn: u64,
    pub level: u32,
    pub partition: [u8; 16],
}

impl Header {
    pub fn new(origin: Origin, number: u64, first_lsn: u64) -> Self {
        Self {
            tag: origin.tag,
            number,
            first_lsn,
            level: origin.level,
            partition: origin.partition,
        }
    }

    pub fn encode(&self) -> [u8; HEADER_BYTES as usize] {
        let mut out = [0; HEADER_BYTES as usize];
        out[..8].copy_from_slice(MAGIC);
        out[8..16].copy_from_slice(&self.tag.to_le_bytes());
        out[16..24].copy_from_slice(&self.number.to_le_bytes());
        out[24..32].copy_from_slice(&self.first_lsn.to_le_bytes());
        out[32..36].copy_from_slice(&self.level.to_le_bytes());
        out[40..56].copy_from_slice(&self.partition);
        let crc = crc32c::crc32c(&out[..60]);
        out[60..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the header of a file; `None` when it is not one or is damaged.
    pub fn decode(file: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES as usize] = file.first_chunk()?;
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let half = |at: usize| {
            let mut half = [0; 4];
            half.copy_from_slice(&bytes[at..at + 4]);
            u32::from_le_bytes(half)
        };
        let mut partition = [0; 16];
        partition.copy_from_slice(&bytes[40..56]);
        (bytes.starts_with(MAGIC) && crc32c::crc32c(&bytes[..60]) == half(60)).then(|| Self {
            tag: word(8),
            number: word(16),
            first_lsn: word(24),
            // Segments had none once.
            level: half(32).max(1),
            partition,
        })
    }

    /// Reads the header of a segment of this partition; `None` when it is none or is damaged.
    ///
    /// # Errors
    /// That a newer version wrote it.
    pub fn of(file: &[u8], tag: u64, number: u64) -> Result<Option<Self>, Newer> {
        let header = Self::decode(file).filter(|h| h.tag == tag && h.number == number);
        match header {
            Some(header) if header.level > LEVEL => Err(Newer),
            header => Ok(header),
        }
    }
}

/// A newer version wrote it.
#[derive(Debug)]
pub(crate) struct Newer;

/// Whether a file with a damaged header was only being made: no record was ever written to it.
pub(crate) fn is_blank(file: &[u8]) -> bool {
    let records = file.get(HEADER_BYTES as usize..).unwrap_or_default();
    records.iter().all(|&b| b == 0)
}
