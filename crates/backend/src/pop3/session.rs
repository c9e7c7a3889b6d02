//! One POP3 connection: its loop, its state and its end.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use murder_net::metrics::Counted;
use murder_net::{Connection, Role, SessionId};
use murder_pop3::{Command, Secret};
use murder_sessions::{About, News, Overdue, Presence, Protocol, news_of};
use murder_store::StoreError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{Span, debug, info};

use super::maildrop::Maildrop;
use super::reply::{self, Reply, ok};
use super::{authorization, transaction};
use crate::line::{LineCutter, TooLong};
use crate::login::MAX_FAILED_LOGINS;
use crate::node::Node;
use crate::stream::ClientStream;

/// The most bytes in a line: RFC 2449 section 4 wants 255, and AUTH with its initial response is
/// longer: base64 of what [`murder_auth::sasl::MAX_MESSAGE`] allows, and the words before it.
const MAX_LINE: usize = murder_auth::sasl::MAX_MESSAGE.div_ceil(3) * 4 + 64;
/// Bad commands in a row after which whoever sends them is no mail client.
const MAX_BAD_COMMANDS: u32 = 20;
/// Bytes that wait for the end of the commands that have come in one go, or of a piece of a
/// message.
pub(super) const MAX_OUTPUT: usize = 64 << 10;
/// What is read at a time.
const READ: usize = 4 << 10;
/// How long a client may take to hear the last word.
const LAST_WORD: Duration = Duration::from_secs(2);
/// What a client that is cut off may still send without losing the last word to a reset
/// connection: what is in flight.
const LINGER_BYTES: u64 = 1 << 20;

/// Where a session stands (RFC 1939 section 3). There is no UPDATE: it is over before the next
/// command.
pub(super) enum State {
    /// AUTHORIZATION, with the name of a USER that PASS may follow.
    Authorization(Option<String>),
    /// TRANSACTION.
    Transaction(Box<Maildrop>),
}

/// Why a session ends.
pub(super) enum End {
    /// The connection is gone.
    Gone(io::Error),
    /// The client closed it without QUIT, or was silent for too long, which is not answered
    /// (RFC 1939 section 3).
    Left,
    /// It is answered with this and closed: after QUIT, and when the node drains.
    Saying(Reply),
    /// The same for a client that does as none should, in the middle of what it sends.
    CutOff(Reply),
    /// It has to end, and a command was under way that did not end in time: nothing more can be
    /// said.
    Torn(murder_sessions::End),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

/// Why a command did not come to its `+OK`.
pub(super) enum Stop {
    /// It is answered with this.
    Refused(Reply),
    /// A command that no client sends: counted.
    Bad(Reply),
    /// The session ends.
    End(End),
}

impl From<Reply> for Stop {
    fn from(reply: Reply) -> Self {
        Self::Refused(reply)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::End(End::Gone(error))
    }
}

/// How a command ends; `None` when it is answered already.
pub(super) type Done = Result<Option<Reply>, Stop>;

/// A session.
pub(super) struct Session {
    pub node: Arc<Node>,
    pub stream: ClientStream,
    pub state: State,
    /// Its name in logs.
    pub id: SessionId,
    /// The client's address.
    pub peer: IpAddr,
    /// Logins that failed.
    pub failed_logins: u32,
    /// When whoever has not logged in is sent away.
    pub login_deadline: Instant,
    /// What waits to be sent.
    pub output: Vec<u8>,
    /// The session's place among those that are logged in; `None` before login.
    pub presence: Option<Presence>,
    /// The connection's span, in which `user` is recorded.
    pub span: Span,
    /// Bytes that have come and are not used yet. None are held while idle.
    input: BytesMut,
    /// Cuts commands off it.
    lines: LineCutter,
    bad_commands: u32,
    _open: Counted,
}

impl Session {
    pub(super) fn new(node: Arc<Node>, connection: Connection) -> Self {
        let limits = &node.config.limits;
        Self {
            id: connection.session,
            peer: connection.peer_addr.ip().to_canonical(),
            stream: ClientStream::new(connection.stream, limits.slow_reader()),
            state: State::Authorization(None),
            failed_logins: 0,
            login_deadline: Instant::now() + limits.login_timeout(),
            output: Vec::new(),
            presence: None,
            span: Span::current(),
            input: BytesMut::new(),
            lines: LineCutter::new(MAX_LINE),
            bad_commands: 0,
            _open: node.pop3.metrics.open_session(),
            node,
        }
    }

    /// Serves the client to the end.
    pub(super) async fn run(mut self) {
        // No `<…>` in it, which would offer APOP.
        let greeting = format!("{} POP3 server ready", self.node.config.node.name);
        ok(greeting).write(&mut self.output);
        let end = loop {
            if let Err(end) = self.next().await {
                break end;
            }
        };
        if let State::Transaction(maildrop) = &self.state
            && self.node.config.pop3.mark_seen
        {
            maildrop.mark_seen().await;
        }
        match end {
            End::Gone(error) => debug!(%error, "no word more to this client"),
            End::Left => debug!("the client has left without QUIT"),
            End::Saying(reply) => self.say_goodbye(&reply, false).await,
            End::CutOff(reply) => self.say_goodbye(&reply, true).await,
            End::Torn(end) => debug!(%end, "cut off in the middle of a command"),
        }
    }

    /// Takes the next command.
    async fn next(&mut self) -> Result<(), End> {
        let line = loop {
            match self.line() {
                Some(line) => break line,
                None => self.wait().await?,
            }
        };
        if let Some(news) = self.presence.as_ref().and_then(Presence::news) {
            self.hear(news)?;
        }
        let done = match line {
            Ok(line) => match Command::parse(&line) {
                Ok(command) => {
                    self.node.pop3.metrics.command(command.name());
                    let overdue = Overdue::of(self.presence.as_ref());
                    tokio::select! {
                        biased;
                        done = Box::pin(self.obey(command)) => done,
                        end = overdue => return Err(End::Torn(end)),
                    }
                }
                Err(error) => Err(Stop::Bad(error.into())),
            },
            Err(reply) => Err(Stop::Bad(reply)),
        };
        let (reply, bad) = match done {
            Ok(reply) => (reply, false),
            Err(Stop::Refused(reply)) => (Some(reply), false),
            Err(Stop::Bad(reply)) => (Some(reply), true),
            Err(Stop::End(end)) => return Err(end),
        };
        if let Some(reply) = reply {
            reply.write(&mut self.output);
        }
        self.bad_commands = if bad { self.bad_commands + 1 } else { 0 };
        if self.bad_commands >= MAX_BAD_COMMANDS {
            return Err(End::CutOff(reply::TOO_MANY_ERRORS));
        }
        if self.failed_logins >= MAX_FAILED_LOGINS {
            return Err(End::CutOff(reply::TOO_MANY_LOGINS));
        }
        Ok(self.make_room().await?)
    }

    /// Runs a command, if it is legal in the session's state.
    async fn obey(&mut self, command: Command) -> Done {
        let authorizing = matches!(self.state, State::Authorization(_));
        match command {
            Command::Capa => Ok(authorization::capa(self)),
            Command::Quit => Err(Stop::End(self.quit().await)),
            Command::Stls if authorizing => authorization::stls(self).await,
            Command::User(name) if authorizing => authorization::user(self, name),
            Command::Pass(password) if authorizing => authorization::pass(self, &password).await,
            Command::Auth {
                mechanism,
                initial_response,
            } if authorizing => authorization::auth(self, &mechanism, initial_response).await,
            Command::Stls | Command::User(_) | Command::Pass(_) | Command::Auth { .. } => {
                Err(Stop::Bad(reply::LOGGED_IN_ALREADY))
            }
            _ if authorizing => Err(Stop::Bad(reply::LOG_IN_FIRST)),
            Command::Stat => transaction::stat(self).await,
            Command::List(message) => transaction::list(self, message).await,
            Command::Uidl(message) => transaction::uidl(self, message).await,
            Command::Retr(message) => transaction::retr(self, message).await,
            Command::Top { message, lines } => transaction::top(self, message, lines).await,
            Command::Dele(message) => transaction::dele(self, message),
            Command::Rset => transaction::rset(self),
            Command::Noop => Ok(Some(ok(""))),
        }
    }

    /// QUIT, which alone removes messages.
    async fn quit(&mut self) -> End {
        let name = &self.node.config.node.name;
        let State::Transaction(maildrop) = &mut self.state else {
            return End::Saying(ok(format!("{name} signing off")));
        };
        End::Saying(match maildrop.update().await {
            Ok(removed) => {
                self.node.pop3.metrics.deleted.inc_by(removed);
                info!(removed, "QUIT");
                let left = match maildrop.count() {
                    0 => "maildrop empty".to_owned(),
                    left => reply::messages(left) + " left",
                };
                ok(format!("{name} signing off ({left})"))
            }
            Err(reply) => reply,
        })
    }

    /// What operators see of the session.
    pub(super) fn about(&self) -> About {
        About {
            id: self.id,
            protocol: Protocol::Pop3,
            peer: self.peer,
            tls: self.stream.is_tls(),
        }
    }

    /// Takes note of what has become of the account.
    fn hear(&mut self, news: News) -> Result<(), End> {
        match (news, &mut self.state) {
            (News::Ended(end), _) => Err(End::CutOff(end.into())),
            (News::Changed, State::Transaction(maildrop)) => {
                maildrop.look_identity_up(&self.node);
                Ok(())
            }
            (News::Changed, State::Authorization(_)) => Ok(()),
        }
    }

    /// The maildrop; only asked for in the TRANSACTION state.
    pub(super) fn maildrop(&mut self) -> Result<&mut Maildrop, Stop> {
        match &mut self.state {
            State::Transaction(maildrop) => Ok(maildrop),
            State::Authorization(_) => Err(Stop::Bad(reply::LOG_IN_FIRST)),
        }
    }

    /// Whether the client is a frontend of the cluster, which may vouch for users.
    pub(super) fn is_frontend(&self) -> bool {
        self.stream
            .peer()
            .is_some_and(|peer| peer.has_role(Role::Frontend))
    }

    /// Whether passwords may be sent.
    pub(super) fn may_log_in(&self) -> bool {
        self.stream.is_tls()
            || (self.node.config.pop3.allow_plaintext_loopback && self.peer.is_loopback())
    }

    /// Whether anything has come that is no line yet.
    pub(super) fn has_buffered(&self) -> bool {
        self.lines.is_skipping() || !self.input.is_empty()
    }

    /// A line within a command: a SASL response.
    ///
    /// # Errors
    /// As when waiting for a command; one that is too long is refused.
    pub(super) async fn read_line(&mut self) -> Result<Secret, Stop> {
        loop {
            match self.line() {
                Some(Ok(line)) => return Ok(Secret::new(&line[..])),
                Some(Err(reply)) => return Err(Stop::Bad(reply)),
                None => self.wait().await.map_err(Stop::End)?,
            }
        }
    }

    /// The next line that has come, without its line break.
    fn line(&mut self) -> Option<Result<Bytes, Reply>> {
        let line = self.lines.cut(&mut self.input)?;
        Some(line.map_err(|TooLong| reply::LINE_TOO_LONG))
    }

    /// Sends what is queued and waits for more; no buffer is held meanwhile.
    async fn wait(&mut self) -> Result<(), End> {
        self.flush().await?;
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        let deadline = match self.state {
            State::Authorization(_) => self.login_deadline,
            State::Transaction(_) => Instant::now() + self.node.config.limits.idle_timeout(),
        };
        let draining = self.node.shutdown.token();
        let read = async {
            self.stream.readable().await?;
            self.input.reserve(READ);
            self.stream.read_buf(&mut self.input).await
        };
        tokio::select! {
            biased;
            () = draining.cancelled() => Err(End::Saying(reply::SHUTTING_DOWN)),
            news = news_of(self.presence.as_ref()) => self.hear(news),
            read = read => match read? {
                0 => Err(End::Left),
                _ => Ok(()),
            },
            () = sleep_until(deadline) => Err(End::Left),
        }
    }

    /// Sends what is queued if it is much: to be called between the parts of a long answer.
    pub(super) async fn make_room(&mut self) -> io::Result<()> {
        match self.output.len() {
            ..MAX_OUTPUT => Ok(()),
            _ => self.flush().await,
        }
    }

    /// Sends what is queued.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let output = std::mem::take(&mut self.output);
        self.stream.write_all(&output).await?;
        self.stream.flush().await
    }

    /// Sends what is queued and the last word, and closes the connection. `cut_off`: the client
    /// may be sending still.
    async fn say_goodbye(&mut self, reply: &Reply, cut_off: bool) {
        reply.write(&mut self.output);
        let close = async {
            self.flush().await?;
            self.stream.shutdown().await?;
            if cut_off {
                let mut sent = (&mut self.stream).take(LINGER_BYTES);
                tokio::io::copy(&mut sent, &mut tokio::io::sink()).await?;
            }
            io::Result::Ok(())
        };
        // Who does not take it has gone; there is nobody to tell.
        let _ = timeout(LAST_WORD, close).await;
    }
}
