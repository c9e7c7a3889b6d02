//! The backend, in process, against a real master.

#![allow(clippy::unwrap_used)]

mod admin;
mod alone;
mod full;
mod lmtp;
mod mailboxes;
mod opening;
mod proxied;
mod reconciling;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use murder_auth::Account;
use murder_location::{Mailbox, MailboxState, MupdateClient, MupdateClientConfig};
use murder_mailbox::{Acl, Identity, MailboxId, MailboxName};
use murder_mupdate::MasterConfig;
use murder_net::config::{ClusterConfig, MupdateConfig, NodeConfig};
use murder_net::{Ca, Condition, NodeTls, Role};
use murder_node::RoleConfig;
use murder_store::io::JournalIo;
use murder_store::{AppendMessage, CreateMailbox, Flags, InternalDate, Partition};
use tempfile::TempDir;

use crate::node::Node;
use crate::{BackendConfig, PartitionSection};

/// A node with the role.
type Backend = murder_node::Node<crate::Backend>;
/// A node with the role.
type Master = murder_node::Node<murder_mupdate::Master>;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// A master and backends on loopback.
struct Murder {
    dir: TempDir,
    ca: Ca,
    master: Option<Master>,
    address: SocketAddr,
}

impl Murder {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::generate(&dir.path().join("ca")).unwrap();
        // Where no other process's connections may take the port while the master is away.
        let [_, a, b, c] = std::process::id().to_be_bytes();
        let mut murder = Self {
            ca,
            dir,
            master: None,
            address: (std::net::Ipv4Addr::new(127, 64 | (a & 63), b, c.max(1)), 0).into(),
        };
        murder.start_master().await;
        murder
    }

    async fn start_master(&mut self) {
        let mut config = MasterConfig {
            node: self.node("mu1"),
            cluster: self.files("mu1", Role::Mupdate),
            grpc: Default::default(),
            http: Default::default(),
            log: Default::default(),
            limits: Default::default(),
        };
        config.grpc.listen = self.address;
        let master = Master::start(config).await.unwrap();
        self.address = master.address();
        self.master = Some(master);
    }

    /// As `kill -9`.
    async fn kill_master(&mut self) {
        self.master.take().unwrap().kill().await;
    }

    fn node(&self, name: &str) -> NodeConfig {
        NodeConfig {
            name: name.into(),
            data_dir: self.dir.path().join(name),
            ..NodeConfig::default()
        }
    }

    fn files(&self, name: &str, role: Role) -> ClusterConfig {
        let folder = self.dir.path().join("certs");
        self.ca.issue_into(&folder, name, &[role], &[]).unwrap()
    }

    fn client(&self, name: &str, role: Role) -> MupdateClient {
        let tls = NodeTls::load(&self.files(name, role)).unwrap();
        let masters = vec![self.address.to_string()];
        MupdateClient::new(MupdateClientConfig::new(masters, tls.client()))
    }

    fn config(&self, name: &str) -> BackendConfig {
        let mut config = BackendConfig {
            node: self.node(name),
            cluster: Some(self.files(name, Role::Backend)),
            mupdate: MupdateConfig {
                masters: vec![self.address.to_string()],
                ..MupdateConfig::default()
            },
            ..BackendConfig::default()
        };
        config.imap.tls_listen = vec![free_port()];
        config.lmtp.listen = vec![free_port()];
        // So that what was delivered is what was sent.
        (config.lmtp.return_path, config.lmtp.received) = (false, false);
        config.http.listen = Some(free_port());
        for partition in ["default", "fast"] {
            let path = self.dir.path().join(name).join(partition);
            let section = PartitionSection::new(path);
            config.partitions.insert(partition.into(), section);
        }
        config
    }

    /// A backend that is a member of the murder.
    async fn backend(&self, name: &str) -> Backend {
        let backend = Backend::start(self.config(name)).await.unwrap();
        ready(&backend).await;
        backend
    }

    async fn find(&self, text: &str) -> Option<Mailbox> {
        let operator = self.client("ops", Role::Operator);
        operator.find(&name(text)).await.unwrap().mailbox
    }

    /// The record's state, and whether it is the mailbox that the backend has.
    async fn state(&self, node: &Node, text: &str) -> (Option<MailboxState>, bool) {
        let record = self.find(text).await.map(|mailbox| mailbox.location);
        let held = node.find(&name(text)).map(|found| found.meta);
        let agree = match (&record, &held) {
            (Some(record), Some(held)) => {
                record.id == held.id
                    && record.uidvalidity == held.uidvalidity
                    && *record.acl == *held.acl
            }
            (record, held) => record.is_none() == held.is_none(),
        };
        (record.map(|record| record.state), agree)
    }

    async fn assert_settled(&self, node: &Node, texts: &[&str]) {
        for text in texts {
            let settled = (Some(MailboxState::Active), true);
            assert_eq!(self.state(node, text).await, settled, "{text}");
        }
    }

    async fn assert_none(&self, node: &Node, texts: &[&str]) {
        for text in texts {
            assert_eq!(self.state(node, text).await, (None, true), "{text}");
        }
    }

    /// Makes an account, and waits until the backend knows it.
    async fn add_user(&self, node: &Node, account: Account) {
        let operator = self.client("ops", Role::Operator);
        operator.add_user(&account).await.unwrap();
        let replica = &node.cluster.as_ref().unwrap().replica;
        replica.barrier(LONG).await.unwrap();
    }
}

fn free_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn account(name: &str) -> Account {
    Account {
        name: name.into(),
        password_hash: murder_auth::hash_password("secret").unwrap(),
        ..Account::default()
    }
}

/// Waits until something is so. Polls what has no event to wait for.
async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let waited = tokio::time::timeout(LONG, async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "never came: {what}");
}

/// Starts one over another layer below the journals, with another bound of what the master does not know
/// of UIDs.
async fn start_over(
    config: BackendConfig,
    io: Arc<dyn JournalIo>,
    uid_gap: Option<u32>,
) -> anyhow::Result<Backend> {
    Backend::start_with(config.runtime(), async |runtime| {
        crate::Backend::start_over(runtime, config, io, uid_gap).await
    })
    .await
}

async fn ready(backend: &Backend) {
    until("readiness", || async { backend.health().ready() }).await;
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse_canonical(text).unwrap()
}

fn user(name: &str) -> Identity {
    Identity::user(name)
}

fn admin() -> Identity {
    Identity {
        admin: true,
        ..Identity::user("admin")
    }
}

/// Makes a mailbox in the store only.
async fn store_only(partition: &Partition, text: &str, id: MailboxId, uidvalidity: u32) {
    let create = CreateMailbox {
        id,
        uidvalidity,
        acl: Acl::owned_by("bob").to_string(),
        special_use: None,
        now: 0,
        shared_seen: false,
    };
    partition.create_mailbox(&name(text), create).await.unwrap();
}

async fn append(node: &Node, text: &str, body: &'static [u8]) {
    let found = node.find(&name(text)).unwrap();
    let message = AppendMessage {
        body: Bytes::from_static(body).into(),
        flags: Flags::default(),
        keywords: Vec::new(),
        internal_date: InternalDate::default(),
        save_date: 0,
        seen_by: None,
    };
    found
        .partition
        .append(&name(text), vec![message])
        .await
        .unwrap();
}

/// Every message of a mailbox.
async fn bodies(node: &Node, text: &str) -> Vec<Bytes> {
    let found = node.find(&name(text)).unwrap();
    let handle = found.partition.open_mailbox(&name(text)).await.unwrap();
    let view = handle.view();
    let mut bodies = Vec::new();
    for row in view.rows(1, view.len()) {
        bodies.push(found.partition.read_body(row.location).await.unwrap());
    }
    bodies
}

/// The master, to write for [`default_partition`].
fn master_of(node: &Node) -> MupdateClient {
    let partition = default_partition(node);
    node.master_of(node.cluster.as_ref().unwrap(), &partition)
}

fn default_partition(node: &Node) -> Arc<Partition> {
    node.partitions.of("default")
}
