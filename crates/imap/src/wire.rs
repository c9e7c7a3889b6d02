//! Strings on the wire, for both directions.

use std::fmt::{self, Write};

use bytes::BytesMut;

use crate::code::Code;
use crate::lexical::{is_astring_char, is_quotable};
use crate::parse::literal_announcement;

/// Strings longer than this go as literals: peers bound their lines.
const QUOTED_MAX: usize = 1024;

/// What the sender may use besides plain quoted strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// To a client: literals without `+`; quoted strings in US-ASCII.
    Server,
    /// To a client that has enabled UTF-8: quoted strings may hold it.
    ServerUtf8,
    /// To a server: non-synchronising literals, UTF-8 in quoted strings.
    Client,
}

/// Formats into the buffer.
pub(crate) fn put(out: &mut BytesMut, args: fmt::Arguments<'_>) {
    struct Sink<'a>(&'a mut BytesMut);
    impl Write for Sink<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    // Only a `Display` that fails on its own account could make this fail; none here does.
    let _ = Sink(out).write_fmt(args);
}

/// `"[" resp-text-code "]"`, without what would end the code or the line.
pub(crate) fn put_code(out: &mut BytesMut, code: &Code) {
    struct Sink<'a>(&'a mut BytesMut);
    impl Write for Sink<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            // Only a text code could hold such.
            for part in text.split([']', '\r', '\n', '\0']) {
                self.0.extend_from_slice(part.as_bytes());
            }
            Ok(())
        }
    }
    out.extend_from_slice(b"[");
    let _ = write!(Sink(out), "{code}");
    out.extend_from_slice(b"]");
}

/// A number: what most answers consist of, and formatting by [`fmt`] costs several times as much.
pub fn put_number(out: &mut BytesMut, mut number: u64) {
    // As many digits as u64::MAX has.
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// `string          = quoted / literal`
pub(crate) fn put_string(out: &mut BytesMut, octets: &[u8], style: Style) {
    let quotable = octets.len() <= QUOTED_MAX
        && octets.iter().all(|b| is_quotable(*b))
        && (octets.is_ascii() || (style != Style::Server && std::str::from_utf8(octets).is_ok()));
    if quotable {
        out.extend_from_slice(b"\"");
        for byte in octets {
            if matches!(byte, b'"' | b'\\') {
                out.extend_from_slice(b"\\");
            }
            out.extend_from_slice(std::slice::from_ref(byte));
        }
        out.extend_from_slice(b"\"");
    } else {
        let plus = if style == Style::Client { "+" } else { "" };
        put(out, format_args!("{{{}{plus}}}\r\n", octets.len()));
        out.extend_from_slice(octets);
    }
}

/// `astring         = 1*ASTRING-CHAR / string`
pub(crate) fn put_astring(out: &mut BytesMut, octets: &[u8], style: Style) {
    let atom = !octets.is_empty()
        && octets.len() <= QUOTED_MAX
        && octets.iter().all(|b| is_astring_char(*b))
        && !octets.eq_ignore_ascii_case(b"NIL");
    if atom {
        out.extend_from_slice(octets);
    } else {
        put_string(out, octets, style);
    }
}

/// `nstring         = string / nil`
pub(crate) fn put_nstring(out: &mut BytesMut, octets: Option<&[u8]>, style: Style) {
    match octets {
        Some(octets) => put_string(out, octets, style),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Values with a space between.
pub(crate) fn put_words<T: fmt::Display>(out: &mut BytesMut, words: impl IntoIterator<Item = T>) {
    for (at, word) in words.into_iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(b" ");
        }
        put(out, format_args!("{word}"));
    }
}

/// `resp-text`: what a status response may not hold is left out: CR, LF, NUL. What ends like the
/// announcement of a literal, for which readers would wait, ends with a full stop.
pub(crate) fn put_text(out: &mut BytesMut, text: &str) {
    let start = out.len();
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|b| !is_quotable(*b)) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    if literal_announcement(&out[start..]).is_some() {
        out.extend_from_slice(b".");
    }
}
