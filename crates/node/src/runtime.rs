//! What every node is, whatever its roles.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use murder_auth::{
    AccountObserver, Authenticator, AuthenticatorConfig, Directory, StaticDirectory, UsersFile,
};
use murder_location::{
    MupdateClient, MupdateClientConfig, NodeDescription, NodeSession, Replica, ReplicaConfig,
    service,
};
use murder_net::config::LimitsConfig;
use murder_net::grpc::Services;
use murder_net::{Health, Listener, Metrics, NodeTls, Role, Shutdown, expiry, http};
use murder_session::Sessions;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::config::RuntimeConfig;

/// Calls of operators at the same time on one connection: they are few, and a tool asks one thing.
const CALLS: u32 = 16;
/// How often the users file of a node that works alone is looked at for changes.
const USERS_EVERY: Duration = Duration::from_millis(500);
/// The condition of a node whose roles do not all run yet, or do not any more.
const CONDITION: &str = "node";

/// A node, as its roles see it. They are started with it, and share what is in it.
pub struct NodeRuntime {
    config: RuntimeConfig,
    tls: Option<NodeTls>,
    master: Option<Master>,
    sessions: Arc<Sessions>,
    authenticator: Arc<Authenticator>,
    health: Health,
    metrics: Metrics,
    services: Mutex<BTreeMap<String, String>>,
    http: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    /// Until operators are served.
    admin_listener: Mutex<Option<(Listener, Services)>>,
    shutdown: Shutdown,
    /// Ends the replica, and the connections of operators.
    killed: CancellationToken,
}

/// A node's ties to the master.
struct Master {
    client: MupdateClient,
    replica: Arc<Replica>,
    session: Arc<NodeSession>,
}

impl std::fmt::Debug for NodeRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeRuntime")
            .field("node", &self.config.node.name)
            .field("roles", &self.config.roles)
            .finish_non_exhaustive()
    }
}

impl NodeRuntime {
    /// Loads certificates and the durable copy of the master's state, and answers over HTTP. Waits for
    /// no master.
    ///
    /// # Errors
    /// When a certificate, the copy's folder, the users file or an address cannot be used.
    pub(crate) async fn start(config: RuntimeConfig) -> anyhow::Result<Arc<Self>> {
        let tls = config.cluster.as_ref().map(NodeTls::load).transpose()?;
        if let Some(tls) = &tls {
            config.check_identity(tls)?;
        }
        let admin_listener = match (config.admin.listen, &tls) {
            (Some(listen), Some(tls)) => Some(Listener::bind(listen)?.with_tls(tls.grpc_server())),
            _ => None,
        };
        let (health, metrics) = (Health::new(), Metrics::default());
        let killed = CancellationToken::new();
        let master = match &tls {
            Some(tls) if !config.mupdate.masters.is_empty() => {
                Some(Master::follow(&config, tls, health.clone(), &killed).await?)
            }
            _ => None,
        };
        let shutdown = Shutdown::new();
        let sessions = Sessions::new(config.limits.max_connections_per_user);
        let accounts: Arc<dyn Directory> = match (&master, &config.users) {
            (Some(master), _) => {
                master.replica.observe_accounts(Arc::clone(&sessions) as _);
                Arc::<Replica>::clone(&master.replica)
            }
            (None, Some(file)) => {
                let users = Arc::new(UsersFile::open(file)?);
                let following =
                    follow_users(Arc::clone(&users), Arc::clone(&sessions), shutdown.token());
                shutdown.spawn(following);
                users
            }
            (None, None) => Arc::new(StaticDirectory::default()),
        };
        let authenticator = Arc::new(Authenticator::new(
            accounts,
            AuthenticatorConfig {
                failure_delay: config.limits.failed_login_delay(),
                login: config.login.clone(),
                ..AuthenticatorConfig::default()
            },
        ));
        if let Some(tls) = &tls {
            tls.watch_expiry(&shutdown);
        }
        if let Some(master) = &master {
            let (replica, stop) = (Arc::clone(&master.replica), shutdown.token());
            let authenticator = Arc::clone(&authenticator);
            shutdown.spawn(async move {
                let telling = murder_location::tell_blocks(&authenticator, replica);
                stop.run_until_cancelled(telling).await;
            });
        }
        // Ready when all roles run: one of them would be ready too early.
        health.not_ready(CONDITION, "starting");
        let mut runtime = Self {
            tls,
            master,
            sessions,
            authenticator,
            health,
            metrics,
            services: Mutex::default(),
            http: None,
            admin: admin_listener.as_ref().map(Listener::local_addr),
            admin_listener: Mutex::new(admin_listener.map(|it| (it, Services::new()))),
            shutdown,
            killed,
            config,
        };
        if let Some(listen) = runtime.config.http.listen {
            let (health, metrics) = (runtime.health.clone(), runtime.metrics.clone());
            let address = http::serve(listen, health, metrics, &runtime.shutdown)?;
            runtime.http = Some(address);
            runtime.offer(service::HTTP, Some(address), None);
        }
        runtime.offer(
            service::ADMIN,
            runtime.admin,
            runtime.config.admin.advertise.as_deref(),
        );
        runtime.add_admin_service(murder_session::admin::service(Arc::clone(
            &runtime.sessions,
        )));
        Ok(Arc::new(runtime))
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.node.name
    }

    /// What a client may use.
    #[must_use]
    pub fn limits(&self) -> &LimitsConfig {
        &self.config.limits
    }

    /// The node's identity; `None` when it works alone without a certificate.
    #[must_use]
    pub fn tls(&self) -> Option<&NodeTls> {
        self.tls.as_ref()
    }

    /// A client of the master; `None` when the node works alone, or is the master and no more.
    #[must_use]
    pub fn client(&self) -> Option<&MupdateClient> {
        self.master.as_ref().map(|master| &master.client)
    }

    /// The copy of the master's state; `None` as for [`client`](Self::client).
    #[must_use]
    pub fn replica(&self) -> Option<&Arc<Replica>> {
        self.master.as_ref().map(|master| &master.replica)
    }

    /// The session at the master; `None` as for [`client`](Self::client). It is open when all roles
    /// run.
    #[must_use]
    pub fn session(&self) -> Option<&Arc<NodeSession>> {
        self.master.as_ref().map(|master| &master.session)
    }

    /// Checks passwords.
    #[must_use]
    pub fn authenticator(&self) -> &Arc<Authenticator> {
        &self.authenticator
    }

    /// Who is logged in.
    #[must_use]
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// What the node says about itself.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// What a role counts.
    #[must_use]
    pub fn metrics(&self, role: Role) -> Metrics {
        self.metrics.of(role.as_str())
    }

    /// Where health, readiness and metrics are answered.
    #[must_use]
    pub fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Where operators' calls are taken.
    #[must_use]
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Other nodes will hear from the master that a [kind of service](service) is here. Of two roles
    /// with one kind the first is meant: backends start before frontends.
    pub fn offer(&self, kind: &str, bound: Option<SocketAddr>, advertise: Option<&str>) {
        let bound = bound.map(|address| address.to_string());
        if let Some(address) = advertise.map(str::to_owned).or(bound) {
            let mut services = self.services.lock();
            services.entry(kind.to_owned()).or_insert(address);
        }
    }

    /// Operators will be able to call this, if the node takes calls.
    pub fn add_admin_service<S>(&self, service: S)
    where
        S: murder_net::grpc::Service,
    {
        if let Some((_, services)) = &mut *self.admin_listener.lock() {
            services.add(service);
        }
    }

    /// All roles run: takes operators' calls, and enters the murder.
    pub(crate) fn open(&self) -> anyhow::Result<()> {
        if let Some((listener, services)) = self.admin_listener.lock().take() {
            let (descriptors, health) = (murder_proto::FILE_DESCRIPTOR_SET, self.health.clone());
            let (shutdown, killed) = (&self.shutdown, &self.killed);
            services.serve(listener, CALLS, descriptors, health, shutdown, killed)?;
        }
        let (certificates, health) = (self.config.certificates(), self.health.clone());
        let stop = self.shutdown.token();
        self.shutdown.spawn(async move {
            stop.run_until_cancelled(expiry::watch(certificates, health))
                .await;
        });
        self.health.ok(CONDITION);
        if let Some(master) = &self.master {
            master.session.open(NodeDescription {
                name: self.config.node.name.clone(),
                services: self.services.lock().clone(),
                weight: match self.config.roles.contains(&Role::Backend) {
                    true => self.config.node.weight,
                    false => 0,
                },
            });
        }
        Ok(())
    }

    /// The roles are about to drain.
    pub(crate) fn drain(&self) {
        self.health.not_ready(CONDITION, "draining");
        if let Some(master) = &self.master {
            master.session.set_draining(true);
        }
    }

    /// No role serves any more: says goodbye to the master.
    pub(crate) async fn close(&self, grace: Duration) {
        self.shutdown.drain(grace).await;
        if let Some(master) = &self.master {
            master.session.close().await;
            master.replica.stop().await;
        }
        self.killed.cancel();
    }

    /// Ends everything at its next pause, as `kill -9` would.
    pub(crate) fn abort(&self) {
        if let Some(master) = &self.master {
            master.session.abort();
        }
        self.shutdown.abort();
        self.killed.cancel();
    }

    /// After [`abort`](Self::abort): returns when addresses and files are free.
    pub(crate) async fn aborted(&self) {
        self.shutdown.drain(Duration::ZERO).await;
        if let Some(master) = &self.master {
            master.replica.stop().await;
        }
    }
}

impl Master {
    async fn follow(
        config: &RuntimeConfig,
        tls: &NodeTls,
        health: Health,
        killed: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let masters = config.mupdate.masters.clone();
        let client = MupdateClient::new(MupdateClientConfig::new(masters, tls.client()));
        let replica = Replica::start(
            ReplicaConfig {
                dir: config.node.data_dir.join("replica"),
                node: config.node.name.clone(),
                topics: config.topics.clone(),
            },
            client.clone(),
            killed.clone(),
        )
        .await?;
        Ok(Self {
            session: Arc::new(client.session(health)),
            client,
            replica,
        })
    }
}

/// Tells sessions when the users file has changed, of a node that works alone.
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
