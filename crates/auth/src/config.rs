//! The `[login]` section.

use std::time::Duration;

use ipnet::IpNet;
use murder_net::config::Mistakes;
use serde::{Deserialize, Serialize};

use crate::network::{networks, parse_network};

/// `[login]`: what becomes of those who guess passwords. Each field's comment is its
/// documentation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoginConfig {
    /// Failed logins of an address, and at an account, that delay nothing but their own answer.
    /// With each further one the next login there waits twice as long. Default: 5.
    pub free_failures: u32,
    /// The longest such wait, in seconds. Default: 15.
    pub max_delay_seconds: u64,
    /// After so long failed logins count half, in seconds. Default: 600.
    pub half_life_seconds: u64,
    /// Failed logins of an address after which it is blocked, on every node of the murder; 0 for
    /// never. Default: 20.
    pub block_after: u32,
    /// How long it is, in seconds. Default: 900.
    pub block_seconds: u64,
    /// Addresses and networks whose failed logins are not counted and that are never blocked, such
    /// as webmail servers'. Default: this machine's, `127.0.0.0/8` and `::1`.
    #[serde(deserialize_with = "networks")]
    pub trusted: Vec<IpNet>,
}

impl Default for LoginConfig {
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1"];
        Self {
            free_failures: 5,
            max_delay_seconds: 15,
            half_life_seconds: 600,
            block_after: 20,
            block_seconds: 900,
            trusted: loopback.into_iter().flat_map(parse_network).collect(),
        }
    }
}

impl LoginConfig {
    /// What can be wrong with it beyond each key by itself.
    pub fn check(&self, mistakes: &mut Mistakes) {
        /// Mail clients give up after some 30 seconds.
        const MOST_DELAY: u64 = 60;
        mistakes.ensure(
            self.max_delay_seconds <= MOST_DELAY,
            "login.max_delay_seconds",
            format!("`login.max_delay_seconds` is more than {MOST_DELAY}"),
        );
        mistakes.ensure(
            self.half_life_seconds > 0,
            "login.half_life_seconds",
            "`login.half_life_seconds` must not be 0",
        );
        mistakes.ensure_between(
            "login.block_seconds",
            &self.block_seconds,
            &(1..=MAX_BLOCK.as_secs()),
        );
    }
}

/// The longest that a node blocks an address for.
pub const MAX_BLOCK: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_that_cannot_be_meant() {
        Mistakes::of(|m| LoginConfig::default().check(m)).unwrap();
        let bad = |change: fn(&mut LoginConfig)| {
            let mut config = LoginConfig::default();
            change(&mut config);
            Mistakes::of(|m| config.check(m)).unwrap_err().to_string()
        };
        assert!(bad(|c| c.max_delay_seconds = 61).contains("max_delay_seconds"));
        assert!(bad(|c| c.half_life_seconds = 0).contains("half_life_seconds"));
        assert!(bad(|c| c.block_seconds = 0).contains("block_seconds"));
        assert!(bad(|c| c.block_seconds = 90_000).contains("block_seconds"));
    }
}
