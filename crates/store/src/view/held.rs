//! Views for sessions that must not be told of expunges yet.

use std::iter::Peekable;
use std::sync::Arc;

use super::chunk::{CHUNK_ROWS, Chunk};
use super::keywords::{KeywordSet, Keywords};
use super::{MailboxView, MessageRow};
use crate::uidset::UidSet;

impl MailboxView {
    /// This view with the messages `uids` of the older view `known` put back, for a client that
    /// must not be told now that they went: its sequence numbers stay what they were. They keep
    /// the flags that the client knows. Chunks where nothing is put back are shared.
    ///
    /// `uids` is [`ViewDiff::vanished`](super::ViewDiff::vanished) of the difference from
    /// `known` to this view; others are passed over.
    #[must_use]
    pub fn with_held(&self, known: &Self, uids: &UidSet) -> Self {
        // With sets of their own as soon as held messages need others.
        let mut keywords = Arc::clone(&self.keywords);
        let mut held = uids
            .ranges()
            .iter()
            .flat_map(|&(low, high)| known.rows_by_uid(low, high))
            .filter(|row| self.place_of_uid(row.uid).is_none())
            .map(|mut row| {
                row.keywords = renamed(&known.keywords, &mut keywords, row.keywords);
                row
            })
            .peekable();
        let mut next = self.clone();
        next.chunks = Vec::with_capacity(self.chunks.len() + 1);
        for chunk in &self.chunks {
            let last = chunk.uids().last().copied().unwrap_or(0);
            match held.peek() {
                Some(row) if row.uid < last => merge(&mut next.chunks, chunk, &mut held),
                _ => next.chunks.push(chunk.clone()),
            }
        }
        merge(&mut next.chunks, &Chunk::default(), &mut held);
        next.keywords = keywords;
        next.starts.clear();
        next.messages = 0;
        for chunk in &next.chunks {
            next.starts.push(next.messages);
            next.messages += chunk.len() as u32;
        }
        next
    }
}

/// Appends `chunk` and the held rows that belong into it; after an empty one, all that are left.
fn merge(
    chunks: &mut Vec<Chunk>,
    chunk: &Chunk,
    held: &mut Peekable<impl Iterator<Item = MessageRow>>,
) {
    let mut merged = Chunk::default();
    let mut push = |row: &MessageRow| {
        if merged.len() == CHUNK_ROWS {
            chunks.push(std::mem::take(&mut merged));
        }
        merged.push(row);
    };
    for at in 0..chunk.len() {
        let uid = chunk.uids()[at];
        while let Some(row) = held.next_if(|row| row.uid < uid) {
            push(&row);
        }
        push(&chunk.row(at, 0));
    }
    if chunk.is_empty() {
        held.for_each(|row| push(&row));
    }
    if !merged.is_empty() {
        chunks.push(merged);
    }
}

/// What is `word` among the keywords `from`, among those of `to`, as far as they are there.
fn renamed(from: &Arc<Keywords>, to: &mut Arc<Keywords>, word: u64) -> u64 {
    if word == 0 || from.means_the_same(to) {
        return word;
    }
    let mut set = KeywordSet::default();
    for number in from.names(word).filter_map(|name| to.number(name)) {
        set.insert(number);
    }
    if set.rest().is_empty() {
        return set.direct();
    }
    // The mailbox's own sets are in its database.
    *to = Arc::new(to.fork());
    to.word(&set).map_or(set.direct(), |(word, _)| word)
}

#[cfg(test)]
mod tests {
    use murder_mailbox::MailboxId;

    use super::*;
    use crate::body::BodyLocation;
    use crate::flags::Flags;
    use crate::message::InternalDate;
    use crate::view::{MAX_KEYWORDS, ViewChange};

    fn row(uid: u32) -> MessageRow {
        MessageRow {
            seq: 0,
            uid,
            modseq: 1,
            flags: Flags::NONE,
            keywords: 0,
            internal_date: InternalDate::default(),
            save_date: 0,
            sent: None,
            sent_day: None,
            location: BodyLocation::default(),
            header_len: 0,
            email_id: [0; 16],
            content: 0,
        }
    }

    fn view(uids: impl Iterator<Item = u32>) -> MailboxView {
        let mut view = MailboxView::empty(MailboxId::new(), 1);
        for uid in uids {
            view.push(&row(uid));
        }
        view
    }

    fn expunge(view: &MailboxView, uids: &UidSet) -> MailboxView {
        view.with(&ViewChange {
            uidnext: 1_000_000,
            expunged: uids.clone(),
            ..ViewChange::default()
        })
    }

    #[test]
    fn held_messages_keep_their_places() {
        let known = view(1..=5000);
        for gone in [
            UidSet::range(1, 1),
            UidSet::range(5000, 5000),
            UidSet::range(1, 5000),
            UidSet::range(900, 3000),
            (1..=5000).filter(|n| n % 7 == 0).collect(),
        ] {
            let mut now = expunge(&known, &gone);
            for uid in 5001..=5010 {
                now.push(&row(uid));
            }
            let diff = MailboxView::diff(&known, &now);
            assert_eq!(diff.vanished, gone);
            let mut asked = diff.vanished.clone();
            asked.insert(5005);
            let held = now.with_held(&known, &asked);
            assert!(held.uids().eq(1..=5010), "{gone:?}");
            assert_eq!(held.len(), 5010);
            for seq in [1, 899, 900, 1024, 1025, 3000, 4999, 5000, 5001, 5010] {
                assert_eq!(held.uid_of(seq), Some(seq));
                assert_eq!(held.seq_of(seq), Some(seq));
            }
            let left = MailboxView::diff(&held, &now);
            assert_eq!(left.vanished, gone);
            assert_eq!((left.added, left.changed.len()), (0, 0));
            assert!(held.chunks.iter().all(|c| c.len() <= CHUNK_ROWS));
        }
    }

    #[test]
    fn chunks_without_held_messages_are_shared() {
        let known = view(1..=4096);
        let gone = UidSet::range(2000, 2010);
        let now = expunge(&known, &gone);
        let held = now.with_held(&known, &gone);
        let shared = held
            .chunks
            .iter()
            .filter(|c| now.chunks.iter().any(|n| n.same(c)))
            .count();
        assert_eq!(shared, 3);
    }

    #[test]
    fn keywords_keep_their_names() {
        let mut from = Keywords::default();
        let mut to = Keywords::default();
        for (keywords, names) in [(&mut from, ["a", "b", "c"]), (&mut to, ["c", "x", "a"])] {
            for name in names {
                assert!(keywords.intern(name, MAX_KEYWORDS).is_some());
            }
        }
        let (from, mut to) = (Arc::new(from), Arc::new(to));
        assert_eq!(renamed(&from, &mut to, 0b111), 0b101);
        assert_eq!(renamed(&from, &mut to, 0b010), 0);
    }

    #[test]
    fn held_messages_keep_keywords_that_have_no_bits() {
        let mut known = view(1..=3);
        let mut keywords = Keywords::default();
        let mut set = KeywordSet::default();
        for n in 0..100 {
            set.insert(keywords.intern(&format!("k{n}"), MAX_KEYWORDS).unwrap());
        }
        let (word, _) = keywords.word(&set).unwrap();
        known.keywords = Arc::new(keywords);
        known.chunks[0].set_state(1, 1, Flags::NONE, word);
        let mut now = expunge(&known, &UidSet::range(2, 2));
        let mut keywords = (*known.keywords).clone();
        set.remove(&known.keywords.translate(&known.keywords, 1 << 7).unwrap());
        keywords.keep(&set);
        now.keywords = Arc::new(keywords.without_unused_sets(&[]).0);
        let held = now.with_held(&known, &UidSet::range(2, 2));
        let row = held.row_by_uid(2).unwrap();
        let names: Vec<_> = held.keywords().names(row.keywords).collect();
        assert_eq!(names.len(), 99);
        assert!(!names.contains(&"k7"));
        // The mailbox's own sets are what they were.
        assert_eq!(now.keywords.sets(), 0);
    }
}
