//! Blocks of networks.

use murder_auth::parse_network;
use murder_proto::v1::{self, ErrorKind};

use super::{Changing, Refusal, refuse};
use murder_location::record::{Block, Change};

/// Blocks of one node: its keys, if they are stolen, are not to fill the master. With one more, the
/// one that ends first goes.
const MAX_OF_NODE: usize = 2_000;
/// Blocks that operators have made.
const MAX_OF_OPERATORS: usize = 20_000;

impl Changing<'_> {
    /// Makes a block what `block` says, and drops those that are over.
    pub(super) fn blocked(&mut self, block: &v1::Block) -> Result<(), Refusal> {
        let (network, block) = Block::from_proto(block.clone())
            .or_else(|error| refuse(ErrorKind::InvalidArgument, error.to_string()))?;
        let blocks = &self.state.tables.blocks;
        let over = blocks.iter().filter(|(_, b)| b.is_over(self.time_ms));
        let mut gone: Vec<_> = over.map(|(network, _)| *network).collect();
        if let Some(present) = blocks.get(&network)
            && !present.is_over(self.time_ms)
            && !block.operator
        {
            // An operator's word stands, and of two nodes' the longer one.
            if present.operator || present.until_ms >= block.until_ms {
                return Ok(());
            }
        }
        let others = blocks
            .iter()
            .filter(|(other, b)| **other != network && !b.is_over(self.time_ms));
        if block.operator {
            if others.filter(|(_, b)| b.operator).count() >= MAX_OF_OPERATORS {
                return refuse(
                    ErrorKind::TooLarge,
                    format!("there are {MAX_OF_OPERATORS} blocks"),
                );
            }
        } else {
            let own = others.filter(|(_, b)| !b.operator && b.by == block.by);
            let count = own.clone().count();
            if count >= MAX_OF_NODE {
                gone.extend(
                    own.min_by_key(|(_, b)| b.until_ms)
                        .map(|(network, _)| *network),
                );
            }
        }
        for network in gone {
            self.change(Change::Block(network, None));
        }
        self.change(Change::Block(network, Some(block)));
        Ok(())
    }

    pub(super) fn unblocked(&mut self, network: &str) -> Result<(), Refusal> {
        let parsed = parse_network(network)
            .or_else(|error| refuse(ErrorKind::InvalidArgument, error.to_string()))?;
        if !self.state.tables.blocks.contains_key(&parsed) {
            return refuse(ErrorKind::NotFound, format!("{parsed} is not blocked"));
        }
        self.change(Change::Block(parsed, None));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use murder_proto::v1::log_entry::Command;

    use super::*;
    use crate::state::{Outcome, State};

    fn apply(state: &mut State, time_ms: u64, command: Command) -> Outcome {
        let entry = v1::LogEntry {
            time_ms,
            command: Some(command),
            ..v1::LogEntry::default()
        };
        let revision = state.revision() + 1;
        state.apply(revision, &entry).outcome
    }

    fn block(network: &str, by: &str, until_ms: u64) -> v1::Block {
        v1::Block {
            network: network.into(),
            until_ms,
            by: by.into(),
            reason: "guesses".into(),
            operator: by == "op",
        }
    }

    fn networks(state: &State) -> Vec<String> {
        let blocks = state.tables().blocks.iter();
        blocks
            .map(|(network, b)| format!("{network} {}", b.by))
            .collect()
    }

    #[test]
    fn blocks_end_and_operators_words_stand() {
        let mut state = State::default();
        let add = |state: &mut State, time, b| apply(state, time, Command::Blocked(b));
        add(&mut state, 1, block("192.0.2.1", "fe1", 10));
        add(&mut state, 1, block("192.0.2.1", "fe2", 9));
        add(&mut state, 1, block("198.51.100.0/24", "op", 0));
        assert_eq!(networks(&state), ["192.0.2.1/32 fe1", "198.51.100.0/24 op"]);
        add(&mut state, 2, block("192.0.2.1", "fe2", 11));
        add(&mut state, 2, block("198.51.100.0/24", "fe2", 11));
        assert_eq!(networks(&state), ["192.0.2.1/32 fe2", "198.51.100.0/24 op"]);
        let of = |state: &State, address: &str, now| {
            let block = state.tables().block_of(address.parse().unwrap(), now);
            block.map(|b| b.by.clone())
        };
        assert_eq!(of(&state, "::ffff:192.0.2.1", 10).as_deref(), Some("fe2"));
        assert_eq!(of(&state, "192.0.2.1", 11), None);
        assert_eq!(of(&state, "198.51.100.7", u64::MAX).as_deref(), Some("op"));
        assert_eq!(of(&state, "198.51.101.7", 1), None);
        add(&mut state, 12, block("2001:db8::/64", "fe1", 20));
        assert_eq!(
            networks(&state),
            ["198.51.100.0/24 op", "2001:db8::/64 fe1"]
        );
        assert_eq!(of(&state, "2001:db8::1", 13).as_deref(), Some("fe1"));
        let gone = Command::Unblocked("198.51.100.0/24".into());
        assert_eq!(apply(&mut state, 13, gone.clone()), Outcome::Done);
        assert!(matches!(apply(&mut state, 13, gone), Outcome::Refused(_)));
    }

    #[test]
    fn a_nodes_blocks_have_a_bound() {
        let mut state = State::default();
        let address = |n: usize| format!("10.0.{}.{}", n / 256, n % 256);
        for n in 0..MAX_OF_NODE + 3 {
            let until = 1_000 + u64::try_from(n).unwrap();
            let command = Command::Blocked(block(&address(n), "fe1", until));
            assert_eq!(apply(&mut state, 1, command), Outcome::Done);
        }
        let blocks = &state.tables().blocks;
        assert_eq!(blocks.len(), MAX_OF_NODE);
        assert!(!blocks.contains_key(&parse_network(&address(2)).unwrap()));
        assert!(blocks.contains_key(&parse_network(&address(3)).unwrap()));
    }
}
