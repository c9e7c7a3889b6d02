//! SELECT, EXAMINE, CLOSE, UNSELECT.

use murder_store::Flags;

use super::support::{Server, message, short};

#[tokio::test]
async fn what_a_mailbox_is() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for n in 0..3 {
        let mut new = message(short(&n.to_string()));
        if n == 0 {
            new.flags = Flags::SEEN;
            new.keywords = vec!["$Work".into()];
        }
        server.put_message("user/bob", new).await;
    }
    bob.play(
        "C: a SELECT INBOX
         S: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work)
         S: * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work \\*)] …
         S: * 3 EXISTS
         S: * 3 RECENT
         S: * OK [UNSEEN 2] …
         S: * OK [UIDVALIDITY …] …
         S: * OK [UIDNEXT 4] …
         S: * OK [HIGHESTMODSEQ 4] …
         S: * OK [MAILBOXID (…)] …
         S: a OK [READ-WRITE] SELECT completed
         C: b EXAMINE INBOX (CONDSTORE)
         S: * OK [CLOSED] …
         S: * FLAGS …
         S: * OK [PERMANENTFLAGS ()] …
         S: * 3 EXISTS
         S: * 0 RECENT
         S: * OK [UNSEEN 2] …
         S: * OK [UIDVALIDITY …] …
         S: * OK [UIDNEXT 4] …
         S: * OK [HIGHESTMODSEQ 4] …
         S: * OK [MAILBOXID (…)] …
         S: b OK [READ-ONLY] EXAMINE completed
         C: c SELECT INBOX (QRESYNC (1 2))
         S: c BAD …
         C: d FETCH 1 UID
         S: * 1 FETCH (UID 1)
         S: d OK …
         C: e SELECT nowhere
         S: * OK [CLOSED] …
         S: e NO [NONEXISTENT] …
         C: f FETCH 1 UID
         S: f BAD Select a mailbox first",
    )
    .await;
}

#[tokio::test]
async fn an_examining_session_leaves_recent_messages_to_others() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    server.put("user/bob", short("x")).await;
    for (command, recent) in [("EXAMINE", 1), ("EXAMINE", 1), ("SELECT", 1), ("SELECT", 0)] {
        let lines = bob.ask(&format!("{command} INBOX")).await;
        let wanted = format!("* {recent} RECENT");
        assert!(lines.contains(&wanted), "{command}: {lines:?}");
    }
}

#[tokio::test]
async fn rights_say_what_is_permanent() {
    let server = Server::start();
    server.create("user/bob").await;
    server.put("user/bob", short("x")).await;
    let mut carol = server.login("carol").await;
    for (rights, flags, mode) in [
        ("lrs", "(\\Seen)", "READ-ONLY"),
        ("lri", "()", "READ-WRITE"),
        ("lre", "()", "READ-WRITE"),
        ("rt", "(\\Deleted)", "READ-WRITE"),
        ("lrw", "(\\Answered \\Flagged \\Draft \\*)", "READ-WRITE"),
        ("lr", "()", "READ-ONLY"),
    ] {
        server.allow("user/bob", "carol", rights).await;
        let lines = carol.ask("SELECT \"Other Users/bob\"").await;
        let permanent = format!("* OK [PERMANENTFLAGS {flags}] ");
        assert!(
            lines.iter().any(|line| line.starts_with(&permanent)),
            "{rights}: {lines:?}"
        );
        let completion = lines.last().unwrap();
        assert!(
            completion.starts_with(&format!("OK [{mode}] ")),
            "{rights}: {completion}"
        );
    }
    server.allow("user/bob", "carol", "lwi").await;
    let lines = carol.ask("SELECT \"Other Users/bob\"").await;
    let closed = "* OK [CLOSED] Previous mailbox is now closed";
    assert_eq!(lines, [closed, "NO [NOPERM] Permission denied"]);
    server.allow("user/bob", "carol", "i").await;
    let lines = carol.ask("SELECT \"Other Users/bob\"").await;
    assert_eq!(lines, ["NO [NONEXISTENT] Mailbox does not exist"]);
}

#[tokio::test]
async fn everybody_has_seen_their_own() {
    let server = Server::start();
    server.create("user/bob").await;
    for n in 0..3 {
        let mut new = message(short(&n.to_string()));
        new.flags = Flags::SEEN;
        server.put_message("user/bob", new).await;
    }
    server.allow("user/bob", "carol", "lrs").await;
    let mut carol = server.login("carol").await;
    let unseen = |lines: &[String]| {
        let mut lines = lines.iter();
        lines.any(|line| line.starts_with("* OK [UNSEEN 2]"))
    };
    assert!(!unseen(&carol.ask("SELECT \"Other Users/bob\"").await));
    carol
        .play(
            "C: a FETCH 1:2 FLAGS
             S: * 1 FETCH (FLAGS (\\Recent))
             S: * 2 FETCH (FLAGS (\\Recent))
             S: a OK …
             C: b STORE 1 +FLAGS (\\Seen \\Flagged)
             S: * 1 FETCH (FLAGS (\\Seen \\Recent))
             S: b OK …",
        )
        .await;
    assert!(unseen(&carol.ask("SELECT \"Other Users/bob\"").await));
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a SELECT INBOX
         S: * FLAGS …
         S: * OK [PERMANENTFLAGS …] …
         S: * 3 EXISTS
         S: * …
         S: * OK [UIDVALIDITY …] …",
    )
    .await;
}

#[tokio::test]
async fn close_expunges_and_unselect_does_not() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    server.put("user/bob", short("1")).await;
    server.put("user/bob", short("2")).await;
    bob.select("INBOX").await;
    bob.play(
        "C: a STORE 1 +FLAGS.SILENT \\Deleted
         S: a OK …
         C: b CHECK
         S: b OK …
         C: c UNSELECT
         S: c OK …
         C: d CLOSE
         S: d BAD …",
    )
    .await;
    assert_eq!(server.messages("user/bob").await, 2);
    let _ = bob.ask("EXAMINE INBOX").await;
    bob.play(
        "C: a CLOSE
         S: a OK …",
    )
    .await;
    assert_eq!(server.messages("user/bob").await, 2);
    bob.select("INBOX").await;
    bob.play(
        "C: a CLOSE
         S: a OK CLOSE completed
         C: b FETCH 1 FLAGS
         S: b BAD …",
    )
    .await;
    assert_eq!(server.messages("user/bob").await, 1);

    server.allow("user/bob", "carol", "lrt").await;
    let mut carol = server.login("carol").await;
    carol.select("Other Users/bob").await;
    carol
        .play(
            "C: a STORE 1 +FLAGS.SILENT \\Deleted
             S: a OK …
             C: b EXPUNGE
             S: b NO [NOPERM] …
             C: c CLOSE
             S: c OK …",
        )
        .await;
    assert_eq!(server.messages("user/bob").await, 1);
}

#[tokio::test]
async fn a_mailbox_deleted_by_another_ends_the_session() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let mut other = server.login("bob").await;
    bob.play(
        "C: a CREATE x
         S: a OK …",
    )
    .await;
    bob.select("x").await;
    other.select("x").await;
    bob.play(
        "C: a DELETE x
         S: a OK DELETE completed
         C: b NOOP
         S: b OK …
         C: c CHECK
         S: c BAD …",
    )
    .await;
    other
        .play(
            "C: a NOOP
             S: * BYE The selected mailbox was deleted
             S: a OK …",
        )
        .await;
    assert!(other.ends().await.is_empty());
}
