//! A scriptable LMTP client (RFC 2033).

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::stream::{ClientStream, Trust};
use crate::wait::within;

/// Of one reply.
const REPLY_LIMIT: usize = 64 << 10;

/// A reply, which may have had several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LmtpReply {
    /// Such as 250.
    pub code: u16,
    /// The lines after the code.
    pub lines: Vec<String>,
}

impl LmtpReply {
    /// All lines as one.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// An LMTP client.
pub struct LmtpClient {
    stream: ClientStream,
    peer: SocketAddr,
    buffer: Vec<u8>,
    /// Recipients of the present transaction that were accepted.
    accepted: usize,
}

impl std::fmt::Debug for LmtpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LmtpClient")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl LmtpClient {
    /// Connects, reads the greeting and says LHLO.
    ///
    /// # Errors
    /// When the server does not greet.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let mut client = Self {
            stream: within("connecting", ClientStream::connect(address)).await?,
            peer: address,
            buffer: Vec::new(),
            accepted: 0,
        };
        let greeting = client.reply().await?;
        ensure!(greeting.code == 220, "no greeting: {greeting:?}");
        client.lhlo().await?;
        Ok(client)
    }

    /// LHLO; gives the extensions.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn lhlo(&mut self) -> anyhow::Result<Vec<String>> {
        let reply = self.command("LHLO test.example.org").await?;
        ensure!(reply.code == 250, "LHLO: {reply:?}");
        Ok(reply.lines[1..].to_vec())
    }

    /// STARTTLS and LHLO.
    ///
    /// # Errors
    /// When the server does not do it.
    pub async fn starttls(&mut self, trust: &Trust) -> anyhow::Result<Vec<String>> {
        let reply = self.command("STARTTLS").await?;
        ensure!(reply.code == 220, "STARTTLS: {reply:?}");
        within("TLS", self.stream.start_tls(trust)).await?;
        self.lhlo().await
    }

    /// Sends a line and reads the reply.
    ///
    /// # Errors
    /// When there is none.
    pub async fn command(&mut self, line: &str) -> anyhow::Result<LmtpReply> {
        self.send(format!("{line}\r\n").as_bytes()).await?;
        self.reply()
            .await
            .with_context(|| format!("answer to {line:?}"))
    }

    /// MAIL FROM.
    ///
    /// # Errors
    /// When there is no reply.
    pub async fn mail(&mut self, sender: &str) -> anyhow::Result<LmtpReply> {
        self.accepted = 0;
        self.command(&format!("MAIL FROM:<{sender}>")).await
    }

    /// RCPT TO.
    ///
    /// # Errors
    /// When there is no reply.
    pub async fn rcpt(&mut self, recipient: &str) -> anyhow::Result<LmtpReply> {
        let reply = self.command(&format!("RCPT TO:<{recipient}>")).await?;
        if reply.code / 100 == 2 {
            self.accepted += 1;
        }
        Ok(reply)
    }

    /// DATA with a message whose lines end in CRLF; gives a reply for each accepted recipient.
    ///
    /// # Errors
    /// When DATA is refused or replies are missing.
    pub async fn data(&mut self, message: &[u8]) -> anyhow::Result<Vec<LmtpReply>> {
        let reply = self.command("DATA").await?;
        ensure!(reply.code == 354, "DATA: {reply:?}");
        self.send(&stuffed(message)).await?;
        let mut replies = Vec::new();
        for _ in 0..self.accepted {
            replies.push(self.reply().await?);
        }
        self.accepted = 0;
        Ok(replies)
    }

    /// A whole transaction; gives a reply for each recipient: of RCPT where that was refused, else
    /// of the message.
    ///
    /// # Errors
    /// When MAIL or DATA is refused or a reply is missing.
    pub async fn deliver(
        &mut self,
        recipients: &[&str],
        message: &[u8],
    ) -> anyhow::Result<Vec<LmtpReply>> {
        let reply = self.mail("sender@example.org").await?;
        ensure!(reply.code == 250, "MAIL: {reply:?}");
        let mut of_rcpt = Vec::new();
        for recipient in recipients {
            of_rcpt.push(self.rcpt(recipient).await?);
        }
        if self.accepted == 0 {
            self.command("RSET").await?;
            return Ok(of_rcpt);
        }
        let mut of_data = self.data(message).await?.into_iter();
        let merged = of_rcpt.into_iter().map(|reply| match reply.code / 100 {
            2 => of_data.next().context("a reply is missing"),
            _ => Ok(reply),
        });
        merged.collect()
    }

    /// As [`deliver`](Self::deliver) to one recipient, where it must succeed.
    ///
    /// # Errors
    /// When it does not.
    pub async fn deliver_one(&mut self, recipient: &str, message: &[u8]) -> anyhow::Result<()> {
        let replies = self.deliver(&[recipient], message).await?;
        ensure!(
            replies.iter().all(|reply| reply.code == 250),
            "delivery to {recipient}: {replies:?}"
        );
        Ok(())
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When they cannot be sent.
    pub async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await?;
            anyhow::Ok(())
        };
        within("sending", sent)
            .await
            .with_context(|| format!("cannot send to {}", self.peer))
    }

    /// The next reply.
    ///
    /// # Errors
    /// When none comes.
    pub async fn reply(&mut self) -> anyhow::Result<LmtpReply> {
        let peer = self.peer;
        within("a reply", self.read_reply())
            .await
            .with_context(|| format!("{peer} (LMTP)"))
    }

    async fn read_reply(&mut self) -> anyhow::Result<LmtpReply> {
        let mut lines = Vec::new();
        loop {
            let line = self.read_line().await?;
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let (Some(code), rest) = (code, line.get(3..).unwrap_or_default()) else {
                bail!("no reply: {line:?}");
            };
            lines.push(rest.get(1..).unwrap_or_default().to_owned());
            if !rest.starts_with('-') {
                return Ok(LmtpReply { code, lines });
            }
        }
    }

    async fn read_line(&mut self) -> anyhow::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|bytes| bytes == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            ensure!(self.buffer.len() < REPLY_LIMIT, "an endless reply");
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the server has closed the connection");
        }
    }
}

/// With dots doubled at the start of lines, and the final dot (RFC 5321 4.5.2).
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(message.len() + 16);
    let mut line_start = true;
    for byte in message {
        if line_start && *byte == b'.' {
            text.push(b'.');
        }
        text.push(*byte);
        line_start = *byte == b'\n';
    }
    if !text.ends_with(b"\r\n") {
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b".\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::stuffed;

    #[test]
    fn dots_are_doubled() {
        assert_eq!(stuffed(b".a\r\nb.\r\n..\r\n"), b"..a\r\nb.\r\n...\r\n.\r\n");
        assert_eq!(stuffed(b"x"), b"x\r\n.\r\n");
        assert_eq!(stuffed(b""), b"\r\n.\r\n");
    }
}
