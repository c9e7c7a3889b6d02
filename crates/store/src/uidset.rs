//! Sets of UIDs as sorted, disjoint ranges.

use smallvec::SmallVec;

/// A set of UIDs kept as sorted, disjoint, non-adjacent inclusive ranges: as small as the
/// set is regular.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UidSet {
    /// Two of them take no more room than a vector; most sets of a command have one.
    ranges: SmallVec<[(u32, u32); 2]>,
}

impl UidSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ranges: SmallVec::new_const(),
        }
    }

    /// The set of one inclusive range (empty when `low > high`).
    #[must_use]
    pub fn range(low: u32, high: u32) -> Self {
        let mut set = Self::new();
        set.insert_range(low, high);
        set
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many UIDs it holds.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges
            .iter()
            .map(|&(low, high)| u64::from(high - low) + 1)
            .sum()
    }

    /// The ranges, ascending, both ends inclusive.
    #[must_use]
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    /// Every UID, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().flat_map(|&(low, high)| low..=high)
    }

    /// Whether `uid` is in the set.
    #[must_use]
    pub fn contains(&self, uid: u32) -> bool {
        let at = self.ranges.partition_point(|&(_, high)| high < uid);
        self.ranges.get(at).is_some_and(|&(low, _)| low <= uid)
    }

    /// The smallest and the largest UID.
    #[must_use]
    pub fn bounds(&self) -> Option<(u32, u32)> {
        Some((self.ranges.first()?.0, self.ranges.last()?.1))
    }

    /// Adds one UID.
    pub fn insert(&mut self, uid: u32) {
        self.insert_range(uid, uid);
    }

    /// Adds an inclusive range; nothing when `low > high`.
    pub fn insert_range(&mut self, low: u32, high: u32) {
        if low > high {
            return;
        }
        // The common case: sets are built ascending.
        if let Some(last) = self.ranges.last_mut() {
            if low > last.1 && low - last.1 > 1 {
                self.ranges.push((low, high));
                return;
            }
            if low >= last.0 {
                last.1 = last.1.max(high);
                return;
            }
        } else {
            self.ranges.push((low, high));
            return;
        }
        let from = self
            .ranges
            .partition_point(|&(_, h)| h < low.saturating_sub(1));
        let to = self
            .ranges
            .partition_point(|&(l, _)| l <= high.saturating_add(1));
        let merged = if from < to {
            (
                low.min(self.ranges[from].0),
                high.max(self.ranges[to - 1].1),
            )
        } else {
            (low, high)
        };
        self.replace(from, to, &[merged]);
    }

    /// Takes an inclusive range out.
    pub fn remove_range(&mut self, low: u32, high: u32) {
        if low > high {
            return;
        }
        let from = self.ranges.partition_point(|&(_, h)| h < low);
        let to = self.ranges.partition_point(|&(l, _)| l <= high);
        if from >= to {
            return;
        }
        let mut kept = SmallVec::<[(u32, u32); 2]>::new();
        let (first, last) = (self.ranges[from].0, self.ranges[to - 1].1);
        if first < low {
            kept.push((first, low - 1));
        }
        if last > high {
            kept.push((high + 1, last));
        }
        self.replace(from, to, &kept);
    }

    fn replace(&mut self, from: usize, to: usize, with: &[(u32, u32)]) {
        self.ranges.drain(from..to);
        self.ranges.insert_from_slice(from, with);
    }

    /// The UIDs that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut out = Self::new();
        let (mut a, mut b) = (0, 0);
        while let (Some(&(al, ah)), Some(&(bl, bh))) = (self.ranges.get(a), other.ranges.get(b)) {
            out.insert_range(al.max(bl), ah.min(bh));
            if ah < bh { a += 1 } else { b += 1 }
        }
        out
    }

    /// Adds everything of `other`.
    pub fn union_with(&mut self, other: &Self) {
        for &(low, high) in &other.ranges {
            self.insert_range(low, high);
        }
    }

    /// Takes everything of `other` out.
    pub fn subtract(&mut self, other: &Self) {
        for &(low, high) in &other.ranges {
            self.remove_range(low, high);
        }
    }

    /// The ranges as little-endian pairs, as they are stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.ranges.len() * 8);
        for (low, high) in &self.ranges {
            out.extend_from_slice(&low.to_le_bytes());
            out.extend_from_slice(&high.to_le_bytes());
        }
        out
    }

    /// Reads [`UidSet::to_bytes`]; what does not fit the form is left out.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut set = Self::new();
        for (low, high) in pairs(bytes) {
            set.insert_range(low, high);
        }
        set
    }

    /// [`UidSet::len`] of the set that [`UidSet::to_bytes`] gave, without making it.
    pub(crate) fn len_of(bytes: &[u8]) -> u64 {
        pairs(bytes)
            .map(|(low, high)| (u64::from(high) + 1).saturating_sub(low.into()))
            .sum()
    }
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    let (words, _) = bytes.as_chunks::<4>();
    let (pairs, _) = words.as_chunks::<2>();
    pairs
        .iter()
        .map(|[low, high]| (u32::from_le_bytes(*low), u32::from_le_bytes(*high)))
}

impl FromIterator<u32> for UidSet {
    fn from_iter<I: IntoIterator<Item = u32>>(uids: I) -> Self {
        let mut set = Self::new();
        for uid in uids {
            set.insert(uid);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_set(ops in proptest::collection::vec((0u8..3, 1u32..60, 0u32..12), 0..40)) {
            let (mut set, mut model) = (UidSet::new(), BTreeSet::new());
            for (kind, low, span) in ops {
                let high = low + span;
                match kind {
                    0 => { set.insert_range(low, high); model.extend(low..=high); }
                    1 => { set.remove_range(low, high); model.retain(|u| !(low..=high).contains(u)); }
                    _ => {
                        let other = UidSet::range(low, high + 20);
                        set = set.intersection(&other);
                        model.retain(|u| other.contains(*u));
                    }
                }
                prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(set.len(), model.len() as u64);
                prop_assert!(set.ranges().windows(2).all(|w| w[0].1 + 1 < w[1].0));
                prop_assert!((0..100).all(|u| set.contains(u) == model.contains(&u)));
                prop_assert_eq!(UidSet::from_bytes(&set.to_bytes()), set.clone());
                prop_assert_eq!(UidSet::len_of(&set.to_bytes()), set.len());
            }
        }
    }

    #[test]
    fn reaches_the_last_uid() {
        let mut set = UidSet::range(u32::MAX, u32::MAX);
        set.insert_range(1, u32::MAX - 1);
        assert_eq!(set.ranges(), &[(1, u32::MAX)]);
        set.remove_range(5, u32::MAX);
        assert_eq!(set.ranges(), &[(1, 4)]);
    }
}
