//! The client's connection: whole commands out of its bytes, answers into them.
//!
//! A command is put together in memory, literals included, up to a bound; only APPEND's
//! message is left in the stream, for whoever handles APPEND to pass on as it comes.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;
use murder_imap::ANNOUNCEMENT_MAX;
use murder_imap::server::Limits;
use murder_net::Stream;

use crate::backend::scanner::literal_at_end;
use crate::wire::Wire;

/// What the client has sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Not yet a whole command.
    More,
    /// The client waits for `+` before it sends a literal; call [`Client::go_ahead`].
    WantsGoAhead,
    /// A whole command, CRLF included.
    Command(Bytes),
    /// An APPEND up to and with the line that announces the message.
    Append(Bytes, Literal),
    /// A command that breaks a bound. It is being skipped; the bytes are its beginning.
    TooLarge(Bytes),
    /// More would have to be skipped than the limits allow: nothing more can be understood.
    Lost,
}

/// A literal as it was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Literal {
    /// Its size.
    pub octets: u64,
    /// The client waits for `+` (no LITERAL+).
    pub synchronising: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skip {
    /// To the end of the line and, if it announces a literal, beyond.
    Line,
    /// So many octets, then the rest of the line.
    Octets(u64),
}

/// A client and its unfinished command.
pub(crate) struct Client {
    /// The connection.
    pub wire: Wire,
    limits: Limits,
    /// Where in the input the line that is looked at begins.
    line: usize,
    /// Up to where it has been searched for its end.
    searched: usize,
    /// The go-ahead for the literal at the end of the line has been given.
    gone_ahead: bool,
    skip: Option<Skip>,
    /// Octets that may still be skipped for the command that is being skipped; `None` once more
    /// would have to be.
    skippable: Option<u64>,
}

impl Client {
    /// Over `stream`, with commands as `limits` has them (but for APPEND's message, which the
    /// caller looks at) and room for `high_water` octets of answers.
    pub(crate) fn new(stream: Stream, limits: Limits, high_water: usize) -> Self {
        Self::over(Wire::new(stream, high_water), limits)
    }

    /// One that is not connected: its input is put into it.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn unconnected(limits: Limits) -> Self {
        Self::over(Wire::unconnected(), limits)
    }

    fn over(wire: Wire, limits: Limits) -> Self {
        Self {
            wire,
            limits,
            line: 0,
            searched: 0,
            gone_ahead: false,
            skip: None,
            skippable: Some(0),
        }
    }

    /// Other limits, from the next command on.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The stream, for STARTTLS; whatever was pipelined behind the command is dropped.
    pub(crate) fn take_stream(&mut self) -> std::io::Result<Stream> {
        self.line = 0;
        self.searched = 0;
        self.gone_ahead = false;
        self.skip = None;
        self.wire.take_stream()
    }

    /// Takes the next command out of the input.
    pub(crate) fn next(&mut self) -> Input {
        if !self.skip_on() {
            return match self.skippable {
                Some(_) => Input::More,
                None => Input::Lost,
            };
        }
        loop {
            let input = &self.wire.input;
            let Some(end) = memchr(b'\n', &input[self.searched.min(input.len())..])
                .map(|at| self.searched + at + 1)
            else {
                self.searched = input.len();
                if input.len() > self.limits.command {
                    return self.too_large(Skip::Line);
                }
                return Input::More;
            };
            if end > self.limits.command {
                return self.too_large(Skip::Line);
            }
            let Some(literal) = literal(&input[self.line..end]) else {
                return Input::Command(self.take(end));
            };
            if announces_message(&input[..end]) {
                return Input::Append(self.take(end), literal);
            }
            let fits = usize::try_from(literal.octets)
                .ok()
                .and_then(|octets| end.checked_add(octets))
                .filter(|total| *total <= self.limits.command);
            let Some(next_line) = fits else {
                if literal.synchronising && !self.gone_ahead {
                    // The client will not send it; its next line is another command.
                    return Input::TooLarge(self.take(end));
                }
                let tag = self.take(end);
                self.start_skip(Skip::Octets(literal.octets));
                return Input::TooLarge(tag);
            };
            if literal.synchronising && !self.gone_ahead {
                // Found again at the next call.
                self.searched = end - 1;
                return Input::WantsGoAhead;
            }
            if self.wire.input.len() < next_line {
                self.searched = end - 1;
                return Input::More;
            }
            self.gone_ahead = false;
            self.line = next_line;
            self.searched = next_line;
        }
    }

    /// Tells the client to send the literal that it has announced.
    pub(crate) fn go_ahead(&mut self) {
        self.gone_ahead = true;
        self.wire.put(b"+ Go ahead\r\n");
    }

    /// One line as it comes, without its CRLF: DONE, or a step of AUTHENTICATE. `None`
    /// until it is there; an overlong one comes as an empty line.
    pub(crate) fn next_line(&mut self) -> Option<Bytes> {
        if !self.skip_on() {
            return match self.skippable {
                Some(_) => None,
                None => Some(Bytes::new()),
            };
        }
        match memchr(b'\n', &self.wire.input) {
            Some(at) => {
                let line = self.take(at + 1);
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                Some(Bytes::copy_from_slice(
                    line.strip_suffix(b"\r").unwrap_or(line),
                ))
            }
            None if self.wire.input.len() > self.limits.command => {
                let _ = self.too_large(Skip::Line);
                Some(Bytes::new())
            }
            None => None,
        }
    }

    /// Passes over an APPEND's message of so many octets and the line end behind it, as far
    /// as they are there at once and as they come for the rest.
    pub(crate) fn skip_message(&mut self, octets: u64) {
        self.start_skip(Skip::Octets(octets));
    }

    /// Passes over the literal that `line` announces without waiting to be asked for it.
    pub(crate) fn skip_announced(&mut self, line: &[u8]) {
        if let Some(literal) = literal(line)
            && !literal.synchronising
        {
            self.start_skip(Skip::Octets(literal.octets));
        }
    }

    /// Begins to skip (the rest of) a refused command.
    fn start_skip(&mut self, skip: Skip) {
        let octets = match skip {
            Skip::Line => 0,
            Skip::Octets(octets) => octets,
        };
        self.skip = Some(skip);
        self.skippable = self.limits.skipped().checked_sub(octets);
    }

    /// The line behind a message of so many octets, without its CRLF, once both are in the
    /// input; they stay there. An overlong line comes cut off.
    pub(crate) fn message_and_line(&self, octets: u64) -> Option<Bytes> {
        let start = usize::try_from(octets).ok()?;
        let rest = self.wire.input.get(start..)?;
        let line = match memchr(b'\n', rest) {
            Some(at) => &rest[..at],
            None if rest.len() > self.limits.command => rest,
            None => return None,
        };
        Some(Bytes::copy_from_slice(
            line.strip_suffix(b"\r").unwrap_or(line),
        ))
    }

    fn take(&mut self, end: usize) -> Bytes {
        self.line = 0;
        self.searched = 0;
        self.gone_ahead = false;
        if end > self.wire.input.len() / 2 {
            // Alone in the buffer, more or less: no copy.
            return self.wire.input.split_to(end).freeze();
        }
        let bytes = Bytes::copy_from_slice(&self.wire.input[..end]);
        self.wire.input.advance(end);
        bytes
    }

    fn too_large(&mut self, skip: Skip) -> Input {
        /// Enough for a tag and a command's name.
        const HEAD: usize = 128;
        let head = Bytes::copy_from_slice(&self.wire.input[..self.wire.input.len().min(HEAD)]);
        let line = self.line;
        self.wire.input.advance(line);
        self.line = 0;
        self.searched = 0;
        self.gone_ahead = false;
        self.start_skip(skip);
        Input::TooLarge(head)
    }

    /// Whether nothing (more) is to be skipped.
    fn skip_on(&mut self) -> bool {
        loop {
            let input: &mut BytesMut = &mut self.wire.input;
            if self.skippable.is_none() {
                // Nothing more is heard.
                input.clear();
                return false;
            }
            match self.skip {
                None => return true,
                Some(Skip::Octets(octets)) => {
                    let here = usize::try_from(octets).map_or(input.len(), |o| o.min(input.len()));
                    input.advance(here);
                    match octets - here as u64 {
                        0 => self.skip = Some(Skip::Line),
                        left => {
                            self.skip = Some(Skip::Octets(left));
                            return false;
                        }
                    }
                }
                Some(Skip::Line) => {
                    let end = memchr(b'\n', input);
                    // What is kept may announce a literal.
                    let passed = match end {
                        Some(at) => at + 1,
                        None => input.len().saturating_sub(ANNOUNCEMENT_MAX),
                    };
                    let literal = end.and_then(|at| literal(&input[..=at]));
                    input.advance(passed);
                    let literal = literal.filter(|literal| !literal.synchronising);
                    let octets = literal.map_or(0, |literal| literal.octets);
                    let passed = octets.saturating_add(passed as u64);
                    self.skippable = self.skippable.and_then(|left| left.checked_sub(passed));
                    if end.is_none() {
                        return false;
                    }
                    self.skip = literal.map(|literal| Skip::Octets(literal.octets));
                }
            }
        }
    }
}

/// The literal that a line announces at its end.
fn literal(line: &[u8]) -> Option<Literal> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let octets = literal_at_end(line)?;
    Some(Literal {
        octets,
        synchronising: !line.strip_suffix(b"\r").unwrap_or(line).ends_with(b"+}"),
    })
}

/// Whether the literal at the end of `command` is APPEND's message: any but one that stands
/// for the mailbox name, right after the command's own name.
fn announces_message(command: &[u8]) -> bool {
    let mut words = command.splitn(3, |b| *b == b' ');
    let (Some(_), Some(name), Some(arguments)) = (words.next(), words.next(), words.next()) else {
        return false;
    };
    // A name given as a literal takes the first line for itself.
    let first_line = memchr(b'\n', arguments).is_some_and(|at| at + 1 == arguments.len());
    name.eq_ignore_ascii_case(b"APPEND") && !(arguments.starts_with(b"{") && first_line)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A client whose connection is not used.
    async fn client() -> Client {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = Stream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let limits = Limits {
            command: 1000,
            append: 1_000_000,
        };
        Client::new(stream, limits, 1000)
    }

    /// What comes out when `text` goes in by chunks of `size`, with a go-ahead whenever
    /// asked for.
    async fn feed(text: &[u8], size: usize) -> Vec<Input> {
        let mut client = client().await;
        let mut out = Vec::new();
        for chunk in text.chunks(size) {
            client.wire.input.extend_from_slice(chunk);
            loop {
                match client.next() {
                    Input::More => break,
                    Input::Lost => {
                        out.push(Input::Lost);
                        return out;
                    }
                    Input::WantsGoAhead => {
                        client.go_ahead();
                        out.push(Input::WantsGoAhead);
                    }
                    other => out.push(other),
                }
            }
        }
        out
    }

    fn command(text: &'static str) -> Input {
        Input::Command(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn commands_however_they_arrive() {
        let text = b"a NOOP\r\nb LOGIN {3+}\r\nb{b {2}\r\nxx\r\nc NOOP\n";
        for size in 1..=text.len() {
            assert_eq!(
                feed(text, size).await,
                [
                    command("a NOOP\r\n"),
                    Input::WantsGoAhead,
                    command("b LOGIN {3+}\r\nb{b {2}\r\nxx\r\n"),
                    command("c NOOP\n"),
                ],
                "by {size}"
            );
        }
    }

    #[tokio::test]
    async fn the_message_of_an_append_stays_in_the_stream() {
        let message = |text: &'static str, octets, synchronising| {
            Input::Append(
                Bytes::from_static(text.as_bytes()),
                Literal {
                    octets,
                    synchronising,
                },
            )
        };
        for (text, expected) in [
            (
                "a APPEND x {10}\r\n",
                message("a APPEND x {10}\r\n", 10, true),
            ),
            (
                "a append \"{3}\" (\\Seen) {10+}\r\n",
                message("a append \"{3}\" (\\Seen) {10+}\r\n", 10, false),
            ),
            (
                "a APPEND {3+}\r\nfoo {4294967296}\r\n",
                message("a APPEND {3+}\r\nfoo {4294967296}\r\n", 4_294_967_296, true),
            ),
        ] {
            for size in 1..=text.len() {
                assert_eq!(
                    feed(text.as_bytes(), size).await,
                    [expected_copy(&expected)],
                    "by {size}"
                );
            }
        }
    }

    fn expected_copy(input: &Input) -> Input {
        match input {
            Input::Append(head, literal) => Input::Append(head.clone(), *literal),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_is_too_large_is_skipped() {
        let long = format!("a {}\r\nb NOOP\r\n", "x".repeat(5000));
        let literal = format!(
            "a SEARCH {{300000+}}\r\n{} {{3+}}\r\nabc\r\nb NOOP\r\n",
            "x".repeat(300_000)
        );
        let synchronising = "a SEARCH {300000}\r\nb NOOP\r\n".to_owned();
        for text in [long, literal, synchronising] {
            for size in [1, 7, 999, text.len()] {
                let out = feed(text.as_bytes(), size).await;
                assert_eq!(out.len(), 2, "by {size}: {out:?}");
                assert!(matches!(&out[0], Input::TooLarge(head) if head.starts_with(b"a ")));
                assert_eq!(out[1], command("b NOOP\r\n"));
            }
        }
    }

    /// Whatever it is refused for: within the limit for a message it is passed over, beyond that the
    /// client is not heard any more.
    #[tokio::test]
    async fn what_is_skipped_has_a_bound() {
        let long = format!("a {}\r\n", "x".repeat(1_100_000));
        let chain = format!("a {}", "x {1+}\r\n".repeat(200_000));
        let literal = "a SEARCH {1001001+}\r\n".to_owned();
        let largest = format!("a SEARCH {{{}+}}\r\n", u64::MAX);
        for text in [long, chain, literal, largest] {
            for size in [999, 60_000, text.len()] {
                let out = feed(text.as_bytes(), size).await;
                assert_eq!(out.last(), Some(&Input::Lost), "{} by {size}", text.len());
            }
        }
        let mut client = client().await;
        client.skip_message(1_001_001);
        assert_eq!(client.next(), Input::Lost);
        client.wire.input.extend_from_slice(b"a NOOP\r\n");
        assert_eq!(client.next(), Input::Lost);
        assert!(client.wire.input.is_empty());
        assert_eq!(client.next_line().unwrap(), "");
    }

    #[tokio::test]
    async fn single_lines() {
        let mut client = client().await;
        client.wire.input.extend_from_slice(b"DONE\r\na NOOP\r\nx");
        assert_eq!(client.next_line().unwrap(), "DONE");
        assert_eq!(client.next_line().unwrap(), "a NOOP");
        assert_eq!(client.next_line(), None);
        client.wire.input.extend_from_slice(&[b'x'; 2000]);
        assert_eq!(client.next_line().unwrap(), "");
        client.wire.input.extend_from_slice(b"\r\nDONE\r\n");
        assert_eq!(client.next_line().unwrap(), "DONE");
    }
}
