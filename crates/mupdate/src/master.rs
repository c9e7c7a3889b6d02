//! The master as a running role: configuration, listeners, services.

mod audit;
mod blocks;
mod caller;
mod config;
mod directory;
mod mupdate;
mod nodes;
mod partitions;
mod reconcile;
mod watch;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use murder_net::config::{LogConfig, Mistakes, NodeConfig};
use murder_net::expiry::CertificateFile;
use murder_net::grpc::Services;
use murder_net::tls::Revocation;
use murder_net::{Health, Limit, Listener, Metrics, NodeTls, Role, Shutdown};
use murder_proto::v1::blocks_server::BlocksServer;
use murder_proto::v1::directory_server::DirectoryServer;
use murder_proto::v1::mupdate_server::MupdateServer;
use tokio_util::sync::CancellationToken;

pub use config::{GrpcConfig, MasterConfig, MasterLimitsConfig};

use crate::consensus::{Consensus, SingleNode, SingleNodeConfig};
use mupdate::Service;
use nodes::Sessions;

/// Calls at the same time on one connection: a node has one, and its sessions share it.
const STREAMS: u32 = 1000;

/// Where a master listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MasterAddresses {
    /// For nodes and operators.
    pub grpc: SocketAddr,
    /// Health, readiness and metrics.
    pub http: Option<SocketAddr>,
}

/// A running master. Dropped, it stops at once, as if it were killed.
pub struct Master {
    addresses: MasterAddresses,
    consensus: Arc<dyn Consensus>,
    health: Health,
    shutdown: Shutdown,
    killed: CancellationToken,
}

impl std::fmt::Debug for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Master")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl Master {
    /// Loads the state and listens.
    ///
    /// # Errors
    /// When a certificate, the state or an address cannot be used.
    pub async fn start(config: MasterConfig) -> anyhow::Result<Self> {
        let tls = NodeTls::load(&config.cluster)?;
        tls.check_own(&config.node.name, Role::Mupdate)?;
        let log = SingleNodeConfig {
            dir: config.node.data_dir.clone(),
            history_revisions: config.limits.history_revisions,
            history_bytes: config.limits.history_bytes,
        };
        let consensus = tokio::task::spawn_blocking(move || SingleNode::open(&log))
            .await
            .context("loading the state")??;
        let consensus: Arc<dyn Consensus> = Arc::new(consensus);
        tls.set_revoked(revocations(&*consensus));
        let listener = Listener::bind(config.grpc.listen)?.with_tls(tls.grpc_server());
        let shutdown = Shutdown::new();
        tls.watch_expiry(&shutdown);
        let mut master = Self {
            addresses: MasterAddresses {
                grpc: listener.local_addr(),
                http: None,
            },
            consensus: consensus.clone(),
            health: Health::new(),
            shutdown: shutdown.clone(),
            killed: CancellationToken::new(),
        };
        let http = config.http.listen.map(|listen| listen.to_string());
        let service = Service {
            consensus,
            sessions: Arc::new(Sessions::new(config.limits.lease())),
            reconciling: Limit::new(reconcile::AT_ONCE),
            shutdown: shutdown.clone(),
            health: master.health.clone(),
            node: Arc::new((config.node.name.clone(), http.unwrap_or_default())),
        };
        shutdown.spawn(report_health(service.clone(), master.health.clone()));
        shutdown.spawn(follow_revocations(service.clone(), tls.clone()));
        if let Some(listen) = config.http.listen {
            let metrics = metrics(&service);
            let health = master.health.clone();
            master.addresses.http =
                Some(murder_net::http::serve(listen, health, metrics, &shutdown)?);
        }
        shutdown.spawn(nodes::sweep(service.clone()));
        let mut services = Services::new();
        services.add(MupdateServer::with_interceptor(
            service.clone(),
            of_this_murder(service.clone()),
        ));
        services.add(DirectoryServer::new(service.clone()));
        services.add(BlocksServer::new(service));
        let (descriptors, health) = (murder_proto::FILE_DESCRIPTOR_SET, master.health.clone());
        services.serve(
            listener,
            STREAMS,
            descriptors,
            health,
            &shutdown,
            &master.killed,
        )?;
        Ok(master)
    }

    /// Where it listens.
    #[must_use]
    pub const fn addresses(&self) -> MasterAddresses {
        self.addresses
    }

    /// What it says about itself.
    #[must_use]
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// Takes no more calls, lets those that are under way end within `grace`, and puts the
    /// state in order on disk.
    pub async fn shutdown(self, grace: Duration) {
        self.shutdown.drain(grace).await;
        self.killed.cancel();
        self.consensus.stop().await;
    }

    /// Stops at once, as if it were killed: nothing is put in order, nobody is told. When it
    /// returns its addresses and its files are free (after a mere drop, they are soon).
    pub async fn kill(self) {
        let shutdown = self.shutdown.clone();
        drop(self);
        shutdown.drain(Duration::ZERO).await;
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.shutdown.abort();
        self.killed.cancel();
        self.consensus.kill();
    }
}

/// The master's role as [`murder_net::service`] runs it.
#[derive(Debug, Clone, Copy)]
pub struct MasterService;

impl murder_net::service::Service for MasterService {
    type Config = MasterConfig;
    type Running = Master;

    const NAME: &'static str = "mupdate";

    fn node(config: &MasterConfig) -> &NodeConfig {
        &config.node
    }

    fn log(config: &MasterConfig) -> &LogConfig {
        &config.log
    }

    fn check(config: &MasterConfig, mistakes: &mut Mistakes) {
        config.check(mistakes);
        if let Some(tls) = NodeTls::load_checked(&config.cluster, mistakes)
            && let Err(error) = tls.check_own(&config.node.name, Role::Mupdate)
        {
            mistakes.add("cluster.cert", error.to_string());
        }
    }

    fn certificates(config: &MasterConfig) -> Vec<CertificateFile> {
        vec![
            CertificateFile::chain("cluster.cert", &config.cluster.cert),
            CertificateFile::authorities("cluster.ca", &config.cluster.ca),
        ]
    }

    fn health(running: &Master) -> &Health {
        running.health()
    }

    async fn start(config: MasterConfig) -> anyhow::Result<Master> {
        Master::start(config).await
    }

    fn addresses(running: &Master) -> Vec<(String, SocketAddr)> {
        let MasterAddresses { grpc, http } = running.addresses();
        std::iter::once(("grpc".to_owned(), grpc))
            .chain(http.map(|http| ("http".to_owned(), http)))
            .collect()
    }

    async fn stop(running: Master, grace: Duration) {
        running.shutdown(grace).await;
    }
}

/// Lets in whoever knows no other murder than this.
fn of_this_murder(
    service: Service,
) -> impl FnMut(tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> + Clone {
    move |request| service.is_callers(&request).map(|()| request)
}

fn revocations(consensus: &dyn Consensus) -> Vec<Revocation> {
    let state = consensus.state();
    state.tables().revocations.values().cloned().collect()
}

/// The master itself does not believe revoked certificates, as soon as it knows.
async fn follow_revocations(service: Service, tls: NodeTls) {
    let mut revisions = service.consensus.revisions();
    let stop = service.shutdown.token();
    let mut known = Vec::new();
    loop {
        let changed = {
            let state = service.consensus.state();
            !state.tables().revocations.values().eq(&known)
        };
        if changed {
            known = revocations(&*service.consensus);
            tls.set_revoked(known.clone());
        }
        tokio::select! {
            changed = revisions.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}

/// Ready as soon as it is loaded; unhealthy while the log cannot be written.
async fn report_health(service: Service, health: Health) {
    let mut healthy = service.consensus.healthy();
    loop {
        if *healthy.borrow_and_update() {
            health.ok("log");
        } else {
            health.unhealthy("log", "the log cannot be written");
        }
        tokio::select! {
            changed = healthy.changed() => if changed.is_err() { return },
            () = service.shutdown.token().cancelled_owned() => return,
        }
    }
}

fn metrics(service: &Service) -> Metrics {
    let metrics = Metrics::new("mupdate");
    let gauge = |name: &str, help: &str, read: fn(&Service) -> usize| {
        let service = service.clone();
        metrics.gauge_from(name, help, move || {
            i64::try_from(read(&service)).unwrap_or(i64::MAX)
        });
    };
    gauge("mailboxes", "Mailbox records", |s| {
        s.consensus.state().tables().map.len()
    });
    gauge("accounts", "User accounts", |s| {
        s.consensus.state().tables().accounts.len()
    });
    gauge("sessions", "Nodes with a session", |s| s.sessions.count());
    let of_log = service.clone();
    metrics.counter_from("revisions", "Entries in the log ever", move || {
        of_log.consensus.state().revision()
    });
    metrics
}
