//! Showing what was applied, and answering.

use std::sync::Arc;

use super::Shard;
use crate::command::Op;
use crate::entry::{Entry, Outcome};
use crate::error::StoreError;
use crate::home::Effects;
use crate::uidset::UidSet;
use crate::watch::Change;

impl Shard {
    /// Shows what was applied: names first, then messages, then the answers.
    pub(super) fn publish(&mut self, home: u64, entries: &[Arc<Entry>], effects: Effects) {
        if effects.results.iter().all(Option::is_none) {
            // Only in replay: the home may be ahead of the catalogue.
            if entries.iter().any(|e| matches!(e.op, Op::DropHome(_))) {
                self.forget(home);
            }
            return;
        }
        let shared = &self.shared;
        let before = self.watched(home);
        let mut change = Change {
            names: effects.catalogue,
            subscriptions: entries.iter().any(|e| matches!(e.op, Op::Subscribe(_))),
            annotations: effects.annotations,
            ..Change::default()
        };
        if effects.catalogue
            && let Some(open) = self.homes.peek(&home)
            && !open.key().is_empty()
        {
            shared.catalogue.put(home, open.key(), open.listed());
        }
        if effects
            .views
            .iter()
            .any(|(_, change)| !change.added.is_empty())
        {
            shared.fulltext.mark(home);
        }
        for (id, view) in effects.views {
            if view.deleted {
                self.handles.cool(id);
            }
            if let Some(handle) = self.handles.get(id) {
                handle.apply(&Arc::new(view));
            }
            let open = before.as_ref().and_then(|_| self.homes.peek(&home));
            let counters = open.and_then(|home| home.counters(id));
            change
                .mailboxes
                .extend(counters.map(|counters| (id, counters)));
        }
        if let Some(before) = before {
            let now = shared.catalogue.key(home);
            // A home that has got another key is gone for who watches the old one.
            let other = before.filter(|before| now.as_ref() != Some(before));
            for key in other.iter().chain(&now) {
                shared.watchers.tell(key, &change);
            }
        }
        for (entry, result) in entries.iter().zip(effects.results) {
            let Some(result) = result else { continue };
            if target_of(entry) == Some(home) {
                let arrived = match &result {
                    Ok(Outcome::Copied(copied)) => copied.source.iter().copied().collect(),
                    _ => UidSet::new(),
                };
                entry.set_arrived(arrived);
            }
            entry.answer(home, result);
        }
    }

    /// If anybody watches homes: the key of this one, if it has one.
    pub(super) fn watched(&self, home: u64) -> Option<Option<Arc<str>>> {
        let shared = &self.shared;
        shared.watchers.any().then(|| shared.catalogue.key(home))
    }

    /// Lets go of a home that was dropped; the next checkpoint removes its file.
    pub(super) fn forget(&mut self, home: u64) {
        self.shared.catalogue.remove(home);
        self.changes.dropped.push(home);
        self.homes.pop(&home);
    }
}

/// Answers for a home that cannot apply anything.
pub(super) fn refuse(home: u64, entries: &[Arc<Entry>], error: &StoreError) {
    for entry in entries {
        if target_of(entry) == Some(home) {
            entry.set_arrived(UidSet::new());
        }
        entry.answer(home, Err(error.clone()));
    }
}

/// The home that a cross-home MOVE goes to.
pub(super) fn target_of(entry: &Entry) -> Option<u64> {
    match &entry.op {
        Op::CopyAcross(copy) if copy.expunge => Some(copy.target_home),
        _ => None,
    }
}
