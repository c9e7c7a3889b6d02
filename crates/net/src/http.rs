//! `/healthz`, `/readyz` and `/metrics`. For operators' networks: no authentication, no TLS.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use crate::drain::Shutdown;
use crate::health::Health;
use crate::listener;
use crate::metrics::Metrics;

/// Connections at once: a few scrapers and load balancers. When there are more, the one that has been
/// there for longest makes room.
const CONNECTIONS: usize = 64;
/// How long a connection may take for a request, from its beginning or from the last answer on.
const REQUEST: Duration = Duration::from_secs(5);
/// A connection's whole life, so that slow or forgotten clients make room for others.
const CONNECTION_LIFE: Duration = Duration::from_secs(60);

/// Serves until the drain begins; returns the address as soon as it listens.
///
/// While draining the node is not ready.
///
/// # Errors
/// When the address cannot be listened on.
pub fn serve(
    listen: SocketAddr,
    health: Health,
    metrics: Metrics,
    shutdown: &Shutdown,
) -> io::Result<SocketAddr> {
    let (socket, address) = listener::bind(listen)?;
    let listener = BoundedListener {
        socket,
        permits: Arc::new(Semaphore::new(CONNECTIONS)),
        open: VecDeque::new(),
    };
    let token = shutdown.token();
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state(Served {
            health,
            metrics,
            shutdown: shutdown.clone(),
        });
    shutdown.spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(token.cancelled_owned());
        if let Err(error) = served.await {
            tracing::warn!(%error, "the HTTP server ended");
        }
    });
    Ok(address)
}

#[derive(Clone)]
struct Served {
    health: Health,
    metrics: Metrics,
    shutdown: Shutdown,
}

async fn healthz(State(served): State<Served>) -> impl IntoResponse {
    answer(&served.health.problems())
}

async fn readyz(State(served): State<Served>) -> impl IntoResponse {
    let mut reasons = served.health.not_ready_reasons();
    if served.shutdown.is_draining() {
        reasons.push("draining".to_owned());
    }
    answer(&reasons)
}

fn answer(reasons: &[String]) -> (StatusCode, String) {
    if reasons.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
    }
}

async fn render(State(served): State<Served>) -> impl IntoResponse {
    let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, form)], served.metrics.render())
}

struct BoundedListener {
    socket: TcpListener,
    permits: Arc<Semaphore>,
    /// Those that were accepted, the oldest first: cancelled, they end. Some have ended by themselves.
    open: VecDeque<CancellationToken>,
}

impl BoundedListener {
    /// Makes the oldest connection end, if there are as many as there may be.
    fn make_room(&mut self) {
        // A token that nobody holds any more is of a connection that has ended.
        self.open.retain(|end| !end.is_cancelled());
        if self.permits.available_permits() == 0
            && let Some(oldest) = self.open.pop_front()
        {
            oldest.cancel();
        }
    }
}

impl axum::serve::Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.socket).await;
        self.make_room();
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let end = CancellationToken::new();
        self.open.push_back(end.clone());
        let stream = BoundedStream {
            stream,
            end: Box::pin(end.clone().cancelled_owned()),
            life: Box::pin(tokio::time::sleep(CONNECTION_LIFE)),
            request: Box::pin(tokio::time::sleep(REQUEST)),
            _ended: end.drop_guard(),
            _permit: permit,
        };
        (stream, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// A connection that counts, and ends after [`CONNECTION_LIFE`], when no request comes within
/// [`REQUEST`], and when it has to make room for another.
struct BoundedStream {
    stream: TcpStream,
    end: Pin<Box<WaitForCancellationFutureOwned>>,
    life: Pin<Box<Sleep>>,
    request: Pin<Box<Sleep>>,
    /// Tells the listener that it has ended.
    _ended: DropGuard,
    _permit: OwnedSemaphorePermit,
}

impl BoundedStream {
    fn in_time(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let ended = self.life.as_mut().poll(cx).is_ready() || self.end.as_mut().poll(cx).is_ready();
        match ended {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => Ok(()),
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.in_time(cx)?;
        if self.request.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.in_time(cx)?;
        self.request.as_mut().reset(Instant::now() + REQUEST);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn fetch(address: SocketAddr, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    /// Neither those who say nothing, nor those who are slow with it, nor those who are done.
    #[tokio::test]
    async fn idle_connections_keep_nobody_away() {
        let shutdown = Shutdown::new();
        let listen = "127.0.0.1:0".parse().unwrap();
        let address = serve(listen, Health::new(), Metrics::new("x"), &shutdown).unwrap();
        let mut idle = Vec::new();
        for number in 0..3 * CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            if number % 2 == 0 {
                stream
                    .write_all(b"GET /healthz HTTP/1.1\r\nHost")
                    .await
                    .unwrap();
            }
            idle.push(stream);
        }
        for _ in 0..2 * CONNECTIONS {
            assert_eq!(fetch(address, "/healthz").await, (200, "ok\n".to_owned()));
        }
        // The first ones have made room.
        let mut rest = Vec::new();
        let ended = idle[0].read_to_end(&mut rest).await;
        assert!(
            ended.is_err() || !rest.starts_with(b"HTTP/1.1 200"),
            "{rest:?}"
        );
        assert_eq!(shutdown.drain(Duration::from_secs(60)).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_has_to_come_soon() {
        let shutdown = Shutdown::new();
        let listen = "127.0.0.1:0".parse().unwrap();
        let address = serve(listen, Health::new(), Metrics::new("x"), &shutdown).unwrap();
        let started = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /").await.unwrap();
        let mut rest = Vec::new();
        // However it is told.
        let _ = stream.read_to_end(&mut rest).await;
        assert!(
            started.elapsed() < CONNECTION_LIFE,
            "{:?}",
            started.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_take_the_answers_is_cut_off() {
        let shutdown = Shutdown::new();
        let listen = "127.0.0.1:0".parse().unwrap();
        let address = serve(listen, Health::new(), Metrics::new("x"), &shutdown).unwrap();
        let started = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let requests = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
        // Until nothing is taken any more, and then until the connection has ended.
        while stream.write_all(&requests).await.is_ok() {}
        assert!(started.elapsed() <= CONNECTION_LIFE + REQUEST);
    }

    #[tokio::test]
    async fn answers_follow_the_conditions() {
        let shutdown = Shutdown::new();
        let health = Health::new();
        let metrics = Metrics::new("frontend");
        metrics.counter("logins", "Logins").inc();
        let listen = "127.0.0.1:0".parse().unwrap();
        let address = serve(listen, health.clone(), metrics, &shutdown).unwrap();

        assert_eq!(fetch(address, "/healthz").await, (200, "ok\n".to_owned()));
        assert_eq!(
            fetch(address, "/readyz").await,
            (503, "starting\n".to_owned())
        );
        health.not_ready("map", "12 s old");
        assert_eq!(
            fetch(address, "/readyz").await,
            (503, "map: 12 s old\n".to_owned())
        );
        health.ok("map");
        assert_eq!(fetch(address, "/readyz").await.0, 200);
        health.unhealthy("disk", "read-only");
        assert_eq!(
            fetch(address, "/healthz").await,
            (503, "disk: read-only\n".to_owned())
        );
        assert!(
            fetch(address, "/metrics")
                .await
                .1
                .contains("murder_frontend_logins_total 1")
        );
        assert_eq!(fetch(address, "/other").await.0, 404);
        assert_eq!(shutdown.drain(Duration::from_secs(60)).await, 0);
    }
}
