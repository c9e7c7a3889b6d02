//! Commands about messages.

use crate::body::BodyLocation;
use crate::flags::Flags;

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
