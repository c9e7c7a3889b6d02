//! Writing FETCH responses.

use bytes::{Bytes, BytesMut};

use super::ResponseWriter;
use crate::date::DateTime;
use crate::fetch::{PartWhat, Section};
use crate::output::Output;
use crate::response::FetchData;
use crate::wire::{Style, put, put_astring, put_nstring, put_number};

/// Writes the items of one FETCH response.
///
/// It must be ended with [`FetchWriter::finish`].
#[derive(Debug)]
#[must_use = "a FETCH response that is not finished breaks the stream"]
pub struct FetchWriter<'a> {
    pub(super) writer: &'a mut ResponseWriter,
    pub(super) first: bool,
}

impl FetchWriter<'_> {
    fn item(&mut self) -> &mut BytesMut {
        if !std::mem::take(&mut self.first) {
            self.writer.out.write(b" ");
        }
        self.writer.tail()
    }

    /// `UID n`
    pub fn uid(&mut self, uid: u32) {
        self.number("UID ", uid.into());
    }

    /// `FLAGS (…)`
    pub fn flags<T: AsRef<str>>(&mut self, flags: impl IntoIterator<Item = T>) {
        let out = self.item();
        out.extend_from_slice(b"FLAGS (");
        for (at, flag) in flags.into_iter().enumerate() {
            if at > 0 {
                out.extend_from_slice(b" ");
            }
            out.extend_from_slice(flag.as_ref().as_bytes());
        }
        out.extend_from_slice(b")");
    }

    /// `INTERNALDATE "…"`
    pub fn internal_date(&mut self, date: DateTime) {
        self.date("INTERNALDATE \"", date);
    }

    /// `RFC822.SIZE n`
    pub fn rfc822_size(&mut self, octets: u64) {
        self.number("RFC822.SIZE ", octets);
    }

    /// `MODSEQ (n)`
    pub fn modseq(&mut self, modseq: u64) {
        self.number("MODSEQ (", modseq);
        self.writer.out.write(b")");
    }

    /// `ENVELOPE …`, computed already, parentheses included
    pub fn envelope(&mut self, envelope: &[u8]) {
        self.ready("ENVELOPE", envelope);
    }

    /// `BODY …`, computed already
    pub fn body(&mut self, structure: &[u8]) {
        self.ready("BODY", structure);
    }

    /// `BODYSTRUCTURE …`, computed already
    pub fn body_structure(&mut self, structure: &[u8]) {
        self.ready("BODYSTRUCTURE", structure);
    }

    /// `EMAILID (id)` (RFC 8474)
    pub fn email_id(&mut self, id: &str) {
        put(self.item(), format_args!("EMAILID ({id})"));
    }

    /// `THREADID (id)`, or `NIL` (RFC 8474)
    pub fn thread_id(&mut self, id: Option<&str>) {
        match id {
            Some(id) => put(self.item(), format_args!("THREADID ({id})")),
            None => self.item().extend_from_slice(b"THREADID NIL"),
        }
    }

    /// `SAVEDATE "…"`, or `NIL` (RFC 8514)
    pub fn save_date(&mut self, date: Option<DateTime>) {
        match date {
            Some(date) => self.date("SAVEDATE \"", date),
            None => self.item().extend_from_slice(b"SAVEDATE NIL"),
        }
    }

    /// `PREVIEW …`, UTF-8, or `NIL` (RFC 8970)
    pub fn preview(&mut self, preview: Option<&[u8]>) {
        let style = self.writer.style();
        let out = self.item();
        out.extend_from_slice(b"PREVIEW ");
        put_nstring(out, preview, style);
    }

    fn number(&mut self, name: &str, number: u64) {
        let out = self.item();
        out.extend_from_slice(name.as_bytes());
        put_number(out, number);
    }

    fn date(&mut self, name: &str, date: DateTime) {
        let out = self.item();
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&date.to_text());
        out.extend_from_slice(b"\"");
    }

    fn ready(&mut self, name: &str, value: &[u8]) {
        let out = self.item();
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b" ");
        out.extend_from_slice(value);
    }

    /// `BODY[section]<origin> …` with its octets, which are not copied; `None` is `NIL`.
    pub fn section(&mut self, section: &Section, origin: Option<u64>, octets: Option<Bytes>) {
        let style = self.writer.style();
        let out = self.item();
        put_section(out, section, style);
        put_origin(out, origin);
        self.octets(octets, false);
    }

    /// `BODY[section]<origin> {len}`: the caller then puts exactly `len` octets into
    /// [`FetchWriter::output`].
    pub fn section_head(&mut self, section: &Section, origin: Option<u64>, len: u64) {
        let style = self.writer.style();
        let out = self.item();
        put_section(out, section, style);
        put_origin(out, origin);
        put(out, format_args!(" {{{len}}}\r\n"));
    }

    /// `RFC822`, `RFC822.HEADER` or `RFC822.TEXT` as `name` says, with its octets.
    pub fn rfc822(&mut self, name: &str, octets: Option<Bytes>) {
        self.item().extend_from_slice(name.as_bytes());
        self.octets(octets, false);
    }

    /// `RFC822 {len}`, or as `name` says: the caller then puts exactly `len` octets into
    /// [`FetchWriter::output`].
    pub fn rfc822_head(&mut self, name: &str, len: u64) {
        put(self.item(), format_args!("{name} {{{len}}}\r\n"));
    }

    /// `BINARY[path]<origin> …`, as a `literal8` if there is a NUL in it (RFC 3516).
    pub fn binary(&mut self, path: &[u32], origin: Option<u64>, octets: Option<Bytes>) {
        let out = self.item();
        out.extend_from_slice(b"BINARY[");
        put_path(out, path);
        out.extend_from_slice(b"]");
        put_origin(out, origin);
        self.octets(octets, true);
    }

    /// `BINARY[path]<origin> {len}`, or `~{len}` if there is a NUL in the octets: the caller then
    /// puts exactly `len` octets into [`FetchWriter::output`].
    pub fn binary_head(&mut self, path: &[u32], origin: Option<u64>, len: u64, nul: bool) {
        let out = self.item();
        out.extend_from_slice(b"BINARY[");
        put_path(out, path);
        out.extend_from_slice(b"]");
        put_origin(out, origin);
        let tilde = if nul { "~" } else { "" };
        put(out, format_args!(" {tilde}{{{len}}}\r\n"));
    }

    /// `BINARY.SIZE[path] n`
    pub fn binary_size(&mut self, path: &[u32], size: u64) {
        let out = self.item();
        out.extend_from_slice(b"BINARY.SIZE[");
        put_path(out, path);
        put(out, format_args!("] {size}"));
    }

    fn octets(&mut self, octets: Option<Bytes>, binary: bool) {
        let Some(octets) = octets else {
            self.writer.out.write(b" NIL");
            return;
        };
        let tilde = if binary && memchr::memchr(0, &octets).is_some() {
            "~"
        } else {
            ""
        };
        let out = self.writer.tail();
        out.extend_from_slice(b" ");
        out.extend_from_slice(tilde.as_bytes());
        out.extend_from_slice(b"{");
        put_number(out, octets.len() as u64);
        out.extend_from_slice(b"}\r\n");
        self.writer.out.push(octets);
    }

    /// Any item as a typed value.
    pub fn data(&mut self, item: &FetchData) {
        let shared = |octets: &Option<Vec<u8>>| octets.as_deref().map(Bytes::copy_from_slice);
        match item {
            FetchData::Uid(uid) => self.uid(*uid),
            FetchData::Flags(flags) => self.flags(flags.iter().map(ToString::to_string)),
            FetchData::InternalDate(date) => self.internal_date(*date),
            FetchData::Rfc822Size(octets) => self.rfc822_size(*octets),
            FetchData::Envelope(value) => self.envelope(value),
            FetchData::Body(value) => self.body(value),
            FetchData::BodyStructure(value) => self.body_structure(value),
            FetchData::Section {
                section,
                origin,
                octets,
            } => self.section(section, *origin, shared(octets)),
            FetchData::Rfc822(octets) => self.rfc822("RFC822", shared(octets)),
            FetchData::Rfc822Header(octets) => self.rfc822("RFC822.HEADER", shared(octets)),
            FetchData::Rfc822Text(octets) => self.rfc822("RFC822.TEXT", shared(octets)),
            FetchData::Binary {
                path,
                origin,
                octets,
            } => self.binary(path, *origin, shared(octets)),
            FetchData::BinarySize { path, size } => self.binary_size(path, *size),
            FetchData::ModSeq(modseq) => self.modseq(*modseq),
            FetchData::EmailId(id) => self.email_id(id),
            FetchData::ThreadId(id) => self.thread_id(id.as_deref()),
            FetchData::SaveDate(date) => self.save_date(*date),
            FetchData::Preview(preview) => self.preview(preview.as_deref()),
            FetchData::Other(name, value) => self.ready(name, value),
        }
    }

    pub(super) fn all(mut self, items: &[FetchData]) {
        for item in items {
            self.data(item);
        }
        self.finish();
    }

    /// Whether no item has been written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first
    }

    /// What was written, for the octets of [`FetchWriter::section_head`] and to flush in
    /// between.
    pub fn output(&mut self) -> &mut Output {
        &mut self.writer.out
    }

    /// Ends the response.
    pub fn finish(self) {
        self.writer.out.write(b")\r\n");
    }
}

fn put_origin(out: &mut BytesMut, origin: Option<u64>) {
    if let Some(origin) = origin {
        put(out, format_args!("<{origin}>"));
    }
}

pub(crate) fn put_path(out: &mut BytesMut, path: &[u32]) {
    for (at, number) in path.iter().enumerate() {
        let dot = if at > 0 { "." } else { "" };
        put(out, format_args!("{dot}{number}"));
    }
}

/// `BODY[section]` as a response has it.
fn put_section(out: &mut BytesMut, section: &Section, style: Style) {
    out.extend_from_slice(b"BODY");
    put_bracketed(out, section, style);
}

/// `section         = "[" [section-spec] "]"`
pub(crate) fn put_bracketed(out: &mut BytesMut, section: &Section, style: Style) {
    out.extend_from_slice(b"[");
    put_section_spec(out, section, style);
    out.extend_from_slice(b"]");
}

/// `section-spec    = section-msgtext / (section-part ["." section-text])`, or nothing.
pub(crate) fn put_section_spec(out: &mut BytesMut, section: &Section, style: Style) {
    match section {
        Section::Full => {}
        Section::Header => out.extend_from_slice(b"HEADER"),
        Section::HeaderFields { names, not } => put_header_fields(out, names, *not, style),
        Section::Text => out.extend_from_slice(b"TEXT"),
        Section::Part { path, what } => {
            put_path(out, path);
            match what {
                PartWhat::Body => {}
                PartWhat::Header => out.extend_from_slice(b".HEADER"),
                PartWhat::HeaderFields { names, not } => {
                    out.extend_from_slice(b".");
                    put_header_fields(out, names, *not, style);
                }
                PartWhat::Text => out.extend_from_slice(b".TEXT"),
                PartWhat::Mime => out.extend_from_slice(b".MIME"),
            }
        }
    }
}

fn put_header_fields(out: &mut BytesMut, names: &[String], not: bool, style: Style) {
    out.extend_from_slice(if not {
        b"HEADER.FIELDS.NOT ("
    } else {
        b"HEADER.FIELDS ("
    });
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(b" ");
        }
        put_astring(out, name.as_bytes(), style);
    }
    out.extend_from_slice(b")");
}
