//! The frontend as a running role: listeners, drain.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context;
use murder_location::{Replica, Topic, service};
use murder_net::config::Mistakes;
use murder_net::limits::{ConnectionLimits, fitting};
use murder_net::tls::TlsServer;
use murder_net::{Health, Listener, NodeTls, Role, ShutOut, Shutdown};
use murder_node::{NodeRuntime, RoleConfig, RunningRole, RuntimeConfig};
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
}

/// A running frontend. Dropped, it stops at once, as if it were killed.
pub struct Frontend {
    addresses: FrontendAddresses,
    replica: Arc<Replica>,
    shutdown: Shutdown,
}

impl std::fmt::Debug for Frontend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frontend")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl Frontend {
    /// Listens; does not wait for the master. It is ready as soon as there is a copy of the map, however
    /// old.
    ///
    /// # Errors
    /// When the node has no identity or no master, or a certificate or an address cannot be used.
    pub async fn start(runtime: &Arc<NodeRuntime>, config: FrontendConfig) -> anyhow::Result<Self> {
        let tls = runtime.tls().context("a frontend needs `[cluster]`")?;
        let replica = runtime.replica().context("a frontend needs a master")?;
        let client_tls = client_tls(&config, tls)?;

        // Addresses first: what is taken should be known before anything has begun.
        // Each client has a backend behind it.
        let limits = fitting(runtime.limits(), 2, 2);
        let imap_limits = ConnectionLimits::new(&limits);
        let imap_listeners = bind(&config.imap.listen, &imap_limits)?;
        let imaps_listeners = bind(&config.imap.tls_listen, &imap_limits)?;
        let lmtp_listeners = bind(&config.lmtp.listen, &ConnectionLimits::new(&limits))?;
        let addresses = FrontendAddresses {
            imap: imap_listeners.iter().map(Listener::local_addr).collect(),
            imaps: imaps_listeners.iter().map(Listener::local_addr).collect(),
            lmtp: lmtp_listeners.iter().map(Listener::local_addr).collect(),
        };

        let (shutdown, health) = (Shutdown::new(), runtime.health().clone());
        let metrics = runtime.metrics(Role::Frontend);
        let shared = Arc::new(Shared::new(
            &config,
            runtime,
            replica,
            tls,
            client_tls.clone(),
            &metrics,
            shutdown.clone(),
        ));
        metrics::of_shared(&metrics, Arc::downgrade(&shared));
        report(replica, &health);
        shutdown.spawn(report_changes(
            Arc::clone(replica),
            health,
            shutdown.token(),
        ));
        shutdown.spawn(expire(Arc::downgrade(&shared), shutdown.token()));

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
        runtime.offer(service::IMAPS, addresses.imaps.first().copied(), None);
        runtime.offer(service::LMTP, addresses.lmtp.first().copied(), None);
        Ok(Self {
            addresses,
            replica: Arc::clone(replica),
            shutdown,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addresses(&self) -> &FrontendAddresses {
        &self.addresses
    }

    /// Its copy of the map and of the accounts.
    #[must_use]
    pub const fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }
}

impl Drop for Frontend {
    fn drop(&mut self) {
        self.shutdown.abort();
    }
}

#[tonic::async_trait]
impl RunningRole for Frontend {
    fn listeners(&self) -> Vec<(Role, &'static str, SocketAddr)> {
        let FrontendAddresses { imap, imaps, lmtp } = &self.addresses;
        let named =
            |name: &'static str| move |address: &SocketAddr| (Role::Frontend, name, *address);
        imap.iter()
            .map(named("imap"))
            .chain(imaps.iter().map(named("imaps")))
            .chain(lmtp.iter().map(named("lmtp")))
            .collect()
    }

    /// Says BYE to those for whom nothing is under way.
    async fn drain(&mut self, grace: Duration) {
        let late = self.shutdown.drain(grace).await;
        if late > 0 {
            tracing::warn!(late, "sessions were cut off at the end of the grace");
        }
    }

    async fn close(&mut self, _grace: Duration) {}

    async fn kill(&mut self) {
        self.shutdown.abort();
        self.shutdown.drain(Duration::ZERO).await;
    }
}

impl RoleConfig for FrontendConfig {
    type Running = Frontend;

    const ROLE: Role = Role::Frontend;
    const SECTION: &'static str = "placement";
    const OWN_TABLE: Option<&'static str> = Some("frontend");

    fn runtime(&self) -> RuntimeConfig {
        RuntimeConfig {
            roles: vec![Role::Frontend],
            topics: Topic::ALL.to_vec(),
            node: self.node.clone(),
            cluster: Some(self.cluster.clone()),
            mupdate: self.mupdate.clone(),
            users: None,
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
            ("lmtp.listen", self.lmtp.listen.clone()),
        ]
    }

    async fn start(self, runtime: &Arc<NodeRuntime>) -> anyhow::Result<Frontend> {
        Frontend::start(runtime, self).await
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
