//! Commands of repairs, and of copies that are put back.

/// Counts the messages of a home anew.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Recount {
    #[prost(uint64, tag = "1")]
    pub home: u64,
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

/// What this home did with records is no longer known.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Lost {
    #[prost(uint64, tag = "1")]
    pub home: u64,
}
