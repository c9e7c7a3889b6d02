//! The stable identity of a mailbox (RFC 8474 MAILBOXID).

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A 128-bit mailbox identity that survives renames and moves between servers.
///
/// Its text form is 22 characters of unpadded base64url, which fits the `objectid` rule of
/// RFC 8474 section 7.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxId([u8; 16]);

impl MailboxId {
    /// A new identity, ordered by creation time (UUID version 7).
    #[must_use]
    #[allow(clippy::new_without_default, reason = "each call gives another value")]
    pub fn new() -> Self {
        Self(*uuid::Uuid::now_v7().as_bytes())
    }

    /// The identity held in `bytes`.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The identity held in `bytes`, or `None` when they are not 16.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 16 bytes, as they are stored and sent between nodes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for MailboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for MailboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailboxId({self})")
    }
}

/// The text is not a mailbox identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a mailbox id")]
pub struct ParseIdError;

impl FromStr for MailboxId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| ParseIdError)?;
        Self::from_slice(&bytes).ok_or(ParseIdError)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_form_parses_back() {
        let id = MailboxId::new();
        assert_eq!(id.to_string().len(), 22);
        assert_eq!(id.to_string().parse::<MailboxId>().unwrap(), id);
        assert!("short".parse::<MailboxId>().is_err());
    }
}
