//! A connection with an input and an output buffer, and waiting for several at once.
//!
//! Every wait can be given up without losing a byte: what was read is in the input, what is
//! to be written stays in the output.

use std::fmt::{self, Write};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use murder_net::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::{poll_read_buf, poll_write_buf};

use crate::backend::pulse::Beat;

/// Room made for a read on a connection that was quiet: a command, or news.
const QUIET_ROOM: usize = 1024;
/// Room made for a read when input keeps coming: a TLS record.
const BUSY_ROOM: usize = 16 * 1024;
/// Input that keeps coming is read up to this before it is looked at: as much as is given on at
/// once, in few large writes instead of one for each record.
const AT_ONCE: usize = 64 * 1024;
/// A buffer that has grown beyond this is given back as soon as it is empty.
const KEEP_CAPACITY: usize = 512;
/// So much is not copied from one buffer into another that is empty, but handed over.
const MOVED_WHOLE: usize = 4 * 1024;
/// With so much waiting to be written to a backend nothing more is put in: what one that does
/// not read costs, besides the socket's own buffers.
pub(crate) const HIGH_WATER: usize = 64 * 1024;

/// Anything that IMAP and LMTP can be spoken over.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send {
    /// Ready when a read would find something, or the end, or an error. Needs no buffer.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// See [`Stream::acknowledge`]; nothing where there is no such thing.
    fn acknowledge(&self) {}
}

impl Transport for Stream {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_readable(self, cx)
    }

    fn acknowledge(&self) {
        Self::acknowledge(self);
    }
}

/// A connection and its buffers. A quiet one has none.
#[derive(Debug)]
pub(crate) struct Wire<S = Stream> {
    /// `None` only while TLS is being set up.
    stream: Option<S>,
    /// What has arrived and was not looked at.
    pub input: BytesMut,
    /// What is to be sent.
    pub output: BytesMut,
    high_water: usize,
    /// The last read filled its room, so the next one gets more.
    busy: bool,
    /// Bytes given to the stream that it may still hold.
    unflushed: bool,
    /// Of a backend: what tells that it does not answer at all.
    beat: Option<Beat>,
    /// Bytes were read since [`Wire::acknowledge`].
    unacknowledged: bool,
}

impl<S: Transport> Wire<S> {
    /// Over `stream`, with empty buffers, and room for `high_water` octets to be sent.
    pub(crate) fn new(stream: S, high_water: usize) -> Self {
        Self {
            stream: Some(stream),
            input: BytesMut::new(),
            output: BytesMut::new(),
            high_water,
            busy: false,
            unflushed: false,
            beat: None,
            unacknowledged: false,
        }
    }

    /// Buffers without a connection.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn unconnected() -> Self {
        Self {
            stream: None,
            input: BytesMut::new(),
            output: BytesMut::new(),
            high_water: usize::MAX,
            busy: false,
            unflushed: false,
            beat: None,
            unacknowledged: false,
        }
    }

    /// Fails with this pulse from now on, whatever it waits for.
    pub(crate) fn depend_on(&mut self, beat: Beat) {
        self.beat = Some(beat);
    }

    fn poll_beat(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        match &mut self.beat {
            Some(beat) => beat.poll_failed(cx),
            None => Poll::Pending,
        }
    }

    /// Takes the stream out for an upgrade to TLS; until [`Wire::upgraded`] nothing can be read
    /// or written. What was buffered is dropped: bytes that came before the handshake must not
    /// count as if they had come after it (RFC 2595, RFC 3207 section 4.2).
    pub(crate) fn take_stream(&mut self) -> io::Result<S> {
        self.input = BytesMut::new();
        self.output = BytesMut::new();
        self.unflushed = false;
        self.stream.take().ok_or_else(gone)
    }

    /// Goes on over the upgraded stream.
    pub(crate) fn upgraded(&mut self, stream: S) {
        self.stream = Some(stream);
    }

    /// Queues bytes.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Queues a line and its CRLF.
    pub(crate) fn put_line(&mut self, line: fmt::Arguments<'_>) {
        // There is always room.
        let _ = self.output.write_fmt(line);
        self.put(b"\r\n");
    }

    /// Whether more may be queued.
    pub(crate) fn has_room(&self) -> bool {
        self.output.len() < self.high_water
    }

    /// Whether everything queued has been sent.
    pub(crate) fn is_drained(&self) -> bool {
        self.output.is_empty() && !self.unflushed
    }

    /// Acknowledges what was read, unless that was done: for where more of the same is to come.
    pub(crate) fn acknowledge(&mut self) {
        if std::mem::take(&mut self.unacknowledged)
            && let Some(stream) = &self.stream
        {
            stream.acknowledge();
        }
    }

    /// Reads what is there, up to [`AT_ONCE`]; 0 at the end of the stream. While there is nothing,
    /// an empty input has no buffer; one that is not empty is half of something, and is
    /// acknowledged.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut filled = 0;
        loop {
            match self.poll_read(cx) {
                Poll::Ready(Ok(read)) => {
                    filled += read;
                    if read > 0 && self.busy && self.input.len() < AT_ONCE {
                        continue;
                    }
                }
                // What has come before counts; the next read says this again.
                Poll::Ready(Err(error)) if filled == 0 => return Poll::Ready(Err(error)),
                Poll::Pending if filled == 0 => {
                    if !self.input.is_empty() {
                        self.acknowledge();
                    }
                    return Poll::Pending;
                }
                Poll::Ready(Err(_)) | Poll::Pending => {}
            }
            return Poll::Ready(Ok(filled));
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = self.stream.as_mut().ok_or_else(gone)?;
        match stream.poll_readable(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                self.busy = false;
                if self.input.is_empty() && self.input.capacity() > 0 {
                    self.input = BytesMut::new();
                }
                return self.poll_beat(cx).map(Err);
            }
        }
        let room = if self.busy { BUSY_ROOM } else { QUIET_ROOM };
        self.input.reserve(room);
        let offered = self.input.capacity() - self.input.len();
        match poll_read_buf(Pin::new(stream), cx, &mut self.input) {
            Poll::Ready(Ok(read)) => {
                self.busy = read >= offered.min(BUSY_ROOM);
                self.unacknowledged |= read > 0;
                Poll::Ready(Ok(read))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.busy = false;
                if self.input.is_empty() {
                    self.input = BytesMut::new();
                }
                Poll::Pending
            }
        }
    }

    /// Sends what it can of the queue; ready when all of it has gone.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_drained() {
            return Poll::Ready(Ok(()));
        }
        let stream = self.stream.as_mut().ok_or_else(gone)?;
        while !self.output.is_empty() {
            match poll_write_buf(Pin::new(&mut *stream), cx, &mut self.output) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(_)) => self.unflushed = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return self.poll_beat(cx).map(Err),
            }
        }
        if self.output.capacity() > KEEP_CAPACITY {
            self.output = BytesMut::new();
        }
        if self.unflushed {
            match Pin::new(stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                other => return other,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for input, sending what is queued meanwhile; 0 at the end of the stream.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| {
            if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
                return Poll::Ready(Err(error));
            }
            self.poll_fill(cx)
        })
        .await
    }

    /// Sends everything queued.
    pub(crate) async fn drain(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_drain(cx)).await
    }

    /// Sends until more may be queued.
    pub(crate) async fn make_room(&mut self) -> io::Result<()> {
        poll_fn(|cx| match self.poll_drain(cx) {
            Poll::Pending if self.has_room() => Poll::Ready(Ok(())),
            other => other,
        })
        .await
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn close(&mut self) -> io::Result<()> {
        self.drain().await?;
        let stream = self.stream.as_mut().ok_or_else(gone)?;
        poll_fn(|cx| Pin::new(&mut *stream).poll_shutdown(cx)).await
    }

    /// Whether the peer has said something, or gone, while nothing was expected of it.
    #[cfg(test)]
    pub(crate) fn stirs(&mut self) -> bool {
        if !self.input.is_empty() {
            return true;
        }
        let mut cx = Context::from_waker(std::task::Waker::noop());
        self.poll_fill(&mut cx).is_ready()
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl Wire {
    /// Whether it is encrypted.
    pub(crate) fn is_tls(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::is_tls)
    }
}

/// What [`either`] waits for on one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Want {
    /// Whether to read.
    pub read: bool,
}

/// What happened on two connections.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    /// Bytes read from the first, or why none will come; `Ok(0)` is its end.
    pub first: Option<io::Result<usize>>,
    /// The same of the second.
    pub second: Option<io::Result<usize>>,
}

/// Waits until something has moved on one of two connections: input has come, or a queue
/// that was full has room again. Both queues are sent on all the while.
pub(crate) async fn either<A, B>(
    (first, want_first): (&mut Wire<A>, Want),
    (second, want_second): (&mut Wire<B>, Want),
) -> Moved
where
    A: Transport,
    B: Transport,
{
    poll_fn(|cx| {
        let mut moved = Moved::default();
        let room_first = poll_one(first, want_first, cx, &mut moved.first);
        let room_second = poll_one(second, want_second, cx, &mut moved.second);
        if room_first || room_second || moved.first.is_some() || moved.second.is_some() {
            Poll::Ready(moved)
        } else {
            Poll::Pending
        }
    })
    .await
}

/// Whether a full queue got room.
fn poll_one<S: Transport>(
    wire: &mut Wire<S>,
    want: Want,
    cx: &mut Context<'_>,
    read: &mut Option<io::Result<usize>>,
) -> bool {
    let was_full = !wire.has_room();
    if let Poll::Ready(Err(error)) = wire.poll_drain(cx) {
        *read = Some(Err(error));
        return false;
    }
    if want.read
        && let Poll::Ready(result) = wire.poll_fill(cx)
    {
        *read = Some(result);
    }
    was_full && wire.has_room()
}

/// Moves up to `limit` bytes from one buffer to another; how many.
pub(crate) fn shift(from: &mut BytesMut, to: &mut BytesMut, limit: usize) -> usize {
    let len = from.len().min(limit);
    if to.is_empty() && len >= MOVED_WHOLE {
        *to = from.split_to(len);
    } else {
        to.extend_from_slice(&from[..len]);
        from.advance(len);
    }
    len
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    impl Transport for DuplexStream {
        /// Cannot be known without a buffer; the read that follows finds out.
        fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_reader_that_stops_holds_the_writer_up_and_no_memory() {
        let (near, mut far) = tokio::io::duplex(1024);
        let (quiet, _keep) = tokio::io::duplex(64);
        let (mut a, mut b) = (Wire::new(near, HIGH_WATER), Wire::new(quiet, HIGH_WATER));
        a.put(&vec![b'x'; HIGH_WATER + 1500]);
        assert!(!a.has_room());
        // Nothing moves until the far side reads.
        let mut read = vec![0; 1024];
        let moved = {
            let waiting = either((&mut a, Want { read: true }), (&mut b, Want { read: true }));
            tokio::pin!(waiting);
            assert!(futures_poll(&mut waiting).is_none());
            far.read_exact(&mut read).await.unwrap();
            waiting.await
        };
        assert!(moved.first.is_none() && moved.second.is_none());
        assert!(a.has_room());
    }

    fn futures_poll<F: Future>(future: &mut Pin<&mut F>) -> Option<F::Output> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn buffers_shrink_when_quiet() {
        let (near, mut far) = tokio::io::duplex(100_000);
        let mut wire = Wire::new(near, HIGH_WATER);
        far.write_all(&vec![b'x'; 50_000]).await.unwrap();
        let mut total = 0;
        while total < 50_000 {
            total += wire.fill().await.unwrap();
        }
        wire.input.clear();
        {
            let waiting = wire.fill();
            tokio::pin!(waiting);
            assert!(futures_poll(&mut waiting).is_none());
        }
        assert_eq!(wire.input.capacity(), 0);
        assert!(!wire.stirs());
        far.write_all(b"x").await.unwrap();
        assert!(wire.stirs());
    }

    #[test]
    fn what_is_moved_arrives_in_order_whether_copied_or_handed_over() {
        let sent: Vec<u8> = (0..20_000_u32).map(|at| at.to_le_bytes()[0]).collect();
        for sizes in [[10, 5000, 20_000], [5000, 10, 20_000], [20_000, 0, 0]] {
            let mut from = BytesMut::from(&sent[..]);
            let mut to = BytesMut::new();
            for size in sizes {
                let moved = shift(&mut from, &mut to, size);
                assert!(moved <= size);
                // What arrives later must not get between.
                assert_eq!(to.len() + from.len(), sent.len());
            }
            assert_eq!(to, sent);
        }
    }

    #[tokio::test]
    async fn input_that_keeps_coming_is_taken_in_one_go_but_not_without_end() {
        let (near, mut far) = tokio::io::duplex(4 * AT_ONCE);
        let mut wire = Wire::new(near, HIGH_WATER);
        far.write_all(&vec![b'x'; 3 * AT_ONCE]).await.unwrap();
        let read = wire.fill().await.unwrap();
        assert!((AT_ONCE..2 * AT_ONCE).contains(&read), "{read}");
        drop(far);
        let mut rest = 0;
        loop {
            wire.input.clear();
            match wire.fill().await.unwrap() {
                0 => break,
                more => rest += more,
            }
        }
        assert_eq!(read + rest, 3 * AT_ONCE);
    }
}
