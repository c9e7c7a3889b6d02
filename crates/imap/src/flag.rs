//! Message flags and keywords.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::lexical::is_atom_char;

/// A keyword: an atom that names a flag a user or client made up (RFC 9051 section 2.3.2).
///
/// Compares without regard to ASCII case, keeps the case it came in.
#[derive(Clone)]
pub struct Keyword(Box<str>);

/// The text is no atom.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid keyword")]
pub struct InvalidKeyword;

impl Keyword {
    /// Makes a keyword of `text`.
    ///
    /// # Errors
    /// `text` is no atom.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidKeyword> {
        let text: String = text.into();
        if !text.is_empty() && text.bytes().all(is_atom_char) {
            Ok(Self(text.into_boxed_str()))
        } else {
            Err(InvalidKeyword)
        }
    }

    pub(crate) fn from_checked(bytes: &[u8]) -> Self {
        Self(String::from_utf8_lossy(bytes).into_owned().into_boxed_str())
    }

    /// The keyword as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}

impl Hash for Keyword {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.0.bytes() {
            state.write_u8(byte.to_ascii_lowercase());
        }
        state.write_u8(0xff);
    }
}

impl fmt::Debug for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message flag (RFC 9051 section 2.3.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Flag {
    /// `\Answered`
    Answered,
    /// `\Flagged`
    Flagged,
    /// `\Deleted`
    Deleted,
    /// `\Seen`
    Seen,
    /// `\Draft`
    Draft,
    /// `\Recent`: sent by IMAP4rev1 servers, never set by a client; a server ignores it in APPEND
    /// and STORE.
    Recent,
    /// `\` and an atom that is none of the above: `flag-extension`. No server of ours keeps any.
    Extension(Keyword),
    /// A keyword.
    Keyword(Keyword),
}

impl Flag {
    /// The five flags that a client may set, in the order of RFC 9051.
    pub const SYSTEM: [Self; 5] = [
        Self::Answered,
        Self::Flagged,
        Self::Deleted,
        Self::Seen,
        Self::Draft,
    ];

    /// Reads a flag as it stands on the wire, `\Seen` or `$Junk`.
    ///
    /// # Errors
    /// `text` is no flag.
    pub fn parse(text: &str) -> Result<Self, InvalidKeyword> {
        match text.strip_prefix('\\') {
            Some(name) => Ok(Self::system_or_extension(Keyword::new(name)?)),
            None => Keyword::new(text).map(Self::Keyword),
        }
    }

    pub(crate) fn system_or_extension(name: Keyword) -> Self {
        let is = |system: &str| name.as_str().eq_ignore_ascii_case(system);
        if is("Answered") {
            Self::Answered
        } else if is("Flagged") {
            Self::Flagged
        } else if is("Deleted") {
            Self::Deleted
        } else if is("Seen") {
            Self::Seen
        } else if is("Draft") {
            Self::Draft
        } else if is("Recent") {
            Self::Recent
        } else {
            Self::Extension(name)
        }
    }
}

impl fmt::Display for Flag {
    /// The flag as it stands on the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered => f.write_str("\\Answered"),
            Self::Flagged => f.write_str("\\Flagged"),
            Self::Deleted => f.write_str("\\Deleted"),
            Self::Seen => f.write_str("\\Seen"),
            Self::Draft => f.write_str("\\Draft"),
            Self::Recent => f.write_str("\\Recent"),
            Self::Extension(name) => write!(f, "\\{name}"),
            Self::Keyword(name) => write!(f, "{name}"),
        }
    }
}
