//! The IMAP server.
//!
//! [`session`] has the loop, [`dispatch`] says which command is legal where; each is a file in
//! [`op`]; [`errors`] makes answers of what goes wrong. [`selected`] and [`updates`] are what a
//! client knows of its mailbox and how it is told more, [`notify`] what it is told of others,
//! [`contexts`] what of searches that it made; [`fetch`] and [`search`] are the work behind the two
//! commands.

mod contexts;
mod dispatch;
mod enabled;
mod errors;
mod fetch;
mod metadata;
mod metrics;
mod notify;
mod op;
mod progress;
mod qresync;
mod search;
pub(crate) mod selected;
mod session;
#[cfg(test)]
pub(crate) mod tests;
mod uid_only;
mod updates;
mod utf8;

use std::sync::Arc;

use murder_net::Connection;

pub(crate) use fetch::RawPieces;
pub(crate) use metrics::ImapMetrics;
pub(crate) use progress::INTERVAL as PROGRESS_INTERVAL;

use crate::node::Node;

/// Serves one connection to its end.
pub(crate) async fn serve(node: Arc<Node>, connection: Connection) {
    if node.shuts_out(&connection) {
        return;
    }
    // In a box, as a future holds its arguments twice: before and while it runs.
    let session = Box::new(session::Session::new(node, connection));
    session.run().await;
}
