//! CONTEXT=SEARCH and CONTEXT=SORT (RFC 5267), and what RFC 5465 and RFC 7377 say of them.

use std::time::{SystemTime, UNIX_EPOCH};

use murder_imap::{ContextUpdate, Esearch, SequenceSet, Untagged};
use murder_net::Role;
use murder_store::{AppendMessage, Flags, InternalDate};

use super::support::{Client, Server, message, short};

/// Bob has his INBOX selected, with `count` messages, and another session.
async fn start(count: u32) -> (Server, Client, Client) {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let mut other = server.login("bob").await;
    for n in 1..=count {
        server.put("user/bob", short(&format!("s{n}"))).await;
    }
    bob.select("INBOX").await;
    other.select("INBOX").await;
    (server, bob, other)
}

async fn ok(client: &mut Client, command: &str) {
    let lines = client.ask(command).await;
    let completion = lines.last().unwrap();
    assert!(completion.starts_with("OK "), "{command}: {lines:?}");
}

/// Bob's INBOX without its first message: the second has number 1.
async fn without_first(other: &mut Client, bob: &mut Client) {
    ok(other, "UID STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    ok(other, "EXPUNGE").await;
    ok(bob, "NOOP").await;
}

/// The examples of sections 4.2 and 4.3, with numbers of our own.
#[tokio::test]
async fn the_session_of_the_rfc() {
    let (_server, mut bob, mut other) = start(5).await;
    without_first(&mut other, &mut bob).await;
    bob.play(
        "C: A01 SEARCH RETURN (CONTEXT COUNT) UNDELETED UNKEYWORD $Junk
         S: * ESEARCH (TAG \"A01\") COUNT 4
         S: A01 OK SEARCH completed
         C: B01 UID SEARCH RETURN (UPDATE COUNT) DELETED KEYWORD $Junk
         S: * ESEARCH (TAG \"B01\") UID COUNT 0
         S: B01 OK SEARCH completed
         C: B01 SORT RETURN (UPDATE) (DATE) UTF-8 FLAGGED
         S: B01 BAD Tag reuse
         C: B02 STORE 1:2 FLAGS (\\Deleted \\Seen)
         S: * 1 FETCH (FLAGS (\\Deleted \\Seen \\Recent))
         S: * 2 FETCH (FLAGS (\\Deleted \\Seen \\Recent))
         S: B02 OK …
         C: B03 STORE 1:3 +FLAGS ($Junk)
         S: * FLAGS …
         S: * OK [PERMANENTFLAGS …
         S: * 1 FETCH (FLAGS (\\Deleted \\Seen \\Recent $Junk))
         S: * 2 FETCH (FLAGS (\\Deleted \\Seen \\Recent $Junk))
         S: * 3 FETCH (FLAGS (\\Recent $Junk))
         S: * ESEARCH (TAG \"B01\") UID ADDTO (0 2:3)
         S: B03 OK …",
    )
    .await;
    ok(&mut other, "UID EXPUNGE 2").await;
    bob.play(
        "C: B04 NOOP
         S: * ESEARCH (TAG \"B01\") UID REMOVEFROM (0 2)
         S: * 1 EXPUNGE
         S: B04 OK NOOP completed
         C: B05 CANCELUPDATE \"B01\"
         S: B05 OK CANCELUPDATE completed
         C: B06 STORE 1 -FLAGS ($Junk)
         S: * 1 FETCH (FLAGS (\\Deleted \\Seen \\Recent))
         S: B06 OK …
         C: B07 CANCELUPDATE \"B01\"
         S: B07 BAD …",
    )
    .await;
}

/// What went is told at once, with numbers that are still valid (appendix A.3).
#[tokio::test]
async fn expunges_that_wait() {
    let (server, mut bob, mut other) = start(4).await;
    bob.play(
        "C: a SEARCH RETURN (UPDATE) ALL
         S: * ESEARCH (TAG \"a\")
         S: a OK …
         C: b UID SEARCH RETURN (UPDATE) ALL
         S: * ESEARCH (TAG \"b\") UID
         S: b OK …",
    )
    .await;
    without_first(&mut other, &mut server.login("bob").await).await;
    server.put("user/bob", short("s5")).await;
    bob.play(
        "C: c FETCH 2 (UID)
         S: * ESEARCH (TAG \"a\") REMOVEFROM (0 1)
         S: * ESEARCH (TAG \"b\") UID REMOVEFROM (0 1)
         S: * 5 EXISTS
         S: * 5 RECENT
         S: * ESEARCH (TAG \"a\") ADDTO (0 5)
         S: * ESEARCH (TAG \"b\") UID ADDTO (0 5)
         S: * 2 FETCH (UID 2)
         S: c OK …
         C: d NOOP
         S: * 1 EXPUNGE
         S: d OK …
         C: e STORE 4 +FLAGS.SILENT (\\Deleted)
         S: e OK …
         C: f EXPUNGE
         S: * ESEARCH (TAG \"a\") REMOVEFROM (0 4)
         S: * ESEARCH (TAG \"b\") UID REMOVEFROM (0 5)
         S: * 4 EXPUNGE
         S: f OK …",
    )
    .await;
}

/// The example of section 4.3.3, and section 4.3.4.
#[tokio::test]
async fn positions() {
    let (server, mut bob, mut other) = start(0).await;
    for subject in ["d", "b", "f", "a", "e", "c"] {
        server.put("user/bob", short(subject)).await;
    }
    bob.play(
        "C: a NOOP
         S: * 6 EXISTS
         S: * 6 RECENT
         S: a OK …
         C: S SORT RETURN (UPDATE ALL) (SUBJECT) UTF-8 UNSEEN
         S: * ESEARCH (TAG \"S\") ALL 4,2,6,1,5,3
         S: S OK SORT completed
         C: R UID SORT RETURN (UPDATE PARTIAL 2:3) (REVERSE SUBJECT) UTF-8 UNSEEN
         S: * ESEARCH (TAG \"R\") UID PARTIAL (2:3 5,1)
         S: R OK SORT completed",
    )
    .await;
    // b, d, e go: of S the second, the fourth and the fifth.
    ok(&mut other, "STORE 1,2,5 +FLAGS.SILENT (\\Seen)").await;
    bob.play(
        "C: b NOOP
         S: * 1 FETCH (FLAGS (\\Seen \\Recent))
         S: * 2 FETCH (FLAGS (\\Seen \\Recent))
         S: * 5 FETCH (FLAGS (\\Seen \\Recent))
         S: * ESEARCH (TAG \"S\") REMOVEFROM (4 1,5 2 2)
         S: * ESEARCH (TAG \"R\") UID REMOVEFROM (5 2 2 5,1)
         S: b OK …",
    )
    .await;
    // a, c, f are left. d and e come back; another b, and a c, which is behind the one of before.
    ok(&mut other, "STORE 1,5 -FLAGS.SILENT (\\Seen)").await;
    server.put("user/bob", short("b")).await;
    server.put("user/bob", short("c")).await;
    bob.play(
        "C: c NOOP
         S: * 8 EXISTS
         S: * 8 RECENT
         S: * 1 FETCH (FLAGS (\\Recent))
         S: * 5 FETCH (FLAGS (\\Recent))
         S: * ESEARCH (TAG \"S\") ADDTO (2 7 4 8,1,5)
         S: * ESEARCH (TAG \"R\") UID ADDTO (2 5,1 5 8,7)
         S: c OK …
         C: d SORT RETURN (ALL) (SUBJECT) UTF-8 UNSEEN
         S: * ESEARCH (TAG \"d\") ALL 4,7,6,8,1,5,3
         S: d OK …
         C: e UID SORT RETURN (ALL) (REVERSE SUBJECT) UTF-8 UNSEEN
         S: * ESEARCH (TAG \"e\") UID ALL 3,5,1,6,8,7,4
         S: e OK …",
    )
    .await;
    // What goes from the mailbox goes from both, before its EXPUNGE.
    ok(&mut other, "STORE 4,6 +FLAGS.SILENT (\\Deleted)").await;
    ok(&mut other, "EXPUNGE").await;
    bob.play(
        "C: f NOOP
         S: * ESEARCH (TAG \"S\") REMOVEFROM (3 6 1 4)
         S: * ESEARCH (TAG \"R\") UID REMOVEFROM (7 4 4 6)
         S: * 6 EXPUNGE
         S: * 4 EXPUNGE
         S: f OK …",
    )
    .await;
}

#[tokio::test]
async fn one_of_two_is_cancelled() {
    let (_server, mut bob, mut other) = start(3).await;
    bob.play(
        "C: a UID SEARCH RETURN (UPDATE) FLAGGED
         S: * ESEARCH (TAG \"a\") UID
         S: a OK …
         C: b SEARCH RETURN (UPDATE ALL) UNFLAGGED
         S: * ESEARCH (TAG \"b\") ALL 1:3
         S: b OK …
         C: c CANCELUPDATE \"a\" \"x\"
         S: c BAD No updates with that tag
         C: d NOOP
         S: d OK …",
    )
    .await;
    ok(&mut other, "STORE 2 +FLAGS (\\Flagged)").await;
    bob.play(
        "C: e NOOP
         S: * 2 FETCH (FLAGS (\\Flagged \\Recent))
         S: * ESEARCH (TAG \"a\") UID ADDTO (0 2)
         S: * ESEARCH (TAG \"b\") REMOVEFROM (0 2)
         S: e OK …
         C: f CANCELUPDATE \"a\"
         S: f OK …",
    )
    .await;
    ok(&mut other, "STORE 1 +FLAGS (\\Flagged)").await;
    bob.play(
        "C: g NOOP
         S: * 1 FETCH (FLAGS (\\Flagged \\Recent))
         S: * ESEARCH (TAG \"b\") REMOVEFROM (0 1)
         S: g OK …
         C: a SEARCH RETURN (UPDATE COUNT) FLAGGED
         S: * ESEARCH (TAG \"a\") COUNT 2
         S: a OK …
         C: h CANCELUPDATE \"a\" \"b\" \"a\"
         S: h OK …
         C: i CANCELUPDATE
         S: i BAD …
         C: j CANCELUPDATE a
         S: j BAD …",
    )
    .await;
}

#[tokio::test]
async fn a_session_has_a_bound() {
    let (_server, mut bob, _other) = start(2).await;
    for n in 1..=16 {
        let tag = format!("t{n}");
        bob.play(&format!(
            "C: {tag} SEARCH RETURN (UPDATE COUNT) ALL
             S: * ESEARCH (TAG \"{tag}\") COUNT 2
             S: {tag} OK SEARCH completed"
        ))
        .await;
    }
    bob.play(
        "C: B02 UID SORT RETURN (UPDATE COUNT) (DATE) UTF-8 ALL
         S: * ESEARCH (TAG \"B02\") UID COUNT 2
         S: * NO [NOUPDATE \"B02\"] Too many contexts
         S: B02 OK SORT completed
         C: c CANCELUPDATE \"t3\"
         S: c OK …
         C: B02 UID SORT RETURN (UPDATE COUNT) (DATE) UTF-8 ALL
         S: * ESEARCH (TAG \"B02\") UID COUNT 2
         S: B02 OK SORT completed",
    )
    .await;
}

/// Programs and results count, together; what was refused is not kept.
#[tokio::test]
async fn what_is_kept_has_a_bound() {
    let (_server, mut bob, _other) = start(2).await;
    let keys = "UNSEEN ".repeat(6_000);
    let mut refused = 0;
    for n in 1..=4 {
        let command = format!("t{n} SEARCH RETURN (UPDATE COUNT) {}\r\n", keys.trim_end());
        bob.send(command).await;
        bob.play(&format!("S: * ESEARCH (TAG \"t{n}\") COUNT 2"))
            .await;
        let mut line = bob.line().await;
        if line == format!("* NO [NOUPDATE \"t{n}\"] Contexts are too large") {
            refused += 1;
            line = bob.line().await;
        }
        assert_eq!(line, format!("t{n} OK SEARCH completed"));
    }
    assert!((1..4).contains(&refused), "{refused}");
    let ages: Vec<String> = (1..=17).map(|n| format!("YOUNGER {n}0")).collect();
    bob.play(&format!(
        "C: a SEARCH RETURN (UPDATE COUNT) {}
         S: * ESEARCH (TAG \"a\") COUNT 0
         S: * NO [NOUPDATE \"a\"] Too many ages
         S: a OK …
         C: b SEARCH RETURN (UPDATE COUNT) UNSEEN
         S: * ESEARCH (TAG \"b\") COUNT 2
         S: b OK …",
        ages.join(" ")
    ))
    .await;
}

#[tokio::test]
async fn it_ends_with_the_mailbox() {
    let (server, mut bob, mut other) = start(2).await;
    server.create("user/bob/x").await;
    for leave in ["SELECT x", "EXAMINE nowhere", "UNSELECT", "CLOSE"] {
        ok(&mut bob, "SELECT INBOX").await;
        bob.play(
            "C: a SEARCH RETURN (UPDATE) FLAGGED
             S: * ESEARCH (TAG \"a\")
             S: a OK …",
        )
        .await;
        let _ = bob.ask(leave).await;
        let answer = bob.ask("CANCELUPDATE \"a\"").await;
        assert!(answer[0].starts_with("BAD "), "{leave}: {answer:?}");
        ok(&mut bob, "SELECT INBOX").await;
        ok(&mut other, "STORE 1 FLAGS (\\Flagged)").await;
        let answer = bob.ask("NOOP").await;
        assert_eq!(answer.len(), 2, "{leave}: {answer:?}");
        ok(&mut other, "STORE 1 FLAGS ()").await;
        ok(&mut bob, "NOOP").await;
    }
}

#[tokio::test]
async fn uid_only() {
    let (server, _, mut other) = start(3).await;
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a ENABLE UIDONLY
         S: * ENABLED UIDONLY
         S: a OK …",
    )
    .await;
    bob.select("INBOX").await;
    bob.play(
        "C: b SEARCH RETURN (UPDATE) ALL
         S: b BAD [UIDREQUIRED] …
         C: c UID SEARCH RETURN (UPDATE ALL) UNDELETED
         S: * ESEARCH (TAG \"c\") UID ALL 1:3
         S: c OK …
         C: d UID SORT RETURN (UPDATE ALL) (REVERSE ARRIVAL SUBJECT) UTF-8 ALL
         S: * ESEARCH (TAG \"d\") UID ALL 1:3
         S: d OK …",
    )
    .await;
    ok(&mut other, "UID STORE 2 +FLAGS (\\Deleted)").await;
    bob.play(
        "C: e NOOP
         S: * 2 UIDFETCH (FLAGS (\\Deleted))
         S: * ESEARCH (TAG \"c\") UID REMOVEFROM (0 2)
         S: e OK …",
    )
    .await;
    ok(&mut other, "EXPUNGE").await;
    bob.play(
        "C: f NOOP
         S: * ESEARCH (TAG \"d\") UID REMOVEFROM (2 2)
         S: * VANISHED 2
         S: f OK …",
    )
    .await;
}

/// Results change while the client idles, and each session has its own.
#[tokio::test]
async fn sessions_that_idle() {
    let (server, mut bob, mut other) = start(2).await;
    bob.play(
        "C: a SEARCH RETURN (UPDATE COUNT) SUBJECT news
         S: * ESEARCH (TAG \"a\") COUNT 0
         S: a OK …
         C: b IDLE
         S: + idling",
    )
    .await;
    other
        .play(
            "C: a UID SEARCH RETURN (UPDATE COUNT) UNSEEN
             S: * ESEARCH (TAG \"a\") UID COUNT 2
             S: a OK …
             C: b IDLE
             S: + idling",
        )
        .await;
    server.put("user/bob", short("news")).await;
    bob.play(
        "S: * 3 EXISTS
         S: * … RECENT
         S: * ESEARCH (TAG \"a\") ADDTO (0 3)",
    )
    .await;
    other
        .play(
            "S: * 3 EXISTS
             S: * … RECENT
             S: * ESEARCH (TAG \"a\") UID ADDTO (0 3)
             C: DONE
             S: b OK …
             C: c STORE 1,3 FLAGS.SILENT (\\Seen \\Deleted)
             S: * ESEARCH (TAG \"a\") UID REMOVEFROM (0 1,3)
             S: c OK …
             C: d EXPUNGE
             S: * 3 EXPUNGE
             S: * 1 EXPUNGE
             S: d OK …",
        )
        .await;
    let mut lines = Vec::new();
    while !lines.contains(&"* 1 EXPUNGE".to_owned()) {
        lines.push(bob.line().await);
    }
    let at = |wanted: &str| lines.iter().position(|line| line == wanted).unwrap();
    let removed = at("* ESEARCH (TAG \"a\") REMOVEFROM (0 3)");
    assert!(removed < at("* 3 EXPUNGE"), "{lines:?}");
}

/// Sections 5.1 and 5.3 of RFC 5465.
#[tokio::test]
async fn together_with_notify() {
    let (server, mut bob, mut other) = start(3).await;
    bob.play(
        "C: a NOTIFY SET (SELECTED-DELAYED (MessageNew MessageExpunge FlagChange))
         S: a OK …
         C: b UID SEARCH RETURN (UPDATE) UNSEEN
         S: * ESEARCH (TAG \"b\") UID
         S: b OK …",
    )
    .await;
    ok(&mut other, "STORE 2 FLAGS (\\Seen)").await;
    bob.play(
        "S: * 2 FETCH (UID 2 FLAGS (\\Seen \\Recent))
         S: * ESEARCH (TAG \"b\") UID REMOVEFROM (0 2)",
    )
    .await;
    ok(&mut other, "STORE 1 FLAGS (\\Deleted)").await;
    bob.play("S: * 1 FETCH (UID 1 FLAGS (\\Deleted \\Recent))")
        .await;
    ok(&mut other, "EXPUNGE").await;
    bob.play(
        "S: * ESEARCH (TAG \"b\") UID REMOVEFROM (0 1)
         C: c NOOP
         S: * 1 EXPUNGE
         S: c OK …",
    )
    .await;
    // Flags that nobody wants to hear of change results all the same.
    bob.play(
        "C: d NOTIFY SET (SELECTED (MessageNew MessageExpunge))
         S: d OK …",
    )
    .await;
    ok(&mut other, "STORE 2 FLAGS (\\Seen)").await;
    bob.play("S: * ESEARCH (TAG \"b\") UID REMOVEFROM (0 3)")
        .await;
    // Who wants to hear of nothing sees the mailbox as it was.
    bob.play(
        "C: e NOTIFY NONE
         S: e OK …",
    )
    .await;
    ok(&mut other, "STORE 1 FLAGS ()").await;
    server.put("user/bob", short("s4")).await;
    bob.play(
        "C: f NOOP
         S: f OK …
         C: g NOTIFY SET (SELECTED (MessageNew MessageExpunge))
         S: * 3 EXISTS
         S: * 3 RECENT
         S: * ESEARCH (TAG \"b\") UID ADDTO (0 2,4)
         S: g OK …",
    )
    .await;
}

/// Section 7 of RFC 5465, with its example.
#[tokio::test]
async fn items_of_new_messages() {
    let (server, mut bob, mut other) = start(1).await;
    server.create("user/bob/x").await;
    bob.play(
        "C: a00 SEARCH RETURN (COUNT UPDATE (UID BODY[HEADER.FIELDS (FROM SUBJECT)])) FROM \"boss\"
         S: * ESEARCH (TAG \"a00\") COUNT 0
         S: a00 OK …
         C: a01 SEARCH RETURN (UPDATE (UID RFC822.SIZE)) FLAGGED
         S: * ESEARCH (TAG \"a01\")
         S: a01 OK …",
    )
    .await;
    let from_boss = "From: myboss@example.org\r\nSubject: Re: good morning\r\n\r\nHello\r\n";
    server.put("user/bob", from_boss).await;
    server.put("user/bob", short("other")).await;
    bob.play(
        "C: b NOOP
         S: * 3 EXISTS
         S: * 3 RECENT
         S: * 2 FETCH (UID 2 BODY[HEADER.FIELDS (FROM SUBJECT)] {55}
         S: From: myboss@example.org
         S: Subject: Re: good morning
         S: 
         S: )
         S: * ESEARCH (TAG \"a00\") ADDTO (0 2)
         S: b OK …",
    )
    .await;
    // One that joins by its flags is not fetched, nor what the client has put there itself.
    ok(&mut other, "STORE 3 +FLAGS (\\Flagged)").await;
    bob.play(
        "C: c APPEND INBOX (\\Flagged) {4+}
         C: x
         C: y
         S: * 4 EXISTS
         S: * 4 RECENT
         S: * 3 FETCH (FLAGS (\\Flagged \\Recent))
         S: * ESEARCH (TAG \"a01\") ADDTO (0 3:4)
         S: c OK …",
    )
    .await;
    // Two that want items of the same message have one FETCH.
    let flagged = || AppendMessage {
        flags: Flags::FLAGGED,
        ..message(from_boss)
    };
    server.put_message("user/bob", flagged()).await;
    bob.play(
        "C: d NOOP
         S: * 5 EXISTS
         S: * 5 RECENT
         S: * 5 FETCH (UID 5 BODY[HEADER.FIELDS (FROM SUBJECT)] {55}
         S: From: myboss@example.org
         S: Subject: Re: good morning
         S: 
         S:  RFC822.SIZE 62)
         S: * ESEARCH (TAG \"a00\") ADDTO (0 5)
         S: * ESEARCH (TAG \"a01\") ADDTO (0 5)
         S: d OK …
         C: e CANCELUPDATE \"a00\"
         S: e OK …
         C: f NOTIFY SET (SELECTED (MessageNew (UID PREVIEW) MessageExpunge))
         S: f OK …",
    )
    .await;
    // Items of NOTIFY and of a context come together, behind ADDTO (section 5.2).
    server.put_message("user/bob", flagged()).await;
    server.put("user/bob", short("other")).await;
    bob.play(
        "S: * 6 EXISTS
         S: * 6 RECENT
         S: * ESEARCH (TAG \"a01\") ADDTO (0 6)
         S: * 6 FETCH (UID 6 PREVIEW \"Hello\" RFC822.SIZE 62)
         S: * 7 EXISTS
         S: * 7 RECENT
         S: * 7 FETCH (UID 7 PREVIEW \"Text of other.\")",
    )
    .await;
    bob.play(
        "C: g SEARCH RETURN (UPDATE (BINARY[1.1]<0.0>)) ALL
         S: g BAD …",
    )
    .await;
}

/// FETCH that sets `\Seen` tells it before the result changes.
#[tokio::test]
async fn fetch_marks_messages() {
    let (_server, mut bob, _other) = start(2).await;
    bob.play(
        "C: a SEARCH RETURN (UPDATE COUNT) UNSEEN
         S: * ESEARCH (TAG \"a\") COUNT 2
         S: a OK …
         C: b FETCH 2 (BODY[TEXT]<0.4>)
         S: * 2 FETCH (BODY[TEXT]<0> {4}
         S: Text FLAGS (\\Seen \\Recent))
         S: * ESEARCH (TAG \"a\") REMOVEFROM (0 2)
         S: b OK …",
    )
    .await;
}

/// Numbers and `$` are those of the moment; `*` of a UID set is whatever comes.
#[tokio::test]
async fn sets() {
    let (server, mut bob, mut other) = start(5).await;
    bob.play(
        "C: s SEARCH RETURN (SAVE UPDATE ALL) UID 2:3
         S: * ESEARCH (TAG \"s\") ALL 2:3
         S: s OK …
         C: a SEARCH RETURN (UPDATE ALL) 2:* UNSEEN
         S: * ESEARCH (TAG \"a\") ALL 2:5
         S: a OK …
         C: b UID SEARCH RETURN (UPDATE ALL) UID 4:* UNSEEN
         S: * ESEARCH (TAG \"b\") UID ALL 4:5
         S: b OK …
         C: c UID SEARCH RETURN (UPDATE ALL) $ UNSEEN
         S: * ESEARCH (TAG \"c\") UID ALL 2:3
         S: c OK …
         C: d UID SEARCH RETURN (UPDATE ALL) UID *
         S: * ESEARCH (TAG \"d\") UID ALL 5
         S: d OK …",
    )
    .await;
    ok(&mut other, "STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    ok(&mut other, "EXPUNGE").await;
    // `$` is another now.
    bob.play(
        "C: e UID SEARCH RETURN (SAVE) UID 4
         S: * 1 EXPUNGE
         S: e OK …",
    )
    .await;
    ok(&mut other, "UID STORE 2,4 +FLAGS.SILENT (\\Seen)").await;
    server.put("user/bob", short("s6")).await;
    bob.play(
        "C: f NOOP
         S: * 5 EXISTS
         S: * 5 RECENT
         S: * 1 FETCH (FLAGS (\\Seen \\Recent))
         S: * 3 FETCH (FLAGS (\\Seen \\Recent))
         S: * ESEARCH (TAG \"a\") REMOVEFROM (0 1,3)
         S: * ESEARCH (TAG \"b\") UID REMOVEFROM (0 4) ADDTO (0 6)
         S: * ESEARCH (TAG \"c\") UID REMOVEFROM (0 2)
         S: * ESEARCH (TAG \"d\") UID REMOVEFROM (0 5) ADDTO (0 6)
         S: f OK …",
    )
    .await;
    ok(&mut other, "UID STORE 6 +FLAGS.SILENT (\\Deleted)").await;
    ok(&mut other, "EXPUNGE").await;
    bob.play(
        "C: g NOOP
         S: * ESEARCH (TAG \"b\") UID REMOVEFROM (0 6)
         S: * ESEARCH (TAG \"d\") UID REMOVEFROM (0 6)
         S: * 5 EXPUNGE
         S: * ESEARCH (TAG \"d\") UID ADDTO (0 5)
         S: g OK …
         C: h UID SEARCH RETURN (COUNT ALL) $
         S: * ESEARCH (TAG \"h\") UID ALL 4 COUNT 1
         S: h OK …",
    )
    .await;
}

/// Keywords that come later, mod-sequences, and strings.
#[tokio::test]
async fn keys() {
    let (server, mut bob, mut other) = start(3).await;
    bob.play(
        "C: k SEARCH RETURN (UPDATE COUNT) OR KEYWORD $Late (UNKEYWORD $Later FLAGGED)
         S: * ESEARCH (TAG \"k\") COUNT 0
         S: k OK …
         C: t UID SEARCH RETURN (UPDATE ALL) UNSEEN (OR SUBJECT s2 TEXT \"of s3\") FUZZY SUBJECT s3
         S: * ESEARCH (TAG \"t\") UID ALL 3
         S: t OK …",
    )
    .await;
    ok(&mut other, "STORE 1 FLAGS ($Other $Late)").await;
    ok(&mut other, "STORE 2 FLAGS (\\Flagged $Later)").await;
    ok(&mut other, "STORE 3 FLAGS (\\Flagged)").await;
    server.put("user/bob", short("s3")).await;
    let lines = bob.ask("NOOP").await;
    assert!(
        lines.contains(&"* ESEARCH (TAG \"k\") ADDTO (0 1,3)".to_owned()),
        "{lines:?}"
    );
    assert!(
        lines.contains(&"* ESEARCH (TAG \"t\") UID ADDTO (0 4)".to_owned()),
        "{lines:?}"
    );
    ok(&mut other, "STORE 2 -FLAGS ($Later)").await;
    ok(&mut other, "STORE 1 -FLAGS ($Late)").await;
    ok(&mut other, "STORE 3:4 +FLAGS (\\Seen)").await;
    let lines = bob.ask("NOOP").await;
    for wanted in [
        "* ESEARCH (TAG \"k\") REMOVEFROM (0 1) ADDTO (0 2)",
        "* ESEARCH (TAG \"t\") UID REMOVEFROM (0 3:4)",
    ] {
        assert!(lines.contains(&wanted.to_owned()), "{lines:?}");
    }
    ok(&mut other, "STORE 4 -FLAGS (\\Seen)").await;
    let lines = bob.ask("NOOP").await;
    let wanted = "* ESEARCH (TAG \"t\") UID ADDTO (0 4)";
    assert!(lines.contains(&wanted.to_owned()), "{lines:?}");
    // A mod-sequence grows with each change, and its search is told mod-sequences.
    bob.play(
        "C: c CANCELUPDATE \"k\" \"t\"
         S: c OK …
         C: m SEARCH RETURN (UPDATE COUNT) MODSEQ 100
         S: * ESEARCH (TAG \"m\") COUNT 0
         S: * OK [HIGHESTMODSEQ …] …
         S: m OK …",
    )
    .await;
    for _ in 0..50 {
        ok(&mut other, "STORE 1 +FLAGS (x)").await;
        ok(&mut other, "STORE 1 -FLAGS (x)").await;
    }
    let lines = bob.ask("NOOP").await;
    let wanted = "* ESEARCH (TAG \"m\") ADDTO (0 1)";
    assert!(lines.contains(&wanted.to_owned()), "{lines:?}");
}

/// Messages grow old while nothing happens (RFC 5032).
#[tokio::test]
async fn ages() {
    // Where the machine is so slow that all is over before it begins, there is more time.
    for seconds in [3, 20, 60, 180] {
        if grow_old(seconds).await {
            return;
        }
    }
    panic!("too slow");
}

/// A message comes to the age of two seconds after so many, if the searches are made before that.
async fn grow_old(seconds: i64) -> bool {
    let (server, mut bob, _other) = start(0).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    for date in [now - 1_000, now + seconds - 2] {
        let mut aged = message(short("x"));
        aged.internal_date = InternalDate {
            seconds: date,
            zone: 60,
        };
        server.put_message("user/bob", aged).await;
    }
    ok(&mut bob, "NOOP").await;
    let command = "b UID SORT RETURN (UPDATE COUNT) (REVERSE DATE) UTF-8 OR YOUNGER 3 OLDER 900";
    bob.play(&format!(
        "C: {command}
         S: * ESEARCH (TAG \"b\") UID COUNT 2
         S: b OK …"
    ))
    .await;
    let found = bob.ask("SEARCH RETURN (UPDATE COUNT) OLDER 2").await;
    if found != ["* ESEARCH (TAG \"ask\") COUNT 1", "OK SEARCH completed"] {
        return false;
    }
    bob.play(
        "C: c IDLE
         S: + idling
         S: * ESEARCH (TAG \"ask\") ADDTO (0 2)
         S: * ESEARCH (TAG \"b\") UID REMOVEFROM (1 2)
         C: DONE
         S: c OK …",
    )
    .await;
    true
}

/// Who may not read the mailbox any more is told nothing of what is in it.
#[tokio::test]
async fn without_the_right_to_read() {
    let server = Server::start();
    server.login("carol").await.close().await;
    server.create("user/carol/x").await;
    server.allow("user/carol/x", "bob", "lrw").await;
    server.put("user/carol/x", short("s1")).await;
    let mut bob = server.login("bob").await;
    bob.select("Other Users/carol/x").await;
    bob.play(
        "C: a SEARCH RETURN (UPDATE (PREVIEW) COUNT) TEXT s2
         S: * ESEARCH (TAG \"a\") COUNT 0
         S: a OK …",
    )
    .await;
    server.allow("user/carol/x", "bob", "lw").await;
    server.put("user/carol/x", short("s2")).await;
    bob.play(
        "C: b NOOP
         S: b OK …",
    )
    .await;
    // What has come meanwhile is told when it may be read again.
    server.allow("user/carol/x", "bob", "lr").await;
    let told = bob.ask("NOOP").await;
    assert_eq!(told[0], "* 2 EXISTS", "{told:?}");
    assert!(told.iter().any(|line| line.contains("PREVIEW")), "{told:?}");
    assert!(
        told.iter()
            .any(|line| line.starts_with("* ESEARCH (TAG \"a\")")),
        "{told:?}"
    );
}

/// ESEARCH of several mailboxes (RFC 7377 section 2.2).
#[tokio::test]
async fn of_several_mailboxes() {
    let (server, mut bob, mut other) = start(2).await;
    server.create("user/bob/x").await;
    server.put("user/bob/x", short("s1")).await;
    bob.play(
        "C: a ESEARCH IN (personal) RETURN (UPDATE COUNT) UNSEEN
         S: * ESEARCH (TAG \"a\" MAILBOX \"INBOX\" UIDVALIDITY …) UID COUNT 2
         S: * ESEARCH (TAG \"a\" MAILBOX \"x\" UIDVALIDITY …) UID COUNT 1
         S: a OK ESEARCH completed
         C: a ESEARCH IN (personal) RETURN (UPDATE COUNT) UNSEEN
         S: a BAD Tag reuse
         C: a ESEARCH IN (mailboxes x) RETURN (UPDATE COUNT) UNSEEN
         S: a BAD Tag reuse
         C: b ESEARCH RETURN (UPDATE) FLAGGED
         S: b OK …
         C: c ESEARCH IN (mailboxes x) RETURN (UPDATE CONTEXT COUNT) ALL
         S: * ESEARCH (TAG \"c\" MAILBOX \"x\" UIDVALIDITY …) UID COUNT 1
         S: * NO [NOUPDATE \"c\"] The selected mailbox is not searched
         S: c OK …",
    )
    .await;
    server.put("user/bob/x", short("s2")).await;
    ok(&mut other, "STORE 2 FLAGS (\\Seen \\Flagged)").await;
    bob.play(
        "C: d NOOP
         S: * 2 FETCH (FLAGS (\\Flagged \\Seen \\Recent))
         S: * ESEARCH (TAG \"a\" MAILBOX \"INBOX\" UIDVALIDITY …) UID REMOVEFROM (0 2)
         S: * ESEARCH (TAG \"b\" MAILBOX \"INBOX\" UIDVALIDITY …) UID ADDTO (0 2)
         S: d OK …
         C: e UNSELECT
         S: e OK …
         C: f ESEARCH IN (personal) RETURN (UPDATE) ALL
         S: f BAD …
         C: g ESEARCH IN (personal) RETURN (CONTEXT COUNT) SEEN
         S: * ESEARCH (TAG \"g\" MAILBOX \"INBOX\" UIDVALIDITY …) UID COUNT 1
         S: g OK …",
    )
    .await;
}

/// A search that fails begins nothing.
#[tokio::test]
async fn what_fails_begins_nothing() {
    let (_server, mut bob, mut other) = start(2).await;
    for command in [
        "SEARCH RETURN (UPDATE) CHARSET X-NONE ALL",
        "SEARCH RETURN (UPDATE PARTIAL 1:2 ALL) ALL",
        "SORT RETURN (UPDATE) (RELEVANCY) UTF-8 ALL",
        "SEARCH RETURN (UPDATE RELEVANCY) ALL",
    ] {
        let answer = bob.ask(command).await;
        assert!(!answer.last().unwrap().starts_with("OK "), "{answer:?}");
    }
    ok(&mut other, "STORE 1:2 FLAGS (\\Seen)").await;
    bob.play(
        "C: a NOOP
         S: * 1 FETCH …
         S: * 2 FETCH …
         S: a OK …",
    )
    .await;
}

#[tokio::test]
async fn frontends_are_not_offered_it() {
    let server = Server::with_tls(|_| {});
    server.create("user/bob").await;
    server
        .connect_as_node("fe1", Role::Frontend)
        .await
        .close()
        .await;
    let mut client = server.connect_for("bob").await;
    let capabilities = client.ask("CAPABILITY").await;
    assert!(!capabilities[0].contains("CONTEXT="), "{capabilities:?}");
    client.select("user/bob").await;
    client
        .play(
            "C: a SEARCH RETURN (UPDATE) ALL
             S: a BAD …
             C: b SEARCH RETURN (CONTEXT COUNT) ALL
             S: b BAD …
             C: c CANCELUPDATE \"a\"
             S: c BAD …",
        )
        .await;
}

/// Much to tell is told in several responses, which together are right.
#[tokio::test]
async fn long_changes() {
    let (server, mut bob, mut other) = start(0).await;
    let (partition, handle) = server.open("user/bob").await;
    let name = handle.meta().unwrap().name;
    let messages = (0..3_000).map(|n: u32| message(short(&format!("{}", n * 7 % 3_000))));
    partition.append(&name, messages.collect()).await.unwrap();
    let mut found = Believer::new(false);
    let mut sorted = Believer::new(true);
    let (responses, _) = bob.get("NOOP").await;
    found.take(&responses);
    for (client, command) in [
        (&mut found, "found UID SEARCH RETURN (UPDATE ALL) UNSEEN"),
        (
            &mut sorted,
            "sorted UID SORT RETURN (UPDATE ALL) (REVERSE SUBJECT) UTF-8 UNSEEN",
        ),
    ] {
        client.begin(&mut bob, command).await;
    }
    let odd: Vec<String> = (0..1_500).map(|n| (2 * n + 1).to_string()).collect();
    for command in [
        format!("STORE {} FLAGS.SILENT (\\Seen)", odd.join(",")),
        format!("STORE {} FLAGS.SILENT ()", odd.join(",")),
    ] {
        ok(&mut other, &command).await;
        let (responses, _) = bob.get("NOOP").await;
        let lines = responses
            .iter()
            .filter(|response| matches!(response, Untagged::Esearch(_)));
        assert!(lines.count() > 4);
        found.take(&responses);
        sorted.take(&responses);
        found
            .check(&mut bob, "UID SEARCH RETURN (ALL) UNSEEN")
            .await;
        let again = "UID SORT RETURN (ALL) (REVERSE SUBJECT) UTF-8 UNSEEN";
        sorted.check(&mut bob, again).await;
    }
}

/// A result as a client keeps it that believes what it is told.
struct Believer {
    tag: String,
    /// Whether its numbers are message numbers.
    by_number: bool,
    sorted: bool,
    result: Vec<u32>,
}

impl Believer {
    fn new(sorted: bool) -> Self {
        Self {
            tag: String::new(),
            by_number: false,
            sorted,
            result: Vec::new(),
        }
    }

    /// Sends a command, with its tag.
    async fn begin(&mut self, client: &mut Client, command: &str) {
        self.tag = command.split(' ').next().unwrap().to_owned();
        self.by_number = !command.contains("UID S");
        client.send(format!("{command}\r\n")).await;
        loop {
            let line = client.line().await;
            if line.starts_with(&self.tag) {
                assert!(line.contains(" OK "), "{line}");
                return;
            }
            if line.starts_with(&format!("* ESEARCH (TAG \"{}\")", self.tag)) {
                self.result = all_of(&line);
            }
        }
    }

    fn take(&mut self, responses: &[Untagged]) {
        for response in responses {
            match response {
                Untagged::Esearch(found) if found.tag.as_ref() == Some(&self.tag) => {
                    self.update(found);
                }
                Untagged::Expunge(seq) if self.by_number => {
                    assert!(!self.result.contains(seq), "{seq} goes without REMOVEFROM");
                    for number in self.result.iter_mut().filter(|n| **n > *seq) {
                        *number -= 1;
                    }
                }
                _ => {}
            }
        }
    }

    fn update(&mut self, found: &Esearch) {
        assert_eq!(found.uid, !self.by_number);
        assert!(!found.updates.is_empty());
        for update in &found.updates {
            match update {
                ContextUpdate::AddTo(pairs) => {
                    for (position, set) in pairs {
                        self.add(*position as usize, set);
                    }
                }
                ContextUpdate::RemoveFrom(pairs) => {
                    for (position, set) in pairs {
                        self.remove(*position as usize, set);
                    }
                }
            }
        }
    }

    fn add(&mut self, position: usize, set: &SequenceSet) {
        let numbers = numbers(set);
        assert!(numbers.iter().all(|n| !self.result.contains(n)), "{set}");
        if position == 0 {
            assert!(!self.sorted);
            self.result.extend(numbers);
            self.result.sort_unstable();
        } else {
            self.result.splice(position - 1..position - 1, numbers);
        }
    }

    fn remove(&mut self, position: usize, set: &SequenceSet) {
        let numbers = numbers(set);
        if position == 0 {
            assert!(!self.sorted);
            assert!(numbers.iter().all(|n| self.result.contains(n)), "{set}");
            self.result.retain(|n| !numbers.contains(n));
        } else {
            let removed = self
                .result
                .splice(position - 1..position - 1 + numbers.len(), []);
            assert_eq!(removed.collect::<Vec<_>>(), numbers);
        }
    }

    /// The same command without UPDATE has the same result.
    async fn check(&self, client: &mut Client, command: &str) {
        let answer = client.ask(command).await;
        assert_eq!(answer.last().unwrap().split(' ').next(), Some("OK"));
        assert_eq!(answer.len(), 2, "nothing has changed meanwhile: {answer:?}");
        assert_eq!(self.result, all_of(&answer[0]), "{}", self.tag);
    }
}

/// What a set says, in its order.
fn numbers(set: &SequenceSet) -> Vec<u32> {
    set.fixed_ranges().unwrap().into_iter().flatten().collect()
}

/// ALL of an ESEARCH.
fn all_of(line: &str) -> Vec<u32> {
    match line.split_once(" ALL ") {
        Some((_, set)) => numbers(&SequenceSet::parse(set.as_bytes()).unwrap()),
        None => Vec::new(),
    }
}

/// Others do whatever they want; whoever believes ADDTO and REMOVEFROM has the result.
#[tokio::test]
async fn whatever_happens() {
    let (server, mut bob, mut other) = start(12).await;
    ok(&mut bob, "NOOP").await;
    let commands = [
        "SEARCH RETURN (?ALL) UNSEEN",
        "UID SEARCH RETURN (?ALL) OR FLAGGED SUBJECT s1",
        "UID SEARCH RETURN (?ALL) UID 9:* NOT KEYWORD work",
        "SORT RETURN (?ALL) (SUBJECT) UTF-8 UNSEEN",
        "UID SORT RETURN (?ALL) (REVERSE SIZE SUBJECT) UTF-8 NOT (FLAGGED SEEN)",
        "UID SORT RETURN (?ALL) (RELEVANCY) UTF-8 FUZZY TEXT s2 UNSEEN",
        "SORT RETURN (?ALL) (REVERSE ARRIVAL) UTF-8 ALL",
    ];
    let mut clients = Vec::new();
    for (at, command) in commands.iter().enumerate() {
        let mut client = Believer::new(command.contains("SORT"));
        let command = command.replace('?', "UPDATE ");
        client.begin(&mut bob, &format!("t{at} {command}")).await;
        clients.push(client);
    }
    let seed = 0x5267;
    let mut state: u64 = seed;
    let mut below = |n: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % n
    };
    for step in 0..120 {
        for _ in 0..=below(3) {
            let count = server.messages("user/bob").await;
            let n = below(u64::from(count.max(1))) + 1;
            let flag = ["\\Seen", "\\Flagged", "work", "\\Answered"][below(4) as usize];
            match below(6) {
                0 | 1 => {
                    let subject = format!("s{} {}", below(4), "x".repeat(below(9) as usize));
                    server.put("user/bob", short(&subject)).await;
                }
                2 if count > 3 => {
                    ok(&mut other, "NOOP").await;
                    ok(&mut other, &format!("STORE {n} +FLAGS.SILENT (\\Deleted)")).await;
                    ok(&mut other, "EXPUNGE").await;
                }
                3 => {
                    ok(&mut other, "NOOP").await;
                    ok(&mut other, &format!("STORE {n}:* -FLAGS.SILENT ({flag})")).await;
                }
                _ => {
                    ok(&mut other, "NOOP").await;
                    ok(&mut other, &format!("STORE {n} +FLAGS.SILENT ({flag})")).await;
                }
            }
        }
        // Expunges wait in some, and the client changes things itself.
        let command = match below(5) {
            0 => "FETCH 1 (UID)",
            1 => "STORE 1 -FLAGS.SILENT (\\Seen)",
            2 => "FETCH 1 (BODY[])",
            3 => "UID STORE 1:20 +FLAGS (\\Flagged)",
            _ => "NOOP",
        };
        for command in [command, "NOOP"] {
            let (responses, _) = bob.get(command).await;
            for client in &mut clients {
                client.take(&responses);
            }
        }
        for (client, command) in clients.iter().zip(commands) {
            println!("seed {seed:#x}, step {step}: {command}");
            client.check(&mut bob, &command.replace('?', "")).await;
        }
    }
}
