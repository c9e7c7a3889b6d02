//! Sessions of nodes, leases, partitions.

use murder_net::Health;

use super::*;
use murder_location::MupdateError;
use murder_location::NodeHealth;
use murder_location::client::DescribedNode;
use murder_location::record::{NodeState, PartitionIdentity, PartitionState, Report};
use murder_location::{NodeDescription, NodeSession, NodeStatus, PartitionStatus, service};

fn description(name: &str) -> NodeDescription {
    NodeDescription {
        name: name.into(),
        services: [
            (service::IMAPS.into(), "127.0.0.1:993".into()),
            (service::HTTP.into(), "127.0.0.1:80".into()),
        ]
        .into(),
        weight: 7,
    }
}

fn status(node: &str, bytes_free: u64) -> NodeStatus {
    NodeStatus {
        draining: false,
        partitions: vec![PartitionStatus {
            name: format!("{node}!default"),
            state: PartitionState::Online,
            bytes_total: 1000,
            bytes_free,
            identity: None,
            report: Report::default(),
            record_now: false,
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
    let session = murder.client(name, "backend").register(
        description(name),
        status(name, 900),
        Health::new(),
    );
    session.registered(LONG).await.unwrap();
    session
}

/// The same with these partitions.
pub(super) async fn open_with(murder: &Murder, node: &str, partitions: &[&str]) -> NodeSession {
    let one = status(node, 900).partitions.remove(0);
    let partitions = partitions.iter().map(|partition| PartitionStatus {
        name: format!("{node}!{partition}"),
        ..one.clone()
    });
    let status = NodeStatus {
        draining: false,
        partitions: partitions.collect(),
    };
    let client = murder.client(node, "backend");
    let session = client.register(description(node), status, Health::new());
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
    let services = description("").services;
    assert_eq!((&node.services, node.weight), (&services, 7));
    assert_eq!(node.service(service::LMTP), None);
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
    session.set_partitions(status("be1", 100).partitions);
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
    let session = murder.client("be1", "backend").register(
        description("be2"),
        status("be2", 1),
        Health::new(),
    );
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

fn open_at(lsn: u64, record_now: bool) -> Vec<PartitionStatus> {
    let mut partitions = status("be1", 900).partitions;
    partitions[0].identity = Some(PartitionIdentity {
        id: [1; 16],
        copy: [2; 16],
    });
    partitions[0].report = Report { lsn, uids: lsn };
    partitions[0].record_now = record_now;
    partitions
}

/// Waits until the master has recorded that.
async fn recorded(session: &NodeSession, lsn: u64) {
    let mut recorded = session.recorded();
    let reached = recorded.wait_for(|all| all.iter().any(|one| one.report.lsn >= lsn));
    let reached = tokio::time::timeout(LONG, reached).await.unwrap();
    assert_eq!(reached.unwrap()[0].copy, [2; 16]);
}

/// What the master says that the partition has come to.
async fn described(client: &MupdateClient) -> u64 {
    let described = client.describe_partitions("be1").await.unwrap();
    described[0].partition.report.lsn
}

#[tokio::test]
async fn how_far_a_partition_has_come() {
    let mut murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    assert_eq!(backend.describe_partitions("be1").await.unwrap(), []);
    let mut state = status("be1", 900);
    state.partitions = open_at(10, false);
    let session = backend.register(description("be1"), state, Health::new());
    recorded(&session, 10).await;
    let before = backend.barrier().await.unwrap();

    // The session knows it at once, the log when somebody waits for it.
    session.set_partitions(open_at(20, false));
    let heard = async { while described(&backend).await != 20 {} };
    tokio::time::timeout(LONG, heard).await.unwrap();
    assert_eq!(backend.barrier().await.unwrap(), before);
    session.set_partitions(open_at(30, true));
    recorded(&session, 30).await;
    assert_eq!(backend.barrier().await.unwrap(), before + 1);
    // An older report says nothing.
    session.set_partitions(open_at(5, true));
    session.set_partitions(open_at(40, false));
    session.close().await;

    make(&backend, "board", "be1!default").await;
    make(&backend, "lost", "be1!lost").await;
    murder.kill().await;
    murder.restart().await;
    reaches_master(&backend).await;
    // The goodbye came with the last word.
    let known = backend.describe_partitions("be1").await.unwrap();
    let shown: Vec<_> = known
        .iter()
        .map(|known| {
            (
                &*known.partition.name,
                known.partition.report.lsn,
                known.mailboxes,
            )
        })
        .collect();
    assert_eq!(shown, [("be1!default", 40, 1), ("be1!lost", 0, 1)]);
    assert_eq!(known[1].partition.identity, None);
}

#[tokio::test]
async fn what_is_gone_for_good_is_forgotten_by_operators() {
    let murder = Murder::start().await;
    let session = open(&murder, "be1").await;
    let (backend, operator) = (
        murder.client("be1", "backend"),
        murder.client("ops", "operator"),
    );
    make(&backend, "board", "be1!default").await;
    assert!(matches!(
        backend.forget_node("be1").await,
        Err(MupdateError::PermissionDenied(_))
    ));
    let up = operator.forget_node("be1").await;
    assert!(matches!(up, Err(MupdateError::FailedPrecondition(_))));
    session.close().await;
    let held = operator.forget_node("be1").await;
    assert!(matches!(held, Err(MupdateError::FailedPrecondition(_))));
    operator.delete(&name("board"), None).await.unwrap();
    operator.forget_node("be1").await.unwrap();
    let replica = murder.replica("fe1").await;
    connected(&replica).await;
    assert_eq!((replica.nodes(), replica.partitions()), (vec![], vec![]));
}

/// What a node claims for itself has bounds, and a frontend claims nothing.
#[tokio::test]
async fn a_nodes_claims_are_bounded() {
    let murder = Murder::start().await;
    let replica = murder.replica("watcher").await;
    let greedy = |partitions: usize| {
        let one = status("be1", u64::MAX).partitions.remove(0);
        let partitions = (0..partitions).map(|number| PartitionStatus {
            name: format!("be1!p{number}"),
            identity: Some(PartitionIdentity {
                id: [number as u8; 16],
                copy: [number as u8; 16],
            }),
            ..one.clone()
        });
        NodeStatus {
            draining: false,
            partitions: partitions.collect(),
        }
    };
    let heaviest = |name: &str| NodeDescription {
        weight: u32::MAX,
        ..description(name)
    };
    let tried = async |name: &str, role: &str, description, status| {
        let session = murder
            .client(name, role)
            .register(description, status, Health::new());
        let registered = session.registered(LONG / 40).await.is_ok();
        session.close().await;
        registered
    };
    assert!(!tried("fe1", "frontend", heaviest("fe1"), greedy(1)).await);
    assert!(!tried("be1", "backend", heaviest("be1"), greedy(257)).await);
    let all = (0..100).map(|kind| (kind.to_string(), "x:1".to_owned()));
    for services in [
        [(service::IMAPS.to_owned(), "x".repeat(300))].into(),
        [("x".repeat(300), "x:1".to_owned())].into(),
        all.collect(),
    ] {
        let long = NodeDescription {
            services,
            ..description("be1")
        };
        assert!(!tried("be1", "backend", long, greedy(1)).await);
    }
    assert!(tried("fe1", "frontend", heaviest("fe1"), greedy(0)).await);
    assert!(tried("be1", "backend", heaviest("be1"), greedy(200)).await);
    replica.barrier(LONG).await.unwrap();
    assert_eq!(replica.node("fe1").unwrap().weight, 0);
    assert_eq!(replica.node("be1").unwrap().weight, 1000);
    let partitions = replica.partitions();
    assert_eq!(partitions.len(), 200);
    assert!(
        partitions
            .iter()
            .all(|p| p.state == PartitionState::Offline)
    );
    // Nor by other names each time.
    let mut others = greedy(100);
    for partition in &mut others.partitions {
        partition.name.insert(0, 'q');
    }
    assert!(!tried("be1", "backend", description("be1"), others).await);
}

/// Asks until what the master says of a node is so.
async fn told(
    operator: &MupdateClient,
    node: &str,
    mut is: impl FnMut(&DescribedNode) -> bool,
) -> DescribedNode {
    let asking = async {
        loop {
            let murder = operator.describe_nodes().await.unwrap();
            let found = murder.nodes.into_iter().find(|of| of.node.name == node);
            if let Some(found) = found.filter(|found| is(found)) {
                return found;
            }
        }
    };
    tokio::time::timeout(LONG, asking).await.unwrap()
}

#[tokio::test]
async fn what_nodes_say_of_their_health() {
    let murder = Murder::start().await;
    let operator = murder.client("ops", "operator");
    let health = Health::new();
    let session = murder.client("be1", "backend").register(
        description("be1"),
        status("be1", 900),
        health.clone(),
    );
    let told_of = |node: &DescribedNode| node.health.as_ref().map(NodeHealth::reasons);
    let starting = told(&operator, "be1", |node| node.health.is_some()).await;
    assert_eq!(told_of(&starting), Some(vec!["node: starting".to_owned()]));
    assert!(starting.since.is_some() && starting.ended.is_empty());
    let before = operator.barrier().await.unwrap();
    health.unhealthy("partition:default", "full");
    let full = vec!["partition:default: full".to_owned()];
    told(&operator, "be1", |node| {
        told_of(node).as_ref() == Some(&full)
    })
    .await;
    health.ok("partition:default");
    told(&operator, "be1", |node| told_of(node) == Some(Vec::new())).await;
    // It is worth no record.
    assert_eq!(operator.barrier().await.unwrap(), before);
    let all = operator.describe_nodes().await.unwrap();
    let names: Vec<_> = all.nodes.iter().map(|node| &*node.node.name).collect();
    assert_eq!(names, ["mu1", "be1"]);
    assert!(all.nodes[0].health.as_ref().unwrap().is_ready());
    assert_eq!(all.partitions[0].name, "be1!default");

    session.close().await;
    let gone = told(&operator, "be1", |node| node.node.state == NodeState::Down).await;
    assert_eq!(gone.ended, "it said goodbye");
    operator.forget_node("be1").await.unwrap();
    assert_eq!(operator.describe_nodes().await.unwrap().nodes.len(), 1);
    for (name, role) in [("be1", "backend"), ("fe1", "frontend")] {
        let refused = murder.client(name, role).describe_nodes().await;
        assert!(matches!(refused, Err(MupdateError::PermissionDenied(_))));
    }
}
