//! What FETCH sends of a message besides its octets, computed once when it arrives.

use crate::date::parse_date;
use crate::envelope::write_envelope;
use crate::header::header_raw;
use crate::part::Message;
use crate::structure::write_structure;

/// The static FETCH items of a message, ready to send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchItems {
    /// What follows `ENVELOPE ` in a FETCH response.
    pub envelope: Vec<u8>,
    /// What follows `BODY ` in a FETCH response.
    pub body: Vec<u8>,
    /// What follows `BODYSTRUCTURE ` in a FETCH response.
    pub bodystructure: Vec<u8>,
    /// The `Date` field in Unix seconds; `None` if it is missing or holds no date. Text without a
    /// valid time or zone reads as 00:00:00 or UTC (RFC 5256 section 2.2).
    pub sent: Option<i64>,
    /// Year, month (1 to 12) and day of the `Date` field in its own zone, for SENTBEFORE, SENTON
    /// and SENTSINCE, which disregard time and zone.
    pub sent_date: Option<(u16, u8, u8)>,
    /// Octets of the header, the blank line included.
    pub header_len: u32,
}

impl FetchItems {
    /// Computes them. Any input will do; see the crate's page for the limits.
    pub fn compute(raw: &[u8]) -> FetchItems {
        FetchItems::of(&Message::parse(raw))
    }

    /// The same of a message that is parsed already.
    pub fn of(message: &Message<'_>) -> FetchItems {
        let root = message.root();
        let header = root.header();
        let date = header_raw(header, "Date").and_then(|v| parse_date(v.trim_ascii()));
        let mut items = FetchItems {
            sent: date.map(|d| d.unix),
            sent_date: date.map(|d| (d.year, d.month, d.day)),
            header_len: u32::try_from(header.len()).unwrap_or(u32::MAX),
            ..FetchItems::default()
        };
        write_envelope(&mut items.envelope, header);
        write_structure(&mut items.body, root, false);
        write_structure(&mut items.bodystructure, root, true);
        items
    }
}
