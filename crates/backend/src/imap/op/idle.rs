//! IDLE.
use crate::imap::{
    errors::{OpError, OpResult, bad, ok},
    session::Session,
};
use murder_imap::server::Line;
pub(crate) async fn idle(session: &mut Session) -> OpResult {
    session.writer.continuation("idling");
    session.flush().await?;
    match session.reader.read_line(&mut session.stream).await? {
        Line::Line(line) if line.eq_ignore_ascii_case(b"DONE") => Ok(ok("IDLE completed")),
        Line::Eof => Err(OpError::Gone(std::io::ErrorKind::UnexpectedEof.into())),
        _ => Err(bad("Expected DONE")),
    }
}
