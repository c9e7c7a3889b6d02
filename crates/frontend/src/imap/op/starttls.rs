//! STARTTLS (RFC 9051 section 6.2.1).

use crate::imap::arguments::Line;
use crate::imap::client::Client;
use crate::imap::errors::{OpError, OpResult, Refusal, ok};
use crate::imap::selected::write_tagged;
use crate::imap::session::Session;

/// STARTTLS. The tagged OK goes out before the handshake; what the client has pipelined
/// behind the command is thrown away.
pub(crate) async fn starttls(session: &mut Session, line: &Line) -> OpResult {
    if !line.arguments.is_empty() {
        return Err(Refusal::syntax("STARTTLS takes no arguments").into());
    }
    if !session.can_start_tls() {
        return Err(Refusal::syntax("TLS is active already").into());
    }
    write_tagged(&mut session.client, &line.tag, &ok("Begin TLS negotiation"));
    session.flush().await?;
    let max_line = session.shared.settings.max_line;
    let closed = Client::new(Box::new(tokio::io::empty()), max_line);
    let plain = std::mem::replace(&mut session.client, closed).into_stream();
    let handshake = session.shared.accept_tls(plain);
    let limit = session.shared.settings.login_timeout;
    let stream = match tokio::time::timeout(limit, handshake).await {
        Ok(stream) => stream.map_err(OpError::gone)?,
        Err(_) => return Err(OpError::gone(std::io::ErrorKind::TimedOut.into())),
    };
    session.client = Client::new(stream, max_line);
    session.secure = true;
    Err(OpError::AlreadyAnswered)
}
