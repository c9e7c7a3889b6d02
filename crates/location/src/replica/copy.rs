//! The durable copy.

use std::path::Path;

use murder_proto::v1;
use tokio::sync::mpsc;

use super::Topic;
use crate::disk::{Disk, DiskError, Meta, Synchronous, now_ms};
use crate::tables::Tables;

/// What the thread that writes the durable copy is told.
pub(super) enum CopyWork {
    /// Forget everything; what follows is a snapshot, until the next commit.
    Reset,
    /// The stream broke within a snapshot or a revision.
    Abandon,
    Put(Vec<v1::Change>),
    /// Everything since the last commit is this revision.
    Commit {
        murder_id: Vec<u8>,
        revision: u64,
    },
    /// The master said that there is nothing new.
    Contact,
}

/// Opens the durable copy; one that is damaged, or of other topics, is made anew.
pub(super) fn open_copy(path: &Path, topics: &[Topic]) -> Result<(Disk, Meta, Tables), DiskError> {
    // The copy of other topics lacks records that its revision promises.
    let topics_path = path.with_extension("topics");
    let mut wanted: Vec<String> = topics.iter().map(|t| format!("{t:?}")).collect();
    wanted.sort();
    let wanted = wanted.join(" ");
    if std::fs::read_to_string(&topics_path).is_ok_and(|have| have == wanted) {
        match Disk::open(path, Synchronous::Normal)
            .and_then(|disk| disk.load().map(|(meta, tables)| (disk, meta, tables)))
        {
            Ok(opened) => return Ok(opened),
            // Another process has it: not ours to throw away.
            Err(error) if error.is_busy() => return Err(error),
            Err(error) => tracing::error!(%error, "durable copy unusable, made anew"),
        }
    }
    for suffix in ["sqlite3", "sqlite3-wal", "sqlite3-shm"] {
        match std::fs::remove_file(path.with_extension(suffix)) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(DiskError::Io {
                    path: path.to_owned(),
                    source,
                });
            }
            _ => {}
        }
    }
    let disk = Disk::open(path, Synchronous::Normal)?;
    std::fs::write(&topics_path, wanted).map_err(|source| DiskError::Io {
        path: topics_path,
        source,
    })?;
    let (meta, tables) = disk.load()?;
    Ok((disk, meta, tables))
}

/// Writes the durable copy until the replica is gone, each revision in one transaction
/// (which, unlike the master's, need not wait for the disk).
///
/// After a failed write the copy stays at the last revision that it has whole, and is
/// written again from the next snapshot, or by the next process from there on.
pub(super) fn write_copy(disk: &Disk, meta: Meta, mut work: mpsc::Receiver<CopyWork>) {
    let mut writer = CopyWriter {
        disk,
        meta,
        open: false,
        in_step: true,
        in_step_without_reset: true,
    };
    while let Some(item) = work.blocking_recv() {
        if let Err(error) = writer.write(item) {
            disk.rollback();
            writer.open = false;
            writer.in_step = false;
            writer.in_step_without_reset = false;
            tracing::error!(%error, "durable copy not written; it stays as it was");
        }
    }
    // Half a revision, if any, goes with the connection.
}

struct CopyWriter<'a> {
    disk: &'a Disk,
    meta: Meta,
    /// A transaction is open.
    open: bool,
    /// The file, with the open transaction, has all that was sent so far.
    in_step: bool,
    /// What `in_step` is when the reset in the open transaction is abandoned.
    in_step_without_reset: bool,
}

impl CopyWriter<'_> {
    fn write(&mut self, work: CopyWork) -> Result<(), DiskError> {
        match work {
            CopyWork::Abandon => {
                self.disk.rollback();
                self.open = false;
                self.in_step = self.in_step_without_reset;
            }
            CopyWork::Reset => {
                self.disk.rollback();
                self.open = false;
                self.begin()?;
                self.disk.clear()?;
                self.in_step = true;
            }
            _ if !self.in_step => {}
            CopyWork::Put(changes) => {
                self.begin()?;
                for change in &changes {
                    self.disk.put(change)?;
                }
            }
            CopyWork::Commit {
                murder_id,
                revision,
            } => {
                self.begin()?;
                self.meta.murder_id = murder_id;
                self.meta.revision = revision;
                self.commit()?;
            }
            // Within a revision the time can wait for its end.
            CopyWork::Contact if self.open => {}
            CopyWork::Contact => {
                self.begin()?;
                self.commit()?;
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), DiskError> {
        if !self.open {
            self.disk.begin()?;
            self.open = true;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), DiskError> {
        self.meta.saved_ms = now_ms();
        self.disk.put_meta(&self.meta)?;
        self.disk.commit()?;
        self.open = false;
        self.in_step_without_reset = true;
        Ok(())
    }
}
