//! One POP3 connection: its loop, its state and its end.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use murder_net::metrics::Counted;
use murder_net::{Connection, SessionId};
use murder_pop3::Command;
use murder_session::{
    About, BadCommands, ClientStream, Goodbye, LineCutter, Login, News, NotLoggedIn, Offer,
    Overdue, Presence, Protocol, TooLong, Watch,
};
use murder_store::StoreError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use tracing::{Span, debug, info};

use super::Pop3;
use super::maildrop::Maildrop;
use super::reply::{self, Reply, ok};
use super::{authorization, transaction};
use crate::node::Node;

/// The most bytes in a line: RFC 2449 section 4 wants 255, and AUTH with its initial response is
/// longer: base64 of what [`murder_auth::sasl::MAX_MESSAGE`] allows, and the words before it.
const MAX_LINE: usize = murder_auth::sasl::MAX_MESSAGE.div_ceil(3) * 4 + 64;
/// Bytes that wait for the end of the commands that have come in one go, or of a piece of a
/// message.
pub(super) const MAX_OUTPUT: usize = 64 << 10;
/// What is read at a time.
const READ: usize = 4 << 10;

/// Where a session stands (RFC 1939 section 3). There is no UPDATE: it is over before the next
/// command.
pub(super) enum State {
    /// AUTHORIZATION, with the name of a USER that PASS may follow.
    Authorization(Login, Option<String>),
    /// TRANSACTION: the session's place among those that are logged in, and the mail.
    Transaction(Presence, Box<Maildrop>),
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
    Torn(murder_session::End),
}

impl From<Goodbye> for End {
    fn from(goodbye: Goodbye) -> Self {
        match goodbye {
            Goodbye::Silent => Self::Left,
            Goodbye::Draining => Self::Saying(goodbye.into()),
            Goodbye::BadCommands | Goodbye::FailedLogins | Goodbye::Ended(_) => {
                Self::CutOff(goodbye.into())
            }
        }
    }
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

impl From<NotLoggedIn> for Stop {
    fn from(why: NotLoggedIn) -> Self {
        match why {
            NotLoggedIn::Malformed => Self::Bad(why.into()),
            why => Self::Refused(why.into()),
        }
    }
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

/// The client's connection, and what waits to be sent.
pub(super) struct Wire {
    pub stream: ClientStream,
    pub output: Vec<u8>,
}

impl Wire {
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
}

/// A session.
pub(super) struct Session {
    pub node: Arc<Node>,
    /// What all POP3 sessions share.
    pub pop3: Arc<Pop3>,
    /// The client.
    pub wire: Wire,
    pub state: State,
    /// Its name in logs.
    pub id: SessionId,
    /// The client's address.
    pub peer: IpAddr,
    /// The connection's span, in which `user` is recorded.
    pub span: Span,
    /// Bytes that have come and are not used yet. None are held while idle.
    input: BytesMut,
    /// Cuts commands off it.
    lines: LineCutter,
    bad_commands: BadCommands,
    pub(super) watch: Watch,
    _open: Counted,
}

impl Session {
    pub(super) fn new(node: Arc<Node>, pop3: Arc<Pop3>, connection: Connection) -> Self {
        let limits = &node.config.limits;
        let login = Login::within(limits.login_timeout());
        Self {
            id: connection.session,
            peer: connection.peer_addr.ip().to_canonical(),
            wire: Wire {
                stream: ClientStream::new(connection.stream, limits.slow_reader()),
                output: Vec::new(),
            },
            watch: Watch::new(node.shutdown.token(), login.deadline()),
            state: State::Authorization(login, None),
            span: Span::current(),
            input: BytesMut::new(),
            lines: LineCutter::new(MAX_LINE),
            bad_commands: BadCommands::default(),
            _open: pop3.metrics.open_session(),
            pop3,
            node,
        }
    }

    /// Serves the client to the end.
    pub(super) async fn run(mut self) {
        // No `<…>` in it, which would offer APOP.
        let greeting = format!("{} POP3 server ready", self.node.config.node.name);
        ok(greeting).write(&mut self.wire.output);
        let end = loop {
            if let Err(end) = self.next().await {
                break end;
            }
        };
        if let State::Transaction(_, maildrop) = &self.state
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
        if let Some(news) = self.presence().and_then(Presence::news) {
            self.hear(news)?;
        }
        let done = match line {
            Ok(line) => match Command::parse(&line) {
                Ok(command) => {
                    self.pop3.metrics.command(command.name());
                    let overdue = Overdue::of(self.presence());
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
            reply.write(&mut self.wire.output);
        }
        match bad {
            true => self.bad_commands.count()?,
            false => self.bad_commands.end(),
        }
        if let State::Authorization(login, _) = &self.state {
            login.check()?;
        }
        Ok(self.wire.make_room().await?)
    }

    /// Runs a command, if it is legal in the session's state.
    async fn obey(&mut self, command: Command) -> Done {
        use Command as C;
        use State as S;
        match (&mut self.state, command) {
            (_, C::Capa) => Ok(authorization::capa(self)),
            (_, C::Quit) => Err(Stop::End(self.quit().await)),
            (S::Authorization(login, _), C::Stls) => {
                let deadline = login.deadline();
                authorization::stls(self, deadline).await
            }
            (S::Authorization(..), C::User(name)) => authorization::user(self, name),
            (S::Authorization(..), C::Pass(password)) => authorization::pass(self, &password).await,
            (
                S::Authorization(..),
                C::Auth {
                    mechanism,
                    initial_response,
                },
            ) => authorization::auth(self, &mechanism, initial_response).await,
            (S::Authorization(..), _) => Err(Stop::Bad(reply::LOG_IN_FIRST)),
            (_, C::Stls | C::User(_) | C::Pass(_) | C::Auth { .. }) => {
                Err(Stop::Bad(reply::LOGGED_IN_ALREADY))
            }
            (S::Transaction(_, maildrop), C::Stat) => transaction::stat(&self.pop3, maildrop).await,
            (S::Transaction(_, maildrop), C::List(message)) => {
                transaction::list(&self.pop3, &mut self.wire, maildrop, message).await
            }
            (S::Transaction(_, maildrop), C::Uidl(message)) => {
                transaction::uidl(&mut self.wire, maildrop, message).await
            }
            (S::Transaction(_, maildrop), C::Retr(message)) => {
                let mark_seen = self.node.config.pop3.mark_seen;
                transaction::retr(&self.pop3, &mut self.wire, maildrop, message, mark_seen).await
            }
            (S::Transaction(_, maildrop), C::Top { message, lines }) => {
                transaction::top(&mut self.wire, maildrop, message, lines).await
            }
            (S::Transaction(_, maildrop), C::Dele(message)) => transaction::dele(maildrop, message),
            (S::Transaction(_, maildrop), C::Rset) => Ok(transaction::rset(maildrop)),
            (S::Transaction(..), C::Noop) => Ok(Some(ok(""))),
        }
    }

    /// QUIT, which alone removes messages.
    async fn quit(&mut self) -> End {
        let name = &self.node.config.node.name;
        let State::Transaction(_, maildrop) = &mut self.state else {
            return End::Saying(ok(format!("{name} signing off")));
        };
        End::Saying(match maildrop.update().await {
            Ok(removed) => {
                self.pop3.deleted.inc_by(removed);
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
            tls: self.wire.stream.is_tls(),
        }
    }

    /// Takes note of what has become of the account.
    fn hear(&mut self, news: News) -> Result<(), End> {
        match (news, &mut self.state) {
            (News::Ended(end), _) => Err(Goodbye::Ended(end).into()),
            (News::Changed, State::Transaction(_, maildrop)) => {
                maildrop.look_identity_up(&self.node);
                Ok(())
            }
            (News::Changed, State::Authorization(..)) => Ok(()),
        }
    }

    /// The session's place among those that are logged in; `None` before login.
    fn presence(&self) -> Option<&Presence> {
        match &self.state {
            State::Transaction(presence, _) => Some(presence),
            State::Authorization(..) => None,
        }
    }

    /// What the client may log in by.
    pub(super) fn offer(&self) -> Offer {
        let plaintext_loopback = self.node.config.pop3.allow_plaintext_loopback;
        let stream = &self.wire.stream;
        Offer::new(
            stream.is_tls(),
            plaintext_loopback,
            self.peer,
            stream.peer(),
        )
    }

    /// Whether anything has come that is no line yet.
    pub(super) fn has_buffered(&self) -> bool {
        self.lines.is_skipping() || !self.input.is_empty()
    }

    /// A line within a command: a SASL response.
    ///
    /// # Errors
    /// As when waiting for a command; one that is too long is refused.
    pub(super) async fn read_line(&mut self) -> Result<Bytes, Stop> {
        loop {
            match self.line() {
                Some(Ok(line)) => return Ok(line),
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
        self.wire.flush().await?;
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        let (presence, deadline) = match &self.state {
            State::Authorization(login, _) => (None, login.deadline()),
            State::Transaction(presence, _) => {
                let idle_timeout = self.node.config.limits.idle_timeout();
                (Some(presence), Instant::now() + idle_timeout)
            }
        };
        let read = async {
            self.wire.stream.readable().await?;
            self.input.reserve(READ);
            self.wire.stream.read_buf(&mut self.input).await
        };
        let interruption = tokio::select! {
            biased;
            interruption = self.watch.interrupted(presence, deadline) => interruption,
            read = read => return match read? {
                0 => Err(End::Left),
                _ => Ok(()),
            },
        };
        self.hear(interruption.news()?)
    }

    /// Sends what is queued and the last word, and closes the connection. `cut_off`: the client
    /// may be sending still.
    async fn say_goodbye(&mut self, reply: &Reply, cut_off: bool) {
        reply.write(&mut self.wire.output);
        let output = &self.wire.output;
        let send = async |stream: &mut ClientStream| {
            stream.write_all(output).await?;
            stream.flush().await
        };
        murder_session::close(&mut self.wire.stream, send, cut_off).await;
    }
}
