//! A message as SEARCH sees it: decoded text, compared without regard to case.

use memchr::memmem;

use crate::charset::decode_words;
use crate::header::fields;
use crate::part::{Message, Part, PartKind};

/// Octets of the haystack folded at a time: bounds the copy, and stays within a cache.
const FOLD_BLOCK: usize = 32 * 1024;

/// Calls `visit` with the decoded text of every `text/*` part in order, and before those of a
/// message inside the message with that one's header (a field a line, decoded). `visit` returns
/// whether to go on. Returns whether it did to the end.
///
/// This is what SEARCH BODY looks at; SEARCH TEXT looks at [`header_search_text`] too.
pub fn for_each_text(raw: &[u8], visit: &mut dyn FnMut(&str) -> bool) -> bool {
    visit_part(Message::parse(raw).root(), visit)
}

fn visit_part(part: &Part<'_>, visit: &mut dyn FnMut(&str) -> bool) -> bool {
    match part.kind() {
        PartKind::Leaf if part.content_type().is_text() => visit(&part.text()),
        PartKind::Leaf => true,
        PartKind::Multipart(parts) => parts.iter().all(|p| visit_part(p, visit)),
        PartKind::Message(inner) => {
            visit(&header_search_text(inner.header())) && visit_part(inner, visit)
        }
    }
}

/// The header of a message as SEARCH TEXT sees it: a line a field, unfolded, RFC 2047 words
/// decoded. `raw` is a message or a header.
pub fn header_search_text(raw: &[u8]) -> String {
    let mut out = String::new();
    for field in fields(raw) {
        // An empty name: a line that is no field is its value.
        out.push_str(&String::from_utf8_lossy(field.name));
        if !field.name.is_empty() {
            out.push_str(": ");
        }
        out.push_str(&decode_words(&field.unfolded()));
        out.push('\n');
    }
    out
}

/// Text without distinctions of case, by the simple (one character to one) case mappings of
/// Unicode. Folding twice changes nothing.
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    fold_onto(&mut out, text);
    out
}

/// Whether `needle_folded`, the result of [`fold`], is in `haystack` without regard to case.
/// Linear in both; the haystack is folded a block at a time.
pub fn contains_folded(haystack: &str, needle_folded: &str) -> bool {
    if needle_folded.is_empty() {
        return true;
    }
    let finder = memmem::Finder::new(needle_folded);
    // A block at least as long as the needle keeps what is searched twice to a constant factor.
    let block = FOLD_BLOCK.max(needle_folded.len());
    let mut folded = String::new();
    let mut rest = haystack;
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(rest.floor_char_boundary(block).max(first_len(rest)));
        rest = tail;
        fold_onto(&mut folded, head);
        if finder.find(folded.as_bytes()).is_some() {
            return true;
        }
        let keep =
            folded.floor_char_boundary((folded.len() + 1).saturating_sub(needle_folded.len()));
        folded.drain(..keep);
    }
    false
}

fn first_len(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

fn fold_onto(out: &mut String, text: &str) {
    let mut rest = text;
    while !rest.is_empty() {
        let ascii = rest
            .bytes()
            .position(|b| !b.is_ascii())
            .unwrap_or(rest.len());
        let (head, tail) = rest.split_at(ascii);
        let start = out.len();
        out.push_str(head);
        out[start..].make_ascii_lowercase();
        let other = tail
            .bytes()
            .position(|b| b.is_ascii())
            .unwrap_or(tail.len());
        out.extend(tail[..other].chars().map(fold_char));
        rest = &tail[other..];
    }
}

/// Through upper case first, so that `ς` and `σ`, `ſ` and `s` are one.
fn fold_char(c: char) -> char {
    let upper = single(c.to_uppercase()).unwrap_or(c);
    single(upper.to_lowercase()).unwrap_or(upper)
}

fn single(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next();
    first.filter(|_| chars.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding() {
        for (a, b) in [
            ("Hello", "hELLO"),
            ("CAFÉ", "café"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("ПРИВЕТ", "привет"),
            ("\u{212a}", "k"),
            ("ſ", "S"),
        ] {
            assert_eq!(fold(a), fold(b));
        }
        assert_ne!(fold("e"), fold("é"));
        assert_eq!(fold("straße İ"), "straße İ");
        assert_eq!(fold("日本語"), "日本語");
    }

    #[test]
    fn folding_is_idempotent_and_changes_no_count() {
        for c in (0..=0x10ffff).filter_map(char::from_u32) {
            let once = fold_char(c);
            assert_eq!(fold_char(once), once, "{c:?}");
        }
    }

    #[test]
    fn finding() {
        assert!(contains_folded("Hello World", "lo wo"));
        assert!(!contains_folded("Hello World", "lo  wo"));
        assert!(contains_folded("", ""));
        assert!(!contains_folded("", "x"));
        // Across the blocks, at every offset near the border, with wide characters around.
        for shift in 0..8 {
            let pad = "x".repeat(FOLD_BLOCK - 4 + shift - shift % 2);
            let hay = format!("{}{pad}ÉTÉ NEEDLE{pad}é", "y".repeat(shift));
            assert!(contains_folded(&hay, &fold("été needle")));
            assert!(contains_folded(&hay, &fold("xÉ")));
            assert!(!contains_folded(&hay, "needles"));
        }
        let long = "Ab".repeat(FOLD_BLOCK);
        assert!(contains_folded(&format!("x{long}y"), &fold(&long)));
        assert!(!contains_folded(&long, &fold(&format!("{long}c"))));
    }
}
