//! Messages on their way in: bodies, what is said about them, and the answers.

use bytes::Bytes;

use crate::blob::StagedBody;
use crate::flags::Flags;
use crate::uidset::UidSet;

/// A message's bytes, from whichever place they were collected in.
#[derive(Debug)]
pub enum Body {
    /// In memory; carried in the journal record. Ones above
    /// [`INLINE_LIMIT`](crate::INLINE_LIMIT) are staged by the store itself.
    Inline(Bytes),
    /// On disk already, see [`Partition::stage`](crate::Partition::stage).
    Staged(StagedBody),
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Inline(bytes)
    }
}

impl From<StagedBody> for Body {
    fn from(body: StagedBody) -> Self {
        Self::Staged(body)
    }
}

/// A point in time with the zone it was given in, as INTERNALDATE has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct InternalDate {
    /// Seconds since 1970 in UTC.
    pub seconds: i64,
    /// Minutes east of UTC.
    pub zone: i16,
}

/// One message for APPEND or delivery.
#[derive(Debug)]
pub struct AppendMessage {
    /// The bytes.
    pub body: Body,
    /// System flags.
    pub flags: Flags,
    /// Keywords by name.
    pub keywords: Vec<String>,
    /// INTERNALDATE (RFC 9051 section 2.3.3).
    pub internal_date: InternalDate,
    /// SAVEDATE (RFC 8514), seconds since 1970.
    pub save_date: i64,
    /// When set, `\Seen` in `flags` is this user's own and not the mailbox owner's.
    pub seen_by: Option<String>,
}

/// The answer to an append (APPENDUID, RFC 4315).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The mailbox's UIDVALIDITY.
    pub uidvalidity: u32,
    /// The UIDs given, in the order of the messages.
    pub uids: Vec<u32>,
    /// The MODSEQ that all of them have.
    pub modseq: u64,
}

/// How STORE changes flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreMode {
    /// `+FLAGS`.
    Add,
    /// `-FLAGS`.
    Remove,
    /// `FLAGS`.
    Replace,
}

/// A STORE (RFC 9051 section 6.4.6, RFC 7162 section 3.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOp {
    /// Add, remove or replace.
    pub mode: StoreMode,
    /// System flags.
    pub flags: Flags,
    /// Keywords by name.
    pub keywords: Vec<String>,
    /// UNCHANGEDSINCE: messages with a greater MODSEQ are left alone and reported.
    pub unchanged_since: Option<u64>,
    /// When set, `\Seen` is this user's own and not the mailbox owner's.
    pub user: Option<String>,
    /// With [`StoreMode::Replace`]: only these flags may change, for one who lacks the right
    /// to others (RFC 4314 section 4). [`Flags::ALL`] ordinarily.
    pub flags_mask: Flags,
    /// Whether keywords may change (right `w`); true ordinarily.
    pub keywords_allowed: bool,
}

impl StoreOp {
    /// An operation without conditions, by the mailbox's owner.
    #[must_use]
    pub const fn new(mode: StoreMode, flags: Flags, keywords: Vec<String>) -> Self {
        Self {
            mode,
            flags,
            keywords,
            unchanged_since: None,
            user: None,
            flags_mask: Flags::ALL,
            keywords_allowed: true,
        }
    }
}

/// The answer to a STORE.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// The MODSEQ of the messages in `changed`; the mailbox's when there are none.
    pub modseq: u64,
    /// Messages whose flags are different now.
    pub changed: UidSet,
    /// Messages left alone because of UNCHANGEDSINCE (the MODIFIED response code).
    pub modified: UidSet,
    /// UIDs asked for that the mailbox no longer has.
    pub missing: UidSet,
}

/// The answer to an EXPUNGE.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expunged {
    /// What went.
    pub uids: UidSet,
    /// The mailbox's HIGHESTMODSEQ, which is that of the expunge when something went.
    pub modseq: u64,
}

/// Which flags the copies of COPY and MOVE get: whose `\Seen` is taken from the source and set
/// at the target (`None` is the owner's, or everybody's in a mailbox with shared seen), and
/// what is left out for want of a right in the target (RFC 4314 section 4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CopyFlags {
    /// The user in the source mailbox.
    pub source: Option<String>,
    /// The user in the target mailbox.
    pub target: Option<String>,
    /// System flags that copies do not get.
    pub without: Flags,
    /// Copies get no keywords.
    pub without_keywords: bool,
}

/// The answer to a COPY or MOVE (COPYUID, RFC 4315).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copied {
    /// The target's UIDVALIDITY.
    pub uidvalidity: u32,
    /// Source UIDs that were copied, ascending.
    pub source: Vec<u32>,
    /// The UIDs they have in the target, in the same order.
    pub target: Vec<u32>,
    /// For a MOVE, what was expunged from the source.
    pub expunged: UidSet,
}
