//! Access control lists (RFC 4314) and who is asking.

use std::fmt;
use std::str::FromStr;

use crate::nfc;

/// A set of rights (RFC 4314 section 2.1), one bit a letter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Rights(u16);

impl Rights {
    /// No right at all.
    pub const NONE: Self = Self(0);
    /// `l`: the mailbox is visible to LIST and LSUB.
    pub const LOOKUP: Self = Self(1);
    /// `r`: SELECT, FETCH, SEARCH, COPY from it.
    pub const READ: Self = Self(1 << 1);
    /// `s`: set and clear `\Seen`, keep it over sessions.
    pub const SEEN: Self = Self(1 << 2);
    /// `w`: flags other than `\Seen` and `\Deleted`.
    pub const WRITE: Self = Self(1 << 3);
    /// `i`: APPEND, COPY into it.
    pub const INSERT: Self = Self(1 << 4);
    /// `p`: mail may be delivered to its address.
    pub const POST: Self = Self(1 << 5);
    /// `k`: create mailboxes below it.
    pub const CREATE: Self = Self(1 << 6);
    /// `x`: delete or rename it.
    pub const DELETE_MAILBOX: Self = Self(1 << 7);
    /// `t`: set and clear `\Deleted`.
    pub const DELETE_MESSAGES: Self = Self(1 << 8);
    /// `e`: EXPUNGE.
    pub const EXPUNGE: Self = Self(1 << 9);
    /// `a`: administer, that is SETACL, DELETEACL, GETACL, LISTRIGHTS.
    pub const ADMINISTER: Self = Self(1 << 10);
    /// `n`: write shared annotations (RFC 5257).
    pub const ANNOTATE: Self = Self(1 << 11);
    /// Every right.
    pub const ALL: Self = Self((1 << 12) - 1);

    /// Each of these lets MYRIGHTS be used (RFC 4314 section 4).
    pub const MYRIGHTS: Self = Self(
        Self::LOOKUP.0
            | Self::READ.0
            | Self::INSERT.0
            | Self::CREATE.0
            | Self::DELETE_MAILBOX.0
            | Self::ADMINISTER.0,
    );

    const LETTERS: [(char, Self); 12] = [
        ('l', Self::LOOKUP),
        ('r', Self::READ),
        ('s', Self::SEEN),
        ('w', Self::WRITE),
        ('i', Self::INSERT),
        ('p', Self::POST),
        ('k', Self::CREATE),
        ('x', Self::DELETE_MAILBOX),
        ('t', Self::DELETE_MESSAGES),
        ('e', Self::EXPUNGE),
        ('a', Self::ADMINISTER),
        ('n', Self::ANNOTATE),
    ];
    /// The obsolete `c` of RFC 2086 stands for these (RFC 4314 section 2.1.1).
    const OBSOLETE_C: Self = Self(Self::CREATE.0 | Self::DELETE_MAILBOX.0);
    /// The obsolete `d` of RFC 2086 stands for these.
    const OBSOLETE_D: Self = Self(Self::DELETE_MESSAGES.0 | Self::EXPUNGE.0);

    /// Whether every right of `other` is held.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether at least one right of `other` is held.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The rights of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These rights without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The letters with the obsolete `c` and `d` added where a right that they stand for is
    /// held, as RFC 4314 section 2.1.1 asks of ACL, LISTRIGHTS and MYRIGHTS answers.
    #[must_use]
    pub fn to_imap(self) -> String {
        let mut text = self.to_string();
        if self.intersects(Self::OBSOLETE_C) {
            text.push('c');
        }
        if self.intersects(Self::OBSOLETE_D) {
            text.push('d');
        }
        text
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (letter, right) in Self::LETTERS {
            if self.contains(right) {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rights({self})")
    }
}

/// A letter that is no right; RFC 4314 section 3.1 wants the command refused with BAD.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown right '{0}'")]
pub struct UnknownRight(pub char);

impl FromStr for Rights {
    type Err = UnknownRight;

    fn from_str(text: &str) -> Result<Self, UnknownRight> {
        text.chars().try_fold(Self::NONE, |rights, letter| {
            let more = match letter {
                'c' => Self::OBSOLETE_C,
                'd' => Self::OBSOLETE_D,
                _ => Self::LETTERS
                    .iter()
                    .find(|(l, _)| *l == letter)
                    .map(|(_, right)| *right)
                    .ok_or(UnknownRight(letter))?,
            };
            Ok(rights.union(more))
        })
    }
}

/// An authenticated user, with what matters for rights.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The login name, `user` or `user@domain`.
    pub user: String,
    /// The groups that the user is in, without the `group:` prefix.
    pub groups: Vec<String>,
    /// Whether the user administers the murder.
    pub admin: bool,
    /// Whether the user may look up (`l`) every mailbox, as an administrator may also where nothing
    /// else is permitted to him.
    pub sees_all: bool,
}

impl Identity {
    /// An ordinary user in no group.
    #[must_use]
    pub fn user(name: impl Into<String>) -> Self {
        Self {
            user: name.into(),
            ..Self::default()
        }
    }

    /// Every ACL identifier that speaks of this identity: the user, `group:…`, `anyone`.
    pub fn identifiers(&self) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
        std::iter::once(self.user.as_str().into())
            .chain(std::iter::once("anyone".into()))
            .chain(self.groups.iter().map(|g| format!("group:{g}").into()))
    }

    fn is_meant_by(&self, identifier: &str) -> bool {
        match identifier.strip_prefix("group:") {
            Some(group) => self.groups.iter().any(|g| g == group),
            None => identifier == "anyone" || identifier == self.user,
        }
    }
}

/// An access control list: identifiers with their rights; `-identifier` takes rights away
/// (RFC 4314 section 2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Acl {
    entries: Vec<(String, Rights)>,
}

/// Why an ACL's text, or an identifier, was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AclError {
    /// A letter that is no right.
    #[error(transparent)]
    Right(#[from] UnknownRight),
    /// An identifier that is empty, too long, or holds a control character.
    #[error("invalid ACL identifier")]
    Identifier,
    /// The text does not have the form identifier, tab, rights, tab, …
    #[error("malformed ACL text")]
    Malformed,
    /// More identifiers than one list may hold.
    #[error("too many identifiers in one ACL")]
    TooMany,
}

impl Acl {
    /// The most identifiers in one list; every holder of the location map keeps them all.
    pub const MAX_ENTRIES: usize = 1000;
    /// The most bytes in an identifier.
    pub const MAX_IDENTIFIER: usize = 255;
    /// What an owner can never lose, so that a mailbox can always be brought back.
    pub const OWNER_IMPLICIT: Rights = Rights(Rights::LOOKUP.0 | Rights::ADMINISTER.0);
    /// What an administrator has everywhere: enough to manage, not to read.
    pub const ADMIN_IMPLICIT: Rights = Rights(
        Rights::LOOKUP.0 | Rights::CREATE.0 | Rights::DELETE_MAILBOX.0 | Rights::ADMINISTER.0,
    );

    /// The list that gives `user` every right: a new personal mailbox's.
    #[must_use]
    pub fn owned_by(user: &str) -> Self {
        Self {
            entries: vec![(user.to_owned(), Rights::ALL)],
        }
    }

    /// Reads the stored form, `identifier<TAB>rights<TAB>` repeated (Cyrus's).
    ///
    /// # Errors
    /// See [`AclError`].
    pub fn parse(text: &str) -> Result<Self, AclError> {
        let mut acl = Self::default();
        let mut fields = text.strip_suffix('\t').unwrap_or(text).split('\t');
        if text.is_empty() {
            return Ok(acl);
        }
        while let Some(identifier) = fields.next() {
            let rights = fields.next().ok_or(AclError::Malformed)?.parse()?;
            acl.set(identifier, rights)?;
        }
        Ok(acl)
    }

    /// Whether nobody is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The identifiers and their rights, in the order in which they were added.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Rights)> {
        self.entries
            .iter()
            .map(|(id, rights)| (id.as_str(), *rights))
    }

    /// The rights that stand beside exactly this identifier.
    #[must_use]
    pub fn get(&self, identifier: &str) -> Rights {
        let identifier = nfc(identifier);
        self.entries()
            .find(|(id, _)| *id == identifier)
            .map_or(Rights::NONE, |(_, rights)| rights)
    }

    /// Gives `identifier` exactly `rights`; none removes it (RFC 4314 section 3.1).
    ///
    /// # Errors
    /// [`AclError::Identifier`] and [`AclError::TooMany`].
    pub fn set(&mut self, identifier: &str, rights: Rights) -> Result<(), AclError> {
        let identifier = nfc(identifier);
        let name = identifier.strip_prefix('-').unwrap_or(&identifier);
        if name.is_empty()
            || identifier.len() > Self::MAX_IDENTIFIER
            || identifier.chars().any(char::is_control)
        {
            return Err(AclError::Identifier);
        }
        let place = self.entries.iter().position(|(id, _)| *id == identifier);
        match (place, rights.is_empty()) {
            (Some(at), true) => {
                self.entries.remove(at);
            }
            (Some(at), false) => self.entries[at].1 = rights,
            (None, true) => {}
            (None, false) if self.entries.len() >= Self::MAX_ENTRIES => {
                return Err(AclError::TooMany);
            }
            (None, false) => self.entries.push((identifier.into_owned(), rights)),
        }
        Ok(())
    }

    /// Removes `identifier`; true when it was there.
    pub fn remove(&mut self, identifier: &str) -> bool {
        let identifier = nfc(identifier);
        let before = self.entries.len();
        self.entries.retain(|(id, _)| *id != identifier);
        self.entries.len() != before
    }

    /// The rights that `identity` has, all told: granted to the user, its groups and
    /// `anyone`, less the negative ones, plus what owners and administrators cannot lose.
    #[must_use]
    pub fn rights_of(&self, identity: &Identity, owner_user: Option<&str>) -> Rights {
        let mut granted = Rights::NONE;
        let mut denied = Rights::NONE;
        for (identifier, rights) in self.entries() {
            match identifier.strip_prefix('-') {
                Some(negative) if identity.is_meant_by(negative) => denied = denied.union(rights),
                None if identity.is_meant_by(identifier) => granted = granted.union(rights),
                _ => {}
            }
        }
        let mut rights = granted.without(denied);
        if owner_user == Some(identity.user.as_str()) {
            rights = rights.union(Self::OWNER_IMPLICIT);
        }
        if identity.admin {
            rights = rights.union(Self::ADMIN_IMPLICIT);
        }
        if identity.sees_all {
            rights = rights.union(Rights::LOOKUP);
        }
        rights
    }
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (identifier, rights) in self.entries() {
            write!(f, "{identifier}\t{rights}\t")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rights(text: &str) -> Rights {
        text.parse().unwrap()
    }

    #[test]
    fn identifiers_are_composed() {
        let mut acl = Acl::parse("zoe\u{308}\tlr\t-group:Bu\u{308}ro\tr\t").unwrap();
        assert_eq!(acl.get("zo\u{eb}"), rights("lr"));
        assert_eq!(acl.to_string(), "zo\u{eb}\tlr\t-group:B\u{fc}ro\tr\t");
        acl.set("zoe\u{308}", rights("l")).unwrap();
        assert_eq!(acl.entries().count(), 2);
        let zoe = Identity::user("zo\u{eb}");
        assert_eq!(acl.rights_of(&zoe, None), rights("l"));
        assert!(acl.remove("-group:Bu\u{308}ro"));
    }

    #[test]
    fn obsolete_letters_stand_for_new_ones() {
        assert_eq!(rights("cd"), rights("kxte"));
        assert_eq!(rights("lrswipkxte").to_imap(), "lrswipkxtecd");
        assert_eq!(rights("lrk").to_imap(), "lrkc");
        assert_eq!("lrq".parse::<Rights>(), Err(UnknownRight('q')));
    }

    #[test]
    fn stored_form_parses_back() {
        let text = "bob\tlrswipkxtea\tanyone\tlr\t-group:guests\tr\t";
        assert_eq!(Acl::parse(text).unwrap().to_string(), text);
        assert_eq!(Acl::parse("").unwrap(), Acl::default());
        assert_eq!(Acl::parse("bob"), Err(AclError::Malformed));
        assert_eq!(Acl::parse("\tlr\t"), Err(AclError::Identifier));
    }

    #[test]
    fn negative_rights_win_over_positive_ones() {
        let acl = Acl::parse("anyone\tlrs\tgroup:staff\twi\t-carol\tsw\t").unwrap();
        let carol = Identity {
            user: "carol".into(),
            groups: vec!["staff".into()],
            ..Identity::default()
        };
        assert_eq!(acl.rights_of(&carol, None), rights("lri"));
        assert_eq!(acl.rights_of(&Identity::user("dave"), None), rights("lrs"));
    }

    #[test]
    fn owner_and_admin_keep_what_they_need() {
        let acl = Acl::default();
        let bob = Identity::user("bob");
        assert_eq!(acl.rights_of(&bob, Some("bob")), rights("la"));
        assert_eq!(acl.rights_of(&bob, Some("alice")), Rights::NONE);
        let admin = Identity {
            admin: true,
            ..Identity::user("admin")
        };
        assert_eq!(acl.rights_of(&admin, Some("bob")), rights("lkxa"));
        let sees = Identity {
            sees_all: true,
            ..Identity::user("admin")
        };
        assert_eq!(acl.rights_of(&sees, Some("bob")), rights("l"));
    }

    #[test]
    fn no_rights_removes_the_identifier() {
        let mut acl = Acl::owned_by("bob");
        acl.set("bob", Rights::NONE).unwrap();
        assert!(acl.is_empty());
        assert!(!acl.remove("bob"));
    }
}
