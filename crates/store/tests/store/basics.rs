//! Mailboxes, messages, flags.

use bytes::Bytes;
use murder_mailbox::SpecialUse;
use murder_store::{
    AppendMessage, Flags, INLINE_LIMIT, MailboxView, Metrics, Partition, StoreError, StoreMode,
    StoreOp, UidSet, days,
};
use tempfile::TempDir;

use crate::support::*;

#[tokio::test]
async fn a_message_takes_the_place_of_another() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob", "user/bob/Sent", "user/eve"]).await;
    let (inbox, sent, eve) = (name("user/bob"), name("user/bob/Sent"), name("user/eve"));
    let messages = vec![message("1"), message("2"), message("3")];
    partition.append(&inbox, messages).await.unwrap();
    let handle = partition.open_mailbox(&inbox).await.unwrap();
    // In its mailbox, in another one, in another home.
    for (uid, target, new) in [(2, &inbox, 4), (1, &sent, 1), (4, &eve, 1)] {
        let replaced = partition.replace(&handle, uid, target, message("new"));
        assert_eq!(replaced.await.unwrap().uids, [new]);
    }
    assert_eq!(uids(&handle.view()), [3]);
    for target in [&inbox, &eve] {
        let gone = partition.replace(&handle, 1, target, message("new")).await;
        assert!(matches!(gone, Err(StoreError::NoSuchMessage)), "{gone:?}");
    }
    assert_eq!(uids(&handle.view()), [3]);
    drop(handle);
    let before = dump(&partition).await;
    partition.shutdown().await.unwrap();
    let partition = open(&dir);
    assert_eq!(dump(&partition).await, before);
}

#[tokio::test]
async fn a_message_comes_back_as_it_went_in() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob"]).await;
    let mut one = message("hello");
    one.flags = Flags::FLAGGED;
    one.keywords = vec!["$Forwarded".to_owned()];
    let appended = partition
        .append(&name("user/bob"), vec![one, message("second")])
        .await
        .unwrap();
    assert_eq!(appended.uids, [1, 2]);
    assert_eq!(appended.uidvalidity, 1000);

    let check = async |partition: &Partition| {
        let handle = partition.open_mailbox(&name("user/bob")).await.unwrap();
        let view = handle.view();
        assert_eq!(uids(&view), [1, 2]);
        assert_eq!(view.uidnext(), 3);
        let row = view.row_by_uid(1).unwrap();
        assert_eq!(row.seq, 1);
        assert_eq!(row.flags, Flags::FLAGGED);
        assert_eq!(row.modseq, appended.modseq);
        assert_eq!(
            view.keywords().names(row.keywords).collect::<Vec<_>>(),
            ["$Forwarded"]
        );
        assert_eq!(row.internal_date.zone, 60);
        assert_eq!(row.sent_day, Some(days(2026, 11, 24)));
        assert_eq!(row.sent, Some(1_795_478_523));
        assert_eq!(
            partition.read_body(row.location).await.unwrap(),
            raw("hello")
        );
        assert_eq!(
            partition.read_body_range(row.location, 0, 6).await.unwrap(),
            Bytes::from_static(b"From: ")
        );
        let header = &raw("hello")[..row.header_len as usize];
        assert!(header.ends_with(b"\r\n\r\n"));
        let items = handle.fetch_items(&[row]).await.unwrap();
        let items = items[0].as_ref().unwrap();
        assert!(items.envelope().windows(5).any(|w| w == b"hello"));
        assert!(items.bodystructure().starts_with(b"("));
        assert!(items.body().starts_with(b"("));
        let status = partition.status(&name("user/bob"), None).await.unwrap();
        assert_eq!((status.messages, status.unseen, status.recent), (2, 2, 2));
        assert_eq!(
            status.size,
            (raw("hello").len() + raw("second").len()) as u64
        );
    };
    check(&partition).await;
    partition.shutdown().await.unwrap();
    drop(partition);
    let partition = open(&dir);
    assert_eq!(Metrics::get(&partition.metrics().replayed), 0);
    check(&partition).await;
}

#[tokio::test]
async fn mailboxes_are_made_and_deleted() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob", "user/bob/a/b", "board"]).await;
    assert!(matches!(
        partition
            .create_mailbox(&name("board"), new_mailbox())
            .await,
        Err(StoreError::MailboxExists)
    ));
    partition
        .subscribe("user/bob", &name("board"))
        .await
        .unwrap();
    partition
        .subscribe("user/bob", &name("user/bob/a"))
        .await
        .unwrap();
    partition
        .unsubscribe("user/bob", &name("user/bob/a"))
        .await
        .unwrap();
    assert_eq!(
        partition.subscriptions("user/bob").await.unwrap(),
        [name("board")]
    );
    assert!(matches!(
        partition.subscribe("user/eve", &name("board")).await,
        Err(StoreError::NoSuchHome)
    ));
    partition
        .set_acl(&name("board"), "bob\tlr\t")
        .await
        .unwrap();
    partition
        .set_special_use(&name("user/bob/a/b"), Some(SpecialUse::Sent))
        .await
        .unwrap();
    partition.shutdown().await.unwrap();
    drop(partition);

    let partition = open(&dir);
    let all = partition.mailboxes();
    let names: Vec<&str> = all.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["board", "user/bob", "user/bob/a/b"]);
    assert_eq!(all[0].acl.to_string(), "bob\tlr\t");
    assert_eq!(all[2].special_use, Some(SpecialUse::Sent));

    // A name used again has a greater UIDVALIDITY, whatever is asked for.
    let board = partition.delete_mailbox(&name("board")).await.unwrap();
    assert!(partition.lookup(&name("board")).is_none());
    assert!(matches!(
        partition.append(&name("board"), vec![message("x")]).await,
        Err(StoreError::NoSuchMailbox)
    ));
    let again = partition
        .create_mailbox(&name("board"), new_mailbox())
        .await
        .unwrap();
    assert!(again.uidvalidity > board.uidvalidity);

    // With the last mailbox of a home go its subscriptions.
    for text in ["user/bob", "user/bob/a/b"] {
        partition.delete_mailbox(&name(text)).await.unwrap();
    }
    create(&partition, &["user/bob"]).await;
    assert!(
        partition
            .subscriptions("user/bob")
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn renames_take_what_is_below() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(
        &partition,
        &[
            "user/bob",
            "user/bob/a",
            "user/bob/a/b",
            "user/bob/ab",
            "user/eve",
        ],
    )
    .await;
    partition
        .append(&name("user/bob/a/b"), vec![message("kept")])
        .await
        .unwrap();
    let handle = partition.open_mailbox(&name("user/bob/a/b")).await.unwrap();
    let renamed = partition
        .rename_mailbox(&name("user/bob/a"), &name("user/bob/c/d"))
        .await
        .unwrap();
    let names: Vec<_> = renamed
        .iter()
        .map(|r| (r.from.as_str(), r.meta.name.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            ("user/bob/a", "user/bob/c/d"),
            ("user/bob/a/b", "user/bob/c/d/b")
        ]
    );
    assert_eq!(handle.meta().unwrap().name, name("user/bob/c/d/b"));
    let same = partition
        .open_mailbox(&name("user/bob/c/d/b"))
        .await
        .unwrap();
    assert_eq!(uids(&same.view()), [1]);
    assert_eq!(same.id(), handle.id());

    for (from, to) in [
        ("user/bob/c/d", "user/bob/ab"),
        ("user/bob/ab", "user/bob/ab"),
    ] {
        assert!(matches!(
            partition.rename_mailbox(&name(from), &name(to)).await,
            Err(StoreError::MailboxExists)
        ));
    }
    assert!(matches!(
        partition
            .rename_mailbox(&name("user/bob/ab"), &name("user/eve/ab"))
            .await,
        Err(StoreError::CrossHome)
    ));
    assert!(matches!(
        partition
            .rename_mailbox(&name("user/bob/none"), &name("user/bob/some"))
            .await,
        Err(StoreError::NoSuchMailbox)
    ));
    // One that only exists as a parent, onto its own parent's name.
    partition
        .rename_mailbox(&name("user/bob/c/d"), &name("user/bob/c"))
        .await
        .unwrap();
    assert!(partition.lookup(&name("user/bob/c/b")).is_some());
}

#[tokio::test]
async fn renaming_an_inbox_moves_its_messages() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob"]).await;
    let inbox = name("user/bob");
    partition
        .append(&inbox, vec![message("1"), message("2")])
        .await
        .unwrap();
    let handle = partition.open_mailbox(&inbox).await.unwrap();
    let before = handle.view();
    assert!(matches!(
        partition
            .rename_mailbox(&inbox, &name("user/bob/old"))
            .await,
        Err(StoreError::InboxRename)
    ));
    let made = partition
        .rename_inbox(&inbox, &name("user/bob/old"), new_mailbox())
        .await
        .unwrap();
    assert_eq!(made.name, name("user/bob/old"));
    assert!(handle.view().is_empty());
    let diff = MailboxView::diff(&before, &handle.view());
    assert_eq!(diff.expunged, [1, 2]);
    let old = partition.open_mailbox(&made.name).await.unwrap();
    assert_eq!(uids(&old.view()), [1, 2]);
    let appended = partition.append(&inbox, vec![message("3")]).await.unwrap();
    assert_eq!(appended.uids, [3]);
    assert!(appended.modseq > before.highest_modseq());
    let status = partition.status(&made.name, None).await.unwrap();
    assert_eq!((status.messages, status.unseen), (2, 2));
    let status = partition.status(&inbox, None).await.unwrap();
    assert_eq!((status.messages, status.uidnext), (1, 4));
}

#[tokio::test]
async fn a_home_gets_another_name() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob", "user/bob/Sent", "user/rob"]).await;
    assert!(matches!(
        partition
            .rename_mailbox(&name("user/bob"), &name("user/rob"))
            .await,
        Err(StoreError::MailboxExists)
    ));
    let gone = partition.delete_mailbox(&name("user/rob")).await.unwrap();
    let renamed = partition
        .rename_mailbox(&name("user/bob"), &name("user/rob"))
        .await
        .unwrap();
    assert_eq!(renamed.len(), 2);
    assert!(renamed[0].meta.uidvalidity > gone.uidvalidity);
    partition
        .append(&name("user/rob/Sent"), vec![message("x")])
        .await
        .unwrap();
    partition.shutdown().await.unwrap();
    drop(partition);
    let partition = open(&dir);
    let names: Vec<String> = partition
        .mailboxes()
        .iter()
        .map(|m| m.name.to_string())
        .collect();
    assert_eq!(names, ["user/rob", "user/rob/Sent"]);
    // The old name makes a new home.
    create(&partition, &["user/bob"]).await;
    assert_eq!(partition.counts(), (2, 3));
}

#[tokio::test]
async fn flags_of_many_messages_are_written_as_they_are_shown() {
    const FLAGS: [Flags; 3] = [Flags::SEEN, Flags::FLAGGED, Flags::ANSWERED];
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob"]).await;
    let inbox = name("user/bob");
    let mut rng = Rng::new(1);
    let any_flags = |rng: &mut Rng| {
        let some = FLAGS.into_iter().filter(|_| rng.below(2) == 0);
        some.fold(Flags::NONE, |all, flag| all | flag)
    };
    let any_keywords = |rng: &mut Rng| -> Vec<String> {
        let some = ["a", "b"].into_iter().filter(|_| rng.below(2) == 0);
        some.map(str::to_owned).collect()
    };
    let mut messages = Vec::new();
    for number in 0..60 {
        messages.push(AppendMessage {
            flags: any_flags(&mut rng),
            keywords: any_keywords(&mut rng),
            ..message(&number.to_string())
        });
    }
    partition.append(&inbox, messages).await.unwrap();
    let handle = partition.open_mailbox(&inbox).await.unwrap();
    let gaps = (0..12).map(|_| rng.below(60) as u32 + 1).collect();
    partition.remove(&handle, &gaps).await.unwrap();
    for _ in 0..100 {
        let mut uids = UidSet::new();
        for _ in 0..=rng.below(3) {
            let low = rng.below(60) as u32 + 1;
            uids.insert_range(low, low + rng.below(40) as u32);
        }
        let modes = [StoreMode::Add, StoreMode::Remove, StoreMode::Replace];
        let mode = *rng.pick(&modes).unwrap();
        let mut op = StoreOp::new(mode, any_flags(&mut rng), any_keywords(&mut rng));
        if rng.below(3) == 0 {
            op.unchanged_since = Some(handle.view().highest_modseq() - rng.below(5));
        }
        let before = handle.view();
        let stored = partition.store_flags(&handle, &uids, op).await.unwrap();
        let told = MailboxView::diff(&before, &handle.view()).changed;
        assert_eq!(stored.changed, told.into_iter().collect());
    }
    let shown = dump(&partition).await;
    drop(handle);
    partition.shutdown().await.unwrap();
    drop(partition);
    assert_eq!(dump(&open(&dir)).await, shown);
}

#[tokio::test]
async fn flags_change_and_are_told() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["board"]).await;
    let board = name("board");
    let messages = (0..5).map(|n| message(&n.to_string())).collect();
    partition.append(&board, messages).await.unwrap();
    let handle = partition.open_mailbox(&board).await.unwrap();
    let mut changes = handle.subscribe();
    let old = handle.view();

    let op = StoreOp::new(
        StoreMode::Add,
        Flags::DELETED | Flags::SEEN,
        vec!["Work".into()],
    );
    let stored = partition
        .store_flags(&handle, &[2, 4, 9].into_iter().collect(), op)
        .await
        .unwrap();
    assert_eq!(stored.changed, [2, 4].into_iter().collect());
    assert_eq!(stored.missing, UidSet::range(9, 9));
    changes.changed().await.unwrap();
    let new = handle.view();
    let diff = MailboxView::diff(&old, &new);
    assert_eq!(diff.changed, [2, 4]);
    assert!(diff.keywords && diff.expunged.is_empty() && diff.added == 0);
    assert_eq!(new.highest_modseq(), stored.modseq);
    let status = partition.status(&board, None).await.unwrap();
    assert_eq!((status.unseen, status.deleted), (3, 2));

    // UNCHANGEDSINCE refuses what changed since.
    let mut op = StoreOp::new(StoreMode::Replace, Flags::FLAGGED, vec!["New".into()]);
    op.unchanged_since = Some(old.highest_modseq());
    let refused = partition
        .store_flags(&handle, &[2, 9].into_iter().collect(), op.clone())
        .await
        .unwrap();
    assert_eq!(refused.modified, UidSet::range(2, 2));
    // Nor does a keyword come to be that no message takes.
    assert_eq!(handle.view().keywords().number("New"), None);
    op.keywords.clear();
    let again = partition
        .store_flags(&handle, &UidSet::range(1, 2), op)
        .await
        .unwrap();
    assert_eq!(again.modified, UidSet::range(2, 2));
    assert_eq!(again.changed, UidSet::range(1, 1));

    // Nothing to change is no change.
    let op = StoreOp::new(StoreMode::Remove, Flags::DRAFT, vec!["none".into()]);
    let none = partition
        .store_flags(&handle, &UidSet::range(1, 5), op)
        .await
        .unwrap();
    assert!(none.changed.is_empty());
    assert_eq!(none.modseq, again.modseq);

    let expunged = partition
        .expunge(&handle, Some(&UidSet::range(3, u32::MAX)))
        .await
        .unwrap();
    assert_eq!(expunged.uids, UidSet::range(4, 4));
    let expunged = partition.expunge(&handle, None).await.unwrap();
    assert_eq!(expunged.uids, UidSet::range(2, 2));
    let last = handle.view();
    let diff = MailboxView::diff(&new, &last);
    assert_eq!(diff.expunged, [2, 4]);
    assert_eq!(diff.changed, [1]);
    assert_eq!(uids(&last), [1, 3, 5]);
    assert_eq!(
        handle.expunged_since(new.highest_modseq()).await.unwrap(),
        [2, 4].into_iter().collect()
    );
    assert_eq!(
        handle.expunged_since(expunged.modseq - 1).await.unwrap(),
        UidSet::range(2, 2)
    );
    let status = partition.status(&board, None).await.unwrap();
    assert_eq!((status.messages, status.deleted), (3, 0));
}

/// As POP3 does it.
#[tokio::test]
async fn messages_are_removed_without_a_flag() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["board"]).await;
    let board = name("board");
    let messages = ["a", "b", "c", "d"].map(message).into();
    partition.append(&board, messages).await.unwrap();
    let handle = partition.open_mailbox(&board).await.unwrap();
    let wanted: UidSet = [1, 3].into_iter().collect();
    let removed = partition.remove(&handle, &wanted).await.unwrap();
    assert_eq!(removed.uids, wanted);
    // What another has removed meanwhile is no error.
    let wanted = UidSet::range(2, 3);
    let removed = partition.remove(&handle, &wanted).await.unwrap();
    assert_eq!(removed.uids, UidSet::range(2, 2));
    assert_eq!(uids(&handle.view()), [4]);
    let before = dump(&partition).await;
    drop(handle);
    partition.shutdown().await.unwrap();
    drop(partition);
    assert_eq!(dump(&open(&dir)).await, before);
}

#[tokio::test]
async fn seen_is_each_users_own_in_a_shared_mailbox() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["board"]).await;
    let board = name("board");
    let mut own = message("2");
    own.flags = Flags::SEEN;
    own.seen_by = Some("eve".into());
    partition
        .append(&board, vec![message("1"), own])
        .await
        .unwrap();
    let handle = partition.open_mailbox(&board).await.unwrap();
    let mut op = StoreOp::new(StoreMode::Add, Flags::SEEN, vec![]);
    op.user = Some("bob".into());
    let stored = partition
        .store_flags(&handle, &UidSet::range(1, 1), op.clone())
        .await
        .unwrap();
    assert_eq!(stored.changed, UidSet::range(1, 1));
    let view = handle.view();
    let row = view.row_by_uid(1).unwrap();
    assert!(view.is_seen(&row, Some("bob")));
    assert!(!view.is_seen(&row, Some("eve")) && !view.is_seen(&row, None));
    assert_eq!(*handle.seen_of("eve"), UidSet::range(2, 2));
    for (user, unseen) in [
        (None, 2),
        (Some("bob"), 1),
        (Some("eve"), 1),
        (Some("x"), 2),
    ] {
        let status = partition.status(&board, user).await.unwrap();
        assert_eq!(status.unseen, unseen, "{user:?}");
    }
    // It survives, goes with the message, and is one for all when that is asked for.
    partition.shutdown().await.unwrap();
    drop((partition, handle));
    let partition = open(&dir);
    let handle = partition.open_mailbox(&board).await.unwrap();
    assert_eq!(*handle.seen_of("bob"), UidSet::range(1, 1));
    partition
        .store_flags(
            &handle,
            &UidSet::range(1, 1),
            StoreOp::new(StoreMode::Add, Flags::DELETED, vec![]),
        )
        .await
        .unwrap();
    partition.expunge(&handle, None).await.unwrap();
    assert!(handle.seen_of("bob").is_empty());
    partition.set_shared_seen(&board, true).await.unwrap();
    op.user = Some("zoe".into());
    partition
        .store_flags(&handle, &UidSet::range(2, 2), op)
        .await
        .unwrap();
    let view = handle.view();
    let row = view.row_by_uid(2).unwrap();
    assert!(row.flags.contains(Flags::SEEN) && view.is_seen(&row, Some("anyone")));
}

#[tokio::test]
async fn recent_is_given_once() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob"]).await;
    let inbox = name("user/bob");
    partition
        .append(&inbox, vec![message("1"), message("2")])
        .await
        .unwrap();
    let handle = partition.open_mailbox(&inbox).await.unwrap();
    assert_eq!(handle.take_recent(&handle.view(), true), 1..3);
    assert_eq!(handle.take_recent(&handle.view(), false), 1..3);
    assert!(handle.take_recent(&handle.view(), false).is_empty());
    assert_eq!(partition.status(&inbox, None).await.unwrap().recent, 0);
    partition.shutdown().await.unwrap();
    drop((partition, handle));
    let partition = open(&dir);
    partition.append(&inbox, vec![message("3")]).await.unwrap();
    assert_eq!(partition.status(&inbox, None).await.unwrap().recent, 1);
    let handle = partition.open_mailbox(&inbox).await.unwrap();
    assert_eq!(handle.take_recent(&handle.view(), false), 3..4);
}

#[tokio::test]
async fn large_bodies_are_staged() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob"]).await;
    let inbox = name("user/bob");
    let large: Bytes = [raw("large"), vec![b'x'; INLINE_LIMIT * 3].into()]
        .concat()
        .into();

    let blobs = || {
        std::fs::read_dir(dir.path().join("partition/journal"))
            .unwrap()
            .filter(|e| e.as_ref().unwrap().path().extension().unwrap() == "blob")
            .count()
    };
    // An aborted one leaves nothing.
    let mut writer = partition.stage(large.len() as u64).await.unwrap();
    writer.write(large.slice(..1000)).await.unwrap();
    assert_eq!(blobs(), 1);
    drop(writer);
    assert_eq!(blobs(), 0);
    let mut writer = partition.stage(0).await.unwrap();
    for part in large.chunks(100_000) {
        writer.write(large.slice_ref(part)).await.unwrap();
    }
    assert_eq!(writer.written(), large.len() as u64);
    let staged = writer.finish().await.unwrap();
    assert_eq!(staged.len() as usize, large.len());
    let mut first = message("");
    first.body = staged.into();
    // The second one is staged by the store itself.
    let appended = partition
        .append(&inbox, vec![first, of_bytes(large.clone())])
        .await
        .unwrap();
    assert_eq!(appended.uids, [1, 2]);
    assert_eq!(blobs(), 2);
    partition.shutdown().await.unwrap();
    drop(partition);

    let partition = open(&dir);
    let handle = partition.open_mailbox(&inbox).await.unwrap();
    for row in handle.view().rows(1, 2) {
        assert_eq!(partition.read_body(row.location).await.unwrap(), large);
        assert_eq!(row.sent_day, Some(days(2026, 11, 24)));
    }
    // Expunged, they go at the next checkpoint.
    let delete = StoreOp::new(StoreMode::Add, Flags::DELETED, vec![]);
    partition
        .store_flags(&handle, &UidSet::range(1, 1), delete)
        .await
        .unwrap();
    let gone = handle.view().row(1).unwrap();
    partition.expunge(&handle, None).await.unwrap();
    partition.checkpoint().await.unwrap();
    assert_eq!(blobs(), 1);
    assert!(matches!(
        partition.read_body(gone.location).await,
        Err(StoreError::BodyGone)
    ));
}

#[tokio::test]
async fn one_partition_one_process() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    assert!(matches!(
        Partition::open(config(&dir)),
        Err(StoreError::InUse(_))
    ));
    partition.shutdown().await.unwrap();
    assert!(matches!(
        partition
            .create_mailbox(&name("user/bob"), new_mailbox())
            .await,
        Err(StoreError::Closed)
    ));
    open(&dir);
}

#[tokio::test]
async fn a_deleted_mailbox_tells_its_sessions() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob", "user/bob/x"]).await;
    let handle = partition.open_mailbox(&name("user/bob/x")).await.unwrap();
    let mut changes = handle.subscribe();
    partition.delete_mailbox(&name("user/bob/x")).await.unwrap();
    changes.changed().await.unwrap();
    assert!(handle.is_deleted() && handle.meta().is_none());
    assert!(matches!(
        partition.expunge(&handle, None).await,
        Err(StoreError::NoSuchMailbox)
    ));
}

#[tokio::test]
async fn old_tombstones_are_joined_and_nothing_is_forgotten() {
    const PAIRS: u32 = 10_000;
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob"]).await;
    let bob = name("user/bob");
    let handle = partition.open_mailbox(&bob).await.unwrap();
    for _ in 0..8 {
        let new = (0..PAIRS / 4).map(|_| message("x")).collect();
        partition.append(&bob, new).await.unwrap();
    }
    let deleted = StoreOp::new(StoreMode::Add, Flags::DELETED, Vec::new());
    let all = UidSet::range(1, 2 * PAIRS);
    partition.store_flags(&handle, &all, deleted).await.unwrap();
    let start = handle.view().highest_modseq();
    // Every second message, so that each is a tombstone: first most, then the rest.
    let odd = |low: u32, high: u32| -> UidSet { (low..high).step_by(2).collect() };
    partition
        .expunge(&handle, Some(&odd(1, 2001)))
        .await
        .unwrap();
    let early = handle.view().highest_modseq();
    for low in (2001..2 * PAIRS).step_by(400) {
        let uids = odd(low, (low + 400).min(2 * PAIRS));
        partition.expunge(&handle, Some(&uids)).await.unwrap();
    }
    assert_eq!(
        handle.expunged_since(start).await.unwrap(),
        odd(1, 2 * PAIRS)
    );
    // Then 10,000 more, one of them alone: too many to be kept apart.
    let even: UidSet = (2..2 * PAIRS).step_by(2).collect();
    let before_all = handle.view().highest_modseq();
    partition.expunge(&handle, Some(&even)).await.unwrap();
    let before_last = handle.view().highest_modseq();
    let last = UidSet::range(2 * PAIRS, 2 * PAIRS);
    partition
        .append(&bob, vec![message("stays")])
        .await
        .unwrap();
    partition.expunge(&handle, Some(&last)).await.unwrap();
    assert!(handle.view().uids().eq([2 * PAIRS + 1]));
    for modseq in [0, start, early, before_all] {
        let told = handle.expunged_since(modseq).await.unwrap();
        assert_eq!(told, UidSet::range(1, 2 * PAIRS), "{modseq}");
    }
    assert_eq!(handle.expunged_since(before_last).await.unwrap(), last);
}

#[tokio::test]
async fn a_name_that_had_the_greatest_uidvalidity_can_be_made_again() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    let of = |uidvalidity| murder_store::CreateMailbox {
        uidvalidity,
        ..new_mailbox()
    };
    let now = 1_800_000_000;
    let board = name("board");
    let mut seen = Vec::new();
    for wanted in [now, u32::MAX, now, now, now - 5] {
        let meta = partition.create_mailbox(&board, of(wanted)).await.unwrap();
        seen.push(meta.uidvalidity);
        partition.delete_mailbox(&board).await.unwrap();
    }
    assert_eq!(seen, [now, u32::MAX, now + 1, now + 2, now + 3]);
    // RENAME to such a name, in a home and of a home.
    partition
        .create_mailbox(&board, of(u32::MAX))
        .await
        .unwrap();
    partition.delete_mailbox(&board).await.unwrap();
    let other = name("board/other");
    partition.create_mailbox(&other, of(now)).await.unwrap();
    let renamed = partition.rename_mailbox(&other, &board).await.unwrap();
    assert_eq!(renamed[0].meta.uidvalidity, now + 4);
    partition.delete_mailbox(&board).await.unwrap();
    let news = name("news");
    partition.create_mailbox(&news, of(now)).await.unwrap();
    let renamed = partition.rename_mailbox(&news, &board).await.unwrap();
    assert_eq!(renamed[0].meta.uidvalidity, now + 5);
}
