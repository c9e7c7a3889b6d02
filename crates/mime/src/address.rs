//! Address lists (RFC 5322 section 3.4 with the obsolete forms) as ENVELOPE shows them.

use crate::ADDRESSES_LIMIT;
use crate::header::unfold;

/// One address structure of RFC 9051 section 7.5.2.
///
/// A group begins with one that has a `mailbox` (the group's name) and no `host`, and ends with
/// one that has neither.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// Display name without quoting; RFC 2047 words are left encoded.
    pub name: Option<Vec<u8>>,
    /// Source route (`@a,@b`), an obsolete form.
    pub route: Option<Vec<u8>>,
    /// Local part without quoting.
    pub mailbox: Option<Vec<u8>>,
    /// Domain; empty for an address that has none.
    pub host: Option<Vec<u8>>,
}

/// The addresses of one field's value, folded or not. At most [`ADDRESSES_LIMIT`] octets are read.
pub fn addresses(value: &[u8]) -> Vec<Address> {
    let value = unfold(&value[..value.len().min(ADDRESSES_LIMIT)]);
    let mut list = List {
        text: &value,
        at: 0,
        out: Vec::new(),
        in_group: false,
    };
    while list.entry() {}
    list.end_group();
    list.out
}

struct List<'a> {
    text: &'a [u8],
    at: usize,
    out: Vec<Address>,
    in_group: bool,
}

/// Words gathered up to a special character.
#[derive(Default)]
struct Phrase {
    text: Vec<u8>,
    /// The last comment among them: the display name of `joe@example.org (Joe)`.
    comment: Option<Vec<u8>>,
    /// A quoted string was there, so that an empty text is meant.
    quoted: bool,
}

impl Phrase {
    fn is_empty(&self) -> bool {
        self.text.is_empty() && !self.quoted
    }
}

impl List<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Reads up to and including the next separator. False at the end of the field.
    fn entry(&mut self) -> bool {
        let start = self.at;
        let phrase = self.phrase();
        match self.peek() {
            None => {
                self.lone(phrase);
                return false;
            }
            Some(b',' | b'>') => {
                self.at += 1;
                self.lone(phrase);
            }
            Some(b';') => {
                self.at += 1;
                self.lone(phrase);
                self.end_group();
            }
            Some(b':') => {
                self.at += 1;
                self.end_group();
                self.in_group = true;
                self.out.push(Address {
                    mailbox: Some(phrase.text),
                    ..Address::default()
                });
            }
            Some(b'<') => self.angle(Some(phrase.text).filter(|t| !t.is_empty())),
            Some(_) => self.bare(start, phrase),
        }
        true
    }

    /// A phrase with neither `@` nor `<`: a local user, or nothing.
    fn lone(&mut self, phrase: Phrase) {
        if !phrase.is_empty() {
            self.out.push(Address {
                name: phrase.comment,
                mailbox: Some(phrase.text),
                host: Some(Vec::new()),
                route: None,
            });
        }
    }

    /// `local@domain`, the cursor at the `@`.
    fn bare(&mut self, start: usize, local: Phrase) {
        self.at += 1;
        let domain = self.domain();
        let after = self.phrase();
        if self.peek() == Some(b'<') {
            // "joe@example.org <joe@example.org>": the name should have been quoted.
            let name = self.text[start..self.at].trim_ascii().to_vec();
            self.angle(Some(name));
            return;
        }
        self.out.push(Address {
            name: after.comment.or(local.comment),
            mailbox: Some(without_blanks_at_dots(&local.text)),
            host: Some(domain),
            route: None,
        });
        self.skip_to_separator();
    }

    /// `<[route:]local@domain>`, the cursor at the `<`.
    fn angle(&mut self, name: Option<Vec<u8>>) {
        self.at += 1;
        let mut route: Option<Vec<u8>> = None;
        let mut local = self.phrase();
        while local.is_empty() && matches!(self.peek(), Some(b'@' | b',')) {
            // obs-route = *( "," ) "@" domain *( "," [ "@" domain ] ) ":"
            if self.peek() == Some(b'@') {
                self.at += 1;
                let domain = self.domain();
                let route = route.get_or_insert_default();
                if !route.is_empty() {
                    route.push(b',');
                }
                route.push(b'@');
                route.extend_from_slice(&domain);
            } else {
                self.at += 1;
            }
            if self.peek() == Some(b':') {
                self.at += 1;
                local = self.phrase();
                break;
            }
        }
        let mut host = Vec::new();
        if self.peek() == Some(b'@') {
            self.at += 1;
            host = self.domain();
        }
        while self.peek().is_some_and(|b| b != b'>') {
            self.at += 1;
        }
        self.at = (self.at + 1).min(self.text.len());
        let after = self.phrase();
        self.out.push(Address {
            name: name.or(after.comment),
            route,
            mailbox: Some(without_blanks_at_dots(&local.text)),
            host: Some(host),
        });
        self.skip_to_separator();
    }

    /// Skips what does not belong to an address that is complete, up to and including the next
    /// `,`, or the `;` of a group.
    fn skip_to_separator(&mut self) {
        loop {
            match self.peek() {
                None => return,
                Some(b',') => {
                    self.at += 1;
                    return;
                }
                Some(b';') => {
                    self.at += 1;
                    self.end_group();
                    return;
                }
                Some(_) => {
                    self.at += 1;
                    self.phrase();
                }
            }
        }
    }

    fn end_group(&mut self) {
        if std::mem::take(&mut self.in_group) {
            self.out.push(Address::default());
        }
    }

    /// Words, quoted strings and comments up to one of `,;:<>@` or the end. Runs of white space
    /// become one space.
    fn phrase(&mut self) -> Phrase {
        let mut phrase = Phrase::default();
        let mut blank = false;
        while let Some(b) = self.peek() {
            match b {
                b',' | b';' | b':' | b'<' | b'>' | b'@' => break,
                b'(' => {
                    phrase.comment = Some(self.comment());
                    blank = true;
                    continue;
                }
                _ if b.is_ascii_whitespace() => {
                    blank = true;
                    self.at += 1;
                    continue;
                }
                _ => {}
            }
            if std::mem::take(&mut blank) && !phrase.is_empty() {
                phrase.text.push(b' ');
            }
            self.at += 1;
            if b == b'"' {
                phrase.quoted = true;
                self.quoted(&mut phrase.text);
            } else {
                phrase.text.push(b);
            }
        }
        phrase
    }

    /// The rest of a quoted string, without quoting.
    fn quoted(&mut self, out: &mut Vec<u8>) {
        while let Some(b) = self.peek() {
            self.at += 1;
            match b {
                b'"' => return,
                b'\\' => {
                    out.extend(self.peek());
                    self.at = (self.at + 1).min(self.text.len());
                }
                _ => out.push(b),
            }
        }
    }

    /// A comment without its parentheses; those inside it stay.
    fn comment(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut depth = 0usize;
        while let Some(b) = self.peek() {
            self.at += 1;
            match b {
                b'\\' => {
                    out.extend(self.peek());
                    self.at = (self.at + 1).min(self.text.len());
                    continue;
                }
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if depth > 1 || b != b'(' {
                out.push(b);
            }
        }
        out.trim_ascii().to_vec()
    }

    /// Whether the domain `so_far` goes on behind the comment at the cursor.
    fn goes_on_at_dot(&self, so_far: &[u8]) -> bool {
        let mut ahead = List {
            text: self.text,
            at: self.at,
            out: Vec::new(),
            in_group: false,
        };
        ahead.comment();
        let rest = self.text.get(ahead.at..).unwrap_or_default();
        so_far.last() == Some(&b'.') || rest.trim_ascii_start().first() == Some(&b'.')
    }

    /// `domain` or a domain literal; blanks around its dots and comments inside it go.
    fn domain(&mut self) -> Vec<u8> {
        let mut out: Vec<u8> = Vec::new();
        let mut blank = false;
        while let Some(b) = self.peek() {
            match b {
                b',' | b';' | b':' | b'<' | b'>' | b'@' | b'"' => break,
                // A comment after the domain may be the display name: it is left to the caller.
                b'(' if out.is_empty() || self.goes_on_at_dot(&out) => {
                    self.comment();
                    continue;
                }
                b'(' => break,
                b'[' if out.is_empty() => {
                    while let Some(b) = self.peek() {
                        self.at += 1;
                        if !b.is_ascii_whitespace() {
                            out.push(b);
                        }
                        if b == b']' {
                            break;
                        }
                    }
                    break;
                }
                _ if b.is_ascii_whitespace() => blank = true,
                _ if std::mem::take(&mut blank)
                    && !out.is_empty()
                    && b != b'.'
                    && out.last() != Some(&b'.') =>
                {
                    break;
                }
                _ => out.push(b),
            }
            self.at += 1;
        }
        out
    }
}

/// `joe . smith` is the obsolete spelling of `joe.smith`.
fn without_blanks_at_dots(local: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(local.len());
    for (i, b) in local.iter().enumerate() {
        let at_dot = out.last() == Some(&b'.') || local.get(i + 1) == Some(&b'.');
        if *b != b' ' || !at_dot {
            out.push(*b);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(value: &str) -> String {
        let show = |v: &Option<Vec<u8>>| match v {
            Some(v) => String::from_utf8_lossy(v).into_owned(),
            None => "-".into(),
        };
        let list: Vec<String> = addresses(value.as_bytes())
            .iter()
            .map(|a| {
                let route = a
                    .route
                    .as_ref()
                    .map_or(String::new(), |_| show(&a.route) + ":");
                format!(
                    "{}|{route}{}|{}",
                    show(&a.name),
                    show(&a.mailbox),
                    show(&a.host)
                )
            })
            .collect();
        list.join(" , ")
    }

    #[test]
    fn lists() {
        for (value, want) in [
            ("", ""),
            (" , ,", ""),
            ("joe@example.org", "-|joe|example.org"),
            ("<joe@example.org>", "-|joe|example.org"),
            (
                "Joe Q. Public <john.q.public@example.com>",
                "Joe Q. Public|john.q.public|example.com",
            ),
            (
                "\"Joe \\\"J\\\" (x)\"  B <joe@example.org>",
                "Joe \"J\" (x) B|joe|example.org",
            ),
            ("joe@example.org (Joe (J) B)", "Joe (J) B|joe|example.org"),
            ("(Joe) joe@example.org", "Joe|joe|example.org"),
            ("<joe@example.org> (Joe)", "Joe|joe|example.org"),
            ("a@b, c@d,e@f", "-|a|b , -|c|d , -|e|f"),
            ("a@b; c@d", "-|a|b , -|c|d"),
            ("\"a b\"@c", "-|a b|c"),
            ("joe . smith @ example . org (x)", "x|joe.smith|example.org"),
            ("joe@(c) example.org", "-|joe|example.org"),
            ("joe@(c)example(d).(e) org (f)", "f|joe|example.org"),
            ("joe (c) @ example.org", "c|joe|example.org"),
            ("<joe@ (c)example.org>", "-|joe|example.org"),
            ("Joe <joe@ example.org>", "Joe|joe|example.org"),
            ("joe@(c", "-|joe|"),
            ("Pete <pete@[10.0.0.1]>", "Pete|pete|[10.0.0.1]"),
            ("<@a,@b:joe@c>", "-|@a,@b:joe|c"),
            ("<>", "-||"),
            ("joe", "-|joe|"),
            ("<joe>", "-|joe|"),
            ("joe (Joe)", "Joe|joe|"),
            (
                "Undisclosed recipients:;",
                "-|Undisclosed recipients|- , -|-|-",
            ),
            (
                "A Group:Ed Jones <joe@where.test>,john@one.test;, x@y",
                "-|A Group|- , Ed Jones|joe|where.test , -|john|one.test , -|-|- , -|x|y",
            ),
            ("g:a@b", "-|g|- , -|a|b , -|-|-"),
            ("g:h:a@b;", "-|g|- , -|-|- , -|h|- , -|a|b , -|-|-"),
            (
                "joe@example.org <joe@example.org>",
                "joe@example.org|joe|example.org",
            ),
            ("=?utf-8?q?J=C3=B6?= <j@x>", "=?utf-8?q?J=C3=B6?=|j|x"),
            ("a@b junk c, d@e", "-|a|b , -|d|e"),
            ("<a@b> junk <c@d>, e@f", "-|a|b , -|e|f"),
            ("a@b@c, d", "-|a|b , -|d|"),
            ("<a@b", "-|a|b"),
            ("\"open", "-|open|"),
            ("(open", ""),
            ("x (open", "open|x|"),
            (">>>, a@b", "-|a|b"),
            ("@", "-||"),
            ("a\r\n b@c", "-|a b|c"),
            ("\"\" <a@b>", "-|a|b"),
            ("a\\", "-|a\\|"),
            ("\"a\\", "-|a|"),
        ] {
            assert_eq!(flat(value), want, "{value}");
        }
    }
}
