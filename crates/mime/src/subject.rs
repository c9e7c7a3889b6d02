//! The base subject (RFC 5256 section 2.1): a subject without what answering and forwarding add.

use crate::charset::decode_words;
use crate::header::unfold;

/// A subject as SORT and THREAD see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BaseSubject {
    /// The base subject, RFC 2047 words decoded; may be empty.
    pub text: String,
    /// Whether something that marks a reply or a forward was removed: `Re:`, `Fwd:`, `(fwd)` or
    /// `[fwd: …]`.
    pub is_reply: bool,
}

/// The base subject of the value of a `Subject` field, folded or not. Linear in its length.
pub fn base_subject(value: &[u8]) -> BaseSubject {
    let spaced = one_space(&decode_words(&unfold(value)));
    let mut rest = spaced.as_str();
    let mut is_reply = false;
    loop {
        while let Some(before) = without_trailer(rest, &mut is_reply) {
            rest = before;
        }
        rest = without_leaders(rest, &mut is_reply);
        match starts_with(rest, "[fwd:").then(|| rest.strip_suffix(']')) {
            Some(Some(inside)) => {
                rest = inside.get("[fwd:".len()..).unwrap_or_default();
                is_reply = true;
            }
            _ => break,
        }
    }
    BaseSubject {
        text: rest.to_owned(),
        is_reply,
    }
}

/// Step 1: tabs and runs of white space are one space.
fn one_space(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let blank = |c| matches!(c, ' ' | '\t' | '\r' | '\n');
    for c in text.chars() {
        match blank(c) {
            true if out.ends_with(' ') => {}
            true => out.push(' '),
            false => out.push(c),
        }
    }
    out
}

/// Step 2: `subj-trailer = "(fwd)" / WSP`.
fn without_trailer<'a>(text: &'a str, is_reply: &mut bool) -> Option<&'a str> {
    if let Some(before) = text.strip_suffix(' ') {
        return Some(before);
    }
    let at = text.len().checked_sub("(fwd)".len())?;
    let tail = text.get(at..)?;
    if !tail.eq_ignore_ascii_case("(fwd)") {
        return None;
    }
    *is_reply = true;
    text.get(..at)
}

/// Steps 3 to 5: what matches `subj-leader`, and `subj-blob`s with something behind them.
fn without_leaders<'a>(text: &'a str, is_reply: &mut bool) -> &'a str {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(' ');
        // subj-leader = (*subj-blob subj-refwd) / WSP
        let (mut after, mut last) = (rest, None);
        while let Some(next) = without_blob(after) {
            last = Some(after);
            after = next;
        }
        if let Some(behind) = without_refwd(after) {
            *is_reply = true;
            rest = behind;
            continue;
        }
        // Where a chain of blobs is all there is, its last one is the subject.
        return match last {
            Some(last) if after.is_empty() => last,
            _ => after,
        };
    }
}

/// `subj-blob = "[" *BLOBCHAR "]" *WSP`
fn without_blob(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('[')?;
    let end = inside.find(['[', ']'])?;
    let after = inside.get(end..)?.strip_prefix(']')?;
    Some(after.trim_start_matches(' '))
}

/// `subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"`
fn without_refwd(text: &str) -> Option<&str> {
    let word = ["re", "fwd", "fw"]
        .into_iter()
        .find(|word| starts_with(text, word))?;
    let after = text.get(word.len()..)?.trim_start_matches(' ');
    let after = without_blob(after).unwrap_or(after);
    after.strip_prefix(':')
}

fn starts_with(text: &str, prefix: &str) -> bool {
    let start = text.get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_subjects() {
        for (subject, text, is_reply) in [
            ("", "", false),
            ("   ", "", false),
            ("Hello", "Hello", false),
            ("Re: Hello", "Hello", true),
            ("RE:hello", "hello", true),
            ("Re : Hello", "Hello", true),
            ("Re[2]: Hello", "Hello", true),
            ("re [2] : Hello", "Hello", true),
            ("Fw: Fwd: FWD: Hello", "Hello", true),
            ("Reply: Hello", "Reply: Hello", false),
            ("Re Hello", "Re Hello", false),
            ("Re: re: [list] Re: Hello", "Hello", true),
            ("[list] Hello", "Hello", false),
            ("[list][other] Hello", "Hello", false),
            ("[list] Re: Hello", "Hello", true),
            ("[only]", "[only]", false),
            ("[one] [two]", "[two]", false),
            ("Re: [only]", "[only]", true),
            ("[open Hello", "[open Hello", false),
            ("Hello (fwd)", "Hello", true),
            ("Hello (FWD) (fwd)  ", "Hello", true),
            ("(fwd)", "", true),
            ("[fwd: Hello]", "Hello", true),
            ("[Fwd: Re: [Fwd: Hello (fwd)]]", "Hello", true),
            ("Re: [fwd: [list] Hello]", "Hello", true),
            ("[fwd: ]", "", true),
            ("[fwd: Hello", "[fwd: Hello", false),
            ("Re:", "", true),
            ("Re: Re:", "", true),
            ("a \t b\r\n  c", "a b c", false),
            ("=?utf-8?q?Re=3A_caf=C3=A9?=", "café", true),
            ("Ré: x", "Ré: x", false),
            ("é", "é", false),
        ] {
            let got = base_subject(subject.as_bytes());
            let want = BaseSubject {
                text: text.to_owned(),
                is_reply,
            };
            assert_eq!(got, want, "{subject:?}");
        }
    }

    #[test]
    fn hostile_subjects_take_linear_time() {
        let started = std::time::Instant::now();
        for piece in [
            "[a]", "[", "re:", "[fwd:", "(fwd)", "re [x", " ", "[fwd:]", "]",
        ] {
            let _ = base_subject(piece.repeat(100_000).as_bytes());
        }
        assert!(started.elapsed().as_secs() < 5);
    }
}
