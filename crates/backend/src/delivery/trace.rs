//! By what a message is known that a mail server may deliver again.
//!
//! A mail server that got no answer sends the message again, byte for byte, with the queue id that
//! it has written into the topmost `Received:` field, or tells by XFORWARD. So a delivery is known by
//! that, by the length and the checksum of the whole message, and by the recipient. A message with
//! neither has no trace: who sends it twice means it twice.

use memchr::memchr;
use murder_mime::parse_date;
use murder_store::OnceId;
use ring::digest;

/// What is the same whenever a message is delivered again, besides its octets.
pub(super) struct Trace {
    digest: digest::Context,
    /// Unix milliseconds of the topmost `Received:`, 0 without one.
    received_ms: u64,
}

impl Trace {
    /// That of a message that the client knows by `ident`, or that begins with `head`: at least its
    /// header, if that is of a usual size.
    pub(super) fn find(ident: Option<&str>, head: &[u8]) -> Option<Self> {
        let mut digest = digest::Context::new(&digest::SHA256);
        let received = field(head, b"received");
        match (ident, received) {
            (Some(ident), _) => add(&mut digest, b"ident", ident.as_bytes()),
            (None, Some(received)) if has_id(received) => {
                add(&mut digest, b"received", received);
                add(
                    &mut digest,
                    b"message-id",
                    field(head, b"message-id").unwrap_or_default(),
                );
            }
            (None, _) => return None,
        }
        let received_ms = received.map_or(0, received_ms);
        Some(Self {
            digest,
            received_ms,
        })
    }

    /// The id of the delivery to `recipient` of the message with this size and CRC32C: 48 bits of
    /// time, as [`OnceId`] wants them, and 80 of the digest.
    pub(super) fn id_for(&self, recipient: &str, size: u64, crc: u32) -> OnceId {
        let mut digest = self.digest.clone();
        add(&mut digest, b"size", &size.to_be_bytes());
        add(&mut digest, b"crc", &crc.to_be_bytes());
        add(&mut digest, b"recipient", recipient.as_bytes());
        let mut id = OnceId::default();
        id[..6].copy_from_slice(&self.received_ms.to_be_bytes()[2..]);
        id[6..].copy_from_slice(&digest.finish().as_ref()[..10]);
        id
    }
}

/// Adds a value so that no other sequence of values gives the same.
fn add(context: &mut digest::Context, name: &[u8], value: &[u8]) {
    context.update(name);
    context.update(&(value.len() as u64).to_be_bytes());
    context.update(value);
}

/// The value of the first field of that name (in lower case), as it stands.
fn field<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = head;
    loop {
        let line_end = |text: &[u8]| memchr(b'\n', text).map_or(text.len(), |at| at + 1);
        let mut end = line_end(rest);
        while matches!(rest.get(end), Some(b' ' | b'\t')) {
            end += line_end(&rest[end..]);
        }
        let (field, after) = rest.split_at(end);
        let colon = memchr(b':', field)?;
        if field[..colon].trim_ascii_end().eq_ignore_ascii_case(name) {
            return Some(&field[colon + 1..]);
        }
        rest = after;
    }
}

/// When the host of a `Received:` field got the message, in Unix milliseconds; 0 if it does not say.
fn received_ms(received: &[u8]) -> u64 {
    let date = received.rsplit(|&octet| octet == b';').next();
    let unix = date.and_then(parse_date).map_or(0, |date| date.unix);
    u64::try_from(unix).unwrap_or(0).saturating_mul(1000)
}

/// Whether a `Received:` field says by which id its host knows the message (RFC 5321 section 4.4).
fn has_id(received: &[u8]) -> bool {
    let mut words = received
        .split(|octet| octet.is_ascii_whitespace())
        .filter(|word| !word.is_empty());
    words.any(|word| word.eq_ignore_ascii_case(b"id")) && words.next().is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const RECEIVED: &str = "Received: from a by b (Postfix)\r\n\twith LMTP id 4XyZ for <c>; x\r\n";

    fn id(ident: Option<&str>, text: &str, recipient: &str) -> Option<OnceId> {
        let trace = Trace::find(ident, text.as_bytes())?;
        let crc = crc32c::crc32c(text.as_bytes());
        Some(trace.id_for(recipient, text.len() as u64, crc))
    }

    #[test]
    fn the_same_message_to_the_same_recipient() {
        let text = format!("{RECEIVED}Message-ID: <1@b>\r\n\r\nx\r\n");
        let known = id(None, &text, "bob").unwrap();
        assert_eq!(id(None, &text, "bob"), Some(known));
        let other_queue_id = text.replace("4XyZ", "4XyY");
        let other_text = text.replace("\r\nx", "\r\ny");
        let ids = [
            id(None, &text, "eve"),
            id(None, &text, "bob+x"),
            id(None, &other_queue_id, "bob"),
            id(None, &other_text, "bob"),
            id(Some("1"), &text, "bob"),
            id(Some("2"), &text, "bob"),
        ];
        let all: std::collections::HashSet<_> = ids.into_iter().map(Option::unwrap).collect();
        assert!(all.len() == 6 && !all.contains(&known));
    }

    /// Ids of one day are neighbours in the home's table.
    #[test]
    fn ids_begin_with_the_time_of_the_topmost_received() {
        let at = |date: &str| {
            let text = format!("Received: from a by b\r\n\tid 4XyZ; {date}\r\n\r\nx\r\n");
            let own = id(None, &text, "bob").unwrap();
            assert_eq!(own[..6], id(Some("1"), &text, "bob").unwrap()[..6]);
            u64::from_be_bytes([0, 0, own[0], own[1], own[2], own[3], own[4], own[5]])
        };
        assert_eq!(at("Fri, 13 Feb 2009 23:31:30 +0000"), 1_234_567_890_000);
        assert_eq!(at("Sat, 14 Feb 2009 00:31:30 +0100"), 1_234_567_890_000);
        assert_eq!(at("never"), 0);
        assert_eq!(id(Some("1"), "x", "bob").unwrap()[..6], [0; 6]);
    }

    #[test]
    fn without_a_queue_id_there_is_no_trace() {
        for text in [
            "",
            "x",
            "\r\n",
            "Subject: Received: id 1\r\n\r\nReceived: by x id 1\r\n",
            "Received: from a by b; Tue\r\n\r\n",
            "Received: by b id\r\n\r\n",
            // That of the host before is not the client's.
            &format!("Received: by c; x\r\n{RECEIVED}\r\n"),
        ] {
            assert_eq!(id(None, text, "bob"), None, "{text:?}");
            assert!(id(Some("1"), text, "bob").is_some());
        }
        assert!(id(None, RECEIVED, "bob").is_some());
        assert!(id(None, &format!("Subject: s\n t\n{RECEIVED}"), "bob").is_some());
    }
}
