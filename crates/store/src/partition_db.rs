//! `partition.db`: what is known about the partition as of the last checkpoint. Everything in
//! it can be gathered again from the identity file, the homes and the journal.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use murder_mailbox::MailboxId;
use prost::Message;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Statement, params};

use crate::catalogue::{Catalogue, DirtyHomes, HomeListing, Listed};
use crate::checkpoint::{Changes, HomeState};
use crate::error::{StoreError, is_of_the_disk};
use crate::home::{HomeOnDisk, SegmentChange, SegmentChanges};
use crate::identity::{Identity, Stamp};

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

#[derive(Clone, PartialEq, Message)]
struct StoredMailbox {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(uint32, tag = "3")]
    uidvalidity: u32,
    #[prost(string, tag = "4")]
    acl: String,
    #[prost(string, tag = "5")]
    special_use: String,
    #[prost(bool, tag = "6")]
    shared_seen: bool,
}

#[derive(Clone, PartialEq, Message)]
struct StoredMailboxes {
    #[prost(message, repeated, tag = "1")]
    mailboxes: Vec<StoredMailbox>,
}

/// The last checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Checkpoint {
    /// Every record up to this one is durable in the homes.
    pub lsn: u64,
    /// Where the next record is looked for.
    pub segment: u64,
    /// Where in that segment.
    pub offset: u64,
    /// No file of the journal had a greater number.
    pub last_file: u64,
    /// When it began, in seconds since 1970 by the system's clock: no home had anything of a later
    /// record before.
    pub began: i64,
    /// The UIDs that records up to this one gave out.
    pub uids: u64,
}

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

    /// Fills the catalogue. Returns the homes that the checkpoint knew.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Io`].
    pub fn load(&self, catalogue: &Catalogue) -> Result<KnownHomes, StoreError> {
        catalogue.raise_next_home(self.next_home);
        let mut known = KnownHomes::new();
        let mut rows = self
            .conn
            .prepare("SELECT id, key, mailboxes, durable, purge_at, lsn, crc FROM home")
            .map_err(sql)?;
        let mut rows = rows.query([]).map_err(sql)?;
        let damaged = |why: String| StoreError::damaged(FILE, why);
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(e) => return Err(sql(e)),
            };
            let read = || -> rusqlite::Result<_> {
                Ok((HomeRow::read(row)?, row.get::<_, i64>(0)?, row.get(6)?))
            };
            let (home, id, crc): (HomeRow, i64, u32) = read().map_err(sql)?;
            let id = id.cast_unsigned();
            if home.checksum(id) != crc {
                return Err(damaged(format!("home {id}: its checksum is wrong")));
            }
            known.insert(
                id,
                KnownHome {
                    durable: home.durable,
                    lsn: home.lsn,
                },
            );
            let mailboxes = StoredMailboxes::decode(home.mailboxes.as_slice())
                .map_err(|e| damaged(format!("home {id}: {e}")))?;
            let listed = mailboxes.mailboxes.into_iter().filter_map(|m| {
                Some(Listed {
                    name: m.name.into(),
                    id: MailboxId::from_slice(&m.id)?,
                    uidvalidity: m.uidvalidity,
                    acl: m.acl.into(),
                    special_use: m.special_use.parse().ok(),
                    shared_seen: m.shared_seen,
                })
            });
            catalogue.put(id, &home.key, listed.collect());
        }
        catalogue.take_dirty();
        // The other tables must be readable too.
        self.segments()?;
        self.living()?;
        Ok(known)
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
                let mut meta = tx.prepare_cached("UPDATE meta SET value = ?2 WHERE key = ?1")?;
                for (key, value) in [
                    ("checkpoint_lsn", checkpoint.lsn),
                    ("scan_segment", checkpoint.segment),
                    ("scan_offset", checkpoint.offset),
                    ("last_file", checkpoint.last_file),
                    ("began", checkpoint.began.cast_unsigned()),
                    ("next_home", next_home),
                    ("uids", checkpoint.uids),
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

    /// Living bodies in each file, and their bytes.
    pub fn segments(&self) -> Result<BTreeMap<u64, SegmentChange>, StoreError> {
        let read = || -> rusqlite::Result<BTreeMap<u64, SegmentChange>> {
            let mut rows = self
                .conn
                .prepare_cached("SELECT number, refs, bytes, added FROM segment")?;
            let rows = rows.query_map([], |r| {
                let live = SegmentChange {
                    refs: r.get(1)?,
                    bytes: r.get(2)?,
                    added: r.get(3)?,
                };
                Ok((r.get::<_, i64>(0)?.cast_unsigned(), live))
            })?;
            rows.collect()
        };
        read().map_err(sql)
    }

    /// The files in which bodies live, with their sizes as far as they are known, and how large
    /// they are at least.
    pub fn living(&self) -> Result<Vec<LivingFile>, StoreError> {
        let read = || -> rusqlite::Result<Vec<LivingFile>> {
            let mut rows = self.conn.prepare_cached(
                "SELECT number, size, refs, bytes FROM segment \
                 WHERE refs != 0 OR EXISTS \
                 (SELECT 1 FROM segment_home WHERE segment_home.segment = segment.number)",
            )?;
            let rows = rows.query_map([], |r| {
                let (size, refs, bytes): (i64, i64, i64) = (r.get(1)?, r.get(2)?, r.get(3)?);
                Ok(LivingFile {
                    number: r.get::<_, i64>(0)?.cast_unsigned(),
                    size: u64::try_from(size).unwrap_or(0),
                    largest: u64::try_from(bytes / refs.max(1)).unwrap_or(0),
                })
            })?;
            rows.collect()
        };
        read().map_err(sql)
    }

    /// Notes the size of a file that does not grow any more.
    pub fn set_size(&self, number: u64, size: u64) -> Result<(), StoreError> {
        self.conn
            .prepare_cached("UPDATE segment SET size = ?2 WHERE number = ?1 AND size = 0")
            .and_then(|mut s| s.execute(params![number.cast_signed(), size.cast_signed()]))
            .map(|_| ())
            .map_err(sql)
    }

    /// The homes that refer to bodies in a file.
    pub fn homes_of(&self, segment: u64) -> Result<Vec<u64>, StoreError> {
        let read = || -> rusqlite::Result<Vec<u64>> {
            let mut rows = self
                .conn
                .prepare_cached("SELECT home FROM segment_home WHERE segment = ?1 AND refs > 0")?;
            let rows = rows.query_map([segment.cast_signed()], |r| {
                Ok(r.get::<_, i64>(0)?.cast_unsigned())
            })?;
            rows.collect()
        };
        read().map_err(sql)
    }

    /// The files in which a home has bodies.
    pub fn files_of(&self, home: u64) -> Result<Vec<u64>, StoreError> {
        let read = || -> rusqlite::Result<Vec<u64>> {
            let mut rows = self
                .conn
                .prepare_cached("SELECT segment FROM segment_home WHERE home = ?1")?;
            let rows = rows.query_map([home.cast_signed()], |r| {
                Ok(r.get::<_, i64>(0)?.cast_unsigned())
            })?;
            rows.collect()
        };
        read().map_err(sql)
    }

    /// The homes that have something to forget.
    pub fn due(&self, now: i64) -> Result<Vec<u64>, StoreError> {
        let read = || -> rusqlite::Result<Vec<u64>> {
            let mut rows = self
                .conn
                .prepare_cached("SELECT id FROM home WHERE purge_at BETWEEN 1 AND ?1")?;
            let rows = rows.query_map([now], |r| Ok(r.get::<_, i64>(0)?.cast_unsigned()))?;
            rows.collect()
        };
        read().map_err(sql)
    }

    /// Forgets a file that is removed.
    pub fn forget_segment(&self, number: u64) -> Result<(), StoreError> {
        for statement in [
            "DELETE FROM segment WHERE number = ?1",
            "DELETE FROM segment_home WHERE segment = ?1",
        ] {
            self.conn
                .prepare_cached(statement)
                .and_then(|mut s| s.execute([number.cast_signed()]))
                .map_err(sql)?;
        }
        Ok(())
    }
}

/// A file in which bodies live.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LivingFile {
    pub number: u64,
    /// Its bytes; 0 when they are not known.
    pub size: u64,
    /// A body in it has at least this many bytes.
    pub largest: u64,
}

/// The homes that a checkpoint knew.
pub(crate) type KnownHomes = HashMap<u64, KnownHome>;

/// What a checkpoint knew of a home.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownHome {
    /// Its file was on disk.
    pub durable: bool,
    /// The last record that it had applied.
    pub lsn: u64,
}

/// A row of `home`.
#[derive(Debug, Default)]
struct HomeRow {
    key: String,
    mailboxes: Vec<u8>,
    durable: bool,
    purge_at: i64,
    lsn: u64,
}

impl HomeRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get(1)?,
            mailboxes: row.get(2)?,
            durable: row.get(3)?,
            purge_at: row.get(4)?,
            lsn: row.get::<_, i64>(5)?.cast_unsigned(),
        })
    }

    fn checksum(&self, id: u64) -> u32 {
        let mut crc = crc32c::crc32c(&id.to_le_bytes());
        for part in [
            self.key.as_bytes(),
            &[0],
            &self.mailboxes,
            &[u8::from(self.durable)],
            &self.purge_at.to_le_bytes(),
            &self.lsn.to_le_bytes(),
        ] {
            crc = crc32c::crc32c_append(crc, part);
        }
        crc
    }

    fn write(&self, put: &mut Statement<'_>, id: u64) -> rusqlite::Result<()> {
        put.execute(params![
            id.cast_signed(),
            self.key,
            self.mailboxes,
            self.durable,
            self.purge_at,
            self.lsn.cast_signed(),
            self.checksum(id)
        ])
        .map(|_| ())
    }
}

fn encode(mailboxes: &[Listed]) -> Vec<u8> {
    let mailboxes = mailboxes.iter().map(|m| StoredMailbox {
        name: m.name.to_string(),
        id: m.id.to_bytes().to_vec(),
        uidvalidity: m.uidvalidity,
        acl: m.acl.to_string(),
        special_use: m
            .special_use
            .map_or_else(String::new, |u| u.as_str().to_owned()),
        shared_seen: m.shared_seen,
    });
    StoredMailboxes {
        mailboxes: mailboxes.collect(),
    }
    .encode_to_vec()
}
