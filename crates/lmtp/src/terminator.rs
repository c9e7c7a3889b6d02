//! Where a message ends: `CRLF . CRLF` (RFC 5321 section 4.1.1.4), and nothing else.
//!
//! A bare CR or LF never ends a line here, so no part of a message can pass for a command
//! ("SMTP smuggling"). The bytes are passed on as they came, dots still doubled.

/// Finds the end of a message in a stream of chunks.
#[derive(Debug, Default)]
pub struct Terminator {
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// At the start of a line; also at the start of the message.
    #[default]
    Start,
    /// Within a line.
    Line,
    /// After a CR.
    Cr,
    /// After a dot at the start of a line.
    Dot,
    /// After that dot and a CR.
    DotCr,
}

impl Terminator {
    /// Takes the next chunk; the number of its bytes that belong to the message, terminator
    /// included, once the end is in it.
    pub fn find(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < chunk.len() {
            if self.state == State::Line {
                // The bulk of every message goes through here.
                match memchr::memchr(b'\r', &chunk[at..]) {
                    Some(offset) => at += offset,
                    None => return None,
                }
            }
            self.state = match (self.state, chunk[at]) {
                (State::DotCr, b'\n') => {
                    self.state = State::Start;
                    return Some(at + 1);
                }
                (State::Start, b'.') => State::Dot,
                (State::Dot, b'\r') => State::DotCr,
                (State::Cr, b'\n') => State::Start,
                (_, b'\r') => State::Cr,
                _ => State::Line,
            };
            at += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The end as found when the text comes in chunks of `size`.
    fn end(text: &[u8], size: usize) -> Option<usize> {
        let mut terminator = Terminator::default();
        let mut before = 0;
        for chunk in text.chunks(size) {
            if let Some(at) = terminator.find(chunk) {
                return Some(before + at);
            }
            before += chunk.len();
        }
        None
    }

    #[test]
    fn only_crlf_dot_crlf_ends() {
        for (text, expected) in [
            (&b".\r\nQUIT"[..], Some(3)),
            (b"a\r\n.\r\n", Some(6)),
            (b"a\r\n..\r\n.\r\nb", Some(10)),
            (b"a\n.\r\n", None),
            (b"a\r.\r\n", None),
            (b"a\n.\n\r\n.\n", None),
            (b"a\r\n.\r\r\n.\r\n", Some(10)),
            (b"a\r\r\n.\r\n", Some(7)),
            (b"a\r\n.x\r\n.\r\n", Some(10)),
        ] {
            for size in 1..=text.len() {
                assert_eq!(end(text, size), expected, "{text:?} by {size}");
            }
        }
    }
}
