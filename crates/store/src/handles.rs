//! The registry of open mailboxes, and the views kept warm for mailboxes nobody has open.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use lru::LruCache;
use murder_mailbox::MailboxId;
use parking_lot::Mutex;

use crate::handle::MailboxHandle;

/// Every handle that exists, and strong references to those used lately.
#[derive(Debug)]
pub(crate) struct Handles {
    all: Mutex<HashMap<MailboxId, Weak<MailboxHandle>>>,
    warm: Mutex<Warm>,
    limit: usize,
}

#[derive(Debug)]
struct Warm {
    handles: LruCache<MailboxId, (Arc<MailboxHandle>, usize)>,
    bytes: usize,
}

impl Handles {
    pub fn new(limit: usize) -> Self {
        Self {
            all: Mutex::default(),
            warm: Mutex::new(Warm {
                handles: LruCache::unbounded(),
                bytes: 0,
            }),
            limit,
        }
    }

    /// The handle of a mailbox, if it exists.
    pub fn get(&self, id: MailboxId) -> Option<Arc<MailboxHandle>> {
        self.all.lock().get(&id)?.upgrade()
    }

    /// The handle of a mailbox, made by `make` when there is none.
    pub fn get_or_make(
        &self,
        id: MailboxId,
        make: impl FnOnce() -> MailboxHandle,
    ) -> Arc<MailboxHandle> {
        let mut all = self.all.lock();
        if let Some(handle) = all.get(&id).and_then(Weak::upgrade) {
            return handle;
        }
        let handle = Arc::new(make());
        all.insert(id, Arc::downgrade(&handle));
        handle
    }

    /// Called when a handle is dropped.
    pub fn forget(&self, id: MailboxId) {
        let mut all = self.all.lock();
        // Another handle may have taken its place meanwhile.
        if all.get(&id).is_some_and(|h| h.strong_count() == 0) {
            all.remove(&id);
        }
    }

    /// Keeps a handle warm, at the cost of those used longest ago.
    pub fn touch(&self, handle: &Arc<MailboxHandle>) {
        let bytes = handle.memory();
        let mut evicted = Vec::new();
        {
            let mut warm = self.warm.lock();
            let old = warm.handles.put(handle.id(), (Arc::clone(handle), bytes));
            warm.bytes += bytes;
            if let Some((handle, bytes)) = old {
                warm.bytes -= bytes;
                evicted.push(handle);
            }
            while warm.bytes > self.limit
                && let Some((_, (handle, bytes))) = warm.handles.pop_lru()
            {
                warm.bytes -= bytes;
                evicted.push(handle);
            }
        }
        // Dropping a handle takes the registry's lock and may free megabytes.
        drop(evicted);
    }

    /// Drops what is kept warm of a mailbox.
    pub fn cool(&self, id: MailboxId) {
        let old = {
            let mut warm = self.warm.lock();
            let old = warm.handles.pop(&id);
            if let Some((_, bytes)) = &old {
                warm.bytes -= bytes;
            }
            old
        };
        drop(old);
    }

    /// Drops everything that is kept warm.
    pub fn clear(&self) {
        let old = {
            let mut warm = self.warm.lock();
            warm.bytes = 0;
            std::mem::replace(&mut warm.handles, LruCache::unbounded())
        };
        drop(old);
    }
}

/// Recent marks that are not in the homes' databases yet: `\Recent` is not worth a journal
/// record, and a crash may show a message as recent twice.
#[derive(Debug, Default)]
pub(crate) struct Recents {
    marks: Mutex<HashMap<MailboxId, (u64, u32)>>,
}

impl Recents {
    pub fn set(&self, home: u64, id: MailboxId, uid: u32) {
        self.marks.lock().insert(id, (home, uid));
    }

    pub fn get(&self, id: MailboxId) -> Option<u32> {
        self.marks.lock().get(&id).map(|&(_, uid)| uid)
    }

    /// Whether there is any.
    pub fn any(&self) -> bool {
        !self.marks.lock().is_empty()
    }

    /// The marks of the homes that `mine` accepts; they stay until [`Recents::written`].
    pub fn of(&self, mine: impl Fn(u64) -> bool) -> Vec<(u64, MailboxId, u32)> {
        self.marks
            .lock()
            .iter()
            .filter(|(_, (home, _))| mine(*home))
            .map(|(&id, &(home, uid))| (home, id, uid))
            .collect()
    }

    /// Forgets a mark that is in its home's database.
    pub fn written(&self, id: MailboxId, uid: u32) {
        let mut marks = self.marks.lock();
        if marks.get(&id).is_some_and(|&(_, mark)| mark == uid) {
            marks.remove(&id);
        }
    }
}
