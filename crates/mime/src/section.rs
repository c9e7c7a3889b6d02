//! `BODY[section]` (RFC 9051 section 6.4.5.1): slices of the message.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::header::{blank_line, fields, header_len};
use crate::part::{Message, Part, PartKind};

/// A section of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Section {
    /// `BODY[]`: all of it.
    Full,
    /// `BODY[HEADER]`, the blank line included.
    Header,
    /// `BODY[HEADER.FIELDS (names)]`, or `.NOT`.
    HeaderFields {
        /// Field names in any case.
        names: Vec<String>,
        /// All fields but these.
        not: bool,
    },
    /// `BODY[TEXT]`: what follows the header.
    Text,
    /// `BODY[1.2…]`
    Part {
        /// Part numbers.
        path: Vec<u32>,
        /// What of the part.
        what: PartWhat,
    },
}

/// What of a part a section names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartWhat {
    /// `1`: the body of the part, in its transfer encoding.
    Body,
    /// `1.HEADER`: the header of the message in a `message/rfc822` part.
    Header,
    /// `1.HEADER.FIELDS (names)`, or `.NOT`, of the message in a `message/rfc822` part.
    HeaderFields {
        /// Field names in any case.
        names: Vec<String>,
        /// All fields but these.
        not: bool,
    },
    /// `1.TEXT`: the body of the message in a `message/rfc822` part.
    Text,
    /// `1.MIME`: the header of the part. Of a message that is no multipart, part 1 has the
    /// header of the message.
    Mime,
}

/// The octets of a section. `None` if the message has no such part, or the part is no message
/// where the section asks for one: `NIL`.
pub fn section<'a>(raw: &'a [u8], section: &Section) -> Option<Cow<'a, [u8]>> {
    match section {
        Section::Full => Some(Cow::Borrowed(raw)),
        Section::Header => Some(Cow::Borrowed(&raw[..header_len(raw)])),
        Section::Text => Some(Cow::Borrowed(&raw[header_len(raw)..])),
        Section::HeaderFields { names, not } => Some(header_fields(raw, names, *not)),
        Section::Part { .. } => Message::parse(raw).section(section),
    }
}

/// The content of a part without its transfer encoding, for `BINARY`. `None` if there is no such
/// part, or its encoding is unknown. Multiparts and messages have none (RFC 2045 section 6.4), and
/// the empty path is the whole message as it stands.
pub fn section_decoded<'a>(raw: &'a [u8], path: &[u32]) -> Option<Cow<'a, [u8]>> {
    if path.is_empty() {
        return Some(Cow::Borrowed(raw));
    }
    Message::parse(raw).part(path)?.decoded()
}

impl<'a> Message<'a> {
    /// As [`section()`], for several sections of one message.
    pub fn section(&self, section: &Section) -> Option<Cow<'a, [u8]>> {
        let root = self.root();
        match section {
            Section::Full => Some(Cow::Borrowed(self.raw())),
            Section::Header => Some(Cow::Borrowed(root.header())),
            Section::Text => Some(Cow::Borrowed(&self.raw()[root.header_range().end..])),
            Section::HeaderFields { names, not } => Some(header_fields(root.header(), names, *not)),
            Section::Part { path, what } => of_part(self.part(path)?, what),
        }
    }
}

fn of_part<'a>(part: &Part<'a>, what: &PartWhat) -> Option<Cow<'a, [u8]>> {
    let inner = || match part.kind() {
        PartKind::Message(inner) => Some(inner),
        _ => None,
    };
    Some(match what {
        PartWhat::Body => Cow::Borrowed(part.body()),
        PartWhat::Mime => Cow::Borrowed(part.header()),
        PartWhat::Header => Cow::Borrowed(inner()?.header()),
        PartWhat::Text => Cow::Borrowed(inner()?.body()),
        PartWhat::HeaderFields { names, not } => header_fields(inner()?.header(), names, *not),
    })
}

/// The fields of these names (or all others) as they stand, and the blank line if there is one,
/// of the header that `raw` begins with.
fn header_fields<'a>(raw: &'a [u8], names: &[String], not: bool) -> Cow<'a, [u8]> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    let mut take = |start: usize, end: usize| match runs.last_mut() {
        Some(last) if last.end == start => last.end = end,
        _ => runs.push(start..end),
    };
    let names = Names::new(names);
    let mut at = 0;
    for field in fields(raw) {
        let end = at + field.whole.len();
        if names.has(field.name) != not {
            take(at, end);
        }
        at = end;
    }
    let blank = blank_line(&raw[at..]);
    if blank > 0 {
        take(at, at + blank);
    }
    match runs.as_slice() {
        [] => Cow::Borrowed(&raw[..0]),
        [one] => Cow::Borrowed(&raw[one.clone()]),
        _ => Cow::Owned(
            runs.iter()
                .map(|run| &raw[run.clone()])
                .collect::<Vec<_>>()
                .concat(),
        ),
    }
}

/// Names of fields. A client may list thousands, of a header with millions: they are sorted, so that
/// neither is gone through for each of the other.
struct Names<'a>(Vec<&'a [u8]>);

impl<'a> Names<'a> {
    fn new(names: &'a [String]) -> Self {
        let mut sorted: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
        sorted.sort_unstable_by(|a, b| in_any_case(a, b));
        Self(sorted)
    }

    /// Whether `name` is one of them; the name of what is no field is empty.
    fn has(&self, name: &[u8]) -> bool {
        !name.is_empty() && self.0.binary_search_by(|n| in_any_case(n, name)).is_ok()
    }
}

fn in_any_case(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (a.iter(), b.iter());
    a.map(u8::to_ascii_lowercase)
        .cmp(b.map(u8::to_ascii_lowercase))
}
