//! Records carry the epoch of their partition, which never goes back, and segments the level of their
//! records, which is raised by those who know that all readers can read it.

use std::fs;
use std::path::Path;

use murder_store::{Health, Partition, PartitionConfig, StoreError, repair};
use tempfile::TempDir;

use crate::newer::seal;
use crate::recovery::{replay_config, segments, ten_records};
use crate::support::*;

/// The level of a segment.
fn level(segment: &Path) -> u32 {
    let bytes = fs::read(segment).unwrap();
    u32::from_le_bytes(bytes[32..36].try_into().unwrap())
}

/// Where the records of a segment begin.
fn records(bytes: &[u8]) -> Vec<usize> {
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let mut found = Vec::new();
    let mut at = 64;
    while at + 64 <= bytes.len() && bytes[at..at + 8] == bytes[8..16] {
        found.push(at);
        let command = u32::from_le_bytes(bytes[at + 12..at + 16].try_into().unwrap()) as usize;
        at = (at + 64 + command + word(at + 16)).next_multiple_of(8);
    }
    found
}

/// The epochs of all records, in their order.
fn epochs(dir: &TempDir) -> Vec<u64> {
    let mut all = Vec::new();
    for segment in segments(dir) {
        let bytes = fs::read(segment).unwrap();
        for at in records(&bytes) {
            all.push(u64::from_le_bytes(
                bytes[at + 56..at + 64].try_into().unwrap(),
            ));
        }
    }
    all
}

fn at_epoch(dir: &TempDir, epoch: u64) -> PartitionConfig {
    PartitionConfig {
        epoch,
        ..replay_config(dir)
    }
}

#[tokio::test]
async fn records_carry_the_epoch_and_it_never_goes_back() {
    let dir = TempDir::new().unwrap();
    let partition = Partition::open(at_epoch(&dir, 3)).unwrap();
    create(&partition, &["user/bob"]).await;
    partition.raise_epoch(5).await.unwrap();
    create(&partition, &["user/eve"]).await;
    partition.raise_epoch(4).await.unwrap();
    create(&partition, &["user/kim"]).await;
    assert_eq!(epochs(&dir), [3, 5, 5]);

    // A crash: nobody tells the next start of it, or tells it of an older one.
    let crashed = TempDir::new().unwrap();
    copy_dir(dir.path(), crashed.path());
    for told in [0, 4, 5] {
        let partition = Partition::open(at_epoch(&crashed, told)).unwrap();
        assert_eq!(partition.epoch(), 5);
        partition
            .append(&name("user/bob"), vec![message("1")])
            .await
            .unwrap();
        partition.shutdown().await.unwrap();
    }
    assert_eq!(epochs(&crashed).last(), Some(&5));

    // Also where nothing was written since.
    partition.raise_epoch(8).await.unwrap();
    let crashed = TempDir::new().unwrap();
    copy_dir(dir.path(), crashed.path());
    assert_eq!(Partition::open(at_epoch(&crashed, 0)).unwrap().epoch(), 8);
}

#[tokio::test]
async fn a_lower_epoch_behind_a_higher_one_is_damage_and_is_not_cut() {
    for raised in [4, 9] {
        // Record 10 is the last one: nothing behind it says that it was durable.
        let (dir, dumps) = ten_records().await;
        let file = segments(&dir).pop().unwrap();
        let mut bytes = fs::read(&file).unwrap();
        let at = records(&bytes)[raised - 1];
        bytes[at + 56..at + 64].copy_from_slice(&7u64.to_le_bytes());
        seal(&mut bytes[at..at + 64], 8..12, 12..64);
        fs::write(&file, &bytes).unwrap();

        let partition = Partition::open(replay_config(&dir)).unwrap();
        let Health::ReadOnly { why } = partition.health() else {
            panic!("record {} is of an older epoch", raised + 1);
        };
        assert!(why.contains("epoch 0, behind one of epoch 7"), "{why}");
        assert_eq!(dump(&partition).await, dumps[raised]);
        partition.shutdown().await.unwrap();
        drop(partition);
        assert_eq!(fs::read(&file).unwrap(), bytes);

        // A repair does not apply it either, and says so.
        let repaired = repair(replay_config(&dir)).unwrap();
        let lost: Vec<u64> = repaired.lost.iter().map(|lost| lost.first_lsn).collect();
        assert_eq!(lost, (raised as u64 + 1..=10).collect::<Vec<_>>());
        let partition = Partition::open(replay_config(&dir)).unwrap();
        assert_eq!(partition.health(), Health::Healthy);
        assert_eq!(partition.epoch(), 7);
        create(&partition, &["user/new"]).await;
    }
}

#[tokio::test]
async fn the_level_is_raised_by_who_opens_it_and_never_lowered() {
    let dir = TempDir::new().unwrap();
    let at_level = |journal_level| PartitionConfig {
        journal_level,
        ..at_epoch(&dir, 3)
    };
    let bob = name("user/bob");
    for (told, level_is, epoch_is) in [(1, 1, 0), (1, 1, 0), (2, 2, 3), (1, 2, 3)] {
        let partition = Partition::open(at_level(told)).unwrap();
        if partition.lookup(&bob).is_none() {
            create(&partition, &["user/bob"]).await;
        }
        partition.append(&bob, vec![message("1")]).await.unwrap();
        partition.shutdown().await.unwrap();
        drop(partition);
        assert_eq!(
            level(segments(&dir).last().unwrap()),
            level_is,
            "told {told}"
        );
        assert_eq!(*epochs(&dir).last().unwrap(), epoch_is, "told {told}");
    }
    // Of all of them together nothing is lost.
    let fresh = TempDir::new().unwrap();
    copy_dir(dir.path(), fresh.path());
    let partition = Partition::open(replay_config(&fresh)).unwrap();
    let handle = partition.open_mailbox(&bob).await.unwrap();
    assert_eq!(handle.view().len(), 4);
    drop((handle, partition));

    // One that this version does not know is not lowered, but refused.
    let identity = dir.path().join("partition/identity");
    let mut bytes = fs::read(&identity).unwrap();
    bytes[120..124].copy_from_slice(&3u32.to_le_bytes());
    seal(&mut bytes, 124..128, 0..124);
    fs::write(&identity, bytes).unwrap();
    let opened = Partition::open(at_level(2));
    assert!(
        matches!(opened, Err(StoreError::Newer { .. })),
        "{opened:?}"
    );
}
