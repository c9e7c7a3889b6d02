//! Reading commands: the server side.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncRead;

use crate::command::{AppendMessage, AppendStart, CatPart, Command};
use crate::framing::stream::{fill, literal_chunk, release};
use crate::framing::{CommandCutter, Cut, NO_END, Refused};
use crate::parse::parse_command;
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
    cutter: CommandCutter,
    /// What was read and not yet given out.
    buf: BytesMut,
}

impl CommandReader {
    /// A reader at the start of a command.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            cutter: CommandCutter::new(limits),
            buf: BytesMut::new(),
        }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.cutter.limits()
    }

    /// Changes the limits, for instance after login.
    pub fn set_limits(&mut self, limits: Limits) {
        self.cutter.set_limits(limits);
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
        let event = self.cutter.next(&mut self.buf).map(|cut| match cut {
            Cut::Command(len) => {
                let parsed = parse_command(&self.buf[..len]);
                self.buf.advance(len);
                match parsed {
                    Ok((tag, command)) => Event::Command { tag, command },
                    Err(fault) => Event::Bad {
                        tag: fault.tag,
                        text: fault.text,
                    },
                }
            }
            Cut::Append(start) => Event::Append(*start),
            Cut::NeedContinuation => Event::NeedContinuation,
            Cut::Refused(refused) => match *refused {
                Refused {
                    tag: Some(tag),
                    of_value: true,
                    ..
                } => Event::ValueTooLarge { tag },
                Refused { tag, text, .. } => Event::Bad { tag, text },
            },
            Cut::Lost(_) => Event::Fatal {
                text: NO_END.to_owned(),
            },
        });
        release(&mut self.buf);
        event
    }

    /// See [`CommandCutter::accept_literal`].
    #[must_use = "the client may wait for a continuation request"]
    pub fn accept_literal(&mut self) -> bool {
        self.cutter.accept_literal()
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
        let left = self.cutter.literal_left();
        if left == 0 {
            return Ok(None);
        }
        let chunk = literal_chunk(stream, &mut self.buf, left, max).await?;
        self.cutter.took(chunk.len() as u64);
        Ok(Some(chunk))
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
        while self.read_literal_chunk(stream, usize::MAX).await?.is_some() {}
        loop {
            if let Some(next) = self.cutter.append_next(&mut self.buf) {
                release(&mut self.buf);
                return Ok(next);
            }
            if fill(stream, &mut self.buf).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The next line, for what is no command: the answer to a SASL challenge, DONE after IDLE.
    ///
    /// # Errors
    /// What the stream returns.
    pub async fn read_line<R: AsyncRead + Unpin>(&mut self, stream: &mut R) -> io::Result<Line> {
        loop {
            let line = self.cutter.line(&mut self.buf);
            release(&mut self.buf);
            if let Some(line) = line {
                return Ok(line);
            }
            if fill(stream, &mut self.buf).await? == 0 {
                self.buf = BytesMut::new();
                return Ok(Line::Eof);
            }
        }
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
}

impl Default for CommandReader {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}
