//! The mupdate master.
//!
//! It holds the location map (mailbox name → place, ACL, state), the tables of nodes and
//! partitions, and the user directory ([`murder_location::Tables`]), as one deterministic state
//! machine fed by a log ([`state`]). Everybody else follows its watch stream with a
//! [`murder_location::Replica`], and changes things through a [`murder_location::MupdateClient`].
//!
//! It never holds mail, never connects to a backend, and never decides to delete any.
//!
//! Invariants:
//! * A mailbox name exists once in the murder.
//! * An answered change is durable, and within every later barrier.
//! * What a change does depends on the log alone: no clock, no randomness, no
//!   configuration enters [`state::State::apply`].
//! * No watcher can make the master hold more than its history's bound.

pub mod consensus;
mod master;
pub mod state;

pub use master::{GrpcConfig, Master, MasterConfig, MasterLimitsConfig};
