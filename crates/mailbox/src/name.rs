//! The canonical, internal name of a mailbox.

use std::borrow::Borrow;
use std::fmt;

/// A mailbox's canonical name: UTF-8, separated by `/`, the same on every node.
///
/// * `user/bob` is the INBOX of bob, `user/bob/Sent` a mailbox below bob's home;
/// * `board` is a top-level shared mailbox, `board/minutes` one below it;
/// * `example.org!user/bob` and `example.org!board` belong to a hosted domain.
///
/// Ordered as text, so that everything below `NAME` lies between `NAME/` and `NAME0`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxName(Box<str>);

/// Whose home a mailbox belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'a> {
    /// A user, named without the domain.
    User(&'a str),
    /// The shared tree with this top-level component.
    Shared(&'a str),
}

/// Why a mailbox name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// An empty name, or an empty component as in `a//b`.
    #[error("mailbox name has an empty component")]
    Empty,
    /// A control character, a line or paragraph separator (RFC 5198 section 2), or a wildcard.
    #[error("mailbox name holds a character that is not allowed: {0:?}")]
    Character(char),
    /// Longer than [`MailboxName::MAX_LENGTH`] or a component over
    /// [`MailboxName::MAX_COMPONENT`] bytes.
    #[error("mailbox name is too long")]
    TooLong,
    /// More than [`MailboxName::MAX_DEPTH`] components.
    #[error("mailbox name has too many levels")]
    TooDeep,
    /// A name that the namespace keeps for itself.
    #[error("mailbox name is reserved")]
    Reserved,
    /// The bytes are neither UTF-8 nor modified UTF-7.
    #[error("mailbox name is not validly encoded")]
    Encoding,
    /// A name outside every namespace: users' own mailboxes are below INBOX here.
    #[error("mailbox name is in no namespace; your mailboxes are below INBOX")]
    NoNamespace,
    /// A name in another hosted domain.
    #[error("mailbox name belongs to another domain")]
    OtherDomain,
}

impl MailboxName {
    /// The most bytes in a canonical name.
    pub const MAX_LENGTH: usize = 1000;
    /// The most bytes in one component.
    pub const MAX_COMPONENT: usize = 255;
    /// The most components.
    pub const MAX_DEPTH: usize = 50;

    /// Checks and takes a canonical name.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn parse_canonical(text: &str) -> Result<Self, NameError> {
        if text.len() > Self::MAX_LENGTH {
            return Err(NameError::TooLong);
        }
        let (domain, local) = split_domain(text);
        if let Some(domain) = domain {
            check_component(domain)?;
            if let Some(c) = domain
                .chars()
                .find(|c| matches!(c, '@' | '/' | '!') || c.is_whitespace())
            {
                return Err(NameError::Character(c));
            }
        }
        let mut depth = 0;
        for component in local.split('/') {
            check_component(component)?;
            depth += 1;
        }
        if depth > Self::MAX_DEPTH {
            return Err(NameError::TooDeep);
        }
        let mut components = local.split('/');
        let top = components.next().unwrap_or_default();
        if top == "user" {
            let user = components.next().ok_or(NameError::Reserved)?;
            if let Some(c) = bad_user_char(user) {
                return Err(NameError::Character(c));
            }
            // The INBOX is the home's root; a second one beside it would never be reachable, nor
            // would what is below one that is spelt in another way.
            if components
                .next()
                .is_some_and(|c| c.eq_ignore_ascii_case("INBOX") && (depth == 3 || c != "INBOX"))
            {
                return Err(NameError::Reserved);
            }
        } else if let Some(c) = top.chars().find(|c| matches!(c, '!' | '@')) {
            return Err(NameError::Character(c));
        }
        Ok(Self(text.into()))
    }

    /// The INBOX of the user with this login name (`bob` or `bob@example.org`).
    ///
    /// # Errors
    /// When the login name cannot name a home.
    pub fn inbox_of(user: &str) -> Result<Self, NameError> {
        match user.split_once('@') {
            Some((local, domain)) => Self::parse_canonical(&format!("{domain}!user/{local}")),
            None => Self::parse_canonical(&format!("user/{user}")),
        }
    }

    /// The whole canonical name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hosted domain, if any.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        split_domain(&self.0).0
    }

    /// The name without the domain.
    #[must_use]
    pub fn local(&self) -> &str {
        split_domain(&self.0).1
    }

    /// Whose home it belongs to.
    #[must_use]
    pub fn owner(&self) -> Owner<'_> {
        let local = self.local();
        match local.strip_prefix("user/") {
            Some(rest) => Owner::User(rest.split('/').next().unwrap_or(rest)),
            None => Owner::Shared(local.split('/').next().unwrap_or(local)),
        }
    }

    /// The login name of the owner (`bob`, `bob@example.org`), or `None` for a shared one.
    #[must_use]
    pub fn owner_user(&self) -> Option<String> {
        match (self.owner(), self.domain()) {
            (Owner::User(user), Some(domain)) => Some(format!("{user}@{domain}")),
            (Owner::User(user), None) => Some(user.to_owned()),
            (Owner::Shared(_), _) => None,
        }
    }

    /// Whether `user` (a login name) owns it.
    #[must_use]
    pub fn is_owned_by(&self, user: &str) -> bool {
        let (local, domain) = match user.split_once('@') {
            Some((local, domain)) => (local, Some(domain)),
            None => (user, None),
        };
        self.owner() == Owner::User(local) && self.domain() == domain
    }

    /// The name of the home: `user/bob`, `board`, `example.org!user/bob`.
    #[must_use]
    pub fn home_key(&self) -> &str {
        let prefix = self.0.len() - self.local().len();
        let own = match self.owner() {
            Owner::User(user) => "user/".len() + user.len(),
            Owner::Shared(top) => top.len(),
        };
        &self.0[..prefix + own]
    }

    /// The path below the home's root; empty for the root itself.
    #[must_use]
    pub fn relative(&self) -> &str {
        let rest = &self.0[self.home_key().len()..];
        rest.strip_prefix('/').unwrap_or(rest)
    }

    /// Whether it is the root of its home.
    #[must_use]
    pub fn is_home_root(&self) -> bool {
        self.home_key().len() == self.0.len()
    }

    /// Whether it is a user's INBOX.
    #[must_use]
    pub fn is_inbox(&self) -> bool {
        self.is_home_root() && matches!(self.owner(), Owner::User(_))
    }

    /// The name one level up; `None` for the root of a home.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_home_root() {
            return None;
        }
        let (up, _) = self.0.rsplit_once('/')?;
        let up = Self(up.into());
        // `user/bob/INBOX/x` is the one name whose textual parent cannot exist.
        if up.relative().eq_ignore_ascii_case("INBOX") && matches!(up.owner(), Owner::User(_)) {
            return up.parent();
        }
        Some(up)
    }

    /// The name of `component` (which may itself hold `/`) below this one.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn child(&self, component: &str) -> Result<Self, NameError> {
        Self::parse_canonical(&format!("{}/{component}", self.0))
    }

    /// Whether it lies below `other`, at any depth.
    #[must_use]
    pub fn is_below(&self, other: &Self) -> bool {
        self.0
            .strip_prefix(other.as_str())
            .is_some_and(|rest| rest.starts_with('/'))
    }

    /// This name with the leading `from` replaced by `to`, or `None` when it is neither
    /// `from` nor below it.
    ///
    /// # Errors
    /// When the new name would be invalid, for one too long.
    pub fn moved(&self, from: &Self, to: &Self) -> Option<Result<Self, NameError>> {
        if self == from {
            return Some(Ok(to.clone()));
        }
        self.is_below(from)
            .then(|| Self::parse_canonical(&format!("{}{}", to.0, &self.0[from.0.len()..])))
    }
}

fn split_domain(text: &str) -> (Option<&str>, &str) {
    // Only the part before the first `/` can hold a domain; later components may have a `!`.
    let head = text.split('/').next().unwrap_or(text);
    match head.find('!') {
        Some(at) => (Some(&text[..at]), &text[at + 1..]),
        None => (None, text),
    }
}

fn check_component(component: &str) -> Result<(), NameError> {
    if component.is_empty() {
        return Err(NameError::Empty);
    }
    if component.len() > MailboxName::MAX_COMPONENT {
        return Err(NameError::TooLong);
    }
    match component
        .chars()
        .find(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '%' | '*'))
    {
        Some(c) => Err(NameError::Character(c)),
        None => Ok(()),
    }
}

fn bad_user_char(user: &str) -> Option<char> {
    user.chars()
        .find(|c| c.is_control() || c.is_whitespace() || matches!(c, '/' | '!' | '@' | '%' | '*'))
}

/// Whether `user` (`bob` or `bob@example.org`) can be a login name: it must name a home.
#[must_use]
pub fn valid_user_name(user: &str) -> bool {
    MailboxName::inbox_of(user).is_ok()
}

impl Borrow<str> for MailboxName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for MailboxName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailboxName({:?})", self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(text: &str) -> MailboxName {
        MailboxName::parse_canonical(text).unwrap()
    }

    #[test]
    fn parts_of_a_name() {
        let sent = name("example.org!user/bob/Sent/2024");
        assert_eq!(sent.domain(), Some("example.org"));
        assert_eq!(sent.owner(), Owner::User("bob"));
        assert_eq!(sent.owner_user().as_deref(), Some("bob@example.org"));
        assert_eq!(sent.home_key(), "example.org!user/bob");
        assert_eq!(sent.relative(), "Sent/2024");
        assert_eq!(sent.parent().unwrap(), name("example.org!user/bob/Sent"));
        assert!(sent.is_owned_by("bob@example.org"));
        assert!(!sent.is_owned_by("bob"));

        let board = name("board");
        assert_eq!(board.owner(), Owner::Shared("board"));
        assert_eq!((board.home_key(), board.relative()), ("board", ""));
        assert!(board.is_home_root() && !board.is_inbox());
        assert!(name("board/x").is_below(&board) && !name("boards").is_below(&board));
        assert!(MailboxName::inbox_of("bob").unwrap().is_inbox());
        assert_eq!(name("board/a!b").domain(), None);
        assert_eq!(name("user/bob/INBOX/x").parent().unwrap(), name("user/bob"));
    }

    #[test]
    fn refuses_bad_names() {
        for (text, error) in [
            ("", NameError::Empty),
            ("a//b", NameError::Empty),
            ("a/", NameError::Empty),
            ("user", NameError::Reserved),
            ("user/bob/INBOX", NameError::Reserved),
            ("user/bob/inbox", NameError::Reserved),
            ("user/bob/inbox/x", NameError::Reserved),
            ("a/b\u{2028}", NameError::Character('\u{2028}')),
            ("a/b\u{85}", NameError::Character('\u{85}')),
            ("a/b\u{7}", NameError::Character('\u{7}')),
            ("a*", NameError::Character('*')),
            ("x@y", NameError::Character('@')),
            ("user/b b", NameError::Character(' ')),
        ] {
            assert_eq!(MailboxName::parse_canonical(text), Err(error), "{text:?}");
        }
        assert_eq!(
            MailboxName::parse_canonical("a/".repeat(60).trim_end_matches('/')),
            Err(NameError::TooDeep)
        );
        assert_eq!(
            MailboxName::parse_canonical(&"a".repeat(256)),
            Err(NameError::TooLong)
        );
        assert_eq!(
            MailboxName::parse_canonical(&"a".repeat(1001)),
            Err(NameError::TooLong)
        );
    }

    #[test]
    fn moves_a_subtree() {
        let (from, to) = (name("board"), name("council"));
        assert_eq!(
            name("board/a/b").moved(&from, &to).unwrap().unwrap(),
            name("council/a/b")
        );
        assert_eq!(name("board").moved(&from, &to).unwrap().unwrap(), to);
        assert!(name("boards").moved(&from, &to).is_none());
    }
}
