//! STORE.

use super::support::{Server, short};

#[tokio::test]
async fn flags_are_changed_and_told() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for n in 1..=3 {
        server.put("user/bob", short(&n.to_string())).await;
    }
    let _ = bob.ask("SELECT INBOX").await;
    let _ = bob.ask("SELECT INBOX").await;
    bob.play(
        "C: a STORE 1:2 +FLAGS (\\Seen $Work)
         S: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work)
         S: * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work \\*)] …
         S: * 1 FETCH (FLAGS (\\Seen $Work))
         S: * 2 FETCH (FLAGS (\\Seen $Work))
         S: a OK STORE completed
         C: b UID STORE 2 FLAGS (\\Draft $work)
         S: * 2 FETCH (UID 2 FLAGS (\\Draft $Work))
         S: b OK …
         C: c STORE 2 -FLAGS $WORK
         S: * 2 FETCH (FLAGS (\\Draft))
         S: c OK …
         C: d STORE 2 -FLAGS (\\Seen)
         S: * 2 FETCH (FLAGS (\\Draft))
         S: d OK …
         C: e STORE 1:* +FLAGS.SILENT \\Flagged
         S: e OK …
         C: f STORE 3 FLAGS.SILENT ()
         S: f OK …
         C: g FETCH 1:3 FLAGS
         S: * 1 FETCH (FLAGS (\\Flagged \\Seen $Work))
         S: * 2 FETCH (FLAGS (\\Flagged \\Draft))
         S: * 3 FETCH (FLAGS ())
         S: g OK …
         C: h STORE 4 +FLAGS \\Seen
         S: h BAD …
         C: i UID STORE 9 +FLAGS \\Seen
         S: i OK …",
    )
    .await;
    let _ = bob.ask("EXAMINE INBOX").await;
    bob.play(
        "C: a STORE 1 +FLAGS \\Seen
         S: a NO [READ-ONLY] …",
    )
    .await;
}

#[tokio::test]
async fn changes_of_others_are_told_even_if_silent() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let mut other = server.login("bob").await;
    for n in 1..=4 {
        server.put("user/bob", short(&n.to_string())).await;
    }
    bob.select("INBOX").await;
    other.select("INBOX").await;
    bob.play(
        "C: a STORE 1:2 +FLAGS.SILENT \\Answered
         S: a OK …
         C: b STORE 4 +FLAGS.SILENT \\Draft
         S: b OK …",
    )
    .await;
    other
        .play(
            "C: a STORE 2:3 +FLAGS.SILENT \\Flagged
             S: * 1 FETCH (FLAGS (\\Answered))
             S: * 2 FETCH (FLAGS (\\Answered))
             S: * 4 FETCH (FLAGS (\\Draft))
             S: * 2 FETCH (FLAGS (\\Answered \\Flagged))
             S: a OK …
             C: b NOOP
             S: b OK …",
        )
        .await;
    bob.play(
        "C: c NOOP
         S: * 2 FETCH (FLAGS (\\Answered \\Flagged \\Recent))
         S: * 3 FETCH (FLAGS (\\Flagged \\Recent))
         S: c OK …",
    )
    .await;
}

#[tokio::test]
async fn only_what_the_rights_permit() {
    let server = Server::start();
    server.create("user/bob").await;
    server.put("user/bob", short("x")).await;
    let mut carol = server.login("carol").await;
    server.allow("user/bob", "carol", "lrw").await;
    carol.select("Other Users/bob").await;
    carol
        .play(
            "C: a STORE 1 +FLAGS (\\Seen \\Deleted \\Flagged kw)
             S: * FLAGS …
             S: * OK [PERMANENTFLAGS …] …
             S: * 1 FETCH (FLAGS (\\Flagged \\Recent kw))
             S: a OK …
             C: b STORE 1 +FLAGS (\\Seen \\Deleted)
             S: b NO [NOPERM] …",
        )
        .await;
    server.allow("user/bob", "carol", "lrt").await;
    carol
        .play(
            "C: c STORE 1 FLAGS (\\Deleted \\Draft)
             S: * 1 FETCH (FLAGS (\\Flagged \\Deleted \\Recent kw))
             S: c OK …
             C: d STORE 1 -FLAGS (\\Deleted kw)
             S: * 1 FETCH (FLAGS (\\Flagged \\Recent kw))
             S: d OK …",
        )
        .await;
    server.allow("user/bob", "carol", "lre").await;
    carol
        .play(
            "C: e STORE 1 FLAGS ()
             S: e NO [NOPERM] …
             C: f STORE 1 +FLAGS kw
             S: f NO [NOPERM] …",
        )
        .await;
}

#[tokio::test]
async fn keywords_have_a_limit() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    server.put("user/bob", short("x")).await;
    bob.select("INBOX").await;
    let names: Vec<String> = (0..murder_store::MAX_KEYWORDS)
        .map(|n| format!("k{n}"))
        .collect();
    let (_, completion) = bob
        .get(&format!("STORE 1 FLAGS.SILENT ({})", names.join(" ")))
        .await;
    assert_eq!(completion, "OK STORE completed");
    let lines = bob.ask("STORE 1 +FLAGS.SILENT one-more").await;
    assert_eq!(lines, ["NO [LIMIT] Too many keywords in this mailbox"]);
    let lines = bob.ask("SELECT INBOX").await;
    assert!(lines.iter().any(|l| l.contains("k1023)] Flags permitted")));
}

#[tokio::test]
async fn unchanged_since() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for n in 1..=2 {
        server.put("user/bob", short(&n.to_string())).await;
    }
    let _ = bob.ask("SELECT INBOX").await;
    let _ = bob.ask("SELECT INBOX").await;
    bob.play(
        "C: a UID STORE 1:2 (UNCHANGEDSINCE 2) +FLAGS.SILENT \\Flagged
         S: * 1 FETCH (UID 1 MODSEQ (4))
         S: * 2 FETCH (UID 2 FLAGS () MODSEQ (3))
         S: * OK [HIGHESTMODSEQ 4] …
         S: a OK [MODIFIED 2] …
         C: b FETCH 1:2 FLAGS
         S: * 1 FETCH (FLAGS (\\Flagged))
         S: * 2 FETCH (FLAGS ())
         S: b OK …",
    )
    .await;
}
