//! Making the next view out of the last one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::MailboxView;
use super::chunk::{CHUNK_ROWS, Chunk};
use super::keywords::Keywords;
use super::row::MessageRow;
use crate::body::BodyLocation;
use crate::flags::Flags;
use crate::uidset::UidSet;

/// A chunk this small is joined with its neighbour when both fit in one.
const SMALL_CHUNK: usize = CHUNK_ROWS / 4;

/// New flags of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowState {
    pub uid: u32,
    pub modseq: u64,
    pub flags: Flags,
    pub keywords: u64,
}

/// A message whose body was moved by compaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relocated {
    pub uid: u32,
    /// The file that it was in.
    pub from: u64,
    pub to: BodyLocation,
}

/// What a batch of records did to one mailbox.
#[derive(Debug, Clone, Default)]
pub(crate) struct ViewChange {
    /// The last record of the batch.
    pub lsn: u64,
    pub uidvalidity: u32,
    pub uidnext: u32,
    pub highest_modseq: u64,
    pub shared_seen: bool,
    /// In the order of application, ascending by UID.
    pub added: Vec<MessageRow>,
    /// Applied after `added`; a message may come more than once.
    pub states: Vec<RowState>,
    /// Applied after `states`, in order.
    pub relocated: Vec<Relocated>,
    /// Applied last.
    pub expunged: UidSet,
    /// When they are others than before.
    pub keywords: Option<Arc<Keywords>>,
    /// Users whose `\Seen` changed.
    pub seen: BTreeMap<Box<str>, Arc<UidSet>>,
    /// The mailbox is gone.
    pub deleted: bool,
}

impl MailboxView {
    /// The view after `change`. Costs the chunks that are touched and a pointer for each
    /// that is not.
    pub(crate) fn with(&self, change: &ViewChange) -> Self {
        let mut next = self.clone();
        next.lsn = change.lsn;
        next.uidvalidity = change.uidvalidity;
        next.uidnext = change.uidnext;
        next.highest_modseq = change.highest_modseq;
        next.shared_seen = change.shared_seen;
        if let Some(keywords) = &change.keywords {
            next.keywords = Arc::clone(keywords);
        }
        if !change.seen.is_empty() {
            let seen = Arc::make_mut(&mut next.seen);
            for (user, set) in &change.seen {
                seen.insert(user.clone(), Arc::clone(set));
            }
        }
        for row in &change.added {
            next.push(row);
        }
        for state in &change.states {
            if let Some((chunk, at)) = next.place_of_uid(state.uid) {
                next.chunks[chunk].set_state(at, state.modseq, state.flags, state.keywords);
            }
        }
        if !change.relocated.is_empty() {
            next.generation = Arc::default();
            // One view has one next one, so that this is the first time.
            let _ = self.generation.next.set(Arc::clone(&next.generation));
            for moved in &change.relocated {
                if let Some((chunk, at)) = next.place_of_uid(moved.uid) {
                    next.chunks[chunk].set_location(at, moved.to);
                }
            }
        }
        if !change.expunged.is_empty() {
            next.remove(&change.expunged);
        }
        next
    }

    /// What the messages in `uids` have of flags and keywords, with their sequence numbers.
    pub(crate) fn states(&self, uids: &UidSet) -> Vec<(u32, RowState)> {
        let ranges = uids.ranges().iter();
        let rows = ranges.flat_map(|&(low, high)| self.rows_by_uid(low, high));
        rows.map(|row| {
            let state = RowState {
                uid: row.uid,
                modseq: row.modseq,
                flags: row.flags,
                keywords: row.keywords,
            };
            (row.seq, state)
        })
        .collect()
    }

    /// Adds a message with a greater UID than all others.
    pub(crate) fn push(&mut self, row: &MessageRow) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK_ROWS => last.push(row),
            _ => {
                let mut chunk = Chunk::default();
                chunk.push(row);
                self.chunks.push(chunk);
                self.starts.push(self.messages);
            }
        }
        self.messages += 1;
    }

    fn remove(&mut self, gone: &UidSet) {
        let mut kept: Vec<Chunk> = Vec::with_capacity(self.chunks.len());
        for chunk in self.chunks.drain(..) {
            let (Some(&low), Some(&high)) = (chunk.uids().first(), chunk.uids().last()) else {
                continue;
            };
            let here = gone.intersection(&UidSet::range(low, high));
            let chunk = if here.is_empty() {
                chunk
            } else {
                chunk.without(|uid| here.contains(uid))
            };
            match kept.last_mut() {
                _ if chunk.is_empty() => {}
                Some(last)
                    if (last.len() < SMALL_CHUNK || chunk.len() < SMALL_CHUNK)
                        && last.len() + chunk.len() <= CHUNK_ROWS =>
                {
                    for at in 0..chunk.len() {
                        last.push(&chunk.row(at, 0));
                    }
                }
                _ => kept.push(chunk),
            }
        }
        self.chunks = kept;
        self.starts.clear();
        self.messages = 0;
        for chunk in &self.chunks {
            self.starts.push(self.messages);
            self.messages += chunk.len() as u32;
        }
    }
}
