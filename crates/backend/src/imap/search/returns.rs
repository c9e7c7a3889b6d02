//! What a search returns: the options of RETURN (RFC 4731, RFC 5182, RFC 6203, RFC 9394), alike
//! for SEARCH, SORT (RFC 5267 section 3) and ESEARCH.

use std::ops::Range;

use murder_imap::{Esearch, FetchItem, PartialRange, SearchReturn, SequenceSet};
use murder_store::{MailboxView, UidSet};

use super::run::Hits;
use crate::imap::errors::{OpError, bad};

/// What the client wants to know of the result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Returns {
    min: bool,
    max: bool,
    all: bool,
    count: bool,
    relevancy: bool,
    partial: Option<PartialRange>,
    /// The result becomes what `$` means.
    pub save: bool,
    /// Changes of the result are told from now on, and these items of new messages.
    pub update: Option<Vec<FetchItem>>,
    /// The client may ask for more of the result later.
    context: bool,
}

/// A result in the order of the answer.
pub(crate) struct Found<'a> {
    /// What was found; in the order of a SORT, or of the mailbox.
    pub hits: &'a Hits,
    /// Their view.
    pub view: &'a MailboxView,
    /// Whether the answer has UIDs.
    pub uid: bool,
    /// Whether it has the greatest MODSEQ (RFC 7162 section 3.1.5).
    pub modseq: bool,
}

impl Found<'_> {
    /// The numbers at these places of the result.
    fn numbers(&self, places: Range<usize>) -> impl Iterator<Item = u32> {
        let seqs = self.hits.seqs.get(places).unwrap_or_default();
        seqs.iter().filter_map(|seq| match self.uid {
            true => self.view.uid_of(*seq),
            false => Some(*seq),
        })
    }

    /// All numbers.
    pub fn all_numbers(&self) -> impl Iterator<Item = u32> {
        self.numbers(0..self.hits.seqs.len())
    }

    /// The greatest MODSEQ among all.
    pub fn greatest_modseq(&self) -> Option<u64> {
        self.modseq_of(0..self.hits.seqs.len())
    }

    fn modseq_of(&self, places: Range<usize>) -> Option<u64> {
        let seqs = self.hits.seqs.get(places).unwrap_or_default();
        let modseqs = seqs.iter().filter_map(|seq| self.view.row(*seq));
        modseqs.map(|row| row.modseq).max().filter(|_| self.modseq)
    }
}

impl Returns {
    /// Reads `RETURN (…)`; an empty one is `RETURN (ALL)`.
    ///
    /// # Errors
    /// BAD for options that exclude each other, for RELEVANCY without `fuzzy`, and without
    /// `contexts` for UPDATE and CONTEXT.
    pub fn of(options: &[SearchReturn], fuzzy: bool, contexts: bool) -> Result<Self, OpError> {
        let mut returns = Self {
            all: options.is_empty(),
            ..Self::default()
        };
        for option in options {
            match option {
                SearchReturn::Min => returns.min = true,
                SearchReturn::Max => returns.max = true,
                SearchReturn::All => returns.all = true,
                SearchReturn::Count => returns.count = true,
                SearchReturn::Save => returns.save = true,
                SearchReturn::Relevancy if fuzzy => returns.relevancy = true,
                SearchReturn::Relevancy => return Err(bad("RELEVANCY without a FUZZY key")),
                SearchReturn::Partial(_) if returns.partial.is_some() => {
                    return Err(bad("PARTIAL twice"));
                }
                SearchReturn::Partial(range) => returns.partial = Some(*range),
                SearchReturn::Update(_) | SearchReturn::Context if !contexts => {
                    return Err(bad("This return option is not supported"));
                }
                SearchReturn::Update(items) => {
                    let update = returns.update.get_or_insert_default();
                    update.extend_from_slice(items);
                }
                // A hint (RFC 5267 section 4.2); nothing is kept between searches.
                SearchReturn::Context => returns.context = true,
            }
        }
        if returns.all && returns.partial.is_some() {
            return Err(bad("PARTIAL and ALL exclude each other"));
        }
        Ok(returns)
    }

    /// Whether there is an answer: SAVE by itself has none. UPDATE and CONTEXT by themselves have
    /// one without results, which tells that the server has understood them.
    pub fn has_answer(&self) -> bool {
        let results = self.min || self.max || self.all || self.count || self.relevancy;
        results || self.partial.is_some() || self.update.is_some() || self.context
    }

    /// The answer, without its correlators.
    pub fn answer(&self, found: &Found<'_>) -> Esearch {
        let len = found.hits.seqs.len();
        let (first, last) = (0..len.min(1), len.saturating_sub(1)..len);
        let part = self.partial.map(|range| (range, slice(range, len)));
        let shown = match &part {
            Some((_, slice)) => slice.clone(),
            None => 0..len,
        };
        let scores = match self.relevancy {
            true => found.hits.scores.get(shown).unwrap_or_default(),
            false => &[],
        };
        // RFC 4731 section 3.2: of what is told.
        let told = match (self.all || self.count, self.min, self.max, &part) {
            (false, true, false, None) => found.modseq_of(first.clone()),
            (false, false, true, None) => found.modseq_of(last.clone()),
            (false, true, true, None) => found
                .modseq_of(first.clone())
                .max(found.modseq_of(last.clone())),
            (false, false, false, Some((_, slice))) => found.modseq_of(slice.clone()),
            _ => found.greatest_modseq(),
        };
        Esearch {
            uid: found.uid,
            min: found.numbers(first).next().filter(|_| self.min),
            max: found.numbers(last).next().filter(|_| self.max),
            all: match self.all {
                true => SequenceSet::from_numbers(found.all_numbers()),
                false => None,
            },
            // A mailbox has at most 2^32 - 1 messages.
            count: self.count.then_some(len as u32),
            modseq: told,
            partial: part
                .map(|(range, slice)| (range, SequenceSet::from_numbers(found.numbers(slice)))),
            relevancy: scores.iter().map(|score| u32::from(*score)).collect(),
            ..Esearch::default()
        }
    }

    /// What `$` means then (RFC 5182 section 2.4, RFC 9394 section 3.2).
    pub fn saved(&self, hits: &Hits, view: &MailboxView) -> UidSet {
        let len = hits.seqs.len();
        let some = self.min || self.max || self.partial.is_some();
        let mut places = Vec::new();
        if self.all || self.count || !some {
            places.push(0..len);
        } else {
            if self.min {
                places.push(0..len.min(1));
            }
            if self.max {
                places.push(len.saturating_sub(1)..len);
            }
            places.extend(self.partial.map(|range| slice(range, len)));
        }
        let places = places.into_iter().flatten();
        let mut seqs: Vec<u32> = places.filter_map(|at| hits.seqs.get(at).copied()).collect();
        // Ascending, a set is made without searching.
        seqs.sort_unstable();
        seqs.into_iter()
            .filter_map(|seq| view.uid_of(seq))
            .collect()
    }
}

/// The places of a result of `len` that a range of RFC 9394 means.
fn slice(range: PartialRange, len: usize) -> Range<usize> {
    let low = range.from.min(range.to) as usize - 1;
    let high = range.from.max(range.to) as usize;
    let (low, high) = (low.min(len), high.min(len));
    match range.from_end {
        true => len - high..len - low,
        false => low..high,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices() {
        let range = |from, to, from_end| PartialRange { from, to, from_end };
        for (of, len, want) in [
            (range(1, 3, false), 10, 0..3),
            (range(3, 1, false), 10, 0..3),
            (range(9, 12, false), 10, 8..10),
            (range(11, 12, false), 10, 10..10),
            (range(1, 3, true), 10, 7..10),
            (range(9, 100, true), 10, 0..2),
            (range(11, 12, true), 10, 0..0),
            (range(1, u32::MAX, true), 0, 0..0),
        ] {
            assert_eq!(slice(of, len), want, "{of}");
        }
    }
}
