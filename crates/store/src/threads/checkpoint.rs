//! Checkpoints: what bounds replay.
//!
//! The journal thread sends each shard a mark. A shard answers with what it changed up to the
//! mark; this thread makes those files durable, writes `partition.db`, and removes journal
//! files in which nothing lives. Between marks it carries WALs over into their homes' files when
//! they have become long. No writer waits for any of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use crate::checkpoint::{Changes, ToCheckpointer};
use crate::error::StoreError;
use crate::fulltext;
use crate::home::schema;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::files::files;
use crate::metrics::Metrics;
use crate::partition_db::PartitionDb;
use crate::shared::Shared;

/// Above this many files one `syncfs` costs less than an `fdatasync` each.
const SYNC_EACH: usize = 256;

/// The checkpoint thread's state. Owns the lock file: it is the last thread to end.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    pub shared: Arc<Shared>,
    pub db: PartitionDb,
    pub shards: usize,
    pub lock: File,
}

impl Checkpointer {
    /// Works until the shards are gone.
    pub fn run(mut self, messages: &Receiver<ToCheckpointer>) {
        let mut open: BTreeMap<u64, (usize, bool, Changes)> = BTreeMap::new();
        // Of rounds that failed; the next one makes up for them.
        let mut carried = Changes::default();
        for message in messages {
            let report = match message {
                ToCheckpointer::Report(report) => *report,
                ToCheckpointer::LongWal(home) => {
                    let dir = &self.shared.homes_dir;
                    if let Err(e) = schema::carry_over(dir, home)
                        && schema::path(dir, home).exists()
                    {
                        tracing::warn!(home, error = %e, "could not carry a WAL over into its home's file");
                    }
                    continue;
                }
            };
            let (got, blocked, changes) = open.entry(report.round.number).or_default();
            *got += 1;
            *blocked |= report.blocked;
            changes.merge(report.changes);
            if *got < self.shards {
                continue;
            }
            let blocked = *blocked;
            if let Some((_, _, changes)) = open.remove(&report.round.number) {
                carried.merge(changes);
            }
            if blocked || self.shared.health.refusal_of_journal().is_some() {
                tracing::warn!("no checkpoint while the partition or a home is damaged");
            } else {
                match self.complete(report.round.at, &mut carried) {
                    Ok(()) => {}
                    Err(e) => {
                        tracing::error!(error = %e, "checkpoint failed; the next one will make up for it")
                    }
                }
            }
            if let Some(done) = &report.round.done {
                // Whoever asked may have gone.
                let _ = done.send(());
            }
        }
        if let Err(e) = rustix::fs::flock(&self.lock, rustix::fs::FlockOperation::Unlock) {
            tracing::warn!(error = %e, "could not unlock the partition");
        }
    }

    fn complete(&mut self, mut at: Checkpoint, changes: &mut Changes) -> Result<(), StoreError> {
        if self.shared.damage.any_home() {
            // The next start has to look at the damaged homes again, by the times of their files.
            at.began = at.began.min(self.db.checkpoint.began);
        }
        sync(&self.shared.homes_dir, changes).map_err(|e| StoreError::io("syncing homes", &e))?;
        let catalogue = self.shared.catalogue.take_dirty();
        let next_home = self.shared.catalogue.last_home();
        self.db.reported = self.shared.reporting.reported();
        if let Err(e) = self.db.write(at, next_home, &catalogue, changes) {
            let homes = catalogue.into_iter().map(|(home, _)| home);
            self.shared.catalogue.mark_dirty(homes);
            return Err(e);
        }
        let dropped = std::mem::take(changes).dropped;
        // Before anything goes of what an older checkpoint would need.
        if let Err(e) = self.db.stamp().write(&self.shared.config.path) {
            changes.dropped = dropped;
            return Err(StoreError::io("writing the identity file", &e));
        }
        self.shared.set_settled(at.lsn);
        for home in dropped {
            self.shared.readers.close(home);
            if let Err(e) = remove_home(&self.shared.homes_dir, home) {
                tracing::warn!(home, error = %e, "could not remove the file of a dropped home");
            }
            self.shared.damage.forget_home(home);
        }
        Metrics::add(&self.shared.metrics.checkpoints, 1);
        self.drop_dead_files(at)
    }

    /// Removes journal files in which nothing lives.
    fn drop_dead_files(&self, at: Checkpoint) -> Result<(), StoreError> {
        let segments = &self.shared.segments;
        segments.drop_slow_readers(self.shared.config.reader_bytes)?;
        let alive = self.db.segments()?;
        for file in files(&*segments.io, &segments.dir)? {
            let number = file.number();
            let refs = alive.get(&number).map_or(0, |live| live.refs);
            let lives = refs != 0 || !self.db.homes_of(number)?.is_empty();
            if refs < 0 || (refs == 0 && lives) {
                tracing::error!(
                    segment = number,
                    refs,
                    "a segment's references are counted wrong; it is kept"
                );
            }
            match segments.remove_unless_kept(file, &at, lives, self.shared.origin.tag) {
                Ok(true) => {
                    self.shared.damage.forget_file(number);
                    self.db.forget_segment(number)?;
                    Metrics::add(&self.shared.metrics.segments_dropped, 1);
                }
                Ok(false) => {}
                Err(e) => {
                    tracing::warn!(segment = number, error = %e, "could not remove a dead journal file")
                }
            }
        }
        for file in self.db.living()? {
            // What does not grow any more: at the next start it has to be as long.
            if file.size == 0
                && file.number < at.segment
                && let Ok(Ok(size)) = segments.file(file.number).map(|file| file.size())
            {
                self.db.set_size(file.number, size)?;
            }
        }
        Ok(())
    }
}

/// Makes homes durable as they are, or newer.
fn sync(dir: &Path, changes: &Changes) -> io::Result<()> {
    if changes.homes.is_empty() {
        return Ok(());
    }
    if changes.unsynced_files || changes.homes.len() > SYNC_EACH {
        return Ok(rustix::fs::syncfs(File::open(dir)?)?);
    }
    let mut dirs = BTreeSet::new();
    for &home in changes.homes.keys() {
        // What is not in the WAL SQLite has carried into the file and synced. The file itself
        // must not be opened here: closing it would drop SQLite's locks.
        let wal = schema::wal_path(dir, home);
        match File::open(&wal) {
            Ok(file) => file.sync_data()?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        dirs.extend(wal.parent().map(Path::to_owned));
    }
    dirs.insert(dir.to_owned());
    for dir in dirs {
        match File::open(&dir) {
            Ok(dir) => dir.sync_all()?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Removes a home's files.
pub(crate) fn remove_home(dir: &Path, home: u64) -> io::Result<()> {
    let path = schema::path(dir, home);
    for extension in ["db", "db-wal", "db-shm"] {
        match std::fs::remove_file(path.with_extension(extension)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    fulltext::remove(dir, home)
}
