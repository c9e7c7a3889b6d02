//! Connections whose peer is known, as tonic takes them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use murder_net::{Connection, Listener, Shutdown, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::caller::Caller;

/// Connections that the server has not taken yet.
const ACCEPTED: usize = 16;

/// A connection of a node or an operator.
pub(super) struct PeerStream {
    stream: Stream,
    caller: Caller,
    /// The server's tasks cannot be aborted one by one; this ends them.
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
    _closed: DropGuard,
}

/// Accepts until the drain begins. A connection counts against the listener's limits until it
/// is closed; one whose peer has shown no certificate is closed at once.
pub(super) fn accept(
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
                caller: Caller {
                    name: peer.name,
                    roles: peer.roles,
                },
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

impl PeerStream {
    fn alive(&mut self, context: &mut Context<'_>) -> std::io::Result<()> {
        match self.killed.as_mut().poll(context) {
            Poll::Ready(()) => Err(std::io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl Connected for PeerStream {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
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
