//! STARTTLS (RFC 9051 section 6.2.1).

use std::io;

use murder_imap::Tag;
use tokio::time::{Instant, timeout_at};

use crate::imap::client::Client;
use crate::imap::errors::{OpError, OpResult, bad};

/// STARTTLS. The tagged OK goes out before the handshake; a client that has sent something
/// behind the command is cut off, as that may come from somebody in between.
pub(crate) async fn starttls(client: &mut Client, tag: &Tag, deadline: Instant) -> OpResult {
    if client.stream.is_tls() {
        return Err(bad("TLS is active already"));
    }
    let Some(config) = client.node.tls.clone() else {
        return Err(bad("TLS is not available"));
    };
    if client.reader.start_tls().is_err() {
        return Err(OpError::Bye("Data behind STARTTLS".into()));
    }
    client.writer.ok(tag, "Begin TLS negotiation now");
    client.flush().await?;
    let handshake = client.stream.start_tls(&config);
    match timeout_at(deadline, handshake).await {
        Ok(done) => done?,
        Err(_) => return Err(OpError::Gone(io::ErrorKind::TimedOut.into())),
    }
    Err(OpError::Answered)
}
