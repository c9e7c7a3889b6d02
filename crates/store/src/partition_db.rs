//! `partition.db`: what is known about the partition as of the last checkpoint. Everything in
//! it can be gathered again from the identity file, the homes and the journal.

mod homes;
mod segments;

pub(crate) use homes::{KnownHome, KnownHomes};

use self::homes::{HomeRow, encode};

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::catalogue::{DirtyHomes, HomeListing};
use crate::checkpoint::Changes;
use crate::error::{StoreError, is_of_the_disk};
use crate::home::{HomeOnDisk, HomeState, SegmentChange, SegmentChanges};
use crate::identity::{Identity, Stamp};
use crate::journal::checkpoint::Checkpoint;

/// The file's name in the partition's directory.
pub(crate) const FILE: &str = "partition.db";
const VERSION: i64 = 6;

const SCHEMA: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
-- `durable`: the file was on disk when the checkpoint was made.
CREATE TABLE home (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    mailboxes BLOB NOT NULL,
    durable INTEGER NOT NULL,
    -- When it has something to forget; 0 for never.
    purge_at INTEGER NOT NULL,
    -- The last record that it had applied.
    lsn INTEGER NOT NULL,
    -- CRC32C of the rest of the row: SQLite would not notice a wrong byte.
    crc INTEGER NOT NULL
) STRICT;
-- How many bodies in a file homes refer to.
CREATE TABLE segment (
    number INTEGER PRIMARY KEY,
    refs INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    -- References that ever came.
    added INTEGER NOT NULL,
    -- Bytes of the file, once it does not grow any more.
    size INTEGER NOT NULL DEFAULT 0
) STRICT;
-- Which homes they are: compaction asks them. A file goes only when it has none here, and no
-- references there.
CREATE TABLE segment_home (
    segment INTEGER NOT NULL,
    home INTEGER NOT NULL,
    refs INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (segment, home)
) STRICT, WITHOUT ROWID;
";

/// The open database.
#[derive(Debug)]
pub(crate) struct PartitionDb {
    conn: Connection,
    pub identity: Identity,
    /// The partition's own random number.
    pub tag: u64,
    pub checkpoint: Checkpoint,
    pub next_home: u64,
    /// What the murder's master knows at least, see [`crate::Report::uids`].
    pub reported: u64,
}

fn sql(e: rusqlite::Error) -> StoreError {
    unusable(Path::new(FILE), &e)
}

/// What goes wrong with it: either its content is, or the disk does not allow it.
fn unusable(path: &Path, e: &rusqlite::Error) -> StoreError {
    match is_of_the_disk(e) {
        true => StoreError::sql("using partition.db", e),
        false => StoreError::damaged(path, e.to_string()),
    }
}

impl PartitionDb {
    /// Makes that of a new partition, durable.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        let conn = Connection::open(path).map_err(sql)?;
        conn.pragma_update(None, "journal_mode", "WAL")
            .and_then(|()| conn.pragma_update(None, "synchronous", "FULL"))
            .map_err(sql)?;
        let stamp = Stamp {
            identity: Identity::new(),
            tag: (uuid::Uuid::new_v4().as_u128() as u64).max(1),
            checkpoint: Checkpoint::default(),
            last_home: 0,
        };
        let db = Self::fill(conn, &stamp)?;
        // Who it is shall not depend on the WAL.
        db.conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(sql)?;
        Ok(db)
    }

    /// Gathers it anew from what is on disk: in memory, or in a file that is not there yet. `lost`
    /// are homes that cannot be read, as they were known.
    pub fn gather(
        path: Option<&Path>,
        stamp: &Stamp,
        homes: &[HomeOnDisk],
        lost: &[(u64, HomeListing, KnownHome)],
    ) -> Result<Self, StoreError> {
        let conn = match path {
            Some(path) => Connection::open(path),
            None => Connection::open_in_memory(),
        };
        let conn = conn.map_err(sql)?;
        if path.is_some() {
            conn.pragma_update(None, "journal_mode", "WAL")
                .and_then(|()| conn.pragma_update(None, "synchronous", "FULL"))
                .map_err(sql)?;
        }
        let last_home = homes.iter().map(|home| home.id).max().unwrap_or(0);
        let stamp = Stamp {
            last_home: stamp.last_home.max(last_home),
            ..*stamp
        };
        let mut db = Self::fill(conn, &stamp)?;
        let (mut listings, mut changes) = (DirtyHomes::new(), Changes::default());
        for home in homes {
            if !home.key.is_empty() {
                let listing = (home.key.as_str().into(), home.listed.clone());
                listings.push((home.id, Some(listing)));
            }
            changes.merge(Changes::of_home(
                home.id,
                home.segments.clone(),
                HomeState {
                    purge_at: home.purge_at,
                    lsn: home.applied_lsn,
                },
            ));
        }
        for (home, listing, known) in lost {
            listings.push((*home, Some(listing.clone())));
            let state = HomeState {
                purge_at: 0,
                lsn: known.lsn,
            };
            changes.merge(Changes::of_home(*home, SegmentChanges::new(), state));
        }
        db.write(stamp.checkpoint, stamp.last_home, &listings, &changes)?;
        if path.is_some() {
            db.conn
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .map_err(sql)?;
        }
        Ok(db)
    }

    /// Writes the schema and what `stamp` says to an empty database.
    fn fill(mut conn: Connection, stamp: &Stamp) -> Result<Self, StoreError> {
        let Checkpoint {
            lsn,
            segment,
            offset,
            last_file,
            began,
            uids,
            epoch,
            level,
        } = stamp.checkpoint;
        let mut fill = || -> rusqlite::Result<()> {
            let tx = conn.transaction()?;
            tx.execute_batch(SCHEMA)?;
            for (key, id) in [
                ("partition", stamp.identity.partition),
                ("copy", stamp.identity.copy),
            ] {
                tx.execute("INSERT INTO meta VALUES (?1, ?2)", params![key, id])?;
            }
            for (key, value) in [
                ("tag", stamp.tag),
                ("checkpoint_lsn", lsn),
                ("scan_segment", segment),
                ("scan_offset", offset),
                ("last_file", last_file),
                ("began", began.cast_unsigned()),
                ("next_home", stamp.last_home),
                ("uids", uids),
                ("epoch", epoch),
                ("level", level.into()),
                ("reported", 0),
            ] {
                let value = value.cast_signed();
                tx.execute("INSERT INTO meta VALUES (?1, ?2)", params![key, value])?;
            }
            let crc = stamp.checksum();
            tx.execute("INSERT INTO meta VALUES ('crc', ?1)", [crc])?;
            tx.pragma_update(None, "user_version", VERSION)?;
            tx.commit()
        };
        fill().map_err(sql)?;
        Ok(Self {
            conn,
            identity: stamp.identity,
            tag: stamp.tag,
            checkpoint: stamp.checkpoint,
            next_home: stamp.last_home,
            reported: 0,
        })
    }

    /// Opens one that is there.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Newer`], [`StoreError::Format`],
    /// [`StoreError::DiskFull`], [`StoreError::Io`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn =
            Connection::open_with_flags(path, flags).map_err(|e| match path.try_exists() {
                Ok(false) => StoreError::damaged(path, "it is missing"),
                _ => unusable(path, &e),
            })?;
        let read = || -> rusqlite::Result<i64> {
            conn.busy_timeout(std::time::Duration::from_secs(10))?;
            conn.pragma_update(None, "synchronous", "FULL")?;
            conn.pragma_query_value(None, "user_version", |r| r.get(0))
        };
        let version = read().map_err(|e| unusable(path, &e))?;
        Self::with(conn, version, path)
    }

    /// Opens one as it is in the file alone, without what is in its WAL, and without changing or
    /// locking anything.
    ///
    /// # Errors
    /// As [`PartitionDb::open`].
    pub fn peek(path: &Path) -> Result<Self, StoreError> {
        // What has a meaning in a URI.
        let name = path.to_string_lossy();
        let name = name
            .replace('%', "%25")
            .replace('?', "%3f")
            .replace('#', "%23");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let uri = PathBuf::from(format!("file:{name}?immutable=1"));
        let conn = Connection::open_with_flags(uri, flags).map_err(|e| unusable(path, &e))?;
        let version = conn
            .pragma_query_value(None, "user_version", |r| r.get(0))
            .map_err(|e| unusable(path, &e))?;
        Self::with(conn, version, path)
    }

    fn with(conn: Connection, version: i64, path: &Path) -> Result<Self, StoreError> {
        match version {
            VERSION => {}
            0 => return Err(StoreError::damaged(path, "it is empty")),
            newer if newer > VERSION => return Err(StoreError::newer(path)),
            older => {
                return Err(StoreError::Format {
                    path: path.to_owned(),
                    why: format!("version {older}, this is for version {VERSION}"),
                });
            }
        }
        let value = |key: &str| -> rusqlite::Result<u64> {
            conn.query_row("SELECT value FROM meta WHERE key = ?1", [key], |r| {
                r.get::<_, i64>(0).map(i64::cast_unsigned)
            })
        };
        let id = |key: &str| -> rusqlite::Result<[u8; 16]> {
            conn.query_row("SELECT value FROM meta WHERE key = ?1", [key], |r| r.get(0))
        };
        // Older ones do not have it.
        let or_zero = |key: &str| value(key).optional().map(Option::unwrap_or_default);
        let read = || -> rusqlite::Result<_> {
            let identity = Identity {
                partition: id("partition")?,
                copy: id("copy")?,
            };
            let checkpoint = Checkpoint {
                lsn: value("checkpoint_lsn")?,
                segment: value("scan_segment")?,
                offset: value("scan_offset")?,
                last_file: value("last_file")?,
                began: value("began")?.cast_signed(),
                uids: value("uids")?,
                epoch: or_zero("epoch")?,
                level: u32::try_from(or_zero("level")?).unwrap_or(u32::MAX),
            };
            let numbers = (value("tag")?, value("next_home")?, value("reported")?);
            Ok((identity, checkpoint, numbers))
        };
        let (identity, checkpoint, (tag, next_home, reported)) =
            read().map_err(|e| unusable(path, &e))?;
        let crc = value("crc").map_err(|e| unusable(path, &e))?;
        let db = Self {
            conn,
            identity,
            tag,
            checkpoint,
            next_home,
            reported,
        };
        match crc == u64::from(db.stamp().checksum()) {
            true => Ok(db),
            false => Err(StoreError::damaged(path, "its checksum is wrong")),
        }
    }

    /// What the identity file is to say.
    pub fn stamp(&self) -> Stamp {
        Stamp {
            identity: self.identity,
            tag: self.tag,
            checkpoint: self.checkpoint,
            last_home: self.next_home,
        }
    }

    /// Writes a checkpoint: all of it or nothing.
    pub fn write(
        &mut self,
        checkpoint: Checkpoint,
        next_home: u64,
        catalogue: &DirtyHomes,
        changes: &Changes,
    ) -> Result<(), StoreError> {
        let stamp = Stamp {
            checkpoint,
            last_home: next_home,
            ..self.stamp()
        };
        let mut write = || -> rusqlite::Result<()> {
            let tx = self.conn.transaction()?;
            {
                let mut listings: HashMap<u64, Option<&HomeListing>> = HashMap::new();
                listings.extend(catalogue.iter().map(|(home, l)| (*home, l.as_ref())));
                let homes: BTreeSet<u64> = (listings.keys())
                    .chain(changes.homes.keys())
                    .copied()
                    .collect();
                let mut get = tx.prepare_cached(
                    "SELECT id, key, mailboxes, durable, purge_at, lsn FROM home WHERE id = ?1",
                )?;
                let mut put = tx.prepare_cached(
                    "INSERT OR REPLACE INTO home VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?;
                let mut remove = tx.prepare_cached("DELETE FROM home WHERE id = ?1")?;
                for home in homes {
                    let id = home.cast_signed();
                    let old = get.query_row([id], HomeRow::read).optional()?;
                    let mut row = match (listings.get(&home), old) {
                        (Some(None), _) => {
                            remove.execute([id])?;
                            continue;
                        }
                        (Some(Some((key, mailboxes))), old) => HomeRow {
                            key: key.to_string(),
                            mailboxes: encode(mailboxes),
                            ..old.unwrap_or_default()
                        },
                        (None, Some(old)) => old,
                        // Without a mailbox, and never had one.
                        (None, None) => continue,
                    };
                    if let Some(state) = changes.homes.get(&home) {
                        row.durable = true;
                        row.purge_at = state.purge_at;
                        row.lsn = state.lsn;
                    }
                    row.write(&mut put, home)?;
                }
                let mut count = tx.prepare_cached(
                    "INSERT INTO segment VALUES (?1, ?2, ?3, ?4, 0) ON CONFLICT (number) \
                     DO UPDATE SET refs = refs + excluded.refs, bytes = bytes + excluded.bytes, \
                     added = added + excluded.added",
                )?;
                let mut of_home = tx.prepare_cached(
                    "INSERT INTO segment_home VALUES (?1, ?2, ?3, ?4) \
                     ON CONFLICT (segment, home) \
                     DO UPDATE SET refs = refs + excluded.refs, bytes = bytes + excluded.bytes \
                     RETURNING refs",
                )?;
                let mut none =
                    tx.prepare_cached("DELETE FROM segment_home WHERE segment = ?1 AND home = ?2")?;
                let mut sums: BTreeMap<u64, SegmentChange> = BTreeMap::new();
                for (&(segment, home), &change) in &changes.segments {
                    sums.entry(segment).or_default().add(change);
                    let place = (segment.cast_signed(), home.cast_signed());
                    let refs: i64 = of_home
                        .query_row(params![place.0, place.1, change.refs, change.bytes], |r| {
                            r.get(0)
                        })?;
                    if refs == 0 {
                        none.execute(place)?;
                    }
                }
                for (segment, sum) in sums {
                    let segment = segment.cast_signed();
                    count.execute(params![segment, sum.refs, sum.bytes, sum.added])?;
                }
                let mut meta = tx.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
                for (key, value) in [
                    ("checkpoint_lsn", checkpoint.lsn),
                    ("scan_segment", checkpoint.segment),
                    ("scan_offset", checkpoint.offset),
                    ("last_file", checkpoint.last_file),
                    ("began", checkpoint.began.cast_unsigned()),
                    ("next_home", next_home),
                    ("uids", checkpoint.uids),
                    ("epoch", checkpoint.epoch),
                    ("level", checkpoint.level.into()),
                    ("reported", self.reported),
                    ("crc", u64::from(stamp.checksum())),
                ] {
                    meta.execute(params![key, value.cast_signed()])?;
                }
            }
            tx.commit()
        };
        write().map_err(sql)?;
        self.checkpoint = checkpoint;
        self.next_home = next_home;
        Ok(())
    }
}
