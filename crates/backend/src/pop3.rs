//! The POP3 server (RFC 1939), over the INBOX of whoever logs in.
//!
//! A session works on the view of the mailbox that it has got at login. Nothing is locked: other
//! sessions, POP3 and IMAP, go on beside it, and what they remove it can still read. Messages
//! marked by DELE are removed when the client says QUIT, all in one command to the store; however
//! else a session ends, it removes nothing.
//!
//! [`session`] has the loop, [`authorization`] and [`transaction`] the commands of the two states,
//! [`maildrop`] what a session knows of its mailbox; [`reply`] makes answers of what goes wrong.

mod authorization;
mod body;
mod maildrop;
mod reply;
mod session;
mod sizes;
#[cfg(test)]
mod tests;
mod transaction;

use std::sync::Arc;

use murder_net::metrics::Counter;
use murder_net::{Connection, Metrics};
use murder_session::{Protocol, SessionMetrics};

use crate::node::Node;
use sizes::Sizes;

/// What all POP3 sessions of a node share.
#[derive(Debug)]
pub(crate) struct Pop3 {
    metrics: SessionMetrics,
    /// Messages that RETR has sent.
    retrieved: Counter,
    /// Messages that were removed at QUIT.
    deleted: Counter,
    sizes: Sizes,
}

impl Pop3 {
    /// Registers what is counted.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            metrics: SessionMetrics::new(metrics, Protocol::Pop3),
            retrieved: metrics.counter("pop3_retrieved_messages", "Messages sent by RETR"),
            deleted: metrics.counter("pop3_deleted_messages", "Messages removed at QUIT"),
            sizes: Sizes::default(),
        }
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve(node: Arc<Node>, pop3: Arc<Pop3>, connection: Connection) {
    if node.shuts_out(&connection) {
        return;
    }
    // In a box: the task of an accepted connection is as large as the largest that it may become.
    Box::pin(session::Session::new(node, pop3, connection).run()).await;
}
