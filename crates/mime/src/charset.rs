//! Octets of any charset to UTF-8, and RFC 2047 encoded words.

use std::borrow::Cow;

use encoding_rs::{Encoding, REPLACEMENT, UTF_8, WINDOWS_1252};
use mail_parser::decoders::charsets::map::charset_decoder;
use memchr::{memchr, memmem};

use crate::transfer;

/// No charset name is longer; also bounds the search for the end of one in `=?`.
const NAME_LIMIT: usize = 64;

/// Text of a part or header in this charset. Unlabelled, US-ASCII and unknown charsets: UTF-8 if
/// it is that, else Windows-1252, which maps every octet, so that nothing is lost to a search.
pub(crate) fn to_utf8<'a>(charset: Option<&[u8]>, bytes: &'a [u8]) -> Cow<'a, str> {
    let name = charset.unwrap_or_default().trim_ascii();
    if name.is_empty()
        || name.len() > NAME_LIMIT
        || name.eq_ignore_ascii_case(b"us-ascii")
        || name.eq_ignore_ascii_case(b"ascii")
    {
        return unlabelled(bytes);
    }
    match Encoding::for_label(name) {
        Some(encoding) if encoding == UTF_8 => {
            unlabelled(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
        }
        // WHATWG maps what browsers must not decode (ISO-2022-KR, HZ) to one replacement character.
        Some(encoding) if encoding == REPLACEMENT => unlabelled(bytes),
        Some(encoding) => encoding.decode(bytes).0,
        // UTF-7 and the DOS code pages, which WHATWG does not know.
        None => match charset_decoder(name) {
            Some(decode) => Cow::Owned(decode(bytes)),
            None => unlabelled(bytes),
        },
    }
}

fn unlabelled(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// The charsets that [`charset_text`] reads, by the names to be told to a client; it knows their
/// other names too.
pub const SEARCH_CHARSETS: [&str; 36] = [
    "US-ASCII",
    "UTF-8",
    "ISO-8859-1",
    "ISO-8859-2",
    "ISO-8859-3",
    "ISO-8859-4",
    "ISO-8859-5",
    "ISO-8859-6",
    "ISO-8859-7",
    "ISO-8859-8",
    "ISO-8859-9",
    "ISO-8859-10",
    "ISO-8859-13",
    "ISO-8859-14",
    "ISO-8859-15",
    "ISO-8859-16",
    "windows-874",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "windows-1253",
    "windows-1254",
    "windows-1255",
    "windows-1256",
    "windows-1257",
    "windows-1258",
    "KOI8-R",
    "KOI8-U",
    "macintosh",
    "Big5",
    "EUC-JP",
    "EUC-KR",
    "GBK",
    "GB18030",
    "ISO-2022-JP",
    "Shift_JIS",
];

/// A search string in the charset of the command. `None` if the charset is not known, or no
/// charset of strings (UTF-16); an inner `None` if the octets are not of it.
pub fn charset_text<'a>(charset: Option<&str>, octets: &'a [u8]) -> Option<Option<Cow<'a, str>>> {
    let utf8 = |octets: &'a [u8]| std::str::from_utf8(octets).ok().map(Cow::Borrowed);
    let Some(name) = charset.filter(|name| !name.eq_ignore_ascii_case("us-ascii")) else {
        return Some(utf8(octets));
    };
    match Encoding::for_label(name.as_bytes())? {
        encoding if encoding == UTF_8 => Some(utf8(octets)),
        encoding if encoding == REPLACEMENT || !encoding.is_ascii_compatible() => {
            // ISO-2022-JP is not, but its text is free of NUL and line ends all the same.
            let iso = encoding == encoding_rs::ISO_2022_JP;
            iso.then(|| encoding.decode_without_bom_handling_and_without_replacement(octets))
        }
        encoding => Some(encoding.decode_without_bom_handling_and_without_replacement(octets)),
    }
}

/// An unfolded header value with its RFC 2047 words decoded. Neighbouring words of one charset
/// are joined before they are decoded: mailers split characters between them.
pub fn decode_words(value: &[u8]) -> String {
    let mut out = String::with_capacity(value.len());
    let mut pending: Option<(&[u8], Vec<u8>)> = None;
    let mut plain_from = 0;
    let mut at = 0;
    while let Some(i) = memmem::find(&value[at..], b"=?") {
        let start = at + i;
        let Some(word) = encoded_word(&value[start..]) else {
            at = start + 2;
            continue;
        };
        let between = &value[plain_from..start];
        at = start + word.len;
        plain_from = at;
        if let Some((charset, bytes)) = &mut pending
            && between.iter().all(u8::is_ascii_whitespace)
        {
            if charset.eq_ignore_ascii_case(word.charset) {
                bytes.extend_from_slice(&word.bytes);
                continue;
            }
            out.push_str(&to_utf8(Some(charset), bytes));
        } else {
            push_pending(&mut out, pending.take());
            out.push_str(&unlabelled(between));
        }
        pending = Some((word.charset, word.bytes));
    }
    push_pending(&mut out, pending);
    out.push_str(&unlabelled(&value[plain_from..]));
    out
}

fn push_pending(out: &mut String, pending: Option<(&[u8], Vec<u8>)>) {
    if let Some((charset, bytes)) = pending {
        out.push_str(&to_utf8(Some(charset), &bytes));
    }
}

struct EncodedWord<'a> {
    charset: &'a [u8],
    bytes: Vec<u8>,
    /// Octets from `=?` to `?=`.
    len: usize,
}

/// `=?charset[*language]?encoding?text?=` at the start of `input` (RFC 2047 section 2, RFC 2231
/// section 5).
fn encoded_word(input: &[u8]) -> Option<EncodedWord<'_>> {
    let after = input.strip_prefix(b"=?")?;
    let charset_len = memchr(b'?', &after[..after.len().min(NAME_LIMIT + 1)])?;
    let charset = &after[..charset_len];
    let charset = &charset[..memchr(b'*', charset).unwrap_or(charset_len)];
    if charset.is_empty() || charset.iter().any(u8::is_ascii_whitespace) {
        return None;
    }
    let [encoding, b'?', text @ ..] = &after[charset_len + 1..] else {
        return None;
    };
    // The text holds no question mark, so the next one ends it or this is no word: linear.
    let text_len = memchr(b'?', text)?;
    if text.get(text_len + 1) != Some(&b'=') {
        return None;
    }
    let text = &text[..text_len];
    let bytes = match encoding {
        b'b' | b'B' => transfer::base64(text),
        b'q' | b'Q' => transfer::q_word(text),
        _ => return None,
    };
    Some(EncodedWord {
        charset,
        bytes,
        len: 2 + charset_len + 1 + 2 + text_len + 2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (input, want) in [
            ("plain", "plain"),
            ("", ""),
            ("=?US-ASCII?Q?Keith_Moore?= <m@x>", "Keith Moore <m@x>"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a?=  =?utf-8?b?w6k=?=", "aé"),
            ("=?ISO-8859-1?Q?a?= b", "a b"),
            ("a =?ISO-8859-1?Q?b?= =?x", "a b =?x"),
            // One character split between two words.
            ("=?utf-8?q?=C3?= =?UTF-8?q?=A9?=", "é"),
            ("=?iso-2022-jp?B?GyRCJEAbKEI=?=", "だ"),
            ("=?utf-8*en?q?x?=", "x"),
            ("=?nowhere-1?q?x=C3=A9?=", "xé"),
            ("=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
            ("=?utf-8?q?abc", "=?utf-8?q?abc"),
            ("=?=?utf-8?q?y?=", "=?y"),
            ("=??q?abc?=", "=??q?abc?="),
            ("=?utf-7?q?+AOk-x?=", "éx"),
        ] {
            assert_eq!(decode_words(input.as_bytes()), want, "{input}");
        }
        assert_eq!(decode_words(b"\xe9t\xe9 =?utf-8?q?x?= \xe9"), "été x é");
    }

    #[test]
    fn charsets_of_searches() {
        for charset in SEARCH_CHARSETS {
            let text = charset_text(Some(charset), b"abc");
            assert_eq!(text.flatten().as_deref(), Some("abc"), "{charset}");
        }
        let read =
            |charset, octets| charset_text(Some(charset), octets).map(|t| t.map(String::from));
        assert_eq!(read("koi8-r", b"\xf0\xd2"), Some(Some("Пр".into())));
        assert_eq!(read("latin1", b"\xe9"), Some(Some("é".into())));
        assert_eq!(read("utf-8", b"\xe9"), Some(None));
        assert_eq!(read("shift_jis", b"\x83"), Some(None));
        assert_eq!(read("utf-16", b"ab"), None);
        assert_eq!(read("iso-2022-kr", b"ab"), None);
        assert_eq!(read("x-none", b"ab"), None);
        assert_eq!(
            charset_text(None, "é".as_bytes()).flatten().as_deref(),
            Some("é")
        );
    }

    #[test]
    fn charsets() {
        for (charset, input, want) in [
            (None, &b"caf\xc3\xa9"[..], "café"),
            (None, b"caf\xe9", "café"),
            (Some("us-ascii"), b"caf\xc3\xa9", "café"),
            (Some("ISO-8859-1"), b"caf\xe9", "café"),
            (Some("utf-8"), b"\xef\xbb\xbfcaf\xc3\xa9", "café"),
            (Some("utf-8"), b"caf\xe9", "café"),
            (Some("koi8-r"), b"\xf0\xd2", "Пр"),
            (Some("Shift_JIS"), b"\x83n", "ハ"),
            (Some("utf-16le"), b"\xe1\x00", "á"),
            (Some("utf-16"), b"\xfe\xff\x00\xe1", "á"),
            (Some("utf-7"), b"+AOk-", "é"),
            (Some("cp850"), b"\x82", "é"),
            (Some("iso-2022-kr"), b"plain", "plain"),
            (Some("no-such-charset"), b"caf\xe9", "café"),
        ] {
            let got = to_utf8(charset.map(str::as_bytes), input);
            assert_eq!(got, want, "{charset:?}");
        }
    }
}
