//! More homes, records and messages than are kept at hand.

use std::sync::Arc;

use murder_store::{
    CHUNK_ROWS, Flags, MailboxView, Metrics, Partition, PartitionConfig, StoreMode, StoreOp, UidSet,
};
use tempfile::TempDir;

use crate::model::journal_files;
use crate::support::*;

#[tokio::test]
async fn more_homes_than_are_kept_open() {
    let dir = TempDir::new().unwrap();
    let config = PartitionConfig {
        open_homes: 8,
        readers: 2,
        open_segments: 1,
        view_cache_bytes: 4096,
        checkpoint_bytes: 64 << 10,
        segment_bytes: 256 << 10,
        ..config(&dir)
    };
    let partition = Partition::open(config.clone()).unwrap();
    let names: Vec<String> = (0..40).map(|n| format!("user/u{n}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    create(&partition, &all).await;
    for round in 0..3 {
        let mut tasks = tokio::task::JoinSet::new();
        for text in &names {
            let (partition, target) = (Arc::clone(&partition), name(text));
            tasks.spawn(async move {
                let body = [raw(&format!("{round}")), vec![b'z'; 4000].into()].concat();
                partition.append(&target, vec![of_bytes(body.into())]).await
            });
        }
        for result in tasks.join_all().await {
            assert_eq!(result.unwrap().uids, [round + 1]);
        }
    }
    let before = dump(&partition).await;
    assert_eq!(before.len(), 40);
    assert!(Metrics::get(&partition.metrics().homes_opened) > 80);
    // Checkpoints happened by themselves, and what is live was kept.
    partition.checkpoint().await.unwrap();
    assert!(Metrics::get(&partition.metrics().checkpoints) > 2);
    assert!(journal_files(&dir).len() > 1);
    partition.shutdown().await.unwrap();
    drop(partition);
    let partition = Partition::open(config).unwrap();
    assert_eq!(dump(&partition).await, before);
}

#[tokio::test]
async fn disk_usage_is_what_the_disk_says() {
    let dir = TempDir::new().unwrap();
    let partition = Partition::open(PartitionConfig {
        expunge_delay: std::time::Duration::from_secs(10),
        ..config(&dir)
    })
    .unwrap();
    create(&partition, &["user/bob", "user/eve"]).await;
    let (bob, eve) = (name("user/bob"), name("user/eve"));
    let of_size = |bytes| of_bytes(vec![b'x'; bytes].into());
    let both = [bob.clone(), eve.clone()];
    partition.deliver(&both, of_size(5000)).await.unwrap();
    partition.append(&bob, vec![of_size(700)]).await.unwrap();
    let large = murder_store::INLINE_LIMIT + 1;
    partition.append(&eve, vec![of_size(large)]).await.unwrap();
    let handle = partition.open_mailbox(&bob).await.unwrap();
    // A copy takes nothing.
    partition
        .copy(&handle, &UidSet::range(1, 1), &bob, Default::default())
        .await
        .unwrap();
    let op = StoreOp::new(StoreMode::Add, Flags::DELETED, vec![]);
    partition
        .store_flags(&handle, &UidSet::range(2, 2), op)
        .await
        .unwrap();
    partition.expunge(&handle, None).await.unwrap();
    let usage = partition.home_usage("user/bob").await.unwrap();
    assert_eq!((usage.messages, usage.restorable), (5000, 700));
    let usage = partition.home_usage("user/eve").await.unwrap();
    assert_eq!(usage.messages, 5000 + large as u64);
    assert_eq!(usage.restorable, 0);
    assert!(usage.database > 4096);
    partition.checkpoint().await.unwrap();
    let usage = partition.disk_usage().await.unwrap();
    assert_eq!(usage.living, 5000 + 700 + 5000 + large as u64);
    assert_eq!(usage.garbage, 0);
    assert_eq!(partition.kept_bytes().await.unwrap(), 700);
    assert_eq!(partition.homes(), ["user/bob".into(), "user/eve".into()]);
    assert!(usage.large_bodies >= large as u64);
    assert!(usage.journal >= 1 << 20, "a segment is set aside whole");
    assert!(usage.free < usage.size);
    assert!(usage.total() >= usage.journal + usage.large_bodies + usage.homes);
}

#[tokio::test]
async fn a_long_wal_is_carried_over_and_begun_anew() {
    const MIB: u64 = 1 << 20;
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob"]).await;
    let bob = name("user/bob");
    let file = dir.path().join("partition/homes/01/1.db");
    let wal = file.with_extension("db-wal");
    let len = |path: &std::path::Path| path.metadata().unwrap().len();
    // What is listed of it makes long rows.
    let long = format!("Subject: {}\r\n\r\n", "long ".repeat(1000));
    let mut longest = 0;
    // A record for each, as of a busy home. Each page that is changed is in the WAL, and is
    // written to the file only when the WAL is carried over.
    while len(&file) < 3 * MIB {
        let messages = vec![of_bytes(long.clone().into())];
        partition.append(&bob, messages).await.unwrap();
        longest = longest.max(len(&wal));
    }
    // Busy or not: much sooner than by the commit itself.
    assert!((MIB..12 * MIB).contains(&longest), "{longest}");
    // Nobody writes while this waits for the commit, so that at some time the WAL is all in the
    // file.
    while len(&wal) > MIB {
        let handle = partition.open_mailbox(&bob).await.unwrap();
        let view = handle.view();
        let last = view.row(view.len()).unwrap();
        handle.fetch_items(&[last]).await.unwrap();
        partition.append(&bob, vec![message("1")]).await.unwrap();
    }
    let before = dump(&partition).await;
    partition.shutdown().await.unwrap();
    drop(partition);
    assert_eq!(dump(&open(&dir)).await, before);
}

#[tokio::test]
async fn writers_share_a_sync() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob", "user/eve"]).await;
    let records = |p: &Partition| Metrics::get(&p.metrics().records);
    let (batches, before) = (
        Metrics::get(&partition.metrics().batches),
        records(&partition),
    );
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..400 {
        let partition = Arc::clone(&partition);
        let target = name(if n % 2 == 0 { "user/bob" } else { "user/eve" });
        tasks.spawn(async move {
            partition
                .append(&target, vec![message(&n.to_string())])
                .await
        });
    }
    let mut uids: Vec<u32> = tasks
        .join_all()
        .await
        .into_iter()
        .map(|result| result.unwrap().uids[0])
        .collect();
    uids.sort_unstable();
    let both: Vec<u32> = (1..=200).flat_map(|uid| [uid, uid]).collect();
    assert_eq!(uids, both);
    assert_eq!(records(&partition) - before, 400);
    let batches = Metrics::get(&partition.metrics().batches) - batches;
    assert!(batches < 200, "{batches} batches for 400 records");
}

#[tokio::test]
async fn views_of_many_chunks() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["board"]).await;
    let board = name("board");
    let handle = partition.open_mailbox(&board).await.unwrap();
    let total = CHUNK_ROWS as u32 * 3 + 100;
    for _ in 0..total / 400 + 1 {
        let messages = (0..400).map(|n| message(&n.to_string())).collect();
        partition.append(&board, messages).await.unwrap();
    }
    let full = handle.view();
    let total = full.len();
    // What was built step by step is what is loaded at once.
    assert_eq!(full.row(total).unwrap().uid, total);
    for (low, high) in [
        (1, 1),
        (1000, 1030),
        (2048, 2049),
        (total, u32::MAX),
        (0, 3),
        (9, 8),
    ] {
        let seqs: Vec<u32> = full.rows(low, high).map(|r| r.seq).collect();
        let expected: Vec<u32> = (low.max(1)..=high.min(total)).collect();
        assert_eq!(seqs, expected);
    }
    let mut op = StoreOp::new(StoreMode::Add, Flags::DELETED, vec![]);
    let odd: UidSet = (1..=total).filter(|u| u % 2 == 1 || *u < 2000).collect();
    partition
        .store_flags(&handle, &odd, op.clone())
        .await
        .unwrap();
    let expunged = partition.expunge(&handle, None).await.unwrap();
    assert_eq!(expunged.uids, odd);
    let thin = handle.view();
    let diff = MailboxView::diff(&full, &thin);
    assert_eq!(diff.vanished, odd);
    assert_eq!(diff.expunged, odd.iter().collect::<Vec<_>>());
    assert!(diff.changed.is_empty() && diff.added == 0);
    for (seq, row) in (1..).zip(thin.rows(1, thin.len())) {
        assert_eq!(row.seq, seq);
        assert_eq!(thin.seq_of(row.uid), Some(seq));
        assert_eq!(thin.uid_of(seq), Some(row.uid));
    }
    assert_eq!(thin.seq_of(1), None);
    assert_eq!(thin.seq_from_uid(1), 1);
    assert_eq!(thin.seq_from_uid(u32::MAX), thin.len() + 1);
    op.mode = StoreMode::Remove;
    op.flags = Flags::SEEN;
    let none = partition
        .store_flags(&handle, &UidSet::range(1, u32::MAX), op)
        .await
        .unwrap();
    assert!(none.changed.is_empty());
    partition.shutdown().await.unwrap();
    drop((partition, handle));
    let partition = open(&dir);
    let loaded = partition.open_mailbox(&board).await.unwrap().view();
    assert_eq!(uids(&loaded), uids(&thin));
    assert!(MailboxView::diff(&thin, &loaded).is_empty());
}
