//! One session: its loop and its end.

use std::io;
use std::sync::Arc;

use murder_imap::{Code, Command, Event, NameEncoding, NodeCode, NodeCommand, Status, Tag};
use murder_mailbox::Namespace;
use murder_net::Connection;
use murder_session::{
    BadCommands, ClientStream, End, Goodbye, Interruption, LoggedIn, Login, Overdue, Presence,
};
use tokio::time::Instant;
use tracing::{Instrument, debug};

use crate::imap::Imap;
use crate::imap::account::{Account, User};
use crate::imap::client::{Client, limits, limits_before_login};
use crate::imap::dispatch::{boxed, news_after};
use crate::imap::enabled::Enabled;
use crate::imap::errors::{Bye, OpError, OpResult, bad};
use crate::imap::notify::{self, Own, Wake};
use crate::imap::op;
use crate::imap::state::State;
use crate::imap::updates::{self, Expunges};
use crate::node::Node;
use crate::transfer::MAX_STAGE;

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
    /// The client.
    pub client: Client,
    /// Where it stands.
    pub state: State,
    bad_commands: BadCommands,
}

impl Session {
    /// A session over `connection`, in the current span.
    pub(crate) fn new(node: Arc<Node>, imap: Arc<Imap>, connection: Connection) -> Self {
        let login = Login::within(node.config.limits.login_timeout());
        Self {
            client: Client::new(node, imap, connection, login.deadline()),
            state: State::NotAuthenticated(login),
            bad_commands: BadCommands::default(),
        }
    }

    /// Serves the client to the end.
    pub(crate) async fn run(mut self: Box<Self>) {
        let code = op::capability::code(&self);
        let greeting = format!("{} ready", self.client.node.config.node.name);
        self.client
            .writer
            .untagged(Status::Ok, Some(&code), greeting.trim_start());
        let ended = self.serve().await;
        debug!(reason = %ended, "session ended");
        Box::pin(self.say_goodbye(&ended)).await;
    }

    async fn serve(&mut self) -> Ended {
        loop {
            let event = match self.client.reader.next_buffered() {
                // Answers to pipelined commands go out together.
                Some(event) => {
                    let room = self.client.make_room().await;
                    room.map(|()| event).map_err(Ended::Client)
                }
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
        let deadline = match &self.state {
            State::NotAuthenticated(login) => login.deadline(),
            _ => Instant::now() + self.client.node.config.limits.idle_timeout(),
        };
        if self.state.notifies() {
            return boxed(self.wait_and_notify(deadline)).await;
        }
        self.client.flush().await.map_err(Ended::Client)?;
        loop {
            let (client, presence) = (&mut self.client, self.state.presence());
            let interruption = tokio::select! {
                biased;
                interruption = client.watch.interrupted(presence, deadline) => interruption,
                event = client.reader.next(&mut client.stream) => return event.map_err(Ended::Client),
            };
            boxed(self.interrupt(interruption)).await?;
        }
    }

    /// The same for a client that has used NOTIFY: it is told meanwhile what happens.
    async fn wait_and_notify(&mut self, deadline: Instant) -> Result<Event, Ended> {
        loop {
            let mut wake = Wake::default();
            if let Some((account, mut selected)) = self.state.logged_in() {
                wake = Wake::of(account, selected.as_deref());
                let between =
                    notify::between_commands(&mut self.client, account, selected.as_deref_mut());
                between.await.or_else(ended)?;
                wake.set_due(selected.as_deref());
            }
            if self.state.is_mailbox_gone() {
                return Err(Ended::Logout);
            }
            self.client.flush().await.map_err(Ended::Client)?;
            let (client, presence) = (&mut self.client, self.state.presence());
            let interruption = tokio::select! {
                biased;
                interruption = client.watch.interrupted(presence, deadline) => interruption,
                event = client.reader.next(&mut client.stream) => return event.map_err(Ended::Client),
                () = wake.wait() => continue,
            };
            boxed(self.interrupt(interruption)).await?;
        }
    }

    /// Takes note of what has happened while it waited for its client.
    async fn interrupt(&mut self, interruption: Interruption) -> Result<(), Goodbye> {
        let news = interruption.news()?;
        match self.state.logged_in() {
            Some((account, selected)) => account.hear(&self.client.node, selected, news).await,
            None => Ok(()),
        }
    }

    async fn take(&mut self, event: Event) -> Result<(), Ended> {
        if let Some(news) = self.state.presence().and_then(Presence::news) {
            boxed(self.interrupt(Interruption::News(news))).await?;
        }
        match event {
            Event::Command { tag, command } => {
                self.client.imap.metrics.command(command.name());
                let news = news_after(&command);
                let via = self.client.via.clone();
                if self.state.notifies() {
                    boxed(self.before_change(&command)).await?;
                }
                let names_the_next = matches!(command, Command::Node(NodeCommand::NextId(_)));
                let overdue = Overdue::of(self.state.presence());
                let result = tokio::select! {
                    biased;
                    result = self.execute(&tag, command).instrument(via) => result,
                    end = overdue => return Err(Ended::CutOff(end)),
                };
                if !names_the_next {
                    self.forget_next_id();
                }
                self.complete(&tag, result, news).await
            }
            Event::Append(start) => {
                self.client.imap.metrics.command(start.name());
                let tag = start.tag.clone();
                let via = self.client.via.clone();
                let overdue = Overdue::of(self.state.presence());
                let client = &mut self.client;
                let append = async {
                    match self.state.logged_in() {
                        Some((account, selected)) => {
                            boxed(op::append::append(client, account, selected, start)).await
                        }
                        None => Err(bad("Log in first")),
                    }
                };
                let result = tokio::select! {
                    biased;
                    result = append.instrument(via) => result,
                    end = overdue => return Err(Ended::CutOff(end)),
                };
                self.complete(&tag, result, Some(Expunges::Allowed)).await
            }
            Event::NeedContinuation => {
                self.client.writer.continuation("Go ahead");
                Ok(())
            }
            Event::Bad { tag, text } => {
                self.forget_next_id();
                self.client.writer.bad(tag.as_ref(), &text);
                self.count_bad()
            }
            Event::ValueTooLarge { tag } => {
                self.forget_next_id();
                let refusal = match self.state {
                    State::NotAuthenticated(_) => bad("Log in first"),
                    _ => op::set_metadata::too_large(&self.client.node),
                };
                self.complete(&tag, Err(refusal), Some(Expunges::Allowed))
                    .await
            }
            Event::Fatal { text } => Err(Ended::Bye(text.into())),
            Event::Eof => Err(Ended::Closed),
        }
    }

    fn forget_next_id(&mut self) {
        if let Some((account, _)) = self.state.logged_in() {
            account.next_id = None;
        }
    }

    /// Before a command changes names, tells what others have changed, so that the rest is its own.
    async fn before_change(&mut self, command: &Command) -> Result<(), Ended> {
        let Some((account, selected)) = self.state.logged_in() else {
            return Ok(());
        };
        let Some(own) = Own::of(&self.client, account, command) else {
            return Ok(());
        };
        let rest = notify::rest(&mut self.client, account, selected);
        rest.await.or_else(ended)?;
        if let Some(notify) = &mut account.notify {
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
        let client = &mut self.client;
        let mut completion = match completion.status == Status::No && client.node.may_lack() {
            true => completion.into_unavailable(),
            false => completion,
        };
        // The frontend says it once more, perhaps elsewhere: numbers must be what they were.
        let news = match &completion.code {
            Some(Code::Node(NodeCode::NotHere)) => news.map(|_| Expunges::Held),
            _ => news,
        };
        if let Some((account, mut selected)) = self.state.logged_in() {
            if let (Some(selected), Some(expunges)) = (selected.as_deref_mut(), news) {
                let told = updates::news(client, account, selected, expunges).await;
                told.map_err(Ended::Client)?;
            }
            if account.notify.is_some() {
                let rest = notify::rest(client, account, selected.as_deref_mut());
                boxed(rest).await.or_else(ended)?;
            }
            if let Some(selected) = selected {
                updates::tell_modseq(client, account, selected, &mut completion);
            }
        }
        let code = completion.code.as_ref();
        client
            .writer
            .tagged(tag, completion.status, code, &completion.text);
        if self.state.is_mailbox_gone() || matches!(self.state, State::Logout) {
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
        // Of who is going, nobody need know any more.
        self.state = State::Logout;
        let Client { writer, stream, .. } = &mut self.client;
        if let Some(word) = word {
            writer.untagged(Status::Bye, code, word);
        }
        // Who waits for us is not sending.
        let cut_off = match ended {
            Ended::Goodbye(Goodbye::Draining | Goodbye::Silent) => false,
            _ => word.is_some(),
        };
        let send = async |stream: &mut ClientStream| writer.flush(stream).await;
        murder_session::close(stream, send, cut_off).await;
    }

    /// Somebody has logged in: what depends on who it is.
    pub(crate) fn enter(&mut self, logged_in: LoggedIn) {
        let LoggedIn {
            identity,
            presence,
            vouched,
        } = logged_in;
        let client = &mut self.client;
        let mut limits = limits(&client.node);
        let namespace = match vouched {
            true => {
                limits.command = limits.command.max(MAX_STAGE);
                client.writer.set_utf8_names_only();
                Namespace::canonical()
            }
            false => {
                let namespace = client.node.config.namespace.clone();
                Namespace::client(namespace, &identity.user, identity.admin)
            }
        };
        client.reader.set_limits(limits);
        client.span.record("user", identity.user.as_str());
        client.imap.metrics.logins.inc();
        let user = User {
            identity,
            namespace,
        };
        self.state = State::Authenticated(Account::new(user, presence));
    }

    /// Forgets who has logged in, and everything that is theirs: the connection is what it was
    /// at its start, but for TLS (RFC 8437 section 3).
    pub(crate) fn log_out(&mut self) {
        let client = &mut self.client;
        let limit = client.node.config.limits.login_timeout();
        client.enabled = Enabled::default();
        client.writer.set_names(NameEncoding::default());
        client.reader.set_limits(limits_before_login(&client.node));
        self.state = State::NotAuthenticated(Login::within(limit));
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
