//! A stream that delivers octets in given pieces.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

/// Delivers one piece a read, with a pending poll before each, then the end of the stream.
pub struct Script {
    pieces: VecDeque<Vec<u8>>,
    ready: bool,
}

impl Script {
    /// Everything at once.
    pub fn whole(octets: &[u8]) -> Self {
        Self::pieces([octets.to_vec()])
    }

    /// An octet at a time.
    pub fn bytes(octets: &[u8]) -> Self {
        Self::pieces(octets.iter().map(|b| vec![*b]))
    }

    /// Cut at these places, taken modulo the length.
    pub fn cut(octets: &[u8], at: &[usize]) -> Self {
        let mut cuts: Vec<usize> = at.iter().map(|at| at % (octets.len() + 1)).collect();
        cuts.push(octets.len());
        cuts.sort_unstable();
        let mut start = 0;
        Self::pieces(cuts.into_iter().map(|end| {
            let piece = octets[start..end].to_vec();
            start = end;
            piece
        }))
    }

    pub fn pieces(pieces: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            pieces: pieces.into_iter().filter(|p| !p.is_empty()).collect(),
            ready: false,
        }
    }
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.ready = !self.ready;
        if self.ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(mut piece) = self.pieces.pop_front() {
            let rest = piece.split_off(piece.len().min(buf.remaining()));
            buf.put_slice(&piece);
            if !rest.is_empty() {
                self.pieces.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Runs a future that needs no I/O driver.
pub fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}
