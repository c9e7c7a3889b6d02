//! What is computed from a message's bytes once and kept ready to send.

use std::sync::Arc;

use bytes::Bytes;
use murder_mime::{FetchItems, LISTED_VERSION};
use prost::Message as _;
use rusqlite::types::FromSqlError;

/// A message's precomputed FETCH items and dates: a pure function of its bytes, so that a
/// replay gives the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Items {
    /// [`Content`], encoded.
    pub content: Bytes,
    pub sent: Option<i64>,
    pub sent_day: Option<i32>,
    pub header_len: u32,
}

impl Items {
    pub fn compute(raw: &[u8]) -> Self {
        let items = FetchItems::compute(raw);
        let content = Content {
            envelope: items.envelope.into(),
            body: items.body.into(),
            bodystructure: items.bodystructure.into(),
            listed_version: LISTED_VERSION,
            listed: items.listed.map(Bytes::from),
            preview: items.preview.into(),
        };
        Self {
            content: content.encode_to_vec().into(),
            sent: items.sent,
            sent_day: items.sent_date.map(|(y, m, d)| days(y, m, d)),
            header_len: items.header_len,
        }
    }
}

/// Precomputed items of a message, as they stand in a FETCH response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedItems(Arc<Content>);

impl FetchedItems {
    /// Reads what is stored.
    pub(crate) fn decode(stored: &[u8]) -> rusqlite::Result<Self> {
        // The items are slices of one copy.
        match Content::decode(Bytes::copy_from_slice(stored)) {
            Ok(content) => Ok(Self(Arc::new(content))),
            Err(error) => Err(FromSqlError::other(error).into()),
        }
    }

    /// As it is stored.
    pub(crate) fn encoded(&self) -> Bytes {
        self.0.encode_to_vec().into()
    }

    /// Bytes of memory that it takes, about.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Content>() + self.0.encoded_len()
    }

    /// What follows `ENVELOPE `.
    #[must_use]
    pub fn envelope(&self) -> &Bytes {
        &self.0.envelope
    }

    /// What follows `BODY `.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// What follows `BODYSTRUCTURE `.
    #[must_use]
    pub fn bodystructure(&self) -> &Bytes {
        &self.0.bodystructure
    }

    /// [`FetchItems::preview`](murder_mime::FetchItems::preview)
    #[must_use]
    pub fn preview(&self) -> &Bytes {
        &self.0.preview
    }

    /// [`FetchItems::listed`](murder_mime::FetchItems::listed); `None` also when it was stored by
    /// a version that listed other fields.
    #[must_use]
    pub fn listed(&self) -> Option<&Bytes> {
        let known = self.0.listed_version == LISTED_VERSION;
        self.0.listed.as_ref().filter(|_| known)
    }
}

/// What is stored of a message besides its row, in `content`. Fields are only ever added, and
/// those of a message that was stored before are absent.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Content {
    #[prost(bytes = "bytes", tag = "1")]
    pub envelope: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub body: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub bodystructure: Bytes,
    /// Which fields `listed` has: [`LISTED_VERSION`] when it was made.
    #[prost(uint32, tag = "4")]
    pub listed_version: u32,
    /// Absent when they are too long.
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub listed: Option<Bytes>,
    /// UTF-8.
    #[prost(bytes = "bytes", tag = "6")]
    pub preview: Bytes,
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
#[must_use]
pub fn days(year: u16, month: u8, day: u8) -> i32 {
    // The year is counted from March, so that the leap day is its last.
    let (year, month, day) = (i32::from(year), i32::from(month), i32::from(day));
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

    #[test]
    fn days_of_known_dates() {
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(1969, 12, 31), -1);
        assert_eq!(days(2000, 2, 29), 11_016);
        assert_eq!(days(2000, 3, 1), 11_017);
        assert_eq!(days(2026, 11, 24), 20_781);
    }
}
