//! Repair of a partition that is damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::open::Losses;
use super::{Partition, ground, join};
use crate::body::BodyLocation;
use crate::config::PartitionConfig;
use crate::error::StoreError;
use crate::io::{DiskIo, JournalIo};
use crate::journal::checkpoint::Checkpoint;
use crate::journal::files::{SegmentName, files};
use crate::journal::salvage::{Lost, salvage};
use crate::journal::segment;

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
    /// Why what is known of the partition as a whole (`partition.db`, its identity file) was
    /// gathered anew from homes and journal. What could not be used is in the directory `damaged`.
    pub gathered: Option<String>,
    /// Records applied that a damaged journal had kept from being applied.
    pub salvaged: u64,
    /// What is lost.
    pub lost: Vec<LostRecords>,
    /// Bodies of messages that are there but cannot be read.
    pub corrupt_bodies: Vec<BodyLocation>,
    /// Homes that a lost record may have been about: their mailboxes have new UIDVALIDITYs, and
    /// something that was acknowledged may be missing.
    pub concerned_homes: Vec<String>,
    /// Homes whose own databases are missing or unusable, and why. They refuse everything until
    /// they were put back and repaired, or given up.
    pub damaged_homes: BTreeMap<u64, String>,
    /// Files in which bodies live that are missing or damaged, and what is wrong with them. Their
    /// messages are there and cannot be read.
    pub damaged_files: BTreeMap<u64, String>,
}

impl Repaired {
    /// Whether all homes of the partition are usable again.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damaged_homes.is_empty()
    }
}

/// Repairs a partition: gathers `partition.db` anew where it is lost, applies every record of the
/// journal that checks out, and says what is lost. What cannot be used is moved or copied to the
/// directory `damaged` of the partition before anything is changed. Without damage it changes
/// nothing, so that it can be repeated. Blocks.
///
/// # Errors
/// [`StoreError::InUse`] while the partition is open, [`StoreError::Newer`] for what a newer
/// version wrote, and those of opening one.
pub fn repair(config: PartitionConfig) -> Result<Repaired, StoreError> {
    repair_with(config, Arc::new(DiskIo), &BTreeSet::new())
}

/// As [`repair`], with another layer under the journal. Damaged homes of `give_up` are forgotten,
/// with all their mailboxes; their files are kept in `damaged`.
///
/// # Errors
/// As [`repair`].
pub fn repair_with(
    config: PartitionConfig,
    io: Arc<dyn JournalIo>,
    give_up: &BTreeSet<u64>,
) -> Result<Repaired, StoreError> {
    let config = PartitionConfig {
        maintenance_interval: Duration::ZERO,
        index_texts: false,
        create: false,
        ..config
    };
    let keep = config.path.join("damaged");
    let homes = config.path.join("homes");
    let mut report = Repaired::default();
    let opened = Partition::open_reading(config, io, Some(give_up), |journal| {
        let from = journal.from;
        let (disk, dir) = (journal.io, journal.dir);
        let found = salvage(disk, dir, journal.origin.tag, &from, journal.applied)?;
        for &segment in &found.damaged {
            copy(&SegmentName::Journal(segment).path(dir), &keep)
                .map_err(|e| StoreError::io("copying a damaged segment", &e))?;
        }
        for &(number, first_lsn) in &found.headless {
            let header = segment::Header::new(journal.origin, number, first_lsn).encode();
            let path = SegmentName::Journal(number).path(dir);
            let file = match disk.open(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => disk.create(&path),
                opened => opened,
            };
            file.and_then(|file| {
                file.write_all_at(&mut [IoSlice::new(&header)], 0)?;
                file.sync_data()?;
                disk.sync_dir(dir)
            })
            .map_err(|e| StoreError::io("writing the header of a segment", &e))?;
        }
        if !found.damaged.is_empty() || !found.headless.is_empty() {
            lengthen(disk, dir, from)
                .map_err(|e| StoreError::io("lengthening a damaged segment", &e))?;
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
        // What the older homes of a backup lack was before the checkpoint.
        let older = journal.older.iter().map(|(&home, &lsn)| Lost {
            segment: from.segment,
            offset: from.offset,
            first_lsn: lsn + 1,
            last_lsn: from.lsn,
            home: Some(home),
        });
        let lost: Vec<Lost> = older.chain(found.lost).collect();
        if !lost.is_empty() {
            // Records that are lost may have referred to what nobody refers to now.
            let new = |file: &SegmentName| file.number() > from.last_file;
            for file in files(disk, dir)?.into_iter().filter(new) {
                ground::link(&file.path(dir), &keep)
                    .map_err(|e| StoreError::io("keeping bodies", &e))?;
            }
            // What is lost may have been indexed.
            crate::fulltext::remove_all(&homes)
                .map_err(|e| StoreError::io("removing full-text indexes", &e))?;
        }
        report.lost = lost.iter().map(lost_records).collect();
        report.corrupt_bodies.clone_from(&found.bodies);
        let losses = Losses {
            mend: !found.damaged.is_empty() || !found.headless.is_empty(),
            lost,
        };
        Ok((found.scan, losses))
    });
    let (partition, concerned, mended) = opened?;
    report.gathered = mended.why;
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
    let damage = shared.damage.get();
    report.damaged_homes = damage.homes;
    report.damaged_files = damage.files;
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
    join(shared, &partition.handles, threads)?;
    Ok(report)
}

/// Recovery wants to find the segment of the checkpoint as long as it was, whatever is in it.
fn lengthen(io: &dyn JournalIo, dir: &Path, from: Checkpoint) -> io::Result<()> {
    if from.segment == 0 {
        return Ok(());
    }
    let file = io.open(&SegmentName::Journal(from.segment).path(dir))?;
    if file.size()? < from.offset {
        file.set_len(from.offset)?;
        file.sync_data()?;
    }
    Ok(())
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
