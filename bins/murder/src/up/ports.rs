//! Free ports that stay free.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, bail};

/// Below the range that Linux takes for outgoing connections (32768 and up), so that a node that
/// restarts finds its port as it left it.
const FIRST: u16 = 15_000;
const LAST: u16 = 32_000;
/// So many taken ones in a row mean that something else is wrong.
const TRIES: usize = 2_000;

/// Finds ports; those it has given stay bound until it is dropped, so that none comes twice.
pub struct Finder {
    next: Option<u16>,
    taken: BTreeSet<u16>,
    held: Vec<TcpListener>,
}

impl Finder {
    /// From `base` upwards, or anywhere; never one of `taken`.
    pub fn new(base: Option<u16>, taken: impl IntoIterator<Item = u16>) -> Self {
        Self {
            next: base,
            taken: taken.into_iter().collect(),
            held: Vec::new(),
        }
    }

    /// The next one.
    pub fn find(&mut self) -> anyhow::Result<u16> {
        if let Some(port) = self.next {
            self.next = Some(
                port.checked_add(1)
                    .context("--base-port leaves too few ports")?,
            );
            let listener = listen(port).with_context(|| format!("port {port} is not free"))?;
            self.held.push(listener);
            return Ok(port);
        }
        for _ in 0..TRIES {
            let random = RandomState::new().hash_one(0) % u64::from(LAST - FIRST);
            let port = FIRST + u16::try_from(random)?;
            if self.taken.contains(&port) {
                continue;
            }
            if let Ok(listener) = listen(port) {
                self.held.push(listener);
                self.taken.insert(port);
                return Ok(port);
            }
        }
        bail!("no free port between {FIRST} and {LAST}");
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_is_another_and_none_is_taken() {
        let mut finder = Finder::new(None, FIRST..LAST - 500);
        let mut found = BTreeSet::new();
        for _ in 0..50 {
            let port = finder.find().unwrap();
            assert!((LAST - 500..LAST).contains(&port));
            assert!(found.insert(port));
        }
    }

    #[test]
    fn a_base_port_in_use_is_named() {
        let mut finder = Finder::new(None, []);
        let used = finder.find().unwrap();
        let error = Finder::new(Some(used), []).find().unwrap_err();
        assert!(error.to_string().contains(&used.to_string()), "{error}");
    }
}
