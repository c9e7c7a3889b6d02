//! How much disk a partition and its homes take.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::{Partition, Shared};
use crate::blob::blocking;
use crate::error::StoreError;
use crate::fulltext;
use crate::home::schema;
use crate::partition_db::PartitionDb;

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
        add_up(&self.config.path, &mut |path, bytes| {
            let within = |dir: &Path| path.starts_with(dir);
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
        let db = PartitionDb::open(&self.config.path.join("partition.db"))?;
        let living: i64 = db.segments()?.values().map(|live| live.bytes).sum();
        usage.living = u64::try_from(living).unwrap_or(0);
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
