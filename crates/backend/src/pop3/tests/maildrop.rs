//! DELE, RSET, QUIT; several sessions at a time; how sessions end.

use std::time::Duration;

use murder_store::{Flags, UidSet};

use super::{multiline, put_all, with_messages};
use crate::imap::tests::support::{Client, Server};

async fn marked(server: &Server) -> Client {
    let mut client = server.login_pop3("bob").await;
    client
        .play(
            "C: DELE 1
             S: +OK Message 1 deleted
             C: DELE 3
             S: +OK Message 3 deleted",
        )
        .await;
    client
}

/// RFC 1939 section 5.
#[tokio::test]
async fn marks_can_be_taken_back() {
    let server = with_messages(&[b"a\r\n", b"bb\r\n", b"ccc\r\n"]).await;
    let mut client = marked(&server).await;
    client
        .play(
            "C: DELE 1
             S: -ERR Message 1 was deleted
             C: RETR 1
             S: -ERR Message 1 was deleted
             C: LIST 3
             S: -ERR Message 3 was deleted
             C: UIDL 3
             S: -ERR Message 3 was deleted
             C: STAT
             S: +OK 1 4
             C: LIST
             S: +OK 1 message (4 octets)
             S: 2 4
             S: .
             C: RSET
             S: +OK Maildrop has 3 messages
             C: STAT
             S: +OK 3 12
             C: DELE 2
             S: +OK Message 2 deleted
             C: QUIT
             S: +OK be1 signing off (2 messages left)",
        )
        .await;
    assert!(client.ends().await.is_empty());
    let (_, handle) = server.open("user/bob").await;
    assert_eq!(handle.view().uids().collect::<Vec<_>>(), [1, 3]);
}

/// Nothing is removed but by QUIT.
#[tokio::test]
async fn a_lost_connection_removes_nothing() {
    let server = with_messages(&[b"a\r\n", b"b\r\n", b"c\r\n"]).await;
    // Closed in order, gone in the middle of a word, and never closed.
    marked(&server).await.close().await;
    let mut client = marked(&server).await;
    client.send("QUI").await;
    client.close().await;
    let mut client = marked(&server).await;
    client.send("RETR 2\r\n").await;
    drop(client);
    until_alone(&server).await;
    assert_eq!(server.messages("user/bob").await, 3);
    let (_, handle) = server.open("user/bob").await;
    let view = handle.view();
    assert!(view.rows(1, 3).all(|row| row.flags == Flags::NONE));
}

/// RFC 1939 section 3: without a word, and without the UPDATE state.
#[tokio::test]
async fn a_silent_client_is_left() {
    let server = Server::with(|config| config.limits.idle_timeout_seconds = 2);
    put_all(&server, &[b"a\r\n", b"b\r\n", b"c\r\n"]).await;
    let mut client = marked(&server).await;
    assert_eq!(client.ends().await, [""; 0]);
    until_alone(&server).await;
    assert_eq!(server.messages("user/bob").await, 3);
}

#[tokio::test]
async fn a_drain_ends_sessions_without_removing() {
    let server = with_messages(&[b"a\r\n", b"b\r\n", b"c\r\n"]).await;
    let mut client = marked(&server).await;
    let mut stranger = server.connect_pop3().await;
    let left = server.node.shutdown.drain(Duration::from_secs(20)).await;
    assert_eq!(left, 0);
    for client in [&mut client, &mut stranger] {
        assert_eq!(client.ends().await, ["-ERR [SYS/TEMP] Shutting down"]);
    }
    assert_eq!(server.messages("user/bob").await, 3);
}

async fn until_alone(server: &Server) {
    let gone = async {
        while server.node.sessions.used("bob") > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone)
        .await
        .expect("the sessions end");
}

/// Two POP3 sessions and one of IMAP, on snapshots of their own.
#[tokio::test]
async fn several_sessions_at_a_time() {
    let server = with_messages(&[b"a\r\n", b"b\r\n", b"c\r\n", b"d\r\n"]).await;
    let mut first = marked(&server).await;
    let mut second = server.login_pop3("bob").await;
    let mut imap = server.login("bob").await;
    imap.select("INBOX").await;
    assert_eq!(
        imap.ask("STORE 1:2 +FLAGS.SILENT (\\Deleted)").await,
        ["OK STORE completed"]
    );
    imap.ask("UID EXPUNGE 1").await;
    server.put("user/bob", "new\r\n").await;
    // What has gone can still be read, what has come is not there.
    for client in [&mut first, &mut second] {
        client
            .play(
                "C: RETR 4
                 S: +OK 3 octets
                 S: d
                 S: .",
            )
            .await;
    }
    second
        .play(
            "C: STAT
             S: +OK 4 12
             C: RETR 1
             S: +OK 3 octets
             S: a
             S: .
             C: DELE 1
             S: +OK …
             C: DELE 4
             S: +OK …
             C: QUIT
             S: +OK be1 signing off (2 messages left)",
        )
        .await;
    // The first is gone already; and what IMAP marked is not POP3's to remove.
    first
        .play(
            "C: QUIT
             S: +OK be1 signing off (2 messages left)",
        )
        .await;
    let told = imap.ask("NOOP").await;
    let expunged = told.iter().filter(|line| line.ends_with(" EXPUNGE"));
    assert_eq!(expunged.count(), 2, "{told:?}");
    let (_, handle) = server.open("user/bob").await;
    assert_eq!(handle.view().uids().collect::<Vec<_>>(), [2, 5]);
    assert_eq!(server.pop3_shared.deleted.get(), 2);
}

#[tokio::test]
async fn deleting_takes_the_rights() {
    let server = with_messages(&[b"a\r\n", b"b\r\n", b"c\r\n"]).await;
    for rights in ["lrswipkxa", "lrswipkxta", "lrswipkxea"] {
        server.allow("user/bob", "bob", rights).await;
        let mut client = server.login_pop3("bob").await;
        client
            .play(
                "C: RETR 1
                 S: +OK 3 octets
                 S: a
                 S: .
                 C: DELE 1
                 S: -ERR You may not delete messages
                 C: QUIT
                 S: +OK be1 signing off (3 messages left)",
            )
            .await;
    }
    // Taken away in the middle.
    server.allow("user/bob", "bob", "lrswipkxtea").await;
    let mut client = marked(&server).await;
    server.allow("user/bob", "bob", "lrswipkxa").await;
    client
        .play(
            "C: QUIT
             S: -ERR Deleted messages were not removed",
        )
        .await;
    assert!(client.ends().await.is_empty());
    assert_eq!(server.messages("user/bob").await, 3);
}

#[tokio::test]
async fn retr_marks_as_seen_if_that_is_wanted() {
    for wanted in [false, true] {
        let server = Server::with(|config| config.pop3.mark_seen = wanted);
        put_all(&server, &[b"a\r\n", b"b\r\n", b"c\r\n", b"d\r\n"]).await;
        for quits in [false, true] {
            let mut client = server.login_pop3("bob").await;
            let number = if quits { 2 } else { 1 };
            multiline(&mut client, &format!("RETR {number}")).await;
            multiline(&mut client, "TOP 4 9").await;
            multiline(&mut client, "RETR 3").await;
            match quits {
                true => {
                    client
                        .play(
                            "C: DELE 3
                             S: +OK …
                             C: QUIT
                             S: +OK …",
                        )
                        .await;
                    assert!(client.ends().await.is_empty());
                }
                false => client.close().await,
            }
            until_alone(&server).await;
        }
        let (_, handle) = server.open("user/bob").await;
        let view = handle.view();
        let seen: UidSet = view
            .rows(1, view.len())
            .filter(|row| row.flags.contains(Flags::SEEN))
            .map(|row| row.uid)
            .collect();
        let all: UidSet = if wanted {
            [1, 2].into_iter().collect()
        } else {
            UidSet::new()
        };
        assert_eq!(seen, all);
    }
}

/// The mailbox goes while a session has it.
#[tokio::test]
async fn the_inbox_is_deleted() {
    let server = with_messages(&[b"a\r\n", b"b\r\n", b"c\r\n"]).await;
    let mut client = marked(&server).await;
    let (partition, _) = server.open("user/bob").await;
    partition.delete_mailbox(&super::inbox()).await.unwrap();
    client
        .play(
            "C: STAT
             S: +OK 1 3
             C: QUIT
             S: -ERR Deleted messages were not removed",
        )
        .await;
    assert!(client.ends().await.is_empty());
}
