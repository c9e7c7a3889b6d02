//! How much disk a partition and its homes take.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::Partition;
use crate::blocking::blocking;
use crate::error::StoreError;
use crate::fulltext;
use crate::home::{SegmentChange, schema};
use crate::journal::files::SegmentName;
use crate::partition_db::PartitionDb;
use crate::shared::Shared;

/// Bytes in a unit of `st_blocks`.
const BLOCK: u64 = 512;

/// What a partition takes on disk, in bytes that are really allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskUsage {
    /// Journal segments.
    pub journal: u64,
    /// Files of large bodies.
    pub large_bodies: u64,
    /// The homes' databases.
    pub homes: u64,
    /// Full-text indexes.
    pub index: u64,
    /// Everything else: the partition's own database, copies of damaged segments.
    pub other: u64,
    /// Bodies that homes refer to, each counted once a home, as of the last checkpoint: what
    /// of `journal` and `large_bodies` is of use, or more where bodies are shared.
    pub living: u64,
    /// What of `journal` and `large_bodies` is of no use to any home: in files that were whole
    /// at the last checkpoint, and in which everything was counted.
    pub garbage: u64,
    /// What is free for the store on the file system.
    pub free: u64,
    /// The size of the file system.
    pub size: u64,
}

impl DiskUsage {
    /// All that the partition takes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.journal + self.large_bodies + self.homes + self.index + self.other
    }
}

/// What a home takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HomeUsage {
    /// Bytes of the bodies of its messages, each body once.
    pub messages: u64,
    /// Bytes of bodies that are only there so that messages and mailboxes can be restored.
    pub restorable: u64,
    /// Bytes allocated for its full-text index.
    pub index: u64,
    /// Bytes allocated for its database.
    pub database: u64,
}

impl Partition {
    /// What the partition takes on disk. Looks at every file.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn disk_usage(&self) -> Result<DiskUsage, StoreError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.disk_usage()).await
    }

    /// Bytes of messages that are only kept so that they and their mailboxes can be restored, in
    /// homes that had some at the last checkpoint. Asks each of these homes.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn kept_bytes(&self) -> Result<u64, StoreError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let db = PartitionDb::open(&shared.db_path())?;
            let mut kept = 0;
            for home in db.due(i64::MAX)? {
                match shared.readers.with(home, |r| r.kept_bytes()) {
                    Ok(bytes) => kept += bytes,
                    // It has gone meanwhile, or is damaged, which others report.
                    Err(error) => tracing::debug!(home, %error, "what it keeps is not known"),
                }
            }
            Ok(kept)
        })
        .await
    }

    /// What a home (a [`home_key`](murder_mailbox::MailboxName::home_key)) takes on disk.
    ///
    /// # Errors
    /// [`StoreError::NoSuchHome`], [`StoreError::Io`].
    pub async fn home_usage(&self, home: &str) -> Result<HomeUsage, StoreError> {
        let shared = Arc::clone(&self.shared);
        let home = shared.catalogue.home(home).ok_or(StoreError::NoSuchHome)?;
        blocking(move || {
            let (messages, all) = shared.readers.with(home, |r| r.body_bytes())?;
            let path = schema::path(&shared.homes_dir, home);
            let sum = |extensions: [&str; 3]| {
                let sizes = extensions.map(|e| allocated(&path.with_extension(e)));
                let sum = sizes.into_iter().sum::<io::Result<u64>>();
                sum.map_err(|e| StoreError::io("looking at a home's files", &e))
            };
            Ok(HomeUsage {
                messages,
                restorable: all.saturating_sub(messages),
                database: sum(["db", "db-wal", "db-shm"])?,
                index: sum(fulltext::EXTENSIONS)?,
            })
        })
        .await
    }
}

impl Shared {
    fn disk_usage(&self) -> Result<DiskUsage, StoreError> {
        let io = |e: io::Error| StoreError::io("looking at the partition's files", &e);
        let mut usage = DiskUsage::default();
        let mut files: Vec<(u64, u64)> = Vec::new();
        add_up(&self.config.path, &mut |path, bytes| {
            let within = |dir: &Path| path.starts_with(dir);
            let name = path.file_name().and_then(|name| name.to_str());
            let file = name.and_then(SegmentName::parse);
            if let Some(file) = file.filter(|_| within(&self.segments.dir)) {
                files.push((file.number(), bytes));
            }
            let extension = path.extension().and_then(|e| e.to_str());
            let is_index = extension.is_some_and(|e| fulltext::EXTENSIONS.contains(&e));
            let sum = if within(&self.homes_dir) && is_index {
                &mut usage.index
            } else if within(&self.homes_dir) {
                &mut usage.homes
            } else if !within(&self.segments.dir) {
                &mut usage.other
            } else if path.extension().is_some_and(|e| e == "blob") {
                &mut usage.large_bodies
            } else {
                &mut usage.journal
            };
            *sum += bytes;
        })
        .map_err(io)?;
        let db = PartitionDb::open(&self.db_path())?;
        let segments = db.segments()?;
        let living = |segment: &SegmentChange| u64::try_from(segment.bytes).unwrap_or(0);
        usage.living = segments.values().map(living).sum();
        // Of what came since nothing is known yet.
        let counted = files
            .into_iter()
            .filter(|(number, _)| *number < db.checkpoint.segment);
        usage.garbage = counted
            .map(|(number, bytes)| bytes.saturating_sub(segments.get(&number).map_or(0, living)))
            .sum();
        let system = rustix::fs::statvfs(&self.config.path).map_err(|e| io(e.into()))?;
        usage.free = system.f_bavail * system.f_frsize;
        usage.size = system.f_blocks * system.f_frsize;
        Ok(usage)
    }
}

/// Tells `add` of every file below a directory. A file that goes meanwhile counts nothing.
fn add_up(dir: &Path, add: &mut impl FnMut(&Path, u64)) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => add_up(&path, add)?,
            Ok(_) => add(&path, allocated(&path)?),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn allocated(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.blocks() * BLOCK),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(e),
    }
}
