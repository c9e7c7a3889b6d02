//! The selected mailbox: commands go to its backend as bytes, answers come back as bytes.
//!
//! Commands are forwarded without waiting for the answers to those before them; answers come
//! in the order of the one server that they come from. Only tags are changed. Nothing here
//! waits: bytes are moved between buffers, and the session waits for either side.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Buf;
use murder_mailbox::MailboxName;
use murder_session::ShownMailbox;

use crate::backend::{BackendError, Completion, Connection, Event};
use crate::imap::client::Client;
use crate::imap::errors::Refusal;
use crate::imap::table::Command;

/// Commands under way at the same time; a client that pipelines more waits at its socket.
const MAX_UNDER_WAY: usize = 64;

/// The selected mailbox of a session.
pub(crate) struct Selected {
    /// Its name.
    pub mailbox: MailboxName,
    /// The backend that holds it.
    pub node: String,
    /// The connection on which it is selected; `None` when that has been lost.
    connection: Option<Box<Connection>>,
    under_way: VecDeque<UnderWay>,
    /// Whether the untagged answer that is passing by goes to the client.
    passing: bool,
    /// When the backend got its last command.
    last_command: Instant,
    /// The backend went in the middle of an answer that the client has begun to get.
    torn: bool,
    /// The mailbox was deleted.
    deleted: bool,
    /// Shows operators that it is selected.
    _shown: Option<ShownMailbox>,
}

/// A command that the backend has not completed.
#[derive(Debug)]
struct UnderWay {
    tag: u32,
    client_tag: Box<str>,
    kind: Kind,
    /// It changes something, so that NO would be untrue when it may have been done.
    changes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing to be done at its end.
    Plain,
    /// IDLE; the backend has not answered yet.
    IdleAsked,
    /// IDLE; its continuation has gone to the client.
    Idling,
    /// IDLE that the client ended with something else than DONE.
    IdleSpoilt,
}

/// What passing answers on came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passed {
    /// Nothing was there.
    Nothing,
    /// Something was.
    Something,
}

/// The backend has gone in the middle of an answer: the client's stream cannot be continued.
#[derive(Debug)]
pub(crate) struct TornAnswer(pub BackendError);

impl Selected {
    /// `mailbox`, selected on `connection`, which operators see by `shown`.
    pub(crate) fn new(
        mailbox: MailboxName,
        connection: Box<Connection>,
        shown: Option<ShownMailbox>,
    ) -> Self {
        Self {
            mailbox,
            node: connection.node().to_string(),
            connection: Some(connection),
            under_way: VecDeque::new(),
            passing: false,
            last_command: Instant::now(),
            torn: false,
            deleted: false,
            _shown: shown,
        }
    }

    /// The connection, unless it has been lost.
    pub(crate) fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_deref_mut()
    }

    /// Takes the connection out, for another mailbox or for nobody.
    pub(crate) fn into_connection(self) -> Option<Box<Connection>> {
        self.connection
    }

    /// The connection is of no use any more, and nothing waits for an answer on it.
    pub(crate) fn forget_connection(&mut self) {
        debug_assert!(self.under_way.is_empty());
        let connection = self.connection.take();
        self.deleted |= connection.is_some_and(|connection| connection.is_deleted());
    }

    /// Whether the mailbox was deleted, which ends the session.
    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Whether the client has got the beginning of an answer whose end will never come.
    pub(crate) fn is_answer_torn(&self) -> bool {
        self.torn
    }

    /// Whether the client has got the beginning of an answer whose end has yet to come.
    pub(crate) fn is_in_answer(&self) -> bool {
        let connection = self.connection.as_deref();
        self.torn || self.passing && connection.is_some_and(|c| !c.is_between_answers())
    }

    /// Whether all commands have been completed.
    pub(crate) fn is_quiet(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether one more command may be forwarded.
    pub(crate) fn takes_more(&self) -> bool {
        self.under_way.len() < MAX_UNDER_WAY
            && self.connection.as_ref().is_none_or(|c| c.wire.has_room())
    }

    /// Whether the backend has got no command for so long.
    pub(crate) fn is_silent_for(&self, limit: Duration) -> bool {
        self.connection.is_some() && self.last_command.elapsed() >= limit
    }

    /// A command that is not forwarded goes to the backend.
    pub(crate) fn touch(&mut self) {
        self.last_command = Instant::now();
    }

    /// Whether the client is in IDLE, so that its next line is DONE.
    pub(crate) fn is_idling(&self) -> bool {
        self.under_way
            .back()
            .is_some_and(|c| matches!(c.kind, Kind::IdleAsked | Kind::Idling))
    }

    /// Whether the backend owes an answer.
    pub(crate) fn owes_answer(&self) -> bool {
        self.under_way
            .front()
            .is_some_and(|c| c.kind != Kind::Idling)
    }

    /// Forwards a command, with what the client wrote after its name.
    pub(crate) fn forward(
        &mut self,
        client_tag: Box<str>,
        command: &Command,
        arguments: &[u8],
    ) -> Result<(), Refusal> {
        let kind = if command.name == "IDLE" {
            Kind::IdleAsked
        } else {
            Kind::Plain
        };
        let connection = self
            .connection
            .as_deref_mut()
            .ok_or(Refusal::SelectedLost)?;
        self.last_command = Instant::now();
        let tag = connection.send_parts(&relayed_parts(command.name, arguments));
        self.under_way.push_back(UnderWay {
            tag,
            client_tag,
            kind,
            changes: command.changes,
        });
        Ok(())
    }

    /// The client's line in IDLE.
    pub(crate) fn end_idle(&mut self, line: &[u8]) {
        let Some(command) = self.under_way.back_mut() else {
            return;
        };
        command.kind = if line.eq_ignore_ascii_case(b"DONE") {
            Kind::Plain
        } else {
            Kind::IdleSpoilt
        };
        if let Some(connection) = &mut self.connection {
            connection.wire.put(b"DONE\r\n");
        }
    }

    /// Passes on what the backend has sent, as far as the client's queue has room.
    ///
    /// # Errors
    /// When the backend has gone and part of an answer is on its way to the client.
    pub(crate) fn pass_answers(&mut self, client: &mut Client) -> Result<Passed, TornAnswer> {
        let mut passed = Passed::Nothing;
        while client.wire.has_room() {
            let Some(connection) = self.connection.as_deref_mut() else {
                return Ok(passed);
            };
            let run = connection.run(&mut self.passing, |answer| {
                !is_the_frontends(answer) && !answer.starts_with(ESEARCH)
            });
            let next = match run {
                Ok(run) if run.wanted + run.unwanted > 0 => {
                    let input = &mut connection.wire.input;
                    crate::wire::shift(input, &mut client.wire.output, run.wanted);
                    let piece = &input[..run.unwanted];
                    let is_esearch = piece.starts_with(ESEARCH);
                    if is_esearch {
                        put_esearch(&mut client.wire, &self.under_way, piece);
                    }
                    input.advance(run.unwanted);
                    // Of a long one the rest goes by as it is.
                    self.passing |= is_esearch && !connection.is_between_answers();
                    passed = Passed::Something;
                    continue;
                }
                Ok(_) if pass_plain_end(connection, &mut self.under_way, client) => {
                    passed = Passed::Something;
                    continue;
                }
                Ok(_) => connection.event(),
                Err(error) => Err(error),
            };
            match next {
                Ok(None) => return Ok(passed),
                Ok(Some(event)) => {
                    passed = Passed::Something;
                    self.pass(event, client);
                }
                Err(error) => return self.lose(error, client).map(|()| Passed::Something),
            }
        }
        Ok(passed)
    }

    fn pass(&mut self, event: Event, client: &mut Client) {
        match event {
            // All have gone by in `pass_answers`.
            Event::Untagged { len, .. } => {
                if let Some(connection) = self.connection.as_deref_mut() {
                    connection.wire.input.advance(len);
                }
            }
            Event::Status(status) => write_status(client, &status),
            Event::Continuation => {
                if let Some(command) = self.under_way.front_mut()
                    && command.kind == Kind::IdleAsked
                {
                    command.kind = Kind::Idling;
                    client.wire.put(b"+ idling\r\n");
                }
            }
            Event::Tagged(tag, mut completion) => {
                if self.under_way.front().is_none_or(|c| c.tag != tag) {
                    // The answer to an ID of our own.
                    return;
                }
                let Some(command) = self.under_way.pop_front() else {
                    return;
                };
                if command.kind == Kind::IdleSpoilt {
                    completion = Refusal::syntax("Expected DONE").completion();
                }
                write_tagged(client, &command.client_tag, &completion);
            }
        }
    }

    /// The backend has gone. Whatever the client waits for is answered with NO.
    ///
    /// # Errors
    /// When that cannot be said: in the middle of an answer, of a change, which may have been made,
    /// or to a client in IDLE, which would wait for news for ever; and when the mailbox was deleted.
    pub(crate) fn lose(
        &mut self,
        error: BackendError,
        client: &mut Client,
    ) -> Result<(), TornAnswer> {
        if let BackendError::Deleted { .. } = error {
            return Err(TornAnswer(error));
        }
        self.torn = self.passing
            && self
                .connection
                .take()
                .is_some_and(|c| !c.is_between_answers());
        self.connection = None;
        let mut under_way = self.under_way.iter();
        if self.torn || under_way.any(|c| c.changes || c.kind != Kind::Plain) {
            return Err(TornAnswer(error));
        }
        tracing::warn!(%error, mailbox = %self.mailbox, "lost the selected mailbox");
        let completion = Refusal::SelectedLost.completion();
        for command in self.under_way.drain(..) {
            write_tagged(client, &command.client_tag, &completion);
        }
        Ok(())
    }
}

/// How an ESEARCH begins that says which command it answers (RFC 4731 section 2.1): it passes, but
/// for the tag, which is the frontend's own.
const ESEARCH: &[u8] = b"* ESEARCH (TAG \"f";

/// Puts the client's tag for the frontend's own into the first piece of an ESEARCH.
fn put_esearch(wire: &mut crate::wire::Wire, under_way: &VecDeque<UnderWay>, piece: &[u8]) {
    let rest = &piece[ESEARCH.len()..];
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, rest) = rest.split_at(digits);
    let number = std::str::from_utf8(number)
        .ok()
        .and_then(|n| n.parse().ok());
    let of = under_way.iter().find(|command| Some(command.tag) == number);
    wire.put(&ESEARCH[..ESEARCH.len() - 1]);
    // A tag holds nothing that would have to be quoted.
    wire.put(of.map_or(&b""[..], |command| command.client_tag.as_bytes()));
    wire.put(rest);
}

/// Passes on the end of the oldest command, if it is as most are: nothing to be looked at.
fn pass_plain_end(
    connection: &mut Connection,
    under_way: &mut VecDeque<UnderWay>,
    client: &mut Client,
) -> bool {
    let plain = under_way.front().filter(|c| c.kind == Kind::Plain);
    let Some((command, end)) = plain.and_then(|c| Some((c, connection.plain_end(c.tag)?))) else {
        return false;
    };
    let input = &mut connection.wire.input;
    client.wire.put(command.client_tag.as_bytes());
    client.wire.put(b" ");
    client.wire.put(&input[end.clone()]);
    input.advance(end.end);
    under_way.pop_front();
    true
}

/// Whether an untagged answer is about something that the frontend answers itself: it then
/// belongs to a command of ours.
fn is_the_frontends(answer: &[u8]) -> bool {
    // `* 3 FETCH …`, of which there are many.
    if answer.get(2).is_some_and(u8::is_ascii_digit) {
        return false;
    }
    let word = answer
        .get(2..)
        .unwrap_or_default()
        .split(|b| matches!(b, b' ' | b'\r' | b'\n'))
        .next()
        .unwrap_or_default();
    [
        &b"ID"[..],
        b"CAPABILITY",
        b"ENABLED",
        b"LIST",
        b"LSUB",
        b"NAMESPACE",
    ]
    .iter()
    .any(|own| word.eq_ignore_ascii_case(own))
}

/// What a backend is sent of a command: its name, and what the client wrote after it.
pub(crate) fn relayed_parts<'a>(name: &'a str, arguments: &'a [u8]) -> [&'a [u8]; 3] {
    let space: &[u8] = if arguments.is_empty() { b"" } else { b" " };
    [name.as_bytes(), space, arguments]
}

/// `* OK [CODE] text`. What a backend has to say about itself goes to the log, not to the client;
/// an ALERT, which clients show to people, becomes the murder's.
pub(crate) fn write_status(client: &mut Client, status: &Completion) {
    if status.code("CAPABILITY").is_some() {
        return;
    }
    if status.code("ALERT").is_some() {
        tracing::warn!(text = status.text, "a backend's alert");
        let text = &status.text;
        let alert = format_args!("* OK [ALERT] The mail server says: {text}");
        client.wire.put_line(alert);
        return;
    }
    write_tagged(client, "*", status);
}

/// A tagged line, or with `*` for a tag an untagged one.
pub(crate) fn write_tagged(client: &mut Client, tag: &str, completion: &Completion) {
    client.wire.put(tag.as_bytes());
    client.wire.put(b" ");
    for piece in completion.pieces() {
        client.wire.put(piece.as_bytes());
    }
    client.wire.put(b"\r\n");
}
