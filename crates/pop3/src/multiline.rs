//! Messages in multi-line responses (RFC 1939 sections 3 and 11).
//!
//! Every line ends with CRLF there, also where the message has a bare LF: clients disagree
//! whether that ends a line, and one that thinks so would take `LF . LF` for the end of the
//! message. A bare CR is left as it is.

use memchr::{memchr, memchr_iter};

/// Writes a message that comes in chunks: with CRLF line ends, and a second dot before each line
/// that begins with one.
#[derive(Debug)]
pub struct Stuffer {
    line_start: bool,
    after_cr: bool,
}

impl Default for Stuffer {
    fn default() -> Self {
        Self {
            line_start: true,
            after_cr: false,
        }
    }
}

impl Stuffer {
    /// Writes the next chunk to `out`.
    pub fn push(&mut self, mut chunk: &[u8], out: &mut Vec<u8>) {
        out.reserve(chunk.len());
        while let Some(first) = chunk.first() {
            if self.line_start && *first == b'.' {
                out.push(b'.');
            }
            let Some(at) = memchr(b'\n', chunk) else {
                out.extend_from_slice(chunk);
                self.line_start = false;
                self.after_cr = chunk.last() == Some(&b'\r');
                return;
            };
            if is_bare(chunk, at, self.after_cr) {
                out.extend_from_slice(&chunk[..at]);
                out.extend_from_slice(b"\r\n");
            } else {
                out.extend_from_slice(&chunk[..=at]);
            }
            chunk = &chunk[at + 1..];
            self.line_start = true;
            self.after_cr = false;
        }
    }

    /// Ends the last line, if it has no end, and the response.
    pub fn finish(self, out: &mut Vec<u8>) {
        if !self.line_start {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

/// Counts the octets of a message as the client has it in the end: what [`Stuffer`] writes of
/// it, without the added dots and the last line.
#[derive(Debug, Default)]
pub struct Octets {
    count: u64,
    line: bool,
    after_cr: bool,
}

impl Octets {
    /// Counts the next chunk.
    pub fn push(&mut self, chunk: &[u8]) {
        let Some(last) = chunk.last() else { return };
        let bare = memchr_iter(b'\n', chunk)
            .filter(|at| is_bare(chunk, *at, self.after_cr))
            .count();
        self.count += (chunk.len() + bare) as u64;
        self.line = *last != b'\n';
        self.after_cr = *last == b'\r';
    }

    /// The sum.
    #[must_use]
    pub const fn finish(self) -> u64 {
        match self.line {
            true => self.count + 2,
            false => self.count,
        }
    }
}

/// Whether the LF at `at` has no CR before it; `after_cr`: the chunk before ended with one.
fn is_bare(chunk: &[u8], at: usize, after_cr: bool) -> bool {
    match at.checked_sub(1) {
        Some(before) => chunk[before] != b'\r',
        None => !after_cr,
    }
}

/// The part of `chunk` within the next `left` lines, which are counted off.
pub fn first_lines<'a>(chunk: &'a [u8], left: &mut u32) -> &'a [u8] {
    if *left == 0 {
        return &[];
    }
    for at in memchr_iter(b'\n', chunk) {
        *left -= 1;
        if *left == 0 {
            return &chunk[..=at];
        }
    }
    chunk
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sent(message: &[u8], size: usize) -> Vec<u8> {
        let mut stuffer = Stuffer::default();
        let mut out = Vec::new();
        for chunk in message.chunks(size.max(1)) {
            stuffer.push(chunk, &mut out);
        }
        stuffer.finish(&mut out);
        out
    }

    fn octets(message: &[u8], size: usize) -> u64 {
        let mut octets = Octets::default();
        for chunk in message.chunks(size.max(1)) {
            octets.push(chunk);
        }
        octets.finish()
    }

    #[test]
    fn lines_and_dots() {
        for (message, wanted) in [
            (&b""[..], &b".\r\n"[..]),
            (b"a", b"a\r\n.\r\n"),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a\n", b"a\r\n.\r\n"),
            (b".\r\n", b"..\r\n.\r\n"),
            (b".", b"..\r\n.\r\n"),
            (b"a\n.\nb", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\r\n..b\r\n", b"a\r\n...b\r\n.\r\n"),
            (b"a\r.\r\n", b"a\r.\r\n.\r\n"),
            (b"a\r", b"a\r\r\n.\r\n"),
            (b"\n\n", b"\r\n\r\n.\r\n"),
            (b"a\r\r\n.", b"a\r\r\n..\r\n.\r\n"),
        ] {
            for size in 1..=message.len().max(1) {
                let case = format!("{:?} by {size}", String::from_utf8_lossy(message));
                assert_eq!(sent(message, size), wanted, "{case}");
            }
        }
    }

    #[test]
    fn so_many_lines() {
        for (lines, wanted) in [
            (0, &b""[..]),
            (1, b"a\r\n"),
            (2, b"a\r\n\n"),
            (3, b"a\r\n\nc"),
            (u32::MAX, b"a\r\n\nc"),
        ] {
            for size in 1..=6 {
                let mut left = lines;
                let chunks = b"a\r\n\nc".chunks(size);
                let got = chunks.flat_map(|chunk| first_lines(chunk, &mut left));
                assert_eq!(got.copied().collect::<Vec<u8>>(), wanted);
            }
        }
    }

    /// What a client makes of it: lines up to the one with a single dot, dots taken back.
    fn received(response: &[u8]) -> Option<Vec<u8>> {
        let mut message = Vec::new();
        let mut rest = response;
        loop {
            let end = memchr(b'\n', rest)?;
            let line = &rest[..=end];
            rest = &rest[end + 1..];
            if !line.ends_with(b"\r\n") {
                return None;
            }
            if line == b".\r\n" {
                return rest.is_empty().then_some(message);
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
    }

    proptest! {
        #[test]
        fn a_client_gets_the_message(
            message in proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), any::<u8>()],
                0..64,
            ),
            size in 1_usize..9,
        ) {
            let got = received(&sent(&message, size));
            prop_assert!(got.is_some());
            let got = got.unwrap_or_default();
            prop_assert_eq!(got.len() as u64, octets(&message, size));
            // The same but for line ends.
            let plain = |bytes: &[u8]| -> Vec<u8> {
                let kept = bytes.iter().filter(|byte| !b"\r\n".contains(*byte));
                kept.copied().collect()
            };
            prop_assert_eq!(plain(&got), plain(&message));
        }
    }
}
