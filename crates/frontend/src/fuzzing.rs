//! What of a client's octets goes to a backend: for tests, and for fuzzing.
//!
//! Whoever relays and whoever parses must never disagree about where a command ends, or a client's
//! octets become commands of their own at the backend.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use murder_imap::server::Limits;
use murder_imap::{CommandReader, Event, parse_command};
use tokio::io::{AsyncRead, ReadBuf};

use crate::backend::connection::put_command;
use crate::imap::arguments::Line;
use crate::imap::client::{Client, Input};
use crate::imap::selected::relayed_parts;
use crate::imap::table::Command;

/// Larger than what is fuzzed.
const LIMITS: Limits = Limits {
    command: 64 << 10,
    append: 64 << 10,
};

/// A stream in memory: octets that come `step` at a time.
#[derive(Debug)]
pub struct Pieces<'a> {
    /// What has not come yet.
    pub rest: &'a [u8],
    /// How many come at a time; not zero.
    pub step: usize,
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

/// The value of a future that waits for nothing but [`Pieces`].
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("waits, though everything is there"),
    }
}

/// Checks that a backend's reader finds the same commands in what is relayed of `client` as the
/// frontend has found in it, octet for octet, however both come. Returns them.
pub fn check_relayed(client: &[u8], step: usize) -> Vec<Vec<u8>> {
    let commands = relayed(client, client.len().max(1));
    assert_eq!(
        relayed(client, step),
        commands,
        "cut alike however it comes"
    );
    let wire = commands.concat();
    let mut stream = Pieces { rest: &wire, step };
    let mut reader = CommandReader::new(Limits {
        command: 1 << 20,
        append: 1 << 20,
    });
    for (at, octets) in commands.iter().enumerate() {
        let own = format!("f{}", at + 1);
        match now(reader.next(&mut stream)).expect("memory does not fail") {
            Event::Command { tag, command } => {
                assert_eq!(tag.as_str(), own);
                let alone = parse_command(octets).expect("a command by itself, too");
                assert_eq!(alone, (tag, command));
            }
            Event::Bad { tag, .. } => {
                assert_eq!(tag.as_ref().map(|tag| tag.as_str()), Some(&*own));
                assert!(parse_command(octets).is_err());
            }
            other => panic!("{other:?} of {}", octets.escape_ascii()),
        }
    }
    let end = now(reader.next(&mut stream)).expect("memory does not fail");
    assert_eq!(end, Event::Eof, "{}", wire.escape_ascii());
    commands
}

/// The commands that a session with a selected mailbox passes on when the client sends `octets`,
/// `step` at a time (not zero): as they are put on the wire, under the tags `f1`, `f2` and so on.
/// What comes after IDLE depends on the backend's answer; it is left out.
fn relayed(octets: &[u8], step: usize) -> Vec<Vec<u8>> {
    let mut client = Client::unconnected(LIMITS);
    let mut relayed = Vec::new();
    for piece in octets.chunks(step) {
        client.wire.input.extend_from_slice(piece);
        loop {
            match client.next() {
                Input::More => break,
                Input::Lost(_) => return relayed,
                Input::WantsGoAhead | Input::Append(_) | Input::Refused(_) => {}
                Input::Command(command) => {
                    let Ok(line) = Line::parse(&command) else {
                        continue;
                    };
                    if Command::find(&line.name).is_none_or(|command| !command.is_relayed())
                        || line.name == "IDLE"
                    {
                        continue;
                    }
                    let tag = u32::try_from(relayed.len()).unwrap_or(u32::MAX) + 1;
                    let mut output = BytesMut::new();
                    put_command(
                        &mut output,
                        tag,
                        &relayed_parts(&line.name, &line.arguments),
                    );
                    relayed.push(output.to_vec());
                }
            }
        }
    }
    relayed
}
