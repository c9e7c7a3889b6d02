//! Nothing is answered or shown before whoever else has to have it has it.

use std::ops::RangeInclusive;
use std::sync::Arc;

use murder_store::{Health, JournalSink, Partition, PartitionConfig, StoreError};
use parking_lot::{Condvar, Mutex};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::support::*;

/// Says what it was asked for, and lets go, or refuses, when the test says so.
#[derive(Debug)]
struct Holding {
    asked: mpsc::UnboundedSender<RangeInclusive<u64>>,
    /// Up to which record, or why never.
    lets_go: Mutex<Result<u64, StoreError>>,
    changed: Condvar,
}

impl Holding {
    fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<RangeInclusive<u64>>) {
        let (asked, asks) = mpsc::unbounded_channel();
        let holding = Self {
            asked,
            lets_go: Mutex::new(Ok(0)),
            changed: Condvar::new(),
        };
        (Arc::new(holding), asks)
    }

    fn let_go(&self, up_to: Result<u64, StoreError>) {
        *self.lets_go.lock() = up_to;
        self.changed.notify_all();
    }
}

impl JournalSink for Holding {
    fn wait(&self, lsns: RangeInclusive<u64>) -> Result<(), StoreError> {
        let _ = self.asked.send(lsns.clone());
        let mut lets_go = self.lets_go.lock();
        loop {
            match &*lets_go {
                Ok(up_to) if lsns.end() <= up_to => return Ok(()),
                Ok(_) => self.changed.wait(&mut lets_go),
                Err(why) => return Err(why.clone()),
            }
        }
    }
}

async fn held(
    dir: &TempDir,
) -> (
    Arc<Partition>,
    Arc<Holding>,
    mpsc::UnboundedReceiver<RangeInclusive<u64>>,
) {
    let partition = open(dir);
    create(&partition, &["user/bob"]).await;
    partition.shutdown().await.unwrap();
    drop(partition);
    let (sink, asks) = Holding::new();
    let config = PartitionConfig {
        sink: Some(Arc::clone(&sink) as _),
        ..config(dir)
    };
    (Partition::open(config).unwrap(), sink, asks)
}

#[tokio::test]
async fn no_answer_and_no_view_before_the_sink_lets_go() {
    let dir = TempDir::new().unwrap();
    let (partition, sink, mut asks) = held(&dir).await;
    let bob = name("user/bob");
    let handle = partition.open_mailbox(&bob).await.unwrap();
    let mut changes = handle.subscribe();
    let mut reader = partition.read_journal(2).await.unwrap();
    let append = |text: &str| {
        let (partition, bob, message) = (Arc::clone(&partition), bob.clone(), message(text));
        tokio::spawn(async move { partition.append(&bob, vec![message]).await })
    };

    let first = append("1");
    assert_eq!(asks.recv().await, Some(2..=2));
    // Whoever hands it on can read it.
    assert_eq!(reader.next().await.unwrap().lsn, 2);
    // More waits meanwhile.
    let more = [append("2"), append("3")];
    tokio::task::yield_now().await;
    assert!(!first.is_finished());
    assert_eq!((handle.view().len(), partition.durable_lsn()), (0, 1));
    assert_eq!(partition.status(&bob, None).await.unwrap().messages, 0);
    assert!(is_pending(changes.changed()).await);
    assert_eq!(partition.report().lsn, 1);

    sink.let_go(Ok(2));
    assert_eq!(first.await.unwrap().unwrap().uids, [1]);
    assert_eq!(handle.view().len(), 1);
    assert_eq!(*asks.recv().await.unwrap().start(), 3);
    assert!(more.iter().all(|append| !append.is_finished()));
    assert_eq!((handle.view().len(), partition.durable_lsn()), (1, 2));

    sink.let_go(Ok(u64::MAX));
    for append in more {
        append.await.unwrap().unwrap();
    }
    assert_eq!(handle.view().len(), 3);
}

#[tokio::test]
async fn what_a_sink_refuses_is_in_doubt() {
    let dir = TempDir::new().unwrap();
    let (partition, sink, mut asks) = held(&dir).await;
    let bob = name("user/bob");
    let handle = partition.open_mailbox(&bob).await.unwrap();
    let appending = partition.append(&bob, vec![message("1")]);
    let refusing = async {
        asks.recv().await.unwrap();
        sink.let_go(Err(StoreError::ReadOnly {
            why: "the others are away".into(),
        }));
    };
    let (appended, ()) = tokio::join!(appending, refusing);
    assert!(
        matches!(appended, Err(StoreError::InDoubt { .. })),
        "{appended:?}"
    );
    assert_eq!((handle.view().len(), partition.durable_lsn()), (0, 1));
    assert!(matches!(partition.health(), Health::ReadOnly { .. }));
    partition.shutdown().await.unwrap();
    drop((handle, partition));
    // It was on the disk.
    let partition = open(&dir);
    assert_eq!(partition.status(&bob, None).await.unwrap().messages, 1);
}
