//! What FETCH sends of a message besides its octets, computed once when it arrives.

use crate::date::parse_date;
use crate::envelope::write_envelope;
use crate::header::{fields, header_raw};
use crate::part::Message;
use crate::preview::preview;
use crate::structure::Structures;

/// Fields that clients list mailboxes with (Thunderbird, Apple Mail, Outlook, K-9, Evolution,
/// Mutt and Roundcube among them) or that SEARCH, SORT and THREAD look at, in ASCII order. None
/// that relays add: they are long, and no list shows them.
const LISTED_FIELDS: [&str; 39] = [
    "Bcc",
    "Cc",
    "Content-Description",
    "Content-Language",
    "Content-Transfer-Encoding",
    "Content-Type",
    "Date",
    "Disposition-Notification-To",
    "From",
    "Importance",
    "In-Reply-To",
    "Lines",
    "List-Id",
    "List-Post",
    "List-Subscribe",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "MIME-Version",
    "Mail-Followup-To",
    "Mailing-List",
    "Message-ID",
    "Newsgroups",
    "Priority",
    "References",
    "Reply-To",
    "Resent-Message-ID",
    "Return-Path",
    "Sender",
    "Subject",
    "To",
    "X-K9mail-Identity",
    "X-Label",
    "X-MList",
    "X-Mailing-List",
    "X-Original-To",
    "X-Priority",
    "X-Spam-Flag",
    "X-Uniform-Type-Identifier",
    "X-Universally-Unique-Identifier",
];

/// Octets of listed fields that are kept of a message; more, and none are. Real ones are below
/// two thousand, but for the odd `References` or `To`.
pub const LISTED_LIMIT: usize = 8 * 1024;

/// Which fields are listed: another number when they are others.
pub const LISTED_VERSION: u32 = 1;

/// Whether [`FetchItems::listed`] has every field of these names that the message has.
pub fn is_listed<'a>(names: impl IntoIterator<Item = &'a str>) -> bool {
    names.into_iter().all(|name| listed(name.as_bytes()))
}

fn listed(name: &[u8]) -> bool {
    LISTED_FIELDS
        .iter()
        .any(|field| field.as_bytes().eq_ignore_ascii_case(name))
}

/// The listed fields as they stand, and the blank line.
fn listed_fields(header: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(1024);
    let mut at = 0;
    for field in fields(header) {
        at += field.whole.len();
        if listed(field.name) {
            out.extend_from_slice(field.whole);
            if out.len() > LISTED_LIMIT {
                return None;
            }
        }
    }
    out.extend_from_slice(header.get(at..).unwrap_or_default());
    Some(out)
}

/// The static FETCH items of a message, ready to send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchItems {
    /// What follows `ENVELOPE ` in a FETCH response.
    pub envelope: Vec<u8>,
    /// What follows `BODY ` in a FETCH response.
    pub body: Vec<u8>,
    /// What follows `BODYSTRUCTURE ` in a FETCH response.
    pub bodystructure: Vec<u8>,
    /// The fields that clients list mailboxes with, as they stand, and the blank line. Any
    /// `HEADER.FIELDS` of names that are listed ([`is_listed`]) is the same of this as of the
    /// message. `None` when they are longer than [`LISTED_LIMIT`].
    pub listed: Option<Vec<u8>>,
    /// The `Date` field in Unix seconds; `None` if it is missing or holds no date. Text without a
    /// valid time or zone reads as 00:00:00 or UTC (RFC 5256 section 2.2).
    pub sent: Option<i64>,
    /// Year, month (1 to 12) and day of the `Date` field in its own zone, for SENTBEFORE, SENTON
    /// and SENTSINCE, which disregard time and zone.
    pub sent_date: Option<(u16, u8, u8)>,
    /// PREVIEW (RFC 8970): at most [`PREVIEW_LIMIT`](crate::PREVIEW_LIMIT) characters, empty for a
    /// message without text. Looks at the first octets of parts only.
    pub preview: String,
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
        let Structures {
            body,
            bodystructure,
        } = Structures::of(root);
        // Most are shorter.
        let mut envelope = Vec::with_capacity(512);
        write_envelope(&mut envelope, header);
        FetchItems {
            envelope,
            body,
            bodystructure,
            sent: date.map(|d| d.unix),
            sent_date: date.map(|d| (d.year, d.month, d.day)),
            header_len: u32::try_from(header.len()).unwrap_or(u32::MAX),
            listed: listed_fields(header),
            preview: preview(root),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_listed_fields_are_kept_as_they_stand() {
        let raw = b"Received: from a\r\n by b\r\nsubject:  one\r\n two\r\nX-Spam: no\r\n\
                    TO : a@b\r\nSubject: again\r\n\r\nbody";
        assert_eq!(
            FetchItems::compute(raw).listed.unwrap(),
            b"subject:  one\r\n two\r\nTO : a@b\r\nSubject: again\r\n\r\n"
        );
        assert!(is_listed(["SUBJECT", "to"]));
        assert!(!is_listed(["Subject", "Received"]));
        assert!(LISTED_FIELDS.is_sorted());
    }

    #[test]
    fn endless_ones_are_not() {
        let raw = |n: usize| format!("To: {}\r\n\r\n", "a@b, ".repeat(n));
        let listed = |n| FetchItems::compute(raw(n).as_bytes()).listed;
        assert_eq!(listed(1000).unwrap(), raw(1000).as_bytes());
        assert_eq!(listed(LISTED_LIMIT / 5 + 1), None);
    }
}
