//! Rows of messages in a home: reading, adding, changing, removing, with the counters, the
//! bodies' references and the view's change that go with it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use murder_mailbox::MailboxId;
use rusqlite::{OptionalExtension, Row, params};

use super::quota::charge;
use super::retention::Keep;
use super::{Home, OpenViews, Stop, sql};
use crate::body::BodyLocation;
use crate::command;
use crate::flags::Flags;
use crate::items::Items;
use crate::message::{Expunged, InternalDate};
use crate::quota::Amount;
use crate::uidset::UidSet;
use crate::view::{MessageRow, RowState};

/// The most tombstones of a mailbox, give or take what is written between two looks: half a MiB
/// of a home. A client that was away for less than half as many expunges is told exactly what
/// went meanwhile.
const MAX_TOMBSTONES: i64 = 16_384;
/// Expunges, and ranges of one, after which their number is looked at: it costs a walk over
/// them.
const LOOK_AFTER: usize = 64;

/// The columns of `message` that make a [`MessageRow`], in the order of [`message_row`].
pub(crate) const MESSAGE_COLUMNS: &str = "uid, modseq, flags, keywords, internal_date, zone, \
     save_date, sent, sent_day, segment, offset, len, crc, header_len, email_id, content";

/// Reads [`MESSAGE_COLUMNS`].
pub(crate) fn message_row(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    Ok(MessageRow {
        seq: 0,
        uid: row.get(0)?,
        modseq: row.get::<_, i64>(1)?.cast_unsigned(),
        flags: Flags::from_bits(row.get(2)?),
        keywords: row.get::<_, i64>(3)?.cast_unsigned(),
        internal_date: InternalDate {
            seconds: row.get(4)?,
            zone: row.get(5)?,
        },
        save_date: row.get(6)?,
        sent: row.get(7)?,
        sent_day: row.get(8)?,
        location: BodyLocation {
            segment: row.get::<_, i64>(9)?.cast_unsigned(),
            offset: row.get::<_, i64>(10)?.cast_unsigned(),
            len: row.get(11)?,
            crc: row.get(12)?,
        },
        header_len: row.get(13)?,
        email_id: row.get(14)?,
        content: row.get(15)?,
    })
}

/// One command's work on the messages of one mailbox: counters, the view's change and other
/// users' `\Seen` are collected and written once.
pub(super) struct Work {
    pub id: MailboxId,
    pub rowno: i64,
    pub modseq: u64,
    pub seen: BTreeMap<String, UidSet>,
}

/// A change of flags and keywords.
#[derive(Debug, Clone, Default)]
pub(super) struct StateChange {
    pub clear: Flags,
    pub set: Flags,
    pub keywords: KeywordChange,
}

/// What becomes of messages' words of keywords.
#[derive(Debug, Clone)]
pub(super) enum KeywordChange {
    Bits {
        clear: u64,
        set: u64,
    },
    /// Where sets change: for each word that there is, the next one.
    Words(HashMap<u64, u64>),
}

impl KeywordChange {
    pub const NONE: Self = Self::Bits { clear: 0, set: 0 };

    fn of(&self, word: u64) -> u64 {
        match self {
            Self::Bits { clear, set } => (word & !clear) | set,
            Self::Words(words) => words.get(&word).copied().unwrap_or(word),
        }
    }
}

impl Default for KeywordChange {
    fn default() -> Self {
        Self::NONE
    }
}

impl StateChange {
    pub fn apply(&self, row: &mut RowState) {
        row.flags = (row.flags & !self.clear) | self.set;
        row.keywords = self.keywords.of(row.keywords);
    }
}

/// Messages to which a change is made.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub change: StateChange,
    /// Their flags before and their states after it, but for the MODSEQ.
    rows: Vec<(Flags, RowState)>,
    /// Ranges of UIDs in which there are only such, all with the same keywords where sets change.
    runs: Vec<(u32, u32, u64)>,
    /// The number of the last one, see [`Home::states`].
    last: Option<u32>,
}

impl Changed {
    /// None yet.
    pub fn new(change: StateChange) -> Self {
        Self {
            change,
            ..Self::default()
        }
    }

    /// Adds a message of [`Home::states`], in their order.
    pub fn push(&mut self, number: u32, before: Flags, row: RowState) {
        let follows = self.last.is_some_and(|last| last + 1 == number);
        let by_words = matches!(self.change.keywords, KeywordChange::Words(_));
        let alike = |run: &&mut (u32, u32, u64)| follows && (!by_words || run.2 == row.keywords);
        match self.runs.last_mut().filter(alike) {
            Some(run) => run.1 = row.uid,
            None => self.runs.push((row.uid, row.uid, row.keywords)),
        }
        self.last = Some(number);
        self.rows.push((before, row));
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Home {
    /// What messages have of flags and keywords, ascending: from the mailbox's view where somebody
    /// has one that is no other than the database, which spares a query. The numbers before them
    /// follow each other where the messages do, as far as that is known.
    pub(super) fn states(
        &self,
        id: MailboxId,
        uids: &UidSet,
        open: OpenViews<'_>,
    ) -> Result<Vec<(u32, RowState)>, Stop> {
        let view = open(id);
        // A view gets what a group of records did after the group; when the home had to be opened
        // again it is ahead.
        match view.filter(|v| v.lsn <= self.applied_lsn && !self.views.contains_key(&id)) {
            None => {
                let states = self.stored_states(id, uids)?.into_iter();
                Ok(states.map(|row| (row.uid, row)).collect())
            }
            Some(view) => {
                let states = view.states(uids);
                debug_assert!(
                    states
                        .iter()
                        .map(|(_, row)| row)
                        .eq(&self.stored_states(id, uids)?)
                );
                Ok(states)
            }
        }
    }

    pub(super) fn stored_states(
        &self,
        id: MailboxId,
        uids: &UidSet,
    ) -> Result<Vec<RowState>, Stop> {
        let rowno = self.mailboxes[&id].rowno;
        let read = || -> rusqlite::Result<Vec<RowState>> {
            let mut query = self.conn.prepare_cached(
                "SELECT uid, modseq, flags, keywords FROM message \
                 WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3",
            )?;
            let mut found = Vec::new();
            for (low, high) in uids.ranges() {
                let mut rows = query.query(params![rowno, low, high])?;
                while let Some(r) = rows.next()? {
                    found.push(RowState {
                        uid: r.get(0)?,
                        modseq: r.get::<_, i64>(1)?.cast_unsigned(),
                        flags: Flags::from_bits(r.get(2)?),
                        keywords: r.get::<_, i64>(3)?.cast_unsigned(),
                    });
                }
            }
            Ok(found)
        };
        read().map_err(sql)
    }

    /// Gives messages another state, in a statement for each run of them.
    pub(super) fn set_states(&mut self, work: &Work, changed: Changed) -> Result<(), Stop> {
        macro_rules! set_where {
            ($uids:literal) => {
                concat!(
                    "UPDATE message SET modseq = ?4, flags = (flags & ?5) | ?6, \
                     keywords = (keywords & ?7) | ?8 WHERE mailbox = ?1 AND ",
                    $uids
                )
            };
        }
        // Without ?3, where a run ends.
        const ONE: &str = set_where!("uid = ?2");
        const RUN: &str = set_where!("uid BETWEEN ?2 AND ?3");
        let change = changed.change;
        for (low, high, word) in changed.runs {
            let (clear, set) = match change.keywords {
                KeywordChange::Bits { clear, set } => (clear, set),
                KeywordChange::Words(_) => (u64::MAX, word),
            };
            let params = params![
                work.rowno,
                low,
                high,
                work.modseq.cast_signed(),
                (!change.clear).bits(),
                change.set.bits(),
                (!clear).cast_signed(),
                set.cast_signed()
            ];
            self.run(if low == high { ONE } else { RUN }, params)?;
        }
        let (mut unseen, mut deleted) = (0, 0);
        for (old, row) in &changed.rows {
            unseen += has(*old, Flags::SEEN) - has(row.flags, Flags::SEEN);
            deleted += has(row.flags, Flags::DELETED) - has(*old, Flags::DELETED);
        }
        if let Some(mailbox) = self.mailboxes.get_mut(&work.id) {
            mailbox.unseen += unseen;
            mailbox.deleted += deleted;
        }
        let modseq = work.modseq;
        let rows = changed.rows.into_iter();
        let states = rows.map(|(_, row)| RowState { modseq, ..row });
        self.view(work.id).states.extend(states);
        Ok(())
    }

    /// Takes the next MODSEQ of a mailbox for a command that changes its messages.
    pub(super) fn begin(&mut self, id: MailboxId) -> Work {
        let Some(mailbox) = self.mailboxes.get_mut(&id) else {
            unreachable!("the caller has looked the mailbox up");
        };
        Work {
            id,
            rowno: mailbox.rowno,
            modseq: mailbox.next_modseq(),
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn finish(&mut self, work: Work) -> Result<(), Stop> {
        for (user, uids) in work.seen {
            self.run(
                "INSERT INTO seen VALUES (?1, ?2, ?3) \
                 ON CONFLICT (mailbox, user) DO UPDATE SET uids = excluded.uids",
                params![work.rowno, user, uids.to_bytes()],
            )?;
            self.view(work.id).seen.insert(user.into(), Arc::new(uids));
        }
        self.view(work.id);
        Ok(())
    }

    /// Adds a row; the content is there.
    pub(super) fn new_message(
        &mut self,
        work: &mut Work,
        message: &command::Message,
        items: &Items,
        location: BodyLocation,
        content: i64,
    ) -> Result<u32, Stop> {
        let keywords = match message.keywords.as_slice() {
            [] => 0,
            names => self.keyword_word(work.id, &self.keyword_set(work.id, names))?,
        };
        let Some(mailbox) = self.mailboxes.get_mut(&work.id) else {
            unreachable!("the caller has looked the mailbox up");
        };
        let uid = mailbox.uidnext;
        mailbox.uidnext += 1;
        let mut flags = message.flags();
        let own_seen = !message.seen_by.is_empty() && !mailbox.shared_seen;
        let seen = flags.contains(Flags::SEEN);
        if own_seen {
            flags = flags & !Flags::SEEN;
        }
        let row = MessageRow {
            seq: 0,
            uid,
            modseq: work.modseq,
            flags,
            keywords,
            internal_date: InternalDate {
                seconds: message.internal_seconds,
                zone: i16::try_from(message.internal_zone).unwrap_or(0),
            },
            save_date: message.save_date,
            sent: items.sent,
            sent_day: items.sent_day,
            location,
            header_len: items.header_len,
            email_id: <[u8; 16]>::try_from(message.email_id.as_slice()).unwrap_or_default(),
            content,
        };
        mailbox.messages += 1;
        mailbox.bytes += i64::from(location.len);
        let one = Amount {
            bytes: i64::from(location.len),
            messages: 1,
            mailboxes: 0,
        };
        charge(&mut self.quotas, &mailbox.name, one);
        mailbox.unseen += 1 - has(flags, Flags::SEEN);
        mailbox.deleted += has(flags, Flags::DELETED);
        self.conn
            .prepare_cached(&format!(
                "INSERT INTO message (mailbox, {MESSAGE_COLUMNS}) VALUES \
                 (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)"
            ))
            .and_then(|mut s| {
                s.execute(params![
                    work.rowno,
                    row.uid,
                    row.modseq.cast_signed(),
                    row.flags.bits(),
                    row.keywords.cast_signed(),
                    row.internal_date.seconds,
                    row.internal_date.zone,
                    row.save_date,
                    row.sent,
                    row.sent_day,
                    row.location.segment.cast_signed(),
                    row.location.offset.cast_signed(),
                    row.location.len,
                    row.location.crc,
                    row.header_len,
                    row.email_id,
                    row.content
                ])
            })
            .map_err(sql)?;
        if own_seen && seen {
            if !work.seen.contains_key(&message.seen_by) {
                let set = self.seen(work.rowno, &message.seen_by)?;
                work.seen.insert(message.seen_by.clone(), set);
            }
            if let Some(set) = work.seen.get_mut(&message.seen_by) {
                set.insert(uid);
            }
        }
        self.view(work.id).added.push(row);
        Ok(uid)
    }

    pub(super) fn new_content(
        &mut self,
        items: &Items,
        location: BodyLocation,
    ) -> Result<i64, Stop> {
        let content = self.next_content;
        self.next_content += 1;
        self.run(
            "INSERT INTO content VALUES (?1, 1, ?2)",
            params![content, &items.content[..]],
        )?;
        self.count(location.segment, 1, i64::from(location.len));
        Ok(content)
    }

    /// Removes messages, leaving tombstones; with `keep` they can be restored.
    pub(super) fn remove(
        &mut self,
        id: MailboxId,
        rows: &[MessageRow],
        keep: Option<Keep>,
    ) -> Result<Expunged, Stop> {
        if rows.is_empty() {
            let modseq = self.mailboxes[&id].highest_modseq;
            return Ok(Expunged {
                uids: UidSet::new(),
                modseq,
            });
        }
        let mut work = self.begin(id);
        let uids: UidSet = rows.iter().map(|r| r.uid).collect();
        for row in rows {
            self.run(
                "DELETE FROM message WHERE mailbox = ?1 AND uid = ?2",
                params![work.rowno, row.uid],
            )?;
            match keep {
                Some(keep) => self.keep(id, row, keep)?,
                None => self.release(row.content, row.location.segment, row.location.len)?,
            }
        }
        if let Some(mailbox) = self.mailboxes.get_mut(&id) {
            for row in rows {
                mailbox.messages -= 1;
                mailbox.bytes -= i64::from(row.location.len);
                mailbox.unseen -= 1 - has(row.flags, Flags::SEEN);
                mailbox.deleted -= has(row.flags, Flags::DELETED);
            }
            let gone = Amount {
                bytes: -rows.iter().map(|r| i64::from(r.location.len)).sum::<i64>(),
                messages: -(rows.len() as i64),
                mailboxes: 0,
            };
            charge(&mut self.quotas, &mailbox.name, gone);
        }
        self.bury(work.rowno, work.modseq, &uids)?;
        for (user, mut seen) in self.all_seen(work.rowno)? {
            if !seen.intersection(&uids).is_empty() {
                seen.subtract(&uids);
                work.seen.insert(user, seen);
            }
        }
        let modseq = work.modseq;
        self.finish(work)?;
        self.view(id).expunged.union_with(&uids);
        Ok(Expunged { uids, modseq })
    }

    /// Writes tombstones (RFC 7162 section 3.2.5), and joins the oldest when there are too many.
    pub(super) fn bury(&self, rowno: i64, modseq: u64, uids: &UidSet) -> Result<(), Stop> {
        for (low, high) in uids.ranges() {
            self.run(
                "INSERT INTO tombstone VALUES (?1, ?2, ?3, ?4)",
                params![rowno, modseq.cast_signed(), low, high],
            )?;
        }
        let look = uids.ranges().len() > LOOK_AFTER || modseq.is_multiple_of(LOOK_AFTER as u64);
        match look {
            true => self.join_tombstones(rowno),
            false => Ok(()),
        }
    }

    /// Replaces all but the newest half of a mailbox's tombstones, if there are more than
    /// [`MAX_TOMBSTONES`], by one that stands for every UID up to their greatest. Which of them
    /// still have messages is known when it is asked for. Nothing is forgotten: a client that
    /// comes with a MODSEQ from that time is told of more than it needs to be.
    fn join_tombstones(&self, rowno: i64) -> Result<(), Stop> {
        let nth_newest = |nth: i64| {
            self.conn
                .prepare_cached(
                    "SELECT modseq FROM tombstone WHERE mailbox = ?1 \
                     ORDER BY modseq DESC, low DESC LIMIT 1 OFFSET ?2",
                )
                .and_then(|mut s| {
                    let row = s.query_row(params![rowno, nth], |r| r.get::<_, i64>(0));
                    row.optional()
                })
                .map_err(sql)
        };
        if nth_newest(MAX_TOMBSTONES)?.is_none() {
            return Ok(());
        }
        let Some(modseq) = nth_newest(MAX_TOMBSTONES / 2)? else {
            return Ok(());
        };
        let high: u32 = self
            .conn
            .prepare_cached("SELECT max(high) FROM tombstone WHERE mailbox = ?1 AND modseq <= ?2")
            .and_then(|mut s| s.query_row(params![rowno, modseq], |r| r.get(0)))
            .map_err(sql)?;
        self.run(
            "DELETE FROM tombstone WHERE mailbox = ?1 AND modseq <= ?2",
            params![rowno, modseq],
        )?;
        self.run(
            "INSERT INTO tombstone VALUES (?1, ?2, 1, ?3)",
            params![rowno, modseq, high],
        )
    }

    /// Takes one reference from a content, which goes with the last.
    pub(super) fn release(&mut self, content: i64, segment: u64, len: u32) -> Result<(), Stop> {
        let gone = self
            .conn
            .prepare_cached("DELETE FROM content WHERE id = ?1 AND refs <= 1")
            .and_then(|mut s| s.execute([content]))
            .map_err(sql)?;
        if gone > 0 {
            self.count(segment, -1, -i64::from(len));
            return Ok(());
        }
        self.run(
            "UPDATE content SET refs = refs - 1 WHERE id = ?1",
            [content],
        )
    }

    /// The messages of a mailbox in `uids`.
    pub(super) fn rows(
        &self,
        id: MailboxId,
        uids: &UidSet,
        and: &str,
    ) -> Result<Vec<MessageRow>, Stop> {
        let rowno = self.mailboxes[&id].rowno;
        let read = || -> rusqlite::Result<Vec<MessageRow>> {
            let mut query = self.conn.prepare_cached(&format!(
                "SELECT {MESSAGE_COLUMNS} FROM message \
                 WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3 {and}"
            ))?;
            let mut found = Vec::new();
            for (low, high) in uids.ranges() {
                let mut rows = query.query(params![rowno, low, high])?;
                while let Some(row) = rows.next()? {
                    found.push(message_row(row)?);
                }
            }
            Ok(found)
        };
        read().map_err(sql)
    }

    pub(super) fn seen(&self, rowno: i64, user: &str) -> Result<UidSet, Stop> {
        let bytes: Option<Vec<u8>> = self
            .conn
            .prepare_cached("SELECT uids FROM seen WHERE mailbox = ?1 AND user = ?2")
            .and_then(|mut s| s.query_row(params![rowno, user], |r| r.get(0)).optional())
            .map_err(sql)?;
        Ok(bytes.map_or_else(UidSet::new, |b| UidSet::from_bytes(&b)))
    }

    pub(super) fn all_seen(&self, rowno: i64) -> Result<Vec<(String, UidSet)>, Stop> {
        let read = || -> rusqlite::Result<Vec<(String, UidSet)>> {
            let mut rows = self
                .conn
                .prepare_cached("SELECT user, uids FROM seen WHERE mailbox = ?1")?;
            let rows = rows.query_map([rowno], |r| {
                let uids: Vec<u8> = r.get(1)?;
                Ok((r.get(0)?, UidSet::from_bytes(&uids)))
            })?;
            rows.collect()
        };
        read().map_err(sql)
    }

    pub(super) fn has_uids(&self, id: MailboxId, wanted: usize) -> bool {
        let left = u32::MAX - self.mailboxes[&id].uidnext;
        u32::try_from(wanted).is_ok_and(|wanted| wanted <= left)
    }
}

fn has(flags: Flags, flag: Flags) -> i64 {
    i64::from(flags.contains(flag))
}
