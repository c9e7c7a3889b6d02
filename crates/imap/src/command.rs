//! Commands as typed values.

use murder_mailbox::Rights;

use crate::date::DateTime;
use crate::fetch::{FetchItem, FetchModifier};
use crate::flag::Flag;
use crate::list::{List, StatusItem};
use crate::mailbox::MailboxArg;
use crate::metadata::{GetMetadata, MetadataEntry};
use crate::node::NodeCommand;
use crate::notify::Notify;
use crate::search::{MultiSearch, Search};
use crate::secret::Secret;
use crate::sequence::SequenceSet;
use crate::sort::{Sort, Thread};
use crate::tag::Tag;

/// A command, complete with its arguments (RFC 9051 section 6).
///
/// APPEND and REPLACE are not among them, as their message is streamed: see
/// [`Event::Append`](crate::server::Event::Append).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// CAPABILITY
    Capability,
    /// NOOP
    Noop,
    /// LOGOUT
    Logout,
    /// ID (RFC 2971); `None` is `NIL`. Octets that are no UTF-8 are replaced.
    Id(Option<Vec<(String, Option<String>)>>),
    /// STARTTLS
    StartTls,
    /// LOGIN
    Login {
        /// The user name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// AUTHENTICATE (RFC 9051 section 6.2.2, RFC 4959)
    Authenticate {
        /// The SASL mechanism in upper case.
        mechanism: String,
        /// The initial response, base64 undone; `=` is empty.
        initial_response: Option<Secret>,
    },
    /// ENABLE (RFC 5161)
    Enable {
        /// Capabilities in upper case; at least one.
        capabilities: Vec<String>,
    },
    /// NAMESPACE (RFC 2342)
    Namespace,
    /// LIST
    List(List),
    /// LSUB (RFC 3501 section 6.3.9)
    Lsub {
        /// The reference name.
        reference: MailboxArg,
        /// The name with wildcards.
        pattern: MailboxArg,
    },
    /// SUBSCRIBE
    Subscribe {
        /// The name.
        mailbox: MailboxArg,
    },
    /// UNSUBSCRIBE
    Unsubscribe {
        /// The name.
        mailbox: MailboxArg,
    },
    /// CREATE (RFC 9051 section 6.3.4, RFC 6154 section 3)
    Create {
        /// The name.
        mailbox: MailboxArg,
        /// The partition, `node!partition` or one of the two: Cyrus's second argument, or our
        /// `(PARTITION "x")`.
        partition: Option<String>,
        /// `(USE (\Sent …))`: special-use attributes as sent, backslash included.
        special_use: Vec<String>,
    },
    /// DELETE
    Delete {
        /// The name.
        mailbox: MailboxArg,
    },
    /// RENAME
    Rename {
        /// The name now.
        from: MailboxArg,
        /// The name wanted.
        to: MailboxArg,
        /// The partition to move to: Cyrus's third argument.
        partition: Option<String>,
    },
    /// STATUS
    Status {
        /// The name.
        mailbox: MailboxArg,
        /// What is asked for; at least one.
        items: Vec<StatusItem>,
    },
    /// SELECT
    Select {
        /// The name.
        mailbox: MailboxArg,
        /// Parameters (RFC 4466).
        params: Vec<SelectParam>,
    },
    /// EXAMINE
    Examine {
        /// The name.
        mailbox: MailboxArg,
        /// Parameters (RFC 4466).
        params: Vec<SelectParam>,
    },
    /// UNSELECT (RFC 3691)
    Unselect,
    /// CLOSE
    Close,
    /// CHECK (RFC 3501)
    Check,
    /// EXPUNGE
    Expunge,
    /// UID EXPUNGE (RFC 4315)
    UidExpunge {
        /// UIDs.
        set: SequenceSet,
    },
    /// SEARCH and UID SEARCH
    Search(Search),
    /// ESEARCH (RFC 7377)
    MultiSearch(MultiSearch),
    /// SORT and UID SORT (RFC 5256)
    Sort(Sort),
    /// THREAD and UID THREAD (RFC 5256)
    Thread(Thread),
    /// CANCELUPDATE (RFC 5267 section 4.3.5)
    CancelUpdate {
        /// The tags of the searches; at least one.
        tags: Vec<Tag>,
    },
    /// FETCH and UID FETCH
    Fetch {
        /// UID FETCH: `set` holds UIDs.
        uid: bool,
        /// Which messages.
        set: SequenceSet,
        /// What of them; at least one.
        items: Vec<FetchItem>,
        /// Modifiers (RFC 4466).
        modifiers: Vec<FetchModifier>,
    },
    /// STORE and UID STORE
    Store {
        /// UID STORE: `set` holds UIDs.
        uid: bool,
        /// Which messages.
        set: SequenceSet,
        /// Modifiers (RFC 4466).
        modifiers: Vec<StoreModifier>,
        /// What to do with the flags.
        mode: StoreMode,
        /// `.SILENT`: the new flags are not wanted.
        silent: bool,
        /// The flags.
        flags: Vec<Flag>,
    },
    /// COPY and UID COPY
    Copy {
        /// UID COPY: `set` holds UIDs.
        uid: bool,
        /// Which messages.
        set: SequenceSet,
        /// Where to.
        mailbox: MailboxArg,
    },
    /// MOVE and UID MOVE (RFC 6851)
    Move {
        /// UID MOVE: `set` holds UIDs.
        uid: bool,
        /// Which messages.
        set: SequenceSet,
        /// Where to.
        mailbox: MailboxArg,
    },
    /// IDLE (RFC 2177); DONE is read with
    /// [`CommandReader::read_line`](crate::server::CommandReader::read_line).
    Idle,
    /// NOTIFY (RFC 5465)
    Notify(Notify),
    /// COMPRESS (RFC 4978)
    Compress {
        /// The mechanism in upper case: `DEFLATE`.
        mechanism: String,
    },
    /// UNAUTHENTICATE (RFC 8437)
    Unauthenticate,
    /// What only nodes say.
    Node(NodeCommand),
    /// GETMETADATA (RFC 5464)
    GetMetadata(GetMetadata),
    /// SETMETADATA (RFC 5464 section 4.3)
    SetMetadata {
        /// The mailbox; an empty name is the server.
        mailbox: MailboxArg,
        /// What to set; at least one.
        entries: Vec<MetadataEntry>,
    },
    /// GETQUOTA (RFC 9208 section 4.1.1)
    GetQuota {
        /// The name of the quota root.
        root: String,
    },
    /// GETQUOTAROOT
    GetQuotaRoot {
        /// The name.
        mailbox: MailboxArg,
    },
    /// SETQUOTA (RFC 9208 section 4.1.3)
    SetQuota {
        /// The name of the quota root.
        root: String,
        /// Resources in upper case and their limits; what is not named has none.
        limits: Vec<(String, u64)>,
    },
    /// SETACL (RFC 4314 section 3.1)
    SetAcl {
        /// The name.
        mailbox: MailboxArg,
        /// Who, `-` in front for negative rights.
        identifier: String,
        /// What to do with the rights.
        mode: AclMode,
        /// The rights. Letters that are no rights make the command BAD.
        rights: Rights,
    },
    /// DELETEACL
    DeleteAcl {
        /// The name.
        mailbox: MailboxArg,
        /// Who.
        identifier: String,
    },
    /// GETACL
    GetAcl {
        /// The name.
        mailbox: MailboxArg,
    },
    /// LISTRIGHTS
    ListRights {
        /// The name.
        mailbox: MailboxArg,
        /// Who.
        identifier: String,
    },
    /// MYRIGHTS
    MyRights {
        /// The name.
        mailbox: MailboxArg,
    },
}

impl Command {
    /// The command's name on the wire, `UID` included: for logs, metrics and answers.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        const fn pick(uid: bool, with: &'static str, without: &'static str) -> &'static str {
            if uid { with } else { without }
        }
        match self {
            Self::Capability => "CAPABILITY",
            Self::Noop => "NOOP",
            Self::Logout => "LOGOUT",
            Self::Id(_) => "ID",
            Self::StartTls => "STARTTLS",
            Self::Login { .. } => "LOGIN",
            Self::Authenticate { .. } => "AUTHENTICATE",
            Self::Enable { .. } => "ENABLE",
            Self::Namespace => "NAMESPACE",
            Self::List(_) => "LIST",
            Self::Lsub { .. } => "LSUB",
            Self::Subscribe { .. } => "SUBSCRIBE",
            Self::Unsubscribe { .. } => "UNSUBSCRIBE",
            Self::Create { .. } => "CREATE",
            Self::Delete { .. } => "DELETE",
            Self::Rename { .. } => "RENAME",
            Self::Status { .. } => "STATUS",
            Self::Select { .. } => "SELECT",
            Self::Examine { .. } => "EXAMINE",
            Self::Unselect => "UNSELECT",
            Self::Close => "CLOSE",
            Self::Check => "CHECK",
            Self::Expunge => "EXPUNGE",
            Self::UidExpunge { .. } => "UID EXPUNGE",
            Self::Search(search) => pick(search.uid, "UID SEARCH", "SEARCH"),
            Self::MultiSearch(_) => "ESEARCH",
            Self::Sort(sort) => pick(sort.uid, "UID SORT", "SORT"),
            Self::Thread(thread) => pick(thread.uid, "UID THREAD", "THREAD"),
            Self::CancelUpdate { .. } => "CANCELUPDATE",
            Self::Fetch { uid, .. } => pick(*uid, "UID FETCH", "FETCH"),
            Self::Store { uid, .. } => pick(*uid, "UID STORE", "STORE"),
            Self::Copy { uid, .. } => pick(*uid, "UID COPY", "COPY"),
            Self::Move { uid, .. } => pick(*uid, "UID MOVE", "MOVE"),
            Self::Idle => "IDLE",
            Self::Notify(_) => "NOTIFY",
            Self::Compress { .. } => "COMPRESS",
            Self::Unauthenticate => "UNAUTHENTICATE",
            Self::GetMetadata(_) => "GETMETADATA",
            Self::SetMetadata { .. } => "SETMETADATA",
            Self::GetQuota { .. } => "GETQUOTA",
            Self::GetQuotaRoot { .. } => "GETQUOTAROOT",
            Self::SetQuota { .. } => "SETQUOTA",
            Self::SetAcl { .. } => "SETACL",
            Self::DeleteAcl { .. } => "DELETEACL",
            Self::GetAcl { .. } => "GETACL",
            Self::ListRights { .. } => "LISTRIGHTS",
            Self::MyRights { .. } => "MYRIGHTS",
            Self::Node(command) => command.name(),
        }
    }
}

/// `select-param` (RFC 4466).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectParam {
    /// `CONDSTORE` (RFC 7162 section 3.1.8)
    CondStore,
    /// `QRESYNC (…)` (RFC 7162 section 3.2.5)
    QResync {
        /// The last known UIDVALIDITY.
        uidvalidity: u32,
        /// The last known mod-sequence.
        modseq: u64,
        /// The UIDs that the client knows.
        known_uids: Option<SequenceSet>,
        /// Message numbers and their UIDs, which correspond.
        seq_match: Option<(SequenceSet, SequenceSet)>,
    },
}

/// `store-modifier` (RFC 4466).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreModifier {
    /// `UNCHANGEDSINCE modseq` (RFC 7162)
    UnchangedSince(u64),
}

/// What STORE does with the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreMode {
    /// `FLAGS`
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// What SETACL does with the rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AclMode {
    /// The identifier has these rights and no others.
    Replace,
    /// `+`: the identifier has these rights too.
    Add,
    /// `-`: the identifier has these rights no longer.
    Remove,
}

/// The head of an APPEND command, up to and with the announcement of its first message or the
/// start of that message's parts (RFC 9051 section 6.3.12), or of a REPLACE command (RFC 8508).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendStart {
    /// The command's tag.
    pub tag: Tag,
    /// REPLACE: which message of the selected mailbox goes. It has but one message.
    pub replaces: Option<Replaced>,
    /// Where to.
    pub mailbox: MailboxArg,
    /// The flags of the first message.
    pub flags: Vec<Flag>,
    /// Its internal date; without it, now.
    pub internal_date: Option<DateTime>,
    /// What it is made of.
    pub data: AppendData,
}

impl AppendStart {
    /// The command's name on the wire, `UID` included.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match &self.replaces {
            None => "APPEND",
            Some(Replaced { uid: false, .. }) => "REPLACE",
            Some(Replaced { uid: true, .. }) => "UID REPLACE",
        }
    }
}

/// The message that REPLACE replaces (RFC 8508).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// UID REPLACE: `message` is a UID.
    pub uid: bool,
    /// A single number, or `*`.
    pub message: SequenceSet,
}

/// What APPEND says of a further message before its octets (RFC 3502).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendMessage {
    /// Its flags.
    pub flags: Vec<Flag>,
    /// Its internal date; without it, now.
    pub internal_date: Option<DateTime>,
    /// What it is made of.
    pub data: AppendData,
}

/// What a message of APPEND is made of (RFC 4466, `append-data`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendData {
    /// Octets that the client sends.
    Literal(LiteralHead),
    /// CATENATE (RFC 4469): parts, at least one, which come one by one as
    /// [`AppendNext::Part`](crate::server::AppendNext::Part).
    Catenate,
}

/// A part of a message that CATENATE puts together (RFC 4469 section 5, `cat-part`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatPart {
    /// Octets that the client sends.
    Text(LiteralHead),
    /// Octets of a message that is here already: the URL as sent, for
    /// [`MessageUrl::parse`](crate::url::MessageUrl::parse).
    Url(Vec<u8>),
}

/// The announcement of a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiteralHead {
    /// How many octets.
    pub len: u64,
    /// Whether the client waits for a continuation request before it sends them.
    pub sync: bool,
    /// `literal8`: may hold NULs (RFC 3516).
    pub binary: bool,
    /// Wrapped in `UTF8 (…)` (RFC 6855 section 4).
    pub utf8: bool,
}
