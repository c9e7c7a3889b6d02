//! The master as a running role: its listener, its services.

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
use murder_net::config::Mistakes;
use murder_net::grpc::Services;
use murder_net::tls::Revocation;
use murder_net::{Health, Limit, Listener, Metrics, NodeTls, Role, Shutdown};
use murder_node::{NodeRuntime, RoleConfig, RunningRole, RuntimeConfig};
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

/// A running master. Dropped, it stops at once, as if it were killed.
pub struct Master {
    address: SocketAddr,
    consensus: Arc<dyn Consensus>,
    shutdown: Shutdown,
    killed: CancellationToken,
}

impl std::fmt::Debug for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Master")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Master {
    /// Loads the state and listens.
    ///
    /// # Errors
    /// When the node has no identity, or the state or an address cannot be used.
    pub async fn start(runtime: &Arc<NodeRuntime>, config: MasterConfig) -> anyhow::Result<Self> {
        let tls = runtime.tls().context("a master needs `[cluster]`")?;
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
        let master = Self {
            address: listener.local_addr(),
            consensus: consensus.clone(),
            shutdown: shutdown.clone(),
            killed: CancellationToken::new(),
        };
        let http = runtime.http().map(|address| address.to_string());
        let service = Service {
            consensus,
            sessions: Arc::new(Sessions::new(config.limits.lease())),
            reconciling: Limit::new(reconcile::AT_ONCE),
            shutdown: shutdown.clone(),
            health: runtime.health().clone(),
            node: Arc::new((runtime.name().to_owned(), http.unwrap_or_default())),
        };
        shutdown.spawn(report_health(service.clone(), runtime.health().clone()));
        shutdown.spawn(follow_revocations(service.clone(), tls.clone()));
        count(&service, &runtime.metrics(Role::Mupdate));
        shutdown.spawn(nodes::sweep(service.clone()));
        let mut services = Services::new();
        services.add(MupdateServer::with_interceptor(
            service.clone(),
            of_this_murder(service.clone()),
        ));
        services.add(DirectoryServer::new(service.clone()));
        services.add(BlocksServer::new(service));
        let (descriptors, health) = (murder_proto::FILE_DESCRIPTOR_SET, runtime.health().clone());
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

    /// Where nodes and operators connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    fn abort(&self) {
        self.shutdown.abort();
        self.killed.cancel();
        self.consensus.kill();
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.abort();
    }
}

#[tonic::async_trait]
impl RunningRole for Master {
    fn listeners(&self) -> Vec<(Role, &'static str, SocketAddr)> {
        vec![(Role::Mupdate, "grpc", self.address)]
    }

    /// The node's other roles need it to their end.
    async fn drain(&mut self, _grace: Duration) {}

    async fn close(&mut self, grace: Duration) {
        self.shutdown.drain(grace).await;
        self.killed.cancel();
        self.consensus.stop().await;
    }

    async fn kill(&mut self) {
        self.abort();
        self.shutdown.drain(Duration::ZERO).await;
    }
}

impl RoleConfig for MasterConfig {
    type Running = Master;

    const ROLE: Role = Role::Mupdate;
    const SECTION: &'static str = "grpc";
    const OWN_TABLE: Option<&'static str> = None;

    fn runtime(&self) -> RuntimeConfig {
        RuntimeConfig {
            roles: vec![Role::Mupdate],
            node: self.node.clone(),
            cluster: Some(self.cluster.clone()),
            http: self.http.clone(),
            log: self.log.clone(),
            ..RuntimeConfig::default()
        }
    }

    fn check_role(&self, mistakes: &mut Mistakes) {
        self.check_sections(mistakes);
    }

    fn listens(&self) -> Vec<(&'static str, Vec<SocketAddr>)> {
        vec![("grpc.listen", vec![self.grpc.listen])]
    }

    async fn start(self, runtime: &Arc<NodeRuntime>) -> anyhow::Result<Master> {
        Master::start(runtime, self).await
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

fn count(service: &Service, metrics: &Metrics) {
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
}
