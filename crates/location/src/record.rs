//! What the master knows of a mailbox, a partition, a node: values, and their wire forms.

use std::collections::BTreeMap;
use std::sync::Arc;

use murder_auth::{Account, IpNet, parse_network};
use murder_mailbox::{Acl, MailboxId, MailboxName, SpecialUse};
use murder_net::tls::Revocation;
use murder_proto::v1;

/// What a mailbox's record says about the mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MailboxState {
    /// The name is taken, the mailbox is not there yet.
    Reserved,
    /// The mailbox is there.
    Active,
    /// The mailbox is out of service: its backend is about to delete it, or has deleted it already.
    Deleting,
}

/// What a mailbox holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MailboxType {
    /// Mail.
    #[default]
    Mail,
}

/// The special-use attributes of one mailbox (RFC 6154), a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SpecialUses(u8);

impl SpecialUses {
    fn bit(special_use: SpecialUse) -> u8 {
        let place = SpecialUse::ALL.iter().position(|u| *u == special_use);
        place.map_or(0, |place| 1 << place)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `special_use` is one of them.
    #[must_use]
    pub fn contains(self, special_use: SpecialUse) -> bool {
        self.0 & Self::bit(special_use) != 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = SpecialUse> {
        SpecialUse::ALL
            .into_iter()
            .filter(move |u| self.contains(*u))
    }
}

impl FromIterator<SpecialUse> for SpecialUses {
    fn from_iter<I: IntoIterator<Item = SpecialUse>>(uses: I) -> Self {
        Self(uses.into_iter().fold(0, |bits, u| bits | Self::bit(u)))
    }
}

/// Where a mailbox is, and who may use it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Stable over renames and moves.
    pub id: MailboxId,
    /// `node!partition`.
    pub partition: Arc<str>,
    /// Who may do what.
    pub acl: Arc<Acl>,
    /// Whether it is there.
    pub state: MailboxState,
    /// Given by the master; no two mailboxes ever had the same.
    pub uidvalidity: u32,
    /// What it is meant for.
    pub special_use: SpecialUses,
    /// What it holds.
    pub mailbox_type: MailboxType,
    /// The revision at which a reserved mailbox was reserved; else 0.
    pub reserved_revision: u64,
}

/// Whether `name` has the form `node!partition`.
#[must_use]
pub fn valid_partition(name: &str) -> bool {
    name.len() <= 255
        && name.split_once('!').is_some_and(|(node, partition)| {
            let plain = |text: &str| {
                !text.is_empty()
                    && text
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            };
            plain(node) && plain(partition)
        })
}

/// Whether a partition that nobody has registered yet would be named after `node`, which made it.
/// Once it is registered, its record says whose it is.
#[must_use]
pub fn is_named_after(partition: &str, node: &str) -> bool {
    partition
        .strip_prefix(node)
        .is_some_and(|rest| rest.starts_with('!'))
}

/// A mailbox's name with its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Canonical name.
    pub name: MailboxName,
    /// Where it is.
    pub location: Location,
}

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeState {
    /// It has a session with the master.
    Up,
    /// It has one, and wants nothing new.
    Draining,
    /// It has none.
    Down,
}

/// The kinds of services that nodes serve.
pub mod service {
    /// IMAP over TLS; at a backend, where the other nodes connect.
    pub const IMAPS: &str = "imaps";
    /// LMTP.
    pub const LMTP: &str = "lmtp";
    /// Health and metrics.
    pub const HTTP: &str = "http";
    /// Operators' calls.
    pub const ADMIN: &str = "admin";
}

/// One node of the murder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its certificate's name.
    pub name: String,
    /// `frontend`, `backend`, `mupdate`.
    pub roles: Vec<String>,
    /// What it serves, by kind (see [`service`]), and its `host:port` as other nodes reach it.
    pub services: BTreeMap<String, String>,
    /// What it does.
    pub state: NodeState,
    /// Relative share of new homes.
    pub weight: u32,
    /// Another value each time the process starts.
    pub incarnation: [u8; 16],
}

/// What a partition takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartitionState {
    /// Everything.
    Online,
    /// Nothing new: damaged or full.
    ReadOnly,
    /// Nothing at all: its node could not open it.
    Offline,
}

/// The epoch of a partition's first owner.
pub const FIRST_EPOCH: u64 = 1;

/// A partition, and the epoch at which a node owns it, or believes so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionEpoch {
    /// `node!partition`.
    pub partition: String,
    /// See [`Partition::epoch`].
    pub epoch: u64,
}

impl PartitionEpoch {
    /// Its wire form.
    #[must_use]
    pub fn to_proto(&self) -> v1::PartitionEpoch {
        v1::PartitionEpoch {
            partition: self.partition.clone(),
            epoch: self.epoch,
        }
    }
}

/// Which partition it is, and which copy of it: made with the directory, never changed by a move
/// or a new name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PartitionIdentity {
    /// The partition.
    pub id: [u8; 16],
    /// The copy; a directory that was put back or taken over gets another one.
    pub copy: [u8; 16],
}

impl PartitionIdentity {
    /// From its wire form; `None` when there is none, or it makes no sense.
    #[must_use]
    pub fn from_proto(id: &[u8], copy: &[u8]) -> Option<Self> {
        Some(Self {
            id: id.try_into().ok()?,
            copy: copy.try_into().ok()?,
        })
    }

    /// The wire form: id and copy, empty for none.
    #[must_use]
    pub fn to_proto(of: Option<Self>) -> (Vec<u8>, Vec<u8>) {
        of.map_or_else(Default::default, |of| (of.id.into(), of.copy.into()))
    }
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// `node!partition`, after the node that made it.
    pub name: String,
    /// The node that serves it: at first the one that registered it.
    pub owner: String,
    /// [`FIRST_EPOCH`] with the first owner; each change of the owner adds one.
    pub epoch: u64,
    /// What it takes.
    pub state: PartitionState,
    /// Size of its file system in bytes; 0 when unknown.
    pub bytes_total: u64,
    /// Free bytes there.
    pub bytes_free: u64,
    /// What a directory must be to be this partition; `None` until one was opened.
    pub identity: Option<PartitionIdentity>,
    /// How far that copy has come at least.
    pub report: Report,
}

/// How far a partition has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Report {
    /// A durable record of its journal.
    pub lsn: u64,
    /// The UIDs that it had given out by then, over all its mailboxes.
    pub uids: u64,
}

impl Report {
    /// The further of both, each part by itself.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            lsn: self.lsn.max(other.lsn),
            uids: self.uids.max(other.uids),
        }
    }
}

/// Why nobody logs in from a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// When it ends, milliseconds since 1970; 0: when it is taken back.
    pub until_ms: u64,
    /// The operator or the node that has made it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Whether that was an operator.
    pub operator: bool,
}

impl Block {
    /// Whether it is over.
    #[must_use]
    pub const fn is_over(&self, now_ms: u64) -> bool {
        self.until_ms != 0 && self.until_ms <= now_ms
    }

    /// Its wire form.
    #[must_use]
    pub fn to_proto(&self, network: &IpNet) -> v1::Block {
        v1::Block {
            network: network.to_string(),
            until_ms: self.until_ms,
            by: self.by.clone(),
            reason: self.reason.clone(),
            operator: self.operator,
        }
    }

    /// From its wire form.
    ///
    /// # Errors
    /// When the network is none.
    pub fn from_proto(block: v1::Block) -> Result<(IpNet, Self), InvalidRecord> {
        let network = network_of(&block.network)?;
        let block = Self {
            until_ms: block.until_ms,
            by: block.by,
            reason: block.reason,
            operator: block.operator,
        };
        Ok((network, block))
    }
}

fn network_of(text: &str) -> Result<IpNet, InvalidRecord> {
    parse_network(text).map_err(|_| InvalidRecord {
        what: "block",
        name: text.to_owned(),
    })
}

/// One record as it is after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A mailbox, or that there is none of that name.
    Mailbox(MailboxName, Option<Location>),
    /// A partition.
    Partition(String, Option<Partition>),
    /// A node.
    Node(String, Option<Node>),
    /// An account.
    Account(String, Option<Account>),
    /// A block of a network.
    Block(IpNet, Option<Block>),
    /// What is revoked of the certificates of a name.
    Revocation(String, Option<Revocation>),
}

/// A record that came over the wire or from the disk and makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} record {name:?}")]
pub struct InvalidRecord {
    /// Which kind of record.
    pub what: &'static str,
    /// Its name.
    pub name: String,
}

impl MailboxState {
    /// Its wire form.
    #[must_use]
    pub const fn to_proto(self) -> v1::MailboxState {
        match self {
            Self::Reserved => v1::MailboxState::Reserved,
            Self::Active => v1::MailboxState::Active,
            Self::Deleting => v1::MailboxState::Deleting,
        }
    }
}

impl Mailbox {
    /// Its wire form.
    #[must_use]
    pub fn to_proto(&self) -> v1::Mailbox {
        mailbox_to_proto(&self.name, &self.location)
    }

    /// From its wire form.
    ///
    /// # Errors
    /// When a field makes no sense.
    pub fn from_proto(mailbox: v1::Mailbox) -> Result<Self, InvalidRecord> {
        let invalid = || InvalidRecord {
            what: "mailbox",
            name: mailbox.name.clone(),
        };
        let name = MailboxName::parse_canonical(&mailbox.name).map_err(|_| invalid())?;
        let acl = if mailbox.owner_acl {
            owner_acl(&name).ok_or_else(invalid)?
        } else {
            Acl::parse(&mailbox.acl).map_err(|_| invalid())?
        };
        let state = match mailbox.state() {
            v1::MailboxState::Reserved => MailboxState::Reserved,
            v1::MailboxState::Active => MailboxState::Active,
            v1::MailboxState::Deleting => MailboxState::Deleting,
            v1::MailboxState::Unspecified => return Err(invalid()),
        };
        if !valid_partition(&mailbox.partition) {
            return Err(invalid());
        }
        let location = Location {
            id: MailboxId::from_slice(&mailbox.id).ok_or_else(invalid)?,
            partition: mailbox.partition.as_str().into(),
            acl: Arc::new(acl),
            state,
            uidvalidity: mailbox.uidvalidity,
            special_use: special_uses_from(&mailbox.special_use),
            mailbox_type: MailboxType::Mail,
            reserved_revision: mailbox.reserved_revision,
        };
        Ok(Self { name, location })
    }
}

/// The ACL that gives the owner of `name` every right, when it has an owner.
#[must_use]
pub(crate) fn owner_acl(name: &MailboxName) -> Option<Acl> {
    name.owner_user().map(|user| Acl::owned_by(&user))
}

/// Unknown attributes (a newer master's) are passed over.
#[must_use]
pub fn special_uses_from(texts: &[String]) -> SpecialUses {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// The wire form of a mailbox.
#[must_use]
pub fn mailbox_to_proto(name: &MailboxName, location: &Location) -> v1::Mailbox {
    let is_owner_acl = is_owner_acl(name, &location.acl);
    v1::Mailbox {
        name: name.as_str().to_owned(),
        id: location.id.to_bytes().to_vec(),
        partition: location.partition.to_string(),
        acl: if is_owner_acl {
            String::new()
        } else {
            location.acl.to_string()
        },
        state: location.state.to_proto().into(),
        uidvalidity: location.uidvalidity,
        special_use: location.special_use.iter().map(|u| u.to_string()).collect(),
        r#type: v1::MailboxType::Mail.into(),
        owner_acl: is_owner_acl,
        reserved_revision: location.reserved_revision,
    }
}

/// Whether `acl` is what [`owner_acl`] would make.
#[must_use]
pub(crate) fn is_owner_acl(name: &MailboxName, acl: &Acl) -> bool {
    let mut entries = acl.entries();
    match (entries.next(), entries.next()) {
        (Some((identifier, rights)), None) => {
            rights == murder_mailbox::Rights::ALL && name.is_owned_by(identifier)
        }
        _ => false,
    }
}

impl Node {
    /// Where it serves that [kind](service) of service; `None` when it does not.
    #[must_use]
    pub fn service(&self, kind: &str) -> Option<&str> {
        self.services.get(kind).map(String::as_str)
    }

    /// Its wire form.
    #[must_use]
    pub fn to_proto(&self) -> v1::Node {
        v1::Node {
            name: self.name.clone(),
            roles: self.roles.clone(),
            state: match self.state {
                NodeState::Up => v1::NodeState::Up,
                NodeState::Draining => v1::NodeState::Draining,
                NodeState::Down => v1::NodeState::Down,
            }
            .into(),
            weight: self.weight,
            incarnation: self.incarnation.to_vec(),
            services: self.services.clone(),
        }
    }

    /// From its wire form.
    ///
    /// # Errors
    /// When a field makes no sense.
    pub fn from_proto(node: v1::Node) -> Result<Self, InvalidRecord> {
        let invalid = |name: &str| InvalidRecord {
            what: "node",
            name: name.to_owned(),
        };
        let state = match node.state() {
            v1::NodeState::Up => NodeState::Up,
            v1::NodeState::Draining => NodeState::Draining,
            v1::NodeState::Down => NodeState::Down,
            v1::NodeState::Unspecified => return Err(invalid(&node.name)),
        };
        let incarnation = node
            .incarnation
            .try_into()
            .map_err(|_| invalid(&node.name))?;
        Ok(Self {
            name: node.name,
            roles: node.roles,
            services: node.services,
            state,
            weight: node.weight,
            incarnation,
        })
    }
}

impl PartitionState {
    /// Its wire form.
    #[must_use]
    pub const fn to_proto(self) -> v1::PartitionState {
        match self {
            Self::Online => v1::PartitionState::Online,
            Self::ReadOnly => v1::PartitionState::ReadOnly,
            Self::Offline => v1::PartitionState::Offline,
        }
    }

    /// From its wire form; a state of a newer master's counts as read-only.
    #[must_use]
    pub const fn from_proto(state: v1::PartitionState) -> Self {
        match state {
            v1::PartitionState::Online => Self::Online,
            v1::PartitionState::Offline => Self::Offline,
            v1::PartitionState::ReadOnly | v1::PartitionState::Unspecified => Self::ReadOnly,
        }
    }
}

impl Partition {
    /// Its wire form.
    #[must_use]
    pub fn to_proto(&self) -> v1::Partition {
        let (id, copy) = PartitionIdentity::to_proto(self.identity);
        v1::Partition {
            id,
            copy,
            lsn: self.report.lsn,
            uids: self.report.uids,
            name: self.name.clone(),
            owner: self.owner.clone(),
            epoch: self.epoch,
            state: self.state.to_proto().into(),
            bytes_total: self.bytes_total,
            bytes_free: self.bytes_free,
        }
    }

    /// From its wire form.
    ///
    /// # Errors
    /// When a field makes no sense.
    pub fn from_proto(partition: v1::Partition) -> Result<Self, InvalidRecord> {
        if !valid_partition(&partition.name) {
            return Err(InvalidRecord {
                what: "partition",
                name: partition.name,
            });
        }
        let state = PartitionState::from_proto(partition.state());
        Ok(Self {
            identity: PartitionIdentity::from_proto(&partition.id, &partition.copy),
            report: Report {
                lsn: partition.lsn,
                uids: partition.uids,
            },
            name: partition.name,
            owner: partition.owner,
            epoch: partition.epoch,
            state,
            bytes_total: partition.bytes_total,
            bytes_free: partition.bytes_free,
        })
    }
}

/// The wire form of an account.
#[must_use]
pub fn account_to_proto(account: &Account) -> v1::Account {
    v1::Account {
        name: account.name.clone(),
        password_hash: account.password_hash.clone(),
        groups: account.groups.clone(),
        admin: account.admin,
        disabled: account.disabled,
    }
}

/// An account from its wire form.
#[must_use]
pub fn account_from_proto(account: v1::Account) -> Account {
    Account {
        name: account.name,
        password_hash: account.password_hash,
        groups: account.groups,
        admin: account.admin,
        disabled: account.disabled,
    }
}

/// The wire form of what is revoked of certificates.
#[must_use]
pub fn revocation_to_proto(revocation: &Revocation) -> v1::Revocation {
    v1::Revocation {
        name: revocation.name.clone(),
        issued_until: revocation.issued_until,
        serials: revocation.serials.clone(),
    }
}

/// What is revoked of certificates, from its wire form.
#[must_use]
pub fn revocation_from_proto(revocation: v1::Revocation) -> Revocation {
    Revocation {
        name: revocation.name,
        issued_until: revocation.issued_until,
        serials: revocation.serials,
    }
}

impl Change {
    /// Its wire form.
    #[must_use]
    pub fn to_proto(&self) -> v1::Change {
        use v1::change::Kind;
        let kind = match self {
            Self::Mailbox(name, Some(location)) => Kind::Mailbox(mailbox_to_proto(name, location)),
            Self::Mailbox(name, None) => Kind::MailboxGone(name.as_str().to_owned()),
            Self::Partition(_, Some(partition)) => Kind::Partition(partition.to_proto()),
            Self::Partition(name, None) => Kind::PartitionGone(name.clone()),
            Self::Node(_, Some(node)) => Kind::Node(node.to_proto()),
            Self::Node(name, None) => Kind::NodeGone(name.clone()),
            Self::Account(_, Some(account)) => Kind::Account(account_to_proto(account)),
            Self::Account(name, None) => Kind::AccountGone(name.clone()),
            Self::Block(network, Some(block)) => Kind::Block(block.to_proto(network)),
            Self::Block(network, None) => Kind::BlockGone(network.to_string()),
            Self::Revocation(_, Some(revocation)) => {
                Kind::Revocation(revocation_to_proto(revocation))
            }
            Self::Revocation(name, None) => Kind::RevocationGone(name.clone()),
        };
        v1::Change { kind: Some(kind) }
    }

    /// From its wire form.
    ///
    /// # Errors
    /// When a field makes no sense.
    pub fn from_proto(change: v1::Change) -> Result<Self, InvalidRecord> {
        use v1::change::Kind;
        let parse_name = |name: String| {
            MailboxName::parse_canonical(&name).map_err(|_| InvalidRecord {
                what: "mailbox",
                name,
            })
        };
        match change.kind {
            Some(Kind::Mailbox(mailbox)) => {
                let mailbox = Mailbox::from_proto(mailbox)?;
                Ok(Self::Mailbox(mailbox.name, Some(mailbox.location)))
            }
            Some(Kind::MailboxGone(name)) => Ok(Self::Mailbox(parse_name(name)?, None)),
            Some(Kind::Partition(partition)) => {
                let partition = Partition::from_proto(partition)?;
                Ok(Self::Partition(partition.name.clone(), Some(partition)))
            }
            Some(Kind::PartitionGone(name)) => Ok(Self::Partition(name, None)),
            Some(Kind::Node(node)) => {
                let node = Node::from_proto(node)?;
                Ok(Self::Node(node.name.clone(), Some(node)))
            }
            Some(Kind::NodeGone(name)) => Ok(Self::Node(name, None)),
            Some(Kind::Account(account)) => {
                let account = account_from_proto(account);
                Ok(Self::Account(account.name.clone(), Some(account)))
            }
            Some(Kind::AccountGone(name)) => Ok(Self::Account(name, None)),
            Some(Kind::Block(block)) => {
                let (network, block) = Block::from_proto(block)?;
                Ok(Self::Block(network, Some(block)))
            }
            Some(Kind::BlockGone(network)) => Ok(Self::Block(network_of(&network)?, None)),
            Some(Kind::Revocation(revocation)) => {
                let revocation = revocation_from_proto(revocation);
                Ok(Self::Revocation(revocation.name.clone(), Some(revocation)))
            }
            Some(Kind::RevocationGone(name)) => Ok(Self::Revocation(name, None)),
            None => Err(InvalidRecord {
                what: "unknown",
                name: String::new(),
            }),
        }
    }
}

/// What kind of change a wire change is.
#[must_use]
pub fn topic_of(change: &v1::Change) -> v1::Topic {
    use v1::change::Kind;
    match &change.kind {
        Some(Kind::Mailbox(_) | Kind::MailboxGone(_)) => v1::Topic::Mailboxes,
        Some(Kind::Account(_) | Kind::AccountGone(_) | Kind::Block(_) | Kind::BlockGone(_)) => {
            v1::Topic::Users
        }
        Some(
            Kind::Partition(_)
            | Kind::PartitionGone(_)
            | Kind::Node(_)
            | Kind::NodeGone(_)
            | Kind::Revocation(_)
            | Kind::RevocationGone(_),
        ) => v1::Topic::Nodes,
        None => v1::Topic::Unspecified,
    }
}
