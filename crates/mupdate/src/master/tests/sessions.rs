//! Sessions of nodes, leases, partitions.

use super::*;
use crate::error::MupdateError;
use crate::record::{NodeState, PartitionState};
use crate::session::{NodeDescription, NodeSession, NodeStatus, PartitionStatus};

fn description(name: &str) -> NodeDescription {
    NodeDescription {
        name: name.into(),
        imaps: "127.0.0.1:993".into(),
        lmtp: "127.0.0.1:24".into(),
        http: "127.0.0.1:80".into(),
        admin: "127.0.0.1:3906".into(),
        weight: 7,
    }
}

fn status(bytes_free: u64) -> NodeStatus {
    NodeStatus {
        draining: false,
        partitions: vec![PartitionStatus {
            name: "default".into(),
            state: PartitionState::Online,
            bytes_total: 1000,
            bytes_free,
        }],
    }
}

fn short_lease() -> MasterLimitsConfig {
    MasterLimitsConfig {
        lease_ms: 300,
        ..MasterLimitsConfig::default()
    }
}

async fn open(murder: &Murder, name: &str) -> NodeSession {
    let session = murder
        .client(name, "backend")
        .register(description(name), status(900));
    session.registered(LONG).await.unwrap();
    session
}

/// Waits until the replica shows it.
async fn until(replica: &Replica, mut shows: impl FnMut(&Replica) -> bool) {
    let mut changed = replica.changed();
    tokio::time::timeout(LONG, async {
        while !shows(replica) {
            changed.changed().await.unwrap();
        }
    })
    .await
    .unwrap();
}

fn state_of(replica: &Replica, node: &str) -> Option<NodeState> {
    replica.node(node).map(|node| node.state)
}

#[tokio::test]
async fn a_node_is_up_while_its_session_lasts() {
    let murder = Murder::start().await;
    let replica = murder.replica("fe1").await;
    let session = open(&murder, "be1").await;
    until(&replica, |r| state_of(r, "be1") == Some(NodeState::Up)).await;
    let node = replica.node("be1").unwrap();
    assert_eq!(node.roles, ["backend"]);
    assert_eq!((node.imaps.as_str(), node.weight), ("127.0.0.1:993", 7));
    let (partition, owner) = replica.open_partitions().pop().unwrap();
    assert_eq!(partition.name, "be1!default");
    assert_eq!((partition.bytes_total, partition.bytes_free), (1000, 900));
    assert_eq!(owner, node);
    assert_eq!(replica.node_of_partition("be1!default"), Some(node));

    session.set_draining(true);
    until(&replica, |r| {
        state_of(r, "be1") == Some(NodeState::Draining)
    })
    .await;
    assert!(replica.open_partitions().is_empty());
    session.set_draining(false);
    until(&replica, |r| state_of(r, "be1") == Some(NodeState::Up)).await;
    session.set_partitions(status(100).partitions);
    until(&replica, |r| {
        r.partition("be1!default").unwrap().bytes_free == 100
    })
    .await;

    session.close().await;
    replica.barrier(LONG).await.unwrap();
    assert_eq!(state_of(&replica, "be1"), Some(NodeState::Down));
    // Its partitions stay known: the mail has not gone.
    assert!(replica.partition("be1!default").is_some());
}

#[tokio::test]
async fn a_killed_node_is_down() {
    let murder = Murder::start().await;
    let replica = murder.replica("fe1").await;
    let session = open(&murder, "be1").await;
    until(&replica, |r| state_of(r, "be1") == Some(NodeState::Up)).await;
    drop(session);
    until(&replica, |r| state_of(r, "be1") == Some(NodeState::Down)).await;
}

#[tokio::test]
async fn a_node_is_who_its_certificate_says() {
    let murder = Murder::start().await;
    let session = murder
        .client("be1", "backend")
        .register(description("be2"), status(1));
    let refused = session.registered(Duration::from_millis(300)).await;
    assert!(matches!(refused, Err(MupdateError::Unavailable(_))));
    let replica = murder.replica("fe1").await;
    connected(&replica).await;
    assert!(replica.nodes().is_empty());
}

#[tokio::test]
async fn a_session_survives_the_masters_restart() {
    let mut murder = Murder::with(short_lease()).await;
    let replica = murder.replica("fe1").await;
    let session = open(&murder, "be1").await;
    let backend = murder.client("be1", "backend");
    let pending = reserve("pending", "be1!default");
    backend.reserve(pending.clone()).await.unwrap();
    murder.kill().await;
    murder.restart().await;
    reaches_master(&backend).await;
    session.registered(LONG).await.unwrap();
    // Longer than the lease: the sweep has been by several times.
    let other = open(&murder, "be2").await;
    drop(other);
    until(&replica, |r| state_of(r, "be2") == Some(NodeState::Down)).await;
    let (revision, _) = make(&backend, "board", "be1!default").await;
    replica.wait_for(revision, LONG).await.unwrap();
    assert_eq!(state_of(&replica, "be1"), Some(NodeState::Up));
    // The same process: what it had reserved is still its own.
    backend
        .activate(Activate::new(pending.name, pending.id))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_node_that_is_gone_after_the_masters_restart_is_down() {
    let mut murder = Murder::with(short_lease()).await;
    let session = open(&murder, "be1").await;
    murder.kill().await;
    drop(session);
    murder.restart().await;
    let replica = murder.replica("fe1").await;
    connected(&replica).await;
    until(&replica, |r| state_of(r, "be1") == Some(NodeState::Down)).await;
}

#[tokio::test]
async fn reservations_end_with_the_lease() {
    let murder = Murder::with(short_lease()).await;
    let replica = murder.replica("fe1").await;
    let session = open(&murder, "be1").await;
    let backend = murder.client("be1", "backend");
    make(&backend, "board", "be1!default").await;
    let pending = reserve("pending", "be1!default");
    let revision = backend.reserve(pending.clone()).await.unwrap().revision;
    replica.wait_for(revision, LONG).await.unwrap();
    assert!(replica.find(&pending.name).is_some());
    drop(session);
    until(&replica, |r| r.find(&pending.name).is_none()).await;
    // What is active stays.
    assert!(replica.find(&name("board")).is_some());
    let late = backend
        .activate(Activate::new(pending.name.clone(), pending.id))
        .await;
    assert!(matches!(late, Err(MupdateError::NotFound(_))));
    // The name is free for others.
    make(&murder.client("be2", "backend"), "pending", "be2!default").await;
}

#[tokio::test]
async fn a_new_process_of_a_node_frees_what_the_old_one_reserved() {
    let murder = Murder::start().await;
    let first = open(&murder, "be1").await;
    let backend = murder.client("be1", "backend");
    backend
        .reserve(reserve("pending", "be1!default"))
        .await
        .unwrap();
    // It comes back before the old session is noticed to be gone.
    let _second = open(&murder, "be1").await;
    assert_eq!(backend.find(&name("pending")).await.unwrap().mailbox, None);
    drop(first);
    // The end of the old session says nothing about the new one.
    let replica = murder.replica("fe1").await;
    connected(&replica).await;
    backend
        .reserve(reserve("other", "be1!default"))
        .await
        .unwrap();
    replica.barrier(LONG).await.unwrap();
    assert_eq!(state_of(&replica, "be1"), Some(NodeState::Up));
}
