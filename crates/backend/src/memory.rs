//! What a backend remembers of its partitions by itself, in its data directory: so that a disk that
//! is not mounted is noticed also without a master.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use murder_store::{Identity, Report};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// The file in the data directory.
const FILE: &str = "partitions.toml";

/// A decision of an operator that is not carried out to its end yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pending {
    /// The old one is lost: what the master has is made anew, empty.
    Init,
    /// The same, and what the master has is forgotten.
    InitAndForget,
    /// An older copy was put back: what the master has counts.
    Restored,
}

/// What is remembered of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// What it is.
    pub identity: Identity,
    /// How far it had come at least.
    pub report: Report,
    /// What is still to be done before it is served.
    pub pending: Option<Pending>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// `None`: it is not kept.
    file: Option<PathBuf>,
    partitions: Mutex<BTreeMap<String, Remembered>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Written {
    #[serde(default)]
    partitions: BTreeMap<String, Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    id: String,
    copy: String,
    lsn: u64,
    uids: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<Pending>,
}

impl Memory {
    /// That of this data directory. One that cannot be read is no reason not to start: the master
    /// knows the same.
    pub fn load(data_dir: &Path) -> Self {
        let file = data_dir.join(FILE);
        let partitions = match read(&file) {
            Ok(partitions) => partitions,
            Err(error) => {
                let file = file.display();
                tracing::error!(%file, %error, "what was remembered of the partitions is lost");
                BTreeMap::new()
            }
        };
        Self {
            file: Some(file),
            partitions: Mutex::new(partitions),
        }
    }

    /// What is remembered of the partition of that name.
    pub fn of(&self, name: &str) -> Option<Remembered> {
        self.partitions.lock().get(name).copied()
    }

    /// Remembers. Blocks for a write of a small file.
    pub fn note(&self, name: &str, remembered: Remembered) {
        let mut partitions = self.partitions.lock();
        if partitions.get(name) == Some(&remembered) {
            return;
        }
        partitions.insert(name.to_owned(), remembered);
        let Some(file) = &self.file else {
            return;
        };
        if let Err(error) = write(file, &partitions) {
            let file = file.display();
            tracing::warn!(%file, %error, "what is known of the partitions is not remembered");
        }
    }
}

fn read(file: &Path) -> anyhow::Result<BTreeMap<String, Remembered>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.into()),
    };
    let written: Written = toml::from_str(&text)?;
    let all = written.partitions.into_iter().map(|(name, entry)| {
        let remembered = Remembered {
            identity: Identity {
                partition: parse(&entry.id)?,
                copy: parse(&entry.copy)?,
            },
            report: Report {
                lsn: entry.lsn,
                uids: entry.uids,
            },
            pending: entry.pending,
        };
        Ok((name, remembered))
    });
    all.collect()
}

fn parse(text: &str) -> anyhow::Result<[u8; 16]> {
    Ok(u128::from_str_radix(text, 16)?.to_be_bytes())
}

fn write(file: &Path, partitions: &BTreeMap<String, Remembered>) -> anyhow::Result<()> {
    let hex = |id: [u8; 16]| format!("{:032x}", u128::from_be_bytes(id));
    let partitions = partitions.iter().map(|(name, remembered)| {
        let entry = Entry {
            id: hex(remembered.identity.partition),
            copy: hex(remembered.identity.copy),
            lsn: remembered.report.lsn,
            uids: remembered.report.uids,
            pending: remembered.pending,
        };
        (name.clone(), entry)
    });
    let written = Written {
        partitions: partitions.collect(),
    };
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let new = file.with_extension("toml.new");
    std::fs::write(&new, toml::to_string(&written)?)?;
    Ok(std::fs::rename(new, file)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_noted_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::load(dir.path());
        assert_eq!(memory.of("default"), None);
        let remembered = Remembered {
            identity: Identity {
                partition: [0x0f; 16],
                copy: [1; 16],
            },
            report: Report { lsn: 7, uids: 9 },
            pending: Some(Pending::InitAndForget),
        };
        memory.note("default", remembered);
        assert_eq!(Memory::load(dir.path()).of("default"), Some(remembered));
        std::fs::write(dir.path().join(FILE), "nonsense").unwrap();
        assert_eq!(Memory::load(dir.path()).of("default"), None);
    }
}
