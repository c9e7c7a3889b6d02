//! Quota: limits, usage, refusals.

use murder_store::{
    CopyFlags, Flags, QuotaLimits, QuotaResource, StoreError, StoreMode, StoreOp, UidSet,
};
use tempfile::TempDir;

use crate::support::*;

fn of_size(bytes: usize) -> murder_store::AppendMessage {
    let mut body = raw("x").to_vec();
    body.resize(bytes, b'y');
    of_bytes(body.into())
}

fn limits(storage: Option<u64>, message: Option<u64>, mailbox: Option<u64>) -> QuotaLimits {
    QuotaLimits {
        storage,
        message,
        mailbox,
    }
}

fn is_over<T: std::fmt::Debug>(
    result: Result<T, StoreError>,
    resource: QuotaResource,
) -> (String, u64, u64) {
    match result {
        Err(StoreError::OverQuota {
            root,
            resource: what,
            usage,
            limit,
        }) if what == resource => (root, usage, limit),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn limits_hold_and_usage_is_exact() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob", "user/bob/a", "user/eve"]).await;
    let (inbox, a, eve) = (name("user/bob"), name("user/bob/a"), name("user/eve"));
    partition
        .append(&a, vec![of_size(1000), of_size(1000)])
        .await
        .unwrap();
    partition
        .set_quota(&inbox, limits(Some(4), Some(5), Some(3)))
        .await
        .unwrap();
    let quota = partition.quotas("user/bob").await.unwrap().remove(0);
    assert_eq!(quota.root, inbox);
    assert_eq!(quota.limits, limits(Some(4), Some(5), Some(3)));
    let usage = quota.usage;
    assert_eq!((usage.storage, usage.message, usage.mailbox), (2, 2, 2));
    // Exactly full is not over.
    partition.append(&inbox, vec![of_size(2096)]).await.unwrap();
    partition.check_room(&a, 0, 0).await.unwrap();
    let over = ("user/bob".to_owned(), 4, 4);
    let appended = partition.append(&a, vec![of_size(200)]).await;
    assert_eq!(is_over(appended, QuotaResource::Storage), over);
    let room = partition.check_room(&a, 1, 200).await;
    assert_eq!(is_over(room, QuotaResource::Storage), over);
    // A delivery to many is refused only where there is no room.
    let results = partition
        .deliver(&[inbox.clone(), eve.clone()], of_size(200))
        .await
        .unwrap();
    assert!(matches!(results[0], Err(StoreError::OverQuota { .. })));
    assert!(results[1].is_ok());
    // Copies count; moves under the same root do not.
    let handle = partition.open_mailbox(&a).await.unwrap();
    let both = UidSet::range(1, 2);
    let copied = partition
        .copy(&handle, &both, &inbox, CopyFlags::default())
        .await;
    is_over(copied, QuotaResource::Storage);
    partition
        .move_messages(&handle, &both, &inbox, CopyFlags::default())
        .await
        .unwrap();
    let from_eve = partition.open_mailbox(&eve).await.unwrap();
    let moved = partition
        .move_messages(&from_eve, &UidSet::range(1, 1), &a, CopyFlags::default())
        .await;
    is_over(moved, QuotaResource::Storage);
    assert_eq!(from_eve.view().len(), 1);
    partition
        .set_quota(&inbox, limits(None, Some(3), Some(3)))
        .await
        .unwrap();
    let appended = partition.append(&inbox, vec![of_size(200)]).await;
    assert_eq!(
        is_over(appended, QuotaResource::Message),
        ("user/bob".to_owned(), 3, 3)
    );
    create(&partition, &["user/bob/b"]).await;
    let created = partition
        .create_mailbox(&name("user/bob/c"), new_mailbox())
        .await;
    is_over(created, QuotaResource::Mailbox);
    // Expunging makes room, though what was expunged can be restored.
    let handle = partition.open_mailbox(&inbox).await.unwrap();
    let op = StoreOp::new(StoreMode::Add, Flags::DELETED, vec![]);
    partition
        .store_flags(&handle, &UidSet::range(1, 1), op)
        .await
        .unwrap();
    partition.expunge(&handle, None).await.unwrap();
    partition.append(&inbox, vec![of_size(200)]).await.unwrap();
    let before = partition.quotas("user/bob").await.unwrap();
    assert_eq!(before[0].usage.storage, 3);
    assert!(partition.check_quota("user/bob").await.unwrap().is_empty());
    drop((handle, from_eve));
    partition.shutdown().await.unwrap();
    drop(partition);
    let partition = open(&dir);
    assert_eq!(partition.quotas("user/bob").await.unwrap(), before);
    partition
        .set_quota(&inbox, QuotaLimits::default())
        .await
        .unwrap();
    assert!(partition.quotas("user/bob").await.unwrap().is_empty());
    assert!(matches!(
        partition
            .set_quota(&name("user/zoe"), QuotaLimits::default())
            .await,
        Err(StoreError::NoSuchHome)
    ));
}

#[tokio::test]
async fn roots_below_roots() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob", "user/bob/x/y", "user/bob/z"]).await;
    let (inbox, x, y, z) = (
        name("user/bob"),
        name("user/bob/x"),
        name("user/bob/x/y"),
        name("user/bob/z"),
    );
    for target in [&inbox, &y, &z] {
        partition.append(target, vec![of_size(3000)]).await.unwrap();
    }
    partition
        .set_quota(&inbox, limits(Some(6), None, None))
        .await
        .unwrap();
    // `x` is no mailbox.
    partition
        .set_quota(&x, limits(Some(4), None, None))
        .await
        .unwrap();
    let usage = async || {
        let quotas = partition.quotas("user/bob").await.unwrap();
        quotas
            .iter()
            .map(|q| (q.usage.message, q.usage.mailbox))
            .collect::<Vec<_>>()
    };
    assert_eq!(usage().await, [(2, 2), (1, 1)]);
    assert_eq!(partition.quota_roots(&y).await.unwrap()[0].root, x);
    assert_eq!(partition.quota_roots(&z).await.unwrap()[0].root, inbox);
    // Neither has room for what is the other's.
    let moved = name("user/bob/x/z");
    let renamed = partition.rename_mailbox(&z, &moved).await;
    is_over(renamed, QuotaResource::Storage);
    assert!(partition.lookup(&z).is_some());
    partition
        .set_quota(&x, limits(Some(100), None, None))
        .await
        .unwrap();
    partition.rename_mailbox(&z, &moved).await.unwrap();
    assert_eq!(usage().await, [(1, 1), (2, 2)]);
    let saved = name("user/bob/x/saved");
    partition
        .rename_inbox(&inbox, &saved, new_mailbox())
        .await
        .unwrap();
    assert_eq!(usage().await, [(0, 1), (3, 3)]);
    partition.delete_mailbox(&y).await.unwrap();
    assert_eq!(usage().await, [(0, 1), (2, 2)]);
    assert!(partition.check_quota("user/bob").await.unwrap().is_empty());
    // With the home go its roots.
    for target in [&inbox, &moved, &saved] {
        partition.delete_mailbox(target).await.unwrap();
    }
    assert!(partition.quotas("user/bob").await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_counted_wrong_is_reported() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob", "user/bob/a"]).await;
    let inbox = name("user/bob");
    partition
        .set_quota(&inbox, limits(Some(100), None, None))
        .await
        .unwrap();
    partition.append(&inbox, vec![of_size(500)]).await.unwrap();
    partition.shutdown().await.unwrap();
    drop(partition);
    let home = dir.path().join("partition/homes/01/1.db");
    let conn = rusqlite::Connection::open(home).unwrap();
    conn.execute("UPDATE mailbox SET messages = 3 WHERE name = ''", [])
        .unwrap();
    conn.execute("UPDATE quota SET used_bytes = 400", [])
        .unwrap();
    conn.close().unwrap();
    let partition = open(&dir);
    let found = partition.check_quota("user/bob").await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].recorded, found[0].counted), (3, 1));
    assert_eq!(found[0].resource, QuotaResource::Message);
    assert!(!found[0].of_root && found[1].of_root);
    assert_eq!((found[1].recorded, found[1].counted), (400, 500));
    assert_eq!(found[1].resource, QuotaResource::Storage);
    // And repaired, for good.
    partition.repair_quota("user/bob").await.unwrap();
    assert!(partition.check_quota("user/bob").await.unwrap().is_empty());
    let status = partition.status(&inbox, None).await.unwrap();
    assert_eq!((status.messages, status.size), (1, 500));
    partition.shutdown().await.unwrap();
    drop(partition);
    let partition = open(&dir);
    assert!(partition.check_quota("user/bob").await.unwrap().is_empty());
    assert!(matches!(
        partition.repair_quota("user/eve").await,
        Err(StoreError::NoSuchHome)
    ));
}

/// The record of a repair is read again like any other.
#[tokio::test]
async fn a_repair_is_replayed() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob"]).await;
    let inbox = name("user/bob");
    partition.repair_quota("user/bob").await.unwrap();
    partition.append(&inbox, vec![of_size(500)]).await.unwrap();
    let crashed = TempDir::new().unwrap();
    copy_dir(dir.path(), crashed.path());
    let partition = open(&crashed);
    assert_eq!(partition.health(), murder_store::Health::Healthy);
    let status = partition.status(&inbox, None).await.unwrap();
    assert_eq!(status.messages, 1);
}
