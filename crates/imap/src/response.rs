//! Responses as typed values, for clients of this crate: frontends and tests.

use crate::code::Code;
use crate::date::DateTime;
use crate::fetch::Section;
use crate::flag::Flag;
use crate::list::{ListRow, StatusValue};
use crate::mailbox::MailboxArg;
use crate::metadata::MetadataEntry;
use crate::quota::QuotaResource;
use crate::search::Esearch;
use crate::sequence::SequenceSet;
use crate::sort::ThreadList;
use crate::tag::Tag;

pub use crate::parse::parse_response as parse;

/// A whole response (RFC 9051 section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// `+ …`
    Continuation {
        /// What follows `+ `: text, or base64 in a SASL exchange.
        text: String,
    },
    /// `* …`
    Untagged(Untagged),
    /// The completion of a command.
    Tagged {
        /// The command's tag.
        tag: Tag,
        /// Its outcome: OK, NO or BAD.
        status: Status,
        /// The response code.
        code: Option<Code>,
        /// The text for humans.
        text: String,
    },
}

/// The condition of a status response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// `OK`
    Ok,
    /// `NO`
    No,
    /// `BAD`
    Bad,
    /// `PREAUTH`: only untagged, in a greeting.
    PreAuth,
    /// `BYE`: only untagged.
    Bye,
}

impl Status {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::No => "NO",
            Self::Bad => "BAD",
            Self::PreAuth => "PREAUTH",
            Self::Bye => "BYE",
        }
    }

    pub(crate) fn from_word(word: &[u8]) -> Option<Self> {
        [Self::Ok, Self::No, Self::Bad, Self::PreAuth, Self::Bye]
            .into_iter()
            .find(|s| s.as_str().as_bytes().eq_ignore_ascii_case(word))
    }
}

/// An untagged response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untagged {
    /// `OK`, `NO`, `BAD`, `PREAUTH`, `BYE`
    Status {
        /// The condition.
        status: Status,
        /// The response code.
        code: Option<Code>,
        /// The text for humans.
        text: String,
    },
    /// `CAPABILITY`
    Capability(Vec<String>),
    /// `ENABLED`
    Enabled(Vec<String>),
    /// `LIST`
    List(ListRow),
    /// `LSUB`
    Lsub(ListRow),
    /// `STATUS`
    MailboxStatus {
        /// The name, octets as sent.
        mailbox: MailboxArg,
        /// Its items.
        items: Vec<StatusValue>,
    },
    /// `FLAGS`
    Flags(Vec<Flag>),
    /// `n EXISTS`
    Exists(u32),
    /// `n RECENT`
    Recent(u32),
    /// `n EXPUNGE`
    Expunge(u32),
    /// `VANISHED` (RFC 7162)
    Vanished {
        /// `(EARLIER)`
        earlier: bool,
        /// The UIDs.
        uids: SequenceSet,
    },
    /// `n FETCH`
    Fetch {
        /// The message's sequence number.
        seq: u32,
        /// Its items.
        items: Vec<FetchData>,
    },
    /// `n UIDFETCH` (RFC 9586)
    UidFetch {
        /// The message's UID.
        uid: u32,
        /// Its items.
        items: Vec<FetchData>,
    },
    /// `SEARCH`
    Search {
        /// Message numbers or UIDs.
        numbers: Vec<u32>,
        /// `(MODSEQ n)` (RFC 7162)
        modseq: Option<u64>,
    },
    /// `ESEARCH`
    Esearch(Esearch),
    /// `SORT` (RFC 5256)
    Sort {
        /// Message numbers or UIDs, sorted.
        numbers: Vec<u32>,
        /// `(MODSEQ n)` (RFC 7162)
        modseq: Option<u64>,
    },
    /// `THREAD` (RFC 5256)
    Thread(Vec<ThreadList>),
    /// `METADATA` with values (RFC 5464 section 4.4.1)
    Metadata {
        /// The name, octets as sent; empty for the server.
        mailbox: MailboxArg,
        /// Entries; at least one.
        entries: Vec<MetadataEntry>,
    },
    /// `METADATA` without values: these entries have changed (RFC 5464 section 4.4.2).
    MetadataChanged {
        /// The name, octets as sent; empty for the server.
        mailbox: MailboxArg,
        /// Names of entries; at least one.
        entries: Vec<String>,
    },
    /// `QUOTA` (RFC 9208 section 4.2.1)
    Quota {
        /// The name of the quota root.
        root: String,
        /// Its resources.
        resources: Vec<QuotaResource>,
    },
    /// `QUOTAROOT` (RFC 9208 section 4.2.2)
    QuotaRoot {
        /// The name, octets as sent.
        mailbox: MailboxArg,
        /// The quota roots that govern it.
        roots: Vec<String>,
    },
    /// `NAMESPACE`
    Namespace(NamespaceRow),
    /// `ID`
    Id(Option<Vec<(String, Option<String>)>>),
    /// `ACL` (RFC 4314)
    Acl {
        /// The name, octets as sent.
        mailbox: MailboxArg,
        /// Identifiers and their rights.
        entries: Vec<(String, String)>,
    },
    /// `LISTRIGHTS`
    ListRights {
        /// The name, octets as sent.
        mailbox: MailboxArg,
        /// The identifier.
        identifier: String,
        /// The rights that it always has.
        required: String,
        /// Groups of rights that can be granted together.
        optional: Vec<String>,
    },
    /// `MYRIGHTS`
    MyRights {
        /// The name, octets as sent.
        mailbox: MailboxArg,
        /// The rights.
        rights: String,
    },
    /// Any other.
    Other {
        /// Its keyword in upper case.
        keyword: String,
        /// What follows, without CRLF.
        rest: Vec<u8>,
    },
}

/// An item of a FETCH response (RFC 9051 section 7.5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchData {
    /// `UID`
    Uid(u32),
    /// `FLAGS`
    Flags(Vec<Flag>),
    /// `INTERNALDATE`
    InternalDate(DateTime),
    /// `RFC822.SIZE`, in octets
    Rfc822Size(u64),
    /// `ENVELOPE`, as sent, parentheses included
    Envelope(Vec<u8>),
    /// `BODY`, as sent
    Body(Vec<u8>),
    /// `BODYSTRUCTURE`, as sent
    BodyStructure(Vec<u8>),
    /// `BODY[section]<origin>`
    Section {
        /// Which octets.
        section: Section,
        /// Where they start, if they are part of the section.
        origin: Option<u64>,
        /// The octets; `None` is `NIL`.
        octets: Option<Vec<u8>>,
    },
    /// `RFC822`
    Rfc822(Option<Vec<u8>>),
    /// `RFC822.HEADER`
    Rfc822Header(Option<Vec<u8>>),
    /// `RFC822.TEXT`
    Rfc822Text(Option<Vec<u8>>),
    /// `BINARY[path]<origin>`
    Binary {
        /// Part numbers.
        path: Vec<u32>,
        /// Where the octets start, if they are part of the section.
        origin: Option<u64>,
        /// The octets; `None` is `NIL`.
        octets: Option<Vec<u8>>,
    },
    /// `BINARY.SIZE[path]`
    BinarySize {
        /// Part numbers.
        path: Vec<u32>,
        /// Octets.
        size: u64,
    },
    /// `MODSEQ`
    ModSeq(u64),
    /// `EMAILID`
    EmailId(String),
    /// `THREADID`; `None` is `NIL`
    ThreadId(Option<String>),
    /// `SAVEDATE`; `None` is `NIL`
    SaveDate(Option<DateTime>),
    /// `PREVIEW`; `None` is `NIL`
    Preview(Option<Vec<u8>>),
    /// Any other item, by its name in upper case, with its value as sent.
    Other(String, Vec<u8>),
}

/// A NAMESPACE response (RFC 9051 section 7.3.3): per kind the prefixes, each with its
/// separator. No namespace of a kind is `NIL`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamespaceRow {
    /// The user's own.
    pub personal: Vec<NamespacePrefix>,
    /// Other users'.
    pub other_users: Vec<NamespacePrefix>,
    /// Shared ones.
    pub shared: Vec<NamespacePrefix>,
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespacePrefix {
    /// Its prefix: UTF-8 when written, octets as sent when read.
    pub prefix: MailboxArg,
    /// Its hierarchy separator; `None` is `NIL`.
    pub separator: Option<char>,
}

impl Untagged {
    /// The UID that a FETCH response carries.
    #[must_use]
    pub fn fetch_uid(&self) -> Option<u32> {
        match self {
            Self::UidFetch { uid, .. } => Some(*uid),
            Self::Fetch { items, .. } => items.iter().find_map(|item| match item {
                FetchData::Uid(uid) => Some(*uid),
                _ => None,
            }),
            _ => None,
        }
    }
}
