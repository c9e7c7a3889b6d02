//! One supervisor a directory.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};

/// How long a supervisor takes from the lock to its number, or from losing that to its end.
const BETWEEN: Duration = Duration::from_secs(5);

/// `DIR/supervisor.pid`, locked for as long as the supervisor lives, however it ends. The file
/// stays: removing it could take it from the next one that has opened it.
#[derive(Debug)]
pub struct Lock {
    locked: File,
}

/// Who holds a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Nobody.
    None,
    /// The supervisor with this process id.
    Process(i32),
}

impl Lock {
    /// Takes the directory for this process.
    ///
    /// # Errors
    /// When a murder runs there.
    pub fn take(dir: &Path) -> anyhow::Result<Self> {
        let file = path(dir);
        let mut locked = open(&file)?;
        if flock(&locked, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!(
                "a murder runs in {} already (supervisor {}); `murder down --dir {}` stops it",
                dir.display(),
                read(&mut locked)?,
                dir.display()
            );
        }
        locked.set_len(0)?;
        writeln!(locked, "{}", std::process::id())?;
        Ok(Self { locked })
    }

    /// Who holds the directory.
    pub fn holder(dir: &Path) -> anyhow::Result<Holder> {
        let mut file = match OpenOptions::new().read(true).write(true).open(path(dir)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Holder::None),
            opened => opened?,
        };
        let begun = Instant::now();
        loop {
            if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
                return Ok(Holder::None);
            }
            let text = read(&mut file)?;
            // Locked without a number in it: for the moment between, as it comes or goes.
            if !text.is_empty() || begun.elapsed() > BETWEEN {
                return Ok(Holder::Process(text.parse().with_context(|| {
                    format!("{} holds no process id", path(dir).display())
                })?));
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Left behind it would only be a number that nobody looks at.
        let _ = self.locked.set_len(0);
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join("supervisor.pid")
}

fn open(file: &Path) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    options
        .open(file)
        .with_context(|| file.display().to_string())
}

fn read(file: &mut File) -> anyhow::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_that_comes_or_goes_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let mut coming = open(&path(dir.path())).unwrap();
        flock(&coming, FlockOperation::NonBlockingLockExclusive).unwrap();
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| Lock::holder(dir.path()).unwrap());
            writeln!(coming, "7").unwrap();
            assert_eq!(asked.join().unwrap(), Holder::Process(7));
            coming.set_len(0).unwrap();
            let asked = scope.spawn(|| Lock::holder(dir.path()).unwrap());
            drop(coming);
            assert_eq!(asked.join().unwrap(), Holder::None);
        });
    }

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Lock::holder(dir.path()).unwrap(), Holder::None);
        let lock = Lock::take(dir.path()).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(Lock::holder(dir.path()).unwrap(), Holder::Process(own));
        let error = Lock::take(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("runs in") && error.contains(&own.to_string()),
            "{error}"
        );
        drop(lock);
        assert_eq!(Lock::holder(dir.path()).unwrap(), Holder::None);
        Lock::take(dir.path()).unwrap();
    }
}
