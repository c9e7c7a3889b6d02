//! One connection to a backend, authenticated as one user.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use memchr::memchr;
use murder_imap::framing::{NotImap, Piece, ResponseCutter};
use murder_imap::{
    AppendStart, LiteralHead, MailboxArg, NodeCode, NodeCommand, NodeId, Tag, encode, put_number,
};
use murder_net::{Alarm, Stream};
use tokio::time::Instant;

use super::answer::Answer;
use super::status::Completion;
use crate::wire::{HIGH_WATER, Wire};

/// The most octets of one answer to a short command: an ACL with
/// [`murder_mailbox::Acl::MAX_ENTRIES`] identifiers is well below it.
const MAX_ANSWER: usize = 1024 * 1024;

/// The most octets of all answers to one short command, which are held until it ends: a hundred
/// thousand subscriptions are well below it.
const MAX_ANSWERS: usize = 16 * 1024 * 1024;

/// Why a backend could not do its part.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendError {
    /// It cannot be reached: nothing of the command was sent.
    #[error("backend {node} cannot be reached: {reason}")]
    Unreachable {
        /// Its name.
        node: String,
        /// Why.
        reason: String,
    },
    /// The connection broke, or the backend ended it, when the command may have reached it: it may
    /// have been done.
    #[error("connection to backend {node} lost: {reason}")]
    Lost {
        /// Its name.
        node: String,
        /// Why.
        reason: String,
    },
    /// The backend ended it as the mailbox that was selected on it is deleted.
    #[error("the mailbox that was selected on backend {node} is deleted")]
    Deleted {
        /// Its name.
        node: String,
    },
    /// It would not act for the user.
    #[error("backend {node} refused the user: {answer}")]
    Refused {
        /// Its name.
        node: String,
        /// What it said.
        answer: Completion,
    },
}

impl BackendError {
    /// Whether the backend may have acted all the same.
    pub(crate) fn may_be_done(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }

    /// The error of a connection that was lost while nothing had been sent that could be done.
    pub(crate) fn before_a_command(self) -> Self {
        match self {
            Self::Lost { node, reason } => Self::Unreachable { node, reason },
            other => other,
        }
    }
}

/// What a backend has said.
#[derive(Debug)]
pub(crate) enum Event {
    /// `len` bytes of an untagged answer are at the front of the input, to be taken away.
    Untagged {
        /// How many.
        len: usize,
        /// The answer ends here.
        last: bool,
    },
    /// `* OK …`, `* NO …` or `* BAD …`.
    Status(Completion),
    /// `+ …`.
    Continuation,
    /// The end of the command with this tag.
    Tagged(u32, Completion),
}

/// Untagged answers at the front of the input, to be taken away.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// So many bytes of answers that are wanted,
    pub wanted: usize,
    /// and then so many of one that is not.
    pub unwanted: usize,
}

/// Who a connection acts for, and in whose session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ActingFor {
    /// Login name.
    pub user: Arc<str>,
    /// The session's id, the same in the logs of both nodes.
    pub session: Arc<str>,
    /// The client's address.
    pub client: std::net::IpAddr,
    /// The master's revision of the accounts by which the session goes.
    pub accounts: u64,
}

/// A connection to a backend.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Its bytes.
    pub wire: Wire,
    cutter: ResponseCutter,
    node: Arc<str>,
    user: Arc<str>,
    session: Arc<str>,
    accounts: u64,
    made: std::time::Instant,
    last_tag: u32,
    silence: Duration,
    /// The backend has said that the mailbox that was selected is deleted.
    deleted: bool,
    /// Goes off when an answer has been owed for too long; made when one is waited for.
    alarm: Option<Alarm>,
}

impl Connection {
    /// Over an open stream; nothing has been said on it. `silence` is how long a backend
    /// that owes an answer may say nothing at all.
    pub(crate) fn new(stream: Stream, node: &str, acting: &ActingFor, silence: Duration) -> Self {
        Self {
            wire: Wire::new(stream, HIGH_WATER),
            cutter: ResponseCutter::default(),
            node: node.into(),
            user: acting.user.clone(),
            session: acting.session.clone(),
            accounts: 0,
            made: std::time::Instant::now(),
            last_tag: 0,
            silence,
            deleted: false,
            alarm: None,
        }
    }

    /// When it was made.
    pub(crate) fn made(&self) -> std::time::Instant {
        self.made
    }

    /// The backend's name.
    pub(crate) fn node(&self) -> &Arc<str> {
        &self.node
    }

    /// The user that it acts for.
    pub(crate) fn user(&self) -> &Arc<str> {
        &self.user
    }

    /// Whether it is at its end because the mailbox that was selected is deleted.
    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// How long a backend that owes an answer may say nothing.
    pub(crate) fn silence(&self) -> Duration {
        self.silence
    }

    /// Whether no answer is half read, so that the next command's can be told apart.
    pub(crate) fn is_between_answers(&self) -> bool {
        self.cutter.is_between()
    }

    /// Says which session uses the connection from now on, and by which accounts it goes. The
    /// answer is not waited for: it is passed over like that of any command that nobody asks about.
    pub(crate) fn attach(&mut self, acting: &ActingFor) {
        if self.accounts < acting.accounts || self.session != acting.session {
            self.session = acting.session.clone();
            self.introduce(acting);
        }
    }

    /// Queues the ID command that names session and client, and the revision of the accounts,
    /// which the backend waits for.
    pub(crate) fn introduce(&mut self, acting: &ActingFor) {
        self.accounts = self.accounts.max(acting.accounts);
        let id = format!(
            "ID (\"x-session-id\" \"{}\" \"x-originating-ip\" \"{}\" \
             \"x-accounts-revision\" \"{}\")",
            acting.session, acting.client, self.accounts
        );
        self.send(id.as_bytes());
    }

    /// Queues a command, without its tag and CRLF; its tag.
    pub(crate) fn send(&mut self, command: &[u8]) -> u32 {
        self.send_parts(&[command])
    }

    /// Queues a command that is put together of these parts; its tag.
    pub(crate) fn send_parts(&mut self, command: &[&[u8]]) -> u32 {
        self.last_tag = self.last_tag.wrapping_add(1);
        put_command(&mut self.wire.output, self.last_tag, command);
        self.last_tag
    }

    /// Queues an APPEND to `mailbox`, as `start` has it, up to its message; its tag.
    pub(crate) fn send_append(
        &mut self,
        mailbox: &MailboxArg,
        start: &AppendStart,
        literal: LiteralHead,
    ) -> u32 {
        self.last_tag = self.last_tag.wrapping_add(1);
        encode::append_head(
            &mut self.wire.output,
            &Tag::numbered('f', self.last_tag.into()),
            mailbox,
            &start.flags,
            start.internal_date,
            literal.len,
            literal.binary,
        );
        self.last_tag
    }

    /// Says which id that has which the next command makes.
    pub(crate) fn name_next(&mut self, id: NodeId) {
        self.send(&NodeCommand::NextId(id).line());
    }

    /// What the input holds next; `None` when more must come first.
    ///
    /// # Errors
    /// When the backend says BYE or something that is no IMAP.
    pub(crate) fn event(&mut self) -> Result<Option<Event>, BackendError> {
        let piece = self
            .cutter
            .next(&self.wire.input)
            .map_err(|error| self.lost(error))?;
        Ok(Some(match piece {
            Piece::More => return Ok(None),
            Piece::Untagged { len, last, .. } => Event::Untagged { len, last },
            Piece::Continuation { len } => {
                self.wire.input.advance(len);
                Event::Continuation
            }
            Piece::Status { len } => {
                let line = self.line(len);
                let rest = line.strip_prefix("* ").unwrap_or_default();
                let status = Completion::parse(rest).ok_or_else(|| self.lost(NotImap))?;
                if rest
                    .get(..3)
                    .is_some_and(|word| word.eq_ignore_ascii_case("BYE"))
                {
                    self.deleted = status.node_code() == Some(NodeCode::Deleted);
                    return Err(match self.deleted {
                        true => BackendError::Deleted {
                            node: self.node.to_string(),
                        },
                        false => self.lost(status.text),
                    });
                }
                Event::Status(status)
            }
            Piece::Tagged { len } => {
                let line = self.line(len);
                let (tag, rest) = line.split_once(' ').unwrap_or((&line, ""));
                let tag = tag.strip_prefix('f').and_then(|n| n.parse().ok());
                match (tag, Completion::parse(rest)) {
                    (Some(tag), Some(completion)) => Event::Tagged(tag, completion),
                    _ => return Err(self.lost(NotImap)),
                }
            }
        }))
    }

    /// The end of command `tag`, when the input begins with it and it has no response code, which
    /// may be for frontends only: where in the input its status and text are, CRLF included.
    pub(crate) fn plain_end(&self, tag: u32) -> Option<Range<usize>> {
        match self.cutter.is_between() {
            true => plain_end(&self.wire.input, tag),
            false => None,
        }
    }

    /// Goes through the untagged answers at the front of the input, as far as `passes` says of
    /// each that begins (`passing` of one that goes on) that it is wanted.
    ///
    /// # Errors
    /// When the backend says something that is no IMAP.
    pub(crate) fn run(
        &mut self,
        passing: &mut bool,
        passes: impl Fn(&[u8]) -> bool,
    ) -> Result<Run, BackendError> {
        let mut run = Run::default();
        loop {
            let rest = &self.wire.input[run.wanted..];
            let piece = match self.cutter.next(rest) {
                Ok(piece) => piece,
                // What comes before it is good; it is found again.
                Err(_) if run.wanted > 0 => return Ok(run),
                Err(error) => return Err(self.lost(error)),
            };
            let Piece::Untagged { len, first, last } = piece else {
                return Ok(run);
            };
            if first {
                *passing = passes(&rest[..len]);
            }
            let wanted = *passing;
            *passing &= !last;
            if !wanted {
                run.unwanted = len;
                return Ok(run);
            }
            run.wanted += len;
        }
    }

    fn line(&mut self, len: usize) -> String {
        let line = &self.wire.input[..len];
        let end = line.iter().rposition(|b| !matches!(b, b'\r' | b'\n'));
        let line = String::from_utf8_lossy(&line[..end.map_or(0, |end| end + 1)]).into_owned();
        self.wire.input.advance(len);
        line
    }

    /// Takes the `len` bytes away that [`Event::Untagged`] told about.
    pub(crate) fn take(&mut self, len: usize, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.wire.input[..len]);
        self.wire.input.advance(len);
    }

    /// The same for an answer that is held whole, of which `to` has what came before.
    ///
    /// # Errors
    /// When it is too large.
    pub(crate) fn take_bounded(
        &mut self,
        len: usize,
        to: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
        if to.len() + len > MAX_ANSWER {
            return Err(self.lost("answer too large"));
        }
        self.take(len, to);
        Ok(())
    }

    /// Waits for input. To be used while an answer is owed: a backend that says nothing for
    /// too long is as good as gone.
    pub(crate) async fn fill(&mut self) -> Result<(), BackendError> {
        let until = Instant::now() + self.silence;
        let alarm = self.alarm.get_or_insert_with(|| Alarm::new(until));
        let filled = tokio::select! {
            biased;
            filled = self.wire.fill() => filled,
            () = alarm.until(until) => return Err(self.lost("no answer in time")),
        };
        match filled {
            Ok(0) => Err(self.lost("closed")),
            Ok(_) => Ok(()),
            Err(error) => Err(self.lost(error)),
        }
    }

    /// Sends a command (without tag and CRLF) and reads to its end. Untagged answers and
    /// statuses go to `on` as they come.
    pub(crate) async fn command(
        &mut self,
        command: &[u8],
        on: &mut (dyn FnMut(Said) + Send),
    ) -> Result<Completion, BackendError> {
        let tag = self.send(command);
        self.finish(tag, on).await
    }

    /// Reads to the end of the command with that tag.
    pub(crate) async fn finish(
        &mut self,
        tag: u32,
        on: &mut (dyn FnMut(Said) + Send),
    ) -> Result<Completion, BackendError> {
        let mut bytes = Vec::new();
        let mut all = 0;
        loop {
            match self.event()? {
                None => self.fill().await?,
                Some(Event::Untagged { len, last, .. }) => {
                    all += len;
                    if all > MAX_ANSWERS {
                        return Err(self.lost("too many answers"));
                    }
                    self.take_bounded(len, &mut bytes)?;
                    if last {
                        on(Said::Answer(Answer {
                            bytes: std::mem::take(&mut bytes),
                        }));
                    }
                }
                Some(Event::Status(status)) => on(Said::Status(status)),
                Some(Event::Continuation) => {}
                Some(Event::Tagged(of, completion)) if of == tag => return Ok(completion),
                Some(Event::Tagged(..)) => {}
            }
        }
    }

    /// The error of a connection that is of no use any more.
    pub(crate) fn lost(&self, reason: impl ToString) -> BackendError {
        BackendError::Lost {
            node: self.node.to_string(),
            reason: reason.to_string(),
        }
    }

    /// The same for an I/O error.
    pub(crate) fn lost_io(&self, result: io::Result<usize>) -> BackendError {
        match result {
            Ok(_) => self.lost("closed"),
            Err(error) => self.lost(error),
        }
    }
}

/// What a backend says while a command is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// An untagged answer.
    Answer(Answer),
    /// An untagged status.
    Status(Completion),
}

/// A command as it stands on the wire.
pub(crate) fn put_command(output: &mut BytesMut, tag: u32, parts: &[&[u8]]) {
    output.extend_from_slice(b"f");
    put_number(output, tag.into());
    output.extend_from_slice(b" ");
    for part in parts {
        output.extend_from_slice(part);
    }
    output.extend_from_slice(b"\r\n");
}

/// See [`Connection::plain_end`].
fn plain_end(input: &[u8], tag: u32) -> Option<Range<usize>> {
    let (number, line) = input
        .strip_prefix(b"f")?
        .split_at_checked(memchr(b' ', input)? - 1)?;
    let number = std::str::from_utf8(number).ok()?;
    let line = &line[1..];
    let statuses = [&b"OK "[..], b"NO ", b"BAD "];
    let text = statuses
        .iter()
        .find_map(|status| line.strip_prefix(*status))?;
    if number.parse() != Ok(tag) || matches!(text.first()?, b'[' | b'\r') {
        return None;
    }
    let length = memchr(b'\n', line).filter(|at| line[..*at].ends_with(b"\r"))? + 1;
    let start = input.len() - line.len();
    Some(start..start + length)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_plain_end_of_a_command() {
        let end = |text: &str, tag| plain_end(text.as_bytes(), tag).map(|end| text[end].to_owned());
        assert_eq!(
            end("f12 OK done\r\n* 1 EXISTS\r\n", 12).unwrap(),
            "OK done\r\n"
        );
        assert_eq!(end("f1 BAD what?\r\n", 1).unwrap(), "BAD what?\r\n");
        for other in [
            "",
            "f",
            "f12",
            "f12 ",
            "f12 OK",
            "f12 OK do",
            "f12 OK \r\n",
            "f12 OK\r\n",
            "f12 OK bare\n",
            "f12 OK [X-REVISION 1] done\r\n",
            "f12 BYE done\r\n",
            "f13 OK done\r\n",
            "f OK done\r\n",
            " OK done\r\n",
            "* 1 FETCH (FLAGS ())\r\n",
        ] {
            assert_eq!(end(other, 12), None, "{other:?}");
        }
    }
}
