//! The partitions of a backend: those that are open, and those that could not be.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use murder_store::Partition;
use parking_lot::Mutex;

/// The partitions by name. One that is not open can become so at any time; nobody has to wait for
/// a lock to see it.
#[derive(Debug, Default)]
pub(crate) struct Partitions(BTreeMap<String, Slot>);

#[derive(Debug, Default)]
struct Slot {
    open: OnceLock<Arc<Partition>>,
    /// Why it is not open.
    closed: Mutex<String>,
    /// The master has mailboxes of it that are not here.
    lacks_some: AtomicBool,
    /// It was opened, and is not what it must be, as came out later: it is closed again.
    withdrawn: AtomicBool,
}

impl Partitions {
    /// Those with these names, none of them open yet.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a String>) -> Self {
        let closed = || Slot {
            closed: Mutex::new("it is being opened".to_owned()),
            ..Slot::default()
        };
        Self(names.into_iter().map(|n| (n.clone(), closed())).collect())
    }

    /// Those that are open.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Arc<Partition>> + Clone {
        self.0.values().filter_map(|slot| slot.open.get())
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// The partition of that name, if it is open.
    pub fn get(&self, name: &str) -> Option<&Arc<Partition>> {
        self.0.get(name)?.open.get()
    }

    /// Whether there is one of that name, open or not.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Those that are not open, and why.
    pub fn closed(&self) -> Vec<(String, String)> {
        let closed = self.0.iter().filter(|(_, slot)| slot.open.get().is_none());
        closed
            .map(|(name, slot)| (name.clone(), slot.closed.lock().clone()))
            .collect()
    }

    /// It was opened by mistake; why it must not be served.
    pub fn withdraw(&self, name: &str, why: &str) {
        if let Some(slot) = self.0.get(name) {
            why.clone_into(&mut slot.closed.lock());
            slot.withdrawn.store(true, Ordering::Relaxed);
        }
    }

    /// Why it must not be served, if it was opened by mistake.
    pub fn withdrawn(&self, name: &str) -> Option<String> {
        let slot = self.0.get(name)?;
        let withdrawn = slot.withdrawn.load(Ordering::Relaxed);
        withdrawn.then(|| slot.closed.lock().clone())
    }

    /// Whether every mailbox of this backend can be found: a name that is not here is nowhere on
    /// it.
    pub fn are_whole(&self) -> bool {
        self.0.values().all(|slot| {
            slot.open.get().is_some()
                && !slot.lacks_some.load(Ordering::Relaxed)
                && !slot.withdrawn.load(Ordering::Relaxed)
        })
    }

    /// It is open from now on.
    pub fn set_open(&self, name: &str, partition: Arc<Partition>) {
        if let Some(slot) = self.0.get(name) {
            // There is one opening at a time.
            let _ = slot.open.set(partition);
        }
    }

    /// It is not open for this reason; whether that is news.
    pub fn set_closed(&self, name: &str, why: &str) -> bool {
        let Some(slot) = self.0.get(name) else {
            return false;
        };
        let mut closed = slot.closed.lock();
        let news = *closed != why;
        why.clone_into(&mut closed);
        news
    }

    /// Whether the master has mailboxes of it that are not here.
    pub fn set_lacks_some(&self, name: &str, lacks: bool) {
        if let Some(slot) = self.0.get(name) {
            slot.lacks_some.store(lacks, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
impl std::ops::Index<&str> for Partitions {
    type Output = Arc<Partition>;

    fn index(&self, name: &str) -> &Self::Output {
        self.get(name).expect("an open partition")
    }
}

#[cfg(test)]
impl FromIterator<(String, Arc<Partition>)> for Partitions {
    fn from_iter<I: IntoIterator<Item = (String, Arc<Partition>)>>(open: I) -> Self {
        let open = open.into_iter().map(|(name, partition)| {
            let slot = Slot::default();
            let _ = slot.open.set(partition);
            (name, slot)
        });
        Self(open.collect())
    }
}
