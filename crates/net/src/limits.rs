//! Counting what is in use, in all and by key.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustix::process::{Resource, getrlimit};

use crate::config::LimitsConfig;

/// How many of something each key may have at once. Clones are the same one. Its memory is one
/// entry for each key in use.
pub struct Limit<K> {
    used: Arc<Mutex<HashMap<K, usize>>>,
    /// 0: no limit.
    most: usize,
}

impl<K> Clone for Limit<K> {
    fn clone(&self) -> Self {
        Self {
            used: Arc::clone(&self.used),
            most: self.most,
        }
    }
}

impl<K> fmt::Debug for Limit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit")
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

impl<K: Eq + Hash + Clone> Limit<K> {
    /// At most `most` a key; 0 for no limit.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            used: Arc::default(),
            most,
        }
    }

    /// Takes one of `key`'s, until the slot is dropped. `None` when all are taken.
    #[must_use]
    pub fn take(&self, key: &K) -> Option<Slot<K>> {
        let mut used = self.used.lock();
        match used.get_mut(key) {
            Some(count) if self.most != 0 && *count >= self.most => return None,
            Some(count) => *count += 1,
            None => {
                used.insert(key.clone(), 1);
            }
        }
        drop(used);
        Some(Slot {
            limit: self.clone(),
            key: key.clone(),
        })
    }

    /// How many of `key`'s are taken.
    #[must_use]
    pub fn used<Q>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.used.lock().get(key).copied().unwrap_or(0)
    }
}

/// One that is taken of a [`Limit`]; dropping it gives it back.
#[derive(Debug)]
pub struct Slot<K: Eq + Hash + Clone> {
    limit: Limit<K>,
    key: K,
}

impl<K: Eq + Hash + Clone> Drop for Slot<K> {
    fn drop(&mut self) {
        let mut used = self.limit.used.lock();
        if let Some(count) = used.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                used.remove(&self.key);
            }
        }
    }
}

/// The connections of a protocol: in all, and by address. Clones are the same one, so that several
/// listeners of a protocol share their limits.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    open: Arc<AtomicUsize>,
    most: usize,
    by_ip: Limit<IpAddr>,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The protocol has as many connections as it may.
    #[error("too many connections")]
    Full,
    /// The client's address has as many connections as it may.
    #[error("too many connections from this address")]
    Address,
}

impl ConnectionLimits {
    /// With the limits of the configuration.
    #[must_use]
    pub fn new(config: &LimitsConfig) -> Self {
        Self {
            open: Arc::default(),
            most: config.max_connections,
            by_ip: Limit::new(config.max_connections_per_ip),
        }
    }

    /// Counts a connection from `ip` in, until the slot is dropped.
    ///
    /// # Errors
    /// [`Refused`] when one of the limits is reached.
    pub fn admit(&self, ip: IpAddr) -> Result<ConnectionSlot, Refused> {
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        let total = OpenSlot(Arc::clone(&self.open));
        if open >= self.most {
            return Err(Refused::Full);
        }
        let by_ip = self
            .by_ip
            .take(&ip.to_canonical())
            .ok_or(Refused::Address)?;
        Ok(ConnectionSlot {
            _total: total,
            _by_ip: by_ip,
        })
    }

    /// Connections that are counted now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// These limits, with no more connections of each of `protocols` than the files that the process may
/// have open suffice for: each connection takes `files`, and some are kept back for everything else. So
/// who comes when all are in use is refused, and nothing else fails.
#[must_use]
pub fn fitting(config: &LimitsConfig, files: usize, protocols: usize) -> LimitsConfig {
    let open_files = getrlimit(Resource::Nofile).current;
    let open_files = open_files.map_or(usize::MAX, |most| most.try_into().unwrap_or(usize::MAX));
    let most = fit(open_files, files * protocols);
    let max_connections = config.max_connections.min(most);
    if max_connections < config.max_connections {
        tracing::warn!(
            max_connections,
            configured = config.max_connections,
            open_files,
            "[limits] max_connections is more than there may be files open (LimitNOFILE)"
        );
    }
    LimitsConfig {
        max_connections,
        ..config.clone()
    }
}

/// How many connections `open_files` suffice for, of which each takes `files`.
fn fit(open_files: usize, files: usize) -> usize {
    /// For the store's files, connections to other nodes that are kept, HTTP: these at most, and a
    /// quarter where there are few.
    const KEPT_BACK: usize = 4096;
    (open_files - KEPT_BACK.min(open_files / 4)) / files.max(1)
}

#[derive(Debug)]
struct OpenSlot(Arc<AtomicUsize>);

impl Drop for OpenSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A counted connection; dropping it counts it out.
#[derive(Debug)]
pub struct ConnectionSlot {
    _total: OpenSlot,
    _by_ip: Slot<IpAddr>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn slots_are_given_back() {
        let limit: Limit<String> = Limit::new(2);
        let key = "alice".to_owned();
        let first = limit.take(&key).unwrap();
        let _second = limit.take(&key).unwrap();
        assert!(limit.take(&key).is_none());
        assert!(limit.take(&"bob".to_owned()).is_some());
        drop(first);
        assert_eq!(limit.used("alice"), 1);
        assert_eq!(limit.used("bob"), 0);
        assert!(limit.take(&key).is_some());
    }

    #[test]
    fn zero_is_no_limit() {
        let limit: Limit<u8> = Limit::new(0);
        let slots: Vec<_> = (0..100).map(|_| limit.take(&1).unwrap()).collect();
        assert_eq!(limit.used(&1), 100);
        drop(slots);
        assert!(limit.used.lock().is_empty());
    }

    #[test]
    fn connections_fit_the_open_files() {
        assert_eq!(fit(524_288, 4), 130_048);
        assert_eq!(fit(1024, 2), 384);
        assert_eq!(fit(0, 2), 0);
        let config = LimitsConfig {
            max_connections: usize::MAX,
            ..LimitsConfig::default()
        };
        let most = fitting(&config, 1, 1).max_connections;
        let open_files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!((most as u64) < open_files);
        let config = LimitsConfig {
            max_connections: 1,
            ..LimitsConfig::default()
        };
        assert_eq!(fitting(&config, 2, 3), config);
    }

    #[test]
    fn a_refused_connection_counts_for_nothing() {
        let config = LimitsConfig {
            max_connections: 2,
            max_connections_per_ip: 1,
            ..LimitsConfig::default()
        };
        let limits = ConnectionLimits::new(&config);
        let here: IpAddr = "192.0.2.1".parse().unwrap();
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        let there: IpAddr = "192.0.2.2".parse().unwrap();
        let first = limits.admit(here).unwrap();
        assert_eq!(limits.admit(mapped).unwrap_err(), Refused::Address);
        let _second = limits.admit(there).unwrap();
        assert_eq!(
            limits.admit("192.0.2.3".parse().unwrap()).unwrap_err(),
            Refused::Full
        );
        assert_eq!(limits.open(), 2);
        drop(first);
        assert!(limits.admit(here).is_ok());
    }
}
