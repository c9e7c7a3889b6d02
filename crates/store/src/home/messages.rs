//! Commands about messages, applied to a home.

use std::collections::BTreeMap;
use std::sync::Arc;

use murder_mailbox::MailboxId;
use rusqlite::{OptionalExtension, params};

use super::{Home, Stop, refuse, sql};
use crate::command::{self, Append, Copy, CopyAcross, Expunge, Store};
use crate::error::StoreError;
use crate::flags::Flags;
use crate::items::Items;
use crate::journal::{ApplyResult, Entry, Outcome};
use crate::message::{Appended, BodyLocation, Copied, Expunged, InternalDate, Stored};
use crate::readers::{MESSAGE_COLUMNS, message_row};
use crate::segments::Segments;
use crate::uidset::UidSet;
use crate::view::{Keywords, MessageRow, RowState};

/// One command's work on the messages of one mailbox: counters, the view's change and other
/// users' `\Seen` are collected and written once.
struct Work {
    id: MailboxId,
    rowno: i64,
    modseq: u64,
    seen: BTreeMap<String, UidSet>,
}

impl Home {
    pub(super) fn append(
        &mut self,
        c: &Append,
        entry: &Entry,
        segments: &Segments,
    ) -> Result<ApplyResult, Stop> {
        let mut results = Vec::new();
        // Bodies are stored once a home, however many of its mailboxes get them.
        let mut contents: Vec<Option<i64>> = vec![None; c.messages.len()];
        for (place, target) in c.targets.iter().enumerate() {
            if target.home != self.id {
                continue;
            }
            let result =
                self.append_to(&target.mailbox, &c.messages, entry, segments, &mut contents)?;
            results.push((place, result));
        }
        Ok(Ok(Outcome::Appended(results)))
    }

    fn append_to(
        &mut self,
        mailbox: &[u8],
        messages: &[command::Message],
        entry: &Entry,
        segments: &Segments,
        contents: &mut [Option<i64>],
    ) -> Result<Result<Appended, StoreError>, Stop> {
        let Some(id) = self.mailbox(mailbox).map(|m| m.id) else {
            return Ok(Err(StoreError::NoSuchMailbox));
        };
        if !self.has_uids(id, messages.len()) {
            return Ok(Err(StoreError::UidsExhausted));
        }
        let names = messages.iter().flat_map(|m| &m.keywords);
        if !self.make_room_for_keywords(id, names.map(String::as_str))? {
            return Ok(Err(StoreError::TooManyKeywords));
        }
        let mut work = self.begin(id);
        let mut uids = Vec::with_capacity(messages.len());
        for (at, message) in messages.iter().enumerate() {
            let items = items(entry, at, segments)?;
            let location = entry.locations[at];
            let content = match contents[at] {
                Some(content) => {
                    self.run(
                        "UPDATE content SET refs = refs + 1 WHERE id = ?1",
                        [content],
                    )?;
                    content
                }
                None => self.new_content(&items, location)?,
            };
            contents[at] = Some(content);
            uids.push(self.new_message(&mut work, message, &items, location, content)?);
        }
        let modseq = work.modseq;
        self.finish(work)?;
        Ok(Ok(Appended {
            uidvalidity: self.mailboxes[&id].uidvalidity,
            uids,
            modseq,
        }))
    }

    /// The target's side of a cross-home COPY or MOVE.
    pub(super) fn arrive(
        &mut self,
        c: &CopyAcross,
        entry: &Entry,
        segments: &Segments,
    ) -> Result<ApplyResult, Stop> {
        let mut contents = vec![None; c.messages.len()];
        let kept = match self.mailbox(&c.target).map(|m| m.id) {
            Some(id) => self.keywords_that_fit(id, &c.messages)?,
            None => Vec::new(),
        };
        let appended = self.append_to(&c.target, &kept, entry, segments, &mut contents)?;
        let source: Vec<u32> = match &appended {
            Ok(_) => c.messages.iter().map(|m| m.source_uid).collect(),
            Err(_) => Vec::new(),
        };
        if c.expunge {
            let arrived: UidSet = source.iter().copied().collect();
            self.run(
                "INSERT INTO arrival VALUES (?1, ?2)",
                params![entry.lsn.cast_signed(), arrived.to_bytes()],
            )?;
        }
        Ok(appended.map(|appended| {
            Outcome::Copied(Copied {
                uidvalidity: appended.uidvalidity,
                source,
                target: appended.uids,
                expunged: UidSet::new(),
            })
        }))
    }

    /// The source's side of a cross-home MOVE.
    pub(super) fn depart(&mut self, c: &CopyAcross, entry: &Entry) -> Result<ApplyResult, Stop> {
        let arrived = entry.wait_arrived()?;
        let Some(id) = self.mailbox(&c.source).map(|m| m.id) else {
            return Ok(Ok(Outcome::Expunged(Expunged::default())));
        };
        let rows = self.rows(id, &arrived, "")?;
        Ok(Ok(Outcome::Expunged(self.remove(id, &rows)?)))
    }

    pub(super) fn copy(&mut self, c: &Copy) -> Result<ApplyResult, Stop> {
        let (Some(source), Some(target)) = (
            self.mailbox(&c.source).map(|m| m.id),
            self.mailbox(&c.target).map(|m| m.id),
        ) else {
            return refuse(StoreError::NoSuchMailbox);
        };
        let rows = self.rows(source, &UidSet::from_bytes(&c.uids), "")?;
        if !self.has_uids(target, rows.len()) {
            return refuse(StoreError::UidsExhausted);
        }
        let from = &self.mailboxes[&source];
        let names = Arc::clone(&from.keywords);
        let seen = match c.source_user.as_str() {
            "" => None,
            _ if from.shared_seen => None,
            user => Some(self.seen(from.rowno, user)?),
        };
        let mut copied = Copied {
            uidvalidity: self.mailboxes[&target].uidvalidity,
            ..Copied::default()
        };
        if rows.is_empty() {
            return Ok(Ok(Outcome::Copied(copied)));
        }
        let messages: Vec<command::Message> = rows
            .iter()
            .map(|row| {
                let mut flags = row.flags;
                if let Some(seen) = &seen {
                    flags = flags & !Flags::SEEN;
                    if seen.contains(row.uid) {
                        flags |= Flags::SEEN;
                    }
                }
                command::Message {
                    flags: u32::from(flags.bits()),
                    keywords: names.names(row.keywords).map(str::to_owned).collect(),
                    internal_seconds: row.internal_date.seconds,
                    internal_zone: i32::from(row.internal_date.zone),
                    save_date: c.now,
                    email_id: row.email_id.to_vec(),
                    seen_by: c.target_user.clone(),
                    ..command::Message::default()
                }
            })
            .collect();
        let messages = self.keywords_that_fit(target, &messages)?;
        let mut work = self.begin(target);
        for (row, message) in rows.iter().zip(&messages) {
            self.run(
                "UPDATE content SET refs = refs + 1 WHERE id = ?1",
                [row.content],
            )?;
            let items = Items {
                sent: row.sent,
                sent_day: row.sent_day,
                header_len: row.header_len,
                ..Items::default()
            };
            let uid = self.new_message(&mut work, message, &items, row.location, row.content)?;
            copied.source.push(row.uid);
            copied.target.push(uid);
        }
        self.finish(work)?;
        if c.expunge {
            copied.expunged = self.remove(source, &rows)?.uids;
        }
        Ok(Ok(Outcome::Copied(copied)))
    }

    pub(super) fn expunge(&mut self, c: &Expunge) -> Result<ApplyResult, Stop> {
        let Some(id) = self.mailbox(&c.mailbox).map(|m| m.id) else {
            return refuse(StoreError::NoSuchMailbox);
        };
        let uids = match &c.uids {
            Some(uids) => UidSet::from_bytes(uids),
            None => UidSet::range(1, u32::MAX),
        };
        let rows = self.rows(id, &uids, "AND flags & 8 != 0")?;
        Ok(Ok(Outcome::Expunged(self.remove(id, &rows)?)))
    }

    pub(super) fn store(&mut self, c: &Store) -> Result<ApplyResult, Stop> {
        let Some(id) = self.mailbox(&c.mailbox).map(|m| m.id) else {
            return refuse(StoreError::NoSuchMailbox);
        };
        let adds = c.mode != 1 && c.keywords_allowed;
        if adds && !self.make_room_for_keywords(id, c.keywords.iter().map(String::as_str))? {
            return refuse(StoreError::TooManyKeywords);
        }
        let bits = {
            let Some(mailbox) = self.mailboxes.get_mut(&id) else {
                return refuse(StoreError::NoSuchMailbox);
            };
            keyword_bits(&mut mailbox.keywords, &c.keywords, adds)
        };
        let mailbox = &self.mailboxes[&id];
        let own_seen = !c.user.is_empty() && !mailbox.shared_seen;
        let rowno = mailbox.rowno;
        let mut seen = if own_seen {
            self.seen(rowno, &c.user)?
        } else {
            UidSet::new()
        };
        let mut mask = Flags::from_bits(c.flags_mask as u8);
        let flags = Flags::from_bits(c.flags as u8);
        let seen_allowed = mask.contains(Flags::SEEN);
        if own_seen {
            mask = mask & !Flags::SEEN;
        }
        let asked = UidSet::from_bytes(&c.uids);
        let mut stored = Stored {
            missing: asked.clone(),
            ..Stored::default()
        };
        let mut states = Vec::new();
        let mut found = UidSet::new();
        for mut row in self.states(rowno, &asked)? {
            found.insert(row.uid);
            if c.unchanged_since.is_some_and(|since| row.modseq > since) {
                stored.modified.insert(row.uid);
                continue;
            }
            let old = (row.flags, row.keywords, seen.contains(row.uid));
            let masked = flags & mask;
            let sees = flags.contains(Flags::SEEN);
            match c.mode {
                0 => {
                    row.flags |= masked;
                    row.keywords |= bits;
                }
                1 => {
                    row.flags = row.flags & !masked;
                    if c.keywords_allowed {
                        row.keywords &= !bits;
                    }
                }
                _ => {
                    row.flags = (row.flags & !mask) | masked;
                    if c.keywords_allowed {
                        row.keywords = bits;
                    }
                }
            }
            if own_seen && seen_allowed {
                match (c.mode, sees) {
                    (0, true) | (2, true) => seen.insert(row.uid),
                    (1, true) | (2, false) => seen.remove_range(row.uid, row.uid),
                    _ => {}
                }
            }
            if old != (row.flags, row.keywords, seen.contains(row.uid)) {
                stored.changed.insert(row.uid);
                states.push((old.0, row));
            }
        }
        stored.missing.subtract(&found);
        if states.is_empty() {
            stored.modseq = self.mailboxes[&id].highest_modseq;
            return Ok(Ok(Outcome::Stored(stored)));
        }
        let mut work = self.begin(id);
        stored.modseq = work.modseq;
        if own_seen {
            work.seen.insert(c.user.clone(), seen);
        }
        self.set_states(&work, states)?;
        self.finish(work)?;
        Ok(Ok(Outcome::Stored(stored)))
    }

    fn states(&self, rowno: i64, uids: &UidSet) -> Result<Vec<RowState>, Stop> {
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

    fn set_states(&mut self, work: &Work, states: Vec<(Flags, RowState)>) -> Result<(), Stop> {
        let (mut unseen, mut deleted) = (0, 0);
        {
            let mut update = self
                .conn
                .prepare_cached(
                    "UPDATE message SET modseq = ?3, flags = ?4, keywords = ?5 \
                     WHERE mailbox = ?1 AND uid = ?2",
                )
                .map_err(sql)?;
            for (old, row) in &states {
                update
                    .execute(params![
                        work.rowno,
                        row.uid,
                        work.modseq.cast_signed(),
                        row.flags.bits(),
                        row.keywords.cast_signed()
                    ])
                    .map_err(sql)?;
                unseen += has(*old, Flags::SEEN) - has(row.flags, Flags::SEEN);
                deleted += has(row.flags, Flags::DELETED) - has(*old, Flags::DELETED);
            }
        }
        if let Some(mailbox) = self.mailboxes.get_mut(&work.id) {
            mailbox.unseen += unseen;
            mailbox.deleted += deleted;
        }
        let modseq = work.modseq;
        let states = states
            .into_iter()
            .map(|(_, row)| RowState { modseq, ..row });
        self.view(work.id).states.extend(states);
        Ok(())
    }

    /// Takes the next MODSEQ of a mailbox for a command that changes its messages.
    fn begin(&mut self, id: MailboxId) -> Work {
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

    fn finish(&mut self, work: Work) -> Result<(), Stop> {
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
    fn new_message(
        &mut self,
        work: &mut Work,
        message: &command::Message,
        items: &Items,
        location: BodyLocation,
        content: i64,
    ) -> Result<u32, Stop> {
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
            keywords: keyword_bits(&mut mailbox.keywords, &message.keywords, true),
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

    fn new_content(&mut self, items: &Items, location: BodyLocation) -> Result<i64, Stop> {
        let content = self.next_content;
        self.next_content += 1;
        self.run(
            "INSERT INTO content VALUES (?1, 1, ?2, ?3, ?4)",
            params![content, items.envelope, items.body, items.bodystructure],
        )?;
        self.count(location.segment, 1, i64::from(location.len));
        Ok(content)
    }

    /// Removes messages, leaving tombstones.
    fn remove(&mut self, id: MailboxId, rows: &[MessageRow]) -> Result<Expunged, Stop> {
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
            self.release(row.content, row.location.segment, row.location.len)?;
        }
        if let Some(mailbox) = self.mailboxes.get_mut(&id) {
            for row in rows {
                mailbox.messages -= 1;
                mailbox.bytes -= i64::from(row.location.len);
                mailbox.unseen -= 1 - has(row.flags, Flags::SEEN);
                mailbox.deleted -= has(row.flags, Flags::DELETED);
            }
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

    /// Writes tombstones (RFC 7162 section 3.2.5).
    pub(super) fn bury(&self, rowno: i64, modseq: u64, uids: &UidSet) -> Result<(), Stop> {
        for (low, high) in uids.ranges() {
            self.run(
                "INSERT INTO tombstone VALUES (?1, ?2, ?3, ?4)",
                params![rowno, modseq.cast_signed(), low, high],
            )?;
        }
        Ok(())
    }

    /// Takes one reference from a content, which goes with the last.
    fn release(&mut self, content: i64, segment: u64, len: u32) -> Result<(), Stop> {
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

    /// Releases what all messages of a mailbox refer to.
    pub(super) fn release_contents(&mut self, rowno: i64) -> Result<(), Stop> {
        let read = || -> rusqlite::Result<Vec<(i64, i64, u32)>> {
            let mut rows = self
                .conn
                .prepare_cached("SELECT content, segment, len FROM message WHERE mailbox = ?1")?;
            let rows = rows.query_map([rowno], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
            rows.collect()
        };
        for (content, segment, len) in read().map_err(sql)? {
            self.release(content, segment.cast_unsigned(), len)?;
        }
        Ok(())
    }

    /// The messages of a mailbox in `uids`.
    fn rows(&self, id: MailboxId, uids: &UidSet, and: &str) -> Result<Vec<MessageRow>, Stop> {
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

    fn seen(&self, rowno: i64, user: &str) -> Result<UidSet, Stop> {
        let bytes: Option<Vec<u8>> = self
            .conn
            .prepare_cached("SELECT uids FROM seen WHERE mailbox = ?1 AND user = ?2")
            .and_then(|mut s| s.query_row(params![rowno, user], |r| r.get(0)).optional())
            .map_err(sql)?;
        Ok(bytes.map_or_else(UidSet::new, |b| UidSet::from_bytes(&b)))
    }

    fn all_seen(&self, rowno: i64) -> Result<Vec<(String, UidSet)>, Stop> {
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

    fn has_uids(&self, id: MailboxId, wanted: usize) -> bool {
        let left = u32::MAX - self.mailboxes[&id].uidnext;
        u32::try_from(wanted).is_ok_and(|wanted| wanted <= left)
    }

    /// Gives every keyword of `names` a bit; drops keywords that no message has to make room.
    /// `false` when there is none even so; then nothing changed.
    fn make_room_for_keywords<'a>(
        &mut self,
        id: MailboxId,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<bool, Stop> {
        let fits = |keywords: &Keywords| {
            let mut keywords = keywords.clone();
            names
                .clone()
                .all(|name| keywords.intern(name).is_some())
                .then_some(keywords)
        };
        let current = &self.mailboxes[&id].keywords;
        if names.clone().all(|name| current.bit(name).is_some()) {
            return Ok(true);
        }
        let mut fitted = fits(current);
        if fitted.is_none() {
            let used = self.used_keywords(self.mailboxes[&id].rowno)?;
            let mut keywords = (**current).clone();
            keywords.keep(used);
            fitted = fits(&keywords);
        }
        let Some(fitted) = fitted else {
            return Ok(false);
        };
        if let Some(mailbox) = self.mailboxes.get_mut(&id) {
            mailbox.keywords = Arc::new(fitted);
            mailbox.dirty = true;
        }
        Ok(true)
    }

    fn used_keywords(&self, rowno: i64) -> Result<u64, Stop> {
        let read = || -> rusqlite::Result<u64> {
            let mut rows = self.conn.prepare_cached(
                "SELECT DISTINCT keywords FROM message WHERE mailbox = ?1 AND keywords != 0",
            )?;
            let mut rows = rows.query([rowno])?;
            let mut used = 0;
            while let Some(r) = rows.next()? {
                used |= r.get::<_, i64>(0)?.cast_unsigned();
            }
            Ok(used)
        };
        read().map_err(sql)
    }

    /// The messages without the keywords that the mailbox has no room for: a copy must not
    /// fail for them.
    fn keywords_that_fit(
        &mut self,
        id: MailboxId,
        messages: &[command::Message],
    ) -> Result<Vec<command::Message>, Stop> {
        let mut messages = messages.to_vec();
        let names = messages.iter().flat_map(|m| &m.keywords);
        if self.make_room_for_keywords(id, names.map(String::as_str))? {
            return Ok(messages);
        }
        let mut refused = Vec::new();
        for message in &messages {
            for name in &message.keywords {
                if !refused.contains(name)
                    && !self.make_room_for_keywords(id, std::iter::once(name.as_str()))?
                {
                    refused.push(name.clone());
                }
            }
        }
        for message in &mut messages {
            message.keywords.retain(|name| !refused.contains(name));
        }
        Ok(messages)
    }
}

fn has(flags: Flags, flag: Flags) -> i64 {
    i64::from(flags.contains(flag))
}

/// The bits of keywords; new ones get theirs when `add`. There is room: the caller has made
/// it.
fn keyword_bits(keywords: &mut Arc<Keywords>, names: &[String], add: bool) -> u64 {
    let mut bits = 0;
    for name in names {
        let bit = match keywords.bit(name) {
            None if add => Arc::make_mut(keywords).intern(name),
            bit => bit,
        };
        if let Some(bit) = bit {
            bits |= 1 << bit;
        }
    }
    bits
}

/// The fetch items of a message. A body that cannot be read any more keeps its row, so that
/// its loss is seen where it is read.
fn items(entry: &Entry, at: usize, segments: &Segments) -> Result<Arc<Items>, Stop> {
    match entry.items(at, segments) {
        Err(e @ (StoreError::Corrupt { .. } | StoreError::BodyGone)) => {
            tracing::error!(lsn = entry.lsn, error = %e, "a message's body cannot be read");
            Ok(Arc::new(Items::compute(b"")))
        }
        other => other,
    }
}
