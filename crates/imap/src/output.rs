//! What is to be sent: small writes gathered, large ones kept as shared buffers.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::ready;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Octets after which an [`Output`] should be flushed, so that a long answer neither waits to
/// be complete nor fills memory: a few TLS records.
pub const FLUSH_AT: usize = 64 * 1024;

/// Shared buffers below this size are copied: cheaper than a slot of a vectored write.
const COPY_BELOW: usize = 1024;

/// Room made for the first octets: most answers, so that they do not grow piece by piece.
const FIRST_ROOM: usize = 256;

/// Slots of one vectored write; kernels take up to 1,024, TLS gains nothing beyond a few.
const SLICES: usize = 32;

/// Octets on their way to a peer.
///
/// It never blocks and never drops: a writer that produces much asks [`Output::is_full`] and
/// then flushes, which waits for a slow reader.
#[derive(Debug, Default)]
pub struct Output {
    /// What goes out first.
    pieces: VecDeque<Bytes>,
    /// What goes out last; it grows.
    tail: BytesMut,
    /// Octets of `pieces`.
    in_pieces: usize,
}

impl Output {
    /// An empty one; allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a copy of `octets`.
    pub fn write(&mut self, octets: &[u8]) {
        self.tail().extend_from_slice(octets);
    }

    /// Appends `octets`, without copying if they are many.
    pub fn push(&mut self, octets: Bytes) {
        if octets.len() < COPY_BELOW {
            self.write(&octets);
        } else {
            self.seal();
            self.in_pieces += octets.len();
            self.pieces.push_back(octets);
        }
    }

    /// The buffer that grows, for code that formats into one.
    pub fn tail(&mut self) -> &mut BytesMut {
        if self.tail.capacity() == 0 {
            self.tail.reserve(FIRST_ROOM);
        }
        &mut self.tail
    }

    /// Octets that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.in_pieces + self.tail.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether [`FLUSH_AT`] is reached.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= FLUSH_AT
    }

    /// Takes everything out as one buffer.
    pub fn take(&mut self) -> Bytes {
        self.seal();
        self.in_pieces = 0;
        if self.pieces.len() <= 1 {
            return self.pieces.pop_front().unwrap_or_default();
        }
        let mut all = BytesMut::new();
        for piece in self.pieces.drain(..) {
            all.extend_from_slice(&piece);
        }
        self.pieces = VecDeque::new();
        all.freeze()
    }

    /// Writes everything and flushes `stream`. When it returns, no buffer is held.
    ///
    /// Cancel-safe: what was written before the future was dropped is gone from here, the rest
    /// is still here.
    ///
    /// # Errors
    /// What the stream returns, or `WriteZero` if it takes nothing.
    pub async fn flush<W: AsyncWrite + Unpin>(&mut self, stream: &mut W) -> io::Result<()> {
        self.write_out(stream).await?;
        // An idle session keeps no buffer.
        self.pieces = VecDeque::new();
        self.tail = BytesMut::new();
        stream.flush().await
    }

    /// As [`Output::flush`], but only if [`Output::is_full`]; does not flush `stream` itself, and
    /// keeps its buffers for what follows.
    ///
    /// # Errors
    /// As [`Output::flush`].
    pub async fn flush_if_full<W: AsyncWrite + Unpin>(&mut self, stream: &mut W) -> io::Result<()> {
        if self.is_full() {
            self.write_out(stream).await?;
            // All that was written is gone, so this is the same memory again, and no growing from
            // nothing.
            self.tail.reserve(FLUSH_AT);
        }
        Ok(())
    }

    async fn write_out<W: AsyncWrite + Unpin>(&mut self, stream: &mut W) -> io::Result<()> {
        if !self.pieces.is_empty() {
            self.seal();
        }
        while !self.pieces.is_empty() {
            let written = poll_fn(|cx| {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let mut used = 0;
                for (slot, piece) in slices.iter_mut().zip(&self.pieces) {
                    *slot = IoSlice::new(piece);
                    used += 1;
                }
                let stream = Pin::new(&mut *stream);
                let written = if used == 1 || !stream.is_write_vectored() {
                    ready!(stream.poll_write(cx, &slices[0]))?
                } else {
                    ready!(stream.poll_write_vectored(cx, &slices[..used]))?
                };
                std::task::Poll::Ready(io::Result::Ok(written))
            })
            .await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.consume(written);
        }
        while !self.tail.is_empty() {
            let written = stream.write(&self.tail).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.tail.advance(written);
        }
        Ok(())
    }

    fn consume(&mut self, mut octets: usize) {
        self.in_pieces -= octets;
        while let Some(first) = self.pieces.front_mut() {
            if octets < first.len() {
                first.advance(octets);
                return;
            }
            octets -= first.len();
            self.pieces.pop_front();
        }
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.in_pieces += self.tail.len();
            self.pieces.push_back(self.tail.split().freeze());
        }
    }
}
