//! The history on disk: the changes of each revision, for watchers that were away for longer than
//! memory goes back.

use std::sync::Arc;

use murder_location::disk::{Disk, DiskError};
use murder_proto::v1;
use prost::Message;
use rusqlite::params;

use super::recent::{PART_BYTES, PART_REVISIONS};
use super::{History, Revision, signed};

const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS history (revision INTEGER PRIMARY KEY, changes BLOB NOT NULL);";

/// What the history on disk has, and what it may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredHistory {
    /// It has every change after this.
    floor: u64,
    revisions: u64,
    bytes: u64,
    max_revisions: u64,
    max_bytes: u64,
}

impl StoredHistory {
    /// What is there; it keeps at most so many revisions and bytes.
    pub fn open(disk: &Disk, max_revisions: u64, max_bytes: u64) -> Result<Self, DiskError> {
        disk.connection.execute_batch(TABLE)?;
        let (revisions, bytes) = disk.connection.query_row(
            "SELECT COUNT(*), COALESCE(SUM(LENGTH(changes)), 0) FROM history",
            [],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
        )?;
        Ok(Self {
            floor: disk.number("history_floor")?,
            revisions: revisions.unsigned_abs(),
            bytes: bytes.unsigned_abs(),
            max_revisions,
            max_bytes,
        })
    }

    /// Within a transaction: adds these, and drops the oldest beyond the bounds. Returns what the
    /// history is once the transaction is committed.
    pub fn add(self, disk: &Disk, revisions: &[Arc<Revision>]) -> Result<Self, DiskError> {
        let mut after = self;
        let mut insert = disk
            .connection
            .prepare_cached("INSERT OR REPLACE INTO history VALUES (?1, ?2)")?;
        for revision in revisions {
            if revision.changes.is_empty() {
                continue;
            }
            let list = v1::ChangeList {
                changes: revision.changes.clone(),
            };
            let list = list.encode_to_vec();
            after.revisions += 1;
            after.bytes += list.len() as u64;
            insert.execute(params![signed(revision.revision), list])?;
        }
        after.trim(disk)?;
        Ok(after)
    }

    fn trim(&mut self, disk: &Disk) -> Result<(), DiskError> {
        let before = self.floor;
        let mut oldest = disk.connection.prepare_cached(
            "SELECT revision, LENGTH(changes) FROM history WHERE revision > ?1
             ORDER BY revision LIMIT 1",
        )?;
        while self.revisions > self.max_revisions || self.bytes > self.max_bytes {
            let (revision, bytes) = oldest.query_row([signed(self.floor)], |row| {
                Ok((
                    row.get::<_, i64>(0)?.unsigned_abs(),
                    row.get::<_, i64>(1)?.unsigned_abs(),
                ))
            })?;
            self.floor = revision;
            self.revisions -= 1;
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        if self.floor > before {
            disk.connection
                .prepare_cached("DELETE FROM history WHERE revision <= ?1")?
                .execute([signed(self.floor)])?;
            disk.connection
                .prepare_cached("INSERT OR REPLACE INTO meta VALUES ('history_floor', ?1)")?
                .execute([self.floor.to_be_bytes()])?;
        }
        Ok(())
    }

    /// Some of the changes after a revision; on disk they go up to the revision `flushed`.
    pub fn after(&self, disk: &Disk, after: u64, flushed: u64) -> Result<History, DiskError> {
        if after < self.floor {
            return Ok(History::Gone);
        }
        let mut statement = disk.connection.prepare_cached(
            "SELECT revision, changes FROM history WHERE revision > ?1 ORDER BY revision LIMIT ?2",
        )?;
        let mut rows = statement.query(params![signed(after), PART_REVISIONS as i64])?;
        let mut revisions = Vec::new();
        let mut total = 0;
        let mut up_to = flushed;
        while let Some(row) = rows.next()? {
            let revision = row.get::<_, i64>(0)?.unsigned_abs();
            let list = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            total += list.len();
            revisions.push(Arc::new(Revision {
                revision,
                changes: v1::ChangeList::decode(list)?.changes,
                bytes: list.len(),
            }));
            if total > PART_BYTES || revisions.len() == PART_REVISIONS {
                up_to = revision;
                break;
            }
        }
        Ok(History::Changes { revisions, up_to })
    }
}
