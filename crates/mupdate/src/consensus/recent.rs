//! The newest part of the history, in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Revision;

/// Revisions kept in memory for watchers; what is older is read from disk.
const MAX_REVISIONS: usize = 16_384;
/// And their encoded bytes.
const MAX_BYTES: usize = 16 << 20;
/// Changes handed out at a time, so that a watcher that is behind costs little.
pub(super) const PART_BYTES: usize = 256 << 10;
/// Revisions handed out at a time.
pub(super) const PART_REVISIONS: usize = 1000;

/// All changes after `floor`.
#[derive(Debug, Default)]
pub(super) struct Recent {
    revisions: VecDeque<Arc<Revision>>,
    bytes: usize,
    floor: u64,
}

impl Recent {
    /// Empty, at a revision.
    pub fn starting_at(revision: u64) -> Self {
        Self {
            floor: revision,
            ..Self::default()
        }
    }

    pub fn push(&mut self, revision: Arc<Revision>) {
        self.bytes += revision.bytes;
        self.revisions.push_back(revision);
    }

    /// Forgets the oldest beyond the bounds, but nothing that is not on disk yet.
    pub fn trim(&mut self, on_disk: u64) {
        while self.revisions.len() > MAX_REVISIONS || self.bytes > MAX_BYTES {
            match self.revisions.front() {
                Some(oldest) if oldest.revision <= on_disk => {
                    self.floor = oldest.revision;
                    self.bytes -= oldest.bytes;
                    self.revisions.pop_front();
                }
                _ => break,
            }
        }
    }

    /// Some changes after a revision, and up to where they are all; `None` when that is
    /// before the floor. `reached` is the state's revision.
    pub fn after(&self, after: u64, reached: u64) -> Option<(Vec<Arc<Revision>>, u64)> {
        if after < self.floor {
            return None;
        }
        let start = self.revisions.partition_point(|r| r.revision <= after);
        let mut part = Vec::new();
        let mut bytes = 0;
        for revision in self.revisions.range(start..) {
            if !part.is_empty() && bytes + revision.bytes > PART_BYTES {
                break;
            }
            bytes += revision.bytes;
            part.push(revision.clone());
            if part.len() == PART_REVISIONS {
                break;
            }
        }
        let complete = start + part.len() == self.revisions.len();
        let up_to = match part.last() {
            Some(last) if !complete => last.revision,
            _ => reached,
        };
        Some((part, up_to))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn revision(revision: u64, bytes: usize) -> Arc<Revision> {
        Arc::new(Revision {
            revision,
            changes: Vec::new(),
            bytes,
        })
    }

    #[test]
    fn hands_out_parts_without_gaps() {
        let mut recent = Recent::starting_at(10);
        for at in 11..=2500 {
            recent.push(revision(at, 1));
        }
        assert!(recent.after(9, 2500).is_none());
        let mut at = 10;
        let mut seen = 0;
        while at < 2500 {
            let (part, up_to) = recent.after(at, 2500).unwrap();
            assert_eq!(part[0].revision, at + 1);
            assert!(part.len() <= PART_REVISIONS);
            seen += part.len();
            at = up_to;
        }
        assert_eq!(seen, 2490);
        // Revisions without changes at the end count as reached.
        assert_eq!(recent.after(2500, 2510).unwrap().1, 2510);
    }

    #[test]
    fn forgets_only_what_is_on_disk() {
        let mut recent = Recent::starting_at(0);
        for at in 1..=4 {
            recent.push(revision(at, MAX_BYTES / 2));
        }
        recent.trim(1);
        assert!(recent.after(0, 4).is_none());
        assert!(recent.after(1, 4).is_some());
        recent.trim(4);
        assert!(recent.after(1, 4).is_none());
        assert!(recent.after(2, 4).is_some());
        assert_eq!(recent.after(2, 4).unwrap().0.len(), 1);
    }
}
