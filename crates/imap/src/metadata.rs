//! Annotations: GETMETADATA, SETMETADATA (RFC 5464).

use crate::mailbox::MailboxArg;

/// The GETMETADATA command (RFC 5464 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetMetadata {
    /// The mailbox; an empty name is the server.
    pub mailbox: MailboxArg,
    /// `MAXSIZE n`: values above so many octets are not wanted.
    pub max_size: Option<u32>,
    /// `DEPTH`: what below the entries is wanted too.
    pub depth: MetadataDepth,
    /// Names of entries as sent; at least one.
    pub entries: Vec<String>,
}

/// `scope-opt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MetadataDepth {
    /// `0`: the entries only.
    #[default]
    Zero,
    /// `1`: and what is directly below.
    One,
    /// `infinity`: and all that is below.
    Infinity,
}

impl MetadataDepth {
    /// Every depth.
    pub const ALL: [Self; 3] = [Self::Zero, Self::One, Self::Infinity];

    /// The depth on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zero => "0",
            Self::One => "1",
            Self::Infinity => "infinity",
        }
    }
}

/// `entry-value`: the name of an entry and its value; `None`, NIL, removes it, or says that there
/// is none.
pub type MetadataEntry = (String, Option<Vec<u8>>);
