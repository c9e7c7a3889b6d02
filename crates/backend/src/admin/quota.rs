//! Quota roots: shown, set, counted again.

use std::sync::Arc;

use murder_mailbox::MailboxName;
use murder_net::Actor;
use murder_proto::v1;
use murder_store::{Partition, Quota, QuotaDifference, QuotaLimits, QuotaResource};
use tonic::Status;

use super::errors::{invalid, not_found, not_possible, refused};
use super::{Answer, ENTRIES, homes, name_of, or_gone};
use crate::node::{NoPartition, Node};

/// RFC 9208 section 7: numbers are of 63 bits.
const LARGEST: u64 = i64::MAX.cast_unsigned();
/// Homes between two messages of a check that finds nothing: the operator sees that it goes on.
const PROGRESS: u64 = 1000;

/// Lists the quota roots of one home, or of all.
pub(super) async fn list(
    node: &Node,
    home: Option<&str>,
    answer: &Answer<v1::ListQuotasResponse>,
) -> Result<(), Status> {
    for (partition, homes) in homes(node, home) {
        let place = node.place(&partition);
        let mut quotas = Vec::new();
        for home in homes {
            let found = or_gone(partition.quotas(&home).await).map_err(refused)?;
            let found = found.unwrap_or_default().into_iter();
            quotas.extend(found.map(|quota| quota_to_proto(&quota, &place)));
            if quotas.len() >= ENTRIES {
                let quotas = std::mem::take(&mut quotas);
                answer.send(v1::ListQuotasResponse { quotas }).await?;
            }
        }
        if !quotas.is_empty() {
            answer.send(v1::ListQuotasResponse { quotas }).await?;
        }
    }
    Ok(())
}

/// Changes a quota root; returns it as it is then.
pub(super) async fn set(
    node: &Node,
    request: v1::SetQuotaRequest,
    by: &str,
) -> Result<Option<v1::Quota>, Status> {
    let root = name_of(&request.root)?;
    match (request.remove, request.limits.is_empty()) {
        (false, true) => return Err(invalid("no limit is given")),
        (true, false) => return Err(invalid("a root that is removed has no limits")),
        _ => {}
    }
    let partition = partition_of(node, &root, &request.partition)?;
    let home = root.home_key();
    let quotas = partition.quotas(home).await.map_err(refused)?;
    let before = quotas.into_iter().find(|quota| quota.root == root);
    if request.remove && before.is_none() {
        return Err(not_found(format!("{root} is no quota root")));
    }
    let mut limits = match (&before, request.remove) {
        (Some(before), false) => before.limits,
        _ => QuotaLimits::default(),
    };
    for change in &request.limits {
        if change.limit.is_some_and(|limit| limit > LARGEST) {
            return Err(invalid(format!("a limit is at most {LARGEST}")));
        }
        match change.resource() {
            v1::QuotaResource::Storage => limits.storage = change.limit,
            v1::QuotaResource::Message => limits.message = change.limit,
            v1::QuotaResource::Mailbox => limits.mailbox = change.limit,
            v1::QuotaResource::Unspecified => return Err(invalid("no such resource")),
        }
    }
    partition.set_quota(&root, limits).await.map_err(refused)?;
    let QuotaLimits {
        storage,
        message,
        mailbox,
    } = limits;
    murder_net::audit!(
        "quota.set",
        for &Actor::operator(by),
        %root,
        storage_kib = storage,
        message,
        mailbox
    );
    let quotas = partition.quotas(home).await.map_err(refused)?;
    let after = quotas.into_iter().find(|quota| quota.root == root);
    let place = node.place(&partition);
    Ok(after.map(|quota| quota_to_proto(&quota, &place)))
}

/// The partition named, or else the one where the root is.
fn partition_of(node: &Node, root: &MailboxName, wanted: &str) -> Result<Arc<Partition>, Status> {
    if !wanted.is_empty() {
        let partition = node.partitions.get(wanted);
        return partition
            .ok_or_else(|| not_found(format!("there is no partition {wanted:?} here")));
    }
    let home = root.home_key();
    node.partition_of_root(root).map_err(|error| match error {
        NoPartition::NoHome => not_found(format!("there is no mailbox of {home} on this backend")),
        NoPartition::Several => not_possible(format!(
            "{home} is in several partitions, each with quotas of its own: say which"
        )),
    })
}

/// Counts again, in one home or all.
pub(super) async fn check(
    node: &Node,
    home: Option<&str>,
    repair: bool,
    answer: &Answer<v1::CheckQuotaResponse>,
) -> Result<(), Status> {
    let mut part = v1::CheckQuotaResponse::default();
    let mut looked_at = 0;
    for (partition, homes) in homes(node, home) {
        let place = node.place(&partition);
        for home in homes {
            match check_home(&partition, &home, repair).await {
                Ok(None) => continue,
                Ok(Some(found)) => {
                    part.differences
                        .extend(found.into_iter().map(|(difference, repaired)| {
                            difference_to_proto(&difference, &place, repaired)
                        }));
                }
                // The others are looked at all the same.
                Err(error) => part.unreadable.push(v1::Unreadable {
                    home: home.to_string(),
                    partition: place.clone(),
                    why: error.to_string(),
                }),
            }
            part.homes += 1;
            looked_at += 1;
            let entries = part.differences.len() + part.unreadable.len();
            if entries >= ENTRIES || looked_at % PROGRESS == 0 {
                answer.send(std::mem::take(&mut part)).await?;
            }
        }
    }
    if let Some(home) = home.filter(|_| looked_at == 0) {
        return Err(not_found(format!("there is no {home} on this backend")));
    }
    answer.send(part).await
}

/// What differs in a home, each with whether it no longer does. `None` for a home that has gone.
async fn check_home(
    partition: &Partition,
    home: &str,
    repair: bool,
) -> Result<Option<Vec<(QuotaDifference, bool)>>, murder_store::StoreError> {
    let Some(found) = or_gone(partition.check_quota(home).await)? else {
        return Ok(None);
    };
    if !repair || found.is_empty() {
        return Ok(Some(found.into_iter().map(|one| (one, false)).collect()));
    }
    partition.repair_quota(home).await?;
    let left = partition.check_quota(home).await?;
    let is_left = |one: &QuotaDifference| {
        left.iter().any(|left| {
            (&left.name, left.of_root, left.resource) == (&one.name, one.of_root, one.resource)
        })
    };
    tracing::warn!(
        home,
        differences = found.len(),
        "quota was wrong, and is repaired"
    );
    let found = found.into_iter().map(|one| {
        let repaired = !is_left(&one);
        (one, repaired)
    });
    Ok(Some(found.collect()))
}

fn resource_to_proto(resource: QuotaResource) -> v1::QuotaResource {
    match resource {
        QuotaResource::Storage => v1::QuotaResource::Storage,
        QuotaResource::Message => v1::QuotaResource::Message,
        QuotaResource::Mailbox => v1::QuotaResource::Mailbox,
    }
}

fn quota_to_proto(quota: &Quota, place: &str) -> v1::Quota {
    let Quota {
        root,
        limits,
        usage,
    } = quota;
    let resources = [
        (QuotaResource::Storage, usage.storage, limits.storage),
        (QuotaResource::Message, usage.message, limits.message),
        (QuotaResource::Mailbox, usage.mailbox, limits.mailbox),
    ];
    let resources = resources.map(|(resource, usage, limit)| v1::QuotaUsage {
        resource: resource_to_proto(resource).into(),
        usage,
        limit,
    });
    v1::Quota {
        root: root.to_string(),
        partition: place.to_owned(),
        resources: resources.into(),
    }
}

fn difference_to_proto(
    difference: &QuotaDifference,
    place: &str,
    repaired: bool,
) -> v1::QuotaDifference {
    v1::QuotaDifference {
        name: difference.name.to_string(),
        partition: place.to_owned(),
        of_root: difference.of_root,
        resource: resource_to_proto(difference.resource).into(),
        recorded: difference.recorded,
        counted: difference.counted,
        repaired,
    }
}
