//! Nodes, their partitions and their sessions.

use murder_net::Role;
use murder_proto::v1::{self, ErrorKind};

use super::{Changing, Refusal, refuse};
use murder_location::disk::MURDER_ID;
use murder_location::record::{
    Change, FIRST_EPOCH, Node, NodeState, Partition, PartitionIdentity, PartitionState, Report,
    is_named_after, valid_partition,
};

/// The role that has partitions.
const BACKEND: &str = Role::Backend.as_str();

impl Changing<'_> {
    /// A node has opened a session. What an earlier process of it had reserved is free.
    pub(super) fn node_registered(&mut self, entry: &v1::NodeRegistered) -> Result<(), Refusal> {
        let node = match entry.node.clone().map(Node::from_proto) {
            Some(Ok(node)) => node,
            Some(Err(e)) => return refuse(ErrorKind::InvalidArgument, e.to_string()),
            None => return refuse(ErrorKind::InvalidArgument, "no node"),
        };
        let is_backend = node.roles.iter().any(|role| role == BACKEND);
        if !is_backend && !entry.partitions.is_empty() {
            return refuse(ErrorKind::PermissionDenied, only_backends(&node.name));
        }
        if !is_backend && !self.partitions_of(&node.name).is_empty() {
            // Its partitions would be nobody's.
            let message = format!("{} was a backend, which must be forgotten first", node.name);
            return refuse(ErrorKind::FailedPrecondition, message);
        }
        let before = self.state.tables.nodes.get(&node.name);
        if before.is_none_or(|before| before.incarnation != node.incarnation) {
            let tables = &self.state.tables;
            let own: Vec<String> = tables
                .partitions_of(&node.name)
                .map(|partition| &partition.name)
                .chain(entry.partitions.iter().map(|status| &status.name))
                .filter(|name| {
                    // What is half made in a partition that is not open cannot be settled now.
                    let mut offline = entry.partitions.iter();
                    !offline.any(|status| {
                        status.state() == v1::PartitionState::Offline && status.name == **name
                    })
                })
                .cloned()
                .collect();
            self.drop_reservations(self.revision, |partition| {
                own.iter().any(|p| p == partition)
            });
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
        if !entry.partitions.is_empty() && !before.roles.iter().any(|role| role == BACKEND) {
            return refuse(ErrorKind::PermissionDenied, only_backends(&entry.name));
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
        // A node that goes down keeps its partitions, which nobody serves then; what it said last of
        // their journals counts.
        match after.state {
            NodeState::Down => self.leave_partitions(&entry.name, &entry.partitions),
            NodeState::Up | NodeState::Draining => {
                self.set_partitions(&entry.name, &entry.partitions)?;
            }
        }
        if changed {
            self.change(Change::Node(entry.name.clone(), Some(after)));
        }
        Ok(())
    }

    /// Makes the partitions named for `node` be as it says. One that another node has taken over
    /// stays with it. What a record says a partition must be (its identity, how far it has
    /// come) never changes by this: a directory that is something else is not the partition.
    ///
    /// A partition that the node does not name any more stays, offline, as long as it was ever
    /// opened or a mailbox is recorded in it: its mail has not gone.
    fn set_partitions(
        &mut self,
        node: &str,
        partitions: &[v1::PartitionStatus],
    ) -> Result<(), Refusal> {
        for status in partitions {
            let name = status.name.clone();
            let before = self.state.tables.partitions.get(&name);
            if before.is_some_and(|before| before.owner != node) {
                continue;
            }
            if before.is_none() && !(valid_partition(&name) && is_named_after(&name, node)) {
                return refuse(
                    ErrorKind::InvalidArgument,
                    format!("{name:?} is no name of a partition that {node} makes"),
                );
            }
            let after = updated(before, name.clone(), node, status);
            if before != Some(&after) {
                self.change(Change::Partition(name, Some(after)));
            }
        }
        for gone in self.partitions_of(node) {
            if partitions.iter().any(|status| gone.name == status.name) {
                continue;
            }
            if gone.identity.is_none() && !self.has_mailboxes(&gone.name) {
                self.change(Change::Partition(gone.name, None));
            } else if gone.state != PartitionState::Offline {
                let state = PartitionState::Offline;
                let name = gone.name.clone();
                self.change(Change::Partition(name, Some(Partition { state, ..gone })));
            }
        }
        Ok(())
    }

    /// A node's partitions are offline, and had come as far as it said last.
    fn leave_partitions(&mut self, node: &str, partitions: &[v1::PartitionStatus]) {
        for before in self.partitions_of(node) {
            let status = partitions.iter().find(|status| before.name == status.name);
            let said = status.map(|status| heard(&before, status));
            let after = Partition {
                report: said.unwrap_or_default().max(before.report),
                state: PartitionState::Offline,
                ..before.clone()
            };
            if after != before {
                self.change(Change::Partition(before.name, Some(after)));
            }
        }
    }

    fn partitions_of(&self, node: &str) -> Vec<Partition> {
        self.state.tables.partitions_of(node).cloned().collect()
    }

    fn has_mailboxes(&self, partition: &str) -> bool {
        let mut all = self.state.tables.map.with_prefix("");
        all.any(|entry| entry.partition() == partition)
    }

    /// An operator has said which directory is the partition of that name now.
    pub(super) fn partition_adopted(
        &mut self,
        entry: &v1::PartitionAdopted,
    ) -> Result<(), Refusal> {
        if !valid_partition(&entry.partition) {
            let message = format!("{:?} is not of the form node!partition", entry.partition);
            return refuse(ErrorKind::InvalidArgument, message);
        }
        self.demand(&entry.partition)?;
        let Some(identity) = PartitionIdentity::from_proto(&entry.id, &entry.copy) else {
            return refuse(ErrorKind::InvalidArgument, "no partition and copy id");
        };
        let before = self.state.tables.partitions.get(&entry.partition).cloned();
        if before.is_none() && self.restricted_to.is_empty() {
            let message = format!("no partition {}", entry.partition);
            return refuse(ErrorKind::NotFound, message);
        }
        let known = before.as_ref().and_then(|before| before.identity);
        // The answer to the first try was lost.
        if known == Some(identity) && before.as_ref().is_some_and(|b| b.report.lsn >= entry.lsn) {
            return Ok(());
        }
        if PartitionIdentity::to_proto(known).1 != entry.instead_of {
            let message = format!("{} is another copy by now", entry.partition);
            return refuse(ErrorKind::FailedPrecondition, message);
        }
        let after = Partition {
            identity: Some(identity),
            report: Report {
                lsn: entry.lsn,
                uids: entry.uids,
            },
            ..before.unwrap_or_else(|| Partition {
                name: entry.partition.clone(),
                owner: self.restricted_to.to_owned(),
                epoch: FIRST_EPOCH,
                state: PartitionState::Offline,
                bytes_total: 0,
                bytes_free: 0,
                identity: None,
                report: Report::default(),
            })
        };
        let name = entry.partition.clone();
        self.change(Change::Partition(name, Some(after)));
        Ok(())
    }

    /// An operator has said that a node, or one of its partitions, is gone for good. What was
    /// recorded there must have been forgotten before: that is a decision of its own.
    pub(super) fn forgotten(&mut self, entry: &v1::Forgotten) -> Result<(), Refusal> {
        let whole = entry.partition.is_empty();
        let tables = &self.state.tables;
        let gone: Vec<Partition> = match whole {
            true => self.partitions_of(&entry.node),
            false => tables
                .partitions
                .get(&entry.partition)
                .into_iter()
                .cloned()
                .collect(),
        };
        let owner = gone
            .first()
            .map_or(&entry.node, |partition| &partition.owner);
        let node = tables.nodes.get(owner);
        let up = node.is_some_and(|node| node.state != NodeState::Down);
        if whole && up {
            let message = format!("node {} is up", entry.node);
            return refuse(ErrorKind::FailedPrecondition, message);
        }
        if gone.is_empty() && (!whole || node.is_none()) {
            let what = match whole {
                true => format!("no node {:?}", entry.node),
                false => format!("no partition {}", entry.partition),
            };
            return refuse(ErrorKind::NotFound, what);
        }
        for partition in &gone {
            if up && partition.state != PartitionState::Offline {
                let message = format!("{} is being served", partition.name);
                return refuse(ErrorKind::FailedPrecondition, message);
            }
            if self.has_mailboxes(&partition.name) {
                let message = format!("mailboxes are recorded in {}", partition.name);
                return refuse(ErrorKind::FailedPrecondition, message);
            }
        }
        for partition in gone {
            self.change(Change::Partition(partition.name, None));
        }
        if whole && self.state.tables.nodes.contains_key(&entry.node) {
            self.change(Change::Node(entry.node.clone(), None));
        }
        Ok(())
    }

    /// The murder has a new identity, and succeeds others.
    pub(super) fn succeeded(&mut self, entry: &v1::Succeeded) -> Result<(), Refusal> {
        let good = |id: &Vec<u8>| id.len() == MURDER_ID;
        if !good(&entry.murder_id) || !entry.predecessors.iter().all(good) {
            return refuse(ErrorKind::InvalidArgument, "a murder id has 16 bytes");
        }
        let state = &mut *self.state;
        let own = std::mem::replace(&mut state.murder_id, entry.murder_id.clone());
        for id in entry.predecessors.iter().chain([&own]) {
            if *id != state.murder_id && !state.predecessors.contains(id) {
                state.predecessors.push(id.clone());
            }
        }
        Ok(())
    }
}

fn only_backends(node: &str) -> String {
    format!("{node} is no backend: only backends have partitions")
}

/// A partition's record after its node has said how it is.
fn updated(
    before: Option<&Partition>,
    name: String,
    node: &str,
    status: &v1::PartitionStatus,
) -> Partition {
    let said = PartitionIdentity::from_proto(&status.id, &status.copy);
    let known = before.and_then(|before| before.identity);
    let another = known.is_some() && said.is_some() && known != said;
    Partition {
        name,
        owner: node.to_owned(),
        epoch: before.map_or(FIRST_EPOCH, |before| before.epoch),
        state: match another {
            true => PartitionState::Offline,
            false => PartitionState::from_proto(status.state()),
        },
        bytes_total: status.bytes_total,
        bytes_free: status.bytes_free,
        identity: known.or(said),
        report: match before.filter(|before| before.identity.is_some()) {
            Some(before) => heard(before, status).max(before.report),
            None => report_of(status),
        },
    }
}

/// How far the known copy is by what its node says; nowhere when it speaks of another.
pub(crate) fn heard(known: &Partition, status: &v1::PartitionStatus) -> Report {
    let said = PartitionIdentity::from_proto(&status.id, &status.copy);
    match said.is_some() && said == known.identity {
        true => report_of(status),
        false => Report::default(),
    }
}

const fn report_of(status: &v1::PartitionStatus) -> Report {
    Report {
        lsn: status.lsn,
        uids: status.uids,
    }
}
