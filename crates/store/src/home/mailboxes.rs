//! Commands about mailboxes, applied to a home.

use std::sync::Arc;

use murder_mailbox::{MailboxId, uidvalidity};
use rusqlite::{OptionalExtension, params};

use super::annotations::OF_HOME;
use super::quota::charge;
use super::{Home, Mailbox, Stop, StoredAcl, done, refuse, sql};
use crate::catalogue::full_name;
use crate::command::{Create, Delete, Rename, RenameHome, SetMailbox, Subscribe};
use crate::entry::{ApplyResult, Outcome};
use crate::error::StoreError;
use crate::mailbox::Renamed;
use crate::quota::Amount;
use crate::uidset::UidSet;

impl Home {
    fn by_name(&self, name: &str) -> Option<&Mailbox> {
        self.mailboxes.values().find(|m| m.name == name)
    }

    /// Makes the row of a new mailbox; the caller has checked the name.
    fn insert(&mut self, c: &Create, id: MailboxId) -> Result<Mailbox, Stop> {
        if self.key.is_empty() {
            self.set_key(&c.key)?;
        }
        let uidvalidity = uidvalidity::after(c.uidvalidity, self.past(&c.name)?);
        self.conn
            .prepare_cached(
                "INSERT INTO mailbox (id, name, uidvalidity, uidnext, highestmodseq, acl, \
                 special_use, shared_seen, created, messages, unseen, deleted, bytes, recent) \
                 VALUES (?1, ?2, ?3, 1, 1, ?4, ?5, ?6, ?7, 0, 0, 0, 0, 1)",
            )
            .and_then(|mut s| {
                s.execute(params![
                    id.to_bytes(),
                    c.name,
                    uidvalidity,
                    c.acl,
                    c.special_use,
                    c.shared_seen,
                    c.now
                ])
            })
            .map_err(sql)?;
        self.catalogue = true;
        Ok(Mailbox {
            rowno: self.conn.last_insert_rowid(),
            id,
            name: c.name.clone(),
            uidvalidity,
            uidnext: 1,
            highest_modseq: 1,
            acl: StoredAcl::new(&c.acl),
            special_use: c.special_use.parse().ok(),
            shared_seen: c.shared_seen,
            messages: 0,
            unseen: 0,
            deleted: 0,
            bytes: 0,
            keywords: Arc::default(),
            keywords_dirty: false,
            dirty: false,
        })
    }

    pub(super) fn create(&mut self, c: &Create) -> Result<ApplyResult, Stop> {
        let Some(id) = self.new_id(c) else {
            return refuse(StoreError::MailboxExists);
        };
        let one = Amount {
            mailboxes: 1,
            ..Amount::default()
        };
        if let Some(over) = self.over_quota(&c.name, one) {
            return refuse(over);
        }
        let mailbox = self.insert(c, id)?;
        self.mailboxes.insert(id, mailbox);
        charge(&mut self.quotas, &c.name, one);
        Ok(Ok(self.renamed([(c.name.clone(), id)])))
    }

    /// The id of a mailbox to be made, unless it or its name is there.
    pub(super) fn new_id(&self, c: &Create) -> Option<MailboxId> {
        MailboxId::from_slice(&c.mailbox).filter(|id| {
            !self.mailboxes.contains_key(id)
                && !self.deleted.contains_key(id)
                && self.by_name(&c.name).is_none()
        })
    }

    pub(super) fn delete(&mut self, c: &Delete) -> Result<ApplyResult, Stop> {
        let Some(mailbox) =
            MailboxId::from_slice(&c.mailbox).and_then(|id| self.mailboxes.remove(&id))
        else {
            return refuse(StoreError::NoSuchMailbox);
        };
        self.retire(&mailbox.name, mailbox.uidvalidity, c.now)?;
        let id = mailbox.id;
        if c.keep_until > 0 {
            self.hide(mailbox, c)?;
        } else {
            self.erase_all(mailbox.rowno)?;
        }
        if self.mailboxes.is_empty() {
            // A new owner of the name must not find what the old one subscribed to.
            self.run("DELETE FROM subscription", [])?;
            self.forget_annotations(OF_HOME)?;
            self.forget_quotas()?;
        }
        self.recount();
        self.catalogue = true;
        self.view(id);
        done()
    }

    pub(super) fn rename(&mut self, c: &Rename) -> Result<ApplyResult, Stop> {
        let below = format!("{}/", c.from);
        let mut moved: Vec<(MailboxId, String, String)> = self
            .mailboxes
            .values()
            .filter_map(|m| {
                let to = if m.name == c.from {
                    c.to.clone()
                } else {
                    let rest = m.name.strip_prefix(&below)?;
                    if c.to.is_empty() {
                        rest.to_owned()
                    } else {
                        format!("{}/{rest}", c.to)
                    }
                };
                Some((m.id, m.name.clone(), to))
            })
            .collect();
        if moved.is_empty() {
            return refuse(StoreError::NoSuchMailbox);
        }
        let taken = |name: &str| {
            self.by_name(name)
                .is_some_and(|m| !moved.iter().any(|(id, _, _)| *id == m.id))
        };
        if taken(&c.to) || moved.iter().any(|(_, _, to)| taken(to)) {
            return refuse(StoreError::MailboxExists);
        }
        moved.sort_by(|a, b| a.1.cmp(&b.1));
        let moves = moved
            .iter()
            .map(|(id, _, to)| (&self.mailboxes[id], to.as_str()));
        if let Some(over) = self.over_quota_of_names(moves) {
            return refuse(over);
        }
        // Out of each other's way first: `a/b` may become `a` while `a/b/b` becomes `a/b`.
        for (id, _, _) in &moved {
            let rowno = self.mailboxes[id].rowno;
            self.run(
                "UPDATE mailbox SET name = '/' || rowno WHERE rowno = ?1",
                [rowno],
            )?;
        }
        for (id, from, to) in &moved {
            let past = self.past(to)?;
            let Some(mailbox) = self.mailboxes.get_mut(id) else {
                continue;
            };
            let old = mailbox.uidvalidity;
            mailbox.uidvalidity = uidvalidity::after(old, past);
            mailbox.name.clone_from(to);
            mailbox.dirty = true;
            self.retire(from, old, 0)?;
            self.view(*id);
        }
        self.recount();
        self.catalogue = true;
        let moved: Vec<_> = moved.into_iter().map(|(id, from, _)| (from, id)).collect();
        Ok(Ok(self.renamed(moved)))
    }

    pub(super) fn rename_inbox(&mut self, c: &Create) -> Result<ApplyResult, Stop> {
        let Some(inbox) = self.by_name("").map(|m| m.id) else {
            return refuse(StoreError::NoSuchMailbox);
        };
        let Some(id) = self.new_id(c) else {
            return refuse(StoreError::MailboxExists);
        };
        let mut coming = Amount {
            mailboxes: 1,
            ..Amount::default()
        };
        if self.governing("") != self.governing(&c.name) {
            coming = self.mailboxes[&inbox].amount();
        }
        if let Some(over) = self.over_quota(&c.name, coming) {
            return refuse(over);
        }
        let mut new = self.insert(c, id)?;
        let Some(old) = self.mailboxes.get_mut(&inbox) else {
            return refuse(StoreError::NoSuchMailbox);
        };
        let modseq = old.next_modseq();
        new.uidnext = old.uidnext;
        new.highest_modseq = modseq;
        // What is added to the sets of one is not in the database of the other.
        new.keywords = Arc::new(old.keywords.fork());
        new.keywords_dirty = true;
        new.shared_seen = old.shared_seen;
        (new.messages, new.unseen) = (old.messages, old.unseen);
        (new.deleted, new.bytes) = (old.deleted, old.bytes);
        new.dirty = true;
        (old.messages, old.unseen, old.deleted, old.bytes) = (0, 0, 0, 0);
        let (from, to) = (old.rowno, new.rowno);
        let gone = self.all_uids(from)?;
        self.bury(from, modseq, &gone)?;
        self.run(
            "UPDATE message SET mailbox = ?2 WHERE mailbox = ?1",
            [from, to],
        )?;
        self.run(
            "UPDATE seen SET mailbox = ?2 WHERE mailbox = ?1",
            [from, to],
        )?;
        self.run(
            "INSERT INTO keyword SELECT ?2, id, value FROM keyword WHERE mailbox = ?1 AND id > 0",
            [from, to],
        )?;
        // RFC 5464 section 4.1: the INBOX keeps its own.
        self.copy_annotations(from, to)?;
        self.mailboxes.insert(id, new);
        self.recount();
        self.view(inbox).expunged.union_with(&gone);
        Ok(Ok(self.renamed([(String::new(), id)])))
    }

    fn all_uids(&self, rowno: i64) -> Result<UidSet, Stop> {
        let read = || -> rusqlite::Result<UidSet> {
            let mut rows = self
                .conn
                .prepare_cached("SELECT uid FROM message WHERE mailbox = ?1 ORDER BY uid")?;
            let uids = rows.query_map([rowno], |r| r.get(0))?;
            uids.collect()
        };
        read().map_err(sql)
    }

    pub(super) fn set_mailbox(&mut self, c: &SetMailbox) -> Result<ApplyResult, Stop> {
        let Some(mailbox) = self.mailbox(&c.mailbox) else {
            return refuse(StoreError::NoSuchMailbox);
        };
        if let Some(acl) = &c.acl {
            mailbox.acl = StoredAcl::new(acl);
        }
        if let Some(special_use) = &c.special_use {
            mailbox.special_use = special_use.parse().ok();
        }
        mailbox.dirty = true;
        let (id, name) = (mailbox.id, mailbox.name.clone());
        let before = mailbox.uidvalidity;
        if let Some(at_least) = c.uidvalidity.filter(|&at_least| at_least > before) {
            self.renew(id, at_least)?;
        }
        if let Some(shared_seen) = c.shared_seen {
            self.share_seen(id, shared_seen)?;
        }
        self.catalogue = true;
        self.view(id);
        Ok(Ok(self.renamed([(name, id)])))
    }

    pub(super) fn subscribe(&mut self, c: &Subscribe) -> Result<ApplyResult, Stop> {
        if c.on {
            self.run("INSERT OR IGNORE INTO subscription VALUES (?1)", [&c.name])?;
        } else {
            self.run("DELETE FROM subscription WHERE name = ?1", [&c.name])?;
        }
        done()
    }

    pub(super) fn rename_home(&mut self, c: &RenameHome) -> Result<ApplyResult, Stop> {
        let old_key = self.key.clone();
        self.set_key(&c.key)?;
        let mut moved = Vec::new();
        for mailbox in self.mailboxes.values_mut() {
            let floor = c.uidvalidity_floor;
            if mailbox.uidvalidity < floor && !uidvalidity::is_far_ahead(floor, mailbox.uidvalidity)
            {
                mailbox.uidvalidity = floor;
                mailbox.dirty = true;
            }
            moved.push((mailbox.name.clone(), mailbox.id));
        }
        moved.sort();
        for (_, id) in &moved {
            self.view(*id);
        }
        self.catalogue = true;
        let renamed = moved
            .into_iter()
            .filter_map(|(name, id)| {
                Some(Renamed {
                    from: full_name(&old_key, &name)?,
                    meta: self.mailboxes.get(&id)?.listed().meta(&self.key)?,
                })
            })
            .collect();
        Ok(Ok(Outcome::Mailboxes(renamed)))
    }

    pub(super) fn drop_home(&mut self) -> Result<ApplyResult, Stop> {
        if !self.mailboxes.is_empty() {
            return refuse(StoreError::MailboxExists);
        }
        let uidvalidity = self
            .conn
            .prepare_cached("SELECT coalesce(max(uidvalidity), 0) FROM name_history")
            .and_then(|mut s| s.query_row([], |r| r.get(0)))
            .map_err(sql)?;
        self.run("DELETE FROM subscription", [])?;
        self.forget_annotations(OF_HOME)?;
        self.forget_everything()?;
        self.forget_quotas()?;
        self.set_key("")?;
        self.catalogue = true;
        self.dropped = true;
        Ok(Ok(Outcome::Dropped { uidvalidity }))
    }

    /// Records are lost of which some may have given out UIDs here: what follows may give them
    /// to others. So that no client takes one for the other, every mailbox gets a new
    /// UIDVALIDITY.
    pub(super) fn lost(&mut self) -> Result<ApplyResult, Stop> {
        let mut names = Vec::new();
        for mailbox in self.mailboxes.values_mut() {
            // Where there is no greater one, another one is as good.
            let next = mailbox.uidvalidity.checked_add(1);
            mailbox.uidvalidity = next.unwrap_or(uidvalidity::EARLIEST);
            mailbox.dirty = true;
            names.push((mailbox.name.clone(), mailbox.id));
        }
        names.sort();
        for (_, id) in &names {
            self.view(*id);
        }
        self.catalogue = true;
        Ok(Ok(self.renamed(names)))
    }

    pub(super) fn set_key(&mut self, key: &str) -> Result<(), Stop> {
        self.run("UPDATE meta SET value = ?1 WHERE key = 'key'", [key])?;
        key.clone_into(&mut self.key);
        Ok(())
    }

    /// The answer about mailboxes that have new names or are new.
    pub(super) fn renamed(
        &self,
        mailboxes: impl IntoIterator<Item = (String, MailboxId)>,
    ) -> Outcome {
        let renamed = mailboxes
            .into_iter()
            .filter_map(|(from, id)| {
                Some(Renamed {
                    from: full_name(&self.key, &from)?,
                    meta: self.mailboxes.get(&id)?.listed().meta(&self.key)?,
                })
            })
            .collect();
        Outcome::Mailboxes(renamed)
    }

    /// The greatest UIDVALIDITY that a name has had; 0 when it is new.
    pub(super) fn past(&self, name: &str) -> Result<u32, Stop> {
        self.conn
            .prepare_cached("SELECT uidvalidity FROM name_history WHERE name = ?1")
            .and_then(|mut s| s.query_row([name], |r| r.get(0)).optional())
            .map(Option::unwrap_or_default)
            .map_err(sql)
    }

    /// Remembers the UIDVALIDITY of a name that its mailbox leaves: the greatest, but for one that is
    /// far ahead of others, and of the time `now` if that is known.
    fn retire(&self, name: &str, uidvalidity: u32, now: i64) -> Result<(), Stop> {
        let past = self.past(name)?;
        let greater = past > uidvalidity && !uidvalidity::is_far_ahead(past, uidvalidity);
        let wrong =
            past > 0 && uidvalidity::is_far_ahead(uidvalidity, past.max(uidvalidity::of_time(now)));
        if greater || wrong {
            return Ok(());
        }
        self.run(
            "INSERT OR REPLACE INTO name_history VALUES (?1, ?2)",
            params![name, uidvalidity],
        )
    }

    pub(super) fn run(&self, statement: &str, params: impl rusqlite::Params) -> Result<(), Stop> {
        self.conn
            .prepare_cached(statement)
            .and_then(|mut s| s.execute(params))
            .map(|_| ())
            .map_err(sql)
    }
}
