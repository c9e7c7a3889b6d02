//! IMAP strings on the wire (RFC 9051 section 4.3).

use memchr::memchr;

use crate::STRING_LIMIT;

/// Longer strings are sent as literals: quoted strings count against a client's line limit.
const QUOTED_LIMIT: usize = 1024;

/// `string`, cut at [`STRING_LIMIT`], NULs left out since neither form can carry them.
pub(crate) fn string(out: &mut Vec<u8>, value: &[u8]) {
    let plain = |b: &u8| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\');
    // Nearly all are.
    if value.len() <= QUOTED_LIMIT && value.iter().all(plain) {
        out.reserve(value.len() + 2);
        out.push(b'"');
        out.extend_from_slice(value);
        out.push(b'"');
        return;
    }
    let cut = cut(value);
    if memchr(0, cut).is_some() {
        let clean: Vec<u8> = cut.iter().copied().filter(|b| *b != 0).collect();
        write(out, &clean);
    } else {
        write(out, cut);
    }
}

/// `nstring`: `NIL` for `None`.
pub(crate) fn nstring(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => string(out, value),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// A decimal number.
pub(crate) fn number(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(value.to_string().as_bytes());
}

fn write(out: &mut Vec<u8>, value: &[u8]) {
    let quotable = |b: &u8| b.is_ascii() && *b != b'\r' && *b != b'\n';
    if value.len() <= QUOTED_LIMIT && value.iter().all(quotable) {
        out.push(b'"');
        for b in value {
            if matches!(b, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(*b);
        }
        out.push(b'"');
    } else {
        out.push(b'{');
        number(out, value.len());
        out.extend_from_slice(b"}\r\n");
        out.extend_from_slice(value);
    }
}

/// At most [`STRING_LIMIT`] octets, not through the middle of a UTF-8 character.
fn cut(value: &[u8]) -> &[u8] {
    if value.len() <= STRING_LIMIT {
        return value;
    }
    let is_continuation = |b: u8| b & 0xc0 == 0x80;
    let mut end = STRING_LIMIT;
    while end > STRING_LIMIT - 3 && is_continuation(value[end]) {
        end -= 1;
    }
    &value[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        string(&mut out, value);
        out
    }

    #[test]
    fn quoted_or_literal() {
        assert_eq!(sent(b""), b"\"\"");
        assert_eq!(sent(b"a \"b\" \\c"), br#""a \"b\" \\c""#);
        assert_eq!(sent("é".as_bytes()), "{2}\r\né".as_bytes());
        assert_eq!(sent(b"a\r\nb"), b"{4}\r\na\r\nb");
        assert_eq!(sent(b"a\0b"), b"\"ab\"");
        assert_eq!(sent(b"\0\xff\0"), b"{1}\r\n\xff");
        let long = vec![b'x'; QUOTED_LIMIT + 1];
        assert!(sent(&long).starts_with(b"{1025}\r\nx"));
        let mut out = Vec::new();
        nstring(&mut out, None);
        assert_eq!(out, b"NIL");
    }

    #[test]
    fn cut_between_characters() {
        let long = "é".repeat(STRING_LIMIT);
        assert_eq!(cut(long.as_bytes()).len(), STRING_LIMIT);
        let odd = format!("x{long}");
        assert_eq!(cut(odd.as_bytes()).len(), STRING_LIMIT - 1);
        assert_eq!(cut(&vec![0x80; STRING_LIMIT * 2]).len(), STRING_LIMIT - 3);
    }
}
