//! The parts of an answer: atoms, strings, lists.

use std::fmt;

use anyhow::{Context, bail, ensure};

/// Lists within lists; an answer of ours never has nearly so many.
const DEPTH: usize = 2_000;

/// One part.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// `NIL`
    Nil,
    /// A word or number, with what is in its brackets: `BODY[HEADER.FIELDS (FROM)]`.
    Atom(String),
    /// Quoted or a literal.
    String(Vec<u8>),
    /// In parentheses.
    List(Vec<Self>),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("NIL"),
            Self::Atom(text) => f.write_str(text),
            Self::String(bytes) => write!(f, "{:?}", String::from_utf8_lossy(bytes)),
            Self::List(parts) => f.debug_list().entries(parts).finish(),
        }
    }
}

impl Value {
    /// All parts of `bytes`, which has no line end.
    ///
    /// # Errors
    /// When it does not follow the grammar of answers.
    pub fn read_all(bytes: &[u8]) -> anyhow::Result<Vec<Self>> {
        let mut reader = Reader { bytes, at: 0 };
        let values = reader
            .parts(None, 0)
            .with_context(|| format!("in {:?}", String::from_utf8_lossy(bytes)))?;
        Ok(values)
    }

    /// An atom or a string as text.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Nil => "NIL".to_owned(),
            Self::Atom(text) => text.clone(),
            Self::String(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::List(_) => format!("{self:?}"),
        }
    }

    /// A string's bytes.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::String(bytes) => Some(bytes),
            Self::Nil | Self::Atom(_) | Self::List(_) => None,
        }
    }

    /// A list's parts; none of anything else.
    #[must_use]
    pub fn list(&self) -> &[Self] {
        match self {
            Self::List(parts) => parts,
            Self::Nil | Self::Atom(_) | Self::String(_) => &[],
        }
    }

    /// A number.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Atom(text) => text.parse().ok(),
            Self::Nil | Self::String(_) | Self::List(_) => None,
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn parts(&mut self, end: Option<u8>, depth: usize) -> anyhow::Result<Vec<Value>> {
        ensure!(depth < DEPTH, "lists nest too deeply");
        let mut parts = Vec::new();
        loop {
            match self.peek() {
                None if end.is_none() => return Ok(parts),
                None => bail!("a list has no end"),
                Some(byte) if Some(byte) == end => {
                    self.at += 1;
                    return Ok(parts);
                }
                Some(b' ') => self.at += 1,
                Some(b'(') => {
                    self.at += 1;
                    parts.push(Value::List(self.parts(Some(b')'), depth + 1)?));
                }
                Some(b'"') => parts.push(Value::String(self.quoted()?)),
                Some(b'{') => parts.push(Value::String(self.literal()?)),
                Some(b')') => bail!("a list ends that has not begun"),
                Some(_) => parts.push(self.atom()),
            }
        }
    }

    fn quoted(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut text = Vec::new();
        loop {
            self.at += 1;
            match self.peek().context("a quoted string has no end")? {
                b'"' => {
                    self.at += 1;
                    return Ok(text);
                }
                b'\\' => {
                    self.at += 1;
                    text.push(self.peek().context("a quoted string has no end")?);
                }
                b'\r' | b'\n' => bail!("a line end in a quoted string"),
                byte => text.push(byte),
            }
        }
    }

    fn literal(&mut self) -> anyhow::Result<Vec<u8>> {
        let rest = &self.bytes[self.at..];
        let end = rest
            .windows(3)
            .position(|bytes| bytes == b"}\r\n")
            .context("no literal")?;
        let len: usize = std::str::from_utf8(&rest[1..end])?.parse()?;
        let begin = end + 3;
        let text = rest
            .get(begin..begin + len)
            .context("a literal is cut off")?
            .to_vec();
        self.at += begin + len;
        Ok(text)
    }

    fn atom(&mut self) -> Value {
        let begin = self.at;
        let mut brackets = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'[' => brackets += 1,
                b']' => brackets = brackets.saturating_sub(1),
                b' ' | b'(' | b')' | b'"' if brackets == 0 => break,
                _ => {}
            }
            self.at += 1;
        }
        let text = String::from_utf8_lossy(&self.bytes[begin..self.at]).into_owned();
        if text.eq_ignore_ascii_case("NIL") {
            Value::Nil
        } else {
            Value::Atom(text)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_kind() {
        let values = Value::read_all(
            b"1 FETCH (FLAGS (\\Seen $x) BODY[HEADER.FIELDS (A B)]<0> {5}\r\na)\r\nb ENVELOPE (NIL \"q\\\"\" (()(1))))",
        )
        .unwrap();
        assert_eq!(
            format!("{values:?}"),
            "[1, FETCH, [FLAGS, [\\Seen, $x], BODY[HEADER.FIELDS (A B)]<0>, \"a)\\r\\nb\", ENVELOPE, [NIL, \"q\\\"\", [[], [1]]]]]"
        );
    }

    #[test]
    fn what_is_no_answer() {
        for wrong in ["(", ")", "\"x", "{9}\r\nx", "{x}\r\n"] {
            Value::read_all(wrong.as_bytes()).unwrap_err();
        }
    }
}
