//! Which charset is meant: names as mailers write them.

use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, IBM866, ISO_2022_JP, KOI8_R, KOI8_U, MACINTOSH,
    REPLACEMENT, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_874, WINDOWS_1254, X_MAC_CYRILLIC,
};

use super::NAME_LIMIT;
use super::tables::{self, Table};

/// How a charset is decoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Charset {
    /// UTF-8, and whatever has no name that says more.
    Utf8,
    /// UTF-16 of an order of octets that only the text tells.
    Utf16,
    Utf7,
    Known(&'static Encoding),
    Table(Table),
    /// Charsets of seven bits that escapes switch.
    Iso2022Jp,
    Iso2022Kr,
    Hz,
}

impl Charset {
    /// The charset of this name; `None` for a name that nobody knows.
    ///
    /// First the names of the WHATWG's Encoding Standard, which have what IANA registers; then what
    /// remains of a name without its punctuation, as a word and the number of a code page.
    pub(super) fn named(name: &[u8]) -> Option<Charset> {
        let name = name.trim_ascii();
        if name.is_empty() || name.len() > NAME_LIMIT {
            return None;
        }
        match Encoding::for_label(name) {
            Some(encoding) if encoding == UTF_8 || is_ascii(name) => return Some(Charset::Utf8),
            Some(encoding) if encoding == ISO_2022_JP => return Some(Charset::Iso2022Jp),
            // Of "utf-16" and "ucs-2" the standard says little-endian, whatever was meant.
            Some(encoding) if encoding == UTF_16LE => {
                let said = name.to_ascii_lowercase().ends_with(b"le");
                return Some(if said {
                    Charset::Known(UTF_16LE)
                } else {
                    Charset::Utf16
                });
            }
            // What browsers must not decode (ISO-2022-KR, HZ).
            Some(encoding) if encoding == REPLACEMENT => {}
            Some(encoding) => return Some(Charset::Known(encoding)),
            None => {}
        }
        let plain: String = name
            .iter()
            .filter(|b| b.is_ascii_alphanumeric())
            .map(|b| char::from(b.to_ascii_lowercase()))
            .collect();
        by_word(&plain).or_else(|| by_word(plain.strip_prefix('x').or(plain.strip_prefix("cs"))?))
    }
}

/// US-ASCII by a name that is Windows-1252's in the standard: what is not ASCII in such a text is
/// mostly UTF-8.
fn is_ascii(name: &[u8]) -> bool {
    [&b"us-ascii"[..], b"ascii", b"ansi_x3.4-1968"]
        .iter()
        .any(|ascii| name.eq_ignore_ascii_case(ascii))
}

/// By a name in lower case, letters and digits only.
fn by_word(name: &str) -> Option<Charset> {
    use Charset::{Hz, Iso2022Jp, Iso2022Kr, Known, Utf7, Utf8, Utf16};
    let known = match name {
        "utf8" | "utf8mb3" | "utf8mb4" | "utf8mac" | "usascii" | "ascii" | "ansix341968"
        | "ansix341986" | "iso646us" | "us" => Utf8,
        "utf7" | "unicode11utf7" | "unicode20utf7" => Utf7,
        "utf16" | "ucs2" | "unicode" | "iso10646ucs2" => Utf16,
        "utf16le" | "ucs2le" | "unicodelittle" => Known(UTF_16LE),
        "utf16be" | "ucs2be" | "unicodebig" => Known(UTF_16BE),
        "iso2022jp" | "iso2022jp1" | "iso2022jp2" | "iso2022jp3" | "iso2022jp2004"
        | "iso2022jpms" | "iso2022jpext" | "jis" | "jis7" => Iso2022Jp,
        "iso2022kr" => Iso2022Kr,
        "hz" | "hzgb2312" => Hz,
        "eucjp" | "eucjpms" | "eucjpwin" | "ujis" => Known(EUC_JP),
        "sjis" | "shiftjis" | "sjiswin" | "shiftjis2004" | "shiftjisx0213" | "mskanji" => {
            Known(SHIFT_JIS)
        }
        "euckr" | "uhc" | "ksc5601" | "ksx1001" | "ksc56011992" | "wansung" => Known(EUC_KR),
        "euccn" | "gb2312" | "gbk" | "chinesegb" => Known(GBK),
        "gb18030" | "gb180302000" | "gb180302005" => Known(GB18030),
        "big5" | "big5hkscs" | "big5eten" | "euctw" => Known(BIG5),
        "koi8" | "koi8r" => Known(KOI8_R),
        "koi8u" | "koi8ru" => Known(KOI8_U),
        "macroman" | "macosroman" | "applemacintosh" => Known(MACINTOSH),
        "maccyrillic" | "macukrainian" => Known(X_MAC_CYRILLIC),
        "tis620" | "tis6202533" | "thai" => Known(WINDOWS_874),
        "turkish" => Known(WINDOWS_1254),
        _ => {
            return tables::other(name)
                .map(Charset::Table)
                .or_else(|| by_number(name));
        }
    };
    Some(known)
}

/// `windows1252`, `cp437`, `ms950`, `latin9`, `iso885915` and their like.
fn by_number(name: &str) -> Option<Charset> {
    let word = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = name.strip_prefix(word)?;
    match word {
        "latin" | "l" => {
            let part = match number {
                "0" | "9" => "15",
                "5" => "9",
                "6" => "10",
                "7" => "13",
                "8" => "14",
                "10" => "16",
                "1" | "2" | "3" | "4" => number,
                _ => return None,
            };
            iso_8859(part)
        }
        // "iso88591": the name without a year behind it, which all of them may have.
        "iso" | ""
            if number
                .strip_prefix("8859")
                .is_some_and(|part| !part.is_empty()) =>
        {
            let part = number.strip_prefix("8859")?;
            iso_8859(part).or_else(|| iso_8859(part.get(..part.len().checked_sub(4)?)?))
        }
        "cp" | "ibm" | "ms" | "windows" | "win" | "ansi" | "dos" | "oem" | "codepage" | "" => {
            code_page(number.parse().ok()?)
        }
        _ => None,
    }
}

fn iso_8859(part: &str) -> Option<Charset> {
    Encoding::for_label(format!("iso-8859-{part}").as_bytes()).map(Charset::Known)
}

/// A code page of IBM's or Microsoft's.
fn code_page(number: u32) -> Option<Charset> {
    use Charset::{Hz, Iso2022Jp, Iso2022Kr, Known, Utf7, Utf8, Utf16};
    Some(match number {
        367 | 646 | 20127 | 65001 => Utf8,
        65000 => Utf7,
        1200 => Utf16,
        1201 => Known(UTF_16BE),
        50220..=50222 => Iso2022Jp,
        50225 => Iso2022Kr,
        52936 => Hz,
        819 => return iso_8859("1"),
        28591..=28606 => return iso_8859(&(number - 28590).to_string()),
        866 => Known(IBM866),
        874 => Known(WINDOWS_874),
        932 | 942 | 943 => Known(SHIFT_JIS),
        936 | 51936 => Known(GBK),
        949 | 970 | 51949 => Known(EUC_KR),
        950 => Known(BIG5),
        10000 => Known(MACINTOSH),
        10007 => Known(X_MAC_CYRILLIC),
        20866 => Known(KOI8_R),
        21866 => Known(KOI8_U),
        51932 => Known(EUC_JP),
        54936 => Known(GB18030),
        1250..=1258 => {
            let label = format!("windows-{number}");
            return Encoding::for_label(label.as_bytes()).map(Known);
        }
        _ => return tables::dos(number).map(Charset::Table),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (names, want) in [
            (
                "utf-8 UTF8 utf_8 x-utf8 cp65001 us-ascii ANSI_X3.4-1968 iso646-us cp367",
                "UTF-8",
            ),
            (
                "iso-8859-1 latin1 Latin-1 ISO8859_1 8859-1 cp819 ibm819 ISO_8859-1:1987 x-latin1 windows-1252 cp1252 win1252 28591",
                "windows-1252",
            ),
            (
                "iso-8859-15 latin9 latin-9 latin0 l9 ISO_8859-15:1998 csISOLatin9 28605",
                "ISO-8859-15",
            ),
            ("iso-8859-2 latin2 iso88592 l2", "ISO-8859-2"),
            ("latin7 iso8859-13", "ISO-8859-13"),
            ("latin8", "ISO-8859-14"),
            ("latin10 iso-8859-16", "ISO-8859-16"),
            ("iso-8859-8 iso-8859-8-e", "ISO-8859-8"),
            ("iso-8859-8-i logical", "ISO-8859-8-I"),
            (
                "cp1251 windows-1251 win-1251 ansi-1251 x-cp1251 CP-1251 ms1251",
                "windows-1251",
            ),
            (
                "shift_jis sjis cp932 ms932 windows-31j windows-932 x-sjis ibm943 shift_jis-2004 SJIS-win",
                "Shift_JIS",
            ),
            (
                "euc-kr ks_c_5601-1987 cp949 ms949 windows-949 uhc x-windows-949 KSC5601 51949",
                "EUC-KR",
            ),
            (
                "big5 cp950 ms950 big5-hkscs big5hkscs x-x-big5 cn-big5",
                "Big5",
            ),
            (
                "gb2312 gbk cp936 ms936 euc-cn EUC_CN windows-936 x-gbk",
                "GBK",
            ),
            ("gb18030 cp54936 gb18030-2000", "gb18030"),
            ("euc-jp eucJP eucJP-ms x-euc-jp cp51932", "EUC-JP"),
            ("koi8-r koi8r cp20866 x-koi8-r", "KOI8-R"),
            ("koi8-u koi8-ru cp21866", "KOI8-U"),
            ("ibm866 cp866 866 dos-866", "IBM866"),
            ("macintosh x-mac-roman MacRoman cp10000", "macintosh"),
            ("tis-620 windows-874 cp874 iso-8859-11", "windows-874"),
            ("utf-16be ucs-2be unicodeFFFE", "UTF-16BE"),
            ("utf-16le", "UTF-16LE"),
        ] {
            for name in names.split(' ') {
                let got = match Charset::named(name.as_bytes()) {
                    Some(Charset::Known(encoding)) => encoding.name(),
                    Some(Charset::Utf8) => "UTF-8",
                    other => panic!("{name}: {other:?}"),
                };
                assert_eq!(got, want, "{name}");
            }
        }
        for (names, want) in [
            ("utf-16 utf16 ucs-2 unicode csUnicode", Charset::Utf16),
            (
                "utf-7 unicode-1-1-utf-7 UTF7 cp65000 x-unicode-2-0-utf-7",
                Charset::Utf7,
            ),
            (
                "iso-2022-jp ISO-2022-JP-1 iso2022jp csISO2022JP cp50220 iso-2022-jp-ms x-iso-2022-jp",
                Charset::Iso2022Jp,
            ),
            ("iso-2022-kr csISO2022KR", Charset::Iso2022Kr),
            ("hz-gb-2312 hz", Charset::Hz),
        ] {
            for name in names.split(' ') {
                assert_eq!(Charset::named(name.as_bytes()), Some(want), "{name}");
            }
        }
        for name in "cp437 ibm437 437 IBM-437 cspc8codepage437 cp850 ibm850 cp852 dos-720 x-mac-greek mac-ce kz-1048 pt154".split(' ') {
            let got = Charset::named(name.as_bytes());
            assert_eq!(matches!(got, Some(Charset::Table(_))), name != "cspc8codepage437", "{name}");
        }
        for name in [
            "",
            "x-unknown",
            "unknown-8bit",
            "8bit",
            "default",
            "cp1",
            "iso-8859-17",
            "iso-8859-",
            "cp99999999999",
            "\u{e9}",
        ] {
            assert_eq!(Charset::named(name.as_bytes()), None, "{name}");
        }
    }
}
