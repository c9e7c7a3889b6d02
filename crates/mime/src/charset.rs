//! Octets of any charset to UTF-8, and RFC 2047 encoded words.

mod escapes;
mod names;
mod tables;

use std::borrow::Cow;

use encoding_rs::{EUC_JP, EUC_KR, Encoding, GBK, UTF_16BE, UTF_16LE, WINDOWS_1252};
use memchr::{memchr, memmem};

use crate::transfer;
use names::Charset;

/// No charset name is longer; also bounds the search for the end of one in `=?`.
const NAME_LIMIT: usize = 64;

/// Text of a part or header in this charset. Unlabelled, US-ASCII and unknown charsets are read as
/// UTF-8. Octets that are not of the charset change nothing around them: they are replacement
/// characters, in UTF-8 those of Windows-1252, which maps every octet, so that nothing is lost to
/// a search.
pub(crate) fn to_utf8<'a>(charset: Option<&[u8]>, bytes: &'a [u8]) -> Cow<'a, str> {
    match Charset::named(charset.unwrap_or_default()).unwrap_or(Charset::Utf8) {
        Charset::Utf8 => utf8_or_1252(bytes),
        Charset::Known(encoding) => encoding.decode(bytes).0,
        Charset::Utf16 => Cow::Owned(utf16_order(bytes).decode(bytes).0.into_owned()),
        Charset::Utf7 => Cow::Owned(utf7(bytes)),
        Charset::Table(table) => Cow::Owned(tables::decode(table, bytes)),
        Charset::Iso2022Jp => euc(EUC_JP, &escapes::jp_as_euc(bytes)),
        Charset::Iso2022Kr => euc(EUC_KR, &escapes::kr_as_euc(bytes)),
        Charset::Hz => euc(GBK, &escapes::hz_as_euc(bytes)),
    }
}

fn euc<'a>(encoding: &'static Encoding, bytes: &[u8]) -> Cow<'a, str> {
    let (text, _) = encoding.decode_without_bom_handling(bytes);
    Cow::Owned(text.into_owned())
}

/// UTF-8 without a byte order mark; each octet that is not of it by Windows-1252.
fn utf8_or_1252(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len() + bytes.len() / 8);
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.push_str(&WINDOWS_1252.decode_without_bom_handling(chunk.invalid()).0);
    }
    Cow::Owned(out)
}

/// The order of octets of a UTF-16 text: what its mark says; without one, where the zeros of its
/// blanks and letters are; without these, what RFC 2781 section 4.3 says.
fn utf16_order(bytes: &[u8]) -> &'static Encoding {
    /// Octets that are enough to see it.
    const LOOK: usize = 4096;
    match bytes {
        [0xff, 0xfe, ..] => return UTF_16LE,
        [0xfe, 0xff, ..] => return UTF_16BE,
        _ => {}
    }
    let pairs = bytes.get(..LOOK).unwrap_or(bytes).as_chunks::<2>().0;
    let zeros = |i: usize| pairs.iter().filter(|pair| pair[i] == 0).count();
    match zeros(1) > zeros(0) {
        true => UTF_16LE,
        false => UTF_16BE,
    }
}

/// UTF-7 (RFC 2152). Octets that are not of it are Windows-1252's.
fn utf7(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(plus) = memchr(b'+', rest) {
        out.push_str(&utf8_or_1252(&rest[..plus]));
        let after = &rest[plus + 1..];
        let is_digit = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
        let digits = after.iter().take_while(|b| is_digit(b)).count();
        rest = &after[digits..];
        let ended = rest.first() == Some(&b'-');
        if digits == 0 {
            out.push('+');
        }
        let units = transfer::base64(&after[..digits]);
        out.push_str(&UTF_16BE.decode_without_bom_handling(whole_units(&units)).0);
        if ended {
            rest = &rest[1..];
        }
    }
    out.push_str(&utf8_or_1252(rest));
    out
}

/// Without the bits that fill up the last digit.
fn whole_units(octets: &[u8]) -> &[u8] {
    &octets[..octets.len() / 2 * 2]
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
    let strict = |encoding: &'static Encoding, octets: &[u8]| {
        let text = encoding.decode_without_bom_handling_and_without_replacement(octets);
        text.map(|text| Cow::Owned(text.into_owned()))
    };
    let charset = charset.map_or(Some(Charset::Utf8), |name| Charset::named(name.as_bytes()));
    Some(match charset? {
        Charset::Utf8 => std::str::from_utf8(octets).ok().map(Cow::Borrowed),
        Charset::Known(encoding) if !encoding.is_ascii_compatible() => return None,
        Charset::Utf16 | Charset::Utf7 => return None,
        Charset::Known(encoding) => {
            encoding.decode_without_bom_handling_and_without_replacement(octets)
        }
        Charset::Table(table) => Some(Cow::Owned(tables::decode(table, octets))),
        Charset::Iso2022Jp => strict(EUC_JP, &escapes::jp_as_euc(octets)),
        Charset::Iso2022Kr => strict(EUC_KR, &escapes::kr_as_euc(octets)),
        Charset::Hz => strict(GBK, &escapes::hz_as_euc(octets)),
    })
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
            out.push_str(&utf8_or_1252(between));
        }
        pending = Some((word.charset, word.bytes));
    }
    push_pending(&mut out, pending);
    out.push_str(&utf8_or_1252(&value[plain_from..]));
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
            // The same, and the encodings differ.
            ("=?utf-8?b?R3LDvMM=?=\t=?UTF-8?Q?=9Fe?=", "Grüße"),
            // Escapes at both ends of neighbours, and only at the outer ends.
            (
                "=?iso-2022-jp?B?GyRCRnxLXBsoQg==?= =?ISO-2022-JP?B?GyRCOGwbKEI=?=",
                "日本語",
            ),
            (
                "=?iso-2022-jp?B?GyRCRnxL?= =?iso-2022-jp?B?XDhsGyhC?=",
                "日本語",
            ),
            (
                "\"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=  =?iso-2022-jp?B?GyRCOGwbKEI=?=\" <jp@x>",
                "\"日本語\" <jp@x>",
            ),
            // Empty words, first, last and alone.
            ("=?UTF-8?Q??=  =?UTF-8?Q?=D0=9F?= =?utf-8?b??=", "П"),
            ("=?UTF-8?Q??=", ""),
            ("a =?UTF-8?B??= b", "a  b"),
            // White space inside, from folding.
            ("=?UTF-8?Q?=CE=B4 =CE=BA?=", "δ κ"),
            ("=?utf-8?b?w6 k=?=", "é"),
            // Cut within a character; an octet of another charset.
            ("=?utf-8?Q?Gr=C3=BC=C3=9Fe=C3?=", "GrüßeÃ"),
            ("=?utf-8?Q?Gr=C3=BC=DFe?=", "Grüße"),
            // Different charsets that are neighbours.
            ("=?gb2312?B?1tDOxA==?= =?GBK?B?zsTX1g==?=", "中文文字"),
            ("=?cp949?B?x9GxuQ==?= =?latin9?q?=A4?=", "한국€"),
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
        assert_eq!(read("utf-7", b"ab"), None);
        assert_eq!(read("cp437", b"\x82"), Some(Some("é".into())));
        assert_eq!(read("cp932", b"\x83n"), Some(Some("ハ".into())));
        assert_eq!(
            read("iso-2022-jp", b"\x1b$BF|\x1b(B"),
            Some(Some("日".into()))
        );
        assert_eq!(read("iso-2022-jp", b"\x1b$BF"), Some(None));
        assert_eq!(read("iso-2022-kr", b"\x0eGQ"), Some(Some("한".into())));
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
            (Some("iso-2022-kr"), b"plain \x1b$)C\x0eGQ\x0f", "plain 한"),
            (Some("hz-gb-2312"), b"~{VP~}x", "中x"),
            (
                Some("iso-2022-jp"),
                b"\x1b$B\x1b(B\x1b$BF|\x1b(B\x1b$BK\\\x1b(B",
                "日本",
            ),
            (Some("iso-2022-jp"), b"\x1b$BF|\xff\x1b(Bx", "日\u{fffd}x"),
            (Some("iso-2022-jp-1"), b"\x1b$(D0!\x1b(B", "丂"),
            // One octet that is not of the charset, and nothing else changes.
            (
                Some("utf-8"),
                b"Gr\xc3\xbc\xc3\x9fe \xe9 fin",
                "Grüße é fin",
            ),
            (None, b"d\xc3\xa9j \xa0 \x80 \x81", "déj \u{a0} € \u{81}"),
            (Some("us-ascii"), b"\xe2\x82\xac \xe2\x82", "€ â‚"),
            (None, b"\xef\xbb\xbfa\xe9\xc3\xa9", "aéé"),
            (Some("Shift_JIS"), b"\x93\xfa\xff\r\nx", "日\u{fffd}\r\nx"),
            (Some("euc-kr"), b"\xc7\xd1\xff \xb1\xb9", "한\u{fffd} 국"),
            (Some("big5"), b"\xa4\xa4\xff\xa4\xe5", "中\u{fffd}文"),
            (Some("gbk"), b"\xd6\xd0\xff\xce\xc4", "中\u{fffd}文"),
            // UTF-16 in either order, marked and not.
            (Some("utf-16"), b"\xff\xfe\xe1\x00", "á"),
            (Some("utf-16"), b"c\0a\0", "ca"),
            (Some("utf-16"), b"\0c\0a", "ca"),
            (Some("ucs-2"), b"\0c\0a", "ca"),
            (Some("utf-16"), b"\x65\xe5\x67\x2c", "日本"),
            (Some("utf-16le"), b"\xe5\x65", "日"),
            (Some("utf-16be"), b"\x65\xe5x", "日\u{fffd}"),
            (Some("utf-7"), b"caf+AOk", "café"),
            (Some("utf-7"), b"+AOk.+- + +ZeVnLA-x\xe9", "é.+ + 日本xé"),
            (Some("utf-7"), b"+2D3eAA-", "\u{1f600}"),
            // Names of mailers.
            (Some("cp949"), b"\xc7\xd1", "한"),
            (Some("cp932"), b"\x93\xfa\x87\x40", "日①"),
            (Some("latin9"), b"\xa4", "€"),
            (Some("cp437"), b"caf\x82 \xe1", "café ß"),
            (Some("cp852"), b"\xa7", "ž"),
            (Some("iso-8859-8-i"), b"\xf9", "ש"),
            (Some("ks_c_5601-1987"), b"\xc7\xd1", "한"),
            (Some("iso-8859-1"), b"\x80", "€"),
            (Some("x-mac-ce"), b"\xe4", "š"),
            (Some("\"utf-8\""), b"\xc3\xa9", "é"),
            (Some("no-such-charset"), b"caf\xe9", "café"),
        ] {
            let got = to_utf8(charset.map(str::as_bytes), input);
            assert_eq!(got, want, "{charset:?}");
        }
    }
}
