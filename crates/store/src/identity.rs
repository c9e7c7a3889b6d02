//! Which partition a directory holds, and which copy of it.
//!
//! The identity lies in a small file of its own and in `partition.db`. Both also say how far the
//! last checkpoint had come, so that a `partition.db` that is missing, older or another
//! partition's is noticed, and can be gathered again.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::StoreError;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::segment;

/// The file's name in the partition's directory.
pub(crate) const FILE: &str = "identity";
const MAGIC: &[u8; 8] = b"MURDERP1";
/// The layout of the file.
const LEVEL: u32 = 1;
const BYTES: usize = 128;

/// Which partition this is, and which copy of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Identity {
    /// Random, given when the partition was made; the same in each of its copies.
    pub partition: [u8; 16],
    /// Random, of this directory alone: an owner's copy and each follower's have their own.
    pub copy: [u8; 16],
}

impl Identity {
    /// That of a partition that nobody has seen before.
    pub(crate) fn new() -> Self {
        Self {
            partition: *uuid::Uuid::new_v4().as_bytes(),
            copy: *uuid::Uuid::new_v4().as_bytes(),
        }
    }
}

/// `PARTITION/COPY`, each in 32 hexadecimal digits.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partition = uuid::Uuid::from_bytes(self.partition);
        let copy = uuid::Uuid::from_bytes(self.copy);
        write!(f, "{}/{}", partition.simple(), copy.simple())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({self})")
    }
}

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub identity: Identity,
    /// The random number that is in every record of the partition.
    pub tag: u64,
    /// The last checkpoint, or one before.
    pub checkpoint: Checkpoint,
    /// No home had a greater number then.
    pub last_home: u64,
}

impl Stamp {
    fn encode(&self) -> [u8; BYTES] {
        let mut out = [0; BYTES];
        out[..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&LEVEL.to_le_bytes());
        out[16..32].copy_from_slice(&self.identity.partition);
        out[32..48].copy_from_slice(&self.identity.copy);
        let words = [
            self.tag,
            self.checkpoint.lsn,
            self.checkpoint.segment,
            self.checkpoint.offset,
            self.checkpoint.last_file,
            self.checkpoint.began.cast_unsigned(),
            self.last_home,
            self.checkpoint.uids,
            self.checkpoint.epoch,
        ];
        for (word, at) in words.iter().zip((48..).step_by(8)) {
            out[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        out[120..124].copy_from_slice(&self.checkpoint.level.to_le_bytes());
        let crc = crc32c::crc32c(&out[..BYTES - 4]);
        out[BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// A checksum of all of it.
    pub fn checksum(&self) -> u32 {
        crc32c::crc32c(&self.encode())
    }

    fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes: &[u8; BYTES] = bytes.try_into().map_err(|_| "it has a wrong length")?;
        let (said, crc) = bytes.split_at(BYTES - 4);
        if crc != crc32c::crc32c(said).to_le_bytes() || !said.starts_with(MAGIC) {
            return Err("its checksum is wrong");
        }
        if said[8..12] != LEVEL.to_le_bytes() {
            return Err(NEWER);
        }
        let array = |at: usize| {
            let mut array = [0; 16];
            array.copy_from_slice(&said[at..at + 16]);
            array
        };
        let word = |nth: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&said[48 + nth * 8..56 + nth * 8]);
            u64::from_le_bytes(word)
        };
        let mut level = [0; 4];
        level.copy_from_slice(&said[120..124]);
        let level = u32::from_le_bytes(level);
        if level > segment::LEVEL {
            return Err(NEWER);
        }
        Ok(Self {
            identity: Identity {
                partition: array(16),
                copy: array(32),
            },
            tag: word(0),
            checkpoint: Checkpoint {
                lsn: word(1),
                segment: word(2),
                offset: word(3),
                last_file: word(4),
                began: word(5).cast_signed(),
                uids: word(7),
                epoch: word(8),
                level,
            },
            last_home: word(6),
        })
    }

    /// Reads the file of a partition; `Ok(None)` when there is none.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Newer`], [`StoreError::Io`].
    pub fn read(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = dir.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("reading a partition's identity", &e)),
        };
        match Self::decode(&bytes) {
            Ok(stamp) => Ok(Some(stamp)),
            Err(NEWER) => Err(StoreError::newer(path)),
            Err(why) => Err(StoreError::damaged(path, why)),
        }
    }

    /// Writes the file: the old one stays until the new one is durable.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let new = dir.join("identity.new");
        let mut file = File::create(&new)?;
        file.write_all(&self.encode())?;
        file.sync_all()?;
        fs::rename(new, dir.join(FILE))?;
        File::open(dir)?.sync_all()
    }
}

const NEWER: &str = "a newer version wrote it";

/// What a directory holds, as far as it can be seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// No partition: the directory is missing, empty or holds nothing of one.
    Nothing,
    /// A partition.
    Partition {
        /// Which one.
        identity: Identity,
        /// Every record up to this one is there. What a torn or missing tail had is not counted.
        lsn: u64,
    },
    /// Files of a partition, but it cannot be said which one it is or how far it had come.
    Damaged {
        /// Why, for the operator.
        why: String,
        /// Which one it is, when one of the places that say so can be read.
        identity: Option<Identity>,
    },
}

/// Whether a directory has anything of a partition.
///
/// # Errors
/// [`StoreError::Io`].
pub(crate) fn holds_something(dir: &Path) -> Result<bool, StoreError> {
    let error = |e: io::Error| StoreError::io("looking at a partition's directory", &e);
    for file in [FILE, "partition.db"] {
        if dir.join(file).try_exists().map_err(error)? {
            return Ok(true);
        }
    }
    holds_mail(dir)
}

/// Whether a directory has homes, or files of a journal.
///
/// # Errors
/// [`StoreError::Io`].
pub(crate) fn holds_mail(dir: &Path) -> Result<bool, StoreError> {
    let error = |e: io::Error| StoreError::io("looking at a partition's directory", &e);
    let files = |dir: &PathBuf| -> io::Result<Vec<PathBuf>> {
        match fs::read_dir(dir) {
            Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    };
    let named = |path: &PathBuf, ends: &[&str]| {
        let extension = path.extension().and_then(|e| e.to_str());
        extension.is_some_and(|e| ends.contains(&e))
    };
    let journal = files(&dir.join("journal")).map_err(error)?;
    if journal.iter().any(|path| named(path, &["seg", "blob"])) {
        return Ok(true);
    }
    for homes in files(&dir.join("homes")).map_err(error)? {
        if homes.is_dir()
            && files(&homes)
                .map_err(error)?
                .iter()
                .any(|p| named(p, &["db"]))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_wrong_byte_is_noticed() {
        let stamp = Stamp {
            identity: Identity::new(),
            tag: 7,
            checkpoint: Checkpoint {
                lsn: 1,
                segment: 2,
                offset: 3,
                last_file: 4,
                began: -5,
                uids: 7,
                epoch: 8,
                level: 1,
            },
            last_home: 6,
        };
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Stamp::read(dir.path()).unwrap(), None);
        stamp.write(dir.path()).unwrap();
        assert_eq!(Stamp::read(dir.path()).unwrap(), Some(stamp));
        let bytes = fs::read(dir.path().join(FILE)).unwrap();
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert!(Stamp::decode(&bytes).is_err(), "byte {at}");
        }
        let mut newer = bytes;
        newer[8] += 1;
        let crc = crc32c::crc32c(&newer[..BYTES - 4]);
        newer[BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Stamp::decode(&newer), Err(NEWER));
    }
}
