//! ENABLE (RFC 5161, RFC 9051 section 6.3.1).

use super::support::{Server, short};

/// The examples of RFC 5161 section 3.1.
#[tokio::test]
async fn what_is_known_is_enabled_and_capabilities_stay() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let before = bob.ask("CAPABILITY").await;
    bob.play(
        "C: t2 ENABLE CONDSTORE X-GOOD-IDEA
         S: * ENABLED CONDSTORE
         S: t2 OK ENABLE completed
         C: t3 ENABLE utf8=accept IDLE
         S: * ENABLED UTF8=ACCEPT
         S: t3 OK …
         C: t4 ENABLE uidonly imap4REV2 qresync
         S: * ENABLED QRESYNC IMAP4rev2 UIDONLY
         S: t4 OK …
         C: t5 ENABLE X-NOTHING
         S: * ENABLED
         S: t5 OK …
         C: t6 ENABLE QRESYNC CONDSTORE CONDSTORE
         S: * ENABLED CONDSTORE QRESYNC
         S: t6 OK …
         C: t7 ENABLE
         S: t7 BAD …",
    )
    .await;
    assert_eq!(bob.ask("CAPABILITY").await, before);
}

#[tokio::test]
async fn enabling_has_its_time() {
    let server = Server::start();
    let mut client = server.connect().await;
    client
        .play(
            "C: a ENABLE CONDSTORE
             S: a BAD Log in first
             C: b LOGIN bob secret
             S: b OK …",
        )
        .await;
    server.put("user/bob", short("1")).await;
    client.select("INBOX").await;
    // Clients do that, though they must not.
    client
        .play(
            "C: c ENABLE UIDONLY CONDSTORE
             S: c BAD …
             C: d FETCH 1 FLAGS
             S: * 1 FETCH (FLAGS (\\Recent))
             S: d OK FETCH completed
             C: e ENABLE QRESYNC
             S: * ENABLED QRESYNC
             S: e OK [HIGHESTMODSEQ 2] ENABLE completed
             C: f STORE 1 +FLAGS \\Deleted
             S: * 1 FETCH (UID 1 FLAGS (\\Deleted \\Recent) MODSEQ (3))
             S: f OK STORE completed
             C: g EXPUNGE
             S: * VANISHED 1
             S: g OK [HIGHESTMODSEQ 4] …",
        )
        .await;
}

#[tokio::test]
async fn pipelined_enabling_holds_for_what_follows() {
    let server = Server::start();
    let mut client = server.connect().await;
    client
        .send("a LOGIN bob secret\r\nb ENABLE IMAP4rev2\r\nc CREATE \"Entw\u{fc}rfe\"\r\nd LIST \"\" Entw*\r\n")
        .await;
    client
        .play(
            "S: a OK …
             S: * ENABLED IMAP4rev2
             S: b OK …
             S: c OK …
             S: * LIST (\\HasNoChildren) \"/\" \"Entwürfe\"
             S: d OK …",
        )
        .await;
}
