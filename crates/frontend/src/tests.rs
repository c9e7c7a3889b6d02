//! A frontend between scripted clients and scripted backends, with a real master.
#![allow(clippy::unwrap_used)]

mod append;
mod copying;
mod hostile;
mod lifecycle;
mod lmtp;
mod login;
mod relay;
mod relayed;
mod routing;

mod fake_imap;
mod fake_lmtp;
mod peer;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use murder_auth::Account;
use murder_location::{
    Activate, FIRST_EPOCH, MupdateClient, MupdateClientConfig, NodeDescription, NodeSession,
    NodeStatus, PartitionEpoch, PartitionState, PartitionStatus, Reserve, SpecialUses, service,
};
use murder_mailbox::{Acl, MailboxId, MailboxName};
use murder_mupdate::{GrpcConfig, MasterConfig, MasterLimitsConfig};
use murder_net::config::{ClusterConfig, HttpConfig, LimitsConfig, LogConfig, NodeConfig};
use murder_net::{Ca, Health, Listener, NodeTls, Shutdown};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::FrontendConfig;
use fake_imap::FakeImap;
use fake_lmtp::FakeLmtp;
use peer::Peer;

/// A node with the role.
type Frontend = murder_node::Node<crate::Frontend>;
/// A node with the role.
type Master = murder_node::Node<murder_mupdate::Master>;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);
/// Everybody's.
const PASSWORD: &str = "secret";

/// Waits for something that must come.
async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(LONG, what).await.expect("it comes")
}

/// A loopback address that no other test process uses: there, a port stays free while its
/// server is away.
fn own_loopback() -> Ipv4Addr {
    let [_, a, b, c] = std::process::id().to_be_bytes();
    [127, 64 | (a & 63), b, c.max(1)].into()
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse_canonical(text).unwrap()
}

/// One master, scripted backends, one real frontend.
struct Murder {
    dir: TempDir,
    ca: Ca,
    master: Option<Master>,
    master_address: SocketAddr,
    operator: MupdateClient,
    backends: HashMap<&'static str, FakeBackend>,
    frontend: Option<Frontend>,
}

/// A node that registers as a backend; what it says is up to the test.
struct FakeBackend {
    client: MupdateClient,
    session: Option<NodeSession>,
    imap: mpsc::Receiver<FakeImap>,
    lmtp: mpsc::Receiver<FakeLmtp>,
    shutdown: Shutdown,
}

impl Murder {
    /// With backends `be1` and `be2`, and for each `(user, node)` an account with an INBOX
    /// there (an empty node: none).
    async fn start(users: &[(&str, &str)]) -> Self {
        Self::with(users, |_| {}).await
    }

    /// The same, with another configuration of the frontend.
    async fn with(users: &[(&str, &str)], change: impl FnOnce(&mut FrontendConfig)) -> Self {
        let mut murder = Self::without_frontend(users).await;
        murder.start_frontend(change).await;
        let frontend = murder.frontend();
        soon(async {
            while !frontend.health().ready() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        murder.catch_up().await;
        murder
    }

    async fn without_frontend(users: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::generate(&dir.path().join("ca")).unwrap();
        let mut murder = Self {
            operator: client(
                &ca,
                &dir,
                "operator",
                "operator",
                (own_loopback(), 1).into(),
            ),
            dir,
            ca,
            master: None,
            master_address: (own_loopback(), 0).into(),
            backends: HashMap::new(),
            frontend: None,
        };
        murder.start_master().await;
        murder.operator = murder.client("operator", "operator");
        for node in ["be1", "be2"] {
            let backend = murder.start_backend(node).await;
            murder.backends.insert(node, backend);
        }
        for (user, node) in users {
            murder.add_user(user, |_| {}).await;
            if !node.is_empty() {
                let inbox = MailboxName::inbox_of(user).unwrap();
                murder.make(inbox.as_str(), node, user).await;
            }
        }
        murder
    }

    async fn start_master(&mut self) {
        let config = MasterConfig {
            node: NodeConfig {
                name: "mu1".into(),
                data_dir: self.dir.path().join("mu1"),
                ..NodeConfig::default()
            },
            cluster: self.files("mu1", "mupdate"),
            grpc: GrpcConfig {
                listen: self.master_address,
            },
            http: HttpConfig::default(),
            log: LogConfig::default(),
            limits: MasterLimitsConfig::default(),
        };
        let master = Master::start(config).await.unwrap();
        self.master_address = master.address();
        self.master = Some(master);
    }

    async fn kill_master(&mut self) {
        if let Some(master) = self.master.take() {
            master.kill().await;
        }
    }

    async fn start_backend(&self, node: &'static str) -> FakeBackend {
        let client = self.client(node, "backend").of_partition(PartitionEpoch {
            partition: format!("{node}!default"),
            epoch: FIRST_EPOCH,
        });
        let tls = NodeTls::load(&self.files(node, "backend")).unwrap();
        let shutdown = Shutdown::new();
        let imaps = Listener::bind((own_loopback(), 0).into()).unwrap();
        let lmtp = Listener::bind((own_loopback(), 0).into()).unwrap();
        let session = client.register(
            NodeDescription {
                name: node.into(),
                services: [
                    (service::IMAPS.into(), imaps.local_addr().to_string()),
                    (service::LMTP.into(), lmtp.local_addr().to_string()),
                ]
                .into(),
                weight: 1,
            },
            NodeStatus {
                draining: false,
                partitions: vec![PartitionStatus {
                    name: format!("{node}!default"),
                    state: PartitionState::Online,
                    bytes_total: 1000,
                    bytes_free: 500,
                    identity: None,
                    report: Default::default(),
                    record_now: false,
                }],
            },
            Health::new(),
        );
        session.registered(LONG).await.unwrap();
        let (connected, imap) = mpsc::channel(100);
        imaps
            .with_tls(tls.server())
            .spawn(&shutdown, move |connection| {
                fake_imap::accept(connection, connected.clone())
            });
        let (connected, lmtp_connections) = mpsc::channel(100);
        let server = tls.server();
        lmtp.spawn(&shutdown, move |connection| {
            fake_lmtp::accept(connection, server.clone(), connected.clone())
        });
        FakeBackend {
            client,
            session: Some(session),
            imap,
            lmtp: lmtp_connections,
            shutdown,
        }
    }

    /// The backend's addresses answer no more; the master is not told.
    async fn stop_listening(&mut self, node: &str) {
        let backend = self.backends.get_mut(node).unwrap();
        backend.shutdown.drain(Duration::ZERO).await;
        backend.imap.close();
        backend.lmtp.close();
    }

    async fn start_frontend(&mut self, change: impl FnOnce(&mut FrontendConfig)) {
        let mut config = self.frontend_config();
        change(&mut config);
        self.frontend = Some(Frontend::start(config).await.unwrap());
    }

    fn frontend_config(&self) -> FrontendConfig {
        let here: SocketAddr = "127.0.0.1:0".parse().unwrap();
        FrontendConfig {
            node: NodeConfig {
                name: "fe1".into(),
                data_dir: self.dir.path().join("fe1"),
                ..NodeConfig::default()
            },
            cluster: self.files("fe1", "frontend"),
            mupdate: murder_net::config::MupdateConfig {
                masters: vec![self.master_address.to_string()],
                ..Default::default()
            },
            imap: crate::ImapConfig {
                listen: vec![here],
                tls_listen: vec![here],
                allow_plaintext_loopback: true,
                append_limit: 1 << 20,
                ..Default::default()
            },
            lmtp: crate::LmtpConfig {
                listen: vec![here],
                message_limit: 1 << 20,
                ..Default::default()
            },
            namespace: Default::default(),
            placement: Default::default(),
            admin: Default::default(),
            tls: None,
            login: Default::default(),
            limits: LimitsConfig {
                failed_login_delay_ms: 1,
                ..Default::default()
            },
            http: HttpConfig { listen: Some(here) },
            log: LogConfig::default(),
        }
    }

    fn frontend(&self) -> &Frontend {
        self.frontend.as_ref().unwrap()
    }

    fn files(&self, name: &str, role: &str) -> ClusterConfig {
        files(&self.ca, &self.dir, name, role)
    }

    fn client(&self, name: &str, role: &str) -> MupdateClient {
        client(&self.ca, &self.dir, name, role, self.master_address)
    }

    async fn add_user(&self, user: &str, change: impl FnOnce(&mut Account)) {
        static HASH: OnceLock<String> = OnceLock::new();
        let hash = HASH.get_or_init(|| murder_auth::hash_password(PASSWORD).unwrap());
        let mut account = Account {
            name: user.into(),
            password_hash: hash.clone(),
            ..Account::default()
        };
        change(&mut account);
        self.operator.add_user(&account).await.unwrap();
    }

    /// Makes a mailbox that belongs to `owner` in the map; its revision.
    async fn make(&self, mailbox: &str, node: &str, owner: &str) -> u64 {
        self.make_as(MailboxId::new(), mailbox, node, owner).await
    }

    /// The same with that id.
    async fn make_as(&self, id: MailboxId, mailbox: &str, node: &str, owner: &str) -> u64 {
        let backend = &self.backends[node];
        let reserve = Reserve {
            name: name(mailbox),
            id,
            partition: format!("{node}!default"),
            acl: Acl::parse(&format!("{owner}\tlrswipkxtea\t")).unwrap(),
            special_use: SpecialUses::default(),
        };
        backend.client.reserve(reserve).await.unwrap();
        let activate = Activate::new(name(mailbox), id);
        let revision = backend.client.activate(activate).await.unwrap().revision;
        self.catch_up().await;
        revision
    }

    /// Takes a mailbox out of the map.
    async fn unmake(&self, mailbox: &str, node: &str) {
        let backend = &self.backends[node].client;
        let found = backend.find(&name(mailbox)).await.unwrap();
        let id = found.mailbox.unwrap().location.id;
        backend.begin_delete(&name(mailbox), id).await.unwrap();
        backend.delete(&name(mailbox), Some(id)).await.unwrap();
        self.catch_up().await;
    }

    /// Waits until the frontend's map has everything.
    async fn catch_up(&self) {
        if let Some(frontend) = &self.frontend {
            frontend.replica().barrier(LONG).await.unwrap();
        }
    }

    /// The next connection to a backend's IMAP service, logged in.
    async fn imap_at(&mut self, node: &str) -> FakeImap {
        let backend = self.backends.get_mut(node).unwrap();
        soon(backend.imap.recv()).await.unwrap()
    }

    /// The next connection to its LMTP service, after the second LHLO.
    async fn lmtp_at(&mut self, node: &str) -> FakeLmtp {
        let backend = self.backends.get_mut(node).unwrap();
        soon(backend.lmtp.recv()).await.unwrap()
    }

    /// Whether nobody has connected to a backend's IMAP service.
    fn is_left_alone(&mut self, node: &str) -> bool {
        self.backends
            .get_mut(node)
            .unwrap()
            .imap
            .try_recv()
            .is_err()
    }

    /// A client that has read the greeting.
    async fn connect(&self) -> Peer {
        let mut client = Peer::connect(self.frontend().addresses().imap[0]).await;
        client.expect("* OK [CAPABILITY ").await;
        client
    }

    /// A client that has logged in.
    async fn login(&self, user: &str) -> Peer {
        let mut client = self.connect().await;
        client
            .send(&format!("login LOGIN {user} {PASSWORD}\r\n"))
            .await;
        client.expect("login OK [CAPABILITY ").await;
        client
    }

    /// A client with a mailbox selected, and the backend's end of it.
    async fn select(
        &mut self,
        user: &str,
        shown: &str,
        node: &str,
        canonical: &str,
    ) -> (Peer, FakeImap) {
        let mut client = self.login(user).await;
        client.send(&format!("sel SELECT {shown}\r\n")).await;
        let mut backend = self.imap_at(node).await;
        let tag = backend.expect(&format!("SELECT \"{canonical}\"")).await;
        backend
            .send(&format!("* 3 EXISTS\r\n{tag} OK [READ-WRITE] Selected\r\n"))
            .await;
        client.expect("* 3 EXISTS").await;
        client.expect("sel OK [READ-WRITE] Selected").await;
        (client, backend)
    }

    /// A client of the LMTP service that has said LHLO.
    async fn lmtp(&self) -> Peer {
        let mut client = Peer::connect(self.frontend().addresses().lmtp[0]).await;
        client.expect("220 fe1 ").await;
        client.send("LHLO test\r\n").await;
        while client.line().await.starts_with("250-") {}
        client
    }

    async fn stop(mut self) {
        if let Some(frontend) = self.frontend.take() {
            frontend.kill().await;
        }
        for (_, mut backend) in self.backends.drain() {
            backend.session = None;
            backend.shutdown.abort();
        }
        self.kill_master().await;
    }
}

fn files(ca: &Ca, dir: &TempDir, name: &str, role: &str) -> ClusterConfig {
    ca.issue_into(
        &dir.path().join("certs"),
        name,
        &[role.parse().unwrap()],
        &[],
    )
    .unwrap()
}

fn client(ca: &Ca, dir: &TempDir, name: &str, role: &str, master: SocketAddr) -> MupdateClient {
    let tls = NodeTls::load(&files(ca, dir, name, role)).unwrap();
    MupdateClient::new(MupdateClientConfig::new(
        vec![master.to_string()],
        tls.client(),
    ))
}

/// What the operator's certificate is good for as a TLS client.
fn client_tls(murder: &Murder) -> murder_net::tls::TlsClient {
    NodeTls::load(&murder.files("operator", "operator"))
        .unwrap()
        .client()
}
