//! The beginning of a message's text, for lists (RFC 8970).

use std::borrow::Cow;

use unicode_normalization::char::is_combining_mark;

use crate::content_type::Disposition;
use crate::html::html_start;
use crate::part::{Part, PartKind};

/// The most characters in a preview: as RFC 8970 section 3.3 recommends; it allows 256.
pub const PREVIEW_LIMIT: usize = 200;

/// Octets of a part that are looked at first, in its transfer encoding: enough for most text.
const GLANCE: usize = 1024;
/// Octets that are looked at when these hold little text: enough for text behind what it answers,
/// and for most HTML.
const LOOK: usize = 8 * 1024;
/// Octets that are looked at when these do, too: style sheets are long.
const LOOK_FURTHER: usize = 64 * 1024;
/// Texts that are looked at for one that is not blank.
const TEXTS: usize = 8;
/// Octets of HTML's text that are enough, whatever is left out of it.
const ENOUGH: usize = 4 * PREVIEW_LIMIT;

/// The beginning of the first text that a reader sees, at most [`PREVIEW_LIMIT`] characters: of
/// HTML the text, white space as one space, without quoted lines and signature if there is
/// anything else. Empty for a message without text, or an encrypted one.
pub(crate) fn preview(root: &Part<'_>) -> String {
    of_part(root, &mut { TEXTS })
}

fn of_part(part: &Part<'_>, texts: &mut usize) -> String {
    let attached = |disposition: Disposition| disposition.kind == "ATTACHMENT";
    if part.disposition().is_some_and(attached) {
        return String::new();
    }
    match part.kind() {
        PartKind::Leaf => of_text(part, texts),
        PartKind::Multipart(_) if part.content_type().subtype == "ENCRYPTED" => String::new(),
        PartKind::Multipart(parts) => {
            let mut previews = parts.iter().map(|part| of_part(part, texts));
            let found = previews.find(|preview| !preview.is_empty());
            found.unwrap_or_default()
        }
        PartKind::Message(inner) => of_part(inner, texts),
    }
}

fn of_text(part: &Part<'_>, texts: &mut usize) -> String {
    let (Some(is_html), Some(left)) = (is_read(part), texts.checked_sub(1)) else {
        return String::new();
    };
    *texts = left;
    let mut found = Collapsed::default();
    for look in [GLANCE, LOOK, LOOK_FURTHER] {
        let (text, whole) = part.text_start(look);
        found = match is_html {
            true => collapsed(html_start(&text, ENOUGH).split('\n')),
            // What is quoted will do only if nothing else comes soon.
            false => of_plain(&text, whole || look > GLANCE),
        };
        if whole || found.full {
            break;
        }
    }
    found.out
}

/// Whether a text part is HTML; `None` for what no reader is shown, or not as text.
fn is_read(part: &Part<'_>) -> Option<bool> {
    const OTHERS: [&str; 11] = [
        "CALENDAR",
        "CSS",
        "CSV",
        "DIRECTORY",
        "JAVASCRIPT",
        "RFC822-HEADERS",
        "RTF",
        "VCARD",
        "X-AMP-HTML",
        "X-VCARD",
        "XML",
    ];
    let content_type = part.content_type();
    let subtype = content_type.subtype.as_str();
    if !content_type.is_text() || OTHERS.contains(&subtype) {
        return None;
    }
    Some(matches!(subtype, "HTML" | "XHTML"))
}

/// `quoted`: also of what is quoted, if there is nothing else.
fn of_plain(text: &str, quoted: bool) -> Collapsed {
    const ENCRYPTED: &str = "-----BEGIN PGP MESSAGE-----";
    const SIGNED: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
    let text = text.trim_start();
    if text.starts_with(ENCRYPTED) {
        return Collapsed::default();
    }
    // Armor headers, such as `Hash`, end with an empty line (RFC 9580 section 7.1).
    let text = text.strip_prefix(SIGNED).map_or(text, |rest| {
        let blank = ["\r\n\r\n", "\n\n"].into_iter();
        let mut behind = blank.filter_map(|blank| rest.split_once(blank));
        behind.next().map_or(rest, |(_, text)| text)
    });
    let found = collapsed(own_lines(text));
    match found.out.is_empty() && quoted {
        true => collapsed(text.lines()),
        false => found,
    }
}

/// The lines before the signature that are not quoted, nor say who is.
fn own_lines(text: &str) -> impl Iterator<Item = &str> {
    let is_quoted = |line: &&str| line.starts_with('>');
    let mut lines = text.lines().take_while(|line| *line != "-- ").peekable();
    std::iter::from_fn(move || {
        loop {
            let line = lines.next()?;
            // "… wrote:"
            let says_who = line.ends_with(':') && lines.peek().is_some_and(is_quoted);
            if !says_who && !is_quoted(&line) {
                return Some(line);
            }
        }
    })
}

/// Lines as one, white space as one space, nothing at the ends, cut.
fn collapsed<'a>(lines: impl Iterator<Item = &'a str>) -> Collapsed {
    let mut text = Collapsed::default();
    text.out.reserve(PREVIEW_LIMIT);
    for line in lines {
        let mut rest = line;
        loop {
            // Most text is ASCII, and mostly letters.
            let room = PREVIEW_LIMIT - text.count;
            let run = rest.bytes().take(room);
            let run = run.take_while(u8::is_ascii_graphic).count();
            text.push_plain(&rest[..run]);
            let mut chars = rest[run..].chars();
            let c = chars.next();
            if !text.push(c.unwrap_or('\n')) {
                text.full = true;
                return text.finished();
            }
            rest = chars.as_str();
            if c.is_none() {
                break;
            }
        }
    }
    text.finished()
}

/// What [`collapsed`] gives, and has so far.
#[derive(Default)]
struct Collapsed {
    out: String,
    /// Its characters.
    count: usize,
    /// Where the last character begins that a reader would not take for a part of the one before.
    whole: usize,
    /// The last character joins the next one to itself.
    joined: bool,
    /// More would not fit.
    full: bool,
}

impl Collapsed {
    /// Takes ASCII characters that are seen, as many as fit.
    fn push_plain(&mut self, run: &str) {
        if run.len() > usize::from(self.joined) {
            self.whole = self.out.len() + run.len() - 1;
        }
        self.joined &= run.is_empty();
        self.count += run.len();
        self.out.push_str(run);
    }

    /// Takes a character; `false` when there is no room.
    fn push(&mut self, c: char) -> bool {
        let space = self.out.as_bytes().last().is_none_or(|&last| last == b' ');
        if c.is_whitespace() || c.is_control() {
            self.joined = false;
            if self.count == PREVIEW_LIMIT {
                return false;
            }
            if !space {
                self.out.push(' ');
                self.count += 1;
            }
            return true;
        }
        if is_invisible(c) || (space && is_joiner(c)) {
            // Newsletters pad what they want shown in lists with these.
            return true;
        }
        let continues = self.joined || is_joiner(c) || is_modifier(c);
        if !continues {
            self.whole = self.out.len();
        }
        if self.count == PREVIEW_LIMIT {
            // Part of what was taken belongs to what does not fit.
            if continues {
                self.out.truncate(self.whole);
            }
            return false;
        }
        self.joined = c == '\u{200d}';
        self.out.push(c);
        self.count += 1;
        true
    }

    /// Nothing follows.
    fn finished(mut self) -> Self {
        self.out.truncate(self.out.trim_end().len());
        self
    }
}

/// Soft hyphens and characters of no width that join nothing.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{200b}' | '\u{2060}' | '\u{feff}'
    )
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Whether it changes the character before: accents, variants, skin tones.
fn is_modifier(c: char) -> bool {
    !c.is_ascii() && is_combining_mark(c) || matches!(c, '\u{1f3fb}'..='\u{1f3ff}')
}

impl<'a> Part<'a> {
    /// As [`Part::text`], of about the first `limit` octets of the body; whether that is all.
    fn text_start(&self, limit: usize) -> (Cow<'a, str>, bool) {
        let body = self.body();
        if body.len() <= limit {
            return (self.text(), true);
        }
        let start = &body[..limit];
        // A line's end splits no encoded octet, and hardly ever a character.
        let end = memchr::memrchr(b'\n', start).map_or(limit, |at| at + 1);
        (self.text_of(&start[..end], true), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::Message;

    fn of(raw: &str) -> String {
        preview(Message::parse(raw.as_bytes()).root())
    }

    fn plain(text: &str) -> String {
        of(&format!("Subject: x\r\n\r\n{text}"))
    }

    fn html(text: &str) -> String {
        of(&format!("Content-Type: text/html\r\n\r\n{text}"))
    }

    #[test]
    fn text_is_one_line() {
        for (text, want) in [
            ("", ""),
            (" \r\n\t\r\n", ""),
            ("Preview text!\r\n", "Preview text!"),
            ("  One\r\n\r\ntwo\t \u{a0} three\r\n", "One two three"),
            ("a\u{0}b", "a b"),
            ("Sure.\r\n-- \r\nBob\r\n", "Sure."),
            ("-- \r\nBob\r\n", "-- Bob"),
            (
                "Yes.\r\n\r\nOn Monday Joe wrote:\r\n> Will you?\r\n>> ?\r\nNo.\r\n",
                "Yes. No.",
            ),
            ("> all\r\n> quoted\r\n", "> all > quoted"),
            ("Note:\r\nJoe wrote:\r\n> a\r\n> b\r\n", "Note:"),
            ("-----BEGIN PGP MESSAGE-----\r\n\r\nhQEM\r\n", ""),
            (
                "-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\nHi\r\n\r\nyou\r\n",
                "Hi you",
            ),
            ("caf\u{e9} \u{200b}\u{ad}\u{feff}", "caf\u{e9}"),
        ] {
            assert_eq!(plain(text), want, "{text:?}");
        }
    }

    #[test]
    fn an_answer_below_what_it_answers() {
        let quoted = "> a line that is answered, and quoted whole\r\n";
        let answer = |lines: usize| format!("{}Yes.\r\n", quoted.repeat(lines));
        assert_eq!(plain(&answer(2 * GLANCE / quoted.len())), "Yes.");
        let far = plain(&answer(2 * LOOK_FURTHER / quoted.len()));
        assert!(far.starts_with("> a line"), "{far}");
    }

    #[test]
    fn html_is_read() {
        for (text, want) in [
            ("<p>One</p>\r\n<p>t<b>w</b>o&amp;c</p>", "One two&c"),
            (
                "<html><head><title>News</title><style>p { }</style></head><body>Hi <a href=x>you</a>",
                "Hi you",
            ),
            (
                "Now&zwnj;&nbsp;&zwnj;&nbsp;&#847;&zwnj;&nbsp;<img alt=x src=y>",
                "Now\u{200c}",
            ),
            ("<!-- no --><script>no</script>", ""),
        ] {
            assert_eq!(html(text), want, "{text:?}");
        }
        // The text begins behind a long style sheet.
        let style = |len: usize| format!("<style>{}</style>Text", "p { }\r\n".repeat(len / 7));
        assert_eq!(html(&style(LOOK_FURTHER - 100)), "Text");
        assert_eq!(html(&style(LOOK_FURTHER)), "");
    }

    #[test]
    fn the_first_text_that_is_read() {
        let multipart = |subtype: &str, parts: &[&str]| {
            let mut raw = format!("Content-Type: multipart/{subtype}; boundary=b\r\n\r\n");
            for part in parts {
                raw.push_str(&format!("--b\r\n{part}\r\n"));
            }
            raw + "--b--\r\n"
        };
        let text = "\r\nplain";
        let blank = "\r\n \r\n";
        let html = "Content-Type: text/html\r\n\r\n<p>html";
        let file = "Content-Disposition: attachment; filename=a.txt\r\n\r\nfile";
        let calendar = "Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR";
        let image = "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=";
        let message = "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ninner";
        for (subtype, parts, want) in [
            ("alternative", vec![text, html], "plain"),
            ("alternative", vec![blank, html], "html"),
            ("mixed", vec![file, text], "plain"),
            ("mixed", vec![calendar, html], "html"),
            ("mixed", vec![image, file], ""),
            ("mixed", vec![message, text], "inner"),
            ("encrypted", vec![text], ""),
        ] {
            assert_eq!(of(&multipart(subtype, &parts)), want, "{subtype} {parts:?}");
        }
    }

    #[test]
    fn charsets_and_encodings() {
        let raw = "Content-Type: text/plain; charset=iso-8859-1\r\n\
                   Content-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9 so=\r\nft\r\n";
        assert_eq!(of(raw), "caf\u{e9} soft");
        // An octet of another charset.
        let mixed = b"Content-Type: text/plain; charset=utf-8\r\n\r\nGr\xc3\xbc\xc3\x9fe \xe9";
        assert_eq!(
            preview(Message::parse(mixed).root()),
            "Gr\u{fc}\u{df}e \u{e9}"
        );
        // The place where looking ends is in the middle of a character.
        for shift in 0..4 {
            let text = "\u{2003}".repeat(LOOK_FURTHER / 3 - 100);
            let text = format!("{}{text}{}", "x".repeat(shift), "\u{1f600}".repeat(200));
            let found = plain(&text);
            assert!(
                !found.contains('\u{fffd}') && found.contains('\u{1f600}'),
                "{found}"
            );
        }
    }

    #[test]
    fn what_is_full_looks_no_further() {
        let is_full = |text: &str| collapsed([text].into_iter()).full;
        let x = |n: usize| "x".repeat(n);
        assert!(is_full(&x(300)));
        // What would be the last one is a blank, or belongs to one that does not fit.
        assert!(is_full(&format!("{} yyy", x(199))));
        assert!(is_full(&format!("{}e\u{301}", x(199))));
        assert!(!is_full(&x(100)));
    }

    #[test]
    fn no_character_is_cut() {
        let x = |n: usize| "x".repeat(n);
        assert_eq!(plain(&x(300)), x(PREVIEW_LIMIT));
        assert_eq!(plain(&"\u{e9}".repeat(300)), "\u{e9}".repeat(PREVIEW_LIMIT));
        assert_eq!(plain(&format!("{} y", x(199))), x(199));
        // As many as fit, and one more that belongs to the last.
        for last in [
            "e\u{301}",
            "\u{1f44d}\u{1f3fd}",
            "\u{2764}\u{fe0f}",
            "a\u{200d}b",
        ] {
            let len = last.chars().count();
            let fits = format!("{}{last}", x(PREVIEW_LIMIT - len));
            assert_eq!(plain(&format!("{fits}zz")), fits);
            let cut = format!("{}{last}", x(PREVIEW_LIMIT + 1 - len));
            assert_eq!(
                plain(&format!("{cut}zz")),
                x(PREVIEW_LIMIT + 1 - len),
                "{last}"
            );
        }
    }
}
