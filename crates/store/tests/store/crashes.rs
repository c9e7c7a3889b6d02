//! The power goes at any moment: what was acknowledged is there, what was not is there whole
//! or not at all.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use murder_store::{CopyFlags, Health, Metrics, Partition, PartitionConfig, StoreError, UidSet};
use tempfile::TempDir;

use crate::faulty::FaultyIo;
use crate::model::{Model, NAMES, Time, kept_config, new_body};
use crate::support::*;
use crate::torn;

/// Explicit checkpoints only, so that the test knows what is durable in the homes.
fn crash_config(dir: &TempDir, time: &Time) -> PartitionConfig {
    PartitionConfig {
        checkpoint_bytes: u64::MAX,
        segment_bytes: 128 << 10,
        ..kept_config(dir, time)
    }
}

/// What was submitted when the disk went, and whether it was acknowledged.
struct InFlight {
    body: Bytes,
    targets: Vec<&'static str>,
    refused: Vec<&'static str>,
    acknowledged: bool,
}

#[test]
fn nothing_acknowledged_is_lost() {
    each_seed(0..200, crash_during_deliveries);
}

async fn crash_during_deliveries(seed: u64) {
    let mut rng = Rng::new(seed);
    let mut dir = fast_dir();
    let mut model = Model::default();
    let time = model.time.clone();
    for _ in 0..3 {
        let io = FaultyIo::default();
        let partition =
            Partition::open_with(crash_config(&dir, &time), Arc::new(io.clone())).unwrap();
        // Homes as they surely are on disk.
        let safe = fast_dir();
        let homes = |dir: &TempDir| dir.path().join("partition/homes");
        copy_dir(&homes(&dir), &homes(&safe));
        for _ in 0..rng.below(40) {
            let what = rng.below(24);
            let checkpoints = || Metrics::get(&partition.metrics().checkpoints);
            let before = checkpoints();
            match what {
                0 => assert!(partition.compact().await.unwrap().corrupt.is_empty()),
                1..=2 => partition.checkpoint().await.unwrap(),
                _ => model.step(&partition, &mut rng).await.unwrap(),
            }
            // A purge makes one as well.
            if checkpoints() > before {
                std::fs::remove_dir_all(homes(&safe)).unwrap();
                copy_dir(&homes(&dir), &homes(&safe));
            }
        }
        let before = model.check(&partition).await;

        io.dies_after(rng.below(12));
        let in_flight = deliver_at_once(&partition, &mut rng).await;
        let after = fast_dir();
        copy_dir(dir.path(), after.path());
        io.lose_power(&after.path().join("partition/journal"), &mut rng);
        lose_homes(&homes(&after), &homes(&safe), &mut rng);
        drop(partition);
        dir = after;

        let partition = Partition::open(crash_config(&dir, &time)).unwrap();
        let dumped = dump(&partition).await;
        let found = Model::of(&dumped);
        // Without the messages in flight it is the model, to the last MODSEQ.
        for (mailbox, old) in &before {
            let now = &dumped[mailbox];
            assert_eq!(now.rows[..old.rows.len()], old.rows[..], "{mailbox}");
            assert_eq!(now.expunged, old.expunged);
            assert_eq!(now.kept, old.kept);
            assert!(now.highest_modseq >= old.highest_modseq);
        }
        assert_eq!(found.mailboxes.len(), model.mailboxes.len());
        for (mailbox, now) in &found.mailboxes {
            let old = &model.mailboxes[mailbox];
            let new: Vec<&Bytes> = now
                .messages
                .range(old.uidnext..)
                .map(|(_, m)| &m.body)
                .collect();
            assert_eq!(old.messages.len() + new.len(), now.messages.len());
            let known: BTreeSet<&Bytes> = in_flight.iter().map(|f| &f.body).collect();
            assert!(new.iter().all(|body| known.contains(body)));
        }
        for one in &in_flight {
            let arrived: Vec<bool> = one
                .targets
                .iter()
                .filter(|t| model.mailboxes.contains_key(**t) && !one.refused.contains(t))
                // Where it was not acknowledged, it may have been over quota.
                .filter(|t| one.acknowledged || model.governing(t).is_none())
                .map(|t| {
                    let mut messages = found.mailboxes[*t].messages.values();
                    messages.any(|m| m.body == one.body)
                })
                .collect();
            if one.acknowledged {
                assert!(
                    arrived.iter().all(|a| *a),
                    "an acknowledged delivery is lost"
                );
            }
            assert!(
                arrived.iter().all(|a| *a == arrived[0]),
                "a delivery is there for some only"
            );
        }
        model.check_deleted(&partition).await;
        model.mailboxes = found.mailboxes;
        partition.shutdown().await.unwrap();
        drop(partition);
        // What replay made is what a clean start finds.
        let partition = Partition::open(crash_config(&dir, &time)).unwrap();
        assert_eq!(dumped, dump(&partition).await);
        partition.shutdown().await.unwrap();
    }
}

/// Many deliveries at the same time, so that some share a batch.
async fn deliver_at_once(partition: &Arc<Partition>, rng: &mut Rng) -> Vec<InFlight> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..rng.below(10) {
        let targets: Vec<&str> = NAMES.into_iter().filter(|_| rng.below(2) == 0).collect();
        let (partition, body) = (Arc::clone(partition), new_body(rng));
        tasks.spawn(async move {
            let names: Vec<_> = targets.iter().map(|t| name(t)).collect();
            let mut refused = Vec::new();
            let results = partition.deliver(&names, of_bytes(body.clone())).await;
            let acknowledged = match results {
                Ok(results) => {
                    let all = targets.iter().zip(&results);
                    for (target, error) in all.filter_map(|(t, r)| Some((t, r.as_ref().err()?))) {
                        refused.push(*target);
                        assert!(
                            matches!(
                                error,
                                StoreError::NoSuchMailbox | StoreError::OverQuota { .. }
                            ),
                            "{error}"
                        );
                    }
                    true
                }
                Err(_) => false,
            };
            InFlight {
                body,
                targets,
                refused,
                acknowledged,
            }
        });
    }
    tasks.join_all().await
}

/// Of what homes wrote since they were synced, not all is there.
fn lose_homes(homes: &Path, safe: &Path, rng: &mut Rng) {
    for number in 1..20u64 {
        let file = format!("{number:02x}/{number}.db");
        torn::lose_power(&homes.join(&file), &safe.join(&file), rng);
    }
}

/// A few changes since the last checkpoint, which may be in their homes' files or not; nothing
/// but these files and `partition.db` suffers.
#[test]
fn homes_come_back_from_whatever_is_left_of_them() {
    each_seed(0..2_000, crash_of_databases);
}

async fn crash_of_databases(seed: u64) {
    let mut rng = Rng::new(seed);
    let (dir, safe, after) = (fast_dir(), fast_dir(), fast_dir());
    let mut model = Model::default();
    let time = model.time.clone();
    let partition = Partition::open(crash_config(&dir, &time)).unwrap();
    let checkpoints = || Metrics::get(&partition.metrics().checkpoints);
    let mut counted = checkpoints();
    copy_databases(dir.path(), safe.path());
    for _ in 0..rng.below(24) {
        match rng.below(8) {
            0 => partition.checkpoint().await.unwrap(),
            _ => model.step(&partition, &mut rng).await.unwrap(),
        }
        if rng.below(4) == 0 {
            // Whoever reads has what was shown committed.
            for mailbox in NAMES {
                let _ = partition.status(&name(mailbox), None).await;
            }
        }
        // A purge makes one as well.
        if checkpoints() > counted {
            counted = checkpoints();
            copy_databases(dir.path(), safe.path());
        }
    }
    copy_dir(dir.path(), after.path());
    let of = |dir: &TempDir| dir.path().join("partition/partition.db");
    if rng.below(3) == 0 {
        // The power goes in the middle of a checkpoint.
        partition.checkpoint().await.unwrap();
        copy_databases(dir.path(), after.path());
        torn::lose_power_in_commit(&of(&after), &of(&safe), &mut rng);
    } else {
        lose_homes(&homes_of(&after), &homes_of(&safe), &mut rng);
        torn::lose_power_in_commit(&of(&after), &of(&safe), &mut rng);
    }
    drop(partition);
    let partition = Partition::open(crash_config(&after, &time)).unwrap();
    assert_eq!(partition.health(), Health::Healthy);
    settle(&partition, &mut model).await;
    model.check(&partition).await;
}

/// Copies what is not the journal.
fn copy_databases(from: &Path, to: &Path) {
    let (from, to) = (from.join("partition"), to.join("partition"));
    let _ = std::fs::remove_dir_all(to.join("homes"));
    copy_dir(&from.join("homes"), &to.join("homes"));
    for file in ["partition.db", "partition.db-wal"] {
        if from.join(file).exists() {
            std::fs::copy(from.join(file), to.join(file)).unwrap();
        }
    }
}

/// Anything at all, one thing after the other, until the disk is gone; small failures of the
/// disk before.
#[test]
fn any_change_happens_whole_or_not_at_all() {
    each_seed(0..300, crash_during_changes);
}

async fn crash_during_changes(seed: u64) {
    let mut rng = Rng::new(seed);
    let mut dir = fast_dir();
    let mut model = Model::default();
    let time = model.time.clone();
    for _ in 0..2 {
        let io = FaultyIo::default();
        let partition =
            Partition::open_with(crash_config(&dir, &time), Arc::new(io.clone())).unwrap();
        let safe = fast_dir();
        copy_dir(&homes_of(&dir), &homes_of(&safe));
        for _ in 0..rng.below(30) {
            let checkpoints = || Metrics::get(&partition.metrics().checkpoints);
            let before = checkpoints();
            match rng.below(6) {
                0 => io.set_full(true),
                1 => io.fails_once(true),
                _ => {}
            }
            match some_step(&mut model, &partition, &mut rng).await {
                Ok(()) | Err(StoreError::DiskFull | StoreError::Io { .. }) => {}
                Err(e) => panic!("{e}"),
            }
            io.set_full(false);
            io.fails_once(false);
            assert_eq!(partition.health(), Health::Healthy);
            settle(&partition, &mut model).await;
            if checkpoints() > before {
                std::fs::remove_dir_all(homes_of(&safe)).unwrap();
                copy_dir(&homes_of(&dir), &homes_of(&safe));
            }
        }
        model.check(&partition).await;

        // What comes now is done again on a copy, should it turn out that the last of it
        // happened although it failed.
        let (start, start_model, mut steps) = (fast_dir(), model.fork(), Vec::new());
        copy_dir(dir.path(), start.path());
        io.dies_after(rng.below(16));
        for _ in 0..20 {
            let before = Metrics::get(&partition.metrics().checkpoints);
            steps.push(rng.clone());
            let alive = some_step(&mut model, &partition, &mut rng).await.is_ok();
            if Metrics::get(&partition.metrics().checkpoints) > before {
                std::fs::remove_dir_all(homes_of(&safe)).unwrap();
                copy_dir(&homes_of(&dir), &homes_of(&safe));
            }
            if !alive || io.is_dead() {
                break;
            }
        }
        let after = fast_dir();
        copy_dir(dir.path(), after.path());
        io.lose_power(&after.path().join("partition/journal"), &mut rng);
        lose_homes(&homes_of(&after), &homes_of(&safe), &mut rng);
        drop(partition);
        dir = after;

        let partition = Partition::open(crash_config(&dir, &time)).unwrap();
        assert_eq!(partition.health(), Health::Healthy);
        settle(&partition, &mut model).await;
        if !model.is_of(&partition).await {
            let mut other = start_model;
            let twin = Partition::open(crash_config(&start, &other.time)).unwrap();
            for mut rng in steps {
                some_step(&mut other, &twin, &mut rng).await.unwrap();
            }
            other.forget_due();
            twin.shutdown().await.unwrap();
            let found = Model::of(&dump(&partition).await).mailboxes;
            assert_eq!(
                other.mailboxes, found,
                "neither before nor after the change"
            );
            other.time = time.clone();
            model = other;
        }
        model.check(&partition).await;
        partition.shutdown().await.unwrap();
        drop(partition);
        let partition = Partition::open(crash_config(&dir, &time)).unwrap();
        model.check(&partition).await;
        partition.shutdown().await.unwrap();
    }
}

/// A change, a checkpoint or a compaction.
async fn some_step(
    model: &mut Model,
    partition: &Arc<Partition>,
    rng: &mut Rng,
) -> Result<(), StoreError> {
    match rng.below(14) {
        0 => partition.checkpoint().await,
        1 => {
            let compacted = partition.compact().await?;
            assert!(compacted.corrupt.is_empty());
            Ok(())
        }
        _ => model.step(partition, rng).await,
    }
}

/// Does what may be half done of a purge, and of a rename that makes room for a home first.
async fn settle(partition: &Partition, model: &mut Model) {
    partition.purge().await.unwrap();
    model.forget_due();
    let found = Model::deleted_of(partition).await;
    let homes: BTreeSet<String> = model
        .mailboxes
        .keys()
        .map(|m| name(m).home_key().to_owned())
        .collect();
    model
        .deleted
        .retain(|id, (home, _, _)| homes.contains(home) || found.contains_key(id));
}

fn homes_of(dir: &TempDir) -> std::path::PathBuf {
    dir.path().join("partition/homes")
}

#[test]
fn a_move_between_homes_is_never_half_done() {
    each_seed(0..300, crash_during_moves);
}

async fn crash_during_moves(seed: u64) {
    let mut rng = Rng::new(seed);
    let dir = fast_dir();
    let io = FaultyIo::default();
    let time = Time::default();
    let partition = Partition::open_with(crash_config(&dir, &time), Arc::new(io.clone())).unwrap();
    create(&partition, &["user/bob", "user/eve", "board"]).await;
    let inbox = name("user/bob");
    let messages = (0..6).map(|n| message(&n.to_string())).collect();
    partition.append(&inbox, messages).await.unwrap();
    let safe = fast_dir();
    let homes = |dir: &TempDir| dir.path().join("partition/homes");
    partition.checkpoint().await.unwrap();
    copy_dir(&homes(&dir), &homes(&safe));
    let source = partition.open_mailbox(&inbox).await.unwrap();
    let mut acknowledged = Vec::new();
    let die_in = rng.below(8);
    io.dies_after(die_in);
    for uid in 1..=6u32 {
        let target = *rng.pick(&["user/eve", "board"]).unwrap();
        let moved = partition
            .move_messages(
                &source,
                &UidSet::range(uid, uid),
                &name(target),
                CopyFlags::default(),
            )
            .await;
        if let Ok(moved) = moved {
            assert_eq!(moved.expunged, UidSet::range(uid, uid));
            acknowledged.push((uid, target));
        }
    }
    let after = fast_dir();
    copy_dir(dir.path(), after.path());
    io.lose_power(&after.path().join("partition/journal"), &mut rng);
    // Each home is as new as the other or not: every crash point between their commits.
    lose_homes(&homes(&after), &homes(&safe), &mut rng);
    let partition = Partition::open(crash_config(&after, &time)).unwrap();
    let dumped = dump(&partition).await;
    let mut bodies = Vec::new();
    for mailbox in dumped.values() {
        bodies.extend(mailbox.rows.iter().map(|r| r.body.clone()));
    }
    bodies.sort();
    let mut whole: Vec<Bytes> = (0..6).map(|n| raw(&n.to_string())).collect();
    whole.sort();
    assert_eq!(bodies, whole, "each message is in one place");
    for (uid, target) in acknowledged {
        let body = raw(&(uid - 1).to_string());
        assert!(dumped[target].rows.iter().any(|r| r.body == body));
    }
}
