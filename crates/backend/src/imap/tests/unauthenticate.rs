//! UNAUTHENTICATE (RFC 8437).

use super::support::{Server, short};

#[tokio::test]
async fn nothing_of_a_user_is_left() {
    let server = Server::start();
    let mut client = server.connect().await;
    client
        .play(
            "C: a UNAUTHENTICATE
             S: a BAD Log in first
             C: b LOGIN bob secret
             S: b OK [CAPABILITY … UNAUTHENTICATE …] …
             C: c ENABLE IMAP4rev2 QRESYNC UTF8=ACCEPT UIDONLY
             S: * ENABLED …
             S: c OK …
             C: d CREATE \"Entwürfe\"
             S: d OK …",
        )
        .await;
    server.put("user/bob", short("x")).await;
    client.select("INBOX").await;
    client
        .play(
            "C: e UID STORE 1 +FLAGS.SILENT \\Deleted
             S: * 1 UIDFETCH (MODSEQ (3))
             S: e OK …
             C: f UNAUTHENTICATE
             S: f OK [CAPABILITY IMAP4rev1 … AUTH=PLAIN] UNAUTHENTICATE completed
             C: g FETCH 1 FLAGS
             S: g BAD Log in first
             C: h LIST \"\" *
             S: h BAD Log in first",
        )
        .await;
    // No expunge, and bob's connection does not count any more.
    assert_eq!(server.messages("user/bob").await, 1);
    let text = server.node.metrics.render();
    assert!(text.contains("murder_backend_imap_sessions 1"), "{text}");
    client
        .send("i LOGIN bob secret\r\nj LIST \"\" *\r\nk SELECT INBOX\r\n")
        .await;
    client
        .play(
            "S: i OK …
             S: * LIST (\\HasNoChildren) \"/\" \"Entw&APw-rfe\"
             S: * LIST (\\HasNoChildren) \"/\" \"INBOX\"
             S: j OK …
             S: * FLAGS …
             S: * OK [PERMANENTFLAGS …
             S: * 1 EXISTS
             S: * 0 RECENT
             S: * OK [UNSEEN 1] …
             S: * OK [UIDVALIDITY …
             S: * OK [UIDNEXT 2] …
             S: * OK [HIGHESTMODSEQ 3] …
             S: * OK [MAILBOXID …
             S: k OK …
             C: l STORE 1 -FLAGS \\Deleted
             S: * 1 FETCH (FLAGS ())
             S: l OK STORE completed
             C: m UNAUTHENTICATE now
             S: m BAD …
             C: n UNAUTHENTICATE
             S: n OK …
             C: o LOGIN carol secret
             S: o OK …
             C: p LIST \"\" *
             S: * LIST (\\HasNoChildren) \"/\" \"INBOX\"
             S: p OK …",
        )
        .await;
}

#[tokio::test]
async fn connections_of_a_user_are_counted_to_its_end() {
    let server = Server::with(|config| config.limits.max_connections_per_user = 1);
    let mut one = server.login("bob").await;
    let mut two = server.connect().await;
    two.play(
        "C: a LOGIN bob secret
         S: a NO [LIMIT] …",
    )
    .await;
    one.play(
        "C: a UNAUTHENTICATE
         S: a OK …",
    )
    .await;
    two.play(
        "C: b LOGIN bob secret
         S: b OK …",
    )
    .await;
}

#[tokio::test]
async fn it_can_be_turned_off_and_is_not_for_frontends() {
    let server = Server::with(|config| config.imap.unauthenticate = false);
    let mut bob = server.login("bob").await;
    let capabilities = bob.ask("CAPABILITY").await;
    assert!(
        !capabilities[0].contains("UNAUTHENTICATE"),
        "{capabilities:?}"
    );
    bob.play(
        "C: a UNAUTHENTICATE
         S: a BAD …
         C: b NOOP
         S: b OK …",
    )
    .await;
    let server = Server::with_tls(|_| {});
    server.create("user/bob").await;
    let mut bob = server.connect_for("bob").await;
    let capabilities = bob.ask("CAPABILITY").await;
    for direct in ["UNAUTHENTICATE", "QRESYNC", "UIDONLY", "UTF8=ACCEPT"] {
        assert!(!capabilities[0].contains(direct), "{capabilities:?}");
    }
    bob.play(
        "C: a UNAUTHENTICATE
         S: a BAD …",
    )
    .await;
}

/// The time to log in begins anew.
#[tokio::test]
async fn who_logs_out_has_to_log_in_in_time() {
    let server = Server::with(|config| config.limits.login_timeout_seconds = 1);
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a UNAUTHENTICATE
         S: a OK …
         S: * BYE Autologout; idle for too long",
    )
    .await;
}

/// Nobody could tell where compression ends.
#[tokio::test]
async fn a_compressed_connection_ends() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a COMPRESS DEFLATE
         S: a OK …",
    )
    .await;
    let mut bob = bob.compress();
    bob.play(
        "C: b UNAUTHENTICATE
         S: * BYE Connect again; this connection is compressed",
    )
    .await;
}
