//! FETCH: what is asked for.

/// `fetch-att`: an item of the FETCH command. The macros ALL, FAST and FULL are expanded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FetchItem {
    /// `UID`
    Uid,
    /// `FLAGS`
    Flags,
    /// `INTERNALDATE`
    InternalDate,
    /// `RFC822.SIZE`
    Rfc822Size,
    /// `ENVELOPE`
    Envelope,
    /// `BODY`: the structure without extension data.
    Body,
    /// `BODYSTRUCTURE`
    BodyStructure,
    /// `BODY[section]<partial>`, or `BODY.PEEK`.
    BodySection {
        /// Which octets.
        section: Section,
        /// Which part of them.
        partial: Option<Partial>,
        /// `BODY.PEEK`: does not set `\Seen`.
        peek: bool,
    },
    /// `RFC822`: as `BODY[]`, answered as `RFC822` (RFC 3501).
    Rfc822,
    /// `RFC822.HEADER`: as `BODY.PEEK[HEADER]` (RFC 3501).
    Rfc822Header,
    /// `RFC822.TEXT`: as `BODY[TEXT]` (RFC 3501).
    Rfc822Text,
    /// `BINARY[path]<partial>`, or `BINARY.PEEK`: a part with its transfer encoding undone.
    Binary {
        /// Part numbers; empty for the whole message.
        path: Vec<u32>,
        /// Which part of the octets.
        partial: Option<Partial>,
        /// `BINARY.PEEK`: does not set `\Seen`.
        peek: bool,
    },
    /// `BINARY.SIZE[path]`
    BinarySize {
        /// Part numbers; empty for the whole message.
        path: Vec<u32>,
    },
    /// `MODSEQ` (RFC 7162)
    ModSeq,
    /// `EMAILID` (RFC 8474)
    EmailId,
    /// `THREADID` (RFC 8474)
    ThreadId,
    /// `SAVEDATE` (RFC 8514)
    SaveDate,
    /// `PREVIEW` (RFC 8970)
    Preview {
        /// `(LAZY)`: only if it is at hand.
        lazy: bool,
    },
}

impl FetchItem {
    /// Whether fetching it sets `\Seen` (RFC 9051 section 6.4.5).
    #[must_use]
    pub const fn sets_seen(&self) -> bool {
        match self {
            Self::BodySection { peek, .. } | Self::Binary { peek, .. } => !*peek,
            Self::Rfc822 | Self::Rfc822Text => true,
            _ => false,
        }
    }
}

/// `section`: which octets of a message (RFC 9051 section 6.4.5.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Section {
    /// `[]`: all of it.
    Full,
    /// `[HEADER]`
    Header,
    /// `[HEADER.FIELDS (names)]`, or `.NOT`.
    HeaderFields {
        /// Field names as sent.
        names: Vec<String>,
        /// All fields but these.
        not: bool,
    },
    /// `[TEXT]`
    Text,
    /// `[1.2…]`
    Part {
        /// Part numbers, none of them zero; at least one.
        path: Vec<u32>,
        /// What of the part.
        what: PartWhat,
    },
}

/// What of a part a section names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PartWhat {
    /// `1`: the body of the part.
    Body,
    /// `1.HEADER`: the header of the message in the part.
    Header,
    /// `1.HEADER.FIELDS (names)`, or `.NOT`.
    HeaderFields {
        /// Field names as sent.
        names: Vec<String>,
        /// All fields but these.
        not: bool,
    },
    /// `1.TEXT`: the body of the message in the part.
    Text,
    /// `1.MIME`: the header of the part.
    Mime,
}

/// `partial`: `<origin.length>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Partial {
    /// The first octet, from 0.
    pub origin: u64,
    /// How many octets at most; not zero.
    pub length: u64,
}

impl Partial {
    /// The octets of `whole` that are asked for; empty if it starts behind the end.
    #[must_use]
    pub fn slice<'a>(&self, whole: &'a [u8]) -> &'a [u8] {
        &whole[self.range(whole.len())]
    }

    /// The range of octets asked for in a whole of `len`.
    #[must_use]
    pub fn range(&self, len: usize) -> std::ops::Range<usize> {
        let start = usize::try_from(self.origin).unwrap_or(usize::MAX).min(len);
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        start..start.saturating_add(length).min(len)
    }
}

/// `fetch-modifier` (RFC 4466).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchModifier {
    /// `CHANGEDSINCE modseq` (RFC 7162)
    ChangedSince(u64),
    /// `VANISHED` (RFC 7162)
    Vanished,
    /// `PARTIAL range` (RFC 9394)
    Partial(PartialRange),
}

/// `partial-range` (RFC 9394): which of the matching messages, by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PartialRange {
    /// One end, from 1.
    pub from: u32,
    /// The other end, from 1.
    pub to: u32,
    /// `-1:-100`: counted from the last.
    pub from_end: bool,
}

impl std::fmt::Display for PartialRange {
    /// The range as it stands on the wire.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.from_end { "-" } else { "" };
        write!(f, "{sign}{}:{sign}{}", self.from, self.to)
    }
}
