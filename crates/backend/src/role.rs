//! The backend as a running role: listeners, partitions, what it tells the master.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use murder_location::{NodeSession, Topic, service};
use murder_net::config::{LimitsConfig, Mistakes};
use murder_net::limits::{ConnectionLimits, fitting};
use murder_net::tls::TlsServer;
use murder_net::{Connection, Listener, Metrics, NodeTls, Role, Shutdown};
use murder_node::{NodeRuntime, RoleConfig, RunningRole, RuntimeConfig};
use murder_store::Repaired;
use murder_store::io::{DiskIo, JournalIo};
use tokio::sync::Notify;

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
}

/// A running backend. Dropped, it stops at once, as if it were killed.
pub struct Backend {
    addresses: BackendAddresses,
    node: Arc<Node>,
    session: Option<Arc<NodeSession>>,
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backend")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl Backend {
    /// Opens the partitions, brings them together with the master and listens. A master that is away does
    /// not keep it from serving what it has, nor does a partition that cannot be opened: it is tried
    /// again.
    ///
    /// # Errors
    /// When a certificate or an address cannot be used, or another process has a partition.
    pub async fn start(runtime: &Arc<NodeRuntime>, config: BackendConfig) -> anyhow::Result<Self> {
        Self::start_over(runtime, config, Arc::new(DiskIo), None).await
    }

    /// As [`start`](Self::start), with another layer under the journals, and another bound of what
    /// the master does not know of UIDs.
    pub(crate) async fn start_over(
        runtime: &Arc<NodeRuntime>,
        config: BackendConfig,
        io: Arc<dyn JournalIo>,
        uid_gap: Option<u32>,
    ) -> anyhow::Result<Self> {
        let shutdown = Shutdown::new();
        let memory = Memory::load(&config.node.data_dir);
        let opener = Opener::new(io, memory, uid_gap);
        match Self::start_under(runtime, config, opener, &shutdown).await {
            Ok(backend) => Ok(backend),
            Err(error) => {
                shutdown.drain(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    async fn start_under(
        runtime: &Arc<NodeRuntime>,
        config: BackendConfig,
        opener: Opener,
        shutdown: &Shutdown,
    ) -> anyhow::Result<Self> {
        let tls = server_tls(&config, runtime.tls())?;
        let listeners = Listeners::bind(&config, runtime.limits(), tls.as_ref())?;
        let addresses = listeners.addresses();
        let metrics = runtime.metrics(Role::Backend);
        let partitions = Arc::new(Partitions::named(config.partitions.keys()));
        counters::store(&metrics, &partitions);
        counters::connections(&metrics, "imap", &listeners.imap_limits);
        counters::connections(&metrics, "pop3", &listeners.pop3_limits);
        counters::connections(&metrics, "lmtp", &listeners.lmtp_limits);
        let cluster = match (runtime.tls(), runtime.client(), runtime.replica()) {
            (Some(tls), Some(client), Some(replica)) => Some(Cluster {
                client: client.clone(),
                replica: Arc::clone(replica),
                tls: tls.clone(),
            }),
            _ => None,
        };
        if cluster.is_none() && config.users.file.is_none() {
            tracing::warn!("neither `users.file` nor `mupdate.masters`: nobody can log in");
        }
        let (imap, lmtp) = (&config.imap.advertise, &config.lmtp.advertise);
        runtime.offer(
            service::IMAPS,
            addresses.imaps.first().copied(),
            imap.as_deref(),
        );
        runtime.offer(
            service::LMTP,
            addresses.lmtp.first().copied(),
            lmtp.as_deref(),
        );
        let node = Arc::new(Node {
            partitions,
            opener,
            cluster,
            authenticator: Arc::clone(runtime.authenticator()),
            sessions: Arc::clone(runtime.sessions()),
            tls,
            health: runtime.health().clone(),
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
        let session = runtime.session().cloned();
        enter(&node, session.as_ref()).await;
        node.shutdown.spawn(status::measure(Arc::clone(&node)));
        listeners.serve(&node);
        admin::add(&node, runtime);
        Ok(Self {
            addresses,
            node,
            session,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addresses(&self) -> &BackendAddresses {
        &self.addresses
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
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.node.shutdown.abort();
    }
}

#[tonic::async_trait]
impl RunningRole for Backend {
    fn listeners(&self) -> Vec<(Role, &'static str, SocketAddr)> {
        let BackendAddresses {
            imap,
            imaps,
            pop3,
            pop3s,
            lmtp,
        } = &self.addresses;
        let named = |protocol: &'static str| {
            move |address: &SocketAddr| (Role::Backend, protocol, *address)
        };
        imap.iter()
            .map(named("imap"))
            .chain(imaps.iter().map(named("imaps")))
            .chain(pop3.iter().map(named("pop3")))
            .chain(pop3s.iter().map(named("pop3s")))
            .chain(lmtp.iter().map(named("lmtp")))
            .collect()
    }

    async fn drain(&mut self, grace: Duration) {
        let aborted = self.node.shutdown.drain(grace).await;
        if aborted > 0 {
            tracing::warn!(aborted, "sessions were cut off at the end of the grace");
        }
        if let Some(session) = &self.session {
            // With the goodbye the master hears how far they have come.
            session.set_partitions(Watch::new().look(&self.node).await);
        }
    }

    async fn close(&mut self, _grace: Duration) {
        close(&self.node).await;
    }

    async fn kill(&mut self) {
        self.node.shutdown.abort();
        self.node.shutdown.drain(Duration::ZERO).await;
        close(&self.node).await;
    }
}

impl RoleConfig for BackendConfig {
    type Running = Backend;

    const ROLE: Role = Role::Backend;
    const SECTION: &'static str = "partitions";
    const OWN_TABLE: Option<&'static str> = Some("backend");

    fn runtime(&self) -> RuntimeConfig {
        RuntimeConfig {
            roles: vec![Role::Backend],
            topics: vec![Topic::Users, Topic::Nodes],
            node: self.node.clone(),
            cluster: self.cluster.clone(),
            mupdate: self.mupdate.clone(),
            users: self.users.file.clone(),
            admin: self.admin.clone(),
            tls: self.tls.clone(),
            login: self.login.clone(),
            limits: self.limits.clone(),
            http: self.http.clone(),
            log: self.log.clone(),
        }
    }

    fn check_role(&self, mistakes: &mut Mistakes) {
        self.check_sections(mistakes);
    }

    fn listens(&self) -> Vec<(&'static str, Vec<SocketAddr>)> {
        vec![
            ("imap.listen", self.imap.listen.clone()),
            ("imap.tls_listen", self.imap.tls_listen.clone()),
            ("pop3.listen", self.pop3.listen.clone()),
            ("pop3.tls_listen", self.pop3.tls_listen.clone()),
            ("lmtp.listen", self.lmtp.listen.clone()),
        ]
    }

    async fn start(self, runtime: &Arc<NodeRuntime>) -> anyhow::Result<Backend> {
        Backend::start(runtime, self).await
    }
}

/// Closes what is on disk, once no session is left.
async fn close(node: &Node) {
    status::remember(node);
    let open = node.partitions.open();
    let closing: Vec<_> = open
        .iter()
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

/// Looks at the partitions, and settles with the master what an earlier process left half done.
async fn enter(node: &Arc<Node>, session: Option<&Arc<NodeSession>>) {
    let mut watch = Watch::new();
    let partitions = watch.look(node).await;
    let shutdown = &node.shutdown;
    shutdown.spawn(status::reopen(Arc::clone(node)));
    let Some(session) = session else {
        shutdown.spawn(status::watch(Arc::clone(node), watch, None));
        return;
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
    session.set_partitions(partitions);
    status::report_master(node, session);
    shutdown.spawn(status::follow_master(Arc::clone(node), reconciled));
    shutdown.spawn(status::follow_reports(
        Arc::clone(node),
        Arc::clone(session),
    ));
    shutdown.spawn(status::watch(
        Arc::clone(node),
        watch,
        Some(Arc::clone(session)),
    ));
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
    fn bind(
        config: &BackendConfig,
        limits: &LimitsConfig,
        tls: Option<&TlsServer>,
    ) -> anyhow::Result<Self> {
        let limits = fitting(limits, 1, 3);
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
