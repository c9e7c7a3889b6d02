//! The frontend as a running role: configuration, replica, listeners, drain.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use murder_location::{
    MupdateClient, MupdateClientConfig, NodeDescription, NodeSession, NodeStatus, Replica,
    ReplicaConfig, Topic,
};
use murder_net::config::{LogConfig, Mistakes, NodeConfig};
use murder_net::expiry::CertificateFile;
use murder_net::limits::{ConnectionLimits, fitting};
use murder_net::tls::TlsServer;
use murder_net::{Health, Listener, Metrics, NodeTls, Role, ShutOut, Shutdown};
use tokio_util::sync::CancellationToken;

use crate::config::FrontendConfig;
use crate::shared::Shared;
use crate::{imap, lmtp, metrics};

/// How often connections to backends are looked through for those that nobody needs.
const EXPIRE_EVERY: Duration = Duration::from_secs(10);

/// Where a frontend listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrontendAddresses {
    /// IMAP with STARTTLS.
    pub imap: Vec<SocketAddr>,
    /// IMAP with implicit TLS.
    pub imaps: Vec<SocketAddr>,
    /// LMTP.
    pub lmtp: Vec<SocketAddr>,
    /// Operators' calls.
    pub admin: Option<SocketAddr>,
    /// Health, readiness and metrics.
    pub http: Option<SocketAddr>,
}

/// A running frontend. Dropped, it stops at once, as if it were killed.
pub struct Frontend {
    addresses: FrontendAddresses,
    replica: Arc<Replica>,
    /// `None` until it has started, and once it is being stopped.
    session: Option<NodeSession>,
    health: Health,
    shutdown: Shutdown,
    /// Ends the replica, and the connections of operators.
    killed: CancellationToken,
}

impl std::fmt::Debug for Frontend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frontend")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl Frontend {
    /// Loads the durable copy of the map and listens; does not wait for the master.
    ///
    /// # Errors
    /// When the configuration, a certificate, the copy's folder or an address cannot be used.
    pub async fn start(config: FrontendConfig) -> anyhow::Result<Self> {
        Mistakes::of(|mistakes| config.check(mistakes))?;
        let tls = NodeTls::load(&config.cluster)?;
        tls.check_own(&config.node.name, Role::Frontend)?;
        let client_tls = client_tls(&config, &tls)?;

        // Addresses first: what is taken should be known before anything has begun.
        // Each client has a backend behind it.
        let limits = fitting(&config.limits, 2, 2);
        let imap_limits = ConnectionLimits::new(&limits);
        let imap_listeners = bind(&config.imap.listen, &imap_limits)?;
        let imaps_listeners = bind(&config.imap.tls_listen, &imap_limits)?;
        let lmtp_listeners = bind(&config.lmtp.listen, &ConnectionLimits::new(&limits))?;
        let admin_listener = match config.admin.listen {
            Some(listen) => Some(Listener::bind(listen)?.with_tls(tls.grpc_server())),
            None => None,
        };
        let addresses = FrontendAddresses {
            imap: imap_listeners.iter().map(Listener::local_addr).collect(),
            imaps: imaps_listeners.iter().map(Listener::local_addr).collect(),
            lmtp: lmtp_listeners.iter().map(Listener::local_addr).collect(),
            admin: admin_listener.as_ref().map(Listener::local_addr),
            http: None,
        };

        let master = MupdateClient::new(MupdateClientConfig::new(
            config.mupdate.masters.clone(),
            tls.client(),
        ));
        let killed = CancellationToken::new();
        let replica = Replica::start(
            ReplicaConfig {
                dir: config.node.data_dir.join("replica"),
                node: config.node.name.clone(),
                topics: Topic::ALL.to_vec(),
            },
            master.clone(),
            killed.clone(),
        )
        .await?;

        let shutdown = Shutdown::new();
        tls.watch_expiry(&shutdown);
        let health = Health::new();
        // From here on an error ends what runs already.
        let mut frontend = Self {
            addresses,
            replica: replica.clone(),
            session: None,
            health: health.clone(),
            shutdown: shutdown.clone(),
            killed: killed.clone(),
        };
        let metrics = Metrics::new("frontend");
        let shared = Arc::new(Shared::new(
            &config,
            replica.clone(),
            &tls,
            client_tls.clone(),
            &metrics,
            shutdown.clone(),
        ));
        metrics::of_shared(&metrics, Arc::downgrade(&shared));
        report(&replica, &health);
        shutdown.spawn(report_changes(replica, health.clone(), shutdown.token()));
        shutdown.spawn(expire(Arc::downgrade(&shared), shutdown.token()));
        shutdown.spawn(tell_blocks(shared.clone(), shutdown.token()));
        if let Some(listener) = admin_listener {
            let sessions = shared.sessions.clone();
            murder_session::admin::serve(sessions, health.clone(), listener, &shutdown, &killed)?;
        }
        if let Some(listen) = config.http.listen {
            frontend.addresses.http =
                Some(murder_net::http::serve(listen, health, metrics, &shutdown)?);
        }

        let of_blocks = Arc::downgrade(&shared);
        let shut_out = ShutOut::new(move |address| {
            let shared = of_blocks.upgrade();
            shared.is_some_and(|shared| shared.authenticator.shuts_out(address))
        });
        const FULL: &[u8] = b"* BYE [UNAVAILABLE] Too many connections\r\n";
        let imaps_listeners = imaps_listeners
            .into_iter()
            .map(|listener| listener.with_tls(client_tls.clone()));
        for listener in imap_listeners.into_iter().chain(imaps_listeners) {
            let shared = shared.clone();
            listener
                .with_refusal(FULL)
                .without(shut_out.clone())
                .spawn(&shutdown, move |connection| {
                    imap::serve(shared.clone(), connection)
                });
        }
        for listener in lmtp_listeners {
            let shared = shared.clone();
            listener
                .with_refusal(b"421 4.3.2 Too many connections\r\n")
                .spawn(&shutdown, move |connection| {
                    lmtp::serve(shared.clone(), connection)
                });
        }

        let addresses = &frontend.addresses;
        let description = NodeDescription {
            name: config.node.name,
            imaps: first(&addresses.imaps),
            lmtp: first(&addresses.lmtp),
            http: addresses.http.map(|a| a.to_string()).unwrap_or_default(),
            admin: config
                .admin
                .advertise
                .or_else(|| addresses.admin.map(|a| a.to_string()))
                .unwrap_or_default(),
            weight: 0,
        };
        let health = frontend.health.clone();
        frontend.session = Some(master.register(description, NodeStatus::default(), health));
        Ok(frontend)
    }

    /// Where it listens.
    #[must_use]
    pub const fn addresses(&self) -> &FrontendAddresses {
        &self.addresses
    }

    /// What it says about itself: ready as soon as it has a copy of the map, however old.
    #[must_use]
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// Its copy of the map and of the accounts.
    #[must_use]
    pub const fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    /// Takes no more clients, says BYE to those for whom nothing is under way, lets the others'
    /// commands and deliveries end within `grace`, and leaves the murder.
    pub async fn shutdown(mut self, grace: Duration) {
        self.health.not_ready("drain", "draining");
        if let Some(session) = &self.session {
            session.set_draining(true);
        }
        let late = self.shutdown.drain(grace).await;
        if late > 0 {
            tracing::warn!(late, "sessions were cut off at the end of the grace");
        }
        if let Some(session) = self.session.take() {
            session.close().await;
        }
        self.replica.stop().await;
    }

    /// Stops at once, as if it were killed: nobody is told. When it returns its addresses and
    /// files are free.
    pub async fn kill(mut self) {
        self.session = None;
        self.shutdown.abort();
        self.shutdown.drain(Duration::ZERO).await;
        self.replica.stop().await;
    }
}

impl Drop for Frontend {
    fn drop(&mut self) {
        self.shutdown.abort();
        self.killed.cancel();
    }
}

/// The frontend's role as [`murder_net::service`] runs it.
#[derive(Debug, Clone, Copy)]
pub struct FrontendService;

impl murder_net::service::Service for FrontendService {
    type Config = FrontendConfig;
    type Running = Frontend;

    const NAME: &'static str = "frontend";

    fn node(config: &FrontendConfig) -> &NodeConfig {
        &config.node
    }

    fn log(config: &FrontendConfig) -> &LogConfig {
        &config.log
    }

    fn check(config: &FrontendConfig, mistakes: &mut Mistakes) {
        config.check(mistakes);
        let Some(tls) = NodeTls::load_checked(&config.cluster, mistakes) else {
            return;
        };
        if let Err(error) = tls.check_own(&config.node.name, Role::Frontend) {
            mistakes.add("cluster.cert", error.to_string());
        }
        if !mistakes.has("tls")
            && let Err(error) = client_tls(config, &tls)
        {
            mistakes.add("tls", error.to_string());
        }
    }

    fn certificates(config: &FrontendConfig) -> Vec<CertificateFile> {
        let of_clients = config.tls.as_ref();
        let of_clients = of_clients.map(|tls| CertificateFile::chain("tls.cert", &tls.cert));
        let of_nodes = [
            CertificateFile::chain("cluster.cert", &config.cluster.cert),
            CertificateFile::authorities("cluster.ca", &config.cluster.ca),
        ];
        of_clients.into_iter().chain(of_nodes).collect()
    }

    fn health(running: &Frontend) -> &Health {
        running.health()
    }

    async fn start(config: FrontendConfig) -> anyhow::Result<Frontend> {
        Frontend::start(config).await
    }

    fn addresses(running: &Frontend) -> Vec<(String, SocketAddr)> {
        let FrontendAddresses {
            imap,
            imaps,
            lmtp,
            admin,
            http,
        } = running.addresses();
        let named = |name: &'static str| move |address: &SocketAddr| (name.to_owned(), *address);
        imap.iter()
            .map(named("imap"))
            .chain(imaps.iter().map(named("imaps")))
            .chain(lmtp.iter().map(named("lmtp")))
            .chain(admin.iter().map(named("admin")))
            .chain(http.iter().map(named("http")))
            .collect()
    }

    async fn stop(running: Frontend, grace: Duration) {
        running.shutdown(grace).await;
    }
}

fn client_tls(config: &FrontendConfig, node: &NodeTls) -> anyhow::Result<TlsServer> {
    Ok(match &config.tls {
        Some(tls) => murder_net::tls::client_listener(tls, None)?,
        None => node.client_listener()?,
    })
}

fn bind(addresses: &[SocketAddr], limits: &ConnectionLimits) -> std::io::Result<Vec<Listener>> {
    addresses
        .iter()
        .map(|address| Ok(Listener::bind(*address)?.with_limits(limits.clone())))
        .collect()
}

fn first(addresses: &[SocketAddr]) -> String {
    addresses
        .first()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// Ready once there is a copy of the map; one that is not kept up serves on.
fn report(replica: &Replica, health: &Health) {
    if let Some(why) = replica.refusal() {
        // What is here is served on.
        health.unhealthy("map", why);
    } else if replica.is_populated() || replica.connected() {
        health.ok("map");
    } else {
        health.not_ready("map", "no copy of the map yet, and the master is away");
    }
}

async fn report_changes(replica: Arc<Replica>, health: Health, stop: CancellationToken) {
    let mut connection = replica.connection();
    let mut refusals = replica.refusals();
    loop {
        let connected = *connection.borrow_and_update();
        report(&replica, &health);
        let revision = replica.revision();
        match replica.age() {
            _ if connected => tracing::info!(revision, "the map follows the master"),
            Some(age) if replica.is_populated() => tracing::warn!(
                revision,
                age_seconds = age.as_secs(),
                "serving from a copy of the map that the master does not keep up"
            ),
            _ => tracing::warn!("waiting for a first copy of the map"),
        }
        tokio::select! {
            changed = connection.changed() => if changed.is_err() { return },
            changed = refusals.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}

/// Tells the others of the addresses that are blocked here.
async fn tell_blocks(shared: Arc<Shared>, stop: CancellationToken) {
    let replica = shared.router.replica().clone();
    let telling = murder_location::tell_blocks(&shared.authenticator, replica);
    stop.run_until_cancelled(telling).await;
}

/// Closes connections to backends that nobody has needed for a while.
async fn expire(shared: Weak<Shared>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EXPIRE_EVERY) => {}
            () = stop.cancelled() => return,
        }
        let Some(shared) = shared.upgrade() else {
            return;
        };
        shared.pool.expire();
        shared.lmtp.expire();
    }
}
