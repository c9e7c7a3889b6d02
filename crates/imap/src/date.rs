//! Dates of SEARCH and internal dates. Civil arithmetic only; nothing here reads a clock.

use std::fmt;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The number, 1 to 12, of an English month's three-letter name in any case.
pub(crate) fn month_number(name: &[u8]) -> Option<u8> {
    (1u8..)
        .zip(MONTHS)
        .find(|(_, month)| month.as_bytes().eq_ignore_ascii_case(name))
        .map(|(number, _)| number)
}

/// A day of the Gregorian calendar, years 0 to 9999 (RFC 9051 section 9, `date`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The day, if there is such a one; `month` and `day` count from 1.
    #[must_use]
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return None,
        };
        (year <= 9999 && (1..=days).contains(&day)).then_some(Self { year, month, day })
    }

    /// The day that is `days` after 1970-01-01, moved to the nearest end of years 0 to 9999.
    #[must_use]
    pub fn from_days_since_epoch(days: i64) -> Self {
        // 0000-01-01 and 9999-12-31.
        let z = days.clamp(-719_528, 2_932_896) + 719_468;
        let era = z.div_euclid(146_097);
        let day_of_era = z.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self {
            year: u16::try_from(year).unwrap_or(0),
            month: u8::try_from(month).unwrap_or(1),
            day: u8::try_from(day).unwrap_or(1),
        }
    }

    /// Days since 1970-01-01; negative before.
    #[must_use]
    pub fn days_since_epoch(self) -> i64 {
        let month = i64::from(self.month);
        let year = i64::from(self.year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted_month = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// The year, 0 to 9999.
    #[must_use]
    pub const fn year(self) -> u16 {
        self.year
    }

    /// The month, 1 to 12.
    #[must_use]
    pub const fn month(self) -> u8 {
        self.month
    }

    /// The day of the month, from 1.
    #[must_use]
    pub const fn day(self) -> u8 {
        self.day
    }

    fn month_name(self) -> &'static str {
        MONTHS[usize::from(self.month - 1)]
    }
}

impl fmt::Display for Date {
    /// `date-text`: `1-Feb-1994`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{:04}", self.day, self.month_name(), self.year)
    }
}

/// A moment with its time zone: INTERNALDATE, SAVEDATE, the date of APPEND (RFC 9051 section 9,
/// `date-time`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateTime {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub unix: i64,
    /// Minutes east of Greenwich, within a day either way.
    pub offset_minutes: i16,
}

impl DateTime {
    /// A moment in UTC.
    #[must_use]
    pub const fn utc(unix: i64) -> Self {
        Self {
            unix,
            offset_minutes: 0,
        }
    }

    /// The day in the date's own zone: what SEARCH ON, SINCE and BEFORE compare.
    #[must_use]
    pub fn local_date(self) -> Date {
        Date::from_days_since_epoch(self.local_seconds().div_euclid(86_400))
    }

    const fn local_seconds(self) -> i64 {
        self.unix.saturating_add(self.offset_minutes as i64 * 60)
    }
}

impl DateTime {
    /// `date-time` without its quotes: ` 1-Feb-1994 21:52:25 -0800`.
    pub(crate) fn to_text(self) -> [u8; 26] {
        let date = self.local_date();
        let second = self.local_seconds().rem_euclid(86_400);
        let offset = i64::from(self.offset_minutes.unsigned_abs());
        let mut text = *b"00-Jan-0000 00:00:00 +0000";
        let mut two = |at: usize, number: i64| {
            text[at] = b'0' + (number / 10 % 10) as u8;
            text[at + 1] = b'0' + (number % 10) as u8;
        };
        two(0, date.day.into());
        two(7, i64::from(date.year) / 100);
        two(9, i64::from(date.year) % 100);
        two(12, second / 3_600);
        two(15, second / 60 % 60);
        two(18, second % 60);
        two(22, offset / 60);
        two(24, offset % 60);
        if date.day < 10 {
            text[0] = b' ';
        }
        text[3..6].copy_from_slice(date.month_name().as_bytes());
        if self.offset_minutes < 0 {
            text[21] = b'-';
        }
        text
    }
}

impl fmt::Display for DateTime {
    /// `date-time` without its quotes: ` 1-Feb-1994 21:52:25 -0800`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_text();
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}
