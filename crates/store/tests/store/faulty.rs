//! A disk that fails when told to, and that forgets what was not synced when the power goes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use murder_store::io::{DiskIo, JournalFile, JournalIo};

use crate::support::Rng;

/// A write that was not synced: what was there before, what is there now.
#[derive(Debug)]
struct Unsynced {
    offset: u64,
    old: Vec<u8>,
}

#[derive(Debug, Default)]
struct Disk {
    /// Operations until the disk is gone; `None` for ever.
    life: Option<u64>,
    dead: bool,
    full: bool,
    /// The next write fails, once, after it got half way.
    fails_once: bool,
    unsynced: BTreeMap<PathBuf, Vec<Unsynced>>,
    /// Files whose names were not synced.
    unnamed: BTreeSet<PathBuf>,
}

/// The faulty layer.
#[derive(Debug, Default, Clone)]
pub struct FaultyIo(Arc<Mutex<Disk>>);

#[derive(Debug)]
struct FaultyFile {
    path: PathBuf,
    file: Arc<dyn JournalFile>,
    disk: Arc<Mutex<Disk>>,
}

impl FaultyIo {
    /// The disk goes after so many more operations that change something.
    pub fn dies_after(&self, operations: u64) {
        self.0.lock().unwrap().life = Some(operations);
    }

    /// The next write fails, once.
    pub fn fails_once(&self, fails: bool) {
        self.0.lock().unwrap().fails_once = fails;
    }

    pub fn is_dead(&self) -> bool {
        self.0.lock().unwrap().dead
    }

    pub fn set_full(&self, full: bool) {
        self.0.lock().unwrap().full = full;
    }

    /// Does to a copy of the files, in `dir`, what a power failure may do: each write that was
    /// not synced is there, or not, or in part.
    pub fn lose_power(&self, dir: &Path, rng: &mut Rng) {
        let disk = self.0.lock().unwrap();
        for (path, writes) in &disk.unsynced {
            let path = dir.join(path.file_name().unwrap());
            let Ok(mut bytes) = std::fs::read(&path) else {
                continue;
            };
            for write in writes.iter().rev() {
                let lost = match rng.below(3) {
                    0 => 0..0,
                    1 => 0..write.old.len(),
                    _ => {
                        let from = rng.below(write.old.len() as u64 + 1) as usize;
                        from..write.old.len()
                    }
                };
                let at = write.offset as usize;
                let end = (at + lost.end).min(bytes.len());
                let start = (at + lost.start).min(end);
                bytes[start..end].copy_from_slice(&write.old[start - at..end - at]);
            }
            std::fs::write(&path, bytes).unwrap();
        }
        for path in &disk.unnamed {
            if rng.below(2) == 0 {
                let _ = std::fs::remove_file(dir.join(path.file_name().unwrap()));
            }
        }
    }
}

impl Disk {
    /// Counts an operation; an error when the disk is gone.
    fn operate(&mut self) -> io::Result<()> {
        if let Some(life) = &mut self.life {
            if *life == 0 {
                self.dead = true;
            } else {
                *life -= 1;
            }
        }
        if self.dead {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

impl JournalIo for FaultyIo {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        let mut disk = self.0.lock().unwrap();
        disk.operate()?;
        let file = DiskIo.create(path)?;
        disk.unnamed.insert(path.to_owned());
        Ok(Arc::new(FaultyFile {
            path: path.to_owned(),
            file,
            disk: Arc::clone(&self.0),
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        Ok(Arc::new(FaultyFile {
            path: path.to_owned(),
            file: DiskIo.open(path)?,
            disk: Arc::clone(&self.0),
        }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.operate()?;
        disk.unsynced.remove(path);
        disk.unnamed.remove(path);
        DiskIo.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.operate()?;
        disk.unnamed.clear();
        let _ = path;
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        DiskIo.list(path)
    }
}

impl JournalFile for FaultyFile {
    fn write_all_at(&self, bufs: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        let mut bytes: Vec<u8> = bufs.iter().flat_map(|b| b.iter().copied()).collect();
        let result = match disk.operate() {
            _ if std::mem::take(&mut disk.fails_once) => {
                bytes.truncate(bytes.len() / 2);
                Err(io::Error::from_raw_os_error(5))
            }
            _ if disk.full => {
                bytes.truncate(bytes.len() / 2);
                Err(io::ErrorKind::StorageFull.into())
            }
            // The write that kills the disk gets half way.
            Err(e) if disk.life == Some(0) => {
                disk.life = None;
                bytes.truncate(bytes.len() / 2);
                Err(e)
            }
            Err(e) => return Err(e),
            Ok(()) => Ok(()),
        };
        let mut old = vec![0; bytes.len()];
        let size = self.file.size()?.saturating_sub(offset);
        let there = (size as usize).min(old.len());
        self.file.read_exact_at(&mut old[..there], offset)?;
        disk.unsynced
            .entry(self.path.clone())
            .or_default()
            .push(Unsynced { offset, old });
        self.file
            .write_all_at(&mut [IoSlice::new(&bytes)], offset)?;
        result
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        disk.operate()?;
        disk.unsynced.remove(&self.path);
        // Nothing real depends on it: power failures are this layer's.
        Ok(())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn read_cached_at(&self, buf: &mut [u8], offset: u64) -> bool {
        self.file.read_cached_at(buf, offset)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        disk.operate()?;
        if disk.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.allocate(len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.lock().unwrap().operate()?;
        self.file.set_len(len)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}
