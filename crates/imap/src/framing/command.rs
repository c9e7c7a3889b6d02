//! What a client sends: commands, their literals and the messages of APPEND.

use bytes::{Buf, BytesMut};

use super::without_break;
use crate::command::{AppendData, AppendStart, CatPart, LiteralHead};
use crate::parse::{
    ANNOUNCEMENT_MAX, Announcement, AppendHead, Next, Parts, Place, append_head, append_next,
    command_tag_of, is_append, is_set_metadata, literal_announcement,
};
use crate::server::{AppendNext, Limits, Line};
use crate::tag::Tag;

/// What stands at the front of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// So many octets are a whole command, with its literals and its line break. The caller takes
    /// them away.
    Command(usize),
    /// An APPEND or REPLACE up to its message; the input now begins with what follows. The caller
    /// takes the message ([`CommandCutter::accept_literal`]), or asks for the next command: then what
    /// the client sends of this one is passed over.
    Append(Box<AppendStart>),
    /// The client waits for a continuation request (`+ `) before it goes on with its command. Said
    /// once.
    NeedContinuation,
    /// A command that is not taken. It has been passed over.
    Refused(Box<Refused>),
    /// Where the next command starts cannot be told: the client wants more passed over than the
    /// limits allow. With the command that was being passed over, the first time.
    Lost(Option<Box<Refused>>),
}

/// Why a command is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its tag, if it has a valid one.
    pub tag: Option<Tag>,
    /// For humans; holds nothing of the input.
    pub text: String,
    /// It sets an annotation, and is too long.
    pub of_value: bool,
}

impl Refused {
    fn untagged(text: String) -> Self {
        Self {
            tag: None,
            text,
            of_value: false,
        }
    }
}

/// Cuts a client's octets into commands.
///
/// The input holds a command until it is complete, but never more than [`Limits::command`] and one
/// read beyond; messages of APPEND pass through as they come. The caller reads into the input, and
/// gives its memory back when it is empty.
#[derive(Debug)]
pub struct CommandCutter {
    limits: Limits,
    /// No octet of the input before this is of interest: the rest of a literal, or a line without
    /// an end so far. May lie behind the end of the input while a literal arrives.
    scanned: usize,
    /// Where in the input the current line of the command starts.
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
    Skip(Box<Skip>),
    /// In a line above the limit, for [`CommandCutter::line`].
    SkipLine,
    /// Lost: the client wants more skipped than the limits allow. With what is still to be reported.
    Lost(Option<Box<Refused>>),
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
    report: Option<Box<Refused>>,
}

pub(crate) const TOO_LONG: &str = "command too long";
pub(crate) const NO_END: &str = "the end of a refused command is too far off";

impl CommandCutter {
    /// At the start of a command.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
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

    /// What stands at the front of `input`; `None` if more must come first. What the client sends of
    /// an APPEND that the caller did not read to its end is passed over.
    pub fn next(&mut self, input: &mut BytesMut) -> Option<Cut> {
        match self.state {
            State::Literal { .. } | State::Append(_) | State::Url { .. } => self.abandon_append(),
            State::SkipLine => match self.line(input)? {
                Line::TooLong => {
                    let refused = Refused::untagged(TOO_LONG.to_owned());
                    return Some(Cut::Refused(Box::new(refused)));
                }
                Line::Line(_) | Line::Eof => {}
            },
            State::Command | State::Skip(_) | State::Lost(_) => {}
        }
        loop {
            match self.state {
                State::Lost(ref mut report) => {
                    input.clear();
                    return Some(Cut::Lost(report.take()));
                }
                State::Skip(_) => {
                    if let Some(refused) = self.advance_skip(input)? {
                        return Some(Cut::Refused(refused));
                    }
                }
                _ => {
                    if let Some(cut) = self.advance_command(input)? {
                        return Some(cut);
                    }
                }
            }
        }
    }

    /// Looks for the end of a command in the input. `None` if more input is wanted, `Some(None)` if
    /// the state has changed.
    #[expect(clippy::option_option, reason = "wait, go on, or an event")]
    fn advance_command(&mut self, input: &mut BytesMut) -> Option<Option<Cut>> {
        loop {
            // In a literal: nothing to look at before its end.
            let unseen = input.get(self.scanned..)?;
            let Some(at) = memchr::memchr(b'\n', unseen) else {
                self.scanned = input.len();
                if input.len() > self.limits.command {
                    self.skip_command(input, TOO_LONG.to_owned());
                    return Some(None);
                }
                return None;
            };
            let line_end = self.scanned + at + 1;
            if line_end > self.limits.command {
                self.skip_command(input, TOO_LONG.to_owned());
                return Some(None);
            }
            let head_len = without_break(&input[..line_end]).len().max(self.line_start);
            let announced = literal_announcement(&input[self.line_start..head_len]);
            if is_append(&input[..head_len]) {
                match append_head(&input[..head_len]) {
                    AppendHead::Name => {}
                    AppendHead::Message { start, len } => {
                        self.start_message(input, line_end, len, start.data);
                        return Some(Some(Cut::Append(Box::new(start))));
                    }
                    AppendHead::Bad(text) => {
                        self.skip_command(input, text);
                        return Some(None);
                    }
                }
            }
            let Some(announced) = announced else {
                self.restart();
                return Some(Some(Cut::Command(line_end)));
            };
            let literal_end = announced
                .len
                .and_then(|len| usize::try_from(len).ok())
                .and_then(|len| line_end.checked_add(len))
                .filter(|end| *end <= self.limits.command);
            let Some(literal_end) = literal_end else {
                self.skip_command(input, TOO_LONG.to_owned());
                return Some(None);
            };
            self.scanned = literal_end;
            self.line_start = literal_end;
            if announced.sync {
                return Some(Some(Cut::NeedContinuation));
            }
        }
    }

    /// Refuses the command in the input, whose current line has not been looked at for its end.
    fn skip_command(&mut self, input: &mut BytesMut, text: String) {
        // However much has come already: only what a command may have is looked at.
        let start = &input[..input.len().min(self.limits.command)];
        let refusal = Refused {
            tag: command_tag_of(start),
            of_value: text == TOO_LONG && is_set_metadata(start),
            text,
        };
        input.advance(self.line_start.min(input.len()));
        self.start_skip(Some(refusal));
    }

    fn start_skip(&mut self, report: Option<Refused>) {
        self.restart();
        self.state = State::Skip(Box::new(Skip {
            literal: 0,
            tail: Vec::new(),
            budget: self.limits.skipped(),
            report: report.map(Box::new),
        }));
    }

    /// Skips to the end of a refused command. `None` if more input is wanted; `Some` of what is
    /// to be reported if the state has changed, to the start of the next command or to
    /// [`State::Lost`].
    #[expect(
        clippy::option_option,
        reason = "wait, or go on with or without a report"
    )]
    fn advance_skip(&mut self, input: &mut BytesMut) -> Option<Option<Box<Refused>>> {
        let State::Skip(skip) = &mut self.state else {
            return Some(None);
        };
        let next = loop {
            if skip.literal > 0 {
                let here = usize::try_from(skip.literal)
                    .unwrap_or(usize::MAX)
                    .min(input.len());
                input.advance(here);
                skip.literal -= here as u64;
                if skip.literal > 0 {
                    break None;
                }
            }
            let line_end = memchr::memchr(b'\n', input).map(|at| at + 1);
            let part_len = line_end.unwrap_or(input.len());
            let Some(budget) = skip.budget.checked_sub(part_len as u64) else {
                break Some((State::Lost(skip.report.take()), None));
            };
            skip.budget = budget;
            let part = &input[..part_len];
            skip.tail
                .extend_from_slice(&part[part.len().saturating_sub(ANNOUNCEMENT_MAX)..]);
            let surplus = skip.tail.len().saturating_sub(ANNOUNCEMENT_MAX);
            skip.tail.drain(..surplus);
            input.advance(part_len);
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
                        None => break Some((State::Lost(skip.report.take()), None)),
                    }
                }
            }
        };
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
        self.state = match self.limits.skipped().checked_sub(remaining) {
            Some(budget) => State::Skip(Box::new(Skip {
                literal: remaining,
                tail: Vec::new(),
                budget,
                report: None,
            })),
            None => State::Lost(None),
        };
    }

    /// Goes on behind the first `len` octets of a line that ends before `line_end`: to the
    /// octets of a message, or to its first part.
    fn start_message(
        &mut self,
        input: &mut BytesMut,
        line_end: usize,
        len: usize,
        data: AppendData,
    ) {
        match data {
            AppendData::Literal(head) => self.start_literal(input, line_end, head, false),
            AppendData::Catenate => {
                input.advance(len);
                self.restart();
                self.state = State::Append(Place {
                    utf8: false,
                    parts: Some(Parts::Start),
                });
            }
        }
    }

    fn start_literal(
        &mut self,
        input: &mut BytesMut,
        line_end: usize,
        head: LiteralHead,
        parts: bool,
    ) {
        input.advance(line_end);
        self.restart();
        self.state = State::Literal {
            remaining: head.len,
            head,
            accepted: false,
            parts,
        };
    }

    /// Takes the message or text that [`Cut::Append`], [`AppendNext::Message`] or
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

    /// Octets of the accepted message or text that are still to come. Behind its end, and where none is
    /// accepted, 0.
    #[must_use]
    pub fn literal_left(&self) -> u64 {
        match self.state {
            State::Literal { remaining, .. } => remaining,
            _ => 0,
        }
    }

    /// So many octets of the message or text have been taken from the input.
    pub fn took(&mut self, octets: u64) {
        if let State::Literal {
            remaining,
            accepted,
            ..
        } = &mut self.state
        {
            debug_assert!(*accepted, "a literal is accepted before it is read");
            *remaining = remaining.saturating_sub(octets);
        }
    }

    /// What follows the message, or comes next of its parts; `None` if more must come first. The
    /// message itself has been taken.
    pub fn append_next(&mut self, input: &mut BytesMut) -> Option<AppendNext> {
        loop {
            let place = match self.state {
                State::Append(place) => place,
                State::Literal { head, parts, .. } => Place {
                    utf8: head.utf8,
                    parts: parts.then_some(Parts::Further),
                },
                State::Url { len } => {
                    if input.len() < len {
                        return None;
                    }
                    let url = input.split_to(len).to_vec();
                    self.go_on_with_parts(0);
                    return Some(AppendNext::Part(CatPart::Url(url)));
                }
                State::Skip(_) => {
                    if let Some(refused) = self.advance_skip(input)? {
                        return Some(AppendNext::Bad { text: refused.text });
                    }
                    continue;
                }
                State::Lost(_) => {
                    return Some(AppendNext::Fatal {
                        text: NO_END.to_owned(),
                    });
                }
                // The command was over already.
                _ => return Some(AppendNext::End),
            };
            let unseen = input.get(self.scanned..).unwrap_or_default();
            let Some(at) = memchr::memchr(b'\n', unseen).map(|at| self.scanned + at) else {
                self.scanned = input.len();
                if input.len() > self.limits.command {
                    self.start_skip(Some(Refused::untagged(TOO_LONG.to_owned())));
                    continue;
                }
                return None;
            };
            if at >= self.limits.command {
                self.start_skip(Some(Refused::untagged(TOO_LONG.to_owned())));
                continue;
            }
            match append_next(place, without_break(&input[..=at])) {
                Ok((len, next)) => {
                    if let Some(next) = self.append_step(input, at, len, next) {
                        return Some(next);
                    }
                }
                Err(text) => self.start_skip(Some(Refused::untagged(text))),
            }
        }
    }

    /// Goes on behind `next`, which takes `len` octets of a line whose LF is at `line_break`.
    /// `None` if there is nothing to report yet.
    fn append_step(
        &mut self,
        input: &mut BytesMut,
        line_break: usize,
        len: usize,
        next: Next,
    ) -> Option<AppendNext> {
        let line_end = line_break + 1;
        Some(match next {
            Next::End => {
                input.advance(line_end);
                self.restart();
                AppendNext::End
            }
            Next::Message(message) => {
                self.start_message(input, line_end, len, message.data);
                AppendNext::Message(message)
            }
            Next::Part(part) => {
                match &part {
                    CatPart::Text(head) => self.start_literal(input, line_end, *head, true),
                    CatPart::Url(_) => {
                        input.advance(len);
                        // Not looked for again for each part of a long line.
                        self.go_on_with_parts(line_break - len);
                    }
                }
                AppendNext::Part(part)
            }
            Next::Url { len, .. } if len > self.limits.command => {
                self.start_skip(Some(Refused::untagged(TOO_LONG.to_owned())));
                return None;
            }
            Next::Url { len, sync } => {
                input.advance(line_end);
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

    /// The next line, for what is no command: the answer to a SASL challenge, DONE after IDLE. `None` if
    /// more must come first.
    pub fn line(&mut self, input: &mut BytesMut) -> Option<Line> {
        let end = memchr::memchr(b'\n', input).map(|at| at + 1);
        let too_long = matches!(self.state, State::SkipLine)
            || end.unwrap_or(input.len()) > self.limits.command;
        match end {
            Some(end) => {
                let mut line = input.split_to(end);
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
                input.clear();
                self.state = State::SkipLine;
                None
            }
            None => None,
        }
    }

    /// At the start of a command, or of a line.
    fn restart(&mut self) {
        self.state = State::Command;
        self.scanned = 0;
        self.line_start = 0;
    }
}
