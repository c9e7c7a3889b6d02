//! POP3 (RFC 1939): commands as typed values, and messages in the form that they are sent in.
//! Backends use it, and whatever stands before them.
//!
//! It opens no connection and knows no mailboxes.

mod command;
mod multiline;
mod secret;

pub use command::{Command, CommandError};
pub use multiline::{Octets, Stuffer, first_lines};
pub use secret::Secret;
