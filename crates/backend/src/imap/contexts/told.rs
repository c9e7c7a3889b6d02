//! The result of a search as its client knows it.

use murder_store::{MailboxView, UidSet};

use crate::imap::errors::OpError;
use crate::imap::progress::Progress;
use crate::imap::search::{Hits, Order, Scope, places, sort};

/// What the client was told, in UIDs.
pub(super) enum Told {
    /// In the order of the mailbox.
    Found(UidSet),
    /// In another.
    Sorted {
        order: Order,
        uids: Vec<u32>,
        /// The relevancy of each; empty unless a key is fuzzy.
        scores: Vec<u8>,
    },
}

/// A part of a change: the position of the first of some messages, from 1, and their UIDs. The
/// position is 0 where the order is the mailbox's.
pub(super) type Piece = (u32, Vec<u32>);

impl Told {
    /// What a command has found in `view`.
    pub fn new(order: Option<Order>, hits: Hits, view: &MailboxView) -> Self {
        let uids = hits.seqs.iter().filter_map(|seq| view.uid_of(*seq));
        match order {
            None => Self::Found(uids.collect()),
            Some(order) => Self::Sorted {
                order,
                uids: uids.collect(),
                scores: hits.scores,
            },
        }
    }

    /// Octets of memory.
    pub fn memory(&self) -> usize {
        match self {
            Self::Found(uids) => uids.ranges().len() * 8,
            Self::Sorted { uids, scores, .. } => uids.len() * 4 + scores.len(),
        }
    }

    /// What of `uids` is in it.
    pub fn among(&self, uids: &UidSet) -> UidSet {
        match self {
            Self::Found(told) => told.intersection(uids),
            Self::Sorted { uids: told, .. } => {
                let told = told.iter().copied();
                let mut both: Vec<u32> = told.filter(|uid| uids.contains(*uid)).collect();
                // Ascending, a set is made without searching.
                both.sort_unstable();
                both.into_iter().collect()
            }
        }
    }

    /// Takes messages out. The pieces are in the order in which they are to be told: the last of
    /// the result first, so that a piece leaves the positions of the others alone.
    pub fn remove(&mut self, gone: &UidSet) -> Vec<Piece> {
        match self {
            Self::Found(told) => {
                let gone = told.intersection(gone);
                told.subtract(&gone);
                match gone.is_empty() {
                    true => Vec::new(),
                    false => vec![(0, gone.iter().collect())],
                }
            }
            Self::Sorted { uids, scores, .. } => {
                let mut pieces: Vec<Piece> = Vec::new();
                let mut last_gone = false;
                for (at, uid) in uids.iter().enumerate() {
                    let is_gone = gone.contains(*uid);
                    match pieces.last_mut() {
                        Some((_, piece)) if is_gone && last_gone => piece.push(*uid),
                        _ if is_gone => pieces.push((position(at), vec![*uid])),
                        _ => {}
                    }
                    last_gone = is_gone;
                }
                if !scores.is_empty() {
                    let mut at = 0..;
                    scores.retain(|_| at.next().is_some_and(|at| !gone.contains(uids[at])));
                }
                uids.retain(|uid| !gone.contains(*uid));
                pieces.reverse();
                pieces
            }
        }
    }

    /// Puts in what was found and is not in it yet. The pieces are in the order in which they are
    /// to be told: the first of the result first.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub async fn add(
        &mut self,
        mut new: Hits,
        scope: &Scope<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<Piece>, OpError> {
        if new.seqs.is_empty() {
            return Ok(Vec::new());
        }
        if let Self::Sorted { order, .. } = self {
            sort(order, &mut new, scope, progress).await?;
        }
        let added: Vec<u32> = new
            .seqs
            .iter()
            .filter_map(|seq| scope.view.uid_of(*seq))
            .collect();
        match self {
            Self::Found(told) => {
                told.union_with(&added.iter().copied().collect());
                Ok(vec![(0, added)])
            }
            Self::Sorted {
                order,
                uids,
                scores,
            } => {
                let places = places(order, (uids, scores), &new, scope, progress).await?;
                insert(scores, &places, &new.scores);
                insert(uids, &places, &added);
                let mut pieces: Vec<Piece> = Vec::new();
                let mut last = None;
                for (at, (place, uid)) in places.iter().zip(added).enumerate() {
                    match pieces.last_mut() {
                        Some((_, piece)) if last == Some(place) => piece.push(uid),
                        _ => pieces.push((position(place + at), vec![uid])),
                    }
                    last = Some(place);
                }
                Ok(pieces)
            }
        }
    }
}

/// The position of an index. A mailbox has at most 2^32 - 1 messages.
fn position(at: usize) -> u32 {
    at as u32 + 1
}

/// Puts each of `new` behind as many of the old values as `places` says, which ascend.
fn insert<T: Copy>(values: &mut Vec<T>, places: &[usize], new: &[T]) {
    if new.is_empty() {
        return;
    }
    let old = std::mem::take(values);
    values.reserve_exact(old.len() + new.len());
    let mut next = 0;
    for (place, value) in places.iter().zip(new) {
        values.extend_from_slice(&old[next..*place]);
        values.push(*value);
        next = *place;
    }
    values.extend_from_slice(&old[next..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_in_place() {
        let mut values = vec![10, 20, 30];
        insert(&mut values, &[0, 1, 1, 3], &[1, 11, 12, 31]);
        assert_eq!(values, [1, 10, 11, 12, 20, 30, 31]);
        insert(&mut values, &[], &[]);
        assert_eq!(values.len(), 7);
        let mut values = Vec::new();
        insert(&mut values, &[0, 0], &[1, 2]);
        assert_eq!(values, [1, 2]);
    }

    #[test]
    fn what_goes_is_told_from_the_end() {
        let mut told = Told::Sorted {
            order: Order::new(&[]),
            uids: vec![5, 3, 9, 1, 7, 2],
            scores: vec![50, 30, 90, 10, 70, 20],
        };
        let gone = [3, 9, 7, 4].into_iter().collect();
        assert_eq!(told.among(&gone), [3, 7, 9].into_iter().collect());
        assert_eq!(told.remove(&gone), [(5, vec![7]), (2, vec![3, 9])]);
        let Told::Sorted { uids, scores, .. } = &told else {
            unreachable!("it was sorted");
        };
        assert_eq!(
            (&uids[..], &scores[..]),
            (&[5, 1, 2][..], &[50, 10, 20][..])
        );
        assert!(told.remove(&gone).is_empty());
        let mut told = Told::Found(UidSet::range(1, 9));
        assert_eq!(told.remove(&gone), [(0, vec![3, 4, 7, 9])]);
        assert!(told.remove(&gone).is_empty());
    }
}
