//! LIST patterns (RFC 3501 section 6.3.8, RFC 9051 section 6.3.9).

use unicode_normalization::UnicodeNormalization;

/// A compiled LIST pattern: `*` matches anything, `%` anything but the separator.
///
/// It is an automaton whose state is how many of the pattern's characters have been matched; it is in
/// all states at once that wildcards make possible, a bit each. So a name takes a few steps a
/// character for every 64 characters of the pattern, whatever the wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Characters of the pattern, wildcards apart: the last state.
    len: usize,
    /// For each of these characters, ascending, the states that it leads on from.
    steps: Vec<(char, Box<[u64]>)>,
    /// The states that any character stays in: those before a `*`.
    any: Box<[u64]>,
    /// The states that any character but the separator stays in: those before a `%`.
    level: Box<[u64]>,
    /// What comes before the first wildcard.
    literal: String,
    /// There is a wildcard.
    wild: bool,
    separator: char,
}

impl Pattern {
    /// The longest pattern that is looked at; a longer one can match no valid name.
    pub const MAX_LENGTH: usize = 2048;

    /// Compiles `pattern` as interpreted below `reference`.
    #[must_use]
    pub fn new(reference: &str, pattern: &str, separator: char) -> Self {
        let mut chars: Vec<char> = Vec::new();
        // The wildcard before each character and at the end. A run of wildcards means no more than
        // its strongest.
        let mut wildcards: Vec<Option<char>> = vec![None];
        // Names are in NFC, whatever the client writes.
        let text = reference.chars().chain(pattern.chars()).nfc();
        for c in text.take(Self::MAX_LENGTH) {
            let last = chars.len();
            match c {
                '*' => wildcards[last] = Some('*'),
                '%' => wildcards[last] = wildcards[last].or(Some('%')),
                c => {
                    chars.push(c);
                    wildcards.push(None);
                }
            }
        }
        // INBOX is written in any case (RFC 3501 section 5.1).
        if chars.len() >= 5 && wildcards[..5].iter().all(Option::is_none) {
            let inbox = chars[..5].iter().collect::<String>();
            let ends = wildcards[5].is_some() || chars.get(5).is_none_or(|c| *c == separator);
            if ends && inbox.eq_ignore_ascii_case("INBOX") {
                chars.splice(..5, "INBOX".chars());
            }
        }
        let first_wild = wildcards.iter().position(Option::is_some);
        let literal = chars
            .iter()
            .take(first_wild.unwrap_or(chars.len()))
            .collect();
        let words = chars.len() / 64 + 1;
        let states = |are: &dyn Fn(usize) -> bool| {
            let mut bits = vec![0; words];
            for state in (0..=chars.len()).filter(|state| are(*state)) {
                bits[state / 64] |= 1 << (state % 64);
            }
            bits.into_boxed_slice()
        };
        let mut known = chars.clone();
        known.sort_unstable();
        known.dedup();
        Self {
            len: chars.len(),
            steps: known
                .into_iter()
                .map(|c| (c, states(&|state| chars.get(state) == Some(&c))))
                .collect(),
            any: states(&|state| wildcards[state] == Some('*')),
            level: states(&|state| wildcards[state] == Some('%')),
            literal,
            wild: first_wild.is_some(),
            separator,
        }
    }

    /// A name at or below which everything is that the pattern matches; `None` when there is none.
    #[must_use]
    pub fn root(&self) -> Option<&str> {
        match self.wild {
            false => Some(self.literal.as_str()),
            true => self
                .literal
                .rsplit_once(self.separator)
                .map(|(root, _)| root),
        }
        .filter(|root| !root.is_empty())
    }

    /// What the names below [`Pattern::root`] that the pattern matches begin with; empty where they may
    /// begin with anything.
    #[must_use]
    pub fn below_root(&self) -> &str {
        match (self.wild, self.literal.rsplit_once(self.separator)) {
            (true, Some((root, start))) if !root.is_empty() => start,
            _ => "",
        }
    }

    /// How much work it is to look at one character of a name.
    pub(crate) fn words(&self) -> usize {
        self.any.len()
    }

    /// Whether `name` (as the client sees it) matches as a whole.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        if self.len == 0 && self.any[0] == 1 {
            return true;
        }
        let mut states = vec![0_u64; self.any.len()];
        states[0] = 1;
        for c in name.chars() {
            let found = self.steps.binary_search_by_key(&c, |(c, _)| *c);
            let steps = found.ok().map(|at| &self.steps[at].1);
            let (mut carry, mut alive) = (0, 0);
            for (at, state) in states.iter_mut().enumerate() {
                let stays = match c == self.separator {
                    true => self.any[at],
                    false => self.any[at] | self.level[at],
                };
                let leaves = steps.map_or(0, |steps| *state & steps[at]);
                *state = *state & stays | leaves << 1 | carry;
                carry = leaves >> 63;
                alive |= *state;
            }
            if alive == 0 {
                return false;
            }
        }
        states[self.len / 64] >> (self.len % 64) & 1 == 1
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
    fn what_matches_is_below_a_root_and_begins_alike() {
        let parts = |pattern: &str| {
            let pattern = Pattern::new("", pattern, '/');
            (
                pattern.root().map(str::to_owned),
                pattern.below_root().to_owned(),
            )
        };
        let found = |root: &str, start: &str| (Some(root.to_owned()), start.to_owned());
        assert_eq!(parts("a/b/c*d%"), found("a/b", "c"));
        assert_eq!(parts("a/b/%"), found("a/b", ""));
        assert_eq!(parts("a/b/c"), found("a/b/c", ""));
        assert_eq!(parts("inbox/S%"), found("INBOX", "S"));
        for pattern in ["*", "a*", "/a*"] {
            assert_eq!(parts(pattern), (None, String::new()), "{pattern}");
        }
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
    fn what_comes_before_the_wildcards_is_the_root() {
        for (pattern, root) in [
            ("*", None),
            ("%", None),
            ("", None),
            ("a%", None),
            ("a/%", Some("a")),
            ("a/b/c*d", Some("a/b")),
            ("a/b", Some("a/b")),
            ("inbox", Some("INBOX")),
            ("/%", None),
        ] {
            assert_eq!(Pattern::new("", pattern, '/').root(), root, "{pattern}");
        }
        assert_eq!(Pattern::new("x/", "%", '/').root(), Some("x"));
    }

    #[test]
    fn hostile_patterns_stay_linear() {
        let pattern = "*a%".repeat(600);
        assert!(!matches(&pattern, &"a/".repeat(500)));
        // A large home's names, all the longest.
        let pattern = Pattern::new("", &"*a".repeat(1_000), '/');
        let name = "a".repeat(999);
        assert!(!(0..2_000).any(|_| pattern.matches(&name)));
    }

    /// RFC 9051 section 6.3.9, word for word.
    fn naive(pattern: &[char], name: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['*', rest @ ..] => (0..=name.len()).any(|at| naive(rest, &name[at..])),
            ['%', rest @ ..] => (0..=name.len())
                .take_while(|at| !name[..*at].contains(&'/'))
                .any(|at| naive(rest, &name[at..])),
            [c, rest @ ..] => name.first() == Some(c) && naive(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn as_the_rfc_says(pattern in "[ab/*%]{0,8}", name in "[ab/]{0,10}", long in 0..70_usize) {
            // Over the border of a word too.
            let (head, name) = ("x".repeat(long), "x".repeat(long) + &name);
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let wanted = naive(&chars(&format!("{head}{pattern}")), &chars(&name));
            prop_assert_eq!(Pattern::new(&head, &pattern, '/').matches(&name), wanted);
        }

        #[test]
        fn a_name_matches_itself(name in "[a-z/é ]{1,30}") {
            prop_assert!(matches(&name, &name) || name.to_ascii_lowercase().starts_with("inbox"));
            prop_assert!(matches("*", &name));
        }
    }
}
