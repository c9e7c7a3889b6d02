//! A client that costs next to nothing, so that what is measured is the server: it looks at an
//! answer just closely enough to find its end.

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Octets of room for a read: what a socket may hold at once.
const ROOM: usize = 64 << 10;
/// The longest line; a SEARCH that finds everything in the largest mailbox has less.
const LONGEST_LINE: usize = 4 << 20;
/// Everyone's, as there is one command at a time.
const TAG: &[u8] = b"t ";

/// What came before a tagged OK.
#[derive(Debug, Default)]
pub struct Untagged {
    /// How many answers.
    pub count: u64,
    /// The last one's first line, if it was asked for.
    pub last: String,
}

/// A connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What of the buffer is not looked at yet.
    from: usize,
    to: usize,
}

impl Wire {
    async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: vec![0; ROOM],
            from: 0,
            to: 0,
        })
    }

    /// An IMAP session of a user.
    pub async fn imap(address: SocketAddr, user: &str, password: &str) -> anyhow::Result<Self> {
        let mut wire = Self::connect(address).await?;
        let greeting = wire.line().await?;
        ensure!(greeting.starts_with(b"* OK"), "no greeting: {greeting:?}");
        wire.command(&format!("LOGIN {user} {password}")).await?;
        Ok(wire)
    }

    /// An LMTP session.
    pub async fn lmtp(address: SocketAddr) -> anyhow::Result<Self> {
        let mut wire = Self::connect(address).await?;
        wire.reply().await?;
        wire.send(b"LHLO client.example.org\r\n").await?;
        wire.reply().await?;
        Ok(wire)
    }

    async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// An IMAP command, which must be answered with OK.
    pub async fn command(&mut self, text: &str) -> anyhow::Result<Untagged> {
        self.command_bytes(text.as_bytes()).await
    }

    /// As [`command`](Self::command); there may be a literal in it.
    pub async fn command_bytes(&mut self, text: &[u8]) -> anyhow::Result<Untagged> {
        let mut line = Vec::with_capacity(text.len() + 8);
        line.extend_from_slice(TAG);
        line.extend_from_slice(text);
        line.extend_from_slice(b"\r\n");
        self.send(&line).await?;
        let answer = self.untagged().await;
        answer.with_context(|| String::from_utf8_lossy(&text[..text.len().min(80)]).into_owned())
    }

    async fn untagged(&mut self) -> anyhow::Result<Untagged> {
        let mut untagged = Untagged::default();
        let mut last = Vec::new();
        let mut begins = true;
        loop {
            let line = self.line().await?;
            let literal = literal(line);
            if begins {
                if let Some(status) = line.strip_prefix(TAG) {
                    ensure!(
                        status.starts_with(b"OK"),
                        "{}",
                        String::from_utf8_lossy(line).trim_end()
                    );
                    untagged.last = String::from_utf8_lossy(&last).trim_end().to_owned();
                    return Ok(untagged);
                }
                if line.starts_with(b"* BYE") {
                    bail!("{}", String::from_utf8_lossy(line).trim_end());
                }
                untagged.count += 1;
                last.clear();
                last.extend_from_slice(&line[..line.len().min(80)]);
            }
            begins = literal.is_none();
            self.skip(literal.unwrap_or_default()).await?;
        }
    }

    /// A message for a user, sent as a mail server does that makes use of PIPELINING.
    pub async fn deliver(&mut self, user: &str, message: &[u8]) -> anyhow::Result<()> {
        let head = format!("MAIL FROM:<sender@example.org>\r\nRCPT TO:<{user}>\r\nDATA\r\n");
        self.send(head.as_bytes()).await?;
        for _ in 0..3 {
            self.reply().await?;
        }
        // No line of a message of ours begins with a dot.
        let mut text = Vec::with_capacity(message.len() + 3);
        text.extend_from_slice(message);
        text.extend_from_slice(b".\r\n");
        self.send(&text).await?;
        self.reply().await
    }

    /// An LMTP reply, which must be positive.
    async fn reply(&mut self) -> anyhow::Result<()> {
        loop {
            let line = self.line().await?;
            ensure!(
                matches!(line.first(), Some(b'2' | b'3')),
                "{}",
                String::from_utf8_lossy(line).trim_end()
            );
            if line.get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }

    /// The next line, with its end.
    async fn line(&mut self) -> anyhow::Result<&[u8]> {
        let mut seen = self.from;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[seen..self.to]) {
                let begin = self.from;
                self.from = seen + at + 1;
                return Ok(&self.buffer[begin..self.from]);
            }
            let pending = self.to - self.from;
            self.read().await?;
            seen = self.from + pending;
        }
    }

    /// Passes over so many octets.
    async fn skip(&mut self, mut octets: usize) -> anyhow::Result<()> {
        loop {
            let here = octets.min(self.to - self.from);
            self.from += here;
            octets -= here;
            if octets == 0 {
                return Ok(());
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        self.buffer.copy_within(self.from..self.to, 0);
        self.to -= self.from;
        self.from = 0;
        if self.to == self.buffer.len() {
            ensure!(self.to < LONGEST_LINE, "an endless line");
            self.buffer.resize(2 * self.to, 0);
        }
        let read = self.stream.read(&mut self.buffer[self.to..]).await?;
        ensure!(read > 0, "the server has closed the connection");
        self.to += read;
        Ok(())
    }
}

/// The length of the literal that a line announces.
fn literal(line: &[u8]) -> Option<usize> {
    let inner = line.strip_suffix(b"}\r\n")?;
    let begin = inner.iter().rposition(|byte| *byte == b'{')?;
    std::str::from_utf8(&inner[begin + 1..]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_read_to_its_end_however_it_comes() {
        let answer =
            b"* 1 FETCH (BODY[] {6}\r\nt OK \n FLAGS (\\Seen))\r\n* SEARCH 7\r\nt OK x\r\n";
        for size in [1, 7, 1000] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                stream
                    .write_all(b"* OK hello\r\nt OK in\r\n")
                    .await
                    .unwrap();
                for piece in answer.chunks(size) {
                    stream.write_all(piece).await.unwrap();
                }
                stream.write_all(b"t NO [X] refused\r\n").await.unwrap();
                stream
            });
            let mut wire = Wire::imap(address, "u", "p").await.unwrap();
            let untagged = wire.command("FETCH 1 BODY[]").await.unwrap();
            assert_eq!((untagged.count, &*untagged.last), (2, "* SEARCH 7"));
            let error = wire.command("NOOP").await.unwrap_err();
            assert!(format!("{error:#}").contains("refused"), "{error:#}");
            drop(server.await.unwrap());
        }
    }
}
