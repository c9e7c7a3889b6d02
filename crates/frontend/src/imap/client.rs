//! The client's connection: whole commands out of its bytes, answers into them.
//!
//! A command is put together in memory, literals included, up to a bound; only APPEND's
//! message is left in the stream, for whoever handles APPEND to pass on as it comes.

use bytes::{Buf, Bytes};
use murder_imap::AppendStart;
use murder_imap::framing::{CommandCutter, Cut, Refused};
use murder_imap::server::{AppendNext, Limits, Line};
use murder_net::Stream;

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
    /// An APPEND or REPLACE up to its message. [`Client::next`] passes over what is not taken of it.
    Append(Box<AppendStart>),
    /// A command that breaks a bound, or an APPEND that is none. It has been passed over.
    Refused(Box<Refused>),
    /// More would have to be passed over than the limits allow: nothing more can be understood. With
    /// the command that is refused.
    Lost(Option<Box<Refused>>),
}

/// A client and its unfinished command.
pub(crate) struct Client {
    /// The connection.
    pub wire: Wire,
    cutter: CommandCutter,
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
            cutter: CommandCutter::new(limits),
        }
    }

    /// Other limits, from the next command on.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.cutter.set_limits(limits);
    }

    /// The stream, for STARTTLS; whatever was pipelined behind the command is dropped.
    pub(crate) fn take_stream(&mut self) -> std::io::Result<Stream> {
        self.cutter = CommandCutter::new(self.cutter.limits());
        self.wire.take_stream()
    }

    /// Takes the next command out of the input.
    pub(crate) fn next(&mut self) -> Input {
        match self.cutter.next(&mut self.wire.input) {
            None => Input::More,
            Some(Cut::NeedContinuation) => Input::WantsGoAhead,
            Some(Cut::Command(len)) => Input::Command(self.take(len)),
            Some(Cut::Append(start)) => Input::Append(start),
            Some(Cut::Refused(refused)) => Input::Refused(refused),
            Some(Cut::Lost(refused)) => Input::Lost(refused),
        }
    }

    /// Tells the client to send the literal that it has announced.
    pub(crate) fn go_ahead(&mut self) {
        self.wire.put(b"+ Go ahead\r\n");
    }

    /// One line as it comes, without its CRLF: DONE, or a step of AUTHENTICATE. `None`
    /// until it is there; an overlong one comes as an empty line.
    pub(crate) fn next_line(&mut self) -> Option<Bytes> {
        Some(match self.cutter.line(&mut self.wire.input)? {
            Line::Line(line) => line,
            Line::TooLong | Line::Eof => Bytes::new(),
        })
    }

    /// Takes the message of [`Input::Append`], telling the client to send it if it waits.
    pub(crate) fn accept_message(&mut self) {
        if self.cutter.accept_literal() {
            self.go_ahead();
        }
    }

    /// Octets of the accepted message that have not been taken.
    pub(crate) fn message_left(&self) -> u64 {
        self.cutter.literal_left()
    }

    /// So many octets of the message have been taken from the input.
    pub(crate) fn took(&mut self, octets: usize) {
        self.cutter.took(octets as u64);
    }

    /// The whole message, once it is in the input.
    pub(crate) fn take_message(&mut self) -> Option<Bytes> {
        let octets = usize::try_from(self.message_left()).ok()?;
        if self.wire.input.len() < octets {
            return None;
        }
        self.took(octets);
        Some(self.take(octets))
    }

    /// Whether the command ends behind the message, all of which has been taken; `None` until that
    /// is known.
    pub(crate) fn ends_behind_message(&mut self) -> Option<bool> {
        let next = self.cutter.append_next(&mut self.wire.input)?;
        Some(next == AppendNext::End)
    }

    fn take(&mut self, len: usize) -> Bytes {
        if len > self.wire.input.len() / 2 {
            // Alone in the buffer, more or less: no copy.
            return self.wire.input.split_to(len).freeze();
        }
        let bytes = Bytes::copy_from_slice(&self.wire.input[..len]);
        self.wire.input.advance(len);
        bytes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use murder_imap::AppendData;

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
                    lost @ Input::Lost(_) => {
                        out.push(lost);
                        return out;
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
        for (text, len, sync) in [
            ("a APPEND x {10}\r\n", 10, true),
            ("a append \"{3}\" (\\Seen) {10+}\r\n", 10, false),
            ("a APPEND {3+}\r\nfoo {4294967296}\r\n", 4_294_967_296, true),
        ] {
            for size in 1..=text.len() {
                let out = feed(text.as_bytes(), size).await;
                let [Input::Append(start)] = &out[..] else {
                    panic!("{out:?}");
                };
                let AppendData::Literal(literal) = start.data else {
                    panic!("{start:?}");
                };
                assert_eq!((literal.len, literal.sync), (len, sync), "by {size}");
            }
        }
    }

    #[tokio::test]
    async fn a_message_is_taken_or_passed_over() {
        for (end, ends) in [
            ("\r\n", true),
            (" (\\Seen) {1+}\r\nx\r\n", false),
            ("x\r\n", false),
        ] {
            for taken in [true, false] {
                let mut client = client().await;
                let text = format!("a APPEND x {{4+}}\r\na{{b}}{end}b NOOP\r\n");
                client.wire.input.extend_from_slice(text.as_bytes());
                assert!(matches!(client.next(), Input::Append(_)));
                if taken {
                    client.accept_message();
                    assert_eq!(client.take_message().unwrap(), "a{b}");
                    assert_eq!(client.ends_behind_message(), Some(ends));
                }
                assert_eq!(client.next(), command("b NOOP\r\n"), "{end:?}");
            }
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
                assert!(is_a(&out[0]), "{out:?}");
                assert_eq!(out[1], command("b NOOP\r\n"));
            }
        }
    }

    fn is_a(input: &Input) -> bool {
        let Input::Refused(refused) = input else {
            return false;
        };
        refused.tag.as_ref().is_some_and(|tag| tag.as_str() == "a")
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
                let lost = matches!(out.last(), Some(Input::Lost(_)));
                assert!(lost, "{} by {size}: {out:?}", text.len());
            }
        }
        let mut client = client().await;
        client
            .wire
            .input
            .extend_from_slice(b"a APPEND x {1001001+}\r\n");
        assert!(matches!(client.next(), Input::Append(_)));
        assert_eq!(client.next(), Input::Lost(None));
        client.wire.input.extend_from_slice(b"a NOOP\r\n");
        assert_eq!(client.next(), Input::Lost(None));
        assert!(client.wire.input.is_empty());
    }

    #[tokio::test]
    async fn single_lines() {
        let mut client = client().await;
        client.wire.input.extend_from_slice(b"DONE\r\na NOOP\r\nx");
        assert_eq!(client.next_line().unwrap(), "DONE");
        assert_eq!(client.next_line().unwrap(), "a NOOP");
        assert_eq!(client.next_line(), None);
        client.wire.input.extend_from_slice(&[b'x'; 2000]);
        assert_eq!(client.next_line(), None);
        client.wire.input.extend_from_slice(b"\r\nDONE\r\n");
        assert_eq!(client.next_line().unwrap(), "");
        assert_eq!(client.next_line().unwrap(), "DONE");
    }
}
