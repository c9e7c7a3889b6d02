//! Connections that nobody uses at the moment, kept for a little while.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// What can be kept in a [`Pool`].
pub trait Kept {
    /// Whether it can be used again: the other side has neither gone nor said anything that
    /// matters. Does not wait.
    fn is_still_good(&mut self) -> bool;
}

/// What a [`Pool`] keeps.
#[derive(Debug, Clone, Copy)]
pub struct PoolLimits {
    /// How long a connection is kept.
    pub keep_for: Duration,
    /// Connections with the same key.
    pub of_key: usize,
    /// Connections in all.
    pub in_all: usize,
}

/// Keeps unused connections by `K`: where to, and on whose behalf.
pub struct Pool<K, C> {
    limits: PoolLimits,
    kept: Mutex<Connections<K, C>>,
}

struct Connections<K, C> {
    by_key: HashMap<K, Vec<(C, Instant)>>,
    count: usize,
}

impl<K, C> fmt::Debug for Pool<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl<K: Eq + Hash, C: Kept> Pool<K, C> {
    /// An empty one.
    #[must_use]
    pub fn new(limits: PoolLimits) -> Self {
        Self {
            limits,
            kept: Mutex::new(Connections {
                by_key: HashMap::new(),
                count: 0,
            }),
        }
    }

    /// Takes the connection with this key that was used last, of those that are still good; the
    /// others are closed.
    pub fn take(&self, key: &K) -> Option<C> {
        loop {
            let mut connection = self.kept.lock().pop(key)?;
            if connection.is_still_good() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection on which nothing is under way, unless there are enough.
    pub fn keep(&self, key: K, connection: C) {
        let mut kept = self.kept.lock();
        if kept.count >= self.limits.in_all {
            return;
        }
        let of_key = kept.by_key.entry(key).or_default();
        if of_key.len() < self.limits.of_key {
            of_key.push((connection, Instant::now()));
            kept.count += 1;
        }
    }

    /// Closes the connections with such keys.
    pub fn close(&self, such: impl Fn(&K) -> bool) {
        self.kept.lock().retain(|key, _| !such(key));
    }

    /// Closes what nobody has used for a while; to be called now and then.
    pub fn expire(&self) {
        let now = Instant::now();
        let keep_for = self.limits.keep_for;
        let young = |since: Instant| now.duration_since(since) < keep_for;
        self.kept.lock().retain(|_, since| young(since));
    }

    /// How many connections are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.lock().count
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Eq + Hash, C> Connections<K, C> {
    fn pop(&mut self, key: &K) -> Option<C> {
        let of_key = self.by_key.get_mut(key)?;
        let (connection, _) = of_key.pop()?;
        if of_key.is_empty() {
            self.by_key.remove(key);
        }
        self.count -= 1;
        Some(connection)
    }

    fn retain(&mut self, keep: impl Fn(&K, Instant) -> bool) {
        self.by_key.retain(|key, of_key| {
            of_key.retain(|(_, since)| keep(key, *since));
            !of_key.is_empty()
        });
        self.count = self.by_key.values().map(Vec::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Connection(u32);

    impl Kept for Connection {
        fn is_still_good(&mut self) -> bool {
            self.0 < 100
        }
    }

    fn pool(keep_for: Duration) -> Pool<&'static str, Connection> {
        Pool::new(PoolLimits {
            keep_for,
            of_key: 2,
            in_all: 3,
        })
    }

    fn taken(pool: &Pool<&'static str, Connection>, key: &'static str) -> Option<u32> {
        pool.take(&key).map(|connection| connection.0)
    }

    #[test]
    fn what_was_used_last_is_taken_first_and_what_is_broken_never() {
        let pool = pool(Duration::MAX);
        pool.keep("be1", Connection(1));
        pool.keep("be1", Connection(100));
        assert_eq!(taken(&pool, "be1"), Some(1));
        pool.keep("be1", Connection(2));
        pool.keep("be1", Connection(3));
        assert_eq!(taken(&pool, "be2"), None);
        assert_eq!(taken(&pool, "be1"), Some(3));
        assert_eq!(taken(&pool, "be1"), Some(2));
        assert_eq!(taken(&pool, "be1"), None);
        assert!(pool.is_empty());
    }

    #[test]
    fn its_bounds() {
        let pool = pool(Duration::MAX);
        for number in 0..10 {
            pool.keep("be1", Connection(number));
        }
        assert_eq!(pool.len(), 2);
        for number in 0..10 {
            pool.keep("be2", Connection(number));
        }
        assert_eq!(pool.len(), 3);
        pool.close(|key| *key == "be1");
        assert_eq!((pool.len(), taken(&pool, "be1")), (1, None));
        assert_eq!(taken(&pool, "be2"), Some(0));
    }

    #[test]
    fn what_nobody_uses_is_closed() {
        let pool = pool(Duration::ZERO);
        pool.keep("be1", Connection(1));
        pool.expire();
        assert!(pool.is_empty());
        let pool = self::pool(Duration::MAX);
        pool.keep("be1", Connection(1));
        pool.expire();
        assert_eq!(pool.len(), 1);
    }
}
