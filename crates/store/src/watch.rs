//! Who waits for changes of homes, and what has changed since they last asked.
//!
//! A change costs a look into one table, and a note for each of those that watch its home.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use murder_mailbox::MailboxId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::annotation::SERVER;

/// Homes with changed names that one watcher keeps apart; with more, any may have.
const MAX_NAMED: usize = 64;
/// Annotations whose changes a watcher notes until they are taken: their names are the clients'.
const MAX_ANNOTATIONS: usize = 1024;

/// The counters of a mailbox after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxCounters {
    /// UIDVALIDITY.
    pub uidvalidity: u32,
    /// UIDNEXT.
    pub uidnext: u32,
    /// MESSAGES.
    pub messages: u32,
    /// UNSEEN, for the owner.
    pub unseen: u32,
    /// HIGHESTMODSEQ (RFC 7162).
    pub highest_modseq: u64,
}

/// An annotation (RFC 5464) that got another value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AnnotationNote {
    /// The mailbox; `None` for an annotation of the home, or of the server.
    pub mailbox: Option<MailboxId>,
    /// Whose it is; empty for the home's owner's and for what all share.
    pub user: Box<str>,
    /// The entry; `None` for whether `\Seen` is one flag for all users.
    pub entry: Option<Box<str>>,
}

/// Whose changes are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched<'a> {
    /// Of the home with that key, which need not exist yet.
    Home(&'a str),
    /// Names and ACLs in all homes.
    Names,
    /// Annotations of the server that all share.
    Server,
}

/// What happened in the homes that are watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HomeChanges {
    /// Mailboxes whose messages changed, as they are after the last change.
    pub mailboxes: HashMap<MailboxId, MailboxCounters>,
    /// Homes ([`MailboxName::home_key`](murder_mailbox::MailboxName::home_key)) in which
    /// mailboxes came, went, or got other names or ACLs.
    pub names: HashSet<Box<str>>,
    /// The same for homes that are not among `names`, as these were too many.
    pub all_names: bool,
    /// Subscriptions changed.
    pub subscriptions: bool,
    /// Annotations that changed, with the homes that they are in; that of the server is empty.
    pub annotations: HashSet<(Box<str>, AnnotationNote)>,
    /// Not all are among `annotations`, as these were too many.
    pub annotations_lost: bool,
}

impl HomeChanges {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn note(&mut self, key: &str, change: &Change) {
        self.mailboxes.extend(change.mailboxes.iter().copied());
        self.subscriptions |= change.subscriptions;
        if change.names {
            self.note_names(key);
        }
        let home = match key {
            SERVER => "",
            key => key,
        };
        for note in &change.annotations {
            if self.annotations.len() >= MAX_ANNOTATIONS {
                self.annotations_lost = true;
                return;
            }
            self.annotations.insert((home.into(), note.clone()));
        }
    }

    fn note_names(&mut self, key: &str) {
        match self.names.len() < MAX_NAMED {
            true => {
                self.names.insert(key.into());
            }
            false => self.all_names |= !self.names.contains(key),
        }
    }
}

/// Collects what happens in homes until it is asked for: as much as there are mailboxes in them.
#[derive(Debug, Default)]
pub struct Watcher {
    changes: Mutex<HomeChanges>,
    wake: Notify,
}

impl Watcher {
    /// Waits until something has happened that was not taken. For one waiter at a time; can be
    /// dropped and called again.
    pub async fn changed(&self) {
        while self.changes.lock().is_empty() {
            self.wake.notified().await;
        }
    }

    /// What has happened since this was last called.
    #[must_use]
    pub fn take(&self) -> HomeChanges {
        std::mem::take(&mut self.changes.lock())
    }

    fn note(&self, note: impl FnOnce(&mut HomeChanges)) {
        note(&mut self.changes.lock());
        // Kept for the next one who waits.
        self.wake.notify_one();
    }
}

/// Something is watched for as long as this lives.
#[derive(Debug)]
pub struct Watch {
    watchers: Arc<Watchers>,
    watcher: Arc<Watcher>,
    /// `None`: names in all homes.
    key: Option<Box<str>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut tables = self.watchers.tables.lock();
        match &self.key {
            Some(key) => {
                if let Some(list) = tables.homes.get_mut(key) {
                    remove(list, &self.watcher);
                    if list.is_empty() {
                        tables.homes.remove(key);
                    }
                }
            }
            None => remove(&mut tables.names, &self.watcher),
        }
        drop(tables);
        self.watchers.count.fetch_sub(1, Ordering::Release);
    }
}

fn remove(list: &mut Vec<Arc<Watcher>>, watcher: &Arc<Watcher>) {
    if let Some(at) = list.iter().position(|other| Arc::ptr_eq(other, watcher)) {
        list.swap_remove(at);
    }
}

/// What a group of records did to a home, for those who watch it.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub mailboxes: Vec<(MailboxId, MailboxCounters)>,
    pub names: bool,
    pub subscriptions: bool,
    pub annotations: Vec<AnnotationNote>,
}

impl Change {
    fn is_empty(&self) -> bool {
        self.mailboxes.is_empty()
            && !self.names
            && !self.subscriptions
            && self.annotations.is_empty()
    }
}

/// Who watches which home of a partition.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    tables: Mutex<Tables>,
    /// Watches that there are: most partitions have none most of the time.
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct Tables {
    homes: HashMap<Box<str>, Vec<Arc<Watcher>>>,
    names: Vec<Arc<Watcher>>,
}

impl Watchers {
    /// Adds a watcher.
    pub fn add(self: &Arc<Self>, watched: Watched<'_>, watcher: &Arc<Watcher>) -> Watch {
        let key = match watched {
            Watched::Home(key) => Some(key),
            Watched::Server => Some(SERVER),
            Watched::Names => None,
        };
        self.count.fetch_add(1, Ordering::AcqRel);
        let mut tables = self.tables.lock();
        match key {
            Some(key) => tables.homes.entry(key.into()).or_default(),
            None => &mut tables.names,
        }
        .push(Arc::clone(watcher));
        Watch {
            watchers: Arc::clone(self),
            watcher: Arc::clone(watcher),
            key: key.map(Into::into),
        }
    }

    /// Whether there is anybody to tell.
    pub fn any(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// Tells those who watch the home what it has shown.
    pub fn tell(&self, key: &str, change: &Change) {
        if change.is_empty() {
            return;
        }
        let tables = self.tables.lock();
        for watcher in tables.homes.get(key).into_iter().flatten() {
            watcher.note(|changes| changes.note(key, change));
        }
        if change.names {
            for watcher in &tables.names {
                watcher.note(|changes| changes.note_names(key));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(uidnext: u32) -> MailboxCounters {
        MailboxCounters {
            uidvalidity: 1,
            uidnext,
            messages: 0,
            unseen: 0,
            highest_modseq: 1,
        }
    }

    #[tokio::test]
    async fn only_who_watches_is_told() {
        let watchers = Arc::new(Watchers::default());
        let [bob, carol, names] = [(); 3].map(|()| Arc::new(Watcher::default()));
        assert!(!watchers.any());
        let watches = [
            watchers.add(Watched::Home("user/bob"), &bob),
            watchers.add(Watched::Home("user/carol"), &bob),
            watchers.add(Watched::Home("user/carol"), &carol),
            watchers.add(Watched::Names, &names),
        ];
        let id = MailboxId::new();
        for uidnext in [2, 3] {
            let change = Change {
                mailboxes: vec![(id, counters(uidnext))],
                ..Change::default()
            };
            watchers.tell("user/bob", &change);
        }
        bob.changed().await;
        assert_eq!(bob.take().mailboxes, HashMap::from([(id, counters(3))]));
        assert!(bob.take().is_empty() && carol.take().is_empty() && names.take().is_empty());
        let renamed = Change {
            names: true,
            ..Change::default()
        };
        watchers.tell("user/carol", &renamed);
        for watcher in [&bob, &carol, &names] {
            watcher.changed().await;
            assert!(watcher.take().names.contains("user/carol"));
        }
        for home in 0..=MAX_NAMED {
            watchers.tell(&format!("user/{home}"), &renamed);
        }
        let changes = names.take();
        assert!(changes.all_names && changes.names.len() == MAX_NAMED);
        let annotated = |entry: usize| Change {
            annotations: vec![AnnotationNote {
                mailbox: None,
                user: "".into(),
                entry: Some(format!("/private/{entry}").into()),
            }],
            ..Change::default()
        };
        for entry in 0..=MAX_ANNOTATIONS {
            assert!(!carol.changes.lock().annotations_lost);
            watchers.tell("user/carol", &annotated(entry));
        }
        let changes = carol.take();
        assert!(changes.annotations_lost && changes.annotations.len() == MAX_ANNOTATIONS);
        drop(watches);
        watchers.tell("user/carol", &renamed);
        assert!(!watchers.any() && carol.take().is_empty());
        assert!(watchers.tables.lock().homes.is_empty());
    }
}
