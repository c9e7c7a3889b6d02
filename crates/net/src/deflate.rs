//! DEFLATE (RFC 1951) over a connection, as COMPRESS (RFC 4978) has it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::Stream;

/// Compressed octets that are read at a time.
const INPUT: usize = 8 * 1024;
/// Octets that are compressed at a time, and compressed ones that wait before more are taken.
const OUTPUT: usize = 16 * 1024;

/// A connection on which both sides compress. What was read or written and waits is held only as
/// long as it waits; the two windows are held for good, some 300 KiB.
#[derive(Debug)]
pub struct Deflated {
    inner: Stream,
    inflate: Decompress,
    /// What came and is not inflated yet.
    input: Waiting,
    /// There may be more inflated octets than the last reader had room for.
    more: bool,
    /// The other side has ended its stream.
    ended: bool,
    deflate: Compress,
    /// What is deflated and not sent yet.
    output: Waiting,
    /// Something was written since the last flush.
    written: bool,
}

/// Octets, some of which are done with.
#[derive(Debug, Default)]
struct Waiting {
    octets: Vec<u8>,
    done: usize,
}

impl Waiting {
    fn rest(&self) -> &[u8] {
        &self.octets[self.done..]
    }

    fn advance(&mut self, len: usize) {
        self.done += len;
        if self.done == self.octets.len() {
            *self = Self::default();
        }
    }
}

impl Deflated {
    /// Over `inner`, from here on.
    pub(crate) fn new(inner: Stream) -> Self {
        Self {
            inner,
            inflate: Decompress::new(false),
            input: Waiting::default(),
            more: false,
            ended: false,
            // Most of the gain for the least time (RFC 4978 section 4).
            deflate: Compress::new(Compression::fast(), false),
            output: Waiting::default(),
            written: false,
        }
    }

    /// The connection below.
    pub(crate) fn inner(&self) -> &Stream {
        &self.inner
    }

    /// See [`Stream::poll_readable`].
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.more || self.ended || !self.input.rest().is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.inner.poll_readable(cx)
    }

    /// Inflates what there is; whether that gave anything.
    fn inflate(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<bool> {
        let (total_in, total_out) = (self.inflate.total_in(), self.inflate.total_out());
        let room = buffer.initialize_unfilled();
        let room_len = room.len();
        let status = self
            .inflate
            .decompress(self.input.rest(), room, FlushDecompress::None)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        // Both are no more than what was given.
        let taken = (self.inflate.total_in() - total_in) as usize;
        let given = (self.inflate.total_out() - total_out) as usize;
        self.input.advance(taken);
        buffer.advance(given);
        self.more = given == room_len;
        self.ended = status == Status::StreamEnd;
        if taken == 0 && given == 0 && !self.ended && !self.input.rest().is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the compressed stream makes no headway",
            ));
        }
        Ok(given > 0)
    }

    fn deflate(&mut self, octets: &[u8], flush: FlushCompress) -> io::Result<()> {
        let start = self.deflate.total_in();
        loop {
            // Never more than was given.
            let done = (self.deflate.total_in() - start) as usize;
            let output = &mut self.output.octets;
            output.reserve(octets.len() / 2 + 64);
            self.deflate
                .compress_vec(&octets[done..], output, flush)
                .map_err(io::Error::other)?;
            let done = (self.deflate.total_in() - start) as usize;
            // Room that is left says that nothing is kept back that the flush asks for.
            if done == octets.len() && output.len() < output.capacity() {
                return Ok(());
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.rest().is_empty() {
            let sent = ready!(Pin::new(&mut self.inner).poll_write(cx, self.output.rest()))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.output.advance(sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Deflated {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.ended || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if (this.more || !this.input.rest().is_empty()) && this.inflate(buffer)? {
                return Poll::Ready(Ok(()));
            }
            if this.ended || !this.input.rest().is_empty() {
                continue;
            }
            let mut octets = [0; INPUT];
            let mut read = ReadBuf::new(&mut octets);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.input.octets.extend_from_slice(read.filled());
        }
    }
}

impl AsyncWrite for Deflated {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.output.rest().len() >= OUTPUT {
            ready!(this.poll_send(cx))?;
        }
        let piece = &bytes[..bytes.len().min(OUTPUT)];
        this.deflate(piece, FlushCompress::None)?;
        this.written = true;
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.written) {
            this.deflate(&[], FlushCompress::Sync)?;
        }
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Stream, Stream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (one, other) = tokio::join!(Stream::connect(address), listener.accept());
        (one.unwrap(), Stream::new(other.unwrap().0).unwrap())
    }

    #[tokio::test]
    async fn what_is_flushed_arrives() {
        let (one, other) = pair().await;
        let (mut one, mut other) = (one.compress(), other.compress());
        for text in ["a NOOP\r\n", "b NOOP\r\n"] {
            one.write_all(text.as_bytes()).await.unwrap();
            one.flush().await.unwrap();
            other.readable().await.unwrap();
            let mut read = vec![0; text.len()];
            // A byte at a time, and there is more each time without the socket having any.
            for byte in &mut read {
                other.readable().await.unwrap();
                *byte = other.read_u8().await.unwrap();
            }
            assert_eq!(read, text.as_bytes());
        }
    }

    #[tokio::test]
    async fn much_is_less_on_the_wire() {
        let (one, other) = pair().await;
        let (mut one, mut other) = (one.compress(), other);
        let text: Vec<u8> = (0..200_000u32)
            .flat_map(|n| format!("* {n} FETCH (FLAGS ())\r\n").into_bytes())
            .collect();
        let sent = text.clone();
        let writer = tokio::spawn(async move {
            one.write_all(&sent).await.unwrap();
            one.shutdown().await.unwrap();
        });
        let mut wire = Vec::new();
        other.read_to_end(&mut wire).await.unwrap();
        writer.await.unwrap();
        assert!(wire.len() < text.len() / 3, "{} octets", wire.len());
        let (feed, read) = pair().await;
        let mut feed = feed;
        let mut read = read.compress();
        tokio::spawn(async move {
            feed.write_all(&wire).await.unwrap();
            feed.shutdown().await.unwrap();
        });
        let mut back = Vec::new();
        read.read_to_end(&mut back).await.unwrap();
        assert!(back == text);
    }

    #[tokio::test]
    async fn what_is_not_compressed_is_an_error() {
        let (mut one, other) = pair().await;
        let mut other = other.compress();
        one.write_all(b"a NOOP\r\nb NOOP\r\nc NOOP\r\n")
            .await
            .unwrap();
        one.shutdown().await.unwrap();
        let mut read = Vec::new();
        let error = other.read_to_end(&mut read).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(read, b"");
    }
}
