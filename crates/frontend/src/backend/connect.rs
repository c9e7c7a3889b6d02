//! From a backend's name to an authenticated connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use murder_mupdate::Replica;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::connection::{ActingFor, BackendError, Connection, Event};

/// A backend that did not answer in time is not tried again for so long: every other client
/// would wait as long, to no avail. One that refuses the connection at once is.
const AVOID_AFTER_TIMEOUT: Duration = Duration::from_secs(2);

/// The node's own side of TLS towards backends.
#[derive(Clone)]
pub(crate) struct BackendTls(pub TlsConnector);

/// Opens connections to backends.
pub(crate) struct Dialer {
    replica: Arc<Replica>,
    tls: BackendTls,
    connect_timeout: Duration,
    silence: Duration,
    avoid: Mutex<HashMap<String, Instant>>,
}

impl Dialer {
    /// Looks addresses up in `replica`. `connect_timeout` covers everything up to the login;
    /// `silence` is how long a backend that owes an answer may say nothing.
    pub(crate) fn new(
        replica: Arc<Replica>,
        tls: BackendTls,
        connect_timeout: Duration,
        silence: Duration,
    ) -> Self {
        Self {
            replica,
            tls,
            connect_timeout,
            silence,
            avoid: Mutex::new(HashMap::new()),
        }
    }

    /// How long a backend that owes an answer may say nothing.
    pub(crate) fn silence(&self) -> Duration {
        self.silence
    }

    /// Connects to the IMAP service of `node` and logs in there as the user.
    ///
    /// # Errors
    /// See [`BackendError`].
    pub(crate) async fn imap(
        &self,
        node: &str,
        acting: &ActingFor,
    ) -> Result<Connection, BackendError> {
        let address = self
            .replica
            .node(node)
            .map(|n| n.imaps)
            .filter(|imaps| !imaps.is_empty());
        let address = address.ok_or_else(|| unreachable(node, "its address is not known"))?;
        self.in_time(node, async {
            let tcp = self.tcp(node, &address).await?;
            let stream = self.tls(node, tcp).await?;
            let mut connection = Connection::new(stream, node, acting, self.silence);
            log_in(&mut connection, acting).await?;
            Ok(connection)
        })
        .await
    }

    /// Runs one attempt to reach `node` within the time that there is.
    pub(crate) async fn in_time<T>(
        &self,
        node: &str,
        attempt: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let avoided = self
            .avoid
            .lock()
            .get(node)
            .is_some_and(|until| Instant::now() < *until);
        if avoided {
            return Err(unreachable(node, "no answer in time"));
        }
        match timeout(self.connect_timeout, attempt).await {
            Ok(result) => {
                if result.is_ok() {
                    self.avoid.lock().remove(node);
                }
                result
            }
            Err(_) => {
                // As many entries as there are backends.
                self.avoid
                    .lock()
                    .insert(node.to_owned(), Instant::now() + AVOID_AFTER_TIMEOUT);
                Err(unreachable(node, "no answer in time"))
            }
        }
    }

    /// A TCP connection to `address` (`host:port`).
    pub(crate) async fn tcp(&self, node: &str, address: &str) -> Result<TcpStream, BackendError> {
        let tcp = TcpStream::connect(address)
            .await
            .map_err(|e| unreachable(node, e))?;
        tcp.set_nodelay(true).map_err(|e| unreachable(node, e))?;
        Ok(tcp)
    }

    /// TLS over it, with both sides' certificates checked.
    pub(crate) async fn tls(
        &self,
        node: &str,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, BackendError> {
        let name = ServerName::try_from(format!("{node}.backend.murder.internal"))
            .map_err(|e| unreachable(node, e))?;
        self.tls
            .0
            .connect(name, tcp)
            .await
            .map_err(|e| unreachable(node, e))
    }

    /// Where mailboxes and nodes are looked up.
    pub(crate) fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }
}

async fn log_in(connection: &mut Connection, acting: &ActingFor) -> Result<(), BackendError> {
    // Pipelined: the backend's greeting says nothing that would change it.
    let authzid = STANDARD.encode(acting.user.as_bytes());
    let tag = connection.send(format!("AUTHENTICATE EXTERNAL {authzid}").as_bytes());
    connection.introduce(acting);
    let mut ignored = Vec::new();
    loop {
        match connection.event()? {
            None => connection.fill().await?,
            Some(Event::Tagged(of, answer)) if of == tag => {
                return match answer.is_ok() {
                    true => Ok(()),
                    false => Err(BackendError::Refused {
                        node: connection.node().to_string(),
                        answer,
                    }),
                };
            }
            Some(Event::Untagged { len, .. }) => {
                ignored.clear();
                connection.take(len, &mut ignored);
            }
            Some(Event::Continuation) => {
                return Err(connection.lost("it does not take an initial response"));
            }
            Some(Event::Status(_) | Event::Tagged(..)) => {}
        }
    }
}

/// The error of a node that cannot be reached.
pub(crate) fn unreachable(node: &str, reason: impl ToString) -> BackendError {
    BackendError::Unreachable {
        node: node.to_owned(),
        reason: reason.to_string(),
    }
}
