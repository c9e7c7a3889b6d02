//! IDLE with nothing selected (RFC 2177). With a mailbox selected its backend speaks.

use crate::imap::arguments::Line;
use crate::imap::errors::{OpError, OpResult, Refusal};
use crate::imap::session::Session;

/// IDLE. The tagged line comes when the client has said DONE.
pub(crate) async fn idle(session: &mut Session, line: &Line) -> OpResult {
    if !line.arguments.is_empty() {
        return Err(Refusal::syntax("IDLE takes no arguments").into());
    }
    session.begin_idle(line.tag.clone());
    Err(OpError::AlreadyAnswered)
}
