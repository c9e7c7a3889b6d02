//! A home's SQLite file: where it is, what is in it, how it is made.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::StoreError;

/// The version of the schema, and of how the texts in it are decoded (previews, names of files),
/// in `user_version`.
pub(crate) const VERSION: i64 = 6;

/// Bytes of a page. Half of SQLite's own: a delivery touches half a dozen pages of a home and
/// fills none of them, and an empty home is a page for each table and index.
const PAGE_BYTES: u32 = 2048;
/// Bytes of a WAL that are carried over into the file when there are more, and kept for reuse.
pub(crate) const WAL_BYTES: u64 = 1 << 20;
/// Pages of a WAL after which the commit itself carries them over. A WAL is begun anew only when
/// all of it is in the file while nobody writes, so that of a busy home it grows; then little is
/// left to be carried over.
const WAL_PAGES: u32 = (16 << 20) / PAGE_BYTES;
/// Page cache of a connection, KiB. Small, since thousands of homes are open; what is hot is
/// in the views.
const CACHE_KIB: i32 = 64;
/// Prepared statements kept by a connection: as many as there are different ones.
const STATEMENTS: usize = 64;

const SCHEMA: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('applied_lsn', 0), ('key', ''), ('next_content', 1),
    ('purge_at', 0),
    -- Whose file this is; 0 until the first commit.
    ('home', 0), ('tag', 0);

CREATE TABLE mailbox (
    rowno INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    uidvalidity INTEGER NOT NULL,
    uidnext INTEGER NOT NULL,
    highestmodseq INTEGER NOT NULL,
    acl TEXT NOT NULL,
    special_use TEXT NOT NULL,
    shared_seen INTEGER NOT NULL,
    created INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    unseen INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    recent INTEGER NOT NULL,
    -- Until when a deleted mailbox can be restored; 0 for one that is there.
    keep_until INTEGER NOT NULL DEFAULT 0,
    deleted_at INTEGER NOT NULL DEFAULT 0,
    deleted_name TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE message (
    mailbox INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    keywords INTEGER NOT NULL,
    internal_date INTEGER NOT NULL,
    zone INTEGER NOT NULL,
    save_date INTEGER NOT NULL,
    sent INTEGER,
    sent_day INTEGER,
    segment INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    len INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    header_len INTEGER NOT NULL,
    email_id BLOB NOT NULL,
    content INTEGER NOT NULL,
    PRIMARY KEY (mailbox, uid)
) STRICT, WITHOUT ROWID;

-- What refers to a body, for compaction.
CREATE INDEX message_body ON message (segment, offset, len);

-- Keywords of mailboxes (`view/keywords.rs`): their names with id 0, a line each, in the order of
-- their numbers; the sets of those without bits with the ids that are in `message.keywords`.
CREATE TABLE keyword (
    mailbox INTEGER NOT NULL,
    id INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (mailbox, id)
) STRICT, WITHOUT ROWID;

-- Messages that can be restored. Keywords by name, a line each: the numbers are used anew.
CREATE TABLE expunged (
    mailbox INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    expunged_at INTEGER NOT NULL,
    keep_until INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    keywords TEXT NOT NULL,
    internal_date INTEGER NOT NULL,
    zone INTEGER NOT NULL,
    save_date INTEGER NOT NULL,
    sent INTEGER,
    sent_day INTEGER,
    segment INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    len INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    header_len INTEGER NOT NULL,
    email_id BLOB NOT NULL,
    content INTEGER NOT NULL,
    PRIMARY KEY (mailbox, uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX expunged_body ON expunged (segment, offset, len);
CREATE INDEX expunged_due ON expunged (keep_until);

-- Shared by the copies of a message within the home.
CREATE TABLE content (
    id INTEGER PRIMARY KEY,
    refs INTEGER NOT NULL,
    items BLOB NOT NULL
) STRICT;

CREATE TABLE tombstone (
    mailbox INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    low INTEGER NOT NULL,
    high INTEGER NOT NULL,
    PRIMARY KEY (mailbox, modseq, low)
) STRICT, WITHOUT ROWID;

CREATE TABLE seen (
    mailbox INTEGER NOT NULL,
    user TEXT NOT NULL,
    uids BLOB NOT NULL,
    PRIMARY KEY (mailbox, user)
) STRICT, WITHOUT ROWID;

-- Annotations of mailboxes, and of the home (mailbox 0). The user of what is shared, and of what
-- the home's owner has for himself, is empty.
CREATE TABLE annotation (
    mailbox INTEGER NOT NULL,
    user TEXT NOT NULL,
    entry TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (mailbox, user, entry)
) STRICT, WITHOUT ROWID;

CREATE TABLE subscription (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

-- The greatest UIDVALIDITY that a name had when its mailbox went.
CREATE TABLE name_history (
    name TEXT PRIMARY KEY,
    uidvalidity INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Roots by name below the home's root, with what the mailboxes they govern hold.
CREATE TABLE quota (
    root TEXT PRIMARY KEY,
    storage INTEGER,
    message INTEGER,
    mailbox INTEGER,
    used_bytes INTEGER NOT NULL,
    used_messages INTEGER NOT NULL,
    used_mailboxes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Appends and deliveries that are done once only, however often they are tried: what came of them.
-- UIDVALIDITY 0: it was not done, and is not to be.
CREATE TABLE once (
    id BLOB PRIMARY KEY,
    keep_until INTEGER NOT NULL,
    uidvalidity INTEGER NOT NULL,
    uids BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What the home's records did to segments since a checkpoint counted them.
CREATE TABLE segment_change (
    lsn INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    refs INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    added INTEGER NOT NULL,
    PRIMARY KEY (lsn, segment)
) STRICT, WITHOUT ROWID;

-- COPY and MOVE between partitions. Where messages go to: part 0 says how far it has come, the others
-- are messages that nobody sees yet. In the home of what leaves, part 0 says what it is.
CREATE TABLE transfer (
    id BLOB NOT NULL,
    part INTEGER NOT NULL,
    -- When it is forgotten; 0 for never, and for the other parts.
    keep_until INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (id, part)
) STRICT, WITHOUT ROWID;

-- What arrived by cross-home MOVEs since the last checkpoint, for the source to follow.
CREATE TABLE arrival (lsn INTEGER PRIMARY KEY, uids BLOB NOT NULL) STRICT;
";

/// The file of a home. Two hexadecimal digits of directories keep each of them listable.
pub(crate) fn path(dir: &Path, home: u64) -> PathBuf {
    dir.join(format!("{:02x}", home & 0xff))
        .join(format!("{home}.db"))
}

/// The WAL beside it.
pub(crate) fn wal_path(dir: &Path, home: u64) -> PathBuf {
    path(dir, home).with_extension("db-wal")
}

/// The homes that have files.
pub(crate) fn homes(dir: &Path) -> io::Result<Vec<u64>> {
    let mut homes = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(entry.path())? {
            let name = file?.file_name();
            let number = name.to_str().and_then(|n| n.strip_suffix(".db"));
            homes.extend(number.and_then(|n| n.parse::<u64>().ok()));
        }
    }
    Ok(homes)
}

/// What every connection to a home is set to.
pub(crate) fn tune(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(std::time::Duration::from_secs(10))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Closing one of thousands of homes must not cost two fsyncs; checkpoints take care.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    conn.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    conn.pragma_update(None, "journal_size_limit", WAL_BYTES.cast_signed())?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

/// Makes an empty home's bytes, to be written for each new one: SQLite's own way of making a
/// file costs several fsyncs.
pub(crate) fn template() -> Result<Vec<u8>, StoreError> {
    // "File format write version" and "read version" of SQLite's header: 2 is WAL, which a database
    // in memory cannot have.
    const FORMAT: std::ops::Range<usize> = 18..20;
    let make = || -> rusqlite::Result<Vec<u8>> {
        let mut conn = Connection::open_in_memory()?;
        conn.pragma_update(None, "page_size", PAGE_BYTES)?;
        conn.execute_batch(SCHEMA)?;
        conn.pragma_update(None, "user_version", VERSION)?;
        Ok(conn.serialize("main")?.to_vec())
    };
    let mut bytes = make().map_err(|e| StoreError::sql("making the template of a home", &e))?;
    if let Some(format) = bytes.get_mut(FORMAT) {
        format.fill(2);
    }
    Ok(bytes)
}

/// Opens a home for writing. One that is not there is made from the template, if that `may` be.
/// Returns whether it was made.
pub(crate) fn open(
    dir: &Path,
    home: u64,
    tag: u64,
    template: &[u8],
    may: bool,
) -> Result<(Connection, bool), StoreError> {
    let path = path(dir, home);
    let fresh = !path.exists();
    if fresh {
        if !may {
            return Err(missing(home));
        }
        make(&path, template, mark(home, tag)).map_err(|e| StoreError::io("making a home", &e))?;
    }
    let sql = |e: rusqlite::Error| sorted("opening a home", home, &e);
    let conn = Connection::open_with_flags(
        &path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(sql)?;
    tune(&conn).map_err(sql)?;
    if fresh {
        // A new WAL would be synced for its header. Until a checkpoint has synced it, the home
        // is made anew after a crash anyway.
        // Nothing is carried over to the file meanwhile, as that would not be synced either.
        conn.pragma_update(None, "synchronous", "OFF")
            .and_then(|()| conn.pragma_update(None, "wal_autocheckpoint", 0))
            .map_err(sql)?;
    }
    check(&conn, &path, home, tag)?;
    Ok((conn, fresh))
}

/// Where SQLite's header has the "application id".
const MARK_AT: usize = 68;

/// What the header of a home's file says. Whose it is stands in `meta` as well, but the page of that
/// may be in the WAL, which would fit any file.
fn mark(home: u64, tag: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&tag.to_le_bytes()), &home.to_le_bytes())
}

/// Whether the file itself, without its WAL, is that of this home. Only where no connection to it
/// is open: closing the file drops SQLite's locks on it.
pub(crate) fn is_file_of(path: &Path, home: u64, tag: u64) -> io::Result<bool> {
    let mut header = [0; MARK_AT + 4];
    let mut file = fs::File::open(path)?;
    match file.read_exact(&mut header) {
        Ok(()) => Ok(header[MARK_AT..] == mark(home, tag).to_be_bytes()),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

/// Opens a home's file for looking at it before anybody else does. Makes no file of shared memory,
/// for which a full disk has no room.
pub(crate) fn open_alone(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// Opens a home's file for reading.
pub(crate) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    tune(&conn)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// Whether a database is that of this home of this partition, in this version.
///
/// # Errors
/// [`StoreError::HomeDamaged`], [`StoreError::Newer`], [`StoreError::Io`].
pub(crate) fn check(conn: &Connection, path: &Path, home: u64, tag: u64) -> Result<(), StoreError> {
    let damaged = |why: String| Err(StoreError::HomeDamaged { home, why });
    let sql = |e: rusqlite::Error| sorted("opening a home", home, &e);
    let version: i64 = conn
        .pragma_query_value(None, "user_version", |r| r.get(0))
        .map_err(sql)?;
    match version {
        VERSION => {}
        newer if newer > VERSION => return Err(StoreError::newer(path)),
        older => return damaged(format!("schema version {older}, not {VERSION}")),
    }
    let meta = |key: &str| {
        conn.query_row("SELECT value FROM meta WHERE key = ?1", [key], |r| {
            r.get::<_, i64>(0).map(i64::cast_unsigned)
        })
    };
    let (is_home, is_tag) = (meta("home").map_err(sql)?, meta("tag").map_err(sql)?);
    match is_home {
        // Only what has not been committed yet.
        0 if meta("applied_lsn").map_err(sql)? == 0 => Ok(()),
        _ if is_tag != tag => damaged("its file is another partition's".into()),
        _ if is_home != home => damaged(format!("its file is that of home {is_home}")),
        _ => Ok(()),
    }
}

/// An error of SQLite about a home: either its content is damaged, or something else is wrong.
pub(crate) fn sorted(what: &'static str, home: u64, e: &rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode as Code;
    match e.sqlite_error_code() {
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => StoreError::HomeDamaged {
            home,
            why: e.to_string(),
        },
        // What is missing in it, or of another type than it should be.
        Some(Code::Unknown) | None => StoreError::HomeDamaged {
            home,
            why: e.to_string(),
        },
        _ => StoreError::sql(what, e),
    }
}

/// Ends what [`open`] began for a new home: from now on SQLite syncs before it overwrites.
pub(crate) fn settle(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)
}

/// Carries a home's WAL over into the file, as far as it is committed now, and makes both durable.
/// Nobody who reads or writes the home waits for it.
pub(crate) fn carry_over(dir: &Path, home: u64) -> rusqlite::Result<()> {
    let conn = Connection::open_with_flags(
        path(dir, home),
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    tune(&conn)?;
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// Writes the template to a name that is not in use, then moves it to its place: a home is
/// whole or not there.
fn make(path: &Path, template: &[u8], mark: u32) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    // Left over when a home was dropped and the machine stopped half way.
    for leftover in [path.with_extension("db-wal"), path.with_extension("db-shm")] {
        match fs::remove_file(leftover) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    let new = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&new)?;
    let (before, after) = template.split_at(MARK_AT.min(template.len()));
    file.write_all(before)?;
    file.write_all(&mark.to_be_bytes())?;
    file.write_all(after.get(4..).unwrap_or_default())?;
    // Closed before SQLite opens it: closing a file later would drop SQLite's locks on it.
    drop(file);
    fs::rename(&new, path)
}

/// A home whose file is not there though it should be.
pub(crate) fn missing(home: u64) -> StoreError {
    StoreError::HomeDamaged {
        home,
        why: "its file is missing".into(),
    }
}
