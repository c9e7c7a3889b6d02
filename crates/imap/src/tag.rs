//! Command tags.

use std::fmt;

use crate::lexical::is_tag_char;

/// A command tag: one or more ASTRING-CHARs other than `+` (RFC 9051 section 9, `tag`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag(Box<str>);

/// The text is no valid tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid tag")]
pub struct InvalidTag;

impl Tag {
    /// Makes a tag of `text`.
    ///
    /// # Errors
    /// `text` is empty or holds a character that tags may not have.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidTag> {
        let text: String = text.into();
        if !text.is_empty() && text.bytes().all(is_tag_char) {
            Ok(Self(text.into_boxed_str()))
        } else {
            Err(InvalidTag)
        }
    }

    /// The tag `prefix` followed by `number`: tags of a client of ours.
    ///
    /// # Panics
    /// If `prefix` is no tag character.
    #[must_use]
    pub fn numbered(prefix: char, number: u64) -> Self {
        assert!(
            u8::try_from(prefix).is_ok_and(is_tag_char),
            "a tag's prefix is a tag character"
        );
        Self(format!("{prefix}{number}").into_boxed_str())
    }

    pub(crate) fn from_checked(bytes: &[u8]) -> Self {
        Self(String::from_utf8_lossy(bytes).into_owned().into_boxed_str())
    }

    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Tag {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
