//! The IMAP server.

mod errors;
mod op;
mod selected;
mod session;

use std::sync::Arc;

use murder_net::Connection;

use crate::node::Node;

/// Serves one connection to its end.
pub(crate) async fn serve(node: Arc<Node>, connection: Connection) {
    session::Session::new(node, connection).run().await;
}
