//! The sections that more than one role has. Each field's comment is its documentation.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Mistakes, optional_path, path};
use crate::ca::is_node_name;

/// `[node]`: who this node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// The node's name in the murder, as in its certificate. Default: the host's name up to its
    /// first dot.
    pub name: String,
    /// Where the node keeps its state. Default: `/var/lib/murder`.
    #[serde(deserialize_with = "path")]
    pub data_dir: PathBuf,
    /// Threads that serve connections; 0 for one a processor. Default: 0.
    pub worker_threads: usize,
    /// Of a backend: its share of new homes, relative to the others'; 0 for none while others want
    /// some. At most 1000. Default: 100.
    pub weight: u32,
}

/// The greatest weight that a node can have: ten times the usual one.
pub const MAX_WEIGHT: u32 = 1000;
/// More threads than any machine has processors.
const MOST_WORKER_THREADS: usize = 1024;

impl NodeConfig {
    /// What can be wrong with it beyond each key by itself.
    pub fn check(&self, mistakes: &mut Mistakes) {
        if !is_node_name(&self.name) {
            let message = format!(
                "`node.name` = `{}` is no name of a node: letters, digits and hyphens, at most 63, \
                 dots between",
                self.name
            );
            mistakes.add("node.name", message);
        }
        mistakes.ensure(
            self.worker_threads <= MOST_WORKER_THREADS,
            "node.worker_threads",
            format!("`node.worker_threads` is more than {MOST_WORKER_THREADS}"),
        );
        mistakes.ensure(
            self.weight <= MAX_WEIGHT,
            "node.weight",
            format!("`node.weight` is more than {MAX_WEIGHT}"),
        );
    }
}

impl Default for NodeConfig {
    fn default() -> Self {
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy();
        Self {
            name: host.split('.').next().unwrap_or_default().to_lowercase(),
            data_dir: PathBuf::from("/var/lib/murder"),
            worker_threads: 0,
            weight: 100,
        }
    }
}

/// `[cluster]`: the node's certificate, and the authority that all nodes trust.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterConfig {
    /// The cluster's CA certificates (PEM). No default.
    #[serde(deserialize_with = "path")]
    pub ca: PathBuf,
    /// The node's certificate chain (PEM). No default.
    #[serde(deserialize_with = "path")]
    pub cert: PathBuf,
    /// The node's private key (PEM). No default.
    #[serde(deserialize_with = "path")]
    pub key: PathBuf,
}

impl ClusterConfig {
    /// Whether all of it is said.
    pub fn check(&self, mistakes: &mut Mistakes) {
        let files = [("ca", &self.ca), ("cert", &self.cert), ("key", &self.key)];
        if *self == Self::default() {
            return mistakes.add(
                "cluster",
                "`[cluster]` is missing: the node's certificate, from `murder cert issue`",
            );
        }
        ensure_said("cluster", &files, mistakes);
    }
}

fn ensure_said(section: &str, files: &[(&str, &PathBuf)], mistakes: &mut Mistakes) {
    for (key, file) in files {
        let key = format!("{section}.{key}");
        let said = !file.as_os_str().is_empty();
        mistakes.ensure(said, &key, format!("`{key}` is missing"));
    }
}

/// `[mupdate]`: where the master is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MupdateConfig {
    /// `host:port` of the gRPC listener of each master. Default: none.
    pub masters: Vec<String>,
    /// A node that has heard nothing of the master for so long lets nobody log in any more, in
    /// seconds; 0 for no such limit. Default: 0.
    pub max_authority_age_seconds: u64,
}

/// The master says something each second; a copy must be allowed to be older than one that was not
/// heard.
const LEAST_AUTHORITY_AGE: u64 = 5;

impl MupdateConfig {
    /// [`max_authority_age_seconds`](Self::max_authority_age_seconds); `None` for no limit.
    #[must_use]
    pub fn max_authority_age(&self) -> Option<Duration> {
        match self.max_authority_age_seconds {
            0 => None,
            seconds => Some(Duration::from_secs(seconds)),
        }
    }

    /// What can be wrong with it beyond each key by itself.
    pub fn check(&self, mistakes: &mut Mistakes) {
        for master in &self.masters {
            mistakes.ensure_host_port("mupdate.masters", master);
        }
        let seconds = self.max_authority_age_seconds;
        mistakes.ensure(
            seconds == 0 || seconds >= LEAST_AUTHORITY_AGE,
            "mupdate.max_authority_age_seconds",
            format!(
                "`mupdate.max_authority_age_seconds` is neither 0 nor at least {LEAST_AUTHORITY_AGE}"
            ),
        );
    }
}

/// `[admin]`: where operators' calls are taken, over mTLS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// `address:port`. Default: none.
    pub listen: Option<SocketAddr>,
    /// `host:port` by which operators reach `listen`. Default: that address.
    pub advertise: Option<String>,
}

impl AdminConfig {
    /// What can be wrong with it beyond each key by itself, in a murder.
    pub fn check(&self, mistakes: &mut Mistakes) {
        mistakes.ensure_reachable("admin", "listen", self.listen.as_slice(), &self.advertise);
    }
}

/// `[tls]`: the certificate that mail clients see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The certificate chain (PEM). No default; without the section, the cluster's certificate.
    #[serde(deserialize_with = "path")]
    pub cert: PathBuf,
    /// The private key (PEM). No default.
    #[serde(deserialize_with = "path")]
    pub key: PathBuf,
}

impl TlsConfig {
    /// Whether all of it is said.
    pub fn check(&self, mistakes: &mut Mistakes) {
        ensure_said("tls", &[("cert", &self.cert), ("key", &self.key)], mistakes);
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line of text an event.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

/// `[log]`: what is logged, to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `text` or `json`. Default: `text`.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or filters such as
    /// `info,murder_backend=debug`. Default: `info`.
    pub level: String,
    /// A file for [audit events](mod@crate::audit), which SIGHUP opens anew. Default: none, they go
    /// with the rest.
    #[serde(deserialize_with = "optional_path")]
    pub audit: Option<PathBuf>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
            audit: None,
        }
    }
}

/// `[http]`: health, readiness and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// `address:port` that answers `/healthz`, `/readyz` and `/metrics`. Default: none.
    pub listen: Option<SocketAddr>,
}

/// `[limits]`: what a client may use of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Connections at once of a listener's protocol. Default: 50000.
    pub max_connections: usize,
    /// Connections at once from one IP address, 0 for no such limit. Default: 2000, which leaves
    /// room for many users behind one address translator or webmail server.
    pub max_connections_per_ip: usize,
    /// Logged-in connections at once of one user, 0 for no such limit. Default: 200.
    pub max_connections_per_user: usize,
    /// How long the answer to a failed login is held back, in milliseconds. Default: 1000.
    pub failed_login_delay_ms: u64,
    /// Time to log in, TLS included, in seconds. Default: 60.
    pub login_timeout_seconds: u64,
    /// A logged-in client that says nothing for so long is logged out, in seconds; RFC 9051 5.4
    /// wants at least 1800. Default: 1800.
    pub idle_timeout_seconds: u64,
    /// How often a client in IDLE is told that the server is still there, in seconds; 0 for never.
    /// Keeps connections in the tables of address translators. Default: 120.
    pub idle_notify_seconds: u64,
    /// A client that does not take a single byte of an answer for so long is disconnected, in
    /// seconds. Default: 120.
    pub slow_reader_seconds: u64,
    /// Bytes that may wait for a client that does not read, before its session stops producing
    /// more. Default: 262144.
    pub slow_reader_bytes: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_connections: 50_000,
            max_connections_per_ip: 2_000,
            max_connections_per_user: 200,
            failed_login_delay_ms: 1_000,
            login_timeout_seconds: 60,
            idle_timeout_seconds: 1_800,
            idle_notify_seconds: 120,
            slow_reader_seconds: 120,
            slow_reader_bytes: 256 * 1024,
        }
    }
}

impl LimitsConfig {
    /// Whether anybody can be served.
    pub fn check(&self, mistakes: &mut Mistakes) {
        for (key, zero) in [
            ("max_connections", self.max_connections == 0),
            ("login_timeout_seconds", self.login_timeout_seconds == 0),
            ("idle_timeout_seconds", self.idle_timeout_seconds == 0),
            ("slow_reader_seconds", self.slow_reader_seconds == 0),
            ("slow_reader_bytes", self.slow_reader_bytes == 0),
        ] {
            let key = format!("limits.{key}");
            mistakes.ensure(
                !zero,
                &key,
                format!("`{key}` is 0, which refuses everybody"),
            );
        }
    }

    /// [`failed_login_delay_ms`](Self::failed_login_delay_ms).
    #[must_use]
    pub fn failed_login_delay(&self) -> Duration {
        Duration::from_millis(self.failed_login_delay_ms)
    }

    /// [`login_timeout_seconds`](Self::login_timeout_seconds).
    #[must_use]
    pub fn login_timeout(&self) -> Duration {
        Duration::from_secs(self.login_timeout_seconds)
    }

    /// [`idle_timeout_seconds`](Self::idle_timeout_seconds).
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout_seconds)
    }

    /// [`idle_notify_seconds`](Self::idle_notify_seconds); for never, longer than any IDLE.
    #[must_use]
    pub fn idle_notify(&self) -> Duration {
        match self.idle_notify_seconds {
            0 => self.idle_timeout().saturating_mul(2),
            seconds => Duration::from_secs(seconds),
        }
    }

    /// [`slow_reader_seconds`](Self::slow_reader_seconds).
    #[must_use]
    pub fn slow_reader(&self) -> Duration {
        Duration::from_secs(self.slow_reader_seconds)
    }
}
