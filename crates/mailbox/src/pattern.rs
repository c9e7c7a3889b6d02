//! LIST patterns (RFC 3501 section 6.3.8, RFC 9051 section 6.3.9).

use unicode_normalization::UnicodeNormalization;

/// A compiled LIST pattern: `*` matches anything, `%` anything but the separator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    tokens: Vec<Token>,
    separator: char,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Char(char),
    Any,
    Level,
}

impl Pattern {
    /// The longest pattern that is looked at; a longer one can match no valid name.
    pub const MAX_LENGTH: usize = 2048;

    /// Compiles `pattern` as interpreted below `reference`.
    #[must_use]
    pub fn new(reference: &str, pattern: &str, separator: char) -> Self {
        let mut tokens: Vec<Token> = Vec::with_capacity(reference.len() + pattern.len());
        // Names are in NFC, whatever the client writes.
        for c in reference
            .chars()
            .chain(pattern.chars())
            .nfc()
            .take(Self::MAX_LENGTH)
        {
            match (c, tokens.last()) {
                // Runs of wildcards mean no more than their strongest member, and would only
                // cost time.
                ('*', Some(Token::Any)) | ('%', Some(Token::Any | Token::Level)) => {}
                ('*', Some(Token::Level)) => {
                    tokens.pop();
                    tokens.push(Token::Any);
                }
                ('*', _) => tokens.push(Token::Any),
                ('%', _) => tokens.push(Token::Level),
                (c, _) => tokens.push(Token::Char(c)),
            }
        }
        // INBOX is written in any case (RFC 3501 section 5.1).
        if tokens.len() >= 5 {
            let head = tokens[..5].iter().zip("INBOX".chars());
            let inbox = head
                .clone()
                .all(|(t, c)| matches!(t, Token::Char(x) if x.eq_ignore_ascii_case(&c)));
            let ends = !matches!(tokens.get(5), Some(Token::Char(c)) if *c != separator);
            if inbox && ends {
                for (token, c) in tokens.iter_mut().zip("INBOX".chars()) {
                    *token = Token::Char(c);
                }
            }
        }
        Self { tokens, separator }
    }

    /// Whether `name` (as the client sees it) matches as a whole.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        if let [Token::Any] = self.tokens[..] {
            return true;
        }
        // A set of states run over the name: linear in both, whatever the wildcards.
        let len = self.tokens.len();
        let mut states = vec![false; len + 1];
        states[0] = true;
        self.skip_wildcards(&mut states);
        for c in name.chars() {
            let mut next = vec![false; len + 1];
            let mut alive = false;
            for (at, token) in self.tokens.iter().enumerate() {
                if !states[at] {
                    continue;
                }
                let to = match token {
                    Token::Char(x) if *x == c => at + 1,
                    Token::Any => at,
                    Token::Level if c != self.separator => at,
                    _ => continue,
                };
                next[to] = true;
                alive = true;
            }
            if !alive {
                return false;
            }
            self.skip_wildcards(&mut next);
            states = next;
        }
        states[len]
    }

    fn skip_wildcards(&self, states: &mut [bool]) {
        for (at, token) in self.tokens.iter().enumerate() {
            if states[at] && !matches!(token, Token::Char(_)) {
                states[at + 1] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new("", pattern, '/').matches(name)
    }

    #[test]
    fn wildcards() {
        assert!(matches("*", "a/b/c"));
        assert!(matches("%", "a") && !matches("%", "a/b"));
        assert!(matches("a/%", "a/b") && !matches("a/%", "a/b/c") && !matches("a/%", "a"));
        assert!(matches("%/%", "a/b") && matches("*b*", "a/b/c") && matches("%*", "a/b"));
        assert!(
            matches("inbox", "INBOX")
                && matches("iNbOx*", "INBOX/x")
                && !matches("inboxes", "INBOXes")
        );
        assert!(!matches("", "a"));
        assert!(Pattern::new("a/", "%", '/').matches("a/b"));
        assert!(Pattern::new("", "a.%", '.').matches("a.b"));
        assert!(matches("Cafe\u{301}*", "Caf\u{e9}s"));
    }

    #[test]
    fn hostile_patterns_stay_linear() {
        let pattern = "*a%".repeat(600);
        assert!(!matches(&pattern, &"a/".repeat(500)));
    }

    proptest! {
        #[test]
        fn a_name_matches_itself(name in "[a-z/é ]{1,30}") {
            prop_assert!(matches(&name, &name) || name.to_ascii_lowercase().starts_with("inbox"));
            prop_assert!(matches("*", &name));
        }
    }
}
