//! Subject and sender out of a stored ENVELOPE (RFC 9051 section 7.5.2), for operators to know a
//! message by.

use std::borrow::Cow;

/// Characters of a subject or an address that are told.
const SHOWN: usize = 200;

/// What is told of a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub subject: String,
    pub from: String,
}

/// Reads them; what is not to be understood is empty.
pub(super) fn shown(envelope: &[u8]) -> Shown {
    read(envelope).unwrap_or_default()
}

fn read(envelope: &[u8]) -> Option<Shown> {
    let mut rest = envelope.strip_prefix(b"(")?;
    nstring(&mut rest)?; // date
    space(&mut rest)?;
    let subject = nstring(&mut rest)?;
    space(&mut rest)?;
    let from = first_address(&mut rest);
    let header = [b"Subject: ", &*subject.unwrap_or_default(), b"\r\n\r\n"].concat();
    let subject = murder_mime::header_text(&header, "Subject").next();
    Some(Shown {
        subject: cut(&subject.unwrap_or_default()),
        from: cut(&from.unwrap_or_default()),
    })
}

/// `((name adl mailbox host)...)` or NIL: the first one that has a host.
fn first_address(rest: &mut &[u8]) -> Option<String> {
    *rest = rest.strip_prefix(b"(")?;
    while let Some(inside) = rest.strip_prefix(b"(") {
        *rest = inside;
        let mut parts = [None, None, None, None];
        for (at, part) in parts.iter_mut().enumerate() {
            if at > 0 {
                space(rest)?;
            }
            *part = nstring(rest)?;
        }
        *rest = rest.strip_prefix(b")")?;
        if let [_, _, Some(mailbox), Some(host)] = parts {
            let text = String::from_utf8_lossy;
            return Some(format!("{}@{}", text(&mailbox), text(&host)));
        }
        *rest = rest.strip_prefix(b" ").unwrap_or(rest);
    }
    None
}

fn space(rest: &mut &[u8]) -> Option<()> {
    *rest = rest.strip_prefix(b" ")?;
    Some(())
}

/// `NIL`, a quoted string or a literal, as the store writes them.
fn nstring<'a>(rest: &mut &'a [u8]) -> Option<Option<Cow<'a, [u8]>>> {
    if let Some(after) = rest.strip_prefix(b"NIL") {
        *rest = after;
        return Some(None);
    }
    if let Some(after) = rest.strip_prefix(b"{") {
        let end = after.iter().position(|byte| *byte == b'}')?;
        let digits = after[..end].strip_suffix(b"+").unwrap_or(&after[..end]);
        let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let after = after[end + 1..].strip_prefix(b"\r\n")?;
        *rest = after.get(length..)?;
        return Some(Some(Cow::Borrowed(&after[..length])));
    }
    let mut after = rest.strip_prefix(b"\"")?;
    let mut text = Vec::new();
    loop {
        let (byte, more) = after.split_first()?;
        after = more;
        match byte {
            b'"' => break,
            b'\\' => {
                let (escaped, more) = after.split_first()?;
                after = more;
                text.push(*escaped);
            }
            byte => text.push(*byte),
        }
    }
    *rest = after;
    Some(Some(Cow::Owned(text)))
}

/// One line of a bounded length, for a terminal.
fn cut(text: &str) -> String {
    let shown = text.chars().take(SHOWN);
    let shown: String = shown
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    shown.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_and_sender() {
        let of = |text: &[u8]| {
            let Shown { subject, from } = shown(text);
            (subject, from)
        };
        let both = |subject: &str, from: &str| (subject.to_owned(), from.to_owned());
        assert_eq!(
            of(b"(\"Mon\" \"a \\\"b\\\"\" ((\"Bob\" NIL \"bob\" \"example.org\")) NIL NIL NIL NIL NIL NIL NIL)"),
            both("a \"b\"", "bob@example.org")
        );
        assert_eq!(
            of(b"(NIL {5}\r\na\"b\x1b\r ((NIL NIL \"group\" NIL)(NIL NIL \"x\" \"y\")) NIL)"),
            both("a\"b", "x@y")
        );
        assert_eq!(
            of(b"(NIL \"=?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\" NIL NIL)"),
            both("Gr\u{fc}\u{df}e", "")
        );
        for odd in [&b""[..], b"(", b"(\"", b"({9}\r\nx", b"(NIL NIL (("] {
            assert_eq!(shown(odd).from, "");
        }
    }
}
