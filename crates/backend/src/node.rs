//! What all sessions of a backend share.

use std::collections::BTreeMap;
use std::sync::Arc;

use murder_auth::Authenticator;
use murder_mailbox::{Acl, Identity, MailboxName, NamespaceConfig, Rights};
use murder_mupdate::{MupdateClient, NodeSession, Replica};
use murder_net::{Health, Limit, Metrics, Shutdown};
use murder_store::{MailboxMeta, Partition};

use crate::config::BackendConfig;

/// The node's ties to the master.
pub(crate) struct Cluster {
    /// Changes the location map.
    pub client: MupdateClient,
    /// Accounts and nodes as the master has them.
    pub replica: Arc<Replica>,
    /// Says that the node is up.
    pub session: NodeSession,
}

/// A running backend, as its sessions see it.
pub(crate) struct Node {
    /// The settings.
    pub config: BackendConfig,
    /// The partitions by name.
    pub partitions: BTreeMap<String, Arc<Partition>>,
    /// `None` when the backend works alone.
    pub cluster: Option<Cluster>,
    /// Checks passwords.
    pub authenticator: Authenticator,
    /// How clients see mailbox names.
    pub namespace: NamespaceConfig,
    /// Logged-in connections of each user.
    pub per_user: Limit<String>,
    /// For STARTTLS, in IMAP and LMTP; `None` without a certificate.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Conditions.
    pub health: Health,
    /// Counters.
    pub metrics: Metrics,
    /// The IMAP server's own counters.
    pub imap: crate::imap::ImapMetrics,
    /// Owns the sessions.
    pub shutdown: Shutdown,
}

/// A mailbox of this node.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Where it is.
    pub partition: Arc<Partition>,
    /// What it is.
    pub meta: MailboxMeta,
}

impl Found {
    /// The rights that `identity` has there.
    pub fn rights_of(&self, identity: &Identity) -> Rights {
        let acl = Acl::parse(&self.meta.acl).unwrap_or_default();
        acl.rights_of(identity, self.meta.name.owner_user().as_deref())
    }
}

impl Node {
    /// The mailbox of that name, if this node holds it. Says nothing of rights.
    pub fn find(&self, name: &MailboxName) -> Option<Found> {
        self.partitions.values().find_map(|partition| {
            let meta = partition.lookup(name)?;
            Some(Found {
                partition: Arc::clone(partition),
                meta,
            })
        })
    }

    /// The partition that has a home with this key.
    pub fn partition_of_home(&self, home_key: &str) -> Option<&Arc<Partition>> {
        self.partitions
            .values()
            .find(|partition| !partition.home_mailboxes(home_key).is_empty())
    }
}
