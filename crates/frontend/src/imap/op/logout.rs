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
        close::release(&session.shared, connection);
    }
    Ok(ok("LOGOUT completed"))
}
