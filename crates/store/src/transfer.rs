//! COPY and MOVE from one partition to another, of this node or of another one.
//!
//! Where the messages go to, they come in parts that nobody sees ([`Incoming::take`]); one record
//! then makes all of them appear in the mailbox ([`Incoming::adopt`]), or none. That record
//! decides. Of a MOVE, what leaves is written down at the source before
//! ([`Partition::depart`](crate::Partition::depart)); after it the source removes the messages. Who
//! is interrupted in between asks the other side what became of it
//! ([`Partition::settle_transfer`](crate::Partition::settle_transfer)): a transfer that was not
//! adopted by then never will be.

use std::fmt;
use std::str::FromStr;

use crate::message::{AppendMessage, Copied};
use crate::uidset::UidSet;

/// Names one COPY or MOVE between partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransferId(u128);

impl TransferId {
    /// A new one.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        Self(uuid::Uuid::new_v4().as_u128())
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(u128::from_be_bytes).map(Self)
    }
}

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for TransferId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

/// A message on its way to another partition.
#[derive(Debug)]
pub struct TransferredMessage {
    /// The message; its SAVEDATE is that of the adoption.
    pub message: AppendMessage,
    /// The UID that it has in the source.
    pub source_uid: u32,
    /// EMAILID, which it keeps (RFC 8474 section 5.1).
    pub email_id: [u8; 16],
}

/// Where messages go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The node.
    pub node: String,
    /// Its partition.
    pub partition: String,
    /// The number of the home in that partition.
    pub home: u64,
}

/// How a home keeps what it knows of a transfer to it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TransferState {
    /// See [`STAGED`] and the following.
    #[prost(uint32, tag = "1")]
    pub state: u32,
    #[prost(uint64, tag = "2")]
    pub messages: u64,
    #[prost(uint64, tag = "3")]
    pub bytes: u64,
    /// Parts so far.
    #[prost(uint32, tag = "4")]
    pub parts: u32,
    /// Adopted: COPYUID.
    #[prost(uint32, tag = "5")]
    pub uidvalidity: u32,
    #[prost(uint32, tag = "6")]
    pub first_uid: u32,
    #[prost(bytes = "vec", tag = "7")]
    pub source: Vec<u8>,
}

/// Messages come.
pub(crate) const STAGED: u32 = 0;
/// They are in the mailbox.
pub(crate) const ADOPTED: u32 = 1;
/// They never will be.
pub(crate) const REFUSED: u32 = 2;

impl TransferState {
    /// What was copied.
    pub(crate) fn copied(&self) -> Copied {
        let source: Vec<u32> = UidSet::from_bytes(&self.source).iter().collect();
        let target = (self.first_uid..).take(source.len()).collect();
        Copied {
            uidvalidity: self.uidvalidity,
            source,
            target,
            expunged: UidSet::new(),
        }
    }
}

/// A part of the messages of a transfer.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TransferPart {
    #[prost(message, repeated, tag = "1")]
    pub messages: Vec<StagedMessage>,
}

/// A message that nobody sees yet. Its content is there, and counts.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StagedMessage {
    #[prost(message, required, tag = "1")]
    pub message: crate::command::Message,
    #[prost(int64, tag = "2")]
    pub content: i64,
    #[prost(int64, optional, tag = "3")]
    pub sent: Option<i64>,
    #[prost(int32, optional, tag = "4")]
    pub sent_day: Option<i32>,
    #[prost(uint32, tag = "5")]
    pub header_len: u32,
}
