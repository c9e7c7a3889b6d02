//! LOGOUT (RFC 9051 section 6.1.3).

use crate::imap::errors::{OpResult, ok};
use crate::imap::session::Session;
use crate::imap::state::State;

/// LOGOUT
pub(crate) fn logout(session: &mut Session) -> OpResult {
    session.state = State::Logout;
    session.client.writer.bye("Logging out");
    Ok(ok("LOGOUT completed"))
}
