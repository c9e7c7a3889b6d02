#![allow(clippy::unwrap_used)]

mod calls;
mod ordinary;
mod reconciling;
mod revoking;
mod sessions;
mod watching;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use murder_mailbox::{Acl, MailboxId, MailboxName};
use murder_net::config::ClusterConfig;
use murder_net::tls::TlsClient;
use murder_net::{Ca, NodeTls, Role};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::config::{GrpcConfig, MasterConfig, MasterLimitsConfig};
use murder_location::client::{Activate, MupdateClient, MupdateClientConfig, Reserve};
use murder_location::record::{FIRST_EPOCH, Mailbox, PartitionEpoch, SpecialUses};
use murder_location::replica::{Replica, ReplicaConfig, Topic};

/// A node with the role.
type Master = murder_node::Node<super::Master>;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// A real master on loopback.
struct Murder {
    dir: TempDir,
    ca: Ca,
    limits: MasterLimitsConfig,
    master: Option<Master>,
    address: SocketAddr,
}

impl Murder {
    async fn start() -> Self {
        Self::with(MasterLimitsConfig::default()).await
    }

    async fn with(limits: MasterLimitsConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = new_ca(dir.path());
        let mut murder = Self {
            dir,
            ca,
            limits,
            master: None,
            address: (own_loopback(), 0).into(),
        };
        murder.restart().await;
        murder
    }

    /// As `kill -9`.
    async fn kill(&mut self) {
        if let Some(master) = self.master.take() {
            master.kill().await;
        }
    }

    /// Starts it again, at the same address.
    async fn restart(&mut self) {
        self.kill().await;
        let mut config = MasterConfig {
            node: murder_net::config::NodeConfig {
                name: "mu1".into(),
                data_dir: self.dir.path().join("mu1"),
                ..Default::default()
            },
            cluster: self.files("mu1", "mupdate"),
            grpc: GrpcConfig::default(),
            http: Default::default(),
            log: Default::default(),
            limits: self.limits.clone(),
        };
        config.grpc.listen = self.address;
        let master = Master::start(config).await.unwrap();
        self.address = master.address();
        self.master = Some(master);
    }

    fn murder_id(&self) -> Vec<u8> {
        let master = self.master.as_ref().unwrap();
        master.consensus.state().murder_id().to_vec()
    }

    fn files(&self, name: &str, role: &str) -> ClusterConfig {
        issue(&self.ca, self.dir.path(), name, role)
    }

    fn client(&self, name: &str, role: &str) -> MupdateClient {
        let client = MupdateClient::new(MupdateClientConfig::new(
            vec![self.address.to_string()],
            client_tls(&self.files(name, role)),
        ));
        client.of_partition(PartitionEpoch {
            partition: format!("{name}!default"),
            epoch: FIRST_EPOCH,
        })
    }

    async fn replica(&self, name: &str) -> Arc<Replica> {
        self.replica_of(name, &Topic::ALL).await
    }

    async fn replica_of(&self, name: &str, topics: &[Topic]) -> Arc<Replica> {
        Replica::start(
            ReplicaConfig {
                dir: self.dir.path().join(name),
                node: name.into(),
                topics: topics.to_vec(),
            },
            self.client(name, "frontend"),
            CancellationToken::new(),
        )
        .await
        .unwrap()
    }
}

/// A loopback address that no other test process uses: there, a port stays free while its
/// master is away. On 127.0.0.1 any outgoing connection might take it.
fn own_loopback() -> std::net::Ipv4Addr {
    let [_, a, b, c] = std::process::id().to_be_bytes();
    [127, 64 | (a & 63), b, c.max(1)].into()
}

fn new_ca(dir: &Path) -> Ca {
    Ca::generate(&dir.join("ca")).unwrap()
}

fn issue(ca: &Ca, dir: &Path, name: &str, role: &str) -> ClusterConfig {
    ca.issue_into(&dir.join("certs"), name, &[role.parse().unwrap()], &[])
        .unwrap()
}

fn client_tls(files: &ClusterConfig) -> TlsClient {
    NodeTls::load(files).unwrap().client()
}

async fn connected(replica: &Replica) {
    let mut connection = replica.connection();
    tokio::time::timeout(LONG, connection.wait_for(|connected| *connected))
        .await
        .unwrap()
        .unwrap();
}

/// Waits until the client has noticed that the master was restarted.
async fn reaches_master(client: &MupdateClient) {
    tokio::time::timeout(LONG, async {
        while client.barrier().await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse_canonical(text).unwrap()
}

fn reserve(text: &str, partition: &str) -> Reserve {
    Reserve {
        name: name(text),
        id: MailboxId::new(),
        partition: partition.into(),
        acl: Acl::parse("anyone\tlr\t").unwrap(),
        special_use: SpecialUses::default(),
    }
}

/// Reserves and activates.
async fn make(client: &MupdateClient, text: &str, partition: &str) -> (u64, Mailbox) {
    let reserve = reserve(text, partition);
    let id = reserve.id;
    let client = client.of_partition(PartitionEpoch {
        partition: partition.into(),
        epoch: FIRST_EPOCH,
    });
    client.reserve(reserve).await.unwrap();
    let changed = client
        .activate(Activate::new(name(text), id))
        .await
        .unwrap();
    (changed.revision, changed.mailbox.unwrap())
}
