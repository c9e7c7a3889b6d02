//! A shard's part of a checkpoint.

use std::collections::{BTreeSet, HashMap};

use murder_mailbox::MailboxId;

use super::Shard;
use crate::checkpoint::{Changes, Report, Round, ToCheckpointer};

/// New homes up to this many are synced one by one at a checkpoint.
const FRESH_EACH: usize = 16;

/// A checkpoint of which homes are still to be written.
#[derive(Debug)]
pub(super) struct Marked {
    pub round: Round,
    /// Homes that have not committed what was before the mark. They do before anything behind it
    /// is applied to them.
    pub homes: BTreeSet<u64>,
    /// New homes whose files are to be synced.
    fresh: Vec<u64>,
    /// Marks of these homes that no record carries.
    recents: HashMap<u64, Vec<(MailboxId, u32)>>,
    /// What was before the mark.
    pub changes: Changes,
}

impl Shard {
    /// Takes a checkpoint's mark. Its homes are written one by one, with what else is to be done
    /// in between.
    pub(super) fn checkpoint(&mut self, round: Round) {
        self.finish_checkpoint();
        let mut recents: HashMap<u64, Vec<_>> = HashMap::new();
        for (home, id, uid) in self.shared.recents.of(|home| self.mine(home)) {
            recents.entry(home).or_default().push((id, uid));
        }
        let homes = self.uncommitted.iter().chain(recents.keys());
        let homes = homes.copied().collect();
        let mut changes = std::mem::take(&mut self.changes);
        let mut fresh: Vec<u64> = self.fresh.drain().collect();
        if fresh.len() > FRESH_EACH {
            fresh.clear();
            changes.unsynced_files = true;
        }
        self.marked = Some(Marked {
            round,
            homes,
            fresh,
            recents,
            changes,
        });
    }

    /// Writes one of the homes that a checkpoint waits for, and the others unless there is
    /// something else to do.
    pub(super) fn go_on_with_checkpoint(&mut self) {
        while self.checkpoint_step() && !self.inbox.has_work() {}
    }

    pub(super) fn finish_checkpoint(&mut self) {
        while self.checkpoint_step() {}
    }

    /// Writes or syncs one home, or reports that all are; `false` when no checkpoint is going on.
    pub(super) fn checkpoint_step(&mut self) -> bool {
        let Some(marked) = &mut self.marked else {
            return false;
        };
        if let Some(&home) = marked.homes.first() {
            self.commit_marked(home);
        } else if let Some(home) = marked.fresh.pop() {
            self.sync_fresh(home);
        } else {
            self.report();
        }
        true
    }

    /// Makes a new home's file durable: SQLite's own checkpoint syncs it.
    pub(super) fn sync_fresh(&mut self, home: u64) {
        // What came behind the mark: there must be no open transaction.
        self.commit(home);
        let synced = self.open(home).and_then(|home| home.checkpoint()).is_ok();
        if let Some(marked) = &mut self.marked {
            marked.changes.unsynced_files |= !synced;
        }
    }

    /// Writes what a home has before a checkpoint's mark, if it has not yet.
    pub(super) fn commit_marked(&mut self, home: u64) {
        let is_marked = |marked: &Marked| marked.homes.contains(&home);
        if !self.marked.as_ref().is_some_and(is_marked) {
            return;
        }
        self.commit(home);
        let marks = self.marked.as_mut().and_then(|m| m.recents.remove(&home));
        let writable = !self.abandoned && !self.damaged.contains_key(&home);
        for (id, uid) in marks.into_iter().flatten().filter(|_| writable) {
            let written = self.open(home).and_then(|home| {
                home.set_recent(id, uid)?;
                Ok(home.state())
            });
            match written {
                Ok(state) => {
                    self.shared.recents.written(id, uid);
                    if let Some(marked) = &mut self.marked {
                        marked.changes.homes.insert(home, state);
                    }
                }
                Err(e) => tracing::warn!(home, error = %e, "could not write a recent mark"),
            }
        }
        if let Some(marked) = &mut self.marked {
            marked.homes.remove(&home);
        }
    }

    /// Tells the checkpoint thread what was before the mark.
    pub(super) fn report(&mut self) {
        let Some(marked) = self.marked.take() else {
            return;
        };
        self.tell(ToCheckpointer::Report(Box::new(Report {
            round: marked.round,
            changes: marked.changes,
            blocked: self.abandoned || self.owes,
        })));
    }
}
