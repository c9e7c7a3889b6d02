//! `partition.db`: what is known about the partition as of the last checkpoint. Everything in
//! it but the tag could be gathered again from the homes and the journal.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use murder_mailbox::MailboxId;
use prost::Message;
use rusqlite::{Connection, params};

use crate::catalogue::{Catalogue, DirtyHomes, Listed};
use crate::checkpoint::Changes;
use crate::error::StoreError;
use crate::home::SegmentChange;

const VERSION: i64 = 6;

const SCHEMA: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
-- `durable`: the file was on disk when the checkpoint was made.
CREATE TABLE home (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    mailboxes BLOB NOT NULL,
    durable INTEGER NOT NULL,
    -- When it has something to forget; 0 for never.
    purge_at INTEGER NOT NULL
) STRICT;
-- How many bodies in a file homes refer to.
CREATE TABLE segment (
    number INTEGER PRIMARY KEY,
    refs INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    -- References that ever came.
    added INTEGER NOT NULL
) STRICT;
-- Which homes they are: compaction asks them.
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
    /// The UIDs that records up to this one gave out.
    pub uids: u64,
}

/// The open database.
#[derive(Debug)]
pub(crate) struct PartitionDb {
    conn: Connection,
    /// The partition's own random number.
    pub tag: u64,
    pub checkpoint: Checkpoint,
    pub next_home: u64,
    /// What the murder's master knows at least, see [`crate::Report::uids`].
    pub reported: u64,
}

fn sql(e: rusqlite::Error) -> StoreError {
    StoreError::sql("using partition.db", &e)
}

impl PartitionDb {
    /// Opens or makes it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut conn = Connection::open(path).map_err(sql)?;
        conn.pragma_update(None, "journal_mode", "WAL")
            .map_err(sql)?;
        conn.pragma_update(None, "synchronous", "FULL")
            .map_err(sql)?;
        let version: i64 = conn
            .pragma_query_value(None, "user_version", |r| r.get(0))
            .map_err(sql)?;
        if version == 0 {
            let tx = conn.transaction().map_err(sql)?;
            tx.execute_batch(SCHEMA).map_err(sql)?;
            let tag = (uuid::Uuid::new_v4().as_u128() as u64).max(1);
            for (key, value) in [
                ("tag", tag),
                ("checkpoint_lsn", 0),
                ("scan_segment", 0),
                ("scan_offset", 0),
                ("next_home", 0),
                ("uids", 0),
                ("reported", 0),
            ] {
                tx.execute(
                    "INSERT INTO meta VALUES (?1, ?2)",
                    params![key, value.cast_signed()],
                )
                .map_err(sql)?;
            }
            tx.pragma_update(None, "user_version", VERSION)
                .map_err(sql)?;
            tx.commit().map_err(sql)?;
        } else if version != VERSION {
            return Err(StoreError::Format {
                path: path.to_owned(),
                why: format!("version {version}, this is for version {VERSION}"),
            });
        }
        let meta = |key: &str| -> Result<u64, StoreError> {
            conn.query_row("SELECT value FROM meta WHERE key = ?1", [key], |r| {
                r.get::<_, i64>(0)
            })
            .map(i64::cast_unsigned)
            .map_err(sql)
        };
        let (tag, next_home) = (meta("tag")?, meta("next_home")?);
        let reported = meta("reported")?;
        let checkpoint = Checkpoint {
            lsn: meta("checkpoint_lsn")?,
            segment: meta("scan_segment")?,
            offset: meta("scan_offset")?,
            uids: meta("uids")?,
        };
        Ok(Self {
            conn,
            tag,
            checkpoint,
            next_home,
            reported,
        })
    }

    /// Fills the catalogue. Returns the homes whose files were on disk at the checkpoint.
    pub fn load(&self, catalogue: &Catalogue) -> Result<HashSet<u64>, StoreError> {
        catalogue.raise_next_home(self.next_home);
        let mut durable = HashSet::new();
        let mut rows = self
            .conn
            .prepare("SELECT id, key, mailboxes, durable FROM home")
            .map_err(sql)?;
        let mut rows = rows.query([]).map_err(sql)?;
        while let Some(row) = rows.next().map_err(sql)? {
            let read = || -> rusqlite::Result<(i64, String, Vec<u8>, bool)> {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            };
            let (id, key, mailboxes, is_durable) = read().map_err(sql)?;
            let id = id.cast_unsigned();
            if is_durable {
                durable.insert(id);
            }
            let mailboxes =
                StoredMailboxes::decode(mailboxes.as_slice()).map_err(|e| StoreError::Format {
                    path: "partition.db".into(),
                    why: format!("home {id}: {e}"),
                })?;
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
            catalogue.put(id, &key, listed.collect());
        }
        catalogue.take_dirty();
        Ok(durable)
    }

    /// Writes a checkpoint: all of it or nothing.
    pub fn write(
        &mut self,
        checkpoint: Checkpoint,
        next_home: u64,
        catalogue: &DirtyHomes,
        changes: &Changes,
    ) -> Result<(), StoreError> {
        let mut write = || -> rusqlite::Result<()> {
            let tx = self.conn.transaction()?;
            {
                let mut put = tx.prepare_cached(
                    "INSERT INTO home VALUES (?1, ?2, ?3, 0, 0) ON CONFLICT (id) \
                     DO UPDATE SET key = excluded.key, mailboxes = excluded.mailboxes",
                )?;
                let mut remove = tx.prepare_cached("DELETE FROM home WHERE id = ?1")?;
                for (home, entry) in catalogue {
                    match entry {
                        Some((key, mailboxes)) => {
                            let mailboxes = encode(mailboxes);
                            put.execute(params![home.cast_signed(), &**key, mailboxes])?;
                        }
                        None => {
                            remove.execute([home.cast_signed()])?;
                        }
                    }
                }
                let mut mark = tx.prepare_cached("UPDATE home SET durable = 1 WHERE id = ?1")?;
                for home in &changes.homes {
                    mark.execute([home.cast_signed()])?;
                }
                let mut due = tx.prepare_cached("UPDATE home SET purge_at = ?2 WHERE id = ?1")?;
                for (home, at) in &changes.purge_at {
                    due.execute(params![home.cast_signed(), at])?;
                }
                let mut count = tx.prepare_cached(
                    "INSERT INTO segment VALUES (?1, ?2, ?3, ?4) ON CONFLICT (number) \
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
                    ("next_home", next_home),
                    ("uids", checkpoint.uids),
                    ("reported", self.reported),
                ] {
                    meta.execute(params![key, value.cast_signed()])?;
                }
            }
            tx.commit()
        };
        write().map_err(sql)?;
        self.checkpoint = checkpoint;
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
