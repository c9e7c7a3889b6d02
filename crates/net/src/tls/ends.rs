//! The two ends of TLS: what does a handshake, and a connection that lasts as long as its peer is
//! believed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::connected::Admission;
use super::trust::Trust;

/// The server's end, for listeners and STARTTLS. Clones are the same one.
#[derive(Debug, Clone)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
    /// Whose certificates are asked for; `None`: nobody's.
    trust: Option<Arc<Trust>>,
}

/// The client's end, for connections to nodes. Clones are the same one.
#[derive(Debug, Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    trust: Arc<Trust>,
}

impl TlsServer {
    pub(super) fn new(config: ServerConfig, trust: Option<Arc<Trust>>) -> Self {
        Self {
            config: Arc::new(config),
            trust,
        }
    }

    /// The same with another agreement by ALPN.
    pub(super) fn with_alpn(&self, protocol: &[u8]) -> Self {
        let mut config = ServerConfig::clone(&self.config);
        config.alpn_protocols = vec![protocol.to_vec()];
        Self::new(config, self.trust.clone())
    }

    pub(crate) async fn accept(
        &self,
        socket: TcpStream,
    ) -> io::Result<Peered<server::TlsStream<TcpStream>>> {
        let stream = TlsAcceptor::from(Arc::clone(&self.config))
            .accept(socket)
            .await?;
        let admission = match (&self.trust, stream.get_ref().1.peer_certificates()) {
            (Some(trust), Some(chain)) => Some(trust.admit(chain, None)?),
            _ => None,
        };
        Ok(Peered { stream, admission })
    }
}

impl TlsClient {
    pub(super) fn new(config: ClientConfig, trust: Arc<Trust>) -> Self {
        Self {
            config: Arc::new(config),
            trust,
        }
    }

    /// The same, which offers `protocol` by ALPN.
    #[must_use]
    pub fn with_alpn(&self, protocol: &[u8]) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = vec![protocol.to_vec()];
        Self::new(config, Arc::clone(&self.trust))
    }

    /// As [`NodeTls::set_revoked`](super::NodeTls::set_revoked).
    pub fn set_revoked(&self, revocations: impl IntoIterator<Item = super::Revocation>) {
        self.trust.set_revoked(revocations);
    }

    pub(crate) async fn connect(
        &self,
        socket: TcpStream,
        name: ServerName<'static>,
    ) -> io::Result<Peered<client::TlsStream<TcpStream>>> {
        let stream = TlsConnector::from(Arc::clone(&self.config))
            .connect(name.clone(), socket)
            .await?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let admission = Some(self.trust.admit(chain, Some(name))?);
        Ok(Peered { stream, admission })
    }
}

/// A connection under TLS that fails once its peer's certificate is not believed any more. To be
/// polled by one task at a time.
#[derive(Debug)]
pub struct Peered<S> {
    stream: S,
    /// `None` for a client without a certificate.
    admission: Option<Admission>,
}

impl<S: Unpin> Peered<S> {
    pub(crate) fn tls(&self) -> &S {
        &self.stream
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match &mut self.admission {
            Some(admission) => admission.check(cx),
            None => Ok(()),
        }
    }

    /// See [`Stream::poll_readable`](crate::Stream::poll_readable).
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncBufRead,
    {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_fill_buf(cx).map_ok(|_| ())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Peered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Peered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
