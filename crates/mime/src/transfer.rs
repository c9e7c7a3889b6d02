//! Content transfer encodings (RFC 2045 section 6), decoded leniently: what cannot be decoded is
//! skipped (base64) or kept as it is (quoted-printable).

/// Marks an octet that is no base64 digit.
const NO_DIGIT: u8 = 0xff;

const DIGITS: [u8; 256] = digits();

const fn digits() -> [u8; 256] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [NO_DIGIT; 256];
    let mut i = 0;
    while i < alphabet.len() {
        table[alphabet[i] as usize] = i as u8;
        i += 1;
    }
    table
}

/// Base64. Octets outside the alphabet are skipped; padding ends a group, and decoding goes on
/// after it, since some mailers concatenate encoded blocks.
pub(crate) fn base64(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(input.len() / 4 * 3 + 3);
    let mut bits: u32 = 0;
    let mut count = 0;
    for b in input {
        let digit = DIGITS[usize::from(*b)];
        if digit != NO_DIGIT {
            bits = bits << 6 | u32::from(digit);
            count += 1;
            if count == 4 {
                out.extend_from_slice(&bits.to_be_bytes()[1..]);
                (bits, count) = (0, 0);
            }
        } else if *b == b'=' {
            flush(&mut out, bits, count);
            (bits, count) = (0, 0);
        }
    }
    flush(&mut out, bits, count);
    out
}

fn flush(out: &mut Vec<u8>, bits: u32, count: u32) {
    match count {
        2 => out.push((bits >> 4) as u8),
        3 => out.extend_from_slice(&((bits >> 2) as u16).to_be_bytes()),
        _ => {}
    }
}

/// Quoted-printable body. White space before a line end is transport padding and goes.
pub(crate) fn quoted_printable(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(input.len());
    for line in input.split_inclusive(|b| *b == b'\n') {
        let ending = match line {
            [.., b'\r', b'\n'] => &b"\r\n"[..],
            [.., b'\n'] => b"\n",
            _ => b"",
        };
        let mut text = &line[..line.len() - ending.len()];
        while let [head @ .., b' ' | b'\t'] = text {
            text = head;
        }
        let soft = text.last() == Some(&b'=');
        if soft {
            text = &text[..text.len() - 1];
        }
        unescape(&mut out, text, b'=');
        if !soft {
            out.extend_from_slice(ending);
        }
    }
    out
}

/// The `Q` encoding of RFC 2047 section 4.2.
pub(crate) fn q_word(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(input.len());
    let spaced: Vec<u8> = input
        .iter()
        .map(|b| if *b == b'_' { b' ' } else { *b })
        .collect();
    unescape(&mut out, &spaced, b'=');
    out
}

/// `escape` and two hexadecimal digits for an octet; anything else stays.
pub(crate) fn unescape(out: &mut Vec<u8>, input: &[u8], escape: u8) {
    let mut i = 0;
    while let Some(b) = input.get(i) {
        let pair = if *b == escape {
            hex(input.get(i + 1)).zip(hex(input.get(i + 2)))
        } else {
            None
        };
        match pair {
            Some((high, low)) => {
                out.push(high << 4 | low);
                i += 3;
            }
            None => {
                out.push(*b);
                i += 1;
            }
        }
    }
}

fn hex(digit: Option<&u8>) -> Option<u8> {
    let digit = char::from(*digit?).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_lenient() {
        for (input, want) in [
            ("", &b""[..]),
            ("aGVsbG8=", b"hello"),
            ("aGVs\r\nbG8", b"hello"),
            ("aGVsbG8=d29ybGQ=", b"helloworld"),
            ("a*G V\ns!bG8=", b"hello"),
            ("YQ==YQ==", b"aa"),
            ("YQ", b"a"),
            ("Y", b""),
            ("====", b""),
            ("//79", b"\xff\xfe\xfd"),
        ] {
            assert_eq!(base64(input.as_bytes()), want, "{input}");
        }
    }

    #[test]
    fn quoted_printable_cases() {
        for (input, want) in [
            ("", &b""[..]),
            ("caf=C3=A9=\r\n!\r\n", b"caf\xc3\xa9!\r\n"),
            ("a=3d=3D \t\r\nb", b"a==\r\nb"),
            ("a= \r\nb", b"ab"),
            ("a=\nb\n", b"ab\n"),
            ("100=%", b"100=%"),
            ("=4", b"=4"),
            ("x=", b"x"),
            ("x_y", b"x_y"),
        ] {
            assert_eq!(quoted_printable(input.as_bytes()), want, "{input:?}");
        }
        assert_eq!(q_word(b"a_b=5Fc"), b"a b_c");
    }
}
