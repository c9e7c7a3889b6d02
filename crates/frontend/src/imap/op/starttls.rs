//! STARTTLS (RFC 9051 section 6.2.1).

use crate::imap::arguments::Line;
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
    let plain = session.client.take_stream().map_err(OpError::gone)?;
    let handshake = Box::pin(session.shared.accept_tls(plain));
    let stream = handshake.await.map_err(OpError::gone)?;
    session.client.wire.upgraded(stream);
    session.secure = true;
    Err(OpError::AlreadyAnswered)
}
