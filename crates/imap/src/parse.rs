//! The grammar: from a whole command or response, literals inline, to a typed value.
//!
//! Each parser has its ABNF rule above it. Parsers take the input complete: what is missing at
//! its end is an error, for [`framing`](crate::framing) has seen to it that nothing is.

mod access;
mod append;
mod code;
mod command;
mod fetch;
mod list;
mod metadata;
mod notify;
mod quota;
mod response;
mod search;
mod select;
mod sort;
mod store;
pub(crate) mod token;
mod url;

pub(crate) use append::{AppendHead, Next, Parts, Place, append_head, append_next, is_append};
pub use command::{Fault, parse_command};
pub use response::{ResponseFault, parse_response};
pub use token::{ANNOUNCEMENT_MAX, Announcement, literal_announcement};
pub(crate) use url::message_url;

/// How deep parentheses, NOT and OR may nest. Clients chain OR for each address or word of a
/// search, some dozens at most; a limit keeps recursion from using up the stack.
pub(crate) const MAX_DEPTH: usize = 100;

/// Whether this is the start of a SETMETADATA command.
pub(crate) fn is_set_metadata(frame: &[u8]) -> bool {
    const NAME: &[u8] = b" SETMETADATA ";
    token::command_tag(frame).is_ok_and(|(rest, _)| {
        rest.get(..NAME.len())
            .is_some_and(|name| name.eq_ignore_ascii_case(NAME))
    })
}

/// The tag of an unfinished command, if it has a valid one and the space behind it.
pub(crate) fn command_tag_of(frame: &[u8]) -> Option<crate::tag::Tag> {
    let (rest, tag) = token::command_tag(frame).ok()?;
    (rest.first() == Some(&b' ')).then_some(tag)
}
