//! Whether a backend answers at all.
//!
//! One connection to each backend that is in use asks it a trifle now and then. When that is not
//! answered in time, every connection to the backend fails at once: a process that is stopped, or a
//! machine that has gone without a word, keeps nobody waiting for longer than it keeps those who
//! connect. A backend that is busy with something long for one session answers the others.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use murder_location::{Replica, service};
use murder_net::tls::server_name;
use murder_net::{Cancelled, NodeTls, Role, Shutdown, Stream};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::wire::{HIGH_WATER, Wire};

/// How often a backend is asked, at most.
const EVERY: Duration = Duration::from_secs(1);

/// A backend's pulse, kept by the connections that depend on it.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    failed: CancellationToken,
}

/// A connection's hold on the pulse.
#[derive(Debug)]
pub(crate) struct Beat {
    _pulse: Arc<Pulse>,
    failed: Cancelled,
}

impl Beat {
    /// Fails when the backend does not answer any more.
    pub(crate) fn poll_failed(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        Pin::new(&mut self.failed)
            .poll(cx)
            .map(|()| io::Error::new(io::ErrorKind::TimedOut, "it does not answer at all"))
    }
}

/// Feels the pulse of every backend that is in use.
pub(crate) struct Pulses {
    /// As many as there are backends.
    of_nodes: Mutex<HashMap<String, Weak<Pulse>>>,
    replica: Arc<Replica>,
    tls: NodeTls,
    limit: Duration,
    shutdown: Shutdown,
}

impl Pulses {
    /// A backend fails that does not answer for `limit`.
    pub(crate) fn new(
        replica: Arc<Replica>,
        tls: NodeTls,
        limit: Duration,
        shutdown: Shutdown,
    ) -> Arc<Self> {
        Arc::new(Self {
            of_nodes: Mutex::default(),
            replica,
            tls,
            limit,
            shutdown,
        })
    }

    /// The pulse of `node`, for a connection that has just been made.
    pub(crate) fn of(self: &Arc<Self>, node: &str) -> Beat {
        let mut of_nodes = self.of_nodes.lock();
        let pulse = match of_nodes.get(node).and_then(Weak::upgrade) {
            Some(pulse) if !pulse.failed.is_cancelled() => pulse,
            _ => {
                let pulse = Arc::new(Pulse::default());
                of_nodes.insert(node.to_owned(), Arc::downgrade(&pulse));
                let watch = watch(Arc::clone(self), node.to_owned(), Arc::downgrade(&pulse));
                self.shutdown.spawn(watch);
                pulse
            }
        };
        Beat {
            failed: Cancelled::of(pulse.failed.clone()),
            _pulse: pulse,
        }
    }

    /// One question; an error is an answer too: the connection is made again. Only silence is none.
    async fn ask(&self, node: &str, connection: &mut Option<Wire>) -> io::Result<()> {
        let wire = match connection {
            Some(wire) => {
                wire.put(b"p NOOP\r\n");
                wire
            }
            None => connection.insert(self.connect(node).await?),
        };
        match wire.fill().await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {
                wire.input.clear();
                Ok(())
            }
        }
    }

    /// Nobody logs in on this connection: its greeting is the first answer.
    async fn connect(&self, node: &str) -> io::Result<Wire> {
        let node_record = self.replica.node(node);
        let address = node_record
            .as_ref()
            .and_then(|node| node.service(service::IMAPS));
        let tcp = Stream::connect(address.ok_or(io::ErrorKind::NotFound)?).await?;
        let name = server_name(node, Role::Backend);
        let stream = tcp.connect_tls(&self.tls.client(), name).await?;
        Ok(Wire::new(stream, HIGH_WATER))
    }
}

/// Asks until nobody uses the backend any more, or it has failed.
async fn watch(pulses: Arc<Pulses>, node: String, pulse: Weak<Pulse>) {
    let leaving = pulses.shutdown.token();
    let mut connection = None;
    loop {
        tokio::select! {
            () = sleep(EVERY.min(pulses.limit)) => {}
            () = leaving.cancelled() => return,
        }
        if pulse.strong_count() == 0 {
            return;
        }
        match timeout(pulses.limit, pulses.ask(&node, &mut connection)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                // It has ended the connection, as it does when nobody logs in, or when it goes; who
                // depends on it is told that by its own connection.
                tracing::trace!(node, %error, "asked on a new connection next");
                connection = None;
            }
            Err(_) => {
                tracing::warn!(
                    node,
                    "the backend does not answer: its connections are given up"
                );
                if let Some(pulse) = pulse.upgrade() {
                    pulse.failed.cancel();
                }
                return;
            }
        }
    }
}
