//! A cluster of one: log, tables and history are in one SQLite file.
//!
//! One thread takes all proposals that wait, writes them to the log in one transaction that is
//! durable when it returns, has the machine apply them, answers, and wakes the watchers. Those that
//! would be refused are answered without being written: they are found by applying all of them and
//! taking that back. What applying has changed goes into the tables some time later, together with
//! the history, and the log entries that made it are forgotten in the same transaction. After a
//! crash the tables are loaded and the log that is left is applied again.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use murder_location::disk::{Disk, DiskError, Synchronous, now_ms};
use murder_proto::v1;
use parking_lot::{Mutex, RwLockReadGuard};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::history::StoredHistory;
use super::machine::{Machine, Published};
use super::{BoxFuture, Consensus, ConsensusError, History, log};
use crate::state::{Outcome, State};

/// Proposals in one transaction; more wait for the next.
const GROUP: usize = 1024;
/// Proposals and reads waiting; callers wait for a place after that.
const QUEUE: usize = 1024;
/// How a [`SingleNode`] works.
#[derive(Debug, Clone)]
pub struct SingleNodeConfig {
    /// Where the log and the state are kept.
    pub dir: PathBuf,
    /// Revisions that the history on disk keeps.
    pub history_revisions: u64,
    /// And their bytes.
    pub history_bytes: u64,
}

/// See the module's page.
pub struct SingleNode {
    published: Arc<Published>,
    healthy: watch::Sender<bool>,
    work: mpsc::Sender<Work>,
    killed: CancellationToken,
    thread: Mutex<Option<JoinHandle<Option<()>>>>,
}

enum Work {
    Propose {
        entry: Box<v1::LogEntry>,
        answer: oneshot::Sender<Result<(u64, Outcome), ConsensusError>>,
    },
    /// The history on disk.
    Read {
        after: u64,
        answer: oneshot::Sender<Result<History, ConsensusError>>,
    },
    Stop,
}

/// What goes wrong at the start.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the master's state in {dir}: {reason}")]
pub struct OpenError {
    dir: PathBuf,
    reason: String,
}

impl SingleNode {
    /// Opens or makes the log and the state. Blocks for as long as loading takes.
    ///
    /// # Errors
    /// When the directory cannot be used, is in use, or holds damaged records.
    pub fn open(config: &SingleNodeConfig) -> Result<Self, OpenError> {
        let fail = |reason: String| OpenError {
            dir: config.dir.clone(),
            reason,
        };
        let writer = Writer::open(config).map_err(|e| fail(e.to_string()))?;
        let (work, waiting) = mpsc::channel(QUEUE);
        let published = writer.machine.published().clone();
        let healthy = writer.healthy.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|e| fail(e.to_string()))?;
        let killed = CancellationToken::new();
        let until = killed.clone();
        let thread = std::thread::Builder::new()
            .name("mupdate-log".into())
            .spawn(move || runtime.block_on(until.run_until_cancelled_owned(writer.run(waiting))))
            .map_err(|e| fail(e.to_string()))?;
        Ok(Self {
            published,
            healthy,
            work,
            killed,
            thread: Mutex::new(Some(thread)),
        })
    }

    async fn ask<T>(
        &self,
        work: Work,
        answer: oneshot::Receiver<Result<T, ConsensusError>>,
    ) -> Result<T, ConsensusError> {
        self.work
            .send(work)
            .await
            .map_err(|_| ConsensusError::Stopping)?;
        answer.await.unwrap_or(Err(ConsensusError::Stopping))
    }
}

impl Consensus for SingleNode {
    fn propose(
        &self,
        entry: v1::LogEntry,
    ) -> BoxFuture<'_, Result<(u64, Outcome), ConsensusError>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let entry = Box::new(entry);
            self.ask(Work::Propose { entry, answer }, answered).await
        })
    }

    fn read_barrier(&self) -> BoxFuture<'_, Result<u64, ConsensusError>> {
        // Whatever was answered was applied before.
        Box::pin(async move { Ok(self.published.state.read().revision()) })
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.published.state.read()
    }

    fn revisions(&self) -> watch::Receiver<u64> {
        self.published.revision.subscribe()
    }

    fn history(&self, after: u64) -> BoxFuture<'_, Result<History, ConsensusError>> {
        Box::pin(async move {
            if let Some(history) = self.published.history(after) {
                return Ok(history);
            }
            let (answer, answered) = oneshot::channel();
            self.ask(Work::Read { after, answer }, answered).await
        })
    }

    fn healthy(&self) -> watch::Receiver<bool> {
        self.healthy.subscribe()
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // An error means that it has stopped already.
            let _ = self.work.send(Work::Stop).await;
            let thread = self.thread.lock().take();
            if let Some(thread) = thread {
                let joined = tokio::task::spawn_blocking(move || thread.join()).await;
                if !matches!(joined, Ok(Ok(_))) {
                    tracing::error!("the log's thread has panicked");
                }
            }
        })
    }

    /// What is not in the tables on disk yet stays in the log.
    fn kill(&self) {
        self.killed.cancel();
        if let Some(thread) = self.thread.lock().take() {
            // One transaction at most.
            let _ = thread.join();
        }
    }
}

impl Drop for SingleNode {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The log's thread.
struct Writer {
    disk: Disk,
    machine: Machine,
    history: StoredHistory,
    /// The revision of the last entry in the log.
    logged: u64,
    healthy: watch::Sender<bool>,
}

impl Writer {
    fn open(config: &SingleNodeConfig) -> Result<Self, DiskError> {
        let disk = Disk::open(&config.dir.join("mupdate.sqlite3"), Synchronous::Full)?;
        let machine = Machine::load(&disk)?;
        log::open(&disk)?;
        let history = StoredHistory::open(&disk, config.history_revisions, config.history_bytes)?;
        let mut writer = Self {
            logged: machine.flushed(),
            disk,
            machine,
            history,
            healthy: watch::Sender::new(true),
        };
        writer.replay()?;
        if writer.machine.published().state.read().murder_id.is_empty() {
            let entry = v1::LogEntry {
                time_ms: now_ms(),
                restricted_to: String::new(),
                partition: None,
                command: Some(v1::log_entry::Command::Founded(v1::Founded {
                    murder_id: uuid::Uuid::new_v4().as_bytes().to_vec(),
                })),
            };
            writer.write(&[&entry])?;
            writer.apply(&entry);
        }
        Ok(writer)
    }

    /// Applies the log that is not in the tables.
    fn replay(&mut self) -> Result<(), DiskError> {
        let entries = log::after(&self.disk, self.machine.flushed())?;
        for (revision, entry) in &entries {
            self.logged = *revision;
            self.machine.apply(*revision, entry);
        }
        if !entries.is_empty() {
            tracing::info!(
                entries = entries.len(),
                revision = self.logged,
                "applied the log's entries again"
            );
        }
        Ok(())
    }

    async fn run(mut self, mut waiting: mpsc::Receiver<Work>) {
        let mut group = Vec::new();
        loop {
            let receiving = waiting.recv_many(&mut group, GROUP);
            let received = match self.machine.flush_within() {
                None => receiving.await,
                Some(limit) => match tokio::time::timeout(limit, receiving).await {
                    Ok(received) => received,
                    Err(_) => {
                        self.flush();
                        continue;
                    }
                },
            };
            if received == 0 {
                return;
            }
            let mut entries = Vec::with_capacity(group.len());
            let mut answers = Vec::with_capacity(group.len());
            let mut stop = false;
            for work in group.drain(..) {
                match work {
                    Work::Propose { entry, answer } => {
                        entries.push(*entry);
                        answers.push(answer);
                    }
                    Work::Read { after, answer } => {
                        let flushed = self.machine.flushed();
                        let part = self
                            .history
                            .after(&self.disk, after, flushed)
                            .map_err(|e| ConsensusError::Log(e.to_string()));
                        // One who has gone meanwhile does not care.
                        let _ = answer.send(part);
                    }
                    Work::Stop => stop = true,
                }
            }
            self.commit(&entries, answers);
            if stop {
                self.flush();
                return;
            }
        }
    }

    fn commit(
        &mut self,
        entries: &[v1::LogEntry],
        answers: Vec<oneshot::Sender<Result<(u64, Outcome), ConsensusError>>>,
    ) {
        if entries.is_empty() {
            return;
        }
        let refused = self.machine.rehearse(entries);
        let accepted = entries.iter().zip(&refused);
        let accepted: Vec<&v1::LogEntry> = accepted
            .filter_map(|(entry, refused)| refused.is_none().then_some(entry))
            .collect();
        // Nothing to write says nothing of whether it could be.
        if !accepted.is_empty() {
            let written = self.write(&accepted);
            if let Err(error) = self.note_health(written, "log") {
                for answer in answers {
                    let _ = answer.send(Err(ConsensusError::Log(error.to_string())));
                }
                return;
            }
        }
        for ((entry, refused), answer) in entries.iter().zip(refused).zip(answers) {
            let outcome = refused.unwrap_or_else(|| self.apply(entry));
            let _ = answer.send(Ok((self.logged, outcome)));
        }
    }

    /// Makes entries durable, after the one at `logged`; flushes with them what is due.
    fn write(&mut self, entries: &[&v1::LogEntry]) -> Result<(), DiskError> {
        let due = self.machine.is_flush_due();
        self.transaction(due, |writer| {
            log::append(&writer.disk, writer.logged, entries)
        })
    }

    /// Applies the entry that follows in the log.
    fn apply(&mut self, entry: &v1::LogEntry) -> Outcome {
        self.logged += 1;
        self.machine.apply(self.logged, entry)
    }

    /// Puts what was applied into the tables on disk.
    fn flush(&mut self) {
        let flushed = self.transaction(true, |_| Ok(()));
        if self.note_health(flushed, "state").is_err() {
            // Again with the next group, or after a while.
            self.machine.flush_later();
        }
    }

    /// One transaction: what was applied goes into the tables if that is to be, then `also`.
    fn transaction(
        &mut self,
        flush: bool,
        also: impl FnOnce(&Self) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        let done = self.disk.begin().and_then(|()| {
            let flushed = flush.then(|| self.flush_tables()).transpose()?;
            also(self)?;
            self.disk.commit()?;
            Ok(flushed)
        });
        match done {
            Ok(flushed) => {
                if let Some(history) = flushed {
                    self.history = history;
                    self.machine.is_flushed();
                }
                Ok(())
            }
            Err(error) => {
                self.disk.rollback();
                Err(error)
            }
        }
    }

    /// Within a transaction; what the history is once that is committed.
    fn flush_tables(&self) -> Result<StoredHistory, DiskError> {
        let revisions = self.machine.flush(&self.disk)?;
        log::forget(&self.disk, self.machine.reached())?;
        self.history.add(&self.disk, revisions)
    }

    /// Lets everybody know whether the disk takes what is written, and logs when that changes.
    fn note_health<T>(&self, written: Result<T, DiskError>, what: &str) -> Result<T, DiskError> {
        let well = written.is_ok();
        if self.healthy.send_replace(well) != well {
            match &written {
                Ok(_) => tracing::info!("the {what} can be written again"),
                Err(error) => tracing::error!(%error, "the {what} cannot be written"),
            }
        }
        written
    }
}

#[cfg(test)]
mod tests;
