//! Read connections to homes: they never wait for the writer, nor it for them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lru::LruCache;
use murder_mailbox::MailboxId;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};

use crate::annotation::Annotation;
use crate::body::BodyLocation;
use crate::damage::DamageCell;
use crate::error::StoreError;
use crate::flags::Flags;
use crate::home::annotations::OF_HOME;
use crate::home::rows::{MESSAGE_COLUMNS, message_row};
use crate::home::schema;
use crate::inbox::Inbox;
use crate::items::FetchedItems;
use crate::mailbox::MailboxStatus;
use crate::message::InternalDate;
use crate::quota::{Amount, QuotaLimits};
use crate::retention::{DeletedMailbox, ExpungedMessage, MAX_RESTORABLE, Restorable};
use crate::uidset::UidSet;
use crate::view::{Keywords, MailboxView};

/// Rows that a scan of contents passes over rather than seek.
const SKIPPED: i64 = 8;

/// The read connections of a partition.
#[derive(Debug)]
pub(crate) struct Readers {
    dir: PathBuf,
    /// That of the partition.
    tag: u64,
    damage: Arc<DamageCell>,
    /// Of the shards that write the homes.
    inboxes: Vec<Arc<Inbox>>,
    idle: Mutex<LruCache<u64, Reader>>,
}

impl Readers {
    pub fn new(
        dir: PathBuf,
        tag: u64,
        damage: Arc<DamageCell>,
        inboxes: Vec<Arc<Inbox>>,
        limit: usize,
    ) -> Self {
        Self {
            dir,
            tag,
            damage,
            inboxes,
            idle: Mutex::new(LruCache::new(
                NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN),
            )),
        }
    }

    /// Runs `read` with a connection to a home, whose database has everything that the home has
    /// shown. Blocks until it does.
    pub fn with<T>(
        &self,
        home: u64,
        read: impl FnOnce(&Reader) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.damage.check_home(home)?;
        let shard = home % self.inboxes.len() as u64;
        self.inboxes[shard as usize].committed(home)?;
        let idle = self.idle.lock().pop(&home);
        let opened = match idle {
            Some(reader) => Ok(reader),
            None => Reader::open(&self.dir, home, self.tag),
        };
        let result = opened.and_then(|reader| {
            let read = read(&reader).map_err(|e| damaged("reading a home", home, &e))?;
            let old = self.idle.lock().push(home, reader);
            drop(old);
            Ok(read)
        });
        if let Err(StoreError::HomeDamaged { home, why }) = &result {
            self.damage.home(*home, why);
        }
        result
    }

    /// Closes the connections to a home.
    pub fn close(&self, home: u64) {
        let old = self.idle.lock().pop(&home);
        drop(old);
    }

    /// Closes all connections that are not in use.
    pub fn clear(&self) {
        let old: Vec<Reader> = {
            let mut idle = self.idle.lock();
            std::iter::from_fn(|| idle.pop_lru().map(|(_, reader)| reader)).collect()
        };
        drop(old);
    }
}

/// What SQLite cannot make sense of in a home is damage. A row that is not there need not be: its
/// mailbox may have gone.
fn damaged(what: &'static str, home: u64, e: &rusqlite::Error) -> StoreError {
    match e {
        rusqlite::Error::QueryReturnedNoRows => StoreError::sql(what, e),
        _ => schema::sorted(what, home, e),
    }
}

/// One read connection.
#[derive(Debug)]
pub(crate) struct Reader(Connection);

/// What [`Reader::recount`] found.
#[derive(Debug)]
pub(crate) struct Recounted {
    /// The name, what the counters say, what there is.
    pub mailboxes: Vec<(String, Amount, Amount)>,
    pub roots: Vec<(String, QuotaLimits, Amount)>,
}

impl Reader {
    /// The connection, for other reads than those here.
    pub fn connection(&self) -> &Connection {
        &self.0
    }

    /// What is known of transfers: their ids and what part 0 says.
    pub fn transfers(&self) -> rusqlite::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut rows = self
            .0
            .prepare_cached("SELECT id, value FROM transfer WHERE part = 0")?;
        let rows = rows.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
        rows.collect()
    }

    fn open(dir: &Path, home: u64, tag: u64) -> Result<Self, StoreError> {
        let path = schema::path(dir, home);
        let conn = schema::open_to_read(&path).map_err(|e| match path.try_exists() {
            Ok(false) => schema::missing(home),
            _ => damaged("opening a home for reading", home, &e),
        })?;
        schema::check(&conn, &path, home, tag)?;
        Ok(Self(conn))
    }

    /// The mailbox as it is in the database, and its recent mark; `None` when it is not there.
    pub fn load_view(&self, id: MailboxId) -> rusqlite::Result<Option<(MailboxView, u32)>> {
        // One transaction, so that the LSN, the counters and the rows belong together.
        let tx = self.0.unchecked_transaction()?;
        let lsn: i64 = tx
            .prepare_cached("SELECT value FROM meta WHERE key = 'applied_lsn'")?
            .query_row([], |r| r.get(0))?;
        let mailbox = tx
            .prepare_cached(
                "SELECT rowno, uidvalidity, uidnext, highestmodseq, shared_seen, recent \
                 FROM mailbox WHERE id = ?1 AND keep_until = 0",
            )?
            .query_row([id.to_bytes()], |r| {
                let mut view = MailboxView::empty(id, r.get(1)?);
                view.uidnext = r.get(2)?;
                view.highest_modseq = r.get::<_, i64>(3)?.cast_unsigned();
                view.shared_seen = r.get(4)?;
                Ok((r.get::<_, i64>(0)?, view, r.get::<_, u32>(5)?))
            })
            .optional()?;
        let Some((rowno, mut view, recent)) = mailbox else {
            return Ok(None);
        };
        view.lsn = lsn.cast_unsigned();
        {
            let sql =
                format!("SELECT {MESSAGE_COLUMNS} FROM message WHERE mailbox = ?1 ORDER BY uid");
            let mut rows = tx.prepare_cached(&sql)?;
            let mut rows = rows.query([rowno])?;
            while let Some(row) = rows.next()? {
                view.push(&message_row(row)?);
            }
            let mut keywords = Keywords::default();
            let mut rows = tx.prepare_cached("SELECT id, value FROM keyword WHERE mailbox = ?1")?;
            let mut rows = rows.query([rowno])?;
            while let Some(row) = rows.next()? {
                keywords.load(row.get(0)?, row.get_ref(1)?.as_blob()?);
            }
            view.keywords = Arc::new(keywords);
            let mut seen = BTreeMap::new();
            let mut rows = tx.prepare_cached("SELECT user, uids FROM seen WHERE mailbox = ?1")?;
            let mut rows = rows.query([rowno])?;
            while let Some(row) = rows.next()? {
                let user: String = row.get(0)?;
                let uids: Vec<u8> = row.get(1)?;
                seen.insert(user.into(), Arc::new(UidSet::from_bytes(&uids)));
            }
            view.seen = Arc::new(seen);
        }
        tx.finish()?;
        // Whoever idles in the mailbox does not need the pages that it was read from.
        self.0.execute_batch("PRAGMA shrink_memory")?;
        Ok(Some((view, recent)))
    }

    /// Precomputed items of the contents that there are; keys are asked for in ascending order,
    /// and found in it.
    pub fn contents(&self, contents: &[i64]) -> rusqlite::Result<Vec<(i64, FetchedItems)>> {
        let tx = self.0.unchecked_transaction()?;
        let mut found = Vec::with_capacity(contents.len());
        {
            let mut query = tx.prepare_cached(
                "SELECT id, items FROM content WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
            )?;
            // Passing over a row costs less than seeking the next.
            for run in contents.chunk_by(|a, b| b - a <= SKIPPED) {
                let mut wanted = run.iter();
                let mut next = wanted.next();
                let mut rows = query.query([run.first(), run.last()])?;
                while let Some(row) = rows.next()? {
                    let id: i64 = row.get(0)?;
                    while next.is_some_and(|wanted| *wanted < id) {
                        next = wanted.next();
                    }
                    if next == Some(&id) {
                        found.push((id, FetchedItems::decode(row.get_ref(1)?.as_blob()?)?));
                    }
                }
            }
        }
        tx.finish()?;
        Ok(found)
    }

    /// The bodies in a file that messages refer to, each once.
    pub fn bodies_in(&self, segment: u64) -> rusqlite::Result<Vec<BodyLocation>> {
        let mut rows = self.0.prepare_cached(
            "SELECT offset, len, crc FROM message WHERE segment = ?1 \
             UNION SELECT offset, len, crc FROM expunged WHERE segment = ?1",
        )?;
        let rows = rows.query_map([segment.cast_signed()], |r| {
            Ok(BodyLocation {
                segment,
                offset: r.get::<_, i64>(0)?.cast_unsigned(),
                len: r.get(1)?,
                crc: r.get(2)?,
            })
        })?;
        rows.collect()
    }

    /// UIDs expunged after `modseq`; of those expunged long ago it may be ranges that hold more,
    /// among them UIDs of messages that are there.
    pub fn expunged_since(&self, id: MailboxId, modseq: u64) -> rusqlite::Result<UidSet> {
        let mut query = self.0.prepare_cached(
            "SELECT low, high FROM tombstone JOIN mailbox ON tombstone.mailbox = mailbox.rowno \
             WHERE mailbox.id = ?1 AND keep_until = 0 AND modseq > ?2",
        )?;
        let ranges = query.query_map(params![id.to_bytes(), modseq.cast_signed()], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })?;
        let mut ranges: Vec<(u32, u32)> = ranges.collect::<rusqlite::Result<_>>()?;
        ranges.sort_unstable();
        let mut uids = UidSet::new();
        for (low, high) in ranges {
            uids.insert_range(low, high);
        }
        Ok(uids)
    }

    /// The bytes of the messages with `\Deleted`.
    pub fn deleted_bytes(&self, id: MailboxId) -> rusqlite::Result<u64> {
        self.0
            .prepare_cached(
                "SELECT coalesce(sum(len), 0) FROM message JOIN mailbox \
                 ON message.mailbox = mailbox.rowno \
                 WHERE mailbox.id = ?1 AND keep_until = 0 AND flags & 8 != 0",
            )?
            .query_row([id.to_bytes()], |r| r.get::<_, i64>(0))
            .map(i64::cast_unsigned)
    }

    /// The mailbox's counters, with `unseen` that of the owner.
    pub fn status(
        &self,
        id: MailboxId,
        recent_from: Option<u32>,
    ) -> rusqlite::Result<Option<MailboxStatus>> {
        let tx = self.0.unchecked_transaction()?;
        let status = tx
            .prepare_cached(
                "SELECT messages, uidnext, uidvalidity, unseen, deleted, bytes, highestmodseq, \
                 recent, rowno FROM mailbox WHERE id = ?1 AND keep_until = 0",
            )?
            .query_row([id.to_bytes()], |r| {
                let status = MailboxStatus {
                    id,
                    messages: r.get(0)?,
                    recent: 0,
                    uidnext: r.get(1)?,
                    uidvalidity: r.get(2)?,
                    unseen: r.get(3)?,
                    deleted: r.get(4)?,
                    size: r.get::<_, i64>(5)?.cast_unsigned(),
                    highest_modseq: r.get::<_, i64>(6)?.cast_unsigned(),
                };
                Ok((status, r.get::<_, u32>(7)?, r.get::<_, i64>(8)?))
            })
            .optional()?;
        let Some((mut status, stored, rowno)) = status else {
            return Ok(None);
        };
        let recent_from = recent_from.unwrap_or(0).max(stored);
        if recent_from < status.uidnext {
            status.recent = tx
                .prepare_cached("SELECT count(*) FROM message WHERE mailbox = ?1 AND uid >= ?2")?
                .query_row(params![rowno, recent_from], |r| r.get(0))?;
        }
        tx.finish()?;
        Ok(Some(status))
    }

    /// Quota roots by name below the home's root, with limits and usage.
    pub fn quotas(&self) -> rusqlite::Result<Vec<(String, QuotaLimits, Amount)>> {
        let limit = |n: Option<i64>| n.map(i64::cast_unsigned);
        let mut rows = self.0.prepare_cached(
            "SELECT root, storage, message, mailbox, used_bytes, used_messages, used_mailboxes \
             FROM quota ORDER BY root",
        )?;
        let rows = rows.query_map([], |r| {
            let limits = QuotaLimits {
                storage: limit(r.get(1)?),
                message: limit(r.get(2)?),
                mailbox: limit(r.get(3)?),
            };
            let used = Amount {
                bytes: r.get(4)?,
                messages: r.get(5)?,
                mailboxes: r.get(6)?,
            };
            Ok((r.get(0)?, limits, used))
        })?;
        rows.collect()
    }

    /// For each mailbox its name below the home's root, what its counters say and what its
    /// rows do; with the quota roots of the same moment.
    pub fn recount(&self) -> rusqlite::Result<Recounted> {
        let tx = self.0.unchecked_transaction()?;
        let mailboxes = tx
            .prepare_cached(
                "SELECT name, messages, bytes, count(uid), coalesce(sum(len), 0) FROM mailbox \
                 LEFT JOIN message ON message.mailbox = mailbox.rowno \
                 WHERE mailbox.keep_until = 0 GROUP BY rowno ORDER BY name",
            )?
            .query_map([], |r| {
                let amount = |messages, bytes| Amount {
                    bytes,
                    messages,
                    mailboxes: 1,
                };
                let recorded = amount(r.get(1)?, r.get(2)?);
                Ok((r.get(0)?, recorded, amount(r.get(3)?, r.get(4)?)))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let roots = self.quotas()?;
        tx.finish()?;
        Ok(Recounted { mailboxes, roots })
    }

    /// Bytes of the bodies of messages that are there, and of these and those that can be
    /// restored, each body once.
    pub fn body_bytes(&self) -> rusqlite::Result<(u64, u64)> {
        let there = "SELECT segment, offset, len FROM message JOIN mailbox \
                     ON message.mailbox = mailbox.rowno WHERE mailbox.keep_until = 0";
        let all = "SELECT segment, offset, len FROM message \
                   UNION SELECT segment, offset, len FROM expunged";
        let sum = |of: &str| -> rusqlite::Result<u64> {
            self.0
                .prepare_cached(&format!(
                    "SELECT coalesce(sum(len), 0) FROM (SELECT DISTINCT * FROM ({of}))"
                ))?
                .query_row([], |r| r.get::<_, i64>(0).map(i64::cast_unsigned))
        };
        let tx = self.0.unchecked_transaction()?;
        let bytes = (sum(there)?, sum(all)?);
        tx.finish()?;
        Ok(bytes)
    }

    /// Bytes of messages that are only kept so that they can be restored.
    pub fn kept_bytes(&self) -> rusqlite::Result<u64> {
        self.0
            .prepare_cached(
                "SELECT (SELECT coalesce(sum(len), 0) FROM expunged) + \
                 (SELECT coalesce(sum(bytes), 0) FROM mailbox WHERE keep_until > 0)",
            )?
            .query_row([], |r| r.get::<_, i64>(0).map(i64::cast_unsigned))
    }

    /// What can be restored.
    pub fn restorable(&self) -> rusqlite::Result<Restorable> {
        let tx = self.0.unchecked_transaction()?;
        let mailboxes = tx
            .prepare_cached(
                "SELECT id, deleted_name, uidvalidity, messages, bytes, acl, special_use, \
                 deleted_at, keep_until FROM mailbox WHERE keep_until > 0 \
                 ORDER BY deleted_at DESC, rowno DESC",
            )?
            .query_map([], |r| {
                let (acl, special_use): (String, String) = (r.get(5)?, r.get(6)?);
                Ok(DeletedMailbox {
                    id: MailboxId::from_bytes(r.get(0)?),
                    relative_name: r.get(1)?,
                    uidvalidity: r.get(2)?,
                    messages: r.get(3)?,
                    bytes: r.get::<_, i64>(4)?.cast_unsigned(),
                    acl: acl.into(),
                    special_use: special_use.parse().ok(),
                    deleted_at: r.get(7)?,
                    keep_until: r.get(8)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        let messages = tx
            .prepare_cached(
                "SELECT mailbox.id, uid, email_id, flags, internal_date, zone, segment, offset, \
                 len, crc, items, expunged_at, expunged.keep_until FROM expunged \
                 JOIN mailbox ON expunged.mailbox = mailbox.rowno \
                 LEFT JOIN content ON expunged.content = content.id \
                 WHERE mailbox.keep_until = 0 \
                 ORDER BY expunged_at DESC, expunged.mailbox, uid DESC LIMIT ?1",
            )?
            .query_map([MAX_RESTORABLE], |r| {
                Ok(ExpungedMessage {
                    mailbox: MailboxId::from_bytes(r.get(0)?),
                    uid: r.get(1)?,
                    email_id: r.get(2)?,
                    flags: Flags::from_bits(r.get(3)?),
                    internal_date: InternalDate {
                        seconds: r.get(4)?,
                        zone: r.get(5)?,
                    },
                    location: BodyLocation {
                        segment: r.get::<_, i64>(6)?.cast_unsigned(),
                        offset: r.get::<_, i64>(7)?.cast_unsigned(),
                        len: r.get(8)?,
                        crc: r.get(9)?,
                    },
                    // A bad one shows where the message is read.
                    envelope: r
                        .get_ref(10)?
                        .as_blob_or_null()?
                        .and_then(|items| FetchedItems::decode(items).ok())
                        .map(|items| items.envelope().clone())
                        .unwrap_or_default(),
                    expunged_at: r.get(11)?,
                    keep_until: r.get(12)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        tx.finish()?;
        Ok(Restorable {
            mailboxes,
            messages,
        })
    }

    /// The annotations of a mailbox, or of the home, that are shared or `user`'s, as far as they
    /// are `wanted`, by name; without values above `largest` octets. `None` when the mailbox is
    /// not there.
    pub fn annotations(
        &self,
        mailbox: Option<MailboxId>,
        user: &str,
        wanted: &dyn Fn(&str) -> bool,
        largest: u32,
    ) -> rusqlite::Result<Option<Vec<Annotation>>> {
        let tx = self.0.unchecked_transaction()?;
        let rowno = match mailbox {
            None => Some(OF_HOME),
            Some(id) => tx
                .prepare_cached("SELECT rowno FROM mailbox WHERE id = ?1 AND keep_until = 0")?
                .query_row([id.to_bytes()], |r| r.get(0))
                .optional()?,
        };
        let Some(rowno) = rowno else {
            return Ok(None);
        };
        let mut found = Vec::new();
        for (user, from, to) in [
            (user, "/private/", "/private0"),
            ("", "/shared/", "/shared0"),
        ] {
            let mut rows = tx.prepare_cached(
                "SELECT entry, length(value), value FROM annotation \
                 WHERE mailbox = ?1 AND user = ?2 AND entry > ?3 AND entry < ?4 ORDER BY entry",
            )?;
            let mut rows = rows.query(params![rowno, user, from, to])?;
            while let Some(row) = rows.next()? {
                let (entry, size): (String, u32) = (row.get(0)?, row.get(1)?);
                if wanted(&entry) {
                    // Columns that nobody asks for are not read.
                    let value = (size <= largest).then(|| row.get(2)).transpose()?;
                    found.push(Annotation { entry, size, value });
                }
            }
        }
        tx.finish()?;
        Ok(Some(found))
    }

    /// Names subscribed to by the home's owner, sorted.
    pub fn subscriptions(&self) -> rusqlite::Result<Vec<String>> {
        let mut query = self
            .0
            .prepare_cached("SELECT name FROM subscription ORDER BY name")?;
        let names = query.query_map([], |r| r.get(0))?;
        names.collect()
    }
}
