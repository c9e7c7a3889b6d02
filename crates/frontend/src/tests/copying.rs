//! COPY and MOVE, within a backend and across: what is said to whom, and what comes of it when
//! either end, or the client, goes.

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
    // What the map does not know the backend is asked about: it may have something else to say.
    client
        .send("b COPY 9 nowhere\r\nc COPY 1 nowhere\r\n")
        .await;
    let nowhere = "\"user/bob/nowhere\"";
    backend
        .answer(&format!("COPY 9 {nowhere}"), "{tag} BAD no such number\r\n")
        .await;
    client.expect("b BAD ").await;
    backend
        .answer(&format!("COPY 1 {nowhere}"), "{tag} NO [X-NOT-HERE] no\r\n")
        .await;
    client.expect("c NO [TRYCREATE] ").await;
    assert!(client.tagged("d", "COPY x Trash").await.starts_with("BAD "));
    murder.stop().await;
}

#[tokio::test]
async fn a_long_answer_goes_through() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    murder.make("user/bob/Trash", "be1", "bob").await;
    let (mut client, mut backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    let uids: Vec<String> = (1..200_000).step_by(2).map(|uid| uid.to_string()).collect();
    let set = uids.join(",");
    client.send("a UID COPY 1:* Trash\r\n").await;
    backend
        .answer(
            "UID COPY 1:* \"user/bob/Trash\"",
            &format!("{{tag}} OK [COPYUID 9 {set} 1:100000] done\r\n"),
        )
        .await;
    let answer = client.until("a ").await.pop().unwrap();
    assert_eq!(answer, format!("a OK [COPYUID 9 {set} 1:100000] done"));
    // The same of a command that is passed on as it is.
    client
        .send("b UID STORE 1:* (UNCHANGEDSINCE 1) FLAGS ()\r\n")
        .await;
    backend
        .answer(
            "UID STORE 1:* (UNCHANGEDSINCE 1) FLAGS ()",
            &format!("* VANISHED {set}\r\n{{tag}} OK [MODIFIED {set}] done\r\n"),
        )
        .await;
    assert_eq!(client.line().await, format!("* VANISHED {set}"));
    assert_eq!(client.line().await, format!("b OK [MODIFIED {set}] done"));
    murder.stop().await;
}

/// bob's INBOX selected on be1, and his `x` on be2, to which a command is under way.
async fn across(murder: &mut Murder, command: &str) -> (Peer, FakeImap) {
    murder.make("user/bob/x", "be2", "bob").await;
    let (mut client, source) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    client.send(&format!("a {command} x\r\n")).await;
    (client, source)
}

/// The destination is told of two messages; the transfer's id.
async fn received(destination: &mut FakeImap, messages: &str) -> String {
    let (tag, command) = destination.next().await.unwrap();
    let words: Vec<&str> = command.split(' ').collect();
    assert_eq!(words[0], "X-RECEIVE");
    assert_eq!(words[2..].join(" "), format!("\"user/bob/x\" {messages}"));
    let id = words[1].to_owned();
    destination
        .send(&format!("{tag} OK [X-RECEIVING main 7] go ahead\r\n"))
        .await;
    id
}

const CLAIMED: &str = "* 3 EXISTS\r\n{tag} OK [X-CLAIMED 2 11] claimed\r\n";

/// Two blocks go from the source to the destination, in two exports.
async fn carried(source: &mut FakeImap, destination: &mut FakeImap) {
    // The second is asked for before the first is answered.
    let first = source.expect("X-EXPORT").await;
    let second = source.expect("X-EXPORT").await;
    source
        .send(&format!(
            "* X-BLOCK ~{{5}}\r\nfirst\r\n* 2 FETCH (FLAGS (\\Deleted))\r\n{first} OK more\r\n"
        ))
        .await;
    destination
        .answer("X-STAGE ~{5+}\r\nfirst", "{tag} OK staged\r\n")
        .await;
    let third = source.expect("X-EXPORT").await;
    source
        .send(&format!(
            "* X-BLOCK ~{{6}}\r\nsecond\r\n{second} OK [X-EXPORTED 2] all\r\n\
             {third} OK [X-EXPORTED 2] all\r\n"
        ))
        .await;
    destination
        .answer("X-STAGE ~{6+}\r\nsecond", "{tag} OK staged\r\n")
        .await;
}

#[tokio::test]
async fn copy_to_another_backend() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut source) = across(&mut murder, "COPY 1:2").await;
    source.answer("X-CLAIM COPY 1:2", CLAIMED).await;
    let mut destination = murder.imap_at("be2").await;
    received(&mut destination, "2 11").await;
    carried(&mut source, &mut destination).await;
    destination
        .answer("X-ADOPT 2", "{tag} OK [COPYUID 7 11:12 40:41] adopted\r\n")
        .await;
    assert_eq!(
        client.until("a ").await,
        [
            "* 3 EXISTS",
            "* 2 FETCH (FLAGS (\\Deleted))",
            "a OK [COPYUID 7 11:12 40:41] Copied"
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
async fn move_to_another_backend() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut source) = across(&mut murder, "UID MOVE 11:12").await;
    source.answer("X-CLAIM MOVE UID 11:12", CLAIMED).await;
    let mut destination = murder.imap_at("be2").await;
    let id = received(&mut destination, "2 11").await;
    carried(&mut source, &mut destination).await;
    source
        .answer(&format!("X-LEAVE {id} be2 main 7"), "{tag} OK\r\n")
        .await;
    destination
        .answer("X-ADOPT 2", "{tag} OK [COPYUID 7 11:12 40:41] adopted\r\n")
        .await;
    source
        .answer(
            "X-DEPART",
            "* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n{tag} OK gone\r\n",
        )
        .await;
    assert_eq!(
        client.until("a ").await[2..],
        [
            "* OK [COPYUID 7 11:12 40:41] Moved",
            "* 1 EXPUNGE",
            "* 1 EXPUNGE",
            "a OK Moved"
        ]
    );
    murder.stop().await;
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    // By the source, before anything.
    let (mut client, mut source) = across(&mut murder, "MOVE 1").await;
    source
        .answer("X-CLAIM MOVE 1", "{tag} NO [NOPERM] no right e\r\n")
        .await;
    client.expect("a NO [NOPERM] no right e").await;
    // By the destination, before anything was sent.
    client.send("b MOVE 1 x\r\n").await;
    source.answer("X-CLAIM MOVE 1", CLAIMED).await;
    let mut destination = murder.imap_at("be2").await;
    let (tag, _) = destination.next().await.unwrap();
    destination
        .send(&format!("{tag} NO [OVERQUOTA] full\r\n"))
        .await;
    source.answer("X-RELEASE", "{tag} OK\r\n").await;
    assert_eq!(client.until("b ").await[1..], ["b NO [OVERQUOTA] full"]);
    // While it was sent: the rest is passed over.
    client.send("c COPY 1:2 x\r\n").await;
    source.answer("X-CLAIM COPY 1:2", CLAIMED).await;
    received(&mut destination, "2 11").await;
    let first = source.expect("X-EXPORT").await;
    let second = source.expect("X-EXPORT").await;
    source.send("* X-BLOCK ~{5}\r\nfirst\r\n").await;
    destination
        .answer(
            "X-STAGE ~{5+}\r\nfirst",
            "{tag} NO [UNAVAILABLE] disk full\r\n",
        )
        .await;
    // Whether the next block goes there is open.
    source
        .send(&format!(
            "{first} OK more\r\n* X-BLOCK ~{{0}}\r\n\r\n{second} OK more\r\n"
        ))
        .await;
    let discarded = async {
        loop {
            let (tag, command) = destination.next().await.unwrap();
            let answer = match command.as_str() {
                "X-DISCARD" => "OK",
                _ => "BAD",
            };
            destination.send(&format!("{tag} {answer} x\r\n")).await;
            if answer == "OK" {
                break;
            }
        }
    };
    let released = async {
        loop {
            let (tag, command) = source.next().await.unwrap();
            let answer = match command.as_str() {
                "X-EXPORT" => "OK [X-EXPORTED 2] all",
                "X-RELEASE" => "OK stay",
                other => panic!("{other}"),
            };
            source.send(&format!("{tag} {answer}\r\n")).await;
            if command == "X-RELEASE" {
                break;
            }
        }
    };
    tokio::join!(discarded, released);
    assert_eq!(
        client.until("c ").await.last().unwrap(),
        "c NO [UNAVAILABLE] disk full"
    );
    // At the end.
    client.send("d MOVE 1:2 x\r\n").await;
    source.answer("X-CLAIM MOVE 1:2", CLAIMED).await;
    received(&mut destination, "2 11").await;
    carried(&mut source, &mut destination).await;
    let (tag, command) = source.next().await.unwrap();
    assert!(command.starts_with("X-LEAVE "));
    source.send(&format!("{tag} OK\r\n")).await;
    destination
        .answer("X-ADOPT 2", "{tag} NO [X-NOT-HERE] it has gone\r\n")
        .await;
    source.answer("X-RELEASE", "{tag} OK\r\n").await;
    assert!(
        client
            .until("d ")
            .await
            .last()
            .unwrap()
            .starts_with("d NO [TRYCREATE] ")
    );
    murder.stop().await;
}

#[tokio::test]
async fn nothing_to_copy() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut source) = across(&mut murder, "UID COPY 99").await;
    source
        .answer("X-CLAIM COPY UID 99", "{tag} OK [X-CLAIMED 0 0] none\r\n")
        .await;
    let mut destination = murder.imap_at("be2").await;
    received(&mut destination, "0 0").await;
    destination.answer("X-DISCARD", "{tag} OK\r\n").await;
    source.answer("X-RELEASE", "{tag} OK\r\n").await;
    client.expect("a OK Copied").await;
    // By a number whose message is gone.
    client.send("b COPY 1 x\r\n").await;
    source
        .answer(
            "X-CLAIM COPY 1",
            "{tag} OK [EXPUNGEISSUED] it was expunged\r\n",
        )
        .await;
    received(&mut destination, "0 0").await;
    destination.answer("X-DISCARD", "{tag} OK\r\n").await;
    source.answer("X-RELEASE", "{tag} OK\r\n").await;
    client.expect("b NO [EXPUNGEISSUED] it was expunged").await;
    murder.stop().await;
}

#[tokio::test]
async fn the_selected_mailbox_outlives_a_lost_destination() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut source) = across(&mut murder, "MOVE 1:2").await;
    source.answer("X-CLAIM MOVE 1:2", CLAIMED).await;
    let mut destination = murder.imap_at("be2").await;
    received(&mut destination, "2 11").await;
    // Half of a block is there when the destination goes.
    let first = source.expect("X-EXPORT").await;
    let second = source.expect("X-EXPORT").await;
    source.send("* X-BLOCK ~{200004}\r\nhalf").await;
    let head = destination.peer.line().await;
    assert!(head.ends_with(" X-STAGE ~{200004+}"), "{head}");
    drop(destination);
    // What is under way is passed over, even if it looks like something else.
    let rest = "* 9 EXISTS\r\n".repeat(20_000);
    source.send(&rest[..200_000]).await;
    source
        .send(&format!(
            "\r\n* 4 EXISTS\r\n{first} OK more\r\n{second} OK [X-EXPORTED 2] all\r\n"
        ))
        .await;
    source.answer("X-RELEASE", "{tag} OK stay\r\n").await;
    assert_eq!(
        client.until("a ").await[1..],
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
async fn a_lost_source_is_told_and_nothing_changed() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut source) = across(&mut murder, "UID MOVE 11:12").await;
    source.answer("X-CLAIM MOVE UID 11:12", CLAIMED).await;
    let mut destination = murder.imap_at("be2").await;
    received(&mut destination, "2 11").await;
    source.expect("X-EXPORT").await;
    source.send("* X-BLOCK ~{100}\r\nonly a part").await;
    assert!(destination.peer.line().await.ends_with("X-STAGE ~{100+}"));
    drop(source);
    // Its connection ends in the middle of the block; what was staged it forgets.
    destination.peer.rest().await;
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

/// A MOVE whose last answer is lost; the connection on which the destination is asked again, and
/// what it is asked.
async fn answer_lost(murder: &mut Murder) -> (Peer, FakeImap, FakeImap, String) {
    let (client, mut source) = across(murder, "UID MOVE 11:12").await;
    source.answer("X-CLAIM MOVE UID 11:12", CLAIMED).await;
    let mut destination = murder.imap_at("be2").await;
    let id = received(&mut destination, "2 11").await;
    carried(&mut source, &mut destination).await;
    source
        .answer(&format!("X-LEAVE {id} be2 main 7"), "{tag} OK\r\n")
        .await;
    destination.expect("X-ADOPT 2").await;
    drop(destination);
    let again = murder.imap_at("be2").await;
    (client, source, again, format!("X-OUTCOME {id} main 7"))
}

#[tokio::test]
async fn an_answer_that_is_lost_is_found_out() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut source, mut again, question) = answer_lost(&mut murder).await;
    // At first it does not know.
    again
        .answer(&question, "{tag} NO [UNAVAILABLE] not now\r\n")
        .await;
    again
        .answer(&question, "{tag} OK [X-ADOPTED 7 11:12 40:41] it was\r\n")
        .await;
    source
        .answer("X-DEPART", "* VANISHED 11:12\r\n{tag} OK\r\n")
        .await;
    assert_eq!(
        client.until("a ").await[2..],
        [
            "* OK [COPYUID 7 11:12 40:41] Moved",
            "* VANISHED 11:12",
            "a OK Moved"
        ]
    );
    murder.stop().await;

    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut source, mut again, question) = answer_lost(&mut murder).await;
    again.answer(&question, "{tag} OK [X-REFUSED] no\r\n").await;
    source.answer("X-RELEASE", "{tag} OK\r\n").await;
    assert!(
        client
            .until("a ")
            .await
            .last()
            .unwrap()
            .starts_with("a NO [UNAVAILABLE] ")
    );
    murder.stop().await;
}

#[tokio::test]
async fn what_was_decided_is_never_answered_with_no() {
    for lost in [true, false] {
        let mut murder = Murder::start(&[("bob", "be1")]).await;
        let (mut client, mut source, mut again, question) = answer_lost(&mut murder).await;
        again
            .answer(&question, "{tag} OK [X-ADOPTED 7 11:12 40:41] it was\r\n")
            .await;
        let tag = source.expect("X-DEPART").await;
        if lost {
            drop(source);
        } else {
            source
                .send(&format!("{tag} NO [UNAVAILABLE] disk full\r\n"))
                .await;
        }
        let last = client.until("* BYE ").await;
        assert!(last.iter().all(|line| !line.starts_with("a ")), "{last:?}");
        murder.stop().await;
    }
}
