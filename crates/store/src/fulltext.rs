//! The full-text index: which messages of a home can have a string.
//!
//! It is a filter, not an answer. Beside a home's database lies a second one with an SQLite FTS5
//! table of trigrams: three neighbouring characters, so that any string of three or more can be
//! looked up wherever it begins. What the index does not rule out is looked at, so that a search
//! has the same result with the index, without it and with half of it.
//!
//! Everything in it is derived. A thread of its own fills it, some seconds after messages came,
//! at low priority and with pauses as long as its work; it can be removed at any time, and is when
//! it is damaged. An entry is about a `content` (shared by the copies of a message within the
//! home) with the length and checksum of its body, and counts only for a message with the same:
//! whatever happens to a home, an entry that is no longer right says nothing.
//!
//! Small homes have none: to look at their few messages takes no time.

pub(crate) mod database;
mod query;

use std::collections::{HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

pub(crate) use database::{EXTENSIONS, remove, remove_all};
use query::Reader;
pub use query::{TextCandidates, TextFilter};

use crate::body::BodyLocation;

/// Read connections to indexes that are kept, each with 16 bytes an indexed message.
const READERS: usize = 16;

/// What the searchers of a partition share with the thread that fills its indexes.
#[derive(Debug)]
pub(crate) struct FullText {
    enabled: bool,
    delay: Duration,
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// Whether any home waits or is being worked on.
    busy: watch::Sender<bool>,
    readers: Mutex<LruCache<u64, Reader>>,
}

/// Homes with messages that are not indexed.
#[derive(Debug, Default)]
struct Waiting {
    /// Each home once: no more than there are.
    homes: HashSet<u64>,
    /// The same, in the order in which they are due.
    queue: VecDeque<(Instant, u64)>,
    working: bool,
    closed: bool,
}

impl FullText {
    pub fn new(enabled: bool, delay: Duration) -> Self {
        Self {
            enabled,
            delay,
            waiting: Mutex::default(),
            changed: Condvar::new(),
            busy: watch::Sender::new(false),
            readers: Mutex::new(LruCache::new(
                NonZeroUsize::new(READERS).unwrap_or(NonZeroUsize::MIN),
            )),
        }
    }

    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Messages came to a home.
    pub fn mark(&self, home: u64) {
        if self.enabled {
            self.enqueue(home, self.delay, false);
        }
    }

    fn enqueue(&self, home: u64, delay: Duration, first: bool) {
        let mut waiting = self.waiting.lock();
        if waiting.closed || (!waiting.homes.insert(home) && !first) {
            return;
        }
        let due = Instant::now() + delay;
        match first {
            true => {
                waiting.queue.retain(|(_, queued)| *queued != home);
                waiting.queue.push_front((due, home));
            }
            false => waiting.queue.push_back((due, home)),
        }
        self.tell(&waiting);
        drop(waiting);
        self.changed.notify_one();
    }

    fn tell(&self, waiting: &Waiting) {
        let busy = !waiting.closed && (waiting.working || !waiting.homes.is_empty());
        self.busy
            .send_if_modified(|told| std::mem::replace(told, busy) != busy);
    }

    /// Waits for the next home that is due; `None` when the partition closes.
    pub fn next(&self) -> Option<u64> {
        let mut waiting = self.waiting.lock();
        waiting.working = false;
        self.tell(&waiting);
        loop {
            if waiting.closed {
                return None;
            }
            match waiting.queue.front() {
                None => self.changed.wait(&mut waiting),
                Some(&(due, home)) if due <= Instant::now() => {
                    waiting.queue.pop_front();
                    waiting.homes.remove(&home);
                    waiting.working = true;
                    return Some(home);
                }
                Some(&(due, _)) => {
                    self.changed.wait_until(&mut waiting, due);
                }
            }
        }
    }

    /// A pause; whether the partition closes.
    pub fn pause(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut waiting = self.waiting.lock();
        while !waiting.closed {
            if self.changed.wait_until(&mut waiting, until).timed_out() {
                break;
            }
        }
        waiting.closed
    }

    /// Ends the thread.
    pub fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        self.tell(&waiting);
        drop(waiting);
        self.changed.notify_all();
        let readers = {
            let mut readers = self.readers.lock();
            std::mem::replace(&mut *readers, LruCache::new(NonZeroUsize::MIN))
        };
        drop(readers);
    }

    /// Puts these homes first, and waits until no home waits.
    pub async fn finish(&self, homes: impl IntoIterator<Item = u64>) {
        if !self.enabled {
            return;
        }
        let mut busy = self.busy.subscribe();
        for home in homes {
            self.enqueue(home, Duration::ZERO, true);
        }
        // It ends when the partition closes, too.
        let _ = busy.wait_for(|busy| !busy).await;
    }
}

/// What an entry says of the body that it was made from.
pub(crate) fn sum_of(body: BodyLocation) -> i64 {
    (i64::from(body.len) << 32) | i64::from(body.crc)
}
