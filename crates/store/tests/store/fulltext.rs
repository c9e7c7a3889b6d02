//! The full-text index: what it rules out, and what becomes of it when homes change.

use std::sync::Arc;
use std::time::Duration;

use murder_store::{
    CopyFlags, Flags, MailboxHandle, Metrics, Partition, PartitionConfig, StoreMode, StoreOp,
    TextFilter, UidSet,
};
use tempfile::TempDir;

use crate::support::*;

/// Everything is indexed, when it is asked for.
fn indexed(dir: &TempDir) -> PartitionConfig {
    PartitionConfig {
        index_least: 1,
        index_delay: Duration::from_secs(3600),
        ..config(dir)
    }
}

async fn open_indexed(dir: &TempDir) -> Arc<Partition> {
    Partition::open(indexed(dir)).unwrap()
}

/// The UIDs of messages that the index does not rule out; `None` without an index.
async fn may_have(handle: &MailboxHandle, text: &str) -> Option<Vec<u32>> {
    let filter = TextFilter::any([text.to_owned()]);
    let candidates = handle.text_candidates(&[filter]).await?;
    let view = handle.view();
    let rows = view.rows(1, view.len());
    let left = rows.filter(|row| !candidates.excludes(row, 0));
    Some(left.map(|row| row.uid).collect())
}

async fn expunge(partition: &Partition, handle: &MailboxHandle, uids: &UidSet) {
    let op = StoreOp::new(StoreMode::Add, Flags::DELETED, vec![]);
    partition.store_flags(handle, uids, op).await.unwrap();
    partition.expunge(handle, Some(uids)).await.unwrap();
}

fn index_files(dir: &TempDir) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for folder in std::fs::read_dir(dir.path().join("partition/homes")).unwrap() {
        let folder = folder.unwrap().path();
        if folder.is_dir() {
            for file in std::fs::read_dir(folder).unwrap() {
                let path = file.unwrap().path();
                files.extend(Some(path).filter(|p| p.extension().is_some_and(|e| e == "fts")));
            }
        }
    }
    files
}

#[tokio::test]
async fn it_rules_out_what_it_has_indexed() {
    let dir = fast_dir();
    let partition = open_indexed(&dir).await;
    create(&partition, &["user/bob", "user/bob/a", "user/eve"]).await;
    let bob = name("user/bob");
    for text in ["alpha", "beta", "Grüße"] {
        partition.append(&bob, vec![message(text)]).await.unwrap();
    }
    let handle = partition.open_mailbox(&bob).await.unwrap();
    assert_eq!(may_have(&handle, "alpha").await, None);
    partition.index_all().await;
    assert_eq!(may_have(&handle, "alpha").await, Some(vec![1]));
    // Anywhere in a word, without accents.
    assert_eq!(may_have(&handle, "lph").await, Some(vec![1]));
    assert_eq!(may_have(&handle, "gru").await, Some(vec![3]));
    assert_eq!(may_have(&handle, "nowhere").await, Some(vec![]));
    // The header too.
    assert_eq!(may_have(&handle, "subject: beta").await, Some(vec![2]));
    // Too short to be looked up.
    assert_eq!(may_have(&handle, "al").await, None);
    // What is not indexed yet may have anything.
    partition
        .append(&bob, vec![message("gamma")])
        .await
        .unwrap();
    assert_eq!(may_have(&handle, "alpha").await, Some(vec![1, 4]));
    partition.index_all().await;
    assert_eq!(may_have(&handle, "alpha").await, Some(vec![1]));
    // A copy in the home needs no indexing, one in another does.
    let before = Metrics::get(&partition.metrics().indexed);
    let all = UidSet::range(1, 4);
    for target in ["user/bob/a", "user/eve"] {
        partition
            .copy(&handle, &all, &name(target), CopyFlags::default())
            .await
            .unwrap();
    }
    let copy = partition.open_mailbox(&name("user/bob/a")).await.unwrap();
    assert_eq!(may_have(&copy, "gamma").await, Some(vec![4]));
    partition.index_all().await;
    assert_eq!(Metrics::get(&partition.metrics().indexed), before + 4);
    let other = partition.open_mailbox(&name("user/eve")).await.unwrap();
    assert_eq!(may_have(&other, "gamma").await, Some(vec![4]));
    // Renamed, it is the same mailbox.
    partition
        .rename_mailbox(&name("user/bob/a"), &name("user/bob/b"))
        .await
        .unwrap();
    let copy = partition.open_mailbox(&name("user/bob/b")).await.unwrap();
    assert_eq!(may_have(&copy, "gamma").await, Some(vec![4]));
    partition.shutdown().await.unwrap();
    // And after a restart.
    drop((handle, copy, other, partition));
    let partition = open_indexed(&dir).await;
    let handle = partition.open_mailbox(&bob).await.unwrap();
    assert_eq!(may_have(&handle, "alpha").await, Some(vec![1]));
    let usage = partition.disk_usage().await.unwrap();
    assert!(usage.index > 0 && usage.total() > usage.index, "{usage:?}");
    assert!(partition.home_usage("user/bob").await.unwrap().index > 0);
    partition.shutdown().await.unwrap();
}

#[tokio::test]
async fn it_can_be_turned_off_and_small_homes_have_none() {
    for (on, least) in [(false, 1), (true, 10)] {
        let dir = fast_dir();
        let config = PartitionConfig {
            index_texts: on,
            index_least: least,
            ..indexed(&dir)
        };
        let partition = Partition::open(config).unwrap();
        create(&partition, &["user/bob"]).await;
        let bob = name("user/bob");
        partition
            .append(&bob, vec![message("alpha")])
            .await
            .unwrap();
        partition.index_all().await;
        let handle = partition.open_mailbox(&bob).await.unwrap();
        assert_eq!(may_have(&handle, "alpha").await, None);
        assert!(index_files(&dir).is_empty());
        partition.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn it_is_filled_by_itself() {
    let dir = fast_dir();
    let config = PartitionConfig {
        index_delay: Duration::from_millis(1),
        ..indexed(&dir)
    };
    let partition = Partition::open(config).unwrap();
    create(&partition, &["user/bob"]).await;
    let bob = name("user/bob");
    let messages = (0..150).map(|n| message(&format!("number {n}"))).collect();
    partition.append(&bob, messages).await.unwrap();
    let handle = partition.open_mailbox(&bob).await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), async {
        while may_have(&handle, "number 77").await != Some(vec![78]) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    partition.shutdown().await.unwrap();
}

#[tokio::test]
async fn entries_of_messages_that_are_gone_are_removed() {
    let dir = fast_dir();
    let partition = open_indexed(&dir).await;
    create(&partition, &["user/bob"]).await;
    let bob = name("user/bob");
    let messages = (0..400).map(|n| message(&format!("word{n:03}"))).collect();
    partition.append(&bob, messages).await.unwrap();
    partition.index_all().await;
    let handle = partition.open_mailbox(&bob).await.unwrap();
    expunge(&partition, &handle, &UidSet::range(1, 390)).await;
    partition.index_all().await;
    let file = index_files(&dir).pop().unwrap();
    let index = rusqlite::Connection::open(file).unwrap();
    let count = |sql: &str| index.query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM doc"), 10);
    assert_eq!(
        count("SELECT count(*) FROM text WHERE text MATCH '\"wor\"'"),
        10
    );
    assert_eq!(may_have(&handle, "word395").await, Some(vec![396]));
    drop(index);
    partition.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_damaged_index_is_made_anew() {
    let dir = fast_dir();
    let partition = open_indexed(&dir).await;
    create(&partition, &["user/bob"]).await;
    let bob = name("user/bob");
    let messages = (0..100).map(|n| message(&format!("word{n:03}"))).collect();
    partition.append(&bob, messages).await.unwrap();
    partition.index_all().await;
    partition.shutdown().await.unwrap();
    drop(partition);
    let file = index_files(&dir).pop().unwrap();
    let _ = std::fs::remove_file(file.with_extension("fts-wal"));
    std::fs::write(&file, vec![0x5a; 64 << 10]).unwrap();
    let partition = open_indexed(&dir).await;
    let handle = partition.open_mailbox(&bob).await.unwrap();
    assert_eq!(may_have(&handle, "word005").await, None);
    partition.index_all().await;
    partition.index_all().await;
    assert_eq!(may_have(&handle, "word005").await, Some(vec![6]));
    // One of another version too.
    let file = index_files(&dir).pop().unwrap();
    let other = rusqlite::Connection::open(file).unwrap();
    other.pragma_update(None, "user_version", 99).unwrap();
    drop(other);
    partition.shutdown().await.unwrap();
    drop((handle, partition));
    let partition = open_indexed(&dir).await;
    let handle = partition.open_mailbox(&bob).await.unwrap();
    assert_eq!(may_have(&handle, "word005").await, None);
    partition.index_all().await;
    assert_eq!(may_have(&handle, "word005").await, Some(vec![6]));
    partition.shutdown().await.unwrap();
}

#[tokio::test]
async fn it_goes_with_its_home() {
    let dir = fast_dir();
    let partition = open_indexed(&dir).await;
    create(&partition, &["user/bob", "user/carol"]).await;
    let (bob, carol) = (name("user/bob"), name("user/carol"));
    partition
        .append(&bob, vec![message("alpha")])
        .await
        .unwrap();
    partition.index_all().await;
    assert_eq!(index_files(&dir).len(), 1);
    partition.delete_mailbox(&bob).await.unwrap();
    // Carol's home takes the name of the one without mailboxes, which is dropped.
    partition.rename_mailbox(&carol, &bob).await.unwrap();
    partition.checkpoint().await.unwrap();
    assert!(index_files(&dir).is_empty());
    partition.shutdown().await.unwrap();
}
