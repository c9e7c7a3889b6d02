//! Where every mailbox is, and who may use it: the records that the mupdate master replicates, a
//! replica that follows it and keeps a durable copy, and the client that changes things.
//!
//! Every node is built on this, the master too. It does not know what a node does with mail, and
//! never decides anything that the master decides.
//!
//! Invariants:
//! * A replica shows whole revisions only: of a rename of a subtree all or nothing.
//! * What the master had answered before a [`MupdateClient::barrier`] is within it.
//! * A replica takes records of one murder only, and never older ones than it has seen.

pub mod actor;
mod blocks;
pub mod client;
pub mod disk;
mod error;
mod health;
pub mod map;
pub mod membership;
pub mod record;
pub mod replica;
mod session;
mod tables;

pub use blocks::tell_blocks;
pub use client::{
    Activate, Changed, Committed, DescribedMurder, DescribedNode, DescribedPartition, Difference,
    DifferenceKind, Found, Held, MupdateClient, MupdateClientConfig, Operation, ReconcileReport,
    Reserve, Selection, UserUpdate,
};
pub use error::MupdateError;
pub use health::{HealthProblem, NodeHealth};
pub use map::{Entry, HeldByName, LocationMap, Portion, Within};
pub use record::{
    Block, Change, FIRST_EPOCH, Location, Mailbox, MailboxState, MailboxType, Node, NodeState,
    Partition, PartitionEpoch, PartitionIdentity, PartitionState, Report, SpecialUses, service,
};
pub use replica::{Replica, ReplicaConfig, ReplicaCounters, ReplicaError, Topic};
pub use session::{NodeDescription, NodeSession, NodeStatus, PartitionStatus, RecordedReport};
pub use tables::Tables;
