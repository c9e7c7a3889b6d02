//! Which partition a directory holds: what is made, kept, and found from outside.

use std::fs;
use std::path::{Path, PathBuf};

use murder_store::{Found, Partition, PartitionConfig, StoreError, inspect};
use tempfile::TempDir;

use crate::recovery::replay_config;
use crate::support::*;

/// What a directory holds, with times of change.
fn list(dir: &Path) -> Vec<(PathBuf, std::time::SystemTime)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        if path.is_dir() {
            all.extend(list(&path));
        }
        all.push((path, entry.metadata().unwrap().modified().unwrap()));
    }
    all.sort();
    all
}

#[tokio::test]
async fn it_is_made_once_and_kept() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("partition");
    assert_eq!(inspect(&path).unwrap(), Found::Nothing);
    let partition = open(&dir);
    let identity = partition.identity();
    assert_ne!(identity.partition, identity.copy);
    create(&partition, &["user/bob"]).await;
    partition
        .append(&name("user/bob"), vec![message("1")])
        .await
        .unwrap();
    assert_eq!(partition.durable_lsn(), 2);
    // While it is open, and after a kill.
    assert_eq!(
        inspect(&path).unwrap(),
        Found::Partition { identity, lsn: 2 }
    );
    let copy = TempDir::new().unwrap();
    copy_dir(dir.path(), copy.path());
    let files = list(copy.path());
    assert_eq!(
        inspect(&copy.path().join("partition")).unwrap(),
        Found::Partition { identity, lsn: 2 }
    );
    assert_eq!(list(copy.path()), files);
    partition.shutdown().await.unwrap();
    drop(partition);
    let partition = open(&dir);
    assert_eq!(partition.identity(), identity);
    assert_eq!(partition.durable_lsn(), 2);
    drop(partition);
    let partition = open(&copy);
    assert_eq!(partition.identity(), identity);
}

#[tokio::test]
async fn a_directory_without_a_partition_is_left_alone_when_told_so() {
    let dir = TempDir::new().unwrap();
    let config = |path: &Path| PartitionConfig {
        create: false,
        ..PartitionConfig::new("test", path)
    };
    let missing = dir.path().join("partition");
    for made in [false, true] {
        let opened = Partition::open(config(&missing));
        assert!(matches!(opened, Err(StoreError::Missing(_))), "{opened:?}");
        assert_eq!(missing.exists(), made);
        fs::create_dir_all(missing.join("lost+found")).unwrap();
    }
    assert_eq!(list(&missing).len(), 1);
    open(&dir).shutdown().await.unwrap();
    Partition::open(config(&missing)).unwrap();
}

#[tokio::test]
async fn it_is_known_when_one_of_its_places_is_not() {
    let dir = TempDir::new().unwrap();
    let partition = Partition::open(replay_config(&dir)).unwrap();
    let identity = partition.identity();
    create(&partition, &["user/bob"]).await;
    partition.shutdown().await.unwrap();
    drop(partition);
    for file in ["identity", "partition.db"] {
        for zeroed in [false, true] {
            let copy = TempDir::new().unwrap();
            copy_dir(dir.path(), copy.path());
            let path = copy.path().join("partition");
            match zeroed {
                true => fs::write(path.join(file), [0; 4096]).unwrap(),
                false => fs::remove_file(path.join(file)).unwrap(),
            }
            let found = inspect(&path).unwrap();
            let Found::Damaged {
                identity: Some(known),
                ..
            } = found
            else {
                panic!("{file}: {found:?}");
            };
            assert_eq!(known, identity);
        }
    }
}
