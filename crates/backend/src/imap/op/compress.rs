//! COMPRESS (RFC 4978).

use murder_imap::{Code, Tag};

use crate::imap::client::Client;
use crate::imap::errors::{OpError, OpResult, bad, no};

/// COMPRESS. The tagged OK is the last that goes out in clear; a client that has sent something
/// behind the command, which it must not, is cut off: it cannot be told what that is.
pub(crate) async fn compress(client: &mut Client, tag: &Tag, mechanism: &str) -> OpResult {
    if mechanism != "DEFLATE" {
        return Err(bad("There is no mechanism but DEFLATE"));
    }
    if client.stream.is_compressed() {
        return Err(no(Code::CompressionActive, "DEFLATE is active already"));
    }
    if client.reader.has_buffered() {
        return Err(OpError::Bye("Data behind COMPRESS".into()));
    }
    client.writer.ok(tag, "DEFLATE active");
    client.flush().await?;
    client.stream.compress()?;
    Err(OpError::Answered)
}
