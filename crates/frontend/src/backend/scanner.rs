//! Finds its way through what a backend sends, without holding it.
//!
//! An untagged answer of any length goes by in pieces as it arrives; only lines that must be
//! read whole (tagged, status and continuation lines) are waited for. Nothing here does I/O.

use std::ops::Range;

use memchr::memchr;
use murder_imap::{ANNOUNCEMENT_MAX, literal_announcement};

/// The longest status, tagged or continuation line: response code and text. Those of a backend
/// hold at most a COPYUID with two UID sets, of a million messages that do not follow each other.
const MAX_STATUS_LINE: usize = 32 * 1024 * 1024;
/// A data line longer than this goes by in pieces. Shorter ones only when complete, so that
/// a backend lost between two lines leaves the client with whole lines.
const STREAM_ABOVE: usize = 16 * 1024;
/// What must be seen to know what a line is: `* CAPABILITY `.
const KEYWORD: usize = 16;

/// What stands at the front of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// More input is needed.
    More,
    /// `len` bytes of an untagged answer. `first`: it begins here; `last`: it ends here.
    Untagged { len: usize, first: bool, last: bool },
    /// A whole line `* OK …`, `* NO …`, `* BAD …`, `* BYE …` or `* PREAUTH …`.
    Status { len: usize },
    /// A whole line `+ …`.
    Continuation { len: usize },
    /// A whole line that starts with a tag.
    Tagged { len: usize },
}

/// The peer does not speak IMAP, or a line of it has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("backend sent something that is no IMAP answer")]
pub(crate) struct ScanError;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Between answers.
    #[default]
    Between,
    /// In a line of an untagged answer.
    InLine,
    /// In a literal of an untagged answer, with so many bytes to come.
    InLiteral(u64),
}

/// Where in the backend's output we are.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    state: State,
    /// So much of a line that must be whole was searched for its end: it may come in many pieces.
    searched: usize,
}

impl Scanner {
    /// Whether the last answer that began has also ended.
    pub(crate) fn is_between(&self) -> bool {
        self.state == State::Between
    }

    /// Looks at the front of `input`. The caller takes the bytes that it is told away before
    /// it asks again.
    pub(crate) fn next(&mut self, input: &[u8]) -> Result<Piece, ScanError> {
        if input.is_empty() {
            return Ok(Piece::More);
        }
        match self.state {
            State::Between => match input[0] {
                b'*' => {
                    let newline = self.line_end(input);
                    if newline.is_none() && input.len() < KEYWORD {
                        return Ok(Piece::More);
                    }
                    if is_status(input) {
                        return self.whole(newline, input, |len| Piece::Status { len });
                    }
                    self.searched = 0;
                    self.in_line(newline, input, true)
                }
                b'+' => {
                    let newline = self.line_end(input);
                    self.whole(newline, input, |len| Piece::Continuation { len })
                }
                c if c.is_ascii_alphanumeric() => {
                    let newline = self.line_end(input);
                    self.whole(newline, input, |len| Piece::Tagged { len })
                }
                _ => Err(ScanError),
            },
            State::InLine => self.in_line(memchr(b'\n', input), input, false),
            State::InLiteral(left) => {
                let len = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                self.state = match left - len as u64 {
                    0 => State::InLine,
                    left => State::InLiteral(left),
                };
                Ok(Piece::Untagged {
                    len,
                    first: false,
                    last: false,
                })
            }
        }
    }

    /// The end of command `tag`, when the input begins with it and it has no response code, which
    /// may be for frontends only: where in the input its status and text are, CRLF included.
    pub(crate) fn plain_end(&self, input: &[u8], tag: u32) -> Option<Range<usize>> {
        let (number, line) = match self.is_between() {
            true => input
                .strip_prefix(b"f")?
                .split_at_checked(memchr(b' ', input)? - 1)?,
            false => return None,
        };
        let number = std::str::from_utf8(number).ok()?;
        let line = &line[1..];
        let statuses = [&b"OK "[..], b"NO ", b"BAD "];
        let text = statuses
            .iter()
            .find_map(|status| line.strip_prefix(*status))?;
        if number.parse() != Ok(tag) || matches!(text.first()?, b'[' | b'\r') {
            return None;
        }
        let length = memchr(b'\n', line).filter(|at| line[..*at].ends_with(b"\r"))? + 1;
        let start = input.len() - line.len();
        Some(start..start + length)
    }

    /// Where the line at the front of `input` ends.
    fn line_end(&self, input: &[u8]) -> Option<usize> {
        let from = self.searched.min(input.len());
        memchr(b'\n', &input[from..]).map(|at| from + at)
    }

    fn whole(
        &mut self,
        newline: Option<usize>,
        input: &[u8],
        piece: impl Fn(usize) -> Piece,
    ) -> Result<Piece, ScanError> {
        match newline {
            Some(at) if at < MAX_STATUS_LINE => {
                self.searched = 0;
                Ok(piece(at + 1))
            }
            None if input.len() < MAX_STATUS_LINE => {
                self.searched = input.len();
                Ok(Piece::More)
            }
            _ => Err(ScanError),
        }
    }

    fn in_line(
        &mut self,
        newline: Option<usize>,
        input: &[u8],
        first: bool,
    ) -> Result<Piece, ScanError> {
        let Some(newline) = newline else {
            if input.len() <= STREAM_ABOVE {
                return Ok(Piece::More);
            }
            self.state = State::InLine;
            return Ok(Piece::Untagged {
                len: input.len() - ANNOUNCEMENT_MAX,
                first,
                last: false,
            });
        };
        let len = newline + 1;
        let literal = literal_at_end(&input[..newline]);
        self.state = match literal {
            Some(0) => State::InLine,
            Some(octets) => State::InLiteral(octets),
            None => State::Between,
        };
        Ok(Piece::Untagged {
            len,
            first,
            last: literal.is_none(),
        })
    }
}

/// Whether `* …` is a status response, whose text may hold anything, also what looks like a
/// literal.
fn is_status(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"* ") else {
        return false;
    };
    let word = rest
        .iter()
        .position(|b| !b.is_ascii_alphabetic())
        .map_or(rest, |end| &rest[..end]);
    [&b"OK"[..], b"NO", b"BAD", b"BYE", b"PREAUTH"]
        .iter()
        .any(|status| word.eq_ignore_ascii_case(status))
}

/// The size of the literal that a line (without its LF) announces at its end; `u64::MAX` of one
/// above 63 bits.
pub(crate) fn literal_at_end(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let announced = literal_announcement(line)?;
    Some(announced.len.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// All pieces when the input arrives in chunks of `size`, untagged answers put together.
    fn scan(text: &[u8], size: usize) -> Vec<(char, String)> {
        let mut scanner = Scanner::default();
        let mut buffer: Vec<u8> = Vec::new();
        let mut answers: Vec<(char, String)> = Vec::new();
        for chunk in text.chunks(size) {
            buffer.extend_from_slice(chunk);
            loop {
                let (kind, len, first) = match scanner.next(&buffer).unwrap() {
                    Piece::More => break,
                    Piece::Untagged { len, first, .. } => ('*', len, first),
                    Piece::Status { len } => ('s', len, true),
                    Piece::Continuation { len } => ('+', len, true),
                    Piece::Tagged { len } => ('t', len, true),
                };
                let bytes: Vec<u8> = buffer.drain(..len).collect();
                let bytes = String::from_utf8(bytes).unwrap();
                if first {
                    answers.push((kind, bytes));
                } else {
                    answers.last_mut().unwrap().1.push_str(&bytes);
                }
            }
        }
        assert!(scanner.is_between() && buffer.is_empty());
        answers
    }

    #[test]
    fn answers_are_told_apart_however_they_arrive() {
        let parts = [
            ('*', "* 23 EXISTS\r\n"),
            ('*', "* 1 FETCH (BODY[] {7}\r\nf1 OK\r\n FLAGS ())\r\n"),
            ('*', "* 2 FETCH (BINARY[1] ~{0}\r\n BODY[] {2}\r\nhi)\r\n"),
            ('s', "* OK [UNSEEN 3] looks like {12}\r\n"),
            ('*', "* OKAY\r\n"),
            ('+', "+ idling\r\n"),
            ('t', "f1 OK [COPYUID 1 2 3] done {3}\r\n"),
            ('s', "* BYE\r\n"),
        ];
        let text: String = parts.iter().map(|(_, t)| *t).collect();
        let expected: Vec<(char, String)> =
            parts.iter().map(|(c, t)| (*c, (*t).to_owned())).collect();
        for size in 1..text.len() {
            assert_eq!(scan(text.as_bytes(), size), expected, "by {size}");
        }
    }

    #[test]
    fn a_long_line_goes_by_in_pieces() {
        let mut text = format!("* 1 FETCH (ENVELOPE (\"{}\" ", "x".repeat(100_000));
        text.push_str("{3}\r\nabc))\r\n");
        assert_eq!(scan(text.as_bytes(), 1000), [('*', text.clone())]);
        let mut scanner = Scanner::default();
        let piece = scanner.next(&text.as_bytes()[..20_000]).unwrap();
        assert_eq!(
            piece,
            Piece::Untagged {
                len: 20_000 - ANNOUNCEMENT_MAX,
                first: true,
                last: false
            }
        );
    }

    #[test]
    fn the_plain_end_of_a_command() {
        let end = |text: &str, tag| {
            let end = Scanner::default().plain_end(text.as_bytes(), tag);
            end.map(|end| text[end].to_owned())
        };
        assert_eq!(
            end("f12 OK done\r\n* 1 EXISTS\r\n", 12).unwrap(),
            "OK done\r\n"
        );
        assert_eq!(end("f1 BAD what?\r\n", 1).unwrap(), "BAD what?\r\n");
        for other in [
            "",
            "f",
            "f12",
            "f12 ",
            "f12 OK",
            "f12 OK do",
            "f12 OK \r\n",
            "f12 OK\r\n",
            "f12 OK bare\n",
            "f12 OK [X-REVISION 1] done\r\n",
            "f12 BYE done\r\n",
            "f13 OK done\r\n",
            "f OK done\r\n",
            " OK done\r\n",
            "* 1 FETCH (FLAGS ())\r\n",
        ] {
            assert_eq!(end(other, 12), None, "{other:?}");
        }
        let mut within = Scanner::default();
        within.next(b"* 1 FETCH (BODY[] {13}\r\n").unwrap();
        assert_eq!(within.plain_end(b"f12 OK done\r\n)\r\n", 12), None);
    }

    #[test]
    fn endless_status_lines_and_garbage_are_refused() {
        let mut scanner = Scanner::default();
        let line = format!("f1 OK {}", "x".repeat(MAX_STATUS_LINE));
        assert_eq!(scanner.next(line.as_bytes()), Err(ScanError));
        assert_eq!(scanner.next(b"\x16\x03\x01"), Err(ScanError));
    }

    #[test]
    fn literals_at_the_end_of_a_line() {
        assert_eq!(literal_at_end(b"a {12}\r"), Some(12));
        assert_eq!(literal_at_end(b"a {12+}\r"), Some(12));
        assert_eq!(literal_at_end(b"~{0}"), Some(0));
        assert_eq!(literal_at_end(b"a {}\r"), None);
        assert_eq!(literal_at_end(b"a {x}\r"), None);
        assert_eq!(literal_at_end(b"{99999999999999999999999}"), Some(u64::MAX));
        assert_eq!(literal_at_end(b"a {+12}\r"), None);
        assert_eq!(literal_at_end(b"a {12++}\r"), None);
        assert_eq!(literal_at_end(b"12}"), None);
    }
}
