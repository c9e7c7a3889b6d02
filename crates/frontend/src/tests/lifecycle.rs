//! Start, readiness, drain.

use std::time::Duration;

use murder_location::NodeState;
use murder_net::Condition;
use murder_net::config::Mistakes;
use murder_node::RunningRole;

use super::{Frontend, Murder, soon};

#[tokio::test]
async fn a_frontend_is_a_node_of_the_murder() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let state = |murder: &Murder| murder.frontend().replica().node("fe1").map(|n| n.state);
    soon(async {
        while state(&murder) != Some(NodeState::Up) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let node = murder.frontend().replica().node("fe1").unwrap();
    assert_eq!(node.roles, ["frontend"]);
    let named = murder.frontend().listeners();
    let names: Vec<&str> = named.iter().map(|(_, name, _)| *name).collect();
    assert_eq!(names, ["imap", "imaps", "lmtp"]);
    assert_eq!(node.service("imaps"), Some(&*named[1].2.to_string()));
    let frontend = murder.frontend.take().unwrap();
    let replica = frontend.replica().clone();
    frontend.shutdown(Duration::from_secs(10)).await;
    assert!(!replica.connected());
    let nodes = murder.operator.clone();
    drop(nodes);
    murder.stop().await;
}

#[tokio::test]
async fn a_certificate_of_another_role_or_name_is_refused() {
    let murder = Murder::without_frontend(&[]).await;
    let mut config = murder.frontend_config();
    config.cluster = murder.files("fe1", "backend");
    assert!(Frontend::start(config).await.is_err());
    let mut config = murder.frontend_config();
    config.node.name = "fe2".into();
    assert!(Mistakes::of(|m| murder_node::check(&config, m)).is_err());
    murder.stop().await;
}

#[tokio::test]
async fn without_a_copy_and_a_master_it_is_not_ready() {
    let mut murder = Murder::without_frontend(&[("bob", "be1")]).await;
    murder.kill_master().await;
    murder.start_frontend(|_| {}).await;
    let health = murder.frontend().health().clone();
    assert!(matches!(health.get("map"), Some(Condition::NotReady(_))));
    let mut client = murder.connect().await;
    let answer = client.tagged("a", "LOGIN bob secret").await;
    assert!(answer.starts_with("NO [UNAVAILABLE] "), "{answer}");
    // The master comes: all is well.
    murder.start_master().await;
    soon(async {
        while !health.ready() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    client.send("b LOGIN bob secret\r\n").await;
    client.expect("b OK ").await;
    murder.stop().await;
}

#[tokio::test]
async fn it_serves_from_its_copy_while_the_master_is_away() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let before = murder.frontend().replica().revision();
    let frontend = murder.frontend.take().unwrap();
    frontend.shutdown(Duration::from_secs(10)).await;
    murder.kill_master().await;
    murder.start_frontend(|_| {}).await;
    assert!(murder.frontend().health().ready());
    assert!(murder.frontend().replica().age().is_some());
    assert!(murder.frontend().replica().revision() >= before);
    let (mut client, mut backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    client.send("a NOOP\r\n").await;
    backend.answer("NOOP", "{tag} OK done\r\n").await;
    client.expect("a OK ").await;
    // It goes on where it was, without a snapshot.
    murder.start_master().await;
    murder.catch_up().await;
    let counters = murder.frontend().replica().counters();
    assert_eq!((counters.snapshots, counters.resumes), (0, 1));
    murder.stop().await;
}

#[tokio::test]
async fn a_drain_ends_what_is_idle_and_finishes_the_rest() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let mut fresh = murder.connect().await;
    let (mut idling, mut idle_backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    idling.send("i IDLE\r\n").await;
    idle_backend.answer("IDLE", "+ idling\r\n").await;
    idling.expect("+ idling").await;
    let (mut busy, mut busy_backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    busy.send("a FETCH 1 BODY[]\r\n").await;
    let tag = busy_backend.expect("FETCH 1 BODY[]").await;
    let mut delivering = murder.lmtp().await;
    delivering
        .send("MAIL FROM:<a@b>\r\nRCPT TO:<bob>\r\nDATA\r\n")
        .await;
    let mut one = murder.lmtp_at("be1").await;
    one.transaction("MAIL FROM:<a@b>", &["bob"]).await;
    for reply in ["250 ", "250 ", "354 "] {
        delivering.expect(reply).await;
    }
    let mut waiting = murder.lmtp().await;

    let frontend = murder.frontend.take().unwrap();
    let health = frontend.health().clone();
    let stopping = tokio::spawn(frontend.shutdown(Duration::from_secs(60)));
    fresh.expect("* BYE [UNAVAILABLE] ").await;
    fresh.closed().await;
    idling.expect("* BYE [UNAVAILABLE] ").await;
    idling.closed().await;
    waiting.expect("421 4.3.2 ").await;
    waiting.closed().await;
    assert!(!health.ready());
    assert!(!stopping.is_finished());
    busy_backend
        .send(&format!(
            "* 1 FETCH (BODY[] {{2}}\r\nhi)\r\n{tag} OK done\r\n"
        ))
        .await;
    assert_eq!(
        busy.until("a ").await,
        ["* 1 FETCH (BODY[] {2}", "hi)", "a OK done"]
    );
    busy.expect("* BYE [UNAVAILABLE] ").await;
    busy.closed().await;
    delivering.send("body\r\n.\r\n").await;
    assert_eq!(one.message_bytes().await, "body\r\n");
    one.0.send("250 2.1.5 ok\r\n").await;
    delivering.expect("250 2.1.5 ok").await;
    delivering.expect("421 4.3.2 ").await;
    soon(stopping).await.unwrap();
    murder.stop().await;
}

#[tokio::test]
async fn what_is_measured() {
    let mut murder = Murder::start(&[("bob", "be1"), ("eve", "be1")]).await;
    let (_client, _backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    let http = murder.frontend().runtime().http().unwrap();
    let mut scraper = super::peer::Peer::connect(http).await;
    scraper
        .send("GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    let text = String::from_utf8(scraper.rest().await).unwrap();
    for line in [
        "murder_frontend_imap_sessions 1",
        "murder_frontend_logins_total 1",
        "murder_frontend_mailboxes 2",
        "murder_frontend_accounts 2",
        "murder_frontend_map_connected 1",
        "murder_frontend_map_snapshots_total 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in:\n{text}");
    }
    murder.stop().await;
}

/// Sessions are many: their tasks must stay small. (What a command needs is in boxes.)
#[test]
fn sessions_are_small() {
    fn size<A, B, F: Future>(_: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }
    assert!(
        size(crate::imap::serve) <= 2048,
        "{}",
        size(crate::imap::serve)
    );
    assert!(
        size(crate::lmtp::serve) <= 2048,
        "{}",
        size(crate::lmtp::serve)
    );
    let session = size_of::<crate::imap::session::Session>();
    assert!(session <= 512, "{session}");
}
