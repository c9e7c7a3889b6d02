//! Takes `Return-Path:` fields out of a message's header, since the final delivery makes its own
//! (RFC 5321 section 4.4).

use bytes::{Bytes, BytesMut};
use memchr::memchr;

/// In lower case.
const NAME: &[u8] = b"return-path";
/// The most of a line's beginning that is waited for: a name and blanks before its colon.
const MAX_HELD: usize = 64;

/// Removes the fields from a message that comes in chunks. What is kept of a chunk is a part of it,
/// and not copied, save where a field's name is cut in two by a chunk's end.
#[derive(Debug, Default)]
pub(super) struct ReturnPaths {
    state: State,
    /// The beginning of a line of which it is not known yet what it is.
    held: BytesMut,
    /// The field is one.
    dropping: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// At the start of a line of the header.
    #[default]
    Start,
    /// Within one.
    Line,
    /// Behind the header.
    Body,
}

/// What a line is, as far as its beginning says.
enum Line {
    ReturnPath,
    Other,
    /// Of the field before.
    Continuation,
    /// The end of the header.
    Empty,
}

impl Line {
    /// `None`: it has to be longer to say.
    fn of(begun: &[u8]) -> Option<Self> {
        match begun {
            [] | [b'\r'] => return None,
            [b' ' | b'\t', ..] => return Some(Self::Continuation),
            [b'\n', ..] | [b'\r', b'\n', ..] => return Some(Self::Empty),
            _ => {}
        }
        let name = &begun[..begun.len().min(NAME.len())];
        if !name.eq_ignore_ascii_case(&NAME[..name.len()]) {
            return Some(Self::Other);
        }
        let behind = begun[name.len()..].trim_ascii_start();
        match behind.first() {
            Some(b':') => Some(Self::ReturnPath),
            None if begun.len() < MAX_HELD => None,
            _ => Some(Self::Other),
        }
    }
}

impl ReturnPaths {
    /// What is kept of the chunk, in order.
    pub(super) fn strip(&mut self, mut chunk: Bytes) -> Vec<Bytes> {
        if self.state == State::Body {
            return vec![chunk];
        }
        if !self.held.is_empty() {
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(&chunk);
            chunk = joined.freeze();
        }
        let mut kept = Vec::new();
        // Where what is kept, and not yet in `kept`, begins.
        let mut from = 0;
        let mut at = 0;
        while at < chunk.len() {
            if self.state == State::Start {
                let Some(line) = Line::of(&chunk[at..]) else {
                    self.held = BytesMut::from(&chunk[at..]);
                    break;
                };
                let dropped = match line {
                    Line::ReturnPath => true,
                    Line::Other | Line::Empty => false,
                    Line::Continuation => self.dropping,
                };
                if dropped && !self.dropping && from < at {
                    kept.push(chunk.slice(from..at));
                }
                if self.dropping && !dropped {
                    from = at;
                }
                self.dropping = dropped;
                if matches!(line, Line::Empty) {
                    self.state = State::Body;
                    at = chunk.len();
                    break;
                }
                self.state = State::Line;
            }
            match memchr(b'\n', &chunk[at..]) {
                Some(end) => {
                    at += end + 1;
                    self.state = State::Start;
                }
                None => at = chunk.len(),
            }
        }
        if !self.dropping && from < at {
            kept.push(chunk.slice(from..at));
        }
        kept
    }

    /// What is left when the message is over.
    pub(super) fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held).freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(message: &str, chunk: usize) -> String {
        let mut paths = ReturnPaths::default();
        let mut kept = Vec::new();
        for chunk in message.as_bytes().chunks(chunk) {
            for part in paths.strip(Bytes::copy_from_slice(chunk)) {
                kept.extend_from_slice(&part);
            }
        }
        kept.extend_from_slice(&paths.finish());
        String::from_utf8_lossy(&kept).into_owned()
    }

    #[test]
    fn only_fields_of_the_header_go_however_they_come() {
        for (message, left) in [
            (
                "Return-Path: <a@b>\r\nSubject: x\r\n\r\nx\r\n",
                "Subject: x\r\n\r\nx\r\n",
            ),
            (
                "Subject: x\r\nRETURN-PATH \t: <a>\r\n\tb\r\n c\r\n\r\nx",
                "Subject: x\r\n\r\nx",
            ),
            (
                "Return-Path: <a>\r\nReturn-Path: <b>\r\nX: y\r\n z\r\nreturn-path:\r\n\r\n",
                "X: y\r\n z\r\n\r\n",
            ),
            ("Return-Path: <a>\r\n", ""),
            ("Return-Path: <a>", ""),
            // Of no header.
            ("\r\nReturn-Path: <a>\r\n", "\r\nReturn-Path: <a>\r\n"),
            (
                "X: y\r\n\r\nReturn-Path: <a>\r\n",
                "X: y\r\n\r\nReturn-Path: <a>\r\n",
            ),
            // Other names.
            (
                "Return-Path-X: a\r\nReturn-Pat: b\r\n\r\n",
                "Return-Path-X: a\r\nReturn-Pat: b\r\n\r\n",
            ),
            (
                "X: y\r\n Return-Path: <a>\r\n\r\n",
                "X: y\r\n Return-Path: <a>\r\n\r\n",
            ),
            ("Return-Path", "Return-Path"),
            ("\r", "\r"),
            ("", ""),
        ] {
            for chunk in 1..=message.len().max(1) {
                assert_eq!(stripped(message, chunk), left, "{message:?} by {chunk}");
            }
        }
    }

    #[test]
    fn a_name_without_an_end_is_not_waited_for() {
        let message = format!("Return-Path{}\r\n\r\n", " ".repeat(1000));
        assert_eq!(stripped(&message, 7), message);
    }
}
