//! The frontend role: client sessions, routing and relay.
//!
//! Clients log in here. Whatever the location map can answer is answered here; everything else
//! goes to the backend that holds the mailbox, over a connection that acts for the user. Mail
//! comes in by LMTP and is passed on, each message once to each backend that has a recipient.
//!
//! It holds no mail, decides no right that a mailbox's ACL decides (a backend does), and never
//! talks to another frontend.
//!
//! Invariants:
//! * No byte of somebody who has not logged in reaches a backend.
//! * Nothing is lost with a frontend: what it keeps on disk is a copy of the master's state.
//! * Bytes of a relayed FETCH are never rewritten, and never held beyond a bound: whoever does
//!   not read holds up whoever writes.
//! * A miss in the map counts only after a barrier.
//! * The tagged OK of CREATE, DELETE, RENAME, SETACL and DELETEACL goes out when the own map
//!   shows the change.
//! * Selecting another mailbox leaves the old one without expunging.
//! * A message that was not received to its end is stored nowhere.
//! * An idle client costs a task, its connection and at most one to a backend; no buffers.

mod autocreate;
mod backend;
mod config;
mod copy;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod imap;
mod lmtp;
mod metrics;
mod placement;
mod role;
mod route;
mod shared;
mod wire;

#[cfg(test)]
mod tests;

pub use config::{FrontendConfig, ImapConfig, LmtpConfig, PlacementConfig};
pub use placement::PlacementMode;
pub use role::{Frontend, FrontendAddresses};
