//! Compaction: segments in which little lives are emptied, so that they can be removed.
//!
//! The homes that refer to a segment are asked for its living bodies; these go through the
//! journal once more, in records that also move every reference to them. The segment then goes
//! as any other file does when nothing refers to it. Each record stands for itself: a crash at
//! any moment leaves bodies that have moved and bodies that have not, and nothing to undo.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Partition;
use crate::blocking::blocking;
use crate::body::BodyLocation;
use crate::command::{Message, OldPlace, Op, Relocate};
use crate::entry::Outcome;
use crate::error::StoreError;
use crate::journal::files::{SegmentName, files};
use crate::metrics::Metrics;
use crate::partition_db::PartitionDb;
use crate::shared::{Payload, Shared};

/// Bytes of bodies in one record: little enough that a delivery in the same batch is not held
/// up by more than a millisecond or two of writing.
const RECORD_BYTES: u64 = 512 << 10;
/// Bodies in one record, for those that are small.
const RECORD_BODIES: usize = 256;
/// Homes in one record: each costs its shard a transaction, and some have to be opened.
const RECORD_HOMES: usize = 8;

/// What a compaction did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Segments whose living bodies were looked up.
    pub examined: u64,
    /// Segments of which nothing that could be read is left.
    pub emptied: u64,
    /// Bodies written anew.
    pub bodies: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bodies that do not fit their checksums. They were left where they are, as their
    /// segments are.
    pub corrupt: Vec<BodyLocation>,
}

/// A living body and who refers to it.
struct Living {
    at: BodyLocation,
    homes: Vec<u64>,
}

impl Partition {
    /// Empties every segment in which less lives than
    /// [`compact_below_percent`](crate::PartitionConfig::compact_below_percent) says, at the
    /// speed of [`compact_bytes_per_second`](crate::PartitionConfig::compact_bytes_per_second),
    /// and removes what is empty then. The partition also does so by itself now and then.
    ///
    /// # Errors
    /// Those of every change. What was done until then stays done.
    pub async fn compact(&self) -> Result<Compacted, StoreError> {
        self.shared.compact(true).await
    }
}

impl Shared {
    /// As [`Partition::compact`]; `asked` also examines what was found too full before.
    pub(super) async fn compact(self: &Arc<Self>, asked: bool) -> Result<Compacted, StoreError> {
        let mut done = Compacted::default();
        let mut examined = self.compaction.lock().await;
        if asked {
            examined.clear();
            // So that what is known about segments is what is so.
            self.checkpoint().await?;
        }
        let shared = Arc::clone(self);
        let candidates = blocking(move || shared.candidates(asked)).await?;
        examined.retain(|segment, _| candidates.iter().any(|c| c.segment == *segment));
        for candidate in candidates {
            let before = examined.get(&candidate.segment);
            if before.is_some_and(|&before| candidate.refs > before - before / 4) {
                continue;
            }
            examined.insert(candidate.segment, candidate.refs);
            done.examined += 1;
            self.empty(candidate, &mut done).await?;
        }
        if done.bodies > 0 {
            tracing::info!(
                partition = self.config.name,
                segments = done.emptied,
                bodies = done.bodies,
                bytes = done.bytes,
                corrupt = done.corrupt.len(),
                "compacted"
            );
            self.checkpoint().await?;
        }
        Ok(done)
    }

    /// Segments that seem to be emptier than they should be. When `asked`, also those of which
    /// that cannot be known without looking.
    fn candidates(&self, asked: bool) -> Result<Vec<Candidate>, StoreError> {
        let db = PartitionDb::open(&self.db_path())?;
        let live = db.segments()?;
        let mut candidates = Vec::new();
        for file in files(&*self.segments.io, &self.segments.dir)? {
            // A large body lives in a file of its own, or does not: there is nothing to gain.
            let SegmentName::Journal(segment) = file else {
                continue;
            };
            let Some(live) = live.get(&segment).filter(|live| live.refs > 0) else {
                continue;
            };
            // It has to stay until a checkpoint is past it.
            if segment >= db.checkpoint.segment {
                continue;
            }
            let size = match self.segments.file(segment).map(|file| file.size()) {
                Ok(Ok(size)) => i64::try_from(size).unwrap_or(i64::MAX),
                Ok(Err(_)) | Err(_) => continue,
            };
            // A body is counted once a home. A guess for those that are in many: what part of
            // all references is left.
            let guess = i128::from(size) * i128::from(live.refs) / i128::from(live.added.max(1));
            let bytes = live.bytes.min(i64::try_from(guess).unwrap_or(i64::MAX));
            let unknown = live.bytes > size && live.refs < live.added;
            if self.is_empty_enough(bytes, size) || (asked && unknown) {
                candidates.push(Candidate {
                    segment,
                    refs: live.refs,
                    size,
                    homes: db.homes_of(segment)?,
                });
            }
        }
        Ok(candidates)
    }

    fn is_empty_enough(&self, live: i64, size: i64) -> bool {
        i128::from(live) * 100 < i128::from(size) * i128::from(self.config.compact_below_percent)
    }

    /// Writes the bodies of a segment anew, unless there are too many.
    async fn empty(
        self: &Arc<Self>,
        candidate: Candidate,
        done: &mut Compacted,
    ) -> Result<(), StoreError> {
        let Candidate {
            segment,
            size,
            homes,
            ..
        } = candidate;
        let shared = Arc::clone(self);
        let (living, complete) = blocking(move || shared.living(segment, &homes)).await?;
        let live: i64 = living.iter().map(|l| i64::from(l.at.len)).sum();
        if !self.is_empty_enough(live, size) {
            return Ok(());
        }
        let corrupt = done.corrupt.len();
        let mut living = living.into_iter().peekable();
        while living.peek().is_some() {
            let mut part = Part::new(RECORD_BYTES.min(self.record_limit() / 2));
            while let Some(next) = living.next_if(|l| part.takes(l)) {
                part.add(next);
            }
            self.relocate(part.bodies, done).await?;
        }
        if complete && done.corrupt.len() == corrupt {
            done.emptied += 1;
        }
        Ok(())
    }

    /// The bodies in a segment that these homes refer to, those of the same homes together, and
    /// whether all homes could be asked.
    fn living(&self, segment: u64, homes: &[u64]) -> Result<(Vec<Living>, bool), StoreError> {
        let mut complete = true;
        let mut found: BTreeMap<(u64, u32), Living> = BTreeMap::new();
        for &home in homes {
            let bodies = match self.readers.with(home, |r| r.bodies_in(segment)) {
                Ok(bodies) => bodies,
                // It keeps what it refers to, and so the segment.
                Err(e) => {
                    tracing::warn!(home, error = %e, "a home cannot be asked for its bodies");
                    complete = false;
                    continue;
                }
            };
            for at in bodies {
                let living = found.entry((at.offset, at.len)).or_insert(Living {
                    at,
                    homes: Vec::new(),
                });
                living.homes.push(home);
            }
        }
        let mut living: Vec<Living> = found.into_values().collect();
        living.sort_by(|a, b| a.homes.cmp(&b.homes));
        Ok((living, complete))
    }

    /// Writes bodies anew and moves the references to them, in one record; in more for a body
    /// that is in many homes.
    async fn relocate(
        self: &Arc<Self>,
        bodies: Vec<Living>,
        done: &mut Compacted,
    ) -> Result<(), StoreError> {
        let started = Instant::now();
        let segments = Arc::clone(&self.segments);
        let (read, corrupt) = blocking(move || {
            let mut read = Vec::with_capacity(bodies.len());
            let mut corrupt = Vec::new();
            for living in bodies {
                match segments.read(living.at, 0, living.at.len) {
                    Ok(bytes) => read.push((living, bytes)),
                    Err(e @ (StoreError::Corrupt { .. } | StoreError::BodyGone)) => {
                        tracing::error!(
                            segment = living.at.segment,
                            offset = living.at.offset,
                            homes = ?living.homes,
                            error = %e,
                            "a message's body is damaged; it stays where it is"
                        );
                        corrupt.push(living.at);
                    }
                    Err(e) => return Err(e),
                }
            }
            Ok((read, corrupt))
        })
        .await?;
        done.corrupt.extend(corrupt);
        let mut payload = Payload::default();
        let mut bodies = Vec::with_capacity(read.len());
        let mut messages = Vec::with_capacity(read.len());
        for (living, bytes) in read {
            // Only where segments have been made smaller since it was written.
            let place = if bytes.len() as u64 > self.record_limit() / 2 {
                let mut writer = self.stage(bytes.len() as u64).await?;
                writer.write(bytes).await?;
                let staged = writer.finish().await?;
                let place = staged.location();
                payload.staged.push(staged);
                place
            } else {
                payload.bodies.push(bytes);
                BodyLocation::default()
            };
            messages.push(Message {
                len: living.at.len,
                crc: living.at.crc,
                segment: place.segment,
                offset: place.offset,
                ..Message::default()
            });
            bodies.push(living);
        }
        if bodies.is_empty() {
            return Ok(());
        }
        let mut homes: BTreeSet<u64> = bodies.iter().flat_map(|l| l.homes.clone()).collect();
        let mut rest = BTreeSet::new();
        if homes.len() > RECORD_HOMES {
            // Only a body alone in its record has that many.
            let at = homes.iter().nth(RECORD_HOMES).copied().unwrap_or_default();
            rest = homes.split_off(&at);
        }
        let from: Vec<OldPlace> = bodies
            .iter()
            .map(|l| OldPlace {
                segment: l.at.segment,
                offset: l.at.offset,
            })
            .collect();
        let op = Op::Relocate(Relocate {
            homes: homes.into_iter().collect(),
            bodies: messages,
            from: from.clone(),
        });
        let places = self.relocated(op, payload).await?;
        let bytes: u64 = bodies.iter().map(|l| u64::from(l.at.len)).sum();
        done.bodies += bodies.len() as u64;
        done.bytes += bytes;
        Metrics::add(&self.metrics.compacted_bodies, bodies.len() as u64);
        Metrics::add(&self.metrics.compacted_bytes, bytes);
        let rest: Vec<u64> = rest.into_iter().collect();
        for homes in rest.chunks(RECORD_HOMES) {
            let pins: Vec<_> = places
                .iter()
                .map(|at| self.segments.pin(at.segment))
                .collect();
            let segments = Arc::clone(&self.segments);
            let check = places.clone();
            let all_there = blocking(move || {
                for at in &check {
                    if !segments.exists(at.segment)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            });
            // Everyone who had it may have lost interest meanwhile: then the rest keeps the
            // old place until the next time.
            if !all_there.await? {
                break;
            }
            let op = Op::Relocate(Relocate {
                homes: homes.to_vec(),
                bodies: places
                    .iter()
                    .map(|at| Message {
                        len: at.len,
                        crc: at.crc,
                        segment: at.segment,
                        offset: at.offset,
                        ..Message::default()
                    })
                    .collect(),
                from: from.clone(),
            });
            let payload = Payload {
                pins,
                ..Payload::default()
            };
            self.relocated(op, payload).await?;
        }
        self.throttle(bytes, started).await
    }

    async fn relocated(&self, op: Op, payload: Payload) -> Result<Vec<BodyLocation>, StoreError> {
        let mut places = Vec::new();
        for result in self.submit(op, payload).await? {
            if let Outcome::Relocated(at) = result? {
                places = at;
            }
        }
        Ok(places)
    }

    /// Waits so long that the speed that is set is kept.
    async fn throttle(&self, bytes: u64, started: Instant) -> Result<(), StoreError> {
        let rate = self.config.compact_bytes_per_second;
        if rate == 0 {
            return Ok(());
        }
        let due = Duration::from_secs_f64(bytes as f64 / rate as f64);
        let left = due.saturating_sub(started.elapsed());
        if !left.is_zero() && self.closing_within(left).await {
            return Err(StoreError::Closed);
        }
        Ok(())
    }

    /// Whether the partition closes; waits for that up to `time`.
    pub(super) async fn closing_within(&self, time: Duration) -> bool {
        let mut closing = self.closing.subscribe();
        tokio::time::timeout(time, closing.wait_for(|closing| *closing))
            .await
            .is_ok()
    }
}

/// A segment that may be worth emptying.
struct Candidate {
    segment: u64,
    refs: i64,
    size: i64,
    homes: Vec<u64>,
}

/// The bodies of a record to be.
struct Part {
    limit: u64,
    bodies: Vec<Living>,
    bytes: u64,
    homes: BTreeSet<u64>,
}

impl Part {
    fn new(limit: u64) -> Self {
        Self {
            limit,
            bodies: Vec::new(),
            bytes: 0,
            homes: BTreeSet::new(),
        }
    }

    fn takes(&self, living: &Living) -> bool {
        self.bodies.is_empty()
            || (self.bodies.len() < RECORD_BODIES
                && self.bytes + u64::from(living.at.len) <= self.limit
                && self
                    .homes
                    .union(&living.homes.iter().copied().collect())
                    .count()
                    <= RECORD_HOMES)
    }

    fn add(&mut self, living: Living) {
        self.bytes += u64::from(living.at.len);
        self.homes.extend(&living.homes);
        self.bodies.push(living);
    }
}
