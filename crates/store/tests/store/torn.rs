//! What a power failure leaves of SQLite's files, of which not all was synced.
//!
//! With `synchronous=NORMAL` a commit is a write to the WAL that nobody waits for. Before SQLite
//! carries pages over into the file it syncs the WAL, and before it begins the WAL anew it syncs
//! the file. What lies between may be there, or not, or in part.

use std::ops::Range;
use std::path::Path;

use crate::support::Rng;

/// What a disk writes whole.
const SECTOR: usize = 512;
const WAL_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// A database's files.
struct Files {
    db: Vec<u8>,
    wal: Vec<u8>,
}

impl Files {
    fn read(path: &Path) -> Option<Self> {
        Some(Self {
            db: std::fs::read(path).ok()?,
            wal: std::fs::read(path.with_extension("db-wal")).unwrap_or_default(),
        })
    }

    fn write(&self, path: &Path) {
        std::fs::write(path, &self.db).unwrap();
        std::fs::write(path.with_extension("db-wal"), &self.wal).unwrap();
    }

    fn frame(&self) -> usize {
        FRAME_HEADER + u32_at(&self.wal, 8) as usize
    }

    fn salts(&self) -> Option<&[u8]> {
        self.wal.get(16..24)
    }

    /// The pages of committed transactions in the WAL: number and bytes, in order.
    fn committed(&self) -> Vec<(usize, &[u8])> {
        let (mut pages, mut committed) = (Vec::new(), 0);
        let Some(frames) = self.wal.get(WAL_HEADER..) else {
            return pages;
        };
        for frame in frames.chunks_exact(self.frame()) {
            if frame.get(8..16) != self.salts() {
                break;
            }
            pages.push((u32_at(frame, 0) as usize, &frame[FRAME_HEADER..]));
            if u32_at(frame, 4) != 0 {
                committed = pages.len();
            }
        }
        pages.truncate(committed);
        pages
    }

    /// What the WAL has that `safe` had not synced.
    fn unsynced(&self, safe: &Self) -> Range<usize> {
        let from = if safe.wal.len() < WAL_HEADER {
            0
        } else if safe.salts() == self.salts() {
            let frames = (safe.wal.len() - WAL_HEADER) / self.frame();
            WAL_HEADER + frames * self.frame()
        } else {
            // Begun anew since; its header was synced.
            SECTOR
        };
        from.min(self.wal.len())..self.wal.len()
    }

    /// Writes to the WAL that were not synced are there, or not; the file is as long as it
    /// happens.
    fn tear_wal(&mut self, safe: &Self, rng: &mut Rng) {
        let unsynced = self.unsynced(safe);
        let mut at = unsynced.start;
        // Some disks lose everything from one place on, some single sectors.
        let losing = rng.below(3);
        while at < unsynced.end {
            let end = ((at / SECTOR + 1) * SECTOR).min(unsynced.end);
            if rng.below(40) < [0, 2, 20][losing as usize] {
                for place in at..end {
                    self.wal[place] = safe.wal.get(place).copied().unwrap_or(0);
                }
            }
            at = end;
        }
        if rng.below(2) == 0 {
            let end = unsynced.start + rng.below(unsynced.len() as u64 + 1) as usize;
            // What was there before stays, if the WAL was begun anew.
            self.wal.truncate(end.max(safe.wal.len().min(unsynced.end)));
        }
    }

    /// SQLite was carrying pages over into the file.
    fn tear_checkpoint(&mut self, rng: &mut Rng) {
        let pages: Vec<(usize, Vec<u8>)> = self
            .committed()
            .into_iter()
            .map(|(number, page)| (number, page.to_vec()))
            .collect();
        for (number, page) in pages {
            let start = (number - 1) * page.len();
            let sectors: Vec<usize> = match rng.below(4) {
                0 => continue,
                1 => (0..page.len() / SECTOR)
                    .filter(|_| rng.below(2) == 0)
                    .collect(),
                _ => (0..page.len() / SECTOR).collect(),
            };
            for sector in sectors {
                let (from, to) = (sector * SECTOR, (sector + 1) * SECTOR);
                if self.db.len() < start + to {
                    self.db.resize(start + to, 0);
                }
                self.db[start + from..start + to].copy_from_slice(&page[from..to]);
            }
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .map_or(0, |b| u32::from_be_bytes(b.try_into().unwrap()))
}

/// Does to the database at `path`, a copy of what was in use, what a power failure may do;
/// `safe` is the copy of what was synced last.
pub fn lose_power(path: &Path, safe: &Path, rng: &mut Rng) {
    let Some(mut now) = Files::read(path) else {
        return;
    };
    tear_shm(path, rng);
    let Some(safe) = Files::read(safe) else {
        lose_new(path, now, rng);
        return;
    };
    match rng.below(6) {
        0 => {}
        1 => now = safe,
        2 | 3 if now.db == safe.db || now.salts() != safe.salts() => now.tear_wal(&safe, rng),
        _ => now.tear_checkpoint(rng),
    }
    now.write(path);
    if now.wal.is_empty() && rng.below(2) == 0 {
        let _ = std::fs::remove_file(path.with_extension("db-wal"));
    }
}

/// As [`lose_power`] for a database that syncs each commit: only a transaction that was being
/// written is lost.
pub fn lose_power_in_commit(path: &Path, safe: &Path, rng: &mut Rng) {
    let (Some(mut now), Some(safe)) = (Files::read(path), Files::read(safe)) else {
        return;
    };
    tear_shm(path, rng);
    if now.db != safe.db || now.salts() != safe.salts() {
        return;
    }
    let commits = |files: &Files| files.committed().len();
    if commits(&now) == commits(&safe) {
        // Nothing came: then what came was not finished.
        let junk = (0..rng.below(3000)).map(|_| rng.next() as u8);
        now.wal.extend(junk);
    } else {
        now.tear_wal(&safe, rng);
    }
    now.write(path);
}

/// Nothing of a file that was made since was synced.
fn lose_new(path: &Path, mut now: Files, rng: &mut Rng) {
    for bytes in [&mut now.db, &mut now.wal] {
        match rng.below(4) {
            0 => bytes.clear(),
            1 => bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize),
            2 => bytes.iter_mut().for_each(|b| *b = rng.next() as u8),
            _ => {}
        }
    }
    now.write(path);
    for path in [path, &path.with_extension("db-wal")] {
        if rng.below(4) == 0 {
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// Shared memory is never synced.
fn tear_shm(path: &Path, rng: &mut Rng) {
    let shm = path.with_extension("db-shm");
    match rng.below(3) {
        0 => {
            let _ = std::fs::remove_file(shm);
        }
        1 => {
            let words = (0..1 + rng.below(4096)).flat_map(|_| rng.next().to_le_bytes());
            std::fs::write(shm, words.collect::<Vec<u8>>()).unwrap();
        }
        _ => {}
    }
}
