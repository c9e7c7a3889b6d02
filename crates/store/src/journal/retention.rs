//! What keeps a file of the journal from being removed. One function says so: [`Retention::kept_by`].

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;

use super::checkpoint::Checkpoint;
use super::files::SegmentName;

/// What keeps a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeptBy {
    /// The next start reads it.
    Replay,
    /// Homes refer to bodies in it.
    Bodies,
    /// Somebody has yet to read it.
    Reader,
    /// A command on its way refers to it, or a body is being written to it.
    Command,
    /// A record that no checkpoint has counted refers to it.
    Record,
    /// A view from before compaction refers to it.
    View,
}

/// What is known of a file beside what a checkpoint counts.
#[derive(Debug, Default)]
struct Pin {
    /// Commands on their way, and bodies being staged.
    holders: u32,
    /// The last journaled record that refers to the file.
    last_lsn: u64,
    /// Views from before compaction, which still refer to it.
    views: Vec<Weak<Generation>>,
}

/// Shared by the views of a mailbox between two compactions of its bodies: while one of them
/// exists, the files that they refer to stay.
#[derive(Debug, Default)]
pub(crate) struct Generation {
    /// An older view refers to files that the next ones refer to as well, so that an older
    /// generation keeps the newer ones.
    pub next: OnceLock<Arc<Generation>>,
}

/// How far a reader of the journal has come.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// The segment that it reads; no earlier one is kept for it.
    segment: u64,
    /// The record that it has got last.
    lsn: u64,
    /// It was too slow, and nothing is kept for it any more.
    dropped: bool,
}

/// Keeps what a reader of the journal has yet to read.
#[derive(Debug)]
pub(crate) struct ReaderPin(Mutex<Reading>);

impl ReaderPin {
    /// Says what is kept from now on: the segment, and the record whose bodies are being looked at.
    pub fn move_to(&self, segment: u64, lsn: u64) {
        let mut reading = self.0.lock();
        (reading.segment, reading.lsn) = (segment, lsn);
    }

    /// Whether nothing is kept any more.
    pub fn is_dropped(&self) -> bool {
        self.0.lock().dropped
    }
}

/// What keeps files, beside what a checkpoint counts.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    pins: Mutex<HashMap<u64, Pin>>,
    readers: Mutex<Vec<Weak<ReaderPin>>>,
}

impl Retention {
    /// What keeps a file as of a checkpoint, if anything does. `lives`: homes refer to it then.
    fn kept_by(
        &self,
        name: SegmentName,
        at: &Checkpoint,
        lives: bool,
        pin: Option<&mut Pin>,
    ) -> Option<KeptBy> {
        let is_journal = matches!(name, SegmentName::Journal(_));
        let number = name.number();
        let last_lsn = pin.as_ref().map_or(0, |pin| pin.last_lsn);
        let reads = |reading: &Reading| match is_journal {
            true => number >= reading.segment,
            // A body gets its number before its record has a place, and its record a place in the
            // same segment or a later one.
            false => number > reading.segment || last_lsn >= reading.lsn,
        };
        if is_journal && number >= at.segment {
            return Some(KeptBy::Replay);
        }
        if lives {
            return Some(KeptBy::Bodies);
        }
        if self.readings().iter().any(reads) {
            return Some(KeptBy::Reader);
        }
        let pin = pin?;
        pin.views.retain(|view| view.strong_count() > 0);
        if pin.holders > 0 {
            Some(KeptBy::Command)
        } else if last_lsn > at.lsn {
            Some(KeptBy::Record)
        } else {
            (!pin.views.is_empty()).then_some(KeptBy::View)
        }
    }

    /// Removes a file by `remove`, which says whether it did, unless something keeps it.
    pub fn unless_kept(
        &self,
        name: SegmentName,
        at: &Checkpoint,
        lives: bool,
        remove: impl FnOnce() -> io::Result<bool>,
    ) -> io::Result<bool> {
        let number = name.number();
        // Held over the unlinking, so that nobody pins a file that is going.
        let mut pins = self.pins.lock();
        if let Some(why) = self.kept_by(name, at, lives, pins.get_mut(&number)) {
            tracing::trace!(file = number, ?why, "a file of the journal is kept");
            return Ok(false);
        }
        let removed = remove()?;
        if removed {
            pins.remove(&number);
        }
        Ok(removed)
    }

    /// Keeps a file until [`Retention::let_go`].
    pub fn hold(&self, number: u64) {
        self.pins.lock().entry(number).or_default().holders += 1;
    }

    /// Takes one [`Retention::hold`] back.
    pub fn let_go(&self, number: u64) {
        let mut pins = self.pins.lock();
        if let Some(pin) = pins.get_mut(&number) {
            pin.holders -= 1;
            if pin.holders == 0 && pin.last_lsn == 0 && pin.views.is_empty() {
                pins.remove(&number);
            }
        }
    }

    /// The record `lsn` refers to a file that is held.
    pub fn referred(&self, number: u64, lsn: u64) {
        if let Some(pin) = self.pins.lock().get_mut(&number) {
            pin.last_lsn = pin.last_lsn.max(lsn);
        }
    }

    /// Keeps a file while a view of that generation exists.
    pub fn keep_for(&self, number: u64, view: Weak<Generation>) {
        let mut pins = self.pins.lock();
        let views = &mut pins.entry(number).or_default().views;
        if views.last().is_none_or(|last| !last.ptr_eq(&view)) {
            views.push(view);
        }
    }

    /// Keeps all of the journal that is there for a reader, until it says where it is.
    pub fn read(&self) -> Arc<ReaderPin> {
        let pin = Arc::new(ReaderPin(Mutex::new(Reading {
            segment: 0,
            lsn: 0,
            dropped: false,
        })));
        // Not while a file is being removed.
        let _pins = self.pins.lock();
        self.readers.lock().push(Arc::downgrade(&pin));
        pin
    }

    /// Whether anybody reads the journal.
    pub fn has_readers(&self) -> bool {
        !self.readings().is_empty()
    }

    /// Keeps nothing any more for readers that `is_slow` says so of, asked with their segments.
    pub fn drop_slow(&self, is_slow: impl Fn(u64) -> bool) {
        for pin in self.readers.lock().iter().filter_map(Weak::upgrade) {
            let mut reading = pin.0.lock();
            if is_slow(reading.segment) {
                reading.dropped = true;
            }
        }
    }

    fn readings(&self) -> Vec<Reading> {
        let mut readers = self.readers.lock();
        readers.retain(|pin| pin.strong_count() > 0);
        let readings = readers.iter().filter_map(Weak::upgrade);
        let readings = readings.map(|pin| *pin.0.lock());
        readings.filter(|reading| !reading.dropped).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_reason_keeps_a_file_until_it_has_gone() {
        let retention = Retention::default();
        let why = |name, lsn, lives| {
            let at = Checkpoint {
                lsn,
                segment: 10,
                ..Checkpoint::default()
            };
            let mut pins = retention.pins.lock();
            retention.kept_by(name, &at, lives, pins.get_mut(&name.number()))
        };
        let (segment, blob) = (SegmentName::Journal(5), SegmentName::Blob(5));
        assert_eq!(
            why(SegmentName::Journal(10), 20, false),
            Some(KeptBy::Replay)
        );
        assert_eq!(why(SegmentName::Blob(10), 20, false), None);
        assert_eq!(why(segment, 20, true), Some(KeptBy::Bodies));
        assert_eq!(why(segment, 20, false), None);

        retention.hold(5);
        assert_eq!(why(blob, 20, false), Some(KeptBy::Command));
        retention.referred(5, 21);
        retention.let_go(5);
        assert_eq!(why(blob, 20, false), Some(KeptBy::Record));
        assert_eq!(why(blob, 21, false), None);

        let view = Arc::<Generation>::default();
        retention.keep_for(5, Arc::downgrade(&view));
        assert_eq!(why(segment, 21, false), Some(KeptBy::View));
        drop(view);
        assert_eq!(why(segment, 21, false), None);

        let reader = retention.read();
        assert_eq!(why(segment, 21, false), Some(KeptBy::Reader));
        reader.move_to(6, 21);
        assert_eq!(why(segment, 21, false), None);
        // Record 21 refers to it, and is the one that the reader looks at.
        assert_eq!(why(blob, 21, false), Some(KeptBy::Reader));
        reader.move_to(6, 22);
        assert_eq!(why(blob, 21, false), None);
        reader.move_to(4, 22);
        retention.drop_slow(|segment| segment < 4);
        assert_eq!(why(segment, 21, false), Some(KeptBy::Reader));
        retention.drop_slow(|segment| segment < 5);
        assert_eq!(why(segment, 21, false), None);
        assert!(reader.is_dropped() && !retention.has_readers());
    }
}
