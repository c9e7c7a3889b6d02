//! Torn tails, damage, full disks.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use murder_store::{
    Flags, Health, Metrics, Partition, PartitionConfig, StoreError, StoreMode, StoreOp, UidSet,
};
use tempfile::TempDir;

use crate::faulty::FaultyIo;
use crate::support::*;

pub fn replay_config(dir: &TempDir) -> PartitionConfig {
    PartitionConfig {
        checkpoint_bytes: u64::MAX,
        ..config(dir)
    }
}

pub fn segments(dir: &TempDir) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir.path().join("partition/journal"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().unwrap() == "seg")
        .collect();
    files.sort();
    files
}

/// A partition whose homes are lost, so that everything has to come from the journal, with
/// what it showed after each record.
pub async fn ten_records() -> (
    TempDir,
    Vec<std::collections::BTreeMap<String, DumpedMailbox>>,
) {
    let dir = TempDir::new().unwrap();
    let partition = Partition::open(replay_config(&dir)).unwrap();
    let mut dumps = vec![dump(&partition).await];
    for n in 0..10 {
        match n {
            0 => create(&partition, &["user/bob"]).await,
            1 => create(&partition, &["board"]).await,
            5 => {
                let handle = partition.open_mailbox(&name("user/bob")).await.unwrap();
                let op = StoreOp::new(StoreMode::Add, Flags::DELETED, vec!["x".into()]);
                let uids = UidSet::range(1, 1);
                partition.store_flags(&handle, &uids, op).await.unwrap();
            }
            7 => {
                let handle = partition.open_mailbox(&name("user/bob")).await.unwrap();
                partition.expunge(&handle, None).await.unwrap();
            }
            n => {
                let target = if n % 2 == 0 { "user/bob" } else { "board" };
                let message = message(&format!("{n}"));
                partition
                    .append(&name(target), vec![message])
                    .await
                    .unwrap();
            }
        }
        dumps.push(dump(&partition).await);
    }
    let copy = TempDir::new().unwrap();
    copy_dir(dir.path(), copy.path());
    fs::remove_dir_all(copy.path().join("partition/homes")).unwrap();
    (copy, dumps)
}

#[tokio::test]
async fn a_tail_torn_anywhere_leaves_whole_records() {
    let (dir, dumps) = ten_records().await;
    let file = segments(&dir).pop().unwrap();
    let bytes = fs::read(&file).unwrap();
    let used = bytes.iter().rposition(|&b| b != 0).unwrap() + 1;
    let mut rng = Rng::new(7);
    let mut last = 0;
    let mut cuts: Vec<usize> = (0..25).map(|_| rng.below(used as u64) as usize).collect();
    cuts.extend([0, 63, 64, used, bytes.len()]);
    cuts.sort_unstable();
    for cut in cuts {
        let torn = TempDir::new().unwrap();
        copy_dir(dir.path(), torn.path());
        let mut rest = bytes[..cut].to_vec();
        // Junk behind the cut is what a torn write leaves; before the header is durable nothing is
        // written behind it.
        if cut >= 64 {
            rest.extend((0..rng.below(100)).map(|n| n as u8));
        }
        fs::write(segments(&torn).pop().unwrap(), rest).unwrap();
        let partition = Partition::open(replay_config(&torn)).unwrap();
        assert_eq!(partition.health(), Health::Healthy, "cut at {cut}");
        let replayed = Metrics::get(&partition.metrics().replayed) as usize;
        assert!(replayed >= last, "a longer journal holds no less");
        last = replayed;
        assert_eq!(dump(&partition).await, dumps[replayed], "cut at {cut}");
        // Work goes on behind the cut, and survives.
        create(&partition, &["user/new"]).await;
        let before = dump(&partition).await;
        partition.shutdown().await.unwrap();
        drop(partition);
        assert_eq!(dump(&open(&torn)).await, before);
    }
    assert_eq!(last, 10);
}

#[tokio::test]
async fn damage_in_the_middle_is_named_and_nothing_is_written() {
    let (dir, dumps) = ten_records().await;
    let file = segments(&dir).pop().unwrap();
    let bytes = fs::read(&file).unwrap();
    let used = bytes.iter().rposition(|&b| b != 0).unwrap() + 1;
    let mut rng = Rng::new(3);
    let mut seen = 0;
    for _ in 0..20 {
        // Not the last record: damage there cannot be told from a torn tail.
        let at = 64 + rng.below(used as u64 * 3 / 4) as usize;
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        fs::write(&file, &damaged).unwrap();
        let copy = TempDir::new().unwrap();
        copy_dir(dir.path(), copy.path());
        let partition = Partition::open(replay_config(&copy)).unwrap();
        let replayed = Metrics::get(&partition.metrics().replayed) as usize;
        assert_eq!(dump(&partition).await, dumps[replayed]);
        // Zeros between records are nobody's.
        if partition.health() == Health::Healthy {
            assert_eq!(replayed, 10);
            continue;
        }
        seen += 1;
        let result = partition
            .create_mailbox(&name("user/new"), new_mailbox())
            .await;
        let Err(StoreError::Corrupt { segment, offset }) = result else {
            panic!("{result:?}");
        };
        assert_eq!(segment, 1);
        assert!(offset <= at as u64 && at as u64 - offset < 1000);
        partition.shutdown().await.unwrap();
        drop(partition);
        // Nothing was cut, moved or forgotten: with the byte mended all is there.
        let mended = segments(&copy).pop().unwrap();
        assert_eq!(fs::read(&mended).unwrap(), damaged);
        fs::write(&mended, &bytes).unwrap();
        let partition = Partition::open(replay_config(&copy)).unwrap();
        assert_eq!(partition.health(), Health::Healthy);
        assert_eq!(dump(&partition).await, dumps[10]);
    }
    assert!(seen > 10);
}

#[tokio::test]
async fn a_missing_segment_is_damage() {
    let dir = TempDir::new().unwrap();
    let partition = Partition::open(replay_config(&dir)).unwrap();
    create(&partition, &["user/bob"]).await;
    for n in 0..20 {
        let large = vec![b'x'; 200_000];
        let body = [raw(&n.to_string()), large.into()].concat();
        partition
            .append(&name("user/bob"), vec![of_bytes(body.into())])
            .await
            .unwrap();
    }
    let copy = TempDir::new().unwrap();
    copy_dir(dir.path(), copy.path());
    let files = segments(&copy);
    assert!(files.len() > 3);
    fs::remove_file(&files[2]).unwrap();
    let partition = Partition::open(replay_config(&copy)).unwrap();
    assert!(matches!(partition.health(), Health::ReadOnly { .. }));
}

#[tokio::test]
async fn a_body_that_rots_is_noticed() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob"]).await;
    let inbox = name("user/bob");
    partition
        .append(&inbox, vec![message("rot")])
        .await
        .unwrap();
    partition.shutdown().await.unwrap();
    drop(partition);
    let file = segments(&dir).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(3).rposition(|w| w == b"rot").unwrap();
    bytes[at] = b'R';
    fs::write(&file, bytes).unwrap();
    let partition = open(&dir);
    let handle = partition.open_mailbox(&inbox).await.unwrap();
    let row = handle.view().row(1).unwrap();
    assert!(matches!(
        partition.read_body(row.location).await,
        Err(StoreError::Corrupt { segment: 1, .. })
    ));
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers() {
    let dir = TempDir::new().unwrap();
    let io = FaultyIo::default();
    let partition = Partition::open_with(replay_config(&dir), Arc::new(io.clone())).unwrap();
    create(&partition, &["user/bob"]).await;
    let inbox = name("user/bob");
    partition.append(&inbox, vec![message("1")]).await.unwrap();
    let before = dump(&partition).await;
    io.set_full(true);
    for _ in 0..3 {
        assert!(matches!(
            partition.append(&inbox, vec![message("2")]).await,
            Err(StoreError::DiskFull)
        ));
        let large = vec![b'x'; murder_store::INLINE_LIMIT + 1];
        assert!(matches!(
            partition.append(&inbox, vec![of_bytes(large.into())]).await,
            Err(StoreError::DiskFull)
        ));
    }
    assert_eq!(dump(&partition).await, before);
    assert_eq!(partition.health(), Health::Healthy);
    io.set_full(false);
    let appended = partition.append(&inbox, vec![message("3")]).await.unwrap();
    assert_eq!(appended.uids, [2]);
    let before = dump(&partition).await;
    // The same by replay alone.
    let copy = TempDir::new().unwrap();
    copy_dir(dir.path(), copy.path());
    fs::remove_dir_all(copy.path().join("partition/homes")).unwrap();
    let partition = Partition::open(replay_config(&copy)).unwrap();
    assert_eq!(dump(&partition).await, before);
}

#[tokio::test]
async fn a_dying_disk_makes_the_partition_read_only() {
    let dir = TempDir::new().unwrap();
    let io = FaultyIo::default();
    let partition = Partition::open_with(replay_config(&dir), Arc::new(io.clone())).unwrap();
    create(&partition, &["user/bob"]).await;
    let inbox = name("user/bob");
    partition.append(&inbox, vec![message("1")]).await.unwrap();
    io.dies_after(0);
    assert!(partition.append(&inbox, vec![message("2")]).await.is_err());
    assert!(matches!(partition.health(), Health::ReadOnly { .. }));
    assert!(matches!(
        partition.append(&inbox, vec![message("3")]).await,
        Err(StoreError::ReadOnly { .. })
    ));
    assert_eq!(dump(&partition).await["user/bob"].rows.len(), 1);
}

/// Until the partition says so; it has no one to wake.
async fn until(partition: &Partition, health: impl Fn(&Health) -> bool) {
    while !health(&partition.health()) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_home_that_cannot_be_written_is_tried_until_it_can() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob"]).await;
    // The directory of the second home is in the way.
    let obstacle = dir.path().join("partition/homes/02");
    fs::write(&obstacle, "").unwrap();
    let waiting = tokio::spawn({
        let partition = Arc::clone(&partition);
        async move {
            partition
                .create_mailbox(&name("user/eve"), new_mailbox())
                .await
        }
    });
    until(&partition, |h| matches!(h, Health::Stalled { .. })).await;
    assert!(
        partition
            .append(&name("user/bob"), vec![message("1")])
            .await
            .is_err()
    );
    assert!(!waiting.is_finished(), "it is durable, so it must happen");
    fs::remove_file(&obstacle).unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(partition.health(), Health::Healthy);
    partition
        .append(&name("user/bob"), vec![message("1")])
        .await
        .unwrap();

    // Closed meanwhile, it happens at the next start.
    let obstacle = dir.path().join("partition/homes/03");
    fs::write(&obstacle, "").unwrap();
    let waiting = tokio::spawn({
        let partition = Arc::clone(&partition);
        async move {
            partition
                .create_mailbox(&name("user/zoe"), new_mailbox())
                .await
        }
    });
    until(&partition, |h| matches!(h, Health::Stalled { .. })).await;
    partition.shutdown().await.unwrap();
    let told = waiting.await.unwrap();
    assert!(matches!(told, Err(StoreError::InDoubt { .. })), "{told:?}");
    fs::remove_file(&obstacle).unwrap();
    drop(partition);
    let partition = open(&dir);
    assert!(partition.lookup(&name("user/zoe")).is_some());
    assert_eq!(partition.counts(), (3, 3));
}

/// The commit finds the database damaged: the journal keeps what was shown.
#[tokio::test]
async fn what_was_shown_survives_a_home_that_is_damaged() {
    let dir = TempDir::new().unwrap();
    let bob = name("user/bob");
    let home = dir.path().join("partition/homes/01/1.db");
    let change = |statement: &str| {
        let conn = rusqlite::Connection::open(&home).unwrap();
        conn.busy_timeout(std::time::Duration::from_secs(10))
            .unwrap();
        conn.execute_batch(statement).unwrap();
    };
    {
        let partition = open(&dir);
        create(&partition, &["user/bob"]).await;
        partition.checkpoint().await.unwrap();
        change(
            "CREATE TRIGGER broken BEFORE UPDATE ON meta \
             BEGIN SELECT raise(ABORT, 'broken'); END",
        );
        partition.append(&bob, vec![message("1")]).await.unwrap();
        assert_eq!(partition.status(&bob, None).await.unwrap().messages, 0);
        let refused = partition.append(&bob, vec![message("2")]).await;
        assert!(matches!(refused, Err(StoreError::HomeDamaged { .. })));
        partition.shutdown().await.unwrap();
    }
    change("DROP TRIGGER broken");
    let partition = open(&dir);
    let inbox = partition.open_mailbox(&bob).await.unwrap();
    let row = inbox.view().row(1).unwrap();
    assert_eq!(partition.read_body(row.location).await.unwrap(), raw("1"));
}

#[tokio::test]
async fn a_damaged_home_concerns_nobody_else() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob", "user/eve"]).await;
    partition.shutdown().await.unwrap();
    drop(partition);
    let home = dir.path().join("partition/homes/01/1.db");
    fs::write(&home, vec![0x55; 8192]).unwrap();
    let _ = fs::remove_file(home.with_extension("db-wal"));
    let partition = open(&dir);
    assert!(matches!(
        partition
            .append(&name("user/bob"), vec![message("1")])
            .await,
        Err(StoreError::HomeDamaged { home: 1, .. })
    ));
    assert!(partition.open_mailbox(&name("user/bob")).await.is_err());
    let targets = [name("user/bob"), name("user/eve")];
    let results = partition.deliver(&targets, message("2")).await.unwrap();
    assert!(matches!(results[0], Err(StoreError::HomeDamaged { .. })));
    assert_eq!(results[1].as_ref().unwrap().uids, [1]);
    assert!(partition.damage().homes.contains_key(&1));
    // What it refuses was never acknowledged: the journal need not keep it.
    let checkpoints = Metrics::get(&partition.metrics().checkpoints);
    partition.checkpoint().await.unwrap();
    assert_eq!(
        Metrics::get(&partition.metrics().checkpoints),
        checkpoints + 1
    );
    partition.shutdown().await.unwrap();
    drop(partition);
    // Acknowledged before the home was damaged, it stays there until the home is whole again.
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob", "user/eve"]).await;
    partition.checkpoint().await.unwrap();
    let bob = name("user/bob");
    partition.append(&bob, vec![message("1")]).await.unwrap();
    partition.open_mailbox(&bob).await.unwrap();
    let copy = TempDir::new().unwrap();
    copy_dir(dir.path(), copy.path());
    let home = copy.path().join("partition/homes/01/1.db");
    let whole = fs::read(&home).unwrap();
    fs::write(&home, vec![0x55; 8192]).unwrap();
    for _ in 0..2 {
        let partition = open(&copy);
        assert!(partition.damage().homes.contains_key(&1));
        assert_eq!(partition.health(), Health::Healthy);
        let checkpoints = Metrics::get(&partition.metrics().checkpoints);
        create(&partition, &["user/eve/x"]).await;
        partition.delete_mailbox(&name("user/eve/x")).await.unwrap();
        partition.checkpoint().await.unwrap();
        assert_eq!(Metrics::get(&partition.metrics().checkpoints), checkpoints);
        partition.shutdown().await.unwrap();
    }
    fs::write(&home, whole).unwrap();
    let partition = open(&copy);
    assert!(partition.damage().is_empty());
    let inbox = partition.open_mailbox(&bob).await.unwrap();
    let row = inbox.view().row(1).unwrap();
    assert_eq!(partition.read_body(row.location).await.unwrap(), raw("1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_while_everybody_writes() {
    const BYTES: usize = 2000;
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    let names: Vec<String> = (0..120).map(|n| format!("user/u{n}")).collect();
    create(
        &partition,
        &names.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
    for round in 1..=3 {
        let mut writers = tokio::task::JoinSet::new();
        for text in &names {
            let (partition, target) = (Arc::clone(&partition), name(text));
            writers.spawn(async move {
                for _ in 0..6 {
                    let message = of_bytes(vec![b'x'; BYTES].into());
                    partition.append(&target, vec![message]).await.unwrap();
                    // Who reads asks for a commit, between those of the checkpoint.
                    let handle = partition.open_mailbox(&target).await.unwrap();
                    let view = handle.view();
                    let last = view.row(view.len()).unwrap();
                    handle.fetch_items(&[last]).await.unwrap();
                }
            });
        }
        while !writers.is_empty() {
            partition.checkpoint().await.unwrap();
            while writers.try_join_next().is_some() {}
        }
        // What the machine has on disk when it stops now. Replay counts what the last checkpoint
        // has not counted, and nothing twice.
        let after = TempDir::new().unwrap();
        copy_dir(dir.path(), after.path());
        let recovered = open(&after);
        assert_eq!(dump(&recovered).await, dump(&partition).await);
        recovered.checkpoint().await.unwrap();
        let usage = recovered.disk_usage().await.unwrap();
        let count = round * 6 * names.len();
        assert_eq!(usage.living, (count * BYTES) as u64);
    }
}
