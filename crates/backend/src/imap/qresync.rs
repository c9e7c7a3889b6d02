//! Bringing a client that was away up to date (RFC 7162 section 3.2): what went and what changed
//! since its last mod-sequence.

use std::ops::RangeInclusive;

use murder_imap::{ResponseWriter, SequenceSet};
use murder_store::{MailboxView, StoreError, UidSet};

use crate::imap::enabled::Extension;
use crate::imap::errors::{OpError, bad};
use crate::imap::selected::{Selected, flag_words};
use crate::imap::updates::{start_fetch, tell_vanished};
use murder_session::ClientStream;

/// `QRESYNC (uidvalidity modseq [known-uids] [seq-match-data])` of SELECT.
pub(crate) struct Resync {
    /// The UIDVALIDITY that the client knows.
    pub uidvalidity: u32,
    /// How far it had come.
    pub modseq: u64,
    known_uids: Option<Vec<RangeInclusive<u32>>>,
    seq_match: Vec<Pair>,
}

/// Message numbers and their UIDs, as many of one as of the other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pair {
    seqs: RangeInclusive<u32>,
    first_uid: u32,
}

impl Resync {
    /// Reads the parameters.
    ///
    /// # Errors
    /// BAD when message numbers and UIDs of the match data do not correspond, or do not ascend.
    pub fn new(
        uidvalidity: u32,
        modseq: u64,
        known_uids: Option<&SequenceSet>,
        seq_match: Option<&(SequenceSet, SequenceSet)>,
    ) -> Result<Self, OpError> {
        Ok(Self {
            uidvalidity,
            modseq,
            known_uids: known_uids.map(|set| set.resolve(0)),
            seq_match: match seq_match {
                Some((seqs, uids)) => pairs(seqs, uids)
                    .ok_or_else(|| bad("The sequence match data do not correspond"))?,
                None => Vec::new(),
            },
        })
    }

    /// Tells what went and what changed in a mailbox that has just been selected, as
    /// `UID FETCH known-uids (FLAGS) (CHANGEDSINCE modseq VANISHED)` would.
    ///
    /// # Errors
    /// The store's, and when the client has gone.
    pub async fn tell(
        &self,
        selected: &Selected,
        writer: &mut ResponseWriter,
        stream: &mut ClientStream,
    ) -> Result<(), OpError> {
        let view = &selected.view;
        let mut known = UidSet::new();
        match &self.known_uids {
            Some(ranges) => {
                for range in ranges {
                    known.insert_range(*range.start(), *range.end());
                }
            }
            None if view.uidnext() > 1 => known.insert_range(1, view.uidnext() - 1),
            None => {}
        }
        let mut vanished = vanished(selected, self.modseq, &known).await?;
        if let Some(matched) = last_match(&self.seq_match, view) {
            vanished.remove_range(1, matched);
        }
        tell_vanished(writer, stream, true, &vanished).await?;
        for &(low, high) in known.ranges() {
            for row in view.rows_by_uid(low, high) {
                if row.modseq <= self.modseq {
                    continue;
                }
                let mut fetch = start_fetch(selected.enabled, writer, &row);
                if !selected.enabled.has(Extension::UidOnly) {
                    fetch.uid(row.uid);
                }
                fetch.flags(flag_words(
                    view,
                    selected.flags_of(view, &row),
                    selected.is_recent(row.uid),
                    row.keywords,
                ));
                fetch.modseq(row.modseq);
                fetch.finish();
                writer.flush_if_full(stream).await?;
            }
        }
        Ok(())
    }
}

/// Of the UIDs `known`, those of messages that went after `modseq`, as far as the client may know
/// of it: not of those that it still has to be told of.
///
/// # Errors
/// The store's.
pub(crate) async fn vanished(
    selected: &Selected,
    modseq: u64,
    known: &UidSet,
) -> Result<UidSet, StoreError> {
    if modseq >= selected.newest.highest_modseq() {
        return Ok(UidSet::new());
    }
    let view = &selected.view;
    let gone = selected.handle.expunged_since(modseq).await?;
    let mut gone = gone.intersection(known);
    // New ones that came and went since the view was taken are nothing to the client.
    gone.remove_range(view.uidnext(), u32::MAX);
    let there: UidSet = gone
        .ranges()
        .iter()
        .flat_map(|&(low, high)| view.rows_by_uid(low, high))
        .map(|row| row.uid)
        .collect();
    gone.subtract(&there);
    Ok(gone)
}

/// Cuts two sets that correspond number by number into ranges that do. `None` if they do not.
fn pairs(seqs: &SequenceSet, uids: &SequenceSet) -> Option<Vec<Pair>> {
    let (seqs, uids) = (seqs.fixed_ranges()?, uids.fixed_ranges()?);
    let ascends = |ranges: &[RangeInclusive<u32>]| {
        ranges
            .windows(2)
            .all(|pair| pair[0].end() < pair[1].start())
    };
    if !ascends(&seqs) || !ascends(&uids) {
        return None;
    }
    let mut pairs = Vec::new();
    let (mut seqs, mut uids) = (seqs.into_iter(), uids.into_iter());
    let (mut seq, mut uid) = (seqs.next(), uids.next());
    while let (Some(s), Some(u)) = (&seq, &uid) {
        let more = (s.end() - s.start()).min(u.end() - u.start());
        let after = |range: &RangeInclusive<u32>| {
            let next = range.start() + more;
            (next < *range.end()).then(|| next + 1..=*range.end())
        };
        pairs.push(Pair {
            seqs: *s.start()..=s.start() + more,
            first_uid: *u.start(),
        });
        let (rest_s, rest_u) = (after(s), after(u));
        seq = rest_s.or_else(|| seqs.next());
        uid = rest_u.or_else(|| uids.next());
    }
    (seq.is_none() && uid.is_none()).then_some(pairs)
}

/// The greatest UID that has the number that the client knows: it knows all that went up to
/// there. Looks at each message of the mailbox once at most, from its end.
fn last_match(pairs: &[Pair], view: &MailboxView) -> Option<u32> {
    pairs.iter().rev().find_map(|pair| {
        let (start, end) = (*pair.seqs.start(), (*pair.seqs.end()).min(view.len()));
        (start..=end).rev().find_map(|seq| {
            let uid = pair.first_uid + (seq - start);
            (view.uid_of(seq) == Some(uid)).then_some(uid)
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn match_data_correspond() {
        let read = |seqs: &str, uids: &str| {
            pairs(
                &SequenceSet::parse(seqs.as_bytes()).unwrap(),
                &SequenceSet::parse(uids.as_bytes()).unwrap(),
            )
        };
        let pair = |seqs, first_uid| Pair { seqs, first_uid };
        assert_eq!(
            read("4,12", "8,24"),
            Some(vec![pair(4..=4, 8), pair(12..=12, 24)])
        );
        assert_eq!(
            read("1:3,9", "5,7:9"),
            Some(vec![pair(1..=1, 5), pair(2..=3, 7), pair(9..=9, 9)])
        );
        assert_eq!(
            read("1:4294967295", "1:4294967295"),
            Some(vec![pair(1..=u32::MAX, 1)])
        );
        for (seqs, uids) in [
            ("1", "1,2"),
            ("1:2", "5"),
            ("2,1", "1,2"),
            ("1,2", "9,8"),
            ("1,1", "1,2"),
        ] {
            assert_eq!(read(seqs, uids), None, "{seqs} {uids}");
        }
    }
}
