//! The invariants of the crate's page, for messages put together from the lines that matter and
//! for arbitrary octets.
#![allow(clippy::unwrap_used)]

mod response;

use murder_mime::{
    FetchItems, Message, PREVIEW_LIMIT, Part, PartKind, PartWhat, Section, addresses,
    contains_folded, fields, fold, for_each_text, header_len, header_raw, header_search_text,
    header_text, is_listed, message_id, parse_date, section, section_decoded,
};
use proptest::prelude::*;
use response::{Value, check_body, check_envelope};

/// Lines that make structure; what a random string would take for ever to hit on.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let fixed: Vec<&'static [u8]> = vec![
        b"",
        b"",
        b"--a",
        b"--b",
        b"--a--",
        b"--b--",
        b"--ab ",
        b"Content-Type: multipart/mixed; boundary=a",
        b"Content-Type: multipart/digest; boundary=\"b\"",
        b"Content-Type: multipart/alternative; boundary=ab",
        b"Content-Type: multipart/mixed",
        b"Content-Type: message/rfc822",
        b"Content-Type: message/global",
        b"Content-Type: text/html; charset=iso-2022-jp; name*0*=utf-8'x'%e9; name*1=\"q\\\"",
        b"Content-Type: image/",
        b"Content-Transfer-Encoding: base64",
        b"Content-Transfer-Encoding: quoted-printable",
        b"Content-Disposition: attachment; filename=\"a\0b\xff\"",
        b"Content-Language: en, fr",
        b"Content-ID: <x>",
        b"Content-MD5: \r",
        b"Content-Location: {5}",
        b"From: G: a@b, \"c\" <d@e>;, (x) <@r:f@g>",
        b"To: \\",
        b"Subject: =?utf-8?b?w6k=?= =?utf-8?q?=c3",
        b"Date: Wed, 17 Jul 1996 02:23:25 -0700",
        b"Message-ID: <m@x>",
        b" folded",
        b"\t",
        b"text =E9=\xe9",
    ];
    prop_oneof![
        8 => prop::sample::select(fixed).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => "[A-Za-z-]{1,12}: [ -~]{0,40}".prop_map(String::into_bytes),
    ]
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let eol = prop_oneof![Just(&b"\r\n"[..]), Just(&b"\n"[..])];
    (prop::collection::vec((line(), eol), 0..40), any::<bool>()).prop_map(|(lines, ended)| {
        let mut raw: Vec<u8> = Vec::new();
        for (line, eol) in lines {
            raw.extend(line);
            raw.extend(eol);
        }
        if !ended {
            raw.truncate(raw.len().saturating_sub(1));
        }
        raw
    })
}

fn check_part(raw: &[u8], part: &Part<'_>) {
    let (header, body) = (part.header_range(), part.body_range());
    assert!(header.start <= header.end && header.end == body.start);
    assert!(body.start <= body.end && body.end <= raw.len());
    assert_eq!(part.entity(), &raw[header.start..body.end]);
    assert_eq!(
        part.lines(),
        part.body().iter().filter(|b| **b == b'\n').count()
    );
    let own: usize = fields(part.header()).map(|f| f.whole.len()).sum();
    assert!(
        part.header().len() - own <= 2,
        "a header is its fields and a blank line"
    );
    match part.kind() {
        PartKind::Leaf => {
            part.decoded();
            part.text();
        }
        PartKind::Message(inner) => {
            assert!(part.content_type().is_message());
            assert_eq!(inner.entity(), part.body());
            check_part(raw, inner);
        }
        PartKind::Multipart(parts) => {
            assert!(part.content_type().is_multipart() && !parts.is_empty());
            let mut at = body.start;
            for child in parts {
                // A delimiter of at least "--x" is before each.
                assert!(child.header_range().start >= at + 3);
                at = child.body_range().end;
                check_part(raw, child);
            }
            assert!(at <= body.end);
        }
    }
}

/// Every part that has a number, by its number, is the part of the tree.
fn check_numbers(message: &Message<'_>, part: &Part<'_>, path: &[u32]) {
    let raw = message.raw();
    let get = |what| {
        let path = path.to_vec();
        section(raw, &Section::Part { path, what })
    };
    if !path.is_empty() {
        assert_eq!(get(PartWhat::Body).unwrap(), part.body());
        assert_eq!(get(PartWhat::Mime).unwrap(), part.header());
        if !matches!(part.kind(), PartKind::Leaf) {
            assert_eq!(section_decoded(raw, path).unwrap(), part.body());
        }
    }
    let below = |n: usize| [path, &[u32::try_from(n).unwrap()]].concat();
    match part.kind() {
        PartKind::Leaf if path.is_empty() => {
            assert_eq!(get_body(raw, &[1]), part.body());
            assert!(message.part(&[2]).is_none());
        }
        PartKind::Leaf => assert!(message.part(&below(1)).is_none()),
        PartKind::Multipart(parts) => {
            for (i, child) in parts.iter().enumerate() {
                check_numbers(message, child, &below(i + 1));
            }
            assert!(message.part(&below(parts.len() + 1)).is_none());
        }
        PartKind::Message(inner) => {
            // At the top, part 1 is the message that the message is.
            let path = if path.is_empty() {
                vec![1]
            } else {
                path.to_vec()
            };
            let what = |what| Section::Part {
                path: path.clone(),
                what,
            };
            let header = section(raw, &what(PartWhat::Header)).unwrap();
            let text = section(raw, &what(PartWhat::Text)).unwrap();
            assert_eq!([header.as_ref(), text.as_ref()].concat(), part.body());
            if let PartKind::Multipart(parts) = inner.kind() {
                for (i, child) in parts.iter().enumerate() {
                    let n = u32::try_from(i + 1).unwrap();
                    check_numbers(message, child, &[&path[..], &[n]].concat());
                }
            } else {
                let only = [&path[..], &[1]].concat();
                assert_eq!(get_body(raw, &only), inner.body());
            }
        }
    }
}

fn get_body(raw: &[u8], path: &[u32]) -> Vec<u8> {
    let what = PartWhat::Body;
    let path = path.to_vec();
    section(raw, &Section::Part { path, what })
        .unwrap()
        .into_owned()
}

fn check_all(raw: &[u8]) {
    let message = Message::parse(raw);
    let root = message.root();
    assert_eq!(root.entity(), raw);
    assert_eq!(root.header().len(), header_len(raw));
    check_part(raw, root);
    check_numbers(&message, root, &[]);

    let items = FetchItems::compute(raw);
    assert_eq!(items, FetchItems::of(&message));
    check_envelope(&Value::read(&items.envelope));
    check_body(&Value::read(&items.body), false);
    check_body(&Value::read(&items.bodystructure), true);
    assert_eq!(items.header_len as usize, header_len(raw));
    assert_eq!(items.sent.is_some(), items.sent_date.is_some());
    assert!(items.preview.chars().count() <= PREVIEW_LIMIT);
    assert!(!items.preview.contains(char::is_control));

    // What HEADER.FIELDS takes and what it leaves are together the header.
    let names = vec!["Subject".to_owned(), "content-type".to_owned()];
    let fields_of = |not| {
        let names = names.clone();
        section(raw, &Section::HeaderFields { names, not })
            .unwrap()
            .into_owned()
    };
    let blank = root.header().len() - fields(raw).map(|f| f.whole.len()).sum::<usize>();
    let (these, others) = (fields_of(false), fields_of(true));
    assert_eq!(these.len() + others.len(), root.header().len() + blank);

    // What is kept for lists gives the same as the message.
    let listed = items.listed.unwrap();
    for names in [
        vec!["Subject"],
        vec!["to", "FROM", "Content-Type"],
        vec!["Content-Language", "Message-ID", "X-Priority"],
        vec!["Priority"],
    ] {
        assert!(is_listed(names.iter().copied()));
        let names = names.into_iter().map(str::to_owned).collect();
        let fields = Section::HeaderFields { names, not: false };
        assert_eq!(section(&listed, &fields), section(raw, &fields));
    }

    let mut visited = 0;
    assert!(for_each_text(raw, &mut |_| {
        visited += 1;
        true
    }));
    if visited > 0 {
        let mut again = 0;
        assert!(!for_each_text(raw, &mut |_| {
            again += 1;
            again < visited
        }));
        assert_eq!(again, visited);
    }
    header_search_text(raw);
    header_text(raw, "Subject").count();
    header_raw(raw, "From").map(addresses);
    message_id(raw);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn messages(raw in message()) {
        check_all(&raw);
    }

    #[test]
    fn octets(raw in prop::collection::vec(any::<u8>(), 0..200)) {
        check_all(&raw);
    }

    #[test]
    fn values(raw in "[a-c \"\\\\(),:;<>@.=?*'%/0-9\r\n\t\u{e9}\u{0}-]{0,60}") {
        addresses(raw.as_bytes());
        parse_date(raw.as_bytes());
        for name in ["Content-Type: a/b;", "Content-Type: ", "Subject: ", "To: ", "Date: 1 Jan "] {
            check_all(format!("{name}{raw}\n\nx").as_bytes());
        }
    }

    #[test]
    fn base64_of_anything_comes_back(content in prop::collection::vec(any::<u8>(), 0..300), width in 1usize..80) {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = Vec::new();
        for group in content.chunks(3) {
            let bits = group.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - group.len()));
            for i in 0..4 {
                let digit = alphabet[(bits >> (18 - 6 * i) & 63) as usize];
                text.push(if i > group.len() { b'=' } else { digit });
            }
        }
        let mut raw = b"Content-Transfer-Encoding: base64\r\n\r\n".to_vec();
        for line in text.chunks(width) {
            raw.extend_from_slice(line);
            raw.extend_from_slice(b"\r\n");
        }
        prop_assert_eq!(section_decoded(&raw, &[1]).unwrap().into_owned(), content);
    }
}

proptest! {
    // Haystacks over several blocks: fewer will do.
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn folded_search_is_search_of_the_folded(hay in "[aAbBéÉßσςΣ ]{0,30}", needle in "[aAbBéÉßσςΣ ]{0,4}", times in 1usize..2000) {
        let hay = hay.repeat(times);
        let needle = fold(&needle);
        prop_assert_eq!(&fold(&needle), &needle);
        prop_assert_eq!(contains_folded(&hay, &needle), fold(&hay).contains(&needle));
    }
}
