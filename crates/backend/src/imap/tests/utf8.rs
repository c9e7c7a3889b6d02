//! UTF8=ACCEPT (RFC 6855).

use super::support::{Client, Server};

const MESSAGE: &str = "From: Zoë <zoë@example.org>\r\nSubject: Grüße\r\n\r\nÄrger\r\n";

async fn append(client: &mut Client, before: &str, after: &str) -> String {
    let len = MESSAGE.len();
    client
        .send(format!(
            "app APPEND INBOX {before}{{{len}+}}\r\n{MESSAGE}{after}\r\n"
        ))
        .await;
    loop {
        let line = client.line().await;
        if let Some(completion) = line.strip_prefix("app ") {
            return completion.to_owned();
        }
    }
}

/// Section 4: a client that has not enabled it must not append such a message.
#[tokio::test]
async fn utf8_headers_are_appended_by_who_knows_of_them() {
    let server = Server::start();
    let mut old = server.login("bob").await;
    let answer = append(&mut old, "", "").await;
    assert!(
        answer.starts_with("NO [CANNOT] Header has 8-bit"),
        "{answer}"
    );
    let answer = append(&mut old, "UTF8 (~", ")").await;
    assert!(
        answer.starts_with("BAD UTF8=ACCEPT is not enabled"),
        "{answer}"
    );
    assert_eq!(server.messages("user/bob").await, 0);
    // 8-bit characters of the body are nobody's business.
    old.send("a APPEND INBOX {17+}\r\nA: b\r\n\r\n\u{c4}rger\r\n\r\n")
        .await;
    old.play("S: a OK [APPENDUID …").await;

    let mut bob = server.login("bob").await;
    bob.play(
        "C: a ENABLE UTF8=ACCEPT
         S: * ENABLED UTF8=ACCEPT
         S: a OK …",
    )
    .await;
    let answer = append(&mut bob, "UTF8 (~", ")").await;
    assert!(answer.starts_with("OK [APPENDUID "), "{answer}");
    let answer = append(
        &mut bob,
        "(\\Seen) \"14-Nov-2023 23:13:20 +0100\" UTF8 (~",
        ")",
    )
    .await;
    assert!(answer.starts_with("OK [APPENDUID "), "{answer}");
    let answer = append(&mut bob, "UTF8 (~", "").await;
    assert!(answer.starts_with("BAD "), "{answer}");
    assert_eq!(server.messages("user/bob").await, 3);
    let mut rev2 = server.login("bob").await;
    let _ = rev2.ask("ENABLE IMAP4rev2").await;
    let answer = append(&mut rev2, "", "").await;
    assert!(answer.starts_with("OK [APPENDUID "), "{answer}");
}

/// They are served as they are; what is 8-bit is in literals, which everybody takes.
#[tokio::test]
async fn messages_are_served_as_they_are() {
    let server = Server::start();
    let mut old = server.login("bob").await;
    server.put("user/bob", MESSAGE).await;
    let mut bob = server.login("bob").await;
    let _ = bob.ask("ENABLE UTF8=ACCEPT").await;
    for client in [&mut old, &mut bob] {
        client.select("INBOX").await;
        client
            .play(
                "C: a FETCH 1 ENVELOPE
                 S: * 1 FETCH (ENVELOPE (NIL {7}
                 S: Grüße (({4}
                 S: Zoë NIL {4}
                 S: zoë \"example.org\")) (({4}
                 S: Zoë NIL {4}
                 S: zoë \"example.org\")) (({4}
                 S: Zoë NIL {4}
                 S: zoë \"example.org\")) NIL NIL NIL NIL NIL))
                 S: a OK …
                 C: b FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]
                 S: * 1 FETCH (BODY[HEADER.FIELDS (SUBJECT)] {20}
                 S: Subject: Grüße",
            )
            .await;
        assert_eq!(client.line().await, "");
        client
            .play(
                "S: )
                 S: b OK …",
            )
            .await;
    }
}

/// Section 3: UTF-8 in quoted strings and names, no charset in SEARCH.
#[tokio::test]
async fn strings_are_utf8() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    server.put("user/bob", MESSAGE).await;
    bob.play(
        "C: a CREATE Entw&APw-rfe
         S: a OK …
         C: b ENABLE UTF8=ACCEPT
         S: * ENABLED UTF8=ACCEPT
         S: b OK …
         C: c LIST \"\" \"Entw*\"
         S: * LIST (\\HasNoChildren) \"/\" \"Entwürfe\"
         S: c OK …
         C: d CREATE \"été\"
         S: d OK …
         C: e SELECT \"INBOX\"
         S: * FLAGS …
         S: * OK …
         S: * 1 EXISTS
         S: * 1 RECENT
         S: * OK [UNSEEN 1] …
         S: * OK …
         S: * OK …
         S: * OK …
         S: * OK …
         S: e OK …
         C: f SEARCH SUBJECT \"grüß\"
         S: * SEARCH 1
         S: f OK …
         C: g SEARCH CHARSET UTF-8 SUBJECT \"grüß\"
         S: g BAD …
         C: h COPY 1 \"été\"
         S: h OK [COPYUID …",
    )
    .await;
    bob.send(b"i LIST \"\" \"\xff\xfe\"\r\n").await;
    let answer = bob.line().await;
    assert!(answer.starts_with("i BAD "), "{answer}");
}
