//! What RENAME (RFC 9051 section 6.3.6) can do, whatever the rights.

use crate::name::MailboxName;

/// Why no right makes a RENAME possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub enum RenameError {
    /// The new name is below the old one.
    BelowItself,
    /// Old and new name are in two homes.
    IntoAnotherHome,
    /// One is a user's home, the other a shared tree.
    OtherKind,
    /// Whole homes are renamed by administrators.
    AdministratorsOnly,
}

impl RenameError {
    /// What a client is told.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::BelowItself => "A mailbox cannot be renamed to below itself",
            Self::IntoAnotherHome => {
                "A mailbox cannot be renamed into another home; copy its messages"
            }
            Self::OtherKind => "A user's home and a shared tree cannot become each other",
            Self::AdministratorsOnly => "Only an administrator may rename a home",
        }
    }
}

/// Whether a mailbox called `from` can become `to`, asked by an administrator (`admin`) or not. Looks
/// at the names alone, not at what there is.
///
/// # Errors
/// See [`RenameError`].
pub fn check_rename(from: &MailboxName, to: &MailboxName, admin: bool) -> Result<(), RenameError> {
    if from.home_key() == to.home_key() {
        return match to.is_below(from) && !from.is_inbox() {
            true => Err(RenameError::BelowItself),
            false => Ok(()),
        };
    }
    if !from.is_home_root() || !to.is_home_root() {
        return Err(RenameError::IntoAnotherHome);
    }
    if from.is_inbox() != to.is_inbox() {
        return Err(RenameError::OtherKind);
    }
    match admin {
        true => Ok(()),
        false => Err(RenameError::AdministratorsOnly),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_decide() {
        let check = |from: &str, to: &str, admin| {
            let name = |text| MailboxName::parse_canonical(text).unwrap();
            check_rename(&name(from), &name(to), admin)
        };
        use RenameError as E;
        for (from, to, user, admin) in [
            ("user/bob/a", "user/bob/b", Ok(()), Ok(())),
            ("user/bob", "user/bob/old", Ok(()), Ok(())),
            (
                "user/bob/a",
                "user/bob/a/b",
                Err(E::BelowItself),
                Err(E::BelowItself),
            ),
            (
                "user/bob/a",
                "user/eve/a",
                Err(E::IntoAnotherHome),
                Err(E::IntoAnotherHome),
            ),
            ("user/bob", "board", Err(E::OtherKind), Err(E::OtherKind)),
            ("user/bob", "user/eve", Err(E::AdministratorsOnly), Ok(())),
            ("board", "council", Err(E::AdministratorsOnly), Ok(())),
        ] {
            assert_eq!(check(from, to, false), user, "{from} {to}");
            assert_eq!(check(from, to, true), admin, "{from} {to}");
        }
    }
}
