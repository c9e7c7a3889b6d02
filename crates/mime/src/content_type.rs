//! Structured MIME fields: `Content-Type`, `Content-Disposition` and their parameters (RFC 2045
//! section 5.1, RFC 2183), with the continuations and charsets of RFC 2231.

use memchr::memchr;

use crate::PARAMS_LIMIT;
use crate::charset::to_utf8;
use crate::header::unfold;
use crate::transfer::unescape;

/// Octets read of one structured field.
const FIELD_LIMIT: usize = 64 * 1024;

/// A media type with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType {
    /// Type in upper case: `TEXT`.
    pub media: String,
    /// Subtype in upper case: `PLAIN`.
    pub subtype: String,
    /// Parameters in the order of the field.
    pub params: Vec<Param>,
}

/// A `Content-Disposition`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposition {
    /// Disposition in upper case: `ATTACHMENT`.
    pub kind: String,
    /// Parameters in the order of the field.
    pub params: Vec<Param>,
}

/// One parameter, its RFC 2231 continuations put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Name in upper case, without the asterisks of RFC 2231.
    pub name: String,
    /// Value without quoting; UTF-8 if `language` is there, else the octets of the field.
    pub value: Vec<u8>,
    /// `Some` if the value came in the extended form of RFC 2231; its language tag, often empty.
    pub language: Option<Vec<u8>>,
}

impl ContentType {
    /// Reads the value of a `Content-Type` field. `None` if it names no media type.
    pub fn parse(value: &[u8]) -> Option<ContentType> {
        let value = unfold(&value[..value.len().min(FIELD_LIMIT)]);
        let (head, rest) = head(&value);
        let (media, subtype) = match memchr(b'/', &head) {
            Some(slash) => (head[..slash].trim_ascii(), head[slash + 1..].trim_ascii()),
            // RFC 822 mail had "Content-Type: text".
            None if head.eq_ignore_ascii_case(b"text") => (&head[..], &b"PLAIN"[..]),
            None => return None,
        };
        // "text/html charset=utf-8": mailers forget the semicolon.
        let subtype = &subtype[..word_len(subtype)];
        Some(ContentType {
            media: token(media)?,
            subtype: token(subtype)?,
            params: params(rest),
        })
    }

    /// `TEXT/PLAIN; CHARSET=US-ASCII`: what a part without (valid) `Content-Type` is.
    pub fn text_plain() -> ContentType {
        ContentType {
            media: "TEXT".into(),
            subtype: "PLAIN".into(),
            params: vec![Param {
                name: "CHARSET".into(),
                value: b"US-ASCII".to_vec(),
                language: None,
            }],
        }
    }

    pub(crate) fn plain(media: &str, subtype: &str) -> ContentType {
        ContentType {
            media: media.into(),
            subtype: subtype.into(),
            params: Vec::new(),
        }
    }

    /// The value of a parameter, named in upper case.
    pub fn param(&self, name: &str) -> Option<&[u8]> {
        find(&self.params, name)
    }

    /// Whether this is `multipart/*`.
    pub fn is_multipart(&self) -> bool {
        self.media == "MULTIPART"
    }

    /// Whether this is `text/*`.
    pub fn is_text(&self) -> bool {
        self.media == "TEXT"
    }

    /// Whether this is `message/rfc822` or `message/global`.
    pub fn is_message(&self) -> bool {
        self.media == "MESSAGE" && (self.subtype == "RFC822" || self.subtype == "GLOBAL")
    }
}

impl Disposition {
    /// Reads the value of a `Content-Disposition` field. `None` if it names no disposition.
    pub fn parse(value: &[u8]) -> Option<Disposition> {
        let value = unfold(&value[..value.len().min(FIELD_LIMIT)]);
        let (head, rest) = head(&value);
        Some(Disposition {
            kind: token(&head[..word_len(&head)])?,
            params: params(rest),
        })
    }

    /// The value of a parameter, named in upper case; the RFC 2231 form goes before the plain one.
    pub fn param(&self, name: &str) -> Option<&[u8]> {
        find(&self.params, name)
    }
}

/// What stands before the first `;`, without comments, and the rest.
fn head(value: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut scan = Scan { rest: value };
    let mut head = Vec::new();
    while let Some(b) = scan.peek() {
        match b {
            b';' => break,
            b'(' => scan.comment(),
            _ => {
                head.push(b);
                scan.skip(1);
            }
        }
    }
    (head.trim_ascii().to_vec(), scan.rest)
}

/// The first word of a field without comments, e.g. a transfer encoding.
pub(crate) fn first_word(value: &[u8]) -> Vec<u8> {
    let mut word = head(value).0;
    word.truncate(word_len(&word));
    word
}

fn word_len(bytes: &[u8]) -> usize {
    let blank = bytes.iter().position(u8::is_ascii_whitespace);
    blank.unwrap_or(bytes.len())
}

/// The tags of a `Content-Language` field (RFC 3282), without comments.
pub(crate) fn language_tags(value: &[u8]) -> Vec<Vec<u8>> {
    let value = unfold(&value[..value.len().min(FIELD_LIMIT)]);
    let mut clean = Vec::new();
    let mut scan = Scan { rest: &value };
    while let Some(b) = scan.peek() {
        if b == b'(' {
            scan.comment();
            clean.push(b' ');
        } else {
            clean.push(b);
            scan.skip(1);
        }
    }
    clean
        .split(|b| *b == b',')
        .map(|tag| tag.trim_ascii().to_vec())
        .filter(|tag| !tag.is_empty())
        .take(PARAMS_LIMIT)
        .collect()
}

fn find<'a>(params: &'a [Param], name: &str) -> Option<&'a [u8]> {
    let extended = params
        .iter()
        .find(|p| p.name == name && p.language.is_some());
    let any = extended.or_else(|| params.iter().find(|p| p.name == name));
    any.map(|p| p.value.as_slice())
}

/// An RFC 2045 token in upper case.
fn token(bytes: &[u8]) -> Option<String> {
    let special = |b: &u8| br#"()<>@,;:\"/[]?="#.contains(b);
    if bytes.is_empty() || !bytes.iter().all(|b| b.is_ascii_graphic() && !special(b)) {
        return None;
    }
    String::from_utf8(bytes.to_ascii_uppercase()).ok()
}

/// One `name=value` as written.
struct Segment {
    /// Upper case, without the RFC 2231 suffix.
    name: String,
    /// The number of a continuation (`*0`).
    number: Option<u32>,
    /// Percent-encoded (a final `*`).
    extended: bool,
    value: Vec<u8>,
}

fn params(rest: &[u8]) -> Vec<Param> {
    let segments = segments(rest);
    let mut out: Vec<Param> = Vec::new();
    for (i, segment) in segments.iter().enumerate() {
        let same = |s: &&Segment| {
            s.name == segment.name
                && s.number.is_some() == segment.number.is_some()
                && (s.number.is_some() || s.extended == segment.extended)
        };
        if segments[..i].iter().any(|s| same(&s)) {
            continue;
        }
        let chain: Vec<&Segment> = match segment.number {
            None => vec![segment],
            Some(_) => (0..)
                .map_while(|n| {
                    segments
                        .iter()
                        .find(|s| s.name == segment.name && s.number == Some(n))
                })
                .collect(),
        };
        if let Some(param) = join(&segment.name, &chain) {
            out.push(param);
        }
    }
    out
}

/// RFC 2231 sections 3 and 4. `None` for a chain that lacks its `*0`.
fn join(name: &str, chain: &[&Segment]) -> Option<Param> {
    let first = chain.first()?;
    let mut value = Vec::new();
    let mut charset: &[u8] = b"";
    let mut language = None;
    for (i, segment) in chain.iter().enumerate() {
        let mut text = segment.value.as_slice();
        if segment.extended {
            if i == 0 {
                language = Some(Vec::new());
                let mut quotes = text.splitn(3, |b| *b == b'\'');
                if let (Some(set), Some(lang), Some(rest)) =
                    (quotes.next(), quotes.next(), quotes.next())
                {
                    charset = set;
                    language = Some(lang.to_vec());
                    text = rest;
                }
            }
            unescape(&mut value, text, b'%');
        } else {
            value.extend_from_slice(text);
        }
    }
    if first.extended {
        value = to_utf8(Some(charset), &value).into_owned().into_bytes();
    }
    Some(Param {
        name: name.to_owned(),
        value,
        language,
    })
}

fn segments(rest: &[u8]) -> Vec<Segment> {
    let mut scan = Scan { rest };
    let mut out = Vec::new();
    while out.len() < PARAMS_LIMIT && scan.next_param() {
        let name = scan.name();
        if scan.peek() != Some(b'=') {
            continue;
        }
        scan.skip(1);
        scan.blanks();
        let value = if scan.peek() == Some(b'"') {
            scan.quoted()
        } else {
            scan.unquoted()
        };
        if let Some(segment) = segment(&name, value) {
            out.push(segment);
        }
    }
    out
}

/// Takes the name apart: `name`, `name*`, `name*N`, `name*N*`.
fn segment(name: &[u8], value: Vec<u8>) -> Option<Segment> {
    let (base, extended) = match name {
        [base @ .., b'*'] => (base, true),
        _ => (name, false),
    };
    let (base, number) = match base.iter().rposition(|b| *b == b'*') {
        Some(star) => {
            let digits = std::str::from_utf8(&base[star + 1..]).ok()?;
            (&base[..star], Some(digits.parse::<u32>().ok()?))
        }
        None => (base, None),
    };
    Some(Segment {
        name: token(base)?,
        number,
        extended,
        value,
    })
}

/// A cursor over an unfolded field.
struct Scan<'a> {
    rest: &'a [u8],
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn skip(&mut self, n: usize) {
        self.rest = self.rest.get(n..).unwrap_or_default();
    }

    /// White space and comments.
    fn blanks(&mut self) {
        while let Some(b) = self.peek() {
            match b {
                b'(' => self.comment(),
                _ if b.is_ascii_whitespace() => self.skip(1),
                _ => return,
            }
        }
    }

    /// A comment with those inside it; without its end, the rest of the field.
    fn comment(&mut self) {
        let mut depth = 0usize;
        while let Some(b) = self.peek() {
            match b {
                b'\\' => self.skip(1),
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            self.skip(1);
            if depth == 0 {
                return;
            }
        }
    }

    /// Moves past the next `;` and the blanks after it.
    fn next_param(&mut self) -> bool {
        while let Some(b) = self.peek() {
            match b {
                b';' => {
                    self.skip(1);
                    self.blanks();
                    return !self.rest.is_empty();
                }
                b'"' => {
                    self.quoted();
                }
                b'(' => self.comment(),
                _ => self.skip(1),
            }
        }
        false
    }

    /// Up to `=` or `;`.
    fn name(&mut self) -> Vec<u8> {
        let len = memchr::memchr2(b'=', b';', self.rest).unwrap_or(self.rest.len());
        let name = self.rest[..len].trim_ascii().to_vec();
        self.skip(len);
        name
    }

    /// A quoted string, its quoting removed; without its end, the rest of the field.
    fn quoted(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.skip(1);
        while let Some(b) = self.peek() {
            self.skip(1);
            match b {
                b'"' => break,
                b'\\' => {
                    if let Some(escaped) = self.peek() {
                        out.push(escaped);
                        self.skip(1);
                    }
                }
                _ => out.push(b),
            }
        }
        out
    }

    /// Up to `;`. Spaces inside stay, since mailers forget to quote file names; comments go.
    fn unquoted(&mut self) -> Vec<u8> {
        let mut out: Vec<u8> = Vec::new();
        while let Some(b) = self.peek() {
            match b {
                b';' => break,
                b'(' if out.last().is_none_or(u8::is_ascii_whitespace) => self.comment(),
                _ => {
                    out.push(b);
                    self.skip(1);
                }
            }
        }
        out.trim_ascii().to_vec()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn flat(value: &str) -> String {
        match ContentType::parse(value.as_bytes()) {
            None => "-".into(),
            Some(c) => {
                let mut out = format!("{}/{}", c.media, c.subtype);
                for p in &c.params {
                    let star = if p.language.is_some() { "*" } else { "" };
                    let value = String::from_utf8_lossy(&p.value);
                    out.push_str(&format!(" {}{star}=[{value}]", p.name));
                }
                out
            }
        }
    }

    #[test]
    fn media_types() {
        for (value, want) in [
            ("text/plain", "TEXT/PLAIN"),
            (" Text/HTML ; Charset=utf-8", "TEXT/HTML CHARSET=[utf-8]"),
            (
                "text/plain; charset=us-ascii (Plain text)",
                "TEXT/PLAIN CHARSET=[us-ascii]",
            ),
            ("text / plain (c(d)\\)) ; a = b", "TEXT/PLAIN A=[b]"),
            ("text/(c)plain(d); a=(e)b (f)", "TEXT/PLAIN A=[b]"),
            ("a/b; name=copy(1).txt", "A/B NAME=[copy(1).txt]"),
            ("text", "TEXT/PLAIN"),
            ("image", "-"),
            ("", "-"),
            ("/plain", "-"),
            ("text/", "-"),
            ("a/b/c", "-"),
            ("te\u{e9}/x", "-"),
            (
                "a/b; name=\"a \\\"b\\\" ; c\"; x=y",
                "A/B NAME=[a \"b\" ; c] X=[y]",
            ),
            ("a/b; name=My File.txt; x=y", "A/B NAME=[My File.txt] X=[y]"),
            ("a/b; name=\"open", "A/B NAME=[open]"),
            ("a/b; flag; x=y;;; =z; z=", "A/B X=[y] Z=[]"),
            ("a/b; x=1; X=2", "A/B X=[1]"),
            ("a/b;\r\n\tx=1;\n y=2", "A/B X=[1] Y=[2]"),
            ("a/b junk; x=1", "A/B X=[1]"),
            ("a/b; x=\"1\" junk \"; q\"; y=2", "A/B X=[1] Y=[2]"),
            ("a/b; x=((((", "A/B X=[]"),
            (
                "multipart/mixed; boundary==_a=b",
                "MULTIPART/MIXED BOUNDARY=[=_a=b]",
            ),
        ] {
            assert_eq!(flat(value), want, "{value}");
        }
    }

    #[test]
    fn rfc2231() {
        for (value, want) in [
            // RFC 2231 section 3
            (
                "message/external-body; access-type=URL; URL*0=\"ftp://\"; \
                 URL*1=\"cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\"",
                "MESSAGE/EXTERNAL-BODY ACCESS-TYPE=[URL] \
                 URL=[ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar]",
            ),
            // section 4
            (
                "application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
                "APPLICATION/X-STUFF TITLE*=[This is ***fun***]",
            ),
            // section 4.1
            (
                "application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20; \
                 title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"",
                "APPLICATION/X-STUFF TITLE*=[This is even more ***fun*** isn't it!]",
            ),
            ("a/b; n*=iso-8859-1''caf%E9", "A/B N*=[caf\u{e9}]"),
            ("a/b; n*=caf%C3%A9", "A/B N*=[caf\u{e9}]"),
            // An octet that is not of the charset; a character split between segments.
            (
                "a/b; n*=utf-8''Gr%C3%BC%C3%9Fe%E9.pdf",
                "A/B N*=[Gr\u{fc}\u{df}e\u{e9}.pdf]",
            ),
            ("a/b; n*0*=UTF-8''a%C3; n*1*=%BCb", "A/B N*=[a\u{fc}b]"),
            ("a/b; n*=cp949''%C7%D1.txt", "A/B N*=[\u{d55c}.txt]"),
            (
                "a/b; n*=iso-2022-jp''%1B$BF|%1B(B%1B$BK%5C%1B(B",
                "A/B N*=[\u{65e5}\u{672c}]",
            ),
            ("a/b; n*1=b; n*0=a; n*3=d", "A/B N=[ab]"),
            ("a/b; n*1=b", "A/B"),
            ("a/b; n*x=b; *0=c; *=d", "A/B"),
            ("a/b; n=plain; n*=utf-8''ext", "A/B N=[plain] N*=[ext]"),
            ("a/b; n*=utf-8''%zz%", "A/B N*=[%zz%]"),
        ] {
            assert_eq!(flat(value), want, "{value}");
        }
        let d = Disposition::parse(b"attachment; filename=x; filename*=utf-8'en'y").unwrap();
        assert_eq!(d.kind, "ATTACHMENT");
        assert_eq!(d.param("FILENAME"), Some(&b"y"[..]));
        assert_eq!(d.params[1].language.as_deref(), Some(&b"en"[..]));
    }

    #[test]
    fn params_are_bounded() {
        let many: String = (0..10_000).map(|i| format!("; p{i}=v")).collect();
        let c = ContentType::parse(format!("a/b{many}").as_bytes()).unwrap();
        assert_eq!(c.params.len(), PARAMS_LIMIT);
    }

    #[test]
    fn languages() {
        assert_eq!(
            language_tags(b" en, (x) fr (y) ,,"),
            [b"en".to_vec(), b"fr".to_vec()]
        );
        assert!(language_tags(b"  ").is_empty());
    }
}
