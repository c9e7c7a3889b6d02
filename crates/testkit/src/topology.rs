//! What `murder up --topology FILE` writes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// In order of their names, as all lists here.
    pub frontends: Vec<MailNode>,
    /// Where mail is.
    pub backends: Vec<MailNode>,
    /// One.
    pub masters: Vec<MasterNode>,
    /// Who may do everything.
    pub admin: Admin,
    /// Who has mail.
    pub users: Users,
    /// `/`
    pub hierarchy_separator: String,
    /// The CA's certificate.
    pub ca: PathBuf,
}

/// A frontend or a backend.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailNode {
    /// Such as `fe1`.
    pub name: String,
    /// IMAP with STARTTLS.
    pub imap: SocketAddr,
    /// IMAP with implicit TLS.
    pub imaps: SocketAddr,
    /// LMTP.
    pub lmtp: SocketAddr,
    /// Health, readiness and metrics.
    pub http: SocketAddr,
    /// POP3 with STLS; a backend's.
    pub pop3: Option<SocketAddr>,
    /// POP3 with implicit TLS; a backend's.
    pub pop3s: Option<SocketAddr>,
    /// A backend's.
    #[serde(default)]
    pub partitions: Vec<String>,
    /// The process.
    pub pid: i32,
    /// Its TOML file.
    pub config: PathBuf,
}

/// A master.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MasterNode {
    /// Such as `mu1`.
    pub name: String,
    /// Where nodes connect.
    pub grpc: SocketAddr,
    /// Health, readiness and metrics.
    pub http: SocketAddr,
    /// The process.
    pub pid: i32,
    /// Its TOML file.
    pub config: PathBuf,
}

/// The administrator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// The login name.
    pub user: String,
    /// The password.
    pub password: String,
}

/// The users.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Users {
    /// Names, with `{}` for the number.
    pub pattern: String,
    /// The first number.
    pub first: u32,
    /// How many.
    pub count: u32,
    /// Everyone's.
    pub password: String,
}

impl Users {
    /// The name of user `number`.
    #[must_use]
    pub fn name(&self, number: u32) -> String {
        self.pattern.replace("{}", &number.to_string())
    }
}

impl Topology {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is not there, or not of this form.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(file).with_context(|| file.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| file.display().to_string())
    }

    /// Each node's name, process, configuration file and HTTP address.
    pub fn processes(&self) -> impl Iterator<Item = (&str, i32, &Path, SocketAddr)> {
        let mail = self.frontends.iter().chain(&self.backends);
        let mail = mail.map(|node| (&*node.name, node.pid, &*node.config, node.http));
        let masters = self.masters.iter();
        mail.chain(masters.map(|node| (&*node.name, node.pid, &*node.config, node.http)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_form_that_is_promised() {
        let text = r#"{"frontends":[{"name":"fe1","imap":"127.0.0.1:1","imaps":"127.0.0.1:2",
            "lmtp":"127.0.0.1:3","http":"127.0.0.1:4","pid":7,"config":"/m/fe1.toml"}],
            "backends":[{"name":"be1","imap":"127.0.0.1:1","imaps":"127.0.0.1:2",
            "lmtp":"127.0.0.1:3","http":"127.0.0.1:4","pop3":"127.0.0.1:5","pop3s":"127.0.0.1:6",
            "partitions":["default"],"pid":8,
            "config":"/m/be1.toml"}],
            "masters":[{"name":"mu1","grpc":"127.0.0.1:5","http":"127.0.0.1:6","pid":9,
            "config":"/m/mu1.toml"}],
            "admin":{"user":"admin","password":"secret"},
            "users":{"pattern":"user{}","first":1,"count":100,"password":"secret"},
            "hierarchy_separator":"/","ca":"/m/ca.pem"}"#;
        let topology: Topology = serde_json::from_str(text).unwrap();
        let names: Vec<_> = topology
            .processes()
            .map(|(name, pid, ..)| (name, pid))
            .collect();
        assert_eq!(names, [("fe1", 7), ("be1", 8), ("mu1", 9)]);
        assert_eq!(topology.users.name(3), "user3");
    }
}
