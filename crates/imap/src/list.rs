//! LIST, LSUB and STATUS: arguments and answers.

use std::fmt;

use murder_mailbox::SpecialUse;
use murder_mailbox::listing::Row;

use crate::mailbox::MailboxArg;

/// The LIST command, basic or extended (RFC 9051 section 6.3.9, RFC 5258, RFC 5819, RFC 6154,
/// RFC 8440).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct List {
    /// The reference name.
    pub reference: MailboxArg,
    /// One or more names with wildcards. A single empty one in a basic LIST asks for the
    /// hierarchy separator.
    pub patterns: Vec<MailboxArg>,
    /// Which names to select.
    pub selection: ListSelection,
    /// What to say of each.
    pub returns: ListReturn,
    /// Whether any part of the extended syntax was used.
    pub extended: bool,
}

/// `list-select-opts`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListSelection {
    /// `SUBSCRIBED`
    pub subscribed: bool,
    /// `REMOTE`
    pub remote: bool,
    /// `RECURSIVEMATCH`; only together with `subscribed` or `special_use`.
    pub recursive_match: bool,
    /// `SPECIAL-USE` (RFC 6154)
    pub special_use: bool,
}

/// `list-return-opts`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListReturn {
    /// `SUBSCRIBED`
    pub subscribed: bool,
    /// `CHILDREN`
    pub children: bool,
    /// `SPECIAL-USE` (RFC 6154)
    pub special_use: bool,
    /// `MYRIGHTS` (RFC 8440)
    pub myrights: bool,
    /// `STATUS (items)` (RFC 5819); empty if not asked for.
    pub status: Vec<StatusItem>,
    /// `METADATA (entries)` (RFC 9590); empty if not asked for.
    pub metadata: Vec<String>,
}

/// `status-att`: what STATUS asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusItem {
    /// `MESSAGES`
    Messages,
    /// `RECENT` (RFC 3501)
    Recent,
    /// `UIDNEXT`
    UidNext,
    /// `UIDVALIDITY`
    UidValidity,
    /// `UNSEEN`
    Unseen,
    /// `DELETED`
    Deleted,
    /// `SIZE`
    Size,
    /// `HIGHESTMODSEQ` (RFC 7162)
    HighestModSeq,
    /// `APPENDLIMIT` (RFC 7889)
    AppendLimit,
    /// `MAILBOXID` (RFC 8474)
    MailboxId,
    /// `DELETED-STORAGE` (RFC 9208)
    DeletedStorage,
}

impl StatusItem {
    /// Every item.
    pub const ALL: [Self; 11] = [
        Self::Messages,
        Self::Recent,
        Self::UidNext,
        Self::UidValidity,
        Self::Unseen,
        Self::Deleted,
        Self::Size,
        Self::HighestModSeq,
        Self::AppendLimit,
        Self::MailboxId,
        Self::DeletedStorage,
    ];

    /// The item's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "MESSAGES",
            Self::Recent => "RECENT",
            Self::UidNext => "UIDNEXT",
            Self::UidValidity => "UIDVALIDITY",
            Self::Unseen => "UNSEEN",
            Self::Deleted => "DELETED",
            Self::Size => "SIZE",
            Self::HighestModSeq => "HIGHESTMODSEQ",
            Self::AppendLimit => "APPENDLIMIT",
            Self::MailboxId => "MAILBOXID",
            Self::DeletedStorage => "DELETED-STORAGE",
        }
    }

    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|item| item.as_str().as_bytes().eq_ignore_ascii_case(name))
    }
}

/// `status-att-val`: an item of a STATUS response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusValue {
    /// `MESSAGES`
    Messages(u32),
    /// `RECENT`
    Recent(u32),
    /// `UIDNEXT`
    UidNext(u32),
    /// `UIDVALIDITY`
    UidValidity(u32),
    /// `UNSEEN`
    Unseen(u32),
    /// `DELETED`
    Deleted(u32),
    /// `SIZE`, in octets
    Size(u64),
    /// `HIGHESTMODSEQ`
    HighestModSeq(u64),
    /// `APPENDLIMIT`, in octets; `None` is `NIL`
    AppendLimit(Option<u64>),
    /// `MAILBOXID`
    MailboxId(String),
    /// `DELETED-STORAGE`, in octets
    DeletedStorage(u64),
    /// An item that this crate does not know, by its name, with its value as sent.
    Other(String, Vec<u8>),
}

/// A mailbox attribute of a LIST response (RFC 9051 section 7.3.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListAttribute {
    /// `\Noinferiors`
    NoInferiors,
    /// `\Noselect`
    NoSelect,
    /// `\NonExistent`
    NonExistent,
    /// `\Marked`
    Marked,
    /// `\Unmarked`
    Unmarked,
    /// `\HasChildren`
    HasChildren,
    /// `\HasNoChildren`
    HasNoChildren,
    /// `\Subscribed`
    Subscribed,
    /// `\Remote`
    Remote,
    /// `\NoAccess` (RFC 5465)
    NoAccess,
    /// A special use (RFC 6154).
    SpecialUse(SpecialUse),
    /// Any other, without its backslash.
    Other(String),
}

impl ListAttribute {
    const PLAIN: [(&'static str, Self); 10] = [
        ("\\Noinferiors", Self::NoInferiors),
        ("\\Noselect", Self::NoSelect),
        ("\\NonExistent", Self::NonExistent),
        ("\\Marked", Self::Marked),
        ("\\Unmarked", Self::Unmarked),
        ("\\HasChildren", Self::HasChildren),
        ("\\HasNoChildren", Self::HasNoChildren),
        ("\\Subscribed", Self::Subscribed),
        ("\\Remote", Self::Remote),
        ("\\NoAccess", Self::NoAccess),
    ];

    /// Reads `\` and a name, in any case.
    pub(crate) fn from_wire(text: &str) -> Self {
        let plain = Self::PLAIN
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text));
        match (plain, text.parse()) {
            (Some((_, attribute)), _) => attribute,
            (None, Ok(special_use)) => Self::SpecialUse(special_use),
            (None, Err(_)) => Self::Other(text.trim_start_matches('\\').to_owned()),
        }
    }
}

impl fmt::Display for ListAttribute {
    /// The attribute on the wire, backslash included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SpecialUse(special_use) => f.write_str(special_use.as_str()),
            Self::Other(name) => write!(f, "\\{name}"),
            plain => {
                let name = Self::PLAIN.iter().find(|(_, a)| a == plain);
                f.write_str(name.map_or("", |(name, _)| name))
            }
        }
    }
}

/// A row of a LIST or LSUB answer, `mailbox-list`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListRow {
    /// The attributes.
    pub attributes: Vec<ListAttribute>,
    /// The hierarchy separator; `None` is `NIL`.
    pub separator: Option<char>,
    /// The name. To be written, it is UTF-8 and is encoded as the writer's peer wants it; as
    /// read, it is the octets that the peer sent.
    pub name: MailboxArg,
    /// `CHILDINFO`: the selection options that a descendant matches, `SUBSCRIBED` or others;
    /// empty if the item is absent.
    pub child_info: Vec<String>,
    /// `OLDNAME`: the name before it was renamed or made canonical.
    pub old_name: Option<MailboxArg>,
}

impl ListRow {
    /// What LIST says of a row: extended LIST calls a name without a mailbox `\NonExistent`,
    /// which implies the `\Noselect` of the basic one (RFC 5258 section 3).
    #[must_use]
    pub fn answering(list: &List, row: &Row, separator: char) -> Self {
        let mut attributes = Vec::new();
        if !row.exists {
            attributes.push(match list.extended {
                true => ListAttribute::NonExistent,
                false => ListAttribute::NoSelect,
            });
        }
        attributes.push(match row.has_children {
            true => ListAttribute::HasChildren,
            false => ListAttribute::HasNoChildren,
        });
        if row.subscribed && (list.selection.subscribed || list.returns.subscribed) {
            attributes.push(ListAttribute::Subscribed);
        }
        attributes.extend(row.special_use.map(ListAttribute::SpecialUse));
        let mut child_info = Vec::new();
        if row.child_info {
            if list.selection.subscribed {
                child_info.push("SUBSCRIBED".to_owned());
            }
            if list.selection.special_use {
                child_info.push("SPECIAL-USE".to_owned());
            }
        }
        Self {
            attributes,
            separator: Some(separator),
            name: row.name.as_str().into(),
            child_info,
            old_name: None,
        }
    }
}
