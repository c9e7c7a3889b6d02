//! TLS with the cluster's certificates: who a peer is, and configurations for both ends.
//!
//! Certificates are read again, without a restart, by [`NodeTls::reload`] or, for everything in the
//! process, [`reload_all`] (which the service does on SIGHUP). Open connections stay, but for those
//! whose peers would not be believed any more: a peer's certificate is believed as long as its
//! authority is, it is not revoked ([`NodeTls::set_revoked`]) and has not expired, at each moment of
//! the connection, and whether its handshake was a full or a resumed one.

mod certificate;
pub(crate) mod connected;
mod ends;
mod identity;
pub(crate) mod peer;
mod revoked;
mod trust;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::UnixTime;

pub use certificate::Certificate;
pub(crate) use ends::Peered;
pub use ends::{TlsClient, TlsServer};
pub(crate) use identity::read_certificates;
pub use identity::reload_all;
pub use peer::{Peer, Role, peer_of, role_server_name, server_name};
pub use revoked::{Revocation, second_of};

use crate::Shutdown;
use crate::config::{ClusterConfig, Mistakes, TlsConfig};
use identity::{Identity, NameResolver};
use trust::Trust;

/// Oldest first is not preferred: rustls takes the newest that both ends know.
static VERSIONS: &[&rustls::SupportedProtocolVersion] =
    &[&rustls::version::TLS13, &rustls::version::TLS12];

/// What gRPC speaks over TLS, by its name in ALPN (RFC 7301, RFC 9113 section 3.2). Ordinary
/// clients refuse a server that does not agree to it.
pub const ALPN_H2: &[u8] = b"h2";

/// How often it is looked whether certificates of open connections have expired.
const LOOK_FOR_EXPIRED: Duration = Duration::from_secs(1);

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));

/// The one crypto provider of the murder; nothing relies on a process default.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {reason}", file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The TLS library refuses the whole.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// A node's certificate is not the one that its configuration wants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate is that of `{}` ({}), but the node is `{node}` ({role})", own.name, own.role_names())]
pub struct NotTheNode {
    /// The node by its configuration.
    pub node: String,
    /// Its role.
    pub role: Role,
    /// The node by its certificate.
    pub own: Peer,
}

/// A node's own certificate and the cluster's CA, as TLS configurations. Clones are the same one.
#[derive(Debug, Clone)]
pub struct NodeTls {
    identity: Arc<Identity>,
    trust: Arc<Trust>,
    server: TlsServer,
    client: TlsClient,
    own: Peer,
}

impl NodeTls {
    /// Reads the three files.
    ///
    /// # Errors
    /// [`TlsError`], which names the file; also when the certificate names no node of a murder.
    pub fn load(config: &ClusterConfig) -> Result<Self, TlsError> {
        let identity = Identity::load(&config.cert, &config.key)?;
        let trust = Trust::load(&config.ca)?;
        let own = peer_of(&identity.chain()).ok_or_else(|| TlsError::Unusable {
            file: config.cert.clone(),
            reason: "the certificate names no node (`murder cert issue` makes one that does)"
                .to_owned(),
        })?;
        let resolver = Arc::new(NameResolver::new(Arc::clone(&identity), None));
        let server = server(resolver, Some(&trust))?;
        let mut client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&trust) as _)
            .with_client_cert_resolver(Arc::clone(&identity) as _);
        // Each connection proves both keys: a resumed one would show the certificates of before.
        client.resumption = rustls::client::Resumption::disabled();
        let client = TlsClient::new(client, Arc::clone(&trust));
        Ok(Self {
            identity,
            trust,
            server,
            client,
            own,
        })
    }

    /// As [`load`](Self::load), for the check of a configuration whose `[cluster]` says all of it:
    /// tells each file that cannot be read. `None` when something is wrong.
    pub fn load_checked(config: &ClusterConfig, mistakes: &mut Mistakes) -> Option<Self> {
        if mistakes.has("cluster") {
            return None;
        }
        let error = match Self::load(config) {
            Ok(tls) => return Some(tls),
            Err(error) => error,
        };
        for (key, file) in [
            ("cluster.ca", &config.ca),
            ("cluster.cert", &config.cert),
            ("cluster.key", &config.key),
        ] {
            if let Err(source) = std::fs::File::open(file) {
                let file = file.clone();
                mistakes.add(key, TlsError::Read { file, source }.to_string());
            }
        }
        if !mistakes.has("cluster") {
            mistakes.add("cluster", error.to_string());
        }
        None
    }

    /// Who this node is, by its own certificate as it was first loaded.
    #[must_use]
    pub fn own(&self) -> &Peer {
        &self.own
    }

    /// What the node's own certificate says.
    #[must_use]
    pub fn own_certificate(&self) -> Option<Certificate> {
        Certificate::parse(self.identity.chain().first()?)
    }

    /// Whether the node's own certificate is by the authority that the node believes.
    #[must_use]
    pub fn is_of_own_ca(&self) -> bool {
        let chain = self.identity.chain();
        chain.split_first().is_some_and(|(own, others)| {
            self.trust
                .verify_client_cert(own, others, UnixTime::now())
                .is_ok()
        })
    }

    /// Whether the certificate is the one of the node that the configuration names.
    ///
    /// # Errors
    /// [`NotTheNode`] when it is another's, or lacks the role.
    pub fn check_own(&self, node: &str, role: Role) -> Result<(), NotTheNode> {
        if self.own.name == node && self.own.has_role(role) {
            return Ok(());
        }
        Err(NotTheNode {
            node: node.to_owned(),
            role,
            own: self.own.clone(),
        })
    }

    /// For listeners: shows the node's certificate; a peer may show one, which must then be the
    /// cluster's ([`Stream::peer`](crate::Stream::peer) says whose it is).
    #[must_use]
    pub fn server(&self) -> TlsServer {
        self.server.clone()
    }

    /// The same for gRPC listeners, which agree to HTTP/2 by ALPN.
    #[must_use]
    pub fn grpc_server(&self) -> TlsServer {
        self.server.with_alpn(ALPN_H2)
    }

    /// For connections to other nodes: shows the node's certificate, and believes only the
    /// cluster's CA.
    #[must_use]
    pub fn client(&self) -> TlsClient {
        self.client.clone()
    }

    /// For listeners that only mail clients use: shows the node's certificate, asks for none.
    ///
    /// # Errors
    /// [`TlsError::Tls`] when the random generator fails.
    pub fn client_listener(&self) -> Result<TlsServer, TlsError> {
        let resolver = NameResolver::new(Arc::clone(&self.identity), None);
        server(Arc::new(resolver), None)
    }

    /// From now on these certificates are revoked, and no others. Connections made with them are
    /// closed, those of this node and those to it.
    pub fn set_revoked(&self, revocations: impl IntoIterator<Item = Revocation>) {
        self.trust.set_revoked(revocations);
    }

    /// Closes connections when their peers' certificates expire, until the drain is over.
    pub fn watch_expiry(&self, shutdown: &Shutdown) {
        let trust = Arc::downgrade(&self.trust);
        let draining = shutdown.token();
        shutdown.spawn(async move {
            let mut every = tokio::time::interval(LOOK_FOR_EXPIRED);
            loop {
                tokio::select! {
                    _ = every.tick() => {}
                    () = draining.cancelled() => return,
                }
                match trust.upgrade() {
                    Some(trust) => trust.expire(),
                    None => return,
                }
            }
        });
    }

    /// Reads the files again, and closes connections whose peers are not believed any more. On an
    /// error the former files stay in use.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn reload(&self) -> Result<(), TlsError> {
        self.trust.reload()?;
        self.identity.reload()
    }
}

/// For listeners that mail clients use: shows `[tls]`'s certificate. With `node`, peers may show a
/// certificate of the cluster, and those that ask for a name of the cluster
/// (`….murder.internal`) are shown the node's: a backend serves clients and frontends on one port.
///
/// # Errors
/// [`TlsError`], which names the file.
pub fn client_listener(tls: &TlsConfig, node: Option<&NodeTls>) -> Result<TlsServer, TlsError> {
    let identity = Identity::load(&tls.cert, &tls.key)?;
    let resolver = NameResolver::new(identity, node.map(|node| Arc::clone(&node.identity)));
    server(Arc::new(resolver), node.map(|node| &node.trust))
}

fn server(resolver: Arc<NameResolver>, trust: Option<&Arc<Trust>>) -> Result<TlsServer, TlsError> {
    let builder =
        ServerConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS)?;
    let builder = match trust {
        Some(trust) => builder.with_client_cert_verifier(Arc::clone(trust) as _),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(resolver);
    // Tickets keep resumption off the server's memory.
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    // Mail clients open few connections; a ticket each is enough.
    config.send_tls13_tickets = 1;
    Ok(TlsServer::new(config, trust.cloned()))
}

#[cfg(test)]
mod tests;
