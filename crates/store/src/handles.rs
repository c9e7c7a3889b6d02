//! The registry of open mailboxes, and the views kept warm for mailboxes nobody has open.

use std::sync::{Arc, Weak};

use lru::LruCache;
use murder_mailbox::MailboxId;
use parking_lot::Mutex;

use crate::handle::{MailboxHandle, Registry};
use crate::view::MailboxView;

/// Every handle that exists, and strong references to those used lately.
#[derive(Debug)]
pub(crate) struct Handles {
    all: Arc<Registry>,
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
            all: Arc::default(),
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

    /// The newest view of a mailbox, if somebody has it open.
    pub fn view(&self, id: MailboxId) -> Option<Arc<MailboxView>> {
        self.get(id)?.loaded_view()
    }

    /// The handle of a mailbox, made by `make` when there is none.
    pub fn get_or_make(
        &self,
        id: MailboxId,
        make: impl FnOnce(Arc<Registry>) -> MailboxHandle,
    ) -> Arc<MailboxHandle> {
        let mut all = self.all.lock();
        if let Some(handle) = all.get(&id).and_then(Weak::upgrade) {
            return handle;
        }
        let handle = Arc::new(make(Arc::clone(&self.all)));
        all.insert(id, Arc::downgrade(&handle));
        handle
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
