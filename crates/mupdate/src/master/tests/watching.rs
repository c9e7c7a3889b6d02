//! Replicas and the watch stream.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};

use murder_proto::v1::{self, watch_response::Kind};

use super::*;
use murder_location::Tables;
use murder_location::client::{Operation, Selection};
use murder_location::record::{Change, MailboxState};

/// Everything that the replica has, as the master would list it.
fn listed(replica: &Replica) -> Vec<Mailbox> {
    let tables = replica.read();
    let entries = tables.map.range(Bound::Unbounded);
    let settled = entries.filter(|entry| entry.state() != MailboxState::Reserved);
    settled
        .map(|entry| Mailbox {
            name: entry.mailbox_name(),
            location: entry.location(),
        })
        .collect()
}

async fn list(client: &MupdateClient) -> Vec<Mailbox> {
    client
        .list(Selection::default())
        .await
        .unwrap()
        .collect()
        .await
        .unwrap()
}

/// Many mailboxes at once, active.
async fn make_many(client: &MupdateClient, prefix: &str, count: usize) -> u64 {
    let mut operations = Vec::new();
    for number in 0..count {
        let new = reserve(&format!("{prefix}/{number:05}"), "be1!default");
        let activate = Activate::new(new.name.clone(), new.id);
        operations.push(Operation::Reserve(new));
        operations.push(Operation::Activate(activate));
    }
    client.commit(operations).await.unwrap().revision
}

#[tokio::test]
async fn changes_arrive() {
    let murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    make_many(&backend, "before", 10).await;
    let replica = murder.replica("fe1").await;
    connected(&replica).await;
    assert_eq!(replica.counters().snapshots, 1);
    assert_eq!(listed(&replica).len(), 10);

    let (revision, board) = make(&backend, "board", "be1!default").await;
    replica.wait_for(revision, LONG).await.unwrap();
    assert_eq!(replica.find(&board.name), Some(board.location));
    let revision = backend.delete(&name("board"), None).await.unwrap().revision;
    replica.wait_for(revision, LONG).await.unwrap();
    assert_eq!(replica.find(&name("board")), None);
    assert_eq!(replica.counters().snapshots, 1);
    assert!(replica.age().unwrap() < LONG);
}

#[tokio::test]
async fn a_barrier_shows_what_was_answered_before_it() {
    let murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    let replica = murder.replica("fe1").await;
    connected(&replica).await;
    for number in 0..50 {
        let (_, made) = make(&backend, &format!("board/{number}"), "be1!default").await;
        replica.barrier(LONG).await.unwrap();
        assert!(replica.find(&made.name).is_some());
    }
}

#[tokio::test]
async fn barriers_at_the_same_time_share_one_call() {
    let murder = Murder::start().await;
    let replica = murder.replica("fe1").await;
    connected(&replica).await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let replica = replica.clone();
        waiting.spawn(async move { replica.barrier(LONG).await.map(|_| ()) });
    }
    while let Some(done) = waiting.join_next().await {
        done.unwrap().unwrap();
    }
    let calls = replica.counters().barriers;
    assert!((1..=100).contains(&calls), "{calls} calls for 200 callers");
}

#[tokio::test]
async fn a_restarted_master_needs_no_new_snapshot() {
    let mut murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    make_many(&backend, "board", 100).await;
    let replica = murder.replica("fe1").await;
    connected(&replica).await;
    let before = listed(&replica);
    for round in 1..=3 {
        murder.kill().await;
        let mut connection = replica.connection();
        tokio::time::timeout(LONG, connection.wait_for(|connected| !*connected))
            .await
            .unwrap()
            .unwrap();
        // It goes on answering.
        assert_eq!(listed(&replica).len(), before.len() + round - 1);
        assert!(replica.barrier(Duration::from_millis(50)).await.is_err());
        murder.restart().await;
        reaches_master(&backend).await;
        let (revision, _) = make(&backend, &format!("new/{round}"), "be1!default").await;
        replica.wait_for(revision, LONG).await.unwrap();
        assert!(replica.find(&name(&format!("new/{round}"))).is_some());
    }
    let counters = replica.counters();
    assert_eq!((counters.snapshots, counters.resumes), (1, 3));
    assert_eq!(listed(&replica), list(&backend).await);
}

#[tokio::test]
async fn a_restarted_replica_serves_without_a_master_and_resumes() {
    let mut murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    make_many(&backend, "board", 100).await;
    let replica = murder.replica("fe1").await;
    connected(&replica).await;
    let (revision, _) = make(&backend, "last", "be1!default").await;
    replica.wait_for(revision, LONG).await.unwrap();
    let before = listed(&replica);
    drop(replica);

    murder.kill().await;
    let replica = murder.replica("fe1").await;
    assert!(replica.is_populated() && !replica.connected());
    assert_eq!(listed(&replica), before);
    assert_eq!(replica.revision(), revision);
    assert!(replica.age().unwrap() < LONG);

    murder.restart().await;
    reaches_master(&backend).await;
    let (revision, _) = make(&backend, "new", "be1!default").await;
    replica.wait_for(revision, LONG).await.unwrap();
    assert_eq!(listed(&replica), list(&backend).await);
    let counters = replica.counters();
    assert_eq!((counters.snapshots, counters.resumes), (0, 1));
}

#[tokio::test]
async fn a_damaged_copy_is_made_anew() {
    let murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    make_many(&backend, "board", 30).await;
    let replica = murder.replica("fe1").await;
    connected(&replica).await;
    replica.stop().await;
    drop(replica);
    let copy = murder.dir.path().join("fe1/replica.sqlite3");
    std::fs::write(&copy, vec![b'x'; 10_000]).unwrap();
    let replica = murder.replica("fe1").await;
    assert!(!replica.is_populated());
    connected(&replica).await;
    assert_eq!(listed(&replica), list(&backend).await);
}

#[tokio::test]
async fn a_snapshot_taken_during_changes_is_exact() {
    let murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    // More than is read in one hold of the state, and than fits one message.
    make_many(&backend, "board", 4500).await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (backend, done) = (backend.clone(), done.clone());
        tokio::spawn(async move {
            let mut round = 0;
            while !done.load(Ordering::Relaxed) {
                round += 1;
                let at = format!("{:05}", (round * 7) % 4500);
                let from = name(&format!("board/{at}"));
                let to = name(&format!("aboard/{at}"));
                // Forth, and in the next rounds also back; then some that stay.
                let _ = backend.rename(&from, &to, true).await;
                if round % 3 == 0 {
                    backend.rename(&to, &from, true).await.unwrap();
                }
            }
        })
    };
    let mut replicas = Vec::new();
    for number in 0..4 {
        let replica = murder.replica(&format!("fe{number}")).await;
        connected(&replica).await;
        replicas.push(replica);
    }
    done.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    let expected = list(&backend).await;
    assert_eq!(expected.len(), 4500);
    for replica in replicas {
        replica.barrier(LONG).await.unwrap();
        assert_eq!(listed(&replica), expected);
        assert_eq!(replica.counters().snapshots, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subtrees_rename_is_seen_whole() {
    let murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    // Its changes take several messages.
    make_many(&backend, "board", 2000).await;
    let replica = murder.replica("fe1").await;
    connected(&replica).await;
    let done = Arc::new(AtomicBool::new(false));
    let watching = {
        let (replica, done) = (replica.clone(), done.clone());
        tokio::task::spawn_blocking(move || {
            let (old, new) = (name("board"), name("council"));
            let mut looks = 0_u64;
            while !done.load(Ordering::Relaxed) {
                let tables = replica.read();
                let (before, after) = (tables.map.below(&old), tables.map.below(&new));
                let counts = (before.count(), after.count());
                assert!(counts == (2000, 0) || counts == (0, 2000), "{counts:?}");
                looks += 1;
            }
            looks
        })
    };
    for round in 0..4 {
        let (from, to) = match round % 2 {
            0 => (name("board"), name("council")),
            _ => (name("council"), name("board")),
        };
        let revision = backend.rename(&from, &to, true).await.unwrap().revision;
        replica.wait_for(revision, LONG).await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    assert!(watching.await.unwrap() > 0);
    assert_eq!(replica.below(&name("board")).len(), 2000);
}

#[tokio::test]
async fn a_replica_of_some_topics_holds_nothing_else_and_still_keeps_up() {
    let murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    let replica = murder.replica_of("be1", &[Topic::Users]).await;
    connected(&replica).await;
    let (revision, board) = make(&backend, "board", "be1!default").await;
    replica.wait_for(revision, LONG).await.unwrap();
    replica.barrier(LONG).await.unwrap();
    assert_eq!(replica.find(&board.name), None);
    drop(replica);
    // With more topics the copy is not enough.
    let replica = murder.replica("be1").await;
    connected(&replica).await;
    assert!(replica.find(&board.name).is_some());
    assert_eq!(replica.counters().snapshots, 1);
}

#[tokio::test]
async fn a_watcher_that_falls_behind_gets_a_snapshot() {
    let murder = Murder::with(MasterLimitsConfig {
        history_revisions: 5,
        ..MasterLimitsConfig::default()
    })
    .await;
    let backend = murder.client("be1", "backend");
    let (start, board) = make(&backend, "board", "be1!default").await;
    let request = v1::WatchRequest {
        from_revision: start,
        murder_id: murder.murder_id(),
        topics: Vec::new(),
    };
    // Opened, and not read.
    let mut stream = murder
        .client("fe1", "frontend")
        .rpc()
        .watch(request)
        .await
        .unwrap()
        .into_inner();

    // More than the connection and the history in memory hold, in few mailboxes.
    let wide = (0..100)
        .map(|n| format!("{:0>240}\tlrs\t", n))
        .collect::<String>();
    let acl = |round: usize| Acl::parse(&format!("{wide}{round}\tlr\t")).unwrap();
    let rounds = 60;
    let mut last = 0;
    for round in 0..rounds {
        let operations = vec![
            Operation::SetAcl {
                name: board.name.clone(),
                acl: acl(round),
                id: None,
            };
            20
        ];
        last = backend.commit(operations).await.unwrap().revision;
    }

    let mut tables = Tables::default();
    let mut pending = Vec::new();
    let mut snapshots = 0;
    let mut revision = start;
    let mut bytes = 0;
    while revision < last {
        let message = tokio::time::timeout(LONG, stream.message());
        let message = message.await.unwrap().unwrap().unwrap();
        bytes += prost::Message::encoded_len(&message);
        match message.kind.unwrap() {
            Kind::Start(start) if start.snapshot => {
                snapshots += 1;
                tables = Tables::default();
                pending.clear();
            }
            Kind::Start(start) => assert_eq!(start.revision, revision),
            Kind::Chunk(chunk) => {
                for change in chunk.changes {
                    tables.apply(&Change::from_proto(change).unwrap());
                }
            }
            Kind::Changes(changes) => {
                pending.extend(changes.changes);
                if !changes.more {
                    for change in pending.drain(..) {
                        tables.apply(&Change::from_proto(change).unwrap());
                    }
                    revision = changes.revision;
                }
            }
            Kind::SnapshotEnd(end) => revision = end.revision,
            Kind::Heartbeat(_) => {}
        }
    }
    assert_eq!(snapshots, 1);
    assert!(bytes < rounds * 20 * wide.len() / 2, "{bytes} bytes");
    assert_eq!(*tables.map.find(&board.name).unwrap().acl, acl(rounds - 1));
}

#[tokio::test]
async fn accounts_and_nodes_are_in_the_snapshot() {
    let murder = Murder::start().await;
    let operator = murder.client("ops", "operator");
    let hash = murder_auth::hash_password("secret").unwrap();
    let accounts: BTreeMap<String, murder_auth::Account> = (0..5000)
        .map(|number| format!("user{number:04}"))
        .map(|name| {
            let account = murder_auth::Account {
                name: name.clone(),
                password_hash: hash.clone(),
                ..Default::default()
            };
            (name, account)
        })
        .collect();
    let all: Vec<_> = accounts.values().cloned().collect();
    operator.add_users(&all).await.unwrap();
    assert_eq!(operator.list_users("").await.unwrap().len(), 5000);
    let replica = murder.replica("fe1").await;
    connected(&replica).await;
    assert_eq!(replica.read().accounts, accounts);
}

/// What a replica says against the master that answers it.
async fn refusal(replica: &Replica) -> String {
    let refused = async {
        loop {
            match replica.refusal() {
                Some(why) => return why,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(LONG, refused).await.unwrap()
}

#[tokio::test]
async fn a_master_of_another_murder_is_refused_until_it_succeeds() {
    let mut murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    let (_, board) = make(&backend, "board", "be1!default").await;
    let replica = murder.replica("be1").await;
    connected(&replica).await;
    let id = murder.murder_id();
    murder.kill().await;
    std::fs::remove_dir_all(murder.dir.path().join("mu1")).unwrap();
    murder.restart().await;
    let why = refusal(&replica).await;
    assert!(
        why.contains("another murder") && why.contains("murder master succeed"),
        "{why}"
    );

    // Neither it nor a process after it takes or gives anything.
    let again = murder.client("fe2", "frontend");
    assert!(
        again.barrier().await.is_ok(),
        "one that knows nothing is let in"
    );
    replica.stop().await;
    drop(replica);
    let client = murder.client("be1", "backend");
    let replica = Replica::start(
        ReplicaConfig {
            dir: murder.dir.path().join("be1"),
            node: "be1".into(),
            topics: Topic::ALL.to_vec(),
        },
        client.clone(),
        CancellationToken::new(),
    )
    .await
    .unwrap();
    let none = client.reconcile("be1!default", false, 0, Vec::new).await;
    assert!(
        matches!(none, Err(murder_location::MupdateError::OtherMurder(_))),
        "{none:?}"
    );
    let none = client.reserve(reserve("new", "be1!default")).await;
    assert!(
        matches!(none, Err(murder_location::MupdateError::OtherMurder(_))),
        "{none:?}"
    );
    refusal(&replica).await;
    assert!(replica.find(&board.name).is_some() && !replica.connected());

    let operator = murder.client("ops", "operator");
    let denied = client.succeed(Some(&id)).await;
    assert!(denied.is_err());
    operator.succeed(Some(&id)).await.unwrap();
    connected(&replica).await;
    assert_eq!(replica.refusal(), None);
    assert_eq!(replica.find(&board.name), None);
    client.reserve(reserve("new", "be1!default")).await.unwrap();
}

#[tokio::test]
async fn a_master_with_an_older_log_is_refused_until_it_succeeds() {
    let mut murder = Murder::start().await;
    let backend = murder.client("be1", "backend");
    make(&backend, "old", "be1!default").await;
    murder.kill().await;
    let (own, copy) = (
        murder.dir.path().join("mu1"),
        murder.dir.path().join("copy"),
    );
    copy_dir(&own, &copy);
    murder.restart().await;
    reaches_master(&backend).await;
    let (revision, new) = make(&backend, "new", "be1!default").await;
    let replica = murder.replica("fe1").await;
    connected(&replica).await;
    replica.wait_for(revision, LONG).await.unwrap();

    murder.kill().await;
    std::fs::remove_dir_all(&own).unwrap();
    copy_dir(&copy, &own);
    murder.restart().await;
    let why = refusal(&replica).await;
    assert!(why.contains("older log"), "{why}");
    assert!(replica.find(&new.name).is_some());
    let operator = murder.client("ops", "operator");
    operator.succeed(None).await.unwrap();
    connected(&replica).await;
    assert_eq!(replica.find(&new.name), None);
    assert!(replica.find(&name("old")).is_some());
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
