//! The client.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::reply::{Answer, Fetch, Reply, Selected, Status};
use crate::stream::{ClientStream, Trust};
use crate::wait::within;

/// Lines of the conversation that an error shows.
const SHOWN: usize = 12;
/// Of each of these.
const SHOWN_BYTES: usize = 300;
/// Of one answer; far above what any test provokes.
const REPLY_LIMIT: usize = 256 << 20;
/// Bytes of room for each read.
const READ: usize = 16 << 10;

/// An IMAP client that does one thing at a time.
pub struct ImapClient {
    stream: ClientStream,
    peer: SocketAddr,
    /// What has come and was not taken yet.
    buffer: Vec<u8>,
    tag: u64,
    greeting: Reply,
    said: VecDeque<(&'static str, Reply)>,
}

impl std::fmt::Debug for ImapClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImapClient")
            .field("peer", &self.peer)
            .field("said", &self.said)
            .finish_non_exhaustive()
    }
}

impl ImapClient {
    /// Connects without TLS and reads the greeting.
    ///
    /// # Errors
    /// When there is none.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        within("connecting", async {
            let stream = ClientStream::connect(address).await?;
            Self::greeted(stream, address).await
        })
        .await
    }

    /// Connects from one of this machine's addresses, and reads the greeting.
    ///
    /// # Errors
    /// When there is none.
    pub async fn connect_from(source: IpAddr, address: SocketAddr) -> anyhow::Result<Self> {
        within("connecting", async {
            let stream = ClientStream::connect_from(source, address).await?;
            Self::greeted(stream, address).await
        })
        .await
    }

    /// Connects with implicit TLS and reads the greeting.
    ///
    /// # Errors
    /// When there is none.
    pub async fn connect_tls(address: SocketAddr, trust: &Trust) -> anyhow::Result<Self> {
        within("connecting", async {
            let mut stream = ClientStream::connect(address).await?;
            stream.start_tls(trust).await?;
            Self::greeted(stream, address).await
        })
        .await
    }

    async fn greeted(stream: ClientStream, peer: SocketAddr) -> anyhow::Result<Self> {
        let mut client = Self {
            stream,
            peer,
            buffer: Vec::new(),
            tag: 0,
            greeting: Reply(Vec::new()),
            said: VecDeque::new(),
        };
        client.greeting = client.reply().await?;
        ensure!(
            client.greeting.word(0) == "*",
            "no greeting: {:?}",
            client.greeting
        );
        Ok(client)
    }

    /// What the server said first.
    #[must_use]
    pub fn greeting(&self) -> &Reply {
        &self.greeting
    }

    /// STARTTLS.
    ///
    /// # Errors
    /// When the server does not do it.
    pub async fn starttls(&mut self, trust: &Trust) -> anyhow::Result<()> {
        self.ok("STARTTLS").await?;
        self.handshake(trust).await
    }

    /// The handshake that follows the answer to STARTTLS.
    ///
    /// # Errors
    /// When it fails.
    pub async fn handshake(&mut self, trust: &Trust) -> anyhow::Result<()> {
        ensure!(self.buffer.is_empty(), "the server went on in plain text");
        within("TLS", self.stream.start_tls(trust)).await
    }

    /// LOGIN.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn login(&mut self, user: &str, password: &str) -> anyhow::Result<Answer> {
        self.ok(&format!("LOGIN {} {}", quote(user), quote(password)))
            .await
    }

    /// AUTHENTICATE PLAIN, with an initial response. The answer may be a refusal.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn authenticate_plain(
        &mut self,
        authzid: &str,
        user: &str,
        password: &str,
    ) -> anyhow::Result<Answer> {
        let text = format!("{authzid}\0{user}\0{password}");
        let text = base64::engine::general_purpose::STANDARD.encode(text);
        self.command(&format!("AUTHENTICATE PLAIN {text}")).await
    }

    /// Sends a command and reads everything up to its tagged answer. A text with literals in it
    /// (`{5+}\r\nhello`) is sent as it is.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn command(&mut self, text: &str) -> anyhow::Result<Answer> {
        let tag = self.send(text).await?;
        self.finish(&tag).await
    }

    /// As [`command`](Self::command), which must succeed.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ok(&mut self, text: &str) -> anyhow::Result<Answer> {
        let answer = self.command(text).await?;
        if answer.status != Status::Ok {
            bail!(
                "{} refuses {text:?}: {:?}{}",
                self.peer,
                answer.tagged,
                self.conversation()
            );
        }
        Ok(answer)
    }

    /// As [`command`](Self::command), which must be refused with NO and this code; with `""`,
    /// whatever the code.
    ///
    /// # Errors
    /// When it is not.
    pub async fn no(&mut self, text: &str, code: &str) -> anyhow::Result<Answer> {
        let answer = self.command(text).await?;
        let as_expected = code.is_empty() || answer.code().split(' ').next() == Some(code);
        if answer.status != Status::No || !as_expected {
            bail!(
                "{} does not say NO [{code}] to {text:?}: {:?}{}",
                self.peer,
                answer.tagged,
                self.conversation()
            );
        }
        Ok(answer)
    }

    /// As [`command`](Self::command), which must be answered with BAD.
    ///
    /// # Errors
    /// When it is not.
    pub async fn bad(&mut self, text: &str) -> anyhow::Result<Answer> {
        let answer = self.command(text).await?;
        if answer.status != Status::Bad {
            bail!(
                "{} does not say BAD to {text:?}: {:?}",
                self.peer,
                answer.tagged
            );
        }
        Ok(answer)
    }

    /// Sends a command; gives its tag for [`finish`](Self::finish).
    ///
    /// # Errors
    /// When it cannot be sent.
    pub async fn send(&mut self, text: &str) -> anyhow::Result<String> {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.send_raw(format!("{tag} {text}\r\n").as_bytes())
            .await?;
        Ok(tag)
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When they cannot be sent.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.note("C", bytes);
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await?;
            anyhow::Ok(())
        };
        within("sending", sent)
            .await
            .with_context(|| format!("cannot send to {}", self.peer))
    }

    /// Reads up to the tagged answer.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn finish(&mut self, tag: &str) -> anyhow::Result<Answer> {
        let mut untagged = Vec::new();
        loop {
            let reply = self.reply().await?;
            if reply.word(0) == "*" {
                untagged.push(reply);
                continue;
            }
            ensure!(
                reply.word(0).eq_ignore_ascii_case(tag),
                "{}: {reply:?} instead of the answer to {tag}{}",
                self.peer,
                self.conversation()
            );
            let status = match reply.word(1).as_str() {
                "OK" => Status::Ok,
                "NO" => Status::No,
                "BAD" => Status::Bad,
                _ => bail!("no status: {reply:?}"),
            };
            return Ok(Answer {
                untagged,
                tagged: reply,
                status,
            });
        }
    }

    /// The next answer, whatever it is.
    ///
    /// # Errors
    /// When none comes.
    pub async fn reply(&mut self) -> anyhow::Result<Reply> {
        match self.reply_or_end().await? {
            Some(reply) => Ok(reply),
            None => bail!(
                "{} has closed the connection{}",
                self.peer,
                self.conversation()
            ),
        }
    }

    /// The next answer; `None` when the server has closed the connection.
    ///
    /// # Errors
    /// When neither comes.
    pub async fn reply_or_end(&mut self) -> anyhow::Result<Option<Reply>> {
        let read = within("an answer", self.read_reply()).await;
        read.with_context(|| format!("{}{}", self.peer, self.conversation()))
    }

    async fn read_reply(&mut self) -> anyhow::Result<Option<Reply>> {
        let mut line = 0;
        loop {
            if let Some(at) = self.buffer[line..].iter().position(|byte| *byte == b'\n') {
                let end = line + at + 1;
                let text = self.buffer[line..end].strip_suffix(b"\r\n");
                let text = text.context("a line ends without CR")?;
                if let Some(len) = announced(text) {
                    let wanted = end + len;
                    ensure!(wanted < REPLY_LIMIT, "an endless answer");
                    while self.buffer.len() < wanted {
                        ensure!(self.read_more().await?, "closed within a literal");
                    }
                    line = wanted;
                    continue;
                }
                let mut reply: Vec<u8> = self.buffer.drain(..end).collect();
                reply.truncate(end - 2);
                self.note("S", &reply);
                return Ok(Some(Reply(reply)));
            }
            ensure!(self.buffer.len() < REPLY_LIMIT, "an endless answer");
            if !self.read_more().await? {
                ensure!(self.buffer.is_empty(), "closed within an answer");
                return Ok(None);
            }
        }
    }

    /// Whether there was more.
    async fn read_more(&mut self) -> anyhow::Result<bool> {
        self.buffer.reserve(READ);
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Ok(false),
            Ok(_) => Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::UnexpectedEof
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads until the server closes the connection; gives what it said.
    ///
    /// # Errors
    /// When it does not close it.
    pub async fn read_to_end(&mut self) -> anyhow::Result<Vec<Reply>> {
        let mut replies = Vec::new();
        while let Some(reply) = self.reply_or_end().await? {
            replies.push(reply);
        }
        Ok(replies)
    }

    /// The next untagged answer.
    ///
    /// # Errors
    /// When another one comes.
    pub async fn untagged(&mut self) -> anyhow::Result<Reply> {
        let reply = self.reply().await?;
        ensure!(
            reply.word(0) == "*",
            "{}: {reply:?} is not untagged",
            self.peer
        );
        Ok(reply)
    }

    /// Reads untagged answers up to one of that keyword.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn wait_for(&mut self, keyword: &str) -> anyhow::Result<Reply> {
        loop {
            let reply = self.untagged().await?;
            if reply.is(keyword) {
                return Ok(reply);
            }
        }
    }

    /// The next continuation request; untagged answers before it are dropped.
    ///
    /// # Errors
    /// When a tagged answer comes instead.
    pub async fn continuation(&mut self) -> anyhow::Result<Reply> {
        loop {
            let reply = self.reply().await?;
            match reply.word(0).as_str() {
                "*" => {}
                "+" => return Ok(reply),
                _ => bail!("{}: {reply:?} instead of a +", self.peer),
            }
        }
    }

    /// SELECT.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn select(&mut self, mailbox: &str) -> anyhow::Result<Selected> {
        let answer = self.ok(&format!("SELECT {}", quote(mailbox))).await?;
        Ok(answer.selected())
    }

    /// IDLE; returns when the server idles.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn idle(&mut self) -> anyhow::Result<String> {
        let tag = self.send("IDLE").await?;
        self.continuation().await?;
        Ok(tag)
    }

    /// DONE, after [`idle`](Self::idle).
    ///
    /// # Errors
    /// When IDLE does not end well.
    pub async fn done(&mut self, tag: &str) -> anyhow::Result<Answer> {
        self.send_raw(b"DONE\r\n").await?;
        let answer = self.finish(tag).await?;
        ensure!(answer.status == Status::Ok, "IDLE: {:?}", answer.tagged);
        Ok(answer)
    }

    /// Appends a message with flags such as `\Seen $x`, sent without waiting; gives its UID.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn append(
        &mut self,
        mailbox: &str,
        flags: &str,
        message: &[u8],
    ) -> anyhow::Result<u32> {
        let answer = self.try_append(mailbox, flags, message).await?;
        ensure!(
            answer.status == Status::Ok,
            "{}: APPEND to {mailbox}: {:?}{}",
            self.peer,
            answer.tagged,
            self.conversation()
        );
        appended_uid(&answer)
    }

    /// As [`append`](Self::append); the answer may be a refusal.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn try_append(
        &mut self,
        mailbox: &str,
        flags: &str,
        message: &[u8],
    ) -> anyhow::Result<Answer> {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        let head = append_head(&tag, mailbox, flags);
        let mut bytes = format!("{head} {{{}+}}\r\n", message.len()).into_bytes();
        bytes.extend_from_slice(message);
        bytes.extend_from_slice(b"\r\n");
        self.send_raw(&bytes).await?;
        self.finish(&tag).await
    }

    /// Appends with a literal that waits for the server to ask for it.
    ///
    /// # Errors
    /// When there is no answer. A refusal in place of the `+` is an answer.
    pub async fn append_synchronising(
        &mut self,
        mailbox: &str,
        flags: &str,
        message: &[u8],
    ) -> anyhow::Result<Answer> {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        let head = append_head(&tag, mailbox, flags);
        self.send_raw(format!("{head} {{{}}}\r\n", message.len()).as_bytes())
            .await?;
        let reply = self.reply().await?;
        if reply.word(0) != "+" {
            let status = match reply.word(1).as_str() {
                "NO" => Status::No,
                "BAD" => Status::Bad,
                _ => bail!("neither + nor a refusal: {reply:?}"),
            };
            return Ok(Answer {
                untagged: Vec::new(),
                tagged: reply,
                status,
            });
        }
        self.send_raw(message).await?;
        self.send_raw(b"\r\n").await?;
        self.finish(&tag).await
    }

    /// The data of messages, by UIDs.
    ///
    /// # Errors
    /// When the command is refused.
    pub async fn uid_fetch(&mut self, uids: &str, items: &str) -> anyhow::Result<Vec<Fetch>> {
        self.ok(&format!("UID FETCH {uids} {items}"))
            .await?
            .fetches()
    }

    /// A whole message, without setting `\Seen`.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn fetch_body(&mut self, uid: u32) -> anyhow::Result<Vec<u8>> {
        let fetches = self.uid_fetch(&uid.to_string(), "(BODY.PEEK[])").await?;
        let fetch = fetches
            .iter()
            .find(|fetch| fetch.uid() == uid)
            .with_context(|| format!("no message with UID {uid}"))?;
        Ok(fetch.bytes("BODY[]")?.to_vec())
    }

    /// Every message of the selected mailbox by UID.
    ///
    /// # Errors
    /// When the command is refused.
    pub async fn fetch_all(&mut self) -> anyhow::Result<Vec<(u32, Vec<u8>)>> {
        let fetches = self.uid_fetch("1:*", "(BODY.PEEK[])").await?;
        let one = |fetch: &Fetch| Ok((fetch.uid(), fetch.bytes("BODY[]")?.to_vec()));
        fetches.iter().map(one).collect()
    }

    /// UID SEARCH.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn uid_search(&mut self, keys: &str) -> anyhow::Result<Vec<u32>> {
        self.ok(&format!("UID SEARCH {keys}")).await?.search()
    }

    /// The names that `LIST "" pattern` shows, in order.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn list(&mut self, pattern: &str) -> anyhow::Result<Vec<String>> {
        let answer = self.ok(&format!("LIST \"\" {}", quote(pattern))).await?;
        let mut names = answer.names("LIST")?;
        names.sort();
        Ok(names)
    }

    /// A number of STATUS.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn status(&mut self, mailbox: &str, item: &str) -> anyhow::Result<u64> {
        let answer = self
            .ok(&format!("STATUS {} ({item})", quote(mailbox)))
            .await?;
        answer.status_item(item)
    }

    /// LOGOUT.
    ///
    /// # Errors
    /// When the server does not take its leave.
    pub async fn logout(mut self) -> anyhow::Result<()> {
        let answer = self.ok("LOGOUT").await?;
        ensure!(answer.all("BYE").count() == 1, "no BYE: {answer:?}");
        let rest = self.read_to_end().await?;
        ensure!(rest.is_empty(), "after LOGOUT: {rest:?}");
        Ok(())
    }

    fn note(&mut self, who: &'static str, bytes: &[u8]) {
        while self.said.len() >= SHOWN {
            self.said.pop_front();
        }
        let begin = Reply(bytes[..bytes.len().min(SHOWN_BYTES)].to_vec());
        self.said.push_back((who, begin));
    }

    fn conversation(&self) -> String {
        let lines = self.said.iter();
        lines
            .map(|(who, text)| format!("\n  {who}: {text:?}"))
            .collect()
    }
}

/// As a quoted string.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

fn append_head(tag: &str, mailbox: &str, flags: &str) -> String {
    let flags = if flags.is_empty() {
        String::new()
    } else {
        format!(" ({flags})")
    };
    format!("{tag} APPEND {}{flags}", quote(mailbox))
}

fn appended_uid(answer: &Answer) -> anyhow::Result<u32> {
    let code = answer.code();
    let words: Vec<&str> = code.split(' ').collect();
    match words[..] {
        ["APPENDUID", _, uid] => Ok(uid.parse()?),
        _ => bail!("no APPENDUID: {:?}", answer.tagged),
    }
}

/// The length of the literal that a line announces.
fn announced(line: &[u8]) -> Option<usize> {
    let inner = line.strip_suffix(b"}")?;
    let begin = inner.iter().rposition(|byte| *byte == b'{')?;
    let digits = std::str::from_utf8(&inner[begin + 1..]).ok()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that says `answers`, one a line of the client.
    async fn server(answers: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in answers {
                stream.write_all(answer.as_bytes()).await.unwrap();
                let mut byte = [0];
                while stream.read(&mut byte).await.unwrap() == 1 && byte != *b"\n" {}
            }
        });
        address
    }

    #[tokio::test]
    async fn answers_with_literals() {
        let address = server(&[
            "* OK hello\r\n",
            "* 1 FETCH (UID 5 BODY[] {7}\r\nt1 OK\r\n)\r\nt1 OK done\r\n",
            "t2 NO [NONEXISTENT] what\r\n",
        ])
        .await;
        let mut client = ImapClient::connect(address).await.unwrap();
        assert_eq!(client.fetch_body(5).await.unwrap(), b"t1 OK\r\n");
        let error = client.ok("SELECT x").await.unwrap_err().to_string();
        assert!(
            error.contains("NONEXISTENT") && error.contains("C: t2"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn an_end_is_told() {
        let address = server(&["* OK hello\r\n"]).await;
        let mut client = ImapClient::connect(address).await.unwrap();
        client.send_raw(b"\r\n").await.unwrap();
        assert!(client.reply_or_end().await.unwrap().is_none());
        let error = client.reply().await.unwrap_err().to_string();
        assert!(error.contains("closed"), "{error}");
    }
}
