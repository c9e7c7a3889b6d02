//! COPY and MOVE, within a backend and across.

use super::Murder;
use super::fake_imap::FakeImap;
use super::peer::Peer;

#[tokio::test]
async fn within_a_backend_it_is_the_backends_business() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    murder.make("user/bob/Trash", "be1", "bob").await;
    let (mut client, mut backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    client.send("a UID MOVE 1:2 Trash\r\n").await;
    backend
        .answer(
            "UID MOVE 1:2 \"user/bob/Trash\"",
            "* OK [COPYUID 9 1:2 5:6] moved\r\n* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n{tag} OK done\r\n",
        )
        .await;
    assert_eq!(
        client.until("a ").await,
        [
            "* OK [COPYUID 9 1:2 5:6] moved",
            "* 1 EXPUNGE",
            "* 1 EXPUNGE",
            "a OK done"
        ]
    );
    assert!(
        client
            .tagged("b", "COPY 1 nowhere")
            .await
            .starts_with("NO [TRYCREATE] ")
    );
    assert!(client.tagged("c", "COPY x Trash").await.starts_with("BAD "));
    murder.stop().await;
}

/// bob's INBOX selected on be1, and his `x` on be2, to which a command is under way.
async fn across(murder: &mut Murder, command: &str) -> (Peer, FakeImap, FakeImap) {
    murder.make("user/bob/x", "be2", "bob").await;
    let (mut client, source) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    client.send(&format!("a {command} x\r\n")).await;
    let mut destination = murder.imap_at("be2").await;
    destination
        .answer(
            "MYRIGHTS \"user/bob/x\"",
            "* MYRIGHTS \"user/bob/x\" lrsip\r\n{tag} OK done\r\n",
        )
        .await;
    (client, source, destination)
}

const LIST: &str = "* 1 FETCH (UID 11 FLAGS (\\Seen \\Recent $Junk) INTERNALDATE \" 1-Feb-2026 10:00:00 +0100\")\r\n\
     * 2 FETCH (FLAGS (\\Deleted))\r\n\
     * 2 FETCH (UID 12 FLAGS () INTERNALDATE \" 2-Feb-2026 10:00:00 +0100\")\r\n{tag} OK done\r\n";

async fn listed(source: &mut FakeImap, rights: &str, fetch: &str) {
    source
        .answer(
            "MYRIGHTS \"user/bob\"",
            &format!("* MYRIGHTS \"user/bob\" {rights}\r\n* 3 EXISTS\r\n{{tag}} OK done\r\n"),
        )
        .await;
    source.answer(fetch, LIST).await;
}

async fn fetched(source: &mut FakeImap, uid: u32, body: &str) {
    source
        .answer(
            &format!("UID FETCH {uid} (BODY.PEEK[])"),
            &format!(
                "* 1 FETCH (UID {uid} BODY[] {{{}}}\r\n{body})\r\n{{tag}} OK done\r\n",
                body.len()
            ),
        )
        .await;
}

const FIRST: &str =
    "APPEND \"user/bob/x\" (\\Seen $Junk) \" 1-Feb-2026 10:00:00 +0100\" {5+}\r\nfirst";
const SECOND: &str = "APPEND \"user/bob/x\" () \" 2-Feb-2026 10:00:00 +0100\" {6+}\r\nsecond";

#[tokio::test]
async fn copy_to_another_backend() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut source, mut destination) = across(&mut murder, "COPY 1:2").await;
    listed(&mut source, "lr", "FETCH 1:2 (UID FLAGS INTERNALDATE)").await;
    fetched(&mut source, 11, "first").await;
    destination
        .answer(FIRST, "{tag} OK [APPENDUID 7 40] stored\r\n")
        .await;
    fetched(&mut source, 12, "second").await;
    destination
        .answer(SECOND, "{tag} OK [APPENDUID 7 42] stored\r\n")
        .await;
    assert_eq!(
        client.until("a ").await,
        [
            "* 3 EXISTS",
            "* 2 FETCH (FLAGS (\\Deleted))",
            "a OK [COPYUID 7 11:12 40,42] Copied"
        ]
    );
    // Both connections are as they were.
    client.send("b NOOP\r\nc STATUS x (MESSAGES)\r\n").await;
    source.answer("NOOP", "{tag} OK done\r\n").await;
    destination
        .answer("STATUS \"user/bob/x\" (MESSAGES)", "{tag} OK done\r\n")
        .await;
    client.expect("b OK ").await;
    client.expect("c OK ").await;
    murder.stop().await;
}

#[tokio::test]
async fn move_expunges_only_what_has_arrived() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut source, mut destination) = across(&mut murder, "UID MOVE 11:12").await;
    listed(
        &mut source,
        "lrtexd",
        "UID FETCH 11:12 (UID FLAGS INTERNALDATE)",
    )
    .await;
    fetched(&mut source, 11, "first").await;
    destination
        .answer(FIRST, "{tag} OK [APPENDUID 7 40] stored\r\n")
        .await;
    fetched(&mut source, 12, "second").await;
    destination
        .answer(SECOND, "{tag} NO [OVERQUOTA] full\r\n")
        .await;
    source
        .answer(
            "UID STORE 11 +FLAGS.SILENT (\\Deleted)",
            "{tag} OK done\r\n",
        )
        .await;
    source
        .answer("UID EXPUNGE 11", "* 1 EXPUNGE\r\n{tag} OK done\r\n")
        .await;
    assert_eq!(
        client.until("a ").await[2..],
        [
            "* OK [COPYUID 7 11 40] Moved",
            "* 1 EXPUNGE",
            "a NO [OVERQUOTA] full"
        ]
    );
    murder.stop().await;
}

#[tokio::test]
async fn copy_is_all_or_nothing() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut source, mut destination) = across(&mut murder, "COPY 1:2").await;
    listed(&mut source, "lr", "FETCH 1:2 (UID FLAGS INTERNALDATE)").await;
    fetched(&mut source, 11, "first").await;
    destination
        .answer(FIRST, "{tag} OK [APPENDUID 7 40] stored\r\n")
        .await;
    fetched(&mut source, 12, "second").await;
    destination
        .answer(SECOND, "{tag} NO [OVERQUOTA] full\r\n")
        .await;
    destination
        .answer("SELECT \"user/bob/x\"", "{tag} OK done\r\n")
        .await;
    destination
        .answer(
            "UID STORE 40 +FLAGS.SILENT (\\Deleted)",
            "{tag} OK done\r\n",
        )
        .await;
    destination
        .answer("UID EXPUNGE 40", "{tag} OK done\r\n")
        .await;
    destination.answer("UNSELECT", "{tag} OK done\r\n").await;
    assert_eq!(client.until("a ").await[2..], ["a NO [OVERQUOTA] full"]);
    murder.stop().await;
}

#[tokio::test]
async fn rights_are_checked_before_anything_is_changed() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut source, _destination) = across(&mut murder, "MOVE 1").await;
    source
        .answer(
            "MYRIGHTS \"user/bob\"",
            "* MYRIGHTS \"user/bob\" lrsi\r\n{tag} OK done\r\n",
        )
        .await;
    client.expect("a NO [NOPERM] ").await;
    // At the other end.
    murder.make("user/bob/y", "be2", "bob").await;
    client.send("b COPY 1 y\r\n").await;
    let mut destination = _destination;
    destination
        .answer(
            "MYRIGHTS \"user/bob/y\"",
            "* MYRIGHTS \"user/bob/y\" lrs\r\n{tag} OK\r\n",
        )
        .await;
    client.expect("b NO [NOPERM] ").await;
    client.send("c COPY 1 y\r\n").await;
    destination
        .answer("MYRIGHTS \"user/bob/y\"", "{tag} NO [NONEXISTENT] no\r\n")
        .await;
    client.expect("c NO [TRYCREATE] ").await;
    murder.stop().await;
}

#[tokio::test]
async fn the_selected_mailbox_outlives_a_lost_destination() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut source, mut destination) = across(&mut murder, "COPY 1:2").await;
    listed(&mut source, "lr", "FETCH 1:2 (UID FLAGS INTERNALDATE)").await;
    // Half of the first message is there when the destination goes.
    let body = "x".repeat(200_000);
    let tag = source.expect("UID FETCH 11 (BODY.PEEK[])").await;
    source
        .send(&format!(
            "* 1 FETCH (UID 11 BODY[] {{200000}}\r\n{}",
            &body[..100_000]
        ))
        .await;
    let (_, head) = {
        let line = destination.peer.line().await;
        let (tag, head) = line.split_once(' ').unwrap();
        (tag.to_owned(), head.to_owned())
    };
    assert!(head.ends_with("{200000+}"), "{head}");
    drop(destination);
    source
        .send(&format!(
            "{})\r\n* 4 EXISTS\r\n{tag} OK done\r\n",
            &body[100_000..]
        ))
        .await;
    assert_eq!(
        client.until("a ").await[2..],
        [
            "* 4 EXISTS",
            "a NO [UNAVAILABLE] The backend of the mailbox is not available, try again later"
        ]
    );
    client.send("b FETCH 1 FLAGS\r\n").await;
    source
        .answer("FETCH 1 FLAGS", "* 1 FETCH (FLAGS ())\r\n{tag} OK done\r\n")
        .await;
    client.expect("* 1 FETCH (FLAGS ())").await;
    client.expect("b OK ").await;
    murder.stop().await;
}

#[tokio::test]
async fn a_lost_source_is_told_and_nothing_doubled() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut source, mut destination) = across(&mut murder, "UID MOVE 11:12").await;
    listed(
        &mut source,
        "lrte",
        "UID FETCH 11:12 (UID FLAGS INTERNALDATE)",
    )
    .await;
    fetched(&mut source, 11, "first").await;
    destination
        .answer(FIRST, "{tag} OK [APPENDUID 7 40] stored\r\n")
        .await;
    source.expect("UID FETCH 12 (BODY.PEEK[])").await;
    drop(source);
    for command in [
        "SELECT \"user/bob/x\"",
        "UID STORE 40 +FLAGS.SILENT (\\Deleted)",
        "UID EXPUNGE 40",
        "UNSELECT",
    ] {
        destination.answer(command, "{tag} OK done\r\n").await;
    }
    assert!(
        client
            .until("a ")
            .await
            .last()
            .unwrap()
            .starts_with("a NO [UNAVAILABLE] ")
    );
    assert!(
        client
            .tagged("b", "NOOP")
            .await
            .starts_with("NO [UNAVAILABLE] ")
    );
    murder.stop().await;
}
