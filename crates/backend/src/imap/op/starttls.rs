//! STARTTLS (RFC 9051 section 6.2.1).

use std::io;

use murder_imap::Tag;
use tokio::time::{Instant, timeout_at};

use crate::imap::errors::{OpError, OpResult, bad};
use crate::imap::session::Session;

/// STARTTLS. The tagged OK goes out before the handshake; a client that has sent something
/// behind the command is cut off, as that may come from somebody in between.
pub(crate) async fn starttls(session: &mut Session, tag: &Tag, deadline: Instant) -> OpResult {
    if session.stream.is_tls() {
        return Err(bad("TLS is active already"));
    }
    let Some(config) = session.node.tls.clone() else {
        return Err(bad("TLS is not available"));
    };
    if session.reader.start_tls().is_err() {
        return Err(OpError::Bye("Data behind STARTTLS".into()));
    }
    session.writer.ok(tag, "Begin TLS negotiation now");
    session.flush().await?;
    let handshake = session.stream.start_tls(&config);
    match timeout_at(deadline, handshake).await {
        Ok(done) => done?,
        Err(_) => return Err(OpError::Gone(io::ErrorKind::TimedOut.into())),
    }
    Err(OpError::Answered)
}
