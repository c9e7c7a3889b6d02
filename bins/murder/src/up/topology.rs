//! The topology file: what tests and other tools know of a running murder. Its form is stable.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use serde::{Deserialize, Serialize};

use crate::output::write_atomically;

/// How long nodes that have lost their supervisor may take to end.
const LEFTOVER_WAIT: Duration = Duration::from_secs(30);
const LEFTOVER_POLL: Duration = Duration::from_millis(20);

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Topology {
    pub frontends: Vec<MailNode>,
    pub backends: Vec<MailNode>,
    pub masters: Vec<Master>,
    pub admin: Admin,
    pub users: Users,
    pub hierarchy_separator: String,
    pub ca: PathBuf,
}

/// A frontend or a backend.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MailNode {
    pub name: String,
    pub imap: String,
    pub imaps: String,
    pub lmtp: String,
    pub http: String,
    /// A backend's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pop3: Option<String>,
    /// A backend's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pop3s: Option<String>,
    /// A backend's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<String>,
    /// The process; with `--no-restart` also after it has died.
    pub pid: u32,
    pub config: PathBuf,
}

/// A master.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Master {
    pub name: String,
    pub grpc: String,
    pub http: String,
    pub pid: u32,
    pub config: PathBuf,
}

/// Who may do everything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Admin {
    pub user: String,
    pub password: String,
}

/// Who has mail.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Users {
    pub pattern: String,
    pub first: u32,
    pub count: u32,
    pub password: String,
}

impl Topology {
    /// Each node's name, process and configuration.
    fn processes(&mut self) -> impl Iterator<Item = (&str, &mut u32, &Path)> {
        let mail = self.frontends.iter_mut().chain(&mut self.backends);
        let mail = mail.map(|node| (node.name.as_str(), &mut node.pid, node.config.as_path()));
        let masters = self.masters.iter_mut();
        mail.chain(masters.map(|node| (node.name.as_str(), &mut node.pid, node.config.as_path())))
    }

    /// Notes a node's process.
    pub fn set_pid(&mut self, node: &str, process: u32) {
        for (name, pid, _) in self.processes() {
            if name == node {
                *pid = process;
            }
        }
    }

    /// Replaces the file in the directory, and the one elsewhere.
    pub fn write(&self, dir: &Path, elsewhere: Option<&Path>) -> anyhow::Result<()> {
        if let Some(file) = elsewhere {
            write_atomically(file, self)?;
        }
        write_atomically(&file(dir), self)
    }

    /// The directory's.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(file(dir))?)?)
    }

    /// A murder that has stopped has no topology.
    pub fn remove(dir: &Path, elsewhere: Option<&Path>) {
        for file in elsewhere.into_iter().chain([file(dir).as_path()]) {
            if let Err(error) = std::fs::remove_file(file)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                eprintln!("murder: cannot remove {}: {error}", file.display());
            }
        }
    }

    /// After a supervisor that was killed: waits until its nodes, which end with it, are gone.
    pub async fn clear_up(dir: &Path, elsewhere: Option<&Path>) -> anyhow::Result<()> {
        if let Ok(mut topology) = Self::read(dir) {
            let begun = tokio::time::Instant::now();
            while let Some(process) = topology.alive() {
                if begun.elapsed() > LEFTOVER_WAIT {
                    bail!(
                        "process {process} of an earlier murder in {} does not end",
                        dir.display()
                    );
                }
                tokio::time::sleep(LEFTOVER_POLL).await;
            }
        }
        Self::remove(dir, elsewhere);
        Ok(())
    }

    /// A node's process that runs. A process id alone may have been given to something else.
    pub fn alive(&mut self) -> Option<u32> {
        let mut processes = self.processes();
        processes.find_map(|(_, pid, config)| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let config = config.as_os_str().as_encoded_bytes();
            command
                .split(|byte| *byte == 0)
                .any(|argument| argument == config)
                .then_some(*pid)
        })
    }
}

/// Where it is.
pub fn file(dir: &Path) -> PathBuf {
    dir.join("topology.json")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_form_is_stable() {
        let node = |name: &str, partitions: &[&str]| MailNode {
            name: name.to_owned(),
            imap: "127.0.0.1:1".to_owned(),
            imaps: "127.0.0.1:2".to_owned(),
            lmtp: "127.0.0.1:3".to_owned(),
            http: "127.0.0.1:4".to_owned(),
            pop3: (!partitions.is_empty()).then(|| "127.0.0.1:7".to_owned()),
            pop3s: (!partitions.is_empty()).then(|| "127.0.0.1:8".to_owned()),
            partitions: partitions.iter().map(|name| (*name).to_owned()).collect(),
            pid: 7,
            config: PathBuf::from("/m/n.toml"),
        };
        let mut topology = Topology {
            frontends: vec![node("fe1", &[])],
            backends: vec![node("be1", &["default"])],
            masters: vec![Master {
                name: "mu1".to_owned(),
                grpc: "127.0.0.1:5".to_owned(),
                http: "127.0.0.1:6".to_owned(),
                pid: 8,
                config: PathBuf::from("/m/mu1.toml"),
            }],
            admin: Admin {
                user: "admin".to_owned(),
                password: "secret".to_owned(),
            },
            users: Users {
                pattern: "user{}".to_owned(),
                first: 1,
                count: 100,
                password: "secret".to_owned(),
            },
            hierarchy_separator: "/".to_owned(),
            ca: PathBuf::from("/m/ca/ca.pem"),
        };
        topology.set_pid("be1", 9);
        let text = r#"{"frontends":[{"name":"fe1","imap":"127.0.0.1:1","imaps":"127.0.0.1:2","lmtp":"127.0.0.1:3","http":"127.0.0.1:4","pid":7,"config":"/m/n.toml"}],"backends":[{"name":"be1","imap":"127.0.0.1:1","imaps":"127.0.0.1:2","lmtp":"127.0.0.1:3","http":"127.0.0.1:4","pop3":"127.0.0.1:7","pop3s":"127.0.0.1:8","partitions":["default"],"pid":9,"config":"/m/n.toml"}],"masters":[{"name":"mu1","grpc":"127.0.0.1:5","http":"127.0.0.1:6","pid":8,"config":"/m/mu1.toml"}],"admin":{"user":"admin","password":"secret"},"users":{"pattern":"user{}","first":1,"count":100,"password":"secret"},"hierarchy_separator":"/","ca":"/m/ca/ca.pem"}"#;
        assert_eq!(serde_json::to_string(&topology).unwrap(), text);
    }
}
