//! COPY and MOVE from one partition to another, on this node and from node to node.
//!
//! Messages come to where they go in a place that nobody sees; one record of its journal makes all
//! of them appear, or none, whatever rights the user has there. That record decides. A MOVE takes
//! its messages before it reads them, so that of several at the same time one gets each; it writes
//! down what leaves before that record, and removes it from the source after it. Whoever is
//! interrupted in between asks the destination what became of it ([`settle`]), until there is an
//! answer.
//!
//! | step | a crash after it |
//! | --- | --- |
//! | the messages are claimed | the claim ends with the session |
//! | they are staged at the destination | they are forgotten there |
//! | what leaves is written down (MOVE) | the source asks: not adopted, so nothing changes |
//! | they are adopted | the source asks: adopted, so it removes them |
//! | they are removed at the source | nothing is left to do |
//!
//! From node to node a frontend carries the messages, by the commands of [`murder_imap::node`].

mod arrival;
mod outgoing;
mod settle;
mod wire;

use std::sync::Arc;

use murder_net::Actor;
use murder_store::Departure;

pub(crate) use arrival::{Arrival, ArrivalError};
pub(crate) use outgoing::Outgoing;
pub(crate) use settle::resume;

use crate::node::Node;

/// The most messages of one COPY or MOVE: their UIDs fit into the answer, of which a frontend
/// takes 32 MiB.
pub(crate) const MAX_MESSAGES: u64 = 1_000_000;
/// Octets of a block of messages on its way from node to node.
pub(crate) const BLOCK_BYTES: usize = 256 * 1024;
/// What the command with a block may have in all.
pub(crate) const MAX_STAGE: usize = 2 * BLOCK_BYTES;
/// Octets of small messages that are in memory for one record.
pub(crate) const BATCH_BYTES: u64 = 2 << 20;
/// Messages of one record: as long as it is applied, the home waits.
pub(crate) const BATCH_MESSAGES: usize = 500;

/// A frontend's part of a COPY or MOVE.
pub(crate) enum Transfer {
    /// Messages go from here.
    Outgoing(Outgoing),
    /// Messages come here.
    Arrival(Arrival),
}

/// What leaves, until it is known what became of it: dropped before, that is found out.
pub(crate) struct Leaving {
    node: Arc<Node>,
    departure: Option<Departure>,
    /// The client's session, for the logs of both nodes.
    session: Option<String>,
}

impl Leaving {
    /// Of what was written down on `node`, on the current task's behalf.
    pub(crate) fn new(node: &Arc<Node>, departure: Departure) -> Self {
        Self {
            node: Arc::clone(node),
            departure: Some(departure),
            session: Actor::current().and_then(|actor| actor.session),
        }
    }

    /// What leaves.
    pub(crate) fn departure(&self) -> Option<&Departure> {
        self.departure.as_ref()
    }

    /// It has gone, or stays: nothing is to be found out any more.
    pub(crate) fn settled(mut self) {
        if let Some(mut departure) = self.departure.take() {
            departure.let_go();
            // Nobody waits for it: who asks once more after a crash gets the same answer.
            self.node.shutdown.spawn(async move {
                if let Err(error) = departure.settled().await {
                    tracing::debug!(%error, "a MOVE that is settled will be looked at once more");
                }
            });
        }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(departure) = self.departure.take() {
            settle::later(&self.node, departure, self.session.take());
        }
    }
}
