//! The durable copy.

use std::path::Path;
use std::time::Duration;

use murder_proto::v1;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

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

/// How long what has come is gathered for one transaction, which costs more than what is in it:
/// after a kill the copy is older by so much.
const GATHER: Duration = Duration::from_millis(50);
/// So much is written at once.
const GATHERED: usize = super::COPY_QUEUE;

/// Writes the durable copy until the replica is gone, always whole revisions (in transactions
/// which, unlike the master's, need not wait for the disk).
///
/// After a failed write the copy stays at the last revision that it has whole, and is
/// written again from the next snapshot, or by the next process from there on.
pub(super) async fn write_copy(disk: &Disk, meta: Meta, mut work: mpsc::Receiver<CopyWork>) {
    let mut writer = CopyWriter {
        disk,
        meta,
        open: false,
        in_step: true,
        in_step_without_reset: true,
    };
    let mut gathered = Vec::new();
    while work.recv_many(&mut gathered, super::COPY_QUEUE).await > 0 {
        let end = Instant::now() + GATHER;
        while gathered.len() < GATHERED {
            let more = work.recv_many(&mut gathered, super::COPY_QUEUE);
            if timeout_at(end, more).await.unwrap_or(0) == 0 {
                break;
            }
        }
        let joined = joined(&gathered);
        for (item, joined) in gathered.drain(..).zip(joined) {
            if let Err(error) = writer.write(item, joined) {
                disk.rollback();
                writer.open = false;
                writer.in_step = false;
                writer.in_step_without_reset = false;
                tracing::error!(%error, "durable copy not written; it stays as it was");
            }
        }
    }
    // Half a revision, if any, goes with the connection.
}

/// Which of these are ends of revisions that share their transaction with the next whole one.
fn joined(items: &[CopyWork]) -> Vec<bool> {
    let mut joined = vec![false; items.len()];
    let mut next = false;
    for (item, joined) in items.iter().zip(&mut joined).rev() {
        match item {
            CopyWork::Commit { .. } => *joined = std::mem::replace(&mut next, true),
            CopyWork::Reset | CopyWork::Abandon => next = false,
            CopyWork::Put(_) | CopyWork::Contact => {}
        }
    }
    joined
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
    /// `joined`: see there.
    fn write(&mut self, work: CopyWork, joined: bool) -> Result<(), DiskError> {
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
                if !joined {
                    self.commit()?;
                }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use murder_mailbox::MailboxId;

    use super::*;

    fn put(name: &str) -> CopyWork {
        let mailbox = v1::Mailbox {
            name: format!("user/{name}"),
            id: MailboxId::new().to_bytes().to_vec(),
            partition: "be1!default".to_owned(),
            state: v1::MailboxState::Active.into(),
            owner_acl: true,
            ..v1::Mailbox::default()
        };
        CopyWork::Put(vec![v1::Change {
            kind: Some(v1::change::Kind::Mailbox(mailbox)),
        }])
    }

    fn commit(revision: u64) -> CopyWork {
        CopyWork::Commit {
            murder_id: vec![7; 16],
            revision,
        }
    }

    /// However revisions are gathered, the copy is at a whole one: the last before what was broken off.
    #[tokio::test]
    async fn whole_revisions_only() {
        let cases: [(Vec<CopyWork>, u64, &[&str]); 4] = [
            (
                vec![put("a"), commit(1), put("b"), commit(2)],
                2,
                &["a", "b"],
            ),
            (
                vec![put("a"), commit(1), put("b"), commit(2), put("c")],
                2,
                &["a", "b"],
            ),
            (
                vec![
                    put("a"),
                    commit(1),
                    put("b"),
                    CopyWork::Abandon,
                    put("c"),
                    commit(2),
                ],
                2,
                &["a", "c"],
            ),
            (
                vec![
                    put("a"),
                    commit(1),
                    CopyWork::Contact,
                    CopyWork::Reset,
                    put("c"),
                    commit(3),
                ],
                3,
                &["c"],
            ),
        ];
        for (work, revision, names) in cases {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("copy.sqlite3");
            let (disk, meta, _) = open_copy(&path, &Topic::ALL).unwrap();
            let (sender, receiver) = mpsc::channel(super::super::COPY_QUEUE);
            for item in work {
                sender.try_send(item).ok().unwrap();
            }
            drop(sender);
            write_copy(&disk, meta, receiver).await;
            drop(disk);
            let (_, meta, tables) = open_copy(&path, &Topic::ALL).unwrap();
            assert_eq!(meta.revision, revision);
            let found = tables.map.range(std::ops::Bound::Unbounded);
            let found: Vec<_> = found.map(|entry| entry.name()).collect();
            let names: Vec<_> = names.iter().map(|name| format!("user/{name}")).collect();
            assert_eq!(found, names);
        }
    }
}
