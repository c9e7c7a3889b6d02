//! A message as SEARCH sees it: decoded text, compared without regard to case.

use memchr::memmem;
use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

use crate::address::addresses;
use crate::charset::decode_words;
use crate::header::fields;
use crate::html::html_text;
use crate::part::{Message, Part, PartKind};

/// Octets of the haystack folded at a time: bounds the copy, and stays within a cache.
const FOLD_BLOCK: usize = 32 * 1024;

/// Calls `visit` with the decoded text of every `text/*` part in order, and before those of a
/// message inside the message with that one's header (a field a line, decoded). `visit` returns
/// whether to go on. Returns whether it did to the end.
///
/// The names of files are among the texts. Of HTML, the text is what a reader sees, and where links lead: a search for a phrase finds it
/// whatever tags and line breaks are in it, and one for `div` does not find every message.
///
/// This is what SEARCH BODY looks at; SEARCH TEXT looks at [`header_search_text`] too.
pub fn for_each_text(raw: &[u8], visit: &mut dyn FnMut(&str) -> bool) -> bool {
    visit_part(Message::parse(raw).root(), visit)
}

fn visit_part(part: &Part<'_>, visit: &mut dyn FnMut(&str) -> bool) -> bool {
    match part.kind() {
        PartKind::Leaf => {
            let text = match part.content_type().is_text() {
                true if is_html(part) => visit(&html_text(&part.text())),
                true => visit(&part.text()),
                false => true,
            };
            text && file_names(part).is_none_or(|names| visit(&names))
        }
        PartKind::Multipart(parts) => parts.iter().all(|p| visit_part(p, visit)),
        PartKind::Message(inner) => {
            visit(&header_search_text(inner.header())) && visit_part(inner, visit)
        }
    }
}

/// The names of a part that is a file, a line each (RFC 2183, with RFC 2231 or RFC 2047 words).
fn file_names(part: &Part<'_>) -> Option<String> {
    let disposition = part.disposition();
    let disposition = disposition.iter().flat_map(|d| &d.params);
    let params = part.content_type().params.iter().chain(disposition);
    let mut names = String::new();
    for param in params.filter(|p| matches!(p.name.as_str(), "NAME" | "FILENAME")) {
        match param.language {
            Some(_) => names.push_str(&String::from_utf8_lossy(&param.value)),
            None => names.push_str(&decode_words(&param.value)),
        }
        names.push('\n');
    }
    (!names.is_empty()).then_some(names)
}

fn is_html(part: &Part<'_>) -> bool {
    let subtype = &part.content_type().subtype;
    subtype.eq_ignore_ascii_case("html") || subtype.eq_ignore_ascii_case("xhtml")
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

/// The addresses of all fields of this name as ENVELOPE has them, decoded: `name <mailbox@host>`,
/// one to a line, and groups by their names. Only fields whose text does not hold them in this
/// form already, without comments, quoting, or blanks around `@` and dots. `raw` is a message or
/// a header.
pub fn address_search_text(raw: &[u8], name: &str) -> String {
    let mut out = String::new();
    for field in fields(raw).filter(|field| field.is(name)) {
        addresses_onto(&mut out, field.value);
    }
    out
}

fn addresses_onto(out: &mut String, value: &[u8]) {
    let blank = u8::is_ascii_whitespace;
    // What is quoted stands as it is.
    let mut quoted = false;
    let outside: Vec<u8> = value
        .iter()
        .copied()
        .filter(|b| {
            let quote = *b == b'"';
            quoted ^= quote;
            quote || !quoted
        })
        .collect();
    let differs = value.iter().any(|b| matches!(b, b'(' | b'\\'))
        || outside.windows(2).any(|pair| match pair {
            [b'"' | b'.', b'@'] | [b'@', b'.'] => true,
            [a, b'@' | b'.'] | [b'@' | b'.', a] => blank(a),
            [a, b] => blank(a) && blank(b),
            _ => false,
        });
    if !differs {
        return;
    }
    let mut part = |octets: &Option<Vec<u8>>, before: &str, after: &str| {
        if let Some(octets) = octets.as_deref().filter(|octets| !octets.is_empty()) {
            out.push_str(before);
            out.push_str(&decode_words(octets));
            out.push_str(after);
        }
    };
    for address in addresses(value) {
        part(&address.name, "", " ");
        match address.host.as_deref() {
            // The name of a group, or its end.
            None => part(&address.mailbox, "", "\n"),
            Some([]) => part(&address.mailbox, "<", ">\n"),
            Some(_) => {
                part(&address.mailbox, "<", "");
                part(&address.host, "@", ">\n");
            }
        }
    }
}

/// The same of every field that SEARCH looks for addresses in (RFC 9051 section 6.4.4).
pub fn all_address_search_text(raw: &[u8]) -> String {
    let names = ["From", "To", "Cc", "Bcc"];
    names
        .iter()
        .map(|name| address_search_text(raw, name))
        .collect()
}

/// Text without distinctions of case, by the simple (one character to one) case mappings of
/// Unicode, and without those between ways to write one character: composed or with combining
/// marks, wide or narrow (NFKC). Accents count. That is what `i;unicode-casemap` (RFC 5051) makes
/// equal, except that no letter is found within an accented one.
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
        let (head, tail) = rest.split_at(split_place(rest, block));
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

/// Where to split a text after about `block` octets: in front of an ASCII character if there is
/// one near, as a mark must stay with its character.
fn split_place(text: &str, block: usize) -> usize {
    /// More marks than any writing puts on a character.
    const NEAR: usize = 64;
    let at = text.floor_char_boundary(block);
    let first = text.chars().next().map_or(0, char::len_utf8);
    if at == text.len() {
        return at.max(first);
    }
    let near = text.as_bytes()[..at].iter().rev().take(NEAR);
    let back = near.take_while(|b| !b.is_ascii()).count();
    // In front of the ASCII character, which may have a mark behind it.
    match back {
        NEAR => at,
        back => at.saturating_sub(back + 1),
    }
    .max(first)
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
        fold_wide_onto(out, &tail[..other]);
        rest = &tail[other..];
    }
}

/// Folds text without an ASCII character.
fn fold_wide_onto(out: &mut String, text: &str) {
    let mut folded = text.chars().map(fold_char);
    if is_nfkc_quick(folded.clone()) == IsNormalized::Yes {
        return out.extend(folded);
    }
    // A mark at the beginning belongs to the character before.
    let first = folded.next();
    let base = match first {
        Some(mark) if canonical_combining_class(mark) != 0 => out.pop(),
        _ => None,
    };
    let all = base.into_iter().chain(first).chain(folded);
    out.extend(all.nfkc().map(fold_char));
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
    fn addresses_are_found_as_in_the_envelope() {
        for (value, want) in [
            // As they stand, they are found in the field itself.
            ("a@b.org, \"A. B.\" <c@d.org>", ""),
            ("<a@ b.org>", "<a@b.org>\n"),
            ("a (x) @ b . org", "x <a@b.org>\n"),
            (
                "<user-from (comment)@ (comment) domain.org>",
                "<user-from@domain.org>\n",
            ),
            ("\"a\"@b.org", "<a@b.org>\n"),
            ("\"J\\\"o\" <j@b.org>", "J\"o <j@b.org>\n"),
            ("=?utf-8?q?J=C3=B6?= (x) <j@b.org>", "Jö <j@b.org>\n"),
            ("g: a @b;, c (d)", "g\n<a@b>\nd <c>\n"),
        ] {
            let raw = format!("To: none@b.org\r\nFrom: {value}\r\n\r\nFrom: (x) x@ y");
            assert_eq!(address_search_text(raw.as_bytes(), "from"), want, "{value}");
        }
        let all = all_address_search_text(b"To: a@ b\r\nBcc: c@\r\n d\r\n\r\n");
        assert_eq!(all, "<a@b>\n<c@d>\n");
    }

    #[test]
    fn folding() {
        for (a, b) in [
            ("Hello", "hELLO"),
            ("CAFÉ", "café"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("ПРИВЕТ", "привет"),
            ("\u{212a}", "k"),
            ("Cafe\u{301}", "café"),
            ("E\u{301}t", "ÉT"),
            ("ＡＢ", "ab"),
            ("ﬁn", "FIN"),
            ("ｶﾞ", "ガ"),
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
