//! CLOSE, UNSELECT and CHECK.
use crate::imap::errors::{OpResult, ok};
use crate::imap::session::{Session, State};
pub(crate) async fn close(session: &mut Session) -> OpResult {
    session.state = State::Authenticated;
    Ok(ok("CLOSE completed"))
}
pub(crate) async fn unselect(session: &mut Session) -> OpResult {
    session.state = State::Authenticated;
    Ok(ok("UNSELECT completed"))
}
pub(crate) async fn check(_: &mut Session) -> OpResult {
    Ok(ok("CHECK completed"))
}
