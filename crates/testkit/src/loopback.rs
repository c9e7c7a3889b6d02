//! Addresses that nobody else uses.

use std::hash::{BuildHasher, RandomState};
use std::net::Ipv4Addr;

/// A loopback address of one's own. There, a port stays free while its node is away; on 127.0.0.1
/// any outgoing connection might take it.
pub fn own() -> Ipv4Addr {
    let [a, b, c, ..] = RandomState::new()
        .hash_one(std::process::id())
        .to_ne_bytes();
    Ipv4Addr::new(127, 64 | (a & 63), b, c.clamp(1, 254))
}

#[cfg(test)]
mod tests {
    #[test]
    fn they_differ() {
        let found: std::collections::BTreeSet<_> = (0..50).map(|_| super::own()).collect();
        assert!(found.len() > 45);
        assert!(found.iter().all(std::net::Ipv4Addr::is_loopback));
    }
}
