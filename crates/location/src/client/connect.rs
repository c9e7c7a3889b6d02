//! Connections to whichever master can be reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use murder_net::tls::{ALPN_H2, TlsClient, role_server_name};
use murder_net::{Role, Stream};
use tokio::time::{Instant, timeout};
use tonic::transport::{Channel, Endpoint};

use crate::error::NotReached;

/// For TCP and TLS together, for each master tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// At least so long between two rounds over all masters when none could be reached.
const ROUND_INTERVAL: Duration = Duration::from_millis(100);
/// How often the master is asked whether it is there, and how long it may take to answer: together,
/// one that went away without a word is noticed when a call to it would fail too.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// HTTP/2 windows: a snapshot flows at this much per round trip.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// Makes connections to whichever master can be reached.
struct Connector {
    masters: Vec<String>,
    tls: TlsClient,
    /// The master to try first: the one that last worked.
    next: AtomicUsize,
    last_failed: tokio::sync::Mutex<Option<Instant>>,
}

impl Connector {
    async fn connect(&self) -> std::io::Result<TokioIo<Stream>> {
        let mut last_failed = self.last_failed.lock().await;
        if let Some(at) = *last_failed {
            tokio::time::sleep_until(at + ROUND_INTERVAL).await;
        }
        let mut failure = std::io::Error::other("no masters configured");
        let first = self.next.load(Ordering::Relaxed);
        for turn in 0..self.masters.len() {
            let at = (first + turn) % self.masters.len();
            let attempt = timeout(CONNECT_TIMEOUT, self.connect_to(&self.masters[at]));
            match attempt
                .await
                .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut)))
            {
                Ok(stream) => {
                    self.next.store(at, Ordering::Relaxed);
                    *last_failed = None;
                    return Ok(TokioIo::new(stream));
                }
                Err(error) => {
                    tracing::debug!(master = self.masters[at], %error, "master not reached");
                    failure = error;
                }
            }
        }
        *last_failed = Some(Instant::now());
        Err(std::io::Error::other(NotReached(failure)))
    }

    async fn connect_to(&self, master: &str) -> std::io::Result<Stream> {
        let stream = Stream::connect(master).await?;
        let name = role_server_name(Role::Mupdate);
        stream.connect_tls(&self.tls, name).await
    }
}

/// A connection to one of `masters`, made when first needed and made again when lost.
pub(super) fn channel(masters: Vec<String>, tls: TlsClient) -> Channel {
    let connector = Arc::new(Connector {
        masters,
        tls: tls.with_alpn(ALPN_H2),
        next: AtomicUsize::new(0),
        last_failed: tokio::sync::Mutex::new(None),
    });
    Endpoint::from_static("http://mupdate.murder.internal")
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .connect_with_connector_lazy(tower::service_fn(move |_| {
            let connector = connector.clone();
            async move { connector.connect().await }
        }))
}
