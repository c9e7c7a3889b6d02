//! The LMTP server (RFC 2033): envelopes, replies, and where a message ends. What becomes of a
//! message is [`delivery`](crate::delivery)'s.
//!
//! It takes mail from the nodes of the cluster that are frontends, from this machine, and with
//! `[lmtp] open` from anybody.

mod reply;
mod session;
mod unstuff;

use std::sync::Arc;

use murder_net::metrics::{Counter, Histogram, SECONDS};
use murder_net::{Connection, Metrics};

use crate::node::Node;

/// What all LMTP sessions of a node share: what they count.
#[derive(Debug)]
pub(crate) struct Lmtp {
    /// Messages that at least one recipient has got.
    messages: Counter,
    /// Recipients that have got a message.
    delivered: Counter,
    /// Recipients that were refused, at RCPT or after DATA.
    refused: Counter,
    /// From the end of DATA to the answer.
    seconds: Histogram,
}

impl Lmtp {
    /// Registers them.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            messages: metrics.counter("lmtp_messages", "Messages delivered"),
            delivered: metrics.counter("lmtp_recipients", "Recipients delivered to"),
            refused: metrics.counter("lmtp_refused_recipients", "Recipients refused"),
            seconds: metrics.histogram(
                "lmtp_delivery_seconds",
                "Time from the end of a message to the answer",
                &SECONDS,
            ),
        }
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve(node: Arc<Node>, lmtp: Arc<Lmtp>, connection: Connection) {
    // In a box: the task of an accepted connection is as large as the largest that it may become.
    Box::pin(session::Session::new(node, lmtp, connection).run()).await;
}
