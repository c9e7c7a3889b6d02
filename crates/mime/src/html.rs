//! HTML as text: what a reader of it sees, for SEARCH and PREVIEW.

use mail_parser::decoders::html::add_html_token;
use memchr::{memchr, memmem};

/// Octets looked at for the end of a tag whose attributes are quoted. One that is longer ends at
/// the next `>`, and quotes mean nothing from then on: keeps the work linear.
const TAG_LIMIT: usize = 8 * 1024;
/// No character reference is longer.
const ENTITY_LIMIT: usize = 32;

/// Elements that are no part of the running text: words on both sides are apart.
const BLOCKS: [&str; 33] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "br",
    "center",
    "dd",
    "div",
    "dl",
    "dt",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "ol",
    "option",
    "p",
    "pre",
    "section",
    "table",
    "td",
    "th",
    "title",
    "tr",
    "ul",
];
/// Attributes that say something to the reader, or lead somewhere.
const ATTRIBUTES: [&str; 4] = ["alt", "href", "src", "title"];

/// The text of an HTML document: without tags, comments, scripts and styles, character references
/// decoded, white space as one space. Where links and images lead, and their descriptions, follow
/// at the end, a line each.
pub(crate) fn html_text(html: &str) -> String {
    let mut reader = Reader {
        out: String::with_capacity(html.len() / 2),
        enough: usize::MAX,
        ..Reader::default()
    };
    reader.read(html);
    let Reader { mut out, links, .. } = reader;
    if !links.is_empty() {
        out.push('\n');
        out.push_str(&links);
    }
    out
}

/// At least `enough` octets of the text if there are as many, without the title, and without where
/// links lead.
pub(crate) fn html_start(html: &str, enough: usize) -> String {
    let mut reader = Reader {
        enough,
        ..Reader::default()
    };
    reader.read(html);
    reader.out
}

#[derive(Default)]
struct Reader {
    out: String,
    links: String,
    /// Quotes in tags mean nothing any more.
    no_quotes: bool,
    /// The text is read no further than to so many octets; then the title is no part of it.
    enough: usize,
}

impl Reader {
    fn read(&mut self, html: &str) {
        let mut rest = html;
        while !rest.is_empty() && self.out.len() < self.enough {
            let Some(at) = memchr(b'<', rest.as_bytes()) else {
                break;
            };
            self.text(&rest[..at]);
            let tag = &rest[at..];
            let starts_tag = matches!(
                tag.as_bytes().get(1),
                Some(b'a'..=b'z' | b'A'..=b'Z' | b'/' | b'!' | b'?')
            );
            if !starts_tag {
                self.out.push('<');
                rest = &tag[1..];
                continue;
            }
            if let Some(comment) = tag.strip_prefix("<!--") {
                rest = match memmem::find(comment.as_bytes(), b"-->") {
                    Some(end) => &comment[end + 3..],
                    None => "",
                };
                continue;
            }
            let Some(end) = self.tag_end(tag.as_bytes()) else {
                // Nothing more ends: the rest is text.
                rest = tag;
                break;
            };
            // Both are at ASCII characters.
            let inside = &tag[1..end];
            rest = &tag[end + 1..];
            rest = self.tag(inside, rest);
        }
        self.text(rest);
    }

    /// The place of the `>` that ends the tag.
    fn tag_end(&mut self, tag: &[u8]) -> Option<usize> {
        if !self.no_quotes {
            let mut quote = None;
            for (at, b) in tag.iter().enumerate().take(TAG_LIMIT) {
                match (quote, b) {
                    (None, b'>') => return Some(at),
                    (None, b'"' | b'\'') => quote = Some(*b),
                    (Some(open), b) if open == *b => quote = None,
                    _ => {}
                }
            }
            self.no_quotes = true;
        }
        memchr(b'>', tag)
    }

    /// Takes a tag; returns what is behind it, or behind the element if that shows nothing.
    fn tag<'a>(&mut self, inside: &str, rest: &'a str) -> &'a str {
        let closing = inside.starts_with('/');
        let name = inside.trim_start_matches('/');
        let end = name
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(name.len());
        let (name, attributes) = name.split_at(end);
        let name = name.to_ascii_lowercase();
        if BLOCKS.binary_search(&name.as_str()).is_ok() {
            self.newline();
        }
        if closing {
            return rest;
        }
        self.attributes(attributes);
        let shown = match name.as_str() {
            "script" | "style" => false,
            "title" => self.enough == usize::MAX,
            _ => true,
        };
        if !shown {
            return behind_element(rest, &name);
        }
        rest
    }

    fn attributes(&mut self, attributes: &str) {
        let mut rest = attributes;
        while let Some(equals) = rest.find('=') {
            let name = rest[..equals].trim_end();
            let from = name
                .rfind(|c: char| c.is_ascii_whitespace() || matches!(c, '"' | '\'' | '/'))
                .map_or(0, |at| at + 1);
            let name = name[from..].to_ascii_lowercase();
            let value = rest[equals + 1..].trim_start();
            let (value, behind) = match value.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    let value = &value[1..];
                    value.split_once(quote).unwrap_or((value, ""))
                }
                _ => value
                    .split_once(|c: char| c.is_ascii_whitespace())
                    .unwrap_or((value, "")),
            };
            rest = behind;
            if ATTRIBUTES.contains(&name.as_str()) && !value.is_empty() {
                decode_onto(&mut self.links, value);
                self.links.push('\n');
            }
        }
    }

    fn newline(&mut self) {
        while self.out.ends_with(' ') {
            self.out.pop();
        }
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
    }

    fn text(&mut self, text: &str) {
        let blank = |c: char| c.is_ascii_whitespace();
        let mut rest = text;
        while !rest.is_empty() {
            let word = rest.trim_start_matches(blank);
            let spaced = word.len() < rest.len();
            if spaced && !self.out.is_empty() && !self.out.ends_with([' ', '\n']) {
                self.out.push(' ');
            }
            let end = word.find(blank).unwrap_or(word.len());
            decode_onto(&mut self.out, &word[..end]);
            rest = &word[end..];
        }
    }
}

/// What is behind the end tag of an element whose content shows nothing.
fn behind_element<'a>(rest: &'a str, name: &str) -> &'a str {
    let mut at = 0;
    while let Some(next) = memmem::find(&rest.as_bytes()[at..], b"</") {
        let start = at + next + 2;
        let end = start + name.len();
        let found = rest.get(start..end);
        if found.is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return match memchr(b'>', &rest.as_bytes()[end..]) {
                Some(close) => &rest[end + close + 1..],
                None => "",
            };
        }
        at = start;
    }
    ""
}

/// Appends text with its character references decoded.
fn decode_onto(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = memchr(b'&', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let reference = &rest[at..];
        let within = reference.len().min(ENTITY_LIMIT);
        let end = memchr(b';', &reference.as_bytes()[..within]);
        rest = match end {
            Some(end) => {
                add_html_token(out, &reference.as_bytes()[..=end], false);
                &reference[end + 1..]
            }
            None => {
                out.push('&');
                &reference[1..]
            }
        };
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        assert!(BLOCKS.is_sorted());
        for (html, want) in [
            ("", ""),
            ("plain\r\n text", "plain text"),
            ("<p>One</p><P>two <b>wo</b>rds</p>", "One\ntwo words\n"),
            (
                "a&nbsp;b &lt;c&gt; &#233;&#xe9; &eacute; &amp",
                "a\u{a0}b <c> éé é &amp",
            ),
            ("&nosuch; &#xffffffff;", "&nosuch; \u{fffd}"),
            ("1 < 2 <3", "1 < 2 <3"),
            ("x<!-- <p>no --> y<!-- never", "x y"),
            (
                "a<style>p { color: red }</STYLE >b<script>if (a<b) x()</script>c",
                "abc",
            ),
            ("<script>endless", ""),
            (
                "<a class=x href=\"http://e.example/?a=1&amp;b=2\">here</a>",
                "here\nhttp://e.example/?a=1&b=2\n",
            ),
            ("<img alt='a > b' src=cid:1>", "\na > b\ncid:1\n"),
            ("un<ended", "un<ended"),
            ("<td>a<td>b", "a\nb"),
        ] {
            assert_eq!(html_text(html), want, "{html}");
        }
    }

    #[test]
    fn hostile_documents_take_linear_time() {
        let started = std::time::Instant::now();
        for piece in [
            "<a",
            "<a \"",
            "<a '>",
            "<!--",
            "</",
            "<script",
            "<script></",
            "&",
            "&x",
            "<a =",
            "<a href=",
            "<a href='x' ",
            "<p>",
            "<a \">é",
        ] {
            let _ = html_text(&piece.repeat(50_000));
        }
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    }
}
