//! Quota of a home: its roots in memory and in the database, charged with each change.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, params};

use super::{Home, Mailbox, Stop, done, refuse, sql};
use crate::catalogue::full_name;
use crate::command::SetQuota;
use crate::entry::ApplyResult;
use crate::error::StoreError;
use crate::quota::{Amount, QuotaLimits, root_of};

/// A quota root.
#[derive(Debug, Clone, Default)]
pub(super) struct Root {
    pub limits: QuotaLimits,
    pub used: Amount,
    /// Whether it differs from the row.
    dirty: bool,
}

/// Reads the roots.
pub(super) fn load(conn: &Connection) -> rusqlite::Result<BTreeMap<String, Root>> {
    let limit = |n: Option<i64>| n.map(i64::cast_unsigned);
    let mut rows = conn.prepare(
        "SELECT root, storage, message, mailbox, used_bytes, used_messages, used_mailboxes \
         FROM quota",
    )?;
    let rows = rows.query_map([], |r| {
        let root = Root {
            limits: QuotaLimits {
                storage: limit(r.get(1)?),
                message: limit(r.get(2)?),
                mailbox: limit(r.get(3)?),
            },
            used: Amount {
                bytes: r.get(4)?,
                messages: r.get(5)?,
                mailboxes: r.get(6)?,
            },
            dirty: false,
        };
        Ok((r.get(0)?, root))
    })?;
    rows.collect()
}

/// Writes the roots that changed.
pub(super) fn write(conn: &Connection, roots: &mut BTreeMap<String, Root>) -> rusqlite::Result<()> {
    for (name, root) in roots.iter_mut().filter(|(_, root)| root.dirty) {
        root.dirty = false;
        let limit = |n: Option<u64>| n.map(u64::cast_signed);
        conn.prepare_cached("INSERT OR REPLACE INTO quota VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
            .execute(params![
                name,
                limit(root.limits.storage),
                limit(root.limits.message),
                limit(root.limits.mailbox),
                root.used.bytes,
                root.used.messages,
                root.used.mailboxes
            ])?;
    }
    Ok(())
}

/// Charges the root that governs a mailbox, if there is one.
pub(super) fn charge(roots: &mut BTreeMap<String, Root>, mailbox: &str, amount: Amount) {
    let governing = root_of(mailbox, |name| roots.contains_key(name));
    if let Some(root) = governing.and_then(|name| roots.get_mut(name)) {
        root.used.add(amount);
        root.dirty = true;
    }
}

impl Mailbox {
    /// What it counts for.
    pub(super) fn amount(&self) -> Amount {
        Amount {
            bytes: self.bytes,
            messages: self.messages,
            mailboxes: 1,
        }
    }
}

impl Home {
    /// The root that governs a name.
    pub(super) fn governing<'a>(&self, name: &'a str) -> Option<&'a str> {
        if self.quotas.is_empty() {
            return None;
        }
        root_of(name, |name| self.quotas.contains_key(name))
    }

    /// Why `more` has no room in the mailbox of that name.
    pub(super) fn over_quota(&self, name: &str, more: Amount) -> Option<StoreError> {
        let root = self.governing(name)?;
        let Root { limits, used, .. } = self.quotas.get(root)?;
        let (resource, usage, limit) = limits.exceeded(*used, more)?;
        Some(StoreError::OverQuota {
            root: full_name(&self.key, root)
                .map_or_else(|| root.to_owned(), |name| name.as_str().to_owned()),
            resource,
            usage,
            limit,
        })
    }

    /// Why mailboxes have no room under their new names, when these are governed by other
    /// roots.
    pub(super) fn over_quota_of_names<'a>(
        &self,
        moves: impl Iterator<Item = (&'a Mailbox, &'a str)>,
    ) -> Option<StoreError> {
        let mut coming: BTreeMap<&str, (Amount, &str)> = BTreeMap::new();
        for (mailbox, to) in moves {
            let (old, new) = (self.governing(&mailbox.name), self.governing(to));
            if let Some(new) = new.filter(|_| old != new) {
                let sum = coming.entry(new).or_insert((Amount::default(), to));
                sum.0.add(mailbox.amount());
            }
        }
        coming
            .into_values()
            .find_map(|(amount, name)| self.over_quota(name, amount))
    }

    /// Counts anew, after mailboxes or roots have changed.
    pub(super) fn recount(&mut self) {
        if self.quotas.is_empty() {
            return;
        }
        for root in self.quotas.values_mut() {
            root.used = Amount::default();
            root.dirty = true;
        }
        for mailbox in self.mailboxes.values() {
            charge(&mut self.quotas, &mailbox.name, mailbox.amount());
        }
    }

    pub(super) fn set_quota(&mut self, c: &SetQuota) -> Result<ApplyResult, Stop> {
        if self.mailboxes.is_empty() {
            // What is left of a home does not give its name's next owner limits.
            return refuse(StoreError::NoSuchHome);
        }
        let limits = QuotaLimits {
            storage: c.storage,
            message: c.message,
            mailbox: c.mailbox,
        };
        if limits.is_none() {
            self.quotas.remove(&c.root);
            self.run("DELETE FROM quota WHERE root = ?1", [&c.root])?;
        } else {
            self.quotas.entry(c.root.clone()).or_default().limits = limits;
        }
        self.recount();
        done()
    }

    /// Counts the messages of every mailbox, and what the roots hold, from the rows.
    pub(super) fn recount_messages(&mut self) -> Result<ApplyResult, Stop> {
        let read = || -> rusqlite::Result<HashMap<i64, (i64, i64)>> {
            let mut rows = self.conn.prepare_cached(
                "SELECT mailbox, count(*), sum(len) FROM message GROUP BY mailbox",
            )?;
            let rows = rows.query_map([], |r| Ok((r.get(0)?, (r.get(1)?, r.get(2)?))))?;
            rows.collect()
        };
        let counted = read().map_err(sql)?;
        for mailbox in self.mailboxes.values_mut() {
            let there = counted.get(&mailbox.rowno).copied().unwrap_or_default();
            if (mailbox.messages, mailbox.bytes) != there {
                (mailbox.messages, mailbox.bytes) = there;
                mailbox.dirty = true;
            }
        }
        self.recount();
        done()
    }

    /// Forgets all roots: a new owner of the name must not find those of the old one.
    pub(super) fn forget_quotas(&mut self) -> Result<(), Stop> {
        self.quotas.clear();
        self.run("DELETE FROM quota", [])
    }
}
