//! COPY and MOVE between partitions: staged, adopted or not, and what is known of it afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use murder_store::{
    CopyFlags, Departure, Destination, Flags, Incoming, Partition, PartitionConfig, QuotaLimits,
    StoreError, TransferId, TransferredMessage, UidSet,
};
use tempfile::TempDir;

use crate::faulty::FaultyIo;
use crate::support::*;

fn transferred(uid: u32, text: &str) -> TransferredMessage {
    let mut message = message(text);
    message.flags = Flags::FLAGGED;
    message.keywords = vec![format!("k{uid}")];
    TransferredMessage {
        message,
        source_uid: uid,
        email_id: [uid as u8; 16],
    }
}

/// Messages with these UIDs in the source, staged for a mailbox in parts.
async fn staged(partition: &Arc<Partition>, id: TransferId, to: &str, uids: &[u32]) -> Incoming {
    let mut incoming = partition.begin_transfer(id, &name(to)).unwrap();
    for part in uids.chunks(2) {
        let messages = part.iter().map(|uid| transferred(*uid, &uid.to_string()));
        incoming.take(messages.collect()).await.unwrap();
    }
    incoming
}

fn to(partition: &str, home: u64) -> Destination {
    Destination {
        node: "be2".into(),
        partition: partition.into(),
        home,
    }
}

async fn count(partition: &Partition, mailbox: &str) -> u32 {
    let status = partition.status(&name(mailbox), None).await.unwrap();
    status.messages
}

#[tokio::test]
async fn all_appear_at_once() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob"]).await;
    let inbox = name("user/bob");
    partition.append(&inbox, vec![message("0")]).await.unwrap();
    let handle = partition.open_mailbox(&inbox).await.unwrap();
    let id = TransferId::new();
    let mut incoming = staged(&partition, id, "user/bob", &[3, 7, 8, 20, 21]).await;
    assert_eq!((handle.view().len(), incoming.messages()), (1, 5));
    let adopted = incoming.adopt().await.unwrap();
    assert_eq!(adopted.source, [3, 7, 8, 20, 21]);
    assert_eq!(adopted.target, [2, 3, 4, 5, 6]);
    let view = handle.view();
    for (uid, row) in adopted.source.iter().zip(view.rows(2, 6)) {
        assert_eq!(row.flags, Flags::FLAGGED);
        assert_eq!(row.email_id, [*uid as u8; 16]);
        let keywords: Vec<_> = view.keywords().names(row.keywords).collect();
        assert_eq!(keywords, [format!("k{uid}")]);
        assert_ne!(row.save_date, 1_700_000_002, "that of the adoption");
        let body = partition.read_body(row.location).await.unwrap();
        assert_eq!(body, raw(&uid.to_string()));
    }
    let rows: Vec<_> = view.rows(2, 6).collect();
    let items = handle.fetch_items(&rows).await.unwrap();
    assert!(items.iter().all(Option::is_some));
    // It is known, and only once.
    let again = partition
        .settle_transfer(incoming.home(), id)
        .await
        .unwrap();
    assert_eq!(again.unwrap(), adopted);
    drop(incoming);
    drop(handle);
    let before = dump(&partition).await;
    let crashed = TempDir::new().unwrap();
    copy_dir(dir.path(), crashed.path());
    let partition = open(&crashed);
    assert_eq!(dump(&partition).await, before);
    assert!(partition.check_quota("user/bob").await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_refused_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob", "user/bob/x"]).await;
    let limits = QuotaLimits {
        message: Some(2),
        ..QuotaLimits::default()
    };
    partition
        .set_quota(&name("user/bob"), limits)
        .await
        .unwrap();
    let id = TransferId::new();
    let mut incoming = staged(&partition, id, "user/bob", &[1, 2, 3]).await;
    let refused = incoming.adopt().await.unwrap_err();
    assert!(matches!(refused, StoreError::OverQuota { .. }), "{refused}");
    assert_eq!(count(&partition, "user/bob").await, 0);
    incoming.discard().await.unwrap();
    assert_eq!(contents(&dir, &partition).await, 0);
    // The mailbox goes while messages come for it.
    let mut incoming = staged(&partition, TransferId::new(), "user/bob/x", &[1]).await;
    partition.delete_mailbox(&name("user/bob/x")).await.unwrap();
    let refused = incoming.adopt().await.unwrap_err();
    assert!(matches!(refused, StoreError::NoSuchMailbox), "{refused}");
    // Whoever goes without a word leaves nothing either.
    drop(incoming);
    drop(staged(&partition, TransferId::new(), "user/bob", &[1, 2]).await);
    let gone = async {
        while contents(&dir, &partition).await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), gone)
        .await
        .unwrap();
}

/// Contents in all homes.
async fn contents(dir: &TempDir, partition: &Partition) -> i64 {
    partition.checkpoint().await.unwrap();
    let mut sum = 0;
    for home in walk(&dir.path().join("partition/homes")) {
        let conn = rusqlite::Connection::open(home).unwrap();
        let count: i64 = conn
            .query_row("SELECT count(*) FROM content", [], |r| r.get(0))
            .unwrap();
        sum += count;
    }
    sum
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else if path.extension().is_some_and(|e| e == "db") {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn what_is_settled_stays_so() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob"]).await;
    let (one, two) = (TransferId::new(), TransferId::new());
    let mut incoming = staged(&partition, one, "user/bob", &[1, 2]).await;
    let home = incoming.home();
    // Asked before: it will not be.
    assert_eq!(partition.settle_transfer(home, one).await.unwrap(), None);
    let late = incoming.adopt().await.unwrap_err();
    assert!(matches!(late, StoreError::NoSuchTransfer), "{late}");
    assert_eq!(partition.settle_transfer(home, two).await.unwrap(), None);
    // It does not come to life with what comes later.
    let mut late = partition.begin_transfer(two, &name("user/bob")).unwrap();
    late.take(vec![transferred(1, "late")]).await.unwrap();
    assert!(late.adopt().await.is_err());
    assert_eq!(count(&partition, "user/bob").await, 0);
    // A home that has gone knows nothing.
    assert_eq!(partition.settle_transfer(99, one).await.unwrap(), None);
}

#[tokio::test]
async fn what_nobody_adopts_is_forgotten_in_time() {
    let dir = TempDir::new().unwrap();
    let time = Arc::new(AtomicI64::new(1_700_000_000));
    let config = |dir: &TempDir| PartitionConfig {
        clock: manual_clock(&time),
        ..config(dir)
    };
    let partition = Partition::open(config(&dir)).unwrap();
    create(&partition, &["user/bob"]).await;
    let uids: Vec<u32> = (1..=300).collect();
    let id = TransferId::new();
    let mut adopted = staged(&partition, id, "user/bob", &[1]).await;
    adopted.adopt().await.unwrap();
    std::mem::forget(staged(&partition, TransferId::new(), "user/bob", &uids).await);
    assert!(contents(&dir, &partition).await >= 299);
    time.fetch_add(3599, Ordering::SeqCst);
    partition.purge().await.unwrap();
    assert!(contents(&dir, &partition).await >= 299);
    time.fetch_add(2, Ordering::SeqCst);
    partition.purge().await.unwrap();
    assert_eq!(contents(&dir, &partition).await, 1);
    // What became of the other is known for longer, but not for ever.
    let home = adopted.home();
    assert!(partition.settle_transfer(home, id).await.unwrap().is_some());
    time.fetch_add(31 * 24 * 3600, Ordering::SeqCst);
    partition.checkpoint().await.unwrap();
    partition.purge().await.unwrap();
    assert_eq!(partition.settle_transfer(home, id).await.unwrap(), None);
    assert_eq!(count(&partition, "user/bob").await, 1);
}

#[tokio::test]
async fn what_leaves_is_known_after_a_crash() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob", "user/bob/x"]).await;
    let inbox = name("user/bob");
    let messages = (1..=4).map(|n| message(&n.to_string())).collect();
    partition.append(&inbox, messages).await.unwrap();
    let handle = partition.open_mailbox(&inbox).await.unwrap();
    assert!(partition.unsettled().await.unwrap().is_empty());
    let id = TransferId::new();
    let claim = handle.claim(&UidSet::range(2, 9));
    assert_eq!(*claim.uids(), UidSet::range(2, 4));
    let left = partition.depart(&handle, claim, id, to("main", 7)).await;
    let left: Departure = left.unwrap();
    assert_eq!(handle.claimed(), UidSet::range(2, 4));
    let crashed = TempDir::new().unwrap();
    copy_dir(dir.path(), crashed.path());

    let again = open(&crashed);
    let unsettled = again.unsettled().await.unwrap();
    assert_eq!(unsettled.len(), 1);
    let found = &unsettled[0];
    assert_eq!((found.id(), found.uids()), (id, left.uids()));
    assert_eq!(*found.destination(), to("main", 7));
    // Nobody else moves them meanwhile.
    let source = again.open_mailbox(&inbox).await.unwrap();
    let all = UidSet::range(1, 4);
    let other = name("user/bob/x");
    let moved = again.move_messages(&source, &all, &other, CopyFlags::default());
    assert_eq!(moved.await.unwrap().source, [1]);
    assert_eq!(found.remove().await.unwrap().uids, UidSet::range(2, 4));
    assert_eq!(found.remove().await.unwrap().uids, UidSet::new());
    found.settled().await.unwrap();
    assert!(source.view().is_empty());
    drop(unsettled);
    assert!(source.claimed().is_empty());
    assert!(again.unsettled().await.unwrap().is_empty());
    // Nor does it hold anything up that the mailbox has gone.
    drop(handle);
    partition.delete_mailbox(&inbox).await.unwrap();
    assert_eq!(left.remove().await.unwrap().uids, UidSet::new());
}

/// Within a partition too a message goes to one place, whoever moves it at the same time.
#[tokio::test]
async fn moves_at_the_same_time_do_not_multiply() {
    let dir = TempDir::new().unwrap();
    let partition = open(&dir);
    create(&partition, &["user/bob", "user/bob/x", "user/eve", "board"]).await;
    let inbox = name("user/bob");
    let messages = (1..=20).map(|n| message(&n.to_string())).collect();
    partition.append(&inbox, messages).await.unwrap();
    let source = partition.open_mailbox(&inbox).await.unwrap();
    let all = UidSet::range(1, 20);
    let targets = ["user/eve", "board", "user/bob/x", "user/eve", "board"].map(name);
    let moves = targets
        .iter()
        .map(|target| partition.move_messages(&source, &all, target, CopyFlags::default()));
    let mut moved: Vec<u32> = Vec::new();
    let mut running: Vec<_> = moves.map(Box::pin).collect();
    while !running.is_empty() {
        let next = std::future::poll_fn(|cx| {
            for (at, one) in running.iter_mut().enumerate() {
                if let std::task::Poll::Ready(done) = one.as_mut().poll(cx) {
                    return std::task::Poll::Ready((at, done));
                }
            }
            std::task::Poll::Pending
        });
        let (at, done) = next.await;
        drop(running.swap_remove(at));
        moved.extend(done.unwrap().source);
    }
    moved.sort_unstable();
    assert_eq!(moved, (1..=20).collect::<Vec<u32>>());
    let mut there = 0;
    for mailbox in ["user/eve", "board", "user/bob/x"] {
        there += count(&partition, mailbox).await;
    }
    assert_eq!((there, count(&partition, "user/bob").await), (20, 0));
}

/// Power fails anywhere in MOVEs between two partitions: after both are open again and have asked
/// each other, each message is in one place, and what was answered holds.
#[test]
fn a_move_between_partitions_is_never_half_done() {
    each_seed(0..60, play);
}

async fn play(seed: u64) {
    let mut rng = Rng::new(seed);
    let (from_dir, to_dir) = (fast_dir(), fast_dir());
    let (from_io, to_io) = (FaultyIo::default(), FaultyIo::default());
    let open = |dir: &TempDir, io: &FaultyIo| {
        Partition::open_with(config(dir), Arc::new(io.clone())).unwrap()
    };
    let (from, into) = (open(&from_dir, &from_io), open(&to_dir, &to_io));
    create(&from, &["user/bob"]).await;
    create(&into, &["user/eve"]).await;
    let (inbox, eve) = (name("user/bob"), name("user/eve"));
    let messages = (1..=8).map(|n| message(&n.to_string())).collect();
    from.append(&inbox, messages).await.unwrap();
    let source = from.open_mailbox(&inbox).await.unwrap();
    from_io.dies_after(rng.below(30));
    to_io.dies_after(rng.below(40));
    let mut done = Vec::new();
    for uids in [
        UidSet::range(1, 3),
        UidSet::range(4, 4),
        UidSet::range(5, 8),
    ] {
        let id = TransferId::new();
        let step = async {
            let view = source.view();
            let mut incoming = into.begin_transfer(id, &eve)?;
            for row in uids.iter().filter_map(|uid| view.row_by_uid(uid)) {
                let text = row.uid.to_string();
                incoming.take(vec![transferred(row.uid, &text)]).await?;
            }
            let claim = source.claim(&uids);
            let left = from
                .depart(&source, claim, id, to("to", incoming.home()))
                .await?;
            incoming.adopt().await?;
            left.remove().await?;
            // What was answered is true at once.
            Ok::<_, StoreError>(left)
        };
        if let Ok(left) = step.await {
            done.push(uids);
            // It may be lost: then it is asked once more.
            let _ = left.settled().await;
        }
    }
    drop(source);
    let (from_after, to_after) = (fast_dir(), fast_dir());
    for (dir, after, io) in [
        (&from_dir, &from_after, &from_io),
        (&to_dir, &to_after, &to_io),
    ] {
        copy_dir(dir.path(), after.path());
        io.lose_power(&after.path().join("partition/journal"), &mut rng);
    }
    drop((from, into));
    let (from, into) = (
        Partition::open(config(&from_after)).unwrap(),
        Partition::open(config(&to_after)).unwrap(),
    );
    for left in from.unsettled().await.unwrap() {
        let home = left.destination().home;
        if into
            .settle_transfer(home, left.id())
            .await
            .unwrap()
            .is_some()
        {
            left.remove().await.unwrap();
        }
        left.settled().await.unwrap();
    }
    let (here, there) = (dump(&from).await, dump(&into).await);
    let bodies =
        |rows: &DumpedMailbox| -> Vec<Bytes> { rows.rows.iter().map(|r| r.body.clone()).collect() };
    let mut all = bodies(&here["user/bob"]);
    let arrived = bodies(&there["user/eve"]);
    all.extend(arrived.iter().cloned());
    all.sort();
    let whole: Vec<Bytes> = (1..=8).map(|n| raw(&n.to_string())).collect();
    assert_eq!(all, whole, "each message is in one place");
    for uid in done.iter().flat_map(UidSet::iter) {
        assert!(arrived.contains(&raw(&uid.to_string())), "{uid} was moved");
    }
}
