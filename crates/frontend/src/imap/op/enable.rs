//! ENABLE (RFC 5161).

use crate::imap::arguments::Arguments;
use crate::imap::errors::{OpResult, ok};
use crate::imap::session::Session;

/// ENABLE: nothing that is advertised needs enabling; unknown capabilities are ignored, as
/// RFC 5161 section 3.1 asks.
pub(crate) fn enable(session: &mut Session, mut arguments: Arguments<'_>) -> OpResult {
    loop {
        arguments.word()?;
        if !arguments.take(b' ') {
            break;
        }
    }
    arguments.end()?;
    session.client.wire.put(b"* ENABLED\r\n");
    Ok(ok("ENABLE completed"))
}
