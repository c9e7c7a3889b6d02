//! ENABLE (RFC 5161).

use crate::imap::errors::{OpResult, ok};
use crate::imap::session::Session;

/// ENABLE: nothing that is advertised needs enabling; unknown capabilities are ignored, as
/// RFC 5161 section 3.1 asks.
pub(crate) fn enable(session: &mut Session) -> OpResult {
    session.writer.enabled([""; 0]);
    Ok(ok("ENABLE completed"))
}
