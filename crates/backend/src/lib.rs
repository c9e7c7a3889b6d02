//! The backend role: IMAP, POP3 and LMTP sessions over the store, and what operators do to it.
//!
//! It holds the mail of its partitions and serves it to frontends (as the user that a frontend
//! vouches for, in canonical names) and to clients directly. With a master configured, every
//! change of the list of mailboxes goes through the master first; without one it works alone.
//!
//! It connects to another backend only to ask what became of a MOVE to there, and never decides to delete mail that it holds.
//!
//! Invariants:
//! * Rights are checked here, at each command, against the mailbox's own ACL.
//! * Nothing is answered before the store says that it is durable.
//! * A mailbox exists here only under a name that the master has given to it.
//! * A directory is opened as a partition only if it is the one that the name stands for.
//! * A mailbox of a partition that is not open is unavailable, never unknown.

mod admin;
mod config;
mod counters;
mod delivery;
mod imap;
mod lmtp;
mod login;
mod mailboxes;
mod memory;
mod node;
mod nul;
mod opening;
mod partitions;
mod pop3;
mod reconcile;
mod role;
mod settlement;
mod status;
mod transfer;

#[cfg(test)]
mod tests;

pub use config::{
    BackendConfig, ImapConfig, LmtpConfig, PartitionSection, Pop3Config, UsersConfig,
};
pub use murder_store::{LostRecords, Repaired};
pub use role::{Backend, BackendAddresses, repair};
