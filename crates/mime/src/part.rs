//! The part tree: which octets of a message are which part.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr_iter, memmem};

use crate::content_type::{ContentType, Disposition, first_word, language_tags};
use crate::header::{blank_line, fields, line_end, unfold};
use crate::{DEPTH_LIMIT, PARTS_LIMIT, charset, transfer};

/// A message and its part tree.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    raw: &'a [u8],
    root: Part<'a>,
}

/// One entity: a header and a body. The message itself is one too.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    raw: &'a [u8],
    header: Range<usize>,
    body: Range<usize>,
    content_type: ContentType,
    kind: PartKind<'a>,
    fields: ContentFields<'a>,
}

/// What is inside a part.
#[derive(Debug, Clone)]
pub enum PartKind<'a> {
    /// Content.
    Leaf,
    /// Parts, at least one.
    Multipart(Vec<Part<'a>>),
    /// The message in a `message/rfc822` or `message/global`.
    Message(Box<Part<'a>>),
}

/// A content transfer encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `7bit`, the default.
    SevenBit,
    /// `8bit`
    EightBit,
    /// `binary`
    Binary,
    /// `base64`
    Base64,
    /// `quoted-printable`
    QuotedPrintable,
    /// One that is not of RFC 2045.
    Unknown,
}

/// The values of the `Content-*` fields, as they stand; the first of each name.
#[derive(Debug, Clone, Default)]
struct ContentFields<'a> {
    content_type: Option<&'a [u8]>,
    encoding: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
    description: Option<&'a [u8]>,
    disposition: Option<&'a [u8]>,
    language: Option<&'a [u8]>,
    location: Option<&'a [u8]>,
    md5: Option<&'a [u8]>,
}

impl<'a> Message<'a> {
    /// Takes a message apart. Every input has a structure; nothing is copied but parameters.
    pub fn parse(raw: &'a [u8]) -> Message<'a> {
        let mut splitter = Splitter {
            raw,
            dashes: memmem::Finder::new(b"\n--"),
            open: Vec::new(),
            parts: 0,
        };
        let (root, _) = splitter.entity(0, false, 0);
        Message { raw, root }
    }

    /// The octets it was parsed from.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The message as a part: its header is the message's header.
    pub fn root(&self) -> &Part<'a> {
        &self.root
    }

    /// The part with this number, as RFC 9051 section 6.4.5.1 counts: in a multipart its parts,
    /// in a message those of the multipart it is or, if it is none, part 1, its body. The empty
    /// path is the message.
    pub fn part(&self, path: &[u32]) -> Option<&Part<'a>> {
        let Some((first, rest)) = path.split_first() else {
            return Some(&self.root);
        };
        let mut part = self.root.of_message(*first)?;
        for n in rest {
            part = match &part.kind {
                PartKind::Multipart(_) => part.child(*n)?,
                PartKind::Message(inner) => inner.of_message(*n)?,
                PartKind::Leaf => return None,
            };
        }
        Some(part)
    }
}

impl<'a> Part<'a> {
    fn child(&self, n: u32) -> Option<&Part<'a>> {
        let i = usize::try_from(n).ok()?.checked_sub(1)?;
        match &self.kind {
            PartKind::Multipart(parts) => parts.get(i),
            _ => None,
        }
    }

    fn of_message(&self, n: u32) -> Option<&Part<'a>> {
        match &self.kind {
            PartKind::Multipart(_) => self.child(n),
            _ => (n == 1).then_some(self),
        }
    }

    /// Where the header is in the message, its blank line (if there is one) included.
    pub fn header_range(&self) -> Range<usize> {
        self.header.clone()
    }

    /// Where the body is in the message, without the line end that belongs to the boundary.
    pub fn body_range(&self) -> Range<usize> {
        self.body.clone()
    }

    /// The header, its blank line included.
    pub fn header(&self) -> &'a [u8] {
        &self.raw[self.header.clone()]
    }

    /// The body as it stands, in its transfer encoding.
    pub fn body(&self) -> &'a [u8] {
        &self.raw[self.body.clone()]
    }

    /// Header and body.
    pub fn entity(&self) -> &'a [u8] {
        &self.raw[self.header.start..self.body.end]
    }

    /// Lines of the body: its line feeds. Counted at each call.
    pub fn lines(&self) -> usize {
        memchr_iter(b'\n', self.body()).count()
    }

    /// The media type, by default `TEXT/PLAIN`, or `MESSAGE/RFC822` in a digest. Of a multipart
    /// without parts it is that default, beyond the limits it is `APPLICATION/OCTET-STREAM`:
    /// always one that goes with [`Part::kind`].
    pub fn content_type(&self) -> &ContentType {
        &self.content_type
    }

    /// What is inside.
    pub fn kind(&self) -> &PartKind<'a> {
        &self.kind
    }

    /// The transfer encoding of its body. Whatever the header says, multiparts and messages are
    /// not encoded (RFC 2045 section 6.4).
    pub fn encoding(&self) -> Encoding {
        if !matches!(self.kind, PartKind::Leaf) {
            return Encoding::Binary;
        }
        match self.encoding_name().as_slice() {
            b"7BIT" => Encoding::SevenBit,
            b"8BIT" => Encoding::EightBit,
            b"BINARY" => Encoding::Binary,
            b"BASE64" => Encoding::Base64,
            b"QUOTED-PRINTABLE" => Encoding::QuotedPrintable,
            _ => Encoding::Unknown,
        }
    }

    /// The transfer encoding as the header names it, in upper case; `7BIT` if it names none.
    pub fn encoding_name(&self) -> Vec<u8> {
        let value = unfold(self.fields.encoding.unwrap_or_default());
        let word = first_word(&value);
        if word.is_empty() {
            b"7BIT".to_vec()
        } else {
            word.to_ascii_uppercase()
        }
    }

    /// `Content-ID`
    pub fn id(&self) -> Option<Cow<'a, [u8]>> {
        self.fields.id.map(unfold)
    }

    /// `Content-Description`, RFC 2047 words left encoded.
    pub fn description(&self) -> Option<Cow<'a, [u8]>> {
        self.fields.description.map(unfold)
    }

    /// `Content-Disposition`
    pub fn disposition(&self) -> Option<Disposition> {
        self.fields.disposition.and_then(Disposition::parse)
    }

    /// The tags of `Content-Language`.
    pub fn language(&self) -> Vec<Vec<u8>> {
        self.fields.language.map(language_tags).unwrap_or_default()
    }

    /// `Content-Location`
    pub fn location(&self) -> Option<Cow<'a, [u8]>> {
        self.fields.location.map(unfold)
    }

    /// `Content-MD5`
    pub fn md5(&self) -> Option<Cow<'a, [u8]>> {
        self.fields.md5.map(unfold)
    }

    /// The body without its transfer encoding; `None` if that is unknown.
    pub fn decoded(&self) -> Option<Cow<'a, [u8]>> {
        self.decoded_of(self.body())
    }

    fn decoded_of(&self, body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        match self.encoding() {
            Encoding::SevenBit | Encoding::EightBit | Encoding::Binary => Some(Cow::Borrowed(body)),
            Encoding::Base64 => Some(Cow::Owned(transfer::base64(body))),
            Encoding::QuotedPrintable => Some(Cow::Owned(transfer::quoted_printable(body))),
            Encoding::Unknown => None,
        }
    }

    /// The body as text, transfer encoding and charset decoded. A body of an unknown encoding is
    /// read as it stands.
    pub fn text(&self) -> Cow<'a, str> {
        self.text_of(self.body(), false)
    }

    /// The same of a part of the body; `cut` if it may end within a character.
    pub(crate) fn text_of(&self, body: &'a [u8], cut: bool) -> Cow<'a, str> {
        let charset = self.content_type.param("CHARSET");
        let complete = |bytes: &[u8]| bytes.len() - if cut { begun_character(bytes) } else { 0 };
        match self.decoded_of(body).unwrap_or(Cow::Borrowed(body)) {
            Cow::Borrowed(bytes) => charset::to_utf8(charset, &bytes[..complete(bytes)]),
            Cow::Owned(bytes) => {
                let bytes = &bytes[..complete(&bytes)];
                Cow::Owned(charset::to_utf8(charset, bytes).into_owned())
            }
        }
    }
}

/// Octets at the end that begin a character of UTF-8 and do not end it.
fn begun_character(bytes: &[u8]) -> usize {
    let end = &bytes[bytes.len().saturating_sub(3)..];
    let begun = end.iter().rposition(|b| *b >= 0xc0).map(|at| &end[at..]);
    match begun.map(std::str::from_utf8) {
        Some(Err(error)) if error.error_len().is_none() => begun.map_or(0, <[u8]>::len),
        _ => 0,
    }
}

impl<'a> ContentFields<'a> {
    fn read(header: &'a [u8]) -> ContentFields<'a> {
        let mut found = ContentFields::default();
        for field in fields(header) {
            let content = b"content-";
            let Some((start, rest)) = field.name.split_at_checked(content.len()) else {
                continue;
            };
            if !start.eq_ignore_ascii_case(content) {
                continue;
            }
            let slot = match rest.to_ascii_lowercase().as_slice() {
                b"type" => &mut found.content_type,
                b"transfer-encoding" => &mut found.encoding,
                b"id" => &mut found.id,
                b"description" => &mut found.description,
                b"disposition" => &mut found.disposition,
                b"language" => &mut found.language,
                b"location" => &mut found.location,
                b"md5" => &mut found.md5,
                _ => continue,
            };
            slot.get_or_insert(field.value);
        }
        found
    }
}

/// A line that is a boundary of an open multipart.
struct Delimiter {
    /// Index into the open boundaries.
    level: usize,
    /// `--boundary--`
    closing: bool,
    /// Where its line begins.
    start: usize,
    /// Where the line after it begins.
    next: usize,
}

/// Walks once over the message. Every method is given the offset where a line begins and reports
/// the delimiter that it stopped at, so that nothing is looked at by two levels.
struct Splitter<'a> {
    raw: &'a [u8],
    dashes: memmem::Finder<'static>,
    /// Boundaries of the multiparts around the cursor, the innermost last.
    open: Vec<Vec<u8>>,
    parts: usize,
}

impl<'a> Splitter<'a> {
    /// The entity that begins at `start`, and the delimiter that ended it (`None`: the end of the
    /// message).
    fn entity(
        &mut self,
        start: usize,
        in_digest: bool,
        depth: usize,
    ) -> (Part<'a>, Option<Delimiter>) {
        self.parts += 1;
        let (header_end, cut_short) = self.header_end(start);
        let fields = ContentFields::read(&self.raw[start..header_end]);
        let default = if in_digest {
            ContentType::plain("MESSAGE", "RFC822")
        } else {
            ContentType::text_plain()
        };
        let declared = fields.content_type.and_then(ContentType::parse);
        let mut content_type = declared.unwrap_or(default);
        let within_limits = depth < DEPTH_LIMIT && self.parts < PARTS_LIMIT;

        let (kind, stop) = if content_type.is_message() && within_limits {
            let (inner, stop) = match cut_short {
                Some(stop) => (Part::empty(self.raw, header_end), Some(stop)),
                None => self.entity(header_end, false, depth + 1),
            };
            (PartKind::Message(Box::new(inner)), stop)
        } else if content_type.is_multipart() && within_limits {
            let boundary = content_type.param("BOUNDARY").unwrap_or_default();
            let boundary = boundary.trim_ascii_end().to_vec();
            let (parts, stop) = if cut_short.is_some() {
                (Vec::new(), cut_short)
            } else if boundary.is_empty() {
                (Vec::new(), self.next_delimiter(header_end))
            } else {
                let digest = content_type.subtype == "DIGEST";
                self.multipart(header_end, boundary, digest, depth)
            };
            if parts.is_empty() {
                // The grammar has no multipart without parts: all that is there is text.
                content_type = ContentType::text_plain();
                (PartKind::Leaf, stop)
            } else {
                (PartKind::Multipart(parts), stop)
            }
        } else {
            if content_type.is_message() || content_type.is_multipart() {
                content_type = ContentType::plain("APPLICATION", "OCTET-STREAM");
            }
            let stop = cut_short.or_else(|| self.next_delimiter(header_end));
            (PartKind::Leaf, stop)
        };

        // A part inside may end in a header whose last line end the boundary claims, too.
        let inner_end = match &kind {
            PartKind::Leaf => header_end,
            PartKind::Multipart(parts) => parts.last().map_or(header_end, |p| p.body.end),
            PartKind::Message(inner) => inner.body.end,
        };
        let body_end = self.content_end(stop.as_ref()).max(inner_end);
        let part = Part {
            raw: self.raw,
            header: start..header_end,
            body: header_end..body_end,
            content_type,
            kind,
            fields,
        };
        (part, stop)
    }

    /// The parts of a multipart whose body begins at `from`.
    fn multipart(
        &mut self,
        from: usize,
        boundary: Vec<u8>,
        digest: bool,
        depth: usize,
    ) -> (Vec<Part<'a>>, Option<Delimiter>) {
        let level = self.open.len();
        self.open.push(boundary);
        let mut parts = Vec::new();
        let mut stop = self.next_delimiter(from);
        while let Some(found) = stop.take_if(|d| d.level == level) {
            if found.closing {
                // What follows is the epilogue, up to a boundary of a multipart around this one.
                self.open.truncate(level);
                stop = self.next_delimiter(found.next);
                break;
            }
            let part;
            if self.parts < PARTS_LIMIT {
                (part, stop) = self.entity(found.next, digest, depth + 1);
            } else {
                self.open.truncate(level);
                (part, stop) = self.remainder(found.next);
            }
            parts.push(part);
        }
        self.open.truncate(level);
        (parts, stop)
    }

    /// All up to the next boundary around, as one leaf without header.
    fn remainder(&mut self, start: usize) -> (Part<'a>, Option<Delimiter>) {
        let stop = self.next_delimiter(start);
        let mut part = Part::empty(self.raw, start);
        part.body.end = self.content_end(stop.as_ref()).max(start);
        part.content_type = ContentType::plain("APPLICATION", "OCTET-STREAM");
        (part, stop)
    }

    /// Where the header that begins at `start` ends, and the delimiter that cut it short.
    fn header_end(&self, start: usize) -> (usize, Option<Delimiter>) {
        let mut at = start;
        while at < self.raw.len() {
            let blank = blank_line(&self.raw[at..]);
            if blank > 0 {
                return (at + blank, None);
            }
            if let Some(delimiter) = self.delimiter(at) {
                return (at, Some(delimiter));
            }
            at = line_end(self.raw, at);
        }
        (self.raw.len(), None)
    }

    /// The first delimiter from `from` on.
    fn next_delimiter(&self, from: usize) -> Option<Delimiter> {
        if self.open.is_empty() {
            return None;
        }
        let mut at = from;
        loop {
            if let Some(delimiter) = self.delimiter(at) {
                return Some(delimiter);
            }
            at += self.dashes.find(self.raw.get(at..)?)? + 1;
        }
    }

    /// The delimiter that the line at `at` is. The whole line must be it but for blanks at its
    /// end: comparing only its start, as RFC 2046 allows, breaks boundaries that begin alike.
    fn delimiter(&self, at: usize) -> Option<Delimiter> {
        if self.open.is_empty() || !self.raw.get(at..)?.starts_with(b"--") {
            return None;
        }
        let next = line_end(self.raw, at);
        let line = self.raw[at + 2..next].trim_ascii_end();
        // Blanks that a boundary ends with, which it must not, are not kept: "--boundary --".
        let body = line.strip_suffix(b"--").map(<[u8]>::trim_ascii_end);
        for (level, boundary) in self.open.iter().enumerate().rev() {
            let closing = body == Some(boundary);
            if closing || line == boundary {
                return Some(Delimiter {
                    level,
                    closing,
                    start: at,
                    next,
                });
            }
        }
        None
    }

    /// Where content ended by `stop` ends: the line end before a delimiter belongs to it.
    fn content_end(&self, stop: Option<&Delimiter>) -> usize {
        match stop {
            None => self.raw.len(),
            Some(stop) => crate::header::without_line_end(&self.raw[..stop.start]).len(),
        }
    }
}

impl<'a> Part<'a> {
    /// A part of no octets at `at`.
    fn empty(raw: &'a [u8], at: usize) -> Part<'a> {
        Part {
            raw,
            header: at..at,
            body: at..at,
            content_type: ContentType::text_plain(),
            kind: PartKind::Leaf,
            fields: ContentFields::default(),
        }
    }
}
