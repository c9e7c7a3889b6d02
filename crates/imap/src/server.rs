//! Reading commands: the server side.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncRead;

use crate::command::{AppendData, AppendMessage, AppendStart, CatPart, Command, LiteralHead};
use crate::framing::{fill, literal_chunk, release, without_break};
use crate::parse::{
    ANNOUNCEMENT_MAX, Announcement, AppendHead, Next, Parts, Place, append_head, append_next,
    command_tag_of, is_append, is_set_metadata, literal_announcement, parse_command,
};
use crate::tag::Tag;

/// What a client may send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Octets of a command, its literals included, bodies of APPEND excluded. Also of a line in
    /// [`CommandReader::read_line`].
    pub command: usize,
    /// Octets of an APPEND body that the server takes. How much of what is refused is passed over
    /// depends on it: [`Limits::skipped`].
    pub append: u64,
}

impl Limits {
    /// The same for whoever has not logged in: the longest ID is of 31 KB (RFC 2971 section 3.3),
    /// names, passwords and SASL responses are far smaller.
    #[must_use]
    pub fn before_login(self) -> Self {
        const BEFORE_LOGIN: usize = 36 * 1024;
        Self {
            command: self.command.min(BEFORE_LOGIN),
            append: BEFORE_LOGIN as u64,
        }
    }

    /// Octets of a refused command, with its message, that are passed over, so that the next one is
    /// heard. Whoever wants more passed over is cut off, whatever the command was refused for.
    #[must_use]
    pub fn skipped(self) -> u64 {
        self.append.saturating_add(self.command as u64)
    }
}

impl Default for Limits {
    /// 64 KiB and 64 MiB.
    fn default() -> Self {
        Self {
            command: 64 * 1024,
            append: 64 * 1024 * 1024,
        }
    }
}

/// What a client has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A whole command.
    Command {
        /// Its tag.
        tag: Tag,
        /// The command.
        command: Command,
    },
    /// The head of an APPEND command. The caller either takes the message
    /// ([`CommandReader::accept_literal`], [`CommandReader::read_literal_chunk`],
    /// [`CommandReader::finish_append`]; of CATENATE, the last of these comes first), or refuses
    /// it: it answers NO or BAD and calls [`CommandReader::next`], which skips what the client
    /// sends of it.
    Append(AppendStart),
    /// The client waits for a continuation request (`+ `) before it goes on with its command.
    NeedContinuation,
    /// Not a command: to be answered with BAD, tagged if there is a tag. The next command can be
    /// read.
    Bad {
        /// The tag, if there is a valid one.
        tag: Option<Tag>,
        /// For humans; holds nothing of the input.
        text: String,
    },
    /// A SETMETADATA above [`Limits::command`]: to be answered with NO and how large a value may be
    /// (RFC 5464 section 4.3). The next command can be read.
    ValueTooLarge {
        /// Its tag.
        tag: Tag,
    },
    /// Where the next command starts cannot be told: BYE and close.
    Fatal {
        /// For humans.
        text: String,
    },
    /// The client has closed the connection. An unfinished command is dropped.
    Eof,
}

/// What follows a message of APPEND, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendNext {
    /// A part of the message that CATENATE puts together; a text is to be taken or refused as a
    /// message is.
    Part(CatPart),
    /// The client waits for a continuation request (`+ `) before it sends the URL of a part.
    NeedContinuation,
    /// Another message (MULTIAPPEND, RFC 3502), to be taken or refused as the first. Of one that
    /// came in parts there are no more.
    Message(AppendMessage),
    /// The end of the command.
    End,
    /// Something else: the command is to be answered with BAD. The next one can be read.
    Bad {
        /// For humans.
        text: String,
    },
    /// As [`Event::Fatal`].
    Fatal {
        /// For humans.
        text: String,
    },
}

/// A line that is no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The line without its line break.
    Line(Bytes),
    /// A line above the limit, skipped.
    TooLong,
    /// The client has closed the connection.
    Eof,
}

/// There was input in clear behind STARTTLS, which might come from an attacker: the connection
/// is to be closed (RFC 9051 section 6.2.1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("input in clear follows STARTTLS")]
pub struct PipelinedPlaintext;

/// Cuts a client's octets into commands.
///
/// It holds a command until it is complete, but never more than [`Limits::command`] and one read
/// beyond; bodies of APPEND pass through in chunks. Between commands it owns no buffer.
///
/// All its futures can be dropped at any time, for instance in `select!`, and called again.
#[derive(Debug)]
pub struct CommandReader {
    limits: Limits,
    /// What was read and not yet given out.
    buf: BytesMut,
    /// No octet of `buf` before this is of interest: the rest of a literal, or a line without
    /// an end so far. May lie behind the end of `buf` while a literal arrives.
    scanned: usize,
    /// Where in `buf` the current line of the command starts.
    line_start: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// At the start of a command, or in it.
    Command,
    /// Before or in a literal of APPEND: a message, or among `parts` a text.
    Literal {
        remaining: u64,
        head: LiteralHead,
        accepted: bool,
        parts: bool,
    },
    /// Between the literals of APPEND.
    Append(Place),
    /// Before or in the literal of APPEND that is the URL of a part.
    Url { len: usize },
    /// In a command that is refused.
    Skip(Skip),
    /// In a line above the limit, for [`CommandReader::read_line`].
    SkipLine,
    /// Lost: the client wants more skipped than the limits allow.
    Lost,
}

#[derive(Debug)]
struct Skip {
    /// Octets of a literal to be skipped first.
    literal: u64,
    /// The end of the line that is being skipped, as it may announce a literal.
    tail: Vec<u8>,
    /// Octets that may be skipped yet.
    budget: u64,
    /// What is to be reported at the end; none if the caller has answered already.
    report: Option<Refusal>,
}

/// Why a command is refused.
#[derive(Debug)]
struct Refusal {
    tag: Option<Tag>,
    text: String,
    /// It sets an annotation, and is too long.
    of_value: bool,
}

impl Refusal {
    /// Of what has no tag.
    fn untagged(text: String) -> Self {
        Self {
            tag: None,
            text,
            of_value: false,
        }
    }
}

impl From<Refusal> for Event {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal {
                tag: Some(tag),
                of_value: true,
                ..
            } => Self::ValueTooLarge { tag },
            Refusal { tag, text, .. } => Self::Bad { tag, text },
        }
    }
}

const TOO_LONG: &str = "command too long";
const NO_END: &str = "the end of a refused command is too far off";

impl CommandReader {
    /// A reader at the start of a command.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            buf: BytesMut::new(),
            scanned: 0,
            line_start: 0,
            state: State::Command,
        }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Changes the limits, for instance after login.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether input that was read waits to be taken: pipelined commands, or a part of one.
    #[must_use]
    pub fn has_buffered(&self) -> bool {
        !self.buf.is_empty()
    }

    /// The next event. What the client sends of an APPEND that the caller did not read to its
    /// end is skipped.
    ///
    /// # Errors
    /// What the stream returns.
    pub async fn next<R: AsyncRead + Unpin>(&mut self, stream: &mut R) -> io::Result<Event> {
        loop {
            if let Some(event) = self.next_buffered() {
                return Ok(event);
            }
            if fill(stream, &mut self.buf).await? == 0 {
                self.buf = BytesMut::new();
                return Ok(Event::Eof);
            }
        }
    }

    /// The next event, if it is to be had without reading: a caller that gets `None` flushes its
    /// answers before it calls [`CommandReader::next`].
    pub fn next_buffered(&mut self) -> Option<Event> {
        match self.state {
            State::Literal { .. } | State::Append(_) | State::Url { .. } => self.abandon_append(),
            State::SkipLine => match self.advance_line()? {
                Line::TooLong => return Some(bad(None, TOO_LONG)),
                Line::Line(_) | Line::Eof => {}
            },
            State::Command | State::Skip(_) | State::Lost => {}
        }
        loop {
            match self.state {
                State::Lost => {
                    return Some(Event::Fatal {
                        text: NO_END.to_owned(),
                    });
                }
                State::Skip(_) => {
                    if let Some(refusal) = self.advance_skip()? {
                        return Some(refusal.into());
                    }
                }
                _ => {
                    if let Some(event) = self.advance_command()? {
                        return Some(event);
                    }
                }
            }
        }
    }

    /// Looks for the end of a command in `buf`. `None` if more input is wanted, `Some(None)` if
    /// the state has changed.
    #[expect(clippy::option_option, reason = "wait, go on, or an event")]
    fn advance_command(&mut self) -> Option<Option<Event>> {
        loop {
            // In a literal: nothing to look at before its end.
            let unseen = self.buf.get(self.scanned..)?;
            let Some(at) = memchr::memchr(b'\n', unseen) else {
                self.scanned = self.buf.len();
                if self.buf.len() > self.limits.command {
                    self.skip_command(TOO_LONG.to_owned());
                    return Some(None);
                }
                return None;
            };
            let line_end = self.scanned + at + 1;
            if line_end > self.limits.command {
                self.skip_command(TOO_LONG.to_owned());
                return Some(None);
            }
            let head_len = without_break(&self.buf[..line_end])
                .len()
                .max(self.line_start);
            let announced = literal_announcement(&self.buf[self.line_start..head_len]);
            if is_append(&self.buf[..head_len]) {
                match append_head(&self.buf[..head_len]) {
                    AppendHead::Name => {}
                    AppendHead::Message { start, len } => {
                        self.start_message(line_end, len, start.data);
                        return Some(Some(Event::Append(start)));
                    }
                    AppendHead::Bad(text) => {
                        self.skip_command(text);
                        return Some(None);
                    }
                }
            }
            let Some(announced) = announced else {
                let parsed = parse_command(&self.buf[..line_end]);
                self.buf.advance(line_end);
                self.restart();
                return Some(Some(match parsed {
                    Ok((tag, command)) => Event::Command { tag, command },
                    Err(fault) => Event::Bad {
                        tag: fault.tag,
                        text: fault.text,
                    },
                }));
            };
            let literal_end = announced
                .len
                .and_then(|len| usize::try_from(len).ok())
                .and_then(|len| line_end.checked_add(len))
                .filter(|end| *end <= self.limits.command);
            let Some(literal_end) = literal_end else {
                self.skip_command(TOO_LONG.to_owned());
                return Some(None);
            };
            self.scanned = literal_end;
            self.line_start = literal_end;
            if announced.sync {
                return Some(Some(Event::NeedContinuation));
            }
        }
    }

    /// Refuses the command in `buf`, whose current line has not been looked at for its end.
    fn skip_command(&mut self, text: String) {
        // However much has come already: only what a command may have is looked at.
        let start = &self.buf[..self.buf.len().min(self.limits.command)];
        let refusal = Refusal {
            tag: command_tag_of(start),
            of_value: text == TOO_LONG && is_set_metadata(start),
            text,
        };
        self.buf.advance(self.line_start.min(self.buf.len()));
        self.start_skip(Some(refusal));
    }

    fn start_skip(&mut self, report: Option<Refusal>) {
        self.restart();
        self.state = State::Skip(Skip {
            literal: 0,
            tail: Vec::new(),
            budget: self.skip_budget(),
            report,
        });
    }

    fn skip_budget(&self) -> u64 {
        self.limits.skipped()
    }

    /// Skips to the end of a refused command. `None` if more input is wanted; `Some` of what is
    /// to be reported if the state has changed, to the start of the next command or to
    /// [`State::Lost`].
    #[expect(
        clippy::option_option,
        reason = "wait, or go on with or without a report"
    )]
    fn advance_skip(&mut self) -> Option<Option<Refusal>> {
        let State::Skip(skip) = &mut self.state else {
            return Some(None);
        };
        let next = loop {
            if skip.literal > 0 {
                let here = usize::try_from(skip.literal)
                    .unwrap_or(usize::MAX)
                    .min(self.buf.len());
                self.buf.advance(here);
                skip.literal -= here as u64;
                if skip.literal > 0 {
                    break None;
                }
            }
            let line_end = memchr::memchr(b'\n', &self.buf).map(|at| at + 1);
            let part_len = line_end.unwrap_or(self.buf.len());
            let Some(budget) = skip.budget.checked_sub(part_len as u64) else {
                break Some((State::Lost, None));
            };
            skip.budget = budget;
            let part = &self.buf[..part_len];
            skip.tail
                .extend_from_slice(&part[part.len().saturating_sub(ANNOUNCEMENT_MAX)..]);
            let surplus = skip.tail.len().saturating_sub(ANNOUNCEMENT_MAX);
            skip.tail.drain(..surplus);
            self.buf.advance(part_len);
            if line_end.is_none() {
                break None;
            }
            let announced = literal_announcement(without_break(&skip.tail));
            skip.tail.clear();
            match announced {
                // A client that waits for a continuation gets the BAD instead, and is at the
                // start of its next command.
                None | Some(Announcement { sync: true, .. }) => {
                    break Some((State::Command, skip.report.take()));
                }
                Some(Announcement { len, .. }) => {
                    match len.and_then(|len| skip.budget.checked_sub(len).zip(Some(len))) {
                        Some((budget, len)) => {
                            skip.budget = budget;
                            skip.literal = len;
                        }
                        None => break Some((State::Lost, None)),
                    }
                }
            }
        };
        release(&mut self.buf);
        let (state, report) = next?;
        self.state = state;
        Some(report)
    }

    /// Goes to the start of the next command, when the caller has dropped an APPEND.
    fn abandon_append(&mut self) {
        match std::mem::replace(&mut self.state, State::Command) {
            // The client waits, and takes the tagged answer for a refusal.
            State::Literal {
                head: LiteralHead { sync: true, .. },
                accepted: false,
                ..
            } => {}
            State::Literal { remaining, .. } => self.skip_literal(remaining),
            State::Url { len } => self.skip_literal(len as u64),
            State::Append(_) => self.start_skip(None),
            other => self.state = other,
        }
    }

    /// Skips what is left of a literal, and the command.
    fn skip_literal(&mut self, remaining: u64) {
        self.state = match self.skip_budget().checked_sub(remaining) {
            Some(budget) => State::Skip(Skip {
                literal: remaining,
                tail: Vec::new(),
                budget,
                report: None,
            }),
            None => State::Lost,
        };
    }

    /// Goes on behind the first `len` octets of a line that ends before `line_end`: to the
    /// octets of a message, or to its first part.
    fn start_message(&mut self, line_end: usize, len: usize, data: AppendData) {
        match data {
            AppendData::Literal(head) => self.start_literal(line_end, head, false),
            AppendData::Catenate => {
                self.buf.advance(len);
                self.restart();
                self.state = State::Append(Place {
                    utf8: false,
                    parts: Some(Parts::Start),
                });
            }
        }
    }

    fn start_literal(&mut self, line_end: usize, head: LiteralHead, parts: bool) {
        self.buf.advance(line_end);
        self.restart();
        self.state = State::Literal {
            remaining: head.len,
            head,
            accepted: false,
            parts,
        };
    }

    /// Takes the message or text that [`Event::Append`], [`AppendNext::Message`] or
    /// [`AppendNext::Part`] has announced. Returns whether a continuation request must be sent now,
    /// as the client waits for it.
    #[must_use = "the client may wait for a continuation request"]
    pub fn accept_literal(&mut self) -> bool {
        match &mut self.state {
            State::Literal { head, accepted, .. } => {
                !std::mem::replace(accepted, true) && head.sync
            }
            _ => false,
        }
    }

    /// The next octets of the message, at most `max`; `None` behind its end.
    /// [`CommandReader::accept_literal`] must come first.
    ///
    /// # Errors
    /// What the stream returns; `UnexpectedEof` if it ends in the message, which then must not
    /// be stored.
    pub async fn read_literal_chunk<R: AsyncRead + Unpin>(
        &mut self,
        stream: &mut R,
        max: usize,
    ) -> io::Result<Option<Bytes>> {
        let State::Literal {
            remaining,
            head,
            accepted,
            parts,
        } = &mut self.state
        else {
            return Ok(None);
        };
        debug_assert!(*accepted, "a literal is accepted before it is read");
        if *remaining > 0 {
            let chunk = literal_chunk(stream, &mut self.buf, *remaining, max).await?;
            *remaining -= chunk.len() as u64;
            return Ok(Some(chunk));
        }
        self.state = State::Append(Place {
            utf8: head.utf8,
            parts: parts.then_some(Parts::Further),
        });
        Ok(None)
    }

    /// What follows the message, or comes next of its parts. What is left of the message or text
    /// itself is skipped.
    ///
    /// # Errors
    /// What the stream returns; `UnexpectedEof` if it ends before the command does: nothing must
    /// be stored.
    pub async fn finish_append<R: AsyncRead + Unpin>(
        &mut self,
        stream: &mut R,
    ) -> io::Result<AppendNext> {
        while let State::Literal { .. } = self.state {
            self.read_literal_chunk(stream, usize::MAX).await?;
        }
        loop {
            if let Some(next) = self.advance_append() {
                return Ok(next);
            }
            if fill(stream, &mut self.buf).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn advance_append(&mut self) -> Option<AppendNext> {
        loop {
            let place = match self.state {
                State::Append(place) => place,
                State::Url { len } => {
                    if self.buf.len() < len {
                        return None;
                    }
                    let url = self.buf.split_to(len).to_vec();
                    self.go_on_with_parts(0);
                    return Some(AppendNext::Part(CatPart::Url(url)));
                }
                State::Skip(_) => {
                    if let Some(Refusal { text, .. }) = self.advance_skip()? {
                        return Some(AppendNext::Bad { text });
                    }
                    continue;
                }
                State::Lost => {
                    return Some(AppendNext::Fatal {
                        text: NO_END.to_owned(),
                    });
                }
                // The command was over already.
                _ => return Some(AppendNext::End),
            };
            let unseen = self.buf.get(self.scanned..).unwrap_or_default();
            let Some(at) = memchr::memchr(b'\n', unseen).map(|at| self.scanned + at) else {
                self.scanned = self.buf.len();
                if self.buf.len() > self.limits.command {
                    self.start_skip(Some(Refusal::untagged(TOO_LONG.to_owned())));
                    continue;
                }
                return None;
            };
            if at >= self.limits.command {
                self.start_skip(Some(Refusal::untagged(TOO_LONG.to_owned())));
                continue;
            }
            match append_next(place, without_break(&self.buf[..=at])) {
                Ok((len, next)) => {
                    if let Some(next) = self.append_step(at, len, next) {
                        return Some(next);
                    }
                }
                Err(text) => self.start_skip(Some(Refusal::untagged(text))),
            }
        }
    }

    /// Goes on behind `next`, which takes `len` octets of a line whose LF is at `line_break`.
    /// `None` if there is nothing to report yet.
    fn append_step(&mut self, line_break: usize, len: usize, next: Next) -> Option<AppendNext> {
        let line_end = line_break + 1;
        Some(match next {
            Next::End => {
                self.buf.advance(line_end);
                self.restart();
                AppendNext::End
            }
            Next::Message(message) => {
                self.start_message(line_end, len, message.data);
                AppendNext::Message(message)
            }
            Next::Part(part) => {
                match &part {
                    CatPart::Text(head) => self.start_literal(line_end, *head, true),
                    CatPart::Url(_) => {
                        self.buf.advance(len);
                        // Not looked for again for each part of a long line.
                        self.go_on_with_parts(line_break - len);
                    }
                }
                AppendNext::Part(part)
            }
            Next::Url { len, .. } if len > self.limits.command => {
                self.start_skip(Some(Refusal::untagged(TOO_LONG.to_owned())));
                return None;
            }
            Next::Url { len, sync } => {
                self.buf.advance(line_end);
                self.restart();
                self.state = State::Url { len };
                if !sync {
                    return None;
                }
                AppendNext::NeedContinuation
            }
        })
    }

    /// Behind a part that was a URL; `scanned` octets hold no line break.
    fn go_on_with_parts(&mut self, scanned: usize) {
        self.restart();
        self.scanned = scanned;
        self.state = State::Append(Place {
            utf8: false,
            parts: Some(Parts::Further),
        });
    }

    /// The next line, for what is no command: the answer to a SASL challenge, DONE after IDLE.
    ///
    /// # Errors
    /// What the stream returns.
    pub async fn read_line<R: AsyncRead + Unpin>(&mut self, stream: &mut R) -> io::Result<Line> {
        loop {
            if let Some(line) = self.advance_line() {
                return Ok(line);
            }
            if fill(stream, &mut self.buf).await? == 0 {
                self.buf = BytesMut::new();
                return Ok(Line::Eof);
            }
        }
    }

    fn advance_line(&mut self) -> Option<Line> {
        let end = memchr::memchr(b'\n', &self.buf).map(|at| at + 1);
        let too_long = matches!(self.state, State::SkipLine)
            || end.unwrap_or(self.buf.len()) > self.limits.command;
        let line = match end {
            Some(end) => {
                let mut line = self.buf.split_to(end);
                self.restart();
                if too_long {
                    Some(Line::TooLong)
                } else {
                    let len = without_break(&line).len();
                    line.truncate(len);
                    Some(Line::Line(line.freeze()))
                }
            }
            None if too_long => {
                self.buf.clear();
                self.state = State::SkipLine;
                None
            }
            None => None,
        };
        release(&mut self.buf);
        line
    }

    /// To be called when STARTTLS has been read, before it is answered.
    ///
    /// # Errors
    /// The client has sent something behind it.
    pub fn start_tls(&mut self) -> Result<(), PipelinedPlaintext> {
        if self.buf.is_empty() {
            Ok(())
        } else {
            Err(PipelinedPlaintext)
        }
    }

    /// Takes out what was read and not yet given out, for who goes on with the octets himself.
    pub fn take_buffered(&mut self) -> Bytes {
        let octets = std::mem::take(&mut self.buf).freeze();
        self.restart();
        octets
    }

    /// At the start of a command, or of a line.
    fn restart(&mut self) {
        self.state = State::Command;
        self.scanned = 0;
        self.line_start = 0;
        release(&mut self.buf);
    }
}

impl Default for CommandReader {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

fn bad(tag: Option<Tag>, text: &str) -> Event {
    Event::Bad {
        tag,
        text: text.to_owned(),
    }
}
