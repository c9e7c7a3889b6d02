//! IMAP URLs of messages and their parts (RFC 5092), as far as they are relative to a server.

use std::fmt;

use bytes::BytesMut;

use crate::fetch::{Partial, Section};
use crate::lexical::is_bchar;
use crate::parse::message_url;
use crate::wire::Style;
use crate::writer::put_section_spec;

/// A message of a server, or octets of one: a URL without scheme and server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageUrl {
    /// The mailbox; `None` is the one that is selected.
    pub mailbox: Option<UrlMailbox>,
    /// The message's UID.
    pub uid: u32,
    /// Which octets of it.
    pub section: Section,
    /// Which of those; a length of `u64::MAX` stands for all up to the end.
    pub partial: Option<Partial>,
}

/// A mailbox in a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlMailbox {
    /// Its name; not empty. In a URL that is percent-encoded UTF-8, never modified UTF-7.
    pub name: String,
    /// The UIDVALIDITY that it had when the URL was made; the URL is stale if it has another now.
    pub uidvalidity: Option<u32>,
}

/// Why something is no URL of a message of this server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It has a scheme or names a server.
    #[error("only URLs relative to this server can be used")]
    Absolute,
    /// It does not fit the grammar.
    #[error("bad URL: expected {0}")]
    Syntax(&'static str),
}

impl MessageUrl {
    /// Reads a URL: an absolute path, or one that begins with `;UID=` (RFC 5092 section 9.1).
    ///
    /// ```
    /// use murder_imap::MessageUrl;
    ///
    /// let url = MessageUrl::parse(b"/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.2")?;
    /// assert_eq!(url.mailbox.map(|mailbox| mailbox.name).as_deref(), Some("Drafts"));
    /// # Ok::<(), murder_imap::url::UrlError>(())
    /// ```
    ///
    /// # Errors
    /// See [`UrlError`]. URLs of servers, mailboxes and searches do not fit, nor those that
    /// authorise whoever has them (URLAUTH).
    pub fn parse(url: &[u8]) -> Result<Self, UrlError> {
        message_url(url)
    }
}

impl fmt::Display for MessageUrl {
    /// The URL, which parses back to the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(UrlMailbox { name, uidvalidity }) = &self.mailbox {
            f.write_str("/")?;
            let mut levels = name.as_str();
            if let Some(rest) = name.strip_prefix('/') {
                // What follows would be taken for a server.
                f.write_str("%2F")?;
                levels = rest;
            }
            for (at, level) in levels.split('/').enumerate() {
                f.write_str(if at == 0 { "" } else { "/" })?;
                put_level(f, level)?;
            }
            if let Some(uidvalidity) = uidvalidity {
                write!(f, ";UIDVALIDITY={uidvalidity}")?;
            }
            f.write_str("/")?;
        }
        write!(f, ";UID={}", self.uid)?;
        if self.section != Section::Full {
            let mut spec = BytesMut::new();
            put_section_spec(&mut spec, &self.section, Style::Client);
            f.write_str("/;SECTION=")?;
            put_encoded(f, &spec, b"/")?;
        }
        if let Some(Partial { origin, length }) = self.partial {
            write!(f, "/;PARTIAL={origin}")?;
            if length != u64::MAX {
                write!(f, ".{length}")?;
            }
        }
        Ok(())
    }
}

/// One level of a name. Those that look like dot-segments are no such when they are encoded
/// (RFC 5092 section 7).
fn put_level(f: &mut fmt::Formatter<'_>, level: &str) -> fmt::Result {
    let encoded: &[u8] = match level {
        "." | ".." => b".",
        _ => b"",
    };
    put_encoded(f, level.as_bytes(), encoded)
}

/// Writes octets, those percent-encoded that a URL may not hold, and those in `besides`.
fn put_encoded(f: &mut fmt::Formatter<'_>, octets: &[u8], besides: &[u8]) -> fmt::Result {
    use fmt::Write;
    octets
        .iter()
        .try_for_each(|octet| match is_bchar(*octet) && !besides.contains(octet) {
            true => f.write_char(char::from(*octet)),
            false => write!(f, "%{octet:02X}"),
        })
}
