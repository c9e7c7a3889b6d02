//! The partitions of a backend: what each of them is to it now. They are opened, closed and left to
//! other nodes while the others are served.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use murder_store::Partition;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What a partition is to this node.
#[derive(Debug)]
pub(crate) enum State {
    /// It is served.
    Open {
        partition: Arc<Partition>,
        /// Cancelled when it is served no more: who has a mailbox of it selected goes then.
        served: CancellationToken,
    },
    /// Another node serves it: what is in it is not missing here.
    Follower { owner: String },
    /// It should be served, and cannot be.
    Closed { why: String },
}

/// The partitions by name. Which of them are open is seen without waiting for anything.
#[derive(Debug, Default)]
pub(crate) struct Partitions {
    slots: BTreeMap<String, Slot>,
    /// Those that are open, in the order of their names.
    open: RwLock<Arc<[Arc<Partition>]>>,
    /// One of them is something else now.
    changed: Notify,
}

#[derive(Debug)]
struct Slot {
    state: Mutex<State>,
    /// The master has mailboxes of it that are not here.
    lacks_some: AtomicBool,
}

impl Slot {
    fn new(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            lacks_some: AtomicBool::new(false),
        }
    }

    fn open(&self) -> Option<Arc<Partition>> {
        match &*self.state.lock() {
            State::Open { partition, .. } => Some(Arc::clone(partition)),
            State::Follower { .. } | State::Closed { .. } => None,
        }
    }
}

impl Partitions {
    /// Those with these names, none of them open yet.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a String>) -> Self {
        let closed = |name: &String| {
            let why = "it is being opened".to_owned();
            (name.clone(), Slot::new(State::Closed { why }))
        };
        Self {
            slots: names.into_iter().map(closed).collect(),
            open: RwLock::default(),
            changed: Notify::new(),
        }
    }

    /// Those that are open now.
    pub fn open(&self) -> Arc<[Arc<Partition>]> {
        Arc::clone(&self.open.read())
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.slots.keys()
    }

    /// The partition of that name, if it is open.
    pub fn get(&self, name: &str) -> Option<Arc<Partition>> {
        self.slots.get(name)?.open()
    }

    /// Whether there is one of that name, open or not.
    pub fn contains(&self, name: &str) -> bool {
        self.slots.contains_key(name)
    }

    /// Waits until one of them is not open.
    pub async fn some_not_open(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.not_open().is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Those that are not open, and why.
    pub fn not_open(&self) -> Vec<(String, String)> {
        let slots = self.slots.iter();
        let others = slots.filter_map(|(name, slot)| match &*slot.state.lock() {
            State::Open { .. } => None,
            State::Closed { why } => Some((name.clone(), why.clone())),
            State::Follower { owner } => Some((name.clone(), served_by(owner))),
        });
        others.collect()
    }

    /// Those that should be served and are not open, and why.
    pub fn closed(&self) -> Vec<(String, String)> {
        let slots = self.slots.iter();
        let closed = slots.filter_map(|(name, slot)| match &*slot.state.lock() {
            State::Closed { why } => Some((name.clone(), why.clone())),
            State::Open { .. } | State::Follower { .. } => None,
        });
        closed.collect()
    }

    /// Cancelled when this partition, which was opened here, is served no more.
    pub fn served(&self, partition: &Arc<Partition>) -> CancellationToken {
        if let Some(slot) = self.slots.get(&partition.config().name)
            && let State::Open {
                partition: open,
                served,
            } = &*slot.state.lock()
            && Arc::ptr_eq(open, partition)
        {
            return served.clone();
        }
        let closed = CancellationToken::new();
        closed.cancel();
        closed
    }

    /// Whether every mailbox of this backend can be found: a name that is not here is nowhere on
    /// it.
    pub fn are_whole(&self) -> bool {
        self.slots.values().all(|slot| match &*slot.state.lock() {
            State::Open { .. } => !slot.lacks_some.load(Ordering::Relaxed),
            State::Follower { .. } => true,
            State::Closed { .. } => false,
        })
    }

    /// Says what a partition is from now on; returns what it was. Whoever has a mailbox of one that
    /// was open is told to go; it is the caller's to close it.
    pub fn set(&self, name: &str, state: State) -> Option<State> {
        let slot = self.slots.get(name)?;
        let mut open = self.open.write();
        let before = std::mem::replace(&mut *slot.state.lock(), state);
        *open = self.slots.values().filter_map(Slot::open).collect();
        drop(open);
        self.changed.notify_waiters();
        if let State::Open { served, .. } = &before {
            slot.lacks_some.store(false, Ordering::Relaxed);
            served.cancel();
        }
        Some(before)
    }

    /// Whether the master has mailboxes of it that are not here.
    pub fn set_lacks_some(&self, name: &str, lacks: bool) {
        if let Some(slot) = self.slots.get(name) {
            slot.lacks_some.store(lacks, Ordering::Relaxed);
        }
    }
}

/// That another node has it.
pub(crate) fn served_by(owner: &str) -> String {
    format!("it is served by {owner}")
}

#[cfg(test)]
impl Partitions {
    /// These, all open until `end`.
    pub fn opened(
        open: impl IntoIterator<Item = (String, Arc<Partition>)>,
        end: &CancellationToken,
    ) -> Self {
        let open: Vec<_> = open.into_iter().collect();
        let partitions = Self::named(open.iter().map(|(name, _)| name));
        for (name, partition) in open {
            let served = end.child_token();
            partitions.set(&name, State::Open { partition, served });
        }
        partitions
    }

    /// The open partition of that name.
    pub fn of(&self, name: &str) -> Arc<Partition> {
        self.get(name).expect("an open partition")
    }
}
