//! COPY and MOVE.

use murder_mailbox::{Identity, MailboxName};
use murder_store::{AppendMessage, Flags, MAX_KEYWORDS, QuotaLimits};

use super::support::{Client, Server, message, short};

#[tokio::test]
async fn copies_and_moves() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for n in 1..=4 {
        server.put("user/bob", short(&n.to_string())).await;
    }
    server.create("user/bob/x").await;
    bob.select("INBOX").await;
    bob.play(
        "C: a COPY 2:3 x
         S: a OK [COPYUID … 2:3 1:2] COPY completed
         C: b UID COPY 9:10 x
         S: b OK COPY completed
         C: c COPY 1 y
         S: c NO [TRYCREATE] …
         C: d COPY 7 x
         S: d BAD …
         C: e MOVE 1,3 x
         S: * OK [COPYUID … 1,3 3:4] Moved
         S: * 3 EXPUNGE
         S: * 1 EXPUNGE
         S: e OK MOVE completed
         C: f UID MOVE 1 x
         S: f OK MOVE completed
         C: g COPY 1 INBOX
         S: * 3 EXISTS
         S: * 3 RECENT
         S: g OK [COPYUID … 2 5] …
         C: h UID MOVE 2 INBOX
         S: * OK [COPYUID … 2 6] Moved
         S: * 1 EXPUNGE
         S: * 3 EXISTS
         S: * 3 RECENT
         S: h OK …",
    )
    .await;
    assert_eq!(server.messages("user/bob/x").await, 4);
    let _ = bob.ask("EXAMINE INBOX").await;
    bob.play(
        "C: a MOVE 1 x
         S: a NO [READ-ONLY] …
         C: b COPY 1 x
         S: b OK [COPYUID …] …",
    )
    .await;
}

#[tokio::test]
async fn a_message_that_is_gone_stops_a_copy_by_number() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for n in 1..=2 {
        server.put("user/bob", short(&n.to_string())).await;
    }
    server.create("user/bob/x").await;
    bob.select("INBOX").await;
    let mut other = server.login("bob").await;
    other.select("INBOX").await;
    other
        .play(
            "C: a STORE 1 +FLAGS.SILENT \\Deleted
             S: a OK …
             C: b EXPUNGE
             S: * 1 EXPUNGE
             S: b OK …",
        )
        .await;
    bob.play(
        "C: a COPY 1:2 x
         S: * 1 EXPUNGE
         S: a NO [EXPUNGEISSUED] …
         C: b UID COPY 1:2 x
         S: b OK [COPYUID … 2 1] …",
    )
    .await;
    assert_eq!(server.messages("user/bob/x").await, 1);
}

#[tokio::test]
async fn rights_at_both_ends() {
    let server = Server::start();
    server.create("user/bob").await;
    server.create("user/carol").await;
    let mut full = message(short("x"));
    full.flags = Flags::ALL;
    full.keywords = vec!["kw".into()];
    server.put_message("user/bob", full).await;
    let mut carol = server.login("carol").await;
    server.allow("user/bob", "carol", "lrs").await;
    carol.select("Other Users/bob").await;
    carol
        .play(
            "C: a MOVE 1 INBOX
             S: a NO [NOPERM] …
             C: b COPY 1 \"Other Users/bob\"
             S: b NO [NOPERM] …
             C: c COPY 1 INBOX
             S: c OK [COPYUID …] …",
        )
        .await;
    server.allow("user/bob", "carol", "lri").await;
    carol
        .play(
            "C: d COPY 1 \"Other Users/bob\"
             S: * 2 EXISTS
             S: * …
             S: d OK [COPYUID …] …
             C: e FETCH 2 FLAGS
             S: * 2 FETCH (FLAGS (\\Recent))
             S: e OK …",
        )
        .await;
    carol.select("INBOX").await;
    // Carol's own \Seen, which she has not set at bob's.
    carol
        .play(
            "C: a FETCH 1 FLAGS
             S: * 1 FETCH (FLAGS (\\Answered \\Flagged \\Deleted \\Draft \\Recent kw))
             S: a OK …",
        )
        .await;
    server.allow("user/bob", "carol", "li").await;
    server.create("user/bob/hidden").await;
    server.allow("user/bob/hidden", "carol", "").await;
    carol
        .play(
            "C: a COPY 1 \"Other Users/bob/hidden\"
             S: a NO [TRYCREATE] …
             C: b MOVE 1 \"Other Users/bob\"
             S: * OK [COPYUID …] Moved
             S: * 1 EXPUNGE
             S: b OK …",
        )
        .await;
    assert_eq!(server.messages("user/bob").await, 3);
}

async fn two_partitions() -> (Server, Client) {
    let server = Server::with_partitions(&["default", "second"]);
    let bob = server.login("bob").await;
    let identity = Identity {
        admin: true,
        ..Identity::user("admin")
    };
    let name = MailboxName::parse_canonical("user/carol").unwrap();
    server
        .node
        .create_mailbox(&identity, &name, Some("second"), None)
        .await
        .unwrap();
    server.allow("user/carol", "bob", "lrswi").await;
    let found = server.node.find(&name).unwrap();
    assert_eq!(found.partition.config().name, "second");
    (server, bob)
}

#[tokio::test]
async fn to_another_partition() {
    let (server, mut bob) = two_partitions().await;
    let large = format!(
        "Subject: large\r\n\r\n{}",
        "line of text\r\n".repeat(30_000)
    );
    for n in 1..=600 {
        let mut new = message(match n {
            3 => large.clone(),
            n => short(&n.to_string()),
        });
        if n == 2 {
            new.flags = Flags::ALL;
            new.keywords = vec!["kw".into()];
        }
        server.put_message("user/bob", new).await;
    }
    bob.select("INBOX").await;
    bob.play(
        "C: a COPY 2:3 \"Other Users/carol\"
         S: a OK [COPYUID … 2:3 1:2] …
         C: b MOVE 1,3:600 \"Other Users/carol\"
         S: * OK [COPYUID … 1,3:600 3:601] Moved",
    )
    .await;
    for n in (1..=600).rev().filter(|n| *n != 2) {
        assert_eq!(bob.line().await, format!("* {n} EXPUNGE"));
    }
    bob.play(
        "S: b OK …
         C: c FETCH 1:* UID
         S: * 1 FETCH (UID 2)
         S: c OK …",
    )
    .await;
    bob.select("Other Users/carol").await;
    bob.play(
        "C: a FETCH 1:4 (FLAGS INTERNALDATE RFC822.SIZE)
         S: * 1 FETCH (FLAGS (\\Answered \\Flagged \\Seen \\Draft \\Recent kw) INTERNALDATE \"14-Nov-2023 23:13:20 +0100\" …)
         S: * 2 FETCH …
         S: * 3 FETCH …
         S: * 4 FETCH …
         S: a OK …",
    )
    .await;
    let (partition, handle) = server.open("user/carol").await;
    for uid in [2, 4] {
        let row = handle.view().row_by_uid(uid).unwrap();
        let raw = partition.read_body(row.location).await.unwrap();
        assert!(raw == large.as_bytes());
    }
    assert_eq!(handle.view().len(), 601);
}

#[tokio::test]
async fn a_copy_to_another_partition_that_fails_leaves_nothing() {
    let (server, mut bob) = two_partitions().await;
    let text = "x".repeat(200_000);
    for n in 1..=60 {
        // Three batches, the last of which is over quota.
        server
            .put("user/bob", format!("Subject: {n}\r\n\r\n{text}"))
            .await;
    }
    server.put("user/carol", short("there")).await;
    let (partition, _) = server.open("user/carol").await;
    let limits = QuotaLimits {
        message: Some(50),
        ..QuotaLimits::default()
    };
    let carol = MailboxName::parse_canonical("user/carol").unwrap();
    partition.set_quota(&carol, limits).await.unwrap();
    bob.select("INBOX").await;
    bob.play(
        "C: a COPY 1:* \"Other Users/carol\"
         S: a NO [OVERQUOTA] …",
    )
    .await;
    assert_eq!(server.messages("user/carol").await, 1);
    let (_, completion) = bob.get("MOVE 1:* \"Other Users/carol\"").await;
    assert!(completion.starts_with("NO [OVERQUOTA]"), "{completion}");
    let (here, there) = (
        server.messages("user/bob").await,
        server.messages("user/carol").await - 1,
    );
    assert!(here < 60);
    assert_eq!(here + there, 60);
}

#[tokio::test]
async fn a_mailbox_full_of_keywords_takes_messages_without_those_that_do_not_fit() {
    let (server, mut bob) = two_partitions().await;
    server.create("user/bob/full").await;
    let tagged = |keywords: Vec<String>| AppendMessage {
        keywords,
        ..message(short("x"))
    };
    for full in ["user/bob/full", "user/carol"] {
        let all = (0..MAX_KEYWORDS).map(|n| format!("k{n}")).collect();
        server.put_message(full, tagged(all)).await;
    }
    for target in ["full", "\"Other Users/carol\""] {
        for _ in 0..2 {
            let new = ["k3", "one-more", "k1000"].map(str::to_owned);
            server.put_message("user/bob", tagged(new.into())).await;
        }
        bob.select("INBOX").await;
        for command in ["COPY 1", "MOVE 1:2"] {
            let (_, completion) = bob.get(&format!("{command} {target}")).await;
            assert!(completion.starts_with("OK"), "{target}: {completion}");
        }
        let append = format!("APPEND {target} (k7 two-more) {{5+}}\r\nhello");
        let (_, completion) = bob.get(&append).await;
        assert!(completion.starts_with("OK"), "{target}: {completion}");
        bob.select(target.trim_matches('"')).await;
        bob.play(
            "C: a FETCH 2:* (FLAGS)
             S: * 2 FETCH (FLAGS (… k3 k1000))
             S: * 3 FETCH (FLAGS (… k3 k1000))
             S: * 4 FETCH (FLAGS (… k3 k1000))
             S: * 5 FETCH (FLAGS (… k7))
             S: a OK …
             C: b STORE 2 +FLAGS (three-more)
             S: b NO [LIMIT] …
             C: c SEARCH KEYWORD k1000
             S: * SEARCH 1 2 3 4
             S: c OK …
             C: d SEARCH UNKEYWORD k999 KEYWORD k7
             S: * SEARCH 5
             S: d OK …",
        )
        .await;
    }
}

#[tokio::test]
async fn a_frontend_is_told_to_look_elsewhere() {
    let server = Server::with_tls(|_| {});
    server.create("user/bob").await;
    server.create("user/carol").await;
    server.put("user/bob", short("x")).await;
    let mut bob = server.connect_for("bob").await;
    bob.select("user/bob").await;
    bob.play(
        "C: a COPY 1 user/zoe
         S: a NO [X-NOT-HERE] …
         C: b MOVE 1 user/zoe
         S: b NO [X-NOT-HERE] …
         C: c SELECT user/zoe
         S: * OK [CLOSED] …
         S: c NO [X-NOT-HERE] …
         C: d SELECT user/carol
         S: d NO [NONEXISTENT] …",
    )
    .await;
}
