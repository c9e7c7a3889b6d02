#![allow(clippy::unwrap_used)]

use std::path::Path;

use murder_mailbox::MailboxName;
use murder_proto::v1::log_entry::Command;
use murder_proto::v1::{self, operation::Kind};

use super::{SingleNode, SingleNodeConfig};
use crate::consensus::{Consensus, History};
use crate::state::Outcome;

fn config(dir: &Path, history_revisions: u64) -> SingleNodeConfig {
    SingleNodeConfig {
        dir: dir.to_owned(),
        history_revisions,
        history_bytes: 1 << 30,
    }
}

fn open(dir: &Path) -> SingleNode {
    SingleNode::open(&config(dir, 1_000_000)).unwrap()
}

fn reserve(number: usize) -> v1::LogEntry {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let request = v1::ReserveRequest {
        name: format!("board/{number:06}"),
        id: id.to_vec(),
        partition: "be1!default".into(),
        ..Default::default()
    };
    v1::LogEntry {
        partition: None,
        time_ms: 1_700_000_000_000,
        restricted_to: String::new(),
        command: Some(Command::Batch(v1::Batch {
            operations: vec![v1::Operation {
                kind: Some(Kind::Reserve(request)),
            }],
        })),
    }
}

async fn propose_all(node: &SingleNode, numbers: std::ops::Range<usize>) {
    let proposals = numbers.map(|number| node.propose(reserve(number)));
    for answer in join_all(proposals.collect()).await {
        let (_, outcome) = answer.unwrap();
        assert!(matches!(outcome, Outcome::Batch(results) if results[0].is_ok()));
    }
}

/// All at the same time, so that they share transactions.
async fn join_all<T>(mut futures: Vec<crate::consensus::BoxFuture<'_, T>>) -> Vec<T> {
    let mut results: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *result = Some(value),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        match waiting {
            true => std::task::Poll::Pending,
            false => std::task::Poll::Ready(()),
        }
    })
    .await;
    results.into_iter().flatten().collect()
}

fn count(node: &SingleNode) -> usize {
    node.state().tables().map.len()
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(dir.path());
    let murder_id = node.state().murder_id().to_vec();
    assert_eq!(murder_id.len(), 16);
    propose_all(&node, 0..300).await;
    let revision = node.read_barrier().await.unwrap();
    let name = MailboxName::parse_canonical("board/000007").unwrap();
    let before = node.state().tables().map.find(&name).unwrap();
    drop(node);

    // Some are in the tables by now, others in the log only.
    for _ in 0..2 {
        let node = open(dir.path());
        assert_eq!(count(&node), 300);
        assert_eq!(node.state().revision(), revision);
        assert_eq!(node.state().murder_id(), murder_id);
        assert_eq!(node.state().tables().map.find(&name).unwrap(), before);
    }

    let node = open(dir.path());
    propose_all(&node, 300..2000).await;
    node.stop().await;
    assert!(node.propose(reserve(9999)).await.is_err());
    drop(node);
    let node = open(dir.path());
    assert_eq!(count(&node), 2000);
    // Stopped properly, there is nothing left to be applied again.
    let log: i64 = {
        drop(node);
        rusqlite::Connection::open(dir.path().join("mupdate.sqlite3"))
            .unwrap()
            .query_row("SELECT COUNT(*) FROM log", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(log, 0);
}

#[tokio::test]
async fn only_one_process_may_have_it() {
    let dir = tempfile::tempdir().unwrap();
    let _node = open(dir.path());
    let error = SingleNode::open(&config(dir.path(), 10)).err().unwrap();
    assert!(error.to_string().contains("locked"), "{error}");
}

/// Follows the history from a revision on; what it learns, and whether it ever was too old.
async fn follow(node: &SingleNode, mut at: u64) -> Option<Vec<u64>> {
    let mut seen = Vec::new();
    while at < *node.revisions().borrow() {
        match node.history(at).await.unwrap() {
            History::Gone => return None,
            History::Changes { revisions, up_to } => {
                assert!(up_to > at);
                seen.extend(revisions.iter().map(|r| r.revision));
                at = up_to;
            }
        }
    }
    Some(seen)
}

#[tokio::test]
async fn history_has_no_gaps_wherever_it_is_read_from() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(dir.path());
    propose_all(&node, 0..1500).await;
    let last = *node.revisions().borrow();
    let expected: Vec<u64> = (2..=last).collect();
    // From memory.
    assert_eq!(follow(&node, 1).await.unwrap(), expected);
    drop(node);
    // From disk, and what is in the log only from memory.
    let node = open(dir.path());
    assert_eq!(follow(&node, 1).await.unwrap(), expected);
    assert_eq!(follow(&node, 700).await.unwrap(), expected[699..]);
    // A revision that never was.
    assert!(matches!(
        node.history(last + 1).await.unwrap(),
        History::Gone
    ));
}

#[tokio::test]
async fn history_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let node = SingleNode::open(&config(dir.path(), 100)).unwrap();
    propose_all(&node, 0..1000).await;
    let last = *node.revisions().borrow();
    node.stop().await;
    drop(node);
    let node = SingleNode::open(&config(dir.path(), 100)).unwrap();
    assert!(matches!(node.history(1).await.unwrap(), History::Gone));
    assert!(matches!(
        node.history(last - 101).await.unwrap(),
        History::Gone
    ));
    assert_eq!(follow(&node, last - 100).await.unwrap().len(), 100);
}

#[tokio::test]
async fn what_changes_nothing_has_a_revision() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(dir.path());
    propose_all(&node, 0..1).await;
    let (revision, outcome) = node.propose(reserve(0)).await.unwrap();
    // The same reservation again is no refusal, and no change either.
    assert!(matches!(outcome, Outcome::Batch(r) if r[0].is_ok()));
    let History::Changes { revisions, up_to } = node.history(revision - 1).await.unwrap() else {
        panic!("too old");
    };
    assert!(revisions.is_empty());
    assert_eq!(up_to, revision);
}

#[tokio::test]
async fn refused_proposals_are_no_entries() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(dir.path());
    propose_all(&node, 0..1).await;
    let before = *node.revisions().borrow();
    // Another mailbox of a name that is taken.
    let taken = || {
        let mut entry = reserve(0);
        if let Some(Command::Batch(batch)) = &mut entry.command
            && let Some(Kind::Reserve(request)) = &mut batch.operations[0].kind
        {
            request.id = vec![9; 16];
        }
        entry
    };
    for _ in 0..10 {
        let (revision, outcome) = node.propose(taken()).await.unwrap();
        assert!(outcome.is_refusal());
        assert_eq!(revision, before);
    }
    // Among others, in one transaction.
    let proposals = [reserve(1), taken(), reserve(2), taken()];
    let proposals = proposals.map(|entry| node.propose(entry)).into();
    let answers = join_all(proposals).await.into_iter();
    let answers: Vec<(u64, bool)> = answers
        .map(|answer| answer.map(|(revision, outcome)| (revision, outcome.is_refusal())))
        .collect::<Result<_, _>>()
        .unwrap();
    let expected = [
        (before + 1, false),
        (before + 1, true),
        (before + 2, false),
        (before + 2, true),
    ];
    assert_eq!(answers, expected);
    assert_eq!(*node.revisions().borrow(), before + 2);
    node.kill();
    drop(node);
    let node = open(dir.path());
    assert_eq!((*node.revisions().borrow(), count(&node)), (before + 2, 3));
}
