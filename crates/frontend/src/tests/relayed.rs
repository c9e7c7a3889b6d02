//! The backend's reader finds the commands that the frontend's cutter has found: `fuzz/` has the same
//! for ten minutes.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use murder_imap::server::Limits;
use murder_imap::{CommandReader, Event, parse_command};
use proptest::prelude::*;
use tokio::io::{AsyncRead, ReadBuf};

use crate::fuzzing::relayed;

/// A stream in memory, of which `step` octets come at a time.
struct Pieces<'a> {
    rest: &'a [u8],
    step: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = self.step.min(buf.remaining()).min(self.rest.len());
        let (piece, rest) = self.rest.split_at(len);
        buf.put_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}

/// Checks it; the commands that were relayed.
fn check(client: &[u8], step: usize) -> Vec<Vec<u8>> {
    let commands = relayed(client, client.len().max(1));
    assert_eq!(relayed(client, step), commands);
    let wire = commands.concat();
    let mut stream = Pieces { rest: &wire, step };
    let mut reader = CommandReader::new(Limits {
        command: 1 << 20,
        append: 1 << 20,
    });
    let mut next = || {
        let next = pin!(reader.next(&mut stream));
        match next.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => event.unwrap(),
            Poll::Pending => panic!("waits, though everything is there"),
        }
    };
    for (at, octets) in commands.iter().enumerate() {
        let own = format!("f{}", at + 1);
        match next() {
            Event::Command { tag, command } => {
                assert_eq!(tag.as_str(), own);
                assert_eq!(parse_command(octets).unwrap(), (tag, command));
            }
            Event::Bad { tag, .. } => {
                assert_eq!(tag.unwrap().as_str(), own);
                parse_command(octets).unwrap_err();
            }
            other => panic!("{other:?} of {}", octets.escape_ascii()),
        }
    }
    assert_eq!(next(), Event::Eof, "{}", wire.escape_ascii());
    commands
}

#[test]
fn nothing_is_smuggled() {
    for announced in [
        "{+16}",
        "{016+}",
        "{00000000000000000016+}",
        "{16}",
        "{16+}",
        "{ 16+}",
        "{16 +}",
        "{16++}",
        "{-16+}",
        "{0x10+}",
        "~{16+}",
        "{16+}\r",
        "{99999999999999999999+}",
    ] {
        let client = format!("a SEARCH TEXT {announced}\r\nb EXPUNGE\r\nxyz\r\nc NOOP\r\n");
        for step in 1..=client.len() {
            let commands = check(client.as_bytes(), step);
            // Either it is a literal for both, or for neither.
            let as_literal = commands
                .iter()
                .all(|command| !command.ends_with(b" EXPUNGE\r\n"));
            assert_eq!(commands.len() < 3, as_literal, "{announced}");
        }
    }
}

/// What commands are made of, and what looks like it.
fn token() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "a ",
        "b ",
        "NOOP",
        "SEARCH ",
        "FETCH ",
        "UID ",
        "EXPUNGE",
        "STORE ",
        "APPEND ",
        "IDLE",
        "SUBJECT ",
        "TEXT ",
        "1:* ",
        "FLAGS",
        "(",
        ")",
        "\"",
        "\\",
        " ",
        "\r",
        "\n",
        "\r\n",
        "{",
        "}",
        "+",
        "{0+}\r\n",
        "{1}\r\n",
        "{3+}\r\n",
        "{16+}\r\n",
        "{+3}\r\n",
        "{003+}\r\n",
        "~{3+}\r\n",
        "{3+}\n",
        "{99999999999999999999}\r\n",
        "a NOOP\r\n",
        "b EXPUNGE\r\n",
        "\0",
        "\u{e9}",
    ]);
    prop_oneof![
        8 => words.prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_ends_find_the_same_commands(
        tokens in prop::collection::vec(token(), 1..40),
        step in 1usize..40,
    ) {
        check(&tokens.concat(), step);
    }
}
