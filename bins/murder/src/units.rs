//! Times and sizes as people write and read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// `2026-11-25 03:44 UTC`
pub fn show_time(seconds: i64) -> String {
    match OffsetDateTime::from_unix_timestamp(seconds) {
        Ok(at) => format!(
            "{:04}-{:02}-{:02} {:02}:{:02} UTC",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute()
        ),
        Err(_) => seconds.to_string(),
    }
}

/// `17 B`, `1.5 KiB`, `3.0 GiB`
#[allow(clippy::cast_precision_loss)] // one decimal is shown
pub fn show_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    format!("{size:.1} {unit}")
}

/// A limit: `none`, or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub Option<u64>);

/// Reads a limit of a number of things.
///
/// # Errors
/// When it is none.
pub fn read_limit(text: &str) -> anyhow::Result<Limit> {
    if text == "none" {
        return Ok(Limit(None));
    }
    let number = text.parse().context("a number, or none")?;
    Ok(Limit(Some(number)))
}

/// Reads a limit of storage, `500M` or `10G`, as units of 1024 bytes.
///
/// # Errors
/// When it is none.
pub fn read_storage(text: &str) -> anyhow::Result<Limit> {
    if text == "none" {
        return Ok(Limit(None));
    }
    let known = "a size with its unit, such as 500M or 10G, or none";
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits.parse().context(known)?;
    let unit = match &text[digits.len()..] {
        "K" | "KiB" => 1,
        "M" | "MiB" => 1 << 10,
        "G" | "GiB" => 1 << 20,
        "T" | "TiB" => 1 << 30,
        _ => bail!(known),
    };
    let kibibytes = number.checked_mul(unit).context("that is too much")?;
    Ok(Limit(Some(kibibytes)))
}

/// Reads `90m`, `12h`, `3d`, `1w`.
///
/// # Errors
/// When it is none, or nothing.
pub fn read_duration(text: &str) -> anyhow::Result<Duration> {
    let known = "a time such as 30s, 90m, 12h, 3d or 1w";
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().context(known)?;
    let unit = seconds_of(&text[digits.len()..]).context(known)?;
    match number.checked_mul(unit.into()) {
        Some(seconds @ 1..) => Ok(Duration::from_secs(seconds)),
        _ => bail!(known),
    }
}

fn seconds_of(unit: &str) -> Option<u32> {
    match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(24 * 3600),
        "w" => Some(7 * 24 * 3600),
        _ => None,
    }
}

/// Reads a time: so long ago (`90m`, `12h`, `3d`, `1w`), or `2026-11-25`, `2026-11-25T03:44` in
/// UTC.
///
/// # Errors
/// When it is none.
pub fn read_time(text: &str) -> anyhow::Result<i64> {
    let known = "a time ago, such as 90m, 12h, 3d or 1w, or a time in UTC, such as 2026-11-25 or \
                 2026-11-25T03:44";
    let ago = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    if let Ok(number) = ago.parse::<i64>() {
        let unit = seconds_of(&text[ago.len()..]).context(known)?;
        let ago = number.checked_mul(unit.into()).context(known)?;
        return Ok(now().saturating_sub(ago));
    }
    let text = text.trim_end_matches('Z');
    let (date, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let numbers = |text: &str, separator: char| -> Option<Vec<u16>> {
        text.split(separator)
            .map(|part| part.parse().ok())
            .collect()
    };
    let read = || {
        let date = numbers(date, '-')?;
        let clock = numbers(clock, ':')?;
        let small = |number: u16| u8::try_from(number).ok();
        let ([year, month, day], [hour, minute, rest @ ..]) = (&*date, &*clock) else {
            return None;
        };
        let second = match rest {
            [] => 0,
            [second] => *second,
            _ => return None,
        };
        let month = Month::try_from(small(*month)?).ok()?;
        let date = Date::from_calendar_date(i32::from(*year), month, small(*day)?).ok()?;
        let clock = Time::from_hms(small(*hour)?, small(*minute)?, small(second)?).ok()?;
        Some(
            PrimitiveDateTime::new(date, clock)
                .assume_utc()
                .unix_timestamp(),
        )
    };
    read().context(known)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(read_duration("90m").unwrap(), Duration::from_secs(5400));
        assert_eq!(read_duration("1w").unwrap(), Duration::from_secs(604_800));
        for odd in ["", "m", "5", "0s", "5y", "-1d", "99999999999999999999d"] {
            assert!(read_duration(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(show_time(0), "1970-01-01 00:00 UTC");
        assert_eq!(read_time("1970-01-02").unwrap(), 86_400);
        assert_eq!(read_time("1970-01-01T01:02").unwrap(), 3720);
        assert_eq!(read_time("1970-01-01T01:02:03Z").unwrap(), 3723);
        let week = now() - read_time("1w").unwrap();
        assert!((604_800..604_810).contains(&week), "{week}");
        for odd in ["", "x", "3", "3y", "1970-13-01", "1970-01-01T25:00", "-"] {
            assert!(read_time(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(show_bytes(17), "17 B");
        assert_eq!(show_bytes(1536), "1.5 KiB");
        assert_eq!(show_bytes(3 << 30), "3.0 GiB");
        assert_eq!(read_storage("500M").unwrap(), Limit(Some(512_000)));
        assert_eq!(read_storage("1T").unwrap(), Limit(Some(1 << 30)));
        assert_eq!(read_storage("none").unwrap(), Limit(None));
        for odd in [
            "",
            "5",
            "M",
            "5Q",
            "99999999999999999999G",
            "9999999999999999T",
        ] {
            assert!(read_storage(odd).is_err(), "{odd}");
        }
        assert_eq!(read_limit("7").unwrap(), Limit(Some(7)));
        assert!(read_limit("7M").is_err());
    }
}
