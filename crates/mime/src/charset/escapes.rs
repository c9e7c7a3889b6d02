//! Charsets of seven bits that switch between sets of characters: rewritten as the charset of
//! eight bits that has the same sets, so that one decoder does for both.
//!
//! An escape that changes nothing is legal here (mail has them wherever neighbouring encoded
//! words are joined), though the WHATWG's decoder makes a replacement character of it. A line end
//! goes back to ASCII, as all three charsets have it: damage ends with its line.

const ESC: u8 = 0x1b;

/// ISO-2022-JP (RFC 1468), with JIS X 0212 (RFC 2237) and half-width katakana, as EUC-JP.
pub(super) fn jp_as_euc(bytes: &[u8]) -> Vec<u8> {
    /// Which set the octets below 0x80 are of.
    #[derive(Clone, Copy)]
    enum Set {
        Ascii,
        Katakana,
        X0208,
        X0212,
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut set = Set::Ascii;
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        let escape = match rest {
            [ESC, b'(', b'B' | b'J' | b'H', after @ ..] => Some((Set::Ascii, after)),
            [ESC, b'(', b'I', after @ ..] => Some((Set::Katakana, after)),
            [ESC, b'$', b'(', b'D', after @ ..] => Some((Set::X0212, after)),
            [
                ESC,
                b'$',
                b'(',
                b'@' | b'B' | b'O' | b'P' | b'Q',
                after @ ..,
            ]
            | [ESC, b'$', b'@' | b'B', after @ ..] => Some((Set::X0208, after)),
            _ => None,
        };
        if let Some((next, after)) = escape {
            (set, rest) = (next, after);
            continue;
        }
        let pair = rest.first_chunk().filter(|pair: &&[u8; 2]| graphic(pair));
        rest = after;
        match (set, pair) {
            (Set::Katakana, _) if (0x21..0x60).contains(first) => {
                out.extend([0x8e, first | 0x80]);
            }
            (Set::X0208 | Set::X0212, Some([_, second])) => {
                if matches!(set, Set::X0212) {
                    out.push(0x8f);
                }
                out.extend([first | 0x80, second | 0x80]);
                rest = &after[1..];
            }
            // Half a character.
            (Set::X0208 | Set::X0212, None) if first.is_ascii_graphic() => out.push(first | 0x80),
            _ => {
                if *first == b'\n' {
                    set = Set::Ascii;
                }
                out.push(*first);
            }
        }
    }
    out
}

/// ISO-2022-KR (RFC 1557) as EUC-KR.
pub(super) fn kr_as_euc(bytes: &[u8]) -> Vec<u8> {
    const SHIFT_OUT: u8 = 0x0e;
    const SHIFT_IN: u8 = 0x0f;
    let mut out = Vec::with_capacity(bytes.len());
    let mut wide = false;
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        rest = match rest {
            [ESC, b'$', b')', b'C', after @ ..] => after,
            _ => {
                match *first {
                    SHIFT_OUT => wide = true,
                    SHIFT_IN => wide = false,
                    b'\n' => {
                        wide = false;
                        out.push(b'\n');
                    }
                    b if wide && b.is_ascii_graphic() => out.push(b | 0x80),
                    b => out.push(b),
                }
                after
            }
        };
    }
    out
}

/// HZ (RFC 1843) as EUC-CN, which is a part of GBK.
pub(super) fn hz_as_euc(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut wide = false;
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        rest = match rest {
            [b'~', b'{', after @ ..] => {
                wide = true;
                after
            }
            [b'~', b'}', after @ ..] => {
                wide = false;
                after
            }
            [b'~', b'~', after @ ..] if !wide => {
                out.push(b'~');
                after
            }
            // A line that goes on.
            [b'~', b'\n', after @ ..] | [b'~', b'\r', b'\n', after @ ..] => after,
            _ => {
                match *first {
                    b'\n' => {
                        wide = false;
                        out.push(b'\n');
                    }
                    b if wide && b.is_ascii_graphic() => out.push(b | 0x80),
                    b => out.push(b),
                }
                after
            }
        };
    }
    out
}

fn graphic(pair: &[u8; 2]) -> bool {
    pair.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn japanese() {
        for (input, want) in [
            ("plain\r\n", &b"plain\r\n"[..]),
            ("\x1b$BF|\x1b(B", b"\xc6\xfc"),
            ("\x1b$BF|\x1b(B\x1b$BK\\\x1b(Bx", b"\xc6\xfc\xcb\xdcx"),
            ("\x1b$B\x1b$BF|", b"\xc6\xfc"),
            ("\x1b$B\x1b(B", b""),
            ("\x1b$BF\x1b(Bx", b"\xc6x"),
            ("\x1b$BF", b"\xc6"),
            ("\x1b$BF|\r\nx", b"\xc6\xfc\r\nx"),
            ("\x1b(I6\x1b(B6", b"\x8e\xb66"),
            ("\x1b$(D0!\x1b(B", b"\x8f\xb0\xa1"),
            ("\x1b[0m", b"\x1b[0m"),
            ("\x1b", b"\x1b"),
        ] {
            assert_eq!(jp_as_euc(input.as_bytes()), want, "{input:?}");
        }
        assert_eq!(jp_as_euc(b"\xff\x1b$B\xff\x1b(B"), b"\xff\xff");
    }

    #[test]
    fn korean_and_chinese() {
        assert_eq!(kr_as_euc(b"\x1b$)Ca\x0eGQ\x0fGQ"), b"a\xc7\xd1GQ");
        assert_eq!(kr_as_euc(b"\x0eGQ\nGQ"), b"\xc7\xd1\nGQ");
        assert_eq!(hz_as_euc(b"~~ ~{VP~}VP~\nx"), b"~ \xd6\xd0VPx");
        assert_eq!(hz_as_euc(b"~{VP\nVP~"), b"\xd6\xd0\nVP~");
    }
}
