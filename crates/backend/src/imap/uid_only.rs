//! UIDONLY (RFC 9586): a client that has enabled it names messages by their UIDs only, and is
//! told of them in that way.

use murder_imap::{Command, SearchKey};

use crate::imap::errors::OpError;
use crate::imap::errors::bad_code;

/// Refuses a command that names messages by their numbers, or whose answer would.
///
/// # Errors
/// BAD UIDREQUIRED.
pub(crate) fn check(command: &Command) -> Result<(), OpError> {
    let refused = match command {
        Command::Fetch { uid, .. }
        | Command::Store { uid, .. }
        | Command::Copy { uid, .. }
        | Command::Move { uid, .. } => !uid,
        Command::Search(search) => !search.uid || has_numbers(&search.keys),
        Command::Sort(sort) => !sort.uid || has_numbers(&sort.keys),
        Command::Thread(thread) => !thread.uid || has_numbers(&thread.keys),
        Command::MultiSearch(search) => has_numbers(&search.keys),
        _ => false,
    };
    match refused {
        true => Err(required()),
        false => Ok(()),
    }
}

/// BAD UIDREQUIRED
pub(crate) fn required() -> OpError {
    bad_code(
        murder_imap::Code::UidRequired,
        "Message numbers are not used when UIDONLY is enabled",
    )
}

/// Whether message numbers are searched for. Recursion is bounded by the nesting that the parser
/// takes.
pub(crate) fn has_numbers(keys: &[SearchKey]) -> bool {
    keys.iter().any(|key| match key {
        // `$` stands for messages, not for numbers.
        SearchKey::Sequence(set) => !set.is_saved_result(),
        SearchKey::Not(key) | SearchKey::Fuzzy(key) => has_numbers(std::slice::from_ref(&**key)),
        SearchKey::Or(one, other) => {
            has_numbers(std::slice::from_ref(&**one)) || has_numbers(std::slice::from_ref(&**other))
        }
        SearchKey::And(keys) => has_numbers(keys),
        _ => false,
    })
}
