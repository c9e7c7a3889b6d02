//! Nodes, their partitions and their sessions.

use murder_proto::v1::{self, ErrorKind};

use super::{Changing, Refusal, refuse};
use crate::record::{Change, Node, NodeState, Partition, PartitionState, valid_partition};

impl Changing<'_> {
    /// A node has opened a session. What an earlier process of it had reserved is free.
    pub(super) fn node_registered(&mut self, entry: &v1::NodeRegistered) -> Result<(), Refusal> {
        let node = match entry.node.clone().map(Node::from_proto) {
            Some(Ok(node)) => node,
            Some(Err(e)) => return refuse(ErrorKind::InvalidArgument, e.to_string()),
            None => return refuse(ErrorKind::InvalidArgument, "no node"),
        };
        let before = self.state.tables.nodes.get(&node.name);
        if before.is_none_or(|before| before.incarnation != node.incarnation) {
            self.drop_reservations(&node.name, self.revision);
        }
        self.set_partitions(&node.name, &entry.partitions)?;
        if self.state.tables.nodes.get(&node.name) != Some(&node) {
            self.change(Change::Node(node.name.clone(), Some(node)));
        }
        Ok(())
    }

    pub(super) fn node_changed(&mut self, entry: &v1::NodeChanged) -> Result<(), Refusal> {
        let Some(before) = self.state.tables.nodes.get(&entry.name) else {
            return refuse(ErrorKind::NotFound, format!("no node {:?}", entry.name));
        };
        // A later process of the node has registered meanwhile: this is not about it.
        if !entry.incarnation.is_empty() && entry.incarnation != before.incarnation {
            return Ok(());
        }
        let mut after = before.clone();
        after.state = match entry.state() {
            v1::NodeState::Up => NodeState::Up,
            v1::NodeState::Draining => NodeState::Draining,
            v1::NodeState::Down => NodeState::Down,
            v1::NodeState::Unspecified => {
                return refuse(ErrorKind::InvalidArgument, "no node state");
            }
        };
        let changed = *before != after;
        // A node that goes down keeps its partitions, and says nothing about them.
        if after.state != NodeState::Down {
            self.set_partitions(&entry.name, &entry.partitions)?;
        }
        if changed {
            self.change(Change::Node(entry.name.clone(), Some(after)));
        }
        Ok(())
    }

    /// Makes the partitions named for `node` be these. One that another node has taken over
    /// stays with it.
    fn set_partitions(
        &mut self,
        node: &str,
        partitions: &[v1::PartitionStatus],
    ) -> Result<(), Refusal> {
        let prefix = format!("{node}!");
        let known: Vec<Partition> = self
            .state
            .tables
            .partitions
            .range(prefix.clone()..)
            .take_while(|(name, _)| name.starts_with(&prefix))
            .map(|(_, partition)| partition.clone())
            .collect();
        for status in partitions {
            let name = format!("{prefix}{}", status.name);
            if !valid_partition(&name) {
                return refuse(
                    ErrorKind::InvalidArgument,
                    format!("{name:?} is not a valid partition name"),
                );
            }
            let before = known.iter().find(|p| p.name == name);
            if before.is_some_and(|before| before.owner != node) {
                continue;
            }
            let after = Partition {
                name: name.clone(),
                owner: node.to_owned(),
                epoch: before.map_or(1, |before| before.epoch),
                state: PartitionState::from_proto(status.state()),
                bytes_total: status.bytes_total,
                bytes_free: status.bytes_free,
            };
            if before != Some(&after) {
                self.change(Change::Partition(name, Some(after)));
            }
        }
        for gone in known {
            let still = partitions
                .iter()
                .any(|status| gone.name[prefix.len()..] == status.name);
            if !still && gone.owner == node {
                self.change(Change::Partition(gone.name, None));
            }
        }
        Ok(())
    }
}
