//! BINARY (RFC 3516): parts without their transfer encoding.

use murder_store::Flags;

use super::support::{Server, message, short};

const MIXED: &str = "Subject: parts\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
    --b\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n\
    --b\r\nContent-Transfer-Encoding: base64\r\n\r\nYQBi\r\n\
    --b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=C3=A9 =\r\nx\r\n\
    --b\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 x\r\n\
    --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nbody\r\n--b--\r\n";

#[tokio::test]
async fn parts_are_decoded() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    server.put("user/bob", MIXED).await;
    server.put("user/bob", short("plain")).await;
    bob.select("INBOX").await;
    let whole = MIXED.len();
    bob.play(&format!(
        "C: a FETCH 1 (BINARY.SIZE[1] BINARY.SIZE[2] BINARY.SIZE[3] BINARY.SIZE[] BINARY.SIZE[9])
         S: * 1 FETCH (BINARY.SIZE[1] 5 BINARY.SIZE[2] 3 BINARY.SIZE[3] 7 BINARY.SIZE[] {whole} BINARY.SIZE[9] 0)
         S: a OK …
         C: b FETCH 1 BINARY.PEEK[1]
         S: * 1 FETCH (BINARY[1] {{5}}
         S: hello)
         S: b OK …
         C: c FETCH 1 BINARY.PEEK[1]<1.3>
         S: * 1 FETCH (BINARY[1]<1> {{3}}
         S: ell)
         S: c OK …
         C: d FETCH 1 (BINARY.PEEK[1]<9.3> BINARY.PEEK[9])
         S: * 1 FETCH (BINARY[1]<9> {{0}}
         S:  BINARY[9] NIL)
         S: d OK …
         C: e FETCH 1 BINARY.PEEK[3]
         S: * 1 FETCH (BINARY[3] {{7}}
         S: café x)
         S: e OK …
         C: f FETCH 1 BINARY.PEEK[2]
         S: * 1 FETCH (BINARY[2] ~{{3}}
         S: a\0b)
         S: f OK …
         C: g FETCH 1 (BINARY.PEEK[5.1] BINARY.SIZE[5])
         S: * 1 FETCH (BINARY[5.1] {{4}}
         S: body BINARY.SIZE[5] 18)
         S: g OK …
         C: h FETCH 1 (FLAGS BINARY[1]<0.1>)
         S: * 1 FETCH (FLAGS (\\Seen \\Recent) BINARY[1]<0> {{1}}
         S: h)
         S: h OK …"
    ))
    .await;
}

/// "If the server does not know how to decode the section's CTE, it MUST fail the request":
/// that message only, and before anything of it is sent.
#[tokio::test]
async fn an_unknown_encoding_is_refused() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    server.put("user/bob", MIXED).await;
    server.put("user/bob", short("plain")).await;
    bob.select("INBOX").await;
    bob.play(
        "C: a FETCH 1:2 (UID BINARY.PEEK[1]<0.2> BINARY.SIZE[4])
         S: * 2 FETCH (UID 2 BINARY[1]<0> {2}
         S: Te BINARY.SIZE[4] 0)
         S: a NO [UNKNOWN-CTE] …
         C: b FETCH 1 BODY.PEEK[4]
         S: * 1 FETCH (BODY[4] {11}
         S: begin 644 x)
         S: b OK …",
    )
    .await;
}

/// A message whose first part, of 3 MB in base64, is not held in memory.
#[tokio::test]
async fn a_large_part_is_decoded_as_it_is_sent() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let line = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWI=\r\n";
    let text = "0123456789abcdef0123456789abcdef0123456789ab";
    let lines = 50_000;
    let raw = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--b\r\n\r\nend\r\n--b--\r\n",
        line.repeat(lines)
    );
    let (partition, _) = server.open("user/bob").await;
    let mut staged = partition.stage(raw.len() as u64).await.unwrap();
    staged.write(raw.into()).await.unwrap();
    let body = staged.finish().await.unwrap();
    let mut large = message("");
    large.body = body.into();
    large.flags = Flags::SEEN;
    server.put_message("user/bob", large).await;
    bob.select("INBOX").await;
    let size = lines * text.len();
    let sized = bob.ask("FETCH 1 BINARY.SIZE[1]").await;
    assert_eq!(sized[0], format!("* 1 FETCH (BINARY.SIZE[1] {size})"));
    let (fetched, done) = bob.get("FETCH 1 (BINARY.PEEK[1])").await;
    assert!(done.contains("OK"), "{done}");
    let [murder_imap::Untagged::Fetch { items, .. }] = fetched.as_slice() else {
        panic!("{fetched:?}");
    };
    let murder_imap::FetchData::Binary {
        octets: Some(octets),
        ..
    } = &items[0]
    else {
        panic!("{items:?}");
    };
    assert!(octets == text.repeat(lines).as_bytes());
    // Across pieces, and behind the end.
    let at = size - 50;
    bob.play(&format!(
        "C: a FETCH 1 BINARY.PEEK[1]<{at}.5000000>
         S: * 1 FETCH (BINARY[1]<{at}> {{50}}
         S: 6789ab{text})
         S: a OK …
         C: b FETCH 1 BINARY.PEEK[2]
         S: * 1 FETCH (BINARY[2] {{3}}
         S: end)
         S: b OK …"
    ))
    .await;
}

/// Only literal8 may hold a NUL, on its way in and on its way out.
#[tokio::test]
async fn nuls_come_and_go_in_literal8_only() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let small = "Subject: a\0b\r\nX-Nul: \0\r\n\r\nx\0y\r\n";
    // The other is not held: it is sent in pieces.
    let large = format!(
        "Subject: l\r\n\r\n{}\0\r\n",
        "0123456789\r\n".repeat(100_000)
    );
    for text in [small, &*large] {
        let len = text.len();
        bob.send(format!("a APPEND INBOX ~{{{len}+}}\r\n{text}\r\n"))
            .await;
        bob.play("S: a OK [APPENDUID …").await;
    }
    bob.select("INBOX").await;
    for (number, text) in [(1, small), (2, &*large)] {
        let size = text.len();
        for item in [
            "RFC822".to_owned(),
            "BODY.PEEK[HEADER]".to_owned(),
            "BODY.PEEK[HEADER.FIELDS (SUBJECT X-NUL)]".to_owned(),
            "BODY.PEEK[TEXT]".to_owned(),
            "BODY.PEEK[1]".to_owned(),
            format!("BODY.PEEK[]<{}.9>", size - 6),
            "ENVELOPE".to_owned(),
            "BODYSTRUCTURE".to_owned(),
            "PREVIEW".to_owned(),
            "RFC822.SIZE".to_owned(),
        ] {
            for line in bob.ask(&format!("FETCH {number} {item}")).await {
                assert!(!line.contains('\0'), "{item} of {number}: {line}");
            }
        }
        for (item, head, sent) in [
            (
                "BODY",
                format!("{{{size}}}"),
                text.replace('\0', "\u{fffd}"),
            ),
            ("BINARY", format!("~{{{size}}}"), text.to_owned()),
        ] {
            let command = format!("x FETCH {number} {item}.PEEK[]\r\n");
            bob.send(command).await;
            let mut answer = String::new();
            while !answer.ends_with("x OK FETCH completed\r\n") {
                answer += &bob.line().await;
                answer += "\r\n";
            }
            let expected = format!("* {number} FETCH ({item}[] {head}\r\n{sent})");
            let begin: String = answer.chars().take(200).collect();
            assert!(
                answer.starts_with(&expected),
                "{item} of {number}: {begin:?}"
            );
        }
    }
}
