//! What is kept for a while after it was expunged or deleted, applied to a home.

use murder_mailbox::{MailboxId, uidvalidity};
use rusqlite::params;

use super::keywords::most;
use super::quota::charge;
use super::{Deleted, Home, Mailbox, Stop, StoredAcl, refuse, sql, write_mailbox};
use crate::body::BodyLocation;
use crate::command::{self, Delete, Purge, RestoreMailbox, RestoreMessages};
use crate::entry::{ApplyResult, Outcome};
use crate::error::StoreError;
use crate::flags::Flags;
use crate::items::Items;
use crate::message::Copied;
use crate::quota::Amount;
use crate::retention::Purged;
use crate::uidset::UidSet;
use crate::view::MessageRow;

/// When messages were expunged, and until when they are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    pub now: i64,
    pub until: i64,
}

/// A message that is kept.
struct Kept {
    uid: u32,
    message: command::Message,
    items: Items,
    location: BodyLocation,
    content: i64,
}

impl Home {
    /// Keeps a message that is being removed; its content stays referred to.
    pub(super) fn keep(&mut self, id: MailboxId, row: &MessageRow, keep: Keep) -> Result<(), Stop> {
        let mailbox = &self.mailboxes[&id];
        let keywords: Vec<&str> = mailbox.keywords.names(row.keywords).collect();
        self.run(
            "INSERT INTO expunged VALUES \
             (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
            params![
                mailbox.rowno,
                row.uid,
                keep.now,
                keep.until,
                row.flags.bits(),
                keywords.join("\n"),
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
            ],
        )?;
        self.due(keep.until);
        Ok(())
    }

    pub(super) fn due(&mut self, at: i64) {
        if self.purge_at == 0 || at < self.purge_at {
            self.purge_at = at;
        }
    }

    /// Hides a mailbox, which has left `mailboxes` already.
    pub(super) fn hide(&mut self, mailbox: Mailbox, c: &Delete) -> Result<(), Stop> {
        write_mailbox(&self.conn, &mailbox).map_err(sql)?;
        // No mailbox's name begins with a slash.
        self.run(
            "UPDATE mailbox SET deleted_name = name, name = '/' || rowno, deleted_at = ?2, \
             keep_until = ?3 WHERE rowno = ?1",
            params![mailbox.rowno, c.now, c.keep_until],
        )?;
        self.due(c.keep_until);
        let deleted = Deleted {
            mailbox,
            keep_until: c.keep_until,
        };
        self.deleted.insert(deleted.mailbox.id, deleted);
        Ok(())
    }

    pub(super) fn restore_messages(&mut self, c: &RestoreMessages) -> Result<ApplyResult, Stop> {
        let Some((id, rowno)) = self.mailbox(&c.mailbox).map(|m| (m.id, m.rowno)) else {
            return refuse(StoreError::NoSuchMailbox);
        };
        let mut kept = self.kept(rowno, &UidSet::from_bytes(&c.uids))?;
        if !self.has_uids(id, kept.len()) {
            return refuse(StoreError::UidsExhausted);
        }
        let more = Amount {
            bytes: kept.iter().map(|k| i64::from(k.location.len)).sum(),
            messages: kept.len() as i64,
            mailboxes: 0,
        };
        if let Some(over) = self.over_quota(&self.mailboxes[&id].name, more) {
            return refuse(over);
        }
        let mut copied = Copied {
            uidvalidity: self.mailboxes[&id].uidvalidity,
            ..Copied::default()
        };
        if kept.is_empty() {
            return Ok(Ok(Outcome::Copied(copied)));
        }
        let messages: Vec<_> = kept
            .iter_mut()
            .map(|k| std::mem::take(&mut k.message))
            .collect();
        let messages = self.keywords_that_fit(id, &messages, most(c.max_keywords))?;
        let mut work = self.begin(id);
        for (kept, message) in kept.iter().zip(messages.iter()) {
            let uid =
                self.new_message(&mut work, message, &kept.items, kept.location, kept.content)?;
            self.run(
                "DELETE FROM expunged WHERE mailbox = ?1 AND uid = ?2",
                params![rowno, kept.uid],
            )?;
            copied.source.push(kept.uid);
            copied.target.push(uid);
        }
        self.finish(work)?;
        self.reckon_due()?;
        Ok(Ok(Outcome::Copied(copied)))
    }

    fn kept(&self, rowno: i64, uids: &UidSet) -> Result<Vec<Kept>, Stop> {
        let read = || -> rusqlite::Result<Vec<Kept>> {
            let mut query = self.conn.prepare_cached(
                "SELECT uid, flags, keywords, internal_date, zone, save_date, sent, sent_day, \
                 segment, offset, len, crc, header_len, email_id, content FROM expunged \
                 WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3",
            )?;
            let mut found = Vec::new();
            for (low, high) in uids.ranges() {
                let mut rows = query.query(params![rowno, low, high])?;
                while let Some(r) = rows.next()? {
                    let flags = Flags::from_bits(r.get(1)?) & !Flags::DELETED;
                    let keywords: String = r.get(2)?;
                    found.push(Kept {
                        uid: r.get(0)?,
                        message: command::Message {
                            flags: u32::from(flags.bits()),
                            keywords: keywords.lines().map(str::to_owned).collect(),
                            internal_seconds: r.get(3)?,
                            internal_zone: r.get(4)?,
                            save_date: r.get(5)?,
                            email_id: r.get(13)?,
                            ..command::Message::default()
                        },
                        items: Items {
                            sent: r.get(6)?,
                            sent_day: r.get(7)?,
                            header_len: r.get(12)?,
                            ..Items::default()
                        },
                        location: BodyLocation {
                            segment: r.get::<_, i64>(8)?.cast_unsigned(),
                            offset: r.get::<_, i64>(9)?.cast_unsigned(),
                            len: r.get(10)?,
                            crc: r.get(11)?,
                        },
                        content: r.get(14)?,
                    });
                }
            }
            Ok(found)
        };
        read().map_err(sql)
    }

    pub(super) fn restore_mailbox(&mut self, c: &RestoreMailbox) -> Result<ApplyResult, Stop> {
        let create = &c.create;
        let deleted = MailboxId::from_slice(&c.deleted).filter(|id| self.deleted.contains_key(id));
        let Some(old) = deleted else {
            return refuse(StoreError::NoSuchMailbox);
        };
        let Some(id) = self.new_id(create) else {
            return refuse(StoreError::MailboxExists);
        };
        let amount = self.deleted[&old].mailbox.amount();
        if let Some(over) = self.over_quota(&create.name, amount) {
            return refuse(over);
        }
        let uidvalidity = uidvalidity::after(create.uidvalidity, self.past(&create.name)?);
        let Some(Deleted { mut mailbox, .. }) = self.deleted.remove(&old) else {
            return refuse(StoreError::NoSuchMailbox);
        };
        self.run(
            "UPDATE mailbox SET id = ?2, keep_until = 0, deleted_at = 0, deleted_name = '' \
             WHERE rowno = ?1",
            params![mailbox.rowno, id.to_bytes()],
        )?;
        mailbox.id = id;
        mailbox.name.clone_from(&create.name);
        mailbox.uidvalidity = uidvalidity;
        mailbox.acl = StoredAcl::new(&create.acl);
        mailbox.special_use = create.special_use.parse().ok();
        write_mailbox(&self.conn, &mailbox).map_err(sql)?;
        self.mailboxes.insert(id, mailbox);
        charge(&mut self.quotas, &create.name, amount);
        self.catalogue = true;
        self.reckon_due()?;
        Ok(Ok(self.renamed([(create.name.clone(), id)])))
    }

    pub(super) fn purge(&mut self, c: &Purge) -> Result<ApplyResult, Stop> {
        let mut purged = Purged::default();
        let mut left = i64::from(c.limit);
        let due = self.forget(
            "SELECT mailbox, uid, content, segment, len FROM expunged \
             WHERE keep_until <= ?1 ORDER BY keep_until, mailbox, uid LIMIT ?2",
            "DELETE FROM expunged WHERE mailbox = ?1 AND uid = ?2",
            (c.now, left),
        )?;
        left -= due;
        purged.messages += due.cast_unsigned();
        let mut mailboxes: Vec<(i64, MailboxId)> = self
            .deleted
            .values()
            .filter(|d| d.keep_until <= c.now)
            .map(|d| (d.mailbox.rowno, d.mailbox.id))
            .collect();
        mailboxes.sort_unstable();
        for (rowno, id) in mailboxes {
            let gone = self.erase(rowno, left)?;
            left -= gone;
            purged.messages += gone.cast_unsigned();
            if left == 0 {
                break;
            }
            self.deleted.remove(&id);
            purged.mailboxes += 1;
        }
        if left > 0 {
            let gone = self.forget_transfers(c.now, left)?;
            purged.messages += gone.cast_unsigned();
        }
        self.forget_ids(c.now)?;
        self.reckon_due()?;
        purged.more = self.purge_at != 0 && self.purge_at <= c.now;
        Ok(Ok(Outcome::Purged(purged)))
    }

    /// Forgets up to `limit` messages of a mailbox, and the mailbox when they are fewer.
    fn erase(&mut self, rowno: i64, limit: i64) -> Result<i64, Stop> {
        let mut gone = 0;
        for (select, delete) in [
            (
                "SELECT mailbox, uid, content, segment, len FROM expunged \
                 WHERE mailbox = ?1 ORDER BY uid LIMIT ?2",
                "DELETE FROM expunged WHERE mailbox = ?1 AND uid = ?2",
            ),
            (
                "SELECT mailbox, uid, content, segment, len FROM message \
                 WHERE mailbox = ?1 ORDER BY uid LIMIT ?2",
                "DELETE FROM message WHERE mailbox = ?1 AND uid = ?2",
            ),
        ] {
            gone += self.forget(select, delete, (rowno, limit - gone))?;
        }
        if gone < limit {
            self.erase_row(rowno)?;
        }
        Ok(gone)
    }

    /// Removes what is left of a mailbox without messages.
    fn erase_row(&mut self, rowno: i64) -> Result<(), Stop> {
        for statement in [
            "DELETE FROM tombstone WHERE mailbox = ?1",
            "DELETE FROM seen WHERE mailbox = ?1",
            "DELETE FROM annotation WHERE mailbox = ?1",
            "DELETE FROM keyword WHERE mailbox = ?1",
            "DELETE FROM mailbox WHERE rowno = ?1",
        ] {
            self.run(statement, [rowno])?;
        }
        Ok(())
    }

    /// Forgets a mailbox with everything in it, at once.
    pub(super) fn erase_all(&mut self, rowno: i64) -> Result<(), Stop> {
        self.erase(rowno, i64::MAX).map(|_| ())
    }

    /// Forgets everything that can be restored.
    pub(super) fn forget_everything(&mut self) -> Result<(), Stop> {
        self.forget(
            "SELECT mailbox, uid, content, segment, len FROM expunged WHERE mailbox >= ?1 LIMIT ?2",
            "DELETE FROM expunged WHERE mailbox = ?1 AND uid = ?2",
            (0, i64::MAX),
        )?;
        let mut mailboxes: Vec<i64> = self.deleted.values().map(|d| d.mailbox.rowno).collect();
        mailboxes.sort_unstable();
        for rowno in mailboxes {
            self.erase_all(rowno)?;
        }
        self.deleted.clear();
        self.forget_transfers(i64::MAX, i64::MAX)?;
        self.forget_ids(i64::MAX)?;
        self.purge_at = 0;
        Ok(())
    }

    /// Removes the rows that `select` finds, with their references. Returns how many.
    fn forget(&mut self, select: &str, delete: &str, with: (i64, i64)) -> Result<i64, Stop> {
        type Row = (i64, u32, i64, i64, u32);
        let read = || -> rusqlite::Result<Vec<Row>> {
            let mut rows = self.conn.prepare_cached(select)?;
            let rows = rows.query_map(with, |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?))
            })?;
            rows.collect()
        };
        let rows = read().map_err(sql)?;
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        for (mailbox, uid, content, segment, len) in rows {
            self.run(delete, params![mailbox, uid])?;
            self.release(content, segment.cast_unsigned(), len)?;
        }
        Ok(count)
    }

    /// Finds out when something is to be forgotten next.
    pub(super) fn reckon_due(&mut self) -> Result<(), Stop> {
        let least = |query| -> Result<Option<i64>, Stop> {
            self.conn
                .prepare_cached(query)
                .and_then(|mut s| s.query_row([], |r| r.get(0)))
                .map_err(sql)
        };
        let messages = least("SELECT min(keep_until) FROM expunged")?;
        let ids = least("SELECT min(keep_until) FROM once")?;
        let mailboxes = self.deleted.values().map(|d| d.keep_until).min();
        let transfers = self.transfer_due()?;
        let all = messages.into_iter().chain(ids).chain(mailboxes);
        self.purge_at = all.chain(transfers).min().unwrap_or(0);
        Ok(())
    }
}
