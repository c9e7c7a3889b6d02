//! The one form of a login name, and of a group's.

use murder_mailbox::{MailboxName, nfc};

/// The most bytes in a group's name; `group:` and it must fit an ACL identifier.
const MAX_GROUP: usize = 200;

/// Why a login name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid user name")]
pub struct UserNameError;

/// Why a group's name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid group name")]
pub struct GroupNameError;

/// The normalised form of a login name: composed characters (NFC), ASCII letters in lower case,
/// everything else as it is. `user` or `user@domain`.
///
/// # Errors
/// When the name could not name a home (empty, over-long, with `/`, `!`, wildcards, blanks
/// or control characters), or could be mistaken for another kind of ACL identifier
/// (`anyone`, `group:…`, `-…`).
pub fn normalize_user(name: &str) -> Result<String, UserNameError> {
    // Composed before, as a character can be composed of one in upper case only; and after, as
    // another only of one in lower case.
    let mut name = nfc(name).into_owned();
    name.make_ascii_lowercase();
    let name = nfc(&name).into_owned();
    let ambiguous = name == "anyone"
        || name == "anonymous"
        || name.starts_with("group:")
        || name.starts_with('-');
    let names_a_home = MailboxName::inbox_of(&name)
        .is_ok_and(|inbox| inbox.is_inbox() && inbox.is_owned_by(&name));
    // `:` ends a field of a users file.
    if ambiguous || name.contains(':') || !names_a_home {
        return Err(UserNameError);
    }
    Ok(name)
}

/// The normalised form of a group's name: composed characters (NFC).
///
/// # Errors
/// When it is empty or over-long, or holds what ends it in a list (`,`, `:`, blanks) or control
/// characters.
pub fn normalize_group(name: &str) -> Result<String, GroupNameError> {
    let name = nfc(name).into_owned();
    let bad = |c: char| c.is_control() || c.is_whitespace() || matches!(c, ',' | ':');
    match name.is_empty() || name.len() > MAX_GROUP || name.chars().any(bad) {
        true => Err(GroupNameError),
        false => Ok(name),
    }
}

/// Whether a mailbox of that name may be made: a home is that of somebody who could log in.
#[must_use]
pub fn may_be_made(name: &MailboxName) -> bool {
    let owner = name.owner_user();
    owner.is_none_or(|owner| normalize_user(&owner).is_ok_and(|normal| normal == owner))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn case_is_folded_and_bad_names_are_refused() {
        assert_eq!(
            normalize_user("Bob@Example.ORG").unwrap(),
            "bob@example.org"
        );
        for bad in [
            "", "a/b", "a!b", "a b", "a\0b", "anyone", "Anyone", "-bob", "group:x", "a:b", "a*",
            "a@b@c", "@x", "x@",
        ] {
            assert_eq!(normalize_user(bad), Err(UserNameError), "{bad:?}");
        }
    }

    #[test]
    fn names_are_composed() {
        for (name, normal) in [
            ("Zoe\u{308}", "zo\u{eb}"),
            // Kelvin's sign is a K.
            ("\u{212a}urt", "kurt"),
            // There is a small one only.
            ("J\u{30c}", "\u{1f0}"),
            (
                "jose\u{301}@b\u{fc}cher.example",
                "jos\u{e9}@b\u{fc}cher.example",
            ),
        ] {
            assert_eq!(normalize_user(name).unwrap(), normal);
            assert_eq!(normalize_user(normal).unwrap(), normal);
        }
        assert_eq!(normalize_group("Bu\u{308}ro").unwrap(), "B\u{fc}ro");
        for bad in ["", "a b", "a,b", "a:b", "a\0", &"x".repeat(201)] {
            assert_eq!(normalize_group(bad), Err(GroupNameError), "{bad:?}");
        }
    }

    #[test]
    fn homes_are_of_those_who_can_log_in() {
        let may = |name: &str| may_be_made(&MailboxName::parse_canonical(name).unwrap());
        for good in [
            "user/bob",
            "user/bob/A:b",
            "example.org!user/bob",
            "board/x",
            "-x",
        ] {
            assert!(may(good), "{good}");
        }
        for bad in [
            "user/anyone",
            "user/anyone/x",
            "user/-x",
            "user/group:x",
            "example.org!user/-x",
            "user/Bob",
            "user/zoe\u{308}",
        ] {
            assert!(!may(bad), "{bad}");
        }
    }
}
