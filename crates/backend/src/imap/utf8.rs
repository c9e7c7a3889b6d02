//! Messages with UTF-8 in their header (RFC 6855 section 4).
//!
//! They are served as they are, to everybody: in literals, which may hold them. A surrogate would
//! be another message under the same UID.

/// Looks, as a message comes, for 8-bit octets in its header.
#[derive(Debug, Default)]
pub(crate) struct HeaderScan {
    found: bool,
    ended: bool,
    /// The line has octets besides CRs.
    in_line: bool,
}

impl HeaderScan {
    /// Takes the next octets of the message.
    pub fn take(&mut self, octets: &[u8]) {
        if self.ended {
            return;
        }
        for octet in octets {
            match octet {
                b'\n' if !self.in_line => {
                    self.ended = true;
                    return;
                }
                b'\n' => self.in_line = false,
                b'\r' => {}
                _ => {
                    self.found |= !octet.is_ascii();
                    self.in_line = true;
                }
            }
        }
    }

    /// Whether there was one.
    pub fn has_8bit(&self) -> bool {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_header_counts() {
        for (message, found) in [
            ("Subject: x\r\n\r\nblå", false),
            ("Subject: blå\r\n\r\nx", true),
            ("Subject: x\n\nblå", false),
            ("\r\nblå", false),
            ("\nblå", false),
            ("blå", true),
            ("", false),
            ("A: b\r\n \r\nC: å\r\n\r\n", true),
        ] {
            for size in 1..=message.len().max(1) {
                let mut scan = HeaderScan::default();
                for piece in message.as_bytes().chunks(size) {
                    scan.take(piece);
                }
                assert_eq!(scan.has_8bit(), found, "{message:?} in pieces of {size}");
            }
        }
    }
}
