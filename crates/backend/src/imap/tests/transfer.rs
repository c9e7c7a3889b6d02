//! What frontends and other backends say about COPY and MOVE from one backend to another.

use murder_net::Role;

use super::support::{Client, Server, short};

/// A server with bob's INBOX of three messages, and a frontend's connection for bob that has it
/// selected.
async fn selected() -> (Server, Client) {
    let server = Server::with_tls(|_| {});
    server.create("user/bob").await;
    for n in 1..=3 {
        server.put("user/bob", short(&n.to_string())).await;
    }
    server.create("user/bob/x").await;
    let mut frontend = server.connect_for("bob").await;
    let _ = frontend.ask("SELECT user/bob").await;
    (server, frontend)
}

#[tokio::test]
async fn nobody_but_nodes_knows_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let writer = std::sync::Mutex::new(std::fs::File::create(&log).unwrap());
    let subscriber = tracing_subscriber::fmt().with_ansi(false);
    let subscriber = subscriber.with_writer(writer).finish();
    let _log = tracing::subscriber::set_default(subscriber);
    let (server, mut frontend) = selected().await;
    let mut bob = server.login("bob").await;
    let mut stranger = server.connect().await;
    bob.select("INBOX").await;
    for command in [
        "X-CLAIM MOVE UID 1",
        "X-EXPORT",
        "X-DEPART",
        "X-RELEASE",
        "X-RECEIVE 1 user/bob/x 1 1",
        "X-STAGE ~{1+}\r\nx",
        "X-ADOPT 1",
        "X-DISCARD",
        "X-OUTCOME 1 main 1",
        "X-NONSENSE",
    ] {
        assert_eq!(bob.ask(command).await, ["BAD unknown command"], "{command}");
        assert_eq!(
            stranger.ask(command).await,
            ["BAD unknown command"],
            "{command}"
        );
    }
    // Who has no part in it says them out of order.
    for command in ["X-EXPORT", "X-STAGE ~{1+}\r\nx", "X-ADOPT 1", "X-DEPART"] {
        let answer = frontend.ask(command).await.pop().unwrap();
        assert!(answer.starts_with("NO [CLIENTBUG] "), "{command}: {answer}");
    }
    // A backend may ask what became of a MOVE, for a session, and nothing else.
    let mut backend = server.connect_as_node("be2", Role::Backend).await;
    let named = backend.ask("ID (\"x-session-id\" \"k3f9qz-1a\")").await;
    assert!(named.last().unwrap().starts_with("OK "), "{named:?}");
    let outcome = backend.ask("X-OUTCOME 1 default 99").await.pop().unwrap();
    assert!(outcome.starts_with("OK [X-REFUSED] "), "{outcome}");
    let text = std::fs::read_to_string(&log).unwrap();
    let asked = text
        .lines()
        .find(|line| line.contains("asked what became of a MOVE"));
    assert!(
        asked.is_some_and(|line| line.contains("k3f9qz-1a")),
        "{text}"
    );
    let outcome = backend.ask("X-OUTCOME 1 nowhere 1").await.pop().unwrap();
    assert!(outcome.starts_with("NO [UNAVAILABLE] "), "{outcome}");
    assert_eq!(
        backend.ask("X-RECEIVE 1 user/bob/x 1 1").await,
        ["BAD unknown command"]
    );
}

#[tokio::test]
async fn numbers_are_those_that_were_told() {
    let (server, mut frontend) = selected().await;
    let mut bob = server.login("bob").await;
    bob.select("INBOX").await;
    let _ = bob.ask("STORE 1 +FLAGS (\\Deleted)").await;
    let _ = bob.ask("EXPUNGE").await;
    // 2 is still the second of three.
    frontend
        .play(
            "C: a X-CLAIM COPY 2
             S: * 1 EXPUNGE
             S: a OK [X-CLAIMED 1 …] …
             C: b X-EXPORT
             S: * X-BLOCK ~{…",
        )
        .await;
    let mut block = String::new();
    while !block.contains("Subject: 2") {
        block = frontend.line().await;
    }
    while !block.starts_with("b OK [X-EXPORTED 1]") {
        block = frontend.line().await;
    }
    // One that is gone, by its number and by its UID.
    let _ = bob.ask("UID STORE 2 +FLAGS (\\Deleted)").await;
    let _ = bob.ask("EXPUNGE").await;
    frontend
        .play(
            "C: c X-CLAIM COPY 1
             S: * 1 EXPUNGE
             S: c OK [EXPUNGEISSUED] …
             C: d X-CLAIM COPY UID 2
             S: d OK [X-CLAIMED 0 0] …
             C: e X-CLAIM COPY 7
             S: e BAD …",
        )
        .await;
    // A name that is elsewhere is said once more: until then numbers are what they were.
    server.put("user/bob", short("4")).await;
    let _ = frontend.ask("NOOP").await;
    let _ = bob.ask("UID STORE 3 +FLAGS (\\Deleted)").await;
    let _ = bob.ask("EXPUNGE").await;
    frontend
        .play(
            "C: f COPY 2 user/bob/elsewhere
             S: f NO [X-NOT-HERE] …
             C: g X-CLAIM COPY 2
             S: * 1 EXPUNGE
             S: g OK [X-CLAIMED 1 …] …",
        )
        .await;
}

#[tokio::test]
async fn a_claim_keeps_others_out_and_ends_with_its_session() {
    let (server, mut frontend) = selected().await;
    let mut bob = server.login("bob").await;
    bob.select("INBOX").await;
    let claimed = frontend.ask("X-CLAIM MOVE UID 1:2").await.pop().unwrap();
    assert!(claimed.starts_with("OK [X-CLAIMED 2 "), "{claimed}");
    let mut other = server.connect_for("bob").await;
    let _ = other.ask("SELECT user/bob").await;
    let claimed = other.ask("X-CLAIM MOVE UID 1:3").await.pop().unwrap();
    assert!(claimed.starts_with("OK [X-CLAIMED 1 "), "{claimed}");
    let issued = other.ask("X-CLAIM MOVE 1:3").await.pop().unwrap();
    assert!(issued.starts_with("OK [EXPUNGEISSUED] "), "{issued}");
    bob.play(
        "C: a UID MOVE 1:2 x
         S: a OK MOVE completed
         C: b UID COPY 1 x
         S: b OK [COPYUID …] …",
    )
    .await;
    let _ = frontend.ask("X-RELEASE").await;
    bob.play(
        "C: c UID MOVE 1 x
         S: * OK [COPYUID …] …
         S: * 1 EXPUNGE
         S: c OK MOVE completed",
    )
    .await;
    // One that goes without a word.
    let claimed = frontend.ask("X-CLAIM MOVE UID 2").await.pop().unwrap();
    assert!(claimed.starts_with("OK [X-CLAIMED 1 "), "{claimed}");
    drop(frontend);
    wait_for_move(&mut bob).await;
}

/// Moves message 2 as soon as nobody else does.
async fn wait_for_move(bob: &mut Client) {
    for _ in 0..2000 {
        let answer = bob.ask("UID MOVE 2 x").await;
        if answer.len() > 1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the claim does not end");
}

#[tokio::test]
async fn rights_are_the_real_ones() {
    let (server, _frontend) = selected().await;
    let mut eve = server.connect_for("eve").await;
    for (rights, may) in [
        ("lrst", false),
        ("lrse", false),
        ("lrstx", false),
        ("lrste", true),
        ("lrsd", true),
    ] {
        server.allow("user/bob", "eve", rights).await;
        let _ = eve.ask("SELECT user/bob").await;
        let answer = eve.ask("X-CLAIM MOVE UID 1").await.pop().unwrap();
        let wanted = if may {
            "OK [X-CLAIMED 1 "
        } else {
            "NO [NOPERM] "
        };
        assert!(answer.starts_with(wanted), "{rights}: {answer}");
        let answer = eve.ask("X-CLAIM COPY UID 1").await.pop().unwrap();
        assert!(answer.starts_with("OK [X-CLAIMED 1 "), "{rights}: {answer}");
    }
    let _ = eve.ask("EXAMINE user/bob").await;
    let answer = eve.ask("X-CLAIM MOVE UID 1").await.pop().unwrap();
    assert!(answer.starts_with("NO [READ-ONLY] "), "{answer}");
}

/// What was written down and not carried out is found out when the session ends: here, that it was
/// not adopted.
#[tokio::test]
async fn a_move_that_was_left_is_settled() {
    let (server, mut frontend) = selected().await;
    let mut bob = server.login("bob").await;
    bob.select("INBOX").await;
    let _ = frontend.ask("X-CLAIM MOVE UID 2").await;
    let left = "X-LEAVE 7 be1 default 1";
    let answer = frontend.ask(left).await.pop().unwrap();
    assert!(answer.starts_with("OK "), "{answer}");
    let again = frontend.ask(left).await.pop().unwrap();
    assert!(again.starts_with("NO "), "{again}");
    drop(frontend);
    wait_for_move(&mut bob).await;
}
