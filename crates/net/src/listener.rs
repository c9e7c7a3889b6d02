//! Accepting connections, within limits.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tracing::{Instrument, debug, info, info_span, warn};

use crate::config::LimitsConfig;
use crate::drain::Shutdown;
use crate::limits::ConnectionLimits;
use crate::session_id::SessionId;
use crate::stream::Stream;
use crate::tls::TlsServer;

/// Connections that the kernel holds for us: a burst of reconnecting clients fits.
const BACKLOG: u32 = 1024;
/// After an accept that failed for want of something: long enough not to spin, short enough that
/// nobody notices.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A TLS handshake that takes longer is someone else's waste of memory.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

/// An accepted connection, TLS handshake done where the listener does one.
#[derive(Debug)]
pub struct Connection {
    /// Its bytes.
    pub stream: Stream,
    /// The client's end.
    pub peer_addr: SocketAddr,
    /// Our end.
    pub local_addr: SocketAddr,
    /// Its name in logs.
    pub session: SessionId,
}

/// A bound socket that does not accept yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<TlsServer>,
    limits: ConnectionLimits,
    refusal: &'static [u8],
    shut_out: Option<ShutOut>,
}

/// Says which addresses get no connection at all.
#[derive(Clone)]
pub struct ShutOut(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl ShutOut {
    /// Those for which `is_shut_out` is true.
    pub fn new(is_shut_out: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_shut_out))
    }
}

impl fmt::Debug for ShutOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutOut").finish_non_exhaustive()
    }
}

impl Listener {
    /// Binds and listens. Port 0 takes a free one; see [`local_addr`](Self::local_addr). An IPv6
    /// address takes no IPv4 connections. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Those of binding, with the address in the text.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let (socket, address) = bind(address)?;
        Ok(Self {
            socket,
            address,
            tls: None,
            limits: ConnectionLimits::new(&LimitsConfig::default()),
            refusal: b"",
            shut_out: None,
        })
    }

    /// Closes connections of these addresses without a word.
    #[must_use]
    pub fn without(mut self, shut_out: ShutOut) -> Self {
        self.shut_out = Some(shut_out);
        self
    }

    /// Does a TLS handshake at once (implicit TLS).
    #[must_use]
    pub fn with_tls(mut self, tls: TlsServer) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Counts connections against `limits`, which listeners of a protocol share.
    #[must_use]
    pub fn with_limits(mut self, limits: ConnectionLimits) -> Self {
        self.limits = limits;
        self
    }

    /// What a refused client is told, without TLS: `* BYE Too many connections\r\n`.
    #[must_use]
    pub fn with_refusal(mut self, line: &'static [u8]) -> Self {
        self.refusal = line;
        self
    }

    /// The address that it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until the drain begins; every connection is served by `serve` in a task of its own
    /// that `shutdown` owns, within a span `session` that has its name and an empty `user` to be
    /// recorded at login. A panic in one ends that connection only.
    pub fn spawn<H, F>(self, shutdown: &Shutdown, serve: H)
    where
        H: Fn(Connection) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let owner = shutdown.clone();
        shutdown.spawn(self.accept_all(owner, Arc::new(serve)));
    }

    async fn accept_all<H, F>(self, shutdown: Shutdown, serve: Arc<H>)
    where
        H: Fn(Connection) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let draining = shutdown.token();
        loop {
            let accepted = tokio::select! {
                biased;
                () = draining.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer_addr)) => self.admit(&shutdown, socket, peer_addr, &serve),
                Err(error) if is_of_the_connection(&error) => {
                    debug!(%error, address = %self.address, "a connection was gone before it was accepted");
                }
                Err(error) => {
                    warn!(%error, address = %self.address, "cannot accept connections");
                    tokio::select! {
                        () = draining.cancelled() => return,
                        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                    }
                }
            }
        }
    }

    fn admit<H, F>(
        &self,
        shutdown: &Shutdown,
        socket: TcpStream,
        peer_addr: SocketAddr,
        serve: &Arc<H>,
    ) where
        H: Fn(Connection) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(ShutOut(is_shut_out)) = &self.shut_out
            && is_shut_out(peer_addr.ip())
        {
            debug!(peer = %peer_addr, listener = %self.address, "connection of a blocked address");
            return;
        }
        let slot = match self.limits.admit(peer_addr.ip()) {
            Ok(slot) => slot,
            Err(reason) => {
                info!(peer = %peer_addr, listener = %self.address, %reason, "connection refused");
                if self.tls.is_none() {
                    // The line fits into any fresh socket's buffer; who does not get it, does not.
                    let _ = socket.try_write(self.refusal);
                }
                return;
            }
        };
        let tls = self.tls.clone();
        let listener = self.address;
        let serve = Arc::clone(serve);
        let draining = shutdown.token();
        shutdown.spawn(async move {
            let _slot = slot;
            let session = SessionId::new();
            // In a box, so that the handshake's state is not part of every connection's task.
            let opened = draining.run_until_cancelled(Box::pin(open(socket, tls)));
            let (stream, local_addr) = match opened.await {
                Some(Ok(opened)) => opened,
                Some(Err(error)) => {
                    debug!(%session, peer = %peer_addr, %listener, %error, "connection failed");
                    return;
                }
                None => return,
            };
            drop(draining);
            let connection = Connection {
                stream,
                peer_addr,
                local_addr,
                session,
            };
            let span = info_span!("session", %session, user = tracing::field::Empty);
            serve(connection).instrument(span).await;
        });
    }
}

/// Binds and listens, with the port that was taken.
pub(crate) fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let bound = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            let socket = TcpSocket::new_v6()?;
            rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
            socket
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    let socket = bound().map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

async fn open(socket: TcpStream, tls: Option<TlsServer>) -> io::Result<(Stream, SocketAddr)> {
    let local_addr = socket.local_addr()?;
    let stream = Stream::new(socket)?;
    let stream = match tls {
        Some(tls) => tokio::time::timeout(HANDSHAKE_TIMEOUT, stream.accept_tls(&tls)).await??,
        None => stream,
    };
    Ok((stream, local_addr))
}

/// Errors of the connection that was to be accepted, rather than of this process or system.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
    )
}

#[cfg(test)]
mod tests;
