//! The nodes of a local murder: names, ports, files.

use std::path::{Path, PathBuf};

use murder_net::Role;
use serde::{Deserialize, Serialize};

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Frontend,
    Backend,
    Master,
}

impl Kind {
    /// In the order in which ports are given and nodes are stopped.
    pub const ALL: [Self; 3] = [Self::Frontend, Self::Backend, Self::Master];

    /// What its nodes' names begin with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Frontend => "fe",
            Self::Backend => "be",
            Self::Master => "mu",
        }
    }

    /// The role in its certificate.
    pub const fn role(self) -> Role {
        match self {
            Self::Frontend => Role::Frontend,
            Self::Backend => Role::Backend,
            Self::Master => Role::Mupdate,
        }
    }

    /// What it listens for.
    pub const fn services(self) -> &'static [Service] {
        match self {
            Self::Frontend => &[
                Service::Imap,
                Service::Imaps,
                Service::Lmtp,
                Service::Http,
                Service::Admin,
            ],
            Self::Backend => &[
                Service::Imap,
                Service::Imaps,
                Service::Lmtp,
                Service::Http,
                Service::Admin,
                Service::Pop3,
                Service::Pop3s,
            ],
            Self::Master => &[Service::Grpc, Service::Http],
        }
    }
}

/// A protocol that a node listens for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    Imap,
    Imaps,
    Lmtp,
    Http,
    Grpc,
    Admin,
    Pop3,
    Pop3s,
}

/// One node.
#[derive(Debug, Clone)]
pub struct Node {
    pub name: String,
    pub kind: Kind,
    /// Its own folder under the murder's.
    pub folder: PathBuf,
    /// The address of each of its services.
    pub ports: Vec<(Service, u16)>,
}

impl Node {
    /// `127.0.0.1:port`.
    pub fn address(&self, service: Service) -> String {
        let port = self.ports.iter().find(|(of, _)| *of == service);
        format!("127.0.0.1:{}", port.map_or(0, |(_, port)| *port))
    }

    /// Its TOML file.
    pub fn config_file(&self) -> PathBuf {
        self.file("toml")
    }

    /// Its log file.
    pub fn log_file(&self) -> PathBuf {
        self.file("log")
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.name))
    }
}

/// The folder of a node.
pub fn folder(dir: &Path, name: &str) -> PathBuf {
    dir.join(name)
}
