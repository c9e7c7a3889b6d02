//! The IMAP server.
//!
//! [`session`] has the loop, [`client`] its connection, [`state`] where it stands and [`account`] who
//! has logged in; [`dispatch`] says which command is legal where; each is a file in [`op`]; [`errors`] makes answers of what goes wrong. [`selected`] and [`updates`] are what a
//! client knows of its mailbox and how it is told more, [`notify`] what it is told of others,
//! [`contexts`] what of searches that it made; [`fetch`] and [`search`] are the work behind the two
//! commands.

mod account;
mod client;
mod contexts;
mod dispatch;
mod enabled;
mod errors;
mod fetch;
mod metadata;
mod notify;
mod op;
mod progress;
mod qresync;
mod search;
pub(crate) mod selected;
mod session;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod uid_only;
mod updates;
mod utf8;

use std::sync::Arc;
use std::time::Duration;

use murder_net::{Connection, Metrics};
use murder_session::{Protocol, SessionMetrics};

pub(crate) use fetch::RawPieces;

use crate::node::Node;

/// What all IMAP sessions of a node share.
#[derive(Debug)]
pub(crate) struct Imap {
    /// What they count.
    pub metrics: SessionMetrics,
    /// How often a client is told that its command is in progress (RFC 9585).
    pub progress_interval: Duration,
}

impl Imap {
    /// Registers what is counted.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            metrics: SessionMetrics::new(metrics, Protocol::Imap),
            progress_interval: progress::INTERVAL,
        }
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve(node: Arc<Node>, imap: Arc<Imap>, connection: Connection) {
    if node.shuts_out(&connection) {
        return;
    }
    // In a box, as a future holds its arguments twice: before and while it runs.
    let session = Box::new(session::Session::new(node, imap, connection));
    session.run().await;
}
