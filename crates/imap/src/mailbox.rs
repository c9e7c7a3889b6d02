//! Mailbox names as they come over the wire.

use std::fmt;

use murder_mailbox::utf7;

/// A mailbox name or LIST pattern as sent: the octets of the astring, quoting and literals
/// undone, not yet decoded (RFC 9051 section 9, `mailbox`, `list-mailbox`).
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct MailboxArg(pub Vec<u8>);

/// The octets of a name are neither modified UTF-7 nor UTF-8, as the session's mode wants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mailbox name is not valid {0}")]
pub struct MailboxArgError(&'static str);

impl MailboxArgError {
    /// Whether they are no UTF-8, which is an error of syntax (RFC 6855 section 3).
    #[must_use]
    pub fn is_syntax(&self) -> bool {
        self.0 == UTF_8
    }
}

const UTF_8: &str = "UTF-8";

impl MailboxArg {
    /// The octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as UTF-8 text.
    ///
    /// With `utf8_mode` (IMAP4rev2 or UTF8=ACCEPT enabled, or a session inside the murder) the
    /// octets are UTF-8. Without, they are modified UTF-7 (RFC 3501 section 5.1.3); names with
    /// 8-bit octets are taken as UTF-8 even then, as clients get this wrong.
    ///
    /// # Errors
    /// The octets are not valid in that encoding.
    pub fn to_utf8(&self, utf8_mode: bool) -> Result<String, MailboxArgError> {
        if utf8_mode || !self.0.is_ascii() {
            std::str::from_utf8(&self.0)
                .map(str::to_owned)
                .map_err(|_| MailboxArgError(UTF_8))
        } else {
            utf7::decode(&self.0).map_err(|_| MailboxArgError("modified UTF-7"))
        }
    }

    /// Whether this is INBOX in any case.
    #[must_use]
    pub fn is_inbox(&self) -> bool {
        self.0.eq_ignore_ascii_case(b"INBOX")
    }
}

impl From<&str> for MailboxArg {
    /// The UTF-8 octets of `name`.
    fn from(name: &str) -> Self {
        Self(name.as_bytes().to_vec())
    }
}

impl From<String> for MailboxArg {
    fn from(name: String) -> Self {
        Self(name.into_bytes())
    }
}

impl From<Vec<u8>> for MailboxArg {
    fn from(name: Vec<u8>) -> Self {
        Self(name)
    }
}

impl fmt::Debug for MailboxArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Display for MailboxArg {
    /// For logs: octets that are no UTF-8 are replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// How mailbox names are sent to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameEncoding {
    /// Modified UTF-7: IMAP4rev1 clients (RFC 3501 section 5.1.3).
    #[default]
    Utf7,
    /// UTF-8: after ENABLE IMAP4rev2 or UTF8=ACCEPT, and between frontends and backends.
    Utf8,
}
