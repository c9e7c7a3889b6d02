//! Cutting what a client sends into lines, for the protocols whose commands are lines: LMTP, POP3.

use bytes::{Bytes, BytesMut};
use memchr::memchr;

/// A line above the limit. It has been passed over; the next one can be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// Cuts lines off the front of a buffer. Of a line that is too long, nothing is kept.
#[derive(Debug)]
pub struct LineCutter {
    max: usize,
    skipping: bool,
}

impl LineCutter {
    /// For lines of at most `max` octets, their line break included.
    pub const fn new(max: usize) -> Self {
        Self {
            max,
            skipping: false,
        }
    }

    /// The next line that is in `input` whole, without its line break.
    pub fn cut(&mut self, input: &mut BytesMut) -> Option<Result<Bytes, TooLong>> {
        let Some(at) = memchr(b'\n', input) else {
            if input.len() > self.max {
                self.skipping = true;
                input.clear();
            }
            return None;
        };
        let mut line = input.split_to(at + 1);
        if std::mem::take(&mut self.skipping) || line.len() > self.max {
            return Some(Err(TooLong));
        }
        line.truncate(at);
        if line.last() == Some(&b'\r') {
            line.truncate(at - 1);
        }
        Some(Ok(line.freeze()))
    }

    /// Whether the line that is coming is too long already.
    pub const fn is_skipping(&self) -> bool {
        self.skipping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_however_they_come() {
        let sent = b"one\r\ntwo\n\r\n\n0123456789\r\nfour\rx\r\n01234567\r\nlast";
        let wanted = [
            Ok(Bytes::from_static(b"one")),
            Ok(Bytes::from_static(b"two")),
            Ok(Bytes::new()),
            Ok(Bytes::new()),
            Err(TooLong),
            Ok(Bytes::from_static(b"four\rx")),
            Ok(Bytes::from_static(b"01234567")),
        ];
        for size in 1..=sent.len() {
            let mut cutter = LineCutter::new(10);
            let mut input = BytesMut::new();
            let mut lines = Vec::new();
            for chunk in sent.chunks(size) {
                input.extend_from_slice(chunk);
                while let Some(line) = cutter.cut(&mut input) {
                    lines.push(line);
                }
            }
            assert_eq!(lines, wanted, "by {size}");
            assert_eq!(&input[..], b"last");
        }
    }

    #[test]
    fn nothing_of_an_endless_line_is_kept() {
        let mut cutter = LineCutter::new(10);
        let mut input = BytesMut::new();
        for _ in 0..100 {
            input.extend_from_slice(b"0123456");
            assert_eq!(cutter.cut(&mut input), None);
            assert!(input.len() <= 10);
        }
        assert!(cutter.is_skipping());
        input.extend_from_slice(b"\nnext\n");
        assert_eq!(cutter.cut(&mut input), Some(Err(TooLong)));
        assert_eq!(
            cutter.cut(&mut input),
            Some(Ok(Bytes::from_static(b"next")))
        );
    }
}
