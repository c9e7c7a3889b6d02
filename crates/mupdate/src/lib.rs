//! The mupdate master, and the client and replica that the other roles know it by.
//!
//! The master holds the location map (mailbox name → place, ACL, state), the tables of
//! nodes and partitions, and the user directory, as one deterministic state machine fed by
//! a log ([`state`]). Everybody else holds a [`Replica`], which follows the master's watch
//! stream and keeps a durable copy, and changes things through a [`MupdateClient`].
//!
//! It never holds mail, never connects to a backend, and never decides to delete any.
//!
//! Invariants:
//! * A mailbox name exists once in the murder.
//! * An answered change is durable, and within every later [`MupdateClient::barrier`].
//! * What a change does depends on the log alone: no clock, no randomness, no
//!   configuration enters [`state::State::apply`].
//! * A replica shows whole revisions only: of a rename of a subtree all or nothing.
//! * No watcher can make the master hold more than its history's bound.

mod actor;
mod blocks;
pub mod client;
pub mod consensus;
mod disk;
mod error;
mod health;
pub mod map;
mod master;
mod membership;
pub mod record;
pub mod replica;
mod session;
pub mod state;
mod tables;

pub use blocks::tell_blocks;
pub use client::{
    Activate, Changed, Committed, DescribedMurder, DescribedNode, DescribedPartition, Difference,
    DifferenceKind, Found, Held, MupdateClient, MupdateClientConfig, Operation, ReconcileReport,
    Reserve, UserUpdate,
};
pub use error::MupdateError;
pub use health::{HealthProblem, NodeHealth};
pub use map::{Entry, HeldByName, LocationMap, Portion};
pub use master::{
    GrpcConfig, Master, MasterAddresses, MasterConfig, MasterLimitsConfig, MasterService,
};
pub use record::{
    Block, Change, Location, Mailbox, MailboxState, MailboxType, Node, NodeState, Partition,
    PartitionIdentity, PartitionState, Report, SpecialUses, node_of,
};
pub use replica::{Replica, ReplicaConfig, ReplicaCounters, ReplicaError, Topic};
pub use session::{NodeDescription, NodeSession, NodeStatus, PartitionStatus, RecordedReport};
pub use tables::Tables;
