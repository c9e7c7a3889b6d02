//! End-to-end tests: real murders on loopback, through the front door. A file an area.
#![allow(clippy::unwrap_used)]

mod answers;
mod audit;
mod authority;
mod backend_down;
mod copy;
mod crash;
mod damage;
mod delivery;
mod doors;
mod guessing;
mod hidden;
mod hostile;
mod identity;
mod idle;
mod keys;
mod list;
mod login;
mod mailboxes;
mod master;
mod messages;
mod metadata;
mod moves_crash;
mod node;
mod operator;
mod over_quota;
mod pop3;
mod quota;
mod repair;
mod restore;
mod roles;
mod shared;
mod standalone;
mod status;
mod uidvalidity;
mod up;
mod users;

/// How a test ends.
type Tested = anyhow::Result<()>;

/// The program under test.
const MURDER: &str = env!("CARGO_BIN_EXE_murder");

/// A small message with this subject.
fn message(subject: &str) -> Vec<u8> {
    format!(
        "From: a@example.org\r\nTo: b@example.org\r\nSubject: {subject}\r\n\
         Message-ID: <{subject}@example.org>\r\n\r\nText of {subject}.\r\n"
    )
    .into_bytes()
}
