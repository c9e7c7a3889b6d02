//! How the node is: told to the master, to `/healthz` and `/readyz`, and to the metrics. And the
//! watch over the master's coming and going.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use murder_location::{NodeSession, PartitionState, PartitionStatus, Report};
use murder_store::{Damage, Health, Metrics, Partition, StoreError};

use crate::node::{Cluster, Node};
use crate::opening::{identity_to_master, report_to_master};
use crate::reconcile::reconcile;

/// How often the partitions are looked at.
const EVERY: Duration = Duration::from_secs(2);
/// A partition whose file system has less free is read-only for others: room for a segment of
/// the journal and for the homes to grow by what is in it.
const LEAST_FREE: u64 = 128 << 20;
/// How often the files of the partitions are added up, at most.
const USAGE_EVERY: Duration = Duration::from_secs(60);
/// And so many times as long as adding up took: a hundred thousand homes are many files.
const USAGE_PAUSE: u32 = 50;
/// From a change that got stuck to the reconciliation, and between two attempts of it.
const RETRY: Duration = Duration::from_secs(1);
/// The same when the master refuses: somebody has to look.
const RETRY_REFUSED: Duration = Duration::from_secs(60);

/// The room of a file system, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Room {
    total: u64,
    free: u64,
}

/// How often a partition that is not open is tried again: a disk may have been mounted since.
const REOPEN: Duration = Duration::from_secs(5);
/// The same at the most, when it does not become so: looking at a damaged one costs.
const LAST_REOPEN: Duration = Duration::from_secs(15);
/// Between two reports that somebody waits for.
const REPORT_PAUSE: Duration = Duration::from_millis(100);
/// How often the node writes down for itself how far its partitions have come.
const REMEMBER: Duration = Duration::from_secs(10);

/// One partition, as it was last looked at.
struct Watched {
    partition: Arc<Partition>,
    /// How often there was no room, as it was last looked at.
    disk_full: u64,
    /// There was no room, and there is none yet as far as is known.
    full: bool,
}

/// The name of a partition's condition.
pub(crate) fn condition_of(partition: &str) -> String {
    format!("partition:{partition}")
}

/// The partitions under watch: those that are open.
pub(crate) struct Watch {
    partitions: Vec<Watched>,
    remembered: Instant,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            partitions: Vec::new(),
            remembered: Instant::now(),
        }
    }

    /// Takes those in that were opened since, and lets go of those that were closed.
    fn take_in(&mut self, node: &Node) {
        let open = node.partitions.open();
        let is_open = |watched: &Watched| {
            let mut open = open.iter();
            open.any(|open| Arc::ptr_eq(open, &watched.partition))
        };
        self.partitions.retain(is_open);
        for partition in open.iter() {
            let known = |watched: &Watched| Arc::ptr_eq(&watched.partition, partition);
            if !self.partitions.iter().any(known) {
                self.partitions.push(Watched {
                    partition: Arc::clone(partition),
                    disk_full: 0,
                    full: false,
                });
            }
        }
    }

    /// Looks at all of them; sets conditions and gauges.
    pub(crate) async fn look(&mut self, node: &Node) -> Vec<PartitionStatus> {
        self.take_in(node);
        if self.remembered.elapsed() >= REMEMBER {
            self.remembered = Instant::now();
            remember(node);
        }
        let paths: Vec<PathBuf> = self
            .partitions
            .iter()
            .map(|watched| watched.partition.config().path.clone())
            .collect();
        // A file system may be slow to answer.
        let rooms = tokio::task::spawn_blocking(move || {
            paths.iter().map(|path| room(path)).collect::<Vec<_>>()
        });
        let rooms = rooms.await.unwrap_or_default();
        let mut statuses = Vec::with_capacity(self.partitions.len());
        for (at, watched) in self.partitions.iter_mut().enumerate() {
            let room = rooms.get(at).copied().flatten();
            watched.look_for_room().await;
            let name = &watched.partition.config().name;
            let trouble = watched.trouble(room);
            let condition = condition_of(name);
            let writable = trouble.is_none();
            let damage = watched.partition.damage();
            let wrong: Vec<String> = trouble.into_iter().chain(damaged(&damage)).collect();
            match wrong.is_empty() {
                true => node.health.ok(&condition),
                false => node.health.unhealthy(&condition, wrong.join("; ")),
            }
            let room = room.unwrap_or_default();
            let label = [("partition", name.clone())];
            let free = i64::try_from(room.free).unwrap_or(i64::MAX);
            node.counters.free_bytes.get_or_create(&label).set(free);
            node.counters
                .writable
                .get_or_create(&label)
                .set(i64::from(writable));
            node.counters.open.get_or_create(&label).set(1);
            for (gauge, count) in [
                (&node.counters.damaged_homes, damage.homes.len()),
                (&node.counters.damaged_files, damage.files.len()),
            ] {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                gauge.get_or_create(&label).set(count);
            }
            let partition = &watched.partition;
            statuses.push(PartitionStatus {
                identity: Some(identity_to_master(partition)),
                report: report_to_master(partition.report()),
                record_now: tokio::time::timeout(Duration::ZERO, partition.report_due())
                    .await
                    .is_ok(),
                name: node.place_of(name),
                state: match writable {
                    true => PartitionState::Online,
                    false => PartitionState::ReadOnly,
                },
                bytes_total: room.total,
                bytes_free: room.free,
            });
        }
        for (name, _) in node.partitions.not_open() {
            let label = [("partition", name)];
            node.counters.open.get_or_create(&label).set(0);
            node.counters.writable.get_or_create(&label).set(0);
        }
        for (name, _) in node.partitions.closed() {
            statuses.push(PartitionStatus {
                name: node.place_of(&name),
                state: PartitionState::Offline,
                bytes_total: 0,
                bytes_free: 0,
                identity: None,
                report: Report::default(),
                record_now: false,
            });
        }
        statuses.sort_by(|a, b| a.name.cmp(&b.name));
        statuses
    }
}

/// Has the node remember for itself how far its partitions have come.
pub(crate) fn remember(node: &Node) {
    for partition in node.partitions.open().iter() {
        node.remember(partition, None);
    }
}

/// Tries to open what is not open, again and again, until the drain begins.
pub(crate) async fn reopen(node: Arc<Node>) {
    let draining = node.shutdown.token();
    let reopen = async {
        let mut pause = REOPEN;
        let mut before = Vec::new();
        loop {
            node.partitions.some_not_open().await;
            tokio::time::sleep(pause).await;
            let closed = node.partitions.not_open();
            pause = match closed == before {
                true => (pause * 2).min(LAST_REOPEN),
                false => REOPEN,
            };
            before = closed;
            let opened = node.open_partitions().await;
            if opened.is_ok_and(|opened| !opened.is_empty()) {
                node.changes.wake();
                node.look_now.notify_one();
            }
        }
    };
    draining.run_until_cancelled(reopen).await;
}

/// Passes on what the master has recorded of the partitions, until the drain begins: that releases
/// those who wait for it.
pub(crate) async fn follow_reports(node: Arc<Node>, session: Arc<NodeSession>) {
    let draining = node.shutdown.token();
    let mut recorded = session.recorded();
    drop(session);
    let follow = async {
        loop {
            let reports = recorded.borrow_and_update().clone();
            for report in reports {
                let open = node.partitions.open();
                let Some(partition) = open.iter().find(|p| node.place(p) == report.partition)
                else {
                    continue;
                };
                if partition.identity().copy == report.copy {
                    partition.set_reported(murder_store::Report {
                        lsn: report.report.lsn,
                        uids: report.report.uids,
                    });
                }
            }
            if recorded.changed().await.is_err() {
                return;
            }
        }
    };
    draining.run_until_cancelled(follow).await;
}

/// Waits until one of the partitions has to report how far it has come, and not before `earliest`.
async fn report_after(node: &Node, earliest: tokio::time::Instant) {
    tokio::time::sleep_until(earliest).await;
    let open = node.partitions.open();
    let mut waiting: Vec<_> = open
        .iter()
        .map(|partition| {
            let partition = Arc::clone(partition);
            Box::pin(async move { partition.report_due().await })
        })
        .collect();
    std::future::poll_fn(|cx| {
        let due = waiting
            .iter_mut()
            .any(|due| due.as_mut().poll(cx).is_ready());
        match due {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}

impl Watched {
    /// Notes when something found no room. Once it did, nobody may try again for a long time, nor
    /// does free space say all (there are disk quotas): so this tries.
    async fn look_for_room(&mut self) {
        let disk_full = Metrics::get(&self.partition.metrics().disk_full);
        let refused = disk_full > std::mem::replace(&mut self.disk_full, disk_full);
        if refused || self.full {
            // What the journal needs next.
            let room = self.partition.config().segment_bytes;
            self.full = refused || self.partition.check_disk(room).await.is_err();
        }
    }

    /// Why it should take nothing new.
    fn trouble(&self, room: Option<Room>) -> Option<String> {
        match self.partition.health() {
            Health::ReadOnly { why } => Some(format!("read-only: {why}")),
            Health::Stalled { why } => Some(format!("stalled: {why}")),
            Health::Healthy if self.full => Some("file system is full".into()),
            Health::Healthy => match room {
                Some(room) if room.free < LEAST_FREE => Some("file system is nearly full".into()),
                _ => None,
            },
        }
    }
}

/// What is damaged while everything else works.
fn damaged(damage: &Damage) -> Option<String> {
    /// Of more of them only the number is said; the log has all.
    const NAMED: usize = 3;
    let say = |what: &str, of: &BTreeMap<u64, String>| {
        let named: Vec<String> = (of.iter().take(NAMED))
            .map(|(number, why)| format!("{number}: {why}"))
            .collect();
        let more = if of.len() > NAMED { ", …" } else { "" };
        (!of.is_empty())
            .then(|| format!("{} damaged {what} ({}{more})", of.len(), named.join(", ")))
    };
    let parts = [
        say("homes", &damage.homes),
        say("journal files", &damage.files),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn room(path: &std::path::Path) -> Option<Room> {
    match rustix::fs::statvfs(path) {
        Ok(stat) => Some(Room {
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        }),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "free space is not known");
            None
        }
    }
}

/// Watches the partitions until the drain begins, and tells the master.
pub(crate) async fn watch(node: Arc<Node>, mut watch: Watch, session: Option<Arc<NodeSession>>) {
    let draining = node.shutdown.token();
    // What was said last; the node may have become a member since `enter` looked.
    let mut member = false;
    let mut next_report = tokio::time::Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = joined(&node, session.as_deref()), if !member => {}
            () = report_after(&node, next_report), if session.is_some() => {}
            () = node.look_now.notified() => {}
            () = draining.cancelled() => return,
        }
        // What is due stays so until the master has answered.
        next_report = tokio::time::Instant::now() + REPORT_PAUSE;
        let statuses = watch.look(&node).await;
        if let Some(session) = &session {
            session.set_partitions(statuses);
            member = report_master(&node, session);
        }
    }
}

/// Adds up what the partitions take on disk, again and again, until the drain begins.
pub(crate) async fn measure(node: Arc<Node>) {
    let draining = node.shutdown.token();
    let measure = async {
        loop {
            let begun = Instant::now();
            for partition in node.partitions.open().iter() {
                if let Err(error) = set_usage(&node, partition).await {
                    let name = &partition.config().name;
                    tracing::warn!(partition = name, %error, "its disk usage is not known");
                }
            }
            let pause = begun.elapsed().saturating_mul(USAGE_PAUSE);
            tokio::time::sleep(pause.max(USAGE_EVERY)).await;
        }
    };
    draining.run_until_cancelled(measure).await;
}

async fn set_usage(node: &Node, partition: &Partition) -> Result<(), StoreError> {
    let usage = partition.disk_usage().await?;
    let kept = partition.kept_bytes().await?;
    let gauges = &node.counters;
    for (gauge, bytes) in [
        (&gauges.journal_size, usage.journal),
        (&gauges.large_bodies, usage.large_bodies),
        (&gauges.homes_size, usage.homes),
        (&gauges.index_size, usage.index),
        (&gauges.other_size, usage.other),
        (&gauges.living, usage.living),
        (&gauges.kept, kept),
        (&gauges.garbage, usage.garbage),
    ] {
        let label = [("partition", partition.config().name.clone())];
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        gauge.get_or_create(&label).set(bytes);
    }
    Ok(())
}

/// Sets the condition `mupdate`; whether the node is a member of the murder.
pub(crate) fn report_master(node: &Node, session: &NodeSession) -> bool {
    let Some(cluster) = &node.cluster else {
        return false;
    };
    let member = session.is_registered() && cluster.replica.connected();
    match (member, cluster.replica.refusal()) {
        (_, Some(why)) => node.health.unhealthy("mupdate", why),
        (true, None) => node.health.ok("mupdate"),
        (false, None) => node
            .health
            .not_ready("mupdate", "no session with the mupdate master"),
    }
    member
}

/// Waits until the node is a member of the murder.
async fn joined(node: &Node, session: Option<&NodeSession>) {
    let (Some(session), Some(cluster)) = (session, &node.cluster) else {
        return std::future::pending().await;
    };
    let mut connection = cluster.replica.connection();
    let joined = session.registered(EVERY).await.is_ok()
        && connection.wait_for(|connected| *connected).await.is_ok();
    if !joined {
        std::future::pending().await
    }
}

/// Reconciles whenever the master has come back, or a change got stuck, until the drain begins.
/// `reconciled`: whether it was done at the start.
pub(crate) async fn follow_master(node: Arc<Node>, reconciled: bool) {
    let Some(cluster) = &node.cluster else {
        return;
    };
    let draining = node.shutdown.token();
    let follow = async {
        let mut connection = cluster.replica.connection();
        let mut due = !reconciled;
        // The stream that is being opened now, or was already, is the one of the start.
        let mut seen = streams(cluster).max(1);
        loop {
            let mut pause = RETRY;
            if due {
                match reconcile(&node).await {
                    Ok(()) => due = false,
                    Err(error) if error.is_unavailable() => {
                        tracing::debug!(%error, "not reconciled yet");
                    }
                    Err(error) => {
                        tracing::error!(%error, "not reconciled");
                        pause = RETRY_REFUSED;
                    }
                }
            }
            tokio::select! {
                _ = connection.changed() => {}
                () = node.changes.left_unfinished() => {
                    // What the master was asked may be on its way through it.
                    tokio::time::sleep(RETRY).await;
                    due = true;
                }
                () = tokio::time::sleep(pause), if due => {}
            }
            // Each new stream is a master that was away for a while.
            let now = streams(cluster);
            due |= now > seen;
            seen = seen.max(now);
        }
    };
    draining.run_until_cancelled(follow).await;
}

fn streams(cluster: &Cluster) -> u64 {
    cluster.replica.counters().connects
}
