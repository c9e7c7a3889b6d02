//! Partitions that go and come while others are served.

use murder_mailbox::{Acl, MailboxId, MailboxName};
use murder_store::{CreateMailbox, Partition};

use super::support::{Server, short};
use crate::partitions::State;

/// Carol's INBOX in the partition `other`.
async fn with_carol() -> Server {
    let server = Server::with_partitions(&["default", "other"]);
    let create = CreateMailbox {
        id: MailboxId::new(),
        uidvalidity: 1,
        acl: Acl::owned_by("carol").to_string(),
        special_use: None,
        now: 0,
        shared_seen: false,
    };
    let inbox = MailboxName::inbox_of("carol").unwrap();
    let other = server.node.partitions.of("other");
    other.create_mailbox(&inbox, create).await.unwrap();
    server
}

#[tokio::test]
async fn who_has_a_mailbox_of_one_that_closes_goes_and_others_stay() {
    let server = with_carol().await;
    server.put("user/carol", short("1")).await;
    let mut bob = server.login("bob").await;
    bob.select("INBOX").await;
    let mut waits = server.login("carol").await;
    waits.select("INBOX").await;
    let mut idles = server.login("carol").await;
    idles.select("INBOX").await;
    idles.play("C: a IDLE\nS: + idling").await;
    let mut pops = server.login_pop3("carol").await;

    let config = server.node.partitions.of("other").config().clone();
    let why = "the disk is changed".to_owned();
    server.node.leave("other", State::Closed { why }).await;
    for client in [&mut waits, &mut idles] {
        let last = client.ends().await;
        assert!(last[0].starts_with("* BYE "), "{last:?}");
    }
    let last = pops.ends().await;
    assert!(last[0].starts_with("-ERR "), "{last:?}");
    bob.play("C: a NOOP\nS: a OK …").await;
    // What is not found may be there.
    assert!(server.node.may_lack());
    bob.play("C: b LIST \"\" *\nS: * LIST (\\HasNoChildren) \"/\" \"INBOX\"\nS: b OK …")
        .await;

    // Nothing of it is held any more.
    let partition = Partition::open(config).unwrap();
    let served = server.node.shutdown.token().child_token();
    let open = State::Open { partition, served };
    server.node.partitions.set("other", open);
    assert!(!server.node.may_lack());
    let mut carol = server.login("carol").await;
    carol.select("INBOX").await;
    carol
        .play("C: a FETCH 1 UID\nS: * 1 FETCH (UID 1)\nS: a OK …")
        .await;
    bob.play("C: c NOOP\nS: c OK …").await;
}

#[tokio::test]
async fn what_another_node_serves_is_not_missing_here() {
    let server = with_carol().await;
    let owner = "be2".to_owned();
    server.node.leave("other", State::Follower { owner }).await;
    let inbox = MailboxName::inbox_of("carol").unwrap();
    assert!(server.node.find(&inbox).is_none() && !server.node.may_lack());
    let node = &server.node;
    assert!(node.partitions.closed().is_empty());
    let not_open = node.partitions.not_open();
    assert_eq!(not_open, [("other".into(), "it is served by be2".into())]);
    assert_eq!(node.partitions.open().len(), 1);
}
