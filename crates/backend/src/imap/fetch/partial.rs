//! PARTIAL of UID FETCH (RFC 9394 section 3.3): a page of the messages of a set.

use std::ops::RangeInclusive;

use murder_imap::PartialRange;

use crate::imap::selected::Selected;

/// Of the messages at `places`, ascending, those at the places that `range` names among them.
/// Messages that are gone, though the client has not been told, do not count.
pub(crate) fn places(
    selected: &Selected,
    places: &[RangeInclusive<u32>],
    range: PartialRange,
) -> Vec<RangeInclusive<u32>> {
    if !selected.holds_expunged() {
        return page(places, range);
    }
    let there: Vec<RangeInclusive<u32>> = places
        .iter()
        .flat_map(|place| selected.view.rows(*place.start(), *place.end()))
        .filter(|row| selected.newest.seq_of(row.uid).is_some())
        .map(|row| row.seq..=row.seq)
        .collect();
    page(&there, range)
}

fn page(places: &[RangeInclusive<u32>], range: PartialRange) -> Vec<RangeInclusive<u32>> {
    let len = |place: &RangeInclusive<u32>| u64::from(place.end() - place.start()) + 1;
    let total: u64 = places.iter().map(len).sum();
    let (low, high) = (
        u64::from(range.from.min(range.to)),
        u64::from(range.from.max(range.to)),
    );
    // The first and the last that are wanted, from 1.
    let (first, last) = match range.from_end {
        false => (low, high.min(total)),
        true if low > total => return Vec::new(),
        true => ((total + 1).saturating_sub(high).max(1), total + 1 - low),
    };
    let mut page = Vec::new();
    let mut before = 0;
    for place in places {
        let from = first.max(before + 1);
        let to = last.min(before + len(place));
        if from <= to {
            // Within the place, whose numbers fit.
            let start = place.start() + (from - before - 1) as u32;
            page.push(start..=start + (to - from) as u32);
        }
        before += len(place);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let places = [2..=4, 7..=7, 10..=12];
        let all = [2, 3, 4, 7, 10, 11, 12];
        for (from, to) in [
            (1, 1),
            (1, 3),
            (3, 1),
            (2, 5),
            (5, 9),
            (7, 7),
            (8, 9),
            (1, u32::MAX),
        ] {
            for from_end in [false, true] {
                let range = PartialRange { from, to, from_end };
                let found: Vec<u32> = page(&places, range).into_iter().flatten().collect();
                let mut wanted = all.to_vec();
                if from_end {
                    wanted.reverse();
                }
                let (low, high) = (from.min(to) as usize, from.max(to) as usize);
                let mut wanted: Vec<u32> = wanted.into_iter().take(high).skip(low - 1).collect();
                wanted.sort_unstable();
                assert_eq!(found, wanted, "{range}");
            }
        }
        let none: [RangeInclusive<u32>; 0] = [];
        let range = PartialRange {
            from: 1,
            to: 5,
            from_end: true,
        };
        assert!(page(&none, range).is_empty());
    }
}
