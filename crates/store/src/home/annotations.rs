//! Annotations of a home and its mailboxes, applied.

use std::collections::BTreeMap;

use murder_mailbox::MailboxId;
use rusqlite::{OptionalExtension, params};

use super::rows::Changed;
use super::{Home, Stop, done, refuse, sql};
use crate::annotation::{MAX_ANNOTATIONS, MAX_OF_ALL_USERS, owner};
use crate::command::Annotate;
use crate::entry::ApplyResult;
use crate::error::StoreError;
use crate::flags::Flags;
use crate::uidset::UidSet;
use crate::watch::AnnotationNote;

/// Stands for the home itself where annotations have a mailbox's `rowno`.
pub(crate) const OF_HOME: i64 = 0;

impl Home {
    pub(super) fn annotate(&mut self, c: &Annotate) -> Result<ApplyResult, Stop> {
        let mailbox = match c.mailbox.is_empty() {
            true => None,
            false => match self.mailbox(&c.mailbox).map(|m| (m.id, m.rowno)) {
                None => return refuse(StoreError::NoSuchMailbox),
                found => found,
            },
        };
        if mailbox.is_none() && self.mailboxes.is_empty() && c.key.is_empty() {
            // A new owner of the name must not find those of the old one.
            return refuse(StoreError::NoSuchHome);
        }
        let rowno = mailbox.map_or(OF_HOME, |(_, rowno)| rowno);
        let changes = self.annotation_changes(rowno, c)?;
        if self.too_many(rowno, &changes)? {
            return refuse(StoreError::TooManyAnnotations);
        }
        if self.key.is_empty() {
            self.set_key(&c.key)?;
            self.catalogue = true;
        }
        for change in &changes {
            match change.value {
                Some(value) => self.run(
                    "INSERT OR REPLACE INTO annotation VALUES (?1, ?2, ?3, ?4)",
                    params![rowno, change.user, change.entry, value],
                )?,
                None => self.run(
                    "DELETE FROM annotation WHERE mailbox = ?1 AND user = ?2 AND entry = ?3",
                    params![rowno, change.user, change.entry],
                )?,
            }
        }
        let note = |change: &Change<'_>| AnnotationNote {
            mailbox: mailbox.map(|(id, _)| id),
            user: change.user.into(),
            entry: Some(change.entry.into()),
        };
        self.annotations.extend(changes.iter().map(note));
        let Some((id, _)) = mailbox else {
            return done();
        };
        let switched = match c.shared_seen {
            Some(shared_seen) => self.share_seen(id, shared_seen)?,
            None => false,
        };
        if switched {
            self.annotations.push(AnnotationNote {
                mailbox: Some(id),
                user: "".into(),
                entry: None,
            });
        }
        if (switched || !changes.is_empty())
            && let Some(mailbox) = self.mailboxes.get_mut(&id)
        {
            // RFC 7162 section 3.2.
            mailbox.next_modseq();
            self.view(id);
        }
        done()
    }

    /// What the command changes, of what it sets.
    fn annotation_changes<'a>(&self, rowno: i64, c: &'a Annotate) -> Result<Vec<Change<'a>>, Stop> {
        let mut changes = Vec::new();
        for set in &c.entries {
            let user = owner(&set.entry, &c.user);
            let before: Option<Vec<u8>> = self
                .conn
                .prepare_cached(
                    "SELECT value FROM annotation WHERE mailbox = ?1 AND user = ?2 AND entry = ?3",
                )
                .and_then(|mut s| {
                    s.query_row(params![rowno, user, set.entry], |r| r.get(0))
                        .optional()
                })
                .map_err(sql)?;
            if before != set.value {
                changes.push(Change {
                    user,
                    entry: &set.entry,
                    value: set.value.as_deref(),
                    growth: i64::from(set.value.is_some()) - i64::from(before.is_some()),
                });
            }
        }
        Ok(changes)
    }

    /// Whether there would be too many entries: only more of them can be.
    fn too_many(&self, rowno: i64, changes: &[Change<'_>]) -> Result<bool, Stop> {
        let mut growth: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for change in changes {
            // The owner's own entries and the shared ones have the same user.
            let scope = change.entry.split('/').nth(1).unwrap_or_default();
            *growth.entry((change.user, scope)).or_default() += change.growth;
        }
        let over =
            |there: i64, growth: i64, most: u32| growth > 0 && there + growth > i64::from(most);
        for ((user, scope), growth) in &growth {
            let there = self
                .conn
                .prepare_cached(
                    "SELECT count(*) FROM annotation WHERE mailbox = ?1 AND user = ?2 \
                     AND entry > '/' || ?3 || '/' AND entry < '/' || ?3 || '0'",
                )
                .and_then(|mut s| s.query_row(params![rowno, user, scope], |r| r.get(0)))
                .map_err(sql)?;
            if over(there, *growth, MAX_ANNOTATIONS) {
                return Ok(true);
            }
        }
        let growth: i64 = growth.values().sum();
        if growth <= 0 {
            return Ok(false);
        }
        let there = self
            .conn
            .prepare_cached("SELECT count(*) FROM annotation WHERE mailbox = ?1")
            .and_then(|mut s| s.query_row([rowno], |r| r.get(0)))
            .map_err(sql)?;
        Ok(over(there, growth, MAX_OF_ALL_USERS))
    }

    /// Copies the annotations of one mailbox to another, which has none.
    pub(super) fn copy_annotations(&self, from: i64, to: i64) -> Result<(), Stop> {
        self.run(
            "INSERT INTO annotation SELECT ?2, user, entry, value FROM annotation \
             WHERE mailbox = ?1",
            [from, to],
        )
    }

    pub(super) fn forget_annotations(&self, rowno: i64) -> Result<(), Stop> {
        self.run("DELETE FROM annotation WHERE mailbox = ?1", [rowno])
    }

    /// Says whether `\Seen` is one flag for all users. Each message that somebody has seen gets a
    /// new MODSEQ, since to somebody it is another flag now. Returns whether it was otherwise
    /// before.
    pub(super) fn share_seen(&mut self, id: MailboxId, shared: bool) -> Result<bool, Stop> {
        let Some(mailbox) = self.mailboxes.get_mut(&id) else {
            return Ok(false);
        };
        if mailbox.shared_seen == shared {
            return Ok(false);
        }
        mailbox.shared_seen = shared;
        mailbox.dirty = true;
        self.catalogue = true;
        let rowno = mailbox.rowno;
        let mut seen = UidSet::new();
        for (_, by_user) in self.all_seen(rowno)? {
            seen.union_with(&by_user);
        }
        let states = self.stored_states(id, &UidSet::range(1, u32::MAX))?;
        let concerned = |flags: Flags, uid| flags.contains(Flags::SEEN) || seen.contains(uid);
        let mut changed = Changed::default();
        for row in states {
            if concerned(row.flags, row.uid) {
                changed.push(row.uid, row.flags, row);
            }
        }
        if !changed.is_empty() {
            let work = self.begin(id);
            self.set_states(&work, changed)?;
            self.finish(work)?;
        }
        self.view(id);
        Ok(true)
    }
}

/// An entry that gets another value.
struct Change<'a> {
    user: &'a str,
    entry: &'a str,
    value: Option<&'a [u8]>,
    /// By how many entries there are more.
    growth: i64,
}
