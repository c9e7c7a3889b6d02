//! Finds its way through what a server sends, without holding it.
//!
//! An untagged response of any length goes by in pieces as it arrives; only lines that must be
//! read whole (tagged, status and continuation lines) are waited for.

use memchr::memchr;

use super::announced;
use crate::lexical::is_tag_char;
use crate::parse::ANNOUNCEMENT_MAX;

/// The longest status, tagged or continuation line: response code and text. Those of a server of
/// the murder hold at most a COPYUID with two UID sets, of a million messages that do not follow each other.
const MAX_STATUS_LINE: usize = 32 * 1024 * 1024;
/// A data line longer than this goes by in pieces. Shorter ones only when complete, so that
/// a server lost between two lines leaves the client with whole lines.
const STREAM_ABOVE: usize = 16 * 1024;
/// What must be seen to know what a line is: `* CAPABILITY `.
const KEYWORD: usize = 16;

/// What stands at the front of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// More input is needed.
    More,
    /// Octets of an untagged response.
    Untagged {
        /// How many.
        len: usize,
        /// It begins here.
        first: bool,
        /// It ends here.
        last: bool,
    },
    /// A whole line `* OK …`, `* NO …`, `* BAD …`, `* BYE …` or `* PREAUTH …`.
    Status {
        /// Its octets.
        len: usize,
    },
    /// A whole line `+ …`.
    Continuation {
        /// Its octets.
        len: usize,
    },
    /// A whole line that starts with a tag.
    Tagged {
        /// Its octets.
        len: usize,
    },
}

/// The server does not speak IMAP, or a line of it has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an IMAP response")]
pub struct NotImap;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Between responses.
    #[default]
    Between,
    /// In a line of an untagged response.
    InLine,
    /// In a literal of an untagged response, with so many bytes to come.
    InLiteral(u64),
}

/// Cuts a server's octets into responses and pieces of them.
#[derive(Debug, Default)]
pub struct ResponseCutter {
    state: State,
    /// So much of a line that must be whole was searched for its end: it may come in many pieces.
    searched: usize,
}

impl ResponseCutter {
    /// Whether the last response that began has also ended.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.state == State::Between
    }

    /// Octets of the current literal that are still to come; 0 outside of one.
    #[must_use]
    pub fn literal_left(&self) -> u64 {
        match self.state {
            State::InLiteral(left) => left,
            State::Between | State::InLine => 0,
        }
    }

    /// Looks at the front of `input`. The caller takes the octets that it is told about away before
    /// it asks again.
    ///
    /// # Errors
    /// The server does not speak IMAP.
    pub fn next(&mut self, input: &[u8]) -> Result<Piece, NotImap> {
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
                c if is_tag_char(c) => {
                    let newline = self.line_end(input);
                    self.whole(newline, input, |len| Piece::Tagged { len })
                }
                _ => Err(NotImap),
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
    ) -> Result<Piece, NotImap> {
        match newline {
            Some(at) if at < MAX_STATUS_LINE => {
                self.searched = 0;
                Ok(piece(at + 1))
            }
            None if input.len() < MAX_STATUS_LINE => {
                self.searched = input.len();
                Ok(Piece::More)
            }
            _ => Err(NotImap),
        }
    }

    fn in_line(
        &mut self,
        newline: Option<usize>,
        input: &[u8],
        first: bool,
    ) -> Result<Piece, NotImap> {
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
        let literal = announced(&input[..len]);
        // One above 63 bits never ends.
        self.state = match literal.map(|literal| literal.len.unwrap_or(u64::MAX)) {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// All pieces when the input arrives in chunks of `size`, untagged responses put together.
    fn scan(text: &[u8], size: usize) -> Vec<(char, String)> {
        let mut cutter = ResponseCutter::default();
        let mut buffer: Vec<u8> = Vec::new();
        let mut answers: Vec<(char, String)> = Vec::new();
        for chunk in text.chunks(size) {
            buffer.extend_from_slice(chunk);
            loop {
                let (kind, len, first) = match cutter.next(&buffer).unwrap() {
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
        assert!(cutter.is_between() && buffer.is_empty());
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
        let mut cutter = ResponseCutter::default();
        let piece = cutter.next(&text.as_bytes()[..20_000]).unwrap();
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
    fn the_permanent_flags_of_a_mailbox_full_of_keywords_are_a_line() {
        let names: Vec<String> = (0..1024).map(|n| format!("k{n:0>254}")).collect();
        let line = format!("* OK [PERMANENTFLAGS ({})] Flags\r\n", names.join(" "));
        let mut cutter = ResponseCutter::default();
        let len = line.len();
        assert_eq!(cutter.next(line.as_bytes()), Ok(Piece::Status { len }));
    }

    #[test]
    fn endless_status_lines_and_garbage_are_refused() {
        let mut cutter = ResponseCutter::default();
        let line = format!("f1 OK {}", "x".repeat(MAX_STATUS_LINE));
        assert_eq!(cutter.next(line.as_bytes()), Err(NotImap));
        assert_eq!(cutter.next(b"\x16\x03\x01"), Err(NotImap));
    }
}
