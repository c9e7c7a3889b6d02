//! UIDVALIDITYs (RFC 9051 section 2.3.1.1): which of them a clock may give, and which are so far
//! ahead that something is wrong.
//!
//! One of 2^32−1 can never be followed by a greater one. Where each has to be greater than the last,
//! a single wrong one would be the end; so one that is far ahead is not counted, and a clock that is
//! is not believed. Log entries and journals are replayed by these rules: they do not change.

/// When the first UIDVALIDITY can have been given: 2026-01-01. An earlier clock is wrong.
pub const EARLIEST: u32 = 1_767_225_600;
/// What is more than this ahead is far ahead: ten years of seconds.
pub const FAR: u32 = 10 * 366 * 86_400;

/// Whether a UIDVALIDITY is far ahead of another one, or of a time.
#[must_use]
pub fn is_far_ahead(uidvalidity: u32, of: u32) -> bool {
    uidvalidity > of.max(EARLIEST).saturating_add(FAR)
}

/// The UIDVALIDITY that a clock gives, which counts seconds since 1970; [`EARLIEST`] for one that
/// cannot be right.
#[must_use]
pub fn of_time(seconds: i64) -> u32 {
    match u32::try_from(seconds) {
        Ok(now) if (EARLIEST..u32::MAX - FAR).contains(&now) => now,
        _ => EARLIEST,
    }
}

/// `wanted`, or as much greater as has to be because of what a name had before: `past`. That does not
/// count when it is far ahead: another one is then as good as a greater one.
#[must_use]
pub fn after(wanted: u32, past: u32) -> u32 {
    match is_far_ahead(past, wanted) {
        true => wanted,
        false => wanted.max(past.saturating_add(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_800_000_000;

    #[test]
    fn clocks_that_cannot_be_right_are_not_believed() {
        assert_eq!(of_time(NOW.into()), NOW);
        for wrong in [
            i64::MIN,
            -1,
            0,
            1_000_000_000,
            u32::MAX.into(),
            1 << 32,
            i64::MAX,
        ] {
            assert_eq!(of_time(wrong), EARLIEST, "{wrong}");
        }
    }

    #[test]
    fn a_name_gets_a_greater_one_unless_that_is_the_end() {
        assert_eq!(after(NOW, 0), NOW);
        assert_eq!(after(NOW, NOW - 1), NOW);
        assert_eq!(after(NOW, NOW + 7), NOW + 8);
        assert_eq!(after(NOW, NOW + FAR), NOW + FAR + 1);
        assert_eq!(after(NOW, NOW + FAR + 1), NOW);
        assert_eq!(after(NOW, u32::MAX), NOW);
        // A clock that was set back is no reason to go back.
        assert_eq!(after(100, NOW), NOW + 1);
    }
}
