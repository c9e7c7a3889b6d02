//! A full copy of what the master replicates, in memory and on disk.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use murder_auth::{Account, AccountObserver, Blocked, Directory};
use murder_mailbox::MailboxName;
use murder_net::tls::Revocation;
use murder_proto::v1::{self, watch_response};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::client::MupdateClient;
use crate::disk::{Disk, DiskError, Meta, Synchronous, now_ms};
use crate::error::MupdateError;
use crate::record::{Change, Location, Mailbox, Node, NodeState, Partition};
use crate::tables::Tables;

/// First and longest pause between attempts to open the watch stream.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// The master sends heartbeats each second; a stream that is silent for so long is dead.
const SILENCE: Duration = Duration::from_secs(15);
/// Batches waiting to be written to disk; a full queue slows the stream down, so that a
/// slow disk cannot make memory grow.
const COPY_QUEUE: usize = 256;
/// Callers waiting for the next barrier; they wait for a place in the queue after that.
const BARRIER_QUEUE: usize = 1024;
/// How often the time of the last contact is written when nothing else is.
const CONTACT_EVERY: Duration = Duration::from_secs(30);
/// Changes of one revision that are collected before they become visible; more is no
/// master of ours.
const MAX_REVISION_CHANGES: usize = 4_000_000;

/// What to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The location map.
    Mailboxes,
    /// Accounts with their password hashes, and blocks.
    Users,
    /// Nodes and partitions.
    Nodes,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mailboxes, Self::Users, Self::Nodes];

    const fn to_proto(self) -> v1::Topic {
        match self {
            Self::Mailboxes => v1::Topic::Mailboxes,
            Self::Users => v1::Topic::Users,
            Self::Nodes => v1::Topic::Nodes,
        }
    }
}

/// How a replica works.
#[derive(Debug, Clone)]
pub struct ReplicaConfig {
    /// Where the durable copy is kept; made when it is not there.
    pub dir: PathBuf,
    /// The node's name, for the log.
    pub node: String,
    /// What to follow.
    pub topics: Vec<Topic>,
}

/// Why a replica could not start. A durable copy that is damaged is no reason: it is made
/// anew.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep a durable copy in {dir}: {reason}")]
pub struct ReplicaError {
    dir: PathBuf,
    reason: String,
}

/// How often what happened, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplicaCounters {
    /// Watch streams that began with a full snapshot.
    pub snapshots: u64,
    /// Watch streams that went on from the revision that was there.
    pub resumes: u64,
    /// Watch streams opened.
    pub connects: u64,
    /// Barrier calls made to the master.
    pub barriers: u64,
}

#[derive(Debug, Default)]
struct Counters {
    snapshots: AtomicU64,
    resumes: AtomicU64,
    connects: AtomicU64,
    barriers: AtomicU64,
}

/// What is known of the master.
#[derive(Debug, Default)]
struct Contact {
    /// The last message of this process's life.
    last: Option<Instant>,
    /// From the durable copy, milliseconds since 1970; 0 when there was none.
    saved_ms: u64,
}

/// Follows the master's watch stream. Serves from its durable copy at once after a start,
/// also when no master can be reached; says how old it is.
#[derive(Debug)]
pub struct Replica {
    tables: RwLock<Tables>,
    revision: watch::Sender<u64>,
    connected: watch::Sender<bool>,
    /// The last revision in which an account changed, or that of the copy as it was loaded.
    accounts_revision: AtomicU64,
    /// Who is told of changed accounts.
    observer: OnceLock<Arc<dyn AccountObserver>>,
    /// Why the master is none of this node's.
    refusal: watch::Sender<Option<String>>,
    /// It holds something: a durable copy was there, or a snapshot has come.
    populated: AtomicBool,
    contact: Mutex<Contact>,
    counters: Counters,
    client: MupdateClient,
    barriers: mpsc::Sender<oneshot::Sender<Result<u64, MupdateError>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    writer: Mutex<Option<std::thread::JoinHandle<()>>>,
    stop: CancellationToken,
}

/// What the thread that writes the durable copy is told.
enum CopyWork {
    /// Forget everything; what follows is a snapshot, until the next commit.
    Reset,
    /// The stream broke within a snapshot or a revision.
    Abandon,
    Put(Vec<v1::Change>),
    /// Everything since the last commit is this revision.
    Commit {
        murder_id: Vec<u8>,
        revision: u64,
    },
    /// The master said that there is nothing new.
    Contact,
}

impl Replica {
    /// Loads the durable copy and begins to follow the master, until `shutdown`.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub async fn start(
        config: ReplicaConfig,
        client: MupdateClient,
        shutdown: CancellationToken,
    ) -> Result<Arc<Self>, ReplicaError> {
        let dir = config.dir.clone();
        let path = dir.join("replica.sqlite3");
        let topics = config.topics.clone();
        let opened = tokio::task::spawn_blocking(move || open_copy(&path, &topics)).await;
        let fail = |reason: String| ReplicaError {
            dir: dir.clone(),
            reason,
        };
        let (disk, meta, tables) = opened
            .map_err(|e| fail(e.to_string()))?
            .map_err(|e| fail(e.to_string()))?;
        let (barriers, waiting) = mpsc::channel(BARRIER_QUEUE);
        let stop = shutdown.child_token();
        client.membership().set(&meta.murder_id, meta.revision);
        client
            .tls()
            .set_revoked(tables.revocations.values().cloned());
        let replica = Arc::new(Self {
            tables: RwLock::new(tables),
            revision: watch::Sender::new(meta.revision),
            connected: watch::Sender::new(false),
            accounts_revision: AtomicU64::new(meta.revision),
            observer: OnceLock::new(),
            refusal: watch::Sender::new(None),
            populated: AtomicBool::new(meta.revision > 0),
            contact: Mutex::new(Contact {
                last: None,
                saved_ms: meta.saved_ms,
            }),
            counters: Counters::default(),
            client: client.clone(),
            barriers,
            tasks: Mutex::new(Vec::new()),
            writer: Mutex::new(None),
            stop: stop.clone(),
        });
        let (copy, work) = mpsc::channel(COPY_QUEUE);
        let topics_wanted = config.topics.clone();
        let murder_id = meta.murder_id.clone();
        let writer = std::thread::Builder::new()
            .name("mupdate-copy".into())
            .spawn(move || write_copy(&disk, meta, work))
            .map_err(|e| fail(e.to_string()))?;
        *replica.writer.lock() = Some(writer);
        // The tasks hold no strong reference over a wait, so that dropping the last handle
        // ends them.
        let follower = Follower {
            replica: Arc::downgrade(&replica),
            client: client.clone(),
            topics: topics_wanted,
            murder_id,
            copy,
            stop,
            node: config.node,
        };
        let mut tasks = replica.tasks.lock();
        tasks.push(tokio::spawn(follower.run()));
        tasks.push(tokio::spawn(ask_barriers(
            Arc::downgrade(&replica),
            client,
            waiting,
        )));
        drop(tasks);
        Ok(replica)
    }

    /// The tables as they are now. Hold it briefly, and never over an await: while it is
    /// held no change comes in.
    pub fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read()
    }

    /// The mailbox of that name.
    #[must_use]
    pub fn find(&self, name: &MailboxName) -> Option<Location> {
        self.read().map.find(name)
    }

    /// The mailboxes below `name`, at any depth, in name order. For large trees use
    /// [`Replica::read`] and [`crate::LocationMap::below`].
    #[must_use]
    pub fn below(&self, name: &MailboxName) -> Vec<Mailbox> {
        let tables = self.read();
        tables
            .map
            .below(name)
            .map(|entry| Mailbox {
                name: entry.mailbox_name(),
                location: entry.location(),
            })
            .collect()
    }

    /// The partition `node!partition`.
    #[must_use]
    pub fn partition(&self, name: &str) -> Option<Partition> {
        self.read().partitions.get(name).cloned()
    }

    /// All partitions, in name order: where a new home may go.
    #[must_use]
    pub fn partitions(&self) -> Vec<Partition> {
        self.read().partitions.values().cloned().collect()
    }

    /// The node of that name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<Node> {
        self.read().nodes.get(name).cloned()
    }

    /// All nodes, in name order.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        self.read().nodes.values().cloned().collect()
    }

    /// The node that serves `partition`, and whether it can be used: it has a session.
    #[must_use]
    pub fn node_of_partition(&self, partition: &str) -> Option<Node> {
        let tables = self.read();
        let owner = &tables.partitions.get(partition)?.owner;
        tables.nodes.get(owner).cloned()
    }

    /// The partitions of nodes that are up, that take new homes, with their nodes.
    #[must_use]
    pub fn open_partitions(&self) -> Vec<(Partition, Node)> {
        let tables = self.read();
        tables
            .partitions
            .values()
            .filter(|partition| partition.state == crate::record::PartitionState::Online)
            .filter_map(|partition| {
                let node = tables.nodes.get(&partition.owner)?;
                (node.state == NodeState::Up).then(|| (partition.clone(), node.clone()))
            })
            .collect()
    }

    /// The account with this normalised login name.
    #[must_use]
    pub fn account(&self, name: &str) -> Option<Account> {
        self.read().accounts.get(name).cloned()
    }

    /// What is revoked of certificates.
    #[must_use]
    pub fn revocations(&self) -> Vec<Revocation> {
        self.read().revocations.values().cloned().collect()
    }

    /// Tells `observer` of each account that changes from now on. There is one observer; another one
    /// is not taken.
    pub fn observe_accounts(&self, observer: Arc<dyn AccountObserver>) {
        let taken = self.observer.set(observer);
        debug_assert!(taken.is_ok(), "a replica has one observer");
    }

    /// A revision that contains every account as it can be looked up here. It is no later than it
    /// need be: a node that only follows accounts gets there as soon as it has their last change.
    #[must_use]
    pub fn accounts_revision(&self) -> u64 {
        self.accounts_revision.load(Ordering::Acquire)
    }

    /// The revision that the tables are of; 0 when they hold nothing yet.
    #[must_use]
    pub fn revision(&self) -> u64 {
        *self.revision.borrow()
    }

    /// Whether it holds accounts: without any, nobody is unknown.
    #[must_use]
    pub fn has_accounts(&self) -> bool {
        !self.read().accounts.is_empty()
    }

    /// Whether it holds a murder's tables, however old.
    #[must_use]
    pub fn is_populated(&self) -> bool {
        self.populated.load(Ordering::Acquire)
    }

    /// Time since the master last said anything; `None` when it never did, neither to this
    /// process nor to one before it.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let contact = self.contact.lock();
        match contact.last {
            Some(last) => Some(last.elapsed()),
            None if contact.saved_ms == 0 => None,
            None => Some(Duration::from_millis(
                now_ms().saturating_sub(contact.saved_ms),
            )),
        }
    }

    /// Whether the master has said nothing for longer than `limit`.
    #[must_use]
    pub fn is_older_than(&self, limit: Duration) -> bool {
        self.age().is_none_or(|age| age > limit)
    }

    /// Whether the watch stream is open and has delivered everything up to its start.
    #[must_use]
    pub fn connected(&self) -> bool {
        *self.connected.borrow()
    }

    /// Why nothing is taken from the master that answers: it is of another murder, or has an older
    /// log than was here already. `None` when there is nothing to object to it.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        self.refusal.borrow().clone()
    }

    /// Follows [`Replica::refusal`].
    #[must_use]
    pub fn refusals(&self) -> watch::Receiver<Option<String>> {
        self.refusal.subscribe()
    }

    /// Follows [`Replica::connected`].
    #[must_use]
    pub fn connection(&self) -> watch::Receiver<bool> {
        self.connected.subscribe()
    }

    /// Changes each time the revision does.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// How often what happened.
    #[must_use]
    pub fn counters(&self) -> ReplicaCounters {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ReplicaCounters {
            snapshots: count(&self.counters.snapshots),
            resumes: count(&self.counters.resumes),
            connects: count(&self.counters.connects),
            barriers: count(&self.counters.barriers),
        }
    }

    /// The client that it was started with.
    #[must_use]
    pub const fn client(&self) -> &MupdateClient {
        &self.client
    }

    /// Waits until everything that the master had answered before this call is here.
    /// Callers that wait at the same time share one call to the master.
    ///
    /// # Errors
    /// [`MupdateError::Unavailable`] when the master does not answer, or it does not get
    /// here, within `limit`.
    pub async fn barrier(&self, limit: Duration) -> Result<u64, MupdateError> {
        let late = || MupdateError::Unavailable("no barrier in time".into());
        timeout(limit, async {
            let (sender, receiver) = oneshot::channel();
            self.barriers.send(sender).await.map_err(|_| late())?;
            let revision = receiver.await.map_err(|_| late())??;
            self.reach(revision).await
        })
        .await
        .map_err(|_| late())?
    }

    /// Waits until `revision` is here.
    ///
    /// # Errors
    /// [`MupdateError::Unavailable`] when that takes longer than `limit`.
    pub async fn wait_for(&self, revision: u64, limit: Duration) -> Result<u64, MupdateError> {
        timeout(limit, self.reach(revision)).await.map_err(|_| {
            MupdateError::Unavailable(format!("revision {revision} not here in time"))
        })?
    }

    async fn reach(&self, revision: u64) -> Result<u64, MupdateError> {
        self.revision
            .subscribe()
            .wait_for(|here| *here >= revision)
            .await
            .map(|here| *here)
            .map_err(|_| MupdateError::Unavailable("the replica has stopped".into()))
    }

    /// Stops following, and waits until the durable copy is written and closed. What is here
    /// can be read on.
    pub async fn stop(&self) {
        self.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            task.abort();
            // It has ended, whichever way.
            let _ = task.await;
        }
        self.connected.send_replace(false);
        let writer = self.writer.lock().take();
        if let Some(writer) = writer
            && !matches!(
                tokio::task::spawn_blocking(move || writer.join()).await,
                Ok(Ok(()))
            )
        {
            tracing::error!("the durable copy's writer has panicked");
        }
    }

    /// Accounts are others from `revision` on.
    fn accounts_are_of(&self, revision: u64, tell: impl FnOnce(&dyn AccountObserver)) {
        self.accounts_revision.store(revision, Ordering::Release);
        if let Some(observer) = self.observer.get() {
            tell(&**observer);
        }
    }

    fn heard(&self) {
        self.contact.lock().last = Some(Instant::now());
    }
}

impl Directory for Replica {
    fn account(&self, name: &str) -> Option<Account> {
        Self::account(self, name)
    }

    fn blocked(&self, address: IpAddr) -> Option<Blocked> {
        let tables = self.read();
        let block = tables.block_of(address, now_ms())?;
        Some(match block.operator {
            true => Blocked::ByOperator,
            false => Blocked::ByNode,
        })
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop.cancel();
        for task in self.tasks.get_mut().drain(..) {
            task.abort();
        }
    }
}

/// Calls the master once for all who wait. One who comes while a call is on its way waits
/// for the next: the answer on its way may be older than the caller's wish.
async fn ask_barriers(
    replica: std::sync::Weak<Replica>,
    client: MupdateClient,
    mut waiting: mpsc::Receiver<oneshot::Sender<Result<u64, MupdateError>>>,
) {
    let mut callers = Vec::new();
    while waiting.recv_many(&mut callers, BARRIER_QUEUE).await > 0 {
        // Those who have given up need no call.
        callers.retain(|caller| !caller.is_closed());
        if callers.is_empty() {
            continue;
        }
        if let Some(replica) = replica.upgrade() {
            replica.counters.barriers.fetch_add(1, Ordering::Relaxed);
        }
        let answer = client.barrier().await;
        for caller in callers.drain(..) {
            // One who has given up meanwhile does not care.
            let _ = caller.send(answer.clone());
        }
    }
}

struct Follower {
    replica: std::sync::Weak<Replica>,
    client: MupdateClient,
    topics: Vec<Topic>,
    murder_id: Vec<u8>,
    copy: mpsc::Sender<CopyWork>,
    stop: CancellationToken,
    node: String,
}

impl Follower {
    async fn run(mut self) {
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

/// Opens the durable copy; one that is damaged, or of other topics, is made anew.
fn open_copy(path: &Path, topics: &[Topic]) -> Result<(Disk, Meta, Tables), DiskError> {
    // The copy of other topics lacks records that its revision promises.
    let topics_path = path.with_extension("topics");
    let mut wanted: Vec<String> = topics.iter().map(|t| format!("{t:?}")).collect();
    wanted.sort();
    let wanted = wanted.join(" ");
    if std::fs::read_to_string(&topics_path).is_ok_and(|have| have == wanted) {
        match Disk::open(path, Synchronous::Normal)
            .and_then(|disk| disk.load().map(|(meta, tables)| (disk, meta, tables)))
        {
            Ok(opened) => return Ok(opened),
            // Another process has it: not ours to throw away.
            Err(error) if error.is_busy() => return Err(error),
            Err(error) => tracing::error!(%error, "durable copy unusable, made anew"),
        }
    }
    for suffix in ["sqlite3", "sqlite3-wal", "sqlite3-shm"] {
        match std::fs::remove_file(path.with_extension(suffix)) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(DiskError::Io {
                    path: path.to_owned(),
                    source,
                });
            }
            _ => {}
        }
    }
    let disk = Disk::open(path, Synchronous::Normal)?;
    std::fs::write(&topics_path, wanted).map_err(|source| DiskError::Io {
        path: topics_path,
        source,
    })?;
    let (meta, tables) = disk.load()?;
    Ok((disk, meta, tables))
}

/// Writes the durable copy until the replica is gone, each revision in one transaction
/// (which, unlike the master's, need not wait for the disk).
///
/// After a failed write the copy stays at the last revision that it has whole, and is
/// written again from the next snapshot, or by the next process from there on.
fn write_copy(disk: &Disk, meta: Meta, mut work: mpsc::Receiver<CopyWork>) {
    let mut writer = CopyWriter {
        disk,
        meta,
        open: false,
        in_step: true,
        in_step_without_reset: true,
    };
    while let Some(item) = work.blocking_recv() {
        if let Err(error) = writer.write(item) {
            disk.rollback();
            writer.open = false;
            writer.in_step = false;
            writer.in_step_without_reset = false;
            tracing::error!(%error, "durable copy not written; it stays as it was");
        }
    }
    // Half a revision, if any, goes with the connection.
}

struct CopyWriter<'a> {
    disk: &'a Disk,
    meta: Meta,
    /// A transaction is open.
    open: bool,
    /// The file, with the open transaction, has all that was sent so far.
    in_step: bool,
    /// What `in_step` is when the reset in the open transaction is abandoned.
    in_step_without_reset: bool,
}

impl CopyWriter<'_> {
    fn write(&mut self, work: CopyWork) -> Result<(), DiskError> {
        match work {
            CopyWork::Abandon => {
                self.disk.rollback();
                self.open = false;
                self.in_step = self.in_step_without_reset;
            }
            CopyWork::Reset => {
                self.disk.rollback();
                self.open = false;
                self.begin()?;
                self.disk.clear()?;
                self.in_step = true;
            }
            _ if !self.in_step => {}
            CopyWork::Put(changes) => {
                self.begin()?;
                for change in &changes {
                    self.disk.put(change)?;
                }
            }
            CopyWork::Commit {
                murder_id,
                revision,
            } => {
                self.begin()?;
                self.meta.murder_id = murder_id;
                self.meta.revision = revision;
                self.commit()?;
            }
            // Within a revision the time can wait for its end.
            CopyWork::Contact if self.open => {}
            CopyWork::Contact => {
                self.begin()?;
                self.commit()?;
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), DiskError> {
        if !self.open {
            self.disk.begin()?;
            self.open = true;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), DiskError> {
        self.meta.saved_ms = now_ms();
        self.disk.put_meta(&self.meta)?;
        self.disk.commit()?;
        self.open = false;
        self.in_step_without_reset = true;
        Ok(())
    }
}
