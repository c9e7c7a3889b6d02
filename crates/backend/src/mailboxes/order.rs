//! The order of changes: one at a time a home, and none during a reconciliation.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{
    Mutex as AsyncMutex, Notify, OwnedMutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

/// What keeps changes of the list of mailboxes from getting between each other's steps.
///
/// A home is locked from the look at the rights to the last step, so that the master and the
/// store see the changes of a home in one order. A reconciliation runs alone: what it finds half
/// done is nobody's who is at it now.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    alone: RwLock<()>,
    /// One entry a home that is being changed or waited for.
    homes: Mutex<HashMap<String, Arc<AsyncMutex<()>>>>,
    unfinished: Notify,
}

impl Changes {
    /// Takes the homes with these keys, until what is returned is dropped.
    pub(super) async fn of_homes(&self, keys: &[&str]) -> Held<'_> {
        let going = self.alone.read().await;
        let mut keys = keys.to_vec();
        // In one order, so that two who want the same two never wait for each other.
        keys.sort_unstable();
        keys.dedup();
        let mut homes = Vec::with_capacity(keys.len());
        for key in keys {
            let mut home = self.home(key);
            home.held = Some(Arc::clone(&home.lock).lock_owned().await);
            homes.push(home);
        }
        Held {
            _homes: homes,
            _going: going,
        }
    }

    fn home(&self, key: &str) -> Home<'_> {
        let mut homes = self.homes.lock();
        let lock = Arc::clone(homes.entry(key.to_owned()).or_default());
        Home {
            changes: self,
            key: key.to_owned(),
            lock,
            held: None,
        }
    }

    /// Waits until no change is under way, and keeps new ones waiting.
    pub(crate) async fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.alone.write().await
    }

    /// A change begins its first step at the master.
    pub(super) fn begin(&self) -> Unfinished<'_> {
        Unfinished(Some(&self.unfinished))
    }

    /// Has everything reconciled soon.
    pub(crate) fn wake(&self) {
        self.unfinished.notify_one();
    }

    /// Waits until a change was left half done.
    pub(crate) async fn left_unfinished(&self) {
        self.unfinished.notified().await;
    }
}

/// Homes that nobody else changes.
pub(super) struct Held<'a> {
    _homes: Vec<Home<'a>>,
    _going: RwLockReadGuard<'a, ()>,
}

/// A home that is held or waited for; forgotten with the last who does.
struct Home<'a> {
    changes: &'a Changes,
    key: String,
    lock: Arc<AsyncMutex<()>>,
    held: Option<OwnedMutexGuard<()>>,
}

impl Drop for Home<'_> {
    fn drop(&mut self) {
        let mut homes = self.changes.homes.lock();
        self.held = None;
        // The map's and this one: others would have cloned it under the map's lock.
        if Arc::strong_count(&self.lock) == 2 {
            homes.remove(&self.key);
        }
    }
}

/// A change whose steps are not all made. Dropped without [`Unfinished::settled`] it wakes the
/// reconciliation.
pub(super) struct Unfinished<'a>(Option<&'a Notify>);

impl Unfinished<'_> {
    /// Everything is done, or undone.
    pub fn settled(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(unfinished) = self.0 {
            unfinished.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_a_home() {
        let changes = Arc::new(Changes::default());
        let inside = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..40)
            .map(|n| {
                let (changes, inside) = (Arc::clone(&changes), Arc::clone(&inside));
                tokio::spawn(async move {
                    // In both orders, which must not stall.
                    let keys = if n % 2 == 0 { ["a", "b"] } else { ["b", "a"] };
                    let _homes = changes.of_homes(&keys).await;
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert!(changes.homes.lock().is_empty());
    }

    #[tokio::test]
    async fn one_who_gives_up_leaves_nothing() {
        let changes = Changes::default();
        let held = changes.of_homes(&["a"]).await;
        let mut waiting = Box::pin(changes.of_homes(&["a"]));
        assert!(futures_ready(&mut waiting).await.is_none());
        drop(held);
        drop(waiting);
        assert!(changes.homes.lock().is_empty());
        let _alone = changes.alone().await;
    }

    /// Polls once.
    async fn futures_ready<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }

    #[tokio::test]
    async fn what_is_dropped_half_done_is_noticed() {
        let changes = Changes::default();
        changes.begin().settled();
        drop(changes.begin());
        changes.left_unfinished().await;
        let mut again = Box::pin(changes.left_unfinished());
        assert!(futures_ready(&mut again).await.is_none());
    }
}
