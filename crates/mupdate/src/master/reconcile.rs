//! Comparing what a backend holds with what is recorded.
//!
//! The master's side is noted before the backend lists its own. So a mailbox made while it
//! goes on is never taken for one that is not held, and one deleted meanwhile is not deleted
//! twice, since records are dropped by name and id.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::time::Duration;

use murder_mailbox::{MailboxId, MailboxName};
use murder_net::Slot;
use murder_proto::v1::{
    self, DifferenceKind, log_entry::Command, reconcile_request, reconcile_response::Kind,
};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::audit;
use super::caller::{Authority, Caller, invalid, too_large, unavailable};
use super::mupdate::{Parts, SCAN, STALL, STREAM_QUEUE, Service};
use crate::state::Outcome;
use murder_location::record::{Location, Mailbox, MailboxState, mailbox_to_proto, valid_partition};

/// The most mailboxes in one reconciliation: both sides of it are held in memory.
const MAX_HELD: u64 = 5_000_000;
/// Reconciliations of one node at once, and of operators. A node does one after the other; those that
/// it has given up may take a while to end.
pub(super) const AT_ONCE: usize = 4;
/// Records changed in one revision.
const APPLY: usize = 500;
/// So many records are dropped without an operator's word, whatever the partition's size: what
/// changes that stopped half-way leave.
const FEW: u64 = 10;
/// And so many of a hundred. More is a disk that is not there, or another one, however it came to
/// be opened.
const FEW_PERCENT: u64 = 1;
/// The backend may take so long between two messages.
const SILENCE: Duration = Duration::from_secs(60);

pub(super) fn start(
    service: Service,
    caller: Caller,
    authority: Authority,
    slot: Slot<String>,
    requests: Streaming<v1::ReconcileRequest>,
) -> Parts<v1::ReconcileResponse> {
    let (sender, receiver) = mpsc::channel(STREAM_QUEUE);
    let shutdown = service.shutdown.clone();
    shutdown.spawn(async move {
        let _slot = slot;
        let stop = service.shutdown.token();
        let ended = tokio::select! {
            ended = reconcile(&service, &caller, authority, requests, &sender) => ended,
            () = stop.cancelled() => Err(unavailable("this master is stopping")),
        };
        if let Err(status) = ended {
            // Nobody is left to be told when the backend has gone.
            let _ = sender.send_timeout(Err(status), STALL).await;
        }
    });
    ReceiverStream::new(receiver)
}

async fn next(
    requests: &mut Streaming<v1::ReconcileRequest>,
) -> Result<reconcile_request::Kind, Status> {
    timeout(SILENCE, requests.message())
        .await
        .map_err(|_| invalid("no message in time"))??
        .and_then(|request| request.kind)
        .ok_or_else(|| invalid("the list of held mailboxes has no end"))
}

async fn reconcile(
    service: &Service,
    caller: &Caller,
    authority: Authority,
    mut requests: Streaming<v1::ReconcileRequest>,
    answers: &mpsc::Sender<Result<v1::ReconcileResponse, Status>>,
) -> Result<(), Status> {
    let reconcile_request::Kind::Start(start) = next(&mut requests).await? else {
        return Err(invalid("the first message must be a start"));
    };
    let partition = start.partition;
    if !valid_partition(&partition) {
        return Err(invalid("not of the form node!partition"));
    }
    {
        let state = service.consensus.state();
        let by = authority.partition.as_ref();
        let may = state.check_owner(&authority.node, by, &partition);
        may.map_err(v1::ErrorDetail::into_status)?;
    }
    let answer = async |kind: Kind| {
        answers
            .send_timeout(Ok(v1::ReconcileResponse { kind: Some(kind) }), STALL)
            .await
            .map_err(|_| unavailable("the backend has gone"))
    };
    let revision = service
        .consensus
        .read_barrier()
        .await
        .map_err(unavailable)?;
    let mut comparison = Comparison {
        recorded: recorded_in(service, &partition),
        partition,
        differences: Vec::new(),
        held_ids: HashSet::new(),
        held: 0,
        same: 0,
    };
    let records = comparison.recorded.len() as u64;
    answer(Kind::Ready(v1::ReconcileReady { revision })).await?;
    loop {
        match next(&mut requests).await? {
            reconcile_request::Kind::Held(held) => {
                for mailbox in held.mailboxes {
                    comparison.compare(service, mailbox)?;
                }
            }
            reconcile_request::Kind::End(_) => break,
            reconcile_request::Kind::Start(_) => return Err(invalid("started twice")),
        }
    }
    let (mut differences, dropped) = comparison.finish(service);
    let few = FEW.max(records.saturating_mul(FEW_PERCENT) / 100);
    let withheld = dropped > few && dropped > start.may_drop;
    let mut summary = v1::ReconcileSummary {
        revision,
        held: comparison.held,
        same: comparison.same,
        differences: differences.len() as u64,
        withheld: if withheld { dropped } else { 0 },
        ..v1::ReconcileSummary::default()
    };
    for part in differences.chunks_mut(APPLY) {
        if !start.dry_run {
            let keep = |recorded: &v1::Mailbox| withheld && !comparison.holds(&recorded.id);
            let partition = &comparison.partition;
            summary.revision = apply(service, &authority, partition, keep, part).await?;
        }
        for difference in &*part {
            audit::reconciled(caller, summary.revision, difference);
            summary.applied += u64::from(difference.applied);
            summary.conflicts += u64::from(difference.kind() == DifferenceKind::Conflict);
        }
        for some in part.chunks(100) {
            answer(Kind::Differences(v1::ReconcileDifferences {
                differences: some.to_vec(),
            }))
            .await?;
        }
    }
    tracing::info!(
        partition = comparison.partition,
        held = summary.held,
        differences = summary.differences,
        conflicts = summary.conflicts,
        applied = summary.applied,
        withheld = summary.withheld,
        "reconciled"
    );
    answer(Kind::Summary(summary)).await
}

fn recorded_in(service: &Service, partition: &str) -> BTreeMap<MailboxName, Location> {
    let mut recorded = BTreeMap::new();
    let mut last = String::new();
    loop {
        let state = service.consensus.state();
        let mut scanned = 0;
        let mut at = None;
        for entry in state.tables().map.range(Bound::Excluded(&last)).take(SCAN) {
            scanned += 1;
            at = Some(entry.name());
            if entry.partition() == partition {
                recorded.insert(entry.mailbox_name(), entry.location());
            }
        }
        match at {
            Some(at) if scanned == SCAN => last = at.to_owned(),
            _ => return recorded,
        }
    }
}

struct Comparison {
    partition: String,
    /// What has not been seen as held yet.
    recorded: BTreeMap<MailboxName, Location>,
    differences: Vec<v1::Difference>,
    /// Of everything that the backend has.
    held_ids: HashSet<MailboxId>,
    held: u64,
    same: u64,
}

impl Comparison {
    fn differ(
        &mut self,
        kind: DifferenceKind,
        held: Option<v1::Mailbox>,
        recorded: Option<v1::Mailbox>,
    ) {
        self.differences.push(v1::Difference {
            kind: kind.into(),
            held,
            recorded,
            applied: false,
        });
    }

    fn compare(&mut self, service: &Service, mut held: v1::Mailbox) -> Result<(), Status> {
        self.held += 1;
        if self.held > MAX_HELD {
            return Err(too_large(format!("more than {MAX_HELD} mailboxes")));
        }
        held.partition.clone_from(&self.partition);
        held.set_state(v1::MailboxState::Active);
        let Mailbox { name, location } =
            Mailbox::from_proto(held.clone()).map_err(|e| invalid(e.to_string()))?;
        self.held_ids.insert(location.id);
        let recorded = match self.recorded.remove(&name) {
            Some(recorded) => Some(recorded),
            // Made, or moved here, since the start.
            None => service.consensus.state().tables().map.find(&name),
        };
        let Some(recorded) = recorded else {
            self.differ(DifferenceKind::Unknown, Some(held), None);
            return Ok(());
        };
        let kind = if recorded.id != location.id || recorded.partition != location.partition {
            Some(DifferenceKind::Conflict)
        } else if recorded.state != MailboxState::Active
            || recorded.acl != location.acl
            || recorded.uidvalidity != location.uidvalidity
            || recorded.special_use != location.special_use
        {
            Some(DifferenceKind::Different)
        } else {
            None
        };
        match kind {
            None => self.same += 1,
            Some(kind) => {
                let recorded = mailbox_to_proto(&name, &recorded);
                self.differ(kind, Some(held), Some(recorded));
            }
        }
        Ok(())
    }

    /// Whether the backend has the mailbox with this id, under whichever name.
    fn holds(&self, id: &[u8]) -> bool {
        MailboxId::from_slice(id).is_some_and(|id| self.held_ids.contains(&id))
    }

    /// What is left is not held. Returns how many records that is, too.
    fn finish(&mut self, service: &Service) -> (Vec<v1::Difference>, u64) {
        let ids = &self.held_ids;
        let held = |id: &[u8]| MailboxId::from_slice(id).is_some_and(|id| ids.contains(&id));
        for difference in &mut self.differences {
            if let Some(recorded) = &difference.recorded
                && difference.kind() == DifferenceKind::Conflict
                && recorded.partition == self.partition
                && !held(&recorded.id)
            {
                // Nobody has the mailbox that the record is of: this one has its name.
                difference.set_kind(DifferenceKind::Replaced);
            }
        }
        let mut dropped = 0;
        // What a live node has reserved may be about to be made.
        let live = {
            let state = service.consensus.state();
            let owner = state.tables().owner_of(&self.partition);
            owner.is_some_and(|owner| service.sessions.is_open(owner))
        };
        for (name, location) in std::mem::take(&mut self.recorded) {
            if location.state == MailboxState::Reserved && live {
                continue;
            }
            // One that is here under another name is renamed, not dropped.
            let renamed = self.held_ids.contains(&location.id);
            dropped += u64::from(location.state != MailboxState::Deleting && !renamed);
            let recorded = mailbox_to_proto(&name, &location);
            self.differ(DifferenceKind::NotHeld, None, Some(recorded));
        }
        // Names that are to be freed come first: a mailbox renamed at the backend only may
        // have taken one of them.
        self.differences
            .sort_by_key(|difference| difference.kind() != DifferenceKind::NotHeld);
        (std::mem::take(&mut self.differences), dropped)
    }
}

/// Makes the records be what the backend holds, but for conflicts, and for those to `keep` although
/// it does not hold them; notes what was done.
async fn apply(
    service: &Service,
    authority: &Authority,
    partition: &str,
    keep: impl Fn(&v1::Mailbox) -> bool,
    differences: &mut [v1::Difference],
) -> Result<u64, Status> {
    let mut batch = v1::ReconcileBatch {
        partition: partition.to_owned(),
        ..v1::ReconcileBatch::default()
    };
    for difference in &*differences {
        match (difference.kind(), &difference.held, &difference.recorded) {
            (DifferenceKind::Unknown | DifferenceKind::Different, Some(held), _) => {
                batch.held.push(held.clone());
            }
            (DifferenceKind::Replaced, Some(held), Some(recorded)) => {
                batch.replaced.push(v1::Replaced {
                    held: Some(held.clone()),
                    instead_of: recorded.id.clone(),
                });
            }
            (DifferenceKind::NotHeld, _, Some(recorded)) if !keep(recorded) => {
                batch.not_held.push(v1::DeleteRequest {
                    name: recorded.name.clone(),
                    id: recorded.id.clone(),
                });
            }
            _ => {}
        }
    }
    let command = Command::Reconcile(batch);
    let (revision, outcome) = service.propose(authority.clone(), command).await?;
    let (held, not_held, replaced) = match outcome {
        Outcome::Reconciled {
            held,
            not_held,
            replaced,
        } => (held, not_held, replaced),
        Outcome::Refused(detail) => return Err(detail.into_status()),
        _ => return Err(Status::internal("unexpected outcome")),
    };
    let (mut held, mut not_held) = (held.into_iter(), not_held.into_iter());
    let mut replaced = replaced.into_iter();
    for difference in differences {
        difference.applied = match difference.kind() {
            DifferenceKind::Replaced => {
                let record = replaced.next().flatten();
                let applied = record.is_some();
                if let Some(record) = record {
                    difference.recorded = Some(record.to_proto());
                }
                applied
            }
            DifferenceKind::NotHeld if difference.recorded.as_ref().is_some_and(&keep) => false,
            DifferenceKind::Unknown | DifferenceKind::Different => held.next().unwrap_or(false),
            DifferenceKind::NotHeld => not_held.next().unwrap_or(false),
            _ => false,
        };
    }
    Ok(revision)
}
