//! A node's session with the master.

use std::collections::BTreeMap;
use std::time::Duration;

use murder_net::Health;
use murder_proto::v1::{self, register_request};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::client::MupdateClient;
use crate::error::MupdateError;
use crate::health::NodeHealth;
use crate::record::{PartitionIdentity, PartitionState, Report};

/// First and longest pause between attempts to open the stream; doubled each time.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How long the farewell may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// Messages waiting to be sent: a status replaces the one before it, so few are enough.
const QUEUE: usize = 4;

/// What a node is, for as long as its process lives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeDescription {
    /// Must be the certificate's name.
    pub name: String,
    /// What it serves, by kind (see [`service`](crate::record::service)), and its `host:port` as other
    /// nodes reach it.
    pub services: BTreeMap<String, String>,
    /// Relative share of new homes; [`MAX_WEIGHT`](murder_net::config::MAX_WEIGHT) at most.
    pub weight: u32,
}

/// What may change while it lives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeStatus {
    /// Serves what it has, wants nothing new.
    pub draining: bool,
    /// The partitions of a backend, all of them.
    pub partitions: Vec<PartitionStatus>,
}

/// One of a backend's partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// `node!partition`.
    pub name: String,
    /// What it takes.
    pub state: PartitionState,
    /// Size of its file system in bytes; 0 when unknown.
    pub bytes_total: u64,
    /// Free bytes there.
    pub bytes_free: u64,
    /// What it is; `None` when it is not open.
    pub identity: Option<PartitionIdentity>,
    /// How far it has come.
    pub report: Report,
    /// Somebody waits until the master has recorded the report.
    pub record_now: bool,
}

/// How far the master has recorded that a partition has come: durably.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedReport {
    /// `node!partition`.
    pub partition: String,
    /// Of which copy.
    pub copy: [u8; 16],
    /// How far.
    pub report: Report,
}

impl PartitionStatus {
    /// Its wire form.
    #[must_use]
    pub fn to_proto(&self) -> v1::PartitionStatus {
        let (id, copy) = PartitionIdentity::to_proto(self.identity);
        v1::PartitionStatus {
            id,
            copy,
            lsn: self.report.lsn,
            uids: self.report.uids,
            record_now: self.record_now,
            name: self.name.clone(),
            state: self.state.to_proto().into(),
            bytes_total: self.bytes_total,
            bytes_free: self.bytes_free,
        }
    }
}

impl RecordedReport {
    fn from_proto(recorded: v1::RecordedReport) -> Option<Self> {
        Some(Self {
            partition: recorded.partition,
            copy: recorded.copy.try_into().ok()?,
            report: Report {
                lsn: recorded.lsn,
                uids: recorded.uids,
            },
        })
    }
}

impl NodeStatus {
    fn to_proto(&self) -> v1::NodeStatus {
        v1::NodeStatus {
            draining: self.draining,
            partitions: self
                .partitions
                .iter()
                .map(PartitionStatus::to_proto)
                .collect(),
            health: None,
        }
    }
}

/// A session that is kept open, and opened again when it is lost. Dropped without
/// [`NodeSession::close`] it just ends, and the master calls the node down.
#[derive(Debug)]
pub struct NodeSession {
    description: watch::Sender<Option<NodeDescription>>,
    status: watch::Sender<NodeStatus>,
    registered: watch::Receiver<Option<u64>>,
    recorded: watch::Receiver<Vec<RecordedReport>>,
    goodbye: CancellationToken,
    aborting: AbortHandle,
    task: Mutex<JoinHandle<()>>,
}

impl NodeSession {
    pub(crate) fn new(client: MupdateClient, health: Health) -> Self {
        let (description, described) = watch::channel(None);
        let (status, statuses) = watch::channel(NodeStatus::default());
        let (registering, registered) = watch::channel(None);
        let (recording, recorded) = watch::channel(Vec::new());
        let goodbye = CancellationToken::new();
        let session = Session {
            client,
            node: NodeDescription::default(),
            incarnation: uuid::Uuid::new_v4(),
            statuses,
            changes: health.changes(),
            health,
            registering,
            recording,
            goodbye: goodbye.clone(),
        };
        let task = tokio::spawn(session.run(described));
        Self {
            description,
            status,
            registered,
            recorded,
            goodbye,
            aborting: task.abort_handle(),
            task: Mutex::new(task),
        }
    }

    /// Enters the murder. Before that the master hears nothing.
    pub fn open(&self, node: NodeDescription) {
        self.description.send_replace(Some(node));
    }

    /// Tells the master that the node wants nothing new, or does again.
    pub fn set_draining(&self, draining: bool) {
        self.status.send_if_modified(|status| {
            std::mem::replace(&mut status.draining, draining) != draining
        });
    }

    /// Tells the master how the partitions are. Cheap when nothing has changed.
    pub fn set_partitions(&self, partitions: Vec<PartitionStatus>) {
        self.status.send_if_modified(|status| {
            let changed = status.partitions != partitions;
            status.partitions = partitions;
            changed
        });
    }

    /// Follows what the master has recorded of the journals of this node's partitions.
    #[must_use]
    pub fn recorded(&self) -> watch::Receiver<Vec<RecordedReport>> {
        self.recorded.clone()
    }

    /// Whether the session is open now.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.registered.borrow().is_some()
    }

    /// Waits until the session is open; what the master's revision was then.
    ///
    /// # Errors
    /// [`MupdateError::Unavailable`] when it takes longer than `limit`.
    pub async fn registered(&self, limit: Duration) -> Result<u64, MupdateError> {
        let mut registered = self.registered.clone();
        let unavailable = || MupdateError::Unavailable("not registered in time".into());
        let revision = timeout(limit, registered.wait_for(Option::is_some))
            .await
            .map_err(|_| unavailable())?
            .map_err(|_| unavailable())?;
        (*revision).ok_or_else(unavailable)
    }

    /// Says goodbye: the node is down at once, without a lease to wait for.
    pub async fn close(&self) {
        self.goodbye.cancel();
        let mut task = self.task.lock().await;
        if !task.is_finished() && timeout(GOODBYE, &mut *task).await.is_err() {
            tracing::debug!("the master did not answer the goodbye");
        }
    }

    /// Ends it without a word: the master calls the node down.
    pub fn abort(&self) {
        self.aborting.abort();
    }
}

impl Drop for NodeSession {
    fn drop(&mut self) {
        self.abort();
    }
}

struct Session {
    client: MupdateClient,
    node: NodeDescription,
    incarnation: uuid::Uuid,
    statuses: watch::Receiver<NodeStatus>,
    health: Health,
    changes: watch::Receiver<()>,
    registering: watch::Sender<Option<u64>>,
    recording: watch::Sender<Vec<RecordedReport>>,
    goodbye: CancellationToken,
}

impl Session {
    async fn run(mut self, mut described: watch::Receiver<Option<NodeDescription>>) {
        let goodbye = self.goodbye.clone();
        let opened = goodbye.run_until_cancelled(described.wait_for(Option::is_some));
        let Some(Ok(Some(node))) = opened.await.map(|opened| opened.map(|node| node.clone()))
        else {
            return;
        };
        self.node = node;
        let mut pause = BACKOFF.0;
        let mut refused = None;
        loop {
            let outcome = self.session().await;
            let was_open = self.registering.send_replace(None).is_some();
            if self.goodbye.is_cancelled() {
                return;
            }
            match outcome {
                // Nobody holds the session any more.
                Ok(()) => return,
                Err(error) if was_open => {
                    tracing::warn!(%error, "session with the mupdate master lost");
                    pause = BACKOFF.0;
                }
                Err(error @ MupdateError::Unavailable(_)) => {
                    tracing::debug!(%error, "no session with the mupdate master yet");
                }
                // Said once: it is tried again each second.
                Err(error) if refused.as_ref() == Some(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "the mupdate master refuses the session");
                    refused = Some(error);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.goodbye.cancelled() => return,
            }
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// What is to be said now.
    fn status(&mut self) -> v1::NodeStatus {
        self.changes.mark_unchanged();
        v1::NodeStatus {
            health: Some(NodeHealth::of(&self.health).to_proto()),
            ..self.statuses.borrow_and_update().to_proto()
        }
    }

    /// One stream, to its end.
    async fn session(&mut self) -> Result<(), MupdateError> {
        use register_request::Kind;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let ended = || MupdateError::Unavailable("the stream ended".into());
        let send = async |kind: Kind| {
            sender
                .send(v1::RegisterRequest { kind: Some(kind) })
                .await
                .map_err(|_| ended())
        };
        let status = self.status();
        send(Kind::Hello(v1::Hello {
            node: self.node.name.clone(),
            services: self.node.services.clone(),
            weight: self.node.weight,
            incarnation: self.incarnation.as_bytes().to_vec(),
            status: Some(status),
        }))
        .await?;
        let call = self.client.rpc();
        let mut answers = tokio::select! {
            answers = self.client.within({
                let mut call = call;
                async move { call.register(ReceiverStream::new(receiver)).await }
            }) => answers?,
            () = self.goodbye.cancelled() => return Ok(()),
        };
        let mut heartbeat = Duration::from_secs(1);
        let mut lease = Duration::from_secs(10);
        let mut next_beat = tokio::time::Instant::now() + heartbeat;
        let mut last_answer = tokio::time::Instant::now();
        loop {
            tokio::select! {
                answer = answers.message() => {
                    let answer = answer?.ok_or_else(ended)?;
                    heartbeat = Duration::from_millis(answer.heartbeat_ms.max(10).into());
                    lease = Duration::from_millis(answer.lease_ms.max(100).into());
                    last_answer = tokio::time::Instant::now();
                    self.registering.send_replace(Some(answer.revision));
                    let recorded = answer.recorded.into_iter().filter_map(RecordedReport::from_proto);
                    self.recording.send_replace(recorded.collect());
                }
                changed = self.statuses.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    send(Kind::Status(self.status())).await?;
                }
                // Its sender is in `health`.
                _ = self.changes.changed() => send(Kind::Status(self.status())).await?,
                () = tokio::time::sleep_until(next_beat) => {
                    if last_answer.elapsed() > lease {
                        return Err(MupdateError::Unavailable("the master is silent".into()));
                    }
                    next_beat = tokio::time::Instant::now() + heartbeat;
                    send(Kind::Status(self.status())).await?;
                }
                () = self.goodbye.cancelled() => {
                    // How far the journals have come is worth knowing to the end.
                    send(Kind::Status(self.status())).await?;
                    send(Kind::Goodbye(v1::Goodbye {})).await?;
                    drop(sender);
                    // The master ends the stream once the node is down in its table.
                    while answers.message().await?.is_some() {}
                    return Ok(());
                }
            }
        }
    }
}
