//! Damaged journals: what can be used of them is, and what is lost is said.

use std::fs;

use murder_store::{Health, Partition, Repaired, StoreError, repair};
use tempfile::TempDir;

use crate::recovery::{replay_config, segments, ten_records};
use crate::support::*;

/// Opens a repaired partition and uses it; repairing it again finds nothing.
async fn works_again(dir: &TempDir) {
    let partition = Partition::open(replay_config(dir)).unwrap();
    assert_eq!(partition.health(), Health::Healthy);
    create(&partition, &["user/new"]).await;
    partition
        .append(&name("user/new"), vec![message("n")])
        .await
        .unwrap();
    partition.shutdown().await.unwrap();
    drop(partition);
    assert_eq!(repair(replay_config(dir)).unwrap(), Repaired::default());
}

/// UIDs, UIDVALIDITYs and the bodies that can be read.
async fn contents(dir: &TempDir) -> Vec<(String, u32, Vec<u32>, usize)> {
    let partition = Partition::open(replay_config(dir)).unwrap();
    let mut all = Vec::new();
    for meta in partition.mailboxes() {
        let view = partition.open_mailbox(&meta.name).await.unwrap().view();
        let mut readable = 0;
        for row in view.rows(1, view.len()) {
            match partition.read_body(row.location).await {
                Ok(_) => readable += 1,
                Err(StoreError::Corrupt { .. }) => {}
                Err(e) => panic!("{e}"),
            }
        }
        all.push((
            meta.name.to_string(),
            meta.uidvalidity,
            uids(&view),
            readable,
        ));
    }
    partition.shutdown().await.unwrap();
    all
}

#[tokio::test]
async fn a_flipped_bit_anywhere() {
    let (dir, _) = ten_records().await;
    let whole = {
        let copy = TempDir::new().unwrap();
        copy_dir(dir.path(), copy.path());
        contents(&copy).await
    };
    let file = segments(&dir).pop().unwrap();
    let bytes = fs::read(&file).unwrap();
    let used = bytes.iter().rposition(|&b| b != 0).unwrap() + 1;
    let mut rng = Rng::new(5);
    let (mut bodies, mut records) = (0, 0);
    for _ in 0..60 {
        let at = 64 + rng.below(used as u64 * 3 / 4) as usize;
        let copy = TempDir::new().unwrap();
        copy_dir(dir.path(), copy.path());
        let damaged_file = segments(&copy).pop().unwrap();
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        fs::write(&damaged_file, &damaged).unwrap();
        let health = {
            let partition = Partition::open(replay_config(&copy)).unwrap();
            let health = partition.health();
            partition.shutdown().await.unwrap();
            health
        };
        // Again as it was: that start has applied what comes before the damage.
        if rng.below(2) == 0 {
            fs::remove_dir_all(copy.path().join("partition/homes")).unwrap();
        }
        let report = repair(replay_config(&copy)).unwrap();
        if health == Health::Healthy {
            assert_eq!(report, Repaired::default());
            continue;
        }
        assert!(report.is_whole());
        let kept = copy.path().join("partition/damaged");
        let kept = kept.join(damaged_file.file_name().unwrap());
        assert_eq!(fs::read(kept).unwrap(), damaged);
        let now = contents(&copy).await;
        if let [body] = &report.corrupt_bodies[..] {
            bodies += 1;
            assert!(report.lost.is_empty() && report.concerned_homes.is_empty());
            assert!((body.offset..body.offset + u64::from(body.len)).contains(&(at as u64)));
            // Every UID is as it was; one body cannot be read, unless it is expunged anyway.
            let structure = |all: &[(String, u32, Vec<u32>, usize)]| {
                all.iter()
                    .map(|m| (m.0.clone(), m.1, m.2.clone()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(structure(&now), structure(&whole));
            let readable =
                |all: &[(String, u32, Vec<u32>, usize)]| -> usize { all.iter().map(|m| m.3).sum() };
            assert!(readable(&whole) - readable(&now) <= 1);
        } else {
            records += 1;
            let [lost] = &report.lost[..] else {
                panic!("{report:?}");
            };
            assert_eq!(lost.first_lsn, lost.last_lsn);
            assert_eq!(lost.segment, 1);
            assert!(lost.offset <= at as u64 && at as u64 - lost.offset < 400);
            assert_eq!(report.salvaged, 10 - lost.first_lsn);
            // Where something is missing, clients are told to forget what they know.
            for (mailbox, uidvalidity, ..) in &now {
                let (_, old, ..) = whole.iter().find(|m| m.0 == *mailbox).unwrap();
                let home = name(mailbox).home_key().to_owned();
                let created_later = uidvalidity == old;
                assert!(
                    created_later || report.concerned_homes.contains(&home),
                    "{report:?}"
                );
            }
        }
        works_again(&copy).await;
    }
    assert!(bodies > 5 && records > 10, "{bodies} {records}");
}

#[tokio::test]
async fn a_lost_append_changes_uidvalidity() {
    let dir = TempDir::new().unwrap();
    let partition = Partition::open(replay_config(&dir)).unwrap();
    create(&partition, &["user/bob", "user/eve"]).await;
    for n in 1..=3 {
        partition
            .append(&name("user/bob"), vec![message(&n.to_string())])
            .await
            .unwrap();
    }
    let before = partition.lookup(&name("user/bob")).unwrap();
    let eve = partition.lookup(&name("user/eve")).unwrap();
    let view = partition.open_mailbox(&before.name).await.unwrap().view();
    let second = view.row(2).unwrap().location;
    let copy = TempDir::new().unwrap();
    copy_dir(dir.path(), copy.path());
    fs::remove_dir_all(copy.path().join("partition/homes")).unwrap();
    let file = segments(&copy).pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    // In the command, which is before the body: the header still names the home.
    bytes[second.offset as usize - 3] ^= 1;
    fs::write(&file, bytes).unwrap();
    let report = repair(replay_config(&copy)).unwrap();
    assert_eq!(report.lost.len(), 1);
    assert_eq!(report.lost[0].home, Some(1));
    assert_eq!(report.concerned_homes, ["user/bob"]);
    let partition = Partition::open(replay_config(&copy)).unwrap();
    let after = partition.lookup(&before.name).unwrap();
    assert!(after.uidvalidity > before.uidvalidity);
    assert_eq!(partition.lookup(&eve.name).unwrap(), eve);
    let view = partition.open_mailbox(&before.name).await.unwrap().view();
    let mut bodies = Vec::new();
    for row in view.rows(1, view.len()) {
        bodies.push(partition.read_body(row.location).await.unwrap());
    }
    assert_eq!(bodies, [raw("1"), raw("3")]);
}

#[tokio::test]
async fn a_home_that_has_applied_it_has_lost_nothing() {
    let dir = TempDir::new().unwrap();
    let partition = Partition::open(replay_config(&dir)).unwrap();
    create(&partition, &["user/bob", "user/eve"]).await;
    for n in 1..=3 {
        partition
            .append(&name("user/bob"), vec![message(&n.to_string())])
            .await
            .unwrap();
    }
    partition
        .append(&name("user/eve"), vec![message("e")])
        .await
        .unwrap();
    let before = dump(&partition).await;
    let copy = TempDir::new().unwrap();
    copy_dir(dir.path(), copy.path());
    let file = segments(&copy).pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    // The header of the first append, LSN 3.
    let tag = bytes[64..72].to_vec();
    let mut headers = (64..bytes.len())
        .step_by(8)
        .filter(|&at| bytes[at..at + 8] == tag);
    let at = headers.nth(2).unwrap();
    bytes[at + 20] ^= 1;
    fs::write(&file, bytes).unwrap();
    let report = repair(replay_config(&copy)).unwrap();
    assert_eq!(report.lost.len(), 1);
    assert_eq!((report.lost[0].first_lsn, report.lost[0].home), (3, None));
    // The homes were further: of the record nothing is missing.
    assert!(report.concerned_homes.is_empty());
    let partition = Partition::open(replay_config(&copy)).unwrap();
    assert_eq!(dump(&partition).await, before);
}

#[tokio::test]
async fn missing_and_headless_segments() {
    for headless in [false, true] {
        let dir = TempDir::new().unwrap();
        let partition = Partition::open(replay_config(&dir)).unwrap();
        create(&partition, &["user/bob"]).await;
        for n in 0..20 {
            let body = [raw(&n.to_string()), vec![b'x'; 200_000].into()].concat();
            partition
                .append(&name("user/bob"), vec![of_bytes(body.into())])
                .await
                .unwrap();
        }
        let before = partition.lookup(&name("user/bob")).unwrap();
        let copy = TempDir::new().unwrap();
        copy_dir(dir.path(), copy.path());
        fs::remove_dir_all(copy.path().join("partition/homes")).unwrap();
        let files = segments(&copy);
        if headless {
            let mut bytes = fs::read(&files[2]).unwrap();
            bytes[..64].fill(7);
            fs::write(&files[2], bytes).unwrap();
        } else {
            fs::remove_file(&files[2]).unwrap();
        }
        let report = repair(replay_config(&copy)).unwrap();
        let partition = Partition::open(replay_config(&copy)).unwrap();
        assert_eq!(partition.health(), Health::Healthy);
        let view = partition.open_mailbox(&before.name).await.unwrap().view();
        let missing: u64 = report
            .lost
            .iter()
            .map(|l| l.last_lsn - l.first_lsn + 1)
            .sum();
        assert_eq!(u64::from(view.len()) + missing, 20);
        // Only the header is bad: nothing is lost.
        assert_eq!(report.lost.is_empty(), headless);
        for row in view.rows(1, view.len()) {
            partition.read_body(row.location).await.unwrap();
        }
        let after = partition.lookup(&before.name).unwrap();
        assert_eq!(after.uidvalidity > before.uidvalidity, !headless);
        partition.shutdown().await.unwrap();
        drop(partition);
        works_again(&copy).await;
    }
}
