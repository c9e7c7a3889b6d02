//! What SEARCH looks at.

use murder_mime::{contains_folded, fold, for_each_text, header_search_text, header_text};

const RAW: &[u8] = b"\
Subject: =?iso-8859-1?q?Outer_=C9t=E9?=\r
Content-Type: multipart/mixed; boundary=b\r
\r
preamble\r
--b\r
Content-Type: text/plain; charset=utf-8\r
Content-Transfer-Encoding: quoted-printable\r
\r
Caf=C3=\r
=A9 split\r
--b\r
Content-Type: text/html; charset=koi8-r\r
Content-Transfer-Encoding: base64\r
\r
8NLJ18XU\r
--b\r
Content-Type: application/octet-stream\r
\r
not searched\r
--b\r
Content-Type: message/rfc822\r
\r
Subject: =?utf-8?b?SW5uw6ly?=\r
 =?utf-8?q?_subject?=\r
\r
inner \xe9 text\r
--b--\r
";

fn texts() -> Vec<String> {
    let mut out = Vec::new();
    for_each_text(RAW, &mut |text| {
        out.push(text.to_owned());
        true
    });
    out
}

#[test]
fn every_text_decoded() {
    assert_eq!(
        texts(),
        [
            "Café split",
            "Привет",
            "Subject: Innér subject\n",
            "inner é text"
        ]
    );
}

#[test]
fn stops_when_told() {
    let mut seen = 0;
    let ended = for_each_text(RAW, &mut |text| {
        seen += 1;
        !contains_folded(text, &fold("ПРИВ"))
    });
    assert!(!ended);
    assert_eq!(seen, 2);
}

#[test]
fn headers_decoded() {
    let subject: Vec<String> = header_text(RAW, "SUBJECT").collect();
    assert_eq!(subject, ["Outer Été"]);
    assert_eq!(
        header_search_text(RAW),
        "Subject: Outer Été\nContent-Type: multipart/mixed; boundary=b\n"
    );
    assert!(contains_folded(&subject[0], &fold("éTÉ")));
}
