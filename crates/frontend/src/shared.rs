//! What all sessions of a frontend share.

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use murder_auth::{Account, AccountObserver, Authenticator, Directory};
use murder_imap::server::Limits;
use murder_location::Replica;
use murder_mailbox::{Identity, NamespaceConfig};
use murder_net::tls::TlsServer;
use murder_net::{Metrics, NodeTls, Shutdown, Stream};
use murder_node::NodeRuntime;
use murder_session::{HANDSHAKE, Sessions};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::backend::{Dialer, Pool};
use crate::config::FrontendConfig;
use crate::lmtp::connection::LmtpPool;
use crate::metrics::FrontendMetrics;
use crate::placement::Placement;
use crate::route::Router;

/// How long somebody who comes before the first copy of the map does may have to wait for it.
const FIRST_COPY: Duration = Duration::from_secs(3);

/// The configuration as sessions need it.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The node's name.
    pub node: String,
    /// How names look to clients.
    pub namespace: NamespaceConfig,
    /// Whether clients on this machine may log in without TLS.
    pub allow_plaintext_loopback: bool,
    /// The most octets of one command with its literals, an appended message apart.
    pub max_command: usize,
    /// The most octets of an appended message.
    pub append_limit: u64,
    /// Whether users who have no INBOX get one.
    pub autocreate_inbox: bool,
    /// Whether what does not exist can be subscribed to.
    pub allow_all_subscribe: bool,
    /// The most octets of a delivered message.
    pub message_limit: u64,
    /// The most recipients of a message.
    pub max_recipients: usize,
    /// From the connection to the login.
    pub login_timeout: Duration,
    /// How long a client may say nothing.
    pub idle_timeout: Duration,
    /// How often one in IDLE is told that the server is still there.
    pub idle_notify: Duration,
    /// After so long without a command the backend of a selected mailbox is told that the client
    /// is still there.
    pub keep_alive: Duration,
    /// How long a client that is to read or to write may do neither.
    pub write_timeout: Duration,
    /// Octets that may wait for a client.
    pub high_water: usize,
    /// After so long without a word of the master nobody may log in.
    pub max_authority_age: Option<Duration>,
}

impl Settings {
    /// What a client may send once it has logged in.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            command: self.max_command,
            append: self.append_limit,
        }
    }
}

/// Ends connections to backends of those who may not log in any more.
struct Accounts {
    pool: Arc<Pool>,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").finish_non_exhaustive()
    }
}

impl AccountObserver for Accounts {
    fn account_changed(&self, name: &str, account: Option<&Account>) {
        if account.is_none_or(|account| account.disabled) {
            self.pool.end(name);
        }
    }

    fn accounts_replaced(&self, _directory: &dyn Directory) {}
}

/// What all sessions share.
pub(crate) struct Shared {
    /// The configuration.
    pub settings: Settings,
    /// From names to backends.
    pub router: Router,
    /// IMAP connections to backends.
    pub pool: Arc<Pool>,
    /// LMTP connections to backends.
    pub lmtp: LmtpPool,
    /// Who somebody is.
    pub authenticator: Arc<Authenticator>,
    /// Who is logged in.
    pub sessions: Arc<Sessions>,
    /// What is counted.
    pub metrics: FrontendMetrics,
    /// Owns all tasks.
    pub shutdown: Shutdown,
    /// Cancelled when sessions are to end.
    pub goodbye: CancellationToken,
    placement: Placement,
    tls: TlsServer,
}

impl Shared {
    /// For a frontend with this configuration. `tls` is what mail clients see, `node` what
    /// backends do.
    pub(crate) fn new(
        config: &FrontendConfig,
        runtime: &NodeRuntime,
        replica: &Arc<Replica>,
        node: &NodeTls,
        tls: TlsServer,
        metrics: &Metrics,
        shutdown: Shutdown,
    ) -> Self {
        let FrontendConfig { imap, lmtp, .. } = config;
        let limits = runtime.limits();
        let dialer = Arc::new(Dialer::new(
            replica.clone(),
            node.clone(),
            imap.backend_connect_timeout(),
            imap.backend_timeout(),
            shutdown.clone(),
        ));
        let pool = Arc::new(Pool::new(dialer.clone()));
        replica.observe_accounts(Arc::new(Accounts {
            pool: Arc::clone(&pool),
        }));
        let (seed, _) = Uuid::new_v4().as_u64_pair();
        Self {
            settings: Settings {
                node: runtime.name().to_owned(),
                namespace: config.namespace.clone(),
                allow_plaintext_loopback: imap.allow_plaintext_loopback,
                max_command: imap.max_command,
                append_limit: imap.append_limit,
                autocreate_inbox: imap.autocreate_inbox,
                allow_all_subscribe: imap.allow_all_subscribe,
                message_limit: lmtp.message_limit,
                max_recipients: lmtp.max_recipients,
                login_timeout: limits.login_timeout(),
                idle_timeout: limits.idle_timeout(),
                idle_notify: limits.idle_notify(),
                // Backends send silent sessions away after a time of the same order.
                keep_alive: limits.idle_timeout() / 6,
                write_timeout: limits.slow_reader(),
                high_water: limits.slow_reader_bytes,
                max_authority_age: config.mupdate.max_authority_age(),
            },
            router: Router::new(Arc::clone(replica)),
            pool,
            lmtp: LmtpPool::new(dialer, runtime.name().to_owned()),
            authenticator: Arc::clone(runtime.authenticator()),
            sessions: Arc::clone(runtime.sessions()),
            metrics: FrontendMetrics::new(metrics),
            goodbye: shutdown.token(),
            shutdown,
            placement: Placement::new(
                config.placement.mode,
                config.placement.exclude.clone(),
                seed,
            ),
            tls,
        }
    }

    /// The node and its partition for a new home.
    pub(crate) fn choose_partition(&self) -> Option<(String, String)> {
        let tables = self.router.replica().read();
        let of_nodes = tables.partitions.values().filter_map(|partition| {
            let node = tables.nodes.get(&partition.owner)?;
            Some((partition, node))
        });
        let chosen = self.placement.choose(of_nodes)?;
        let owner = tables.partitions.get(&chosen)?.owner.clone();
        Some((owner, chosen))
    }

    /// The server's part of a TLS handshake, for STARTTLS.
    pub(crate) async fn accept_tls(&self, plain: Stream) -> io::Result<Stream> {
        timeout(HANDSHAKE, plain.accept_tls(&self.tls)).await?
    }

    /// Whether what is known of accounts is older than may be.
    pub(crate) fn is_outdated(&self) -> bool {
        let limit = self.settings.max_authority_age;
        limit.is_some_and(|limit| self.router.replica().is_older_than(limit))
    }

    /// Who the user of a session is now, and what backends are told of it. Of an account that is
    /// gone or disabled, of which the session is told otherwise, as `before`.
    pub(crate) fn identity_now(&self, before: &Identity) -> (Identity, u64) {
        let identity = self.authenticator.identity(&before.user);
        // Afterwards, so that it is not an earlier one.
        let revision = self.router.replica().accounts_revision();
        (identity.unwrap_or_else(|| before.clone()), revision)
    }

    /// Whether there is a copy of the map and of the accounts, however old; waits a little for
    /// the first one. Without, nothing can be known of anybody: also of a murder that has no
    /// account at all, which is one that was founded a moment ago.
    pub(crate) async fn is_populated(&self) -> bool {
        let replica = self.router.replica();
        if replica.is_populated() {
            return replica.has_accounts();
        }
        let mut connection = replica.connection();
        // Either way the replica knows best.
        let _ = timeout(FIRST_COPY, connection.wait_for(|connected| *connected)).await;
        replica.has_accounts()
    }
}
