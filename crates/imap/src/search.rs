//! SEARCH: keys, return options and the ESEARCH answer.

use crate::date::Date;
use crate::fetch::{FetchItem, PartialRange};
use crate::flag::Keyword;
use crate::mailbox::MailboxArg;
use crate::notify::MailboxFilter;
use crate::sequence::SequenceSet;

/// The SEARCH and UID SEARCH commands (RFC 9051 section 6.4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// UID SEARCH.
    pub uid: bool,
    /// The charset of the strings, as sent; without it, US-ASCII (IMAP4rev1) or UTF-8.
    pub charset: Option<String>,
    /// All must match; at least one.
    pub keys: Vec<SearchKey>,
    /// `RETURN (…)`; `None` without it (answered with SEARCH by IMAP4rev1 servers), empty for
    /// `RETURN ()`, which means `ALL`.
    pub returns: Option<Vec<SearchReturn>>,
}

/// The ESEARCH command (RFC 7377): a search of several mailboxes, answered with UIDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultiSearch {
    /// `IN (…)`: which mailboxes; `None` for the selected one.
    pub sources: Option<Vec<MailboxFilter>>,
    /// As [`Search::returns`]; without it, `ALL`.
    pub returns: Option<Vec<SearchReturn>>,
    /// As [`Search::charset`].
    pub charset: Option<String>,
    /// All must match; at least one.
    pub keys: Vec<SearchKey>,
}

/// `search-return-opt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchReturn {
    /// `MIN`
    Min,
    /// `MAX`
    Max,
    /// `ALL`
    All,
    /// `COUNT`
    Count,
    /// `SAVE` (RFC 5182)
    Save,
    /// `PARTIAL range` (RFC 9394)
    Partial(PartialRange),
    /// `UPDATE` (RFC 5267), with what is to be fetched of new messages that match (RFC 5465
    /// section 7).
    Update(Vec<FetchItem>),
    /// `CONTEXT` (RFC 5267)
    Context,
    /// `RELEVANCY` (RFC 6203)
    Relevancy,
}

/// `search-key`. Strings are the octets as sent, in the command's charset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchKey {
    /// `ALL`
    All,
    /// `ANSWERED`
    Answered,
    /// `DELETED`
    Deleted,
    /// `DRAFT`
    Draft,
    /// `FLAGGED`
    Flagged,
    /// `NEW`: recent and unseen (RFC 3501)
    New,
    /// `OLD`: not recent (RFC 3501)
    Old,
    /// `RECENT` (RFC 3501)
    Recent,
    /// `SEEN`
    Seen,
    /// `UNANSWERED`
    Unanswered,
    /// `UNDELETED`
    Undeleted,
    /// `UNDRAFT`
    Undraft,
    /// `UNFLAGGED`
    Unflagged,
    /// `UNSEEN`
    Unseen,
    /// `KEYWORD keyword`
    Keyword(Keyword),
    /// `UNKEYWORD keyword`
    Unkeyword(Keyword),
    /// `BCC string`
    Bcc(Vec<u8>),
    /// `CC string`
    Cc(Vec<u8>),
    /// `FROM string`
    From(Vec<u8>),
    /// `TO string`
    To(Vec<u8>),
    /// `SUBJECT string`
    Subject(Vec<u8>),
    /// `BODY string`
    Body(Vec<u8>),
    /// `TEXT string`
    Text(Vec<u8>),
    /// `HEADER name string`; an empty string matches every message with that field.
    Header(String, Vec<u8>),
    /// `BEFORE date`
    Before(Date),
    /// `ON date`
    On(Date),
    /// `SINCE date`
    Since(Date),
    /// `SENTBEFORE date`
    SentBefore(Date),
    /// `SENTON date`
    SentOn(Date),
    /// `SENTSINCE date`
    SentSince(Date),
    /// `SAVEDBEFORE date` (RFC 8514)
    SavedBefore(Date),
    /// `SAVEDON date` (RFC 8514)
    SavedOn(Date),
    /// `SAVEDSINCE date` (RFC 8514)
    SavedSince(Date),
    /// `SAVEDATESUPPORTED` (RFC 8514)
    SaveDateSupported,
    /// `LARGER octets`
    Larger(u64),
    /// `SMALLER octets`
    Smaller(u64),
    /// `OLDER seconds` (RFC 5032)
    Older(u32),
    /// `YOUNGER seconds` (RFC 5032)
    Younger(u32),
    /// `MODSEQ [entry type] modseq` (RFC 7162)
    ModSeq {
        /// The entry name and type (`priv`, `shared`, `all`), if given.
        entry: Option<(String, String)>,
        /// The lowest mod-sequence that matches.
        value: u64,
    },
    /// `EMAILID id` (RFC 8474)
    EmailId(String),
    /// `THREADID id` (RFC 8474)
    ThreadId(String),
    /// `FILTER name` (RFC 5466)
    Filter(String),
    /// `UID set`
    Uid(SequenceSet),
    /// A set of message sequence numbers.
    Sequence(SequenceSet),
    /// `NOT key`
    Not(Box<SearchKey>),
    /// `OR key key`
    Or(Box<SearchKey>, Box<SearchKey>),
    /// `(key …)`: all must match; at least one.
    And(Vec<SearchKey>),
    /// `FUZZY key` (RFC 6203)
    Fuzzy(Box<SearchKey>),
}

/// An ESEARCH response (RFC 9051 section 7.3.4, RFC 4731).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Esearch {
    /// The tag of the command that it answers.
    pub tag: Option<String>,
    /// `MAILBOX`, a correlator of RFC 7377.
    pub mailbox: Option<MailboxArg>,
    /// `UIDVALIDITY`, a correlator of RFC 7377.
    pub uidvalidity: Option<u32>,
    /// Whether the numbers are UIDs.
    pub uid: bool,
    /// `MIN`
    pub min: Option<u32>,
    /// `MAX`
    pub max: Option<u32>,
    /// `ALL`; absent if nothing matched.
    pub all: Option<SequenceSet>,
    /// `COUNT`
    pub count: Option<u32>,
    /// `MODSEQ` (RFC 7162)
    pub modseq: Option<u64>,
    /// `PARTIAL (range set)` (RFC 9394); the set is `None` for `NIL`.
    pub partial: Option<(PartialRange, Option<SequenceSet>)>,
    /// `RELEVANCY (scores)` (RFC 6203): one from 1 to 100 a message, in the order of `all` or
    /// `partial`; empty if not wanted.
    pub relevancy: Vec<u32>,
    /// `ADDTO` and `REMOVEFROM` (RFC 5267), to be applied in this order.
    pub updates: Vec<ContextUpdate>,
}

/// A change of the result of a search that was told before (RFC 5267 section 4.3.2): pairs of a
/// position, from 1, and messages, to be applied in this order; at least one. Position 0, for
/// SEARCH alone, leaves the place to the order of the mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextUpdate {
    /// `ADDTO (position set …)`: the messages are put there.
    AddTo(Vec<(u32, SequenceSet)>),
    /// `REMOVEFROM (position set …)`: the messages go from there on.
    RemoveFrom(Vec<(u32, SequenceSet)>),
}
