//! One LMTP connection: reading, writing, and which command is legal when.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use murder_lmtp::{Command, Forwarded, Sender, Terminator};
use murder_mailbox::MailboxName;
use murder_net::tls::TlsServer;
use murder_net::{Connection, Peer, Role, SessionId};
use murder_session::{
    BadCommands, ClientStream, Goodbye, HANDSHAKE, Interruption, LineCutter, TooLong, Watch,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::Lmtp;
use super::reply::{self, Reply};
use super::unstuff::Unstuffer;
use crate::delivery::{Incoming, Received, Target, resolve, return_path};
use crate::node::{Node, now};

/// The most bytes in a command line: RFC 5321 section 4.5.3.1.4 wants 512 and room for
/// extensions.
const MAX_LINE: usize = 4 << 10;
/// The most recipients of a message; RFC 5321 section 4.5.3.1.8 wants at least 100. Senders send
/// the others in another transaction.
const MAX_RECIPIENTS: usize = 1000;
/// Replies that may wait for the end of the commands that have come in one go.
const MAX_OUTPUT: usize = 16 << 10;
/// What is read of commands at a time.
const READ_COMMANDS: usize = 4 << 10;
/// What is read of a message at a time, and the room below which new memory is taken: pieces of
/// a message must not each hold a nearly empty block of memory.
const READ_MESSAGE: usize = 64 << 10;
const LEAST_ROOM: usize = 8 << 10;
/// Bytes at the end of what has come that may be the beginning of the message's end.
const HELD_BACK: usize = 4;
/// Silence, in a transaction and outside; RFC 5321 section 4.5.3.2.7 wants at least 5 minutes.
const IDLE: Duration = Duration::from_secs(5 * 60);

/// A connection.
pub(super) struct Session {
    node: Arc<Node>,
    lmtp: Arc<Lmtp>,
    stream: ClientStream,
    /// Whether the client may send mail, and is a frontend.
    client: Client,
    /// Bytes that have come and are not used yet. None are held while idle.
    input: BytesMut,
    /// Cuts commands off it.
    lines: LineCutter,
    output: Vec<u8>,
    greeted: bool,
    transaction: Option<Transaction>,
    /// What the client calls itself.
    helo: Option<String>,
    /// What it has said of the message of the next transaction.
    forwarded: Forwarded,
    /// Its name in logs, and in the messages that come by it, which are counted.
    id: SessionId,
    messages: u64,
    peer: IpAddr,
    bad_commands: BadCommands,
    watch: Watch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// A frontend of the murder.
    Frontend,
    /// One on this machine, or whoever, if anyone may.
    Trusted,
    /// One that must show a frontend's certificate first.
    Stranger,
}

impl Client {
    fn of(peer: Option<&Peer>, here: bool, open: bool) -> Self {
        if peer.is_some_and(|peer| peer.has_role(Role::Frontend)) {
            Self::Frontend
        } else if here || open {
            Self::Trusted
        } else {
            Self::Stranger
        }
    }
}

/// A message's envelope so far.
struct Transaction {
    sender: Sender,
    targets: Vec<Target>,
    /// As they came.
    recipients: Vec<String>,
}

/// Why a session ends.
enum End {
    /// The connection is gone.
    Gone(io::Error),
    /// The client closed it, or said QUIT.
    Closed,
    /// We close it, saying this.
    Saying(Reply),
}

impl From<Goodbye> for End {
    fn from(goodbye: Goodbye) -> Self {
        Self::Saying(goodbye.into())
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

/// What comes after a command.
enum Next {
    /// The next one.
    Command,
    /// The message.
    Data(Transaction),
    /// The handshake.
    StartTls(TlsServer),
}

impl Session {
    pub(super) fn new(node: Arc<Node>, lmtp: Arc<Lmtp>, connection: Connection) -> Self {
        let patience = node.config.limits.slow_reader();
        let mut session = Self {
            lmtp,
            id: connection.session,
            peer: connection.peer_addr.ip().to_canonical(),
            stream: ClientStream::new(connection.stream, patience),
            client: Client::Stranger,
            input: BytesMut::new(),
            lines: LineCutter::new(MAX_LINE),
            output: Vec::new(),
            greeted: false,
            transaction: None,
            helo: None,
            forwarded: Forwarded::default(),
            messages: 0,
            bad_commands: BadCommands::default(),
            watch: Watch::new(node.shutdown.token(), Instant::now() + IDLE),
            node,
        };
        session.know_client();
        session
    }

    /// Looks at who the client is: at the start, and when it has shown a certificate.
    fn know_client(&mut self) {
        let here = self.peer.is_loopback();
        let peer = self.stream.peer();
        self.client = Client::of(peer.as_ref(), here, self.node.config.lmtp.open);
    }

    /// Serves the client to the end.
    pub(super) async fn run(mut self) {
        let greeting = format!("220 {} LMTP murder\r\n", self.node.config.node.name);
        self.output.extend_from_slice(greeting.as_bytes());
        loop {
            match self.command().await {
                Ok(Next::Command) => {}
                Ok(Next::Data(transaction)) => {
                    // In a box, so that a connection without a message is small.
                    if let Err(end) = Box::pin(self.data(transaction)).await {
                        return self.end(end).await;
                    }
                }
                Ok(Next::StartTls(tls)) => {
                    // What was sent before the handshake was not protected by it (RFC 3207
                    // section 6), and what was said before it counts for nothing.
                    self.input = BytesMut::new();
                    self.greeted = false;
                    self.transaction = None;
                    self.forwarded = Forwarded::default();
                    match timeout(HANDSHAKE, self.stream.start_tls(&tls)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
                        Err(_) => return tracing::debug!("TLS handshake took too long"),
                    }
                    self.know_client();
                }
                Err(end) => return self.end(end).await,
            }
        }
    }

    async fn end(mut self, end: End) {
        match end {
            End::Gone(error) => return tracing::debug!(%error, "LMTP connection lost"),
            End::Closed => {}
            End::Saying(reply) => reply.write(&mut self.output),
        }
        let output = &self.output;
        let send = async |stream: &mut ClientStream| {
            stream.write_all(output).await?;
            stream.flush().await
        };
        murder_session::close(&mut self.stream, send, false).await;
    }

    fn reply(&mut self, reply: Reply) -> Result<(), Goodbye> {
        reply.write(&mut self.output);
        match reply.is_positive() {
            true => self.bad_commands.end(),
            false => self.bad_commands.count()?,
        }
        Ok(())
    }

    /// Reads a command and does it.
    async fn command(&mut self) -> Result<Next, End> {
        let line = loop {
            match self.line() {
                Some(Ok(line)) => break line,
                Some(Err(reply)) => self.reply(reply)?,
                None => self.read_commands().await?,
            }
            self.make_room().await?;
        };
        let next = match Command::parse(&line) {
            Ok(command) => self.obey(command).await,
            Err(error) => Err(error.into()),
        };
        let next = match next {
            Ok(Step::Reply(reply)) => {
                self.reply(reply)?;
                Next::Command
            }
            Ok(Step::Replied) => Next::Command,
            Ok(Step::Data(transaction)) => {
                self.reply(reply::GO_AHEAD)?;
                Next::Data(transaction)
            }
            Ok(Step::StartTls(tls)) => {
                self.reply(reply::START_TLS)?;
                self.flush().await?;
                Next::StartTls(tls)
            }
            Ok(Step::Quit) => return Err(End::Saying(reply::BYE)),
            Err(refusal) => {
                self.reply(refusal)?;
                Next::Command
            }
        };
        self.make_room().await?;
        Ok(next)
    }

    /// Sends what is queued if it is much.
    async fn make_room(&mut self) -> io::Result<()> {
        match self.output.len() {
            ..MAX_OUTPUT => Ok(()),
            _ => self.flush().await,
        }
    }

    async fn obey(&mut self, command: Command) -> Result<Step, Reply> {
        Ok(match command {
            Command::Lhlo(name) => {
                self.greeted = true;
                self.helo = name;
                self.transaction = None;
                self.forwarded = Forwarded::default();
                self.say_capabilities();
                Step::Replied
            }
            Command::StartTls if self.stream.is_tls() => return Err(reply::TLS_ALREADY),
            Command::StartTls => Step::StartTls(self.node.tls.clone().ok_or(reply::NO_TLS)?),
            Command::Xforward(_) if self.transaction.is_some() => return Err(reply::NESTED_MAIL),
            Command::Xforward(forwarded) => {
                self.forwarded = forwarded;
                Step::Reply(reply::OK)
            }
            Command::Mail(mut sender) => {
                self.check_mail(&sender)?;
                sender.forwarded = std::mem::take(&mut self.forwarded);
                if self.client != Client::Frontend {
                    sender.forwarded.session = None;
                }
                self.transaction = Some(Transaction {
                    sender,
                    targets: Vec::new(),
                    recipients: Vec::new(),
                });
                Step::Reply(reply::SENDER_OK)
            }
            Command::Rcpt(recipient) => {
                let transaction = self.transaction.as_mut().ok_or(reply::NO_MAIL)?;
                if transaction.targets.len() >= MAX_RECIPIENTS {
                    return Err(reply::TOO_MANY_RECIPIENTS);
                }
                let passed_on = self.client == Client::Frontend;
                let size = transaction.sender.size;
                let resolved = match resolve(&self.node, &recipient, passed_on).await {
                    Ok(target) => target.check_room(size).await.map(|()| target),
                    Err(refusal) => Err(refusal),
                };
                match resolved {
                    Ok(target) => {
                        transaction.targets.push(target);
                        transaction.recipients.push(recipient.path);
                    }
                    Err(refused) => {
                        let refusal = Reply::from(refused);
                        let sender = self.transaction.as_ref().map(|t| &t.sender);
                        self.audit(sender, &recipient.path, None, &refusal, None);
                        self.lmtp.refused.inc();
                        // A list with many strangers on it is no error of the client's.
                        refusal.write(&mut self.output);
                        return Ok(Step::Replied);
                    }
                }
                Step::Reply(reply::RECIPIENT_OK)
            }
            Command::Data => match self.transaction.take() {
                None => return Err(reply::NO_MAIL),
                Some(transaction) if transaction.targets.is_empty() => {
                    // RFC 2033 section 4.2; the transaction goes on.
                    self.transaction = Some(transaction);
                    return Err(reply::NO_RECIPIENTS);
                }
                Some(transaction) => Step::Data(transaction),
            },
            Command::Rset => {
                self.transaction = None;
                self.forwarded = Forwarded::default();
                Step::Reply(reply::OK)
            }
            Command::Noop => Step::Reply(reply::OK),
            Command::Vrfy => Step::Reply(reply::CANNOT_VERIFY),
            Command::Quit => Step::Quit,
        })
    }

    fn check_mail(&self, sender: &Sender) -> Result<(), Reply> {
        if !self.greeted {
            return Err(reply::SAY_LHLO);
        }
        if self.transaction.is_some() {
            return Err(reply::NESTED_MAIL);
        }
        if self.client == Client::Stranger {
            let could_show = self.node.tls.is_some() && !self.stream.is_tls();
            return Err(match could_show {
                true => reply::NEEDS_TLS,
                false => reply::NO_ACCESS,
            });
        }
        if sender.size > Some(self.node.config.lmtp.message_limit) {
            return Err(reply::TOO_LARGE);
        }
        Ok(())
    }

    fn say_capabilities(&mut self) {
        let starttls = match self.node.tls.is_some() && !self.stream.is_tls() {
            true => "250-STARTTLS\r\n",
            false => "",
        };
        let forwards = match self.client {
            Client::Frontend => "IDENT HELO ADDR PROTO SESSION",
            Client::Trusted | Client::Stranger => "IDENT",
        };
        let lines = format!(
            "250-{}\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n\
             250-XFORWARD {forwards}\r\n{starttls}250 SIZE {}\r\n",
            self.node.config.node.name, self.node.config.lmtp.message_limit
        );
        self.output.extend_from_slice(lines.as_bytes());
    }

    /// Takes the message, delivers it, and tells of each recipient.
    async fn data(&mut self, transaction: Transaction) -> Result<(), End> {
        let Transaction {
            sender,
            targets,
            recipients,
        } = transaction;
        let limit = self.node.config.lmtp.message_limit;
        self.messages += 1;
        let added = self.added(&sender, &recipients);
        let strips = self.node.config.lmtp.return_path;
        let recipients: Vec<_> = targets
            .iter()
            .map(|target| (target.recipient.clone(), target.mailbox.clone()))
            .collect();
        let ident = sender.forwarded.ident.clone();
        let mut incoming = Incoming::new(targets, ident, sender.size, limit, added, strips);
        self.receive(&mut incoming, limit).await?;
        let size = incoming.size();
        let began = Instant::now();
        let results = incoming.deliver().await;
        self.lmtp.seconds.observe(began.elapsed().as_secs_f64());
        let delivered = results.iter().filter(|result| result.is_ok()).count();
        self.lmtp.messages.inc_by(u64::from(delivered > 0));
        self.lmtp.delivered.inc_by(delivered as u64);
        self.lmtp.refused.inc_by((results.len() - delivered) as u64);
        for (result, (recipient, mailbox)) in results.into_iter().zip(&recipients) {
            let reply = result.map_or_else(Reply::from, |()| reply::DELIVERED);
            self.audit(Some(&sender), recipient, Some(mailbox), &reply, Some(size));
            reply.write(&mut self.output);
        }
        Ok(())
    }

    /// What is put before a message (RFC 5321 section 4.4).
    fn added(&self, sender: &Sender, recipients: &[String]) -> String {
        let lmtp = &self.node.config.lmtp;
        let mut added = String::new();
        if lmtp.return_path {
            added += &return_path(&sender.path);
        }
        if lmtp.received {
            let own_peer = self.stream.peer();
            let (frontend, name, address, tls) = match self.client {
                // What it says of its client.
                Client::Frontend => {
                    let Forwarded {
                        helo, address, tls, ..
                    } = &sender.forwarded;
                    (own_peer.as_ref(), helo, *address, *tls)
                }
                _ => (None, &self.helo, Some(self.peer), self.stream.is_tls()),
            };
            let received = Received {
                name: name.as_deref(),
                address,
                frontend: frontend.map(|peer| &*peer.name),
                by: &self.node.config.node.name,
                tls,
                id: format!("{}.{}", self.id, self.messages),
                only_for: match recipients {
                    [only] => Some(only),
                    _ => None,
                },
                time: now(),
            };
            added += &received.field();
        }
        added
    }

    /// Notes what became of a message for a recipient.
    fn audit(
        &self,
        sender: Option<&Sender>,
        recipient: &str,
        mailbox: Option<&MailboxName>,
        reply: &Reply,
        size: Option<u64>,
    ) {
        let forwarded = sender.map(|sender| &sender.forwarded);
        // A frontend's session has its client there.
        let session = forwarded.and_then(|forwarded| forwarded.session.clone());
        let client = session.is_none().then_some(self.peer);
        murder_net::audit!(
            "mail.deliver",
            session = session.unwrap_or_else(|| self.id.to_string()),
            client = client.map(tracing::field::display),
            sender = sender.map(|sender| sender.path.as_str()),
            recipient,
            mailbox = mailbox.map(tracing::field::display),
            result = %reply,
            size,
            queue = forwarded.and_then(|forwarded| forwarded.ident.as_deref()),
        );
    }

    /// Reads up to the message's end.
    async fn receive(&mut self, incoming: &mut Incoming, limit: u64) -> Result<(), End> {
        let mut terminator = Terminator::default();
        let mut unstuffer = Unstuffer::default();
        let mut seen = 0;
        let end = loop {
            if let Some(found) = terminator.find(&self.input[seen..]) {
                break seen + found;
            }
            let held = self.input.len().min(HELD_BACK);
            let whole = self.input.split_to(self.input.len() - held).freeze();
            seen = held;
            incoming.take(unstuffer.unstuff(whole)).await;
            // What is too large is read on, so that the client hears why it was refused; within
            // reason.
            if incoming.size() / 2 > limit {
                return Err(End::Saying(reply::ENDLESS));
            }
            self.read_message().await?;
        };
        // Without the dot and its CRLF.
        let last = self.input.split_to(end - 3).freeze();
        self.input.advance(3);
        incoming.take(unstuffer.unstuff(last)).await;
        Ok(())
    }

    /// The next line that has come, without its CRLF.
    fn line(&mut self) -> Option<Result<Bytes, Reply>> {
        let line = self.lines.cut(&mut self.input)?;
        Some(line.map_err(|TooLong| reply::LINE_TOO_LONG))
    }

    /// Waits for more of a command. Nothing but the connection is held meanwhile.
    async fn read_commands(&mut self) -> Result<(), End> {
        self.flush().await?;
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        tokio::select! {
            biased;
            interruption = self.watch.interrupted(None, Instant::now() + IDLE) => {
                return Err(match interruption {
                    Interruption::Draining => Goodbye::Draining.into(),
                    // Nobody is logged in of whom there could be news.
                    Interruption::Silent | Interruption::News(_) => Goodbye::Silent.into(),
                });
            }
            readable = self.stream.readable() => readable?,
        }
        self.input.reserve(READ_COMMANDS);
        self.read().await
    }

    async fn read_message(&mut self) -> Result<(), End> {
        self.flush().await?;
        if self.input.capacity() - self.input.len() < LEAST_ROOM {
            self.input.reserve(READ_MESSAGE);
        }
        self.read().await
    }

    async fn read(&mut self) -> Result<(), End> {
        match timeout(IDLE, self.stream.read_buf(&mut self.input)).await {
            Ok(Ok(0)) => Err(End::Closed),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Goodbye::Silent.into()),
        }
    }

    /// Sends what is waiting.
    async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let output = std::mem::take(&mut self.output);
        self.stream.write_all(&output).await?;
        self.stream.flush().await
    }
}

/// What a command leads to.
enum Step {
    /// This reply.
    Reply(Reply),
    /// The reply is written already.
    Replied,
    /// The message.
    Data(Transaction),
    /// The handshake.
    StartTls(TlsServer),
    /// The end.
    Quit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_frontends_this_machine_or_anyone() {
        let node = |role| Peer {
            name: "x".into(),
            roles: vec![role],
        };
        let frontend = node(Role::Frontend);
        assert_eq!(Client::of(Some(&frontend), false, false), Client::Frontend);
        for other in [Role::Backend, Role::Mupdate, Role::Operator] {
            let other = node(other);
            assert_eq!(Client::of(Some(&other), false, false), Client::Stranger);
        }
        assert_eq!(Client::of(None, false, false), Client::Stranger);
        assert_eq!(Client::of(None, true, false), Client::Trusted);
        assert_eq!(Client::of(None, false, true), Client::Trusted);
    }
}
