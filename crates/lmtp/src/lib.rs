//! LMTP (RFC 2033): commands as typed values, and where a message ends. Frontends and backends
//! share it.
//!
//! It opens no connection and knows no mailboxes.

mod command;
mod terminator;

pub use command::{Command, CommandError, Forwarded, Recipient, Sender};
pub use terminator::Terminator;
