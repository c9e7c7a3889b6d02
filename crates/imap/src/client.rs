//! Reading responses: the client side.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncRead;

use crate::framing::stream::{fill, release};
use crate::framing::{NotImap, Piece, ResponseCutter};
use crate::parse::{ResponseFault, parse_response};
use crate::response::Response;

/// Octets of a response that [`ResponseReader::next_response`] holds, by default: enough for the
/// FETCH of a large message.
pub const FRAME_LIMIT: usize = 128 * 1024 * 1024;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream failed, or ended inside a response (`UnexpectedEof`).
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The response is above the limit; the connection is to be closed.
    #[error("response longer than {0} octets")]
    TooLong(usize),
    /// The server has sent something that cannot be the start of a response; the connection is to be
    /// closed.
    #[error(transparent)]
    NotImap(#[from] NotImap),
    /// The server has sent something that is no response. The next one can be read.
    #[error(transparent)]
    Fault(#[from] ResponseFault),
}

/// Reads a server's responses whole. Who passes them on as they come uses
/// [`ResponseCutter`].
///
/// Between responses it owns no buffer. All its futures can be dropped at any time and called
/// again.
#[derive(Debug)]
pub struct ResponseReader {
    frame_limit: usize,
    cutter: ResponseCutter,
    /// What was read and not yet given out.
    buf: BytesMut,
    /// So much of the response has been looked at.
    seen: usize,
}

impl ResponseReader {
    /// A reader at the start of a response, that holds up to `frame_limit` octets of one; see
    /// [`FRAME_LIMIT`].
    #[must_use]
    pub fn new(frame_limit: usize) -> Self {
        Self {
            frame_limit,
            cutter: ResponseCutter::default(),
            buf: BytesMut::new(),
            seen: 0,
        }
    }

    /// The next response, typed; `None` at the end of the stream.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn next_response<R: AsyncRead + Unpin>(
        &mut self,
        stream: &mut R,
    ) -> Result<Option<Response>, ReadError> {
        match self.next_frame(stream).await? {
            Some(frame) => Ok(Some(parse_response(&frame)?)),
            None => Ok(None),
        }
    }

    /// The octets of the next response, with its literals and line break; `None` at the end of
    /// the stream.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn next_frame<R: AsyncRead + Unpin>(
        &mut self,
        stream: &mut R,
    ) -> Result<Option<Bytes>, ReadError> {
        loop {
            if let Some(frame) = self.advance_frame()? {
                return Ok(Some(frame));
            }
            if fill(stream, &mut self.buf).await? == 0 {
                let inside = !self.buf.is_empty();
                self.buf = BytesMut::new();
                self.seen = 0;
                return match inside {
                    true => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                    false => Ok(None),
                };
            }
        }
    }

    fn advance_frame(&mut self) -> Result<Option<Bytes>, ReadError> {
        loop {
            let (len, last) = match self.cutter.next(&self.buf[self.seen..])? {
                Piece::More if self.buf.len() > self.frame_limit => {
                    return Err(ReadError::TooLong(self.frame_limit));
                }
                Piece::More => return Ok(None),
                Piece::Untagged { len, last, .. } => (len, last),
                Piece::Status { len } | Piece::Continuation { len } | Piece::Tagged { len } => {
                    (len, true)
                }
            };
            self.seen += len;
            let announced = usize::try_from(self.cutter.literal_left()).unwrap_or(usize::MAX);
            if self.seen.saturating_add(announced) > self.frame_limit {
                return Err(ReadError::TooLong(self.frame_limit));
            }
            if last {
                let frame = self.buf.split_to(std::mem::take(&mut self.seen)).freeze();
                release(&mut self.buf);
                return Ok(Some(frame));
            }
        }
    }
}

impl Default for ResponseReader {
    fn default() -> Self {
        Self::new(FRAME_LIMIT)
    }
}
