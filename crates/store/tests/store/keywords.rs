//! Many keywords, and more than there is room for.

use std::collections::BTreeSet;
use std::sync::Arc;

use murder_store::{
    AppendMessage, CopyFlags, Flags, MAX_KEYWORDS, MailboxHandle, MailboxView, Partition,
    StoreError, StoreMode, StoreOp, UidSet,
};
use tempfile::TempDir;

use crate::support::*;

fn tagged(text: &str, keywords: impl IntoIterator<Item = String>) -> AppendMessage {
    AppendMessage {
        keywords: keywords.into_iter().collect(),
        ..message(text)
    }
}

fn k(n: usize) -> String {
    format!("k{n}")
}

fn names(view: &MailboxView, uid: u32) -> BTreeSet<String> {
    let row = view.row_by_uid(uid).unwrap();
    let names = view.keywords().names(row.keywords);
    names.map(str::to_owned).collect()
}

fn set(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
    numbers.into_iter().map(k).collect()
}

async fn store(
    partition: &Partition,
    handle: &MailboxHandle,
    uids: UidSet,
    mode: StoreMode,
    keywords: impl IntoIterator<Item = usize>,
) -> Result<(), StoreError> {
    let keywords = keywords.into_iter().map(k).collect();
    let op = StoreOp::new(mode, Flags::NONE, keywords);
    partition.store_flags(handle, &uids, op).await.map(|_| ())
}

/// A mailbox with one message that has all keywords that there may be, and its home.
async fn full(partition: &Partition) -> Arc<MailboxHandle> {
    create(partition, &["user/bob", "user/bob/Other", "user/eve"]).await;
    let all = tagged("1", (0..MAX_KEYWORDS).map(k));
    partition
        .append(&name("user/bob"), vec![all, message("2")])
        .await
        .unwrap();
    partition.open_mailbox(&name("user/bob")).await.unwrap()
}

#[tokio::test]
async fn keywords_run_out_and_are_reused() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    let handle = full(&partition).await;
    let two = || UidSet::range(2, 2);
    let (add, more) = (StoreMode::Add, MAX_KEYWORDS);
    assert_eq!(names(&handle.view(), 1), set(0..MAX_KEYWORDS));
    let refused = store(&partition, &handle, two(), add, [0, more]).await;
    assert!(matches!(refused, Err(StoreError::TooManyKeywords)));
    assert!(names(&handle.view(), 2).is_empty());
    for gone in [7, 700] {
        let one = UidSet::range(1, 1);
        store(&partition, &handle, one, StoreMode::Remove, [gone])
            .await
            .unwrap();
        store(&partition, &handle, two(), add, [more + gone])
            .await
            .unwrap();
    }
    for reopened in [false, true] {
        if reopened {
            partition.shutdown().await.unwrap();
        }
        let partition = match reopened {
            true => open(&dir),
            false => Arc::clone(&partition),
        };
        let view = partition.open_mailbox(&name("user/bob")).await.unwrap();
        let view = view.view();
        assert_eq!(names(&view, 2), set([more + 7, more + 700]));
        let left = (0..MAX_KEYWORDS).filter(|n| ![7, 700].contains(n));
        assert_eq!(names(&view, 1), set(left));
        assert_eq!(view.keywords().all().count(), MAX_KEYWORDS);
        if reopened {
            partition.shutdown().await.unwrap();
        }
    }
}

#[tokio::test]
async fn messages_come_to_a_full_mailbox_without_the_keywords_that_do_not_fit() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    let full = full(&partition).await;
    let inbox = name("user/bob");
    let coming = || tagged("x", [k(3), k(900), "new".to_owned(), k(1023)]);
    // APPEND, delivery, COPY and MOVE within the home, from another home, and restoring.
    partition.append(&inbox, vec![coming()]).await.unwrap();
    partition
        .deliver(&[inbox.clone(), name("user/eve")], coming())
        .await
        .unwrap();
    for from in ["user/bob/Other", "user/eve"] {
        let from = name(from);
        partition
            .append(&from, vec![coming(), coming()])
            .await
            .unwrap();
        let source = partition.open_mailbox(&from).await.unwrap();
        let (first, last) = (UidSet::range(1, 1), source.view().last_uid().unwrap());
        let flags = CopyFlags::default;
        partition
            .copy(&source, &first, &inbox, flags())
            .await
            .unwrap();
        partition
            .move_messages(&source, &UidSet::range(last, last), &inbox, flags())
            .await
            .unwrap();
    }
    let view = full.view();
    assert_eq!(uids(&view), (1..=8).collect::<Vec<_>>());
    for uid in 3..=8 {
        assert_eq!(names(&view, uid), set([3, 900, 1023]), "{uid}");
    }
    let eve = partition.open_mailbox(&name("user/eve")).await.unwrap();
    assert_eq!(names(&eve.view(), 1).len(), 4);
    let whole = dump(&partition).await;
    drop((full, eve));
    partition.shutdown().await.unwrap();
    let partition = open(&dir);
    assert_eq!(dump(&partition).await, whole);
}

#[tokio::test]
async fn what_was_expunged_comes_back_with_its_keywords() {
    let dir = TempDir::new().unwrap();
    let config = murder_store::PartitionConfig {
        expunge_delay: std::time::Duration::from_secs(3600),
        ..config(&dir)
    };
    let partition = Partition::open(config).unwrap();
    let full = full(&partition).await;
    partition.remove(&full, &UidSet::range(1, 1)).await.unwrap();
    // Its keywords are nobody's now: there is room.
    let others = tagged("3", (2000..2000 + MAX_KEYWORDS - 1).map(k));
    partition
        .append(&name("user/bob"), vec![others])
        .await
        .unwrap();
    partition
        .restore_messages(&full, &UidSet::range(1, 1))
        .await
        .unwrap();
    let view = full.view();
    assert_eq!(names(&view, 3).len(), MAX_KEYWORDS - 1);
    assert_eq!(names(&view, 4), set([0]));
    // A renamed INBOX has them all.
    partition
        .rename_inbox(&name("user/bob"), &name("user/bob/Old"), new_mailbox())
        .await
        .unwrap();
    partition
        .append(&name("user/bob"), vec![tagged("5", [k(5), k(2100)])])
        .await
        .unwrap();
    let old = partition.open_mailbox(&name("user/bob/Old")).await.unwrap();
    store(
        &partition,
        &old,
        UidSet::range(4, 4),
        StoreMode::Add,
        [2500, 2600],
    )
    .await
    .unwrap();
    assert_eq!(names(&old.view(), 4), set([0, 2500, 2600]));
    assert_eq!(names(&old.view(), 3).len(), MAX_KEYWORDS - 1);
    assert_eq!(names(&full.view(), 5), set([5, 2100]));
    let whole = dump(&partition).await;
    drop((full, old));
    partition.shutdown().await.unwrap();
    let partition = open(&dir);
    assert_eq!(dump(&partition).await, whole);
}

/// Keywords beside a model, with many different combinations, so that unused ones are forgotten.
#[tokio::test]
async fn any_sequence_of_stores_leaves_what_it_says() {
    const MESSAGES: u32 = 40;
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob"]).await;
    let inbox = name("user/bob");
    let messages = (0..MESSAGES).map(|n| message(&format!("{n}"))).collect();
    partition.append(&inbox, messages).await.unwrap();
    let handle = partition.open_mailbox(&inbox).await.unwrap();
    let mut rng = Rng::new(5);
    let mut model = vec![BTreeSet::new(); MESSAGES as usize + 1];
    for round in 0..700 {
        let low = 1 + rng.below(MESSAGES.into()) as u32;
        let high = (low + rng.below(4) as u32).min(MESSAGES);
        let some: Vec<usize> = (0..rng.below(4))
            .map(|_| rng.below(if round < 50 { 60 } else { 150 }) as usize)
            .collect();
        let mode = [StoreMode::Add, StoreMode::Remove, StoreMode::Replace];
        let mode = mode[rng.below(3) as usize];
        let uids = UidSet::range(low, high);
        store(&partition, &handle, uids, mode, some.iter().copied())
            .await
            .unwrap();
        for has in &mut model[low as usize..=high as usize] {
            match mode {
                StoreMode::Add => has.extend(set(some.iter().copied())),
                StoreMode::Remove => has.retain(|k| !set(some.iter().copied()).contains(k)),
                StoreMode::Replace => *has = set(some.iter().copied()),
            }
        }
        let view = handle.view();
        for uid in low..=high {
            assert_eq!(names(&view, uid), model[uid as usize], "{round}");
        }
    }
    let check = |view: &MailboxView| {
        for uid in 1..=MESSAGES {
            let row = view.row_by_uid(uid).unwrap();
            assert_eq!(names(view, uid), model[uid as usize]);
            for n in 0..150 {
                let number = view.keywords().number(&k(n));
                let has = number.is_some_and(|number| view.keywords().has(row.keywords, number));
                assert_eq!(has, model[uid as usize].contains(&k(n)));
            }
        }
    };
    check(&handle.view());
    drop(handle);
    partition.shutdown().await.unwrap();
    let partition = open(&dir);
    check(&partition.open_mailbox(&inbox).await.unwrap().view());
}
