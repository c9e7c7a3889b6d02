//! Everything that is replicated, in memory: the location map, nodes, partitions, accounts, blocks,
//! and what certificates are revoked.

use std::collections::BTreeMap;
use std::net::IpAddr;

use murder_auth::{Account, IpNet};
use murder_net::tls::Revocation;

use crate::map::LocationMap;
use crate::record::{Block, Change, Node, Partition};

/// The replicated tables, the same on the master and on each replica.
#[derive(Debug, Default)]
pub struct Tables {
    /// Mailboxes.
    pub map: LocationMap,
    /// Nodes by name.
    pub nodes: BTreeMap<String, Node>,
    /// Partitions by `node!partition`.
    pub partitions: BTreeMap<String, Partition>,
    /// Accounts by normalised login name.
    pub accounts: BTreeMap<String, Account>,
    /// Networks from which nobody logs in.
    pub blocks: BTreeMap<IpNet, Block>,
    /// What is revoked of certificates, by the name in them.
    pub revocations: BTreeMap<String, Revocation>,
}

impl Tables {
    /// Makes the record be what `change` says. The change that would undo it comes back.
    pub fn apply(&mut self, change: &Change) -> Change {
        fn put<V: Clone>(map: &mut BTreeMap<String, V>, key: &str, value: &Option<V>) -> Option<V> {
            match value {
                Some(value) => map.insert(key.to_owned(), value.clone()),
                None => map.remove(key),
            }
        }
        match change {
            Change::Mailbox(name, location) => {
                let before = match location {
                    Some(location) => self.map.put(name, location),
                    None => self.map.remove(name),
                };
                Change::Mailbox(name.clone(), before)
            }
            Change::Partition(name, partition) => {
                Change::Partition(name.clone(), put(&mut self.partitions, name, partition))
            }
            Change::Node(name, node) => {
                Change::Node(name.clone(), put(&mut self.nodes, name, node))
            }
            Change::Account(name, account) => {
                Change::Account(name.clone(), put(&mut self.accounts, name, account))
            }
            Change::Block(network, block) => {
                let before = match block {
                    Some(block) => self.blocks.insert(*network, block.clone()),
                    None => self.blocks.remove(network),
                };
                Change::Block(*network, before)
            }
            Change::Revocation(name, revocation) => {
                Change::Revocation(name.clone(), put(&mut self.revocations, name, revocation))
            }
        }
    }

    /// The node that serves a partition; `None` of one that nobody has registered.
    #[must_use]
    pub fn owner_of(&self, partition: &str) -> Option<&str> {
        let partition = self.partitions.get(partition)?;
        Some(&partition.owner)
    }

    /// The partitions that a node owns, in name order. A murder has few.
    pub fn partitions_of<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a Partition> {
        let partitions = self.partitions.values();
        partitions.filter(move |partition| partition.owner == node)
    }

    /// The block that `address` is under, an operator's before others.
    #[must_use]
    pub fn block_of(&self, address: IpAddr, now_ms: u64) -> Option<&Block> {
        if self.blocks.is_empty() {
            return None;
        }
        let host = IpNet::from(address.to_canonical());
        // There may be many; the networks that an address can be in are few.
        let networks = (0..=host.prefix_len())
            .filter_map(|length| Some(IpNet::new(host.addr(), length).ok()?.trunc()));
        let blocks = networks.filter_map(|network| self.blocks.get(&network));
        blocks
            .filter(|block| !block.is_over(now_ms))
            .max_by_key(|block| block.operator)
    }
}
