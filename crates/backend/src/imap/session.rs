//! One connection: who it is, where it stands, its loop and its end.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use murder_imap::{
    Code, Command, CommandReader, Event, MailboxArg, NameEncoding, NodeCode, NodeCommand, NodeId,
    ResponseWriter, Status, Tag, server::Limits,
};
use murder_mailbox::{Identity, MailboxId, MailboxName, Namespace, Rights};
use murder_net::metrics::Counted;
use murder_net::{Actor, Connection, SessionId};
use murder_session::{
    About, BadCommands, CUT_OFF_AFTER, ClientStream, End, Goodbye, Interruption, LoggedIn, Login,
    News, Offer, Overdue, Presence, Protocol, Watch,
};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{Instrument, Span, debug};

use crate::imap::Imap;
use crate::imap::dispatch::{boxed, news_after};
use crate::imap::enabled::{Enabled, Extension};
use crate::imap::errors::{Bye, OpError, OpResult, bad, no, no_such_mailbox};
use crate::imap::notify::{self, Notify, Own, Wake, Wants};
use crate::imap::op;
use crate::imap::selected::Selected;
use crate::imap::updates::{self, Expunges};
use crate::node::{Found, Node};
use crate::transfer::{MAX_STAGE, Transfer};

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
    /// How mailbox names look to the client: canonical for a frontend.
    pub namespace: Namespace,
}

impl User {
    /// Whose `\Seen` counts in mailbox `name`: `None` for the owner's own, see
    /// [`murder_store::AppendMessage::seen_by`].
    pub(crate) fn seen_in(&self, name: &MailboxName) -> Option<&str> {
        match name.is_owned_by(&self.identity.user) {
            true => None,
            false => Some(&self.identity.user),
        }
    }
}

/// Whose session it is.
pub(crate) struct Origin {
    /// Its name at the node that the client is connected to.
    pub session: String,
    /// The client's address; `None` where a frontend does not say.
    pub client: Option<IpAddr>,
}

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("logged out")]
    Logout,
    #[error("the client closed the connection")]
    Closed,
    #[error("connection failed: {0}")]
    Client(io::Error),
    #[error("{0}")]
    Goodbye(Goodbye),
    #[error("{0}")]
    Bye(Bye),
    /// A command was under way that did not end in time.
    #[error("{0}, in the middle of a command")]
    CutOff(End),
}

/// A session.
pub(crate) struct Session {
    /// What all sessions share.
    pub node: Arc<Node>,
    /// What all IMAP sessions share.
    pub imap: Arc<Imap>,
    /// The client.
    pub stream: ClientStream,
    /// What it sends.
    pub reader: CommandReader,
    /// What it is sent.
    pub writer: ResponseWriter,
    /// Where it stands.
    pub state: State,
    /// Who has logged in.
    pub user: Option<Arc<User>>,
    /// The session's place among those that are logged in; `None` before login.
    pub presence: Option<Presence>,
    /// Its name in logs.
    pub id: SessionId,
    /// What the client has enabled.
    pub enabled: Enabled,
    /// The client's address.
    pub peer: IpAddr,
    /// The connection's span, in which `user` is recorded.
    pub span: Span,
    /// For commands of a frontend: within `span`, which session there it is, and whose.
    pub via: Span,
    /// The client's session: a frontend's where one acts here, else this one.
    pub origin: Box<Origin>,
    /// What the client wants to be told; `None` before its first NOTIFY.
    pub notify: Option<Box<Notify>>,
    /// A frontend's COPY or MOVE to another backend, or from one.
    pub transfer: Option<Box<Transfer>>,
    /// The id of what the next command makes, if a frontend has given it one.
    pub next_id: Option<NodeId>,
    bad_commands: BadCommands,
    /// What ends its waiting.
    pub watch: Watch,
    _open: Counted,
}

impl Session {
    /// A session over `connection`, in the current span.
    pub(crate) fn new(node: Arc<Node>, imap: Arc<Imap>, connection: Connection) -> Self {
        let limits = limits_before_login(&node);
        let patience = node.config.limits.slow_reader();
        let login = Login::within(node.config.limits.login_timeout());
        let peer = connection.peer_addr.ip().to_canonical();
        let origin = Origin {
            session: connection.session.to_string(),
            client: Some(peer),
        };
        Self {
            peer,
            origin: Box::new(origin),
            stream: ClientStream::new(connection.stream, patience),
            reader: CommandReader::new(limits),
            writer: ResponseWriter::new(NameEncoding::default()),
            watch: Watch::new(node.shutdown.token(), login.deadline()),
            state: State::NotAuthenticated(login),
            user: None,
            presence: None,
            id: connection.session,
            enabled: Enabled::default(),
            span: Span::current(),
            via: Span::none(),
            notify: None,
            transfer: None,
            next_id: None,
            bad_commands: BadCommands::default(),
            _open: imap.metrics.open_session(),
            imap,
            node,
        }
    }

    /// Serves the client to the end.
    pub(crate) async fn run(mut self: Box<Self>) {
        let code = op::capability::code(&self);
        let greeting = format!("{} ready", self.node.config.node.name);
        self.writer
            .untagged(Status::Ok, Some(&code), greeting.trim_start());
        let ended = self.serve().await;
        debug!(reason = %ended, "session ended");
        Box::pin(self.say_goodbye(&ended)).await;
    }

    async fn serve(&mut self) -> Ended {
        loop {
            let event = match self.reader.next_buffered() {
                // Answers to pipelined commands go out together.
                Some(event) => self
                    .make_room()
                    .await
                    .map(|()| event)
                    .map_err(Ended::Client),
                None => self.wait().await,
            };
            let taken = match event {
                Ok(event) => self.take(event).await,
                Err(ended) => Err(ended),
            };
            if let Err(ended) = taken {
                return ended;
            }
        }
    }

    /// Sends what is queued and waits for the client; no buffer is held meanwhile.
    async fn wait(&mut self) -> Result<Event, Ended> {
        let deadline = match self.state {
            State::NotAuthenticated(ref login) => login.deadline(),
            _ => Instant::now() + self.node.config.limits.idle_timeout(),
        };
        if self.notify.is_some() {
            return boxed(self.wait_and_notify(deadline)).await;
        }
        self.flush().await.map_err(Ended::Client)?;
        loop {
            let interruption = tokio::select! {
                biased;
                interruption = self.watch.interrupted(self.presence.as_ref(), deadline) => interruption,
                event = self.reader.next(&mut self.stream) => return event.map_err(Ended::Client),
            };
            boxed(self.interrupt(interruption)).await?;
        }
    }

    /// The same for a client that has used NOTIFY: it is told meanwhile what happens.
    async fn wait_and_notify(&mut self, deadline: Instant) -> Result<Event, Ended> {
        loop {
            let mut wake = Wake::of(self);
            notify::between_commands(self).await.or_else(ended)?;
            if matches!(self.state, State::Logout) {
                return Err(Ended::Logout);
            }
            wake.set_due(self);
            self.flush().await.map_err(Ended::Client)?;
            tokio::select! {
                biased;
                interruption = self.watch.interrupted(self.presence.as_ref(), deadline) => {
                    boxed(self.interrupt(interruption)).await?;
                }
                event = self.reader.next(&mut self.stream) => return event.map_err(Ended::Client),
                () = wake.wait() => {}
            }
        }
    }

    async fn take(&mut self, event: Event) -> Result<(), Ended> {
        if let Some(news) = self.presence.as_ref().and_then(Presence::news) {
            boxed(self.hear(news)).await?;
        }
        match event {
            Event::Command { tag, command } => {
                self.imap.metrics.command(command.name());
                let news = news_after(&command);
                let via = self.via.clone();
                if self.notify.is_some() {
                    boxed(self.before_change(&command)).await?;
                }
                let names_the_next = matches!(command, Command::Node(NodeCommand::NextId(_)));
                let overdue = Overdue::of(self.presence.as_ref());
                let result = tokio::select! {
                    biased;
                    result = self.execute(&tag, command).instrument(via) => result,
                    end = overdue => return Err(Ended::CutOff(end)),
                };
                if !names_the_next {
                    self.next_id = None;
                }
                self.complete(&tag, result, news).await
            }
            Event::Append(start) => {
                self.imap.metrics.command(start.name());
                let tag = start.tag.clone();
                let via = self.via.clone();
                let overdue = Overdue::of(self.presence.as_ref());
                let append = boxed(op::append::append(self, start));
                let result = tokio::select! {
                    biased;
                    result = append.instrument(via) => result,
                    end = overdue => return Err(Ended::CutOff(end)),
                };
                self.complete(&tag, result, Some(Expunges::Allowed)).await
            }
            Event::NeedContinuation => {
                self.writer.continuation("Go ahead");
                Ok(())
            }
            Event::Bad { tag, text } => {
                self.next_id = None;
                self.writer.bad(tag.as_ref(), &text);
                self.count_bad()
            }
            Event::ValueTooLarge { tag } => {
                self.next_id = None;
                let refusal = match self.state {
                    State::NotAuthenticated(_) => bad("Log in first"),
                    _ => op::set_metadata::too_large(&self.node),
                };
                self.complete(&tag, Err(refusal), Some(Expunges::Allowed))
                    .await
            }
            Event::Fatal { text } => Err(Ended::Bye(text.into())),
            Event::Eof => Err(Ended::Closed),
        }
    }

    /// Before a command changes names, tells what others have changed, so that the rest is its own.
    async fn before_change(&mut self, command: &Command) -> Result<(), Ended> {
        let Some(own) = Own::of(self, command) else {
            return Ok(());
        };
        notify::rest(self).await.or_else(ended)?;
        if let Some(notify) = &mut self.notify {
            notify.set_own(own);
        }
        Ok(())
    }

    /// Ends a command: news of the selected mailbox first, if there may be any, then the tagged
    /// line.
    async fn complete(
        &mut self,
        tag: &Tag,
        result: OpResult,
        news: Option<Expunges>,
    ) -> Result<(), Ended> {
        let completion = match result {
            Ok(completion) | Err(OpError::Refused(completion)) => completion,
            Err(OpError::Answered) => return Ok(()),
            Err(OpError::Gone(error)) => return Err(Ended::Client(error)),
            Err(OpError::Bye(text)) => return Err(Ended::Bye(text)),
        };
        let mut completion = match completion.status == Status::No && self.node.may_lack() {
            true => completion.into_unavailable(),
            false => completion,
        };
        // The frontend says it once more, perhaps elsewhere: numbers must be what they were.
        let news = match &completion.code {
            Some(Code::Node(NodeCode::NotHere)) => news.map(|_| Expunges::Held),
            _ => news,
        };
        if let (State::Selected(_), Some(expunges)) = (&self.state, news) {
            updates::news(self, expunges).await.map_err(Ended::Client)?;
        }
        if self.notify.is_some() {
            boxed(notify::rest(self)).await.or_else(ended)?;
        }
        if let State::Selected(_) = self.state {
            updates::tell_modseq(self, &mut completion);
        }
        let code = completion.code.as_ref();
        self.writer
            .tagged(tag, completion.status, code, &completion.text);
        // Not only after LOGOUT: the selected mailbox may be gone.
        if matches!(self.state, State::Logout) {
            return Err(Ended::Logout);
        }
        if completion.status == Status::Bad {
            return self.count_bad();
        }
        self.bad_commands.end();
        match &self.state {
            State::NotAuthenticated(login) => Ok(login.check()?),
            _ => Ok(()),
        }
    }

    fn count_bad(&mut self) -> Result<(), Ended> {
        Ok(self.bad_commands.count()?)
    }

    /// Sends what is queued and the last word, and closes the connection.
    async fn say_goodbye(mut self: Box<Self>, ended: &Ended) {
        let (code, word) = match ended {
            Ended::Logout | Ended::Closed => (None, None),
            Ended::Client(error) => {
                debug!(%error, "no word more to this client");
                return;
            }
            // It would be taken for a part of the answer.
            Ended::CutOff(_) => return,
            Ended::Goodbye(goodbye) => (None, Some(goodbye.last_word())),
            Ended::Bye(bye) => (bye.code.as_ref(), Some(&*bye.text)),
        };
        if let Some(word) = word {
            self.writer.untagged(Status::Bye, code, word);
        }
        self.state = State::Logout;
        let writer = &mut self.writer;
        let send = async |stream: &mut ClientStream| writer.flush(stream).await;
        // Who waits for us is not sending.
        let cut_off = match ended {
            Ended::Goodbye(Goodbye::Draining | Goodbye::Silent) => false,
            _ => word.is_some(),
        };
        murder_session::close(&mut self.stream, send, cut_off).await;
    }

    /// Sends everything that is queued.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.writer.flush(&mut self.stream).await
    }

    /// Sends what is queued if it is much: to be called between the parts of a long answer.
    pub(crate) async fn make_room(&mut self) -> io::Result<()> {
        if self.writer.output().len() >= self.node.config.limits.slow_reader_bytes {
            return self.flush().await;
        }
        self.writer.flush_if_full(&mut self.stream).await
    }

    /// Reads within a command: its message, or a SASL response. The client must go on sending.
    pub(crate) async fn within_command<T>(
        &mut self,
        read: impl AsyncFnOnce(&mut CommandReader, &mut ClientStream) -> io::Result<T>,
    ) -> Result<T, OpError> {
        let limit = match self.state {
            State::NotAuthenticated(ref login) => login.deadline(),
            // As impatient as with one who does not read.
            _ => Instant::now() + self.node.config.limits.slow_reader(),
        };
        match timeout_at(limit, read(&mut self.reader, &mut self.stream)).await {
            Ok(read) => Ok(read?),
            Err(_) => Err(Goodbye::Silent.into()),
        }
    }

    /// The user; only asked for after login.
    pub(crate) fn user(&self) -> Result<Arc<User>, OpError> {
        self.user.clone().ok_or_else(|| bad("Log in first"))
    }

    /// What operators see of the session.
    pub(crate) fn about(&self) -> About {
        About {
            id: self.id,
            protocol: Protocol::Imap,
            peer: self.peer,
            tls: self.stream.is_tls(),
        }
    }

    /// What the client may log in by.
    pub(crate) fn offer(&self) -> Offer {
        let plaintext_loopback = self.node.config.imap.allow_plaintext_loopback;
        let stream = &self.stream;
        Offer::new(
            stream.is_tls(),
            plaintext_loopback,
            self.peer,
            stream.peer(),
        )
    }

    /// Takes note of what has happened while it waited for its client.
    ///
    /// # Errors
    /// When the session has to end.
    pub(crate) async fn interrupt(&mut self, interruption: Interruption) -> Result<(), Goodbye> {
        match interruption {
            Interruption::Draining => Err(Goodbye::Draining),
            Interruption::Silent => Err(Goodbye::Silent),
            Interruption::News(news) => self.hear(news).await,
        }
    }

    /// Takes note of what has become of the account.
    ///
    /// # Errors
    /// When the session has to end.
    async fn hear(&mut self, news: News) -> Result<(), Goodbye> {
        match news {
            News::Changed => {
                self.look_identity_up();
                Ok(())
            }
            News::Ended(end) => {
                // Nothing is done for a frontend any more; but it is the one to tell its client why,
                // and would take this for a backend that has gone.
                if self.is_frontends() {
                    sleep(CUT_OFF_AFTER).await;
                }
                Err(Goodbye::Ended(end))
            }
        }
    }

    /// The user's account has changed: other groups, other rights, also in the selected mailbox.
    fn look_identity_up(&mut self) {
        let Some(user) = &self.user else { return };
        let vouched = user.namespace.is_canonical();
        let identity = self.node.identity_now(&user.identity, vouched);
        if identity == user.identity {
            return;
        }
        debug!(?identity, "the account has changed");
        let user = Arc::new(User {
            identity,
            namespace: user.namespace.clone(),
        });
        if let State::Selected(selected) = &mut self.state {
            selected.forget_rights();
            selected.contexts.belong_to(&user);
        }
        self.user = Some(user);
    }

    /// Somebody has logged in: what depends on who it is.
    pub(crate) fn enter(&mut self, logged_in: LoggedIn) {
        let LoggedIn {
            identity,
            presence,
            vouched,
        } = logged_in;
        let mut limits = limits(&self.node);
        let namespace = match vouched {
            true => {
                limits.command = limits.command.max(MAX_STAGE);
                self.writer.set_utf8_names_only();
                Namespace::canonical()
            }
            false => {
                let namespace = self.node.config.namespace.clone();
                Namespace::client(namespace, &identity.user, identity.admin)
            }
        };
        self.reader.set_limits(limits);
        self.span.record("user", identity.user.as_str());
        self.imap.metrics.logins.inc();
        self.user = Some(Arc::new(User {
            identity,
            namespace,
        }));
        self.presence = Some(presence);
        self.state = State::Authenticated;
    }

    /// Enables an extension, for the selected mailbox too.
    pub(crate) fn enable(&mut self, extension: Extension) {
        // A frontend's connection goes on to serve other clients of the user.
        if !self.is_frontends() {
            self.enabled.add(extension);
        }
        if let State::Selected(selected) = &mut self.state {
            selected.enabled.add(extension);
            let condstore = selected.enabled.has(Extension::CondStore);
            selected.modseq.due |= condstore && !selected.condstore;
            selected.condstore |= condstore;
        }
    }

    /// What the client is told of the selected mailbox.
    pub(crate) fn wants(&self) -> Wants {
        self.notify
            .as_ref()
            .map_or_else(Wants::default, |notify| notify.wants())
    }

    /// The client wants to be told this from now on.
    pub(crate) fn set_notify(&mut self, notify: Notify) {
        self.notify = Some(Box::new(notify));
        let wants = self.wants();
        if let State::Selected(selected) = &mut self.state {
            selected.wants = wants;
        }
    }

    /// The client has put messages into a mailbox itself, if into the selected one.
    pub(crate) fn note_own_arrivals(&mut self, id: MailboxId, uids: &[u32]) {
        if let State::Selected(selected) = &mut self.state
            && (selected.wants.items || selected.contexts.want_items())
            && selected.handle.id() == id
        {
            for uid in uids {
                selected.own_arrivals.insert(*uid);
            }
        }
    }

    /// Forgets who has logged in, and everything that is theirs: the connection is what it was
    /// at its start, but for TLS (RFC 8437 section 3).
    pub(crate) fn log_out(&mut self) {
        let limit = self.node.config.limits.login_timeout();
        self.state = State::NotAuthenticated(Login::within(limit));
        self.user = None;
        self.presence = None;
        self.transfer = None;
        self.enabled = Enabled::default();
        self.notify = None;
        self.writer.set_names(NameEncoding::default());
        self.reader.set_limits(limits_before_login(&self.node));
    }

    /// On whose behalf the session does what it does.
    pub(crate) fn actor(&self) -> Actor {
        Actor {
            user: self.user.as_ref().map(|user| user.identity.user.clone()),
            operator: None,
            session: Some(self.origin.session.clone()),
            client: self.origin.client,
        }
    }

    /// Notes for the audit log that an administrator gets at what is in somebody else's mailbox.
    pub(crate) fn audit_access(&self, action: &str, mailbox: &MailboxName) {
        let identity = self.user.as_ref().map(|user| &user.identity);
        if identity.is_some_and(|who| who.admin && !mailbox.is_owned_by(&who.user)) {
            murder_net::audit!("mailbox.access", for &self.actor(), admin = true, action, %mailbox);
        }
    }

    /// The canonical name of a mailbox that the client names.
    pub(crate) fn mailbox_name(&self, mailbox: &MailboxArg) -> Result<MailboxName, OpError> {
        let user = self.user()?;
        let text = mailbox.to_utf8(self.is_utf8())?;
        Ok(user.namespace.parse(&text)?)
    }

    /// Whether a frontend acts for the user here.
    pub(crate) fn is_frontends(&self) -> bool {
        let user = self.user.as_ref();
        user.is_some_and(|user| user.namespace.is_canonical())
    }

    /// Whether the client sends names in UTF-8.
    pub(crate) fn is_utf8(&self) -> bool {
        self.writer.names() == NameEncoding::Utf8
    }

    /// A mailbox of this node that the user may know of (right `l`).
    pub(crate) fn find(&self, name: &MailboxName) -> Result<Found, OpError> {
        self.find_with(name, Rights::LOOKUP)
    }

    /// A mailbox of this node in which the user has the right `needed`. One who has neither that
    /// nor `l` is not told that it exists (RFC 4314 section 6).
    pub(crate) fn find_with(&self, name: &MailboxName, needed: Rights) -> Result<Found, OpError> {
        let user = self.user()?;
        let found = self.node.find(name);
        let here = found.is_some();
        if let Some(found) = found {
            let rights = found.rights_of(&user.identity);
            if rights.contains(needed) {
                return Ok(found);
            }
            if rights.contains(Rights::LOOKUP) {
                return Err(not_permitted());
            }
        }
        Err(no_such_mailbox(user.namespace.is_canonical() && !here))
    }
}

impl From<Goodbye> for Ended {
    fn from(goodbye: Goodbye) -> Self {
        Self::Goodbye(goodbye)
    }
}

/// What ends the session of what went wrong outside of a command.
fn ended(error: OpError) -> Result<(), Ended> {
    match error {
        OpError::Gone(error) => Err(Ended::Client(error)),
        OpError::Bye(text) => Err(Ended::Bye(text)),
        OpError::Refused(_) | OpError::Answered => Ok(()),
    }
}

/// What may be sent before login.
fn limits_before_login(node: &Node) -> Limits {
    limits(node).before_login()
}

/// What may be sent after it.
fn limits(node: &Node) -> Limits {
    Limits {
        command: node.config.imap.max_command,
        append: node.config.imap.append_limit,
    }
}

/// The right to do it is missing, and the user may know that the mailbox exists.
pub(crate) fn not_permitted() -> OpError {
    no(murder_imap::Code::NoPerm, "Permission denied")
}
