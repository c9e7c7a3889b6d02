//! CATENATE (RFC 4469), also with MULTIAPPEND (RFC 3502), UTF8 (RFC 6855) and REPLACE (RFC 8508).

use murder_imap::{FetchData, Untagged};
use murder_mailbox::MailboxName;
use murder_store::{Flags, INLINE_LIMIT, QuotaLimits};

use super::fetch::damage;
use super::support::{Client, Server, short};

const BOUNDARY: &str = "------------030308070208000400050907";

/// The message of the RFC's examples: a text and an attachment.
fn draft() -> String {
    format!(
        "From: Bob Ar <bar@example.org>\r\nSubject: About our trip\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\r\n\r\n\
         This is a message of parts.\r\n--{BOUNDARY}\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\r\nThe schedule is below.\r\n\
         --{BOUNDARY}\r\nContent-Type: application/x-zip-compressed\r\n\
         Content-Transfer-Encoding: base64\r\n\r\nUEsDBA==\r\n--{BOUNDARY}--\r\n"
    )
}

/// What a client would make the message of that replaces the attachment.
fn with_another_attachment() -> String {
    let whole = draft();
    let kept = whole.replace("This is a message of parts.\r\n", "\r\n");
    let kept = &kept[..kept.find("Content-Type: application/").unwrap()];
    format!("{kept}{}\r\n--{BOUNDARY}--\r\n", attachment())
}

/// A part of MIME, as a client uploads it.
fn attachment() -> &'static str {
    "Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERg=="
}

/// A mailbox of bob's; its UIDVALIDITY.
async fn make(server: &Server, name: &str) -> u32 {
    let name = format!("user/bob{name}");
    if server
        .node
        .find(&MailboxName::parse_canonical(&name).unwrap())
        .is_none()
    {
        server.create(&name).await;
    }
    server.open(&name).await.1.view().uidvalidity()
}

/// The last message of a mailbox of bob's, and its flags.
async fn last(server: &Server, name: &str) -> (String, Flags) {
    let (partition, handle) = server.open(&format!("user/bob{name}")).await;
    let view = handle.view();
    let row = view.row(view.len()).unwrap();
    let raw = partition.read_body(row.location).await.unwrap();
    (String::from_utf8(raw.to_vec()).unwrap(), row.flags)
}

/// The answer to an APPEND to `x` of these parts, literals not awaited.
async fn catenate(client: &mut Client, parts: &str) -> String {
    let answer = client.ask(&format!("APPEND x CATENATE ({parts})")).await;
    answer.last().unwrap().clone()
}

fn text(octets: &str) -> String {
    format!("TEXT {{{}+}}\r\n{octets}", octets.len())
}

#[tokio::test]
async fn an_attachment_is_replaced() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let validity = make(&server, "/Drafts").await;
    for _ in 1..20 {
        server.put("user/bob/Drafts", short("other")).await;
    }
    assert_eq!(server.put("user/bob/Drafts", draft()).await, 20);
    assert_eq!(server.put("user/bob/Drafts", attachment()).await, 21);
    // Example 1.
    bob.play(&format!(
        "C: A003 APPEND Drafts (\\Seen \\Draft $MDNSent) CATENATE (URL \"/Drafts;UIDVALIDITY={validity}/;UID=20/;section=HEADER\" TEXT {{42}}
         S: + Ready for the message
         C: 
         C: --{BOUNDARY}
         C:  URL \"/Drafts;UIDVALIDITY={validity}/;UID=20/;section=1.MIME\" URL \"/Drafts;UIDVALIDITY={validity}/;UID=20/;section=1\" TEXT {{42}}
         S: + Ready for the message
         C: 
         C: --{BOUNDARY}
         C:  URL \"/Drafts;UIDVALIDITY={validity}/;UID=21\" TEXT {{44}}
         S: + Ready for the message
         C: 
         C: --{BOUNDARY}--
         C: )
         S: A003 OK [APPENDUID {validity} 22] APPEND completed"
    ))
    .await;
    let (raw, flags) = last(&server, "/Drafts").await;
    assert_eq!(raw, with_another_attachment());
    assert_eq!(flags, Flags::SEEN | Flags::DRAFT);
    // "The APPEND command does not cause the \Seen flag to be set for any catenated body part."
    let (_, handle) = server.open("user/bob/Drafts").await;
    for uid in [20, 21] {
        let row = handle.view().row_by_uid(uid).unwrap();
        assert_eq!(row.flags, Flags::NONE);
    }
    // Example 2, with the mailbox selected.
    bob.select("Drafts").await;
    let header = "Subject: About our holiday trip\r\nContent-Type: multipart/mixed;\r\n";
    bob.play(&format!(
        "C: A003 APPEND Drafts (\\Seen \\Draft $MDNSent) CATENATE (TEXT {{{}}}
         S: + Ready for the message",
        header.len()
    ))
    .await;
    bob.send(header).await;
    bob.play(&format!(
        "C:  URL \"/Drafts;UIDVALIDITY={validity}/;UID=20/;Section=2.MIME\" URL \";UID=20/;Section=2\" TEXT {{44}}
         S: + Ready for the message
         C: 
         C: --{BOUNDARY}--
         C: )
         S: * 23 EXISTS
         S: * 23 RECENT
         S: A003 OK [APPENDUID {validity} 23] APPEND completed
         C: A004 UID STORE 20 +FLAGS.SILENT (\\Deleted)
         S: A004 OK STORE completed"
    ))
    .await;
    assert_eq!(
        last(&server, "/Drafts").await.0,
        format!(
            "{header}Content-Type: application/x-zip-compressed\r\n\
             Content-Transfer-Encoding: base64\r\n\r\nUEsDBA==\r\n--{BOUNDARY}--\r\n"
        )
    );
}

/// Example 4: a digest, one message of which is gone.
#[tokio::test]
async fn one_url_is_bad() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    make(&server, "/Sent").await;
    let validity = make(&server, "").await;
    server.put("user/bob", short("one")).await;
    bob.play(&format!(
        "C: A003 APPEND Sent (\\Seen $MDNSent) CATENATE (TEXT {{8}}
         S: + Ready for the message
         C: A: b
         C: 
         C: x URL \"/INBOX;UIDVALIDITY={validity}/;UID=1\" TEXT {{42}}
         S: A003 BAD …"
    ))
    .await;
    bob.play(&format!(
        "C: A003 APPEND Sent (\\Seen $MDNSent) CATENATE (TEXT {{8}}
         S: + Ready for the message
         C: A: b
         C: 
         C:  URL \"/INBOX;UIDVALIDITY={validity}/;UID=1\" TEXT {{42}}
         S: + Ready for the message
         C: 
         C: --{BOUNDARY}
         C:  URL \"/INBOX;UIDVALIDITY={validity}/;UID=113330/;section=1.5.9\" TEXT {{42}}
         S: A003 NO [BADURL /INBOX;UIDVALIDITY={validity}/;UID=113330/;section=1.5.9] There is no such message
         C: A004 NOOP
         S: A004 OK …"
    ))
    .await;
    // The same without waiting to be asked.
    let bad = format!("/INBOX;UIDVALIDITY={validity}/;UID=1/;section=1.5.9");
    bob.send(format!(
        "b APPEND Sent CATENATE ({} URL {bad} {} URL /gone/;UID=1 {})\r\nc NOOP\r\n",
        text("one"),
        text("c NOOP\r\n"),
        text("x\r\n)\r\n")
    ))
    .await;
    bob.play(&format!(
        "S: b NO [BADURL {bad}] The message has no such part
         S: c OK …"
    ))
    .await;
    assert_eq!(server.messages("user/bob/Sent").await, 0);
}

/// RFC 8508 section 4.2: the message that is replaced is a part of the new one.
#[tokio::test]
async fn a_message_replaces_itself() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    make(&server, "/Drafts").await;
    server
        .put("user/bob/Drafts", "Date: x\r\n\r\nbody\r\n")
        .await;
    bob.select("Drafts").await;
    bob.play(
        "C: A011 UID REPLACE 1 Drafts CATENATE (TEXT {71}
         S: + Ready for the message
         C: To: Mitzy <miss.mitzy@example.org>
         C: Subject: My view of the fireworks
         C:  URL \"/Drafts/;UID=1\")
         S: * OK [APPENDUID …2] Replacement message ready
         S: * 1 EXPUNGE
         S: * 1 EXISTS
         S: * 1 RECENT
         S: A011 OK REPLACE completed
         C: b REPLACE 1 Drafts CATENATE (URL \";UID=1\")
         S: b NO [BADURL ;UID=1] There is no such message
         C: c REPLACE 1 Drafts CATENATE (URL \";UID=2\") CATENATE (URL \";UID=2\")
         S: c BAD …",
    )
    .await;
    assert_eq!(
        last(&server, "/Drafts").await.0,
        "To: Mitzy <miss.mitzy@example.org>\r\nSubject: My view of the fireworks\r\n\
         Date: x\r\n\r\nbody\r\n"
    );
    assert_eq!(server.messages("user/bob/Drafts").await, 1);
}

/// "As if the literal returned in a FETCH BODY response were put in place."
#[tokio::test]
async fn octets_are_those_of_fetch() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    make(&server, "/x").await;
    let large = draft().replace("UEsDBA==", &"UEsDBA==\r\n".repeat(200_000));
    server.put("user/bob", draft()).await;
    server.put("user/bob", large).await;
    bob.select("INBOX").await;
    for uid in [1, 2] {
        for (section, partial) in [
            ("", None),
            ("HEADER", None),
            ("TEXT", None),
            ("TEXT", Some("5.20")),
            ("", Some("10.1000000")),
            ("1", None),
            ("2", None),
            ("2", Some("4.1200000")),
            ("1.MIME", None),
            ("HEADER.FIELDS (subject X-None)", None),
            ("HEADER.FIELDS.NOT (SUBJECT)", Some("0.30")),
        ] {
            let wanted = fetched(&mut bob, uid, section, partial).await;
            let mut url = format!(";UID={uid}");
            if !section.is_empty() {
                url += &format!("/;SECTION={}", section.replace(' ', "%20"));
            }
            if let Some(partial) = partial {
                url += &format!("/;PARTIAL={partial}");
            }
            let answer = catenate(&mut bob, &format!("{} URL \"{url}\"", text("~"))).await;
            assert!(answer.starts_with("OK [APPENDUID "), "{url}: {answer}");
            let got = last(&server, "/x").await.0;
            assert!(got == format!("~{wanted}"), "{url}: {} octets", got.len());
        }
    }
    // To the end, and behind it.
    let rest = catenate(&mut bob, "URL \";UID=1/;SECTION=1/;PARTIAL=4\"").await;
    assert!(rest.starts_with("OK "), "{rest}");
    assert_eq!(last(&server, "/x").await.0, "schedule is below.");
    let nothing = catenate(&mut bob, "URL \";UID=1/;SECTION=1/;PARTIAL=99\"").await;
    assert_eq!(nothing, "NO There is no message");
    let text = catenate(
        &mut bob,
        &format!("URL \";UID=1/;PARTIAL=9999.1\" {}", text("y")),
    )
    .await;
    assert!(text.starts_with("OK "), "{text}");
    assert_eq!(last(&server, "/x").await.0, "y");
}

async fn fetched(client: &mut Client, uid: u32, section: &str, partial: Option<&str>) -> String {
    let partial = partial.map_or(String::new(), |partial| format!("<{partial}>"));
    let command = format!("UID FETCH {uid} BODY.PEEK[{section}]{partial}");
    let (untagged, _) = client.get(&command).await;
    let octets = untagged.into_iter().find_map(|response| match response {
        Untagged::Fetch { items, .. } => items.into_iter().find_map(|item| match item {
            FetchData::Section { octets, .. } => octets,
            _ => None,
        }),
        _ => None,
    });
    String::from_utf8(octets.expect(&command)).unwrap()
}

#[tokio::test]
async fn names_are_utf8() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for name in ["/x", "/Entwürfe", "/a b;c?d", "/台北/日本語"] {
        make(&server, name).await;
        server.put(&format!("user/bob{name}"), "message").await;
    }
    make(&server, "").await;
    server.put("user/bob", "message").await;
    server.create("user/carol/shared").await;
    server.allow("user/carol/shared", "bob", "lr").await;
    server.put("user/carol/shared", "message").await;
    for url in [
        "/Entw%C3%BCrfe/;UID=1",
        // As it is composed does not matter, as elsewhere.
        "/Entwu%CC%88rfe/;UID=1",
        "/a%20b%3Bc%3Fd/;UID=1",
        "/%E5%8F%B0%E5%8C%97/%E6%97%A5%E6%9C%AC%E8%AA%9E/;UID=1",
        "/INBOX/;UID=1",
        "/inbox/;uid=1",
        "/Other%20Users/carol/shared/;UID=1",
        "/x/../INBOX/;UID=1",
    ] {
        let answer = catenate(&mut bob, &format!("URL \"{url}\"")).await;
        assert!(answer.starts_with("OK [APPENDUID "), "{url}: {answer}");
    }
    for url in [
        "/Entw&APw-rfe/;UID=1",
        "/Entw%26APw-rfe/;UID=1",
        "/entw%C3%BCrfe/;UID=1",
        "/a%2Bb/;UID=1",
        "/user/bob/x/;UID=1",
        "/a//b/;UID=1",
        "/%00/;UID=1",
    ] {
        let answer = catenate(&mut bob, &format!("URL \"{url}\"")).await;
        let wanted = format!("NO [BADURL {url}] ");
        assert!(answer.starts_with(&wanted), "{url}: {answer}");
    }
}

#[tokio::test]
async fn what_is_no_message() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    make(&server, "/x").await;
    let validity = make(&server, "").await;
    server.put("user/bob", short("one")).await;
    for (url, told) in [
        ("x", "x"),
        ("/", "/"),
        ("/INBOX", "/INBOX"),
        (";UID=1", ";UID=1"),
        ("imap://bob@be1/INBOX/;UID=1", "imap://bob@be1/INBOX/;UID=1"),
        ("//be1/INBOX/;UID=1", "//be1/INBOX/;UID=1"),
        ("/INBOX?ALL", "/INBOX?ALL"),
        ("/INBOX/;UID=1/;SECTION=[1]", "/INBOX/;UID=1/;SECTION=[1%5D"),
        ("/INBOX/;UID=2", "/INBOX/;UID=2"),
        ("/INBOX/;UID=1/;SECTION=2", "/INBOX/;UID=1/;SECTION=2"),
        ("/nowhere/;UID=1", "/nowhere/;UID=1"),
        ("/ä/;UID=1", "/%C3%A4/;UID=1"),
        (
            "/INBOX/;UID=1;URLAUTH=anonymous",
            "/INBOX/;UID=1;URLAUTH=anonymous",
        ),
    ] {
        for (sent, quoted) in [("quoted", true), ("literal", false)] {
            let argument = match quoted {
                true => format!("\"{url}\""),
                false => format!("{{{}+}}\r\n{url}", url.len()),
            };
            let parts = format!("{} URL {argument} {}", text("a"), text("b"));
            let answer = catenate(&mut bob, &parts).await;
            let wanted = format!("NO [BADURL {told}] ");
            assert!(answer.starts_with(&wanted), "{url} {sent}: {answer}");
        }
    }
    let other = validity.wrapping_add(1);
    let stale = catenate(&mut bob, &format!("URL /INBOX;UIDVALIDITY={other}/;UID=1")).await;
    let wanted = format!("NO [BADURL /INBOX;UIDVALIDITY={other}/;UID=1] UIDVALIDITY is another");
    assert_eq!(stale, wanted);
    let fresh = catenate(
        &mut bob,
        &format!("URL /INBOX;UIDVALIDITY={validity}/;UID=1"),
    )
    .await;
    assert!(fresh.starts_with("OK "), "{fresh}");
    assert_eq!(server.messages("user/bob/x").await, 1);
}

/// `;UID=` means the selected mailbox, as it is now.
#[tokio::test]
async fn the_selected_mailbox_is_the_base() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let mut other = server.login("bob").await;
    make(&server, "/x").await;
    make(&server, "/y").await;
    server.put("user/bob/y", "one").await;
    server.put("user/bob/y", "two").await;
    let (_, opened) = bob.get("EXAMINE y").await;
    assert!(opened.starts_with("OK "), "{opened}");
    let answer = catenate(&mut bob, "URL ;UID=1 URL ;UID=2/;PARTIAL=1").await;
    assert!(answer.starts_with("OK "), "{answer}");
    assert_eq!(last(&server, "/x").await.0, "onewo");
    other.select("y").await;
    for command in ["UID STORE 2 +FLAGS (\\Deleted)", "EXPUNGE", "RENAME y z"] {
        let answer = other.ask(command).await;
        assert!(answer.last().unwrap().starts_with("OK "), "{answer:?}");
    }
    // The client has not been told that it went.
    let gone = catenate(&mut bob, "URL ;UID=2").await;
    assert!(gone.starts_with("NO [BADURL ;UID=2] "), "{gone}");
    let renamed = catenate(&mut bob, "URL ;UID=1").await;
    assert!(renamed.starts_with("OK "), "{renamed}");
    let answer = other.ask("DELETE z").await;
    assert!(answer.last().unwrap().starts_with("OK "), "{answer:?}");
    bob.send("a APPEND x CATENATE (URL ;UID=1)\r\n").await;
    let answer = bob.ends().await.join("\n");
    assert!(
        answer.contains("NO [BADURL ;UID=1] Mailbox does not exist"),
        "{answer}"
    );
}

/// Right `r` is what counts; who may not even know of a mailbox is told that there is none.
#[tokio::test]
async fn nothing_is_told_of_what_may_not_be_read() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    make(&server, "/x").await;
    server.create("user/carol").await;
    for (name, rights) in [("hidden", ""), ("known", "lswi"), ("open", "r")] {
        let name = format!("user/carol/{name}");
        server.create(&name).await;
        server.put(&name, "secret").await;
        if !rights.is_empty() {
            server.allow(&name, "bob", rights).await;
        }
    }
    let mut told = Vec::new();
    for name in ["hidden", "nowhere", "known", "open"] {
        for rest in [
            "/;UID=1",
            "/;UID=2",
            ";UIDVALIDITY=1/;UID=1",
            "/;UID=1/;SECTION=7",
        ] {
            let url = format!("/Other%20Users/carol/{name}{rest}");
            let answer = catenate(&mut bob, &format!("URL \"{url}\"")).await;
            told.push(answer.replace(&format!("[BADURL {url}]"), "[BADURL]"));
        }
    }
    let none = vec!["NO [BADURL] Mailbox does not exist"; 8];
    assert_eq!(told[..8], none);
    let not_permitted = vec!["NO [BADURL] Permission denied"; 4];
    assert_eq!(told[8..12], not_permitted);
    assert!(told[12].starts_with("OK [APPENDUID "), "{told:?}");
    assert_eq!(
        told[13..],
        [
            "NO [BADURL] There is no such message",
            "NO [BADURL] UIDVALIDITY is another",
            "NO [BADURL] The message has no such part",
        ]
    );
    // To append, right `i` on the target, as ever.
    server.put("user/bob/x", "mine").await;
    let answer = bob
        .ask("APPEND \"Other Users/carol/open\" CATENATE (URL /x/;UID=1)")
        .await;
    assert!(answer[0].starts_with("NO [TRYCREATE] "), "{answer:?}");
    let answer = bob
        .ask("APPEND \"Other Users/carol/known\" CATENATE (URL /x/;UID=1)")
        .await;
    assert!(answer[0].starts_with("OK "), "{answer:?}");
}

/// The limit holds for the whole, and each part is refused before it is asked for or read.
#[tokio::test]
async fn too_big() {
    let server = Server::with(|config| config.imap.append_limit = 300_000);
    let mut bob = server.login("bob").await;
    make(&server, "/x").await;
    server.put("user/bob", "y".repeat(100_000)).await;
    bob.select("INBOX").await;
    bob.play(
        "C: a APPEND x CATENATE (TEXT {300001}
         S: a NO [TOOBIG] …
         C: b APPEND x CATENATE (URL ;UID=1 URL ;UID=1 TEXT {100001}
         S: b NO [TOOBIG] …
         C: c APPEND x CATENATE (URL ;UID=1 URL ;UID=1 URL ;UID=1 URL \";UID=1/;PARTIAL=99999.1\")
         S: c NO [TOOBIG] …
         C: d APPEND x CATENATE (URL ;UID=1 URL ;UID=1 TEXT {9223372036854775807}
         S: d NO [TOOBIG] …
         C: e APPEND x CATENATE (URL ;UID=1 URL ;UID=1 URL ;UID=1)
         S: e OK …
         C: f APPEND x CATENATE (URL ;UID=1) CATENATE (URL ;UID=1 URL ;UID=1 TEXT {100001}
         S: f NO [TOOBIG] …",
    )
    .await;
    assert!(last(&server, "/x").await.0 == "y".repeat(300_000));
    // Not awaited, what is too much is passed over.
    let parts = format!(
        "URL ;UID=1 URL ;UID=1 {} {}",
        text(&"z".repeat(100_001)),
        text("w")
    );
    let answer = catenate(&mut bob, &parts).await;
    assert!(answer.starts_with("NO [TOOBIG] "), "{answer}");
    assert_eq!(server.messages("user/bob/x").await, 1);
    let after = bob.ask("NOOP").await;
    assert!(after.last().unwrap().starts_with("OK "), "{after:?}");
}

#[tokio::test]
async fn over_quota() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    make(&server, "").await;
    make(&server, "/x").await;
    server.put("user/bob", "y".repeat(INLINE_LIMIT + 1)).await;
    let inbox = MailboxName::parse_canonical("user/bob").unwrap();
    let partition = server.node.find(&inbox).unwrap().partition;
    let limits = QuotaLimits {
        storage: Some(400),
        ..QuotaLimits::default()
    };
    partition.set_quota(&inbox, limits).await.unwrap();
    bob.play(
        "C: a APPEND x CATENATE (URL /INBOX/;UID=1 TEXT {1}
         S: a NO [OVERQUOTA] …
         C: b APPEND x CATENATE (URL /INBOX/;UID=1/;PARTIAL=0.200000 TEXT {1}
         S: b NO [OVERQUOTA] …
         C: c APPEND x CATENATE (URL /INBOX/;UID=1/;PARTIAL=0.200000)
         S: c NO [OVERQUOTA] …
         C: d APPEND x CATENATE (URL /INBOX/;UID=1/;PARTIAL=0.100000 TEXT {1}
         S: + Ready for the message
         C: z)
         S: d OK …",
    )
    .await;
    assert_eq!(server.messages("user/bob/x").await, 1);
}

/// All messages of a command or none, however they come.
#[tokio::test]
async fn several_messages() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    make(&server, "/x").await;
    server.put("user/bob", "one").await;
    bob.select("INBOX").await;
    bob.play(
        "C: a APPEND x CATENATE (URL ;UID=1) (\\Seen) CATENATE (TEXT {3}
         S: + Ready for the message
         C: two URL ;UID=1) \" 7-Feb-1994 22:43:04 -0800\" {5}
         S: + Ready for the message
         C: three CATENATE (URL {6}
         S: + Go ahead
         C: ;UID=1)
         S: a OK [APPENDUID …1:4] APPEND completed
         C: b APPEND x CATENATE (URL ;UID=1) CATENATE (URL ;UID=2)
         S: b NO [BADURL ;UID=2] …
         C: c APPEND x {1+}
         C: x CATENATE (URL ;UID=2)
         S: c NO [BADURL ;UID=2] …
         C: d APPEND x CATENATE (URL ;UID=1) CATENATE (TEXT {0+}
         C: )
         S: d NO There is no message
         C: e APPEND {1+}
         C: x CATENATE (URL ;UID=1) nonsense
         S: e BAD …",
    )
    .await;
    let (partition, handle) = server.open("user/bob/x").await;
    let mut stored = Vec::new();
    for row in handle.view().rows(1, 4) {
        let raw = partition.read_body(row.location).await.unwrap();
        stored.push((String::from_utf8(raw.to_vec()).unwrap(), row.flags));
    }
    let wanted = [
        ("one", Flags::NONE),
        ("twoone", Flags::SEEN),
        ("three", Flags::NONE),
        ("one", Flags::NONE),
    ];
    assert_eq!(stored, wanted.map(|(raw, flags)| (raw.to_owned(), flags)));
    assert_eq!(server.messages("user/bob/x").await, 4);
}

/// RFC 6855 section 4: 8-bit octets in the header of the whole, wherever they come from.
#[tokio::test]
async fn utf8_headers() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    make(&server, "/x").await;
    server
        .put("user/bob", "Subject: blåbær\r\n\r\nblåbær\r\n")
        .await;
    server.put("user/bob", "Subject: x\r\n\r\n").await;
    bob.select("INBOX").await;
    let part = "Subject: ø\r\n\r\n";
    let part = format!("UTF8 (~{{{}+}}\r\n{part})", part.len());
    let body = format!("{} URL ;UID=1/;SECTION=TEXT", text("A: b\r\n\r\n"));
    for (parts, before, after) in [
        (part.as_str(), "BAD ", "OK "),
        ("URL ;UID=1", "NO [CANNOT] ", "OK "),
        (&text("Subject: ø\r\n\r\n"), "NO [CANNOT] ", "OK "),
        (&body, "OK ", "OK "),
        ("URL ;UID=2 URL ;UID=1", "OK ", "OK "),
        (&text("a\0b"), "BAD A message must not hold NULs", "BAD "),
        ("UTF8 (~{3+}\r\na\0b)", "BAD ", "OK "),
        ("TEXT ~{1+}\r\nx", "BAD ", "BAD "),
        ("UTF8 ({1+}\r\nx)", "BAD ", "BAD "),
    ] {
        let mut utf8 = server.login("bob").await;
        utf8.select("INBOX").await;
        let enabled = utf8.ask("UNSELECT").await;
        assert!(enabled[0].starts_with("OK "), "{enabled:?}");
        utf8.ask("ENABLE UTF8=ACCEPT").await;
        utf8.select("INBOX").await;
        let answer = catenate(&mut bob, parts).await;
        assert!(answer.starts_with(before), "{parts}: {answer}");
        let answer = catenate(&mut utf8, parts).await;
        assert!(answer.starts_with(after), "{parts}: {answer}");
    }
}

/// Large parts go through the disk, on either side.
#[tokio::test]
async fn large_parts() {
    let server = Server::with_partitions(&["default", "other"]);
    let mut bob = server.login("bob").await;
    make(&server, "/x").await;
    let large = "0123456789abcdef".repeat(100_000);
    server.put("user/bob", large.clone()).await;
    bob.select("INBOX").await;
    let small = "s".repeat(INLINE_LIMIT - 10);
    for (parts, wanted) in [
        (
            "URL ;UID=1 URL ;UID=1".to_owned(),
            format!("{large}{large}"),
        ),
        (
            format!(
                "{} URL \";UID=1/;PARTIAL=5.20\" {}",
                text(&small),
                text("end")
            ),
            format!("{small}{}end", &large[5..25]),
        ),
        (
            format!("{} URL ;UID=1", text(&small)),
            format!("{small}{large}"),
        ),
    ] {
        let answer = catenate(&mut bob, &parts).await;
        assert!(answer.starts_with("OK "), "{answer}");
        let got = last(&server, "/x").await.0;
        assert!(got == wanted, "{} octets", got.len());
    }
    // Together more than is held in memory.
    let many = format!(" CATENATE ({} {})", text(&small), text("x")).repeat(30);
    let answer = bob.ask(&format!("APPEND x{many}")).await;
    assert!(answer.last().unwrap().starts_with("OK "), "{answer:?}");
    assert_eq!(server.messages("user/bob/x").await, 33);
    assert!(last(&server, "/x").await.0 == format!("{small}x"));
}

/// The answer is that of FETCH, also when the damage is at the end of what has been taken in.
#[tokio::test]
async fn damaged_messages_are_not_taken() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    make(&server, "/x").await;
    server.put("user/bob", short("first")).await;
    let large = format!("{}the-end", "0123456789abcdef".repeat(100_000));
    server.put("user/bob", large).await;
    damage(&server, "Text of first");
    damage(&server, "the-end");
    bob.select("INBOX").await;
    // A part that is far from the damage as well.
    let partial = ";UID=2/;PARTIAL=0.5";
    for url in [";UID=1", ";UID=1/;SECTION=1", ";UID=2", partial] {
        let parts = format!("{} URL {url} {}", text("a"), text("b"));
        let answer = catenate(&mut bob, &parts).await;
        assert_eq!(answer, "NO [CORRUPTION] Mailbox is damaged", "{url}");
    }
}

/// Each of these is refused, and the next command is read.
#[tokio::test]
async fn hostile() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    make(&server, "/x").await;
    server.put("user/bob", "one").await;
    bob.select("INBOX").await;
    let long = "x".repeat(9_000);
    for (parts, wanted) in [
        (String::new(), "BAD "),
        ("URL".into(), "BAD "),
        ("URL \"\"".into(), "BAD "),
        ("URL ;UID=1 ".into(), "BAD "),
        ("URL ;UID=1)(URL ;UID=1".into(), "BAD "),
        ("TEXT \"x\"".into(), "BAD "),
        (format!("URL {long}"), "BAD "),
        (format!("URL {{9000+}}\r\n{long}"), "BAD "),
        (format!("URL {{70000+}}\r\n{}", "x".repeat(70_000)), "BAD "),
        (
            format!("URL \"/{}/;UID=1\"", "%41".repeat(2_000)),
            "NO [BADURL ",
        ),
        (
            format!("URL /{}/;UID=1", "../".repeat(2_000)),
            "NO [BADURL ",
        ),
        (
            format!("URL ;UID=1/;SECTION={}1", "1.".repeat(200)),
            "NO [BADURL ",
        ),
        (
            "URL \";UID=1/;SECTION=HEADER.FIELDS%20(%7B9%7D%0D%0Ax)\"".into(),
            "NO [BADURL ",
        ),
        (["URL ;UID=1"; 1_001].join(" "), "NO [LIMIT] "),
        (["TEXT {0+}\r\n"; 1_001].join(" "), "NO [LIMIT] "),
        (["TEXT {1+}\r\nx"; 1_000].join(" "), "OK "),
    ] {
        let answer = catenate(&mut bob, &parts).await;
        assert!(answer.starts_with(wanted), "{:.80}: {:.200}", parts, answer);
        let after = bob.ask("NOOP").await.pop().unwrap();
        assert!(after.starts_with("OK "), "{:.80}: {after}", parts);
    }
    assert_eq!(server.messages("user/bob/x").await, 1);
    // Parts count for all messages of a command together.
    let many = " CATENATE (URL ;UID=1 URL ;UID=1)".repeat(501);
    let answer = bob.ask(&format!("APPEND x{many}")).await;
    assert_eq!(answer, ["NO [LIMIT] Too many parts at once"]);
    // A target that is not there is known before the parts, which are passed over.
    let answer = bob
        .ask(&format!(
            "APPEND nowhere CATENATE (URL ;UID=1 {} URL ;UID=1)",
            text("x\r\n")
        ))
        .await;
    assert!(answer[0].starts_with("NO [TRYCREATE] "), "{answer:?}");
    // Before login.
    let mut stranger = server.connect().await;
    stranger
        .play(
            "C: a APPEND x CATENATE (URL ;UID=1)
             S: a BAD …",
        )
        .await;
}

#[tokio::test]
async fn a_client_that_goes_leaves_nothing() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    make(&server, "/x").await;
    server.put("user/bob", "y".repeat(2 * INLINE_LIMIT)).await;
    bob.send("a APPEND x CATENATE (URL /INBOX/;UID=1 TEXT {10+}\r\n12345")
        .await;
    bob.close().await;
    let mut bob = server.login("bob").await;
    bob.send("a APPEND x CATENATE (URL /INBOX/;UID=1").await;
    bob.close().await;
    assert_eq!(server.messages("user/bob/x").await, 0);
}

/// Frontends are offered what they were; what they send is what clients are not.
#[tokio::test]
async fn frontends_are_not_offered_it() {
    let server = Server::with_tls(|_| {});
    server.create("user/bob").await;
    let mut frontend = server.connect_for("bob").await;
    let lines = frontend.ask("CAPABILITY").await;
    assert!(!lines[0].contains("CATENATE"), "{lines:?}");
}
