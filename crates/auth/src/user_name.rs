//! The one form of a login name.

use murder_mailbox::MailboxName;

/// Why a login name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid user name")]
pub struct UserNameError;

/// The normalised form of a login name: ASCII letters in lower case, everything else as it
/// is. `user` or `user@domain`.
///
/// # Errors
/// When the name could not name a home (empty, over-long, with `/`, `!`, wildcards, blanks
/// or control characters), or could be mistaken for another kind of ACL identifier
/// (`anyone`, `group:…`, `-…`).
pub fn normalize_user(name: &str) -> Result<String, UserNameError> {
    let name = name.to_ascii_lowercase();
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
}
