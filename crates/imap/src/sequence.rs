//! Sequence sets and UID sets.

use std::fmt;
use std::ops::RangeInclusive;

/// The most ranges that a set in a command may have. A line of the usual limit, 64 KiB, of
/// six-digit UIDs has about 9,000; this many take 128 KiB of memory.
pub const MAX_RANGES: usize = 16_384;

/// `*` as a bound of a range; no number of a set is zero.
const STAR: u32 = 0;

/// `sequence-set` (RFC 9051 section 9): message numbers or UIDs, in the order given, or `$`, the
/// saved result of a search (RFC 5182).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SequenceSet {
    /// Empty for `$`.
    ranges: Vec<SeqRange>,
}

/// A range, or a single number, of a set.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct SeqRange {
    from: u32,
    to: u32,
}

/// The text is no sequence set, or one with more than [`MAX_RANGES`] ranges.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid sequence set")]
pub struct InvalidSequenceSet;

impl SequenceSet {
    /// `$`: the saved result of the last search.
    #[must_use]
    pub const fn saved_result() -> Self {
        Self { ranges: Vec::new() }
    }

    /// `1:*`.
    #[must_use]
    pub fn all() -> Self {
        Self {
            ranges: vec![SeqRange { from: 1, to: STAR }],
        }
    }

    /// The set of a single number; `None` if it is zero.
    #[must_use]
    pub fn single(number: u32) -> Option<Self> {
        Self::from_ranges([number..=number])
    }

    /// The set of these ranges, in this order. `None` if there is none, or one that holds zero.
    pub fn from_ranges(ranges: impl IntoIterator<Item = RangeInclusive<u32>>) -> Option<Self> {
        let mut set = Vec::new();
        for range in ranges {
            let (from, to) = range.into_inner();
            if from == 0 || to == 0 {
                return None;
            }
            set.push(SeqRange { from, to });
        }
        (!set.is_empty()).then_some(Self { ranges: set })
    }

    /// The shortest set of these numbers that keeps their order: runs of consecutive ascending
    /// numbers become ranges. Zeros are left out; `None` if nothing remains.
    ///
    /// Order matters to COPYUID, whose two sets correspond number by number.
    pub fn from_numbers(numbers: impl IntoIterator<Item = u32>) -> Option<Self> {
        let mut ranges: Vec<SeqRange> = Vec::new();
        for number in numbers.into_iter().filter(|n| *n != 0) {
            match ranges.last_mut() {
                Some(last) if last.to.checked_add(1) == Some(number) => last.to = number,
                _ => ranges.push(SeqRange {
                    from: number,
                    to: number,
                }),
            }
        }
        (!ranges.is_empty()).then_some(Self { ranges })
    }

    /// Reads a set, of at most [`MAX_RANGES`] ranges.
    ///
    /// # Errors
    /// `text` is something else.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidSequenceSet> {
        Self::parse_bounded(text, MAX_RANGES)
    }

    /// Reads a set of at most `max` ranges.
    ///
    /// ```abnf
    /// sequence-set    = (seq-number / seq-range) ["," sequence-set]
    /// sequence-set    =/ seq-last-command
    /// seq-range       = seq-number ":" seq-number
    /// seq-number      = nz-number / "*"
    /// seq-last-command   = "$"
    /// ```
    pub(crate) fn parse_bounded(text: &[u8], max: usize) -> Result<Self, InvalidSequenceSet> {
        if text == b"$" {
            return Ok(Self::saved_result());
        }
        let mut ranges = Vec::new();
        for part in text.split(|b| *b == b',') {
            if ranges.len() == max {
                return Err(InvalidSequenceSet);
            }
            let colon = memchr::memchr(b':', part);
            let (from, to) = match colon {
                Some(at) => (seq_number(&part[..at])?, seq_number(&part[at + 1..])?),
                None => {
                    let number = seq_number(part)?;
                    (number, number)
                }
            };
            ranges.push(SeqRange { from, to });
        }
        ranges.shrink_to_fit();
        Ok(Self { ranges })
    }

    /// Whether this is `$`.
    #[must_use]
    pub fn is_saved_result(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether it is a single number, or `*`.
    #[must_use]
    pub fn is_single(&self) -> bool {
        matches!(self.ranges.as_slice(), [range] if range.from == range.to)
    }

    /// Whether `*` occurs in it.
    #[must_use]
    pub fn has_star(&self) -> bool {
        self.ranges.iter().any(|r| r.from == STAR || r.to == STAR)
    }

    /// The largest number that is written in it; `None` if there is but `*` or `$`. A command
    /// with message numbers above the size of the mailbox is refused with BAD.
    #[must_use]
    pub fn largest_number(&self) -> Option<u32> {
        self.ranges
            .iter()
            .map(|r| r.from.max(r.to))
            .max()
            .filter(|n| *n != STAR)
    }

    /// Whether `number` is in it, `*` standing for `max`.
    #[must_use]
    pub fn contains(&self, number: u32, max: u32) -> bool {
        self.ranges.iter().any(|r| r.resolve(max).contains(&number))
    }

    /// The ranges in ascending order, overlapping and adjacent ones joined, `*` standing for
    /// `max`. Nothing for `$`. Ranges are not cut at `max`.
    #[must_use]
    pub fn resolve(&self, max: u32) -> Vec<RangeInclusive<u32>> {
        let mut ranges: Vec<_> = self.ranges.iter().map(|r| r.resolve(max)).collect();
        ranges.sort_unstable_by_key(|r| *r.start());
        let mut joined: Vec<RangeInclusive<u32>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match joined.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    if range.end() > last.end() {
                        *last = *last.start()..=*range.end();
                    }
                }
                _ => joined.push(range),
            }
        }
        joined
    }

    /// The numbers in ascending order without repeats, up to `max`, for which `*` stands. Costs
    /// nothing for numbers above `max`.
    pub fn iter(&self, max: u32) -> impl Iterator<Item = u32> + use<> {
        self.resolve(max)
            .into_iter()
            .flat_map(move |r| *r.start()..=(*r.end()).min(max))
    }

    /// The ranges as they were given, each with its lower bound first. Only for sets without
    /// `*`, such as those of COPYUID: `None` if there is one, and for `$`.
    #[must_use]
    pub fn fixed_ranges(&self) -> Option<Vec<RangeInclusive<u32>>> {
        (!self.has_star() && !self.is_saved_result())
            .then(|| self.ranges.iter().map(|r| r.resolve(0)).collect())
    }

    /// How many ranges it has.
    #[must_use]
    pub fn range_count(&self) -> usize {
        self.ranges.len()
    }
}

impl SeqRange {
    fn resolve(self, max: u32) -> RangeInclusive<u32> {
        // An empty mailbox has no `*`; the lowest number does no harm there.
        let max = max.max(1);
        let from = if self.from == STAR { max } else { self.from };
        let to = if self.to == STAR { max } else { self.to };
        from.min(to)..=from.max(to)
    }
}

fn seq_number(text: &[u8]) -> Result<u32, InvalidSequenceSet> {
    if text == b"*" {
        return Ok(STAR);
    }
    // `nz-number` starts with a digit other than zero; `u32::from_str` would allow `+1` too.
    if !matches!(text.first(), Some(b'1'..=b'9')) {
        return Err(InvalidSequenceSet);
    }
    std::str::from_utf8(text)
        .ok()
        .and_then(|t| t.parse().ok())
        .ok_or(InvalidSequenceSet)
}

impl fmt::Display for SeqRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = |f: &mut fmt::Formatter<'_>, n: u32| match n {
            STAR => f.write_str("*"),
            n => write!(f, "{n}"),
        };
        bound(f, self.from)?;
        if self.from != self.to {
            f.write_str(":")?;
            bound(f, self.to)?;
        }
        Ok(())
    }
}

impl fmt::Display for SequenceSet {
    /// The set as it stands on the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, rest)) = self.ranges.split_first() else {
            return f.write_str("$");
        };
        write!(f, "{first}")?;
        rest.iter().try_for_each(|range| write!(f, ",{range}"))
    }
}

impl fmt::Debug for SequenceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
