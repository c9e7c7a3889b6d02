//! The watch stream: a snapshot when one is needed, then every change.
//!
//! A watcher pulls: it knows up to where it has sent, and takes what follows from the
//! history when the client has taken what was sent before. Nothing is queued for a client
//! beyond a few messages; one that falls behind the history gets a snapshot.

use std::ops::Bound;
use std::time::Duration;

use murder_proto::v1::{self, watch_response::Kind};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::caller::{Caller, unavailable};
use super::mupdate::{PART_BYTES, Parts, SCAN, STALL, STREAM_QUEUE, Service};
use crate::consensus::{History, Revision};
use murder_location::record::{account_to_proto, mailbox_to_proto, revocation_to_proto, topic_of};

/// How often an idle watcher hears the revision.
const HEARTBEAT: Duration = Duration::from_secs(1);

pub(super) fn start(
    service: &Service,
    caller: &Caller,
    request: v1::WatchRequest,
) -> Parts<v1::WatchResponse> {
    let (sender, receiver) = mpsc::channel(STREAM_QUEUE);
    let mut topics: Vec<v1::Topic> = request.topics().collect();
    if topics.is_empty() {
        topics = vec![v1::Topic::Mailboxes, v1::Topic::Users, v1::Topic::Nodes];
    }
    let watcher = Watcher {
        service: service.clone(),
        topics,
        client: sender.clone(),
        name: caller.name.clone(),
    };
    let stop = service.shutdown.token();
    service.shutdown.spawn(async move {
        let ended = tokio::select! {
            ended = watcher.run(request.from_revision, &request.murder_id) => ended,
            () = stop.cancelled() => Err(unavailable("this master is stopping")),
        };
        if let Err(status) = ended {
            // Nobody is left to be told when the client has gone.
            let _ = sender.try_send(Err(status));
        }
    });
    ReceiverStream::new(receiver)
}

struct Watcher {
    service: Service,
    topics: Vec<v1::Topic>,
    client: mpsc::Sender<Result<v1::WatchResponse, Status>>,
    name: String,
}

impl Watcher {
    async fn run(&self, from_revision: u64, murder_id: &[u8]) -> Result<(), Status> {
        let consensus = &self.service.consensus;
        let mut revisions = consensus.revisions();
        let resumable = from_revision > 0 && murder_id == consensus.state().murder_id();
        let mut sent = from_revision;
        let mut history = match resumable {
            true => consensus.history(sent).await.map_err(unavailable)?,
            false => History::Gone,
        };
        if matches!(history, History::Changes { .. }) {
            self.begin(sent, false).await?;
        }
        // The snapshot under way is whole when everything up to here has been sent.
        let mut snapshot_until = None;
        loop {
            match history {
                History::Gone => {
                    tracing::info!(
                        watcher = self.name,
                        from_revision = sent,
                        "sending a snapshot"
                    );
                    sent = consensus.state().revision();
                    self.begin(sent, true).await?;
                    self.snapshot().await?;
                    snapshot_until = Some(consensus.state().revision());
                }
                History::Changes { revisions, up_to } => {
                    if up_to > sent {
                        self.changes(&revisions, up_to).await?;
                        sent = up_to;
                    }
                }
            }
            if let Some(until) = snapshot_until
                && sent >= until
            {
                snapshot_until = None;
                self.send(Kind::SnapshotEnd(v1::SnapshotEnd { revision: sent }))
                    .await?;
            }
            while *revisions.borrow_and_update() <= sent && snapshot_until.is_none() {
                tokio::select! {
                    changed = revisions.changed() => {
                        changed.map_err(|_| unavailable("this master is stopping"))?;
                    }
                    () = tokio::time::sleep(HEARTBEAT) => {
                        self.send(Kind::Heartbeat(v1::Heartbeat { revision: sent })).await?;
                    }
                    () = self.client.closed() => return Ok(()),
                }
            }
            history = consensus.history(sent).await.map_err(unavailable)?;
        }
    }

    async fn begin(&self, revision: u64, snapshot: bool) -> Result<(), Status> {
        let (murder_id, predecessors) = {
            let state = self.service.consensus.state();
            (state.murder_id().to_vec(), state.predecessors().to_vec())
        };
        self.send(Kind::Start(v1::WatchStart {
            murder_id,
            revision,
            snapshot,
            predecessors,
        }))
        .await
    }

    async fn send(&self, kind: Kind) -> Result<(), Status> {
        let message = v1::WatchResponse { kind: Some(kind) };
        self.client
            .send_timeout(Ok(message), STALL)
            .await
            .map_err(|_| unavailable("the watcher has gone, or reads too slowly"))
    }

    fn wants(&self, topic: v1::Topic) -> bool {
        self.topics.contains(&topic)
    }

    /// Several revisions' changes in as few messages as their size allows, of which the
    /// last one makes them visible.
    async fn changes(
        &self,
        revisions: &[std::sync::Arc<Revision>],
        up_to: u64,
    ) -> Result<(), Status> {
        let mut part = Part::default();
        for revision in revisions {
            for change in &revision.changes {
                if !self.wants(topic_of(change)) {
                    continue;
                }
                if let Some(changes) = part.push(change.clone()) {
                    self.send(Kind::Changes(v1::Changes {
                        revision: up_to,
                        changes,
                        more: true,
                    }))
                    .await?;
                }
            }
        }
        self.send(Kind::Changes(v1::Changes {
            revision: up_to,
            changes: part.changes,
            more: false,
        }))
        .await
    }

    /// Every record, read some at a time. Those that change meanwhile are put right by the
    /// changes that follow.
    async fn snapshot(&self) -> Result<(), Status> {
        if self.wants(v1::Topic::Nodes) {
            let (nodes, partitions, revocations) = {
                let state = self.service.consensus.state();
                let tables = state.tables();
                let nodes: Vec<_> = tables.nodes.values().map(|n| n.to_proto()).collect();
                let partitions: Vec<_> = tables.partitions.values().map(|p| p.to_proto()).collect();
                let revocations: Vec<_> = tables
                    .revocations
                    .values()
                    .map(revocation_to_proto)
                    .collect();
                (nodes, partitions, revocations)
            };
            let nodes = nodes.into_iter().map(v1::change::Kind::Node);
            let partitions = partitions.into_iter().map(v1::change::Kind::Partition);
            let revocations = revocations.into_iter().map(v1::change::Kind::Revocation);
            self.records(nodes.chain(partitions).chain(revocations))
                .await?;
        }
        if self.wants(v1::Topic::Users) {
            let blocks: Vec<_> = {
                let state = self.service.consensus.state();
                let blocks = state.tables().blocks.iter();
                blocks
                    .map(|(network, block)| block.to_proto(network))
                    .collect()
            };
            self.records(blocks.into_iter().map(v1::change::Kind::Block))
                .await?;
            let mut last = String::new();
            loop {
                let accounts: Vec<v1::Account> = self
                    .service
                    .consensus
                    .state()
                    .tables()
                    .accounts
                    .range::<str, _>((Bound::Excluded(last.as_str()), Bound::Unbounded))
                    .take(SCAN)
                    .map(|(_, account)| account_to_proto(account))
                    .collect();
                let Some(newest) = accounts.last() else { break };
                last.clone_from(&newest.name);
                self.records(accounts.into_iter().map(v1::change::Kind::Account))
                    .await?;
            }
        }
        if self.wants(v1::Topic::Mailboxes) {
            let mut last = String::new();
            loop {
                let mailboxes = self.some_mailboxes(&last);
                let Some(newest) = mailboxes.last() else {
                    break;
                };
                last.clone_from(&newest.name);
                self.records(mailboxes.into_iter().map(v1::change::Kind::Mailbox))
                    .await?;
            }
        }
        Ok(())
    }

    /// The next mailboxes after a name, bounded in number and size.
    fn some_mailboxes(&self, after: &str) -> Vec<v1::Mailbox> {
        let state = self.service.consensus.state();
        let mut bytes = 0;
        state
            .tables()
            .map
            .range(Bound::Excluded(after))
            .take(SCAN)
            .map(|entry| mailbox_to_proto(&entry.mailbox_name(), &entry.location()))
            .take_while(|mailbox| {
                let first = bytes == 0;
                bytes += mailbox.encoded_len();
                first || bytes <= PART_BYTES
            })
            .collect()
    }

    async fn records(&self, records: impl Iterator<Item = v1::change::Kind>) -> Result<(), Status> {
        let mut part = Part::default();
        for kind in records {
            if let Some(changes) = part.push(v1::Change { kind: Some(kind) }) {
                self.send(Kind::Chunk(v1::SnapshotChunk { changes }))
                    .await?;
            }
        }
        if part.changes.is_empty() {
            return Ok(());
        }
        self.send(Kind::Chunk(v1::SnapshotChunk {
            changes: part.changes,
        }))
        .await
    }
}

/// Changes collected up to a message's size.
#[derive(Default)]
struct Part {
    changes: Vec<v1::Change>,
    bytes: usize,
}

impl Part {
    /// Adds one; what was there before comes back when it is enough for a message.
    fn push(&mut self, change: v1::Change) -> Option<Vec<v1::Change>> {
        let bytes = change.encoded_len();
        let full = !self.changes.is_empty() && self.bytes + bytes > PART_BYTES;
        let before = full.then(|| {
            self.bytes = 0;
            std::mem::take(&mut self.changes)
        });
        self.bytes += bytes;
        self.changes.push(change);
        before
    }
}
