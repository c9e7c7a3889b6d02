//! Reconciliation: the master is told what this backend really holds, and what either side has
//! half done is finished or undone.
//!
//! Happens at the start, each time the master comes back, and after a change that got stuck
//! between its steps. It never deletes mail: where the two sides cannot be made to agree (one
//! name on two backends) it says so and leaves both as they are.

use std::collections::HashMap;
use std::sync::Arc;

use murder_location::{
    Activate, DifferenceKind, Held, Mailbox, MailboxState, MupdateClient, MupdateError,
    ReconcileReport, Selection,
};
use murder_mailbox::{Acl, MailboxId, MailboxName};
use murder_store::{Health, MailboxMeta, Partition};

use crate::node::{Cluster, Node};

/// Differences of a partition that get a line in the log each; the summary counts the others. A
/// backend that joins a murder with all its mailboxes differs in each.
const LOGGED: usize = 100;

/// Reconciles every partition. Changes of mailboxes wait meanwhile.
///
/// # Errors
/// When the master is away, or refuses.
pub(crate) async fn reconcile(node: &Node) -> Result<(), MupdateError> {
    let Some(cluster) = &node.cluster else {
        return Ok(());
    };
    let _alone = node.changes.alone().await;
    node.check_open(cluster).await?;
    let mut conflicts = 0;
    for partition in node.partitions.open().iter() {
        let report = reconcile_one(node, cluster, partition, 0).await?;
        conflicts += report.conflicts().count();
    }
    node.counters
        .conflicts
        .set(i64::try_from(conflicts).unwrap_or(i64::MAX));
    Ok(())
}

/// Reconciles one partition, by an operator's word: up to `may_drop` records are dropped that are
/// not held. Changes of mailboxes wait meanwhile.
///
/// # Errors
/// When the master is away, or refuses.
pub(crate) async fn reconcile_partition(
    node: &Node,
    cluster: &Cluster,
    partition: &Arc<Partition>,
    may_drop: u64,
) -> Result<ReconcileReport, MupdateError> {
    let _alone = node.changes.alone().await;
    reconcile_one(node, cluster, partition, may_drop).await
}

async fn reconcile_one(
    node: &Node,
    cluster: &Cluster,
    partition: &Arc<Partition>,
    may_drop: u64,
) -> Result<ReconcileReport, MupdateError> {
    let place = node.place(partition);
    let client = node.master_of(cluster, partition);
    // One whose journal is damaged may not know of all its mailboxes.
    let whole = !matches!(partition.health(), Health::ReadOnly { .. });
    if whole {
        settle(&client, &place, partition).await?;
    } else {
        tracing::warn!(partition = place, "read-only: nothing is reconciled");
    }
    let held = || partition.mailboxes().into_iter().map(held);
    let report = client.reconcile(&place, !whole, may_drop, held).await?;
    tell(&place, &report);
    node.counters
        .differences
        .inc_by(report.differences.len() as u64);
    raise(partition, &report).await;
    let name = &partition.config().name;
    tell_withheld(node, name, &place, report.withheld);
    Ok(report)
}

/// Gives mailboxes the greater UIDVALIDITYs that the master has for them: clients may have seen
/// others under their names.
async fn raise(partition: &Partition, report: &ReconcileReport) {
    for difference in report.differences.iter().filter(|d| d.applied) {
        let (Some(held), Some(recorded)) = (&difference.held, &difference.recorded) else {
            continue;
        };
        let wanted = recorded.location.uidvalidity;
        if wanted <= held.location.uidvalidity {
            continue;
        }
        match partition.raise_uidvalidity(&held.name, wanted).await {
            Ok(_) => tracing::warn!(mailbox = %held.name, wanted, "has a greater UIDVALIDITY"),
            // The next reconciliation tries again.
            Err(error) => {
                tracing::error!(mailbox = %held.name, %error, "its UIDVALIDITY was not raised");
            }
        }
    }
}

/// Says that the master has mailboxes that are not here, and were not dropped for that.
fn tell_withheld(node: &Node, name: &str, place: &str, withheld: u64) {
    node.partitions.set_lacks_some(name, withheld > 0);
    let condition = format!("reconcile:{name}");
    let label = [("partition", name.to_owned())];
    let gauge = i64::try_from(withheld).unwrap_or(i64::MAX);
    node.counters.withheld.get_or_create(&label).set(gauge);
    if withheld == 0 {
        // It is no condition of those who never had it.
        if node.health.get(&condition).is_some() {
            node.health.ok(&condition);
        }
        return;
    }
    let why = format!(
        "the master has {withheld} mailboxes in {place} that are not here; nothing was dropped. If \
         they are lost for good: `murder partition reconcile {place} --drop {withheld}`"
    );
    tracing::error!(partition = place, withheld, "{why}");
    node.health.unhealthy(&condition, why);
}

fn held(meta: MailboxMeta) -> Held {
    Held {
        acl: Acl::clone(&meta.acl),
        name: meta.name,
        id: meta.id,
        uidvalidity: meta.uidvalidity,
        special_use: meta.special_use.into_iter().collect(),
    }
}

/// Goes through the master's records of a partition and settles those of changes that stopped
/// half-way. What is left is told by the reconciliation proper.
async fn settle(
    master: &MupdateClient,
    place: &str,
    partition: &Partition,
) -> Result<(), MupdateError> {
    let mut records = master.list(Selection::in_partition(place)).await?;
    let mut renamed = Vec::new();
    while let Some(some) = records.next().await? {
        for Mailbox { name, location } in some {
            let here = partition.lookup(&name).filter(|m| m.id == location.id);
            match (location.state, here) {
                (MailboxState::Active, Some(_)) => {}
                (MailboxState::Active, None) => renamed.push((location.id, name)),
                // A CREATE or DELETE that stopped. Nobody is at it: changes wait.
                (MailboxState::Reserved | MailboxState::Deleting, Some(meta)) => {
                    let mut activate = Activate::new(name, meta.id);
                    if meta.uidvalidity > location.uidvalidity {
                        activate.uidvalidity = Some(meta.uidvalidity);
                    }
                    tracing::warn!(mailbox = %meta.name, place, "put into service");
                    gone_is_fine(master.activate(activate).await)?;
                }
                (MailboxState::Reserved | MailboxState::Deleting, None) => {
                    tracing::warn!(mailbox = %name, place, "its name is free again");
                    gone_is_fine(master.delete(&name, Some(location.id)).await)?;
                }
            }
        }
    }
    if !renamed.is_empty() {
        follow(partition, renamed).await;
    }
    Ok(())
}

/// Somebody else was faster.
fn gone_is_fine<T>(answer: Result<T, MupdateError>) -> Result<(), MupdateError> {
    match answer {
        Ok(_) | Err(MupdateError::NotFound(_) | MupdateError::FailedPrecondition(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Gives mailboxes that the master has under another name that name.
pub(crate) async fn follow(partition: &Partition, recorded: Vec<(MailboxId, MailboxName)>) {
    let held: HashMap<MailboxId, MailboxName> = partition
        .mailboxes()
        .into_iter()
        .map(|meta| (meta.id, meta.name))
        .collect();
    let mut moves: Vec<(MailboxName, MailboxName, MailboxId)> = recorded
        .into_iter()
        .filter_map(|(id, to)| Some((held.get(&id)?.clone(), to, id)))
        .collect();
    // Parents first: they take what is below them along.
    moves.sort();
    for (from, to, id) in moves {
        let is = |name: &MailboxName| partition.lookup(name).is_some_and(|m| m.id == id);
        if is(&to) {
            continue;
        }
        let from = if is(&from) {
            from
        } else {
            // Taken along to somewhere else.
            let homes = [from.home_key(), to.home_key()];
            let mut all = homes
                .into_iter()
                .flat_map(|home| partition.home_mailboxes(home));
            match all.find(|meta| meta.id == id) {
                Some(meta) => meta.name,
                None => continue,
            }
        };
        match partition.rename_mailbox(&from, &to).await {
            Ok(_) => tracing::warn!(mailbox = %from, %to, "renamed, as the master has it"),
            Err(error) => {
                tracing::error!(mailbox = %from, %to, %error, "not renamed as the master has it");
            }
        }
    }
}

fn tell(place: &str, report: &ReconcileReport) {
    for difference in report.conflicts() {
        let (held, recorded) = (&difference.held, &difference.recorded);
        if let (Some(held), Some(recorded)) = (held, recorded) {
            tracing::error!(
                mailbox = %held.name,
                here = %held.location.partition,
                here_id = %held.location.id,
                there = %recorded.location.partition,
                there_id = %recorded.location.id,
                "one name is two mailboxes; it leads to the other one until one of them is renamed"
            );
        }
    }
    let others = report
        .differences
        .iter()
        .filter(|difference| difference.kind != DifferenceKind::Conflict);
    for difference in others.take(LOGGED) {
        let Some(mailbox) = difference.held.as_ref().or(difference.recorded.as_ref()) else {
            continue;
        };
        let what = match difference.kind {
            DifferenceKind::Unknown => "it was not known to the master",
            DifferenceKind::Different => "the master had it differently",
            DifferenceKind::NotHeld => "the master had it, but it is not here",
            DifferenceKind::Conflict => "it is another backend's",
            DifferenceKind::Replaced => "the master had a mailbox here that nobody has",
        };
        let applied = difference.applied;
        tracing::warn!(mailbox = %mailbox.name, place, applied, "reconciled: {what}");
    }
    tracing::info!(
        partition = place,
        held = report.held,
        differences = report.differences.len(),
        conflicts = report.conflicts().count(),
        applied = report.applied,
        "reconciled with the master"
    );
}
