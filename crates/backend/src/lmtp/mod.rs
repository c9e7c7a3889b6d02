//! The LMTP server (RFC 2033).

use std::sync::Arc;

use murder_net::Connection;

use crate::node::Node;

/// Serves one connection to its end.
pub(crate) async fn serve(_node: Arc<Node>, _connection: Connection) {}
