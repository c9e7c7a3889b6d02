//! Looking at a directory from outside: what partition it holds, and how far that had come.

use std::path::Path;

use crate::error::StoreError;
use crate::identity::{Found, Stamp, holds_something};
use crate::io::DiskIo;
use crate::journal::recovery;
use crate::partition_db::{self, PartitionDb};

/// Says what a directory holds. Changes nothing and takes no lock, so that it may be asked while
/// the partition is open. Reads at most one segment of the journal. Blocks.
///
/// # Errors
/// [`StoreError::Io`]; [`StoreError::Newer`] and [`StoreError::Format`] for what this version
/// cannot read.
pub fn inspect(path: &Path) -> Result<Found, StoreError> {
    if !holds_something(path)? {
        return Ok(Found::Nothing);
    }
    let db_path = path.join(partition_db::FILE);
    let (stamp, db) = (Stamp::read(path), PartitionDb::peek(&db_path));
    let damaged = |why: String, stamp: Option<Stamp>| {
        Ok(Found::Damaged {
            why,
            identity: stamp.map(|stamp| stamp.identity),
        })
    };
    let (stamp, db) = match (stamp, db) {
        (Ok(Some(stamp)), Ok(db)) => (stamp, db),
        (Err(e @ (StoreError::Newer { .. } | StoreError::Io { .. })), _)
        | (_, Err(e @ (StoreError::Newer { .. } | StoreError::Format { .. }))) => return Err(e),
        (Ok(Some(stamp)), Err(e)) => return damaged(e.to_string(), Some(stamp)),
        (Ok(None), Ok(db)) => {
            return damaged("its identity file is missing".into(), Some(db.stamp()));
        }
        (Err(e), Ok(db)) => return damaged(e.to_string(), Some(db.stamp())),
        (Ok(None), Err(e)) | (Err(e), Err(_)) => return damaged(e.to_string(), None),
    };
    if (db.identity, db.tag) != (stamp.identity, stamp.tag) {
        let why = format!("partition.db is that of {}", db.identity);
        return damaged(why, Some(stamp));
    }
    let journal = recovery::end(&DiskIo, &path.join("journal"), stamp.tag)?;
    Ok(Found::Partition {
        identity: stamp.identity,
        lsn: journal.max(stamp.checkpoint.lsn).max(db.checkpoint.lsn),
    })
}
