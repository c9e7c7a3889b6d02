//! One client's session, from greeting to BYE.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use murder_mailbox::{Identity, MailboxName, Namespace};
use murder_net::{Slot, Stream};
use tokio::time::{Instant, timeout_at};

use crate::backend::connection::{ActingFor, Said};
use crate::backend::{Answer, BackendError, Completion, Connection, Status};
use crate::imap::arguments::{Arguments, Encoding, Line};
use crate::imap::client::{Client, Input};
use crate::imap::errors::{OpError, OpResult, Refusal};
use crate::imap::op;
use crate::imap::selected::{Passed, Selected, write_status, write_tagged};
use crate::shared::Shared;
use crate::wire::{Want, either};

/// Commands in a row that are no commands, after which whoever sends them is no mail client.
const MAX_BAD_COMMANDS: u32 = 20;
/// Failed logins of one connection, after which it has to make another.
const MAX_FAILED_LOGINS: u32 = 5;

/// Where a session stands (RFC 9051 section 3).
pub(crate) enum State {
    /// Nobody has logged in.
    NotAuthenticated,
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
    /// Counts the session among the user's.
    pub _slot: Slot<String>,
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
    /// The client said nothing for too long.
    #[error("idle for too long")]
    Idle,
    /// The client did not read.
    #[error("client does not read")]
    Stalled,
    /// The server goes down.
    #[error("server shutting down")]
    Shutdown,
    /// The backend of the selected mailbox went where that could not be told otherwise.
    #[error("{0}")]
    Torn(BackendError),
    /// Too many lines that are no commands, or too many failed logins.
    #[error("{0}")]
    Abuse(&'static str),
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
    pub id: Arc<str>,
    /// The client's address.
    pub peer: IpAddr,
    /// Where it stands.
    pub state: State,
    /// Who has logged in.
    pub user: Option<Arc<User>>,
    /// How the client writes mailbox names.
    pub encoding: Encoding,
    /// Logins that failed.
    pub failed_logins: u32,
    bad_commands: u32,
    /// A command that waits for those before it.
    waiting: Option<Input>,
    /// The client is in IDLE with nothing selected; its tag.
    idle: Option<Box<str>>,
    end_of_input: bool,
    /// The node goes down: nothing more is taken, what is under way is finished.
    leaving: bool,
    /// Until then somebody must have logged in.
    login_until: Instant,
}

impl Session {
    /// A session over `stream`.
    pub(crate) fn new(shared: Arc<Shared>, stream: Stream, id: Arc<str>, peer: IpAddr) -> Self {
        let settings = &shared.settings;
        let secure = stream.is_tls();
        let login_until = Instant::now() + settings.login_timeout;
        let client = Client::new(stream, settings.max_command, settings.high_water);
        Self {
            shared,
            client,
            secure,
            id,
            peer,
            state: State::NotAuthenticated,
            user: None,
            encoding: Encoding::default(),
            failed_logins: 0,
            bad_commands: 0,
            waiting: None,
            idle: None,
            end_of_input: false,
            leaving: false,
            login_until,
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
        if self.leaving && (self.is_quiet() || self.is_idling()) {
            return Err(Ended::Shutdown);
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
            Input::WantsGoAhead => {
                // In the client's stream, `+` must not come in the middle of an answer.
                if quiet {
                    self.client.go_ahead();
                }
                return Ok(quiet);
            }
            Input::Command(command) => return self.command(command, quiet).await,
            other if !quiet => {
                self.waiting = Some(other);
                return Ok(false);
            }
            Input::Append(head, literal) => {
                let result = Box::pin(op::append::append(self, head.clone(), literal)).await;
                let tag = Line::parse(&head).map_or_else(|bad| bad.tag, |line| line.tag);
                self.complete(&tag, result)?;
            }
            Input::TooLarge(head) => {
                let tag = Line::parse(&head).map_or_else(|bad| bad.tag, |line| line.tag);
                self.bad(&tag, "Command line or literal is too long")?;
                let worth = self.shared.settings.append_limit;
                if self.client.to_skip() > worth.saturating_mul(op::append::WORTH_SKIPPING) {
                    return Err(Ended::Abuse("[TOOBIG] Literal is far too long"));
                }
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
        if let State::Selected(selected) = &mut self.state
            && is_relayed(&line.name)
        {
            if !selected.takes_more() {
                self.waiting = Some(Input::Command(command));
                return Ok(false);
            }
            self.bad_commands = 0;
            self.shared.metrics.commands.inc();
            if let Err(refusal) = selected.forward(line.tag.clone(), &line.name, &line.arguments) {
                write_tagged(&mut self.client, &line.tag, &refusal.completion());
            }
            return Ok(true);
        }
        if !quiet {
            self.waiting = Some(Input::Command(command));
            return Ok(false);
        }
        if line.name == "IDLE" && !matches!(self.state, State::NotAuthenticated) {
            if line.arguments.is_empty() {
                self.client.wire.put(b"+ idling\r\n");
                self.idle = Some(line.tag);
            } else {
                self.bad(&line.tag, "IDLE takes no arguments")?;
            }
            return Ok(true);
        }
        self.shared.metrics.commands.inc();
        let result = Box::pin(self.execute(&line, command)).await;
        self.complete(&line.tag, result)?;
        Ok(true)
    }

    /// Which command is legal where, and who handles it.
    async fn execute(&mut self, line: &Line, command: Bytes) -> OpResult {
        let arguments = Arguments::new(&line.arguments);
        match (&self.state, line.name.as_str()) {
            (_, "CAPABILITY") => op::capability::capability(self, arguments),
            (_, "NOOP") => {
                arguments.end()?;
                Ok(crate::imap::errors::ok("NOOP completed"))
            }
            (_, "LOGOUT") => op::logout::logout(self, arguments),
            (_, "ID") => op::id::id(self, &command),

            (State::NotAuthenticated, "STARTTLS") => op::starttls::starttls(self, line).await,
            (State::NotAuthenticated, "LOGIN") => op::login::login(self, arguments).await,
            (State::NotAuthenticated, "AUTHENTICATE") => {
                op::login::authenticate(self, arguments).await
            }
            (State::NotAuthenticated, name) if is_known(name) => {
                Err(Refusal::syntax("Log in first").into())
            }
            (_, "STARTTLS" | "LOGIN" | "AUTHENTICATE") => {
                Err(Refusal::syntax("Already logged in").into())
            }

            (_, "ENABLE") => op::enable::enable(self, arguments),
            (_, "NAMESPACE") => op::namespace::namespace(self, arguments),
            (_, "SELECT" | "EXAMINE") => op::select::select(self, &line.name, arguments).await,
            (_, "CREATE") => op::create::create(self, &command).await,
            (_, "DELETE") => op::delete::delete(self, arguments).await,
            (_, "RENAME") => op::rename::rename(self, &command).await,
            (_, "SUBSCRIBE" | "UNSUBSCRIBE") => {
                op::subscribe::subscribe(self, &line.name, arguments).await
            }
            (_, "LIST" | "LSUB") => op::list::list(self, &command).await,
            (_, "STATUS") => op::status::status(self, arguments).await,
            (_, "SETACL" | "DELETEACL") => op::acl::change(self, &line.name, arguments).await,
            (_, "GETACL" | "LISTRIGHTS" | "MYRIGHTS") => {
                op::acl::ask(self, &line.name, arguments).await
            }

            (State::Selected(_), "CLOSE" | "UNSELECT") => {
                op::close::close(self, &line.name, arguments).await
            }
            (State::Selected(_), "COPY" | "UID COPY" | "MOVE" | "UID MOVE") => {
                op::copy::copy(self, &line.name, arguments).await
            }
            (_, name) if is_known(name) => Err(Refusal::syntax("Select a mailbox first").into()),
            (_, _) => {
                self.bad_commands += 1;
                Err(Refusal::syntax("Unknown command").into())
            }
        }
    }

    /// Ends a command.
    fn complete(&mut self, tag: &str, result: OpResult) -> Result<(), Ended> {
        let completion = match result {
            Ok(completion) => completion,
            Err(OpError::ClientGone(error)) => return Err(Ended::Client(error)),
            Err(OpError::AlreadyAnswered) => return Ok(()),
            Err(OpError::TooMuch) => return Err(Ended::Abuse("[TOOBIG] Message is too big")),
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
        self.bad_commands = 0;
        write_tagged(&mut self.client, tag, &completion);
        if self.failed_logins >= MAX_FAILED_LOGINS {
            return Err(Ended::Abuse("Too many failed logins"));
        }
        Ok(())
    }

    fn bad(&mut self, tag: &str, reason: &str) -> Result<(), Ended> {
        self.client
            .wire
            .put(format!("{tag} BAD {reason}\r\n").as_bytes());
        self.bad_commands += 1;
        if self.bad_commands >= MAX_BAD_COMMANDS {
            return Err(Ended::Abuse("Too many bad commands"));
        }
        Ok(())
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
            return;
        }
        if let Some(tag) = self.idle.take() {
            let completion = if line.eq_ignore_ascii_case(b"DONE") {
                crate::imap::errors::ok("IDLE completed")
            } else {
                Refusal::syntax("Expected DONE").completion()
            };
            write_tagged(&mut self.client, &tag, &completion);
        }
    }

    /// Waits for the client, or for the backend of the selected mailbox.
    async fn wait(&mut self) -> Result<(), Ended> {
        let settings = &self.shared.settings;
        let read_client = self.waiting.is_none()
            && !self.end_of_input
            && !self.leaving
            && self.client.wire.has_room();
        let queued = self.client.wire.output.len();
        let stalled = !self.client.wire.is_drained();
        let now = Instant::now();
        let mut until = match self.state {
            State::NotAuthenticated => self.login_until,
            _ => now + settings.idle_timeout,
        };
        if stalled {
            until = until.min(now + settings.write_timeout);
        }
        let silence = self.shared.pool.dialer().silence();
        let goodbye = &self.shared.goodbye;
        let leaving = self.leaving;
        let (backend, owes) = match &mut self.state {
            State::Selected(selected) => {
                let owes = selected.owes_answer();
                (selected.connection(), owes)
            }
            _ => (None, false),
        };
        let finishing = self.end_of_input && !owes;
        if finishing && !stalled {
            return Err(Ended::Logout);
        }
        if owes {
            until = until.min(now + silence);
        }
        let read_backend = self.client.wire.has_room();
        let client = &mut self.client;
        let waiting = async {
            match backend {
                _ if finishing => (client.wire.drain().await.err().map(Err), None),
                Some(backend) => {
                    let moved = either(
                        (&mut client.wire, Want { read: read_client }),
                        (&mut backend.wire, Want { read: read_backend }),
                    )
                    .await;
                    (moved.first, moved.second)
                }
                None if read_client => (Some(client.wire.fill().await), None),
                None => (client.wire.drain().await.err().map(Err), None),
            }
        };
        let (from_client, from_backend) = tokio::select! {
            biased;
            moved = timeout_at(until, waiting) => match moved {
                Ok(moved) => moved,
                Err(_) => return self.waited_too_long(owes, stalled, queued),
            },
            () = goodbye.cancelled(), if !leaving => {
                self.leaving = true;
                return Ok(());
            }
        };
        match from_client {
            Some(Ok(0)) => self.end_of_input = true,
            Some(Err(error)) => return Err(Ended::Client(error)),
            Some(Ok(_)) | None => {}
        }
        if let Some(read @ (Ok(0) | Err(_))) = from_backend
            && let State::Selected(selected) = &mut self.state
            && let Some(connection) = selected.connection()
        {
            let error = connection.lost_io(read);
            selected
                .lose(error, &mut self.client)
                .map_err(|torn| Ended::Torn(torn.0))?;
        }
        Ok(())
    }

    fn waited_too_long(&mut self, owes: bool, stalled: bool, queued: usize) -> Result<(), Ended> {
        if stalled {
            return match self.client.wire.output.len() == queued {
                true => Err(Ended::Stalled),
                false => Ok(()),
            };
        }
        if owes && let State::Selected(selected) = &mut self.state {
            let error = selected
                .connection()
                .map(|connection| connection.lost("no answer in time"));
            return match error {
                Some(error) => selected
                    .lose(error, &mut self.client)
                    .map_err(|torn| Ended::Torn(torn.0)),
                None => Ok(()),
            };
        }
        Err(Ended::Idle)
    }

    /// Sends what is queued and the last word, if the client can still understand one.
    async fn say_goodbye(&mut self, ended: &Ended) {
        const LAST_WORD: Duration = Duration::from_secs(2);
        let word = match ended {
            Ended::Logout | Ended::Client(_) | Ended::Stalled => None,
            Ended::Idle => Some("Autologout; idle for too long"),
            Ended::Shutdown => Some("[UNAVAILABLE] Server shutting down"),
            Ended::Abuse(word) => Some(*word),
            // In the middle of an answer nothing can be said.
            Ended::Torn(_) => match &self.state {
                State::Selected(selected) if selected.is_answer_torn() => None,
                _ => Some("[UNAVAILABLE] The backend of the selected mailbox has gone"),
            },
        };
        if let Some(word) = word {
            self.client.wire.put(format!("* BYE {word}\r\n").as_bytes());
        }
        if !matches!(ended, Ended::Client(_) | Ended::Stalled) {
            // Whoever does not take it has gone; there is nobody to tell.
            let _ = tokio::time::timeout(LAST_WORD, self.client.wire.close()).await;
        }
        if let State::Selected(selected) = std::mem::replace(&mut self.state, State::Logout)
            && selected.is_quiet()
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

    /// Waits for more of the client's input; for use within a command, so its end is an error.
    pub(crate) async fn fill_client(&mut self) -> Result<(), OpError> {
        let limit = self.shared.settings.write_timeout;
        match tokio::time::timeout(limit, self.client.wire.fill()).await {
            Ok(Ok(0)) => Err(OpError::gone(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(OpError::gone(error)),
            Err(_) => Err(OpError::gone(std::io::ErrorKind::TimedOut.into())),
        }
    }

    /// Whether STARTTLS can be done.
    pub(crate) fn can_start_tls(&self) -> bool {
        !self.secure && matches!(self.state, State::NotAuthenticated)
    }

    /// Whether passwords may be sent.
    pub(crate) fn may_log_in(&self) -> bool {
        self.secure
            || (self.shared.settings.allow_plaintext_loopback
                && self.peer.to_canonical().is_loopback())
    }

    /// Sends what is queued until there is room for more.
    pub(crate) async fn make_room(&mut self) -> Result<(), OpError> {
        if self.client.wire.has_room() {
            return Ok(());
        }
        let limit = self.shared.settings.write_timeout;
        match tokio::time::timeout(limit, self.client.wire.make_room()).await {
            Ok(result) => result.map_err(OpError::gone),
            Err(_) => Err(OpError::gone(std::io::ErrorKind::TimedOut.into())),
        }
    }

    /// Sends everything that is queued.
    pub(crate) async fn flush(&mut self) -> Result<(), OpError> {
        let limit = self.shared.settings.write_timeout;
        match tokio::time::timeout(limit, self.client.wire.drain()).await {
            Ok(result) => result.map_err(OpError::gone),
            Err(_) => Err(OpError::gone(std::io::ErrorKind::TimedOut.into())),
        }
    }

    /// Runs a short command on `node`: on the selected mailbox's connection when that is the
    /// same backend, else on one from the pool. News of the selected mailbox go to the
    /// client, the other answers come back.
    pub(crate) async fn on_backend(
        &mut self,
        node: &str,
        command: &[u8],
    ) -> Result<(Completion, Vec<Answer>), BackendError> {
        let mut answers = Vec::new();
        if let State::Selected(selected) = &mut self.state
            && selected.node == node
            && selected.connection().is_some()
        {
            return on_selected(selected, &mut self.client, command).await;
        }
        let acting = match &self.user {
            Some(user) => user.acting.clone(),
            None => {
                return Err(crate::backend::connect::unreachable(
                    node,
                    "nobody logged in",
                ));
            }
        };
        let mut connection = self.shared.pool.checkout(node, &acting).await?;
        let completion = connection
            .command(command, &mut |said| {
                if let Said::Answer(answer) = said {
                    answers.push(answer);
                }
            })
            .await?;
        self.shared.pool.checkin(connection);
        Ok((completion, answers))
    }

    /// The same for a command about mailbox `name`, wherever it is: `command` is given the
    /// name as backends take it. One that is not there any more is looked for once more.
    pub(crate) async fn on_mailbox(
        &mut self,
        name: &MailboxName,
        command: &(dyn Fn(&str) -> Vec<u8> + Sync),
    ) -> Result<(Completion, Vec<Answer>), Refusal> {
        let router = self.shared.router.clone();
        let quoted = crate::imap::arguments::quote_always(name.as_str());
        let bytes = command(&quoted);
        let place = router.find(name).await?;
        let (completion, answers) = self.on_backend(&place.node, &bytes).await?;
        if completion.code("X-NOT-HERE").is_none() {
            return Ok((completion, answers));
        }
        tracing::debug!(mailbox = %name, node = place.node, "not here, looking again");
        let place = router.find_again(name).await?;
        let (completion, answers) = self.on_backend(&place.node, &bytes).await?;
        match completion.code("X-NOT-HERE") {
            None => Ok((completion, answers)),
            Some(_) => Err(not_held(&place)),
        }
    }

    /// A connection for a longer business, with nothing selected.
    pub(crate) async fn checkout(&self, node: &str) -> Result<Connection, Refusal> {
        let user = self.user()?;
        Ok(self.shared.pool.checkout(node, &user.acting).await?)
    }
}

/// Runs a command on the selected mailbox's connection; its news go to the client.
pub(crate) async fn on_selected(
    selected: &mut Selected,
    client: &mut Client,
    command: &[u8],
) -> Result<(Completion, Vec<Answer>), BackendError> {
    let mut answers = Vec::new();
    let Some(connection) = selected.connection() else {
        return Err(crate::backend::connect::unreachable(
            &selected.node,
            "lost before",
        ));
    };
    let result = connection
        .command(command, &mut |said| match said {
            Said::Answer(answer) if answer.is_of_selected_mailbox() => {
                client.wire.put(&answer.bytes);
            }
            Said::Answer(answer) => answers.push(answer),
            Said::Status(status) => write_status(client, &status),
        })
        .await;
    match result {
        Ok(completion) => Ok((completion, answers)),
        Err(error) => {
            selected.forget_connection();
            Err(error)
        }
    }
}

/// The refusal for a mailbox that its backend, asked twice, says it does not hold.
pub(crate) fn not_held(place: &crate::route::Place) -> Refusal {
    tracing::error!(
        mailbox = %place.name,
        node = place.node,
        "the backend that the map names does not hold the mailbox"
    );
    Refusal::Unavailable("Mailbox cannot be found on its backend".into())
}

/// Commands that go to the selected mailbox's backend as they are.
fn is_relayed(name: &str) -> bool {
    matches!(
        name,
        "NOOP"
            | "CHECK"
            | "EXPUNGE"
            | "UID EXPUNGE"
            | "SEARCH"
            | "UID SEARCH"
            | "FETCH"
            | "UID FETCH"
            | "STORE"
            | "UID STORE"
            | "IDLE"
    )
}

/// Commands that exist, but not in every state.
fn is_known(name: &str) -> bool {
    is_relayed(name)
        || matches!(
            name,
            "ENABLE"
                | "NAMESPACE"
                | "SELECT"
                | "EXAMINE"
                | "CREATE"
                | "DELETE"
                | "RENAME"
                | "SUBSCRIBE"
                | "UNSUBSCRIBE"
                | "LIST"
                | "LSUB"
                | "STATUS"
                | "APPEND"
                | "SETACL"
                | "DELETEACL"
                | "GETACL"
                | "LISTRIGHTS"
                | "MYRIGHTS"
                | "CLOSE"
                | "UNSELECT"
                | "COPY"
                | "UID COPY"
                | "MOVE"
                | "UID MOVE"
        )
}
