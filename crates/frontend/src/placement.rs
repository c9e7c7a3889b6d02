//! Which partition a new home goes to.
//!
//! Children of an existing mailbox never come here: they go to their parent's backend.

use std::sync::atomic::{AtomicU64, Ordering};

use murder_location::{Node, NodeState, Partition, PartitionState, service};
use serde::{Deserialize, Serialize};

/// How a partition is chosen among those that take new homes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlacementMode {
    /// By chance, in proportion to the nodes' weights.
    #[default]
    Random,
    /// The one with the most free bytes.
    MostFreeBytes,
    /// The one with the largest free share.
    MostFreePercent,
    /// By chance, in proportion to the free share times the node's weight.
    WeightedFreePercent,
}

/// Chooses partitions.
#[derive(Debug)]
pub(crate) struct Placement {
    mode: PlacementMode,
    exclude: Vec<String>,
    // A splitmix64 sequence: placement needs spread, not secrecy.
    random: AtomicU64,
}

impl Placement {
    /// By `mode`, never on a node or `node!partition` of `exclude`.
    pub(crate) fn new(mode: PlacementMode, exclude: Vec<String>, seed: u64) -> Self {
        Self {
            mode,
            exclude,
            random: AtomicU64::new(seed),
        }
    }

    /// The partition (`node!partition`) for a new home, or `None` when none takes one.
    pub(crate) fn choose<'a>(
        &self,
        partitions: impl IntoIterator<Item = (&'a Partition, &'a Node)>,
    ) -> Option<String> {
        let candidates: Vec<(&Partition, &Node)> = partitions
            .into_iter()
            .filter(|(partition, node)| {
                node.state == NodeState::Up
                    && node.service(service::IMAPS).is_some()
                    && partition.state == PartitionState::Online
                    && !self
                        .exclude
                        .iter()
                        .any(|e| *e == node.name || *e == partition.name)
            })
            .collect();
        let percent = |p: &Partition| match p.bytes_total {
            // Unknown: as good as half full.
            0 => 50.0,
            total => p.bytes_free as f64 * 100.0 / total as f64,
        };
        match self.mode {
            PlacementMode::MostFreeBytes => candidates
                .into_iter()
                .max_by_key(|(p, _)| p.bytes_free)
                .map(|(p, _)| p.name.clone()),
            PlacementMode::MostFreePercent => candidates
                .into_iter()
                .max_by(|(a, _), (b, _)| percent(a).total_cmp(&percent(b)))
                .map(|(p, _)| p.name.clone()),
            PlacementMode::Random => {
                // A node's weight is shared by its partitions.
                let weight = |(p, n): &(&Partition, &Node)| {
                    let siblings = candidates
                        .iter()
                        .filter(|(q, _)| q.owner == p.owner)
                        .count();
                    f64::from(n.weight) / siblings as f64
                };
                self.by_weight(&candidates, weight)
            }
            PlacementMode::WeightedFreePercent => {
                self.by_weight(&candidates, |(p, n)| percent(p) * f64::from(n.weight))
            }
        }
    }

    fn by_weight<'a>(
        &self,
        candidates: &[(&'a Partition, &'a Node)],
        weight: impl Fn(&(&'a Partition, &'a Node)) -> f64,
    ) -> Option<String> {
        let total: f64 = candidates.iter().map(&weight).sum();
        let mut at = self.next() * total;
        for candidate in candidates {
            let own = weight(candidate);
            if own > 0.0 && at < own {
                return Some(candidate.0.name.clone());
            }
            at -= own;
        }
        // Weights that are all zero mean nothing: somewhere is better than nowhere.
        candidates.last().map(|(p, _)| p.name.clone())
    }

    /// Uniform in `0.0..1.0`.
    fn next(&self) -> f64 {
        let mut z = self
            .random
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn node(name: &str, state: NodeState, weight: u32) -> Node {
        Node {
            name: name.into(),
            roles: vec!["backend".into()],
            services: [(service::IMAPS.into(), "127.0.0.1:993".into())].into(),
            state,
            weight,
            incarnation: [0; 16],
        }
    }

    fn partition(node: &str, name: &str, free: u64, total: u64) -> Partition {
        Partition {
            name: format!("{node}!{name}"),
            owner: node.into(),
            epoch: 1,
            state: PartitionState::Online,
            bytes_total: total,
            bytes_free: free,
            identity: None,
            report: Default::default(),
        }
    }

    fn choose(mode: PlacementMode, of: &[(&Partition, &Node)]) -> Option<String> {
        Placement::new(mode, Vec::new(), 1).choose(of.iter().copied())
    }

    #[test]
    fn only_where_new_homes_are_taken() {
        let (up, draining) = (
            node("be1", NodeState::Up, 1),
            node("be2", NodeState::Draining, 1),
        );
        let down = node("be3", NodeState::Down, 1);
        let mut full = partition("be1", "full", 0, 10);
        full.state = PartitionState::ReadOnly;
        let (a, b, c) = (
            partition("be1", "a", 1, 10),
            partition("be2", "b", 9, 10),
            partition("be3", "c", 9, 10),
        );
        let all = [(&full, &up), (&a, &up), (&b, &draining), (&c, &down)];
        for mode in [
            PlacementMode::Random,
            PlacementMode::MostFreeBytes,
            PlacementMode::MostFreePercent,
            PlacementMode::WeightedFreePercent,
        ] {
            assert_eq!(choose(mode, &all).as_deref(), Some("be1!a"));
            assert_eq!(choose(mode, &[]), None);
            let excluding = Placement::new(mode, vec!["be1!a".into()], 1);
            assert_eq!(excluding.choose(all), None);
        }
    }

    #[test]
    fn free_space_counts() {
        let (one, two) = (node("be1", NodeState::Up, 1), node("be2", NodeState::Up, 1));
        let (small, big) = (
            partition("be1", "a", 50, 100),
            partition("be2", "a", 100, 1000),
        );
        let all = [(&small, &one), (&big, &two)];
        assert_eq!(
            choose(PlacementMode::MostFreeBytes, &all).as_deref(),
            Some("be2!a")
        );
        assert_eq!(
            choose(PlacementMode::MostFreePercent, &all).as_deref(),
            Some("be1!a")
        );
    }

    #[test]
    fn chance_follows_the_weights() {
        let (one, two) = (node("be1", NodeState::Up, 1), node("be2", NodeState::Up, 3));
        let (a, b, c) = (
            partition("be1", "a", 1, 1),
            partition("be2", "a", 1, 1),
            partition("be2", "b", 1, 1),
        );
        let placement = Placement::new(PlacementMode::Random, Vec::new(), 7);
        let all = [(&a, &one), (&b, &two), (&c, &two)];
        let chosen: Vec<String> = (0..4000).map(|_| placement.choose(all).unwrap()).collect();
        let of = |name: &str| chosen.iter().filter(|c| *c == name).count();
        assert!((800..1200).contains(&of("be1!a")), "{}", of("be1!a"));
        assert!((1300..1700).contains(&of("be2!a")), "{}", of("be2!a"));
    }

    #[test]
    fn weights_of_zero_are_better_than_nowhere() {
        let one = node("be1", NodeState::Up, 0);
        let a = partition("be1", "a", 0, 1);
        assert_eq!(
            choose(PlacementMode::Random, &[(&a, &one)]).as_deref(),
            Some("be1!a")
        );
    }
}
