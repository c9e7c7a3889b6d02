//! The journal is read while it is written: each record once, in order, from any on.

use std::collections::BTreeSet;
use std::sync::Arc;

use murder_store::{
    Flags, JournalReadError, JournalReader, JournalRecord, MailboxHandle, Partition,
    PartitionConfig, StoreError, StoreMode, StoreOp, UidSet,
};
use tempfile::TempDir;

use crate::model::journal_files;
use crate::support::*;

fn small_segments(dir: &TempDir) -> PartitionConfig {
    PartitionConfig {
        segment_bytes: 256 << 10,
        compact_bytes_per_second: 0,
        index_texts: false,
        ..config(dir)
    }
}

fn of_size(n: u64, bytes: u64) -> murder_store::AppendMessage {
    let body = [&raw(&n.to_string())[..], &vec![b'x'; bytes as usize]].concat();
    of_bytes(body.into())
}

async fn expunge(partition: &Partition, handle: &MailboxHandle, uids: &UidSet) {
    let op = StoreOp::new(StoreMode::Add, Flags::DELETED, vec![]);
    partition.store_flags(handle, uids, op).await.unwrap();
    partition.expunge(handle, Some(uids)).await.unwrap();
}

/// Everything up to the last durable record; with the bodies, which have to be there.
async fn read_on(partition: &Partition, reader: &mut JournalReader, read: &mut Vec<JournalRecord>) {
    while read.last().map_or(0, |last| last.last_lsn) < partition.durable_lsn() {
        let record = reader.next().await.unwrap();
        for &body in &record.bodies {
            partition.read_body(body).await.unwrap();
        }
        read.push(record);
    }
}

#[test]
fn each_record_once_in_order() {
    each_seed(0..24, |seed| async move {
        let mut rng = Rng::new(seed);
        let dir = fast_dir();
        let tiny = || PartitionConfig {
            segment_bytes: 64 << 10,
            ..small_segments(&dir)
        };
        let mut partition = Partition::open(tiny()).unwrap();
        create(&partition, &["user/bob", "user/eve"]).await;
        let bob = name("user/bob");
        let mut handle = partition.open_mailbox(&bob).await.unwrap();
        let mut slow = Some(partition.read_journal(1).await.unwrap());
        let mut all = Vec::new();
        for n in 0..60 {
            match rng.below(12) {
                0 => {
                    let view = handle.view();
                    let most = uids(&view).into_iter().filter(|_| rng.below(4) > 0);
                    let most: UidSet = most.collect();
                    expunge(&partition, &handle, &most).await;
                }
                1 => {
                    partition.compact().await.unwrap();
                }
                2 => partition.checkpoint().await.unwrap(),
                // A body that has a file of its own.
                3 => {
                    let large = of_size(n, 300 << 10);
                    partition.append(&bob, vec![large]).await.unwrap();
                }
                4 if rng.below(4) == 0 => {
                    read_on(&partition, slow.as_mut().unwrap(), &mut all).await;
                    drop((slow.take(), handle));
                    partition.shutdown().await.unwrap();
                    drop(partition);
                    partition = Partition::open(tiny()).unwrap();
                    handle = partition.open_mailbox(&bob).await.unwrap();
                    let next = all.last().map_or(0, |last| last.last_lsn) + 1;
                    slow = Some(partition.read_journal(next).await.unwrap());
                }
                5 | 6 => read_on(&partition, slow.as_mut().unwrap(), &mut all).await,
                _ => {
                    let several = 1 + rng.below(3);
                    let messages = (0..several).map(|_| of_size(n, rng.below(9000)));
                    partition.append(&bob, messages.collect()).await.unwrap();
                }
            }
        }
        read_on(&partition, slow.as_mut().unwrap(), &mut all).await;
        let lsns = all.iter().map(|record| record.lsn);
        assert!(lsns.eq(1..=partition.durable_lsn()));
        assert!(is_pending(slow.unwrap().next()).await);

        // Others begin anywhere; what nobody kept for them may be gone.
        for _ in 0..8 {
            let from = 1 + rng.below(all.len() as u64);
            let mut reader = match partition.read_journal(from).await {
                Ok(reader) => reader,
                Err(JournalReadError::SnapshotNeeded(_)) => continue,
                Err(e) => panic!("{e}"),
            };
            for record in &all[from as usize - 1..] {
                match reader.next().await {
                    Ok(read) => assert_eq!(read, *record),
                    Err(JournalReadError::SnapshotNeeded(lsn)) => {
                        assert_eq!(lsn, record.lsn);
                        break;
                    }
                    Err(e) => panic!("{e}"),
                }
            }
        }
    });
}

#[tokio::test]
async fn it_waits_for_what_comes_and_ends_with_the_partition() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    // Of a journal that has no segment yet, and of a record that nobody has written yet.
    let mut first = partition.read_journal(1).await.unwrap();
    let mut third = partition.read_journal(3).await.unwrap();
    let waiting = tokio::spawn(async move { (third.next().await.unwrap().lsn, third) });
    assert!(is_pending(first.next()).await);
    create(&partition, &["user/bob"]).await;
    assert_eq!(first.next().await.unwrap().lsn, 1);
    assert!(!waiting.is_finished());
    for n in 0..2 {
        let message = message(&n.to_string());
        partition
            .append(&name("user/bob"), vec![message])
            .await
            .unwrap();
    }
    let (lsn, mut third) = waiting.await.unwrap();
    assert_eq!(lsn, 3);
    for lsn in [2, 3] {
        assert_eq!(first.next().await.unwrap().lsn, lsn);
    }
    let ends = tokio::spawn(async move { third.next().await });
    partition.shutdown().await.unwrap();
    let ended = ends.await.unwrap();
    assert!(
        matches!(ended, Err(JournalReadError::Store(StoreError::Closed))),
        "{ended:?}"
    );
}

/// Fills some segments with what nobody needs.
async fn dead_segments(partition: &Arc<Partition>) {
    create(partition, &["user/bob"]).await;
    let bob = name("user/bob");
    for n in 0..40 {
        partition
            .append(&bob, vec![of_size(n, 20_000)])
            .await
            .unwrap();
    }
    partition
        .append(&bob, vec![of_size(40, 300 << 10)])
        .await
        .unwrap();
    let handle = partition.open_mailbox(&bob).await.unwrap();
    expunge(partition, &handle, &UidSet::range(1, 41)).await;
    drop(handle);
    for n in 0..4 {
        partition
            .append(&bob, vec![of_size(n, 20_000)])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_a_reader_has_yet_to_read_is_kept_up_to_a_bound() {
    for reader_bytes in [u64::MAX, 256 << 10] {
        let dir = TempDir::new().unwrap();
        let config = PartitionConfig {
            reader_bytes,
            ..small_segments(&dir)
        };
        let partition = Partition::open(config).unwrap();
        let mut reader = partition.read_journal(1).await.unwrap();
        dead_segments(&partition).await;
        let before: BTreeSet<String> = journal_files(&dir).into_iter().collect();
        partition.checkpoint().await.unwrap();
        let after: BTreeSet<String> = journal_files(&dir).into_iter().collect();
        if reader_bytes == u64::MAX {
            assert!(after.is_superset(&before));
            read_on(&partition, &mut reader, &mut Vec::new()).await;
            drop(reader);
            partition.checkpoint().await.unwrap();
            create(&partition, &["user/eve"]).await;
            partition.checkpoint().await.unwrap();
        } else {
            let next = reader.next().await;
            assert!(
                matches!(next, Err(JournalReadError::SnapshotNeeded(1))),
                "{next:?}"
            );
            let again = partition.read_journal(1).await;
            assert!(matches!(again, Err(JournalReadError::SnapshotNeeded(1))));
        }
        assert!(journal_files(&dir).len() < before.len() / 2);
    }
}
