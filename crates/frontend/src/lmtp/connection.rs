//! LMTP connections to backends, and those that nobody uses at the moment.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Buf;
use murder_location::service;
use murder_net::Stream;
use murder_session::{Kept, Pool, PoolLimits};
use tokio::time::timeout;

use super::reply::Reply;
use crate::backend::connect::Service;
use crate::backend::{BackendError, Dialer};
use crate::wire::{HIGH_WATER, Wire};

/// Which unused connections are kept.
const LIMITS: PoolLimits = PoolLimits {
    // The next message comes within, or it is quiet.
    keep_for: Duration::from_secs(30),
    // To one backend: as many as deliver at once on a busy frontend.
    of_key: 32,
    // As many as there are backends, times that.
    in_all: usize::MAX,
};

/// A connection on which LHLO has been said, under TLS, with no transaction under way.
#[derive(Debug)]
pub(crate) struct LmtpConnection {
    /// Its bytes.
    pub wire: Wire,
    node: Arc<str>,
    silence: Duration,
    extensions: Vec<String>,
}

impl LmtpConnection {
    fn new(stream: Stream, node: &str, silence: Duration) -> Self {
        Self {
            wire: Wire::new(stream, HIGH_WATER),
            node: node.into(),
            silence,
            extensions: Vec::new(),
        }
    }

    /// Whether the backend has told of the extension.
    pub(crate) fn has(&self, extension: &str) -> bool {
        self.extensions
            .iter()
            .any(|e| e.split(' ').next() == Some(extension))
    }

    /// Whether it takes this attribute of XFORWARD.
    pub(crate) fn forwards(&self, attribute: &str) -> bool {
        self.extensions.iter().any(|extension| {
            let mut words = extension.split(' ');
            words.next() == Some("XFORWARD") && words.any(|word| word == attribute)
        })
    }

    /// Queues a command line, without its CRLF.
    pub(crate) fn send(&mut self, line: &str) {
        self.wire.put(line.as_bytes());
        self.wire.put(b"\r\n");
    }

    /// The reply at the front of the input, if it is all there.
    pub(crate) fn next_reply(&mut self) -> Result<Option<Reply>, BackendError> {
        match Reply::parse(&self.wire.input, None) {
            Ok(Some((reply, len))) => {
                self.wire.input.advance(len);
                Ok(Some(reply))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(self.lost(error)),
        }
    }

    /// Waits for the next reply.
    pub(crate) async fn reply(&mut self) -> Result<Reply, BackendError> {
        loop {
            if let Some(reply) = self.next_reply()? {
                return Ok(reply);
            }
            match timeout(self.silence, self.wire.fill()).await {
                Ok(Ok(0)) => return Err(self.lost("closed")),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(self.lost(error)),
                Err(_) => return Err(self.lost("no answer in time")),
            }
        }
    }

    /// Says LHLO and reads what the backend can do.
    async fn lhlo(&mut self, own_name: &str) -> Result<(), BackendError> {
        self.send(&format!("LHLO {own_name}"));
        loop {
            let mut extensions = Vec::new();
            match Reply::parse(&self.wire.input, Some(&mut extensions)) {
                Ok(Some((reply, len))) => {
                    self.wire.input.advance(len);
                    self.extensions = extensions;
                    return self.expect(reply, 250);
                }
                Ok(None) => match self.wire.fill().await {
                    Ok(0) => return Err(self.lost("closed")),
                    Ok(_) => {}
                    Err(error) => return Err(self.lost(error)),
                },
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    fn expect(&self, reply: Reply, code: u16) -> Result<(), BackendError> {
        match reply.code == code {
            true => Ok(()),
            false => Err(self.lost(reply)),
        }
    }

    /// The error of a connection that is of no use any more.
    pub(crate) fn lost(&self, reason: impl ToString) -> BackendError {
        BackendError::Lost {
            node: self.node.to_string(),
            reason: reason.to_string(),
        }
    }
}

impl Kept for LmtpConnection {
    fn is_still_good(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let polled = std::pin::pin!(poll_fn(|cx| self.wire.poll_fill(cx))).poll(&mut cx);
        matches!(polled, Poll::Pending)
    }
}

/// Connects to the LMTP service of `node`.
async fn connect(
    dialer: &Dialer,
    own_name: &str,
    node: &str,
) -> Result<LmtpConnection, BackendError> {
    let address = dialer.address(node, service::LMTP)?;
    dialer
        .in_time(Service::Lmtp, node, async {
            let tcp = dialer.tcp(node, &address).await?;
            let mut plain = LmtpConnection::new(tcp, node, dialer.silence());
            let greeting = plain.reply().await?;
            plain.expect(greeting, 220)?;
            plain.lhlo(own_name).await?;
            plain.send("STARTTLS");
            let go_ahead = plain.reply().await?;
            plain.expect(go_ahead, 220)?;
            let tcp = plain
                .wire
                .take_stream()
                .map_err(|error| plain.lost(error))?;
            let stream = dialer.tls(node, tcp).await?;
            let mut connection = LmtpConnection::new(stream, node, dialer.silence());
            connection.lhlo(own_name).await?;
            connection.wire.depend_on(dialer.pulse(node));
            Ok(connection)
        })
        .await
}

/// Keeps unused connections by backend.
pub(crate) struct LmtpPool {
    dialer: Arc<Dialer>,
    own_name: String,
    unused: Pool<Arc<str>, LmtpConnection>,
}

impl LmtpPool {
    /// An empty pool that connects by `dialer` and calls itself `own_name`.
    pub(crate) fn new(dialer: Arc<Dialer>, own_name: String) -> Self {
        Self {
            dialer,
            own_name,
            unused: Pool::new(LIMITS),
        }
    }

    /// A connection that was used before, if there is one.
    pub(crate) fn reuse(&self, node: &str) -> Option<LmtpConnection> {
        self.unused.take(&Arc::from(node))
    }

    /// A fresh connection.
    ///
    /// # Errors
    /// See [`BackendError`].
    pub(crate) async fn connect(&self, node: &str) -> Result<LmtpConnection, BackendError> {
        Box::pin(connect(&self.dialer, &self.own_name, node)).await
    }

    /// Gives a connection back on which no transaction is under way.
    pub(crate) fn checkin(&self, connection: LmtpConnection) {
        if !connection.wire.input.is_empty() || !connection.wire.is_drained() {
            return;
        }
        self.unused.keep(connection.node.clone(), connection);
    }

    /// Closes what nobody has used for a while; to be called now and then.
    pub(crate) fn expire(&self) {
        self.unused.expire();
    }

    /// How long a backend that owes a reply, or is to take octets, may do nothing.
    pub(crate) fn silence(&self) -> Duration {
        self.dialer.silence()
    }
}
