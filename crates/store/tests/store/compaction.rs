//! Segments in which little lives are emptied and go; nobody notices.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use murder_store::{
    AppendMessage, CopyFlags, Flags, MailboxHandle, Metrics, Partition, PartitionConfig,
    StoreError, StoreMode, StoreOp, UidSet,
};
use tempfile::TempDir;

use crate::model::journal_files;
use crate::support::*;

fn small_segments(dir: &TempDir) -> PartitionConfig {
    PartitionConfig {
        segment_bytes: 256 << 10,
        ..config(dir)
    }
}

fn big(n: u32) -> AppendMessage {
    of_bytes(big_bytes(n))
}

fn big_bytes(n: u32) -> Bytes {
    [raw(&n.to_string()), vec![b'x'; 20_000].into()]
        .concat()
        .into()
}

async fn expunge(partition: &Partition, handle: &MailboxHandle, uids: &UidSet) {
    let op = StoreOp::new(StoreMode::Add, Flags::DELETED, vec![]);
    partition.store_flags(handle, uids, op).await.unwrap();
    partition.expunge(handle, Some(uids)).await.unwrap();
}

/// All but every tenth of a hundred messages is gone.
async fn mostly_dead(partition: &Partition) -> Arc<MailboxHandle> {
    create(partition, &["user/bob", "user/eve", "board"]).await;
    let targets = [name("user/bob"), name("user/eve")];
    for n in 0..100 {
        if n % 20 == 0 {
            partition.deliver(&targets, big(n)).await.unwrap();
        } else {
            partition.append(&targets[0], vec![big(n)]).await.unwrap();
        }
    }
    let handle = partition.open_mailbox(&targets[0]).await.unwrap();
    let board = name("board");
    let some = UidSet::range(11, 11);
    for target in [&targets[0], &board] {
        partition
            .copy(&handle, &some, target, CopyFlags::default())
            .await
            .unwrap();
    }
    let dead: UidSet = (1..=100).filter(|uid| uid % 10 != 1).collect();
    expunge(partition, &handle, &dead).await;
    handle
}

fn journal_bytes(dir: &TempDir) -> u64 {
    journal_files(dir)
        .iter()
        .map(|f| {
            let path = dir.path().join("partition/journal").join(f);
            std::fs::metadata(path).unwrap().len()
        })
        .sum()
}

#[tokio::test]
async fn what_lives_moves_and_the_rest_goes() {
    let dir = TempDir::new().unwrap();
    let partition = Partition::open(small_segments(&dir)).unwrap();
    let handle = mostly_dead(&partition).await;
    drop(handle);
    let before = dump(&partition).await;
    let (files, bytes) = (journal_files(&dir).len(), journal_bytes(&dir));
    assert!(files > 8);
    partition.checkpoint().await.unwrap();
    let garbage = partition.disk_usage().await.unwrap().garbage;
    assert!((bytes / 2..bytes).contains(&garbage), "{garbage}");
    let done = partition.compact().await.unwrap();
    assert!(done.bodies >= 8 && done.corrupt.is_empty(), "{done:?}");
    assert_eq!(done.examined, done.emptied);
    assert_eq!(
        done.bytes,
        Metrics::get(&partition.metrics().compacted_bytes)
    );
    assert_eq!(dump(&partition).await, before);
    assert!(journal_files(&dir).len() < files / 2);
    assert!(journal_bytes(&dir) < bytes / 2);
    partition.checkpoint().await.unwrap();
    assert!(partition.disk_usage().await.unwrap().garbage < garbage / 2);
    // There is nothing left to do.
    let again = partition.compact().await.unwrap();
    assert_eq!(again.bodies, 0);
    // The same after a crash, from the homes and the journal as they are.
    let copy = TempDir::new().unwrap();
    copy_dir(dir.path(), copy.path());
    let reopened = Partition::open(small_segments(&copy)).unwrap();
    assert_eq!(dump(&reopened).await, before);
    partition.shutdown().await.unwrap();
    drop(partition);
    let partition = Partition::open(small_segments(&dir)).unwrap();
    assert_eq!(dump(&partition).await, before);
    // Counted right: without mailboxes nothing is kept.
    for mailbox in before.keys() {
        partition.delete_mailbox(&name(mailbox)).await.unwrap();
    }
    partition.checkpoint().await.unwrap();
    assert!(journal_files(&dir).len() <= 1);
}

#[tokio::test]
async fn a_full_segment_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let partition = Partition::open(small_segments(&dir)).unwrap();
    create(&partition, &["user/bob"]).await;
    for n in 0..40 {
        partition
            .append(&name("user/bob"), vec![big(n)])
            .await
            .unwrap();
    }
    let done = partition.compact().await.unwrap();
    assert_eq!((done.examined, done.bodies), (0, 0));
}

#[tokio::test]
async fn an_old_view_reads_on() {
    let dir = TempDir::new().unwrap();
    let partition = Partition::open(small_segments(&dir)).unwrap();
    let handle = mostly_dead(&partition).await;
    let older = handle.view();
    let op = StoreOp::new(StoreMode::Add, Flags::SEEN, vec![]);
    partition
        .store_flags(&handle, &UidSet::range(1, 1), op)
        .await
        .unwrap();
    let old = handle.view();
    assert!(partition.compact().await.unwrap().bodies > 0);
    let new = handle.view();
    let uid = old.row(1).unwrap().uid;
    let at = |view: &murder_store::MailboxView| view.row_by_uid(uid).unwrap().location;
    assert_ne!(at(&old).segment, at(&new).segment);
    assert_eq!(at(&old), at(&older));
    assert!(murder_store::MailboxView::diff(&old, &new).is_empty());
    let body = partition.read_body(at(&new)).await.unwrap();
    let gone = at(&old);
    drop(old);
    partition
        .append(&name("board"), vec![big(1)])
        .await
        .unwrap();
    partition.checkpoint().await.unwrap();
    assert_eq!(partition.read_body(gone).await.unwrap(), body);
    drop(older);
    partition
        .append(&name("board"), vec![big(2)])
        .await
        .unwrap();
    partition.checkpoint().await.unwrap();
    assert!(matches!(
        partition.read_body(gone).await,
        Err(StoreError::BodyGone)
    ));
    assert_eq!(partition.read_body(at(&new)).await.unwrap(), body);
}

#[tokio::test]
async fn a_corrupt_body_is_reported_and_left() {
    let dir = TempDir::new().unwrap();
    let partition = Partition::open(small_segments(&dir)).unwrap();
    let handle = mostly_dead(&partition).await;
    let row = handle.view().row_by_uid(31).unwrap();
    let file = dir.path().join(format!(
        "partition/journal/{:016x}.seg",
        row.location.segment
    ));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[row.location.offset as usize + 500] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let done = partition.compact().await.unwrap();
    assert_eq!(done.corrupt, [row.location]);
    assert_eq!(done.emptied, done.examined - 1);
    let view = handle.view();
    assert_eq!(view.row_by_uid(31).unwrap().location, row.location);
    assert!(file.exists());
    for row in view.rows(1, view.len()).filter(|r| r.uid != 31) {
        partition.read_body(row.location).await.unwrap();
    }
}

#[tokio::test]
async fn a_body_of_many_homes_is_written_once() {
    let dir = TempDir::new().unwrap();
    let partition = Partition::open(small_segments(&dir)).unwrap();
    let names: Vec<String> = (0..20).map(|n| format!("user/u{n}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    create(&partition, &all).await;
    let targets: Vec<_> = all.iter().map(|n| name(n)).collect();
    partition.deliver(&targets, big(7)).await.unwrap();
    let first = partition.open_mailbox(&targets[0]).await.unwrap();
    for n in 0..30 {
        partition.append(&targets[0], vec![big(n)]).await.unwrap();
    }
    expunge(&partition, &first, &UidSet::range(2, 31)).await;
    let done = partition.compact().await.unwrap();
    assert_eq!((done.bodies, done.bytes), (1, big_bytes(7).len() as u64));
    let mut places = std::collections::BTreeSet::new();
    for target in &targets {
        let view = partition.open_mailbox(target).await.unwrap().view();
        let at = view.row(1).unwrap().location;
        assert_eq!(partition.read_body(at).await.unwrap(), big_bytes(7));
        places.insert((at.segment, at.offset));
    }
    assert_eq!(places.len(), 1);
}

#[tokio::test]
async fn happens_by_itself() {
    let dir = TempDir::new().unwrap();
    let config = PartitionConfig {
        maintenance_interval: Duration::from_millis(5),
        checkpoint_bytes: 256 << 10,
        ..small_segments(&dir)
    };
    let partition = Partition::open(config).unwrap();
    drop(mostly_dead(&partition).await);
    let before = dump(&partition).await;
    partition.checkpoint().await.unwrap();
    while Metrics::get(&partition.metrics().compacted_bodies) < 8 {
        tokio::task::yield_now().await;
    }
    assert_eq!(dump(&partition).await, before);
    partition.shutdown().await.unwrap();
}
