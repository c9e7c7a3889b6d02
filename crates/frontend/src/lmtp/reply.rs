//! Replies: `250 2.1.5 OK` (RFC 5321 section 4.2, RFC 3463, RFC 5248).

use std::fmt;

use memchr::memchr;

/// The longest reply of a backend, all its lines together.
const MAX_REPLY: usize = 64 * 1024;

/// A reply of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Three digits.
    pub code: u16,
    /// Enhanced status code and text.
    pub text: String,
}

/// Something that is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("backend sent something that is no LMTP reply")]
pub(crate) struct NoReply;

impl Reply {
    /// A reply.
    pub(crate) fn new(code: u16, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    /// The backend of the mailbox cannot be used.
    pub(crate) fn backend_down() -> Self {
        Self::new(
            451,
            "4.4.1 The backend of the mailbox is not available, try again later",
        )
    }

    /// There is no such recipient.
    pub(crate) fn unknown() -> Self {
        Self::new(550, "5.1.1 No such user here")
    }

    /// The message is over the limit.
    pub(crate) fn too_big() -> Self {
        Self::new(552, "5.3.4 Message is too big")
    }

    /// The message holds NULs.
    pub(crate) fn nul() -> Self {
        Self::new(554, "5.6.0 A message must not hold NULs")
    }

    /// 2xx.
    pub(crate) fn is_ok(&self) -> bool {
        self.code / 100 == 2
    }

    /// Whether its enhanced status code is that.
    pub(crate) fn has_status(&self, status: &str) -> bool {
        self.text.split(' ').next() == Some(status)
    }

    /// Reads the reply at the front of `input`: it and its length; `None` when more must come.
    /// Of several lines the first counts; what the others say of an EHLO goes to `extensions`.
    pub(crate) fn parse(
        input: &[u8],
        mut extensions: Option<&mut Vec<String>>,
    ) -> Result<Option<(Self, usize)>, NoReply> {
        let mut first: Option<Self> = None;
        let mut at = 0;
        while let Some(newline) = memchr(b'\n', &input[at..]) {
            let line = &input[at..at + newline];
            at += newline + 1;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let digits = line.get(..3).ok_or(NoReply)?;
            let code = std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| digits.parse().ok())
                .filter(|code| (200..600).contains(code))
                .ok_or(NoReply)?;
            let text: String = String::from_utf8_lossy(line.get(4..).unwrap_or_default())
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            if let Some(extensions) = extensions.as_deref_mut() {
                extensions.push(text.to_ascii_uppercase());
            }
            let reply = first.get_or_insert(Self { code, text });
            match line.get(3) {
                Some(b'-') => {}
                None | Some(b' ') => return Ok(Some((reply.clone(), at))),
                Some(_) => return Err(NoReply),
            }
            if at > MAX_REPLY {
                return Err(NoReply);
            }
        }
        if input.len() > MAX_REPLY {
            return Err(NoReply);
        }
        Ok(None)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn replies_of_one_line_and_of_several() {
        let text = b"250 2.1.5 OK\r\nrest";
        let (reply, len) = Reply::parse(text, None).unwrap().unwrap();
        assert_eq!((reply.to_string().as_str(), len), ("250 2.1.5 OK", 14));
        assert!(reply.is_ok() && reply.has_status("2.1.5"));
        let lhlo = b"250-be1\r\n250-SIZE 100\r\n250 StartTLS\r\n";
        let mut extensions = Vec::new();
        let (reply, len) = Reply::parse(lhlo, Some(&mut extensions)).unwrap().unwrap();
        assert_eq!((reply, len), (Reply::new(250, "be1"), lhlo.len()));
        assert_eq!(extensions, ["BE1", "SIZE 100", "STARTTLS"]);
        for end in 0..lhlo.len() {
            assert_eq!(Reply::parse(&lhlo[..end], None), Ok(None), "{end}");
        }
        assert_eq!(Reply::parse(b"354\r\n", None).unwrap().unwrap().0.code, 354);
    }

    #[test]
    fn what_is_no_reply() {
        for bad in [
            &b"\r\n"[..],
            b"2\r\n",
            b"abc OK\r\n",
            b"250x\r\n",
            b"999 x\r\n",
        ] {
            assert_eq!(Reply::parse(bad, None), Err(NoReply), "{bad:?}");
        }
        assert_eq!(Reply::parse(&[b'2'; MAX_REPLY + 1], None), Err(NoReply));
        let endless = b"250-x\r\n".repeat(MAX_REPLY);
        assert_eq!(Reply::parse(&endless, None), Err(NoReply));
    }
}
