//! COPY, MOVE and delivery to many.

use murder_store::{CopyFlags, Flags, StoreError, StoreMode, StoreOp, UidSet};
use tempfile::TempDir;

use crate::support::*;

#[tokio::test]
async fn copies_within_a_home() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob", "user/bob/Saved"]).await;
    let (inbox, saved) = (name("user/bob"), name("user/bob/Saved"));
    let mut first = message("1");
    first.flags = Flags::SEEN | Flags::ANSWERED;
    first.keywords = vec!["a".into(), "b".into()];
    partition
        .append(&inbox, vec![first, message("2"), message("3")])
        .await
        .unwrap();
    let source = partition.open_mailbox(&inbox).await.unwrap();
    let target = partition.open_mailbox(&saved).await.unwrap();
    let uids_13: UidSet = [1, 3, 7].into_iter().collect();
    let copied = partition
        .copy(&source, &uids_13, &saved, CopyFlags::default())
        .await
        .unwrap();
    assert_eq!(
        (&copied.source[..], &copied.target[..]),
        (&[1, 3][..], &[1, 2][..])
    );
    assert!(copied.expunged.is_empty());
    let (from, to) = (source.view(), target.view());
    let (original, copy) = (from.row(1).unwrap(), to.row(1).unwrap());
    assert_eq!(copy.flags, original.flags);
    assert_eq!(
        to.keywords().names(copy.keywords).collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(copy.location, original.location);
    assert_eq!(copy.email_id, original.email_id);
    assert_eq!(copy.internal_date, original.internal_date);
    assert_ne!(copy.save_date, original.save_date);

    let moved = partition
        .move_messages(&source, &UidSet::range(1, 2), &saved, CopyFlags::default())
        .await
        .unwrap();
    assert_eq!(moved.expunged, UidSet::range(1, 2));
    assert_eq!(moved.target, [3, 4]);
    assert_eq!(uids(&source.view()), [3]);
    assert_eq!(uids(&target.view()), [1, 2, 3, 4]);
    for row in target.view().rows(1, 4) {
        partition.read_body(row.location).await.unwrap();
    }
    let items = target
        .fetch_items(&[target.view().row(3).unwrap()])
        .await
        .unwrap();
    assert!(items[0].is_some(), "items are kept while a copy lives");
}

#[tokio::test]
async fn copies_to_another_home() {
    // With two shards, homes 1 and 2 are on different ones, 1 and 3 on the same.
    for target in ["user/eve", "board"] {
        let dir = TempDir::new().unwrap();
        let partition = open(&dir);
        create(&partition, &["user/bob", "user/eve", "board"]).await;
        let (inbox, target) = (name("user/bob"), name(target));
        partition
            .append(&inbox, (0..4).map(|n| message(&n.to_string())).collect())
            .await
            .unwrap();
        let source = partition.open_mailbox(&inbox).await.unwrap();
        let there = partition.open_mailbox(&target).await.unwrap();
        let op = StoreOp::new(StoreMode::Add, Flags::SEEN, vec!["kw".into()]);
        partition
            .store_flags(&source, &UidSet::range(1, 1), op)
            .await
            .unwrap();
        let own = CopyFlags {
            source: None,
            target: Some("bob".to_owned()),
            ..CopyFlags::default()
        };
        let copied = partition
            .copy(&source, &UidSet::range(1, 2), &target, own)
            .await
            .unwrap();
        assert_eq!((copied.source, copied.target), (vec![1, 2], vec![1, 2]));
        assert_eq!(source.view().len(), 4);
        let view = there.view();
        let row = view.row(1).unwrap();
        assert_eq!(
            view.keywords().names(row.keywords).collect::<Vec<_>>(),
            ["kw"]
        );
        assert!(!row.flags.contains(Flags::SEEN) && view.is_seen(&row, Some("bob")));

        let moved = partition
            .move_messages(&source, &UidSet::range(1, 9), &target, CopyFlags::default())
            .await
            .unwrap();
        assert_eq!(moved.expunged, UidSet::range(1, 4));
        assert_eq!(moved.target, [3, 4, 5, 6]);
        assert!(source.view().is_empty());
        assert!(
            there
                .view()
                .row_by_uid(3)
                .unwrap()
                .flags
                .contains(Flags::SEEN)
        );
        for row in there.view().rows(1, 6) {
            partition.read_body(row.location).await.unwrap();
        }
        assert!(matches!(
            partition
                .copy(
                    &there,
                    &UidSet::range(1, 2),
                    &name("none"),
                    CopyFlags::default()
                )
                .await,
            Err(StoreError::NoSuchMailbox)
        ));
    }
}

#[tokio::test]
async fn one_body_for_many() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    let names: Vec<String> = (0..1100).map(|n| format!("user/u{n}")).collect();
    let all: Vec<_> = names.iter().map(|n| name(n)).collect();
    create_at_once(&partition, &names).await;
    let mut targets = all.clone();
    targets.insert(5, name("user/nobody"));
    targets.push(name("user/u0"));
    let results = partition
        .deliver(&targets, message("to all"))
        .await
        .unwrap();
    assert_eq!(results.len(), targets.len());
    let mut locations = std::collections::BTreeSet::new();
    for (target, result) in targets.iter().zip(&results) {
        if target.as_str() == "user/nobody" {
            assert!(matches!(result, Err(StoreError::NoSuchMailbox)));
            continue;
        }
        let view = partition.open_mailbox(target).await.unwrap().view();
        let uid = result.as_ref().unwrap().uids[0];
        let row = view.row_by_uid(uid).unwrap();
        locations.insert((row.location.segment, row.location.offset));
    }
    // A record carries at most a thousand targets, so this took two bodies.
    assert_eq!(locations.len(), 2);
    assert_eq!(results.last().unwrap().as_ref().unwrap().uids, [2]);
}

async fn create_at_once(partition: &std::sync::Arc<murder_store::Partition>, names: &[String]) {
    let mut tasks = tokio::task::JoinSet::new();
    for text in names {
        let (partition, target) = (std::sync::Arc::clone(partition), name(text));
        tasks.spawn(async move { partition.create_mailbox(&target, new_mailbox()).await });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap().unwrap();
    }
    let batches = murder_store::Metrics::get(&partition.metrics().batches);
    assert!(
        batches < names.len() as u64 / 2,
        "many writers share a sync: {batches} batches"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_lack_the_flags_that_they_must_not_get() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob", "user/bob/saved", "user/eve"]).await;
    let inbox = name("user/bob");
    let mut full = message("x");
    full.flags = Flags::ALL;
    full.keywords = vec!["kw".to_owned()];
    partition.append(&inbox, vec![full]).await.unwrap();
    let source = partition.open_mailbox(&inbox).await.unwrap();
    for target in ["user/bob/saved", "user/eve"] {
        let flags = CopyFlags {
            without: Flags::SEEN | Flags::DELETED,
            without_keywords: true,
            ..CopyFlags::default()
        };
        partition
            .copy(&source, &UidSet::range(1, 1), &name(target), flags)
            .await
            .unwrap();
        let there = partition.open_mailbox(&name(target)).await.unwrap();
        let row = there.view().row(1).unwrap();
        assert_eq!(
            (row.flags, row.keywords),
            (Flags::ANSWERED | Flags::FLAGGED | Flags::DRAFT, 0)
        );
    }
}
