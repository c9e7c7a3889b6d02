//! Whose password is hashed next.
//!
//! A hash takes a core for some ten milliseconds and 19 MiB. Those with a good record come first;
//! of the others each address has its turn, so that a thousand guesses from one make nobody wait
//! but the guesser.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::AuthError;

/// Logins of each kind that may wait. With some 50 hashes a core and second, those at the end of a
/// longer queue would have given up before their turn.
const MAX_WAITING: usize = 1000;

/// Who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Somebody with a good record.
    Known,
    /// Anybody else, by address.
    Stranger(IpNet),
}

/// A number of hashes at the same time, and those who wait for one of them.
#[derive(Debug)]
pub(crate) struct Turns {
    queues: Mutex<Queues>,
}

#[derive(Debug)]
struct Queues {
    free: usize,
    known: VecDeque<oneshot::Sender<Turn>>,
    strangers: HashMap<IpNet, VecDeque<oneshot::Sender<Turn>>>,
    /// The keys of `strangers`, in the order of their turns.
    rotation: VecDeque<IpNet>,
    strangers_waiting: usize,
}

impl Queues {
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        if let Some(known) = self.known.pop_front() {
            return Some(known);
        }
        let address = self.rotation.pop_front()?;
        let waiting = self.strangers.get_mut(&address)?;
        let next = waiting.pop_front();
        match waiting.is_empty() {
            true => {
                self.strangers.remove(&address);
            }
            false => self.rotation.push_back(address),
        }
        self.strangers_waiting -= 1;
        next
    }
}

/// The right to hash; dropping it gives it to the next.
#[derive(Debug)]
pub(crate) struct Turn(Option<Arc<Turns>>);

impl Turns {
    /// For so many hashes at the same time.
    pub(crate) fn new(concurrent: usize) -> Arc<Self> {
        Arc::new(Self {
            queues: Mutex::new(Queues {
                free: concurrent.max(1),
                known: VecDeque::new(),
                strangers: HashMap::new(),
                rotation: VecDeque::new(),
                strangers_waiting: 0,
            }),
        })
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`AuthError::Busy`] when too many wait already.
    pub(crate) async fn take(self: &Arc<Self>, class: Class) -> Result<Turn, AuthError> {
        let receiver = {
            let mut queues = self.queues.lock();
            // Somebody waits only while nothing is free.
            if queues.free > 0 {
                queues.free -= 1;
                return Ok(Turn(Some(Arc::clone(self))));
            }
            let (sender, receiver) = oneshot::channel();
            match class {
                Class::Known if queues.known.len() < MAX_WAITING => {
                    queues.known.push_back(sender);
                }
                Class::Stranger(address) if queues.strangers_waiting < MAX_WAITING => {
                    queues.strangers_waiting += 1;
                    let waiting = queues.strangers.entry(address).or_default();
                    waiting.push_back(sender);
                    if waiting.len() == 1 {
                        queues.rotation.push_back(address);
                    }
                }
                _ => return Err(AuthError::Busy),
            }
            receiver
        };
        receiver.await.map_err(|_| AuthError::Busy)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.0.take() else { return };
        loop {
            let next = {
                let mut queues = turns.queues.lock();
                let next = queues.next();
                if next.is_none() {
                    queues.free += 1;
                }
                next
            };
            let Some(next) = next else { return };
            match next.send(Turn(Some(Arc::clone(&turns)))) {
                Ok(()) => return,
                // Who does not wait any more: the turn is the next one's, from here.
                Err(mut turn) => turn.0 = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::client_network;

    fn at(address: &str) -> Class {
        Class::Stranger(client_network(address.parse().unwrap()))
    }

    /// Waits in a task; says its name when it has its turn.
    async fn wait(
        turns: &Arc<Turns>,
        order: &Arc<Mutex<Vec<&'static str>>>,
        class: Class,
        name: &'static str,
    ) -> tokio::task::JoinHandle<()> {
        let (turns, order) = (Arc::clone(turns), Arc::clone(order));
        let task = tokio::spawn(async move {
            let _turn = turns.take(class).await.unwrap();
            order.lock().push(name);
        });
        // It has come as far as the queue.
        tokio::task::yield_now().await;
        task
    }

    #[tokio::test]
    async fn who_is_known_comes_first_and_addresses_take_turns() {
        let turns = Turns::new(1);
        let order = Arc::default();
        let first = turns.take(Class::Known).await.unwrap();
        let mut tasks = Vec::new();
        for (class, name) in [
            (at("192.0.2.1"), "guess 1"),
            (at("192.0.2.1"), "guess 2"),
            (at("192.0.2.1"), "guess 3"),
            (at("192.0.2.2"), "stranger"),
            (Class::Known, "known"),
        ] {
            tasks.push(wait(&turns, &order, class, name).await);
        }
        // Who has given up keeps nobody waiting.
        tasks.remove(1).abort();
        tokio::task::yield_now().await;
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock(), ["known", "guess 1", "stranger", "guess 3"]);
        let queues = turns.queues.lock();
        assert_eq!((queues.free, queues.strangers_waiting), (1, 0));
        assert!(queues.strangers.is_empty() && queues.rotation.is_empty());
    }

    #[tokio::test]
    async fn waiting_strangers_have_a_bound_that_the_known_do_not_feel() {
        let turns = Turns::new(1);
        let order = Arc::default();
        let first = turns.take(Class::Known).await.unwrap();
        let mut tasks = Vec::new();
        for _ in 0..MAX_WAITING {
            tasks.push(wait(&turns, &order, at("192.0.2.1"), "guess").await);
        }
        let refused = turns.take(at("192.0.2.2")).await;
        assert_eq!(refused.unwrap_err(), AuthError::Busy);
        tasks.push(wait(&turns, &order, Class::Known, "known").await);
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(order.lock()[0], "known");
    }
}
