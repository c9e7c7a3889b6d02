//! Input made to hurt: it has a structure, within the limits, and is served as it came. Much of
//! it is large enough that anything quadratic would not end.
#![allow(clippy::unwrap_used)]

mod response;

use murder_mime::{
    ADDRESSES_LIMIT, DEPTH_LIMIT, FetchItems, Message, PARTS_LIMIT, Part, PartKind, STRING_LIMIT,
    Section, addresses, for_each_text, header_search_text, section,
};
use response::{Value, check_body, check_envelope};

const MANY: usize = 200_000;

fn count(part: &Part<'_>) -> usize {
    1 + match part.kind() {
        PartKind::Leaf => 0,
        PartKind::Multipart(parts) => parts.iter().map(count).sum(),
        PartKind::Message(inner) => count(inner),
    }
}

fn depth(part: &Part<'_>) -> usize {
    1 + match part.kind() {
        PartKind::Leaf => 0,
        PartKind::Multipart(parts) => parts.iter().map(depth).max().unwrap(),
        PartKind::Message(inner) => depth(inner),
    }
}

/// Everything once; the grammar is checked by reading it.
fn survives(raw: &[u8]) -> FetchItems {
    let items = FetchItems::compute(raw);
    check_envelope(&Value::read(&items.envelope));
    check_body(&Value::read(&items.body), false);
    check_body(&Value::read(&items.bodystructure), true);
    assert_eq!(section(raw, &Section::Full).as_deref(), Some(raw));
    let header = section(raw, &Section::Header).unwrap().into_owned();
    let text = section(raw, &Section::Text).unwrap().into_owned();
    assert_eq!([header, text].concat(), raw);
    assert!(for_each_text(raw, &mut |_| true));
    header_search_text(raw);
    items
}

#[test]
fn repeated_junk() {
    let multipart = "Content-Type: multipart/mixed; boundary=b\n\n";
    for (head, unit) in [
        ("", "\0"),
        ("", "\r"),
        ("", "\n"),
        ("", "\r\n "),
        ("", "\u{ff}"),
        ("", ":"),
        ("", "a:\n"),
        ("", "a"),
        ("", "Content-Type: text/plain\n"),
        ("From: ", "("),
        ("From: ", "<"),
        ("From: ", "\\"),
        ("From: ", "\""),
        ("From: ", "@"),
        ("From: ", ":"),
        ("From: ", "g:;"),
        ("From: ", "<@"),
        ("From: ", "a@b<"),
        ("From: ", ",\n "),
        ("Date: ", "("),
        ("Date: ", "1 Jan "),
        ("Subject: ", "=?"),
        ("Subject: ", "=?a?q?"),
        ("Subject: ", "=?utf-8?b?4?= "),
        ("Subject: ", "=?utf-8?q?=ff?="),
        ("Content-Type: text/plain", ";"),
        ("Content-Type: text/plain", "; a*1=b"),
        ("Content-Type: text/plain; a=", "\""),
        ("Content-Type: text/plain; a=", "("),
        ("Content-Type: text/plain; a=\"", "\\"),
        ("Content-Type: text/plain", ";*"),
        ("Content-Type: ", "/"),
        ("Content-Disposition: ", "\"("),
        ("Content-Language: ", "a,"),
        ("Content-Transfer-Encoding: ", "("),
        (multipart, "--"),
        (multipart, "--\n"),
        (multipart, "--b"),
        (multipart, "\n--b-"),
        ("Content-Transfer-Encoding: base64\n\n", "="),
        ("Content-Transfer-Encoding: base64\n\n", "A"),
        ("Content-Transfer-Encoding: quoted-printable\n\n", "="),
        ("Content-Transfer-Encoding: quoted-printable\n\n", " "),
        ("Content-Type: text/plain; charset=utf-7\n\n", "+"),
        (
            "Content-Type: text/plain; charset=iso-2022-jp\n\n",
            "\u{1b}$B",
        ),
    ] {
        survives(format!("{head}{}", unit.repeat(MANY / unit.len())).as_bytes());
    }
}

#[test]
fn eight_bit_octets_that_are_no_utf_8() {
    let mut raw = b"From: \xff\xfe <\xe9@\xe8>\nSubject: \xe9\0\nContent-Type: text/plain; name=\xe9\nContent-ID: \xe9\n\n".to_vec();
    raw.extend(0..=255);
    let items = survives(&raw);
    let envelope = Value::read(&items.envelope);
    assert_eq!(envelope.list()[1].text(), b"\xe9");
    assert_eq!(items.header_len as usize, raw.len() - 256);
}

#[test]
fn parts_are_bounded() {
    let mut raw = b"Content-Type: multipart/mixed; boundary=b\n\n".to_vec();
    raw.extend(b"--b\n\nx\n".repeat(PARTS_LIMIT * 2));
    raw.extend_from_slice(b"--b--\n");
    survives(&raw);
    let message = Message::parse(&raw);
    assert_eq!(count(message.root()), PARTS_LIMIT + 1);
    let PartKind::Multipart(parts) = message.root().kind() else {
        panic!("a multipart")
    };
    let last = parts.last().unwrap();
    assert_eq!(last.content_type().media, "APPLICATION");
    assert!(last.body().len() > PARTS_LIMIT * 7);
    assert_eq!(last.body_range().end, raw.len());
}

#[test]
fn nested_multiparts_are_bounded() {
    let mut raw = String::new();
    for i in 0..DEPTH_LIMIT * 20 {
        raw.push_str(&format!(
            "Content-Type: multipart/mixed; boundary=b{i}\n\n--b{i}\n"
        ));
    }
    survives(raw.as_bytes());
    let message = Message::parse(raw.as_bytes());
    assert_eq!(depth(message.root()), DEPTH_LIMIT + 1);
    // And the deepest can be had by its number.
    let path = vec![1; DEPTH_LIMIT];
    let deepest = message.part(&path).unwrap();
    assert_eq!(deepest.content_type().subtype, "OCTET-STREAM");
    assert!(message.part(&[path, vec![1]].concat()).is_none());
}

#[test]
fn nested_messages_are_bounded() {
    let raw = "Content-Type: message/rfc822\n\n".repeat(MANY / 10);
    survives(raw.as_bytes());
    assert_eq!(
        depth(Message::parse(raw.as_bytes()).root()),
        DEPTH_LIMIT + 1
    );
}

#[test]
fn levels_and_parts_at_once() {
    let mut raw = String::new();
    for i in 0..DEPTH_LIMIT {
        raw.push_str(&format!(
            "Content-Type: multipart/mixed; boundary=b{i}\n\n--b{i}\n"
        ));
    }
    for i in (0..DEPTH_LIMIT).rev() {
        raw.push_str(&format!("\n--b{i}\n\nx").repeat(200));
    }
    survives(raw.as_bytes());
    assert!(count(Message::parse(raw.as_bytes()).root()) <= PARTS_LIMIT + DEPTH_LIMIT);
}

#[test]
fn long_values_are_cut_in_the_envelope_only() {
    let subject = "é".repeat(STRING_LIMIT);
    let raw = format!("Subject: {subject}\n\n");
    let items = survives(raw.as_bytes());
    let envelope = Value::read(&items.envelope);
    assert_eq!(envelope.list()[1].text().len(), STRING_LIMIT);
    assert_eq!(items.header_len as usize, raw.len());

    let list = "a@b,".repeat(ADDRESSES_LIMIT);
    assert_eq!(addresses(list.as_bytes()).len(), ADDRESSES_LIMIT / 4);
}

#[test]
fn as_many_names_as_fields() {
    let names: Vec<String> = (0..MANY / 10).map(|n| format!("X-{n}")).collect();
    let header: String = (0..MANY).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let raw = format!("{header}\r\nbody");
    for (not, fields) in [(false, MANY / 10), (true, MANY - MANY / 10)] {
        let names = names.clone();
        let found = section(raw.as_bytes(), &Section::HeaderFields { names, not }).unwrap();
        let lines = found.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(lines, fields + 1);
    }
}
