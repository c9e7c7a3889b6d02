//! APPEND: small and large, refused, and broken off.

use murder_mailbox::MailboxName;
use murder_store::{Flags, INLINE_LIMIT, QuotaLimits};

use super::support::{Client, Server};

async fn append(client: &mut Client, arguments: &str, message: &[u8]) -> String {
    client
        .send(format!(
            "append APPEND {arguments} {{{}+}}\r\n",
            message.len()
        ))
        .await;
    client.send(message).await;
    client.send("\r\n").await;
    client.line().await
}

/// The stored messages: bytes, flags, keywords, date and zone.
async fn stored(server: &Server, name: &str) -> Vec<(Vec<u8>, Flags, Vec<String>, (i64, i16))> {
    let name = MailboxName::parse_canonical(name).unwrap();
    let found = server.node.find(&name).unwrap();
    let view = found.partition.open_mailbox(&name).await.unwrap().view();
    let mut messages = Vec::new();
    for row in view.rows(1, view.len()) {
        let body = found.partition.read_body(row.location).await.unwrap();
        let keywords = view.keywords().names(row.keywords);
        messages.push((
            body.to_vec(),
            view.flags_for(&row, None),
            keywords.map(str::to_owned).collect(),
            (row.internal_date.seconds, row.internal_date.zone),
        ));
    }
    messages
}

#[tokio::test]
async fn a_message_is_stored_as_it_is() {
    let server = Server::start();
    let mut client = server.login("bob").await;
    client
        .play(
            "C: a APPEND INBOX (\\Seen \\Recent $Important) \" 1-Feb-1994 21:52:25 -0800\" {17}
             S: + Ready for the message
             C: Subject: x
             C:
             C: hi
             C:
             S: a OK [APPENDUID …1] APPEND completed",
        )
        .await;
    let messages = stored(&server, "user/bob").await;
    assert_eq!(
        messages,
        [(
            b"Subject: x\r\n\r\nhi\r".to_vec(),
            Flags::SEEN,
            vec!["$Important".to_owned()],
            (760_168_345, -480)
        )]
    );
}

#[tokio::test]
async fn the_date_is_now_unless_given() {
    let server = Server::start();
    let mut client = server.login("bob").await;
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let before = now().unwrap().as_secs() as i64;
    append(&mut client, "INBOX", b"hello").await;
    let (seconds, zone) = stored(&server, "user/bob").await[0].3;
    assert_eq!(zone, 0);
    assert!((before..=now().unwrap().as_secs() as i64).contains(&seconds));
}

#[tokio::test]
async fn large_messages_go_to_disk_as_they_come() {
    let server = Server::start();
    let mut client = server.login("bob").await;
    let mut message = b"Subject: large\r\n\r\n".to_vec();
    for len in [INLINE_LIMIT, INLINE_LIMIT + 1, 3 * INLINE_LIMIT + 17] {
        while message.len() < len {
            let line = format!("line at {}\r\n", message.len());
            message.extend_from_slice(line.as_bytes());
        }
        message.truncate(len);
        let answer = append(&mut client, "INBOX", &message).await;
        assert!(answer.starts_with("append OK [APPENDUID "), "{answer}");
        let messages = stored(&server, "user/bob").await;
        assert!(messages.last().unwrap().0 == message, "{len} bytes");
    }
}

#[tokio::test]
async fn the_selected_mailbox_shows_it_first() {
    let server = Server::start();
    let mut client = server.login("bob").await;
    let selected = client.ask("SELECT INBOX").await;
    assert!(selected.last().unwrap().starts_with("OK "), "{selected:?}");
    let lines = client.ask("APPEND INBOX {5+}\r\nhello").await;
    assert!(lines.contains(&"* 1 EXISTS".to_owned()), "{lines:?}");
    assert!(
        lines.last().unwrap().starts_with("OK [APPENDUID "),
        "{lines:?}"
    );
}

#[tokio::test]
async fn refused_before_the_message() {
    let server = Server::with(|config| config.imap.append_limit = 100_000);
    let mut client = server.login("bob").await;
    client
        .play(
            "C: a APPEND nowhere {5}
             S: a NO [TRYCREATE] …
             C: b APPEND INBOX {100001}
             S: b NO [TOOBIG] …
             C: c APPEND INBOX {0}
             S: c NO There is no message
             C: d APPEND INBOX UTF8 (~{5}
             S: d BAD …
             C: e APPEND a//b {5}
             S: e NO [CANNOT] …
             C: f APPEND INBOX (\\Seen {5}
             S: f BAD …
             C: g NOOP
             S: g OK …",
        )
        .await;
    // Without waiting to be asked: the message is passed over.
    assert_eq!(
        append(&mut client, "nowhere", &[b'x'; 70_000]).await,
        "append NO [TRYCREATE] Mailbox does not exist"
    );
    client
        .play(
            "C: h NOOP
             S: h OK …
             C: i APPEND INBOX {200000+}
             S: i NO [TOOBIG] …",
        )
        .await;
    let ended = client.ends().await;
    assert_eq!(ended.len(), 1);
    assert!(ended[0].starts_with("* BYE "), "{ended:?}");
    assert_eq!(server.messages("user/bob").await, 0);
}

/// A client that waits to be asked is told before it sends anything; another's message is passed
/// over.
#[tokio::test]
async fn a_message_over_quota_is_refused_before_it_comes() {
    let server = Server::start();
    let mut client = server.login("bob").await;
    let inbox = MailboxName::parse_canonical("user/bob").unwrap();
    let partition = server.node.find(&inbox).unwrap().partition;
    let limits = QuotaLimits {
        storage: Some(300),
        message: Some(2),
        mailbox: None,
    };
    partition.set_quota(&inbox, limits).await.unwrap();
    client
        .play(
            "C: a APPEND INBOX {307201}
             S: a NO [OVERQUOTA] …
             C: b APPEND nowhere {307201}
             S: b NO [TRYCREATE] …
             C: c NOOP
             S: c OK …
             C: d APPEND INBOX {5}
             S: + Ready for the message
             C: hello
             S: d OK [APPENDUID …",
        )
        .await;
    let answer = append(&mut client, "INBOX", b"hello").await;
    assert!(answer.starts_with("append OK "), "{answer}");
    // Small and large, and with the answer before the message.
    for len in [5, 1000, INLINE_LIMIT + 1, 310_000] {
        let answer = append(&mut client, "INBOX", &vec![b'x'; len]).await;
        assert!(answer.starts_with("append NO [OVERQUOTA] "), "{answer}");
    }
    client
        .send(format!("big APPEND INBOX {{{}+}}\r\n", 310_000))
        .await;
    client.play("S: big NO [OVERQUOTA] …").await;
    client.send(vec![b'x'; 310_000]).await;
    client
        .play(
            "C:
             C: e APPEND INBOX {1}
             S: e NO [OVERQUOTA] …
             C: f NOOP
             S: f OK …",
        )
        .await;
    assert_eq!(server.messages("user/bob").await, 2);
}

#[tokio::test]
async fn refused_after_the_message() {
    let server = Server::start();
    let mut client = server.login("bob").await;
    assert_eq!(
        append(&mut client, "INBOX", b"a\0b").await,
        "append BAD A message must not hold NULs"
    );
    let mut large = vec![b'x'; INLINE_LIMIT + 100];
    large[INLINE_LIMIT / 2] = 0;
    assert_eq!(
        append(&mut client, "INBOX", &large).await,
        "append BAD A message must not hold NULs"
    );
    client
        .send("d APPEND INBOX {5+}\r\nhello nonsense\r\ne NOOP\r\n")
        .await;
    client
        .play(
            "S: d BAD …
             S: e OK …",
        )
        .await;
    assert_eq!(server.messages("user/bob").await, 0);
}

#[tokio::test]
async fn a_client_that_goes_in_the_middle_leaves_nothing() {
    let server = Server::start();
    for len in [100, 4 * INLINE_LIMIT] {
        let mut client = server.login("bob").await;
        client.send(format!("a APPEND INBOX {{{len}+}}\r\n")).await;
        client.send(vec![b'x'; len / 2]).await;
        client.close().await;
    }
    // All but the very end of the command.
    let mut client = server.login("bob").await;
    client.send("a APPEND INBOX {5+}\r\nhello").await;
    client.close().await;
    assert_eq!(server.messages("user/bob").await, 0);
    let journal = server.folder.path().join("default/journal");
    let blobs = std::fs::read_dir(journal).unwrap().filter(|file| {
        let name = file.as_ref().unwrap().file_name();
        name.to_string_lossy().contains("blob")
    });
    assert_eq!(blobs.count(), 0);
}

#[tokio::test]
async fn rights_decide_which_flags_stay() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let mut carol = server.login("carol").await;
    let set = bob.ask("SETACL INBOX carol lrit").await;
    assert_eq!(set, ["OK SETACL completed"]);
    let arguments = "\"Other Users/bob\" (\\Seen \\Deleted \\Flagged work)";
    append(&mut carol, arguments, b"hello").await;
    let set = bob.ask("SETACL INBOX carol lriws").await;
    assert_eq!(set, ["OK SETACL completed"]);
    append(&mut carol, arguments, b"hello").await;
    let messages = stored(&server, "user/bob").await;
    assert_eq!(messages[0].1, Flags::DELETED);
    assert!(messages[0].2.is_empty());
    // `\Seen` is carol's own.
    assert_eq!(messages[1].1, Flags::FLAGGED);
    assert_eq!(messages[1].2, ["work"]);
    let status = "STATUS \"Other Users/bob\" (UNSEEN)";
    assert_eq!(
        carol.ask(status).await[0],
        "* STATUS \"Other Users/bob\" (UNSEEN 1)"
    );
}

#[tokio::test]
async fn a_frontend_is_told_to_look_elsewhere() {
    let server = Server::with_tls(|_| {});
    server.create("user/bob").await;
    server.create("user/carol").await;
    let mut client = server.connect_for("bob").await;
    client
        .play(
            "C: a APPEND user/bob/x {5}
             S: a NO [X-NOT-HERE] …
             C: b APPEND user/carol {5}
             S: b NO [TRYCREATE] …
             C: c APPEND user/bob {5+}
             C: hello
             S: c OK [APPENDUID …",
        )
        .await;
}
