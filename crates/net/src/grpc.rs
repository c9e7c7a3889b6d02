//! gRPC between nodes: connections whose peers are known, as tonic takes them, and channels to a
//! node that is who it should be.

mod services;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use tonic::Request;
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint};

pub use services::{Service, Services};

use crate::tls::{ALPN_H2, Peer, TlsClient};
use crate::{Connection, Listener, Shutdown, Stream};

/// Connections that the server has not taken yet.
const ACCEPTED: usize = 16;
/// For TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How soon a peer that went away without a word is noticed, at most twice this.
pub const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// A connection of a node or an operator.
pub struct PeerStream {
    stream: Stream,
    peer: Peer,
    /// The server's tasks cannot be aborted one by one; this ends them.
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
    _closed: DropGuard,
}

/// Accepts until the drain begins. A connection counts against the listener's limits until it
/// is closed; one whose peer has shown no certificate is closed at once.
///
/// `killed` ends the connections that the server has taken.
pub(crate) fn accept(
    listener: Listener,
    shutdown: &Shutdown,
    killed: &CancellationToken,
) -> ReceiverStream<std::io::Result<PeerStream>> {
    let (sender, receiver) = mpsc::channel(ACCEPTED);
    let killed = killed.clone();
    listener.spawn(shutdown, move |connection: Connection| {
        let (sender, killed) = (sender.clone(), killed.clone());
        async move {
            let Some(peer) = connection.stream.peer() else {
                tracing::info!(peer = %connection.peer_addr, "no client certificate of a node");
                return;
            };
            let closed = CancellationToken::new();
            let stream = PeerStream {
                stream: connection.stream,
                peer,
                killed: Box::pin(killed.cancelled_owned()),
                _closed: closed.clone().drop_guard(),
            };
            // The server has stopped when nobody takes it.
            if sender.send(Ok(stream)).await.is_ok() {
                closed.cancelled().await;
            }
        }
    });
    ReceiverStream::new(receiver)
}

/// Who makes a call, on a connection that `accept` has given to the server.
#[must_use]
pub fn peer<T>(request: &Request<T>) -> Option<&Peer> {
    request.extensions().get()
}

/// A connection to the node at `address` (`host:port`), which must show a certificate with
/// `name`.
///
/// # Errors
/// Why there is none: nobody answers in time, or not with that certificate.
pub async fn connect(
    address: &str,
    name: ServerName<'static>,
    tls: &TlsClient,
) -> std::io::Result<Channel> {
    let connecting = async {
        let stream = Stream::connect(address).await?;
        stream.connect_tls(&tls.with_alpn(ALPN_H2), name).await
    };
    let stream = timeout(CONNECT_TIMEOUT, connecting)
        .await
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    // One connection; when it is lost, so is what it was for.
    let mut stream = Some(TokioIo::new(stream));
    Endpoint::from_static("http://node.murder.internal")
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .connect_with_connector(tower::service_fn(move |_| {
            let stream = stream.take();
            async move { stream.ok_or(std::io::Error::from(std::io::ErrorKind::NotConnected)) }
        }))
        .await
        .map_err(std::io::Error::other)
}

impl std::fmt::Debug for PeerStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerStream")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl PeerStream {
    fn alive(&mut self, context: &mut Context<'_>) -> std::io::Result<()> {
        match self.killed.as_mut().poll(context) {
            Poll::Ready(()) => Err(std::io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl Connected for PeerStream {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.alive(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.alive(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
