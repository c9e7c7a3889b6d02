//! Searches that are evaluated again as their mailbox changes, for contexts (RFC 5267).

use murder_store::{MailboxView, UidSet};

use super::evaluate::Known;
use super::program::{Key, Program, Ranges};
use super::run::Scope;

impl Key {
    /// Whether `wanted` is true of this key or one within it. Recursion is bounded by the nesting
    /// that the parser takes.
    fn any(&self, wanted: &mut impl FnMut(&Self) -> bool) -> bool {
        wanted(self)
            || match self {
                Self::Not(key) => key.any(wanted),
                Self::And(keys) | Self::Or(keys) => keys.iter().any(|key| key.any(wanted)),
                _ => false,
            }
    }

    fn for_each_mut(&mut self, change: &mut impl FnMut(&mut Self)) {
        change(self);
        match self {
            Self::Not(key) => key.for_each_mut(change),
            Self::And(keys) | Self::Or(keys) => {
                keys.iter_mut().for_each(|key| key.for_each_mut(change));
            }
            _ => {}
        }
    }
}

impl Program {
    /// Makes it last: message numbers mean the messages that have them in `view`, whatever their
    /// numbers will be (RFC 5267 section 4.3).
    pub fn stand(&mut self, view: &MailboxView) {
        self.places = None;
        self.root.for_each_mut(&mut |key| {
            if let Key::Places(ranges) = key {
                *key = Key::Uids(uids_of(ranges, view));
            }
        });
    }

    /// For which time it was made, in seconds since 1970.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// How many keys it has.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Makes it fit a later view, and a later time.
    pub fn rebind(&mut self, view: &MailboxView, now: i64) {
        self.now = now;
        for (name, number) in &mut self.keywords {
            *number = view.keywords().number(name);
        }
        let last = view.last_uid().unwrap_or(0);
        for (set, ranges) in &mut self.open_sets {
            *ranges = Ranges(set.resolve(last));
        }
    }

    /// Whether it has a UID set with a `*`, whose meaning changes with the last message.
    pub fn follows_last_uid(&self) -> bool {
        !self.open_sets.is_empty()
    }

    /// Whether a message that changed between two views, which have the same keywords, may match
    /// otherwise than before.
    pub fn may_differ(&self, uid: u32, known: &MailboxView, scope: &Scope<'_>) -> bool {
        let (Some(before), Some(after)) = (known.row_by_uid(uid), scope.view.row_by_uid(uid))
        else {
            return true;
        };
        let after = scope.known(&after, None);
        let before = Known {
            view: known,
            row: &before,
            ..after
        };
        self.root.any(&mut |key| {
            matches!(
                key,
                Key::Flag(_) | Key::Seen | Key::Keyword(_) | Key::ModSeq(_)
            ) && self.evaluate(key, &before) != self.evaluate(key, &after)
        })
    }

    /// Ages of messages, in seconds, from which on they match otherwise than before.
    pub fn ages(&self) -> Vec<i64> {
        let mut ages = Vec::new();
        self.root.any(&mut |key| {
            match key {
                Key::Older(age) => ages.push(*age),
                Key::Younger(age) => ages.push(*age + 1),
                _ => {}
            }
            false
        });
        ages.sort_unstable();
        ages.dedup();
        ages
    }

    /// The messages that have come to one of the ages after `then`, and until `now`.
    pub fn aged(&self, view: &MailboxView, then: i64, now: i64) -> UidSet {
        let ages = self.ages();
        let aged = |date: &i64| {
            let mut times = ages.iter().map(|age| date.saturating_add(*age));
            times.any(|time| then < time && time <= now)
        };
        let mut uids = UidSet::new();
        for (_, chunk) in view.chunks() {
            for (uid, date) in chunk.uids().iter().zip(chunk.internal_seconds()) {
                if aged(date) {
                    uids.insert(*uid);
                }
            }
        }
        uids
    }

    /// When a message comes to one of the ages next, after `now`.
    pub fn next_aged(&self, view: &MailboxView, now: i64) -> Option<i64> {
        let ages = self.ages();
        if ages.is_empty() {
            return None;
        }
        let next = |date: &i64| {
            let times = ages.iter().map(|age| date.saturating_add(*age));
            times.filter(|time| *time > now).min()
        };
        let chunks = view.chunks();
        let dates = chunks.flat_map(|(_, chunk)| chunk.internal_seconds());
        dates.filter_map(next).min()
    }

    /// Octets of memory that it takes, more or less.
    pub fn memory(&self) -> usize {
        let mut ranges = 0;
        self.root.any(&mut |key| {
            if let Key::Uids(set) | Key::Places(set) = key {
                ranges += set.0.len();
            }
            false
        });
        // As it was written, and as it is now.
        let open = |(set, ranges): &(_, Ranges)| {
            let set: &murder_imap::SequenceSet = set;
            set.range_count() + ranges.0.len() + 4
        };
        ranges += self.open_sets.iter().map(open).sum::<usize>();
        let fields = self
            .fields
            .iter()
            .map(|(name, string)| name.len() + string.len());
        let texts = self.texts.iter().map(String::len);
        let fuzzy = self.fuzzy.iter().flat_map(|fuzzy| fuzzy.words.needles());
        let fuzzy = fuzzy.map(|needles| needles.iter().map(String::len).sum());
        let keywords = self.keywords.iter().map(|(name, _)| name.len());
        let strings: usize = fields.chain(texts).chain(fuzzy).chain(keywords).sum();
        // Each string is there once to be found and once more for the index; a key may lie in a
        // box or a list of its own.
        self.size * 2 * size_of::<Key>() + ranges * 12 + strings * 2 + self.filters.len() * 128
    }
}

/// The UIDs of sequence numbers, and of none that will come.
fn uids_of(seqs: &Ranges, view: &MailboxView) -> Ranges {
    let ranges = seqs.0.iter().filter_map(|seqs| {
        let last = (*seqs.end()).min(view.len());
        Some(view.uid_of(*seqs.start())?..=view.uid_of(last)?)
    });
    Ranges(ranges.collect())
}
