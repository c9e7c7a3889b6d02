//! LOGOUT (RFC 9051 section 6.1.3).

use crate::imap::arguments::Arguments;
use crate::imap::errors::{OpResult, ok};
use crate::imap::op::close;
use crate::imap::session::{Session, State};

/// LOGOUT
pub(crate) fn logout(session: &mut Session, arguments: Arguments<'_>) -> OpResult {
    arguments.end()?;
    session.client.wire.put(b"* BYE Logging out\r\n");
    if let State::Selected(selected) = std::mem::replace(&mut session.state, State::Logout)
        && let Some(connection) = selected.into_connection()
    {
        // The client need not wait for it.
        let shared = session.shared.clone();
        session
            .shared
            .shutdown
            .spawn(async move { close::release(shared, connection).await });
    }
    Ok(ok("LOGOUT completed"))
}
