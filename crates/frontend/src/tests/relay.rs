//! The selected mailbox: bytes both ways.

use super::Murder;

#[tokio::test]
async fn literals_come_through_byte_for_byte() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    // Octets of every kind, among them what looks like answers and literals.
    let mut body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    body.extend_from_slice(b"\r\nf1 OK done\r\n* BYE\r\n* 1 FETCH (BODY[] {5}\r\n");
    client.send("a UID FETCH 1:2 BODY[]\r\n").await;
    let tag = backend.expect("UID FETCH 1:2 BODY[]").await;
    let mut answer = format!("* 1 FETCH (UID 1 BODY[] {{{}}}\r\n", body.len()).into_bytes();
    answer.extend_from_slice(&body);
    answer.extend_from_slice(b" FLAGS (\\Seen))\r\n* 2 FETCH (UID 2 BODY[] {0}\r\n)\r\n");
    let expected = answer.clone();
    answer.extend_from_slice(format!("{tag} OK done\r\n").as_bytes());
    let sending = async move {
        backend.peer.send_bytes(&answer).await;
        backend
    };
    let reading = async {
        let got = client.octets(expected.len()).await;
        assert!(got == expected, "the octets differ");
        client.expect("a OK done").await;
    };
    let (mut backend, ()) = tokio::join!(sending, reading);

    // A literal from the client, which the backend must not be made to wait with.
    client.send("b SEARCH TEXT {9}\r\n").await;
    client.expect("+ ").await;
    client.send("a{2}\r\nb\r\n UNSEEN\r\n").await;
    let tag = backend
        .expect("SEARCH TEXT {9+}\r\na{2}\r\nb\r\n UNSEEN")
        .await;
    backend
        .send(&format!("* SEARCH 2\r\n{tag} OK done\r\n"))
        .await;
    client.expect("* SEARCH 2").await;
    client.expect("b OK ").await;
    murder.stop().await;
}

/// Octets that a frontend took for a literal and a backend for commands would run there
/// as whoever is logged in.
#[tokio::test]
async fn nothing_is_smuggled_past_the_framing() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    let zeros = "0".repeat(40);
    for no_literal in [
        "{+8}",
        "{+8+}",
        "{8++}",
        "{-8}",
        "{ 8}",
        "{8 }",
        "{0x8}",
        "{\u{0668}}",
        "~{+8}",
        &format!("{{{zeros}8}}"),
        &format!("{{{zeros}8+}}"),
    ] {
        client
            .send(&format!("a SEARCH TEXT {no_literal}\r\nb CHECK\r\n"))
            .await;
        let search = backend.expect(&format!("SEARCH TEXT {no_literal}")).await;
        let check = backend.expect("CHECK").await;
        backend
            .send(&format!("{search} BAD what?\r\n{check} OK done\r\n"))
            .await;
        client.expect("a BAD ").await;
        client.expect("b OK ").await;
    }
    for literal in ["{8+}", "{08+}", "{00000000000000000000000000000008+}"] {
        let announced = literal.trim_start_matches('{');
        client
            .send(&format!("a SEARCH TEXT {literal}\r\nf1 NOOP\r\r\n"))
            .await;
        let tag = backend
            .expect(&format!("SEARCH TEXT {{{announced}\r\nf1 NOOP\r"))
            .await;
        backend.send(&format!("{tag} OK done\r\n")).await;
        client.expect("a OK ").await;
    }
    murder.stop().await;
}

#[tokio::test]
async fn what_is_pipelined_is_forwarded_without_waiting() {
    let mut murder = Murder::start(&[("bob", "be1"), ("eve", "be2")]).await;
    murder.make("user/bob/x", "be2", "bob").await;
    let (mut client, mut backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    client
        .send("a FETCH 1 FLAGS\r\nb STORE 1 +FLAGS (\\Seen)\r\nc NOOP\r\nd STATUS x (MESSAGES)\r\ne NOOP\r\n")
        .await;
    let a = backend.expect("FETCH 1 FLAGS").await;
    let b = backend.expect("STORE 1 +FLAGS (\\Seen)").await;
    let c = backend.expect("NOOP").await;
    // What another backend answers waits for what comes before it.
    assert!(murder.is_left_alone("be2"));
    backend
        .send(&format!(
            "* 1 FETCH (FLAGS ())\r\n{a} OK a\r\n* 1 FETCH (FLAGS (\\Seen))\r\n{b} OK b\r\n{c} BAD [CLIENTBUG] c\r\n"
        ))
        .await;
    let mut other = murder.imap_at("be2").await;
    other
        .answer(
            "STATUS \"user/bob/x\" (MESSAGES)",
            "* STATUS \"user/bob/x\" (MESSAGES 0)\r\n{tag} OK d\r\n",
        )
        .await;
    backend.answer("NOOP", "* 4 EXISTS\r\n{tag} OK e\r\n").await;
    assert_eq!(
        client.until("e ").await,
        [
            "* 1 FETCH (FLAGS ())",
            "a OK a",
            "* 1 FETCH (FLAGS (\\Seen))",
            "b OK b",
            "c BAD [CLIENTBUG] c",
            "* STATUS x (MESSAGES 0)",
            "d OK d",
            "* 4 EXISTS",
            "e OK e",
        ]
    );
    murder.stop().await;
}

#[tokio::test]
async fn more_than_fits_under_way_waits_at_the_socket() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    let commands: String = (0..500).map(|n| format!("t{n} NOOP\r\n")).collect();
    client.send(&commands).await;
    for n in 0..500 {
        backend.answer("NOOP", "{tag} OK done\r\n").await;
        client.expect(&format!("t{n} OK done")).await;
    }
    murder.stop().await;
}

#[tokio::test]
async fn idle_is_relayed() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    client.send("a IDLE\r\n").await;
    let tag = backend.expect("IDLE").await;
    backend.send("+ whatever be1 says\r\n").await;
    assert_eq!(client.line().await, "+ idling");
    for n in 4..10 {
        backend.send(&format!("* {n} EXISTS\r\n")).await;
        client.expect(&format!("* {n} EXISTS")).await;
    }
    client.send("done\r\nb NOOP\r\n").await;
    assert_eq!(backend.peer.line().await, "DONE");
    backend.send(&format!("{tag} OK idled\r\n")).await;
    client.expect("a OK idled").await;
    backend.answer("NOOP", "{tag} OK done\r\n").await;
    client.expect("b OK ").await;
    // Something else than DONE ends it as well, and is told.
    client.send("c IDLE\r\n").await;
    let tag = backend.expect("IDLE").await;
    backend.send("+ idling\r\n").await;
    client.expect("+ idling").await;
    client.send("d NOOP\r\n").await;
    assert_eq!(backend.peer.line().await, "DONE");
    backend.send(&format!("{tag} OK idled\r\n")).await;
    client.expect("c BAD ").await;
    murder.stop().await;
}

#[tokio::test]
async fn idle_without_a_mailbox() {
    let murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.login("bob").await;
    client.send("a IDLE\r\n").await;
    client.expect("+ idling").await;
    client.send("DONE\r\n").await;
    client.expect("a OK ").await;
    assert!(client.tagged("b", "IDLE now").await.starts_with("BAD "));
    murder.stop().await;
}

#[tokio::test]
async fn a_backend_lost_within_an_answer_ends_the_session() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    client.send("a FETCH 1 BODY[]\r\n").await;
    backend.expect("FETCH 1 BODY[]").await;
    backend.send("* 1 FETCH (BODY[] {100}\r\nonly a part").await;
    client.expect("* 1 FETCH (BODY[] {100}").await;
    assert_eq!(client.octets(11).await, b"only a part");
    drop(backend);
    // Nothing can be said that would not be taken for the message.
    client.closed().await;
    murder.stop().await;
}

#[tokio::test]
async fn leaving_never_expunges_and_the_connection_is_used_again() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    murder.make("user/bob/x", "be2", "bob").await;
    let (mut client, mut backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    // Selecting elsewhere.
    client.send("a SELECT x\r\n").await;
    backend.answer("UNSELECT", "{tag} OK left\r\n").await;
    let mut other = murder.imap_at("be2").await;
    other
        .answer("SELECT \"user/bob/x\"", "{tag} OK [READ-WRITE] x\r\n")
        .await;
    client.expect("a OK ").await;
    // CLOSE is the backend's own business.
    client.send("b CLOSE\r\n").await;
    other.answer("CLOSE", "{tag} OK closed\r\n").await;
    client.expect("b OK closed").await;
    client.send("c SELECT INBOX\r\n").await;
    backend
        .answer("SELECT \"user/bob\"", "{tag} OK [READ-ONLY] again\r\n")
        .await;
    client.expect("c OK [READ-ONLY] again").await;
    client.send("d LOGOUT\r\n").await;
    backend.answer("UNSELECT", "{tag} OK left\r\n").await;
    client.expect("* BYE").await;
    client.expect("d OK").await;
    client.closed().await;
    murder.stop().await;
}

#[tokio::test]
async fn a_client_that_is_busy_elsewhere_is_not_idle_to_its_backend() {
    let mut murder = Murder::with(&[("bob", "be1")], |c| c.limits.idle_timeout_seconds = 6).await;
    let (mut client, mut backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    let heard = tokio::spawn(async move {
        backend
            .answer("NOOP", "* 4 EXISTS\r\n{tag} OK done\r\n")
            .await;
        backend
    });
    let mut news = false;
    while !(news && heard.is_finished()) {
        news |= client.command("a", "NAMESPACE").await.len() > 2;
    }
    murder.stop().await;
}

#[tokio::test]
async fn a_client_that_closes_its_half_gets_its_answers() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let (mut client, mut backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    client.send("a NOOP\r\n").await;
    client.close_half().await;
    backend.answer("NOOP", "{tag} OK done\r\n").await;
    client.expect("a OK done").await;
    client.closed().await;
    murder.stop().await;
}
