//! Repair of a partition whose journal is damaged.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Partition;
use super::open::Losses;
use crate::config::PartitionConfig;
use crate::error::StoreError;
use crate::io::{DiskIo, JournalIo};
use crate::journal::salvage::{Lost, salvage};
use crate::message::BodyLocation;
use crate::segments::SegmentName;

/// Records that are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostRecords {
    /// The segment in which the damage is; the last one before, when a segment is missing.
    pub segment: u64,
    /// Where in it, in bytes.
    pub offset: u64,
    /// The first lost record.
    pub first_lsn: u64,
    /// The last lost record.
    pub last_lsn: u64,
    /// The number of the home that it was about, when that can still be read. Otherwise it may
    /// have been about any.
    pub home: Option<u64>,
}

/// What a repair found and did. Nothing in it: there was no damage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Repaired {
    /// Records applied that a damaged journal had kept from being applied.
    pub salvaged: u64,
    /// What is lost.
    pub lost: Vec<LostRecords>,
    /// Bodies of messages that are there but cannot be read.
    pub corrupt_bodies: Vec<BodyLocation>,
    /// Homes that a lost record may have been about: their mailboxes have new UIDVALIDITYs, and
    /// something that was acknowledged may be missing.
    pub concerned_homes: Vec<String>,
    /// Homes whose own databases are unusable. While there are any, the partition stays as it
    /// was and has to be repaired again after they were seen to.
    pub damaged_homes: Vec<u64>,
}

impl Repaired {
    /// Whether the partition is usable again.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damaged_homes.is_empty()
    }
}

/// Repairs a partition that opens read-only because its journal is damaged: applies every
/// record that checks out and says what is lost. Damaged segments are copied to the directory
/// `damaged` of the partition before anything is changed. Without damage it changes nothing, so
/// that it can be repeated. Blocks.
///
/// # Errors
/// [`StoreError::InUse`] while the partition is open, and those of opening one.
pub fn repair(config: PartitionConfig) -> Result<Repaired, StoreError> {
    repair_with(config, Arc::new(DiskIo))
}

/// As [`repair`], with another layer under the journal.
///
/// # Errors
/// As [`repair`].
pub fn repair_with(
    config: PartitionConfig,
    io: Arc<dyn JournalIo>,
) -> Result<Repaired, StoreError> {
    let config = PartitionConfig {
        maintenance_interval: Duration::ZERO,
        index_texts: false,
        ..config
    };
    let keep = config.path.join("damaged");
    let homes = config.path.join("homes");
    let mut report = Repaired::default();
    let (partition, concerned) = Partition::open_reading(config, io, |io, segments, tag, from| {
        let place = (from.segment, from.offset);
        let found = salvage(io, &segments.dir, tag, from.lsn, place)?;
        for &segment in &found.damaged {
            copy(&SegmentName::Journal(segment).path(&segments.dir), &keep)
                .map_err(|e| StoreError::io("copying a damaged segment", &e))?;
        }
        let first = found
            .lost
            .iter()
            .map(|l| (l.segment, l.offset))
            .chain(found.bodies.iter().map(|b| (b.segment, b.offset)))
            .min();
        let behind = |place: (u64, u64)| first.is_some_and(|first| place > first);
        report.salvaged = found
            .scan
            .records
            .iter()
            .filter(|r| behind((r.segment, r.offset)))
            .count() as u64;
        if !found.lost.is_empty() {
            // What is lost may have been indexed.
            crate::fulltext::remove_all(&homes)
                .map_err(|e| StoreError::io("removing full-text indexes", &e))?;
        }
        report.lost = found.lost.iter().map(lost_records).collect();
        report.corrupt_bodies.clone_from(&found.bodies);
        let losses = Losses {
            mend: !found.damaged.is_empty(),
            lost: found.lost,
        };
        Ok((found.scan, losses))
    })?;
    let shared = &partition.shared;
    report.concerned_homes = concerned
        .into_iter()
        .map(|home| {
            let key = shared.catalogue.key(home).unwrap_or_default();
            if key.is_empty() {
                format!("#{home}")
            } else {
                key.to_string()
            }
        })
        .collect();
    report.damaged_homes = shared.damaged_homes.lock().iter().copied().collect();
    for lost in &report.lost {
        tracing::error!(
            segment = lost.segment,
            offset = lost.offset,
            first_lsn = lost.first_lsn,
            last_lsn = lost.last_lsn,
            home = lost.home,
            "records are lost"
        );
    }
    shared.close();
    let threads = std::mem::take(&mut *partition.threads.lock());
    shared.join(threads)?;
    Ok(report)
}

fn lost_records(lost: &Lost) -> LostRecords {
    LostRecords {
        segment: lost.segment,
        offset: lost.offset,
        first_lsn: lost.first_lsn,
        last_lsn: lost.last_lsn,
        home: lost.home,
    }
}

/// Copies a file to a directory, where it has not been copied before.
fn copy(file: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let copy = to.join(file.file_name().unwrap_or_default());
    if copy.exists() {
        return Ok(());
    }
    let part = copy.with_extension("part");
    fs::copy(file, &part)?;
    File::open(&part)?.sync_all()?;
    fs::rename(part, copy)?;
    File::open(to)?.sync_all()
}
