#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use murder_mailbox::{MailboxId, MailboxName};
use tempfile::TempDir;

use super::Partition;
use crate::checkpoint::{self, Changes};
use crate::home::schema;
use crate::journal::checkpoint::Checkpoint;
use crate::partition_db::{self, PartitionDb};
use crate::{
    AppendMessage, CreateMailbox, Flags, Health, InternalDate, PartitionConfig, StoreError,
    StoreMode, StoreOp, UidSet,
};

fn open(dir: &TempDir) -> Arc<Partition> {
    let path = dir.path().join("partition");
    Partition::open(PartitionConfig {
        maintenance_interval: Duration::ZERO,
        shards: 1,
        ..PartitionConfig::new("test", path)
    })
    .unwrap()
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse_canonical(text).unwrap()
}

fn message(text: &str) -> Vec<AppendMessage> {
    vec![AppendMessage {
        body: Bytes::from(format!("Subject: {text}\r\n\r\n{text}\r\n")).into(),
        flags: Flags::NONE,
        keywords: Vec::new(),
        internal_date: InternalDate::default(),
        save_date: 0,
        seen_by: None,
    }]
}

async fn create(partition: &Partition, mailbox: &str) {
    let create = CreateMailbox {
        id: MailboxId::new(),
        uidvalidity: 1,
        acl: String::new(),
        special_use: None,
        now: 0,
        shared_seen: false,
    };
    partition
        .create_mailbox(&name(mailbox), create)
        .await
        .unwrap();
}

async fn until(partition: &Partition, healthy: bool) {
    while (partition.health() == Health::Healthy) != healthy {
        tokio::task::yield_now().await;
    }
}

/// Messages are shown and answered before their home is committed: here the commit has no room.
#[tokio::test]
async fn what_was_shown_is_committed_when_there_is_room_again() {
    let dir = TempDir::new().unwrap();
    let (bob, eve) = (name("user/bob"), name("user/eve"));
    let partition = open(&dir);
    create(&partition, "user/bob").await;
    create(&partition, "user/eve").await;
    partition.append(&bob, message("1")).await.unwrap();
    partition.checkpoint().await.unwrap();
    let inbox = partition.open_mailbox(&bob).await.unwrap();

    partition.shared.commits_fail.store(true, Ordering::SeqCst);
    partition.append(&bob, message("2")).await.unwrap();
    let shown = inbox.view();
    // Refused, shown like the message, or waiting: as the shard goes.
    let flagged = tokio::spawn({
        let (partition, inbox) = (Arc::clone(&partition), Arc::clone(&inbox));
        async move {
            let flag = StoreOp::new(StoreMode::Add, Flags::FLAGGED, Vec::new());
            let uids = UidSet::range(1, 1);
            partition.store_flags(&inbox, &uids, flag).await.is_ok()
        }
    });
    assert_eq!(shown.len(), 2);
    let refused = partition.status(&bob, None).await;
    assert!(matches!(refused, Err(StoreError::DiskFull)), "{refused:?}");
    until(&partition, false).await;
    assert!(partition.append(&bob, message("3")).await.is_err());
    // What is committed can be read, by whoever does not need the rest.
    assert_eq!(partition.status(&eve, None).await.unwrap().messages, 0);

    partition.shared.commits_fail.store(false, Ordering::SeqCst);
    until(&partition, true).await;
    let flagged = flagged.await.unwrap();
    partition.append(&bob, message("3")).await.unwrap();
    let status = partition.status(&bob, None).await.unwrap();
    assert_eq!((status.messages, status.uidnext), (3, 4));
    let row = inbox.view().row(1).unwrap();
    assert_eq!(row.flags.contains(Flags::FLAGGED), flagged);
    assert_eq!(inbox.view().row(2), shown.row(2));
    partition.shutdown().await.unwrap();
    let modseq = inbox.view().highest_modseq();
    drop((inbox, partition));
    let partition = open(&dir);
    let inbox = partition.open_mailbox(&bob).await.unwrap();
    assert_eq!(inbox.view().row(2), shown.row(2));
    assert_eq!(inbox.view().highest_modseq(), modseq);
}

/// Closed while commits fail, what was shown is replayed.
#[tokio::test]
async fn what_was_shown_is_replayed_when_it_could_not_be_committed() {
    let dir = TempDir::new().unwrap();
    let bob = name("user/bob");
    let partition = open(&dir);
    create(&partition, "user/bob").await;
    partition.checkpoint().await.unwrap();
    let inbox = partition.open_mailbox(&bob).await.unwrap();
    partition.shared.commits_fail.store(true, Ordering::SeqCst);
    partition.append(&bob, message("1")).await.unwrap();
    let shown = inbox.view();
    partition.shutdown().await.unwrap();
    drop((inbox, partition));
    let partition = open(&dir);
    let inbox = partition.open_mailbox(&bob).await.unwrap();
    assert_eq!(inbox.view().row(1), shown.row(1));
    assert_eq!(shown.len(), 1);
}

/// An older file of a home is found by its time. A later checkpoint of the other homes must not make
/// that time one to be passed over.
#[tokio::test]
async fn an_older_home_is_damaged_at_every_start() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("partition");
    let (bob, eve) = (name("user/bob"), name("user/eve"));
    let partition = open(&dir);
    create(&partition, "user/bob").await;
    create(&partition, "user/eve").await;
    partition.append(&bob, message("1")).await.unwrap();
    let home = partition.shared.catalogue.home("user/bob").unwrap();
    partition.shutdown().await.unwrap();
    let homes = path.join("homes");
    let files = [schema::path(&homes, home), schema::wal_path(&homes, home)];
    let older = files.clone().map(|file| std::fs::read(file).ok());

    let partition = open(&dir);
    partition.append(&bob, message("2")).await.unwrap();
    partition.shutdown().await.unwrap();
    for (file, older) in files.iter().zip(older) {
        match older {
            Some(older) => std::fs::write(file, older).unwrap(),
            None => drop(std::fs::remove_file(file)),
        }
    }
    let hour_ago = checkpoint::now() - 3600;
    let db = || PartitionDb::open(&path.join(partition_db::FILE)).unwrap();
    let (mut changed, stamp) = (db(), db().stamp());
    let at = Checkpoint {
        began: hour_ago,
        ..stamp.checkpoint
    };
    let (listings, changes) = (Vec::new(), Changes::default());
    changed
        .write(at, stamp.last_home, &listings, &changes)
        .unwrap();
    changed.stamp().write(&path).unwrap();
    drop(changed);

    for round in 0..3 {
        let partition = open(&dir);
        let damaged = partition.damage().homes;
        assert!(damaged.keys().eq([&home]), "start {round}: {damaged:?}");
        // The other home works, and is checkpointed.
        partition.append(&eve, message("1")).await.unwrap();
        partition.shutdown().await.unwrap();
        assert_eq!(db().checkpoint.began, hour_ago);
    }
}
