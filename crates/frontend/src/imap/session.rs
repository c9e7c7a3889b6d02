//! One client's session, from greeting to BYE.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use murder_imap::AppendStart;
use murder_imap::node::MAILBOX_DELETED;
use murder_mailbox::{Identity, Namespace, Rights};
use murder_net::{Alarm, Cancelled, SessionId, Stream};
use murder_session::{
    BadCommands, CUT_OFF_AFTER, End, Goodbye, Login, News, Offer, Overdue, Presence,
};
use tokio::time::Instant;

use crate::backend::connection::ActingFor;
use crate::backend::{BackendError, Status};
use crate::imap::arguments::{Encoding, Line};
use crate::imap::ask::on_selected;
use crate::imap::client::{Client, Input};
use crate::imap::errors::{OpError, OpResult, Refusal};
use crate::imap::op;
use crate::imap::selected::{Passed, Selected, write_tagged};
use crate::imap::table::{Call, Command, Route, Running, States};
use crate::route::Viewer;
use crate::shared::Shared;

/// Where a session stands (RFC 9051 section 3).
pub(crate) enum State {
    /// Nobody has logged in.
    NotAuthenticated(Login),
    /// Somebody has.
    Authenticated,
    /// A mailbox is selected.
    Selected(Box<Selected>),
    /// Nothing more is taken.
    Logout,
}

/// Who has logged in.
pub(crate) struct User {
    /// Who it is.
    pub identity: Identity,
    /// How mailbox names look to them.
    pub namespace: Namespace,
    /// What backends are told.
    pub acting: ActingFor,
}

impl User {
    /// The user, to whom mailboxes are known by each of these rights, and by `l`.
    pub(crate) fn viewer(&self, by: Rights) -> Viewer<'_> {
        Viewer {
            identity: &self.identity,
            by,
        }
    }
}

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// LOGOUT, or the client closed the connection.
    #[error("logged out")]
    Logout,
    /// The client's side failed.
    #[error("connection failed: {0}")]
    Client(std::io::Error),
    /// The client did not read.
    #[error("client does not read")]
    Stalled,
    /// The server ends it.
    #[error("{0}")]
    Goodbye(Goodbye),
    /// The backend of the selected mailbox went where that could not be told otherwise.
    #[error("{0}")]
    Torn(BackendError),
    /// The answer to a change was lost, and could not be found out.
    #[error("{0}")]
    Unanswered(BackendError),
    /// What became of a command is not known, or cannot be told.
    #[error("{0}")]
    Unknown(&'static str),
}

impl From<Goodbye> for Ended {
    fn from(goodbye: Goodbye) -> Self {
        Self::Goodbye(goodbye)
    }
}

/// An IDLE with nothing selected.
pub(super) struct Idle {
    tag: Box<str>,
    /// When the client has been silent for too long.
    pub until: Instant,
    /// When it is told that the server is still there.
    pub notify_at: Instant,
}

/// A session.
pub(crate) struct Session {
    /// What all sessions share.
    pub shared: Arc<Shared>,
    /// The client.
    pub client: Client,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// Its id, in the logs of both nodes.
    pub id: SessionId,
    /// The client's address.
    pub peer: IpAddr,
    /// Where it stands.
    pub state: State,
    /// Who has logged in.
    pub user: Option<Arc<User>>,
    /// The session's place among those that are logged in; `None` before login.
    pub presence: Option<Presence>,
    /// How the client writes mailbox names.
    pub encoding: Encoding,
    bad_commands: BadCommands,
    /// A command that waits for those before it.
    pub(super) waiting: Option<Input>,
    /// The client is in IDLE with nothing selected. In one with a mailbox the backend speaks.
    pub(super) idle: Option<Box<Idle>>,
    /// The client has closed its half.
    pub(super) end_of_input: bool,
    /// The node goes down, or the session has to end: nothing more is taken, what is under way is
    /// finished.
    pub(super) leaving: bool,
    /// Why the session has to end, and when what is under way is cut off.
    pub(super) ending: Option<(End, Instant)>,
    /// Told when the node goes down.
    pub(super) goodbye: Cancelled,
    /// Goes off when a wait has lasted for too long.
    pub(super) alarm: Alarm,
}

impl Session {
    /// A session over `stream`.
    pub(crate) fn new(shared: Arc<Shared>, stream: Stream, id: SessionId, peer: IpAddr) -> Self {
        let settings = &shared.settings;
        let secure = stream.is_tls();
        let login = Login::within(settings.login_timeout);
        let limits = settings.limits().before_login();
        let client = Client::new(stream, limits, settings.high_water);
        Self {
            goodbye: Cancelled::of(shared.goodbye.clone()),
            alarm: Alarm::new(login.deadline()),
            shared,
            client,
            secure,
            id,
            peer,
            state: State::NotAuthenticated(login),
            user: None,
            presence: None,
            encoding: Encoding::default(),
            bad_commands: BadCommands::default(),
            waiting: None,
            idle: None,
            end_of_input: false,
            leaving: false,
            ending: None,
        }
    }

    /// Serves the client to the end.
    pub(crate) async fn run(&mut self) -> Ended {
        let greeting = format!(
            "* OK [CAPABILITY {}] {} ready\r\n",
            op::capability::list(self),
            self.shared.settings.node
        );
        self.client.wire.put(greeting.as_bytes());
        let ended = match self.serve().await {
            Ok(never) => match never {},
            Err(ended) => ended,
        };
        self.say_goodbye(&ended).await;
        ended
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, Ended> {
        loop {
            let mut moved = false;
            if let State::Selected(selected) = &mut self.state {
                moved |= selected
                    .pass_answers(&mut self.client)
                    .map_err(|torn| Ended::Torn(torn.0))?
                    == Passed::Something;
            }
            moved |= self.take_input().await?;
            if matches!(self.state, State::Logout) {
                return Err(Ended::Logout);
            }
            // Only when there is nothing more to do is anything sent: small answers go out
            // together.
            if !moved {
                self.wait().await?;
            }
        }
    }

    /// Looks at what the client has sent; whether that changed anything.
    async fn take_input(&mut self) -> Result<bool, Ended> {
        self.hear_news();
        if self.leaving && (self.is_quiet() || self.is_idling()) {
            return Err(match self.ending {
                Some((end, _)) => Goodbye::Ended(end).into(),
                None => Goodbye::Draining.into(),
            });
        }
        if self.leaving || !self.client.wire.has_room() {
            return Ok(false);
        }
        if self.is_idling() {
            let Some(line) = self.client.next_line() else {
                return Ok(false);
            };
            self.end_idle(&line);
            return Ok(true);
        }
        let input = match self.waiting.take() {
            Some(input) => input,
            None => self.client.next(),
        };
        let quiet = self.is_quiet();
        match input {
            Input::More => return Ok(false),
            Input::Command(command) => return self.command(command, quiet).await,
            // In the client's stream, `+` must not come in the middle of an answer.
            other if !quiet => {
                self.waiting = Some(other);
                return Ok(false);
            }
            Input::WantsGoAhead => self.client.go_ahead(),
            Input::Append(start) => {
                let tag = start.tag.clone();
                let Some(known) = Command::find(start.name()) else {
                    self.bad(tag.as_str(), "Unknown command")?;
                    return Ok(true);
                };
                self.end_if_deleted()?;
                let start = Arrived::Message(start);
                self.run_command(tag.as_str(), known, start).await?;
            }
            Input::Refused(refused) => {
                let tag = refused.tag.as_ref().map_or("*", |tag| tag.as_str());
                self.bad(tag, &refused.text)?;
            }
            Input::Lost(refused) => {
                if let Some(refused) = refused
                    && let Some(tag) = &refused.tag
                {
                    self.bad(tag.as_str(), &refused.text)?;
                }
                return Err(Ended::Unknown("[TOOBIG] That is far too long"));
            }
        }
        Ok(true)
    }

    async fn command(&mut self, command: Bytes, quiet: bool) -> Result<bool, Ended> {
        let line = match Line::parse(&command) {
            Ok(line) => line,
            // A client that was told in the middle of IDLE that it is over may still say so.
            Err(_) if command.trim_ascii().eq_ignore_ascii_case(b"DONE") => return Ok(true),
            Err(_) if !quiet => {
                self.waiting = Some(Input::Command(command));
                return Ok(false);
            }
            Err(bad) => {
                self.bad(&bad.tag, bad.reason)?;
                return Ok(true);
            }
        };
        let known = Command::find(&line.name);
        if let State::Selected(selected) = &mut self.state
            && let Some(known) = known.filter(|known| known.is_relayed())
        {
            if !selected.takes_more() {
                self.waiting = Some(Input::Command(command));
                return Ok(false);
            }
            self.bad_commands.end();
            self.shared.metrics.commands.inc();
            if let Err(refusal) = selected.forward(line.tag.clone(), known, &line.arguments) {
                write_tagged(&mut self.client, &line.tag, &refusal.completion());
            }
            return Ok(true);
        }
        if !quiet {
            self.waiting = Some(Input::Command(command));
            return Ok(false);
        }
        let Some(known) = known else {
            self.bad(&line.tag, "Unknown command")?;
            return Ok(true);
        };
        // A client that is busy elsewhere must not look idle to the backend that waits for it.
        // Its news go out within the client's command, as they must; but not before one that may
        // name messages by their numbers, which would then be others.
        if !known.names_messages()
            && let State::Selected(selected) = &mut self.state
            && selected.is_silent_for(self.shared.settings.keep_alive)
            && let Err(error) = Box::pin(on_selected(selected, &mut self.client, b"NOOP")).await
        {
            tracing::warn!(%error, mailbox = %selected.mailbox, "lost the selected mailbox");
        }
        self.end_if_deleted()?;
        let call = Call {
            line: &line,
            octets: &command,
        };
        let call = Arrived::Line(call);
        self.run_command(&line.tag, known, call).await?;
        Ok(true)
    }

    /// Runs a command, if it is legal, and ends it.
    async fn run_command(
        &mut self,
        tag: &str,
        command: &'static Command,
        arrived: Arrived<'_>,
    ) -> Result<(), Ended> {
        self.shared.metrics.commands.inc();
        // The answers to the commands before do not wait for a backend.
        if !command.is_local()
            && !self.client.wire.is_drained()
            && let Err(error) = self.flush().await
        {
            return self.complete(tag, command, Err(error));
        }
        let overdue = Overdue::of(self.presence.as_ref());
        let shared = self.shared.clone();
        let result = match self.start(command, arrived) {
            Ok(running) => tokio::select! {
                biased;
                result = answered(&shared, running) => result,
                end = overdue => return Err(Goodbye::Ended(end).into()),
            },
            Err(refusal) => Err(refusal.into()),
        };
        self.complete(tag, command, result)
    }

    /// Starts a command, if it is legal in this state.
    fn start<'a>(
        &'a mut self,
        command: &'static Command,
        arrived: Arrived<'a>,
    ) -> Result<Running<'a>, Refusal> {
        if let Some(why) = self.is_illegal(command) {
            return Err(Refusal::syntax(why));
        }
        match (&command.route, arrived) {
            (
                Route::Local(handler)
                | Route::Mailbox(handler)
                | Route::Home(handler)
                | Route::FanOut(handler)
                | Route::Relayed {
                    unselected: Some(handler),
                },
                Arrived::Line(call),
            ) => Ok(handler(self, call)),
            (Route::Message(handler), Arrived::Message(start)) => Ok(handler(self, start)),
            // What is relayed has gone, and a message comes as one.
            (_, _) => Err(Refusal::syntax("Syntax error")),
        }
    }

    /// Why a command is not legal in this state.
    fn is_illegal(&self, command: &Command) -> Option<&'static str> {
        match (&self.state, command.states) {
            (_, States::Any)
            | (State::NotAuthenticated(_), States::NotAuthenticated)
            | (State::Authenticated | State::Selected(_), States::Authenticated)
            | (State::Selected(_), States::Selected) => None,
            (State::NotAuthenticated(_) | State::Logout, _) => Some("Log in first"),
            (_, States::NotAuthenticated) => Some("Already logged in"),
            (_, States::Selected) => Some("Select a mailbox first"),
        }
    }

    /// Ends the session if the selected mailbox turned out to be deleted, as backends do.
    fn end_if_deleted(&self) -> Result<(), Ended> {
        match &self.state {
            State::Selected(selected) if selected.is_deleted() => {
                Err(Ended::Unknown(MAILBOX_DELETED))
            }
            _ => Ok(()),
        }
    }

    /// Ends a command.
    fn complete(&mut self, tag: &str, command: &Command, result: OpResult) -> Result<(), Ended> {
        self.end_if_deleted()?;
        let completion = match result {
            Ok(completion) => completion,
            Err(OpError::ClientGone(error)) => return Err(Ended::Client(error)),
            Err(OpError::AlreadyAnswered) => return Ok(()),
            Err(OpError::Bye(word)) => return Err(Ended::Unknown(word)),
            Err(OpError::Refused(Refusal::Backend(BackendError::Deleted { .. }))) => {
                return Err(Ended::Unknown(MAILBOX_DELETED));
            }
            Err(OpError::Refused(Refusal::Backend(error)))
                if error.may_be_done() && command.changes =>
            {
                tracing::warn!(%error, command = command.name, "the answer to a change is lost");
                return Err(Ended::Unanswered(error));
            }
            Err(OpError::Refused(refusal)) => {
                if let Refusal::Backend(error) = &refusal {
                    tracing::warn!(%error, "command refused");
                }
                refusal.completion()
            }
        };
        if completion.status == Status::Bad {
            return self.bad(tag, &completion.text);
        }
        self.bad_commands.end();
        write_tagged(&mut self.client, tag, &completion);
        match &self.state {
            State::NotAuthenticated(login) => Ok(login.check()?),
            _ => Ok(()),
        }
    }

    fn bad(&mut self, tag: &str, reason: &str) -> Result<(), Ended> {
        self.client
            .wire
            .put_line(format_args!("{tag} BAD {reason}"));
        Ok(self.bad_commands.count()?)
    }

    /// The client is in IDLE with nothing selected from now on.
    pub(crate) fn begin_idle(&mut self, tag: Box<str>) {
        self.client.wire.put(b"+ idling\r\n");
        let now = Instant::now();
        self.idle = Some(Box::new(Idle {
            tag,
            until: now + self.shared.settings.idle_timeout,
            notify_at: now + self.shared.settings.idle_notify,
        }));
    }

    fn is_quiet(&self) -> bool {
        match &self.state {
            State::Selected(selected) => selected.is_quiet(),
            _ => true,
        }
    }

    fn is_idling(&self) -> bool {
        match &self.state {
            State::Selected(selected) => selected.is_idling(),
            _ => self.idle.is_some(),
        }
    }

    fn end_idle(&mut self, line: &[u8]) {
        if let State::Selected(selected) = &mut self.state {
            selected.end_idle(line);
            self.tell_selected();
            return;
        }
        if let Some(idle) = self.idle.take() {
            let tag = idle.tag;
            let completion = if line.eq_ignore_ascii_case(b"DONE") {
                crate::imap::errors::ok("IDLE completed")
            } else {
                Refusal::syntax("Expected DONE").completion()
            };
            write_tagged(&mut self.client, &tag, &completion);
        }
    }

    /// Takes note of what has become of the account, if anything has.
    pub(super) fn hear_news(&mut self) {
        if let Some(news) = self.presence.as_ref().and_then(Presence::news) {
            self.hear(news);
        }
    }

    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Changed => self.look_identity_up(),
            News::Ended(end) => {
                self.leaving = true;
                let cut_off = Instant::now() + CUT_OFF_AFTER;
                self.ending.get_or_insert((end, cut_off));
            }
        }
    }

    /// The user's account has changed: other groups, other rights. Backends look it up themselves.
    fn look_identity_up(&mut self) {
        let Some(user) = &self.user else { return };
        let (identity, accounts) = self.shared.identity_now(&user.identity);
        if identity == user.identity {
            return;
        }
        tracing::debug!(?identity, "the account has changed");
        self.user = Some(Arc::new(User {
            identity,
            namespace: user.namespace.clone(),
            acting: ActingFor {
                accounts,
                ..user.acting.clone()
            },
        }));
        if !self.is_idling() {
            self.tell_selected();
        }
    }

    /// Tells the backend of the selected mailbox by which accounts the session goes; not in IDLE.
    fn tell_selected(&mut self) {
        if let State::Selected(selected) = &mut self.state
            && let Some(connection) = selected.connection()
            && let Some(user) = &self.user
        {
            connection.attach(&user.acting);
        }
    }

    /// Sends what is queued and the last word, if the client can still understand one.
    async fn say_goodbye(&mut self, ended: &Ended) {
        const LAST_WORD: Duration = Duration::from_secs(2);
        let word = match ended {
            Ended::Logout | Ended::Client(_) | Ended::Stalled => None,
            Ended::Goodbye(Goodbye::Draining) => Some("[UNAVAILABLE] Server shutting down"),
            Ended::Goodbye(Goodbye::Ended(end)) => match &self.state {
                State::Selected(selected) if selected.is_in_answer() => None,
                _ => Some(end.last_word()),
            },
            Ended::Goodbye(goodbye) => Some(goodbye.last_word()),
            Ended::Unknown(word) => Some(*word),
            Ended::Unanswered(_) => {
                Some("[UNAVAILABLE] The answer of the backend is lost; see what was done")
            }
            // In the middle of an answer nothing can be said.
            Ended::Torn(BackendError::Deleted { .. }) => Some(MAILBOX_DELETED),
            Ended::Torn(_) => match &self.state {
                State::Selected(selected) if selected.is_answer_torn() => None,
                _ => Some("[UNAVAILABLE] The backend of the selected mailbox has gone"),
            },
        };
        if let Some(word) = word {
            self.client.wire.put_line(format_args!("* BYE {word}"));
        }
        // A slow client gets all that it has asked for.
        let limit = match ended {
            Ended::Logout | Ended::Goodbye(Goodbye::Draining) => self.shared.settings.write_timeout,
            _ => LAST_WORD,
        };
        if !matches!(ended, Ended::Client(_) | Ended::Stalled) {
            // Whoever does not take it has gone; there is nobody to tell.
            let _ = tokio::time::timeout(limit, self.client.wire.close()).await;
        }
        if let State::Selected(selected) = std::mem::replace(&mut self.state, State::Logout)
            && selected.is_quiet()
            // A command of which the connection has a part may have been cut off.
            && !matches!(ended, Ended::Goodbye(Goodbye::Ended(_)))
            && let Some(connection) = selected.into_connection()
        {
            op::close::release(&self.shared, connection);
        }
    }

    /// The user; only asked for after login.
    pub(crate) fn user(&self) -> Result<Arc<User>, Refusal> {
        self.user
            .clone()
            .ok_or_else(|| Refusal::syntax("Log in first"))
    }

    /// Whether STARTTLS can be done.
    pub(crate) fn can_start_tls(&self) -> bool {
        !self.secure && matches!(self.state, State::NotAuthenticated(_))
    }

    /// What the client may log in by. Nobody vouches for users here.
    pub(crate) fn offer(&self) -> Offer {
        let plaintext_loopback = self.shared.settings.allow_plaintext_loopback;
        Offer::new(self.secure, plaintext_loopback, self.peer, None)
    }
}

/// A command as it has come.
enum Arrived<'a> {
    /// With all its arguments.
    Line(Call<'a>),
    /// Up to its message.
    Message(Box<AppendStart>),
}

/// What a command comes to; a change is answered when the own map shows it.
async fn answered(shared: &Shared, running: Running<'_>) -> OpResult {
    let completion = running.await?;
    if completion.is_ok() {
        op::wait_for_revision(shared, &completion).await;
    }
    Ok(completion)
}
