//! Collation: `i;unicode-casemap` for sorting, and a looser one for finding what is similar.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// The key of `i;unicode-casemap` (RFC 5051): title case, then compatibility decomposition.
/// Texts that are equal by the collation have equal keys; keys are ordered octet by octet.
pub fn casemap(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    text.chars().map(title).nfkd().collect()
}

/// Simple title case: one character for one.
fn title(c: char) -> char {
    match c {
        'a'..='z' => c.to_ascii_uppercase(),
        _ if c.is_ascii() => c,
        // The digraphs, whose title case is not their upper case.
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        _ => {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(one), None) => one,
                _ => c,
            }
        }
    }
}

/// Appends text that [`fold`](crate::fold) has made without accents and other marks.
///
/// Character by character: if one folded text is within another, so it is when both are loose.
/// The full-text index relies on that.
pub fn loosen_onto(out: &mut String, folded: &str) {
    for c in folded.chars() {
        match c {
            // Syllables stay whole: taken apart they would be three letters each.
            _ if c.is_ascii() || ('\u{ac00}'..='\u{d7a3}').contains(&c) => out.push(c),
            _ => decompose_compatible(c, |part| {
                if !is_combining_mark(part) {
                    out.push(part);
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold;

    fn loose(text: &str) -> String {
        let mut out = String::new();
        loosen_onto(&mut out, &fold(text));
        out
    }

    #[test]
    fn keys() {
        for (one, other) in [
            ("hello", "HELLO"),
            ("é", "E\u{301}"),
            ("ﬁ", "ﬁ"),
            ("ǆ", "ǅ"),
            ("Ａ", "a"),
        ] {
            assert_eq!(casemap(one), casemap(other), "{one} {other}");
        }
        assert_ne!(casemap("e"), casemap("é"));
        assert!(
            casemap("a") < casemap("_"),
            "title case is below the underscore"
        );
        assert!(casemap("e") < casemap("é") && casemap("é") < casemap("f"));
    }

    #[test]
    fn marks_are_dropped() {
        for (text, want) in [
            ("Café", "cafe"),
            ("cafe\u{301}", "cafe"),
            ("Ångström", "angstrom"),
            ("한국", "한국"),
            ("naïve", "naive"),
        ] {
            assert_eq!(loose(text), want);
        }
    }
}
