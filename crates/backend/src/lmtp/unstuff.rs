//! Takes back what transparency added: the dot before each line that begins with one (RFC 5321
//! section 4.5.2).

use bytes::{Bytes, BytesMut};
use memchr::memmem;

/// Removes doubled dots from a message that comes in chunks. Lines end with CRLF only, as for
/// [`murder_lmtp::Terminator`].
#[derive(Debug, Default)]
pub(super) struct Unstuffer {
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// At the start of a line.
    #[default]
    Start,
    /// Within one.
    Line,
    /// After a CR.
    Cr,
}

impl Unstuffer {
    /// The chunk without them; most have none, and are not copied.
    pub(super) fn unstuff(&mut self, mut chunk: Bytes) -> Bytes {
        // The line end that the chunk before left half done.
        if self.state == State::Cr && chunk.first() == Some(&b'\n') {
            match chunk.get(1) {
                None => {
                    self.state = State::Start;
                    return chunk;
                }
                Some(b'.') => {
                    let mut joined = BytesMut::with_capacity(chunk.len());
                    joined.extend_from_slice(b"\n");
                    joined.extend_from_slice(&self.lines(chunk.slice(2..)));
                    return joined.freeze();
                }
                Some(_) => {}
            }
        } else if self.state == State::Start && chunk.first() == Some(&b'.') {
            chunk = chunk.slice(1..);
        }
        self.lines(chunk)
    }

    /// The rest, whose first byte is no dot to be removed.
    fn lines(&mut self, chunk: Bytes) -> Bytes {
        self.state = match &chunk[..] {
            [] => State::Line,
            [.., b'\r', b'\n'] => State::Start,
            [.., b'\r'] => State::Cr,
            _ => State::Line,
        };
        let mut dots = memmem::find_iter(&chunk, b"\r\n.").map(|at| at + 2);
        let Some(first) = dots.next() else {
            return chunk;
        };
        let mut whole = BytesMut::with_capacity(chunk.len());
        let mut from = 0;
        for dot in std::iter::once(first).chain(dots) {
            whole.extend_from_slice(&chunk[from..dot]);
            from = dot + 1;
        }
        whole.extend_from_slice(&chunk[from..]);
        whole.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unstuffed(text: &[u8], size: usize) -> Vec<u8> {
        let mut unstuffer = Unstuffer::default();
        let chunks = text.chunks(size);
        chunks
            .flat_map(|chunk| unstuffer.unstuff(Bytes::copy_from_slice(chunk)))
            .collect()
    }

    #[test]
    fn only_dots_at_the_start_of_a_line() {
        for (stuffed, plain) in [
            (&b""[..], &b""[..]),
            (b"a.b\r\n..c\r\n", b"a.b\r\n.c\r\n"),
            (b"..\r\n..\r\n...\r\n", b".\r\n.\r\n..\r\n"),
            (b".a\r\n.\r.b", b"a\r\n\r.b"),
            (b"a\n..b\r..c\r\r\n..", b"a\n..b\r..c\r\r\n."),
            (b"\r\n..", b"\r\n."),
            (b"..\r\n.", b".\r\n"),
            (b".\r\n..\n..", b"\r\n.\n.."),
        ] {
            for size in 1..=stuffed.len().max(1) {
                let case = format!("{:?} by {size}", String::from_utf8_lossy(stuffed));
                assert_eq!(unstuffed(stuffed, size), plain, "{case}");
            }
        }
    }

    #[test]
    fn nothing_is_copied_without_need() {
        let chunk = Bytes::from_static(b"a line.\r\nanother\r\n");
        let same = Unstuffer::default().unstuff(chunk.clone());
        assert_eq!(same.as_ptr(), chunk.as_ptr());
    }
}
