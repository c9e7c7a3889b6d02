//! `BODY[section]`: the numbering of RFC 9051 section 6.4.5.1 and the octets that come back.
#![allow(clippy::unwrap_used)]

use std::borrow::Cow;

use murder_mime::{Message, PartWhat, Section, section, section_decoded};

/// The example of RFC 9051 section 6.4.5.1 as a message.
const COMPLEX: &str = "\
Subject: outer\r
Content-Type: multipart/mixed; boundary=o\r
\r
preamble\r
--o\r
Content-Type: text/plain\r
\r
part 1\r
--o\r
Content-Type: application/octet-stream\r
Content-Transfer-Encoding: base64\r
\r
cGFydCAy\r
--o\r
Content-Type: message/rfc822\r
X-Part: 3\r
\r
Subject: message 3\r
From: three@example.org\r
Content-Type: multipart/mixed; boundary=\"3\"\r
\r
--3\r
\r
part 3.1\r
--3\r
Content-Type: application/octet-stream\r
\r
part 3.2\r
--3--\r
\r
--o\r
Content-Type: multipart/mixed; boundary=4\r
\r
--4\r
Content-Type: image/gif\r
Content-ID: <4.1>\r
\r
part 4.1\r
--4\r
Content-Type: message/rfc822\r
\r
Subject: message 4.2\r
Content-Type: multipart/mixed; boundary=42\r
\r
--42\r
\r
part 4.2.1\r
--42\r
Content-Type: multipart/alternative; boundary=422\r
\r
--422\r
\r
part 4.2.2.1\r
--422\r
Content-Type: text/richtext\r
\r
part 4.2.2.2\r
--422--\r
--42--\r
--4--\r
epilogue of 4\r
--o--\r
epilogue\r
";

fn parse_spec(spec: &str) -> Section {
    let mut path = Vec::new();
    let mut rest = spec;
    while let Some(len) = rest
        .find(|c: char| !c.is_ascii_digit())
        .or(Some(rest.len()))
        && len > 0
    {
        path.push(rest[..len].parse().unwrap());
        rest = rest[len..].strip_prefix('.').unwrap_or(&rest[len..]);
    }
    let (word, names) = rest.split_once(' ').unwrap_or((rest, ""));
    let names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
    let not = word == "HEADER.FIELDS.NOT";
    if path.is_empty() {
        return match word {
            "" => Section::Full,
            "HEADER" => Section::Header,
            "TEXT" => Section::Text,
            _ => Section::HeaderFields { names, not },
        };
    }
    let what = match word {
        "" => PartWhat::Body,
        "HEADER" => PartWhat::Header,
        "TEXT" => PartWhat::Text,
        "MIME" => PartWhat::Mime,
        _ => PartWhat::HeaderFields { names, not },
    };
    Section::Part { path, what }
}

fn get(raw: &str, spec: &str) -> Option<String> {
    let wanted = parse_spec(spec);
    let got = section(raw.as_bytes(), &wanted);
    let again = Message::parse(raw.as_bytes()).section(&wanted);
    assert_eq!(got, again, "{spec}");
    got.map(|bytes| String::from_utf8(bytes.into_owned()).unwrap())
}

/// What comes back for the example, with these line ends.
fn check_complex(raw: &str, eol: &str) {
    for (spec, want) in [
        ("1", Some("part 1")),
        ("1.MIME", Some("Content-Type: text/plain\r\n\r\n")),
        ("1.HEADER", None),
        ("1.TEXT", None),
        ("1.1", None),
        ("2", Some("cGFydCAy")),
        (
            "3.HEADER",
            Some(
                "Subject: message 3\r\nFrom: three@example.org\r\nContent-Type: multipart/mixed; boundary=\"3\"\r\n\r\n",
            ),
        ),
        (
            "3.HEADER.FIELDS FROM DATE",
            Some("From: three@example.org\r\n\r\n"),
        ),
        (
            "3.HEADER.FIELDS.NOT from content-type",
            Some("Subject: message 3\r\n\r\n"),
        ),
        (
            "3.MIME",
            Some("Content-Type: message/rfc822\r\nX-Part: 3\r\n\r\n"),
        ),
        (
            "3.TEXT",
            Some(
                "--3\r\n\r\npart 3.1\r\n--3\r\nContent-Type: application/octet-stream\r\n\r\npart 3.2\r\n--3--\r\n",
            ),
        ),
        ("3.1", Some("part 3.1")),
        ("3.1.MIME", Some("\r\n")),
        ("3.2", Some("part 3.2")),
        ("3.3", None),
        ("3.2.1", None),
        ("4.1", Some("part 4.1")),
        (
            "4.1.MIME",
            Some("Content-Type: image/gif\r\nContent-ID: <4.1>\r\n\r\n"),
        ),
        ("4.HEADER", None),
        (
            "4.2.HEADER",
            Some("Subject: message 4.2\r\nContent-Type: multipart/mixed; boundary=42\r\n\r\n"),
        ),
        ("4.2.1", Some("part 4.2.1")),
        ("4.2.2.1", Some("part 4.2.2.1")),
        ("4.2.2.2", Some("part 4.2.2.2")),
        ("4.2.2.2.MIME", Some("Content-Type: text/richtext\r\n\r\n")),
        ("4.2.2.3", None),
        ("5", None),
        ("0", None),
        ("4294967295", None),
        (
            "HEADER",
            Some("Subject: outer\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n"),
        ),
        ("HEADER.FIELDS subject", Some("Subject: outer\r\n\r\n")),
        ("HEADER.FIELDS x", Some("\r\n")),
    ] {
        let want = want.map(|w| w.replace("\r\n", eol));
        assert_eq!(get(raw, spec), want, "{spec}");
    }
    let header = get(raw, "HEADER").unwrap();
    assert_eq!(header + &get(raw, "TEXT").unwrap(), raw);
    assert_eq!(get(raw, "").unwrap(), raw);
    let three = get(raw, "3").unwrap();
    assert_eq!(
        get(raw, "3.HEADER").unwrap() + &get(raw, "3.TEXT").unwrap(),
        three
    );
    let four = get(raw, "4").unwrap();
    assert!(four.starts_with("--4") && four.ends_with("epilogue of 4"));
    assert!(four.contains(&get(raw, "4.2").unwrap()));
}

#[test]
fn numbering_of_the_rfc() {
    check_complex(COMPLEX, "\r\n");
}

#[test]
fn numbering_with_bare_line_feeds() {
    check_complex(&COMPLEX.replace("\r\n", "\n"), "\n");
}

#[test]
fn a_message_without_multipart_has_part_1() {
    let raw = "Subject: x\r\n\r\nbody\r\n";
    assert_eq!(get(raw, "1").as_deref(), Some("body\r\n"));
    assert_eq!(get(raw, "1.MIME").as_deref(), Some("Subject: x\r\n\r\n"));
    assert_eq!(get(raw, "1.1"), None);
    assert_eq!(get(raw, "2"), None);
}

#[test]
fn a_message_that_is_a_message() {
    let raw = "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody\r\n";
    assert_eq!(
        get(raw, "1").as_deref(),
        Some("Subject: in\r\n\r\nbody\r\n")
    );
    assert_eq!(get(raw, "1.HEADER").as_deref(), Some("Subject: in\r\n\r\n"));
    assert_eq!(get(raw, "1.TEXT").as_deref(), Some("body\r\n"));
    assert_eq!(get(raw, "1.1").as_deref(), Some("body\r\n"));
    assert_eq!(get(raw, "1.1.1"), None);
}

#[test]
fn header_fields_keep_their_bytes_and_order() {
    let raw = "Received: a\r\nTO: x,\r\n y\r\nSubject : s\r\nreceived: b\r\njunk line\r\n\r\nbody";
    for (spec, want) in [
        (
            "HEADER.FIELDS Received",
            "Received: a\r\nreceived: b\r\n\r\n",
        ),
        (
            "HEADER.FIELDS to subject",
            "TO: x,\r\n y\r\nSubject : s\r\n\r\n",
        ),
        (
            "HEADER.FIELDS subject to nothing",
            "TO: x,\r\n y\r\nSubject : s\r\n\r\n",
        ),
        (
            "HEADER.FIELDS.NOT received to",
            "Subject : s\r\njunk line\r\n\r\n",
        ),
        ("HEADER.FIELDS rec", "\r\n"),
    ] {
        assert_eq!(get(raw, spec).as_deref(), Some(want), "{spec}");
    }
    // Neither body nor blank line: none is made up (RFC 9051 section 6.4.5.1).
    assert_eq!(
        get("A: 1\r\nB: 2\r\n", "HEADER.FIELDS b").as_deref(),
        Some("B: 2\r\n")
    );
    assert_eq!(
        get("A: 1\r\nB: 2", "HEADER.FIELDS.NOT b").as_deref(),
        Some("A: 1\r\n")
    );
    assert_eq!(get("", "HEADER.FIELDS b").as_deref(), Some(""));
}

#[test]
fn sections_are_not_copied() {
    let raw = COMPLEX.as_bytes();
    for spec in [
        "",
        "HEADER",
        "TEXT",
        "1",
        "4.2.2.1",
        "4.1.MIME",
        "3.HEADER",
        "HEADER.FIELDS subject",
    ] {
        match section(raw, &parse_spec(spec)) {
            Some(Cow::Borrowed(bytes)) => assert!(raw.as_ptr_range().contains(&bytes.as_ptr())),
            // Field and blank line have another field between them.
            Some(Cow::Owned(_)) => assert_eq!(spec, "HEADER.FIELDS subject"),
            None => panic!("{spec}"),
        }
    }
}

#[test]
fn decoded_parts() {
    let raw = "\
Content-Type: multipart/mixed; boundary=b\n\n\
--b\nContent-Transfer-Encoding: Base64 (c)\n\naGVs\nbG8=\n\
--b\nContent-Transfer-Encoding: quoted-printable\n\ncaf=C3=A9 =\nx\n\
--b\nContent-Transfer-Encoding: x-uuencode\n\nbegin 644 x\n\
--b\n\nplain\n\
--b\nContent-Type: message/rfc822\n\nSubject: x\n\nbody\n--b--\n"
        .as_bytes();
    let get = |path: &[u32]| section_decoded(raw, path).map(Cow::into_owned);
    assert_eq!(get(&[1]).unwrap(), b"hello");
    assert_eq!(get(&[2]).unwrap(), "café x".as_bytes());
    assert_eq!(get(&[3]), None);
    assert_eq!(get(&[4]).unwrap(), b"plain");
    assert_eq!(get(&[5]).unwrap(), b"Subject: x\n\nbody");
    assert_eq!(get(&[5, 1]).unwrap(), b"body");
    assert_eq!(get(&[6]), None);
    assert_eq!(get(&[]).unwrap(), raw);
}
