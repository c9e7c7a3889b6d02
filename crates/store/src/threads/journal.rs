//! The journal thread: takes everything that waits, makes it durable with one `fdatasync`,
//! hands it to the shards in the order of LSNs.

use std::io::{self, IoSlice};
use std::sync::Arc;

use crate::checkpoint::{self, Round};
use crate::entry::{Entry, distribute};
use crate::error::{StoreError, is_full};
use crate::inbox::{ShardSender, ToShard};
use crate::io::JournalFile;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::files::SegmentName;
use crate::journal::record::{self, locations};
use crate::journal::segment;
use crate::metrics::Metrics;
use crate::queue::{BoxedSubmission, Submission};
use crate::shared::Shared;

/// The thread's priority: every change waits for it, and it for the disk most of the time, which
/// does nothing while it waits for a processor.
const NICE: i32 = -10;

/// The segment being written.
#[derive(Debug)]
struct Current {
    number: u64,
    file: Arc<dyn JournalFile>,
    position: u64,
    /// Whether room is set aside up to the segment's size.
    allocated: bool,
}

/// Why a batch was not written.
enum Failure {
    /// The journal is as it was.
    Refused(StoreError),
    /// Nothing is known of what is on disk.
    Broken(StoreError),
}

/// The journal thread's state.
#[derive(Debug)]
pub(crate) struct Writer {
    pub shared: Arc<Shared>,
    pub shards: Vec<ShardSender>,
    pub next_lsn: u64,
    current: Option<Current>,
    /// Where records are looked for when nothing is written after the last one.
    end: (u64, u64),
    since_checkpoint: u64,
    /// The epoch at the last checkpoint.
    epoch: u64,
    rounds: u64,
}

impl Writer {
    /// A writer whose first record is `next_lsn`, in a new segment. `end` is the place after
    /// the last record.
    pub fn new(
        shared: Arc<Shared>,
        shards: Vec<ShardSender>,
        next_lsn: u64,
        end: (u64, u64),
    ) -> Self {
        Self {
            epoch: shared.epoch_of_records(),
            shared,
            shards,
            next_lsn,
            current: None,
            end,
            since_checkpoint: 0,
            // The first round was recovery's.
            rounds: 1,
        }
    }

    /// Works until the queue is closed and empty.
    pub fn run(mut self) {
        // Without permission it waits its turn like others.
        let _ = rustix::process::setpriority_process(None, NICE);
        while let Some(batch) = self.shared.queue.take() {
            self.write(batch.submissions);
            if batch.checkpoint.is_some()
                || self.since_checkpoint >= self.shared.config.checkpoint_bytes
            {
                self.checkpoint(batch.checkpoint);
            }
        }
        self.checkpoint(None);
        if let Some(current) = &self.current
            && let Err(e) = current.file.set_len(current.position)
        {
            tracing::warn!(error = %e, "could not cut the last journal segment to its length");
        }
    }

    /// Writes a batch, in parts where a segment ends.
    fn write(&mut self, batch: Vec<BoxedSubmission>) {
        let mut batch = batch.into_iter().peekable();
        while batch.peek().is_some() {
            let mut room = match &self.current {
                Some(current) => self.shared.config.segment_bytes - current.position,
                None => 0,
            };
            let jumps =
                |s: &BoxedSubmission| s.command.op.as_ref().is_some_and(|op| op.jump().is_some());
            // A jump begins a segment, whose number jumps too.
            if batch
                .peek()
                .is_some_and(|s| s.record_bytes() > room || jumps(s))
            {
                if let Err(failure) = self.roll() {
                    self.fail(batch.by_ref().collect(), failure);
                    return;
                }
                room = self.shared.config.segment_bytes - segment::HEADER_BYTES;
            }
            let mut part = Vec::with_capacity(batch.len());
            while let Some(submission) = batch.next_if(|s| s.record_bytes() <= room) {
                room -= submission.record_bytes();
                let last = jumps(&submission);
                part.push(submission);
                if last {
                    // What follows has another LSN than the next.
                    break;
                }
            }
            match self.commit(&part) {
                Ok(records) => self.hand_over(part, &records),
                Err(failure) => self.fail(part, failure),
            }
        }
    }

    /// Begins a new segment.
    fn roll(&mut self) -> Result<(), Failure> {
        self.shared
            .health
            .refusal_of_journal()
            .map_or(Ok(()), |why| Err(Failure::Refused(why)))?;
        let segments = &self.shared.segments;
        let number = segments.next_number();
        let path = SegmentName::Journal(number).path(&segments.dir);
        let size = self.shared.config.segment_bytes;
        let header = segment::Header::new(self.shared.origin, number, self.next_lsn).encode();
        let made = segments.io.create(&path).and_then(|file| {
            file.allocate(size)?;
            file.write_all_at(&mut [IoSlice::new(&header)], 0)?;
            file.sync_data()?;
            segments.io.sync_dir(&segments.dir)?;
            Ok(file)
        });
        let file = match made {
            Ok(file) => file,
            Err(e) => {
                // Nothing is in it: whether it stays does not matter to recovery.
                let _ = segments.io.remove(&path);
                return Err(Failure::Refused(StoreError::io("beginning a segment", &e)));
            }
        };
        if let Some(old) = self.current.take()
            && let Err(e) = old.file.set_len(old.position)
        {
            // Zeros at the end are as good; it only takes more room.
            tracing::warn!(segment = old.number, error = %e, "could not cut a full segment to its length");
        }
        self.current = Some(Current {
            number,
            file,
            position: segment::HEADER_BYTES,
            allocated: true,
        });
        Ok(())
    }

    /// Writes records to the current segment and makes them durable. Returns the place of
    /// each.
    fn commit(&mut self, part: &[BoxedSubmission]) -> Result<Vec<u64>, Failure> {
        if let Some(why) = self.shared.health.refusal_of_journal() {
            return Err(Failure::Refused(why));
        }
        let Some(current) = &mut self.current else {
            return Err(Failure::Refused(StoreError::Closed));
        };
        let io_error = |e: &io::Error| StoreError::io("writing the journal", e);
        if !current.allocated {
            current
                .file
                .allocate(self.shared.config.segment_bytes)
                .map_err(|e| Failure::Refused(io_error(&e)))?;
            current.allocated = true;
        }
        let durable_lsn = self.next_lsn - 1;
        let epoch = self.shared.epoch_of_records();
        let mut headers = Vec::with_capacity(part.len());
        for (lsn, submission) in (self.next_lsn..).zip(part) {
            let homes = &submission.homes;
            let header = record::Header {
                tag: self.shared.origin.tag,
                command_len: u32::try_from(submission.encoded.len()).unwrap_or(u32::MAX),
                bodies_len: submission.bodies.iter().map(|b| b.len() as u64).sum(),
                lsn,
                durable_lsn,
                home: homes.first().copied().unwrap_or_default(),
                homes: u32::try_from(homes.len()).unwrap_or(u32::MAX),
                command_crc: crc32c::crc32c(&submission.encoded),
                epoch,
            };
            headers.push((header, header.encode()));
        }
        let mut slices = Vec::new();
        let mut places = Vec::with_capacity(part.len());
        let mut end = current.position;
        for ((header, bytes), submission) in headers.iter().zip(part) {
            const ZEROS: [u8; record::ALIGN as usize] = [0; record::ALIGN as usize];
            slices.push(IoSlice::new(bytes));
            slices.push(IoSlice::new(&submission.encoded));
            slices.extend(submission.bodies.iter().map(|b| IoSlice::new(b)));
            let padding = header.total() - header.bodies_at() - header.bodies_len;
            slices.push(IoSlice::new(&ZEROS[..padding as usize]));
            places.push(end);
            end += header.total();
        }
        slices.retain(|s| !s.is_empty());
        let written = current
            .file
            .write_all_at(&mut slices, current.position)
            .map_err(|e| (false, e))
            .and_then(|()| current.file.sync_data().map_err(|e| (true, e)));
        Metrics::add(&self.shared.metrics.fsyncs, 1);
        if let Err((syncing, e)) = written {
            let error = io_error(&e);
            if syncing && !is_full(&e) {
                // What a failed fsync leaves on disk cannot be known.
                return Err(Failure::Broken(error));
            }
            current.allocated = false;
            let cut = current
                .file
                .set_len(current.position)
                .and_then(|()| current.file.sync_data());
            return Err(match cut {
                Ok(()) => Failure::Refused(error),
                Err(_) => Failure::Broken(error),
            });
        }
        let bytes = end - current.position;
        current.position = end;
        self.end = (current.number, end);
        let last_lsn = durable_lsn + part.len() as u64;
        self.shared.synced.send_replace(last_lsn);
        if let Some(sink) = &self.shared.config.sink {
            sink.wait(self.next_lsn..=last_lsn)
                .map_err(Failure::Broken)?;
        }
        self.shared.set_durable(last_lsn);
        self.since_checkpoint += bytes;
        let metrics = &self.shared.metrics;
        Metrics::add(&metrics.batches, 1);
        Metrics::add(&metrics.records, part.len() as u64);
        Metrics::add(&metrics.journal_bytes, bytes);
        Ok(places)
    }

    /// Gives durable records to the shards of their homes.
    fn hand_over(&mut self, part: Vec<BoxedSubmission>, places: &[u64]) {
        let Some(segment) = self.current.as_ref().map(|c| c.number) else {
            return;
        };
        let mut by_shard: Vec<Vec<Arc<Entry>>> = vec![Vec::new(); self.shards.len()];
        let mut counts = vec![0; self.shards.len()];
        for (submission, &place) in part.into_iter().zip(places) {
            let lsn = self.next_lsn;
            let Submission {
                command,
                homes,
                encoded,
                items,
                staged,
                pins,
                answer,
                reserved,
                ..
            } = *submission;
            let Some(op) = command.op else {
                continue;
            };
            self.next_lsn = op.next_lsn(lsn);
            self.shared.reporting.applied(&op, lsn);
            drop(reserved);
            if homes.is_empty() {
                let _ = answer.send(Ok(Vec::new()));
                continue;
            }
            for body in &staged {
                body.journaled(lsn);
            }
            for pin in &pins {
                pin.journaled(lsn);
            }
            let locations = locations(&op, segment, place, encoded.len() as u64);
            let entry = Arc::new(Entry::new(lsn, op, homes, locations, items, Some(answer)));
            for home in &entry.homes {
                counts[(home % self.shards.len() as u64) as usize] += 1;
            }
            distribute(&entry, &mut by_shard);
        }
        self.shared.queue.handed_over(&counts);
        for (shard, entries) in self.shards.iter().zip(by_shard) {
            if !entries.is_empty() && shard.send(ToShard::Entries(entries)).is_err() {
                // The answers are dropped with the entries: submitters see a closed store.
                self.shared.health.read_only(&StoreError::Closed);
            }
        }
    }

    /// Answers those whose records were not written.
    fn fail(&self, part: Vec<BoxedSubmission>, failure: Failure) {
        let error = match failure {
            Failure::Refused(error) => error,
            Failure::Broken(error) => {
                self.shared.health.read_only(&error);
                StoreError::InDoubt {
                    why: error.to_string(),
                }
            }
        };
        if matches!(error, StoreError::DiskFull) {
            Metrics::add(&self.shared.metrics.disk_full, 1);
        }
        tracing::warn!(%error, records = part.len(), "a batch was not written");
        for submission in part {
            let _ = submission.answer.send(Err(error.clone()));
        }
    }

    /// Sends the shards the mark after which everything before is theirs to make durable.
    fn checkpoint(&mut self, done: Option<std::sync::mpsc::Sender<()>>) {
        let lsn = self.next_lsn - 1;
        self.since_checkpoint = 0;
        let epoch = self.shared.epoch_of_records();
        let is_known = std::mem::replace(&mut self.epoch, epoch) == epoch;
        if is_known && lsn == self.shared.settled() && !self.shared.recents.any() {
            if let Some(done) = done {
                let _ = done.send(());
            }
            return;
        }
        self.rounds += 1;
        let round = Round {
            number: self.rounds,
            at: Checkpoint {
                lsn,
                segment: self.end.0,
                offset: self.end.1,
                last_file: self.shared.segments.last_number(),
                began: checkpoint::now(),
                uids: self.shared.reporting.journaled(),
                epoch,
                level: self.shared.origin.level,
            },
            done,
        };
        for shard in &self.shards {
            // One that is gone has said so already.
            let _ = shard.send(ToShard::Checkpoint(round.clone()));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Whatever it ended of: nobody would take what waits.
        self.shared.queue.abandon();
    }
}
