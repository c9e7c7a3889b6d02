//! Where commands, responses and literals begin and end: the one place that decides it.
//!
//! A frontend relays octets that it has cut into commands, and a backend cuts them again before it
//! parses them. If the two disagreed, what is a literal to one would be a command to the other. So both
//! sides use [`CommandCutter`] for what a client sends and [`ResponseCutter`] for what a server sends.
//! Neither does I/O, and neither owns a buffer: they look at the front of the input, and their caller
//! takes away what it has been told about.

mod command;
mod response;
pub(crate) mod stream;

pub(crate) use command::NO_END;
pub use command::{CommandCutter, Cut, Refused};
pub use response::{NotImap, Piece, ResponseCutter};

use bytes::Bytes;

use crate::parse::{Announcement, literal_announcement};

/// A line without its line break.
pub(crate) fn without_break(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The literal that a line announces at its end. The line may have its line break, or have lost the
/// LF of it.
#[must_use]
pub fn announced(line: &[u8]) -> Option<Announcement> {
    literal_announcement(without_break(line))
}

/// The same octets, of a command without its last line break, with every literal announced as one
/// that nobody waits for: a server that refuses the command early must know that the octets are
/// coming all the same, or it would take them for commands. An announcement at the very end stays as
/// it is.
#[must_use]
pub fn without_waiting(octets: Bytes) -> Bytes {
    if memchr::memchr(b'\n', &octets).is_none() {
        return octets;
    }
    let mut out = Vec::with_capacity(octets.len() + 8);
    let mut rest = &octets[..];
    while let Some(newline) = memchr::memchr(b'\n', rest) {
        let (line, after) = rest.split_at(newline + 1);
        let line = without_break(line);
        // There is no other way for a line to end within a command.
        let literal = literal_announcement(line).and_then(|literal| literal.len);
        let len = usize::try_from(literal.unwrap_or(0)).unwrap_or(usize::MAX);
        let open = line.strip_suffix(b"}").unwrap_or(line);
        out.extend_from_slice(open.strip_suffix(b"+").unwrap_or(open));
        out.extend_from_slice(b"+}\r\n");
        let (literal, next) = after.split_at(len.min(after.len()));
        out.extend_from_slice(literal);
        rest = next;
    }
    out.extend_from_slice(rest);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_at_the_end_of_a_line() {
        let len = |line: &[u8]| announced(line).map(|literal| literal.len);
        assert_eq!(len(b"a {12}\r"), Some(Some(12)));
        assert_eq!(len(b"a {12+}\r\n"), Some(Some(12)));
        assert_eq!(len(b"~{0}"), Some(Some(0)));
        assert_eq!(len(b"a {}\r"), None);
        assert_eq!(len(b"a {x}\r"), None);
        assert_eq!(len(b"{99999999999999999999999}"), Some(None));
        assert_eq!(len(b"a {+12}\r"), None);
        assert_eq!(len(b"a {12++}\r"), None);
        assert_eq!(len(b"12}"), None);
    }

    #[test]
    fn servers_never_wait_for_literals() {
        let bytes = |octets: &'static [u8]| without_waiting(Bytes::from_static(octets));
        assert_eq!(
            bytes(b"TEXT {5}\r\nx{9}\n SUBJECT {2+}\r\n\r\n OR {1}\r\n\n"),
            &b"TEXT {5+}\r\nx{9}\n SUBJECT {2+}\r\n\r\n OR {1+}\r\n\n"[..]
        );
        assert_eq!(bytes(b"{3}\r\nfoo {10}"), &b"{3+}\r\nfoo {10}"[..]);
    }
}
