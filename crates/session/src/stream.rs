//! The client's connection, which ends by itself when the client does not read.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use murder_net::tls::TlsServer;
use murder_net::{Peer, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A [`Stream`] on which a write that makes no headway for so long fails with
/// [`io::ErrorKind::TimedOut`], so that no command has to think of clients that do not read.
pub struct ClientStream {
    /// `None` during a TLS handshake, and for good after one that failed.
    inner: Option<Stream>,
    patience: Duration,
    /// There only while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Octets were read since the last write.
    unanswered: bool,
}

impl ClientStream {
    /// Over `stream`; `patience`: how long a write may wait for the client to take a byte.
    pub fn new(stream: Stream, patience: Duration) -> Self {
        Self {
            inner: Some(stream),
            patience,
            stalled: None,
            unanswered: false,
        }
    }

    /// Whether it is under TLS.
    pub fn is_tls(&self) -> bool {
        self.inner.as_ref().is_some_and(Stream::is_tls)
    }

    /// The node at the other end, if it has shown a certificate of the cluster.
    pub fn peer(&self) -> Option<Peer> {
        self.inner.as_ref()?.peer()
    }

    /// Nothing more is there to read: what was read and not answered is half a command, and is
    /// acknowledged, see [`Stream::acknowledge`].
    fn wants_more(&mut self) {
        if std::mem::take(&mut self.unanswered)
            && let Some(stream) = &self.inner
        {
            stream.acknowledge();
        }
    }

    /// See [`Stream::readable`].
    pub async fn readable(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            let poll = self.stream()?.get_mut().poll_readable(cx);
            if poll.is_pending() {
                self.wants_more();
            }
            poll
        })
        .await
    }

    /// The server's part of a TLS handshake. If it fails, or the future is dropped, the
    /// connection is gone.
    pub async fn start_tls(&mut self, tls: &TlsServer) -> io::Result<()> {
        let plain = self.inner.take().ok_or(io::ErrorKind::NotConnected)?;
        self.inner = Some(plain.accept_tls(tls).await?);
        Ok(())
    }

    /// Compresses from here on; see [`Stream::compress`].
    pub fn compress(&mut self) -> io::Result<()> {
        let inner = self.inner.take().ok_or(io::ErrorKind::NotConnected)?;
        self.inner = Some(inner.compress());
        Ok(())
    }

    /// Whether it is compressed.
    pub fn is_compressed(&self) -> bool {
        self.inner.as_ref().is_some_and(Stream::is_compressed)
    }

    fn stream(&mut self) -> io::Result<Pin<&mut Stream>> {
        match &mut self.inner {
            Some(stream) => Ok(Pin::new(stream)),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// What a write comes to that the stream answers with `poll`.
    fn within_patience<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stalled = None;
            return poll;
        }
        let patience = self.patience;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        if stalled.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client does not read",
            )));
        }
        Poll::Pending
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let poll = this.stream()?.poll_read(cx, buffer);
        match &poll {
            Poll::Pending => this.wants_more(),
            Poll::Ready(_) => this.unanswered |= buffer.filled().len() > before,
        }
        poll
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = this.stream()?.poll_write(cx, bytes);
        this.unanswered &= !matches!(poll, Poll::Ready(Ok(1..)));
        this.within_patience(cx, poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = this.stream()?.poll_write_vectored(cx, slices);
        this.unanswered &= !matches!(poll, Poll::Ready(Ok(1..)));
        this.within_patience(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner
            .as_ref()
            .is_some_and(tokio::io::AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = this.stream()?.poll_flush(cx);
        this.within_patience(cx, poll)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = this.stream()?.poll_shutdown(cx);
        this.within_patience(cx, poll)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_client_that_does_not_read_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let stream = Stream::new(socket).unwrap();
        let mut stream = ClientStream::new(stream, Duration::from_millis(50));
        // More than any socket buffers take.
        let error = loop {
            if let Err(error) = stream.write_all(&[b'x'; 65536]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(client);
    }
}
