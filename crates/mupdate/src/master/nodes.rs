//! Sessions of nodes: while one lasts its node is up.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use murder_net::config::MAX_WEIGHT;
use murder_proto::v1::{self, log_entry::Command, register_request::Kind};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::caller::{Authority, Caller, audited, denied, invalid, too_large, unavailable};
use super::mupdate::{Parts, STALL, STREAM_QUEUE, Service, parts};
use crate::state::Outcome;
use murder_location::NodeHealth;
use murder_location::record::{
    MailboxState, NodeState, Partition, PartitionState, Report, revocation_to_proto,
};

/// Heartbeats in a lease, so that one may be lost.
const BEATS: u32 = 4;
/// How often it is written to the log how far a partition has come, when nobody waits for that:
/// a directory put back from a copy is compared with it after a restart of the master. Until then
/// the sessions know it better.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// The most partitions of one node, with those that it had once: each replica holds them all.
const MAX_PARTITIONS: usize = 256;
/// The most octets of an address: a name of the DNS and a port.
const MAX_ADDRESS: usize = 260;
/// The most kinds of services of one node, and the most octets of a kind's name.
const MAX_SERVICES: usize = 32;
const MAX_KIND: usize = 32;
/// Changes of free space smaller than this part of the whole are not worth a revision.
const FREE_STEPS: u64 = 100;

/// The sessions that are open at this master.
#[derive(Debug)]
pub(super) struct Sessions {
    lease: Duration,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// Node → the number of its newest session.
    sessions: HashMap<String, u64>,
    last_number: u64,
    /// Node without a session → since when, and what the revision was then.
    absent: HashMap<String, (Instant, u64)>,
    /// `node!partition` → what its node last said of it: newer than what is in the log.
    heard: HashMap<String, v1::PartitionStatus>,
    /// Node → how it is: of all that had a session since this master's start, as many as have
    /// certificates.
    known: HashMap<String, Known>,
}

/// What is known of a node beside its record.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Since when it has had its session, or none.
    pub since: SystemTime,
    /// Why its last session ended; empty while it has one.
    pub ended: &'static str,
    /// What it last said of itself.
    pub health: Option<NodeHealth>,
}

impl Sessions {
    pub fn new(lease: Duration) -> Self {
        Self {
            lease,
            open: Mutex::default(),
        }
    }

    /// How many nodes have one now.
    pub fn count(&self) -> usize {
        self.open.lock().sessions.len()
    }

    /// Whether `node` has one now.
    pub fn is_open(&self, node: &str) -> bool {
        self.open.lock().sessions.contains_key(node)
    }

    fn opened(&self, node: &str) -> u64 {
        let mut open = self.open.lock();
        open.last_number += 1;
        let number = open.last_number;
        open.sessions.insert(node.to_owned(), number);
        open.absent.remove(node);
        let known = Known {
            since: SystemTime::now(),
            ended: "",
            health: None,
        };
        open.known.insert(node.to_owned(), known);
        number
    }

    /// Whether it was the node's newest.
    fn closed(&self, node: &str, number: u64, reason: &'static str) -> bool {
        let mut open = self.open.lock();
        let newest = open.sessions.get(node) == Some(&number);
        if newest {
            open.sessions.remove(node);
            if let Some(known) = open.known.get_mut(node) {
                known.since = SystemTime::now();
                known.ended = reason;
            }
        }
        newest
    }

    /// What is known of a node; `None` when it has had no session since this master's start.
    pub fn known(&self, node: &str) -> Option<Known> {
        self.open.lock().known.get(node).cloned()
    }

    /// The node is gone for good.
    pub fn forget(&self, node: &str) {
        let mut open = self.open.lock();
        if !open.sessions.contains_key(node) {
            open.known.remove(node);
        }
    }

    /// Of `nodes`, those that have been without a session for a lease, with the revision
    /// that there was when they were first missed.
    fn overdue(&self, nodes: &HashSet<String>, revision: u64) -> Vec<(String, u64)> {
        let mut open = self.open.lock();
        let Open {
            sessions, absent, ..
        } = &mut *open;
        absent.retain(|node, _| nodes.contains(node));
        let mut overdue = Vec::new();
        for node in nodes {
            if sessions.contains_key(node) {
                absent.remove(node);
                continue;
            }
            let (since, then) = *absent
                .entry(node.clone())
                .or_insert_with(|| (Instant::now(), revision));
            if since.elapsed() >= self.lease {
                absent.remove(node);
                overdue.push((node.clone(), then));
            }
        }
        overdue
    }

    /// Notes what a node says of itself, and of its partitions. What is not open says nothing of
    /// journals.
    fn heard(&self, node: &str, status: &v1::NodeStatus) {
        let mut open = self.open.lock();
        if let Some(known) = open.known.get_mut(node)
            && let Some(health) = &status.health
        {
            known.health = Some(NodeHealth::from_proto(health.clone()));
        }
        for partition in status.partitions.iter().filter(|p| !p.copy.is_empty()) {
            open.heard.insert(partition.name.clone(), partition.clone());
        }
    }

    /// How far a partition's known copy has come, by the log and by the last that its node said.
    pub fn report_of(&self, partition: &Partition) -> Report {
        let open = self.open.lock();
        let heard = open.heard.get(&partition.name);
        let heard = heard.map(|status| crate::state::heard(partition, status));
        heard.unwrap_or_default().max(partition.report)
    }

    fn heartbeat(&self) -> Duration {
        self.lease / BEATS
    }
}

pub(super) fn open(
    service: Service,
    caller: Caller,
    requests: Streaming<v1::RegisterRequest>,
) -> Parts<v1::RegisterResponse> {
    let (sender, receiver) = mpsc::channel(STREAM_QUEUE);
    let shutdown = service.shutdown.clone();
    shutdown.spawn(async move {
        let stop = service.shutdown.token();
        let ended = tokio::select! {
            ended = session(&service, &caller, requests, &sender) => ended,
            // The node stays up in the table: it will be back with the next master.
            () = stop.cancelled() => Err(unavailable("this master is stopping")),
        };
        if let Err(status) = ended {
            // Nobody is left to be told when the node has gone.
            let _ = sender.try_send(Err(status));
        }
    });
    ReceiverStream::new(receiver)
}

async fn session(
    service: &Service,
    caller: &Caller,
    mut requests: Streaming<v1::RegisterRequest>,
    answers: &mpsc::Sender<Result<v1::RegisterResponse, Status>>,
) -> Result<(), Status> {
    let lease = service.sessions.lease;
    let first = timeout(lease, requests.message())
        .await
        .map_err(|_| invalid("no hello"))??;
    let Some(Kind::Hello(hello)) = first.and_then(|r| r.kind) else {
        return Err(invalid("the first message must be a hello"));
    };
    caller.may_be(&hello.node)?;
    check_services(&hello.services)?;
    let mut status = hello.status.clone().unwrap_or_default();
    check_partitions(service, caller, &mut status)?;
    let incarnation = hello.incarnation.clone();
    let services = hello.services.iter();
    let services: Vec<_> = services.map(|(kind, at)| format!("{kind}={at}")).collect();
    let services = services.join(" ");
    let node = v1::Node {
        name: hello.node.clone(),
        roles: caller.node_roles(),
        state: state_of(&status).into(),
        weight: match caller.may_hold_mail() {
            // What a node claims for itself must not be everything that there is.
            true => hello.weight.min(MAX_WEIGHT),
            false => 0,
        },
        incarnation: incarnation.clone(),
        services: hello.services,
    };
    if let Some(partition) = served_by_another(service, &hello.node, &incarnation, &status) {
        return Err(unavailable(format!(
            "another process of node {} is up and serves {partition}, which this one could not open",
            hello.node
        )));
    }
    let number = service.sessions.opened(&hello.node);
    service.sessions.heard(&hello.node, &status);
    let open = OpenSession {
        service,
        node: &hello.node,
        number,
    };
    let registered = v1::NodeRegistered {
        node: Some(node),
        partitions: status.partitions.clone(),
    };
    let mut revision = open.propose(Command::NodeRegistered(registered)).await?;
    tracing::info!(node = hello.node, "node is up");
    let partitions = status.partitions.iter().map(|p| p.name.as_str());
    let partitions = partitions.collect::<Vec<_>>().join(" ");
    audited!(caller, "node.register", revision, partitions, services);
    let mut recorded_at = Instant::now();
    let mut last = status.clone();
    let reason = loop {
        let answer = v1::RegisterResponse {
            revision,
            heartbeat_ms: millis(service.sessions.heartbeat()),
            lease_ms: millis(lease),
            recorded: recorded(service, &hello.node),
        };
        if answers.send_timeout(Ok(answer), STALL).await.is_err() {
            break "it reads nothing";
        }
        match timeout(lease, requests.message()).await {
            Err(_) => break "its heartbeats stopped",
            Ok(Err(_)) | Ok(Ok(None)) => break "its session ended",
            Ok(Ok(Some(request))) => match request.kind {
                Some(Kind::Goodbye(_)) => break "it said goodbye",
                Some(Kind::Status(mut new)) => {
                    check_partitions(service, caller, &mut new)?;
                    service.sessions.heard(&hello.node, &new);
                    last.clone_from(&new);
                    let due = reports_are_due(&status, &new, recorded_at.elapsed());
                    if due || worth_a_revision(&status, &new) {
                        recorded_at = Instant::now();
                        let changed = v1::NodeChanged {
                            name: hello.node.clone(),
                            state: state_of(&new).into(),
                            partitions: new.partitions.clone(),
                            incarnation: incarnation.clone(),
                        };
                        revision = open.propose(Command::NodeChanged(changed)).await?;
                        status = new;
                    } else {
                        revision = service.consensus.state().revision();
                    }
                }
                Some(Kind::Hello(_)) | None => return Err(invalid("unexpected message")),
            },
        }
    };
    // A newer session of the same node keeps it up.
    if service.sessions.closed(&hello.node, number, reason) {
        tracing::warn!(node = hello.node, reason, "node is down");
        let changed = v1::NodeChanged {
            name: hello.node.clone(),
            state: v1::NodeState::Down.into(),
            partitions: last.partitions,
            incarnation,
        };
        open.propose(Command::NodeChanged(changed)).await?;
    }
    Ok(())
}

/// Each replica holds them.
fn check_services(services: &BTreeMap<String, String>) -> Result<(), Status> {
    if services.len() > MAX_SERVICES || services.keys().any(|kind| kind.len() > MAX_KIND) {
        return Err(invalid("too many services, or one with too long a name"));
    }
    if services.values().any(|address| address.len() > MAX_ADDRESS) {
        return Err(invalid("an address is too long"));
    }
    Ok(())
}

/// Ends the session in the table whichever way its task ends; the node itself is then found
/// to be absent by [`sweep`].
struct OpenSession<'a> {
    service: &'a Service,
    node: &'a str,
    number: u64,
}

impl OpenSession<'_> {
    async fn propose(&self, command: Command) -> Result<u64, Status> {
        match self.service.propose(Authority::default(), command).await? {
            (_, Outcome::Refused(detail)) => Err(detail.into_status()),
            (revision, _) => Ok(revision),
        }
    }
}

impl Drop for OpenSession<'_> {
    fn drop(&mut self) {
        self.service
            .sessions
            .closed(self.node, self.number, "its session broke off");
    }
}

/// Looks after nodes that are up by the table, or have something reserved, without a
/// session: after a lease they are down, and what they had reserved is free.
pub(super) async fn sweep(service: Service) {
    let mut every = tokio::time::interval(service.sessions.heartbeat());
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let stop = service.shutdown.token();
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = stop.cancelled() => return,
        }
        let (revision, up, reserving) = {
            let state = service.consensus.state();
            let up: HashSet<String> = state
                .tables()
                .nodes
                .values()
                .filter(|node| node.state != NodeState::Down)
                .map(|node| node.name.clone())
                .collect();
            let mut reserving: HashMap<String, HashSet<String>> = HashMap::new();
            let unsettled = state.tables().map.unsettled();
            for entry in unsettled.filter(|entry| entry.state() == MailboxState::Reserved) {
                let partition = entry.partition();
                // In one that nobody has registered: no node is called like that, so that its time
                // runs out too.
                let owner = state.tables().owner_of(partition).unwrap_or(partition);
                let of_owner = reserving.entry(owner.to_owned()).or_default();
                of_owner.insert(partition.to_owned());
            }
            (state.revision(), up, reserving)
        };
        let nodes = up.iter().chain(reserving.keys()).cloned().collect();
        for (node, then) in service.sessions.overdue(&nodes, revision) {
            let mut commands = Vec::new();
            if up.contains(&node) {
                tracing::warn!(node, "node has no session, it is down");
                commands.push(Command::NodeChanged(v1::NodeChanged {
                    name: node.clone(),
                    state: v1::NodeState::Down.into(),
                    partitions: Vec::new(),
                    incarnation: Vec::new(),
                }));
            }
            if let Some(partitions) = reserving.get(&node) {
                tracing::info!(node, "lease is over, what was reserved is free");
                commands.push(Command::ReservationsExpired(v1::ReservationsExpired {
                    partitions: partitions.iter().cloned().collect(),
                    up_to_revision: then,
                }));
            }
            for command in commands {
                if let Err(status) = service.propose(Authority::default(), command).await {
                    tracing::warn!(error = status.message(), "lease not ended, trying again");
                }
            }
        }
    }
}

/// Whether the node may have the partitions that it names; those of others are left out.
fn check_partitions(
    service: &Service,
    caller: &Caller,
    status: &mut v1::NodeStatus,
) -> Result<(), Status> {
    if status.partitions.is_empty() {
        return Ok(());
    }
    if !caller.may_hold_mail() {
        return Err(denied("only backends have partitions"));
    }
    let state = service.consensus.state();
    let tables = state.tables();
    // One that another node owns by now stays with it.
    let owned = |name: &str| {
        tables
            .owner_of(name)
            .is_none_or(|owner| owner == caller.name)
    };
    status.partitions.retain(|partition| owned(&partition.name));
    let mut names: HashSet<&str> = status.partitions.iter().map(|p| &*p.name).collect();
    let known = tables.partitions_of(&caller.name);
    names.extend(known.map(|partition| &*partition.name));
    if names.len() > MAX_PARTITIONS {
        return Err(too_large(format!(
            "a node has {MAX_PARTITIONS} partitions at most, with those that it had once"
        )));
    }
    Ok(())
}

/// Nodes and partitions in one message of a description: some kilobytes of problems each at most.
const DESCRIBED: usize = 100;

/// The nodes and partitions, the master that answers first.
pub(super) fn describe(service: &Service) -> Parts<v1::DescribeNodesResponse> {
    let (revision, mut nodes, mut partitions, mut revocations) = {
        let state = service.consensus.state();
        let tables = state.tables();
        let nodes: Vec<_> = tables
            .nodes
            .values()
            .map(murder_location::record::Node::to_proto)
            .collect();
        let partitions: Vec<_> = tables
            .partitions
            .values()
            .map(Partition::to_proto)
            .collect();
        let revocations: Vec<_> = tables
            .revocations
            .values()
            .map(revocation_to_proto)
            .collect();
        let (nodes, partitions) = (nodes.into_iter(), partitions.into_iter());
        (state.revision(), nodes, partitions, revocations)
    };
    let (sessions, mut own) = (service.sessions.clone(), Some(service.described_self()));
    parts(&service.shutdown, move || {
        let described = nodes.by_ref().take(DESCRIBED).map(|node| {
            let known = sessions.known(&node.name);
            v1::DescribedNode {
                since: known.as_ref().map_or(0, |known| unix(known.since)),
                ended: known.as_ref().map_or("", |known| known.ended).to_owned(),
                health: known.and_then(|known| known.health).map(|h| h.to_proto()),
                node: Some(node),
            }
        });
        let part = v1::DescribeNodesResponse {
            revision,
            nodes: own.take().into_iter().chain(described).collect(),
            partitions: partitions.by_ref().take(DESCRIBED).collect(),
            revocations: std::mem::take(&mut revocations),
        };
        (!part.nodes.is_empty() || !part.partitions.is_empty()).then_some(part)
    })
}

fn unix(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn state_of(status: &v1::NodeStatus) -> v1::NodeState {
    if status.draining {
        v1::NodeState::Draining
    } else {
        v1::NodeState::Up
    }
}

/// A partition that this process of the node could not open and that another one serves, whose
/// session is open: a second process by mistake must not take the first one's place.
fn served_by_another(
    service: &Service,
    node: &str,
    incarnation: &[u8],
    status: &v1::NodeStatus,
) -> Option<String> {
    if !service.sessions.is_open(node) {
        return None;
    }
    let state = service.consensus.state();
    let tables = state.tables();
    tables
        .nodes
        .get(node)
        .filter(|known| known.incarnation != incarnation && known.state != NodeState::Down)?;
    let offline = status
        .partitions
        .iter()
        .filter(|partition| partition.state() == v1::PartitionState::Offline);
    offline
        .map(|partition| partition.name.clone())
        .find(|name| {
            let known = tables.partitions.get(name);
            known.is_some_and(|known| known.state != PartitionState::Offline)
        })
}

/// How far a node's partitions are known to have come: what is in the log.
fn recorded(service: &Service, node: &str) -> Vec<v1::RecordedReport> {
    let state = service.consensus.state();
    let own = state.tables().partitions_of(node);
    own.filter_map(|partition| {
        Some(v1::RecordedReport {
            partition: partition.name.clone(),
            copy: partition.identity?.copy.to_vec(),
            lsn: partition.report.lsn,
            uids: partition.report.uids,
        })
    })
    .collect()
}

/// Whether it is to be written to the log now how far partitions have come: somebody waits for
/// it, or it was long ago.
fn reports_are_due(before: &v1::NodeStatus, after: &v1::NodeStatus, since: Duration) -> bool {
    let mut pairs = before.partitions.iter().zip(&after.partitions);
    pairs.any(|(before, after)| {
        let further = after.lsn > before.lsn || after.uids > before.uids;
        further && (after.record_now || since >= REPORT_EVERY)
    })
}

/// Whether others must know: free space alone only when it has changed noticeably.
fn worth_a_revision(before: &v1::NodeStatus, after: &v1::NodeStatus) -> bool {
    if before.draining != after.draining || before.partitions.len() != after.partitions.len() {
        return true;
    }
    before
        .partitions
        .iter()
        .zip(&after.partitions)
        .any(|(before, after)| {
            before.name != after.name
                || before.state != after.state
                || before.copy != after.copy
                || before.id != after.id
                || before.bytes_total != after.bytes_total
                || before.bytes_free.abs_diff(after.bytes_free) > after.bytes_total / FREE_STEPS
        })
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
