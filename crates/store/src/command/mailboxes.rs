//! Commands about mailboxes, and what is said of them.

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
