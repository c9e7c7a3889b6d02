//! Messages of Python's email tests (`tests/data/README.md`): their parts, as Python's parser
//! sees them where it sees well, with the line ends they have and with CRLF.
#![allow(clippy::unwrap_used)]

mod response;

use std::fs;
use std::path::Path;

use murder_mime::{FetchItems, Message, Part, PartKind};
use response::{Value, check_body, check_envelope};

/// `number type size` of every part; `m` for a message inside, whose parts follow.
fn outline(part: &Part<'_>, number: &str, out: &mut Vec<String>) {
    let content_type = part.content_type();
    let (media, subtype) = (&content_type.media, &content_type.subtype);
    let number = number.trim_start_matches('.');
    out.push(format!("{number} {media}/{subtype} {}", part.body().len()));
    match part.kind() {
        PartKind::Leaf => {}
        PartKind::Multipart(parts) => {
            for (i, child) in parts.iter().enumerate() {
                outline(child, &format!("{number}.{}", i + 1), out);
            }
        }
        PartKind::Message(inner) => outline(inner, &format!("{number}.m"), out),
    }
}

fn bodies<'a>(part: &Part<'a>, out: &mut Vec<&'a [u8]>) {
    out.push(part.header());
    out.push(part.body());
    match part.kind() {
        PartKind::Leaf => {}
        PartKind::Multipart(parts) => parts.iter().for_each(|p| bodies(p, out)),
        PartKind::Message(inner) => bodies(inner, out),
    }
}

fn crlf(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.split(|b| *b == b'\n').collect::<Vec<_>>();
    lines.join(&b"\r\n"[..])
}

fn check(name: &str, want: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    let raw = fs::read(path).unwrap();
    let message = Message::parse(&raw);
    let mut got = Vec::new();
    outline(message.root(), "", &mut got);
    assert_eq!(got, want, "{name}");

    let wired = crlf(&raw);
    let (mut plain, mut sent) = (Vec::new(), Vec::new());
    bodies(message.root(), &mut plain);
    bodies(Message::parse(&wired).root(), &mut sent);
    let plain: Vec<Vec<u8>> = plain.into_iter().map(crlf).collect();
    assert_eq!(plain, sent, "{name} with CRLF");

    for raw in [&raw, &wired] {
        let items = FetchItems::compute(raw);
        check_envelope(&Value::read(&items.envelope));
        check_body(&Value::read(&items.body), false);
        check_body(&Value::read(&items.bodystructure), true);
    }
}

#[test]
fn a_digest_in_a_multipart() {
    check(
        "msg_02.txt",
        &[
            " MULTIPART/MIXED 2508",
            "1 TEXT/PLAIN 405",
            "2 TEXT/PLAIN 192",
            "3 MULTIPART/DIGEST 1229",
            "3.1 MESSAGE/RFC822 235",
            "3.1.m TEXT/PLAIN 8",
            "3.2 MESSAGE/RFC822 209",
            "3.2.m TEXT/PLAIN 8",
            "3.3 MESSAGE/RFC822 235",
            "3.3.m TEXT/PLAIN 8",
            "3.4 MESSAGE/RFC822 235",
            "3.4.m TEXT/PLAIN 8",
            "3.5 MESSAGE/RFC822 237",
            "3.5.m TEXT/PLAIN 10",
            "4 TEXT/PLAIN 118",
        ],
    );
}

#[test]
fn an_image() {
    check(
        "msg_07.txt",
        &[
            " MULTIPART/MIXED 5006",
            "1 TEXT/PLAIN 36",
            "2 IMAGE/GIF 4746",
        ],
    );
}

#[test]
fn nested_parts_of_one_boundary() {
    check(
        "msg_15.txt",
        &[
            " MULTIPART/MIXED 885",
            "1 MULTIPART/ALTERNATIVE 427",
            "1.1 TEXT/PLAIN 20",
            "1.2 TEXT/HTML 98",
            "2 IMAGE/GIF 35",
        ],
    );
}

#[test]
fn a_delivery_report() {
    check(
        "msg_16.txt",
        &[
            " MULTIPART/REPORT 3627",
            "1 TEXT/PLAIN 438",
            "2 MESSAGE/DELIVERY-STATUS 265",
            "3 MESSAGE/RFC822 2646",
            "3.m TEXT/PLAIN 199",
        ],
    );
}

#[test]
fn a_digest_whose_parts_say_what_they_are() {
    check(
        "msg_28.txt",
        &[
            " MULTIPART/DIGEST 289",
            "1 MESSAGE/RFC822 96",
            "1.m TEXT/PLAIN 10",
            "2 MESSAGE/RFC822 96",
            "2.m TEXT/PLAIN 10",
        ],
    );
}

#[test]
fn a_continued_parameter() {
    check("msg_29.txt", &[" TEXT/PLAIN 37"]);
}

#[test]
fn external_bodies() {
    check(
        "msg_36.txt",
        &[
            " MULTIPART/MIXED 608",
            "1 TEXT/PLAIN 15",
            "2 MULTIPART/ALTERNATIVE 493",
            "2.1 MESSAGE/EXTERNAL-BODY 133",
            "2.2 MESSAGE/EXTERNAL-BODY 68",
        ],
    );
}

#[test]
fn boundaries_as_content() {
    check(
        "msg_38.txt",
        &[
            " MULTIPART/MIXED 2467",
            "1 MULTIPART/MIXED 447",
            "1.1 MULTIPART/ALTERNATIVE 282",
            "1.1.1 TEXT/PLAIN 124",
            "1.2 TEXT/PLAIN 0",
            "2 TEXT/PLAIN 1556",
            "3 TEXT/PLAIN 50",
        ],
    );
}

#[test]
fn a_multipart_of_a_closing_boundary() {
    check(
        "msg_42.txt",
        &[
            " MULTIPART/MIXED 198",
            "1 TEXT/PLAIN 6",
            "2 MESSAGE/RFC822 102",
            "2.m TEXT/PLAIN 8",
        ],
    );
}

#[test]
fn a_long_delivery_status() {
    check(
        "msg_43.txt",
        &[
            " MULTIPART/REPORT 8375",
            "1 TEXT/PLAIN 1168",
            "2 MESSAGE/DELIVERY-STATUS 6106",
            "3 TEXT/RFC822-HEADERS 530",
        ],
    );
}
