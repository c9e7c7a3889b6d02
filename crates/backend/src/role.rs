//! The backend as a running role: listeners, partitions, its session with the master.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use murder_auth::{
    AccountObserver, Authenticator, AuthenticatorConfig, Directory, StaticDirectory, UsersFile,
};
use murder_location::{
    MupdateClient, MupdateClientConfig, NodeDescription, NodeSession, NodeStatus, Replica,
    ReplicaConfig, Topic,
};
use murder_net::config::{LogConfig, Mistakes, NodeConfig};
use murder_net::expiry::CertificateFile;
use murder_net::limits::{ConnectionLimits, fitting};
use murder_net::tls::TlsServer;
use murder_net::{Connection, Health, Listener, Metrics, NodeTls, Role, Shutdown};
use murder_session::Sessions;
use murder_store::Repaired;
use murder_store::io::{DiskIo, JournalIo};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::BackendConfig;
use crate::counters::{self, Counters};
use crate::mailboxes::Changes;
use crate::memory::Memory;
use crate::node::{Cluster, Node};
use crate::opening::Opener;
use crate::partitions::Partitions;
use crate::reconcile::reconcile;
use crate::status::{self, Watch};
use crate::{admin, imap, lmtp, pop3};

/// How long a start waits for the master to reconcile with; after that the backend serves what
/// it has, and reconciles when the master is there.
const FIRST_RECONCILE: Duration = Duration::from_secs(5);

/// How often the users file of a backend that works alone is looked at for changes.
const USERS_EVERY: Duration = Duration::from_millis(500);

/// Where a backend listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackendAddresses {
    /// IMAP with STARTTLS.
    pub imap: Vec<SocketAddr>,
    /// IMAP with implicit TLS.
    pub imaps: Vec<SocketAddr>,
    /// POP3 with STLS.
    pub pop3: Vec<SocketAddr>,
    /// POP3 with implicit TLS.
    pub pop3s: Vec<SocketAddr>,
    /// LMTP.
    pub lmtp: Vec<SocketAddr>,
    /// Operators' calls.
    pub admin: Option<SocketAddr>,
    /// Health, readiness and metrics.
    pub http: Option<SocketAddr>,
}

/// A running backend. Dropped, it stops at once, as if it were killed.
pub struct Backend {
    addresses: BackendAddresses,
    node: Arc<Node>,
    session: Option<Arc<NodeSession>>,
    /// Ends the connections of operators.
    _killed: DropGuard,
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backend")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl Backend {
    /// Joins the murder, opens the partitions and listens. A master that is away does not keep
    /// it from serving what it has, nor does a partition that cannot be opened: it is tried again.
    ///
    /// # Errors
    /// When a certificate or an address cannot be used, or another process has a partition.
    pub async fn start(config: BackendConfig) -> anyhow::Result<Self> {
        Self::start_over(config, Arc::new(DiskIo), None).await
    }

    /// As [`start`](Self::start), with another layer under the journals, and another bound of what
    /// the master does not know of UIDs.
    pub(crate) async fn start_over(
        config: BackendConfig,
        io: Arc<dyn JournalIo>,
        uid_gap: Option<u32>,
    ) -> anyhow::Result<Self> {
        Mistakes::of(|mistakes| config.check(mistakes))?;
        let shutdown = Shutdown::new();
        let memory = Memory::load(&config.node.data_dir);
        match Self::start_under(config, Opener::new(io, memory, uid_gap), &shutdown).await {
            Ok(backend) => Ok(backend),
            Err(error) => {
                shutdown.drain(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    async fn start_under(
        config: BackendConfig,
        opener: Opener,
        shutdown: &Shutdown,
    ) -> anyhow::Result<Self> {
        let node_tls = node_tls(&config)?;
        if let Some(tls) = &node_tls {
            tls.watch_expiry(shutdown);
        }
        let tls = server_tls(&config, node_tls.as_ref())?;
        let listeners = Listeners::bind(&config, tls.as_ref())?;
        let admin = match (config.admin.listen, &node_tls) {
            (Some(listen), Some(tls)) => Some(Listener::bind(listen)?.with_tls(tls.grpc_server())),
            _ => None,
        };
        let mut addresses = listeners.addresses();
        addresses.admin = admin.as_ref().map(Listener::local_addr);
        let health = Health::new();
        let metrics = Metrics::new("backend");
        if let Some(listen) = config.http.listen {
            let (health, metrics) = (health.clone(), metrics.clone());
            addresses.http = Some(murder_net::http::serve(listen, health, metrics, shutdown)?);
        }
        let partitions = Arc::new(Partitions::named(config.partitions.keys()));
        counters::store(&metrics, &partitions);
        counters::connections(&metrics, "imap", &listeners.imap_limits);
        counters::connections(&metrics, "pop3", &listeners.pop3_limits);
        counters::connections(&metrics, "lmtp", &listeners.lmtp_limits);
        let cluster = match &node_tls {
            Some(tls) if config.in_murder() => Some(join(&config, tls).await?),
            _ => None,
        };
        let users = match (&cluster, &config.users.file) {
            (None, Some(file)) => Some(Arc::new(UsersFile::open(file)?)),
            _ => None,
        };
        let directory: Arc<dyn Directory> = match (&cluster, &users) {
            (Some(cluster), _) => Arc::<Replica>::clone(&cluster.replica),
            (None, Some(users)) => Arc::<UsersFile>::clone(users),
            (None, None) => {
                tracing::warn!("neither `users.file` nor `mupdate.masters`: nobody can log in");
                Arc::new(StaticDirectory::default())
            }
        };
        let sessions = Sessions::new(config.limits.max_connections_per_user);
        if let Some(cluster) = &cluster {
            cluster.replica.observe_accounts(Arc::clone(&sessions) as _);
        }
        if let Some(users) = users {
            shutdown.spawn(follow_users(users, Arc::clone(&sessions), shutdown.token()));
        }
        let node = Arc::new(Node {
            partitions,
            opener,
            cluster,
            authenticator: Authenticator::new(
                directory,
                AuthenticatorConfig {
                    failure_delay: config.limits.failed_login_delay(),
                    login: config.login.clone(),
                    ..AuthenticatorConfig::default()
                },
            ),
            sessions,
            tls,
            health,
            counters: Counters::new(&metrics),
            metrics,
            shutdown: shutdown.clone(),
            changes: Changes::default(),
            look_now: Notify::new(),
            config,
        });
        if node.cluster.is_some() {
            // Before the first condition that is well: not ready for a moment is ready too early.
            node.health.not_ready("mupdate", "joining the murder");
        }
        node.open_partitions().await?;
        let session = enter(&node, &addresses).await;
        node.shutdown.spawn(status::measure(Arc::clone(&node)));
        node.shutdown.spawn(tell_blocks(Arc::clone(&node)));
        listeners.serve(&node);
        let killed = CancellationToken::new();
        if let Some(listener) = admin {
            admin::serve(&node, listener, &killed)?;
        }
        Ok(Self {
            addresses,
            node,
            session,
            _killed: killed.drop_guard(),
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addresses(&self) -> &BackendAddresses {
        &self.addresses
    }

    /// What it says about itself.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.node.health
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.node.metrics
    }

    /// What its sessions share.
    #[cfg(test)]
    pub(crate) const fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Takes no more connections, lets sessions end within `grace`, says goodbye to the master
    /// and closes the partitions.
    pub async fn shutdown(mut self, grace: Duration) {
        if let Some(session) = &self.session {
            session.set_draining(true);
        }
        let aborted = self.node.shutdown.drain(grace).await;
        if let Some(session) = &self.session {
            // With the goodbye the master hears how far they have come.
            session.set_partitions(Watch::new().look(&self.node).await);
        }
        if aborted > 0 {
            tracing::warn!(aborted, "sessions were cut off at the end of the grace");
        }
        // Its other holder was one of the tasks that have ended.
        if let Some(session) = self.session.take().and_then(Arc::into_inner) {
            session.close().await;
        }
        close(&self.node).await;
    }

    /// Stops at once, as if it were killed: nobody is told. When it returns its addresses and
    /// its files are free (after a mere drop, they are soon).
    pub async fn kill(self) {
        let node = Arc::clone(&self.node);
        drop(self);
        node.shutdown.drain(Duration::ZERO).await;
        close(&node).await;
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.node.shutdown.abort();
    }
}

/// Closes what is on disk, once no session is left.
async fn close(node: &Node) {
    if let Some(cluster) = &node.cluster {
        cluster.replica.stop().await;
    }
    status::remember(node);
    let closing: Vec<_> = node
        .partitions
        .values()
        .map(|partition| {
            let name = partition.config().name.clone();
            let partition = Arc::clone(partition);
            let closing = tokio::spawn(async move { partition.shutdown().await });
            (name, closing)
        })
        .collect();
    for (name, closed) in closing {
        if let Ok(Err(error)) = closed.await {
            tracing::error!(partition = name, %error, "not closed cleanly");
        }
    }
}

fn node_tls(config: &BackendConfig) -> anyhow::Result<Option<NodeTls>> {
    let Some(files) = &config.cluster else {
        return Ok(None);
    };
    let tls = NodeTls::load(files)?;
    tls.check_own(&config.node.name, Role::Backend)?;
    Ok(Some(tls))
}

/// What clients are shown: `[tls]`'s certificate, or else the node's own.
fn server_tls(
    config: &BackendConfig,
    node_tls: Option<&NodeTls>,
) -> anyhow::Result<Option<TlsServer>> {
    match (&config.tls, node_tls) {
        (Some(tls), node_tls) => Ok(Some(murder_net::tls::client_listener(tls, node_tls)?)),
        (None, Some(node_tls)) => Ok(Some(node_tls.server())),
        (None, None) => Ok(None),
    }
}

/// Repairs one of the partitions of a backend that does not run; see [`murder_store::repair_with`].
/// Damaged homes of `give_up` are forgotten. Blocks.
///
/// # Errors
/// [`StoreError::InUse`](murder_store::StoreError::InUse) while the backend runs; when there is no
/// such partition, or its files cannot be read or written.
pub fn repair(
    config: &BackendConfig,
    partition: &str,
    give_up: &BTreeSet<u64>,
) -> anyhow::Result<Repaired> {
    let section = config
        .partitions
        .get(partition)
        .with_context(|| format!("there is no partition {partition:?}"))?;
    murder_store::repair_with(section.to_store(partition), Arc::new(DiskIo), give_up)
        .with_context(|| format!("partition {partition:?}"))
}

/// Tells sessions when the users file has changed, of a backend that works alone.
async fn follow_users(users: Arc<UsersFile>, sessions: Arc<Sessions>, stop: CancellationToken) {
    let mut reads = users.reads();
    loop {
        tokio::select! {
            () = tokio::time::sleep(USERS_EVERY) => {}
            () = stop.cancelled() => return,
        }
        if std::mem::replace(&mut reads, users.reads()) != reads {
            sessions.accounts_replaced(&*users);
        }
    }
}

/// Follows the masters.
async fn join(config: &BackendConfig, tls: &NodeTls) -> anyhow::Result<Cluster> {
    let client = MupdateClient::new(MupdateClientConfig::new(
        config.mupdate.masters.clone(),
        tls.client(),
    ));
    let replica = Replica::start(
        ReplicaConfig {
            dir: config.node.data_dir.join("replica"),
            node: config.node.name.clone(),
            topics: vec![Topic::Users, Topic::Nodes],
        },
        client.clone(),
        // It goes on until the last session has ended, see `close`.
        CancellationToken::new(),
    )
    .await?;
    Ok(Cluster {
        client,
        replica,
        tls: tls.clone(),
    })
}

/// Looks at the partitions, and becomes a member of the murder.
async fn enter(node: &Arc<Node>, addresses: &BackendAddresses) -> Option<Arc<NodeSession>> {
    let mut watch = Watch::new();
    let partitions = watch.look(node).await;
    node.shutdown.spawn(status::reopen(Arc::clone(node)));
    let Some(cluster) = &node.cluster else {
        node.shutdown
            .spawn(status::watch(Arc::clone(node), watch, None));
        return None;
    };
    // Before the node is up: then what an earlier process left half done is settled when the
    // first frontend comes, and its reservations are still there to be settled.
    let reconciled = match tokio::time::timeout(FIRST_RECONCILE, reconcile(node)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "not reconciled yet; serving all the same");
            false
        }
        Err(_) => {
            tracing::warn!("the mupdate master does not answer; serving all the same");
            false
        }
    };
    let config = &node.config;
    let reached_by = |advertise: &Option<String>, bound: &[SocketAddr]| {
        let bound = bound.first().map(SocketAddr::to_string);
        advertise.clone().or(bound).unwrap_or_default()
    };
    let description = NodeDescription {
        name: config.node.name.clone(),
        imaps: reached_by(&config.imap.advertise, &addresses.imaps),
        lmtp: reached_by(&config.lmtp.advertise, &addresses.lmtp),
        http: reached_by(&None, addresses.http.as_slice()),
        admin: reached_by(&config.admin.advertise, addresses.admin.as_slice()),
        weight: config.node.weight,
    };
    let status = NodeStatus {
        draining: false,
        partitions,
    };
    let health = node.health.clone();
    let session = Arc::new(cluster.client.register(description, status, health));
    status::report_master(node, &session);
    let shutdown = &node.shutdown;
    shutdown.spawn(status::follow_master(Arc::clone(node), reconciled));
    shutdown.spawn(status::follow_reports(
        Arc::clone(node),
        Arc::clone(&session),
    ));
    shutdown.spawn(status::watch(
        Arc::clone(node),
        watch,
        Some(Arc::clone(&session)),
    ));
    Some(session)
}

/// Tells the other nodes of the addresses that are blocked here; a backend that works alone has
/// nobody to tell.
async fn tell_blocks(node: Arc<Node>) {
    let Some(cluster) = &node.cluster else { return };
    let replica = Arc::clone(&cluster.replica);
    let telling = murder_location::tell_blocks(&node.authenticator, replica);
    node.shutdown.token().run_until_cancelled(telling).await;
}

/// Bound sockets that do not accept yet.
struct Listeners {
    imap: Vec<Listener>,
    imaps: Vec<Listener>,
    pop3: Vec<Listener>,
    pop3s: Vec<Listener>,
    lmtp: Vec<Listener>,
    imap_limits: ConnectionLimits,
    pop3_limits: ConnectionLimits,
    lmtp_limits: ConnectionLimits,
}

impl Listeners {
    fn bind(config: &BackendConfig, tls: Option<&TlsServer>) -> anyhow::Result<Self> {
        let limits = fitting(&config.limits, 1, 3);
        let imap_limits = ConnectionLimits::new(&limits);
        let pop3_limits = ConnectionLimits::new(&limits);
        let lmtp_limits = ConnectionLimits::new(&limits);
        let all = |addresses: &[SocketAddr], limits: &ConnectionLimits, refusal: &'static [u8]| {
            addresses
                .iter()
                .map(|address| {
                    let listener = Listener::bind(*address)?;
                    Ok(listener.with_limits(limits.clone()).with_refusal(refusal))
                })
                .collect::<std::io::Result<Vec<_>>>()
        };
        let too_many_imap = b"* BYE Too many connections\r\n";
        let too_many_pop3 = b"-ERR [SYS/TEMP] Too many connections\r\n";
        let too_many_lmtp = b"421 4.7.0 Too many connections\r\n";
        let under_tls = |listeners: Vec<Listener>| -> Vec<Listener> {
            let listeners = listeners.into_iter();
            let with_tls = listeners.map(|listener| match tls {
                Some(tls) => listener.with_tls(tls.clone()),
                None => listener,
            });
            with_tls.collect()
        };
        let imaps = all(&config.imap.tls_listen, &imap_limits, too_many_imap)?;
        let pop3s = all(&config.pop3.tls_listen, &pop3_limits, too_many_pop3)?;
        Ok(Self {
            imap: all(&config.imap.listen, &imap_limits, too_many_imap)?,
            imaps: under_tls(imaps),
            pop3: all(&config.pop3.listen, &pop3_limits, too_many_pop3)?,
            pop3s: under_tls(pop3s),
            lmtp: all(&config.lmtp.listen, &lmtp_limits, too_many_lmtp)?,
            imap_limits,
            pop3_limits,
            lmtp_limits,
        })
    }

    fn addresses(&self) -> BackendAddresses {
        let of = |listeners: &[Listener]| listeners.iter().map(Listener::local_addr).collect();
        BackendAddresses {
            imap: of(&self.imap),
            imaps: of(&self.imaps),
            pop3: of(&self.pop3),
            pop3s: of(&self.pop3s),
            lmtp: of(&self.lmtp),
            admin: None,
            http: None,
        }
    }

    fn serve(self, node: &Arc<Node>) {
        let imap = Arc::new(imap::Imap::new(&node.metrics));
        let pop3 = Arc::new(pop3::Pop3::new(&node.metrics));
        let lmtp = Arc::new(lmtp::Lmtp::new(&node.metrics));
        for listener in self.imap.into_iter().chain(self.imaps) {
            let (node, imap) = (Arc::clone(node), Arc::clone(&imap));
            let shutdown = node.shutdown.clone();
            listener.spawn(&shutdown, move |connection: Connection| {
                imap::serve(Arc::clone(&node), Arc::clone(&imap), connection)
            });
        }
        for listener in self.pop3.into_iter().chain(self.pop3s) {
            let (node, pop3) = (Arc::clone(node), Arc::clone(&pop3));
            let shutdown = node.shutdown.clone();
            listener.spawn(&shutdown, move |connection: Connection| {
                pop3::serve(Arc::clone(&node), Arc::clone(&pop3), connection)
            });
        }
        for listener in self.lmtp {
            let (node, lmtp) = (Arc::clone(node), Arc::clone(&lmtp));
            let shutdown = node.shutdown.clone();
            listener.spawn(&shutdown, move |connection: Connection| {
                lmtp::serve(Arc::clone(&node), Arc::clone(&lmtp), connection)
            });
        }
    }
}

/// The backend's role as [`murder_net::service`] runs it.
#[derive(Debug, Clone, Copy)]
pub struct BackendService;

impl murder_net::service::Service for BackendService {
    type Config = BackendConfig;
    type Running = Backend;

    const NAME: &'static str = "backend";

    fn node(config: &BackendConfig) -> &NodeConfig {
        &config.node
    }

    fn log(config: &BackendConfig) -> &LogConfig {
        &config.log
    }

    fn check(config: &BackendConfig, mistakes: &mut Mistakes) {
        config.check(mistakes);
        let mut tls = None;
        if let Some(cluster) = &config.cluster {
            tls = NodeTls::load_checked(cluster, mistakes);
        }
        if let Some(tls) = &tls
            && let Err(error) = tls.check_own(&config.node.name, Role::Backend)
        {
            mistakes.add("cluster.cert", error.to_string());
        }
        if !mistakes.has("cluster")
            && !mistakes.has("tls")
            && let Err(error) = server_tls(config, tls.as_ref())
        {
            mistakes.add("tls", error.to_string());
        }
        if let Some(file) = &config.users.file
            && let Err(error) = UsersFile::open(file)
        {
            mistakes.add("users.file", error.to_string());
        }
    }

    fn certificates(config: &BackendConfig) -> Vec<CertificateFile> {
        let of_clients = config.tls.as_ref();
        let of_clients = of_clients.map(|tls| CertificateFile::chain("tls.cert", &tls.cert));
        let of_nodes = config.cluster.iter().flat_map(|cluster| {
            [
                CertificateFile::chain("cluster.cert", &cluster.cert),
                CertificateFile::authorities("cluster.ca", &cluster.ca),
            ]
        });
        of_clients.into_iter().chain(of_nodes).collect()
    }

    fn health(running: &Backend) -> &Health {
        running.health()
    }

    async fn start(config: BackendConfig) -> anyhow::Result<Backend> {
        Backend::start(config).await
    }

    fn addresses(running: &Backend) -> Vec<(String, SocketAddr)> {
        let BackendAddresses {
            imap,
            imaps,
            pop3,
            pop3s,
            lmtp,
            admin,
            http,
        } = running.addresses();
        let named =
            |protocol: &'static str| move |address: &SocketAddr| (protocol.to_owned(), *address);
        imap.iter()
            .map(named("imap"))
            .chain(imaps.iter().map(named("imaps")))
            .chain(pop3.iter().map(named("pop3")))
            .chain(pop3s.iter().map(named("pop3s")))
            .chain(lmtp.iter().map(named("lmtp")))
            .chain(admin.iter().map(named("admin")))
            .chain(http.iter().map(named("http")))
            .collect()
    }

    async fn stop(running: Backend, grace: Duration) {
        running.shutdown(grace).await;
    }
}
