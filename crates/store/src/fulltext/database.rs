//! The file of an index.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::home::schema;

/// The version of the schema, of the trigrams' folding, and of what is the text of a message, in
/// `user_version`. An index of another version is made anew.
const VERSION: i64 = 2;
/// The files beside a home's database.
pub(crate) const EXTENSIONS: [&str; 3] = ["fts", "fts-wal", "fts-shm"];
/// Page cache of a connection, KiB.
const CACHE_KIB: i32 = 1024;
/// Pages in the WAL before they are carried over, with two `fsync`s: 4 MiB.
const WAL_PAGES: u32 = 1024;

/// `text` holds nothing but trigrams: no texts, no positions.
const SCHEMA: &str = "
CREATE TABLE mark (mailbox BLOB PRIMARY KEY, uid INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE doc (content INTEGER PRIMARY KEY, sum INTEGER NOT NULL) STRICT;
CREATE VIRTUAL TABLE text USING fts5(
    body, content='', contentless_delete=1, detail=none, tokenize='trigram case_sensitive 1'
);
";

/// The `sum` of a message that is not indexed, as it is too large.
pub(crate) const NOT_INDEXED: i64 = -1;

pub(crate) fn path(homes: &Path, home: u64) -> PathBuf {
    schema::path(homes, home).with_extension(EXTENSIONS[0])
}

/// Removes the index of a home.
pub(crate) fn remove(homes: &Path, home: u64) -> io::Result<()> {
    let path = schema::path(homes, home);
    for extension in EXTENSIONS {
        match std::fs::remove_file(path.with_extension(extension)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// Removes all indexes.
pub(crate) fn remove_all(homes: &Path) -> io::Result<()> {
    if !homes.exists() {
        return Ok(());
    }
    for home in schema::homes(homes)? {
        remove(homes, home)?;
    }
    Ok(())
}

/// Opens an index for reading; `None` if there is none that can be used.
pub(crate) fn open_to_read(homes: &Path, home: u64) -> rusqlite::Result<Option<Connection>> {
    let path = path(homes, home);
    if !path.exists() {
        return Ok(None);
    }
    let conn = Connection::open_with_flags(
        &path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    tune(&conn)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok((version(&conn)? == VERSION).then_some(conn))
}

fn tune(conn: &Connection) -> rusqlite::Result<()> {
    schema::tune(conn)?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    conn.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)
}

fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, "user_version", |r| r.get(0))
}

/// An index that is being written.
pub(crate) struct Index {
    conn: Connection,
}

impl Index {
    /// Opens the index of a home, making it if there is none or one of another version.
    pub fn open(homes: &Path, home: u64) -> rusqlite::Result<Self> {
        let make = || -> rusqlite::Result<Connection> {
            let conn = Connection::open(path(homes, home))?;
            conn.pragma_update(None, "journal_mode", "WAL")?;
            tune(&conn)?;
            Ok(conn)
        };
        let mut conn = make()?;
        let found = version(&conn)?;
        if found != VERSION {
            if found != 0 {
                drop(conn);
                remove(homes, home)
                    .map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
                conn = make()?;
            }
            let tx = conn.transaction()?;
            tx.execute_batch(SCHEMA)?;
            tx.pragma_update(None, "user_version", VERSION)?;
            tx.commit()?;
        }
        Ok(Self { conn })
    }

    /// Up to which UID a mailbox is indexed.
    pub fn mark(&self, mailbox: &[u8]) -> rusqlite::Result<u32> {
        let mut query = self
            .conn
            .prepare_cached("SELECT uid FROM mark WHERE mailbox = ?1")?;
        let mark = query.query_row([mailbox], |r| r.get(0)).optional()?;
        Ok(mark.unwrap_or(0))
    }

    /// Whether a content with this checksum is there, or known not to be for good.
    pub fn has(&self, content: i64, sum: i64) -> rusqlite::Result<bool> {
        let mut query = self
            .conn
            .prepare_cached("SELECT sum FROM doc WHERE content = ?1")?;
        let found: Option<i64> = query.query_row([content], |r| r.get(0)).optional()?;
        Ok(found.is_some_and(|found| found == sum || found == NOT_INDEXED))
    }

    /// Adds texts by content (`None` for one that is too large) with their checksums, and moves
    /// the mark of a mailbox, in one transaction.
    pub fn add(
        &mut self,
        texts: &[(i64, i64, Option<String>)],
        mailbox: &[u8],
        mark: u32,
    ) -> rusqlite::Result<()> {
        let tx = self.conn.transaction()?;
        for (content, sum, text) in texts {
            let known: Option<i64> = tx
                .prepare_cached("SELECT sum FROM doc WHERE content = ?1")?
                .query_row([content], |r| r.get(0))
                .optional()?;
            if known.is_some_and(|known| known != NOT_INDEXED) {
                tx.prepare_cached("DELETE FROM text WHERE rowid = ?1")?
                    .execute([content])?;
            }
            let sum = match text {
                Some(text) => {
                    tx.prepare_cached("INSERT INTO text (rowid, body) VALUES (?1, ?2)")?
                        .execute(params![content, text])?;
                    *sum
                }
                None => NOT_INDEXED,
            };
            tx.prepare_cached("INSERT OR REPLACE INTO doc VALUES (?1, ?2)")?
                .execute([*content, sum])?;
        }
        tx.prepare_cached("INSERT OR REPLACE INTO mark VALUES (?1, ?2)")?
            .execute(params![mailbox, mark])?;
        tx.commit()
    }

    /// How many contents it has.
    pub fn len(&self) -> rusqlite::Result<u64> {
        let count: i64 = self
            .conn
            .query_row("SELECT count(*) FROM doc", [], |r| r.get(0))?;
        Ok(count.cast_unsigned())
    }

    /// The contents that are not among `living`, which is sorted.
    pub fn dead(&self, living: &[i64]) -> rusqlite::Result<Vec<i64>> {
        let mut rows = self.conn.prepare("SELECT content FROM doc")?;
        let mut rows = rows.query([])?;
        let mut dead = Vec::new();
        while let Some(row) = rows.next()? {
            let content: i64 = row.get(0)?;
            if living.binary_search(&content).is_err() {
                dead.push(content);
            }
        }
        Ok(dead)
    }

    /// Removes contents, in one transaction.
    pub fn forget(&mut self, contents: &[i64]) -> rusqlite::Result<()> {
        let tx = self.conn.transaction()?;
        for content in contents {
            tx.prepare_cached("DELETE FROM text WHERE rowid = ?1")?
                .execute([content])?;
            tx.prepare_cached("DELETE FROM doc WHERE content = ?1")?
                .execute([content])?;
        }
        tx.commit()
    }

    /// Removes the marks of mailboxes that are not among `living`.
    pub fn forget_marks(&mut self, living: &[Vec<u8>]) -> rusqlite::Result<()> {
        let marks: Vec<Vec<u8>> = self
            .conn
            .prepare("SELECT mailbox FROM mark")?
            .query_map([], |r| r.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for mark in marks.iter().filter(|mark| !living.contains(mark)) {
            self.conn
                .execute("DELETE FROM mark WHERE mailbox = ?1", [mark])?;
        }
        Ok(())
    }
}
