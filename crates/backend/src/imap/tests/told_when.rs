//! What others do is told with every command, and EXPUNGE only where message numbers may change
//! (RFC 9051 sections 5.2, 5.5 and 7.5.1).

use murder_imap::Untagged;
use murder_store::{Flags, StoreMode, StoreOp, UidSet};

use super::support::{Client, Server, short};

/// During these EXPUNGE has to wait: their numbers would mean other messages.
const HELD: &[&str] = &[
    "FETCH 2 (FLAGS)",
    "FETCH 1:* (BODY.PEEK[])",
    "STORE 2 +FLAGS (x)",
    "STORE 2 +FLAGS.SILENT (x)",
    "SEARCH ALL",
    "SEARCH RETURN (SAVE COUNT) ALL",
    "UID SEARCH 2",
    "UID SEARCH NOT (OR SEEN 2:3)",
    "SORT (DATE) UTF-8 ALL",
    "UID SORT (DATE) UTF-8 2:*",
    "THREAD REFERENCES UTF-8 ALL",
    "ESEARCH IN (selected) 1:2",
];

/// During these it comes.
const TOLD: &[&str] = &[
    "NOOP",
    "CHECK",
    "CAPABILITY",
    "ID NIL",
    "NAMESPACE",
    "ENABLE X",
    "LIST \"\" *",
    "LSUB \"\" *",
    "STATUS INBOX (MESSAGES)",
    "SUBSCRIBE INBOX",
    "MYRIGHTS INBOX",
    "GETACL INBOX",
    "CREATE %N",
    "RENAME nowhere x",
    "DELETE nowhere",
    "APPEND other {1+}\r\nx",
    "UID FETCH 2 (FLAGS)",
    "UID STORE 2 +FLAGS (x)",
    "UID SEARCH ALL",
    "UID SEARCH UID 2",
    "UID SORT (DATE) UTF-8 SEEN",
    "UID THREAD REFERENCES UTF-8 ALL",
    "ESEARCH IN (personal) ALL",
    "COPY 2 other",
    "UID COPY 2 other",
    "UID MOVE 99 other",
    "EXPUNGE",
    "UID EXPUNGE 99",
    "REPLACE 99 other {1+}\r\nx",
];

/// What was told of.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    expunge: Vec<u32>,
    exists: Vec<u32>,
    /// Numbers of messages of which flags were told.
    flags: Vec<u32>,
}

impl Told {
    fn of(untagged: &[Untagged]) -> Self {
        let mut told = Self::default();
        for response in untagged {
            match response {
                Untagged::Expunge(seq) => told.expunge.push(*seq),
                Untagged::Exists(count) => told.exists.push(*count),
                Untagged::Fetch { seq, .. } => told.flags.push(*seq),
                _ => {}
            }
        }
        told
    }
}

/// Three messages in the INBOX, selected; then, unknown to the client, the first goes, the third
/// is flagged, and a fourth comes.
async fn changed(server: &Server, client: &mut Client, number: usize) {
    let inbox = "user/bob";
    let (partition, handle) = server.open(inbox).await;
    let all: UidSet = handle.view().uids().collect();
    let delete = StoreOp::new(StoreMode::Add, Flags::DELETED, Vec::new());
    if !all.is_empty() {
        partition
            .store_flags(&handle, &all, delete.clone())
            .await
            .unwrap();
        partition.expunge(&handle, None).await.unwrap();
    }
    for n in 0..3 {
        server.put(inbox, short(&format!("{number} {n}"))).await;
    }
    client.select("INBOX").await;
    let uids: Vec<u32> = handle.view().uids().collect();
    let one = |at: usize| UidSet::range(uids[at], uids[at]);
    partition
        .store_flags(&handle, &one(0), delete)
        .await
        .unwrap();
    partition.expunge(&handle, Some(&one(0))).await.unwrap();
    let flag = StoreOp::new(StoreMode::Add, Flags::FLAGGED, Vec::new());
    partition.store_flags(&handle, &one(2), flag).await.unwrap();
    server.put(inbox, short("new")).await;
}

#[tokio::test]
async fn expunges_wait_and_the_rest_does_not() {
    let server = Server::start();
    server.create("user/bob").await;
    server.create("user/bob/other").await;
    let mut client = server.login("bob").await;
    let held = HELD.iter().map(|command| (*command, true));
    let told = TOLD.iter().map(|command| (*command, false));
    for (number, (command, held)) in held.chain(told).enumerate() {
        changed(&server, &mut client, number).await;
        let command = command.replace("%N", &format!("box{number}"));
        let (untagged, _) = client.get(&command).await;
        let first = Told::of(&untagged);
        let (untagged, _) = client.get("NOOP").await;
        let then = Told::of(&untagged);
        // The numbers are what they were until the client is told.
        match held {
            true => {
                assert_eq!(first.expunge, [0; 0], "{command}");
                assert_eq!(first.exists, [4], "{command}");
                assert!(first.flags.contains(&3), "{command}: {first:?}");
                assert_eq!(then.expunge, [1], "{command}");
            }
            false => {
                assert_eq!(first.expunge, [1], "{command}");
                assert!(then.expunge.is_empty(), "{command}: {then:?}");
                let exists = first.exists.last();
                assert!(
                    exists == Some(&3) || exists == Some(&4),
                    "{command}: {first:?}"
                );
                assert!(
                    first.flags.contains(&2) || first.flags.contains(&3),
                    "{command}: {first:?}"
                );
            }
        }
        // Now they are the mailbox's.
        let (untagged, completion) = client.get("FETCH 1:* (UID)").await;
        assert!(completion.starts_with("OK "), "{command}: {completion}");
        assert_eq!(Told::of(&untagged).flags, [1, 2, 3], "{command}");
        let (_, handle) = server.open("user/bob").await;
        assert_eq!(handle.view().len(), 3, "{command}");
    }
}

/// Nothing is said between commands, and what has happened is not lost.
#[tokio::test]
async fn nothing_is_told_between_commands() {
    let server = Server::start();
    server.create("user/bob").await;
    let mut client = server.login("bob").await;
    changed(&server, &mut client, 0).await;
    // Commands that wait in a pipeline have their numbers from before the first of them.
    client
        .send("a FETCH 3 (UID)\r\nb FETCH 1 (UID)\r\nc NOOP\r\nd FETCH 1 (UID)\r\n")
        .await;
    client
        .play(
            "S: * 4 EXISTS
             S: * 4 RECENT
             S: * 3 FETCH (FLAGS (\\Flagged…))
             S: * 3 FETCH (UID 3)
             S: a OK …
             S: * 1 FETCH (UID 1)
             S: b OK …
             S: * 1 EXPUNGE
             S: c OK …
             S: * 1 FETCH (UID 2)
             S: d OK …",
        )
        .await;
}

/// The message that a number means is the one that the client saw it for, whatever another session
/// does in between.
#[tokio::test]
async fn numbers_mean_what_they_meant() {
    let server = Server::start();
    server.create("user/bob").await;
    server.create("user/bob/other").await;
    for n in 0..6 {
        server.put("user/bob", short(&n.to_string())).await;
    }
    let (mut one, mut two) = (server.login("bob").await, server.login("bob").await);
    one.select("INBOX").await;
    two.select("INBOX").await;
    two.ask("STORE 1:2 +FLAGS (\\Deleted)").await;
    two.ask("EXPUNGE").await;
    // Numbers 3 and 4 are UIDs 3 and 4 to the one, 5 and 6 to the other.
    let answer = one.ask("STORE 3 +FLAGS (mine)").await;
    assert!(
        answer
            .iter()
            .any(|line| line.starts_with("* 3 FETCH (FLAGS (") && line.contains("mine")),
        "{answer:?}"
    );
    let answer = two.ask("UID FETCH 3 (FLAGS)").await;
    assert!(
        answer
            .iter()
            .any(|line| line.starts_with("* 1 FETCH (UID 3 ") && line.contains("mine")),
        "{answer:?}"
    );
    let answer = one.ask("SEARCH KEYWORD mine").await;
    assert_eq!(answer[0], "* SEARCH 3");
    let answer = one.ask("COPY 4 other").await.pop().unwrap();
    assert!(answer.starts_with("OK [COPYUID "), "{answer}");
    assert!(answer.contains(" 4 1]"), "{answer}");
    // It was told with COPY; from here on both count alike.
    let answer = one.ask("MOVE 1 other").await;
    assert!(
        answer.iter().any(|line| line.contains(" 3 2]")),
        "{answer:?}"
    );
    let (mine, theirs) = (
        one.ask("FETCH 1:* (UID)").await,
        two.ask("NOOP").await.len(),
    );
    assert_eq!(theirs, 2);
    let again = two.ask("FETCH 1:* (UID)").await;
    assert_eq!(mine, again);
}
