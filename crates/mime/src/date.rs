//! The `Date` field (RFC 5322 section 3.3 with the obsolete forms, and what mailers make of it).

/// A date as its header states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentDate {
    /// Unix seconds, the zone taken into account. As RFC 5256 section 2.2 says, a time that
    /// cannot be read is 00:00:00, a zone that cannot be read is UTC.
    pub unix: i64,
    /// Year in the zone of the header.
    pub year: u16,
    /// Month, 1 to 12, in the zone of the header.
    pub month: u8,
    /// Day, 1 to 31, in the zone of the header.
    pub day: u8,
}

/// Tokens read of a value; a date has six at most, with room for comments' leftovers.
const TOKENS_LIMIT: usize = 12;

/// Octets read of a value.
const VALUE_LIMIT: usize = 256;

/// Reads a date-time: `[day ","] DD Mon YYYY HH:MM[:SS] zone`, also the order of C's `asctime`.
/// `None` without a valid day, month and year.
pub fn parse_date(value: &[u8]) -> Option<SentDate> {
    let tokens = tokens(&value[..value.len().min(VALUE_LIMIT)]);
    let tokens: Vec<&[u8]> = tokens.iter().map(Vec::as_slice).collect();
    let at = tokens.iter().position(|t| month(t).is_some())?;
    let month = month(tokens[at])?;
    let before = at.checked_sub(1).and_then(|i| number(tokens[i]));
    let (day, rest) = match before {
        Some(day) => (day, &tokens[at + 1..]),
        // asctime: Mon Jan  2 15:04:05 2006
        None => (number(tokens.get(at + 1)?)?, &tokens[at + 2..]),
    };
    let (clock, year, zone) = match rest {
        [clock, year, zone @ ..] if clock.contains(&b':') => (Some(clock), year, zone),
        [year, clock, zone @ ..] => (Some(clock), year, zone),
        [year] => (None, year, &rest[1..]),
        [] => return None,
    };
    let year = full_year(year)?;
    if day == 0 || day > days_in(year, month) {
        return None;
    }
    let seconds = clock.and_then(|c| time_of_day(c)).unwrap_or(0);
    let offset = zone.first().and_then(|z| zone_offset(z)).unwrap_or(0);
    Some(SentDate {
        unix: days_since_epoch(year, month, day) * 86_400 + seconds - offset,
        year: u16::try_from(year).ok()?,
        month: u8::try_from(month).ok()?,
        day: u8::try_from(day).ok()?,
    })
}

/// Words between white space, commas and comments; `1-Jan-2006` is three.
fn tokens(value: &[u8]) -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = Vec::new();
    let mut word = Vec::new();
    let mut depth = 0usize;
    for (i, b) in value.iter().enumerate() {
        let dash_of_date = *b == b'-'
            && !word.is_empty()
            && (value.get(i + 1).is_some_and(u8::is_ascii_alphabetic)
                || word.iter().all(u8::is_ascii_alphabetic) && month(&word).is_some());
        match b {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            // "00:01+0000"
            b'+' | b'-' if depth == 0 && word.contains(&b':') => {
                out.push(std::mem::replace(&mut word, vec![*b]));
                continue;
            }
            _ if depth > 0 => continue,
            _ if !b.is_ascii_whitespace() && *b != b',' && !dash_of_date => {
                word.push(*b);
                continue;
            }
            _ => {}
        }
        if !word.is_empty() {
            out.push(std::mem::take(&mut word));
            if out.len() == TOKENS_LIMIT {
                return out;
            }
        }
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

fn month(token: &[u8]) -> Option<i64> {
    const NAMES: [&[u8; 3]; 12] = [
        b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov",
        b"dec",
    ];
    if !token.iter().all(u8::is_ascii_alphabetic) {
        return None;
    }
    let start = token.get(..3)?;
    let at = NAMES
        .iter()
        .position(|n| start.eq_ignore_ascii_case(&n[..]))?;
    i64::try_from(at + 1).ok()
}

/// One to four decimal digits.
fn number(token: &[u8]) -> Option<i64> {
    if token.is_empty() || token.len() > 4 || !token.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(token.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
}

/// RFC 5322 section 4.3: years of two and three digits.
fn full_year(token: &[u8]) -> Option<i64> {
    let year = number(token)?;
    match token.len() {
        2 if year < 50 => Some(2000 + year),
        2 | 3 => Some(1900 + year),
        4 if year >= 1 => Some(year),
        _ => None,
    }
}

fn time_of_day(token: &[u8]) -> Option<i64> {
    let mut parts = token.split(|b| *b == b':' || *b == b'.');
    let hour = number(parts.next()?)?;
    let minute = number(parts.next()?)?;
    let second = parts.next().map_or(Some(0), number)?;
    // 60 is a leap second.
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

/// Seconds east of UTC. Military letters are UTC, as RFC 5322 section 4.3 says.
fn zone_offset(token: &[u8]) -> Option<i64> {
    let (sign, digits) = match token {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => {
            let hours = match token.to_ascii_uppercase().as_slice() {
                b"EDT" => -4,
                b"EST" | b"CDT" => -5,
                b"CST" | b"MDT" => -6,
                b"MST" | b"PDT" => -7,
                b"PST" => -8,
                _ => 0,
            };
            return Some(hours * 3600);
        }
    };
    let digits: Vec<u8> = digits.iter().copied().filter(|b| *b != b':').collect();
    let value = number(&digits).filter(|_| digits.len() == 4)?;
    let (hours, minutes) = (value / 100, value % 100);
    (minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar (years count from March, so that the leap day
/// is the last of the year).
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<(i64, u16, u8, u8)> {
        parse_date(value.as_bytes()).map(|d| (d.unix, d.year, d.month, d.day))
    }

    #[test]
    fn dates() {
        for (value, want) in [
            (
                "Wed, 17 Jul 1996 02:23:25 -0700 (PDT)",
                (837_595_405, 1996, 7, 17),
            ),
            ("17 Jul 1996 09:23:25 GMT", (837_595_405, 1996, 7, 17)),
            ("17 Jul 96 02:23 PDT", (837_595_380, 1996, 7, 17)),
            ("Thu, 1 Jan 1970 00:00:00 +0000", (0, 1970, 1, 1)),
            ("1 Jan 1970 00:00:00 +0100", (-3600, 1970, 1, 1)),
            ("(c (d) e) 1 (x) January 1970 00:00:00", (0, 1970, 1, 1)),
            ("Thu Jan  1 00:00:10 1970", (10, 1970, 1, 1)),
            ("Thu, 01-Jan-1970 00:00:10 GMT", (10, 1970, 1, 1)),
            ("1 Jan 1970", (0, 1970, 1, 1)),
            ("1 Jan 1970 00:00-0001", (60, 1970, 1, 1)),
            ("1 Jan 1970 25:00 +0000", (0, 1970, 1, 1)),
            ("1 Jan 1970 00:00:07 +99", (7, 1970, 1, 1)),
            ("1 Jan 1970 00:00:07 +00:00", (7, 1970, 1, 1)),
            ("29 Feb 2000 00:00:00 +0000", (951_782_400, 2000, 2, 29)),
            ("31 Dec 1969 23:59:59 -0000", (-1, 1969, 12, 31)),
            ("1 Jan 104 00:00:00 Z", (1_072_915_200, 2004, 1, 1)),
            ("1 Jan 04 00:00:00 Z", (1_072_915_200, 2004, 1, 1)),
        ] {
            assert_eq!(read(value), Some(want), "{value}");
        }
    }

    #[test]
    fn no_dates() {
        for value in [
            "",
            "Jan",
            "1 Jan",
            "29 Feb 1900 00:00",
            "0 Jan 2000",
            "32 Jan 2000",
            "1 Foo 2000",
            "1 Jan 99999",
            "1 Jan 0000",
            "yesterday",
            "((((",
            "1 1 2000",
            "1 Jan x",
            "\0\0",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
    }
}
