//! What all sessions of a backend share.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use murder_auth::{Account, Authenticator, normalize_user};
use murder_location::{FIRST_EPOCH, MupdateClient, PartitionEpoch, Replica};
use murder_mailbox::{Acl, Identity, MailboxName, Rights};
use murder_net::tls::TlsServer;
use murder_net::{Health, Metrics, NodeTls, Shutdown};
use murder_session::Sessions;
use murder_store::{MailboxMeta, Partition, StoreError};
use tokio::sync::Notify;

use crate::config::BackendConfig;
use crate::counters::Counters;
use crate::mailboxes::Changes;
use crate::opening::Opener;
use crate::partitions::Partitions;

/// How long somebody whom the replica does not know yet may keep the master busy.
const BARRIER: Duration = Duration::from_secs(2);

/// The node's ties to the master.
pub(crate) struct Cluster {
    /// Changes the location map.
    pub client: MupdateClient,
    /// Accounts and nodes as the master has them.
    pub replica: Arc<Replica>,
    /// For connections to other nodes.
    pub tls: NodeTls,
}

/// A running backend, as its sessions see it.
pub(crate) struct Node {
    /// The settings.
    pub config: BackendConfig,
    /// The partitions by name.
    pub partitions: Arc<Partitions>,
    /// What opens them.
    pub opener: Opener,
    /// `None` when the backend works alone.
    pub cluster: Option<Cluster>,
    /// Checks passwords.
    pub authenticator: Arc<Authenticator>,
    /// Who is logged in.
    pub sessions: Arc<Sessions>,
    /// For STARTTLS; `None` without a certificate.
    pub tls: Option<TlsServer>,
    /// Conditions.
    pub health: Health,
    /// Everything that is counted.
    pub metrics: Metrics,
    /// What the node counts itself.
    pub counters: Counters,
    /// Owns the sessions.
    pub shutdown: Shutdown,
    /// The order of changes of the list of mailboxes.
    pub changes: Changes,
    /// The partitions are to be looked at now: one has been opened.
    pub look_now: Notify,
}

/// A mailbox of this node.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Where it is.
    pub partition: Arc<Partition>,
    /// What it is.
    pub meta: MailboxMeta,
}

/// Why no partition is that of a quota root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPartition {
    /// The home has no mailbox here.
    NoHome,
    /// The home is in several, each with quotas of its own, and none has a mailbox of that name.
    Several,
}

impl Found {
    /// Who may do what.
    pub fn acl(&self) -> &Acl {
        &self.meta.acl
    }

    /// The rights that `identity` has there.
    pub fn rights_of(&self, identity: &Identity) -> Rights {
        self.acl()
            .rights_of(identity, self.meta.name.owner_user().as_deref())
    }
}

impl Node {
    /// The mailbox of that name, if this node holds it. Says nothing of rights.
    pub fn find(&self, name: &MailboxName) -> Option<Found> {
        self.partitions.open().iter().find_map(|partition| {
            let meta = partition.lookup(name)?;
            Some(Found {
                partition: Arc::clone(partition),
                meta,
            })
        })
    }

    /// The partition that has a home with this key.
    pub fn partition_of_home(&self, home_key: &str) -> Option<Arc<Partition>> {
        let open = self.partitions.open();
        let mut with_home = open
            .iter()
            .filter(|partition| !partition.home_mailboxes(home_key).is_empty());
        with_home.next().cloned()
    }

    /// The partition where a quota root is, or would be: the only one with mailboxes of its home,
    /// or the one with the mailbox of that name.
    ///
    /// # Errors
    /// See [`NoPartition`].
    pub fn partition_of_root(&self, root: &MailboxName) -> Result<Arc<Partition>, NoPartition> {
        let home = root.home_key();
        let open = self.partitions.open();
        let mut with_home = open
            .iter()
            .filter(|partition| !partition.home_mailboxes(home).is_empty());
        match (with_home.next(), with_home.next()) {
            (None, _) => Err(NoPartition::NoHome),
            (Some(only), None) => Ok(Arc::clone(only)),
            _ => match self.find(root) {
                Some(found) => Ok(found.partition),
                None => Err(NoPartition::Several),
            },
        }
    }

    /// The master, to write for a partition of this node.
    pub fn master_of(&self, cluster: &Cluster, partition: &Partition) -> MupdateClient {
        let place = self.place(partition);
        // The record of a new one may not have come yet.
        let record = cluster.replica.partition(&place);
        cluster.client.of_partition(PartitionEpoch {
            epoch: record.map_or(FIRST_EPOCH, |record| record.epoch),
            partition: place,
        })
    }

    /// The name in this node's configuration of one of its partitions, which may be named in full.
    pub fn own_name<'a>(&self, partition: &'a str) -> &'a str {
        let node = self.place_of("");
        partition.strip_prefix(&node).unwrap_or(partition)
    }

    /// The partition's name in the murder: `node!partition`.
    pub fn place(&self, partition: &Partition) -> String {
        self.place_of(&partition.config().name)
    }

    /// Whether what is not found here may be in a partition that cannot be looked into: then it is
    /// unavailable and not unknown.
    pub fn may_lack(&self) -> bool {
        !self.partitions.are_whole()
    }

    /// Whether the account exists, disabled or not.
    pub fn has_account(&self, name: &str) -> bool {
        self.authenticator.directory().account(name).is_some()
    }

    /// Who `user` is, vouched for by a frontend (EXTERNAL). `None` for a disabled account and
    /// for what is no user name.
    ///
    /// Somebody whom the master has no account for may be known to the frontend from another
    /// directory: an ordinary user in no group.
    pub async fn identity_vouched(&self, user: &str) -> Option<Identity> {
        let name = normalize_user(user).ok()?;
        let directory = self.authenticator.directory();
        let mut account = directory.account(&name);
        if account.is_none()
            && let Some(cluster) = &self.cluster
        {
            // The frontend may know of an account that has just been made. Without a master it
            // is as it is.
            if let Err(error) = cluster.replica.barrier(BARRIER).await {
                tracing::debug!(%error, "no barrier for an unknown user");
            }
            account = directory.account(&name);
        }
        let Some(account) = account else {
            return Some(Identity::user(name));
        };
        (!account.disabled).then(|| self.proxied(&account))
    }

    /// Who the account's user is who comes through a frontend.
    fn proxied(&self, account: &Account) -> Identity {
        let mut identity = account.identity();
        // Frontends list everything to an administrator: what may not be done is no secret.
        identity.sees_all = identity.admin;
        identity.admin &= self.config.imap.proxy_admins;
        identity
    }

    /// Who the user of an open session is now, with the account's present groups and flag;
    /// `vouched`: a frontend acts for the user. Of an account that is gone or disabled, of which
    /// the session is told otherwise, as `before`.
    pub fn identity_now(&self, before: &Identity, vouched: bool) -> Identity {
        match self.authenticator.directory().account(&before.user) {
            Some(account) if vouched => self.proxied(&account),
            Some(account) => account.identity(),
            None => before.clone(),
        }
    }

    /// Subscribes the user; the mailbox may be anywhere and need not exist.
    ///
    /// # Errors
    /// [`StoreError::NoSuchHome`] when the user's INBOX is not here, and the store's.
    pub async fn subscribe(
        &self,
        identity: &Identity,
        name: &MailboxName,
    ) -> Result<(), StoreError> {
        let (partition, home) = self.home_of(identity)?;
        partition.subscribe(&home, name).await
    }

    /// Takes a subscription back.
    ///
    /// # Errors
    /// As [`Node::subscribe`].
    pub async fn unsubscribe(
        &self,
        identity: &Identity,
        name: &MailboxName,
    ) -> Result<(), StoreError> {
        let (partition, home) = self.home_of(identity)?;
        partition.unsubscribe(&home, name).await
    }

    /// What the user is subscribed to, sorted.
    ///
    /// # Errors
    /// As [`Node::subscribe`].
    pub async fn subscriptions(&self, identity: &Identity) -> Result<Vec<MailboxName>, StoreError> {
        let (partition, home) = self.home_of(identity)?;
        partition.subscriptions(&home).await
    }

    /// The partition with the server's annotations that all share: in which they are already, or
    /// else the first. They may be in one that is not open: then there is none.
    pub fn server_partition(&self) -> Option<Arc<Partition>> {
        let all = self.partitions.open();
        let mut with = all.iter().filter(|open| open.has_server_annotations());
        let first = || all.first().filter(|_| !self.may_lack());
        with.next().or_else(first).cloned()
    }

    /// The partition of the user's home, and its key.
    ///
    /// # Errors
    /// [`StoreError::NoSuchHome`] when it is not here, and for what is no user name.
    pub fn home_of(&self, identity: &Identity) -> Result<(Arc<Partition>, String), StoreError> {
        let inbox = MailboxName::inbox_of(&identity.user)?;
        let partition = match self.find(&inbox) {
            Some(found) => found.partition,
            None => self
                .partition_of_home(inbox.home_key())
                .ok_or(StoreError::NoSuchHome)?,
        };
        Ok((partition, inbox.home_key().to_owned()))
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}
