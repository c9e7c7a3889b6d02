//! Status responses: `tag OK [CODE] text` and `* NO [CODE] text` (RFC 9051 section 7.1).

use std::fmt;

use murder_imap::NodeCode;

/// OK, NO or BAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Done.
    Ok,
    /// Refused or failed.
    No,
    /// Not understood.
    Bad,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::No => "NO",
            Self::Bad => "BAD",
        }
    }
}

/// How a command on a backend ended, or what it said in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Completion {
    /// How.
    pub status: Status,
    /// The response code without brackets, if any.
    pub code: Option<String>,
    /// The text.
    pub text: String,
}

impl Completion {
    /// Reads what follows the tag (or the `*`), without CRLF. `None` when it is no status.
    pub(crate) fn parse(rest: &str) -> Option<Self> {
        let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let is = |known: &str| word.eq_ignore_ascii_case(known);
        let status = if is("OK") || is("PREAUTH") {
            Status::Ok
        } else if is("NO") || is("BYE") {
            Status::No
        } else if is("BAD") {
            Status::Bad
        } else {
            return None;
        };
        let (code, text) = match rest.strip_prefix('[').and_then(split_code) {
            Some((code, text)) => (Some(code.to_owned()), text),
            None => (None, rest),
        };
        Some(Self {
            status,
            code,
            text: text.to_owned(),
        })
    }

    /// Whether it is OK.
    pub(crate) fn is_ok(&self) -> bool {
        self.status == Status::Ok
    }

    /// The arguments of response code `name`, when it is that.
    pub(crate) fn code(&self, name: &str) -> Option<&str> {
        let code = self.code.as_deref()?;
        let (word, arguments) = code.split_once(' ').unwrap_or((code, ""));
        word.eq_ignore_ascii_case(name).then_some(arguments)
    }

    /// The response code, when it is of a node to another.
    pub(crate) fn node_code(&self) -> Option<NodeCode> {
        NodeCode::parse(self.code.as_deref()?)
    }

    /// Whether the backend does not hold the mailbox.
    pub(crate) fn is_not_here(&self) -> bool {
        self.node_code() == Some(NodeCode::NotHere)
    }

    /// The response code as a client may see it: what nodes say to each other stays inside.
    pub(crate) fn public_code(&self) -> Option<&str> {
        self.code
            .as_deref()
            .filter(|code| !code.get(..2).is_some_and(|x| x.eq_ignore_ascii_case("X-")))
    }

    /// What a client may see, piece by piece, without the tag.
    pub(crate) fn pieces(&self) -> [&str; 6] {
        let [open, code, close] = match self.public_code() {
            Some(code) => [" [", code, "]"],
            None => [""; 3],
        };
        // The text is not optional in the grammar.
        let text = match self.text.as_str() {
            "" => "Done.",
            text => text,
        };
        [self.status.as_str(), open, code, close, " ", text]
    }
}

impl fmt::Display for Completion {
    /// As a client may see it, without the tag.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces()
            .iter()
            .try_for_each(|piece| f.write_str(piece))
    }
}

/// Splits after the `]` that ends a code; one within a quoted string does not.
fn split_code(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ']' if !quoted => {
                let rest = &text[at + 1..];
                return Some((&text[..at], rest.strip_prefix(' ').unwrap_or(rest)));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Completion {
        Completion::parse(text).unwrap()
    }

    #[test]
    fn codes_and_text() {
        let copied = parse("OK [COPYUID 38505 304,319:320 3956:3958] Done");
        assert!(copied.is_ok());
        assert_eq!(copied.code("copyuid"), Some("38505 304,319:320 3956:3958"));
        assert_eq!(copied.code("APPENDUID"), None);
        assert_eq!(
            copied.to_string(),
            "OK [COPYUID 38505 304,319:320 3956:3958] Done"
        );
        let quoted = parse("NO [BADCHARSET (\"a]b\" UTF-8)] no");
        assert_eq!(quoted.code("BADCHARSET"), Some("(\"a]b\" UTF-8)"));
        assert_eq!(parse("BAD what?").to_string(), "BAD what?");
        assert_eq!(parse("OK").to_string(), "OK Done.");
        assert_eq!(parse("NO [unclosed").to_string(), "NO [unclosed");
        assert_eq!(Completion::parse("FETCH"), None);
    }

    #[test]
    fn the_murders_own_codes_stay_inside() {
        let not_here = parse("NO [X-NOT-HERE] no such mailbox here");
        assert!(not_here.is_not_here());
        assert_eq!(not_here.to_string(), "NO no such mailbox here");
        let done = parse("OK [x-revision 12] y");
        assert_eq!(done.node_code(), Some(NodeCode::Revision(12)));
        assert!(!done.is_not_here());
    }
}
