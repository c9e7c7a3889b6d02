//! Modified UTF-7, the mailbox name encoding of IMAP4rev1 (RFC 3501 section 5.1.3).

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

// Trailing bits are left to the decoder to refuse: the RFC has no use for them and two
// spellings of one name must not both be accepted.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &IMAP_MUTF7,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// The bytes are not modified UTF-7.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid modified UTF-7 name")]
pub struct Utf7Error;

/// Encodes `text` for an IMAP4rev1 client.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut shifted: Vec<u8> = Vec::new();
    for c in text.chars() {
        if matches!(c, ' '..='~') {
            end_shift(&mut out, &mut shifted);
            out.push(c);
            if c == '&' {
                out.push('-');
            }
        } else {
            let mut units = [0u16; 2];
            for unit in c.encode_utf16(&mut units) {
                shifted.extend_from_slice(&unit.to_be_bytes());
            }
        }
    }
    end_shift(&mut out, &mut shifted);
    out
}

fn end_shift(out: &mut String, shifted: &mut Vec<u8>) {
    if !shifted.is_empty() {
        out.push('&');
        BASE64.encode_string(&shifted, out);
        out.push('-');
        shifted.clear();
    }
}

/// Decodes a mailbox name of an IMAP4rev1 client.
///
/// # Errors
/// Bytes outside printable US-ASCII, a shift that does not end, bad base64 or UTF-16,
/// printable US-ASCII inside a shift, and a shift right after another (each name has one spelling
/// only).
pub fn decode(bytes: &[u8]) -> Result<String, Utf7Error> {
    let mut out = String::with_capacity(bytes.len());
    let mut rest = bytes;
    let mut after_shift = false;
    while let Some((&first, tail)) = rest.split_first() {
        let follows_shift = std::mem::take(&mut after_shift);
        match first {
            b'&' => {
                let end = tail.iter().position(|&b| b == b'-').ok_or(Utf7Error)?;
                if end == 0 {
                    out.push('&');
                } else {
                    if follows_shift {
                        return Err(Utf7Error);
                    }
                    after_shift = true;
                    let raw = BASE64.decode(&tail[..end]).map_err(|_| Utf7Error)?;
                    let (units, odd) = raw.as_chunks::<2>();
                    if !odd.is_empty() {
                        return Err(Utf7Error);
                    }
                    for c in char::decode_utf16(units.iter().map(|u| u16::from_be_bytes(*u))) {
                        let c = c.map_err(|_| Utf7Error)?;
                        if matches!(c, ' '..='~') {
                            return Err(Utf7Error);
                        }
                        out.push(c);
                    }
                }
                rest = &tail[end + 1..];
            }
            b' '..=b'~' => {
                out.push(char::from(first));
                rest = tail;
            }
            _ => return Err(Utf7Error),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rfc3501_examples() {
        assert_eq!(
            decode(b"~peter/mail/&U,BTFw-/&ZeVnLIqe-").unwrap(),
            "~peter/mail/台北/日本語"
        );
        assert_eq!(
            encode("~peter/mail/台北/日本語"),
            "~peter/mail/&U,BTFw-/&ZeVnLIqe-"
        );
        assert_eq!(encode("Tom & Jerry"), "Tom &- Jerry");
        assert_eq!(decode(b"Entw&APw-rfe").unwrap(), "Entwürfe");
        // Between two shifts a `&` is no third.
        assert_eq!(decode(b"&APw-&-&APw-").unwrap(), "ü&ü");
    }

    #[test]
    fn refuses_what_is_not_canonical() {
        for bad in [
            &b"&U,BTFw"[..],
            b"&Jjo!",
            b"&AGE-",
            b"\xffx",
            b"&2AA-",
            b"a\x00b",
            b"&U,BTFw-&ZeVnLIqe-",
        ] {
            assert!(decode(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes(text in "\\PC{0,40}") {
            prop_assert_eq!(decode(encode(&text).as_bytes()).unwrap(), text);
        }

        #[test]
        fn what_decodes_is_the_only_spelling(bytes in "[a-z&,A-D-]{0,20}") {
            if let Ok(text) = decode(bytes.as_bytes()) {
                prop_assert_eq!(encode(&text), bytes);
            }
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = decode(&bytes);
        }
    }
}
