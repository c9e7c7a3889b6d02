//! FUZZY (RFC 6203): messages with something like what is searched for.
//!
//! A string is taken as words, each of which must be in what is searched, in any order and
//! without regard to case and accents: as a word, as the beginning or a part of one, or, if it is
//! long, with one letter wrong, missing, added or exchanged. How well the words are met is the
//! relevancy. Keys that are no strings match exactly.

use memchr::memmem;
use murder_mime::{fold, loosen_onto};

/// Words of one string: more say no more.
const MAX_WORDS: usize = 32;
/// Words with fewer letters must be there as they are: with one letter changed they would be
/// everywhere.
const MISSPELT_LEAST: usize = 6;
/// Occurrences of a word that are looked at in one text for the best.
const OCCURRENCES: usize = 64;

/// Relevancy of the ways in which a word can be there.
const WHOLE: u8 = 100;
const BEGINNING: u8 = 80;
const WITHIN: u8 = 60;
const MISSPELT: u8 = 30;

/// A string to be found fuzzily.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words(Vec<String>);

/// The best relevancy of each word so far; 0 where it was not found.
pub(super) type Scores = Vec<u8>;

impl Words {
    /// The words of a string; `None` if it has none.
    pub fn of(string: &str) -> Option<Self> {
        let text = loose(string);
        let mut words = Vec::new();
        for word in words_of(&text).take(MAX_WORDS) {
            if !words.iter().any(|known| known == word) {
                words.push(word.to_owned());
            }
        }
        (!words.is_empty()).then_some(Self(words))
    }

    /// Nothing found yet.
    pub fn none(&self) -> Scores {
        vec![0; self.0.len()]
    }

    /// For each word, strings of which at least one is in any text that has it.
    pub fn needles(&self) -> impl Iterator<Item = Vec<String>> {
        self.0.iter().map(|word| {
            let letters = word.chars().count();
            if letters < MISSPELT_LEAST {
                return vec![word.clone()];
            }
            // One wrong letter leaves one half as it is.
            let half = word.char_indices().nth(letters / 2);
            let (one, other) = word.split_at(half.map_or(0, |(at, _)| at));
            vec![one.to_owned(), other.to_owned()]
        })
    }

    /// Looks for the words in a text that [`loose`] has made.
    pub fn search(&self, text: &str, scores: &mut Scores) {
        for (word, score) in self.0.iter().zip(scores) {
            if *score < WHOLE {
                *score = (*score).max(best(word, text));
            }
        }
    }
}

/// The relevancy of a message with these scores; 0 if a word is missing.
pub(super) fn relevancy(scores: &[u8]) -> u8 {
    if scores.contains(&0) {
        return 0;
    }
    let sum: usize = scores.iter().map(|score| usize::from(*score)).sum();
    // The average of numbers up to 100.
    (sum / scores.len().max(1)) as u8
}

/// Text without distinctions of case and accents.
pub(super) fn loose(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    loosen_onto(&mut out, &fold(text));
    out
}

fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

fn best(word: &str, text: &str) -> u8 {
    let mut best = 0;
    for at in memmem::find_iter(text.as_bytes(), word).take(OCCURRENCES) {
        let alone_before = !text[..at].ends_with(char::is_alphanumeric);
        let alone_behind = !text[at + word.len()..].starts_with(char::is_alphanumeric);
        best = best.max(match (alone_before, alone_behind) {
            (true, true) => return WHOLE,
            (true, false) => BEGINNING,
            _ => WITHIN,
        });
    }
    let letters = word.chars().count();
    if best == 0 && letters >= MISSPELT_LEAST {
        // A letter has at most four octets.
        let near = word.len().saturating_sub(4)..=word.len() + 4;
        let found = words_of(text)
            .filter(|other| near.contains(&other.len()))
            .any(|other| one_edit(word, other));
        if found {
            best = MISSPELT;
        }
    }
    best
}

/// Whether two words differ by one letter, changed, missing or added, or by two neighbours
/// exchanged.
fn one_edit(one: &str, other: &str) -> bool {
    let common = one
        .char_indices()
        .zip(other.chars())
        .find(|((_, a), b)| a != b)
        .map_or(one.len().min(other.len()), |((at, _), _)| at);
    let (one, other) = (&one[common..], &other[common..]);
    let behind = |text: &str| {
        let mut chars = text.chars();
        (chars.next(), chars.as_str().to_owned())
    };
    let ((a, one_rest), (b, other_rest)) = (behind(one), behind(other));
    if one_rest == other_rest || one_rest == other || one == other_rest {
        return true;
    }
    let ((c, one_rest), (d, other_rest)) = (behind(&one_rest), behind(&other_rest));
    a == d && b == c && one_rest == other_rest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn score(string: &str, text: &str) -> u8 {
        let words = Words::of(string).unwrap();
        let mut scores = words.none();
        words.search(&loose(text), &mut scores);
        let score = relevancy(&scores);
        if score > 0 {
            // What the index is asked must not rule the text out.
            let text = loose(text);
            for needles in words.needles() {
                assert!(
                    needles.iter().any(|n| text.contains(n)),
                    "{needles:?} {text}"
                );
            }
        }
        score
    }

    #[test]
    fn scores() {
        for (string, text, want) in [
            ("IMAP break", "IMAP break", 100),
            ("IMAP break", "broken IMAP breaks", 90),
            ("IMAP break", "only IMAP", 0),
            ("cafe", "Das CAFÉ am Ring", 100),
            ("work", "network", 60),
            ("meeting", "the meetnig at ten", 30),
            ("meeting", "the meating at ten", 30),
            ("meeting", "the meetin at ten", 30),
            ("meeting", "the meeeting at ten", 30),
            ("meeting", "the eeting at ten", 30),
            ("meeting", "the mating at ten", 0),
            ("Helo", "Hello", 0),
            ("schöner", "schoner", 100),
        ] {
            assert_eq!(score(string, text), want, "{string} in {text}");
        }
        assert_eq!(Words::of("?! ."), None);
        assert_eq!(Words::of(&"a b ".repeat(1000)).unwrap().0.len(), 2);
    }

    #[test]
    fn edits() {
        assert!(one_edit("abc", "abd") && one_edit("abc", "ab") && one_edit("ab", "abc"));
        assert!(one_edit("abc", "acb") && one_edit("éa", "aé") && one_edit("abc", "abc"));
        assert!(!one_edit("abc", "cba") && !one_edit("abcd", "ab"));
    }
}
