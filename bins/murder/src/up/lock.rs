//! One supervisor a directory.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};

/// `DIR/supervisor.pid`, locked for as long as the supervisor lives, however it ends. The file
/// stays, with a number that then means nothing: removing it could take it from the next one that
/// has opened it.
#[derive(Debug)]
pub struct Lock {
    _locked: File,
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
        // Over a former one in one go, so that whoever reads sees a whole number.
        locked.rewind()?;
        locked.write_all(format!("{:<10}\n", std::process::id()).as_bytes())?;
        Ok(Self { _locked: locked })
    }

    /// Who holds the directory.
    pub fn holder(dir: &Path) -> anyhow::Result<Holder> {
        let mut file = match OpenOptions::new().read(true).write(true).open(path(dir)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Holder::None),
            opened => opened?,
        };
        if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
            return Ok(Holder::None);
        }
        let text = read(&mut file)?;
        if text.is_empty() {
            return Ok(Holder::None); // it is just being taken, for the first time
        }
        Ok(Holder::Process(text.parse().with_context(|| {
            format!("{} holds no process id", path(dir).display())
        })?))
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
