//! Commands of a COPY or MOVE from or to another partition.

use super::Message;

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
