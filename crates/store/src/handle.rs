//! An open mailbox: its newest view, shared by everyone who has it open.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use murder_mailbox::MailboxId;
use parking_lot::Mutex;
use tokio::sync::{OnceCell, watch};

use crate::blocking::blocking;
use crate::claims::Claim;
use crate::error::StoreError;
use crate::fulltext::{TextCandidates, TextFilter};
use crate::items::FetchedItems;
use crate::mailbox::MailboxMeta;
use crate::shared::Shared;
use crate::uidset::UidSet;
use crate::view::{MailboxView, MessageRow, ViewChange};

/// Every handle that exists.
pub(crate) type Registry = Mutex<HashMap<MailboxId, Weak<MailboxHandle>>>;

/// A mailbox that somebody has open. Cheap to clone as an `Arc`; one a mailbox.
pub struct MailboxHandle {
    id: MailboxId,
    home: u64,
    shared: Arc<Shared>,
    registry: Arc<Registry>,
    state: Mutex<State>,
    pub(crate) loaded: OnceCell<()>,
    version: watch::Sender<u64>,
    recent: AtomicU32,
    deleted: AtomicBool,
}

enum State {
    /// Changes that came since the loading began.
    Loading(Vec<Arc<ViewChange>>),
    Loaded(Arc<MailboxView>),
}

impl fmt::Debug for MailboxHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailboxHandle")
            .field("id", &self.id)
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

impl MailboxHandle {
    pub(crate) fn new(
        id: MailboxId,
        home: u64,
        shared: Arc<Shared>,
        registry: Arc<Registry>,
    ) -> Self {
        Self {
            id,
            home,
            shared,
            registry,
            state: Mutex::new(State::Loading(Vec::new())),
            loaded: OnceCell::new(),
            version: watch::Sender::new(0),
            recent: AtomicU32::new(0),
            deleted: AtomicBool::new(false),
        }
    }

    /// The mailbox's identity.
    #[must_use]
    pub fn id(&self) -> MailboxId {
        self.id
    }

    pub(crate) fn home(&self) -> u64 {
        self.home
    }

    /// The mailbox's name and ACL as they are now; `None` once it is deleted.
    #[must_use]
    pub fn meta(&self) -> Option<MailboxMeta> {
        self.shared.catalogue.find_id(self.home, self.id)
    }

    /// A number that is another one after each change of what [`MailboxHandle::meta`] says, and
    /// after others. Read it before.
    #[must_use]
    pub fn meta_version(&self) -> u64 {
        self.shared.catalogue.version()
    }

    /// Whether the mailbox was deleted since it was opened. Its last view stays.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// The newest view.
    #[must_use]
    pub fn view(&self) -> Arc<MailboxView> {
        // Only empty inside the crate: `open_mailbox` gives out loaded handles.
        self.loaded_view()
            .unwrap_or_else(|| Arc::new(MailboxView::empty(self.id, 0)))
    }

    /// The newest view, once it is loaded.
    pub(crate) fn loaded_view(&self) -> Option<Arc<MailboxView>> {
        match &*self.state.lock() {
            State::Loaded(view) => Some(Arc::clone(view)),
            State::Loading(_) => None,
        }
    }

    /// Wakes on each change of the mailbox. The number only grows; compare views to know
    /// what changed.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Takes messages for a MOVE: those of `uids` that are there and that no other MOVE has taken.
    /// Whoever does not get a message does as if it had been expunged (RFC 2180 section 4.4.2,
    /// RFC 6851 section 3.3).
    #[must_use]
    pub fn claim(&self, uids: &UidSet) -> Claim {
        Claim::new(&self.shared.claims, self.id, |claimed| {
            let mut free = uids.clone();
            free.subtract(claimed);
            let view = self.view();
            let there = free.ranges().iter();
            there
                .flat_map(|&(low, high)| view.rows_by_uid(low, high))
                .map(|row| row.uid)
                .collect()
        })
    }

    /// The messages that a MOVE has taken and not let go.
    #[must_use]
    pub fn claimed(&self) -> UidSet {
        self.shared
            .claims
            .lock()
            .get(&self.id)
            .cloned()
            .unwrap_or_default()
    }

    /// What `user`, who is not the owner, has seen.
    #[must_use]
    pub fn seen_of(&self, user: &str) -> Arc<UidSet> {
        self.view().seen_of(user)
    }

    /// The UIDs in `view` that are `\Recent` for a session that selects now. Unless it only
    /// examines, no later session gets them.
    #[must_use]
    pub fn take_recent(&self, view: &MailboxView, examine: bool) -> Range<u32> {
        let end = view.uidnext();
        let start = if examine {
            self.recent.load(Ordering::Acquire)
        } else {
            self.recent.fetch_max(end, Ordering::AcqRel)
        };
        if !examine && start < end {
            self.shared.recents.set(self.home, self.id, end);
        }
        start.min(end)..end
    }

    /// The first UID that no session has been told of as `\Recent`.
    #[must_use]
    pub fn recent_from(&self) -> u32 {
        self.recent.load(Ordering::Acquire)
    }

    /// Precomputed items of messages, in the order of `rows`; `None` for a message that is
    /// gone from the home's database.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the database cannot be read.
    pub async fn fetch_items(
        &self,
        rows: &[MessageRow],
    ) -> Result<Vec<Option<FetchedItems>>, StoreError> {
        let contents: Vec<i64> = rows.iter().map(|r| r.content).collect();
        let mut found = self.shared.contents.get(self.home, &contents);
        let mut missing: Vec<i64> = std::iter::zip(&contents, &found)
            .filter(|(_, items)| items.is_none())
            .map(|(content, _)| *content)
            .collect();
        if missing.is_empty() {
            return Ok(found);
        }
        missing.sort_unstable();
        missing.dedup();
        let shared = Arc::clone(&self.shared);
        let home = self.home;
        let read = blocking(move || {
            let read = shared
                .readers
                .with(home, |reader| reader.contents(&missing))?;
            shared.contents.put(home, &read);
            Ok(read)
        })
        .await?;
        for (content, items) in std::iter::zip(&contents, &mut found) {
            if items.is_none()
                && let Ok(at) = read.binary_search_by_key(content, |(id, _)| *id)
            {
                *items = Some(read[at].1.clone());
            }
        }
        Ok(found)
    }

    /// The UIDs expunged after the mailbox's HIGHESTMODSEQ was `modseq` (RFC 7162 QRESYNC). For a
    /// client that was away for thousands of expunges it may be some more, or UIDs that never
    /// were; none has a message in the newest view.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the database cannot be read.
    pub async fn expunged_since(&self, modseq: u64) -> Result<UidSet, StoreError> {
        let shared = Arc::clone(&self.shared);
        let (home, id) = (self.home, self.id);
        let mut uids = blocking(move || {
            shared
                .readers
                .with(home, |reader| reader.expunged_since(id, modseq))
        })
        .await?;
        let view = self.view();
        let there: UidSet = uids
            .ranges()
            .iter()
            .flat_map(|&(low, high)| view.rows_by_uid(low, high))
            .map(|row| row.uid)
            .collect();
        uids.subtract(&there);
        Ok(uids)
    }

    /// What the full-text index says about these filters; `None` when there is none, and when it
    /// cannot be read: then every message is to be looked at.
    pub async fn text_candidates(&self, filters: &[TextFilter]) -> Option<TextCandidates> {
        let expressions = self.shared.fulltext.expressions(filters)?;
        let view = self.view();
        let (shared, home) = (Arc::clone(&self.shared), self.home);
        let ask = move || Ok(shared.fulltext.ask(&shared.homes_dir, home, &expressions));
        let candidates = blocking(ask).await.ok().flatten();
        // Somebody searches here, so that it pays to be up to date.
        let last = view.row(view.len());
        let missing = |row| candidates.as_ref().is_none_or(|c| !c.has(&row));
        if last.is_some_and(missing) {
            self.shared.fulltext.mark(home);
        }
        candidates
    }

    /// Takes the view that was read from the database, and what happened meanwhile.
    pub(crate) fn finish_loading(&self, mut view: MailboxView, recent: u32) {
        let recent = self.shared.recents.get(self.id).unwrap_or(0).max(recent);
        self.recent.fetch_max(recent, Ordering::AcqRel);
        let mut state = self.state.lock();
        if let State::Loading(changes) = &mut *state {
            for change in changes.drain(..) {
                if change.lsn > view.lsn {
                    view = view.with(&change);
                }
            }
        }
        *state = State::Loaded(Arc::new(view));
    }

    /// Takes a change that was committed, and wakes those who wait for it.
    pub(crate) fn apply(&self, change: &Arc<ViewChange>) {
        // The old view may be the last reference to many chunks: dropped outside the lock.
        let old;
        {
            let mut state = self.state.lock();
            match &mut *state {
                State::Loading(changes) => {
                    changes.push(Arc::clone(change));
                    old = None;
                }
                State::Loaded(view) if change.lsn > view.lsn => {
                    for moved in &change.relocated {
                        let reader = Arc::downgrade(&view.generation);
                        let retention = &self.shared.segments.retention;
                        retention.keep_for(moved.from, reader);
                    }
                    let next = Arc::new(view.with(change));
                    old = Some(std::mem::replace(view, next));
                }
                State::Loaded(_) => return,
            }
        }
        drop(old);
        if change.deleted {
            self.deleted.store(true, Ordering::Release);
        }
        // Without anybody who waits nobody need be woken: whoever subscribes now sees this change.
        self.version.send_if_modified(|version| {
            *version += 1;
            self.version.receiver_count() > 0
        });
    }

    /// Bytes of the view.
    pub(crate) fn memory(&self) -> usize {
        match &*self.state.lock() {
            State::Loaded(view) => view.memory(),
            State::Loading(_) => 0,
        }
    }
}

impl Drop for MailboxHandle {
    fn drop(&mut self) {
        let mut registry = self.registry.lock();
        // Another handle may have taken its place meanwhile.
        if registry
            .get(&self.id)
            .is_some_and(|h| h.strong_count() == 0)
        {
            registry.remove(&self.id);
        }
    }
}
