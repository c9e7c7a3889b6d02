//! CONDSTORE (RFC 7162 section 3.1), example by example.

use murder_imap::{FetchData, Untagged};
use murder_store::Flags;

use super::support::{Client, Server, message, short};

/// bob's INBOX with `count` messages, selected twice so that nothing is `\Recent`.
async fn selected(server: &Server, count: u32) -> Client {
    let mut bob = server.login("bob").await;
    for n in 1..=count {
        server.put("user/bob", short(&n.to_string())).await;
    }
    bob.select("INBOX").await;
    bob.select("INBOX").await;
    bob
}

/// Each message that has a MODSEQ in `responses`, with it.
fn modseqs(responses: &[Untagged]) -> Vec<(u32, u64)> {
    let modseq = |response: &Untagged| {
        let Untagged::Fetch { seq, items } = response else {
            return None;
        };
        let mut items = items.iter();
        items.find_map(|item| match item {
            FetchData::ModSeq(modseq) => Some((*seq, *modseq)),
            _ => None,
        })
    };
    responses.iter().filter_map(modseq).collect()
}

/// Examples 1 and 18, and that every way to enable it does.
#[tokio::test]
async fn every_enabling_command_enables() {
    let server = Server::start();
    for (n, command) in [
        "SELECT INBOX (CONDSTORE)",
        "EXAMINE INBOX (CONDSTORE)",
        "STATUS INBOX (HIGHESTMODSEQ)",
        "LIST \"\" INBOX RETURN (STATUS (HIGHESTMODSEQ))",
        "FETCH 1 MODSEQ",
        "SEARCH MODSEQ 1",
        "FETCH 1 FLAGS (CHANGEDSINCE 1)",
        "STORE 1 (UNCHANGEDSINCE 1) +FLAGS.SILENT \\Draft",
        "ENABLE CONDSTORE",
        "ENABLE QRESYNC",
    ]
    .into_iter()
    .enumerate()
    {
        let mut bob = selected(&server, u32::from(n == 0)).await;
        let mut other = server.login("bob").await;
        other.select("INBOX").await;
        let highest = {
            let (_, handle) = server.open("user/bob").await;
            move || handle.view().highest_modseq()
        };
        let flag = async |other: &mut Client, n: usize| {
            let sign = ["+", "-"][n % 2];
            let answer = other
                .ask(&format!("STORE 1 {sign}FLAGS.SILENT \\Flagged"))
                .await;
            assert_eq!(answer, ["OK STORE completed"]);
        };
        flag(&mut other, 2 * n).await;
        let told = bob.ask("NOOP").await;
        let plain = "* 1 FETCH (FLAGS (\\Flagged))".to_owned();
        assert_eq!(told, [plain, "OK NOOP completed".to_owned()], "{command}");

        let lines = bob.ask(command).await;
        let completion = lines.last().unwrap();
        assert!(completion.starts_with("OK "), "{command}: {completion}");
        let wanted = format!("[HIGHESTMODSEQ {}]", highest());
        assert!(
            lines.iter().any(|line| line.contains(&wanted)),
            "{command}: {lines:?} without {wanted}"
        );
        // From now on each change comes with its mod-sequence, in other mailboxes too, and
        // SELECT tells the mailbox's.
        flag(&mut other, 2 * n + 1).await;
        let wanted = format!("* 1 FETCH (UID 1 FLAGS () MODSEQ ({}))", highest());
        assert_eq!(
            bob.ask("NOOP").await,
            [wanted, "OK NOOP completed".into()],
            "{command}"
        );
        let lines = bob.ask("SELECT INBOX").await;
        let wanted = format!("* OK [HIGHESTMODSEQ {}] Highest mod-sequence", highest());
        assert!(lines.contains(&wanted), "{command}: {lines:?}");
        flag(&mut other, 2 * n).await;
        let wanted = format!("* 1 FETCH (UID 1 FLAGS (\\Flagged) MODSEQ ({}))", highest());
        assert_eq!(bob.ask("NOOP").await[0], wanted, "{command}");
        flag(&mut other, 2 * n + 1).await;
    }
}

/// Examples 3 to 8.
#[tokio::test]
async fn conditional_stores() {
    let server = Server::start();
    let mut bob = selected(&server, 9).await;
    // Messages 1 to 9 have the mod-sequences 2 to 10.
    bob.play(
        "C: a103 UID STORE 6,4,8 (UNCHANGEDSINCE 10) +FLAGS.SILENT (\\Deleted)
         S: * 4 FETCH (UID 4 MODSEQ (11))
         S: * 6 FETCH (UID 6 MODSEQ (11))
         S: * 8 FETCH (UID 8 MODSEQ (11))
         S: * OK [HIGHESTMODSEQ 11] Highest mod-sequence
         S: a103 OK STORE completed
         C: a104 STORE * (UNCHANGEDSINCE 10) +FLAGS.SILENT (\\Deleted $Processed)
         S: * FLAGS (…$Processed)
         S: * OK [PERMANENTFLAGS …
         S: * 9 FETCH (UID 9 MODSEQ (12))
         S: a104 OK STORE completed
         C: c101 STORE 9 (UNCHANGEDSINCE 12) -FLAGS.SILENT (\\Deleted)
         S: * 9 FETCH (UID 9 MODSEQ (13))
         S: c101 OK STORE completed
         C: d105 STORE 7,5,9 (UNCHANGEDSINCE 7) +FLAGS.SILENT (\\Deleted)
         S: * 5 FETCH (UID 5 MODSEQ (14))
         S: * 7 FETCH (UID 7 FLAGS () MODSEQ (8))
         S: * 9 FETCH (UID 9 FLAGS ($Processed) MODSEQ (13))
         S: d105 OK [MODIFIED 7,9] Conditional store failed
         C: a102 STORE 2 (UNCHANGEDSINCE 0) +FLAGS.SILENT ($MDNSent)
         S: * 2 FETCH (UID 2 FLAGS () MODSEQ (3))
         S: a102 OK [MODIFIED 2] Conditional store failed
         C: e105 STORE 7,3:9 (UNCHANGEDSINCE 14) +FLAGS.SILENT (\\Draft)
         S: * 3 FETCH (UID 3 MODSEQ (15))
         S: * 4 FETCH (UID 4 MODSEQ (15))
         S: * 5 FETCH (UID 5 MODSEQ (15))
         S: * 6 FETCH (UID 6 MODSEQ (15))
         S: * 7 FETCH (UID 7 MODSEQ (15))
         S: * 8 FETCH (UID 8 MODSEQ (15))
         S: * 9 FETCH (UID 9 MODSEQ (15))
         S: e105 OK STORE completed
         C: f STORE 3:4 (UNCHANGEDSINCE 15) +FLAGS.SILENT (\\Draft)
         S: * 3 FETCH (UID 3 MODSEQ (15))
         S: * 4 FETCH (UID 4 MODSEQ (15))
         S: f OK STORE completed
         C: g UID STORE 20:30 (UNCHANGEDSINCE 1) +FLAGS (\\Draft)
         S: g OK STORE completed
         C: g2 UID STORE 20:30 +FLAGS ($Nobodys)
         S: g2 OK STORE completed
         C: h STORE 1 (UNCHANGEDSINCE 9223372036854775808) +FLAGS (\\Draft)
         S: h BAD …
         C: i STORE 1 (UNCHANGEDSINCE 1 UNCHANGEDSINCE) +FLAGS (\\Draft)
         S: i BAD …",
    )
    .await;
}

/// Examples 9 and 10, and section 3.1.12: that another flag was changed meanwhile is no reason to
/// fail +FLAGS and -FLAGS; that this one was is, and so is any with FLAGS.
#[tokio::test]
async fn changes_of_other_flags_do_not_get_in_the_way() {
    let server = Server::start();
    let mut bob = selected(&server, 4).await;
    let mut other = server.login("bob").await;
    other.select("INBOX").await;
    let lines = bob.ask("FETCH 1:4 MODSEQ").await;
    let told = "* OK [HIGHESTMODSEQ 5] Highest mod-sequence".to_owned();
    assert_eq!(lines[4..], [told, "OK FETCH completed".to_owned()]);
    let _ = other.ask("STORE 1 +FLAGS (\\Deleted \\Answered)").await;
    let _ = other.ask("STORE 2 +FLAGS (\\Flagged)").await;
    bob.play(
        "C: a106 STORE 1:3 (UNCHANGEDSINCE 5) +FLAGS.SILENT (\\Flagged)
         S: * 1 FETCH (UID 1 FLAGS (\\Answered \\Deleted) MODSEQ (6))
         S: * 2 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (7))
         S: * 1 FETCH (UID 1 FLAGS (\\Answered \\Flagged \\Deleted) MODSEQ (9))
         S: * 3 FETCH (UID 3 MODSEQ (8))
         S: * 2 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (7))
         S: a106 OK [MODIFIED 2] Conditional store failed",
    )
    .await;
    let _ = other.ask("STORE 4 +FLAGS (\\Answered)").await;
    bob.play(
        "C: b STORE 4 (UNCHANGEDSINCE 9) FLAGS.SILENT (\\Flagged)
         S: * 4 FETCH (UID 4 FLAGS (\\Answered) MODSEQ (10))
         S: * 4 FETCH (UID 4 FLAGS (\\Answered) MODSEQ (10))
         S: b OK [MODIFIED 4] …
         C: c STORE 4 (UNCHANGEDSINCE 10) FLAGS.SILENT (\\Flagged)
         S: * 4 FETCH (UID 4 MODSEQ (11))
         S: c OK STORE completed",
    )
    .await;
}

/// Example 11.
#[tokio::test]
async fn a_conditional_store_of_messages_that_went() {
    let server = Server::start();
    let mut bob = selected(&server, 7).await;
    let mut other = server.login("bob").await;
    other.select("INBOX").await;
    let _ = other.ask("STORE 2 +FLAGS (\\Answered)").await;
    let _ = bob.ask("FETCH 1 MODSEQ").await;
    let _ = other.ask("STORE 4:7 +FLAGS.SILENT (\\Deleted)").await;
    let _ = other.ask("EXPUNGE").await;
    let lines = bob
        .ask("STORE 1:7 (UNCHANGEDSINCE 8) +FLAGS (\\Seen)")
        .await;
    assert_eq!(
        lines.last().unwrap(),
        "NO [MODIFIED 2] Some of the messages were expunged meanwhile"
    );
    for line in [
        "* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (12))",
        "* 3 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (12))",
        // Before the EXPUNGE that is still to come (section 3.2).
        "* OK [HIGHESTMODSEQ 9] Highest mod-sequence",
    ] {
        assert!(lines.contains(&line.to_owned()), "{line}: {lines:?}");
    }
    bob.play(
        "C: B002 NOOP
         S: * 7 EXPUNGE
         S: * 6 EXPUNGE
         S: * 5 EXPUNGE
         S: * 4 EXPUNGE
         S: B002 OK [HIGHESTMODSEQ 12] NOOP completed
         C: b003 STORE 2 (UNCHANGEDSINCE 12) +FLAGS (\\Seen)
         S: * 2 FETCH (UID 2 FLAGS (\\Answered \\Seen) MODSEQ (13))
         S: b003 OK STORE completed",
    )
    .await;
}

/// Examples 12 and 13.
#[tokio::test]
async fn what_changed_is_fetched() {
    let server = Server::start();
    let mut bob = selected(&server, 4).await;
    bob.play(
        "C: x STORE 2,4 +FLAGS.SILENT \\Flagged
         S: x OK …
         C: s100 UID FETCH 1:* (FLAGS) (CHANGEDSINCE 4)
         S: * 2 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (6))
         S: * 4 FETCH (UID 4 FLAGS (\\Flagged) MODSEQ (6))
         S: * OK [HIGHESTMODSEQ 6] Highest mod-sequence
         S: s100 OK FETCH completed
         C: s101 UID FETCH 1:* (FLAGS) (CHANGEDSINCE 6)
         S: s101 OK FETCH completed
         C: s102 FETCH 3:4 (MODSEQ) (CHANGEDSINCE 1)
         S: * 3 FETCH (MODSEQ (4))
         S: * 4 FETCH (MODSEQ (6))
         S: s102 OK FETCH completed
         C: a FETCH 1:3 (MODSEQ)
         S: * 1 FETCH (MODSEQ (2))
         S: * 2 FETCH (MODSEQ (6))
         S: * 3 FETCH (MODSEQ (4))
         S: a OK FETCH completed
         C: b FETCH 1 (FLAGS) (CHANGEDSINCE 0)
         S: * 1 FETCH (FLAGS () MODSEQ (2))
         S: b OK …
         C: c FETCH 1 (FLAGS) (CHANGEDSINCE 99999999999999999999)
         S: c BAD …
         C: d FETCH 1 BODY[TEXT]<0.4>
         S: * 1 FETCH (BODY[TEXT]<0> {4}
         S: Text UID 1 FLAGS (\\Seen) MODSEQ (7))
         S: d OK FETCH completed
         C: e UID FETCH 2 (BODY[TEXT]<0.4> FLAGS MODSEQ)
         S: * 2 FETCH (UID 2 BODY[TEXT]<0> {4}
         S: Text FLAGS (\\Flagged \\Seen) MODSEQ (8))
         S: e OK FETCH completed",
    )
    .await;
}

/// Example 14: what others hear of shared and private flags.
#[tokio::test]
async fn flags_that_are_shared_and_flags_that_are_not() {
    let server = Server::start();
    server.create("user/bob").await;
    for n in 1..=7 {
        let mut new = message(short(&n.to_string()));
        new.flags = Flags::ANSWERED;
        server.put_message("user/bob", new).await;
    }
    server.allow("user/bob", "carol", "lrswite").await;
    let mut alex = server.login("bob").await;
    let mut again = server.login("bob").await;
    let mut andrew = server.login("carol").await;
    let _ = alex.ask("SELECT INBOX (CONDSTORE)").await;
    let _ = again.ask("SELECT INBOX (CONDSTORE)").await;
    let _ = andrew.ask("SELECT \"Other Users/bob\" (CONDSTORE)").await;
    alex.play(
        "C: A160 STORE 7 +FLAGS.SILENT (\\Deleted)
         S: * 7 FETCH (UID 7 MODSEQ (9))
         S: A160 OK STORE completed",
    )
    .await;
    again
        .play(
            "C: C180 NOOP
             S: * 7 FETCH (UID 7 FLAGS (\\Answered \\Deleted) MODSEQ (9))
             S: C180 OK NOOP completed",
        )
        .await;
    andrew
        .play(
            "C: D210 NOOP
             S: * 7 FETCH (UID 7 FLAGS (\\Answered \\Deleted) MODSEQ (9))
             S: D210 OK NOOP completed",
        )
        .await;
    alex.play(
        "C: A240 STORE 7 +FLAGS.SILENT (\\Seen)
         S: * 7 FETCH (UID 7 MODSEQ (10))
         S: A240 OK STORE completed",
    )
    .await;
    again
        .play(
            "C: C270 NOOP
             S: * 7 FETCH (UID 7 FLAGS (\\Answered \\Deleted \\Seen) MODSEQ (10))
             S: C270 OK NOOP completed",
        )
        .await;
    // A message has one mod-sequence here, for all its flags and users: a client that counts them
    // is told the new one, or it would come back with an old one.
    andrew
        .play(
            "C: D300 NOOP
             S: * 7 FETCH (UID 7 FLAGS (\\Answered \\Deleted) MODSEQ (10))
             S: D300 OK NOOP completed",
        )
        .await;
    alex.play(
        "C: A330 STORE 7 -FLAGS.SILENT (\\Answered \\Seen)
         S: * 7 FETCH (UID 7 MODSEQ (11))
         S: A330 OK STORE completed",
    )
    .await;
    for (client, _) in [(&mut again, "C360"), (&mut andrew, "D390")] {
        client
            .play(
                "C: a NOOP
                 S: * 7 FETCH (UID 7 FLAGS (\\Deleted) MODSEQ (11))
                 S: a OK NOOP completed",
            )
            .await;
    }
}

/// Examples 15, 16 and 19.
#[tokio::test]
async fn searches_by_mod_sequence() {
    let server = Server::start();
    let mut bob = selected(&server, 5).await;
    bob.play(
        "C: x STORE 2 +FLAGS.SILENT \\Draft
         S: x OK …
         C: a SEARCH MODSEQ \"/flags/\\\\draft\" all 5
         S: * SEARCH 2 4 5 (MODSEQ 7)
         S: * OK [HIGHESTMODSEQ 7] Highest mod-sequence
         S: a OK SEARCH completed
         C: t SEARCH OR NOT MODSEQ 1 LARGER 50000
         S: * SEARCH
         S: t OK SEARCH completed
         C: b SEARCH RETURN (ALL) MODSEQ 5
         S: * ESEARCH (TAG \"b\") ALL 2,4:5 MODSEQ 7
         S: b OK SEARCH completed
         C: c UID SEARCH MODSEQ 0
         S: * SEARCH 1 2 3 4 5 (MODSEQ 7)
         S: c OK SEARCH completed",
    )
    .await;
}

/// Example 17, and section 3.1.11: what changes nothing has no new mod-sequence.
#[tokio::test]
async fn the_mailbox_has_the_highest() {
    let server = Server::start();
    let mut bob = selected(&server, 2).await;
    bob.play(
        "C: a STATUS INBOX (UIDNEXT MESSAGES HIGHESTMODSEQ)
         S: * STATUS \"INBOX\" (UIDNEXT 3 MESSAGES 2 HIGHESTMODSEQ 3)
         S: a OK [HIGHESTMODSEQ 3] STATUS completed
         C: b STORE 1:2 -FLAGS.SILENT \\Seen
         S: b OK STORE completed
         C: c STORE 1 +FLAGS.SILENT \\Seen
         S: * 1 FETCH (UID 1 MODSEQ (4))
         S: c OK STORE completed
         C: d STORE 1 +FLAGS.SILENT \\Seen
         S: d OK STORE completed
         C: e STATUS INBOX (HIGHESTMODSEQ)
         S: * STATUS \"INBOX\" (HIGHESTMODSEQ 4)
         S: e OK STATUS completed
         C: f STORE 2 +FLAGS.SILENT \\Deleted
         S: * 2 FETCH (UID 2 MODSEQ (5))
         S: f OK …
         C: g CLOSE
         S: g OK CLOSE completed
         C: h STATUS INBOX (HIGHESTMODSEQ)
         S: * STATUS \"INBOX\" (HIGHESTMODSEQ 6)
         S: h OK STATUS completed",
    )
    .await;
}

/// "Any two successful STORE operations": each has its own, and greater ones.
#[tokio::test]
async fn stores_of_many_sessions_never_share_one() {
    let server = Server::start();
    let mut clients = vec![selected(&server, 20).await];
    for _ in 0..3 {
        let mut bob = server.login("bob").await;
        bob.select("INBOX").await;
        clients.push(bob);
    }
    let tasks = clients.into_iter().enumerate().map(|(n, mut bob)| {
        tokio::spawn(async move {
            let mut seen = Vec::new();
            for round in 0..20 {
                let seq = 5 * n + round % 5 + 1;
                let sign = ["+", "-"][round / 5 % 2];
                let store =
                    format!("STORE {seq} (UNCHANGEDSINCE 100000) {sign}FLAGS.SILENT \\Flagged");
                let (told, _) = bob.get(&store).await;
                let own = modseqs(&told).into_iter().rev();
                let own = own.filter(|(told, _)| *told as usize == seq);
                seen.push(own.map(|(_, modseq)| modseq).next().unwrap());
            }
            assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
            seen
        })
    });
    let mut all = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        all.extend(task.await.unwrap());
    }
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}

/// A frontend's connection serves one client after the other: what one has asked for in its
/// mailbox is nothing to the next.
#[tokio::test]
async fn a_frontends_connection_forgets_with_the_mailbox() {
    let server = Server::with_tls(|_| {});
    server.create("user/bob").await;
    server.put("user/bob", short("1")).await;
    let mut bob = server.connect_for("bob").await;
    let _ = bob.ask("SELECT user/bob (CONDSTORE)").await;
    bob.play(
        "C: a STORE 1 +FLAGS \\Flagged
         S: * 1 FETCH (UID 1 FLAGS (\\Flagged \\Recent) MODSEQ (3))
         S: a OK STORE completed
         C: b UNSELECT
         S: b OK …",
    )
    .await;
    let _ = bob.ask("SELECT user/bob").await;
    bob.play(
        "C: a STORE 1 -FLAGS \\Flagged
         S: * 1 FETCH (FLAGS ())
         S: a OK STORE completed
         C: b FETCH 1 MODSEQ
         S: * 1 FETCH (MODSEQ (4))
         S: * OK [HIGHESTMODSEQ 4] Highest mod-sequence
         S: b OK FETCH completed
         C: c STORE 1 +FLAGS.SILENT \\Flagged
         S: * 1 FETCH (UID 1 MODSEQ (5))
         S: c OK STORE completed
         C: d STATUS user/bob (HIGHESTMODSEQ)
         S: * STATUS \"user/bob\" (HIGHESTMODSEQ 5)
         S: d OK STATUS completed",
    )
    .await;
    let _ = bob.ask("SELECT user/bob").await;
    bob.play(
        "C: a STORE 1 -FLAGS \\Flagged
         S: * 1 FETCH (FLAGS ())
         S: a OK STORE completed",
    )
    .await;
}
