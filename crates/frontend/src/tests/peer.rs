//! One end of a connection, line by line.

use std::net::SocketAddr;

use bytes::BytesMut;
use murder_net::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::soon;

/// A client, or a backend.
pub(super) struct Peer {
    stream: Stream,
    input: BytesMut,
}

impl Peer {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            input: BytesMut::new(),
        }
    }

    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self::new(soon(Stream::connect(address)).await.unwrap())
    }

    pub(super) fn into_stream(self) -> Stream {
        assert!(self.input.is_empty(), "{:?}", self.input);
        self.stream
    }

    pub(super) async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    pub(super) async fn send_bytes(&mut self, bytes: &[u8]) {
        soon(self.stream.write_all(bytes)).await.unwrap();
        soon(self.stream.flush()).await.unwrap();
    }

    /// Whether the other end takes it before it closes the connection.
    pub(super) async fn try_send(&mut self, bytes: &[u8]) -> bool {
        soon(self.stream.write_all(bytes)).await.is_ok()
    }

    /// Whatever comes next, 0 at the end.
    async fn fill(&mut self) -> usize {
        // However it ended.
        soon(self.stream.read_buf(&mut self.input))
            .await
            .unwrap_or_default()
    }

    /// The next line without its CRLF; `None` at the end of the stream.
    pub(super) async fn next_line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.input) {
                let line = self.input.split_to(at + 1);
                let line = line.strip_suffix(b"\r\n").expect("lines end with CRLF");
                return Some(String::from_utf8_lossy(line).into_owned());
            }
            if self.fill().await == 0 {
                assert!(self.input.is_empty(), "cut off: {:?}", self.input);
                return None;
            }
        }
    }

    pub(super) async fn line(&mut self) -> String {
        self.next_line().await.expect("a line")
    }

    /// The next line must begin so.
    pub(super) async fn expect(&mut self, start: &str) -> String {
        let line = self.line().await;
        assert!(line.starts_with(start), "{line:?} is not {start:?}");
        line
    }

    /// Lines up to and with the one that begins so.
    pub(super) async fn until(&mut self, start: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            let last = line.starts_with(start);
            lines.push(line);
            if last {
                return lines;
            }
        }
    }

    /// Sends a command; its whole answer, the tagged line last.
    pub(super) async fn command(&mut self, tag: &str, command: &str) -> Vec<String> {
        self.send(&format!("{tag} {command}\r\n")).await;
        self.until(&format!("{tag} ")).await
    }

    /// The same for a command with nothing but a tagged answer.
    pub(super) async fn tagged(&mut self, tag: &str, command: &str) -> String {
        let answer = self.command(tag, command).await;
        assert_eq!(answer.len(), 1, "{answer:?}");
        answer[0][tag.len() + 1..].to_owned()
    }

    /// The next so many octets.
    pub(super) async fn octets(&mut self, count: usize) -> Vec<u8> {
        while self.input.len() < count {
            assert!(self.fill().await > 0, "cut off after {}", self.input.len());
        }
        self.input.split_to(count).to_vec()
    }

    /// Whatever is there, or comes next.
    pub(super) async fn chunk(&mut self) -> Vec<u8> {
        if self.input.is_empty() {
            assert!(self.fill().await > 0, "cut off");
        }
        self.input.split().to_vec()
    }

    /// Everything up to the end of the stream.
    pub(super) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await > 0 {}
        self.input.split().to_vec()
    }

    /// Says that nothing more comes from here.
    pub(super) async fn close_half(&mut self) {
        soon(self.stream.shutdown()).await.unwrap();
    }

    /// Nothing but the end of the stream comes.
    pub(super) async fn closed(&mut self) {
        let rest = self.rest().await;
        assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
    }
}
