//! What partitions and homes take on disk.

use murder_net::Condition;
use murder_proto::v1;
use murder_store::StoreError;
use tonic::Status;

use super::errors::refused;
use super::{Answer, ENTRIES, or_gone};
use crate::node::Node;
use crate::status::condition_of;

/// The partitions. Looks at every file, and at each home that keeps something.
pub(super) async fn partitions(node: &Node) -> Result<Vec<v1::PartitionUsage>, StoreError> {
    let mut all = Vec::new();
    for partition in node.partitions.open().iter() {
        let config = partition.config();
        let trouble = match node.health.get(&condition_of(&config.name)) {
            Some(Condition::Unhealthy(why) | Condition::NotReady(why)) => why,
            Some(Condition::Ok) | None => String::new(),
        };
        let (homes, mailboxes) = partition.counts();
        let usage = partition.disk_usage().await?;
        all.push(v1::PartitionUsage {
            name: node.place(partition),
            path: config.path.display().to_string(),
            trouble,
            homes: homes as u64,
            mailboxes: mailboxes as u64,
            journal_bytes: usage.journal,
            large_body_bytes: usage.large_bodies,
            home_bytes: usage.homes,
            index_bytes: usage.index,
            other_bytes: usage.other,
            living_bytes: usage.living,
            kept_bytes: partition.kept_bytes().await?,
            garbage_bytes: usage.garbage,
            bytes_free: usage.free,
            bytes_total: usage.size,
        });
    }
    for (name, why) in node.partitions.closed() {
        let section = node.config.partitions.get(&name);
        all.push(v1::PartitionUsage {
            name: node.place_of(&name),
            path: section.map_or_else(String::new, |s| s.path.display().to_string()),
            trouble: why,
            ..v1::PartitionUsage::default()
        });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// The homes whose names begin with `prefix`.
pub(super) async fn homes(
    node: &Node,
    prefix: &str,
    answer: &Answer<v1::ListHomesResponse>,
) -> Result<(), Status> {
    for partition in node.partitions.open().iter() {
        let place = node.place(partition);
        let mut homes = Vec::new();
        let all = partition.homes();
        for home in all.iter().filter(|home| home.starts_with(prefix)) {
            let Some(usage) = or_gone(partition.home_usage(home).await).map_err(refused)? else {
                continue;
            };
            homes.push(v1::HomeUsage {
                home: home.to_string(),
                partition: place.clone(),
                message_bytes: usage.messages,
                restorable_bytes: usage.restorable,
                database_bytes: usage.database,
                index_bytes: usage.index,
            });
            if homes.len() >= ENTRIES {
                let homes = std::mem::take(&mut homes);
                answer.send(v1::ListHomesResponse { homes }).await?;
            }
        }
        if !homes.is_empty() {
            answer.send(v1::ListHomesResponse { homes }).await?;
        }
    }
    Ok(())
}
