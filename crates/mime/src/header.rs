//! The header block: where it ends, its fields, their values.

use std::borrow::Cow;

use memchr::memchr;

use crate::charset::decode_words;

/// One field of a header, as it stands in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name before the colon; empty for a line that is no field (an mbox `From ` line, junk).
    pub name: &'a [u8],
    /// All after the colon, still folded, without the last line end.
    pub value: &'a [u8],
    /// The whole field with its line ends.
    pub whole: &'a [u8],
}

impl<'a> Field<'a> {
    /// Whether the field has this name (ASCII case-insensitive, otherwise exact).
    pub fn is(&self, name: &str) -> bool {
        !self.name.is_empty() && self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value on one line, without the white space around it.
    pub fn unfolded(&self) -> Cow<'a, [u8]> {
        unfold(self.value)
    }
}

/// Iterator over the fields of a header, up to the blank line. See [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

/// The fields of the header that `raw` (a message, an entity or only a header) begins with.
pub fn fields(raw: &[u8]) -> Fields<'_> {
    Fields { rest: raw }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.rest.is_empty() || blank_line(self.rest) > 0 {
            return None;
        }
        let mut end = line_end(self.rest, 0);
        while matches!(self.rest.get(end), Some(b' ' | b'\t')) {
            end = line_end(self.rest, end);
        }
        let (whole, rest) = self.rest.split_at(end);
        self.rest = rest;
        let content = without_line_end(whole);
        let (name, value) = match memchr(b':', content) {
            Some(colon) if is_field_name(content[..colon].trim_ascii_end()) => (
                content[..colon].trim_ascii_end(),
                content.get(colon + 1..).unwrap_or_default(),
            ),
            _ => (&content[..0], content),
        };
        Some(Field { name, value, whole })
    }
}

/// Octets of the header that `raw` begins with, the blank line included. All of `raw` when there
/// is no blank line.
pub fn header_len(raw: &[u8]) -> usize {
    let mut at = 0;
    while at < raw.len() {
        let blank = blank_line(&raw[at..]);
        if blank > 0 {
            return at + blank;
        }
        at = line_end(raw, at);
    }
    raw.len()
}

/// The value of the first field of this name: all after the colon, still folded, without the
/// last line end. `raw` is a message or a header.
pub fn header_raw<'a>(raw: &'a [u8], name: &str) -> Option<&'a [u8]> {
    fields(raw).find(|f| f.is(name)).map(|f| f.value)
}

/// The values of all fields of this name, unfolded, RFC 2047 words decoded to UTF-8. `raw` is a
/// message or a header.
pub fn header_text<'a>(raw: &'a [u8], name: &'a str) -> impl Iterator<Item = String> + 'a {
    fields(raw)
        .filter(move |f| f.is(name))
        .map(|f| decode_words(&f.unfolded()))
}

/// The `Message-ID` with its angle brackets; a value without brackets as it is. `None` when the
/// field is missing or holds nothing of use (white space inside, not UTF-8).
pub fn message_id(raw: &[u8]) -> Option<&str> {
    let value = header_raw(raw, "Message-ID")?.trim_ascii();
    let id = match memchr(b'<', value) {
        Some(open) => {
            let close = memchr(b'>', &value[open..])?;
            &value[open..=open + close]
        }
        None => value,
    };
    let printable = |b: &u8| *b > b' ' && *b != 0x7f;
    if id.is_empty() || !id.iter().all(printable) {
        return None;
    }
    std::str::from_utf8(id).ok()
}

/// Length of the blank line that `bytes` begins with, 0 if it begins with none.
pub(crate) fn blank_line(bytes: &[u8]) -> usize {
    match bytes {
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        _ => 0,
    }
}

/// Offset just past the end of the line that `at` is in.
pub(crate) fn line_end(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at..).and_then(|rest| memchr(b'\n', rest)) {
        Some(i) => at + i + 1,
        None => bytes.len(),
    }
}

/// Without one CRLF or LF at the end.
pub(crate) fn without_line_end(bytes: &[u8]) -> &[u8] {
    match bytes {
        [head @ .., b'\r', b'\n'] | [head @ .., b'\n'] => head,
        _ => bytes,
    }
}

/// RFC 5322 section 2.2.3: line ends taken out, the white space after them kept; then trimmed.
pub(crate) fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if memchr(b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    for line in value.split_inclusive(|b| *b == b'\n') {
        out.extend_from_slice(without_line_end(line));
    }
    Cow::Owned(out)
}

/// RFC 5322 `ftext`: printable ASCII without colon or space.
fn is_field_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn fields_keep_their_bytes() {
        let raw = b"From joe Mon 12:00\nA: 1\r\n 2\nb : x\r\n\tjunk\r\nc:\r\n\r\nbody: no";
        let got: Vec<_> = fields(raw).map(|f| (f.name, f.value)).collect();
        assert_eq!(
            got,
            [
                (&b""[..], &b"From joe Mon 12:00"[..]),
                (b"A", b" 1\r\n 2"),
                (b"b", b" x\r\n\tjunk"),
                (b"c", b""),
            ]
        );
        let all: Vec<u8> = fields(raw).flat_map(|f| f.whole.to_vec()).collect();
        assert_eq!(header_len(raw), all.len() + 2);
        assert_eq!(&raw[..all.len()], all);
    }

    #[test]
    fn header_without_blank_line_is_all() {
        for raw in [&b""[..], b"a: b", b"a: b\r\n", b"\r", b"junk"] {
            assert_eq!(header_len(raw), raw.len());
        }
        assert_eq!(header_len(b"\r\nbody"), 2);
        assert_eq!(header_len(b"\nbody"), 1);
    }

    #[test]
    fn values_unfold_and_decode() {
        let raw = b"Subject: =?utf-8?q?caf=C3=A9?=\r\n =?utf-8?b?IQ==?= \xe9\r\nSUBJECT:\r\n\r\n";
        let got: Vec<_> = header_text(raw, "subject").collect();
        assert_eq!(got, ["café! é", ""]);
        assert_eq!(
            header_raw(raw, "Subject").unwrap(),
            b" =?utf-8?q?caf=C3=A9?=\r\n =?utf-8?b?IQ==?= \xe9"
        );
        assert_eq!(header_raw(raw, "Subjec"), None);
    }

    #[test]
    fn message_ids() {
        let id = |v: &str| message_id(format!("Message-ID:{v}\n\n").as_bytes()).map(str::to_owned);
        assert_eq!(id(" <a@b>").as_deref(), Some("<a@b>"));
        assert_eq!(id("\r\n <a@b> (c)").as_deref(), Some("<a@b>"));
        assert_eq!(id(" a@b").as_deref(), Some("a@b"));
        assert_eq!(id(""), None);
        assert_eq!(id(" <a b>"), None);
        assert_eq!(id(" <a"), None);
        assert_eq!(message_id(b"Message-ID: <\xff@b>\n\n"), None);
    }
}
