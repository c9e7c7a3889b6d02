//! A passwd-style file as user directory, for a backend without a murder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::RwLock;

use crate::{Account, Directory, StaticDirectory, check_hash, normalize_group, normalize_user};

/// How often at most the file is looked at for changes.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// The largest users file; it is held in memory whole.
const MAX_BYTES: u64 = 64 << 20;

/// Why a users file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum UsersFileError {
    /// It cannot be read.
    #[error("cannot read users file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is wrong.
    #[error("{path}:{line}: {problem}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it; never shows the line's content.
        problem: &'static str,
    },
}

/// Accounts from a file of lines `name:hash:groups:flags`, with groups and flags (`admin`,
/// `disabled`) separated by commas, and `#` comments.
///
/// Read again when it has changed. A changed file with a mistake in it is logged, and the
/// accounts of before are kept.
#[derive(Debug)]
pub struct UsersFile {
    path: PathBuf,
    loaded: RwLock<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    accounts: Arc<StaticDirectory>,
    version: Version,
    checked: Instant,
    /// How often it was read.
    reads: u64,
}

/// What tells one content of the file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    modified: Option<SystemTime>,
    length: u64,
}

impl UsersFile {
    /// Reads the file.
    ///
    /// # Errors
    /// See [`UsersFileError`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, UsersFileError> {
        let path = path.into();
        let version = version(&path)?;
        let accounts = Arc::new(load(&path)?);
        Ok(Self {
            path,
            loaded: RwLock::new(Loaded {
                accounts,
                version,
                checked: Instant::now(),
                reads: 1,
            }),
        })
    }

    /// Looks at the file now, and reads it when it has changed.
    ///
    /// # Errors
    /// See [`UsersFileError`]; the accounts of before are kept.
    pub fn reload(&self) -> Result<(), UsersFileError> {
        let mut loaded = self.loaded.write();
        self.refresh(&mut loaded)
    }

    fn refresh(&self, loaded: &mut Loaded) -> Result<(), UsersFileError> {
        loaded.checked = Instant::now();
        let now = version(&self.path)?;
        if now != loaded.version {
            // Remembered before reading, so that a file with a mistake is reported once.
            loaded.version = now;
            loaded.accounts = Arc::new(load(&self.path)?);
            loaded.reads += 1;
        }
        Ok(())
    }

    /// How often the file was read so far, having looked whether it has changed: another number
    /// means that accounts may have.
    #[must_use]
    pub fn reads(&self) -> u64 {
        let mut loaded = self.loaded.write();
        self.refresh_or_keep(&mut loaded);
        loaded.reads
    }

    fn accounts(&self) -> Arc<StaticDirectory> {
        {
            let loaded = self.loaded.read();
            if loaded.checked.elapsed() < CHECK_EVERY {
                return loaded.accounts.clone();
            }
        }
        let mut loaded = self.loaded.write();
        if loaded.checked.elapsed() >= CHECK_EVERY {
            self.refresh_or_keep(&mut loaded);
        }
        loaded.accounts.clone()
    }

    fn refresh_or_keep(&self, loaded: &mut Loaded) {
        if let Err(error) = self.refresh(loaded) {
            tracing::error!(%error, "users file not reloaded, keeping the accounts of before");
        }
    }
}

impl Directory for UsersFile {
    fn account(&self, name: &str) -> Option<Account> {
        self.accounts().account(name)
    }
}

fn version(path: &Path) -> Result<Version, UsersFileError> {
    let about = fs::metadata(path).map_err(|source| UsersFileError::Read {
        path: path.to_owned(),
        source,
    })?;
    if about.len() > MAX_BYTES {
        return Err(UsersFileError::Read {
            path: path.to_owned(),
            source: io::Error::from(io::ErrorKind::FileTooLarge),
        });
    }
    Ok(Version {
        modified: about.modified().ok(),
        length: about.len(),
    })
}

fn load(path: &Path) -> Result<StaticDirectory, UsersFileError> {
    let text = fs::read_to_string(path).map_err(|source| UsersFileError::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut accounts = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        accounts.push(parse_line(line).map_err(|problem| UsersFileError::Line {
            path: path.to_owned(),
            line: index + 1,
            problem,
        })?);
    }
    Ok(StaticDirectory::new(accounts))
}

fn parse_line(line: &str) -> Result<Account, &'static str> {
    let mut fields = line.split(':');
    let name = fields.next().unwrap_or_default();
    let name = normalize_user(name).map_err(|_| "not a valid user name")?;
    let password_hash = fields.next().ok_or("no password hash")?;
    check_hash(password_hash).map_err(|_| "not an argon2 hash in PHC form")?;
    let list = |field: Option<&str>| -> Vec<String> {
        field
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let mut account = Account {
        name,
        password_hash: password_hash.to_owned(),
        groups: list(fields.next())
            .iter()
            .map(|group| normalize_group(group))
            .collect::<Result<_, _>>()
            .map_err(|_| "not a valid group name")?,
        ..Account::default()
    };
    for flag in list(fields.next()) {
        match flag.as_str() {
            "admin" => account.admin = true,
            "disabled" => account.disabled = true,
            _ => return Err("unknown flag; there are `admin` and `disabled`"),
        }
    }
    if fields.next().is_some() {
        return Err("too many fields");
    }
    Ok(account)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA";

    #[test]
    fn reads_accounts_and_sees_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        fs::write(
            &path,
            format!("# ours\n\nbob:{HASH}\nAlice:{HASH}:staff, board:admin\n"),
        )
        .unwrap();
        let users = UsersFile::open(&path).unwrap();
        assert_eq!(users.reads(), 1);
        let alice = users.account("alice").unwrap();
        assert_eq!(alice.groups, ["staff", "board"]);
        assert!(alice.admin && !alice.disabled);
        assert!(users.account("bob").unwrap().groups.is_empty());
        assert_eq!(users.account("carol"), None);

        fs::write(&path, format!("bob:{HASH}::disabled\ncarol:{HASH}\n")).unwrap();
        users.reload().unwrap();
        assert_eq!(users.reads(), 2);
        assert!(users.account("bob").unwrap().disabled);
        assert!(users.account("carol").is_some());
        assert_eq!(users.account("alice"), None);
    }

    #[test]
    fn a_mistake_is_named_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        fs::write(&path, format!("bob:{HASH}\n")).unwrap();
        let users = UsersFile::open(&path).unwrap();
        fs::write(&path, format!("bob:{HASH}\ncarol:plaintext\n")).unwrap();
        let error = users.reload().unwrap_err().to_string();
        assert!(error.ends_with("users:2: not an argon2 hash in PHC form"));
        assert!(!error.contains("plaintext"));
        assert!(users.account("bob").is_some());
        assert!(UsersFile::open(dir.path().join("none")).is_err());
    }
}
