//! A home open for writing: its SQLite connection and what is cached of it.
//!
//! One shard thread owns it. Groups of records are applied in one transaction, `applied_lsn`
//! with it, which the shard commits when it sees fit; when anything fails the transaction is
//! rolled back, the home is opened again and what was shown is applied again, so that the cache
//! never differs from the file for good.

pub(crate) mod annotations;
pub(crate) mod disk;
mod keywords;
mod mailboxes;
mod messages;
mod once;
mod quota;
mod relocate;
mod restored;
mod retention;
pub(crate) mod rows;
pub(crate) mod schema;
pub(crate) mod transfer;

pub(crate) use disk::HomeOnDisk;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use murder_mailbox::{Acl, MailboxId, SpecialUse};
use rusqlite::{Connection, OptionalExtension, params};

use crate::catalogue::Listed;
use crate::command::Op;
use crate::entry::{ApplyResult, Entry, Outcome};
use crate::error::{StoreError, is_of_the_disk};
use crate::journal::segments::Segments;
use crate::uidset::UidSet;
use crate::view::{Keywords, MailboxView, ViewChange};
use crate::watch::{AnnotationNote, MailboxCounters};

/// The views of mailboxes that somebody has open.
pub(crate) type OpenViews<'a> = &'a dyn Fn(MailboxId) -> Option<Arc<MailboxView>>;

/// An ACL as it is stored, which nobody else changes, and as it is read.
#[derive(Debug, Clone)]
struct StoredAcl {
    text: Arc<str>,
    acl: Arc<Acl>,
}

impl StoredAcl {
    fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            acl: read_acl(text),
        }
    }
}

/// An ACL's text; nobody is named in one that cannot be read.
pub(crate) fn read_acl(text: &str) -> Arc<Acl> {
    Acl::parse(text).unwrap_or_default().into()
}

/// A mailbox's row.
#[derive(Debug, Clone)]
pub(crate) struct Mailbox {
    rowno: i64,
    id: MailboxId,
    /// The name below the home's root.
    name: String,
    uidvalidity: u32,
    uidnext: u32,
    highest_modseq: u64,
    acl: StoredAcl,
    special_use: Option<SpecialUse>,
    shared_seen: bool,
    messages: i64,
    unseen: i64,
    deleted: i64,
    bytes: i64,
    keywords: Arc<Keywords>,
    /// Whether the names of keywords differ from what is stored.
    keywords_dirty: bool,
    /// Whether it differs from the row.
    dirty: bool,
}

impl Mailbox {
    fn listed(&self) -> Listed {
        Listed {
            name: self.name.as_str().into(),
            id: self.id,
            uidvalidity: self.uidvalidity,
            acl: Arc::clone(&self.acl.acl),
            special_use: self.special_use,
            shared_seen: self.shared_seen,
        }
    }

    /// The MODSEQ for what a command changes.
    fn next_modseq(&mut self) -> u64 {
        self.highest_modseq += 1;
        self.dirty = true;
        self.highest_modseq
    }
}

/// A mailbox that can be restored.
#[derive(Debug, Clone)]
struct Deleted {
    mailbox: Mailbox,
    keep_until: i64,
}

/// References and bytes of bodies that came (or went, negative) in one segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SegmentChange {
    pub refs: i64,
    pub bytes: i64,
    /// The references that came; what went is not subtracted.
    pub added: i64,
}

impl SegmentChange {
    pub fn add(&mut self, other: Self) {
        self.refs += other.refs;
        self.bytes += other.bytes;
        self.added += other.added;
    }
}

/// Changes by segment number.
pub(crate) type SegmentChanges = BTreeMap<u64, SegmentChange>;

/// What is noted of a home at a checkpoint.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HomeState {
    /// When it has something to forget; 0 for never.
    pub purge_at: i64,
    /// The last record that it has applied.
    pub lsn: u64,
}

/// What a group of records did, for those outside the home.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// A result for each entry; `None` for one that had been applied before.
    pub results: Vec<Option<ApplyResult>>,
    pub views: Vec<(MailboxId, ViewChange)>,
    /// Whether mailboxes, names or ACLs changed.
    pub catalogue: bool,
    /// Annotations that changed.
    pub annotations: Vec<AnnotationNote>,
    /// The home is to be forgotten.
    pub dropped: bool,
}

/// What a transaction did, for the next checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    pub segments: SegmentChanges,
    pub state: HomeState,
    /// The WAL has become long.
    pub long_wal: bool,
}

/// A home open for writing.
#[derive(Debug)]
pub(crate) struct Home {
    pub id: u64,
    conn: Connection,
    /// Nothing has been committed to the file yet.
    fresh: bool,
    /// The file says whose it is: this home's of this partition, whose tag it is.
    named: bool,
    tag: u64,
    wal_path: PathBuf,
    /// Bytes of the WAL when it was last called long; 0 after it was begun anew.
    long_wal: u64,
    applied_lsn: u64,
    /// Applied in the transaction that is open; none is when it is empty.
    uncommitted: Vec<Arc<Entry>>,
    key: String,
    next_content: i64,
    mailboxes: HashMap<MailboxId, Mailbox>,
    /// Mailboxes that can be restored.
    deleted: HashMap<MailboxId, Deleted>,
    /// When something is to be forgotten; 0 for never.
    purge_at: i64,
    /// `next_content` and `purge_at` as they are in the file.
    stored: (i64, i64),
    /// Ids that are remembered; `None` until they have been counted.
    ids: Option<u32>,
    /// Quota roots by name.
    quotas: BTreeMap<String, quota::Root>,
    /// The checkpoint up to which settled rows have been removed.
    pruned: u64,
    /// Of the group being applied.
    views: HashMap<MailboxId, ViewChange>,
    segments: SegmentChanges,
    catalogue: bool,
    annotations: Vec<AnnotationNote>,
    dropped: bool,
}

/// What stops a group: the home cannot be written now, or at all.
type Stop = StoreError;

/// Anything that SQLite says about the file's content, rather than about the disk.
const DAMAGED: &str = "a home's database is damaged";

fn sql(e: rusqlite::Error) -> Stop {
    match is_of_the_disk(&e) {
        true => StoreError::sql("writing a home", &e),
        false => StoreError::Io {
            what: DAMAGED,
            why: e.to_string(),
        },
    }
}

impl Home {
    /// Opens a home. One that is not there is made, if that `may` be. Returns whether it was made.
    pub fn open(
        dir: &Path,
        id: u64,
        tag: u64,
        template: &[u8],
        may: bool,
    ) -> Result<(Self, bool), StoreError> {
        let (conn, fresh) = schema::open(dir, id, tag, template, may)?;
        let mut home = Self {
            id,
            conn,
            fresh,
            named: false,
            tag,
            wal_path: schema::wal_path(dir, id),
            long_wal: 0,
            applied_lsn: 0,
            uncommitted: Vec::new(),
            key: String::new(),
            next_content: 1,
            mailboxes: HashMap::new(),
            deleted: HashMap::new(),
            purge_at: 0,
            stored: (0, 0),
            ids: None,
            quotas: BTreeMap::new(),
            pruned: 0,
            views: HashMap::new(),
            segments: SegmentChanges::new(),
            catalogue: false,
            annotations: Vec::new(),
            dropped: false,
        };
        home.load().map_err(|e| home.sort_out(sql(e)))?;
        Ok((home, fresh))
    }

    fn load(&mut self) -> rusqlite::Result<()> {
        let meta = |key: &str| -> rusqlite::Result<i64> {
            self.conn
                .query_row("SELECT value FROM meta WHERE key = ?1", [key], |r| r.get(0))
        };
        self.applied_lsn = meta("applied_lsn")?.cast_unsigned();
        self.next_content = meta("next_content")?;
        self.purge_at = meta("purge_at")?;
        self.named = meta("home")? != 0;
        self.stored = (self.next_content, self.purge_at);
        self.quotas = quota::load(&self.conn)?;
        self.key = self
            .conn
            .query_row("SELECT value FROM meta WHERE key = 'key'", [], |r| r.get(0))?;
        let mut keywords: HashMap<i64, Keywords> = HashMap::new();
        {
            let mut rows = self
                .conn
                .prepare("SELECT mailbox, id, value FROM keyword")?;
            let mut rows = rows.query([])?;
            while let Some(r) = rows.next()? {
                let of = keywords.entry(r.get(0)?).or_default();
                of.load(r.get(1)?, r.get_ref(2)?.as_blob()?);
            }
        }
        let mut rows = self.conn.prepare(
            "SELECT rowno, id, name, uidvalidity, uidnext, highestmodseq, acl, special_use, \
             shared_seen, messages, unseen, deleted, bytes, keep_until FROM mailbox",
        )?;
        let mut rows = rows.query([])?;
        while let Some(r) = rows.next()? {
            let special_use: String = r.get(7)?;
            let acl: String = r.get(6)?;
            let rowno = r.get(0)?;
            let mailbox = Mailbox {
                rowno,
                id: MailboxId::from_bytes(r.get(1)?),
                name: r.get(2)?,
                uidvalidity: r.get(3)?,
                uidnext: r.get(4)?,
                highest_modseq: r.get::<_, i64>(5)?.cast_unsigned(),
                acl: StoredAcl::new(&acl),
                special_use: special_use.parse().ok(),
                shared_seen: r.get(8)?,
                messages: r.get(9)?,
                unseen: r.get(10)?,
                deleted: r.get(11)?,
                bytes: r.get(12)?,
                keywords: Arc::new(keywords.remove(&rowno).unwrap_or_default()),
                keywords_dirty: false,
                dirty: false,
            };
            match r.get(13)? {
                0 => self.mailboxes.insert(mailbox.id, mailbox).map(|_| ()),
                keep_until => {
                    let deleted = Deleted {
                        mailbox,
                        keep_until,
                    };
                    self.deleted.insert(deleted.mailbox.id, deleted).map(|_| ())
                }
            };
        }
        Ok(())
    }

    /// The key, `user/bob`; empty before the first mailbox.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The mailboxes, for the catalogue.
    pub fn listed(&self) -> Vec<Listed> {
        self.mailboxes.values().map(Mailbox::listed).collect()
    }

    /// What is counted of a mailbox; `None` when it is gone.
    pub fn counters(&self, id: MailboxId) -> Option<MailboxCounters> {
        let count = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
        self.mailboxes.get(&id).map(|mailbox| MailboxCounters {
            uidvalidity: mailbox.uidvalidity,
            uidnext: mailbox.uidnext,
            messages: count(mailbox.messages),
            unseen: count(mailbox.unseen),
            highest_modseq: mailbox.highest_modseq,
        })
    }

    /// The last record that is in it.
    pub fn applied_lsn(&self) -> u64 {
        self.applied_lsn
    }

    /// What a checkpoint notes of it.
    pub fn state(&self) -> HomeState {
        HomeState {
            purge_at: self.purge_at,
            lsn: self.applied_lsn,
        }
    }

    /// What records after `lsn` did to segments.
    pub fn segment_changes_since(&self, lsn: u64) -> Result<SegmentChanges, StoreError> {
        let read = || -> rusqlite::Result<SegmentChanges> {
            let mut rows = self.conn.prepare_cached(
                "SELECT segment, sum(refs), sum(bytes), sum(added) FROM segment_change WHERE lsn > ?1 \
                 GROUP BY segment",
            )?;
            let mut rows = rows.query([lsn.cast_signed()])?;
            let mut changes = SegmentChanges::new();
            while let Some(r) = rows.next()? {
                let change = SegmentChange {
                    refs: r.get(1)?,
                    bytes: r.get(2)?,
                    added: r.get(3)?,
                };
                changes.insert(r.get::<_, i64>(0)?.cast_unsigned(), change);
            }
            Ok(changes)
        };
        read().map_err(|e| self.sort_out(sql(e)))
    }

    /// Writes recent marks, which no record carries.
    pub fn set_recent(&self, id: MailboxId, uid: u32) -> Result<(), StoreError> {
        self.conn
            .prepare_cached("UPDATE mailbox SET recent = max(recent, ?2) WHERE id = ?1")
            .and_then(|mut s| s.execute(params![id.to_bytes(), uid]))
            .map(|_| ())
            .map_err(sql)
    }

    /// Carries the WAL over into the file and makes both durable.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        self.conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(sql)
    }

    /// Applies a group of records, ascending by LSN, in the transaction that is open or a new
    /// one.
    ///
    /// # Errors
    /// When nothing of the group was applied; the home must be opened again, and what was not
    /// committed applied again.
    pub fn apply(
        &mut self,
        entries: &[Arc<Entry>],
        segments: &Segments,
        open: OpenViews<'_>,
    ) -> Result<Effects, StoreError> {
        self.try_apply(entries, segments, open)
            .map_err(|e| self.sort_out(e))
    }

    fn try_apply(
        &mut self,
        entries: &[Arc<Entry>],
        segments: &Segments,
        open: OpenViews<'_>,
    ) -> Result<Effects, Stop> {
        let mut effects = Effects::default();
        for entry in entries {
            if entry.lsn <= self.applied_lsn {
                self.skip(entry)?;
                effects.results.push(None);
                continue;
            }
            if self.uncommitted.is_empty() && effects.results.iter().all(Option::is_none) {
                self.run("BEGIN IMMEDIATE", [])?;
            }
            effects
                .results
                .push(Some(self.apply_one(entry, segments, open)?));
            self.applied_lsn = entry.lsn;
        }
        let new = entries.iter().zip(&effects.results);
        let new = new.filter(|(_, result)| result.is_some());
        self.uncommitted
            .extend(new.map(|(entry, _)| Arc::clone(entry)));
        let lsn = self.applied_lsn;
        for (id, mut change) in self.views.drain() {
            change.lsn = lsn;
            match self.mailboxes.get(&id) {
                Some(mailbox) => {
                    change.uidvalidity = mailbox.uidvalidity;
                    change.uidnext = mailbox.uidnext;
                    change.highest_modseq = mailbox.highest_modseq;
                    change.shared_seen = mailbox.shared_seen;
                    change.keywords = Some(Arc::clone(&mailbox.keywords));
                }
                None => change.deleted = true,
            }
            effects.views.push((id, change));
        }
        effects.catalogue = std::mem::take(&mut self.catalogue);
        effects.annotations = std::mem::take(&mut self.annotations);
        effects.dropped = std::mem::take(&mut self.dropped);
        Ok(effects)
    }

    /// How many records the open transaction holds.
    pub fn uncommitted(&self) -> usize {
        self.uncommitted.len()
    }

    /// Takes the records that the open transaction holds, to be applied again.
    pub fn take_uncommitted(&mut self) -> Vec<Arc<Entry>> {
        std::mem::take(&mut self.uncommitted)
    }

    /// Commits what was applied. `settled` is the last checkpoint.
    ///
    /// # Errors
    /// When nothing of it was committed, as [`Home::apply`].
    pub fn commit(&mut self, settled: u64) -> Result<Committed, StoreError> {
        self.try_commit(settled)
            .map_err(|e| self.sort_out(sql(e)))?;
        self.uncommitted.clear();
        Ok(Committed {
            segments: std::mem::take(&mut self.segments),
            state: self.state(),
            long_wal: self.is_wal_long(),
        })
    }

    /// Whether the WAL has grown by [`schema::WAL_BYTES`] since this was last said.
    fn is_wal_long(&mut self) -> bool {
        let bytes = self.wal_path.metadata().map_or(0, |wal| wal.len());
        if bytes < self.long_wal {
            self.long_wal = 0;
        }
        let long = bytes > self.long_wal + schema::WAL_BYTES;
        if long {
            self.long_wal = bytes;
        }
        long
    }

    fn try_commit(&mut self, settled: u64) -> rusqlite::Result<()> {
        self.write_back(settled)?;
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        if self.fresh {
            schema::settle(&self.conn)?;
            self.fresh = false;
        }
        Ok(())
    }

    /// A record that the home has: only a MOVE's source may still want to know.
    fn skip(&self, entry: &Entry) -> Result<(), Stop> {
        if let Op::CopyAcross(copy) = &entry.op
            && copy.expunge
            && copy.target_home == self.id
        {
            let uids: Option<Vec<u8>> = self
                .conn
                .prepare_cached("SELECT uids FROM arrival WHERE lsn = ?1")
                .and_then(|mut s| {
                    s.query_row([entry.lsn.cast_signed()], |r| r.get(0))
                        .optional()
                })
                .map_err(sql)?;
            entry.set_arrived(uids.map_or_else(UidSet::new, |u| UidSet::from_bytes(&u)));
        }
        Ok(())
    }

    fn apply_one(
        &mut self,
        entry: &Entry,
        segments: &Segments,
        open: OpenViews<'_>,
    ) -> Result<ApplyResult, Stop> {
        match &entry.op {
            Op::Create(c) => self.create(c),
            Op::Delete(c) => self.delete(c),
            Op::Rename(c) => self.rename(c),
            Op::RenameInbox(c) => self.rename_inbox(c),
            Op::SetMailbox(c) => self.set_mailbox(c),
            Op::Subscribe(c) => self.subscribe(c),
            Op::RenameHome(c) => self.rename_home(c),
            Op::DropHome(_) => self.drop_home(),
            Op::Append(c) => self.append(c, entry, segments),
            Op::Store(c) => self.store(c, open),
            Op::Expunge(c) => self.expunge(c),
            Op::Copy(c) => self.copy(c),
            Op::CopyAcross(c) if c.target_home == self.id => self.arrive(c, entry, segments),
            Op::CopyAcross(c) => self.depart(c, entry),
            Op::Relocate(c) => self.relocate(c, entry),
            Op::Purge(c) => self.purge(c),
            Op::RestoreMessages(c) => self.restore_messages(c),
            Op::RestoreMailbox(c) => self.restore_mailbox(c),
            Op::SetQuota(c) => self.set_quota(c),
            Op::Lost(_) => self.lost(),
            Op::Recount(_) => self.recount_messages(),
            Op::Annotate(c) => self.annotate(c),
            Op::Restored(c) => self.restored(c),
            Op::Transfer(c) => self.transfer(c, entry, segments),
            Op::Leaving(c) => self.leaving(c),
            Op::Withdraw(c) => self.withdraw(c),
        }
    }

    fn write_back(&mut self, settled: u64) -> rusqlite::Result<()> {
        for mailbox in self.mailboxes.values_mut().filter(|m| m.dirty) {
            mailbox.dirty = false;
            write_mailbox(&self.conn, mailbox)?;
            mailbox.keywords_dirty = false;
        }
        quota::write(&self.conn, &mut self.quotas)?;
        if self.pruned < settled {
            // A checkpoint has counted these.
            for table in ["segment_change", "arrival"] {
                self.conn
                    .prepare_cached(&format!("DELETE FROM {table} WHERE lsn <= ?1"))?
                    .execute([settled.cast_signed()])?;
            }
            self.pruned = settled;
        }
        self.segments.retain(|_, c| *c != SegmentChange::default());
        for (segment, change) in &self.segments {
            self.conn
                .prepare_cached("INSERT INTO segment_change VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![
                    self.applied_lsn.cast_signed(),
                    segment.cast_signed(),
                    change.refs,
                    change.bytes,
                    change.added
                ])?;
        }
        let mut meta = self
            .conn
            .prepare_cached("UPDATE meta SET value = ?2 WHERE key = ?1")?;
        meta.execute(params!["applied_lsn", self.applied_lsn.cast_signed()])?;
        if !self.named {
            meta.execute(params!["home", self.id.cast_signed()])?;
            meta.execute(params!["tag", self.tag.cast_signed()])?;
            self.named = true;
        }
        for (key, value, stored) in [
            ("next_content", self.next_content, &mut self.stored.0),
            ("purge_at", self.purge_at, &mut self.stored.1),
        ] {
            if *stored != value {
                meta.execute(params![key, value])?;
                *stored = value;
            }
        }
        Ok(())
    }

    /// Tells a home that is damaged from one that cannot be written now.
    fn sort_out(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Io { what: DAMAGED, why } => StoreError::HomeDamaged { home: self.id, why },
            other => other,
        }
    }

    fn mailbox(&mut self, id: &[u8]) -> Option<&mut Mailbox> {
        self.mailboxes.get_mut(&MailboxId::from_slice(id)?)
    }

    fn view(&mut self, id: MailboxId) -> &mut ViewChange {
        self.views.entry(id).or_default()
    }

    fn count(&mut self, segment: u64, refs: i64, bytes: i64) {
        let change = self.segments.entry(segment).or_default();
        change.refs += refs;
        change.bytes += bytes;
        change.added += refs.max(0);
    }
}

/// Writes a mailbox's row as it is in memory.
fn write_mailbox(conn: &Connection, mailbox: &Mailbox) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE mailbox SET name = ?2, uidvalidity = ?3, uidnext = ?4, highestmodseq = ?5, \
         acl = ?6, special_use = ?7, shared_seen = ?8, messages = ?9, unseen = ?10, \
         deleted = ?11, bytes = ?12 WHERE rowno = ?1",
    )?
    .execute(params![
        mailbox.rowno,
        mailbox.name,
        mailbox.uidvalidity,
        mailbox.uidnext,
        mailbox.highest_modseq.cast_signed(),
        &*mailbox.acl.text,
        mailbox.special_use.map_or("", SpecialUse::as_str),
        mailbox.shared_seen,
        mailbox.messages,
        mailbox.unseen,
        mailbox.deleted,
        mailbox.bytes,
    ])?;
    if mailbox.keywords_dirty {
        conn.prepare_cached("INSERT OR REPLACE INTO keyword VALUES (?1, 0, ?2)")?
            .execute(params![
                mailbox.rowno,
                mailbox.keywords.to_text().into_bytes()
            ])?;
    }
    Ok(())
}

/// A command refused by the state it met: the same at each replay.
fn refuse(why: StoreError) -> Result<ApplyResult, Stop> {
    Ok(Err(why))
}

fn done() -> Result<ApplyResult, Stop> {
    Ok(Ok(Outcome::Done))
}
