//! What a journal record says: a mutation with everything in it that is not determined by
//! the state it is applied to.
//!
//! Mailboxes are named by their ids and homes by their numbers, so that a command means the
//! same after a rename that was journaled before it. Fields are only ever added: old journals
//! stay readable.

use std::collections::HashMap;

use crate::flags::Flags;
use crate::message::BodyLocation;
use crate::uidset::UidSet;

/// What a command may touch, in rows or by its nature, and still count as quick: a millisecond
/// or two of work.
const FEW_ROWS: u64 = 128;

/// A journal record's command.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Command {
    #[prost(
        oneof = "Op",
        tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 25, 26, 28"
    )]
    pub op: Option<Op>,
}

/// The kinds of commands.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Op {
    #[prost(message, tag = "1")]
    Create(Create),
    #[prost(message, tag = "2")]
    Delete(Delete),
    #[prost(message, tag = "3")]
    Rename(Rename),
    /// Moves all messages of the home's root into a new mailbox.
    #[prost(message, tag = "4")]
    RenameInbox(Create),
    #[prost(message, tag = "5")]
    SetMailbox(SetMailbox),
    #[prost(message, tag = "6")]
    Subscribe(Subscribe),
    #[prost(message, tag = "7")]
    Append(Append),
    #[prost(message, tag = "8")]
    Store(Store),
    #[prost(message, tag = "9")]
    Expunge(Expunge),
    #[prost(message, tag = "10")]
    Copy(Copy),
    #[prost(message, tag = "11")]
    CopyAcross(CopyAcross),
    #[prost(message, tag = "12")]
    RenameHome(RenameHome),
    #[prost(message, tag = "13")]
    DropHome(DropHome),
    /// Compaction: bodies have a new place.
    #[prost(message, tag = "14")]
    Relocate(Relocate),
    /// Forgets what was expunged or deleted long ago.
    #[prost(message, tag = "15")]
    Purge(Purge),
    #[prost(message, tag = "16")]
    RestoreMessages(RestoreMessages),
    #[prost(message, tag = "17")]
    RestoreMailbox(RestoreMailbox),
    #[prost(message, tag = "18")]
    SetQuota(SetQuota),
    /// Never journaled: repair applies it in the place of records that are lost.
    #[prost(message, tag = "19")]
    Lost(Lost),
    /// Makes the counters that quota is decided by what there is.
    #[prost(message, tag = "20")]
    Recount(Recount),
    #[prost(message, tag = "21")]
    Annotate(Annotate),
    /// The partition is an older copy of what it once was.
    #[prost(message, tag = "22")]
    Restored(Restored),
    #[prost(message, tag = "25")]
    Transfer(Transfer),
    #[prost(message, tag = "26")]
    Leaving(Leaving),
    /// Asks whether an append with an id has been done; if not, it never will be.
    #[prost(message, tag = "28")]
    Withdraw(Withdraw),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Create {
    #[prost(uint64, tag = "1")]
    pub home: u64,
    /// The home's key, for the first mailbox of a home.
    #[prost(string, tag = "2")]
    pub key: String,
    /// The name below the home's root.
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(bytes = "vec", tag = "4")]
    pub mailbox: Vec<u8>,
    #[prost(uint32, tag = "5")]
    pub uidvalidity: u32,
    #[prost(string, tag = "6")]
    pub acl: String,
    #[prost(string, tag = "7")]
    pub special_use: String,
    #[prost(int64, tag = "8")]
    pub now: i64,
    #[prost(bool, tag = "9")]
    pub shared_seen: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Delete {
    #[prost(uint64, tag = "1")]
    pub home: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub mailbox: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub now: i64,
    /// Until when it can be restored; 0 for not at all.
    #[prost(int64, tag = "4")]
    pub keep_until: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Rename {
    #[prost(uint64, tag = "1")]
    pub home: u64,
    #[prost(string, tag = "2")]
    pub from: String,
    #[prost(string, tag = "3")]
    pub to: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SetMailbox {
    #[prost(uint64, tag = "1")]
    pub home: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub mailbox: Vec<u8>,
    #[prost(string, optional, tag = "3")]
    pub acl: Option<String>,
    /// Empty for none.
    #[prost(string, optional, tag = "4")]
    pub special_use: Option<String>,
    #[prost(bool, optional, tag = "5")]
    pub shared_seen: Option<bool>,
    /// What its UIDVALIDITY is at least.
    #[prost(uint32, optional, tag = "40")]
    pub uidvalidity: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Subscribe {
    #[prost(uint64, tag = "1")]
    pub home: u64,
    /// A canonical name, of any home.
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(bool, tag = "3")]
    pub on: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Target {
    #[prost(uint64, tag = "1")]
    pub home: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub mailbox: Vec<u8>,
    /// What is done once only, whoever tries again; empty for what may be repeated.
    #[prost(bytes = "vec", tag = "50")]
    pub id: Vec<u8>,
    /// Until when the id is remembered.
    #[prost(int64, tag = "51")]
    pub keep_until: i64,
}

/// One message: where its body is and what is said about it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Message {
    #[prost(uint32, tag = "1")]
    pub len: u32,
    #[prost(fixed32, tag = "2")]
    pub crc: u32,
    /// 0: the body is in this record, after those of the messages before.
    #[prost(uint64, tag = "3")]
    pub segment: u64,
    #[prost(uint64, tag = "4")]
    pub offset: u64,
    #[prost(uint32, tag = "5")]
    pub flags: u32,
    #[prost(string, repeated, tag = "6")]
    pub keywords: Vec<String>,
    #[prost(int64, tag = "7")]
    pub internal_seconds: i64,
    #[prost(sint32, tag = "8")]
    pub internal_zone: i32,
    #[prost(int64, tag = "9")]
    pub save_date: i64,
    #[prost(bytes = "vec", tag = "10")]
    pub email_id: Vec<u8>,
    /// Whose `\Seen`; empty for the owner's.
    #[prost(string, tag = "11")]
    pub seen_by: String,
    /// For a copy, the UID it has in the source.
    #[prost(uint32, tag = "12")]
    pub source_uid: u32,
}

impl Message {
    /// Where the body lies, unless it is in this record.
    pub fn location(&self) -> Option<BodyLocation> {
        (self.segment != 0).then_some(BodyLocation {
            segment: self.segment,
            offset: self.offset,
            len: self.len,
            crc: self.crc,
        })
    }

    pub fn flags(&self) -> Flags {
        Flags::from_bits(self.flags as u8)
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Append {
    #[prost(message, repeated, tag = "1")]
    pub targets: Vec<Target>,
    /// Each goes to every target.
    #[prost(message, repeated, tag = "2")]
    pub messages: Vec<Message>,
    /// REPLACE: goes when they have come. In the home of the only target.
    #[prost(message, optional, tag = "3")]
    pub replaces: Option<Replaced>,
    /// The most keywords that the mailbox may have: what does not fit is left out. Absent for 64, and
    /// the messages are refused.
    #[prost(uint32, tag = "60")]
    pub max_keywords: u32,
    /// The most ids that a home remembers.
    #[prost(uint32, tag = "50")]
    pub most_ids: u32,
}

/// The message that REPLACE removes.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Replaced {
    #[prost(bytes = "vec", tag = "1")]
    pub mailbox: Vec<u8>,
    #[prost(uint32, tag = "2")]
    pub uid: u32,
    #[prost(int64, tag = "3")]
    pub now: i64,
    /// As in [`Expunge`].
    #[prost(int64, tag = "4")]
    pub keep_until: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Store {
    #[prost(uint64, tag = "1")]
    pub home: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub mailbox: Vec<u8>,
    /// [`UidSet::to_bytes`](crate::UidSet::to_bytes).
    #[prost(bytes = "vec", tag = "3")]
    pub uids: Vec<u8>,
    /// 0 add, 1 remove, 2 replace.
    #[prost(uint32, tag = "4")]
    pub mode: u32,
    #[prost(uint32, tag = "5")]
    pub flags: u32,
    #[prost(string, repeated, tag = "6")]
    pub keywords: Vec<String>,
    #[prost(uint64, optional, tag = "7")]
    pub unchanged_since: Option<u64>,
    /// Whose `\Seen`; empty for the owner's.
    #[prost(string, tag = "8")]
    pub user: String,
    #[prost(uint32, tag = "9")]
    pub flags_mask: u32,
    #[prost(bool, tag = "10")]
    pub keywords_allowed: bool,
    /// The most keywords that the mailbox may have; absent for 64.
    #[prost(uint32, tag = "60")]
    pub max_keywords: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Expunge {
    #[prost(uint64, tag = "1")]
    pub home: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub mailbox: Vec<u8>,
    /// Only these of the messages with `\Deleted`; all when absent.
    #[prost(bytes = "vec", optional, tag = "3")]
    pub uids: Option<Vec<u8>>,
    #[prost(int64, tag = "4")]
    pub now: i64,
    /// Until when the messages can be restored; 0 for not at all.
    #[prost(int64, tag = "5")]
    pub keep_until: i64,
    /// All of `uids`, whether they have `\Deleted` or not.
    #[prost(bool, tag = "6")]
    pub regardless: bool,
}

/// COPY or MOVE within a home: the rows are found when it is applied.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Copy {
    #[prost(uint64, tag = "1")]
    pub home: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub source: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub target: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub uids: Vec<u8>,
    #[prost(bool, tag = "5")]
    pub expunge: bool,
    #[prost(string, tag = "6")]
    pub source_user: String,
    #[prost(string, tag = "7")]
    pub target_user: String,
    /// SAVEDATE of the copies.
    #[prost(int64, tag = "8")]
    pub now: i64,
    /// System flags that the copies do not get.
    #[prost(uint32, tag = "9")]
    pub without_flags: u32,
    #[prost(bool, tag = "10")]
    pub without_keywords: bool,
    /// The most keywords that the mailbox may have; absent for 64.
    #[prost(uint32, tag = "60")]
    pub max_keywords: u32,
}

/// COPY or MOVE from one home to another: carries the rows, so that the target needs nothing
/// of the source.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CopyAcross {
    #[prost(uint64, tag = "1")]
    pub source_home: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub source: Vec<u8>,
    #[prost(uint64, tag = "3")]
    pub target_home: u64,
    #[prost(bytes = "vec", tag = "4")]
    pub target: Vec<u8>,
    #[prost(message, repeated, tag = "5")]
    pub messages: Vec<Message>,
    #[prost(bool, tag = "6")]
    pub expunge: bool,
    /// The most keywords that the mailbox may have; absent for 64.
    #[prost(uint32, tag = "60")]
    pub max_keywords: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RenameHome {
    #[prost(uint64, tag = "1")]
    pub home: u64,
    #[prost(string, tag = "2")]
    pub key: String,
    /// Every mailbox gets at least this UIDVALIDITY: that of what had the key before.
    #[prost(uint32, tag = "3")]
    pub uidvalidity_floor: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DropHome {
    #[prost(uint64, tag = "1")]
    pub home: u64,
}

/// Where a body was.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct OldPlace {
    #[prost(uint64, tag = "1")]
    pub segment: u64,
    #[prost(uint64, tag = "2")]
    pub offset: u64,
}

/// Bodies written anew, so that the file they were in can go. Every row of these homes that
/// refers to one follows; a row that another home gets meanwhile keeps the old file.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Relocate {
    #[prost(uint64, repeated, tag = "1")]
    pub homes: Vec<u64>,
    /// The bodies; only lengths, checksums and places are used.
    #[prost(message, repeated, tag = "2")]
    pub bodies: Vec<Message>,
    /// Where each of them was.
    #[prost(message, repeated, tag = "3")]
    pub from: Vec<OldPlace>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Purge {
    #[prost(uint64, tag = "1")]
    pub home: u64,
    #[prost(int64, tag = "2")]
    pub now: i64,
    /// The most messages to forget.
    #[prost(uint32, tag = "3")]
    pub limit: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RestoreMessages {
    #[prost(uint64, tag = "1")]
    pub home: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub mailbox: Vec<u8>,
    /// The UIDs that they had.
    #[prost(bytes = "vec", tag = "3")]
    pub uids: Vec<u8>,
    /// The most keywords that the mailbox may have; absent for 64.
    #[prost(uint32, tag = "60")]
    pub max_keywords: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RestoreMailbox {
    /// What it is to be; the messages are those of `deleted`.
    #[prost(message, required, tag = "1")]
    pub create: Create,
    #[prost(bytes = "vec", tag = "2")]
    pub deleted: Vec<u8>,
}

/// Without a limit the root is no root any more.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SetQuota {
    #[prost(uint64, tag = "1")]
    pub home: u64,
    /// The name below the home's root.
    #[prost(string, tag = "2")]
    pub root: String,
    /// In units of 1024 bytes.
    #[prost(uint64, optional, tag = "3")]
    pub storage: Option<u64>,
    #[prost(uint64, optional, tag = "4")]
    pub message: Option<u64>,
    #[prost(uint64, optional, tag = "5")]
    pub mailbox: Option<u64>,
}

/// Counts the messages of a home anew.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Recount {
    #[prost(uint64, tag = "1")]
    pub home: u64,
}

/// SETMETADATA.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Annotate {
    #[prost(uint64, tag = "1")]
    pub home: u64,
    /// The home's key, where it is made if it is not there.
    #[prost(string, tag = "2")]
    pub key: String,
    /// Empty for annotations of the home itself.
    #[prost(bytes = "vec", tag = "3")]
    pub mailbox: Vec<u8>,
    /// Whose the entries are that are not shared; empty for the owner's.
    #[prost(string, tag = "4")]
    pub user: String,
    #[prost(message, repeated, tag = "5")]
    pub entries: Vec<Annotation>,
    #[prost(bool, optional, tag = "6")]
    pub shared_seen: Option<bool>,
}

/// An entry and its new value; absent, it is removed.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Annotation {
    #[prost(string, tag = "1")]
    pub entry: String,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub value: Option<Vec<u8>>,
}

/// What clients may have seen after the copy was made that was put back must not come again.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Restored {
    #[prost(uint64, repeated, tag = "1")]
    pub homes: Vec<u64>,
    /// What each mailbox's UIDNEXT grows by; absent, each gets a new UIDVALIDITY.
    #[prost(uint64, optional, tag = "2")]
    pub uid_jump: Option<u64>,
    #[prost(uint64, tag = "3")]
    pub modseq_jump: u64,
    /// What new UIDVALIDITYs are at least.
    #[prost(uint32, tag = "4")]
    pub uidvalidity: u32,
    /// In the last record of several.
    #[prost(message, optional, tag = "5")]
    pub jump: Option<Jump>,
}

/// Where the partition goes on.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Jump {
    /// Of the record that follows.
    #[prost(uint64, tag = "1")]
    pub lsn: u64,
    /// The UIDs that count as given out.
    #[prost(uint64, tag = "2")]
    pub uids: u64,
    /// No new home has a number up to this.
    #[prost(uint64, tag = "3")]
    pub home: u64,
}

/// A step of a COPY or MOVE that comes from another partition, in the home that it goes to.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Transfer {
    #[prost(uint64, tag = "1")]
    pub home: u64,
    /// [`TransferId`](crate::TransferId).
    #[prost(bytes = "vec", tag = "2")]
    pub id: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub now: i64,
    /// When what is known of the transfer after this step is forgotten.
    #[prost(int64, tag = "4")]
    pub keep_until: i64,
    #[prost(oneof = "TransferStep", tags = "40, 41, 42, 43")]
    pub step: Option<TransferStep>,
}

/// The steps of a transfer.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum TransferStep {
    /// Messages come; nobody sees them yet.
    #[prost(message, tag = "40")]
    Take(TakeMessages),
    /// All of them appear in a mailbox.
    #[prost(message, tag = "41")]
    Adopt(Adopt),
    /// They are forgotten, unless they were adopted.
    #[prost(message, tag = "42")]
    Discard(()),
    /// The same, and they will never be adopted: the answer says which it is.
    #[prost(message, tag = "43")]
    Settle(()),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TakeMessages {
    #[prost(message, repeated, tag = "1")]
    pub messages: Vec<Message>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Adopt {
    #[prost(bytes = "vec", tag = "1")]
    pub mailbox: Vec<u8>,
    /// How many messages must have come.
    #[prost(uint64, tag = "2")]
    pub messages: u64,
    /// As in [`Append`].
    #[prost(uint32, tag = "60")]
    pub max_keywords: u32,
}

/// Messages are on their way to another partition by MOVE, or no longer. It is kept in a home
/// without mailboxes.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Leaving {
    #[prost(uint64, tag = "1")]
    pub home: u64,
    /// The home's key, where it is made if it is not there.
    #[prost(string, tag = "2")]
    pub key: String,
    /// [`TransferId`](crate::TransferId).
    #[prost(bytes = "vec", tag = "3")]
    pub id: Vec<u8>,
    /// Absent: it is settled.
    #[prost(message, optional, tag = "4")]
    pub departure: Option<Departing>,
}

/// What leaves, and where to.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Departing {
    #[prost(uint64, tag = "1")]
    pub home: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub mailbox: Vec<u8>,
    /// [`UidSet::to_bytes`](crate::UidSet::to_bytes).
    #[prost(bytes = "vec", tag = "3")]
    pub uids: Vec<u8>,
    /// The node that they go to.
    #[prost(string, tag = "4")]
    pub node: String,
    /// Its partition.
    #[prost(string, tag = "5")]
    pub partition: String,
    /// The home there.
    #[prost(uint64, tag = "6")]
    pub to_home: u64,
}

/// Remembers that an append is not to be done any more, unless it has been.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Withdraw {
    #[prost(uint64, tag = "1")]
    pub home: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub id: Vec<u8>,
    /// As in [`Target`].
    #[prost(int64, tag = "3")]
    pub keep_until: i64,
    /// As in [`Append`].
    #[prost(uint32, tag = "4")]
    pub most_ids: u32,
}

/// What this home did with records is no longer known.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Lost {
    #[prost(uint64, tag = "1")]
    pub home: u64,
}

impl Op {
    /// The homes that the command changes; a cross-home MOVE has the target first.
    pub fn homes(&self) -> Vec<u64> {
        match self {
            Self::Create(c) | Self::RenameInbox(c) => vec![c.home],
            Self::Delete(c) => vec![c.home],
            Self::Rename(c) => vec![c.home],
            Self::SetMailbox(c) => vec![c.home],
            Self::Subscribe(c) => vec![c.home],
            Self::Append(c) => {
                let mut homes: Vec<u64> = Vec::with_capacity(c.targets.len());
                for target in &c.targets {
                    if !homes.contains(&target.home) {
                        homes.push(target.home);
                    }
                }
                homes
            }
            Self::Store(c) => vec![c.home],
            Self::Expunge(c) => vec![c.home],
            Self::Copy(c) => vec![c.home],
            Self::CopyAcross(c) if c.expunge => vec![c.target_home, c.source_home],
            Self::CopyAcross(c) => vec![c.target_home],
            Self::RenameHome(c) => vec![c.home],
            Self::DropHome(c) => vec![c.home],
            Self::Relocate(c) => c.homes.clone(),
            Self::Purge(c) => vec![c.home],
            Self::RestoreMessages(c) => vec![c.home],
            Self::RestoreMailbox(c) => vec![c.create.home],
            Self::SetQuota(c) => vec![c.home],
            Self::Lost(c) => vec![c.home],
            Self::Recount(c) => vec![c.home],
            Self::Annotate(c) => vec![c.home],
            Self::Restored(c) => c.homes.clone(),
            Self::Transfer(c) => vec![c.home],
            Self::Leaving(c) => vec![c.home],
            Self::Withdraw(c) => vec![c.home],
        }
    }

    /// Where the partition goes on after it, if that is not just behind it.
    pub fn jump(&self) -> Option<Jump> {
        match self {
            Self::Restored(c) => c.jump,
            _ => None,
        }
    }

    /// The LSN of the record that follows it.
    pub fn next_lsn(&self, lsn: u64) -> u64 {
        self.jump().map_or(0, |jump| jump.lsn).max(lsn + 1)
    }

    /// By how much the UIDNEXT of a mailbox can grow, at most.
    pub fn uids(&self) -> u64 {
        match self {
            Self::Append(c) => {
                // A delivery may name a mailbox twice.
                let mut times: HashMap<&[u8], u64> = HashMap::new();
                if c.targets.len() > 1 {
                    for target in &c.targets {
                        *times.entry(&target.mailbox).or_default() += 1;
                    }
                }
                c.messages.len() as u64 * times.into_values().max().unwrap_or(1)
            }
            Self::CopyAcross(c) => c.messages.len() as u64,
            Self::Transfer(Transfer {
                step: Some(TransferStep::Adopt(adopt)),
                ..
            }) => adopt.messages,
            Self::Copy(c) => UidSet::len_of(&c.uids),
            Self::RestoreMessages(c) => UidSet::len_of(&c.uids),
            _ => 0,
        }
    }

    /// Whether applying it may take longer than many others do.
    pub fn is_slow(&self) -> bool {
        let many = |uids: &[u8]| UidSet::len_of(uids) > FEW_ROWS;
        match self {
            Self::Append(c) => c.targets.len() * c.messages.len() > FEW_ROWS as usize,
            Self::CopyAcross(_) | Self::Relocate(_) => self.messages().len() > FEW_ROWS as usize,
            Self::Store(c) => many(&c.uids),
            Self::Copy(c) => many(&c.uids),
            Self::Expunge(c) => c.uids.as_deref().is_none_or(many),
            Self::Transfer(c) => match &c.step {
                Some(TransferStep::Take(c)) => c.messages.len() > FEW_ROWS as usize,
                _ => true,
            },
            Self::Create(_)
            | Self::SetMailbox(_)
            | Self::Subscribe(_)
            | Self::SetQuota(_)
            | Self::Annotate(_)
            | Self::Leaving(_)
            | Self::Withdraw(_) => false,
            Self::Delete(_)
            | Self::Rename(_)
            | Self::RenameInbox(_)
            | Self::RenameHome(_)
            | Self::DropHome(_)
            | Self::Purge(_)
            | Self::RestoreMessages(_)
            | Self::RestoreMailbox(_)
            | Self::Lost(_)
            | Self::Recount(_)
            | Self::Restored(_) => true,
        }
    }

    /// The messages that it carries.
    pub fn messages(&self) -> &[Message] {
        match self {
            Self::Append(c) => &c.messages,
            Self::CopyAcross(c) => &c.messages,
            Self::Relocate(c) => &c.bodies,
            Self::Transfer(Transfer {
                step: Some(TransferStep::Take(c)),
                ..
            }) => &c.messages,
            _ => &[],
        }
    }
}
