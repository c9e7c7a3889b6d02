//! IMAP sessions of clients.

pub(crate) mod arguments;
pub(crate) mod ask;
pub(crate) mod client;
pub(crate) mod errors;
pub(crate) mod op;
pub(crate) mod selected;
pub(crate) mod session;
pub(crate) mod table;
mod wait;

use std::sync::Arc;

use murder_net::Connection;
use murder_session::Goodbye;

use crate::shared::Shared;
use session::{Ended, Session};

/// Serves one client to the end.
pub(crate) async fn serve(shared: Arc<Shared>, connection: Connection) {
    let id = connection.session;
    let peer = connection.peer_addr.ip();
    tracing::debug!(%peer, tls = connection.stream.is_tls(), "connected");
    shared.metrics.sessions.inc();
    // In a box: it would else be moved about within the task, and be there several times.
    let mut session = Box::new(Session::new(shared.clone(), connection.stream, id, peer));
    let ended = session.run().await;
    shared.metrics.sessions.dec();
    match ended {
        Ended::Torn(_) | Ended::Goodbye(Goodbye::BadCommands | Goodbye::FailedLogins) => {
            tracing::warn!(%peer, %ended, "session ended")
        }
        _ => tracing::info!(%peer, %ended, "session ended"),
    }
}
