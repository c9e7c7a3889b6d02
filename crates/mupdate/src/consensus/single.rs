//! A cluster of one: the log is an SQLite table.
//!
//! One thread takes all proposals that wait, writes them in one transaction that is durable
//! when it returns, applies them, answers, and wakes the watchers. Those that would be refused are
//! answered without being written: they are found by applying all of them and taking that back. What applying has changed
//! goes into the tables on disk some time later, together with the history, and the log
//! entries that made it are forgotten in the same transaction. After a crash the tables are
//! loaded and the log that is left is applied again.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use murder_proto::v1;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use prost::Message;
use rusqlite::params;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::recent::{PART_BYTES, PART_REVISIONS, Recent};
use super::{BoxFuture, Consensus, ConsensusError, History, Revision};
use crate::state::{Outcome, State};
use murder_location::disk::{Disk, DiskError, Meta, Synchronous, now_ms};
use murder_location::record::Change;

/// Proposals in one transaction; more wait for the next.
const GROUP: usize = 1024;
/// Proposals and reads waiting; callers wait for a place after that.
const QUEUE: usize = 1024;
/// Revisions applied and not in the tables on disk yet: what a restart has to apply again.
const FLUSH_REVISIONS: usize = 512;
/// And their changes.
const FLUSH_CHANGES: usize = 4096;
/// And how long the oldest of them may wait.
const FLUSH_AFTER: Duration = Duration::from_millis(100);

/// What the master keeps in its file beside the tables that it replicates.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS log (revision INTEGER PRIMARY KEY, entry BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS history (revision INTEGER PRIMARY KEY, changes BLOB NOT NULL);";

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
    shared: Arc<Shared>,
    work: mpsc::Sender<Work>,
    killed: CancellationToken,
    thread: Mutex<Option<JoinHandle<Option<()>>>>,
}

struct Shared {
    state: RwLock<State>,
    recent: Mutex<Recent>,
    revision: watch::Sender<u64>,
    healthy: watch::Sender<bool>,
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
        let shared = writer.shared.clone();
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
            shared,
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
        Box::pin(async move { Ok(self.shared.state.read().revision()) })
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.shared.state.read()
    }

    fn revisions(&self) -> watch::Receiver<u64> {
        self.shared.revision.subscribe()
    }

    fn history(&self, after: u64) -> BoxFuture<'_, Result<History, ConsensusError>> {
        Box::pin(async move {
            {
                let recent = self.shared.recent.lock();
                let reached = *self.shared.revision.borrow();
                if after > reached {
                    return Ok(History::Gone);
                }
                if let Some((revisions, up_to)) = recent.after(after, reached) {
                    return Ok(History::Changes { revisions, up_to });
                }
            }
            let (answer, answered) = oneshot::channel();
            self.ask(Work::Read { after, answer }, answered).await
        })
    }

    fn healthy(&self) -> watch::Receiver<bool> {
        self.shared.healthy.subscribe()
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
    shared: Arc<Shared>,
    /// Applied, and not in the tables on disk.
    unflushed: Vec<Arc<Revision>>,
    unflushed_changes: usize,
    unflushed_since: Option<Instant>,
    /// The revision of the tables on disk.
    flushed: u64,
    /// Of the last entry in the log.
    logged: u64,
    history: HistoryBounds,
}

/// The history on disk: what it has, and what it may have.
#[derive(Debug, Clone, Copy)]
struct HistoryBounds {
    /// It has every change after this.
    floor: u64,
    revisions: u64,
    bytes: u64,
    max_revisions: u64,
    max_bytes: u64,
}

impl Writer {
    fn open(config: &SingleNodeConfig) -> Result<Self, DiskError> {
        let disk = Disk::open(&config.dir.join("mupdate.sqlite3"), Synchronous::Full)?;
        let (meta, tables) = disk.load()?;
        let state = State::of(tables, &meta);
        disk.connection.execute_batch(TABLES)?;
        let (revisions, bytes) = disk.connection.query_row(
            "SELECT COUNT(*), COALESCE(SUM(LENGTH(changes)), 0) FROM history",
            [],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
        )?;
        let floor = disk.number("history_floor")?;
        let mut writer = Self {
            disk,
            shared: Arc::new(Shared {
                recent: Mutex::new(Recent::starting_at(state.revision)),
                revision: watch::Sender::new(state.revision),
                state: RwLock::new(state),
                healthy: watch::Sender::new(true),
            }),
            unflushed: Vec::new(),
            unflushed_changes: 0,
            unflushed_since: None,
            flushed: meta.revision,
            logged: meta.revision,
            history: HistoryBounds {
                floor,
                revisions: revisions.unsigned_abs(),
                bytes: bytes.unsigned_abs(),
                max_revisions: config.history_revisions,
                max_bytes: config.history_bytes,
            },
        };
        writer.replay()?;
        if writer.shared.state.read().murder_id.is_empty() {
            let entry = v1::LogEntry {
                time_ms: now_ms(),
                restricted_to: String::new(),
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
        let entries: Vec<(u64, Vec<u8>)> = self
            .disk
            .connection
            .prepare("SELECT revision, entry FROM log WHERE revision > ?1 ORDER BY revision")?
            .query_map([signed(self.flushed)], |row| {
                Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?))
            })?
            .collect::<Result<_, _>>()?;
        let count = entries.len();
        for (revision, entry) in entries {
            self.logged = revision;
            self.apply(&v1::LogEntry::decode(entry.as_slice())?);
        }
        if count > 0 {
            tracing::info!(
                entries = count,
                revision = self.logged,
                "applied the log's entries again"
            );
        }
        Ok(())
    }

    async fn run(mut self, mut waiting: mpsc::Receiver<Work>) {
        let mut group = Vec::new();
        loop {
            let received = match self.unflushed_since {
                None => waiting.recv_many(&mut group, GROUP).await,
                Some(since) => {
                    let limit = FLUSH_AFTER.saturating_sub(since.elapsed());
                    match tokio::time::timeout(limit, waiting.recv_many(&mut group, GROUP)).await {
                        Ok(received) => received,
                        Err(_) => {
                            self.flush_alone();
                            continue;
                        }
                    }
                }
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
                        let part = self
                            .read_history(after)
                            .map_err(|e| ConsensusError::Log(e.to_string()));
                        // One who has gone meanwhile does not care.
                        let _ = answer.send(part);
                    }
                    Work::Stop => stop = true,
                }
            }
            self.commit(&entries, answers);
            if stop {
                self.flush_alone();
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
        let refused = self.shared.state.write().rehearse(entries);
        let accepted = entries.iter().zip(&refused);
        let accepted: Vec<&v1::LogEntry> = accepted
            .filter_map(|(entry, refused)| refused.is_none().then_some(entry))
            .collect();
        let before = self.logged;
        if accepted.is_empty() {
            // Nothing to write says nothing of whether it could be.
        } else if let Err(error) = self.write(&accepted) {
            self.disk.rollback();
            self.logged = before;
            if self.shared.healthy.send_replace(false) {
                tracing::error!(%error, "the log cannot be written");
            }
            for answer in answers {
                let _ = answer.send(Err(ConsensusError::Log(error.to_string())));
            }
            return;
        } else if !self.shared.healthy.send_replace(true) {
            tracing::info!("the log can be written again");
        }
        self.logged = before;
        for ((entry, refused), answer) in entries.iter().zip(refused).zip(answers) {
            let outcome = refused.unwrap_or_else(|| {
                self.logged += 1;
                self.apply(entry)
            });
            let _ = answer.send(Ok((self.logged, outcome)));
        }
    }

    /// Makes entries durable; counts them as logged.
    fn write(&mut self, entries: &[&v1::LogEntry]) -> Result<(), DiskError> {
        self.disk.begin()?;
        let flush = (self.unflushed.len() >= FLUSH_REVISIONS
            || self.unflushed_changes >= FLUSH_CHANGES
            || self
                .unflushed_since
                .is_some_and(|since| since.elapsed() >= FLUSH_AFTER))
        .then(|| self.flush())
        .transpose()?;
        {
            // A revision whose transaction failed may be there all the same: nobody was
            // told, and it was not applied.
            let mut insert = self
                .disk
                .connection
                .prepare_cached("INSERT OR REPLACE INTO log VALUES (?1, ?2)")?;
            for entry in entries {
                self.logged += 1;
                insert.execute(params![signed(self.logged), entry.encode_to_vec()])?;
            }
        }
        self.disk.commit()?;
        if let Some(history) = flush {
            self.flushed_now(history);
        }
        Ok(())
    }

    /// Applies the entry at `logged`, and lets the watchers know.
    fn apply(&mut self, entry: &v1::LogEntry) -> Outcome {
        let applied = self.shared.state.write().apply(self.logged, entry);
        let changes: Vec<v1::Change> = applied.changes.iter().map(Change::to_proto).collect();
        let revision = Arc::new(Revision {
            revision: self.logged,
            bytes: changes.iter().map(Message::encoded_len).sum(),
            changes,
        });
        self.unflushed_changes += revision.changes.len();
        self.unflushed_since.get_or_insert_with(Instant::now);
        {
            let mut recent = self.shared.recent.lock();
            if !revision.changes.is_empty() {
                recent.push(revision.clone());
            }
            recent.trim(self.flushed);
            // Within the lock: a reader that sees the revision finds its changes.
            self.shared.revision.send_replace(self.logged);
        }
        self.unflushed.push(revision);
        applied.outcome
    }

    /// Puts what was applied into the tables on disk, outside of a group.
    fn flush_alone(&mut self) {
        if self.unflushed.is_empty() {
            return;
        }
        let result = self
            .disk
            .begin()
            .and_then(|()| self.flush())
            .and_then(|history| self.disk.commit().map(|()| history));
        match result {
            Ok(history) => self.flushed_now(history),
            Err(error) => {
                self.disk.rollback();
                if self.shared.healthy.send_replace(false) {
                    tracing::error!(%error, "the state cannot be written");
                }
                // Again with the next group, or after a while.
                self.unflushed_since = Some(Instant::now());
            }
        }
    }

    /// Within a transaction; what the history will be is to be noted when it is committed.
    fn flush(&self) -> Result<HistoryBounds, DiskError> {
        let mut history = self.history;
        let mut insert = self
            .disk
            .connection
            .prepare_cached("INSERT OR REPLACE INTO history VALUES (?1, ?2)")?;
        let mut last = self.flushed;
        for revision in &self.unflushed {
            last = revision.revision;
            if revision.changes.is_empty() {
                continue;
            }
            for change in &revision.changes {
                self.disk.put(change)?;
            }
            let list = v1::ChangeList {
                changes: revision.changes.clone(),
            }
            .encode_to_vec();
            history.revisions += 1;
            history.bytes += list.len() as u64;
            insert.execute(params![signed(revision.revision), list])?;
        }
        let meta = {
            let state = self.shared.state.read();
            Meta {
                revision: last,
                murder_id: state.murder_id.clone(),
                predecessors: state.predecessors.clone(),
                last_uidvalidity: state.last_uidvalidity,
                saved_ms: now_ms(),
            }
        };
        self.disk.put_meta(&meta)?;
        self.disk
            .connection
            .prepare_cached("DELETE FROM log WHERE revision <= ?1")?
            .execute([signed(last)])?;
        self.trim_history(&mut history)?;
        Ok(history)
    }

    fn trim_history(&self, history: &mut HistoryBounds) -> Result<(), DiskError> {
        let before = history.floor;
        let mut oldest = self.disk.connection.prepare_cached(
            "SELECT revision, LENGTH(changes) FROM history WHERE revision > ?1
             ORDER BY revision LIMIT 1",
        )?;
        while history.revisions > history.max_revisions || history.bytes > history.max_bytes {
            let (revision, bytes) = oldest.query_row([signed(history.floor)], |row| {
                Ok((
                    row.get::<_, i64>(0)?.unsigned_abs(),
                    row.get::<_, i64>(1)?.unsigned_abs(),
                ))
            })?;
            history.floor = revision;
            history.revisions -= 1;
            history.bytes = history.bytes.saturating_sub(bytes);
        }
        if history.floor > before {
            self.disk
                .connection
                .prepare_cached("DELETE FROM history WHERE revision <= ?1")?
                .execute([signed(history.floor)])?;
            self.disk
                .connection
                .prepare_cached("INSERT OR REPLACE INTO meta VALUES ('history_floor', ?1)")?
                .execute([history.floor.to_be_bytes()])?;
        }
        Ok(())
    }

    fn flushed_now(&mut self, history: HistoryBounds) {
        self.history = history;
        if let Some(last) = self.unflushed.last() {
            self.flushed = last.revision;
        }
        self.unflushed.clear();
        self.unflushed_changes = 0;
        self.unflushed_since = None;
        self.shared.recent.lock().trim(self.flushed);
        if !self.shared.healthy.send_replace(true) {
            tracing::info!("the state can be written again");
        }
    }

    /// Changes on disk after a revision that memory no longer has.
    fn read_history(&self, after: u64) -> Result<History, DiskError> {
        if after < self.history.floor {
            return Ok(History::Gone);
        }
        let mut statement = self.disk.connection.prepare_cached(
            "SELECT revision, changes FROM history WHERE revision > ?1 ORDER BY revision LIMIT ?2",
        )?;
        let mut rows = statement.query(params![signed(after), PART_REVISIONS as i64])?;
        let mut revisions = Vec::new();
        let mut total = 0;
        let mut up_to = self.flushed;
        while let Some(row) = rows.next()? {
            let revision = row.get::<_, i64>(0)?.unsigned_abs();
            let list = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            total += list.len();
            revisions.push(Arc::new(Revision {
                revision,
                changes: v1::ChangeList::decode(list)?.changes,
                bytes: list.len(),
            }));
            if total > PART_BYTES || revisions.len() == PART_REVISIONS {
                up_to = revision;
                break;
            }
        }
        Ok(History::Changes { revisions, up_to })
    }
}

/// SQLite's integers are signed; revisions never come near the difference.
fn signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
