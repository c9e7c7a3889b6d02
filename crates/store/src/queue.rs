//! What waits for the journal, and when a batch of it begins.
//!
//! A batch begins as soon as at least half as many commands wait as are being applied. While more
//! are being applied, their submitters are about to be answered, and what they do next shares the
//! `fdatasync` of those who wait. Without that rule batches of nearly everybody take turns with
//! batches of one or two, which cost as much time and serve nobody. What a shard applies slowly
//! does not count, so that nobody waits for it but those behind it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::blob::StagedBody;
use crate::command::Command;
use crate::entry::Answer;
use crate::error::StoreError;
use crate::items::Items;
use crate::journal::record;
use crate::journal::segments::SegmentPin;
use crate::reporting::Reserved;

/// The most records in a batch: what one write of headers, commands and bodies can carry
/// without the first of them waiting long for the last.
const BATCH_RECORDS: usize = 1024;
/// The most bytes in a batch.
const BATCH_BYTES: u64 = 8 << 20;
/// Before a batch of fewer records whoever is about to submit something and has no processor gets
/// that of the journal thread; where one is free this costs no time. With more it would cost more
/// than it saves.
const FEW: usize = 8;

/// A command on its way to the journal.
#[derive(Debug)]
pub(crate) struct Submission {
    pub command: Command,
    /// [`Op::homes`](crate::command::Op::homes) of the command.
    pub homes: Vec<u64>,
    pub encoded: Vec<u8>,
    /// The bodies that travel in the record, in the order of the messages.
    pub bodies: Vec<Bytes>,
    /// What is known of the messages, in their order; empty to compute it when applying.
    pub items: Vec<Arc<Items>>,
    pub staged: Vec<StagedBody>,
    pub pins: Vec<SegmentPin>,
    pub answer: oneshot::Sender<Answer>,
    /// UIDs that are set aside for it, until it is journaled.
    pub reserved: Option<Reserved>,
    /// Its part of the bytes that may wait for the journal.
    pub _permit: OwnedSemaphorePermit,
}

/// One of those that wait: it is large, and handed on several times.
pub(crate) type BoxedSubmission = Box<Submission>;

impl Submission {
    /// Bytes of its record.
    pub fn record_bytes(&self) -> u64 {
        let bodies: u64 = self.bodies.iter().map(|b| b.len() as u64).sum();
        (record::HEADER_BYTES as u64 + self.encoded.len() as u64 + bodies)
            .next_multiple_of(record::ALIGN)
    }
}

/// Commands on their way to the journal thread. What they hold is bounded in bytes by the
/// submitters' permits.
#[derive(Debug, Default)]
pub(crate) struct JournalQueue {
    state: Mutex<State>,
    /// A batch may begin.
    begin: Condvar,
    closed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// How many of what waits are checkpoints.
    checkpoints: usize,
    /// Of each shard.
    shards: Vec<Share>,
    closed: bool,
    /// Whether the journal thread waits for a batch.
    idle: bool,
}

/// What a shard has to do.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    /// Commands that are durable and not yet applied, counted for each of their homes.
    applying: usize,
    /// Whether it is busy with something that takes long.
    slow: bool,
}

#[derive(Debug)]
enum Waiting {
    /// A command to make durable and hand to its homes.
    Submission(BoxedSubmission),
    /// Make a checkpoint, and say when it is over.
    Checkpoint(Sender<()>),
}

/// What the journal thread does next.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub submissions: Vec<BoxedSubmission>,
    /// A checkpoint is wanted after them.
    pub checkpoint: Option<Sender<()>>,
}

impl State {
    fn begins(&self) -> bool {
        self.closed
            || self.checkpoints > 0
            || (!self.waiting.is_empty() && 2 * self.waiting.len() >= self.soon_applied())
    }

    /// How many commands are about to be answered.
    fn soon_applied(&self) -> usize {
        let shards = self.shards.iter().filter(|shard| !shard.slow);
        shards.map(|shard| shard.applying).sum()
    }

    /// Whether the journal thread is to be woken, which is then said once.
    fn wakes(&mut self) -> bool {
        self.idle && self.begins() && std::mem::take(&mut self.idle)
    }
}

impl JournalQueue {
    /// An empty queue before that many shards.
    pub fn new(shards: usize) -> Self {
        let state = State {
            shards: vec![Share::default(); shards],
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            ..Self::default()
        }
    }

    /// Adds a command.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub fn submit(&self, submission: Submission) -> Result<(), StoreError> {
        self.push(Waiting::Submission(Box::new(submission)))
    }

    /// Asks for a checkpoint after everything that waits.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub fn checkpoint(&self, done: Sender<()>) -> Result<(), StoreError> {
        self.push(Waiting::Checkpoint(done))
    }

    fn push(&self, waiting: Waiting) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(StoreError::Closed);
        }
        state.checkpoints += usize::from(matches!(waiting, Waiting::Checkpoint(_)));
        state.waiting.push_back(waiting);
        if state.wakes() {
            drop(state);
            self.begin.notify_one();
        }
        Ok(())
    }

    /// Waits until a batch may begin, and takes it; `None` when the queue is closed and empty.
    pub fn take(&self) -> Option<Batch> {
        let mut state = self.state.lock();
        while !state.begins() {
            state.idle = true;
            self.begin.wait(&mut state);
        }
        if state.waiting.len() < FEW {
            MutexGuard::unlocked(&mut state, std::thread::yield_now);
        }
        if state.waiting.is_empty() {
            return None;
        }
        let mut batch = Batch::default();
        let mut bytes = 0;
        while batch.submissions.len() < BATCH_RECORDS && batch.checkpoint.is_none() {
            let fits = |next: &mut Waiting| match next {
                Waiting::Submission(next) => {
                    bytes += next.record_bytes();
                    batch.submissions.is_empty() || bytes <= BATCH_BYTES
                }
                Waiting::Checkpoint(_) => true,
            };
            match state.waiting.pop_front_if(fits) {
                None => break,
                Some(Waiting::Submission(submission)) => batch.submissions.push(submission),
                Some(Waiting::Checkpoint(done)) => {
                    state.checkpoints -= 1;
                    batch.checkpoint = Some(done);
                }
            }
        }
        Some(batch)
    }

    /// Says how many commands each shard has got.
    pub fn handed_over(&self, commands: &[usize]) {
        let mut state = self.state.lock();
        for (shard, commands) in state.shards.iter_mut().zip(commands) {
            shard.applying += commands;
        }
    }

    /// Says that a shard has applied and answered some.
    pub fn applied(&self, shard: usize, commands: usize) {
        self.change(shard, |share| {
            // In replay they were never counted.
            share.applying = share.applying.saturating_sub(commands);
        });
    }

    /// Says whether a shard is busy with something that takes long.
    pub fn slow(&self, shard: usize, slow: bool) {
        self.change(shard, |share| share.slow = slow);
    }

    fn change(&self, shard: usize, change: impl FnOnce(&mut Share)) {
        let mut state = self.state.lock();
        change(&mut state.shards[shard]);
        if state.wakes() {
            drop(state);
            self.begin.notify_one();
        }
    }

    /// Takes no more.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.idle = false;
        drop(state);
        self.closed.notify_all();
        self.begin.notify_one();
    }

    /// Takes no more and lets go of what waits, whose submitters see a closed store.
    pub fn abandon(&self) {
        self.close();
        self.state.lock().waiting.clear();
    }

    /// Whether nothing is taken any more; waits for that up to `time`.
    pub fn closed_within(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.closed && !time.is_zero() {
            self.closed.wait_for(&mut state, time);
        }
        state.closed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::command::Command;
    use bytes::Bytes;
    use tokio::sync::{Semaphore, oneshot};

    fn submission(bytes: usize) -> Submission {
        let permits = Arc::new(Semaphore::new(1));
        Submission {
            command: Command { op: None },
            homes: Vec::new(),
            encoded: Vec::new(),
            bodies: vec![Bytes::from(vec![0; bytes])],
            items: Vec::new(),
            staged: Vec::new(),
            pins: Vec::new(),
            answer: oneshot::channel().0,
            reserved: None,
            _permit: permits.try_acquire_owned().unwrap(),
        }
    }

    fn submit(queue: &JournalQueue, bytes: &[usize]) {
        for &bytes in bytes {
            queue.submit(submission(bytes)).unwrap();
        }
    }

    fn begins(queue: &JournalQueue) -> bool {
        queue.state.lock().begins()
    }

    fn lengths(batch: &Batch) -> Vec<usize> {
        batch
            .submissions
            .iter()
            .map(|s| s.bodies[0].len())
            .collect()
    }

    #[test]
    fn begins_when_half_as_many_wait_as_are_being_applied() {
        let queue = JournalQueue::new(2);
        assert!(!begins(&queue));
        submit(&queue, &[1]);
        assert!(begins(&queue));
        queue.handed_over(&[4, 5]);
        assert!(!begins(&queue));
        queue.applied(1, 4);
        submit(&queue, &[1]);
        assert!(!begins(&queue));
        queue.applied(0, 1);
        assert!(begins(&queue));
        assert_eq!(queue.take().unwrap().submissions.len(), 2);
        assert!(!begins(&queue));
    }

    #[test]
    fn does_not_wait_for_a_slow_shard() {
        let queue = JournalQueue::new(2);
        queue.handed_over(&[5, 2]);
        queue.slow(0, true);
        submit(&queue, &[1]);
        assert!(begins(&queue));
        queue.slow(0, false);
        assert!(!begins(&queue));
    }

    #[test]
    fn wakes_who_waits_for_a_batch() {
        let queue = Arc::new(JournalQueue::new(1));
        queue.handed_over(&[3]);
        submit(&queue, &[7]);
        let taker = {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || lengths(&queue.take().unwrap()))
        };
        queue.applied(0, 1);
        assert_eq!(taker.join().unwrap(), [7]);
    }

    #[test]
    fn keeps_the_order_and_bounds_a_batch_in_bytes() {
        let queue = JournalQueue::new(1);
        let most = BATCH_BYTES as usize;
        submit(&queue, &[1, most - 4096, 2, 2 * most, 3]);
        assert_eq!(lengths(&queue.take().unwrap()), [1, most - 4096, 2]);
        assert_eq!(lengths(&queue.take().unwrap()), [2 * most]);
        assert_eq!(lengths(&queue.take().unwrap()), [3]);
    }

    #[test]
    fn a_checkpoint_follows_what_waited_and_waits_for_nothing() {
        let queue = JournalQueue::new(1);
        queue.handed_over(&[9]);
        submit(&queue, &[1]);
        queue.checkpoint(std::sync::mpsc::channel().0).unwrap();
        submit(&queue, &[2]);
        let batch = queue.take().unwrap();
        assert_eq!(lengths(&batch), [1]);
        assert!(batch.checkpoint.is_some());
        assert!(!begins(&queue));
    }

    #[test]
    fn what_waits_when_it_is_closed_is_taken_all_the_same() {
        let queue = JournalQueue::new(1);
        queue.handed_over(&[9]);
        submit(&queue, &[1]);
        queue.close();
        let late = queue.submit(submission(2));
        assert!(matches!(late, Err(StoreError::Closed)));
        assert_eq!(lengths(&queue.take().unwrap()), [1]);
        assert!(queue.take().is_none());
        assert!(queue.closed_within(Duration::ZERO));
    }
}
