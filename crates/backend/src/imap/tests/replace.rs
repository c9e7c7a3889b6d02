//! MULTIAPPEND (RFC 3502) and REPLACE (RFC 8508).

use murder_mailbox::MailboxName;
use murder_store::{INLINE_LIMIT, QuotaLimits};

use super::support::{Server, short};

/// The example of RFC 3502 section 6.3.11.
#[tokio::test]
async fn several_messages_in_one_append() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    server.create("user/bob/saved-messages").await;
    let large = "x".repeat(INLINE_LIMIT + 1);
    bob.send("A003 APPEND saved-messages (\\Seen) {14}\r\n")
        .await;
    bob.play("S: + Ready for the message").await;
    bob.send("Subject: 1\r\n\r\n (\\Seen) \" 7-Feb-1994 22:43:04 -0800\" {14}\r\n")
        .await;
    bob.play("S: + Ready for the message").await;
    bob.send("Subject: 2\r\n\r\n\r\n").await;
    bob.play("S: A003 OK [APPENDUID …1:2] APPEND completed")
        .await;
    // Larger ones are staged, each by itself.
    bob.send(format!(
        "b APPEND saved-messages {{{0}+}}\r\n{large} {{{0}+}}\r\n{large} {{1+}}\r\nx\r\n",
        large.len()
    ))
    .await;
    assert!(bob.line().await.contains("b OK [APPENDUID"));
    assert_eq!(server.messages("user/bob/saved-messages").await, 5);
}

/// "If the server fails to append one message, it MUST NOT append any."
#[tokio::test]
async fn all_or_none() {
    let server = Server::with(|config| config.imap.append_limit = 1_000_000);
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a APPEND INBOX {3+}
         C: abc {3+}
         C: a\0c
         S: a BAD A message must not hold NULs
         C: b APPEND INBOX {3+}
         C: abc {3}
         S: + Ready for the message
         C: abc {4000000}
         S: b NO [TOOBIG] …
         C: c APPEND INBOX {3+}
         C: abc nonsense
         S: c BAD …
         C: d APPEND INBOX {3+}
         C: abc {0+}
         C: 
         S: d NO There is no message",
    )
    .await;
    let keywords: Vec<String> = (0..=murder_store::MAX_KEYWORDS)
        .map(|n| format!("k{n}"))
        .collect();
    let keywords = keywords.join(" ");
    bob.play(&format!(
        "C: e APPEND INBOX {{3+}}
         C: abc ({keywords}) {{3+}}
         C: abc
         S: e NO …"
    ))
    .await;
    assert_eq!(server.messages("user/bob").await, 0);
    // More than one record may have.
    let mut many = b"f APPEND INBOX {1+}\r\nx".to_vec();
    for _ in 0..1_000 {
        many.extend_from_slice(b" {1+}\r\nx");
    }
    many.extend_from_slice(b"\r\n");
    bob.send(many).await;
    assert_eq!(bob.line().await, "f NO [LIMIT] Too many messages at once");
    assert_eq!(server.messages("user/bob").await, 0);
    bob.play(
        "C: g NOOP
         S: g OK …",
    )
    .await;
}

/// The examples of RFC 8508 section 3.
#[tokio::test]
async fn replaced_in_one_step() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for n in 1..=4 {
        server.put("user/bob", short(&n.to_string())).await;
    }
    server.create("user/bob/Sent").await;
    bob.select("INBOX").await;
    bob.play(
        "C: A003 REPLACE 4 INBOX (\\Seen \\Draft) {5}
         S: + Ready for the message
         C: new 5
         S: * OK [APPENDUID …5] Replacement message ready
         S: * 4 EXPUNGE
         S: * 4 EXISTS
         S: * 4 RECENT
         S: A003 OK REPLACE completed
         C: A004 UID REPLACE 5 INBOX (\\Draft) {5+}
         C: new 6
         S: * OK [APPENDUID …6] Replacement message ready
         S: * 4 EXPUNGE
         S: * 4 EXISTS
         S: * 4 RECENT
         S: A004 OK REPLACE completed
         C: A005 REPLACE * Sent (\\Seen) {4+}
         C: sent
         S: * OK [APPENDUID …1] Replacement message ready
         S: * 4 EXPUNGE
         S: A005 OK REPLACE completed",
    )
    .await;
    assert_eq!(server.messages("user/bob").await, 3);
    assert_eq!(server.messages("user/bob/Sent").await, 1);
    bob.play(
        "C: b UID REPLACE 77 INBOX {3+}
         C: abc
         S: b NO [EXPUNGEISSUED] …
         C: c REPLACE 9 INBOX {3}
         S: c BAD …
         C: d REPLACE 1 nowhere {3}
         S: d NO [TRYCREATE] …
         C: e REPLACE 1 INBOX {3+}
         C: abc {3+}
         C: def
         S: e BAD REPLACE takes one message
         C: f EXAMINE INBOX
         S: * OK [CLOSED] …
         S: * FLAGS …
         S: * OK …
         S: * 3 EXISTS
         S: * 0 RECENT
         S: * OK …
         S: * OK …
         S: * OK …
         S: * OK …
         S: * OK …
         S: f OK …
         C: g REPLACE 1 INBOX {3}
         S: g NO [READ-ONLY] …
         C: h UNSELECT
         S: h OK …
         C: i UID REPLACE 1 INBOX {3}
         S: i BAD Select a mailbox first",
    )
    .await;
    assert_eq!(server.messages("user/bob").await, 3);
}

/// Only the net consumption counts.
#[tokio::test]
async fn quota_counts_what_is_replaced() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    server.put("user/bob", "x".repeat(900)).await;
    let inbox = MailboxName::parse_canonical("user/bob").unwrap();
    let found = server.node.find(&inbox).unwrap();
    let limits = QuotaLimits {
        storage: Some(1),
        ..QuotaLimits::default()
    };
    found.partition.set_quota(&inbox, limits).await.unwrap();
    bob.select("INBOX").await;
    let message = "y".repeat(1000);
    bob.play(&format!(
        "C: a APPEND INBOX {{1000}}
         S: a NO [OVERQUOTA] …
         C: b REPLACE 1 INBOX {{1000}}
         S: + Ready for the message
         C: {message}
         S: * OK [APPENDUID …] …
         S: * 1 EXPUNGE
         S: * 1 EXISTS
         S: * 1 RECENT
         S: b OK …
         C: c REPLACE 1 INBOX {{1025+}}
         C: {message}{}
         S: c NO [OVERQUOTA] …
         C: d FETCH 1 UID
         S: * 1 FETCH (UID 2)
         S: d OK …",
        "z".repeat(25)
    ))
    .await;
}

/// Removing takes the rights that EXPUNGE takes; inserting those of APPEND.
#[tokio::test]
async fn rights() {
    let server = Server::start();
    server.create("user/bob").await;
    server.put("user/bob", short("1")).await;
    for (rights, wanted) in [
        ("lrsit", "NO [NOPERM]"),
        ("lrsie", "NO [NOPERM]"),
        ("lrste", "NO [NOPERM]"),
        ("lrsite", "OK"),
    ] {
        server.allow("user/bob", "carol", rights).await;
        let mut carol = server.login("carol").await;
        carol.select("Other Users/bob").await;
        carol
            .send("a REPLACE 1 \"Other Users/bob\" {3+}\r\nabc\r\n")
            .await;
        loop {
            let line = carol.line().await;
            if let Some(end) = line.strip_prefix("a ") {
                assert!(end.starts_with(wanted), "{rights}: {end}");
                break;
            }
        }
    }
    assert_eq!(server.messages("user/bob").await, 1);
}
