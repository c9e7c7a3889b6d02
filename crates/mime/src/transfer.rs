//! Content transfer encodings (RFC 2045 section 6), decoded leniently: what cannot be decoded is
//! skipped (base64) or kept as it is (quoted-printable).

use crate::part::Encoding;

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

/// White space of a quoted-printable line that is kept until it is known whether the line ends
/// behind it, which would make it padding. A line of mail has 998 octets (RFC 5322 section
/// 2.1.1); more than this is no padding.
const MAX_HELD: usize = 64 * 1024;

/// Undoes a transfer encoding piece by piece, however the pieces are cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoder(State);

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Identity,
    /// Digits of a group that is not complete.
    Base64 {
        bits: u32,
        count: u32,
    },
    /// What is not decided yet: `=` with a digit, or white space, with `=` before it or not and
    /// CR behind it or not.
    QuotedPrintable {
        held: Vec<u8>,
    },
}

impl Decoder {
    /// A decoder at the start of a body; `None` for an unknown encoding.
    pub fn new(encoding: Encoding) -> Option<Decoder> {
        Some(Decoder(match encoding {
            Encoding::SevenBit | Encoding::EightBit | Encoding::Binary => State::Identity,
            Encoding::Base64 => State::Base64 { bits: 0, count: 0 },
            Encoding::QuotedPrintable => State::QuotedPrintable { held: Vec::new() },
            Encoding::Unknown => return None,
        }))
    }

    /// Whether what comes out is what goes in.
    pub fn is_identity(&self) -> bool {
        matches!(self.0, State::Identity)
    }

    /// Appends what the next piece decodes to.
    pub fn decode(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match &mut self.0 {
            State::Identity => out.extend_from_slice(piece),
            State::Base64 { bits, count } => {
                out.reserve(piece.len() / 4 * 3 + 3);
                for b in piece {
                    let digit = DIGITS[usize::from(*b)];
                    if digit != NO_DIGIT {
                        *bits = *bits << 6 | u32::from(digit);
                        *count += 1;
                        if *count == 4 {
                            out.extend_from_slice(&bits.to_be_bytes()[1..]);
                            (*bits, *count) = (0, 0);
                        }
                    } else if *b == b'=' {
                        flush(out, *bits, *count);
                        (*bits, *count) = (0, 0);
                    }
                }
            }
            State::QuotedPrintable { held } => {
                out.reserve(piece.len());
                let mut rest = piece;
                while let Some(first) = rest.first() {
                    if held.is_empty() {
                        let plain = rest
                            .iter()
                            .position(|b| matches!(b, b'=' | b' ' | b'\t' | b'\r'))
                            .unwrap_or(rest.len());
                        out.extend_from_slice(&rest[..plain]);
                        rest = &rest[plain..];
                        if let [first, after @ ..] = rest {
                            held.push(*first);
                            rest = after;
                        }
                        continue;
                    }
                    if decide(held, *first, out) {
                        rest = &rest[1..];
                    }
                }
            }
        }
    }

    /// Appends what the end of the body decides.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match &mut self.0 {
            State::Identity => {}
            State::Base64 { bits, count } => {
                flush(out, *bits, *count);
                (*bits, *count) = (0, 0);
            }
            State::QuotedPrintable { held } => {
                // A soft line break, or padding, goes; a lone CR is neither.
                if matches!(held.as_slice(), [b'=', b'0'..=b'9' | b'A'..=b'F' | b'a'..=b'f'] | [.., b'\r'])
                {
                    out.append(held);
                }
                held.clear();
            }
        }
    }
}

/// What `next` makes of the octets held before it. `false` if they were settled without it.
fn decide(held: &mut Vec<u8>, next: u8, out: &mut Vec<u8>) -> bool {
    match (held.as_slice(), next) {
        ([b'='], b'=') => out.push(b'='),
        ([b'='], next) if hex(Some(&next)).is_some() => held.push(next),
        ([b'=', high], next) if let Some(high) = hex(Some(high)) => {
            let Some(low) = hex(Some(&next)) else {
                out.append(held);
                return false;
            };
            out.push(high << 4 | low);
            held.clear();
        }
        ([.., b'\r'], b'\n') => {
            if held[0] != b'=' {
                out.extend_from_slice(b"\r\n");
            }
            held.clear();
        }
        (_, b'\n') => {
            if held[0] != b'=' {
                out.push(b'\n');
            }
            held.clear();
        }
        ([.., b'\r'], _) => {
            out.append(held);
            return false;
        }
        (_, b' ' | b'\t' | b'\r') if held.len() < MAX_HELD => held.push(next),
        _ => {
            out.append(held);
            return false;
        }
    }
    true
}

fn flush(out: &mut Vec<u8>, bits: u32, count: u32) {
    match count {
        2 => out.push((bits >> 4) as u8),
        3 => out.extend_from_slice(&((bits >> 2) as u16).to_be_bytes()),
        _ => {}
    }
}

/// A whole body.
fn whole(mut decoder: Decoder, input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    decoder.decode(input, &mut out);
    decoder.finish(&mut out);
    out
}

/// Base64. Octets outside the alphabet are skipped; padding ends a group, and decoding goes on
/// after it, since some mailers concatenate encoded blocks.
pub(crate) fn base64(input: &[u8]) -> Vec<u8> {
    whole(Decoder(State::Base64 { bits: 0, count: 0 }), input)
}

/// Quoted-printable body. White space before a line end is transport padding and goes.
pub(crate) fn quoted_printable(input: &[u8]) -> Vec<u8> {
    whole(Decoder(State::QuotedPrintable { held: Vec::new() }), input)
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

    /// By lines, as RFC 2045 section 6.7 describes it.
    fn by_lines(input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
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
            match text.strip_suffix(b"=") {
                Some(text) => unescape(&mut out, text, b'='),
                None => {
                    unescape(&mut out, text, b'=');
                    out.extend_from_slice(ending);
                }
            }
        }
        out
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(4_000))]

        #[test]
        fn pieces_make_the_whole(
            text in "[=A-F0-9a \t\r\nx]{0,40}",
            cut in 0usize..40,
            encoding in proptest::sample::select(vec![
                Encoding::Binary,
                Encoding::Base64,
                Encoding::QuotedPrintable,
            ]),
        ) {
            let input = text.as_bytes();
            let (one, other) = input.split_at(cut.min(input.len()));
            let mut decoder = Decoder::new(encoding).unwrap();
            let mut out = Vec::new();
            decoder.decode(one, &mut out);
            decoder.decode(other, &mut out);
            decoder.finish(&mut out);
            let want = match encoding {
                Encoding::Base64 => base64(input),
                Encoding::QuotedPrintable => by_lines(input),
                _ => input.to_vec(),
            };
            proptest::prop_assert_eq!(out, want);
        }
    }

    #[test]
    fn little_is_held_of_endless_white_space() {
        let mut decoder = Decoder::new(Encoding::QuotedPrintable).unwrap();
        let mut out = Vec::new();
        decoder.decode(&vec![b' '; 1_000_000], &mut out);
        assert!(out.len() >= 1_000_000 - MAX_HELD);
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
