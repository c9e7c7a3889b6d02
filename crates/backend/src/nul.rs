//! NULs in messages that are stored: no string of IMAP can hold one, but literal8 (RFC 9051 section
//! 9), nor a line of POP3.
//!
//! APPEND takes such messages as literal8 (RFC 3516 section 4.5), and stores them as they are. Clients get 0x80 in the place of
//! each NUL, as from other servers: a character of no charset in mail, so that sizes and places stay
//! what they are. BINARY gives what is there.

use bytes::Bytes;

/// What stands for a NUL.
const INSTEAD: u8 = 0x80;

/// The octets as they can be sent; nearly all are as they are.
pub(crate) fn without_nuls(octets: Bytes) -> Bytes {
    match memchr::memchr(0, &octets) {
        None => octets,
        Some(_) => octets
            .iter()
            .map(|octet| if *octet == 0 { INSTEAD } else { *octet })
            .collect(),
    }
}
