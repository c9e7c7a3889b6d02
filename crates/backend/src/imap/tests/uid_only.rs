//! UIDONLY (RFC 9586).

use murder_imap::Untagged;

use super::support::{Client, Server, short};

async fn selected(server: &Server, also: &str, count: u32) -> Client {
    let mut bob = server.login("bob").await;
    for n in 1..=count {
        server.put("user/bob", short(&n.to_string())).await;
    }
    let answer = bob.ask(&format!("ENABLE UIDONLY{also}")).await;
    assert_eq!(answer.last().unwrap(), "OK ENABLE completed");
    bob.select("INBOX").await;
    bob.select("INBOX").await;
    bob
}

/// Nothing that names a message by its number is taken.
#[tokio::test]
async fn message_numbers_are_refused() {
    let server = Server::start();
    let mut bob = selected(&server, " QRESYNC", 3).await;
    let _ = bob.ask("CREATE other").await;
    for command in [
        "FETCH 1 FLAGS",
        "FETCH * UID",
        "STORE 1 +FLAGS \\Seen",
        "SEARCH ALL",
        "SEARCH UID 1",
        "COPY 1 other",
        "MOVE 1 other",
        "UID SEARCH 1:3",
        "UID SEARCH NOT 1",
        "UID SEARCH OR SEEN (FLAGGED 2)",
        "SORT (DATE) UTF-8 ALL",
        "UID SORT (DATE) UTF-8 1:2",
        "THREAD REFERENCES UTF-8 ALL",
        "UID THREAD REFERENCES UTF-8 1:2",
        "SELECT INBOX (QRESYNC (1 1 1:3 (1 1)))",
        "REPLACE 1 INBOX {3+}\r\nabc",
    ] {
        let answer = bob.ask(command).await;
        let text = "BAD [UIDREQUIRED] Message numbers are not used when UIDONLY is enabled";
        assert_eq!(answer, [text], "{command}");
    }
    assert_eq!(server.messages("user/bob").await, 3);
}

#[tokio::test]
async fn everything_is_told_by_uid() {
    let server = Server::start();
    let mut bob = selected(&server, "", 5).await;
    bob.play(
        "C: a UID FETCH 2:3 (FLAGS)
         S: * 2 UIDFETCH (FLAGS ())
         S: * 3 UIDFETCH (FLAGS ())
         S: a OK FETCH completed
         C: b UID FETCH 2 (UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (SUBJECT)])
         S: * 2 UIDFETCH (UID 2 RFC822.SIZE … BODY[HEADER.FIELDS (SUBJECT)] {14}
         S: Subject: 2
         S:
         S: )
         S: b OK …
         C: c UID STORE 2 +FLAGS \\Deleted
         S: * 2 UIDFETCH (FLAGS (\\Deleted))
         S: c OK …
         C: d EXPUNGE
         S: * VANISHED 2
         S: d OK EXPUNGE completed
         C: e UID FETCH 3:4 BODY[TEXT]<0.4>
         S: * 3 UIDFETCH (BODY[TEXT]<0> {4}
         S: Text FLAGS (\\Seen))
         S: * 4 UIDFETCH (BODY[TEXT]<0> {4}
         S: Text FLAGS (\\Seen))
         S: e OK …
         C: f UID SEARCH UID 1:* SEEN
         S: * SEARCH 3 4
         S: f OK …
         C: g CREATE other
         S: g OK …
         C: h UID MOVE 3 other
         S: * OK [COPYUID … 3 1] Moved
         S: * VANISHED 3
         S: h OK MOVE completed
         C: i UID COPY 4 other
         S: i OK [COPYUID … 4 2] …
         C: j UID EXPUNGE 1:*
         S: j OK …
         C: k UID FETCH 1:* FLAGS (PARTIAL -1:-1)
         S: * 5 UIDFETCH (FLAGS ())
         S: k OK …
         C: l UID FETCH 4 MODSEQ
         S: * 4 UIDFETCH (MODSEQ (9))
         S: * OK [HIGHESTMODSEQ 10] Highest mod-sequence
         S: l OK FETCH completed"
            .replace("S:\n", "S: \n")
            .as_str(),
    )
    .await;
    let mut other = server.login("bob").await;
    other.select("INBOX").await;
    let _ = other.ask("STORE 1 +FLAGS (\\Flagged \\Deleted)").await;
    bob.play(
        "C: a NOOP
         S: * 1 UIDFETCH (FLAGS (\\Flagged \\Deleted) MODSEQ (11))
         S: a OK NOOP completed
         C: b IDLE
         S: + idling",
    )
    .await;
    let _ = other.ask("EXPUNGE").await;
    server.put("user/bob", short("6")).await;
    bob.play(
        "S: * VANISHED 1
         S: * 3 EXISTS
         S: * 1 RECENT
         C: DONE
         S: b OK [HIGHESTMODSEQ 13] IDLE completed",
    )
    .await;
}

/// UNSEEN is a message number too.
#[tokio::test]
async fn select_tells_no_number_of_a_message() {
    let server = Server::start();
    let mut bob = selected(&server, " QRESYNC", 3).await;
    let _ = bob.ask("UID STORE 2 +FLAGS.SILENT \\Deleted").await;
    let _ = bob.ask("EXPUNGE").await;
    let uidvalidity = server.open("user/bob").await.1.view().uidvalidity();
    let (told, completion) = bob
        .get(&format!("SELECT INBOX (QRESYNC ({uidvalidity} 2))"))
        .await;
    assert_eq!(completion, "OK [READ-WRITE] SELECT completed");
    let mut fetched = Vec::new();
    let mut vanished = Vec::new();
    for response in &told {
        match response {
            Untagged::UidFetch { uid, .. } => fetched.push(*uid),
            Untagged::Vanished { earlier, uids } => vanished.push((*earlier, uids.to_string())),
            Untagged::Fetch { .. } | Untagged::Expunge(_) => panic!("{response:?}"),
            Untagged::Status { code, .. } => {
                assert!(
                    !matches!(code, Some(murder_imap::Code::Unseen(_))),
                    "{response:?}"
                );
            }
            _ => {}
        }
    }
    assert_eq!(fetched, [3]);
    assert_eq!(vanished, [(true, "2".to_owned())]);
}
