//! AUTHENTICATE (RFC 9051 section 6.2.2, RFC 4959).

use std::io;

use bytes::Bytes;
use murder_imap::Secret;
use murder_imap::server::Line;
use murder_session::NotLoggedIn;
use tokio::time::Instant;

use crate::imap::client::Client;
use crate::imap::errors::{OpError, OpResult};
use crate::imap::op::login;
use crate::imap::session::Session;

/// AUTHENTICATE, with an initial response or without
pub(crate) async fn authenticate(
    session: &mut Session,
    deadline: Instant,
    mechanism: &str,
    initial_response: Option<Secret>,
) -> OpResult {
    let initial = initial_response.map(Secret::into_bytes);
    let client = &mut session.client;
    let offer = client.offer();
    let ask = async || ask(client, deadline).await;
    let credentials = offer.exchange(mechanism, initial, ask).await?;
    login::finish(session, credentials).await
}

/// Sends an empty challenge and reads the answer.
async fn ask(client: &mut Client, deadline: Instant) -> Result<Bytes, OpError> {
    client.writer.continuation("");
    client.flush().await?;
    let line = client
        .until(deadline, async |reader, stream| {
            reader.read_line(stream).await
        })
        .await?;
    match line {
        Line::Line(line) => Ok(line),
        Line::TooLong => Err(NotLoggedIn::Malformed.into()),
        Line::Eof => Err(OpError::Gone(io::ErrorKind::UnexpectedEof.into())),
    }
}
