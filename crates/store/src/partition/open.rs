//! Opening a partition, with recovery.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use tokio::sync::{RwLock, Semaphore};

use super::ground::{Ground, Looking, Mended};
use super::{Partition, maintenance};
use crate::checkpoint::{self, Round};
use crate::config::PartitionConfig;
use crate::contents::ContentCache;
use crate::damage::DamageCell;
use crate::entry::{Entry, distribute};
use crate::error::StoreError;
use crate::fulltext::FullText;
use crate::handles::Handles;
use crate::health::HealthCell;
use crate::home::schema;
use crate::identity;
use crate::inbox::{Inbox, ShardSender, ToShard};
use crate::io::{DiskIo, JournalIo};
use crate::journal::checkpoint::Checkpoint;
use crate::journal::files::{SegmentName, files};
use crate::journal::record::locations;
use crate::journal::recovery::{self, Place, Scan};
use crate::journal::salvage::Lost;
use crate::journal::segment::{self, Origin};
use crate::journal::segments::Segments;
use crate::metrics::Metrics;
use crate::partition_db::PartitionDb;
use crate::queue::JournalQueue;
use crate::readers::Readers;
use crate::recents::Recents;
use crate::reporting::Reporting;
use crate::reserve;
use crate::shared::{LARGE_BODIES, Shared, WAITING_KIB};
use crate::threads::checkpoint::Checkpointer;
use crate::threads::index;
use crate::threads::journal::Writer;
use crate::threads::shard::{Anew, Replay, Shard};

/// Records handed to the shards at a time during replay.
const REPLAY_BATCH: usize = 512;

impl Partition {
    /// Opens a partition, making it when the directory is empty, after recovery if it was not
    /// closed cleanly. Blocks: in async code call it from `spawn_blocking`.
    ///
    /// A partition whose journal is damaged opens read-only, see
    /// [`Partition::health`].
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Missing`], [`StoreError::Damaged`],
    /// [`StoreError::Newer`], [`StoreError::Format`], [`StoreError::DiskFull`],
    /// [`StoreError::Io`].
    pub fn open(config: PartitionConfig) -> Result<Arc<Self>, StoreError> {
        Self::open_with(config, Arc::new(DiskIo))
    }

    /// As [`Partition::open`], with another layer under the journal.
    ///
    /// # Errors
    /// As [`Partition::open`].
    pub fn open_with(
        config: PartitionConfig,
        io: Arc<dyn JournalIo>,
    ) -> Result<Arc<Self>, StoreError> {
        Self::open_reading(config, io, None, |journal| {
            Ok((journal.scan()?, Losses::default()))
        })
        .map(|(partition, ..)| partition)
    }

    /// Opens a partition with the journal read by `read`; in repair with homes to be given up.
    /// Returns the homes that losses concern as well, and what was mended before the journal was
    /// read.
    pub(super) fn open_reading(
        config: PartitionConfig,
        io: Arc<dyn JournalIo>,
        repair: Option<&BTreeSet<u64>>,
        read: impl FnOnce(&Journal<'_>) -> Result<(Scan, Losses), StoreError>,
    ) -> Result<(Arc<Self>, BTreeSet<u64>, Mended), StoreError> {
        let path = config.path.clone();
        if !config.create && !identity::holds_something(&path)? {
            return Err(StoreError::Missing(path));
        }
        let (journal_dir, homes_dir) = (path.join("journal"), path.join("homes"));
        for dir in [&path, &journal_dir, &homes_dir] {
            fs::create_dir_all(dir)
                .map_err(|e| StoreError::io("making the partition's directory", &e))?;
        }
        let lock = lock(&path)?;
        let no_room = |e: std::io::Error| StoreError::io("looking for room on the disk", &e);
        reserve::release_if_full(&path).map_err(no_room)?;
        File::open(&path)
            .and_then(|dir| dir.sync_all())
            .map_err(|e| StoreError::io("making the partition's directory", &e))?;
        let damage = Arc::<DamageCell>::default();
        let nobody = BTreeSet::new();
        let looking = Looking {
            path: &path,
            io: &*io,
            damage: &damage,
            mend: repair.is_some(),
            give_up: repair.unwrap_or(&nobody),
        };
        let ground = looking.look()?;
        looking.check_files(&ground.db)?;
        let Ground {
            db,
            catalogue,
            known,
            why,
            applied,
            last_file,
            mended,
        } = ground;
        let segments = Segments::new(
            Arc::clone(&io),
            journal_dir,
            config.open_segments,
            Arc::clone(&damage),
        );
        let from = db.checkpoint;
        let mut origin = Origin {
            tag: db.tag,
            partition: db.identity.partition,
            level: from
                .level
                .max(config.journal_level.clamp(1, segment::LEVEL)),
        };
        segments.raise_number(from.last_file.max(last_file));
        for file in files(&*io, &segments.dir)? {
            segments.raise_number(file.number());
        }
        let (mut scan, losses) = read(&Journal {
            io: &*io,
            dir: &segments.dir,
            from,
            applied,
            origin,
            older: &mended.older,
        })?;
        if applied >= scan.next_lsn && scan.damage.is_none() {
            let end = scan.next_lsn - 1;
            let why = format!("it ends at record {end}, homes have applied record {applied}");
            scan.damage = Some(StoreError::damaged(&segments.dir, why));
        }
        origin.level = origin.level.max(scan.level);
        scan.damage = why.or(scan.damage);
        let health = HealthCell::default();
        if let Some(damage) = &scan.damage {
            health.read_only(damage);
        } else {
            remove_empty(&*io, &segments.dir, &scan)?;
        }
        let shards = match config.shards {
            0 => thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let inboxes: Vec<Arc<Inbox>> = (0..shards).map(|_| Arc::default()).collect();
        let shared = Arc::new(Shared {
            identity: db.identity,
            epoch: AtomicU64::new(config.epoch.max(scan.epoch)),
            origin,
            catalogue,
            claims: Arc::default(),
            recents: Recents::default(),
            contents: ContentCache::new(config.item_cache_bytes),
            readers: Readers::new(
                homes_dir.clone(),
                db.tag,
                Arc::clone(&damage),
                inboxes.clone(),
                config.readers,
            ),
            inboxes,
            fulltext: FullText::new(config.index_texts, config.index_delay),
            segments: Arc::new(segments),
            watchers: Arc::default(),
            metrics: Arc::default(),
            health,
            template: schema::template()?,
            homes_dir,
            queue: JournalQueue::new(shards),
            reporting: Reporting::new(&config, from, db.reported),
            closing: tokio::sync::watch::Sender::new(false),
            compaction: Default::default(),
            settled: AtomicU64::new(from.lsn),
            synced: tokio::sync::watch::Sender::new(scan.next_lsn - 1),
            durable: AtomicU64::new(scan.next_lsn - 1),
            waiting: Arc::new(Semaphore::new(WAITING_KIB as usize)),
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES)),
            #[cfg(test)]
            commits_fail: false.into(),
            damage,
            home_keys: RwLock::new(()),
            config,
        });
        let handles = Arc::new(Handles::new(shared.config.view_cache_bytes));
        let damaged = scan.damage.is_some();
        let mending = !losses.lost.is_empty() || losses.mend || mended.why.is_some();
        let known = Arc::new(known);
        let replay = || Replay {
            checkpoint: from.lsn,
            known: Arc::clone(&known),
            anew: match (damaged, mending) {
                (true, _) => Anew::None,
                (false, true) => Anew::Damaged,
                (false, false) => Anew::All,
            },
            met: Default::default(),
        };
        let (shards, mut threads) = start_threads(&shared, &handles, db, lock, replay)?;
        let concerned = replay_records(&shared, &shards, &scan, losses.lost)?;
        finish_replay(&shared, &shards, &scan, damaged)?;
        let writer = Writer::new(Arc::clone(&shared), shards, scan.next_lsn, scan.end);
        threads.push(spawn("journal", move || writer.run())?);
        if !shared.config.maintenance_interval.is_zero() {
            let shared = Arc::clone(&shared);
            threads.push(spawn("maintenance", move || maintenance::run(&shared))?);
        }
        if shared.fulltext.is_enabled() {
            let shared = Arc::clone(&shared);
            threads.push(spawn("index", move || index::run(&shared))?);
        }
        reserve::set_aside(&path, shared.config.reserve_bytes).map_err(no_room)?;
        let (homes, mailboxes) = shared.catalogue.counts();
        tracing::info!(
            partition = shared.config.name,
            homes,
            mailboxes,
            epoch = shared.epoch(),
            replayed = scan.records.len(),
            "partition is open"
        );
        let partition = Arc::new(Self {
            shared,
            handles,
            threads: Mutex::new(threads),
        });
        let concerned = concerned.lock().clone();
        Ok((partition, concerned, mended))
    }
}

/// The journal as it is to be read.
pub(super) struct Journal<'a> {
    pub io: &'a dyn JournalIo,
    pub dir: &'a Path,
    pub from: Checkpoint,
    /// The last record that homes have applied.
    pub applied: u64,
    pub origin: Origin,
    /// In repair: homes that are older than the checkpoint, with their last records.
    pub older: &'a BTreeMap<u64, u64>,
}

impl Journal<'_> {
    fn scan(&self) -> Result<Scan, StoreError> {
        recovery::scan(self.io, self.dir, self.origin.tag, &self.from)
    }
}

/// What is missing in a journal that is opened all the same.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// In the order of LSNs.
    pub lost: Vec<Lost>,
    /// Whether the journal is being repaired, if only bodies of it.
    pub mend: bool,
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join("lock"))
        .map_err(|e| StoreError::io("opening the lock file", &e))?;
    match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse(path.to_owned())),
        Err(e) => Err(StoreError::io("locking the partition", &e.into())),
    }
}

/// Removes segments that were only being made when the machine stopped. A torn tail stays: nobody
/// reads it, as the journal goes on in another segment.
fn remove_empty(io: &dyn JournalIo, dir: &Path, scan: &Scan) -> Result<(), StoreError> {
    for &(segment, offset) in &scan.torn {
        tracing::info!(segment, offset, "the journal has a torn tail");
    }
    for &segment in &scan.empty {
        io.remove(&SegmentName::Journal(segment).path(dir))
            .map_err(|e| StoreError::io("removing an unfinished segment", &e))?;
    }
    Ok(())
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|e| StoreError::io("starting a thread", &e))
}

type Threads = (Vec<ShardSender>, Vec<JoinHandle<()>>);

fn start_threads(
    shared: &Arc<Shared>,
    handles: &Arc<Handles>,
    db: PartitionDb,
    lock: File,
    replay: impl Fn() -> Replay,
) -> Result<Threads, StoreError> {
    let count = shared.inboxes.len();
    let (checkpoints, messages) = mpsc::channel();
    let checkpointer = Checkpointer {
        shared: Arc::clone(shared),
        db,
        shards: count,
        lock,
    };
    let mut threads = vec![spawn("checkpoint", move || checkpointer.run(&messages))?];
    let mut shards = Vec::with_capacity(count);
    for (index, inbox) in shared.inboxes.iter().enumerate() {
        let (sender, receiver) = inbox.ends();
        let checkpoints = checkpoints.clone();
        let shared = Arc::clone(shared);
        let ends = (receiver, checkpoints);
        let shard = Shard::new((index, count), shared, Arc::clone(handles), ends, replay());
        threads.push(spawn(&format!("shard{index}"), move || shard.run())?);
        shards.push(sender);
    }
    Ok((shards, threads))
}

/// Hands the records after the checkpoint to the shards, and what is lost in its place. Returns
/// the homes that the losses concern; they are known when the shards have applied everything.
fn replay_records(
    shared: &Shared,
    shards: &[ShardSender],
    scan: &Scan,
    lost: Vec<Lost>,
) -> Result<Arc<Mutex<BTreeSet<u64>>>, StoreError> {
    let concerned = Arc::new(Mutex::new(BTreeSet::new()));
    let mut from = 0;
    for loss in lost {
        let to = scan.records.partition_point(|r| r.lsn < loss.first_lsn);
        replay_part(shared, shards, &scan.records[from..to])?;
        from = to;
        for shard in shards {
            shard.send(ToShard::Lost {
                lsn: loss.last_lsn,
                home: loss.home,
                concerned: Arc::clone(&concerned),
            })?;
        }
    }
    replay_part(shared, shards, &scan.records[from..])?;
    Ok(concerned)
}

fn replay_part(
    shared: &Shared,
    shards: &[ShardSender],
    records: &[Place],
) -> Result<(), StoreError> {
    for records in records.chunks(REPLAY_BATCH) {
        let mut by_shard = vec![Vec::new(); shards.len()];
        for place in records {
            let file = shared.segments.file(place.segment)?;
            let op = recovery::read_command(&file, place)?;
            let homes = op.homes();
            let last = op.jump().map(|jump| jump.home);
            for home in homes.iter().copied().chain(last) {
                shared.catalogue.raise_next_home(home);
            }
            shared.reporting.applied(&op, place.lsn);
            // A large body of it may be missing.
            for message in op.messages() {
                shared.segments.raise_number(message.segment);
            }
            let locations = locations(
                &op,
                place.segment,
                place.offset,
                u64::from(place.command_len),
            );
            let entry = Entry::new(place.lsn, op, homes, locations, Vec::new(), None);
            let entry = Arc::new(entry);
            distribute(&entry, &mut by_shard);
        }
        for (shard, entries) in shards.iter().zip(by_shard) {
            shard.send(ToShard::Entries(entries))?;
        }
        Metrics::add(&shared.metrics.replayed, records.len() as u64);
    }
    Ok(())
}

/// Waits until the shards have applied everything, and makes that the new checkpoint.
fn finish_replay(
    shared: &Shared,
    shards: &[ShardSender],
    scan: &Scan,
    damaged: bool,
) -> Result<(), StoreError> {
    let (done, finished) = mpsc::channel();
    for shard in shards {
        shard.send(ToShard::Replayed(done.clone()))?;
    }
    for _ in shards {
        finished.recv().map_err(|_| StoreError::Closed)?;
    }
    shared.catalogue.settle_keys();
    if damaged {
        return Ok(());
    }
    let round = Round {
        number: 1,
        at: Checkpoint {
            lsn: scan.next_lsn - 1,
            segment: scan.end.0,
            offset: scan.end.1,
            last_file: shared.segments.last_number(),
            began: checkpoint::now(),
            uids: shared.reporting.journaled(),
            epoch: shared.epoch_of_records(),
            level: shared.origin.level,
        },
        done: Some(done),
    };
    for shard in shards {
        shard.send(ToShard::Checkpoint(round.clone()))?;
    }
    drop(round);
    finished.recv().map_err(|_| StoreError::Closed)
}
