//! FETCH.

use murder_imap::{FetchData, Untagged};

use super::support::{Client, Server, message, short};

const MULTIPART: &str = concat!(
    "From: Alice <alice@example.org>\r\n",
    "To: bob@example.org\r\n",
    "Subject: parts\r\n",
    "Date: Tue, 24 Nov 2026 01:02:03 +0100\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n",
    "\r\n",
    "preamble\r\n",
    "--b\r\n",
    "Content-Type: text/plain\r\n",
    "\r\n",
    "first\r\n",
    "--b\r\n",
    "Content-Type: message/rfc822\r\n",
    "\r\n",
    "Subject: inner\r\n",
    "X-Test: yes\r\n",
    "\r\n",
    "inner text\r\n",
    "--b--\r\n",
);

/// The octets of the only item of message 1.
async fn octets(client: &mut Client, item: &str) -> Option<String> {
    let (responses, completion) = client.get(&format!("FETCH 1 ({item})")).await;
    assert!(completion.starts_with("OK "), "{item}: {completion}");
    let [Untagged::Fetch { seq: 1, items }] = &responses[..] else {
        panic!("{item}: {responses:?}");
    };
    let [item] = &items[..] else {
        panic!("{item}: {items:?}");
    };
    let octets = match item {
        FetchData::Section { octets, .. }
        | FetchData::Rfc822(octets)
        | FetchData::Rfc822Header(octets)
        | FetchData::Rfc822Text(octets) => octets,
        other => panic!("{other:?}"),
    };
    octets.clone().map(|o| String::from_utf8(o).unwrap())
}

#[tokio::test]
async fn sections() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    server.put("user/bob", MULTIPART).await;
    let _ = bob.ask("EXAMINE INBOX").await;
    let (header, text) = MULTIPART.split_at(MULTIPART.find("preamble").unwrap());
    for (item, wanted) in [
        ("BODY[]", Some(MULTIPART)),
        ("BODY.PEEK[]", Some(MULTIPART)),
        ("RFC822", Some(MULTIPART)),
        ("BODY[HEADER]", Some(header)),
        ("RFC822.HEADER", Some(header)),
        ("BODY[TEXT]", Some(text)),
        ("RFC822.TEXT", Some(text)),
        ("BODY[]<10.7>", Some("e <alic")),
        ("BODY[TEXT]<3.3>", Some("amb")),
        ("BODY[]<100000.5>", Some("")),
        (
            "BODY[HEADER.FIELDS (SUBJECT to)]",
            Some("To: bob@example.org\r\nSubject: parts\r\n\r\n"),
        ),
        ("BODY[HEADER.FIELDS (X)]", Some("\r\n")),
        ("BODY[HEADER.FIELDS (To)]<4.3>", Some("bob")),
        ("BODY[1]", Some("first")),
        ("BODY[1]<1.2>", Some("ir")),
        ("BODY[1.MIME]", Some("Content-Type: text/plain\r\n\r\n")),
        (
            "BODY[2]",
            Some("Subject: inner\r\nX-Test: yes\r\n\r\ninner text"),
        ),
        (
            "BODY[2.HEADER]",
            Some("Subject: inner\r\nX-Test: yes\r\n\r\n"),
        ),
        (
            "BODY[2.HEADER.FIELDS.NOT (SUBJECT)]",
            Some("X-Test: yes\r\n\r\n"),
        ),
        ("BODY[2.TEXT]", Some("inner text")),
        ("BODY[2.1]", Some("inner text")),
        ("BODY[2.2]", None),
        ("BODY[3]", None),
        ("BODY[1.HEADER]", None),
    ] {
        assert_eq!(octets(&mut bob, item).await.as_deref(), wanted, "{item}");
    }
    bob.play(
        "C: a FETCH 1 BODY[2.1]<6.2>
         S: * 1 FETCH (BODY[2.1]<6> {2}
         S: te)
         S: a OK FETCH completed
         C: b FETCH 1 BODY[4]<6.2>
         S: * 1 FETCH (BODY[4]<6> NIL)
         S: b OK …",
    )
    .await;
}

#[tokio::test]
async fn fields_of_an_endless_header() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let to = format!(
        "To: {}z@example.org\r\n",
        "a@example.org,\r\n ".repeat(2000)
    );
    let raw = format!("X-Before: 1\r\nSubject: long\r\n{to}X-After: 2\r\n\r\ntext\r\n");
    server.put("user/bob", raw).await;
    let _ = bob.ask("EXAMINE INBOX").await;
    for (item, wanted) in [
        (
            "BODY[HEADER.FIELDS (Subject)]",
            "Subject: long\r\n\r\n".to_owned(),
        ),
        ("BODY[HEADER.FIELDS (To)]", format!("{to}\r\n")),
        ("BODY[HEADER.FIELDS (To)]<4.13>", "a@example.org".to_owned()),
        (
            "BODY[HEADER.FIELDS (X-After Subject)]",
            "Subject: long\r\nX-After: 2\r\n\r\n".to_owned(),
        ),
    ] {
        assert_eq!(octets(&mut bob, item).await, Some(wanted), "{item}");
    }
}

#[tokio::test]
async fn stored_fields_beside_those_of_the_message() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    server.put("user/bob", MULTIPART).await;
    let _ = bob.ask("EXAMINE INBOX").await;
    bob.play(
        "C: a FETCH 1 (BODY[HEADER.FIELDS (TO)] BODY[1] BODY[HEADER.FIELDS (Subject)]<0.3> UID)
         S: * 1 FETCH (BODY[HEADER.FIELDS (TO)] {23}
         S: To: bob@example.org
         S: …
         S:  BODY[1] {5}
         S: first BODY[HEADER.FIELDS (Subject)]<0> {3}
         S: Sub UID 1)
         S: a OK FETCH completed",
    )
    .await;
}

#[tokio::test]
async fn everything_else() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    server.put("user/bob", MULTIPART).await;
    server.put("user/bob", short("2")).await;
    bob.select("INBOX").await;
    let size = MULTIPART.len();
    bob.play(&format!(
        "C: a FETCH 1 FAST
         S: * 1 FETCH (FLAGS (\\Recent) INTERNALDATE \"14-Nov-2023 23:13:20 +0100\" RFC822.SIZE {size})
         S: a OK …
         C: b UID FETCH 1 ALL
         S: * 1 FETCH (UID 1 FLAGS (\\Recent) INTERNALDATE … RFC822.SIZE {size} ENVELOPE (\"Tue, 24 Nov 2026 01:02:03 +0100\" \"parts\" ((\"Alice\" NIL \"alice\" \"example.org\")) … NIL))
         S: b OK …
         C: c UID FETCH 2 (UID BODY BODYSTRUCTURE)
         S: * 2 FETCH (UID 2 BODY (\"TEXT\" \"PLAIN\" … BODYSTRUCTURE (\"TEXT\" \"PLAIN\" …))
         S: c OK …
         C: d FETCH 2 (THREADID SAVEDATE EMAILID)
         S: * 2 FETCH (THREADID NIL SAVEDATE \"14-Nov-2023 22:15:00 +0000\" EMAILID (…))
         S: d OK …
         C: e FETCH 2:* UID
         S: * 2 FETCH (UID 2)
         S: e OK …
         C: f FETCH 7:* UID
         S: * 2 FETCH (UID 2)
         S: f OK …
         C: g FETCH 3 UID
         S: g BAD There is no message with that number
         C: h UID FETCH 3:9 FLAGS
         S: h OK …
         C: i UID FETCH *,1:2 FLAGS
         S: * 1 FETCH (UID 1 FLAGS (\\Recent))
         S: * 2 FETCH (UID 2 FLAGS (\\Recent))
         S: i OK …
         C: j FETCH $ FLAGS
         S: j OK …
         C: l FETCH 1:2 (UID) (CHANGEDSINCE 2)
         S: * 2 FETCH (UID 2 MODSEQ (3))
         S: * OK [HIGHESTMODSEQ 3] …
         S: l OK …
         C: m STORE 1 +FLAGS.SILENT \\Flagged
         S: * 1 FETCH (UID 1 MODSEQ (4))
         S: m OK …"
    ))
    .await;
}

#[tokio::test]
async fn reading_sets_seen() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for n in 1..=4 {
        server.put("user/bob", short(&n.to_string())).await;
    }
    bob.select("INBOX").await;
    bob.play(
        "C: a FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]
         S: * 1 FETCH (BODY[HEADER.FIELDS (SUBJECT)] {14}
         S: Subject: 1
         S: 
         S: )
         S: a OK …
         C: b FETCH 1:2 BODY[TEXT]<0.4>
         S: * 1 FETCH (BODY[TEXT]<0> {4}
         S: Text FLAGS (\\Seen \\Recent))
         S: * 2 FETCH (BODY[TEXT]<0> {4}
         S: Text FLAGS (\\Seen \\Recent))
         S: b OK …
         C: c FETCH 2:3 (FLAGS RFC822.TEXT)
         S: * 2 FETCH (FLAGS (\\Seen \\Recent) RFC822.TEXT {12}
         S: Text of 2.
         S: )
         S: * 3 FETCH (FLAGS (\\Seen \\Recent) RFC822.TEXT {12}
         S: Text of 3.
         S: )
         S: c OK …
         C: d NOOP
         S: d OK …",
    )
    .await;
    let mut reader = server.login("bob").await;
    let _ = reader.ask("EXAMINE INBOX").await;
    reader
        .play(
            "C: a FETCH 4 BODY[TEXT]<0.1>
             S: * 4 FETCH (BODY[TEXT]<0> {1}
             S: T)
             S: a OK …
             C: b FETCH 3:4 FLAGS
             S: * 3 FETCH (FLAGS (\\Seen))
             S: * 4 FETCH (FLAGS ())
             S: b OK …",
        )
        .await;
    server.allow("user/bob", "carol", "lrw").await;
    let mut carol = server.login("carol").await;
    carol.select("Other Users/bob").await;
    carol
        .play(
            "C: a FETCH 4 BODY[TEXT]<0.1>
             S: * 4 FETCH (BODY[TEXT]<0> {1}
             S: T)
             S: a OK …
             C: b FETCH 4 FLAGS
             S: * 4 FETCH (FLAGS ())
             S: b OK …",
        )
        .await;
    server.allow("user/bob", "carol", "lw").await;
    carol
        .play(
            "C: c FETCH 4 FLAGS
             S: c NO [NOPERM] …",
        )
        .await;
}

/// A message of 3 MiB, with a part of 2 MiB in it.
fn large() -> String {
    let line = "0123456789abcdef".repeat(4);
    let attachment = format!("{line}\r\n").repeat(2 << 20 >> 6);
    format!(
        "Subject: large\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\n\r\nsmall\r\n--b\r\nX: y\r\n\r\n{attachment}\r\n--b--\r\n{attachment}"
    )
}

#[tokio::test]
async fn large_messages_are_sent_in_pieces() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let raw = large();
    server.put("user/bob", raw.clone()).await;
    bob.select("INBOX").await;
    let text = raw.find("--b").unwrap();
    let part = raw.find("0123").unwrap();
    let part_end = raw.find("\r\n--b--").unwrap();
    let rest = raw.len() - 2_000_000;
    for (item, wanted) in [
        ("BODY.PEEK[]".to_owned(), &raw[..]),
        ("RFC822".to_owned(), &raw[..]),
        ("BODY.PEEK[TEXT]".to_owned(), &raw[text..]),
        ("BODY.PEEK[HEADER]".to_owned(), &raw[..text]),
        (
            "BODY.PEEK[]<1000.1500000>".to_owned(),
            &raw[1000..1_501_000],
        ),
        (format!("BODY.PEEK[]<{rest}.9000000>"), &raw[rest..]),
        ("BODY.PEEK[1]".to_owned(), "small"),
        ("BODY.PEEK[2]".to_owned(), &raw[part..part_end]),
        ("BODY.PEEK[2]<5.10>".to_owned(), &raw[part + 5..part + 15]),
        ("BODY.PEEK[2.MIME]".to_owned(), "X: y\r\n\r\n"),
        (
            "BODY.PEEK[HEADER.FIELDS (Subject)]".to_owned(),
            "Subject: large\r\n\r\n",
        ),
    ] {
        if item == "RFC822" {
            // Sets \Seen, which is told too.
            bob.play(
                "C: s STORE 1 +FLAGS.SILENT \\Seen
                 S: s OK …",
            )
            .await;
        }
        let got = octets(&mut bob, &item).await.unwrap();
        assert!(got == wanted, "{item}: {} octets", got.len());
    }
    assert_eq!(octets(&mut bob, "BODY.PEEK[7]").await, None);
    let (responses, _) = bob
        .get("FETCH 1 (BODY.PEEK[2] UID BODY.PEEK[1] BODY.PEEK[HEADER.FIELDS (Subject)] FLAGS)")
        .await;
    let [Untagged::Fetch { items, .. }] = &responses[..] else {
        panic!("{} responses", responses.len());
    };
    assert_eq!(items.len(), 5);
}

#[tokio::test]
async fn expunged_messages_are_left_out() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let mut other = server.login("bob").await;
    for n in 1..=3 {
        server.put("user/bob", short(&n.to_string())).await;
    }
    bob.select("INBOX").await;
    other.select("INBOX").await;
    other
        .play(
            "C: a STORE 2 +FLAGS.SILENT \\Deleted
             S: a OK …
             C: b EXPUNGE
             S: * 2 EXPUNGE
             S: b OK …",
        )
        .await;
    server.put("user/bob", short("4")).await;
    bob.play(
        "C: a FETCH 1:3 (UID ENVELOPE)
         S: * 4 EXISTS
         S: * …
         S: * 1 FETCH (UID 1 ENVELOPE (…))
         S: * 3 FETCH (UID 3 ENVELOPE (…))
         S: a NO [EXPUNGEISSUED] …
         C: b FETCH 4 UID
         S: * 4 FETCH (UID 4)
         S: b OK …
         C: c FETCH 2 (UID FLAGS)
         S: * 2 FETCH (UID 2 FLAGS (…))
         S: c OK …
         C: d UID FETCH 1:4 UID
         S: * 1 FETCH (UID 1)
         S: * 3 FETCH (UID 3)
         S: * 4 FETCH (UID 4)
         S: * 2 EXPUNGE
         S: d OK …
         C: e FETCH 2 UID
         S: * 2 FETCH (UID 3)
         S: e OK …",
    )
    .await;
}

#[tokio::test]
async fn many_messages_come_in_order() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let (partition, handle) = server.open("user/bob").await;
    let batch: Vec<_> = (1..=700).map(|n| message(short(&n.to_string()))).collect();
    let name = handle.meta().unwrap().name;
    partition.append(&name, batch).await.unwrap();
    bob.select("INBOX").await;
    for item in [
        "FLAGS",
        "ENVELOPE",
        "BODY[TEXT]",
        "(FLAGS BODY.PEEK[HEADER])",
    ] {
        let (responses, completion) = bob.get(&format!("FETCH 1:* {item}")).await;
        assert_eq!(completion, "OK FETCH completed");
        let numbers: Vec<u32> = responses
            .iter()
            .map(|response| match response {
                Untagged::Fetch { seq, .. } => *seq,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(numbers.into_iter().eq(1..=700), "{item}");
    }
    let seen = murder_store::Flags::SEEN;
    assert!(
        handle
            .view()
            .rows(1, 700)
            .all(|row| row.flags.contains(seen))
    );
}

/// Changes octets of a message behind the store's back.
pub(super) fn damage(server: &Server, text: &str) {
    let journal = server.folder.path().join("default/journal");
    for file in std::fs::read_dir(journal).unwrap() {
        let path = file.unwrap().path();
        let mut octets = std::fs::read(&path).unwrap();
        let found = memchr::memmem::find(&octets, text.as_bytes());
        if let Some(at) = found {
            octets[at] ^= 1;
            // In place, as the store has the file open.
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, &octets[at..=at], at as u64).unwrap();
            return;
        }
    }
    panic!("{text} is nowhere");
}

#[tokio::test]
async fn damaged_messages_are_not_sent() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    server.put("user/bob", short("first")).await;
    server.put("user/bob", short("second")).await;
    let raw = format!("{}the-end", large());
    server.put("user/bob", raw).await;
    bob.select("INBOX").await;
    damage(&server, "Text of first");
    damage(&server, "the-end");
    bob.play(
        "C: a FETCH 1:2 (UID BODY.PEEK[])
         S: * 2 FETCH (UID 2 BODY[] {57}
         S: From: a@example.org
         S: Subject: second
         S: 
         S: Text of second.
         S: )
         S: a NO [CORRUPTION] …
         C: b SEARCH 1:2 BODY text
         S: * SEARCH 2
         S: b NO [CORRUPTION] …
         C: c FETCH 1:2 (UID RFC822.SIZE)
         S: * 1 FETCH …
         S: * 2 FETCH …
         S: c OK …",
    )
    .await;
    // All of a large one is compared before its literal begins, and before that of a part.
    for items in ["BODY.PEEK[]", "BODY.PEEK[TEXT]", "BODY.PEEK[]<0.5>"] {
        let answer = bob.ask(&format!("FETCH 3 {items}")).await;
        assert!(
            answer.last().unwrap().starts_with("NO [CORRUPTION]"),
            "{answer:?}"
        );
    }
}
