//! Old copies of a partition that are put back, and what the master knows of it.

use std::sync::Arc;

use murder_store::{
    Flags, MailboxStatus, Partition, PartitionConfig, PutBack, Report, StoreError, StoreMode,
    StoreOp, UidSet,
};
use tempfile::TempDir;

use crate::support::*;

const GAP: u32 = 100;

fn gapped(dir: &TempDir) -> PartitionConfig {
    PartitionConfig {
        uid_gap: GAP,
        ..config(dir)
    }
}

async fn append(partition: &Partition, mailbox: &str, count: usize) {
    for n in 0..count {
        let message = message(&format!("{mailbox} {n}"));
        partition
            .append(&name(mailbox), vec![message])
            .await
            .unwrap();
    }
}

async fn status(partition: &Partition, mailbox: &str) -> MailboxStatus {
    partition.status(&name(mailbox), None).await.unwrap()
}

async fn flag(partition: &Partition, mailbox: &str, uid: u32, flags: Flags) {
    let handle = partition.open_mailbox(&name(mailbox)).await.unwrap();
    let op = StoreOp::new(StoreMode::Add, flags, Vec::new());
    let uids = UidSet::range(uid, uid);
    partition.store_flags(&handle, &uids, op).await.unwrap();
}

/// A partition of which a copy was made, the copy, and how far the partition came afterwards.
async fn copied() -> (TempDir, Report, [MailboxStatus; 2]) {
    let dir = TempDir::new().unwrap();
    let partition = Partition::open(gapped(&dir)).unwrap();
    create(&partition, &["user/bob", "user/bob/Sent", "board"]).await;
    append(&partition, "user/bob", 3).await;
    append(&partition, "board", 2).await;
    partition.shutdown().await.unwrap();
    drop(partition);
    let copy = TempDir::new().unwrap();
    copy_dir(dir.path(), copy.path());
    let partition = Partition::open(gapped(&dir)).unwrap();
    append(&partition, "user/bob", 5).await;
    append(&partition, "board", 1).await;
    flag(&partition, "user/bob", 1, Flags::FLAGGED).await;
    flag(&partition, "user/bob", 2, Flags::DELETED).await;
    let bob = partition.open_mailbox(&name("user/bob")).await.unwrap();
    partition.expunge(&bob, None).await.unwrap();
    let after = [
        status(&partition, "user/bob").await,
        status(&partition, "board").await,
    ];
    let report = partition.report();
    (copy, report, after)
}

#[tokio::test]
async fn nothing_that_was_seen_after_the_copy_comes_back_for_something_else() {
    let (dir, known, seen) = copied().await;
    let partition = Partition::open(gapped(&dir)).unwrap();
    let before = partition.report();
    assert!(before.lsn < known.lsn);
    assert_eq!((before.uids, known.uids), (5, 11));
    let bob = partition.open_mailbox(&name("user/bob")).await.unwrap();
    let put_back = PutBack {
        known: Some(known),
        uidvalidity: 5000,
    };
    let restored = partition.restored(put_back).await.unwrap();
    assert_eq!((restored.jumped, restored.renewed.len()), (3, 0));
    for (mailbox, seen) in ["user/bob", "board"].iter().zip(&seen) {
        let now = status(&partition, mailbox).await;
        assert_eq!(now.uidvalidity, seen.uidvalidity);
        assert!(now.uidnext >= seen.uidnext + GAP, "{mailbox}");
        assert!(now.highest_modseq >= seen.highest_modseq + (1 << 32));
    }
    // A client that comes with what it saw last is told of every message, with its flags, and of
    // those that are gone for good.
    let view = bob.view();
    assert_eq!(uids(&view), [1, 2, 3]);
    assert!(
        view.rows(1, 3)
            .all(|row| row.modseq > seen[0].highest_modseq && row.flags == Flags::NONE)
    );
    let vanished = bob.expunged_since(seen[0].highest_modseq).await.unwrap();
    assert_eq!(vanished.ranges(), [(4, view.uidnext() - 1)]);
    append(&partition, "user/bob", 1).await;
    append(&partition, "user/bob/Sent", 1).await;
    create(&partition, &["user/eve"]).await;
    append(&partition, "user/eve", 1).await;
    let now = partition.report();
    assert!(now.lsn > known.lsn + (1 << 32));
    assert!(now.uids > known.uids + u64::from(GAP));
    let whole = dump(&partition).await;
    drop(bob);
    partition.shutdown().await.unwrap();
    drop(partition);
    // The replay of it is in `crashes.rs`, where the model does it too.
    let partition = Partition::open(gapped(&dir)).unwrap();
    assert_eq!(dump(&partition).await, whole);
    assert_eq!(partition.report(), now);
}

#[tokio::test]
async fn a_mailbox_without_enough_uids_gets_a_new_uidvalidity() {
    let (dir, known, seen) = copied().await;
    let partition = Partition::open(PartitionConfig {
        uid_gap: u32::MAX - 3,
        ..gapped(&dir)
    })
    .unwrap();
    let put_back = PutBack {
        known: Some(Report { uids: 5, ..known }),
        uidvalidity: 5000,
    };
    let restored = partition.restored(put_back).await.unwrap();
    // Only `Sent`, which has no message, and `board` have room for that.
    assert_eq!(restored.jumped, 2);
    let [bob] = restored.renewed.as_slice() else {
        panic!("{restored:?}");
    };
    assert_eq!((bob.name.as_str(), bob.uidvalidity), ("user/bob", 5000));
    let now = status(&partition, "user/bob").await;
    assert_eq!((now.uidvalidity, now.uidnext, now.messages), (5000, 4, 3));
    assert!(now.uidvalidity > seen[0].uidvalidity);
    let full = partition.append(&name("board"), vec![message("a")]).await;
    assert!(matches!(full, Err(StoreError::UidsExhausted)));
}

#[tokio::test]
async fn where_nobody_knows_how_far_it_had_come_all_uidvalidities_are_new() {
    let (dir, _, _) = copied().await;
    let partition = Partition::open(gapped(&dir)).unwrap();
    for least in [3000, 100] {
        let put_back = PutBack {
            known: None,
            uidvalidity: least,
        };
        let restored = partition.restored(put_back).await.unwrap();
        assert_eq!((restored.jumped, restored.renewed.len()), (0, 3));
        let expected = if least == 3000 { 3000 } else { 3001 };
        assert!(restored.renewed.iter().all(|m| m.uidvalidity == expected));
    }
    let now = status(&partition, "user/bob").await;
    assert_eq!((now.uidvalidity, now.uidnext), (3001, 4));
    let whole = dump(&partition).await;
    partition.shutdown().await.unwrap();
    let partition = Partition::open(gapped(&dir)).unwrap();
    assert_eq!(dump(&partition).await, whole);
}

#[tokio::test]
async fn a_partition_without_homes_goes_on_where_it_is_told() {
    let dir = TempDir::new().unwrap();
    let partition = Partition::open(gapped(&dir)).unwrap();
    let known = Report { lsn: 77, uids: 9 };
    let put_back = PutBack {
        known: Some(known),
        uidvalidity: 1,
    };
    partition.restored(put_back).await.unwrap();
    let report = partition.report();
    assert!(report.lsn > known.lsn && report.uids > known.uids);
    create(&partition, &["user/bob"]).await;
    append(&partition, "user/bob", 1).await;
    let whole = dump(&partition).await;
    partition.shutdown().await.unwrap();
    let partition = Partition::open(gapped(&dir)).unwrap();
    assert_eq!(dump(&partition).await, whole);
}

/// Opens a partition that has a master.
fn open_reporting(dir: &TempDir) -> Arc<Partition> {
    Partition::open(PartitionConfig {
        has_master: true,
        ..gapped(dir)
    })
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn no_uid_is_given_out_too_far_beyond_what_the_master_knows() {
    let dir = TempDir::new().unwrap();
    let partition = open_reporting(&dir);
    create(&partition, &["user/bob", "user/bob/Sent", "board"]).await;
    append(&partition, "user/bob", GAP as usize / 2).await;
    partition.report_due().await;
    let bob = partition.open_mailbox(&name("user/bob")).await.unwrap();
    let all = UidSet::range(1, GAP / 2);
    let flags = murder_store::CopyFlags::default;
    partition
        .copy(&bob, &all, &name("user/bob/Sent"), flags())
        .await
        .unwrap();
    let refused = [
        partition
            .append(&name("board"), vec![message("more")])
            .await
            .map(|_| ()),
        partition
            .copy(&bob, &all, &name("user/bob/Sent"), flags())
            .await
            .map(|_| ()),
        partition
            .move_messages(&bob, &all, &name("board"), flags())
            .await
            .map(|_| ()),
    ];
    for refused in refused {
        assert!(
            matches!(refused, Err(StoreError::Unreported)),
            "{refused:?}"
        );
    }
    // What gives out no UID goes on, and deliveries fail one by one.
    flag(&partition, "user/bob", 1, Flags::FLAGGED).await;
    let delivered = partition.deliver(&[name("board")], message("more")).await;
    assert!(matches!(delivered, Err(StoreError::Unreported)));
    // A restart forgets nothing.
    drop(bob);
    partition.shutdown().await.unwrap();
    drop(partition);
    let partition = open_reporting(&dir);
    let refused = partition
        .append(&name("board"), vec![message("more")])
        .await;
    assert!(matches!(refused, Err(StoreError::Unreported)));
    partition.report_due().await;
    let report = partition.report();
    assert!(report.uids >= u64::from(GAP));
    partition.set_reported(report);
    append(&partition, "board", 3).await;
    partition.shutdown().await.unwrap();
    drop(partition);
    // Nor what was reported.
    let partition = open_reporting(&dir);
    append(&partition, "board", GAP as usize - 3).await;
}

#[tokio::test]
async fn what_waits_for_a_report_goes_on_with_it() {
    let dir = TempDir::new().unwrap();
    let partition = open_reporting(&dir);
    create(&partition, &["user/bob"]).await;
    let reports = {
        let partition = Arc::clone(&partition);
        tokio::spawn(async move {
            for _ in 0.. {
                partition.report_due().await;
                partition.set_reported(partition.report());
            }
        })
    };
    let many: Vec<_> = (0..3 * GAP).map(|n| message(&format!("{n}"))).collect();
    partition.append(&name("user/bob"), many).await.unwrap();
    append(&partition, "user/bob", GAP as usize).await;
    assert_eq!(status(&partition, "user/bob").await.messages, 4 * GAP);
    reports.abort();
}
