//! What was expunged or deleted comes back, for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use murder_store::{
    CopyFlags, Flags, MailboxHandle, Partition, PartitionConfig, StoreError, StoreMode, StoreOp,
    UidSet,
};
use tempfile::TempDir;

use crate::model::journal_files;
use crate::support::*;

const DELAY: i64 = 1000;

struct Kept {
    dir: TempDir,
    time: Arc<AtomicI64>,
}

impl Kept {
    fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            time: Arc::new(AtomicI64::new(1_700_000_000)),
        }
    }

    fn config(&self) -> PartitionConfig {
        PartitionConfig {
            expunge_delay: Duration::from_secs(DELAY as u64),
            delete_delay: Duration::from_secs(DELAY as u64),
            clock: manual_clock(&self.time),
            ..config(&self.dir)
        }
    }

    fn open(&self) -> Arc<Partition> {
        Partition::open(self.config()).unwrap()
    }

    fn pass(&self, seconds: i64) {
        self.time.fetch_add(seconds, Ordering::SeqCst);
    }
}

async fn expunge(partition: &Partition, handle: &MailboxHandle, uids: &UidSet) {
    let op = StoreOp::new(StoreMode::Add, Flags::DELETED, vec!["kw".into()]);
    partition.store_flags(handle, uids, op).await.unwrap();
    partition.expunge(handle, None).await.unwrap();
}

#[tokio::test]
async fn expunged_messages_come_back_with_new_uids() {
    let kept = Kept::new();
    let partition = kept.open();
    create(&partition, &["user/bob"]).await;
    let inbox = name("user/bob");
    let messages = (1..=4).map(|n| message(&n.to_string())).collect();
    partition.append(&inbox, messages).await.unwrap();
    let handle = partition.open_mailbox(&inbox).await.unwrap();
    expunge(&partition, &handle, &UidSet::range(2, 3)).await;
    assert_eq!(uids(&handle.view()), [1, 4]);
    let status = partition.status(&inbox, None).await.unwrap();
    assert_eq!((status.messages, status.deleted), (2, 0));
    partition.shutdown().await.unwrap();
    drop((handle, partition));

    let partition = kept.open();
    let restorable = partition.restorable("user/bob").await.unwrap();
    let found: Vec<u32> = restorable.messages.iter().map(|m| m.uid).collect();
    assert_eq!(found, [3, 2]);
    let three = &restorable.messages[0];
    assert!(three.envelope.starts_with(b"("));
    assert_eq!(partition.read_body(three.location).await.unwrap(), raw("3"));
    assert_eq!(three.keep_until - three.expunged_at, DELAY);
    let handle = partition.open_mailbox(&inbox).await.unwrap();
    assert_eq!(three.mailbox, handle.id());
    let restored = partition
        .restore_messages(&handle, &UidSet::range(3, 9))
        .await
        .unwrap();
    assert_eq!((restored.source, restored.target), (vec![3], vec![5]));
    let view = handle.view();
    assert_eq!(uids(&view), [1, 4, 5]);
    let row = view.row_by_uid(5).unwrap();
    assert_eq!(row.flags, Flags::NONE);
    assert_eq!(
        view.keywords().names(row.keywords).collect::<Vec<_>>(),
        ["kw"]
    );
    assert_eq!(row.email_id, three.email_id);
    assert_eq!(partition.read_body(row.location).await.unwrap(), raw("3"));
    let items = handle.fetch_items(&[row]).await.unwrap();
    assert_eq!(*items[0].as_ref().unwrap().envelope(), three.envelope);
    assert_eq!(handle.expunged_since(0).await.unwrap(), UidSet::range(2, 3));
    // What is not kept cannot be restored.
    let nothing = partition
        .restore_messages(&handle, &UidSet::range(3, 3))
        .await
        .unwrap();
    assert!(nothing.target.is_empty());
}

#[tokio::test]
async fn their_time_is_over() {
    let kept = Kept::new();
    let partition = kept.open();
    create(&partition, &["user/bob", "user/bob/a"]).await;
    let (inbox, other) = (name("user/bob"), name("user/bob/a"));
    let messages = (1..=300).map(|n| message(&n.to_string())).collect();
    partition.append(&inbox, messages).await.unwrap();
    let handle = partition.open_mailbox(&inbox).await.unwrap();
    // What was moved is not expunged.
    partition
        .move_messages(
            &handle,
            &UidSet::range(299, 300),
            &other,
            CopyFlags::default(),
        )
        .await
        .unwrap();
    expunge(&partition, &handle, &UidSet::range(1, 250)).await;
    let at = partition.restorable("user/bob").await.unwrap().messages[0].location;
    kept.pass(DELAY - 1);
    assert_eq!(partition.purge().await.unwrap().messages, 0);
    expunge(&partition, &handle, &UidSet::range(260, 260)).await;
    partition.delete_mailbox(&other).await.unwrap();
    kept.pass(1);
    assert_eq!(partition.purge().await.unwrap().messages, 250);
    let left = partition.restorable("user/bob").await.unwrap();
    assert_eq!((left.messages.len(), left.mailboxes.len()), (1, 1));
    kept.pass(DELAY);
    let purged = partition.purge().await.unwrap();
    assert_eq!((purged.messages, purged.mailboxes), (3, 1));
    let left = partition.restorable("user/bob").await.unwrap();
    assert_eq!((left.messages.len(), left.mailboxes.len()), (0, 0));
    drop(handle);
    // Nothing refers to the bodies.
    partition.delete_mailbox(&inbox).await.unwrap();
    kept.pass(DELAY);
    partition.purge().await.unwrap();
    partition.shutdown().await.unwrap();
    drop(partition);
    let partition = kept.open();
    // The last segment goes once there is another.
    create(&partition, &["user/eve"]).await;
    partition.checkpoint().await.unwrap();
    assert!(matches!(
        partition.read_body(at).await,
        Err(StoreError::BodyGone)
    ));
    assert!(journal_files(&kept.dir).len() <= 1);
}

#[tokio::test]
async fn a_deleted_mailbox_comes_back() {
    let kept = Kept::new();
    let partition = kept.open();
    create(&partition, &["user/bob", "user/bob/a"]).await;
    let mailbox = name("user/bob/a");
    let messages = (1..=3).map(|n| message(&n.to_string())).collect();
    partition.append(&mailbox, messages).await.unwrap();
    let handle = partition.open_mailbox(&mailbox).await.unwrap();
    expunge(&partition, &handle, &UidSet::range(2, 2)).await;
    let old = partition.delete_mailbox(&mailbox).await.unwrap();
    assert!(handle.is_deleted());
    drop(handle);
    assert!(partition.lookup(&mailbox).is_none());
    assert!(matches!(
        partition.open_mailbox(&mailbox).await,
        Err(StoreError::NoSuchMailbox)
    ));
    // The name is free at once.
    create(&partition, &["user/bob/a"]).await;
    let new = partition.lookup(&mailbox).unwrap();
    assert!(new.uidvalidity > old.uidvalidity);
    partition.shutdown().await.unwrap();
    drop(partition);

    let partition = kept.open();
    let restorable = partition.restorable("user/bob").await.unwrap();
    assert!(restorable.messages.is_empty());
    let deleted = &restorable.mailboxes[0];
    assert_eq!(deleted.id, old.id);
    assert_eq!((&*deleted.relative_name, deleted.messages), ("a", 2));
    assert_eq!(*deleted.acl, *old.acl.to_string());
    assert_eq!(deleted.keep_until - deleted.deleted_at, DELAY);
    assert!(matches!(
        partition
            .restore_mailbox(old.id, &mailbox, new_mailbox())
            .await,
        Err(StoreError::MailboxExists)
    ));
    let mut with_old_id = new_mailbox();
    with_old_id.id = old.id;
    let b = name("user/bob/b");
    assert!(matches!(
        partition.restore_mailbox(old.id, &b, with_old_id).await,
        Err(StoreError::MailboxExists)
    ));
    let back = partition
        .restore_mailbox(old.id, &b, new_mailbox())
        .await
        .unwrap();
    assert_eq!(partition.lookup(&b).unwrap(), back);
    let handle = partition.open_mailbox(&b).await.unwrap();
    let view = handle.view();
    assert_eq!((uids(&view), view.uidnext()), (vec![1, 3], 4));
    for row in view.rows(1, 2) {
        partition.read_body(row.location).await.unwrap();
    }
    // So does what was expunged from it.
    let restored = partition
        .restore_messages(&handle, &UidSet::range(1, 9))
        .await
        .unwrap();
    assert_eq!((restored.source, restored.target), (vec![2], vec![4]));
    assert!(matches!(
        partition
            .restore_mailbox(old.id, &name("user/bob/c"), new_mailbox())
            .await,
        Err(StoreError::NoSuchMailbox)
    ));
    // Under its old name it has a greater UIDVALIDITY.
    partition.delete_mailbox(&b).await.unwrap();
    let again = partition
        .restore_mailbox(back.id, &b, new_mailbox())
        .await
        .unwrap();
    assert!(again.uidvalidity > back.uidvalidity);
    // Nothing of it is purged.
    kept.pass(2 * DELAY);
    assert_eq!(partition.purge().await.unwrap().messages, 0);
    assert_eq!(partition.status(&b, None).await.unwrap().messages, 3);
}

#[tokio::test]
async fn a_home_that_makes_room_forgets() {
    let kept = Kept::new();
    let partition = kept.open();
    create(&partition, &["user/bob", "user/eve"]).await;
    for target in ["user/bob", "user/eve"] {
        partition
            .append(&name(target), vec![message(target)])
            .await
            .unwrap();
    }
    let handle = partition.open_mailbox(&name("user/bob")).await.unwrap();
    expunge(&partition, &handle, &UidSet::range(1, 1)).await;
    drop(handle);
    partition.delete_mailbox(&name("user/bob")).await.unwrap();
    partition
        .rename_mailbox(&name("user/eve"), &name("user/bob"))
        .await
        .unwrap();
    let restorable = partition.restorable("user/bob").await.unwrap();
    assert!(restorable.mailboxes.is_empty());
    partition.delete_mailbox(&name("user/bob")).await.unwrap();
    kept.pass(DELAY);
    partition.purge().await.unwrap();
    partition.shutdown().await.unwrap();
    assert!(journal_files(&kept.dir).len() <= 1);
}

#[tokio::test]
async fn kept_bodies_move_when_segments_are_emptied() {
    let kept = Kept::new();
    let config = PartitionConfig {
        segment_bytes: 256 << 10,
        ..kept.config()
    };
    let partition = Partition::open(config).unwrap();
    create(&partition, &["user/bob"]).await;
    let inbox = name("user/bob");
    let handle = partition.open_mailbox(&inbox).await.unwrap();
    for n in 0..40 {
        let body = [raw(&n.to_string()), vec![b'x'; 20_000].into()].concat();
        partition
            .append(&inbox, vec![of_bytes(body.into())])
            .await
            .unwrap();
    }
    let most: UidSet = (1..=40).filter(|uid| uid % 8 != 0).collect();
    expunge(&partition, &handle, &most).await;
    kept.pass(DELAY);
    partition.purge().await.unwrap();
    expunge(&partition, &handle, &UidSet::range(8, 8)).await;
    let before = partition.restorable("user/bob").await.unwrap();
    let body = partition.read_body(before.messages[0].location).await;
    let body = body.unwrap();
    assert!(partition.compact().await.unwrap().bodies > 0);
    let after = partition.restorable("user/bob").await.unwrap();
    assert_ne!(before.messages[0].location, after.messages[0].location);
    let restored = partition
        .restore_messages(&handle, &UidSet::range(8, 8))
        .await
        .unwrap();
    let row = handle.view().row_by_uid(restored.target[0]).unwrap();
    assert_eq!(partition.read_body(row.location).await.unwrap(), body);
}
