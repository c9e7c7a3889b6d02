//! The IMAP server.

mod errors;
mod fetch;
mod op;
mod search;
mod selected;
mod sending;
mod session;
#[cfg(test)]
mod testing;
mod updates;

use std::sync::Arc;

use murder_net::Connection;

use crate::node::Node;

/// Serves one connection to its end.
pub(crate) async fn serve(node: Arc<Node>, connection: Connection) {
    session::Session::new(node, connection).run().await;
}
