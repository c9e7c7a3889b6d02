//! Reading responses: the client side.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncRead;

use crate::framing::{fill, literal_chunk, release, without_break};
use crate::parse::{
    ANNOUNCEMENT_MAX, Announcement, ResponseFault, literal_announcement, parse_response,
};
use crate::response::{Response, Status};
use crate::tag::Tag;

/// Octets of a response that [`ResponseReader::next_response`] holds, by default: enough for the
/// FETCH of a large message.
pub const FRAME_LIMIT: usize = 128 * 1024 * 1024;

/// A response's line up to so many octets is one chunk; a longer one comes in pieces.
const LINE_CHUNK: usize = 16 * 1024;

/// Octets of a literal in one chunk.
const LITERAL_CHUNK: usize = 64 * 1024;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream failed, or ended inside a response (`UnexpectedEof`).
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The response is above the limit; the connection is to be closed.
    #[error("response longer than {0} octets")]
    TooLong(usize),
    /// The server has sent something that is no response. The next one can be read.
    #[error(transparent)]
    Fault(#[from] ResponseFault),
}

/// A piece of a response, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The octets; never empty.
    pub bytes: Bytes,
    /// They start a response.
    pub start_of_response: bool,
    /// They end a response, with its line break.
    pub end_of_response: bool,
    /// What response it is, at its start.
    pub kind: Option<HeadKind>,
}

/// What a response is, as told by its first words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadKind {
    /// The completion of a command.
    Tagged {
        /// Its tag.
        tag: Tag,
        /// OK, NO or BAD.
        status: Status,
    },
    /// `* keyword`, `* number keyword`
    Untagged {
        /// The keyword.
        keyword: UntaggedKind,
        /// The number in front of it.
        number: Option<u32>,
    },
    /// `+`
    Continuation,
    /// Not a response.
    Malformed,
}

/// The keyword of an untagged response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UntaggedKind {
    /// `OK`, `NO`, `BAD`, `PREAUTH`, `BYE`
    Status(Status),
    /// `ACL`
    Acl,
    /// `CAPABILITY`
    Capability,
    /// `ENABLED`
    Enabled,
    /// `ESEARCH`
    Esearch,
    /// `EXISTS`
    Exists,
    /// `EXPUNGE`
    Expunge,
    /// `FETCH`
    Fetch,
    /// `FLAGS`
    Flags,
    /// `ID`
    Id,
    /// `LIST`
    List,
    /// `LISTRIGHTS`
    ListRights,
    /// `LSUB`
    Lsub,
    /// `MYRIGHTS`
    MyRights,
    /// `NAMESPACE`
    Namespace,
    /// `RECENT`
    Recent,
    /// `SEARCH`
    Search,
    /// `STATUS`
    MailboxStatus,
    /// `UIDFETCH` (RFC 9586)
    UidFetch,
    /// `VANISHED`
    Vanished,
    /// Any other.
    Other,
}

impl UntaggedKind {
    fn from_word(word: &[u8]) -> Self {
        const WORDS: [(&str, UntaggedKind); 20] = [
            ("ACL", UntaggedKind::Acl),
            ("CAPABILITY", UntaggedKind::Capability),
            ("ENABLED", UntaggedKind::Enabled),
            ("ESEARCH", UntaggedKind::Esearch),
            ("EXISTS", UntaggedKind::Exists),
            ("EXPUNGE", UntaggedKind::Expunge),
            ("FETCH", UntaggedKind::Fetch),
            ("FLAGS", UntaggedKind::Flags),
            ("ID", UntaggedKind::Id),
            ("LIST", UntaggedKind::List),
            ("LISTRIGHTS", UntaggedKind::ListRights),
            ("LSUB", UntaggedKind::Lsub),
            ("MYRIGHTS", UntaggedKind::MyRights),
            ("NAMESPACE", UntaggedKind::Namespace),
            ("RECENT", UntaggedKind::Recent),
            ("SEARCH", UntaggedKind::Search),
            ("STATUS", UntaggedKind::MailboxStatus),
            ("UIDFETCH", UntaggedKind::UidFetch),
            ("VANISHED", UntaggedKind::Vanished),
            ("", UntaggedKind::Other),
        ];
        if let Some(status) = Status::from_word(word) {
            return Self::Status(status);
        }
        WORDS
            .into_iter()
            .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word))
            .map_or(Self::Other, |(_, kind)| kind)
    }
}

/// Cuts a server's octets into responses, whole or in chunks. Between two responses either way
/// can be taken.
///
/// Between responses it owns no buffer. All its futures can be dropped at any time and called
/// again.
#[derive(Debug)]
pub struct ResponseReader {
    frame_limit: usize,
    /// What was read and not yet given out.
    buf: BytesMut,
    /// No octet of `buf` before this is of interest; behind the end of `buf` while a literal
    /// arrives that is wanted whole.
    scanned: usize,
    /// Where in `buf` the current line starts, for whole responses.
    line_start: usize,
    /// In chunks: a response has been begun.
    in_response: bool,
    /// In chunks: octets of a literal to come.
    literal: u64,
}

impl ResponseReader {
    /// A reader at the start of a response, that holds up to `frame_limit` octets of one if it is
    /// wanted whole; see [`FRAME_LIMIT`].
    #[must_use]
    pub fn new(frame_limit: usize) -> Self {
        Self {
            frame_limit,
            buf: BytesMut::new(),
            scanned: 0,
            line_start: 0,
            in_response: false,
            literal: 0,
        }
    }

    /// Whether input that was read waits to be taken.
    #[must_use]
    pub fn has_buffered(&self) -> bool {
        !self.buf.is_empty()
    }

    /// Takes out what was read and not yet given out. After STARTTLS it must be empty.
    pub fn take_buffered(&mut self) -> Bytes {
        self.restart();
        std::mem::take(&mut self.buf).freeze()
    }

    /// The next response, typed; `None` at the end of the stream.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn next_response<R: AsyncRead + Unpin>(
        &mut self,
        stream: &mut R,
    ) -> Result<Option<Response>, ReadError> {
        match self.next_frame(stream).await? {
            Some(frame) => Ok(Some(parse_response(&frame)?)),
            None => Ok(None),
        }
    }

    /// The octets of the next response, with its literals and line break; `None` at the end of
    /// the stream.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn next_frame<R: AsyncRead + Unpin>(
        &mut self,
        stream: &mut R,
    ) -> Result<Option<Bytes>, ReadError> {
        debug_assert!(
            !self.in_response,
            "a response is read in one way to its end"
        );
        loop {
            if let Some(frame) = self.advance_frame()? {
                return Ok(Some(frame));
            }
            if fill(stream, &mut self.buf).await? == 0 {
                return self.end_of_stream().map(|()| None).map_err(ReadError::Io);
            }
        }
    }

    fn advance_frame(&mut self) -> Result<Option<Bytes>, ReadError> {
        loop {
            let Some(unseen) = self.buf.get(self.scanned..) else {
                return Ok(None);
            };
            let line_end = memchr::memchr(b'\n', unseen).map(|at| self.scanned + at + 1);
            if line_end.unwrap_or(self.buf.len()) > self.frame_limit {
                return Err(ReadError::TooLong(self.frame_limit));
            }
            let Some(line_end) = line_end else {
                self.scanned = self.buf.len();
                return Ok(None);
            };
            let line = without_break(&self.buf[self.line_start..line_end]);
            match literal_announcement(line) {
                None => {
                    let frame = self.buf.split_to(line_end).freeze();
                    self.restart();
                    return Ok(Some(frame));
                }
                Some(Announcement { len, .. }) => {
                    let end = len
                        .and_then(|len| usize::try_from(len).ok())
                        .and_then(|len| line_end.checked_add(len))
                        .filter(|end| *end <= self.frame_limit)
                        .ok_or(ReadError::TooLong(self.frame_limit))?;
                    self.scanned = end;
                    self.line_start = end;
                }
            }
        }
    }

    /// The next piece of a response; `None` at the end of the stream. A line of at most 16 KiB
    /// is one chunk: so are responses without literals, and what precedes a literal. A longer
    /// line comes in pieces, and a literal comes as it arrives.
    ///
    /// # Errors
    /// What the stream returns; `UnexpectedEof` if it ends inside a response.
    pub async fn next_chunk<R: AsyncRead + Unpin>(
        &mut self,
        stream: &mut R,
    ) -> io::Result<Option<Chunk>> {
        loop {
            if self.literal > 0 {
                let bytes =
                    literal_chunk(stream, &mut self.buf, self.literal, LITERAL_CHUNK).await?;
                self.literal -= bytes.len() as u64;
                return Ok(Some(Chunk {
                    bytes,
                    start_of_response: false,
                    end_of_response: false,
                    kind: None,
                }));
            }
            if let Some(chunk) = self.advance_chunk()? {
                return Ok(Some(chunk));
            }
            if fill(stream, &mut self.buf).await? == 0 {
                return self.end_of_stream().map(|()| None);
            }
        }
    }

    /// The next piece, if it is to be had without reading: a relay that gets `None` flushes
    /// before it calls [`ResponseReader::next_chunk`].
    ///
    /// # Errors
    /// The server has announced a literal above 63 bits.
    pub fn next_chunk_buffered(&mut self) -> io::Result<Option<Chunk>> {
        if self.literal == 0 {
            return self.advance_chunk();
        }
        if self.buf.is_empty() {
            return Ok(None);
        }
        let here = usize::try_from(self.literal)
            .unwrap_or(usize::MAX)
            .min(LITERAL_CHUNK)
            .min(self.buf.len());
        let bytes = self.buf.split_to(here).freeze();
        release(&mut self.buf);
        self.literal -= bytes.len() as u64;
        Ok(Some(Chunk {
            bytes,
            start_of_response: false,
            end_of_response: false,
            kind: None,
        }))
    }

    fn advance_chunk(&mut self) -> io::Result<Option<Chunk>> {
        let unseen = self.buf.get(self.scanned..).unwrap_or_default();
        let (len, end_of_response) = match memchr::memchr(b'\n', unseen) {
            Some(at) => {
                let len = self.scanned + at + 1;
                // The end of a line that was passed on in part is here still: see below.
                match literal_announcement(without_break(&self.buf[..len])) {
                    None => (len, true),
                    Some(Announcement {
                        len: Some(octets), ..
                    }) => {
                        self.literal = octets;
                        (len, false)
                    }
                    Some(_) => {
                        return Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            "a literal above 63 bits",
                        ));
                    }
                }
            }
            None if self.buf.len() > LINE_CHUNK => {
                // An announcement is never cut.
                (self.buf.len() - ANNOUNCEMENT_MAX, false)
            }
            None => {
                self.scanned = self.buf.len();
                return Ok(None);
            }
        };
        let bytes = self.buf.split_to(len).freeze();
        self.scanned = 0;
        release(&mut self.buf);
        let start_of_response = !self.in_response;
        self.in_response = !end_of_response;
        Ok(Some(Chunk {
            kind: start_of_response.then(|| head_kind(&bytes)),
            bytes,
            start_of_response,
            end_of_response,
        }))
    }

    fn end_of_stream(&mut self) -> io::Result<()> {
        let inside = self.in_response || !self.buf.is_empty();
        self.buf = BytesMut::new();
        self.restart();
        if inside {
            Err(io::ErrorKind::UnexpectedEof.into())
        } else {
            Ok(())
        }
    }

    fn restart(&mut self) {
        self.scanned = 0;
        self.line_start = 0;
        self.in_response = false;
        self.literal = 0;
        release(&mut self.buf);
    }
}

impl Default for ResponseReader {
    fn default() -> Self {
        Self::new(FRAME_LIMIT)
    }
}

/// Tells what response starts with `line`.
#[must_use]
pub fn head_kind(line: &[u8]) -> HeadKind {
    let line = line
        .split(|b| matches!(b, b'\r' | b'\n'))
        .next()
        .unwrap_or_default();
    let mut words = line.splitn(4, |b| *b == b' ');
    let first = words.next().unwrap_or_default();
    if first.first() == Some(&b'+') {
        return HeadKind::Continuation;
    }
    let second = words.next().unwrap_or_default();
    if first == b"*" {
        let number = std::str::from_utf8(second)
            .ok()
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok());
        let word = match number {
            Some(_) => words.next().unwrap_or_default(),
            None => second,
        };
        if word.is_empty() {
            return HeadKind::Malformed;
        }
        return HeadKind::Untagged {
            keyword: UntaggedKind::from_word(word),
            number,
        };
    }
    let tag = std::str::from_utf8(first)
        .ok()
        .and_then(|t| Tag::new(t).ok());
    match (tag, Status::from_word(second)) {
        (Some(tag), Some(status @ (Status::Ok | Status::No | Status::Bad))) => {
            HeadKind::Tagged { tag, status }
        }
        _ => HeadKind::Malformed,
    }
}
