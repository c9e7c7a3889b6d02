//! Reading from a stream into a buffer that is given back when it is not needed.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

/// Octets read at once: some pipelined commands, or half a TLS record. They are on the stack
/// while a poll lasts, so that a reader that waits owns no buffer.
const READ_AT_ONCE: usize = 8 * 1024;

/// Octets of a literal read at once: a TLS record.
const LITERAL_AT_ONCE: usize = 16 * 1024;

/// A buffer with more than this to spare is exchanged for one that fits.
const SPARE_MAX: usize = 4 * 1024;

/// Reads some octets to the end of `buf`; 0 is the end of the stream.
///
/// Cancel-safe: octets are in `buf` when the future is ready, and not read before.
pub(crate) async fn fill<R: AsyncRead + Unpin>(
    stream: &mut R,
    buf: &mut BytesMut,
) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut space = [const { MaybeUninit::<u8>::uninit() }; READ_AT_ONCE];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
        buf.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    })
    .await
}

/// Octets of a literal of which `remaining` are still to come: from `buf` if it has any, else
/// from the stream; at most `max`, at least one.
///
/// Cancel-safe, as [`fill`].
///
/// # Errors
/// `UnexpectedEof` if the stream ends.
pub(crate) async fn literal_chunk<R: AsyncRead + Unpin>(
    stream: &mut R,
    buf: &mut BytesMut,
    remaining: u64,
    max: usize,
) -> io::Result<Bytes> {
    let wanted = usize::try_from(remaining)
        .unwrap_or(usize::MAX)
        .min(max.max(1));
    if !buf.is_empty() {
        let chunk = buf.split_to(buf.len().min(wanted)).freeze();
        release(buf);
        return Ok(chunk);
    }
    let wanted = wanted.min(LITERAL_AT_ONCE);
    let mut chunk = vec![0; wanted];
    let read = poll_fn(|cx| {
        let mut read = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
        Poll::Ready(io::Result::Ok(read.filled().len()))
    })
    .await?;
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    chunk.truncate(read);
    if read < wanted / 2 {
        // Who keeps what comes octet by octet must not keep a buffer for each.
        chunk.shrink_to_fit();
    }
    Ok(chunk.into())
}

/// Gives back memory that `buf` holds and does not need.
pub(crate) fn release(buf: &mut BytesMut) {
    if buf.is_empty() {
        *buf = BytesMut::new();
    } else if buf.capacity() > buf.len() + SPARE_MAX {
        *buf = BytesMut::from(&buf[..]);
    }
}
