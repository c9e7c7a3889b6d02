//! The backend's store: journal, homes, views, recovery.
//!
//! A mutation is a command with everything in it that its home does not determine (time, ids).
//! It is appended to the partition's journal, made durable by a group commit, applied to the
//! SQLite file of its home and to the open views, then answered. Recovery is replay.
//!
//! The crate knows nothing of protocols, users' rights or the network, and reads the clock only
//! to write the time into commands.
//!
//! Invariants:
//! * Nothing is answered or visible before it is durable in the journal.
//! * Applying a command is deterministic, refusals included: a replay gives the same state.
//! * A home's `applied_lsn` is written in the transaction of the changes, so no record is
//!   applied twice and none is skipped.
//! * Only the shard thread of a home writes its database; UIDs and MODSEQs are given out there
//!   and never go back.
//! * A file of the journal is removed only when a checkpoint has counted that no row refers to
//!   it, and no later record and no view does.
//! * What was expunged or deleted is forgotten by a command, when the time that stands in it has
//!   come.
//! * A view never changes; the next one shares what did not change.

mod annotation;
mod blob;
mod blocking;
mod body;
mod catalogue;
mod checkpoint;
mod claims;
mod command;
mod config;
mod contents;
mod damage;
mod entry;
mod error;
mod flags;
mod fulltext;
mod handle;
mod handles;
mod health;
mod home;
mod identity;
mod inbox;
pub mod io;
mod items;
mod journal;
mod mailbox;
mod message;
mod metrics;
mod partition;
mod partition_db;
mod queue;
mod quota;
mod readers;
mod recents;
mod reporting;
mod reserve;
mod retention;
mod shared;
mod sink;
mod threads;
mod transfer;
mod uidset;
mod view;
mod watch;

pub use annotation::{Annotated, Annotation, AnnotationChange, MAX_ANNOTATION, MAX_ANNOTATIONS};
pub use blob::{BodyWriter, StagedBody};
pub use body::BodyLocation;
pub use claims::Claim;
pub use config::{Clock, INLINE_LIMIT, PartitionConfig};
pub use damage::Damage;
pub use error::StoreError;
pub use flags::Flags;
pub use fulltext::{TextCandidates, TextFilter};
pub use handle::MailboxHandle;
pub use health::Health;
pub use identity::{Found, Identity};
pub use items::FetchedItems;
pub use items::days;
pub use journal::reader::{JournalReadError, JournalReader, JournalRecord};
pub use mailbox::{CreateMailbox, MailboxMeta, MailboxStatus, Renamed};
pub use message::{
    AppendMessage, Appended, Body, Copied, CopyFlags, Expunged, InternalDate, StoreMode, StoreOp,
    Stored,
};
pub use metrics::Metrics;
pub use partition::{
    Compacted, Departure, DiskUsage, HomeUsage, Incoming, LostRecords, OnceId, Partition, PutBack,
    Repaired, Restored, inspect, repair, repair_with,
};
pub use quota::{Quota, QuotaDifference, QuotaLimits, QuotaResource, QuotaUsage};
pub use reporting::Report;
pub use retention::{DeletedMailbox, ExpungedMessage, MAX_RESTORABLE, Purged, Restorable};
pub use sink::JournalSink;
pub use transfer::{Destination, TransferId, TransferredMessage};
pub use uidset::UidSet;
pub use view::{
    CHUNK_ROWS, Chunk, KeywordSet, Keywords, MAX_KEYWORDS, MailboxView, MessageRow, ViewDiff,
};
pub use watch::{AnnotationNote, HomeChanges, MailboxCounters, Watch, Watched, Watcher};
