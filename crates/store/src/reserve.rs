//! Room that is set aside so that a partition can be opened, and read, on a full disk: SQLite makes a
//! file of shared memory for each database that it opens.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::FallocateFlags;

/// The file's name in the partition's directory.
const FILE: &str = "reserve";
/// The disk is full when it has less than this: nothing could be begun.
const FULL: u64 = 1 << 20;
/// Room is set aside where there is so many times as much.
const PLENTY: u64 = 16;

/// Gives the room back if the disk is full.
pub(crate) fn release_if_full(dir: &Path) -> io::Result<()> {
    if free(dir)? >= FULL {
        return Ok(());
    }
    match fs::remove_file(dir.join(FILE)) {
        Ok(()) => {
            tracing::warn!(dir = %dir.display(), "the file system is full; the room set aside is used");
            Ok(())
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// Sets `bytes` of room aside, if it is not and there is plenty.
pub(crate) fn set_aside(dir: &Path, bytes: u64) -> io::Result<()> {
    let path = dir.join(FILE);
    if bytes == 0 || path.exists() || free(dir)? / PLENTY < bytes {
        return Ok(());
    }
    let file = File::create(&path)?;
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        // Where room cannot be set aside there is none to give back.
        Err(_) => fs::remove_file(path),
    }
}

fn free(dir: &Path) -> io::Result<u64> {
    let system = rustix::fs::statvfs(dir)?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}
