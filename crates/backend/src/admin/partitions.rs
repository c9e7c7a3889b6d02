//! An operator's word about a partition that is not open, or that lacks what the master has.

use std::sync::Arc;

use murder_net::Actor;
use murder_proto::v1;
use tonic::Status;

use super::errors::{invalid, not_changed, not_found, not_possible, unavailable};
use crate::mailboxes::ChangeError;
use crate::node::Node;
use crate::opening::{Carried, Word, WordError};
use crate::reconcile::reconcile_partition;

/// Mailboxes that an answer names; the log names them all.
const NAMED: usize = 1000;

/// Has a partition opened.
pub(super) async fn open(
    node: &Arc<Node>,
    request: &v1::OpenPartitionRequest,
    by: &str,
) -> Result<v1::OpenPartitionResponse, Status> {
    let word = match request.word() {
        v1::PartitionWord::Init => Word::Init {
            forget: request.forget_mailboxes,
        },
        v1::PartitionWord::Adopt => Word::Adopt,
        v1::PartitionWord::Restored => Word::Restored,
        v1::PartitionWord::Unspecified => return Err(invalid("what of the partition?")),
    };
    let carried = node.carry_word(node.own_name(&request.partition), word, request.dry_run, by);
    let Carried {
        expected,
        found,
        missing,
        settled,
    } = carried.await.map_err(|error| match error {
        WordError::Unknown(_) => not_found(error.to_string()),
        WordError::Unfit(_) => not_possible(error.to_string()),
        WordError::Failed(_) => unavailable(error.to_string()),
    })?;
    let named = settled.iter().take(NAMED);
    Ok(v1::OpenPartitionResponse {
        expected: expected.identity.map_or_else(String::new, |identity| {
            format!(
                "partition {identity}, which had come to record {}",
                expected.report.lsn
            )
        }),
        found,
        mailboxes: expected.mailboxes,
        missing_records: missing,
        settled: named
            .map(|settled| v1::SettledMailbox {
                name: settled.name.to_string(),
                what: settled.what.to_owned(),
            })
            .collect(),
        settled_count: settled.len() as u64,
    })
}

/// Reconciles a partition with the master.
pub(super) async fn reconcile(
    node: &Arc<Node>,
    request: &v1::ReconcilePartitionRequest,
    by: &str,
) -> Result<v1::ReconcilePartitionResponse, Status> {
    let name = node.own_name(&request.partition);
    let Some(cluster) = &node.cluster else {
        return Err(not_possible("this backend works alone"));
    };
    let Some(partition) = node.partitions.get(name) else {
        let place = node.place_of(name);
        return Err(match node.partitions.contains(name) {
            true => not_possible(format!("{place} is not open")),
            false => not_found(format!("there is no partition {place}")),
        });
    };
    murder_net::audit!(
        "partition.reconcile",
        for &Actor::operator(by),
        partition = node.place(&partition),
        may_drop = request.drop
    );
    let report = reconcile_partition(node, cluster, &partition, request.drop).await;
    let report = report.map_err(|error| not_changed(ChangeError::from(error)))?;
    Ok(v1::ReconcilePartitionResponse {
        held: report.held,
        differences: report.differences.len() as u64,
        conflicts: report.conflicts().count() as u64,
        applied: report.applied,
        withheld: report.withheld,
    })
}
