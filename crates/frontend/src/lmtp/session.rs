//! One client's session, from greeting to QUIT.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Buf;
use memchr::memchr;
use murder_lmtp::{Command, CommandError, Forwarded, Recipient, Sender, Terminator};
use murder_net::Stream;
use murder_session::{BadCommands, Goodbye, Interruption, LineCutter, TooLong, Watch};
use tokio::time::{Instant, timeout};

use super::deliver::Delivery;
use super::recipient::{Origin, Target, resolve};
use super::reply::Reply;
use crate::shared::Shared;
use crate::wire::{HIGH_WATER, Wire};

/// The longest command line; RFC 5321 section 4.5.3.1.4 wants 512 octets and more for
/// parameters.
const MAX_LINE: usize = 4096;
/// Octets of the message that are looked at in one go.
const CHUNK: usize = 16 * 1024;
/// How long the client may say nothing between commands (RFC 5321 section 4.5.3.2.7).
const COMMAND_TIMEOUT: Duration = Duration::from_secs(300);
/// How long it may say nothing within a message (RFC 5321 section 4.5.3.2.5).
const DATA_TIMEOUT: Duration = Duration::from_secs(180);
/// A message this many times over the limit is not read to its end for the sake of a reply.
const WORTH_SKIPPING: u64 = 4;
/// `.` and the line end behind it.
const TERMINATOR: u64 = 3;

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// QUIT, or the client closed the connection.
    #[error("finished")]
    Quit,
    /// The client's side failed.
    #[error("connection failed: {0}")]
    Client(std::io::Error),
    /// The server ends it.
    #[error("{0}")]
    Goodbye(Goodbye),
    /// The message does not end.
    #[error("message is far too big")]
    Endless,
}

impl From<Goodbye> for Ended {
    fn from(goodbye: Goodbye) -> Self {
        Self::Goodbye(goodbye)
    }
}

/// A session.
pub(super) struct Session {
    shared: Arc<Shared>,
    wire: Wire,
    id: Arc<str>,
    peer: IpAddr,
    greeted: bool,
    sender: Option<Sender>,
    /// What the client calls itself.
    helo: Option<String>,
    /// What the client calls the message of the next transaction.
    ident: Option<String>,
    recipients: Vec<Target>,
    bad_commands: BadCommands,
    lines: LineCutter,
    watch: Watch,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, stream: Stream, id: Arc<str>, peer: IpAddr) -> Self {
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        Self {
            watch: Watch::new(shared.goodbye.clone(), deadline),
            shared,
            wire: Wire::new(stream, HIGH_WATER),
            id,
            peer,
            greeted: false,
            sender: None,
            helo: None,
            ident: None,
            recipients: Vec::new(),
            bad_commands: BadCommands::default(),
            lines: LineCutter::new(MAX_LINE),
        }
    }

    /// Serves the client to the end.
    pub(super) async fn run(&mut self) -> Ended {
        /// Whoever does not take the last word has gone.
        const LAST_WORD: Duration = Duration::from_secs(2);
        let node = self.shared.settings.node.clone();
        self.reply(&Reply::new(220, format!("{node} LMTP murder ready")));
        let ended = match self.serve().await {
            Ok(never) => match never {},
            Err(ended) => ended,
        };
        match &ended {
            Ended::Quit | Ended::Client(_) => {}
            Ended::Goodbye(goodbye) => self.reply(&of_goodbye(*goodbye)),
            Ended::Endless => self.reply(&Reply::new(421, "4.7.0 Message is far too big")),
        }
        if !matches!(ended, Ended::Client(_)) {
            let _ = timeout(LAST_WORD, self.wire.close()).await;
        }
        ended
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, Ended> {
        loop {
            if !self.wire.has_room() {
                self.drain().await?;
            }
            // Replies go out together when nothing more has come.
            match self.lines.cut(&mut self.wire.input) {
                None => self.fill().await?,
                Some(Err(TooLong)) => self.bad(&Reply::new(500, "5.5.2 Line too long"))?,
                Some(Ok(line)) => match Command::parse(&line) {
                    Ok(command) => self.command(command).await?,
                    Err(error) => self.bad(&of_error(error))?,
                },
            }
        }
    }

    fn reply(&mut self, reply: &Reply) {
        self.wire.put_line(format_args!("{reply}"));
    }

    fn bad(&mut self, reply: &Reply) -> Result<(), Ended> {
        self.reply(reply);
        Ok(self.bad_commands.count()?)
    }

    async fn fill(&mut self) -> Result<(), Ended> {
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        tokio::select! {
            biased;
            filled = self.wire.fill() => match filled {
                Ok(0) => Err(Ended::Quit),
                Ok(_) => Ok(()),
                Err(error) => Err(Ended::Client(error)),
            },
            interruption = self.watch.interrupted(None, deadline) => Err(match interruption {
                Interruption::Draining => Goodbye::Draining.into(),
                // Nobody is logged in of whom there could be news.
                Interruption::Silent | Interruption::News(_) => Goodbye::Silent.into(),
            }),
        }
    }

    async fn drain(&mut self) -> Result<(), Ended> {
        match timeout(self.shared.settings.write_timeout, self.wire.drain()).await {
            Ok(drained) => drained.map_err(Ended::Client),
            Err(_) => Err(Goodbye::Silent.into()),
        }
    }

    fn reset(&mut self) {
        self.sender = None;
        self.ident = None;
        self.recipients = Vec::new();
    }

    async fn command(&mut self, command: Command) -> Result<(), Ended> {
        let out_of_order = |text: &str| Reply::new(503, format!("5.5.1 {text}"));
        let reply = match command {
            Command::Lhlo(name) => {
                self.reset();
                self.helo = name;
                self.greeted = true;
                self.extensions();
                self.bad_commands.end();
                return Ok(());
            }
            Command::Noop => Reply::new(250, "2.0.0 OK"),
            Command::Vrfy => Reply::new(252, "2.5.2 Send mail and see"),
            Command::Rset => {
                self.reset();
                Reply::new(250, "2.0.0 OK")
            }
            Command::Quit => {
                self.reply(&Reply::new(221, "2.0.0 Bye"));
                return Err(Ended::Quit);
            }
            Command::StartTls => return Box::pin(self.start_tls()).await,
            _ if !self.greeted => return self.bad(&out_of_order("Say LHLO first")),
            Command::Mail(_) | Command::Xforward(_) if self.sender.is_some() => {
                return self.bad(&out_of_order("A transaction is under way"));
            }
            // Where the message was before the client had it is in what the client has written
            // into it.
            Command::Xforward(forwarded) => {
                self.ident = forwarded.ident;
                Reply::new(250, "2.0.0 OK")
            }
            Command::Mail(sender) => self.mail(sender),
            Command::Rcpt(_) if self.sender.is_none() => {
                return self.bad(&out_of_order("Say MAIL first"));
            }
            Command::Rcpt(recipient) => Box::pin(self.rcpt(recipient)).await,
            Command::Data if self.recipients.is_empty() => {
                return self.bad(&out_of_order("No valid recipients"));
            }
            Command::Data => {
                self.bad_commands.end();
                return Box::pin(self.data()).await;
            }
        };
        self.bad_commands.end();
        self.reply(&reply);
        Ok(())
    }

    fn extensions(&mut self) {
        let settings = &self.shared.settings;
        let mut lines = format!(
            "250-{}\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n\
             250-XFORWARD IDENT\r\n",
            settings.node
        );
        if !self.is_secure() {
            lines.push_str("250-STARTTLS\r\n");
        }
        lines.push_str(&format!("250 SIZE {}\r\n", settings.message_limit));
        self.wire.put(lines.as_bytes());
    }

    fn is_secure(&self) -> bool {
        self.wire.is_tls()
    }

    async fn start_tls(&mut self) -> Result<(), Ended> {
        if self.is_secure() {
            return self.bad(&Reply::new(503, "5.5.1 TLS is active already"));
        }
        self.reply(&Reply::new(220, "2.0.0 Begin TLS negotiation"));
        self.drain().await?;
        let plain = self.wire.take_stream().map_err(Ended::Client)?;
        let stream = self.shared.accept_tls(plain).await.map_err(Ended::Client)?;
        self.wire.upgraded(stream);
        // Nothing that was said before counts (RFC 3207 section 4.2).
        self.reset();
        self.greeted = false;
        Ok(())
    }

    fn mail(&mut self, mut sender: Sender) -> Reply {
        if sender
            .size
            .is_some_and(|size| size > self.shared.settings.message_limit)
        {
            return Reply::too_big();
        }
        sender.forwarded = Forwarded {
            ident: self.ident.take(),
            helo: self.helo.clone(),
            address: Some(self.peer),
            tls: self.is_secure(),
            session: Some(self.id.to_string()),
        };
        self.sender = Some(sender);
        Reply::new(250, "2.1.0 OK")
    }

    async fn rcpt(&mut self, recipient: Recipient) -> Reply {
        if self.recipients.len() >= self.shared.settings.max_recipients {
            return Reply::new(452, "4.5.3 Too many recipients");
        }
        let origin = Origin {
            session: &self.id,
            client: self.peer,
        };
        match resolve(&self.shared, &recipient, &origin).await {
            Ok(target) => {
                self.recipients.push(target);
                Reply::new(250, "2.1.5 OK")
            }
            Err(refused) => {
                self.audit(&recipient.path, None, &refused, None);
                self.shared.metrics.recipient(refused.code);
                refused
            }
        }
    }

    /// Takes the message and passes it on.
    async fn data(&mut self) -> Result<(), Ended> {
        let sender = self.sender.clone().unwrap_or_default();
        let recipients = std::mem::take(&mut self.recipients);
        let shared = self.shared.clone();
        let mut delivery = Box::pin(Delivery::open(&shared, &sender, &recipients)).await;
        self.reply(&Reply::new(354, "Go ahead, end with a dot"));
        let octets = self.relay(&mut delivery).await?;
        let replies = Box::pin(delivery.finish(&shared)).await;
        for (reply, recipient) in replies.iter().zip(&recipients) {
            shared.metrics.recipient(reply.code);
            if !reply.is_ok() {
                tracing::warn!(
                    recipient = recipient.path,
                    sender = sender.path,
                    backend = recipient.node,
                    %reply,
                    "not delivered"
                );
            }
            self.audit(&recipient.path, Some(&recipient.node), reply, Some(octets));
            self.reply(reply);
        }
        self.sender = None;
        Ok(())
    }

    /// Notes what became of a message for a recipient.
    fn audit(&self, recipient: &str, backend: Option<&str>, reply: &Reply, size: Option<u64>) {
        let sender = self.sender.as_ref();
        murder_net::audit!(
            "mail.relay",
            session = &*self.id,
            client = %self.peer,
            sender = sender.map(|sender| sender.path.as_str()),
            recipient,
            backend,
            result = %reply,
            size,
            queue = sender.and_then(|sender| sender.forwarded.ident.as_deref()),
        );
    }

    /// Moves the message's octets, to its end; how many.
    async fn relay(&mut self, delivery: &mut Delivery) -> Result<u64, Ended> {
        let limit = self
            .shared
            .settings
            .message_limit
            .saturating_add(TERMINATOR);
        let mut terminator = Terminator::default();
        let mut octets = 0;
        loop {
            while delivery.has_room() && !self.wire.input.is_empty() {
                let len = self.wire.input.len().min(CHUNK);
                let end = terminator.find(&self.wire.input[..len]);
                let len = end.unwrap_or(len);
                if memchr(0, &self.wire.input[..len]).is_some() {
                    // No client could be sent it (RFC 9051 section 9).
                    delivery.abort(&Reply::nul());
                }
                let was_within = octets <= limit;
                octets += len as u64;
                if octets <= limit {
                    delivery.put(&self.wire.input[..len]);
                } else if was_within {
                    delivery.abort(&Reply::too_big());
                }
                self.wire.input.advance(len);
                if end.is_some() {
                    return Ok(octets.saturating_sub(TERMINATOR));
                }
                if octets > limit.saturating_mul(WORTH_SKIPPING) {
                    return Err(Ended::Endless);
                }
            }
            self.wait(delivery).await?;
        }
    }

    /// Waits for the client's next octets, or for room at the backends.
    async fn wait(&mut self, delivery: &mut Delivery) -> Result<(), Ended> {
        let room = delivery.has_room();
        let limit = if room {
            DATA_TIMEOUT
        } else {
            self.shared.lmtp.silence()
        };
        let wire = &mut self.wire;
        let moved = poll_fn(|cx| {
            let changed = delivery.poll_send(cx);
            if let Poll::Ready(Err(error)) = wire.poll_drain(cx) {
                return Poll::Ready(Some(Err(error)));
            }
            if room {
                if let Poll::Ready(read) = wire.poll_fill(cx) {
                    return Poll::Ready(Some(read));
                }
                wire.acknowledge();
            }
            match changed {
                true => Poll::Ready(None),
                false => Poll::Pending,
            }
        });
        match timeout(limit, moved).await {
            Ok(None | Some(Ok(1..))) => Ok(()),
            Ok(Some(Ok(0))) => Err(Ended::Client(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(Some(Err(error))) => Err(Ended::Client(error)),
            Err(_) if room => Err(Goodbye::Silent.into()),
            Err(_) => {
                delivery.lose_stalled();
                Ok(())
            }
        }
    }
}

fn of_goodbye(goodbye: Goodbye) -> Reply {
    let enhanced = match goodbye {
        Goodbye::Draining => "4.3.2",
        Goodbye::Silent => "4.4.2",
        Goodbye::BadCommands | Goodbye::FailedLogins | Goodbye::Ended(_) => "4.7.0",
    };
    Reply::new(421, format!("{enhanced} {}", goodbye.last_word()))
}

fn of_error(error: CommandError) -> Reply {
    match error {
        CommandError::Unknown => Reply::new(500, "5.5.1 Unknown command"),
        CommandError::Syntax => Reply::new(501, "5.5.4 Syntax error"),
        CommandError::NotLmtp => Reply::new(500, "5.5.1 This is LMTP, say LHLO"),
        CommandError::Parameter => Reply::new(555, "5.5.4 Unknown parameter"),
    }
}
