//! COMPRESS (RFC 4978).

use murder_imap::{Code, Tag};

use crate::imap::errors::{OpError, OpResult, bad, no};
use crate::imap::session::Session;

/// COMPRESS. The tagged OK is the last that goes out in clear; a client that has sent something
/// behind the command, which it must not, is cut off: it cannot be told what that is.
pub(crate) async fn compress(session: &mut Session, tag: &Tag, mechanism: &str) -> OpResult {
    if mechanism != "DEFLATE" {
        return Err(bad("There is no mechanism but DEFLATE"));
    }
    if session.stream.is_compressed() {
        return Err(no(Code::CompressionActive, "DEFLATE is active already"));
    }
    if session.reader.has_buffered() {
        return Err(OpError::Bye("Data behind COMPRESS".into()));
    }
    session.writer.ok(tag, "DEFLATE active");
    session.flush().await?;
    session.stream.compress()?;
    Err(OpError::Answered)
}
