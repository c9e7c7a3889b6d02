//! STAT, LIST, RETR, TOP, UIDL: what a client sees of messages.

use murder_store::{CopyFlags, UidSet};

use super::{multiline, put_all, sized, with_messages};
use crate::imap::tests::support::Server;

/// RFC 1939 section 10.
#[tokio::test]
async fn the_example_session() {
    let server = with_messages(&[&sized(120), &sized(200)]).await;
    let mut client = server.login_pop3("bob").await;
    client
        .play(
            "C: STAT
             S: +OK 2 320
             C: LIST
             S: +OK 2 messages (320 octets)
             S: 1 120
             S: 2 200
             S: .
             C: LIST 2
             S: +OK 2 200
             C: LIST 3
             S: -ERR No such message, only 2 messages in maildrop",
        )
        .await;
    for (number, octets) in [(1, 120), (2, 200)] {
        let retr = format!("RETR {number}");
        let (first, lines) = multiline(&mut client, &retr).await;
        assert_eq!(first, format!("+OK {octets} octets"));
        let message = lines.join("\r\n") + "\r\n";
        assert_eq!(message.as_bytes(), sized(octets));
        client
            .play(&format!(
                "C: DELE {number}
                 S: +OK Message {number} deleted"
            ))
            .await;
    }
    client
        .play(
            "C: QUIT
             S: +OK be1 signing off (maildrop empty)",
        )
        .await;
    assert!(client.ends().await.is_empty());
    assert_eq!(server.messages("user/bob").await, 0);
    let counted = &server.pop3_shared;
    assert_eq!((counted.retrieved.get(), counted.deleted.get()), (2, 2));
}

#[tokio::test]
async fn an_empty_maildrop() {
    let server = with_messages(&[]).await;
    let mut client = server.login_pop3("bob").await;
    client
        .play(
            "C: STAT
             S: +OK 0 0
             C: LIST
             S: +OK 0 messages (0 octets)
             S: .
             C: UIDL
             S: +OK unique-id listing follows
             S: .
             C: RETR 1
             S: -ERR No such message, only 0 messages in maildrop
             C: RETR 0
             S: -ERR No such message, only 0 messages in maildrop
             C: DELE 4294967295
             S: -ERR …
             C: RSET
             S: +OK Maildrop has 0 messages
             C: QUIT
             S: +OK be1 signing off (maildrop empty)",
        )
        .await;
}

/// Every line ends with CRLF, sizes are of what is sent, and dots are doubled.
#[tokio::test]
async fn messages_that_are_not_as_they_should_be() {
    let messages: [(&[u8], &str); 9] = [
        (b"", ".\r\n"),
        (b"a", "a\r\n.\r\n"),
        (b"a\nb\n", "a\r\nb\r\n.\r\n"),
        (
            b"Subject: x\n\n.\nQUIT\n",
            "Subject: x\r\n\r\n..\r\nQUIT\r\n.\r\n",
        ),
        (
            b"Subject: x\r\n\r\n.\r\n..\r\n",
            "Subject: x\r\n\r\n..\r\n...\r\n.\r\n",
        ),
        (b".", "..\r\n.\r\n"),
        (b"\n", "\r\n.\r\n"),
        (b"a\rb\r\n", "a\rb\r\n.\r\n"),
        (b"a\r", "a\r\r\n.\r\n"),
    ];
    let server = with_messages(&messages.map(|(raw, _)| raw)).await;
    let mut client = server.login_pop3("bob").await;
    for (number, (raw, sent)) in (1..).zip(messages) {
        let octets = sent.len() - 3 - sent.matches("..").count();
        let plural = format!("{number} {octets}");
        client
            .play(&format!("C: LIST {number}\nS: +OK {plural}"))
            .await;
        client.send(format!("RETR {number}\r\n")).await;
        client.play(&format!("S: +OK {octets} octets")).await;
        let got = client.octets(sent.len()).await;
        assert_eq!(String::from_utf8(got).unwrap(), sent, "{raw:?}");
    }
    client
        .play(
            "C: NOOP
             S: +OK",
        )
        .await;
    let (first, _) = multiline(&mut client, "LIST").await;
    let octets: usize = messages
        .iter()
        .map(|(_, sent)| sent.len() - 3 - sent.matches("..").count())
        .sum();
    assert_eq!(first, format!("+OK 9 messages ({octets} octets)"));
}

/// In pieces, and with the pieces' ends within line ends.
#[tokio::test]
async fn large_messages() {
    let mut odd = b"Subject: odd\r\n\r\n".to_vec();
    while odd.len() < 3 << 20 {
        odd.extend_from_slice(b".line\r\n.\nlf\r.\r\n");
    }
    let server = with_messages(&[&odd, &sized((2 << 20) + 1)]).await;
    for listed_first in [false, true] {
        let mut client = server.login_pop3("bob").await;
        let octets = odd.len() + odd.windows(2).filter(|w| w == b".\n").count();
        if listed_first {
            client
                .play(&format!(
                    "C: LIST 1
                     S: +OK 1 {octets}"
                ))
                .await;
        }
        let (first, lines) = multiline(&mut client, "RETR 1").await;
        assert_eq!(
            first,
            match listed_first {
                true => format!("+OK {octets} octets"),
                false => "+OK message follows".to_owned(),
            }
        );
        let got = lines.join("\r\n") + "\r\n";
        assert_eq!(got.len(), octets);
        let wanted = String::from_utf8(odd.clone()).unwrap();
        let wanted = wanted.replace("\r\n", "\n").replace('\n', "\r\n");
        assert!(got == wanted);
        let (_, lines) = multiline(&mut client, "RETR 2").await;
        assert!((lines.join("\r\n") + "\r\n").as_bytes() == sized((2 << 20) + 1));
        // A few lines of it do not take it all.
        let (_, lines) = multiline(&mut client, "TOP 1 3").await;
        assert_eq!(lines, ["Subject: odd", "", ".line", ".", "lf\r."]);
    }
}

/// RFC 1939 section 7.
#[tokio::test]
async fn top() {
    let message = b"Subject: x\r\nFrom: a\r\n\r\none\r\n.two\r\n\r\nfour";
    let long_header = [
        b"X: ".to_vec(),
        vec![b'y'; 100_000],
        b"\r\n\r\nbody\r\n".to_vec(),
    ];
    let server = with_messages(&[message, b"no body\r\n", b"", &long_header.concat()]).await;
    let mut client = server.login_pop3("bob").await;
    let head = ["Subject: x", "From: a", ""];
    let body = ["one", ".two", "", "four"];
    for lines in [0, 1, 2, 3, 4, 5, 4_000_000_000_u64, u64::MAX] {
        let (first, got) = multiline(&mut client, &format!("TOP 1 {lines}")).await;
        assert_eq!(first, "+OK");
        let shown = usize::try_from(lines).unwrap().min(body.len());
        assert_eq!(got, [&head[..], &body[..shown]].concat(), "{lines}");
    }
    assert_eq!(multiline(&mut client, "TOP 2 9").await.1, ["no body"]);
    assert_eq!(multiline(&mut client, "TOP 3 9").await.1, [""; 0]);
    let (_, got) = multiline(&mut client, "TOP 4 0").await;
    assert_eq!((got[0].len(), got.len()), (100_003, 2));
    let (_, got) = multiline(&mut client, "TOP 4 1").await;
    assert_eq!(got.last().unwrap(), "body");
    client
        .play(
            "C: TOP 5 0
             S: -ERR No such message, only 4 messages in maildrop
             C: TOP 1
             S: -ERR Syntax error
             C: TOP 1 -1
             S: -ERR Syntax error
             C: DELE 1
             S: +OK …
             C: TOP 1 0
             S: -ERR Message 1 was deleted",
        )
        .await;
}

/// They stay with a message, and are no two messages' at a time.
#[tokio::test]
async fn unique_ids() {
    let server = Server::start();
    server.create("user/bob").await;
    server.create("user/bob/kept").await;
    put_all(&server, &[b"a\r\n", b"b\r\n", b"c\r\n"]).await;
    let mut client = server.login_pop3("bob").await;
    let (_, before) = multiline(&mut client, "UIDL").await;
    let ids: Vec<&str> = before.iter().map(|line| &line[2..]).collect();
    for (number, id) in (1..).zip(&ids) {
        assert_eq!(before[number - 1], format!("{number} {id}"));
        assert!((1..=70).contains(&id.len()));
        assert!(id.bytes().all(|byte| (0x21..=0x7e).contains(&byte)), "{id}");
        client
            .play(&format!(
                "C: UIDL {number}
                 S: +OK {number} {id}"
            ))
            .await;
    }
    client
        .play(
            "C: UIDL 4
             S: -ERR No such message, only 3 messages in maildrop",
        )
        .await;
    // Away and back, with another UID.
    let (partition, handle) = server.open("user/bob").await;
    let (_, kept) = server.open("user/bob/kept").await;
    let name = |text: &str| murder_mailbox::MailboxName::parse_canonical(text).unwrap();
    let flags = CopyFlags::default;
    partition
        .move_messages(
            &handle,
            &UidSet::range(1, 1),
            &name("user/bob/kept"),
            flags(),
        )
        .await
        .unwrap();
    partition
        .move_messages(&kept, &UidSet::range(1, 1), &name("user/bob"), flags())
        .await
        .unwrap();
    // A second one of the same message.
    partition
        .copy(&handle, &UidSet::range(2, 2), &name("user/bob"), flags())
        .await
        .unwrap();
    let mut client = server.login_pop3("bob").await;
    let (_, after) = multiline(&mut client, "UIDL").await;
    let again = format!("4 {}.5", ids[1]);
    let wanted = [
        format!("1 {}", ids[1]),
        format!("2 {}", ids[2]),
        format!("3 {}", ids[0]),
        again,
    ];
    assert_eq!(after, wanted);
    client
        .play(
            "C: DELE 2
             S: +OK …",
        )
        .await;
    let (_, after) = multiline(&mut client, "UIDL").await;
    assert_eq!(after.len(), 3);
    assert!(
        after.iter().all(|line| !line.starts_with("2 ")),
        "{after:?}"
    );
}

#[tokio::test]
async fn commands_in_one_go() {
    let server = with_messages(&[b"a\r\n", b"b\r\n"]).await;
    let all = "CAPA\r\nUSER bob\r\nPASS secret\r\nSTAT\r\nRETR 1\r\nTOP 2 0\r\nDELE 1\r\nNOOP\r\nQUIT\r\n";
    for size in [1, 3, 7, all.len()] {
        let mut client = server.connect_pop3().await;
        for piece in all.replace("DELE 1", "LIST 1").as_bytes().chunks(size) {
            client.send(piece).await;
        }
        let lines = client.ends().await;
        let at = lines.iter().position(|line| line == ".").unwrap();
        assert_eq!(
            lines[at + 1..],
            [
                "+OK Send the password",
                "+OK 2 messages",
                "+OK 2 6",
                "+OK 3 octets",
                "a",
                ".",
                "+OK",
                "b",
                ".",
                "+OK 1 3",
                "+OK",
                "+OK be1 signing off (2 messages left)",
            ],
            "by {size}"
        );
    }
}

#[tokio::test]
async fn nuls_are_not_sent() {
    let server = with_messages(&[b"Subject: a\0b\r\n\r\nx\0y\r\n"]).await;
    let mut client = server.login_pop3("bob").await;
    for command in ["RETR 1", "TOP 1 1"] {
        let (_, lines) = multiline(&mut client, command).await;
        assert_eq!(
            lines,
            ["Subject: a\u{fffd}b", "", "x\u{fffd}y"],
            "{command}"
        );
    }
}
