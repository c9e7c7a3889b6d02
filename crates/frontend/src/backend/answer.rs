//! One untagged answer, held whole: what short commands get.

use std::borrow::Cow;

use murder_imap::framing::announced;
use murder_mailbox::MailboxName;

/// An untagged answer with its literals, CRLF at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// All of it.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// Its keyword in capitals: `STATUS`, or `EXISTS` of `* 3 EXISTS`.
    pub(crate) fn keyword(&self) -> String {
        String::from_utf8_lossy(self.word()).to_ascii_uppercase()
    }

    fn word(&self) -> &[u8] {
        let mut words = self
            .bytes
            .get(2..)
            .unwrap_or_default()
            .split(|b| matches!(b, b' ' | b'\r' | b'\n'));
        let first = words.next().unwrap_or_default();
        if first.first().is_some_and(u8::is_ascii_digit) {
            words.next().unwrap_or_default()
        } else {
            first
        }
    }

    /// Whether it tells about the selected mailbox, and so belongs to the client whatever
    /// command it came with.
    pub(crate) fn is_of_selected_mailbox(&self) -> bool {
        let word = self.word();
        ["EXISTS", "RECENT", "EXPUNGE", "FETCH", "FLAGS", "VANISHED"]
            .iter()
            .any(|own| word.eq_ignore_ascii_case(own.as_bytes()))
    }

    /// What follows the keyword (`* STATUS ` and so on), without the last CRLF.
    pub(crate) fn arguments(&self) -> &[u8] {
        let bytes = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let after = |bytes: &[u8]| bytes.iter().position(|b| *b == b' ').map(|at| at + 1);
        let mut at = after(bytes).unwrap_or(bytes.len());
        if bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += after(&bytes[at..]).unwrap_or(bytes.len() - at);
        }
        at += after(&bytes[at..]).unwrap_or(bytes.len() - at);
        &bytes[at..]
    }
}

/// Reads an astring (or nstring) at the front: its value and what follows it.
pub(crate) fn astring(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    match text.first()? {
        b'"' => {
            let mut value = Vec::new();
            let mut at = 1;
            loop {
                match text.get(at)? {
                    b'"' => return Some((Cow::Owned(value), &text[at + 1..])),
                    b'\\' => {
                        value.push(*text.get(at + 1)?);
                        at += 2;
                    }
                    b => {
                        value.push(*b);
                        at += 1;
                    }
                }
            }
        }
        b'{' => {
            let newline = memchr::memchr(b'\n', text)?;
            let octets = usize::try_from(announced(&text[..newline])?.len?).ok()?;
            let start = newline + 1;
            let end = start.checked_add(octets)?;
            Some((Cow::Borrowed(text.get(start..end)?), &text[end..]))
        }
        _ => {
            let end = text
                .iter()
                .position(|b| matches!(b, b' ' | b'(' | b')' | b'{' | b'"' | b'\r' | b'\n'))
                .unwrap_or(text.len());
            (end > 0).then(|| (Cow::Borrowed(&text[..end]), &text[end..]))
        }
    }
}

/// Reads a mailbox name as backends write it: canonical, UTF-8.
pub(crate) fn mailbox(text: &[u8]) -> Option<(MailboxName, &[u8])> {
    let (value, rest) = astring(text)?;
    let name = MailboxName::parse_canonical(std::str::from_utf8(&value).ok()?).ok()?;
    Some((name, rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn answer(text: &str) -> Answer {
        Answer {
            bytes: text.as_bytes().to_vec(),
        }
    }

    #[test]
    fn keywords_and_arguments() {
        let exists = answer("* 23 EXISTS\r\n");
        assert_eq!(exists.keyword(), "EXISTS");
        assert!(exists.is_of_selected_mailbox());
        let fetch = answer("* 2 FETCH (FLAGS ())\r\n");
        assert_eq!(fetch.arguments(), b"(FLAGS ())");
        let status = answer("* STATUS \"user/bob\" (MESSAGES 3)\r\n");
        assert!(!status.is_of_selected_mailbox());
        let (name, rest) = mailbox(status.arguments()).unwrap();
        assert_eq!((name.as_str(), rest), ("user/bob", &b" (MESSAGES 3)"[..]));
        assert_eq!(answer("* SEARCH\r\n").arguments(), b"");
        assert_eq!(answer("*\r\n").keyword(), "");
    }

    #[test]
    fn strings_of_all_forms() {
        for (text, value) in [
            (r#""a \"b\" \\c" rest"#, r#"a "b" \c"#),
            ("{3}\r\na b rest", "a b"),
            ("{3+}\r\na b rest", "a b"),
            ("atom rest", "atom"),
            ("\"\" rest", ""),
        ] {
            let (got, rest) = astring(text.as_bytes()).unwrap();
            assert_eq!((&*got, rest), (value.as_bytes(), &b" rest"[..]));
        }
        for bad in ["\"open", "{9}\r\nshort", "{x}\r\n", "", "(", "\"x\\"] {
            assert_eq!(astring(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
