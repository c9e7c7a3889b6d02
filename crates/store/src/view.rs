//! Immutable, columnar views of mailboxes, shared by sessions.
//!
//! A view never changes: a change makes a new view that shares every untouched chunk with
//! the old one. A session keeps the view it last told its client about and compares it with
//! the newest by [`MailboxView::diff`].

mod change;
mod chunk;
mod diff;
mod held;
mod keywords;
mod row;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use change::{Relocated, RowState, ViewChange};
pub use chunk::{CHUNK_ROWS, Chunk};
pub use diff::ViewDiff;
pub use keywords::{KeywordSet, Keywords, MAX_KEYWORDS};
use murder_mailbox::MailboxId;
pub use row::MessageRow;

use crate::flags::Flags;
use crate::journal::retention::Generation;
use crate::uidset::UidSet;

/// A mailbox at one moment.
#[derive(Debug, Clone)]
pub struct MailboxView {
    pub(crate) id: MailboxId,
    pub(crate) uidvalidity: u32,
    pub(crate) uidnext: u32,
    pub(crate) highest_modseq: u64,
    pub(crate) keywords: Arc<Keywords>,
    pub(crate) seen: Arc<BTreeMap<Box<str>, Arc<UidSet>>>,
    pub(crate) shared_seen: bool,
    /// The last journal record that is in the view.
    pub(crate) lsn: u64,
    pub(crate) chunks: Vec<Chunk>,
    /// Messages before each chunk.
    pub(crate) starts: Vec<u32>,
    pub(crate) messages: u32,
    pub(crate) generation: Arc<Generation>,
}

impl MailboxView {
    /// A view without messages.
    pub(crate) fn empty(id: MailboxId, uidvalidity: u32) -> Self {
        Self {
            id,
            uidvalidity,
            uidnext: 1,
            highest_modseq: 1,
            keywords: Arc::default(),
            seen: Arc::default(),
            shared_seen: false,
            lsn: 0,
            chunks: Vec::new(),
            starts: Vec::new(),
            messages: 0,
            generation: Arc::default(),
        }
    }

    /// The mailbox's identity.
    #[must_use]
    pub fn id(&self) -> MailboxId {
        self.id
    }

    /// UIDVALIDITY.
    #[must_use]
    pub fn uidvalidity(&self) -> u32 {
        self.uidvalidity
    }

    /// UIDNEXT.
    #[must_use]
    pub fn uidnext(&self) -> u32 {
        self.uidnext
    }

    /// HIGHESTMODSEQ (RFC 7162).
    #[must_use]
    pub fn highest_modseq(&self) -> u64 {
        self.highest_modseq
    }

    /// The keywords, which say what messages' words mean.
    #[must_use]
    pub fn keywords(&self) -> &Keywords {
        &self.keywords
    }

    /// EXISTS.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.messages
    }

    /// Whether there is no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// The columns with the sequence number of each chunk's first message.
    pub fn chunks(&self) -> impl Iterator<Item = (u32, &Chunk)> {
        self.starts.iter().map(|s| s + 1).zip(&self.chunks)
    }

    /// The message with sequence number `seq`, from 1.
    #[must_use]
    pub fn row(&self, seq: u32) -> Option<MessageRow> {
        let (chunk, at) = self.place_of_seq(seq)?;
        Some(self.chunks[chunk].row(at, seq))
    }

    /// The message with this UID.
    #[must_use]
    pub fn row_by_uid(&self, uid: u32) -> Option<MessageRow> {
        let (chunk, at) = self.place_of_uid(uid)?;
        Some(self.chunks[chunk].row(at, self.seq_at(chunk, at)))
    }

    /// The UID of the message with sequence number `seq`.
    #[must_use]
    pub fn uid_of(&self, seq: u32) -> Option<u32> {
        let (chunk, at) = self.place_of_seq(seq)?;
        Some(self.chunks[chunk].uids()[at])
    }

    /// The sequence number of the message with this UID.
    #[must_use]
    pub fn seq_of(&self, uid: u32) -> Option<u32> {
        let (chunk, at) = self.place_of_uid(uid)?;
        Some(self.seq_at(chunk, at))
    }

    /// The greatest UID, which `*` stands for in a UID set.
    #[must_use]
    pub fn last_uid(&self) -> Option<u32> {
        self.chunks.last()?.uids().last().copied()
    }

    /// The first sequence number whose UID is at least `uid`; `len() + 1` when there is none.
    #[must_use]
    pub fn seq_from_uid(&self, uid: u32) -> u32 {
        let chunk = self
            .chunks
            .partition_point(|c| c.uids().last().is_some_and(|&last| last < uid));
        match self.chunks.get(chunk) {
            Some(c) => self.seq_at(chunk, c.uids().partition_point(|&u| u < uid)),
            None => self.messages + 1,
        }
    }

    /// The messages with sequence numbers `low..=high`, as far as they exist.
    pub fn rows(&self, low: u32, high: u32) -> impl Iterator<Item = MessageRow> + '_ {
        let low = low.max(1);
        let high = high.min(self.messages);
        let first = self.starts.partition_point(|&s| s < low).saturating_sub(1);
        self.chunks
            .iter()
            .zip(&self.starts)
            .skip(first)
            .take_while(move |(_, start)| **start < high)
            .flat_map(move |(chunk, &start)| {
                let from = low.saturating_sub(start + 1) as usize;
                let to = chunk.len().min((high - start) as usize);
                (from..to.max(from))
                    .zip(start + 1 + from as u32..)
                    .map(|(at, seq)| chunk.row(at, seq))
            })
    }

    /// The messages whose UIDs are in `low..=high`.
    pub fn rows_by_uid(&self, low: u32, high: u32) -> impl Iterator<Item = MessageRow> + '_ {
        let from = self.seq_from_uid(low);
        let to = match high.checked_add(1) {
            Some(above) => self.seq_from_uid(above) - 1,
            None => self.messages,
        };
        self.rows(from, to)
    }

    /// Every UID, ascending.
    pub fn uids(&self) -> impl Iterator<Item = u32> + '_ {
        self.chunks.iter().flat_map(|c| c.uids().iter().copied())
    }

    /// Whether the message is seen by `user`; `None` is the mailbox's owner.
    #[must_use]
    pub fn is_seen(&self, row: &MessageRow, user: Option<&str>) -> bool {
        match user {
            Some(user) if !self.shared_seen => {
                self.seen.get(user).is_some_and(|s| s.contains(row.uid))
            }
            _ => row.flags.contains(Flags::SEEN),
        }
    }

    /// The flags of the message as `user` sees them; `None` is the mailbox's owner.
    #[must_use]
    pub fn flags_for(&self, row: &MessageRow, user: Option<&str>) -> Flags {
        let rest = row.flags & !Flags::SEEN;
        if self.is_seen(row, user) {
            rest | Flags::SEEN
        } else {
            rest
        }
    }

    /// What this user, not the owner, has seen. Empty in a mailbox with shared `\Seen`, where
    /// the row's flag counts for all.
    #[must_use]
    pub fn seen_of(&self, user: &str) -> Arc<UidSet> {
        self.seen.get(user).cloned().unwrap_or_default()
    }

    /// Whether `\Seen` is one flag for all users.
    #[must_use]
    pub fn shared_seen(&self) -> bool {
        self.shared_seen
    }

    /// What a session that knows `old` must be told to know `new`.
    #[must_use]
    pub fn diff(old: &Self, new: &Self) -> ViewDiff {
        diff::diff(old, new)
    }

    /// Bytes of memory, chunks shared with other views included.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + self.chunks.len() * (size_of::<Chunk>() + 512)
            + self.messages as usize * Chunk::ROW_BYTES
            + self.keywords.memory()
    }

    fn seq_at(&self, chunk: usize, at: usize) -> u32 {
        // A chunk has at most CHUNK_ROWS rows, so `at` fits.
        self.starts[chunk] + at as u32 + 1
    }

    pub(crate) fn place_of_uid(&self, uid: u32) -> Option<(usize, usize)> {
        let chunk = self
            .chunks
            .partition_point(|c| c.uids().last().is_some_and(|&last| last < uid));
        let at = self.chunks.get(chunk)?.uids().binary_search(&uid).ok()?;
        Some((chunk, at))
    }

    fn place_of_seq(&self, seq: u32) -> Option<(usize, usize)> {
        if seq == 0 || seq > self.messages {
            return None;
        }
        let chunk = self.starts.partition_point(|&s| s < seq) - 1;
        Some((chunk, (seq - self.starts[chunk] - 1) as usize))
    }
}
