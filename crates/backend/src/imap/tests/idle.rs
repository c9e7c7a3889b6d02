//! IDLE.

use super::support::{Server, short};

#[tokio::test]
async fn changes_come_at_once() {
    let server = Server::start();
    let mut idler = server.login("bob").await;
    let mut bob = server.login("bob").await;
    bob.select("INBOX").await;
    idler.select("INBOX").await;
    idler
        .play(
            "C: a IDLE
             S: + idling",
        )
        .await;
    server.put("user/bob", short("1")).await;
    idler
        .play(
            "S: * 1 EXISTS
             S: * 1 RECENT",
        )
        .await;
    bob.play(
        "C: a STORE 1 +FLAGS.SILENT (\\Seen \\Deleted)
         S: * 1 EXISTS
         S: * 0 RECENT
         S: a OK …",
    )
    .await;
    idler
        .play("S: * 1 FETCH (FLAGS (\\Deleted \\Seen \\Recent))")
        .await;
    bob.play(
        "C: b EXPUNGE
         S: * 1 EXPUNGE
         S: b OK …",
    )
    .await;
    idler
        .play(
            "S: * 1 EXPUNGE
             C: done
             S: a OK IDLE completed
             C: b IDLE
             S: + idling
             C: NOOP
             S: b BAD Expected DONE
             C: c NOOP
             S: c OK …",
        )
        .await;
}

#[tokio::test]
async fn pipelined_and_in_pieces() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    bob.send("a IDLE\r\nDONE\r\nb SELECT INBOX\r\nc IDLE\r\n")
        .await;
    bob.play(
        "S: + idling
         S: a OK IDLE completed",
    )
    .await;
    loop {
        if bob.line().await.starts_with("b OK") {
            break;
        }
    }
    bob.play("S: + idling").await;
    bob.send("DO").await;
    server.put("user/bob", short("1")).await;
    bob.play(
        "S: * 1 EXISTS
         S: * 1 RECENT",
    )
    .await;
    bob.send("NE\r\n").await;
    bob.play("S: c OK IDLE completed").await;
}

#[tokio::test]
async fn a_deleted_mailbox_ends_it() {
    let server = Server::start();
    let mut idler = server.login("bob").await;
    let mut bob = server.login("bob").await;
    server.create("user/bob/x").await;
    idler.select("x").await;
    idler
        .play(
            "C: a IDLE
             S: + idling",
        )
        .await;
    bob.play(
        "C: a DELETE x
         S: a OK …",
    )
    .await;
    idler
        .play("S: * BYE The selected mailbox was deleted")
        .await;
    assert!(idler.ends().await.is_empty());
}

#[tokio::test]
async fn many_leave_at_once() {
    let server = Server::with(|config| config.limits.max_connections_per_user = 0);
    let mut idlers = Vec::new();
    for _ in 0..250 {
        let mut idler = server.login("bob").await;
        idler.select("INBOX").await;
        idler
            .play(
                "C: a IDLE
                 S: + idling",
            )
            .await;
        idlers.push(idler);
    }
    server.put("user/bob", short("1")).await;
    for idler in &mut idlers {
        idler.play("S: * 1 EXISTS").await;
    }
    for idler in &mut idlers {
        idler.send("DONE\r\nb NOOP\r\n").await;
    }
    for idler in &mut idlers {
        idler
            .play(
                "S: * … RECENT
                 S: a OK …
                 S: b OK …",
            )
            .await;
    }
}
