//! What of a client's octets goes to a backend: for tests, and for fuzzing.
//!
//! Whoever relays and whoever parses must never disagree about where a command ends, or a client's
//! octets become commands of their own at the backend.

use bytes::BytesMut;
use murder_imap::server::Limits;

use crate::backend::connection::put_command;
use crate::imap::arguments::Line;
use crate::imap::client::{Client, Input};
use crate::imap::selected::relayed_parts;
use crate::imap::session::is_relayed;

/// Larger than what is fuzzed.
const LIMITS: Limits = Limits {
    command: 64 << 10,
    append: 64 << 10,
};

/// The commands that a session with a selected mailbox passes on when the client sends `octets`,
/// `step` at a time (not zero): as they are put on the wire, under the tags `f1`, `f2` and so on.
/// What comes after IDLE depends on the backend's answer; it is left out.
#[must_use]
pub fn relayed(octets: &[u8], step: usize) -> Vec<Vec<u8>> {
    let mut client = Client::unconnected(LIMITS);
    let mut relayed = Vec::new();
    for piece in octets.chunks(step) {
        client.wire.input.extend_from_slice(piece);
        loop {
            match client.next() {
                Input::More => break,
                Input::Lost => return relayed,
                Input::WantsGoAhead => client.go_ahead(),
                Input::Append(_, literal) => client.skip_message(literal.octets),
                Input::TooLarge(_) => {}
                Input::Command(command) => {
                    let Ok(line) = Line::parse(&command) else {
                        continue;
                    };
                    if !is_relayed(&line.name) || line.name == "IDLE" {
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
