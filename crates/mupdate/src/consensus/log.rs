//! The log: entries, in order, each at its revision. Those that the tables on disk contain are
//! forgotten.

use murder_location::disk::{Disk, DiskError};
use murder_proto::v1;
use prost::Message;
use rusqlite::params;

use super::signed;

const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS log (revision INTEGER PRIMARY KEY, entry BLOB NOT NULL);";

/// Makes the table if it is not there.
pub(super) fn open(disk: &Disk) -> Result<(), DiskError> {
    Ok(disk.connection.execute_batch(TABLE)?)
}

/// The entries after a revision, with theirs.
pub(super) fn after(disk: &Disk, revision: u64) -> Result<Vec<(u64, v1::LogEntry)>, DiskError> {
    let mut statement = disk
        .connection
        .prepare("SELECT revision, entry FROM log WHERE revision > ?1 ORDER BY revision")?;
    let mut rows = statement.query([signed(revision)])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let revision = row.get::<_, i64>(0)?.unsigned_abs();
        let entry = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        entries.push((revision, v1::LogEntry::decode(entry)?));
    }
    Ok(entries)
}

/// Within a transaction: adds entries after the revision `last`.
pub(super) fn append(disk: &Disk, last: u64, entries: &[&v1::LogEntry]) -> Result<(), DiskError> {
    // A revision whose transaction failed may be there all the same: nobody was told, and it was
    // not applied.
    let mut insert = disk
        .connection
        .prepare_cached("INSERT OR REPLACE INTO log VALUES (?1, ?2)")?;
    for (revision, entry) in (last + 1..).zip(entries) {
        insert.execute(params![signed(revision), entry.encode_to_vec()])?;
    }
    Ok(())
}

/// Within a transaction: forgets the entries up to a revision.
pub(super) fn forget(disk: &Disk, up_to: u64) -> Result<(), DiskError> {
    disk.connection
        .prepare_cached("DELETE FROM log WHERE revision <= ?1")?
        .execute([signed(up_to)])?;
    Ok(())
}
