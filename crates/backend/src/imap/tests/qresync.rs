//! QRESYNC (RFC 7162 section 3.2), example by example.

use murder_imap::Untagged;

use super::support::{Client, Server, short};

/// A client with QRESYNC, nothing selected.
async fn resyncing(server: &Server) -> Client {
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a ENABLE QRESYNC
         S: * ENABLED QRESYNC
         S: a OK …",
    )
    .await;
    bob
}

/// A client with QRESYNC and bob's INBOX with `count` messages, UIDs 1 and up with the
/// mod-sequences 2 and up.
async fn selected(server: &Server, count: u32) -> Client {
    let mut bob = resyncing(server).await;
    for n in 1..=count {
        server.put("user/bob", short(&n.to_string())).await;
    }
    bob.select("INBOX").await;
    bob.select("INBOX").await;
    bob
}

async fn uidvalidity(server: &Server) -> u32 {
    server.open("user/bob").await.1.view().uidvalidity()
}

/// Deletes and expunges UIDs in another session.
async fn expunge(server: &Server, uids: &str) {
    let mut other = server.login("bob").await;
    other.select("INBOX").await;
    let _ = other
        .ask(&format!("UID STORE {uids} +FLAGS.SILENT \\Deleted"))
        .await;
    let answer = other.ask(&format!("UID EXPUNGE {uids}")).await;
    assert!(answer.last().unwrap().starts_with("OK"), "{answer:?}");
}

/// What SELECT tells besides what it always does.
async fn resync(client: &mut Client, parameter: &str) -> Vec<String> {
    let lines = client
        .ask(&format!("SELECT INBOX (QRESYNC ({parameter}))"))
        .await;
    let (completion, told) = lines.split_last().unwrap();
    assert!(completion.starts_with("OK [READ-WRITE]"), "{completion}");
    let told = told.iter().filter(|line| {
        line.contains("VANISHED") || line.contains(" FETCH ") || line.contains("UIDFETCH")
    });
    told.cloned().collect()
}

/// Section 3.2.3: neither parameter nor modifier before ENABLE.
#[tokio::test]
async fn it_has_to_be_enabled() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    server.put("user/bob", short("x")).await;
    bob.select("INBOX").await;
    bob.play(
        "C: a SELECT INBOX (QRESYNC (1 2))
         S: a BAD QRESYNC is not enabled
         C: b UID FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)
         S: b BAD QRESYNC is not enabled
         C: c ENABLE QRESYNC CONDSTORE
         S: * ENABLED CONDSTORE QRESYNC
         S: c OK [HIGHESTMODSEQ 2] …
         C: d UID FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)
         S: * 1 FETCH (UID 1 FLAGS (\\Recent) MODSEQ (2))
         S: d OK FETCH completed
         C: e FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)
         S: e BAD …
         C: f UID FETCH 1 FLAGS (VANISHED)
         S: f BAD …",
    )
    .await;
    for wrong in [
        "0 1",
        "1 9223372036854775808",
        "1 1 1:*",
        "1 1 $",
        "1 1 (1 1:2)",
        "1 1 (1:2 1)",
        "1 1 (2,1 1,2)",
        "1 1 (1,2 2,1)",
        "1 1 (1 *)",
        "1 1 1:2 (1 1) 3",
        "1",
        "",
    ] {
        let answer = bob.ask(&format!("SELECT INBOX (QRESYNC ({wrong}))")).await;
        assert!(
            answer.last().unwrap().starts_with("BAD "),
            "{wrong}: {answer:?}"
        );
    }
    // BAD changes nothing.
    bob.play(
        "C: g UID FETCH 1 UID
         S: * 1 FETCH (UID 1)
         S: g OK …",
    )
    .await;
}

/// The first example of section 3.2.5: everything as if the parameter was not there.
#[tokio::test]
async fn another_uidvalidity_means_from_scratch() {
    let server = Server::start();
    let mut bob = selected(&server, 3).await;
    expunge(&server, "2").await;
    let old = uidvalidity(&server).await + 1;
    let _ = bob.ask("UNSELECT").await;
    bob.play(&format!(
        "C: A02 SELECT INBOX (QRESYNC ({old} 1 41,43:211,214:541))
         S: * FLAGS (…
         S: * OK [PERMANENTFLAGS (…
         S: * 2 EXISTS
         S: * 0 RECENT
         S: * OK [UNSEEN 1] …
         S: * OK [UIDVALIDITY …
         S: * OK [UIDNEXT 4] …
         S: * OK [HIGHESTMODSEQ 6] …
         S: * OK [MAILBOXID (…
         S: A02 OK [READ-WRITE] SELECT completed"
    ))
    .await;
}

/// A client that knows nothing says 0.
#[tokio::test]
async fn everything_since_nothing() {
    let server = Server::start();
    let mut bob = selected(&server, 3).await;
    expunge(&server, "2").await;
    let old = uidvalidity(&server).await;
    let lines = bob
        .ask(&format!("SELECT INBOX (QRESYNC ({old} 0 1:3))"))
        .await;
    for wanted in [
        "* VANISHED (EARLIER) 2",
        "* 1 FETCH (UID 1 FLAGS () MODSEQ (2))",
        "* 2 FETCH (UID 3 FLAGS () MODSEQ (4))",
    ] {
        assert!(
            lines.iter().any(|line| line == wanted),
            "{wanted}: {lines:?}"
        );
    }
}

/// The example of section 3.2.5.1.
#[tokio::test]
async fn what_went_and_what_changed_is_told() {
    let server = Server::start();
    let mut bob = selected(&server, 10).await;
    // 2 to 11 are the messages' own.
    let _ = bob
        .ask("UID STORE 7 +FLAGS.SILENT (\\Seen \\Answered)")
        .await; // 12
    let _ = bob
        .ask("UID STORE 9 +FLAGS.SILENT (\\Draft $MDNSent)")
        .await; // 13
    expunge(&server, "1,3:6,8").await; // 14, 15
    let old = uidvalidity(&server).await;
    // As if "1:<maxuid>" was asked for.
    assert_eq!(
        resync(&mut bob, &format!("{old} 11")).await,
        [
            "* 2 FETCH (UID 7 FLAGS (\\Answered \\Seen) MODSEQ (12))",
            "* 3 FETCH (UID 9 FLAGS (\\Draft $MDNSent) MODSEQ (13))",
            "* VANISHED (EARLIER) 1,3:6,8",
        ]
    );
    // Only of these UIDs.
    assert_eq!(
        resync(&mut bob, &format!("{old} 11 4:7,10:541")).await,
        [
            "* 2 FETCH (UID 7 FLAGS (\\Answered \\Seen) MODSEQ (12))",
            "* VANISHED (EARLIER) 4:6",
        ]
    );
    assert_eq!(
        resync(&mut bob, &format!("{old} 12")).await,
        [
            "* 3 FETCH (UID 9 FLAGS (\\Draft $MDNSent) MODSEQ (13))",
            "* VANISHED (EARLIER) 1,3:6,8",
        ]
    );
    for modseq in ["15", "16", "9223372036854775807"] {
        let none: [&str; 0] = [];
        assert_eq!(resync(&mut bob, &format!("{old} {modseq}")).await, none);
    }
    // VANISHED comes before all FETCHes, and those after HIGHESTMODSEQ.
    let (told, _) = bob.get(&format!("SELECT INBOX (QRESYNC ({old} 1))")).await;
    let place = |wanted: fn(&Untagged) -> bool| told.iter().position(wanted).unwrap();
    let vanished = place(|r| matches!(r, Untagged::Vanished { earlier: true, .. }));
    assert!(vanished < place(|r| matches!(r, Untagged::Fetch { .. })));
    assert!(place(|r| matches!(r, Untagged::Exists(4))) < vanished);
    let closed = |r: &Untagged| {
        let code = murder_imap::Code::Closed;
        matches!(r, Untagged::Status { code: Some(c), .. } if *c == code)
    };
    assert_eq!(place(closed), 0);
}

/// The examples of section 3.2.5.2: without match data and with them. Only UIDs that three
/// divides are there.
#[tokio::test]
async fn match_data_narrow_what_is_told() {
    let server = Server::start();
    let mut bob = selected(&server, 30).await;
    let gone: Vec<String> = (1..=30)
        .filter(|n| n % 3 != 0)
        .map(|n| n.to_string())
        .collect();
    expunge(&server, &gone.join(",")).await;
    let old = uidvalidity(&server).await;
    let vanished = async |bob: &mut Client, parameter: &str| {
        let told = resync(bob, &format!("{old} 31 {parameter}")).await;
        assert!(
            told.iter().all(|line| line.contains("VANISHED")),
            "{told:?}"
        );
        told.into_iter().next().unwrap_or_default()
    };
    assert_eq!(
        vanished(&mut bob, "1:29").await,
        "* VANISHED (EARLIER) 1:2,4:5,7:8,10:11,13:14,16:17,19:20,22:23,25:26,28:29"
    );
    // All of it matches: the client knows.
    assert_eq!(vanished(&mut bob, "1:29 (5,8,9:10 15,24,27,30)").await, "");
    // "If the (N+1)th message in the mailbox has UID 25, the lowest UID is 9": the last pair that
    // matches counts.
    assert_eq!(
        vanished(&mut bob, "1:29 (5,8,9 15,24,28)").await,
        "* VANISHED (EARLIER) 25:26,28:29"
    );
    assert_eq!(
        vanished(&mut bob, "1:29 (9 28)").await,
        "* VANISHED (EARLIER) 1:2,4:5,7:8,10:11,13:14,16:17,19:20,22:23,25:26,28:29"
    );
    // Without known UIDs.
    assert_eq!(
        vanished(&mut bob, "(9 27)").await,
        "* VANISHED (EARLIER) 28:29"
    );
    // Pairs without end cost no more than the mailbox is long.
    assert_eq!(
        vanished(&mut bob, "1:4294967295 (1:4294967295 1:4294967295)").await,
        "* VANISHED (EARLIER) 1:2,4:5,7:8,10:11,13:14,16:17,19:20,22:23,25:26,28:29"
    );
}

/// The example of section 3.2.6.
#[tokio::test]
async fn vanished_messages_of_a_uid_fetch() {
    let server = Server::start();
    let mut bob = selected(&server, 14).await;
    expunge(&server, "1:3,5,11").await; // 16, 17
    let _ = bob.ask("UID STORE 8 +FLAGS.SILENT \\Deleted").await; // 18
    bob.play(
        "C: s100 UID FETCH 2:12 (FLAGS) (CHANGEDSINCE 15 VANISHED)
         S: * VANISHED (EARLIER) 2:3,5,11
         S: * 4 FETCH (UID 8 FLAGS (\\Deleted) MODSEQ (18))
         S: s100 OK FETCH completed
         C: s101 UID FETCH 1:* (FLAGS) (VANISHED CHANGEDSINCE 17)
         S: * 4 FETCH (UID 8 FLAGS (\\Deleted) MODSEQ (18))
         S: s101 OK FETCH completed
         C: s102 UID FETCH 4,9 (FLAGS) (CHANGEDSINCE 15 VANISHED)
         S: s102 OK FETCH completed",
    )
    .await;
    // What goes now the client hears of once, as VANISHED without EARLIER; "*" is the greatest
    // UID that there has been.
    expunge(&server, "14").await;
    bob.play(
        "C: s103 UID FETCH 13:* (FLAGS) (CHANGEDSINCE 18 VANISHED)
         S: * VANISHED 14
         S: s103 OK [HIGHESTMODSEQ 20] FETCH completed
         C: s104 UID FETCH 13:* (FLAGS) (CHANGEDSINCE 18 VANISHED)
         S: * VANISHED (EARLIER) 14
         S: s104 OK FETCH completed",
    )
    .await;
}

/// The examples of sections 3.2.7, 3.2.9 and 3.2.10.2, MOVE too.
#[tokio::test]
async fn vanished_instead_of_expunge() {
    let server = Server::start();
    let mut bob = selected(&server, 11).await;
    bob.play(
        "C: x STORE 3,4,7,11 +FLAGS.SILENT \\Deleted
         S: * 3 FETCH (UID 3 MODSEQ (13))
         S: * 4 FETCH (UID 4 MODSEQ (13))
         S: * 7 FETCH (UID 7 MODSEQ (13))
         S: * 11 FETCH (UID 11 MODSEQ (13))
         S: x OK STORE completed
         C: A202 EXPUNGE
         S: * VANISHED 3:4,7,11
         S: A202 OK [HIGHESTMODSEQ 14] EXPUNGE completed
         C: A203 EXPUNGE
         S: A203 OK EXPUNGE completed
         C: y STORE 2:4 +FLAGS.SILENT \\Deleted
         S: * 2 FETCH (UID 2 MODSEQ (15))
         S: * 3 FETCH (UID 5 MODSEQ (15))
         S: * 4 FETCH (UID 6 MODSEQ (15))
         S: y OK …
         C: A210 UID EXPUNGE 3:5
         S: * VANISHED 5
         S: A210 OK [HIGHESTMODSEQ 16] EXPUNGE completed
         C: z CREATE other
         S: z OK …
         C: A211 UID MOVE 8:9 other
         S: * OK [COPYUID … 8:9 1:2] …
         S: * VANISHED 8:9
         S: A211 OK [HIGHESTMODSEQ 17] MOVE completed
         C: A212 FETCH 2:* UID
         S: * 2 FETCH (UID 2)
         S: * 3 FETCH (UID 6)
         S: * 4 FETCH (UID 10)
         S: A212 OK …
         C: A213 CLOSE
         S: A213 OK CLOSE completed",
    )
    .await;
    // Without QRESYNC, EXPUNGE as ever.
    let mut plain = server.login("bob").await;
    plain.select("INBOX").await;
    plain
        .play(
            "C: x STORE 1 +FLAGS.SILENT \\Deleted
             S: x OK …
             C: y EXPUNGE
             S: * 1 EXPUNGE
             S: y OK EXPUNGE completed",
        )
        .await;
}

/// Section 3.2.10: VANISHED comes when EXPUNGE may, and names what the client was told of.
#[tokio::test]
async fn vanished_has_its_time() {
    let server = Server::start();
    let mut bob = selected(&server, 5).await;
    expunge(&server, "2").await;
    server.put("user/bob", short("new and gone")).await;
    expunge(&server, "6").await;
    for command in [
        "FETCH 1 UID",
        "SEARCH ALL",
        "UID SEARCH 1:3",
        "UID SEARCH NOT (OR 1 2)",
    ] {
        let (told, _) = bob.get(command).await;
        let vanished = |r: &Untagged| matches!(r, Untagged::Vanished { .. });
        assert!(!told.iter().any(vanished), "{command}");
    }
    bob.play(
        "C: a UID SEARCH UID 3:5
         S: * SEARCH 3 4 5
         S: * VANISHED 2
         S: a OK [HIGHESTMODSEQ 11] SEARCH completed
         C: x UID STORE 4:5 +FLAGS.SILENT \\Deleted
         S: * 3 FETCH (UID 4 MODSEQ (12))
         S: * 4 FETCH (UID 5 MODSEQ (12))
         S: x OK …
         C: b IDLE
         S: + idling",
    )
    .await;
    expunge(&server, "4:5").await;
    bob.play(
        "S: * VANISHED 4:5
         C: DONE
         S: b OK [HIGHESTMODSEQ 13] IDLE completed
         C: c NOOP
         S: c OK NOOP completed",
    )
    .await;
}

/// The example of section 6: mod-sequences above that of an expunge which is still kept back.
#[tokio::test]
async fn mod_sequences_wait_for_what_went_before() {
    let server = Server::start();
    let mut bob = selected(&server, 8).await;
    let mut other = server.login("bob").await;
    other.select("INBOX").await;
    let _ = other.ask("STORE 8 +FLAGS.SILENT \\Deleted").await; // 10
    bob.play(
        "C: A149 NOOP
         S: * 8 FETCH (UID 8 FLAGS (\\Deleted) MODSEQ (10))
         S: A149 OK NOOP completed",
    )
    .await;
    let _ = other.ask("EXPUNGE").await; // 11
    bob.play(
        "C: A150 STORE 1:2 (UNCHANGEDSINCE 9) +FLAGS.SILENT \\Seen
         S: * 1 FETCH (UID 1 MODSEQ (12))
         S: * 2 FETCH (UID 2 MODSEQ (12))
         S: A150 OK [HIGHESTMODSEQ 10] STORE completed
         C: A151 STORE 3 +FLAGS.SILENT \\Seen
         S: * 3 FETCH (UID 3 MODSEQ (13))
         S: A151 OK [HIGHESTMODSEQ 10] STORE completed
         C: A152 NOOP
         S: * VANISHED 8
         S: A152 OK [HIGHESTMODSEQ 13] NOOP completed",
    )
    .await;
    // A client that lost its connection in between would have come back with 10.
    let old = uidvalidity(&server).await;
    let mut again = resyncing(&server).await;
    assert_eq!(
        resync(&mut again, &format!("{old} 10 1:8")).await,
        [
            "* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (12))",
            "* 2 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (12))",
            "* 3 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (13))",
            "* VANISHED (EARLIER) 8",
        ]
    );
}

/// Section 3.2.11.
#[tokio::test]
async fn closed_parts_two_mailboxes() {
    let server = Server::start();
    let mut bob = selected(&server, 1).await;
    for (command, closed) in [
        ("SELECT INBOX", true),
        ("EXAMINE INBOX", true),
        ("SELECT nowhere", true),
        ("SELECT INBOX", false),
    ] {
        let lines = bob.ask(command).await;
        let code = "* OK [CLOSED] Previous mailbox is now closed".to_owned();
        assert_eq!(lines.contains(&code), closed, "{command}: {lines:?}");
    }
    for command in ["UNSELECT", "SELECT INBOX", "CLOSE"] {
        let lines = bob.ask(command).await;
        assert!(
            !lines.iter().any(|line| line.contains("CLOSED")),
            "{lines:?}"
        );
    }
}

/// A mailbox in which nothing ever was.
#[tokio::test]
async fn an_empty_mailbox_is_in_sync() {
    let server = Server::start();
    let mut bob = resyncing(&server).await;
    let old = uidvalidity(&server).await;
    let none: [&str; 0] = [];
    assert_eq!(resync(&mut bob, &format!("{old} 1")).await, none);
    assert_eq!(
        resync(&mut bob, &format!("{old} 1 1:4294967295")).await,
        none
    );
    assert_eq!(resync(&mut bob, &format!("{old} 1 (1:5 1:5)")).await, none);
}
