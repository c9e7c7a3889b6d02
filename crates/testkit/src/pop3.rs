//! A scriptable POP3 client (RFC 1939).

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::stream::{ClientStream, Trust};
use crate::wait::within;

/// A POP3 client.
pub struct Pop3Client {
    stream: ClientStream,
    peer: SocketAddr,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Pop3Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pop3Client")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl Pop3Client {
    /// Connects and reads the greeting.
    ///
    /// # Errors
    /// When the server does not greet.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = within("connecting", ClientStream::connect(address)).await?;
        Self::greeted(stream, address).await
    }

    /// The same from one of this machine's addresses.
    ///
    /// # Errors
    /// When the server does not greet.
    pub async fn connect_from(source: IpAddr, address: SocketAddr) -> anyhow::Result<Self> {
        let stream = ClientStream::connect_from(source, address);
        let stream = within("connecting", stream).await?;
        Self::greeted(stream, address).await
    }

    /// The same under TLS.
    ///
    /// # Errors
    /// When the server does not greet, or shows no good certificate.
    pub async fn connect_tls(address: SocketAddr, trust: &Trust) -> anyhow::Result<Self> {
        let mut stream = within("connecting", ClientStream::connect(address)).await?;
        within("TLS", stream.start_tls(trust)).await?;
        Self::greeted(stream, address).await
    }

    async fn greeted(stream: ClientStream, peer: SocketAddr) -> anyhow::Result<Self> {
        let mut client = Self {
            stream,
            peer,
            buffer: Vec::new(),
        };
        let greeting = client.line().await?;
        ensure!(greeting.starts_with("+OK"), "no greeting: {greeting:?}");
        Ok(client)
    }

    /// STLS.
    ///
    /// # Errors
    /// When the server does not do it.
    pub async fn stls(&mut self, trust: &Trust) -> anyhow::Result<()> {
        self.ok("STLS").await?;
        ensure!(self.buffer.is_empty(), "data behind the answer to STLS");
        within("TLS", self.stream.start_tls(trust)).await
    }

    /// USER and PASS.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn login(&mut self, user: &str, password: &str) -> anyhow::Result<()> {
        self.ok(&format!("USER {user}")).await?;
        self.ok(&format!("PASS {password}")).await?;
        Ok(())
    }

    /// Sends a command; gives the first line of the answer.
    ///
    /// # Errors
    /// When there is none.
    pub async fn command(&mut self, command: &str) -> anyhow::Result<String> {
        self.send(format!("{command}\r\n").as_bytes()).await?;
        self.line()
            .await
            .with_context(|| format!("answer to {command:?}"))
    }

    /// The same where the answer must be `+OK`; gives what follows that.
    ///
    /// # Errors
    /// When it is not.
    pub async fn ok(&mut self, command: &str) -> anyhow::Result<String> {
        let answer = self.command(command).await?;
        let text = answer.strip_prefix("+OK");
        let text = text.with_context(|| format!("{command}: {answer}"))?;
        Ok(text.trim_start().to_owned())
    }

    /// The same where the answer must be `-ERR`; gives what follows that.
    ///
    /// # Errors
    /// When it is not.
    pub async fn err(&mut self, command: &str) -> anyhow::Result<String> {
        let answer = self.command(command).await?;
        let text = answer.strip_prefix("-ERR ");
        Ok(text
            .with_context(|| format!("{command}: {answer}"))?
            .to_owned())
    }

    /// Sends a command whose answer has several lines; gives what is behind the first, dots taken
    /// back.
    ///
    /// # Errors
    /// When it is refused, or a line does not end with CRLF.
    pub async fn multiline(&mut self, command: &str) -> anyhow::Result<Vec<u8>> {
        self.ok(command).await?;
        let mut text = Vec::new();
        loop {
            let line = within("a line", self.raw_line()).await?;
            ensure!(line.ends_with(b"\r\n"), "{command}: a bare LF");
            if line == b".\r\n" {
                return Ok(text);
            }
            text.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    /// LIST or UIDL: what stands behind the number of each message.
    ///
    /// # Errors
    /// When it is refused, or its lines have another form.
    pub async fn listing(&mut self, command: &str) -> anyhow::Result<Vec<(u32, String)>> {
        let text = String::from_utf8(self.multiline(command).await?)?;
        let lines = text.lines().map(|line| {
            let (number, what) = line.split_once(' ').context("two words")?;
            Ok((number.parse()?, what.to_owned()))
        });
        lines.collect()
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

    /// The next line, without its line break.
    ///
    /// # Errors
    /// When none comes.
    pub async fn line(&mut self) -> anyhow::Result<String> {
        let peer = self.peer;
        let line = within("a line", self.raw_line())
            .await
            .with_context(|| format!("{peer} (POP3)"))?;
        let line = String::from_utf8_lossy(&line);
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    async fn raw_line(&mut self) -> anyhow::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                return Ok(self.buffer.drain(..=end).collect());
            }
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the server has closed the connection");
        }
    }
}
