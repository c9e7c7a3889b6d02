//! A connection's bytes, with or without TLS and compression.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio_rustls::{client, server};

use crate::deflate::Deflated;
use crate::tls::{Peer, Peered, TlsClient, TlsServer, peer_of};

/// The system looks after a silent connection so often that clients behind address translators
/// are kept alive, and ones that are gone are found before the idle timeout.
const KEEPALIVE: Duration = Duration::from_secs(120);

/// A TCP connection that may be under TLS. TCP_NODELAY is set: writers coalesce by themselves.
#[derive(Debug)]
pub enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    /// Under TLS, accepted here.
    ServerTls(Box<Peered<server::TlsStream<TcpStream>>>),
    /// Under TLS, connected from here.
    ClientTls(Box<Peered<client::TlsStream<TcpStream>>>),
    /// One of the others, compressed.
    Deflated(Box<Deflated>),
}

impl Stream {
    /// Takes a connected socket.
    ///
    /// # Errors
    /// When its options cannot be set, which means that it is not connected any more.
    pub fn new(socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        sockopt::set_socket_keepalive(&socket, true)?;
        sockopt::set_tcp_keepidle(&socket, KEEPALIVE)?;
        Ok(Self::Plain(socket))
    }

    /// Connects, without TLS and without a timeout.
    ///
    /// # Errors
    /// Those of connecting.
    pub async fn connect(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::new(TcpStream::connect(address).await?)
    }

    /// Does the server's part of a TLS handshake. For STARTTLS the caller throws away what the
    /// client sent before it (RFC 9051 6.2.1).
    ///
    /// # Errors
    /// Those of the handshake, when the client's certificate is not believed, and
    /// [`io::ErrorKind::InvalidInput`] under TLS.
    pub async fn accept_tls(self, tls: &TlsServer) -> io::Result<Self> {
        let stream = tls.accept(self.into_plain()?).await?;
        Ok(Self::ServerTls(Box::new(stream)))
    }

    /// Does the client's part of a TLS handshake with the server that has the name.
    ///
    /// # Errors
    /// Those of the handshake, and [`io::ErrorKind::InvalidInput`] under TLS.
    pub async fn connect_tls(self, tls: &TlsClient, name: ServerName<'static>) -> io::Result<Self> {
        let stream = tls.connect(self.into_plain()?, name).await?;
        Ok(Self::ClientTls(Box::new(stream)))
    }

    fn into_plain(self) -> io::Result<TcpStream> {
        match self {
            Self::Plain(socket) => Ok(socket),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "TLS or compression is active already",
            )),
        }
    }

    /// Compresses what is sent from now on, and takes what comes for compressed.
    #[must_use]
    pub fn compress(self) -> Self {
        Self::Deflated(Box::new(Deflated::new(self)))
    }

    /// Whether it is compressed.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        matches!(self, Self::Deflated(_))
    }

    /// Whether it is under TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::ServerTls(_) | Self::ClientTls(_) => true,
            Self::Deflated(stream) => stream.inner().is_tls(),
        }
    }

    /// The node at the other end, when it has shown a certificate of the cluster.
    #[must_use]
    pub fn peer(&self) -> Option<Peer> {
        peer_of(self.peer_certificates()?)
    }

    fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        match self {
            Self::Plain(_) => None,
            Self::ServerTls(stream) => stream.tls().get_ref().1.peer_certificates(),
            Self::ClientTls(stream) => stream.tls().get_ref().1.peer_certificates(),
            Self::Deflated(stream) => stream.inner().peer_certificates(),
        }
    }

    /// The TCP connection below.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::ServerTls(stream) => stream.tls().get_ref().0,
            Self::ClientTls(stream) => stream.tls().get_ref().0,
            Self::Deflated(stream) => stream.inner().tcp(),
        }
    }

    /// The other end's address.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp().peer_addr()
    }

    /// Whether both ends are on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.peer_addr()
            .is_ok_and(|address| address.ip().to_canonical().is_loopback())
    }

    /// Acknowledges what has come without the system's delay of some 40 ms. For where the client
    /// is known to have more to say: one with Nagle's algorithm that writes a literal and the
    /// line end behind it by themselves holds the second back until the first is acknowledged.
    pub fn acknowledge(&self) {
        // An option of Linux, which only makes it faster; and a connection that is gone is found
        // to be so by whoever reads next.
        #[cfg(target_os = "linux")]
        let _ = sockopt::set_tcp_quickack(self.tcp(), true);
    }

    /// Waits until there is something to read, or the end, without a buffer: an idle session
    /// gives its buffer up and waits here. Seldom wakes for nothing, so the read that follows may
    /// have to wait again. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn readable(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// [`readable`](Self::readable) as a poll; the last caller's task is woken.
    ///
    /// # Errors
    /// Those of reading.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => socket.poll_read_ready(cx),
            Self::ServerTls(stream) => stream.poll_readable(cx),
            Self::ClientTls(stream) => stream.poll_readable(cx),
            Self::Deflated(stream) => stream.poll_readable(cx),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::ServerTls(stream) => Pin::new(&mut **stream).poll_read(cx, buffer),
            Self::ClientTls(stream) => Pin::new(&mut **stream).poll_read(cx, buffer),
            Self::Deflated(stream) => Pin::new(&mut **stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::ServerTls(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
            Self::ClientTls(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
            Self::Deflated(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::ServerTls(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, slices),
            Self::ClientTls(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, slices),
            Self::Deflated(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::ServerTls(stream) => stream.is_write_vectored(),
            Self::ClientTls(stream) => stream.is_write_vectored(),
            Self::Deflated(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::ServerTls(stream) => Pin::new(&mut **stream).poll_flush(cx),
            Self::ClientTls(stream) => Pin::new(&mut **stream).poll_flush(cx),
            Self::Deflated(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::ServerTls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            Self::ClientTls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            Self::Deflated(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}
