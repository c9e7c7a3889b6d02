//! Columns of up to [`CHUNK_ROWS`] messages.

use std::sync::Arc;

use super::row::MessageRow;
use crate::body::BodyLocation;
use crate::flags::Flags;
use crate::message::InternalDate;

/// The most messages in a chunk: small enough that cloning one for a flag change costs
/// microseconds, large enough that a view of 100,000 messages is a hundred pointers.
pub const CHUNK_ROWS: usize = 1024;

/// What never changes about the messages of a chunk, except that some are expunged.
#[derive(Debug, Clone, Default)]
pub struct Fixed {
    pub(crate) uid: Vec<u32>,
    pub(crate) internal_seconds: Vec<i64>,
    pub(crate) internal_zone: Vec<i16>,
    pub(crate) save_date: Vec<i64>,
    pub(crate) sent: Vec<i64>,
    pub(crate) sent_day: Vec<i32>,
    pub(crate) location: Vec<BodyLocation>,
    pub(crate) header_len: Vec<u32>,
    pub(crate) email_id: Vec<[u8; 16]>,
    pub(crate) content: Vec<i64>,
}

/// What changes about the messages of a chunk.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(crate) modseq: Vec<u64>,
    pub(crate) flags: Vec<u8>,
    pub(crate) keywords: Vec<u64>,
}

/// Columns of consecutive messages of a mailbox; immutable once in a view. The two halves
/// are shared separately, so that a flag change copies only the narrow one.
#[derive(Debug, Clone, Default)]
pub struct Chunk {
    pub(crate) fixed: Arc<Fixed>,
    pub(crate) state: Arc<State>,
}

/// `sent` of a message without a usable Date field.
pub(crate) const NO_SENT: i64 = i64::MIN;
/// `sent_day` of a message without a usable Date field.
pub(crate) const NO_DAY: i32 = i32::MIN;

impl Chunk {
    /// How many messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fixed.uid.len()
    }

    /// Whether it has none; chunks in a view have at least one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fixed.uid.is_empty()
    }

    /// UIDs, ascending.
    #[must_use]
    pub fn uids(&self) -> &[u32] {
        &self.fixed.uid
    }

    /// MODSEQs.
    #[must_use]
    pub fn modseqs(&self) -> &[u64] {
        &self.state.modseq
    }

    /// System flags, as [`Flags::bits`].
    #[must_use]
    pub fn flags(&self) -> &[u8] {
        &self.state.flags
    }

    /// Keywords in words that [`Keywords`](super::Keywords) can read.
    #[must_use]
    pub fn keywords(&self) -> &[u64] {
        &self.state.keywords
    }

    /// INTERNALDATE in seconds since 1970, UTC.
    #[must_use]
    pub fn internal_seconds(&self) -> &[i64] {
        &self.fixed.internal_seconds
    }

    /// INTERNALDATE's zone in minutes east of UTC.
    #[must_use]
    pub fn internal_zones(&self) -> &[i16] {
        &self.fixed.internal_zone
    }

    /// SAVEDATE in seconds since 1970.
    #[must_use]
    pub fn save_dates(&self) -> &[i64] {
        &self.fixed.save_date
    }

    /// Bodies; `len` is RFC822.SIZE.
    #[must_use]
    pub fn locations(&self) -> &[BodyLocation] {
        &self.fixed.location
    }

    /// The message at `at`, whose sequence number is `seq`.
    pub(crate) fn row(&self, at: usize, seq: u32) -> MessageRow {
        let (fixed, state) = (&self.fixed, &self.state);
        MessageRow {
            seq,
            uid: fixed.uid[at],
            modseq: state.modseq[at],
            flags: Flags::from_bits(state.flags[at]),
            keywords: state.keywords[at],
            internal_date: InternalDate {
                seconds: fixed.internal_seconds[at],
                zone: fixed.internal_zone[at],
            },
            save_date: fixed.save_date[at],
            sent: Some(fixed.sent[at]).filter(|&s| s != NO_SENT),
            sent_day: Some(fixed.sent_day[at]).filter(|&d| d != NO_DAY),
            location: fixed.location[at],
            header_len: fixed.header_len[at],
            email_id: fixed.email_id[at],
            content: fixed.content[at],
        }
    }

    /// Whether both halves are the very same memory.
    #[cfg(test)]
    pub(crate) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.fixed, &other.fixed) && Arc::ptr_eq(&self.state, &other.state)
    }

    /// MODSEQ, flags and keywords of the message at `at`.
    pub(crate) fn state_of(&self, at: usize) -> (u64, u8, u64) {
        let state = &self.state;
        (state.modseq[at], state.flags[at], state.keywords[at])
    }

    /// Adds a message at the end.
    pub(crate) fn push(&mut self, row: &MessageRow) {
        let fixed = Arc::make_mut(&mut self.fixed);
        fixed.uid.push(row.uid);
        fixed.internal_seconds.push(row.internal_date.seconds);
        fixed.internal_zone.push(row.internal_date.zone);
        fixed.save_date.push(row.save_date);
        fixed.sent.push(row.sent.unwrap_or(NO_SENT));
        fixed.sent_day.push(row.sent_day.unwrap_or(NO_DAY));
        fixed.location.push(row.location);
        fixed.header_len.push(row.header_len);
        fixed.email_id.push(row.email_id);
        fixed.content.push(row.content);
        let state = Arc::make_mut(&mut self.state);
        state.modseq.push(row.modseq);
        state.flags.push(row.flags.bits());
        state.keywords.push(row.keywords);
    }

    /// Changes the mutable half of the message at `at`.
    pub(crate) fn set_state(&mut self, at: usize, modseq: u64, flags: Flags, keywords: u64) {
        let state = Arc::make_mut(&mut self.state);
        state.modseq[at] = modseq;
        state.flags[at] = flags.bits();
        state.keywords[at] = keywords;
    }

    /// Gives the message at `at` another place of its body.
    pub(crate) fn set_location(&mut self, at: usize, location: BodyLocation) {
        Arc::make_mut(&mut self.fixed).location[at] = location;
    }

    /// The chunk without the messages that `gone` names.
    pub(crate) fn without(&self, gone: impl Fn(u32) -> bool) -> Self {
        let mut kept = Self::default();
        for at in 0..self.len() {
            if !gone(self.fixed.uid[at]) {
                kept.push(&self.row(at, 0));
            }
        }
        kept
    }

    /// Bytes of memory that one message takes in a chunk.
    pub(crate) const ROW_BYTES: usize = 4 + 8 + 2 + 8 + 8 + 4 + 24 + 4 + 16 + 8 + 8 + 1 + 8;
}
