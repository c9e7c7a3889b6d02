//! SORT and THREAD (RFC 5256, RFC 5957, ESORT of RFC 5267).

use crate::search::{SearchKey, SearchReturn};

/// The SORT and UID SORT commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// UID SORT.
    pub uid: bool,
    /// `RETURN (…)` (ESORT); `None` without it, empty for `RETURN ()`, which means `ALL`.
    pub returns: Option<Vec<SearchReturn>>,
    /// What to sort by, the first before the others; at least one.
    pub criteria: Vec<SortCriterion>,
    /// The charset of the strings.
    pub charset: String,
    /// All must match; at least one.
    pub keys: Vec<SearchKey>,
}

/// `sort-criterion`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortCriterion {
    /// `REVERSE`: the largest first.
    pub reverse: bool,
    /// What is compared.
    pub key: SortKey,
}

/// `sort-key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// `ARRIVAL`: the internal date.
    Arrival,
    /// `CC`: the mailbox of the first address.
    Cc,
    /// `DATE`: the sent date.
    Date,
    /// `DISPLAYFROM` (RFC 5957)
    DisplayFrom,
    /// `DISPLAYTO` (RFC 5957)
    DisplayTo,
    /// `FROM`: the mailbox of the first address.
    From,
    /// `RELEVANCY` (RFC 6203): the most relevant first.
    Relevancy,
    /// `SIZE`
    Size,
    /// `SUBJECT`: the base subject.
    Subject,
    /// `TO`: the mailbox of the first address.
    To,
}

impl SortKey {
    /// Every key.
    pub const ALL: [Self; 10] = [
        Self::Arrival,
        Self::Cc,
        Self::Date,
        Self::DisplayFrom,
        Self::DisplayTo,
        Self::From,
        Self::Relevancy,
        Self::Size,
        Self::Subject,
        Self::To,
    ];

    /// The key's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Arrival => "ARRIVAL",
            Self::Cc => "CC",
            Self::Date => "DATE",
            Self::DisplayFrom => "DISPLAYFROM",
            Self::DisplayTo => "DISPLAYTO",
            Self::From => "FROM",
            Self::Relevancy => "RELEVANCY",
            Self::Size => "SIZE",
            Self::Subject => "SUBJECT",
            Self::To => "TO",
        }
    }
}

/// The THREAD and UID THREAD commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// UID THREAD.
    pub uid: bool,
    /// The algorithm.
    pub algorithm: ThreadAlgorithm,
    /// The charset of the strings.
    pub charset: String,
    /// All must match; at least one.
    pub keys: Vec<SearchKey>,
}

/// `thread-alg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadAlgorithm {
    /// `ORDEREDSUBJECT`
    OrderedSubject,
    /// `REFERENCES`
    References,
}

impl ThreadAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 2] = [Self::OrderedSubject, Self::References];

    /// The algorithm's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrderedSubject => "ORDEREDSUBJECT",
            Self::References => "REFERENCES",
        }
    }
}

/// `thread-list`: messages each of which answers the one before, then the threads that answer the
/// last one.
///
/// Without messages, the threads of `replies` are siblings whose parent is not there; then there
/// are at least two. Behind messages there is none, or at least two.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ThreadList {
    /// Message numbers or UIDs.
    pub messages: Vec<u32>,
    /// What follows the last message.
    pub replies: Vec<ThreadList>,
}
