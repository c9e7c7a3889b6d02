//! LMTP (RFC 2033): takes mail and passes it on, each message once to each backend.

pub(crate) mod connection;
pub(crate) mod deliver;
pub(crate) mod recipient;
pub(crate) mod reply;
mod session;

use std::sync::Arc;

use murder_net::Connection;

use crate::shared::Shared;
use session::Session;

/// Serves one client to the end.
pub(crate) async fn serve(shared: Arc<Shared>, connection: Connection) {
    let id: Arc<str> = connection.session.to_string().into();
    let peer = connection.peer_addr.ip();
    tracing::debug!(%peer, "connected for delivery");
    shared.metrics.lmtp_sessions.inc();
    // In a box: it would else be moved about within the task, and be there several times.
    let mut session = Box::new(Session::new(shared.clone(), connection.stream, id, peer));
    let ended = session.run().await;
    shared.metrics.lmtp_sessions.dec();
    tracing::debug!(%peer, %ended, "delivery session ended");
}
