//! Commands about messages, applied to a home.

use std::borrow::Cow;
use std::sync::Arc;

use murder_mailbox::MailboxId;
use rusqlite::params;

use super::keywords::most;
use super::retention::Keep;
use super::rows::{Changed, KeywordChange, StateChange};
use super::{Home, OpenViews, Stop, refuse};

use crate::command::{self, Append, Copy, CopyAcross, Expunge, Store};
use crate::entry::{ApplyResult, Entry, Outcome};
use crate::error::StoreError;
use crate::flags::Flags;
use crate::items::Items;
use crate::journal::segments::Segments;
use crate::message::{Appended, Copied, Expunged, Stored};
use crate::quota::Amount;
use crate::uidset::UidSet;
use crate::view::{MessageRow, RowState};

/// Messages that come to a mailbox.
struct Coming<'a> {
    mailbox: &'a [u8],
    messages: &'a [command::Message],
    max_keywords: u32,
    /// What they count for.
    more: Amount,
}

impl Home {
    pub(super) fn append(
        &mut self,
        c: &Append,
        entry: &Entry,
        segments: &Segments,
    ) -> Result<ApplyResult, Stop> {
        let replaced = match &c.replaces {
            None => None,
            Some(replaced) => {
                let Some(source) = self.mailbox(&replaced.mailbox).map(|m| m.id) else {
                    return refuse(StoreError::NoSuchMessage);
                };
                let rows = self.rows(source, &UidSet::range(replaced.uid, replaced.uid), "")?;
                if rows.is_empty() {
                    return refuse(StoreError::NoSuchMessage);
                }
                Some((source, rows, keep(replaced.now, replaced.keep_until)))
            }
        };
        let mut results = Vec::new();
        // Bodies are stored once a home, however many of its mailboxes get them.
        let mut contents: Vec<Option<i64>> = vec![None; c.messages.len()];
        for (place, target) in c.targets.iter().enumerate() {
            if target.home != self.id {
                continue;
            }
            if let Some(before) = self.done_before(&target.id)? {
                results.push((place, before));
                continue;
            }
            let more = self.net_amount(
                &target.mailbox,
                &c.messages,
                replaced
                    .as_ref()
                    .map(|(source, rows, _)| (*source, rows.as_slice())),
            );
            let coming = Coming {
                mailbox: &target.mailbox,
                messages: &c.messages,
                max_keywords: c.max_keywords,
                more,
            };
            let result = self.append_to(&coming, entry, segments, &mut contents)?;
            if let (false, Ok(appended)) = (target.id.is_empty(), &result) {
                self.remember(&target.id, target.keep_until, c.most_ids, Some(appended))?;
            }
            results.push((place, result));
        }
        if let Some((source, rows, keep)) = replaced
            && results.iter().all(|(_, result)| result.is_ok())
        {
            self.remove(source, &rows, keep)?;
        }
        Ok(Ok(Outcome::Appended(results)))
    }

    /// What messages will count for, less what they replace if that counts there too (RFC 8508
    /// section 3.4).
    fn net_amount(
        &mut self,
        target: &[u8],
        messages: &[command::Message],
        replaced: Option<(MailboxId, &[MessageRow])>,
    ) -> Amount {
        let mut more = amount(messages);
        if let Some((source, rows)) = replaced
            && let Some(target) = self.mailbox(target).map(|m| m.id)
            && self.governing(&self.mailboxes[&target].name)
                == self.governing(&self.mailboxes[&source].name)
        {
            more.bytes -= rows.iter().map(|r| i64::from(r.location.len)).sum::<i64>();
            more.messages -= rows.len() as i64;
        }
        more
    }

    fn append_to(
        &mut self,
        coming: &Coming<'_>,
        entry: &Entry,
        segments: &Segments,
        contents: &mut [Option<i64>],
    ) -> Result<Result<Appended, StoreError>, Stop> {
        let Coming {
            mailbox,
            messages,
            max_keywords,
            more,
        } = *coming;
        let Some(id) = self.mailbox(mailbox).map(|m| m.id) else {
            return Ok(Err(StoreError::NoSuchMailbox));
        };
        if !self.has_uids(id, messages.len()) {
            return Ok(Err(StoreError::UidsExhausted));
        }
        if let Some(over) = self.over_quota(&self.mailboxes[&id].name, more) {
            return Ok(Err(over));
        }
        let max = most(max_keywords);
        if max_keywords == 0 {
            let names = messages.iter().flat_map(|m| &m.keywords);
            let refused = self.make_room_for_keywords(id, names.map(String::as_str), max, true)?;
            if !refused.is_empty() {
                return Ok(Err(StoreError::TooManyKeywords));
            }
        }
        let messages = self.keywords_that_fit(id, messages, max)?;
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
            Some(id) => self.keywords_that_fit(id, &c.messages, most(c.max_keywords))?,
            None => Cow::default(),
        };
        let coming = Coming {
            mailbox: &c.target,
            messages: &kept,
            max_keywords: c.max_keywords,
            more: amount(&kept),
        };
        let appended = self.append_to(&coming, entry, segments, &mut contents)?;
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
        Ok(Ok(Outcome::Expunged(self.remove(id, &rows, None)?)))
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
        let to = &self.mailboxes[&target].name;
        // A MOVE under one root takes no room.
        if !(c.expunge && self.governing(to) == self.governing(&from.name)) {
            let more = Amount {
                bytes: rows.iter().map(|r| i64::from(r.location.len)).sum(),
                messages: rows.len() as i64,
                mailboxes: 0,
            };
            if let Some(over) = self.over_quota(to, more) {
                return refuse(over);
            }
        }
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
        let without = Flags::from_bits(c.without_flags as u8);
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
                let keywords = if c.without_keywords {
                    Vec::new()
                } else {
                    names.names(row.keywords).map(str::to_owned).collect()
                };
                command::Message {
                    flags: u32::from((flags & !without).bits()),
                    keywords,
                    internal_seconds: row.internal_date.seconds,
                    internal_zone: i32::from(row.internal_date.zone),
                    save_date: c.now,
                    email_id: row.email_id.to_vec(),
                    seen_by: c.target_user.clone(),
                    ..command::Message::default()
                }
            })
            .collect();
        let messages = self.keywords_that_fit(target, &messages, most(c.max_keywords))?;
        let mut work = self.begin(target);
        for (row, message) in rows.iter().zip(messages.iter()) {
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
            copied.expunged = self.remove(source, &rows, None)?.uids;
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
        let condition = match c.regardless {
            true => "",
            false => "AND flags & 8 != 0",
        };
        let rows = self.rows(id, &uids, condition)?;
        let keep = keep(c.now, c.keep_until);
        Ok(Ok(Outcome::Expunged(self.remove(id, &rows, keep)?)))
    }

    pub(super) fn store(&mut self, c: &Store, open: OpenViews<'_>) -> Result<ApplyResult, Stop> {
        let Some(id) = self.mailbox(&c.mailbox).map(|m| m.id) else {
            return refuse(StoreError::NoSuchMailbox);
        };
        let asked = UidSet::from_bytes(&c.uids);
        let rows = self.states(id, &asked, open)?;
        let is_newer = |row: &RowState| c.unchanged_since.is_some_and(|since| row.modseq > since);
        // A keyword comes to be with the first message that takes it.
        let taken = rows.iter().any(|(_, row)| !is_newer(row));
        let adds = c.mode != 1 && c.keywords_allowed && taken;
        let names = c.keywords.iter().map(String::as_str);
        if adds
            && !self
                .make_room_for_keywords(id, names, most(c.max_keywords), true)?
                .is_empty()
        {
            return refuse(StoreError::TooManyKeywords);
        }
        let set = self.keyword_set(id, &c.keywords);
        let has_set = !set.rest().is_empty();
        let keywords = match c.mode {
            _ if !c.keywords_allowed => KeywordChange::NONE,
            0 | 1 if has_set => {
                let taken = rows.iter().map(|(_, row)| row).filter(|row| !is_newer(row));
                match self.changed_words(id, taken, &set, c.mode == 0)? {
                    Some(words) => KeywordChange::Words(words),
                    None => return refuse(StoreError::TooManyKeywords),
                }
            }
            0 => KeywordChange::Bits {
                clear: 0,
                set: set.direct(),
            },
            1 => KeywordChange::Bits {
                clear: set.direct(),
                set: 0,
            },
            _ if has_set && !taken => KeywordChange::NONE,
            _ if has_set && !self.mailboxes[&id].keywords.has_ids(1) => {
                return refuse(StoreError::TooManyKeywords);
            }
            _ => KeywordChange::Bits {
                clear: u64::MAX,
                set: self.keyword_word(id, &set)?,
            },
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
        let mut stored = Stored {
            missing: asked,
            ..Stored::default()
        };
        let (set, clear) = match c.mode {
            0 => (flags & mask, Flags::NONE),
            1 => (Flags::NONE, flags & mask),
            _ => (flags & mask, mask),
        };
        let mut changed = Changed::new(StateChange {
            clear,
            set,
            keywords,
        });
        let mut found = UidSet::new();
        for (number, mut row) in rows {
            found.insert(row.uid);
            if is_newer(&row) {
                stored.modified.insert(row.uid);
                continue;
            }
            let old = (row.flags, row.keywords, seen.contains(row.uid));
            changed.change.apply(&mut row);
            let sees = flags.contains(Flags::SEEN);
            if own_seen && seen_allowed {
                match (c.mode, sees) {
                    (0, true) | (2, true) => seen.insert(row.uid),
                    (1, true) | (2, false) => seen.remove_range(row.uid, row.uid),
                    _ => {}
                }
            }
            if old != (row.flags, row.keywords, seen.contains(row.uid)) {
                stored.changed.insert(row.uid);
                changed.push(number, old.0, row);
            }
        }
        stored.missing.subtract(&found);
        if changed.is_empty() {
            stored.modseq = self.mailboxes[&id].highest_modseq;
            return Ok(Ok(Outcome::Stored(stored)));
        }
        let mut work = self.begin(id);
        stored.modseq = work.modseq;
        if own_seen {
            work.seen.insert(c.user.clone(), seen);
        }
        self.set_states(&work, changed)?;
        self.finish(work)?;
        Ok(Ok(Outcome::Stored(stored)))
    }
}

/// How long what goes is kept, if at all.
fn keep(now: i64, until: i64) -> Option<Keep> {
    (until > 0).then_some(Keep { now, until })
}

/// What messages count for.
fn amount(messages: &[command::Message]) -> Amount {
    Amount {
        bytes: messages.iter().map(|m| i64::from(m.len)).sum(),
        messages: messages.len() as i64,
        mailboxes: 0,
    }
}

/// The fetch items of a message. A body that cannot be read any more keeps its row, so that
/// its loss is seen where it is read.
pub(super) fn items(entry: &Entry, at: usize, segments: &Segments) -> Result<Arc<Items>, Stop> {
    match entry.items(at, segments) {
        Err(e @ (StoreError::Corrupt { .. } | StoreError::BodyGone)) => {
            tracing::error!(lsn = entry.lsn, error = %e, "a message's body cannot be read");
            Ok(Arc::new(Items::compute(b"")))
        }
        other => other,
    }
}
