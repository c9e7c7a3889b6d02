//! Response codes: the bracketed part of a status response.

use std::fmt;

use crate::flag::Flag;
use crate::node::NodeCode;
use crate::sequence::SequenceSet;

/// `resp-text-code` (RFC 9051 section 7.1, RFC 5530 and the RFCs named below).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// `ALERT`
    Alert,
    /// `ALREADYEXISTS`
    AlreadyExists,
    /// `AUTHENTICATIONFAILED`
    AuthenticationFailed,
    /// `AUTHORIZATIONFAILED`
    AuthorizationFailed,
    /// `CANNOT`
    Cannot,
    /// `CLIENTBUG`
    ClientBug,
    /// `CLOSED` (RFC 7162)
    Closed,
    /// `COMPRESSIONACTIVE` (RFC 4978)
    CompressionActive,
    /// `CONTACTADMIN`
    ContactAdmin,
    /// `CORRUPTION`
    Corruption,
    /// `EXPIRED`
    Expired,
    /// `EXPUNGEISSUED`
    ExpungeIssued,
    /// `HASCHILDREN`
    HasChildren,
    /// `INUSE`
    InUse,
    /// `LIMIT`
    Limit,
    /// `NOMODSEQ` (RFC 7162)
    NoModSeq,
    /// `NONEXISTENT`
    NonExistent,
    /// `NOPERM`
    NoPerm,
    /// `NOTIFICATIONOVERFLOW` (RFC 5465)
    NotificationOverflow,
    /// `NOTSAVED`
    NotSaved,
    /// `OVERQUOTA`
    OverQuota,
    /// `PARSE`
    Parse,
    /// `PRIVACYREQUIRED`
    PrivacyRequired,
    /// `READ-ONLY`
    ReadOnly,
    /// `READ-WRITE`
    ReadWrite,
    /// `SERVERBUG`
    ServerBug,
    /// `TOOBIG` (RFC 4469, RFC 7889)
    TooBig,
    /// `TRYCREATE`
    TryCreate,
    /// `UIDNOTSTICKY`
    UidNotSticky,
    /// `UIDREQUIRED` (RFC 9586)
    UidRequired,
    /// `UNAVAILABLE`
    Unavailable,
    /// `UNKNOWN-CTE`
    UnknownCte,
    /// `USEATTR` (RFC 6154)
    UseAttr,
    /// `APPENDUID uidvalidity uids`
    AppendUid {
        /// The mailbox's UIDVALIDITY.
        uidvalidity: u32,
        /// The UIDs, in the order of the messages.
        uids: SequenceSet,
    },
    /// `BADCHARSET (charsets)`
    BadCharset(Vec<String>),
    /// `BADURL url` (RFC 4469): the first URL that could not be used; see [`Code::bad_url`].
    BadUrl(String),
    /// `BADEVENT (events)` (RFC 5465): the events that can be asked for.
    BadEvent(Vec<String>),
    /// `CAPABILITY …`
    Capability(Vec<String>),
    /// `COPYUID uidvalidity from to`
    CopyUid {
        /// The destination's UIDVALIDITY.
        uidvalidity: u32,
        /// The UIDs in the source.
        from: SequenceSet,
        /// The UIDs in the destination, in the same order.
        to: SequenceSet,
    },
    /// `HIGHESTMODSEQ n` (RFC 7162)
    HighestModSeq(u64),
    /// `INPROGRESS ("tag" done goal)` (RFC 9585)
    InProgress {
        /// The command that is in progress; NIL if that is not known, or its tag has a `]`.
        tag: Option<String>,
        /// How much is done; unknown, NIL.
        done: Option<u32>,
        /// How much there is to do, above `done`; NIL if that is not known. Only with `done`.
        goal: Option<u32>,
    },
    /// `METADATA LONGENTRIES n` (RFC 5464): the largest value that was left out.
    MetadataLongEntries(u32),
    /// `METADATA MAXSIZE n`: the largest value that can be set.
    MetadataMaxSize(u32),
    /// `METADATA NOPRIVATE`
    MetadataNoPrivate,
    /// `METADATA TOOMANY`
    MetadataTooMany,
    /// `MAILBOXID (id)` (RFC 8474)
    MailboxId(String),
    /// `MODIFIED set` (RFC 7162)
    Modified(SequenceSet),
    /// `NOUPDATE "tag"` (RFC 5267): the search whose changes are not told.
    NoUpdate(String),
    /// `PERMANENTFLAGS (…)`
    PermanentFlags {
        /// The flags.
        flags: Vec<Flag>,
        /// `\*`: new keywords can be made.
        any_keyword: bool,
    },
    /// `REFERRAL url` (RFC 2221, RFC 2193)
    Referral(String),
    /// `UIDNEXT n`
    UidNext(u32),
    /// `UIDVALIDITY n`
    UidValidity(u32),
    /// `UNSEEN n` (RFC 3501)
    Unseen(u32),
    /// Of one node to another.
    Node(NodeCode),
    /// Any other: an atom, and after a space, text without `]`, CR, LF or NUL. Those are left
    /// out when it is written.
    Other(String),
}

impl Code {
    pub(crate) const PLAIN: [(&'static str, Self); 33] = [
        ("ALERT", Self::Alert),
        ("ALREADYEXISTS", Self::AlreadyExists),
        ("AUTHENTICATIONFAILED", Self::AuthenticationFailed),
        ("AUTHORIZATIONFAILED", Self::AuthorizationFailed),
        ("CANNOT", Self::Cannot),
        ("CLIENTBUG", Self::ClientBug),
        ("CLOSED", Self::Closed),
        ("COMPRESSIONACTIVE", Self::CompressionActive),
        ("CONTACTADMIN", Self::ContactAdmin),
        ("CORRUPTION", Self::Corruption),
        ("EXPIRED", Self::Expired),
        ("EXPUNGEISSUED", Self::ExpungeIssued),
        ("HASCHILDREN", Self::HasChildren),
        ("INUSE", Self::InUse),
        ("LIMIT", Self::Limit),
        ("NOMODSEQ", Self::NoModSeq),
        ("NONEXISTENT", Self::NonExistent),
        ("NOPERM", Self::NoPerm),
        ("NOTIFICATIONOVERFLOW", Self::NotificationOverflow),
        ("NOTSAVED", Self::NotSaved),
        ("OVERQUOTA", Self::OverQuota),
        ("PARSE", Self::Parse),
        ("PRIVACYREQUIRED", Self::PrivacyRequired),
        ("READ-ONLY", Self::ReadOnly),
        ("READ-WRITE", Self::ReadWrite),
        ("SERVERBUG", Self::ServerBug),
        ("TOOBIG", Self::TooBig),
        ("TRYCREATE", Self::TryCreate),
        ("UIDNOTSTICKY", Self::UidNotSticky),
        ("UIDREQUIRED", Self::UidRequired),
        ("UNAVAILABLE", Self::Unavailable),
        ("UNKNOWN-CTE", Self::UnknownCte),
        ("USEATTR", Self::UseAttr),
    ];

    /// [`Code::BadUrl`] of what a client has sent: what is no URL and could not stand in the code
    /// is percent-encoded.
    #[must_use]
    pub fn bad_url(url: &[u8]) -> Self {
        let mut text = String::with_capacity(url.len());
        for octet in url {
            match octet {
                b']' | 0..=0x1f | 0x7f.. => text.push_str(&format!("%{octet:02X}")),
                _ => text.push(char::from(*octet)),
            }
        }
        Self::BadUrl(text)
    }
}

impl fmt::Display for Code {
    /// The code without its brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn words<T: fmt::Display>(f: &mut fmt::Formatter<'_>, words: &[T]) -> fmt::Result {
            words.iter().enumerate().try_for_each(|(at, word)| {
                f.write_str(if at == 0 { "" } else { " " })?;
                write!(f, "{word}")
            })
        }
        fn quoted(f: &mut fmt::Formatter<'_>, tag: &str) -> fmt::Result {
            f.write_str("\"")?;
            for c in tag.chars() {
                // What a quoted string cannot hold is in no tag.
                if matches!(c, '"' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            f.write_str("\"")
        }
        match self {
            Self::AppendUid { uidvalidity, uids } => write!(f, "APPENDUID {uidvalidity} {uids}"),
            Self::BadCharset(charsets) if charsets.is_empty() => f.write_str("BADCHARSET"),
            Self::BadCharset(charsets) => {
                f.write_str("BADCHARSET (")?;
                words(f, charsets)?;
                f.write_str(")")
            }
            Self::BadEvent(events) => {
                f.write_str("BADEVENT (")?;
                words(f, events)?;
                f.write_str(")")
            }
            Self::InProgress { tag, done, goal } => {
                f.write_str("INPROGRESS (")?;
                match tag {
                    // A quoted string; no tag has what would have to be escaped in it.
                    Some(tag) => write!(f, "\"{tag}\" ")?,
                    None => f.write_str("NIL ")?,
                }
                match done {
                    Some(done) => write!(f, "{done} ")?,
                    None => f.write_str("NIL ")?,
                }
                match goal {
                    Some(goal) => write!(f, "{goal})"),
                    None => f.write_str("NIL)"),
                }
            }
            Self::MetadataLongEntries(n) => write!(f, "METADATA LONGENTRIES {n}"),
            Self::MetadataMaxSize(n) => write!(f, "METADATA MAXSIZE {n}"),
            Self::MetadataNoPrivate => f.write_str("METADATA NOPRIVATE"),
            Self::MetadataTooMany => f.write_str("METADATA TOOMANY"),
            Self::Capability(capabilities) => {
                f.write_str("CAPABILITY ")?;
                words(f, capabilities)
            }
            Self::CopyUid {
                uidvalidity,
                from,
                to,
            } => write!(f, "COPYUID {uidvalidity} {from} {to}"),
            Self::HighestModSeq(n) => write!(f, "HIGHESTMODSEQ {n}"),
            Self::MailboxId(id) => write!(f, "MAILBOXID ({id})"),
            Self::Modified(set) => write!(f, "MODIFIED {set}"),
            Self::NoUpdate(tag) => {
                f.write_str("NOUPDATE ")?;
                quoted(f, tag)
            }
            Self::PermanentFlags { flags, any_keyword } => {
                f.write_str("PERMANENTFLAGS (")?;
                words(f, flags)?;
                if *any_keyword {
                    f.write_str(if flags.is_empty() { "\\*" } else { " \\*" })?;
                }
                f.write_str(")")
            }
            Self::BadUrl(url) => write!(f, "BADURL {url}"),
            Self::Referral(url) => write!(f, "REFERRAL {url}"),
            Self::UidNext(n) => write!(f, "UIDNEXT {n}"),
            Self::UidValidity(n) => write!(f, "UIDVALIDITY {n}"),
            Self::Unseen(n) => write!(f, "UNSEEN {n}"),
            Self::Node(code) => write!(f, "{code}"),
            Self::Other(text) => f.write_str(text),
            plain => {
                let name = Self::PLAIN.iter().find(|(_, code)| code == plain);
                f.write_str(name.map_or("", |(name, _)| name))
            }
        }
    }
}
