//! The files of the journal's directory.

use std::path::{Path, PathBuf};

use crate::error::StoreError;
use crate::io::JournalIo;

/// A file name in the journal's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SegmentName {
    /// Records with small bodies in them.
    Journal(u64),
    /// One large body.
    Blob(u64),
}

impl SegmentName {
    pub fn parse(name: &str) -> Option<Self> {
        let (number, kind) = name.split_once('.')?;
        let number = u64::from_str_radix(number, 16).ok()?;
        match kind {
            "seg" => Some(Self::Journal(number)),
            "blob" => Some(Self::Blob(number)),
            _ => None,
        }
    }

    pub fn number(self) -> u64 {
        match self {
            Self::Journal(n) | Self::Blob(n) => n,
        }
    }

    pub fn path(self, dir: &Path) -> PathBuf {
        dir.join(match self {
            Self::Journal(n) => format!("{n:016x}.seg"),
            Self::Blob(n) => format!("{n:016x}.blob"),
        })
    }
}

/// The files in the journal's directory, ascending; unknown names are left alone.
pub(crate) fn files(io: &dyn JournalIo, dir: &Path) -> Result<Vec<SegmentName>, StoreError> {
    let mut files: Vec<SegmentName> = io
        .list(dir)
        .map_err(|e| StoreError::io("listing the journal", &e))?
        .iter()
        .filter_map(|name| SegmentName::parse(name))
        .collect();
    files.sort_by_key(|f| f.number());
    Ok(files)
}
