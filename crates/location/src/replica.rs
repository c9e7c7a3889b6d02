//! A full copy of what the master replicates, in memory and on disk.

mod barrier;
mod copy;
mod follow;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use murder_auth::{Account, AccountObserver, Blocked, Directory};
use murder_mailbox::MailboxName;
use murder_net::tls::Revocation;
use murder_proto::v1;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::client::MupdateClient;
use crate::disk::now_ms;
use crate::error::MupdateError;
use crate::record::{Location, Mailbox, Node, NodeState, Partition};
use crate::tables::Tables;
use barrier::{BARRIER_QUEUE, ask_barriers};
use copy::{open_copy, write_copy};
use follow::Follower;

/// Batches waiting to be written to disk; a full queue slows the stream down, so that a
/// slow disk cannot make memory grow.
const COPY_QUEUE: usize = 256;

/// What to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    observers: RwLock<Vec<Arc<dyn AccountObserver>>>,
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
            observers: RwLock::default(),
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
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|e| fail(e.to_string()))?;
        let writer = std::thread::Builder::new()
            .name("mupdate-copy".into())
            .spawn(move || runtime.block_on(write_copy(&disk, meta, work)))
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

    /// Tells `observer` of each account that changes from now on, after those who came before it.
    pub fn observe_accounts(&self, observer: Arc<dyn AccountObserver>) {
        self.observers.write().push(observer);
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
    fn accounts_are_of(&self, revision: u64, tell: impl Fn(&dyn AccountObserver)) {
        self.accounts_revision.store(revision, Ordering::Release);
        for observer in &*self.observers.read() {
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
