//! What a newer version wrote is refused, and left alone; what is lost is never taken for what was
//! expunged.

use std::fs;
use std::path::Path;

use murder_store::{Health, Partition, StoreError, inspect, repair};
use tempfile::TempDir;

use crate::recovery::{replay_config, segments, ten_records};
use crate::support::*;

/// Neither a start nor a repair touches the file.
fn is_refused(dir: &TempDir, file: &Path) {
    let before = fs::read(file).unwrap();
    let opened = Partition::open(replay_config(dir));
    assert!(
        matches!(opened, Err(StoreError::Newer { .. })),
        "{opened:?}"
    );
    drop(opened);
    let repaired = repair(replay_config(dir));
    assert!(
        matches!(repaired, Err(StoreError::Newer { .. })),
        "{repaired:?}"
    );
    assert_eq!(fs::read(file).unwrap(), before);
}

/// Who looks from outside does not take it for a journal that ends before.
fn is_not_seen_as_shorter(dir: &TempDir) {
    let seen = inspect(&dir.path().join("partition"));
    assert!(matches!(seen, Err(StoreError::Newer { .. })), "{seen:?}");
}

pub fn seal(bytes: &mut [u8], crc: std::ops::Range<usize>, of: std::ops::Range<usize>) {
    let sum = crc32c::crc32c(&bytes[of]);
    bytes[crc].copy_from_slice(&sum.to_le_bytes());
}

#[tokio::test]
async fn a_segment_of_a_greater_level() {
    let (dir, _) = ten_records().await;
    let file = segments(&dir).pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[32..36].copy_from_slice(&3u32.to_le_bytes());
    seal(&mut bytes[..64], 60..64, 0..60);
    fs::write(&file, bytes).unwrap();
    is_refused(&dir, &file);
    is_not_seen_as_shorter(&dir);
}

#[tokio::test]
async fn a_record_with_a_command_or_a_field_that_is_not_known() {
    let (dir, _) = ten_records().await;
    let file = segments(&dir).pop().unwrap();
    let whole = fs::read(&file).unwrap();
    let used = whole.iter().rposition(|&b| b != 0).unwrap() + 1;
    let at = used.next_multiple_of(8);
    // An operation 126; and a DELETE (2) of home 1 with a field 126.
    for command in [
        &[0xf2, 0x07, 0x00][..],
        &[0x12, 0x05, 0x08, 0x01, 0xf0, 0x07, 0x01],
    ] {
        let mut record = [0; 64];
        record[..8].copy_from_slice(&whole[8..16]);
        record[12..16].copy_from_slice(&(command.len() as u32).to_le_bytes());
        record[24..32].copy_from_slice(&11u64.to_le_bytes());
        record[32..40].copy_from_slice(&10u64.to_le_bytes());
        record[40] = 1;
        record[48] = 1;
        record[52..56].copy_from_slice(&crc32c::crc32c(command).to_le_bytes());
        seal(&mut record, 8..12, 12..64);
        let mut bytes = whole.clone();
        bytes[at..at + 64].copy_from_slice(&record);
        bytes[at + 64..at + 64 + command.len()].copy_from_slice(command);
        fs::write(&file, bytes).unwrap();
        is_refused(&dir, &file);
        is_not_seen_as_shorter(&dir);
    }
}

#[tokio::test]
async fn databases_of_newer_versions() {
    let dir = TempDir::new().unwrap();
    let partition = Partition::open(replay_config(&dir)).unwrap();
    create(&partition, &["user/bob"]).await;
    partition.shutdown().await.unwrap();
    drop(partition);
    for file in ["partition.db", "homes/01/1.db"] {
        let copy = TempDir::new().unwrap();
        copy_dir(dir.path(), copy.path());
        let file = copy.path().join("partition").join(file);
        let conn = rusqlite::Connection::open(&file).unwrap();
        conn.pragma_update(None, "user_version", 1000).unwrap();
        drop(conn);
        is_refused(&copy, &file);
    }
}

#[tokio::test]
async fn a_missing_file_is_corruption_and_parts_are_compared() {
    let dir = TempDir::new().unwrap();
    let partition = Partition::open(replay_config(&dir)).unwrap();
    create(&partition, &["user/bob"]).await;
    let bob = name("user/bob");
    let large: Vec<u8> = [&raw("large")[..], &[b'x'; 600_000]].concat();
    partition
        .append(&bob, vec![of_bytes(large.into())])
        .await
        .unwrap();
    partition.append(&bob, vec![message("1")]).await.unwrap();
    partition.shutdown().await.unwrap();
    drop(partition);
    let blob = |dir: &TempDir| {
        let files = fs::read_dir(dir.path().join("partition/journal")).unwrap();
        let mut files = files.map(|entry| entry.unwrap().path());
        files
            .find(|path| path.extension().unwrap() == "blob")
            .unwrap()
    };
    for missing in [true, false] {
        let copy = TempDir::new().unwrap();
        copy_dir(dir.path(), copy.path());
        if missing {
            fs::remove_file(blob(&copy)).unwrap();
        } else {
            let mut bytes = fs::read(blob(&copy)).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(blob(&copy), bytes).unwrap();
        }
        let partition = Partition::open(replay_config(&copy)).unwrap();
        assert_eq!(partition.health(), Health::Healthy);
        assert_eq!(partition.damage().files.len(), usize::from(missing));
        let handle = partition.open_mailbox(&bob).await.unwrap();
        let view = handle.view();
        let at = view.row(1).unwrap().location;
        for _ in 0..2 {
            // Far from the wrong byte.
            for (from, len) in [(0, 10), (100, 10), (0, at.len)] {
                let read = partition.read_body_range(at, from, len).await;
                assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
            }
        }
        // The other one is read, in part and whole, and its place is remembered.
        let other = view.row(2).unwrap().location;
        let part = partition.read_body_range(other, 6, 5).await.unwrap();
        assert_eq!(part, raw("1")[6..11]);
        assert_eq!(partition.read_body(other).await.unwrap(), raw("1"));
        // A copy says so as well, and leaves nothing out.
        create(&partition, &["user/eve"]).await;
        let all = murder_store::UidSet::range(1, 2);
        let copied = partition
            .copy(&handle, &all, &name("user/eve"), Default::default())
            .await;
        match missing {
            true => assert!(matches!(copied, Err(StoreError::Corrupt { .. }))),
            false => assert_eq!(copied.unwrap().source, [1, 2]),
        }
    }
}
