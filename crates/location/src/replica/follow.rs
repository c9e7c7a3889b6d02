//! Following the master's watch stream.

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use murder_proto::v1::{self, watch_response};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::copy::CopyWork;
use super::{Replica, Topic};
use crate::client::MupdateClient;
use crate::error::MupdateError;
use crate::record::Change;
use crate::tables::Tables;

/// First and longest pause between attempts to open the watch stream.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// The master sends heartbeats each second; a stream that is silent for so long is dead.
const SILENCE: Duration = Duration::from_secs(15);
/// How often the time of the last contact is written when nothing else is.
const CONTACT_EVERY: Duration = Duration::from_secs(30);
/// Changes of one revision that are collected before they become visible; more is no
/// master of ours.
const MAX_REVISION_CHANGES: usize = 4_000_000;

pub(super) struct Follower {
    pub replica: Weak<Replica>,
    pub client: MupdateClient,
    pub topics: Vec<Topic>,
    pub murder_id: Vec<u8>,
    pub copy: mpsc::Sender<CopyWork>,
    pub stop: CancellationToken,
    pub node: String,
}

impl Follower {
    pub async fn run(mut self) {
        let mut pause = BACKOFF.0;
        let mut reachable = true;
        while !self.stop.is_cancelled() {
            let Some(replica) = self.replica.upgrade() else {
                return;
            };
            let connects = replica.counters.connects.load(Ordering::Relaxed);
            drop(replica);
            let stop = self.stop.clone();
            let ended = tokio::select! {
                ended = self.follow() => ended,
                () = stop.cancelled() => Ok(()),
            };
            let Some(replica) = self.replica.upgrade() else {
                return;
            };
            replica.connected.send_replace(false);
            if self.copy.send(CopyWork::Abandon).await.is_err() || self.stop.is_cancelled() {
                return;
            }
            let had_stream = connects < replica.counters.connects.load(Ordering::Relaxed);
            if had_stream {
                pause = BACKOFF.0;
                reachable = true;
            }
            match ended {
                Ok(()) => tracing::debug!(node = self.node, "watch stream ended"),
                Err(MupdateError::OtherMurder(why)) => {
                    let news = replica.refusal.send_if_modified(|before| {
                        let news = before.as_ref() != Some(&why);
                        *before = Some(why.clone());
                        news
                    });
                    if news {
                        tracing::error!(node = self.node, why, "the master is refused");
                    }
                }
                Err(error) if error.is_unavailable() && !reachable => {
                    tracing::debug!(node = self.node, %error, "no watch stream yet");
                }
                Err(error) => {
                    tracing::warn!(
                        node = self.node,
                        %error,
                        revision = replica.revision(),
                        "watch stream lost, serving what is here"
                    );
                    reachable = false;
                }
            }
            drop(replica);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return,
            }
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// One stream, to its end.
    async fn follow(&mut self) -> Result<(), MupdateError> {
        let gone = || MupdateError::Unavailable("the replica has stopped".into());
        let from_revision = self.replica.upgrade().ok_or_else(gone)?.revision();
        let request = v1::WatchRequest {
            from_revision,
            murder_id: self.murder_id.clone(),
            topics: self.topics.iter().map(|t| t.to_proto().into()).collect(),
        };
        let mut stream = self.client.watch(request).await?;
        let mut incoming = Incoming::default();
        loop {
            let message = timeout(SILENCE, stream.message())
                .await
                .map_err(|_| MupdateError::Unavailable("the watch stream is silent".into()))??;
            let Some(kind) = message.and_then(|m| m.kind) else {
                return Ok(());
            };
            let replica = self.replica.upgrade().ok_or_else(gone)?;
            replica.heard();
            self.take(&replica, &mut incoming, kind).await?;
        }
    }

    async fn take(
        &mut self,
        replica: &Replica,
        incoming: &mut Incoming,
        kind: watch_response::Kind,
    ) -> Result<(), MupdateError> {
        match kind {
            watch_response::Kind::Start(start) => {
                replica.counters.connects.fetch_add(1, Ordering::Relaxed);
                self.check(replica, &start)?;
                replica
                    .refusal
                    .send_if_modified(|refusal| refusal.take().is_some());
                self.murder_id = start.murder_id;
                if start.snapshot {
                    replica.counters.snapshots.fetch_add(1, Ordering::Relaxed);
                    incoming.snapshot = Some(Tables::default());
                    incoming.pending.clear();
                    self.tell(CopyWork::Reset).await?;
                } else {
                    replica.counters.resumes.fetch_add(1, Ordering::Relaxed);
                    if start.revision <= replica.revision() {
                        replica.connected.send_replace(true);
                    }
                }
                tracing::info!(
                    node = self.node,
                    revision = start.revision,
                    snapshot = start.snapshot,
                    "following the mupdate master"
                );
            }
            watch_response::Kind::Chunk(chunk) => {
                let tables = incoming.snapshot.as_mut().ok_or_else(|| {
                    MupdateError::Protocol("part of a snapshot outside of one".into())
                })?;
                for change in typed(&chunk.changes) {
                    tables.apply(&change);
                }
                self.tell(CopyWork::Put(chunk.changes)).await?;
            }
            watch_response::Kind::Changes(changes) => {
                incoming.pending.extend(typed(&changes.changes));
                if incoming.pending.len() > MAX_REVISION_CHANGES {
                    return Err(MupdateError::Protocol("endless revision".into()));
                }
                self.tell(CopyWork::Put(changes.changes)).await?;
                if changes.more {
                    return Ok(());
                }
                if let Some(tables) = &mut incoming.snapshot {
                    for change in incoming.pending.drain(..) {
                        tables.apply(&change);
                    }
                    return Ok(());
                }
                let revoking = |change: &Change| matches!(change, Change::Revocation(..));
                let revoked = incoming.pending.iter().any(revoking);
                let mut accounts = Vec::new();
                {
                    let mut tables = replica.tables.write();
                    for change in incoming.pending.drain(..) {
                        tables.apply(&change);
                        if let Change::Account(name, account) = change {
                            accounts.push((name, account));
                        }
                    }
                }
                // Whoever waits for the revision finds the sessions told.
                if !accounts.is_empty() {
                    replica.accounts_are_of(changes.revision, |observer| {
                        for (name, account) in &accounts {
                            observer.account_changed(name, account.as_ref());
                        }
                    });
                }
                self.reached(replica, changes.revision).await?;
                if revoked {
                    self.revoke(replica);
                }
            }
            watch_response::Kind::SnapshotEnd(end) => {
                let mut tables = incoming
                    .snapshot
                    .take()
                    .ok_or_else(|| MupdateError::Protocol("end of no snapshot".into()))?;
                // Off the async threads: with millions of records it takes seconds.
                let tables = tokio::task::spawn_blocking(move || {
                    tables.map.compact();
                    tables
                })
                .await
                .map_err(|e| MupdateError::Protocol(e.to_string()))?;
                let before = std::mem::replace(&mut *replica.tables.write(), tables);
                // Millions of records take a while to free; nobody has to wait for it.
                tokio::task::spawn_blocking(move || drop(before));
                replica.populated.store(true, Ordering::Release);
                replica.accounts_are_of(end.revision, |observer| {
                    observer.accounts_replaced(replica);
                });
                self.reached(replica, end.revision).await?;
                self.revoke(replica);
                replica.connected.send_replace(true);
            }
            watch_response::Kind::Heartbeat(heartbeat) => {
                if incoming.snapshot.is_some() {
                    return Ok(());
                }
                // Revisions that change nothing we follow pass by unseen otherwise.
                if heartbeat.revision > replica.revision() {
                    self.reached(replica, heartbeat.revision).await?;
                } else if incoming.contact_written.elapsed() >= CONTACT_EVERY {
                    incoming.contact_written = Instant::now();
                    self.tell(CopyWork::Contact).await?;
                }
                if !replica.connected() {
                    replica.connected.send_replace(true);
                }
            }
        }
        Ok(())
    }

    /// From here on revoked certificates are not believed. It may be the master's own, which ends
    /// this stream.
    fn revoke(&self, replica: &Replica) {
        self.client.tls().set_revoked(replica.revocations());
    }

    /// A master refuses those who know another murder by itself; one that does not know how is
    /// refused here.
    fn check(&self, replica: &Replica, start: &v1::WatchStart) -> Result<(), MupdateError> {
        if self.murder_id.is_empty() || start.predecessors.contains(&self.murder_id) {
            return Ok(());
        }
        if self.murder_id != start.murder_id {
            let why = "the mupdate master is of another murder than this node's";
            return Err(MupdateError::OtherMurder(why.into()));
        }
        if start.revision < replica.revision() {
            let why = "the mupdate master has an older log than this node has seen";
            return Err(MupdateError::OtherMurder(why.into()));
        }
        Ok(())
    }

    async fn reached(&self, replica: &Replica, revision: u64) -> Result<(), MupdateError> {
        replica.revision.send_replace(revision);
        self.client.membership().set(&self.murder_id, revision);
        self.tell(CopyWork::Commit {
            murder_id: self.murder_id.clone(),
            revision,
        })
        .await
    }

    async fn tell(&self, work: CopyWork) -> Result<(), MupdateError> {
        self.copy
            .send(work)
            .await
            .map_err(|_| MupdateError::Unavailable("the durable copy's writer is gone".into()))
    }
}

/// What has come and is not visible yet.
struct Incoming {
    snapshot: Option<Tables>,
    pending: Vec<Change>,
    contact_written: Instant,
}

impl Default for Incoming {
    fn default() -> Self {
        Self {
            snapshot: None,
            pending: Vec::new(),
            contact_written: Instant::now(),
        }
    }
}

/// A record that makes no sense here (a newer master's) is passed over; the others count.
fn typed(changes: &[v1::Change]) -> impl Iterator<Item = Change> {
    changes
        .iter()
        .filter_map(|change| match Change::from_proto(change.clone()) {
            Ok(change) => Some(change),
            Err(error) => {
                tracing::error!(%error, "record from the master passed over");
                None
            }
        })
}
