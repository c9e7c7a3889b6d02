//! What has an id is done once, however often it is tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use murder_mailbox::MailboxName;
use murder_store::{OnceId, Partition, PartitionConfig, StoreError};
use tempfile::TempDir;

use crate::recovery::replay_config;
use crate::support::*;

const DAY: i64 = 24 * 3600;

fn id(n: u32) -> OnceId {
    let mut id = [7; 16];
    id[..4].copy_from_slice(&n.to_be_bytes());
    id
}

async fn uids_of(partition: &Partition, mailbox: &MailboxName) -> Vec<u32> {
    uids(&partition.open_mailbox(mailbox).await.unwrap().view())
}

async fn deliver(
    partition: &Partition,
    to: &[(&MailboxName, Option<OnceId>)],
) -> Vec<Result<u32, StoreError>> {
    let targets = to.iter().copied();
    let results = partition.deliver_once(targets, message("x")).await.unwrap();
    results
        .into_iter()
        .map(|result| result.map(|appended| appended.uids[0]))
        .collect()
}

#[tokio::test]
async fn an_append_with_an_id_is_done_once() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob", "user/bob/x", "user/eve"]).await;
    let (bob, folder, eve) = (name("user/bob"), name("user/bob/x"), name("user/eve"));
    let two = || vec![message("1"), message("2")];
    let first = partition.append_once(&bob, two(), id(1)).await.unwrap();
    assert_eq!(first.uids, [1, 2]);
    let again = partition.append_once(&bob, two(), id(1)).await.unwrap();
    assert_eq!(
        (again.uidvalidity, again.uids),
        (first.uidvalidity, vec![1, 2])
    );
    // The home is asked, whichever of its mailboxes is named.
    let asked = partition.withdraw(&folder, id(1)).await.unwrap();
    assert_eq!(
        (asked.uidvalidity, asked.uids),
        (first.uidvalidity, vec![1, 2])
    );
    assert_eq!(uids_of(&partition, &bob).await, [1, 2]);
    // What was asked about before it was done is not done any more.
    for _ in 0..2 {
        let asked = partition.withdraw(&bob, id(2)).await;
        assert!(matches!(asked, Err(StoreError::Withdrawn)), "{asked:?}");
        let late = partition.append_once(&bob, two(), id(2)).await;
        assert!(matches!(late, Err(StoreError::Withdrawn)), "{late:?}");
    }
    assert_eq!(uids_of(&partition, &bob).await, [1, 2]);
    // Others' ids are others'.
    partition.append_once(&eve, two(), id(2)).await.unwrap();
    let gone = partition.withdraw(&name("user/nobody"), id(1)).await;
    assert!(matches!(gone, Err(StoreError::NoSuchHome)), "{gone:?}");
    // What was refused may be tried again.
    let none = partition
        .append_once(&name("user/bob/none"), two(), id(3))
        .await;
    assert!(matches!(none, Err(StoreError::NoSuchMailbox)), "{none:?}");
    partition.append_once(&bob, two(), id(3)).await.unwrap();
}

#[tokio::test]
async fn a_delivery_that_is_tried_again_reaches_those_who_have_not_got_it() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob", "user/bob/x", "user/eve"]).await;
    let (bob, folder, eve) = (name("user/bob"), name("user/bob/x"), name("user/eve"));
    let first = deliver(&partition, &[(&bob, Some(id(1))), (&folder, Some(id(2)))]).await;
    assert!(first.iter().all(Result::is_ok), "{first:?}");
    let to = [
        (&bob, Some(id(1))),
        (&folder, Some(id(2))),
        (&eve, Some(id(3))),
        (&folder, None),
    ];
    for expected in [vec![1], vec![1]] {
        let results = deliver(&partition, &to).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        assert_eq!(results[0].as_ref().unwrap(), &1);
        assert_eq!(uids_of(&partition, &bob).await, expected);
        assert_eq!(uids_of(&partition, &eve).await, expected);
    }
    assert_eq!(uids_of(&partition, &folder).await, [1, 2, 3]);
}

#[tokio::test]
async fn ids_survive_a_replay() {
    let dir = TempDir::new().unwrap();
    let crashed = TempDir::new().unwrap();
    let bob = name("user/bob");
    {
        let partition = Partition::open(replay_config(&dir)).unwrap();
        create(&partition, &["user/bob"]).await;
        partition
            .append_once(&bob, vec![message("1")], id(1))
            .await
            .unwrap();
        assert!(partition.withdraw(&bob, id(2)).await.is_err());
        deliver(&partition, &[(&bob, Some(id(3)))]).await;
        copy_dir(dir.path(), crashed.path());
    }
    for round in 0..2 {
        let partition = Partition::open(replay_config(&crashed)).unwrap();
        let again = partition
            .append_once(&bob, vec![message("1")], id(1))
            .await
            .unwrap();
        assert_eq!(again.uids, [1]);
        let late = partition.append_once(&bob, vec![message("2")], id(2)).await;
        assert!(
            matches!(late, Err(StoreError::Withdrawn)),
            "{round}: {late:?}"
        );
        deliver(&partition, &[(&bob, Some(id(3)))]).await;
        assert_eq!(uids_of(&partition, &bob).await, [1, 2]);
        partition.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn ids_are_forgotten_in_time() {
    let dir = TempDir::new().unwrap();
    let time = Arc::new(AtomicI64::new(1_700_000_000));
    let settings = PartitionConfig {
        clock: manual_clock(&time),
        ..config(&dir)
    };
    let partition = Partition::open(settings).unwrap();
    create(&partition, &["user/bob"]).await;
    let bob = name("user/bob");
    let begin = time.load(Ordering::SeqCst);
    // Each is kept for its time, and for less than a day longer.
    for (passed, count) in [
        (0, 2),
        (DAY - 10, 2),
        (2 * DAY, 3),
        (3 * DAY - 10, 3),
        (4 * DAY, 5),
    ] {
        time.store(begin + passed, Ordering::SeqCst);
        partition.purge().await.unwrap();
        deliver(&partition, &[(&bob, Some(id(1)))]).await;
        let append = partition.append_once(&bob, vec![message("1")], id(2));
        append.await.unwrap();
        assert_eq!(uids_of(&partition, &bob).await.len(), count, "{passed}");
    }
}

#[tokio::test]
async fn only_so_many_ids_are_remembered() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob"]).await;
    let bob = name("user/bob");
    let ids: Vec<_> = (0..10_001).map(|n| (&bob, Some(id(n)))).collect();
    assert!(deliver(&partition, &ids).await.iter().all(Result::is_ok));
    let again = [(&bob, Some(id(0))), (&bob, Some(id(10_000)))];
    assert_eq!(
        deliver(&partition, &again).await[1].as_ref().unwrap(),
        &10_001
    );
    assert_eq!(uids_of(&partition, &bob).await.len(), 10_002);
}

#[tokio::test]
async fn deliveries_need_not_be_remembered() {
    let dir = TempDir::new().unwrap();
    let settings = PartitionConfig {
        delivery_ids_kept: std::time::Duration::ZERO,
        ..config(&dir)
    };
    let partition = Partition::open(settings).unwrap();
    create(&partition, &["user/bob"]).await;
    let bob = name("user/bob");
    for _ in 0..2 {
        deliver(&partition, &[(&bob, Some(id(1)))]).await;
    }
    assert_eq!(uids_of(&partition, &bob).await, [1, 2]);
}
