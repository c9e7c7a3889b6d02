//! Free ports that stay free.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use anyhow::{Context, bail};

/// Below the range that Linux takes for outgoing connections (32768 and up), so that a node that
/// restarts finds its port as it left it.
const FIRST: u16 = 15_000;
const LAST: u16 = 32_000;
/// So many taken ones in a row mean that something else is wrong.
const TRIES: usize = 2_000;

/// Ports that no other local murder of this machine takes while this lives: from before a node
/// listens, and while one is started again.
#[derive(Debug, Default)]
pub struct Reserved {
    /// A name each, of the kind that goes with its process, however that ends.
    names: Vec<UnixListener>,
}

impl Reserved {
    /// Whether nobody else has reserved it.
    fn add(&mut self, port: u16) -> bool {
        let name = SocketAddr::from_abstract_name(format!("murder-up-port-{port}"));
        match name.and_then(|name| UnixListener::bind_addr(&name)) {
            Ok(listener) => {
                self.names.push(listener);
                true
            }
            Err(_) => false,
        }
    }
}

/// Finds ports; those it has given stay bound until it is dropped, so that none comes twice.
pub struct Finder {
    next: Option<u16>,
    taken: BTreeSet<u16>,
    held: Vec<TcpListener>,
    reserved: Reserved,
}

impl Finder {
    /// From `base` upwards, or anywhere; never one of `taken`.
    pub fn new(base: Option<u16>, taken: impl IntoIterator<Item = u16>) -> Self {
        Self {
            next: base,
            taken: taken.into_iter().collect(),
            held: Vec::new(),
            reserved: Reserved::default(),
        }
    }

    /// Goes on with a port of before. Whether it is free shows when the node listens.
    pub fn keep(&mut self, port: u16) {
        self.reserved.add(port);
    }

    /// Leaves the ports to the nodes, and to nobody else.
    pub fn into_reserved(self) -> Reserved {
        self.reserved
    }

    /// The next one.
    pub fn find(&mut self) -> anyhow::Result<u16> {
        if let Some(port) = self.next {
            self.next = Some(
                port.checked_add(1)
                    .context("--base-port leaves too few ports")?,
            );
            let listener = listen(port).with_context(|| format!("port {port} is not free"))?;
            if !self.reserved.add(port) {
                bail!("port {port} is not free: another local murder has it");
            }
            self.held.push(listener);
            return Ok(port);
        }
        for _ in 0..TRIES {
            let random = RandomState::new().hash_one(0) % u64::from(LAST - FIRST);
            let port = FIRST + u16::try_from(random)?;
            if self.taken.contains(&port) {
                continue;
            }
            if let Ok(listener) = listen(port)
                && self.reserved.add(port)
            {
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

    #[test]
    fn a_port_that_is_left_to_a_node_is_left_to_no_other_murder() {
        let mut finder = Finder::new(None, []);
        let port = finder.find().unwrap();
        let reserved = finder.into_reserved();
        let error = Finder::new(Some(port), []).find().unwrap_err();
        assert!(
            error.to_string().contains("another local murder"),
            "{error}"
        );
        drop(reserved);
        assert_eq!(Finder::new(Some(port), []).find().unwrap(), port);
    }
}
