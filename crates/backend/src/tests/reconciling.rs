//! What is settled after a crash, and when the master comes back.

use murder_location::{Activate, MupdateClient, NodeState, Reserve, SpecialUses, service};

use super::*;
use crate::mailboxes::AclChange;

async fn reserve(master: &MupdateClient, text: &str, id: MailboxId) -> u32 {
    let reserve = Reserve {
        name: name(text),
        id,
        partition: "be1!default".into(),
        acl: Acl::owned_by("bob"),
        special_use: SpecialUses::default(),
    };
    let changed = master.reserve(reserve).await.unwrap();
    changed.mailbox.unwrap().location.uidvalidity
}

async fn create(node: &Arc<Node>, text: &str) {
    let bob = user("bob");
    node.create_mailbox(&bob, &name(text), None, None)
        .await
        .unwrap();
}

/// Every step at which a change can be cut off, left as a crash leaves it.
async fn half_done(node: &Arc<Node>) {
    let master = &master_of(node);
    let partition = &default_partition(node);
    for text in [
        "user/bob",
        "user/bob/d1",
        "user/bob/d2",
        "user/bob/r",
        "user/bob/r/s",
        "user/bob/acl",
    ] {
        create(node, text).await;
    }
    let id = |text: &str| node.find(&name(text)).unwrap().meta.id;
    // CREATE after Reserve; CREATE after the store.
    reserve(master, "user/bob/c1", MailboxId::new()).await;
    let made = MailboxId::new();
    let uidvalidity = reserve(master, "user/bob/c2", made).await;
    store_only(partition, "user/bob/c2", made, uidvalidity).await;
    // DELETE after BeginDelete; DELETE after the store.
    for text in ["user/bob/d1", "user/bob/d2"] {
        master.begin_delete(&name(text), id(text)).await.unwrap();
    }
    partition
        .delete_mailbox(&name("user/bob/d2"))
        .await
        .unwrap();
    // RENAME after the master; SETACL after the master.
    master
        .rename(&name("user/bob/r"), &name("user/bob/q/r"), true)
        .await
        .unwrap();
    let acl = Acl::owned_by("mallory");
    master
        .set_acl(&name("user/bob/acl"), &acl, None)
        .await
        .unwrap();
}

async fn assert_whole(murder: &Murder, node: &Node) {
    let there = [
        "user/bob",
        "user/bob/c2",
        "user/bob/d1",
        "user/bob/q/r",
        "user/bob/q/r/s",
        "user/bob/acl",
    ];
    murder.assert_settled(node, &there).await;
    let gone = ["user/bob/c1", "user/bob/d2", "user/bob/r", "user/bob/r/s"];
    murder.assert_none(node, &gone).await;
    let acl = node.find(&name("user/bob/acl")).unwrap().meta.acl;
    assert_eq!(*acl, Acl::owned_by("bob"));
}

#[tokio::test]
async fn a_start_settles_what_a_crash_left() {
    let murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    half_done(backend.node()).await;
    backend.kill().await;
    let backend = murder.backend("be1").await;
    assert_whole(&murder, backend.node()).await;
    assert_eq!(backend.node().counters.conflicts.get(), 0);
}

#[tokio::test]
async fn a_master_that_returns_is_told() {
    let mut murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    half_done(backend.node()).await;
    murder.kill_master().await;
    until("the loss", || async { !backend.health().ready() }).await;
    murder.start_master().await;
    until("the settling", || async {
        murder.find("user/bob/c1").await.is_none()
            && murder.state(backend.node(), "user/bob/acl").await.1
    })
    .await;
    assert_whole(&murder, backend.node()).await;
    ready(&backend).await;
}

#[tokio::test]
async fn a_session_that_goes_away_cuts_no_change_off() {
    let murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    let node = backend.node();
    create(node, "user/bob").await;
    create(node, "user/bob/a").await;
    let bob = user("bob");
    let (mut from, mut to) = ("user/bob/a", "user/bob/b");
    for _ in 0..4 {
        let (old, new) = (name(from), name(to));
        let mut change = Box::pin(node.rename_mailbox(&bob, &old, &new));
        let begun = std::future::poll_fn(|cx| std::task::Poll::Ready(change.as_mut().poll(cx)));
        assert!(begun.await.is_pending());
        drop(change);
        until("the new name", || async {
            let there = murder.state(node, to).await;
            there == (Some(MailboxState::Active), true)
        })
        .await;
        murder.assert_none(node, &[from]).await;
        std::mem::swap(&mut from, &mut to);
    }
}

#[tokio::test]
async fn a_change_that_gets_stuck_is_settled() {
    let murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    let node = backend.node();
    create(node, "user/bob").await;
    create(node, "user/bob/a").await;
    // The master believes that it is gone: whoever wants to delete it is refused, and then the
    // two are brought together.
    let master = &master_of(node);
    master.delete(&name("user/bob/a"), None).await.unwrap();
    let (bob, a) = (user("bob"), name("user/bob/a"));
    assert!(node.delete_mailbox(&bob, &a).await.is_err());
    until("the settling", || async {
        murder.state(node, "user/bob/a").await == (Some(MailboxState::Active), true)
    })
    .await;
    node.delete_mailbox(&bob, &a).await.unwrap();
}

#[tokio::test]
async fn conflicts_are_told_and_left_alone() {
    let murder = Murder::start().await;
    let other = murder.backend("be2").await;
    create(other.node(), "user/bob").await;
    let theirs = murder.find("user/bob").await.unwrap();

    let config = murder.config("be1");
    let mut alone = config.clone();
    alone.cluster = None;
    alone.mupdate.masters.clear();
    alone.imap.tls_listen.clear();
    let backend = Backend::start(alone).await.unwrap();
    create(backend.node(), "user/bob").await;
    create(backend.node(), "user/bob/mine").await;
    append(backend.node(), "user/bob", b"Subject: mine\r\n\r\n").await;
    backend.shutdown(LONG).await;

    let backend = Backend::start(config).await.unwrap();
    ready(&backend).await;
    let node = backend.node();
    assert_eq!(murder.find("user/bob").await, Some(theirs));
    murder.assert_settled(node, &["user/bob/mine"]).await;
    assert_eq!(node.counters.conflicts.get(), 1);
    assert_eq!(bodies(node, "user/bob").await.len(), 1);
    let metrics = node.metrics.render();
    assert!(metrics.contains("murder_backend_reconcile_conflicts 1"));
    assert!(metrics.contains("murder_backend_partition_writable{partition=\"default\"} 1"));
    assert!(metrics.contains("murder_backend_mailboxes 2"));
}

#[tokio::test]
async fn a_start_without_the_master() {
    let mut murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    half_done(backend.node()).await;
    backend.kill().await;
    murder.kill_master().await;

    let backend = Backend::start(murder.config("be1")).await.unwrap();
    let node = backend.node();
    append(node, "user/bob", b"Subject: served\r\n\r\n").await;
    assert!(matches!(
        backend.health().get("mupdate"),
        Some(Condition::NotReady(_))
    ));
    let change = AclChange::Delete;
    let (bob, inbox) = (user("bob"), name("user/bob"));
    let refused = node.change_acl(&bob, &inbox, "bob", change).await;
    assert!(refused.is_err());
    murder.start_master().await;
    ready(&backend).await;
    until("the settling", || async {
        murder.find("user/bob/c1").await.is_none() && murder.state(node, "user/bob/acl").await.1
    })
    .await;
    assert_whole(&murder, node).await;
}

#[tokio::test]
async fn a_name_that_is_free_again_may_be_taken_elsewhere() {
    let murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    let node = backend.node();
    create(node, "user/bob").await;
    // The master has another mailbox of ours under that name, which is not here.
    let master = &master_of(node);
    let id = MailboxId::new();
    reserve(master, "user/bob/lost", id).await;
    master
        .activate(Activate::new(name("user/bob/lost"), id))
        .await
        .unwrap();
    crate::reconcile::reconcile(node).await.unwrap();
    murder.assert_none(node, &["user/bob/lost"]).await;
    let other = murder.backend("be2").await;
    create(other.node(), "user/bob/lost").await;
}

#[tokio::test]
async fn the_master_knows_how_the_node_is() {
    let murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    let replica = &backend.node().cluster.as_ref().unwrap().replica;
    replica.barrier(LONG).await.unwrap();
    let node = replica.node("be1").unwrap();
    let addresses = backend.addresses();
    for (kind, address) in [
        (service::IMAPS, addresses.imaps[0]),
        (service::LMTP, addresses.lmtp[0]),
        (service::HTTP, backend.runtime().http().unwrap()),
    ] {
        assert_eq!(node.service(kind), Some(&*address.to_string()));
    }
    let partitions: Vec<_> = replica.open_partitions();
    let names: Vec<&str> = partitions.iter().map(|(p, _)| p.name.as_str()).collect();
    assert_eq!(names, ["be1!default", "be1!fast"]);
    assert!(partitions[0].0.bytes_total >= partitions[0].0.bytes_free);
    assert!(partitions[0].0.bytes_free > 0);

    let other = murder.backend("be2").await;
    let replica = &other.node().cluster.as_ref().unwrap().replica;
    backend.shutdown(LONG).await;
    until("the goodbye", || async {
        let node = replica.node("be1");
        node.is_some_and(|node| node.state == NodeState::Down)
    })
    .await;
}
