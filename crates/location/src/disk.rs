//! The replicated tables on disk: one SQLite file whose revision is written in the same
//! transaction as the records. The master's state and a replica's durable copy are both
//! this.

use std::path::{Path, PathBuf};

use murder_proto::v1;
use prost::Message;
use rusqlite::{Connection, OptionalExtension, params};

use crate::record::{Change, InvalidRecord};
use crate::tables::Tables;

/// Of the file's layout; another one is refused.
const LAYOUT: i64 = 1;
/// Bytes of a murder's identity.
pub const MURDER_ID: usize = 16;
/// Pages of the write-ahead log between checkpoints, 4 KiB each.
const CHECKPOINT_PAGES: i64 = 4000;

const MAILBOX: i64 = 1;
const PARTITION: i64 = 2;
const NODE: i64 = 3;
const ACCOUNT: i64 = 4;
const REVOCATION: i64 = 5;
const BLOCK: i64 = 40;

/// Why the file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A directory or a file cannot be used.
    #[error("cannot use {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite cannot read or write it.
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// Another version has made it.
    #[error("layout {0} is not the one of this version ({LAYOUT})")]
    Layout(i64),
    /// A record is no message.
    #[error("damaged record: {0}")]
    Decode(#[from] prost::DecodeError),
    /// A record makes no sense.
    #[error("damaged record: {0}")]
    Record(#[from] InvalidRecord),
}

impl DiskError {
    /// Another process has the file open.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Sqlite(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy))
    }
}

/// How hard a committed transaction is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// It survives a power failure.
    Full,
    /// A power failure may lose the last ones, never part of one.
    Normal,
}

/// What is known beside the records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// That the records are of.
    pub revision: u64,
    /// The murder that they are of.
    pub murder_id: Vec<u8>,
    /// The murders that this one succeeds; a master's only.
    pub predecessors: Vec<Vec<u8>>,
    /// The greatest UIDVALIDITY ever given; a master's only.
    pub last_uidvalidity: u32,
    /// Milliseconds since 1970 of the last write.
    pub saved_ms: u64,
}

/// The file.
pub struct Disk {
    /// For what else its owner keeps in it; the tables `record` and `meta` are this module's.
    pub connection: Connection,
}

impl Disk {
    /// Opens or makes the file. No other process can have it open at the same time.
    ///
    /// # Errors
    /// When it cannot be used, or is of another layout.
    pub fn open(path: &Path, synchronous: Synchronous) -> Result<Self, DiskError> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(|source| DiskError::Io {
                path: dir.to_owned(),
                source,
            })?;
        }
        let connection = Connection::open(path)?;
        connection.set_prepared_statement_cache_capacity(32);
        // A replica of before in this process may be writing its last revision.
        connection.busy_timeout(match synchronous {
            Synchronous::Full => std::time::Duration::from_millis(100),
            Synchronous::Normal => std::time::Duration::from_secs(2),
        })?;
        // Before WAL is entered: no shared memory file, and a second process is kept out.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(
            None,
            "synchronous",
            match synchronous {
                Synchronous::Full => "FULL",
                Synchronous::Normal => "NORMAL",
            },
        )?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        // Takes the lock now rather than at the first write.
        connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")?;
        let layout: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match layout {
            0 => {
                connection.execute_batch(
                    "BEGIN;
                     CREATE TABLE record (
                         kind INTEGER NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,
                         PRIMARY KEY (kind, name)) WITHOUT ROWID;
                     CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;",
                )?;
                connection.pragma_update(None, "user_version", LAYOUT)?;
                connection.execute_batch("COMMIT")?;
            }
            LAYOUT => {}
            other => return Err(DiskError::Layout(other)),
        }
        Ok(Self { connection })
    }

    /// Everything that is there.
    ///
    /// # Errors
    /// When it cannot be read, or a record makes no sense.
    pub fn load(&self) -> Result<(Meta, Tables), DiskError> {
        let mut tables = Tables::default();
        let mut statement = self
            .connection
            .prepare("SELECT value FROM record ORDER BY kind, name")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let value = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
            tables.apply(&Change::from_proto(v1::Change::decode(value)?)?);
        }
        tables.map.compact();
        let number = |key: &str| self.number(key);
        let meta = Meta {
            revision: number("revision")?,
            murder_id: self.meta("murder_id")?.unwrap_or_default(),
            predecessors: self.meta("predecessors")?.map_or_else(Vec::new, |ids| {
                ids.chunks(MURDER_ID).map(<[u8]>::to_vec).collect()
            }),
            last_uidvalidity: u32::try_from(number("last_uidvalidity")?).unwrap_or(u32::MAX),
            saved_ms: number("saved_ms")?,
        };
        Ok((meta, tables))
    }

    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, DiskError> {
        Ok(self
            .connection
            .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| {
                row.get(0)
            })
            .optional()?)
    }

    /// A number known beside the records; 0 when there is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn number(&self, key: &str) -> Result<u64, DiskError> {
        Ok(self.meta(key)?.map_or(0, |bytes| {
            bytes.try_into().map(u64::from_be_bytes).unwrap_or_default()
        }))
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// When SQLite cannot.
    pub fn begin(&self) -> Result<(), DiskError> {
        Ok(self.connection.execute_batch("BEGIN IMMEDIATE")?)
    }

    /// Ends it; what it wrote is durable as [`Disk::open`] was told.
    ///
    /// # Errors
    /// When SQLite cannot.
    pub fn commit(&self) -> Result<(), DiskError> {
        Ok(self.connection.execute_batch("COMMIT")?)
    }

    /// Undoes what the open transaction has done, if there is one.
    pub fn rollback(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "rollback failed");
        }
    }

    /// Writes a record, or removes it. Within a transaction.
    ///
    /// # Errors
    /// When SQLite cannot.
    pub fn put(&self, change: &v1::Change) -> Result<(), DiskError> {
        use v1::change::Kind;
        let (kind, name, gone) = match &change.kind {
            Some(Kind::Mailbox(mailbox)) => (MAILBOX, &mailbox.name, false),
            Some(Kind::MailboxGone(name)) => (MAILBOX, name, true),
            Some(Kind::Partition(partition)) => (PARTITION, &partition.name, false),
            Some(Kind::PartitionGone(name)) => (PARTITION, name, true),
            Some(Kind::Node(node)) => (NODE, &node.name, false),
            Some(Kind::NodeGone(name)) => (NODE, name, true),
            Some(Kind::Account(account)) => (ACCOUNT, &account.name, false),
            Some(Kind::AccountGone(name)) => (ACCOUNT, name, true),
            Some(Kind::Block(block)) => (BLOCK, &block.network, false),
            Some(Kind::BlockGone(network)) => (BLOCK, network, true),
            Some(Kind::Revocation(revocation)) => (REVOCATION, &revocation.name, false),
            Some(Kind::RevocationGone(name)) => (REVOCATION, name, true),
            None => return Ok(()),
        };
        if gone {
            self.connection
                .prepare_cached("DELETE FROM record WHERE kind = ?1 AND name = ?2")?
                .execute(params![kind, name])?;
        } else {
            self.connection
                .prepare_cached("INSERT OR REPLACE INTO record VALUES (?1, ?2, ?3)")?
                .execute(params![kind, name, change.encode_to_vec()])?;
        }
        Ok(())
    }

    /// Removes all records. Within a transaction.
    ///
    /// # Errors
    /// When SQLite cannot.
    pub fn clear(&self) -> Result<(), DiskError> {
        self.connection.execute("DELETE FROM record", [])?;
        Ok(())
    }

    /// Writes what is known beside the records. Within their transaction.
    ///
    /// # Errors
    /// When SQLite cannot.
    pub fn put_meta(&self, meta: &Meta) -> Result<(), DiskError> {
        let mut statement = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
        let last_uidvalidity = u64::from(meta.last_uidvalidity);
        statement.execute(params!["revision", meta.revision.to_be_bytes()])?;
        statement.execute(params!["murder_id", meta.murder_id])?;
        statement.execute(params!["predecessors", meta.predecessors.concat()])?;
        statement.execute(params!["last_uidvalidity", last_uidvalidity.to_be_bytes()])?;
        statement.execute(params!["saved_ms", meta.saved_ms.to_be_bytes()])?;
        Ok(())
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durability_is_what_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        for (synchronous, expected) in [(Synchronous::Full, 2), (Synchronous::Normal, 1)] {
            let disk = Disk::open(&dir.path().join("x.sqlite3"), synchronous).unwrap();
            let value: i64 = disk
                .connection
                .pragma_query_value(None, "synchronous", |row| row.get(0))
                .unwrap();
            assert_eq!(value, expected);
            let mode: String = disk
                .connection
                .pragma_query_value(None, "journal_mode", |row| row.get(0))
                .unwrap();
            assert_eq!(mode, "wal");
        }
    }

    #[test]
    fn another_layout_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sqlite3");
        let disk = Disk::open(&path, Synchronous::Full).unwrap();
        disk.connection
            .pragma_update(None, "user_version", 99)
            .unwrap();
        drop(disk);
        assert!(matches!(
            Disk::open(&path, Synchronous::Full),
            Err(DiskError::Layout(99))
        ));
    }
}
