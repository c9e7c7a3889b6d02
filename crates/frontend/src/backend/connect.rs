//! From a backend's name to an authenticated connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use murder_location::{Replica, service};
use murder_net::tls::server_name;
use murder_net::{NodeTls, Role, Shutdown, Stream};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::connection::{ActingFor, BackendError, Connection, Event};
use super::pulse::{Beat, Pulses};

/// A backend that did not answer in time is not tried again for so long: every other client
/// would wait as long, to no avail. One that refuses the connection at once is.
const AVOID_AFTER_TIMEOUT: Duration = Duration::from_secs(2);

/// What a backend is connected to for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Service {
    /// Sessions of clients.
    Imap,
    /// Deliveries.
    Lmtp,
}

/// Opens connections to backends.
pub(crate) struct Dialer {
    replica: Arc<Replica>,
    tls: NodeTls,
    pulses: Arc<Pulses>,
    connect_timeout: Duration,
    silence: Duration,
    avoid: Mutex<HashMap<(Service, String), Instant>>,
}

impl Dialer {
    /// Looks addresses up in `replica`. `connect_timeout` covers everything up to the login, and is
    /// how long a backend may not answer at all; `silence` is how long one that does may owe an
    /// answer and say nothing.
    pub(crate) fn new(
        replica: Arc<Replica>,
        tls: NodeTls,
        connect_timeout: Duration,
        silence: Duration,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            pulses: Pulses::new(replica.clone(), tls.clone(), connect_timeout, shutdown),
            replica,
            tls,
            connect_timeout,
            silence,
            avoid: Mutex::new(HashMap::new()),
        }
    }

    /// How long a backend may not answer at all.
    pub(crate) fn patience(&self) -> Duration {
        self.connect_timeout
    }

    /// What tells a new connection to `node` that the backend does not answer any more.
    pub(crate) fn pulse(&self, node: &str) -> Beat {
        self.pulses.of(node)
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
        let address = self.address(node, service::IMAPS)?;
        // In a box: the handshake's state would else be part of every session's task.
        Box::pin(self.in_time(Service::Imap, node, async {
            let stream = self.tls(node, self.tcp(node, &address).await?).await?;
            let mut connection = Connection::new(stream, node, acting, self.silence);
            log_in(&mut connection, acting)
                .await
                .map_err(BackendError::before_a_command)?;
            connection.wire.depend_on(self.pulse(node));
            Ok(connection)
        }))
        .await
    }

    /// The address of a [kind of service](service) of `node`.
    pub(crate) fn address(&self, node: &str, kind: &str) -> Result<String, BackendError> {
        self.replica
            .node(node)
            .and_then(|node| node.service(kind).map(str::to_owned))
            .ok_or_else(|| unreachable(node, "its address is not known"))
    }

    /// Runs one attempt to reach `node` within the time that there is.
    pub(crate) async fn in_time<T>(
        &self,
        service: Service,
        node: &str,
        attempt: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let key = (service, node.to_owned());
        let avoided = self
            .avoid
            .lock()
            .get(&key)
            .is_some_and(|until| Instant::now() < *until);
        if avoided {
            return Err(unreachable(node, "no answer in time"));
        }
        match timeout(self.connect_timeout, attempt).await {
            Ok(result) => {
                if result.is_ok() {
                    self.avoid.lock().remove(&key);
                }
                result
            }
            Err(_) => {
                // As many entries as there are backends.
                self.avoid
                    .lock()
                    .insert(key, Instant::now() + AVOID_AFTER_TIMEOUT);
                Err(unreachable(node, "no answer in time"))
            }
        }
    }

    /// A TCP connection to `address` (`host:port`).
    pub(crate) async fn tcp(&self, node: &str, address: &str) -> Result<Stream, BackendError> {
        Stream::connect(address)
            .await
            .map_err(|error| unreachable(node, error))
    }

    /// TLS over it, with both sides' certificates checked.
    pub(crate) async fn tls(&self, node: &str, tcp: Stream) -> Result<Stream, BackendError> {
        tcp.connect_tls(&self.tls.client(), server_name(node, Role::Backend))
            .await
            .map_err(|error| unreachable(node, error))
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
