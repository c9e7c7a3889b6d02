//! Reading a client's command line, as far as a frontend must.

use std::borrow::Cow;

use bytes::Bytes;
use murder_imap::framing::without_waiting;
use murder_mailbox::{MailboxName, NameError, Namespace, utf7};

use crate::backend::answer::astring;

/// The longest tag; RFC 9051 sets no bound, clients use some ten octets.
const MAX_TAG: usize = 64;

/// A command with its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The client's tag.
    pub tag: Box<str>,
    /// The command's name in capitals; `UID FETCH` and the like as one.
    pub name: String,
    /// Everything after the name and a space, without the last CRLF.
    pub arguments: Bytes,
}

/// A line that is no command, with its tag if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoCommand {
    /// The tag, or `*`.
    pub tag: Box<str>,
    /// Why.
    pub reason: &'static str,
}

impl Line {
    /// Takes a command apart: `tag SP name [SP arguments] CRLF`.
    pub(crate) fn parse(command: &Bytes) -> Result<Self, NoCommand> {
        let line = command.strip_suffix(b"\n").unwrap_or(command);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let no_command = |tag: &str, reason| NoCommand {
            tag: tag.into(),
            reason,
        };
        let end = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
        let tag = match std::str::from_utf8(&line[..end]) {
            Ok(tag) if is_tag(tag) => tag,
            _ => return Err(no_command("*", "Invalid tag")),
        };
        if memchr::memchr(0, line).is_some() {
            return Err(no_command(tag, "NUL is not allowed"));
        }
        let mut at = end;
        let mut name = String::with_capacity("UID FETCH".len());
        loop {
            let Some(rest) = line.get(at + 1..).filter(|rest| !rest.is_empty()) else {
                return Err(no_command(tag, "Missing command"));
            };
            let length = rest
                .iter()
                .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')))
                .unwrap_or(rest.len());
            if length == 0 {
                return Err(no_command(tag, "Missing command"));
            }
            name.extend(
                rest[..length]
                    .iter()
                    .map(|b| char::from(b.to_ascii_uppercase())),
            );
            at += 1 + length;
            if name != "UID" {
                break;
            }
            if line.get(at) != Some(&b' ') {
                return Err(no_command(tag, "Missing command after UID"));
            }
            name.push(' ');
        }
        match line.get(at) {
            None => at = line.len(),
            Some(b' ') => at += 1,
            Some(_) => return Err(no_command(tag, "Unknown command")),
        }
        Ok(Self {
            tag: tag.into(),
            name,
            arguments: without_waiting(command.slice(at..line.len())),
        })
    }
}

fn is_tag(tag: &str) -> bool {
    !tag.is_empty()
        && tag.len() <= MAX_TAG
        && tag
            .bytes()
            .all(|b| b.is_ascii_graphic() && !br#"(){%*"\+"#.contains(&b))
}

/// The arguments are not what the command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in arguments")]
pub(crate) struct Syntax;

/// How a client writes mailbox names: modified UTF-7, until something is advertised that can
/// be enabled for UTF-8.
pub(crate) use murder_imap::NameEncoding as Encoding;

/// Names as a client writes and reads them.
pub(crate) trait Coding {
    /// What the client meant. UTF-8 from a client that should write UTF-7 is understood.
    fn decode(self, name: &[u8]) -> Result<String, NameError>;
    /// A name as an astring for the client.
    fn encode(self, name: &str) -> String;
    /// A name as a quoted string for the client.
    fn encode_always(self, name: &str) -> String;
    /// Appends part of a backend's answer, its strings as the client takes them: none that is
    /// quoted holds octets of eight bits unless the client has enabled UTF-8 (RFC 6855 section 3).
    fn put_strings(self, out: &mut Vec<u8>, answer: &[u8]);
}

impl Coding for Encoding {
    fn decode(self, name: &[u8]) -> Result<String, NameError> {
        match self {
            Self::Utf7 if name.is_ascii() => utf7::decode(name).map_err(|_| NameError::Encoding),
            _ => String::from_utf8(name.to_vec()).map_err(|_| NameError::Encoding),
        }
    }

    fn encode(self, name: &str) -> String {
        match self {
            Self::Utf7 => quote(&utf7::encode(name)),
            Self::Utf8 => quote(name),
        }
    }

    fn encode_always(self, name: &str) -> String {
        match self {
            Self::Utf7 => quote_always(&utf7::encode(name)),
            Self::Utf8 => quote_always(name),
        }
    }

    fn put_strings(self, out: &mut Vec<u8>, answer: &[u8]) {
        if self == Self::Utf8 || answer.is_ascii() {
            return out.extend_from_slice(answer);
        }
        let mut rest = answer;
        while let Some(at) = rest.iter().position(|b| matches!(b, b'"' | b'{')) {
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            let Some((value, after)) = astring(rest) else {
                break;
            };
            let written = &rest[..rest.len() - after.len()];
            if rest.starts_with(b"\"") && !value.is_ascii() {
                out.extend_from_slice(format!("{{{}}}\r\n", value.len()).as_bytes());
                out.extend_from_slice(&value);
            } else {
                out.extend_from_slice(written);
            }
            rest = after;
        }
        out.extend_from_slice(rest);
    }
}

/// An astring: an atom where it can be one, else quoted. Mailbox names hold no control
/// characters, so that a literal is never needed.
pub(crate) fn quote(text: &str) -> String {
    let atom = !text.is_empty()
        && !text.eq_ignore_ascii_case("NIL")
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !br#"(){%*"\"#.contains(&b));
    if atom {
        return text.to_owned();
    }
    quote_always(text)
}

/// A quoted string.
pub(crate) fn quote_always(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// What is left of a command's arguments.
#[derive(Debug, Clone)]
pub(crate) struct Arguments<'a>(&'a [u8]);

impl<'a> Arguments<'a> {
    /// All of `arguments`.
    pub(crate) fn new(arguments: &'a [u8]) -> Self {
        Self(arguments)
    }

    /// What has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<(), Syntax> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Syntax)
        }
    }

    /// Takes `byte`, if it is next.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// `byte` must be next.
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), Syntax> {
        if self.take(byte) { Ok(()) } else { Err(Syntax) }
    }

    /// A space must be next.
    pub(crate) fn space(&mut self) -> Result<(), Syntax> {
        self.expect(b' ')
    }

    /// An astring.
    pub(crate) fn astring(&mut self) -> Result<Cow<'a, [u8]>, Syntax> {
        let (value, rest) = astring(self.0).ok_or(Syntax)?;
        if !matches!(self.0.first(), Some(b'"' | b'{'))
            && value
                .iter()
                .any(|b| matches!(b, b'%' | b'*' | b'\\') || b.is_ascii_control())
        {
            return Err(Syntax);
        }
        self.0 = rest;
        Ok(value)
    }

    /// An astring that is text.
    pub(crate) fn text(&mut self) -> Result<String, Syntax> {
        String::from_utf8(self.astring()?.into_owned()).map_err(|_| Syntax)
    }

    /// A word: an atom, a flag or a sequence set.
    pub(crate) fn word(&mut self) -> Result<&'a str, Syntax> {
        let end = self
            .0
            .iter()
            .position(|b| matches!(b, b' ' | b'(' | b')' | b'"' | b'{') || !b.is_ascii_graphic())
            .unwrap_or(self.0.len());
        if end == 0 {
            return Err(Syntax);
        }
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        std::str::from_utf8(word).map_err(|_| Syntax)
    }

    /// A mailbox name, as canonical. The outer error is BAD, the inner one NO.
    pub(crate) fn mailbox(
        &mut self,
        namespace: &Namespace,
        encoding: Encoding,
    ) -> Result<Result<MailboxName, NameError>, Syntax> {
        let name = self.astring()?;
        Ok(encoding
            .decode(&name)
            .and_then(|name| namespace.parse(&name)))
    }

    /// A parenthesised list of anything, as it stands, parentheses included.
    pub(crate) fn parenthesised(&mut self) -> Result<&'a [u8], Syntax> {
        let start = self.0;
        let mut depth = 0_usize;
        loop {
            match self.0.first().ok_or(Syntax)? {
                b'(' => {
                    depth += 1;
                    self.0 = &self.0[1..];
                }
                b')' => {
                    depth = depth.checked_sub(1).ok_or(Syntax)?;
                    self.0 = &self.0[1..];
                }
                b' ' if depth > 0 => self.0 = &self.0[1..],
                _ if depth > 0 => self.0 = astring(self.0).ok_or(Syntax)?.1,
                _ => return Err(Syntax),
            }
            if depth == 0 {
                return Ok(&start[..start.len() - self.0.len()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn line(text: &'static str) -> Result<Line, NoCommand> {
        Line::parse(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn commands() {
        let got = line("a1 uid fetch 1:* (FLAGS)\r\n").unwrap();
        assert_eq!((&*got.tag, got.name.as_str()), ("a1", "UID FETCH"));
        assert_eq!(got.arguments, "1:* (FLAGS)");
        let got = line("* NOOP\r\n").unwrap_err();
        assert_eq!(&*got.tag, "*");
        assert_eq!(line("a noop\n").unwrap().name, "NOOP");
        for (text, tag) in [
            ("\r\n", "*"),
            ("a\r\n", "a"),
            ("a \r\n", "a"),
            ("a  NOOP\r\n", "a"),
            ("a UID\r\n", "a"),
            ("a UID \r\n", "a"),
            ("a NO\0OP\r\n", "a"),
            ("a NOOP\u{e9}\r\n", "a"),
            ("\u{16}\u{3}\u{1} x\r\n", "*"),
        ] {
            assert_eq!(&*line(text).unwrap_err().tag, tag, "{text:?}");
        }
    }

    #[test]
    fn arguments_are_read_in_order() {
        let mut args = Arguments::new(b"\"Sent Items\" ({1+}\r\n) x (y)) 1:3,* b%");
        assert_eq!(args.text().unwrap(), "Sent Items");
        args.space().unwrap();
        assert_eq!(args.parenthesised().unwrap(), b"({1+}\r\n) x (y))");
        args.space().unwrap();
        assert_eq!(args.word().unwrap(), "1:3,*");
        args.space().unwrap();
        assert_eq!(args.astring(), Err(Syntax));
        assert_eq!(args.rest(), b"b%");
    }

    #[test]
    fn names_in_both_encodings() {
        let bob = Namespace::client(murder_mailbox::NamespaceConfig::default(), "bob", false);
        let mut args = Arguments::new(b"Entw&APw-rfe");
        let name = args.mailbox(&bob, Encoding::Utf7).unwrap().unwrap();
        assert_eq!(name.as_str(), "user/bob/Entw\u{fc}rfe");
        let shown = bob.render(&name).unwrap();
        assert_eq!(Encoding::Utf7.encode(&shown), "Entw&APw-rfe");
        assert_eq!(Encoding::Utf8.encode(&shown), "\"Entw\u{fc}rfe\"");
        let mut args = Arguments::new("\"Entw\u{fc}rfe\"".as_bytes());
        assert_eq!(args.mailbox(&bob, Encoding::Utf7).unwrap().unwrap(), name);
        let mut bad = Arguments::new(b"\"a&b\"");
        assert_eq!(
            bad.mailbox(&bob, Encoding::Utf7),
            Ok(Err(NameError::Encoding))
        );
    }

    #[test]
    fn strings_are_quoted_when_they_must() {
        assert_eq!(quote("INBOX"), "INBOX");
        assert_eq!(quote("a b"), "\"a b\"");
        assert_eq!(quote("a\"\\"), "\"a\\\"\\\\\"");
        assert_eq!(quote("nil"), "\"nil\"");
        assert_eq!(quote(""), "\"\"");
    }
}
