//! The backend's configuration file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use murder_net::config::{
    ClusterConfig, HttpConfig, LimitsConfig, LogConfig, MupdateConfig, NodeConfig, TlsConfig, path,
};
use serde::{Deserialize, Serialize};

/// A backend's configuration: one field a section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackendConfig {
    /// `[node]`: who this node is.
    pub node: NodeConfig,
    /// `[cluster]`: the node's certificate. Without it the backend works alone.
    pub cluster: Option<ClusterConfig>,
    /// `[mupdate]`: where the master is. Without masters the backend works alone.
    pub mupdate: MupdateConfig,
    /// `[users]`: accounts of a backend that works alone.
    pub users: UsersConfig,
    /// `[imap]`: the IMAP server.
    pub imap: ImapConfig,
    /// `[lmtp]`: the LMTP server.
    pub lmtp: LmtpConfig,
    /// `[tls]`: the certificate that mail clients see.
    pub tls: Option<TlsConfig>,
    /// `[partitions.NAME]`: where the mail is.
    pub partitions: BTreeMap<String, PartitionSection>,
    /// `[limits]`: what a client may use of the node.
    pub limits: LimitsConfig,
    /// `[http]`: health, readiness and metrics.
    pub http: HttpConfig,
    /// `[log]`: what is logged.
    pub log: LogConfig,
}

/// `[users]`: accounts of a backend that works alone; with a master, the master has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UsersConfig {
    /// A users file, see `docs/configuration.md`. Default: none.
    #[serde(deserialize_with = "murder_net::config::optional_path")]
    pub file: Option<PathBuf>,
}

/// `[imap]`: the IMAP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImapConfig {
    /// `address:port`s with STARTTLS. Default: none.
    pub listen: Vec<SocketAddr>,
    /// `address:port`s with implicit TLS. The first is where frontends connect. Default: none.
    pub tls_listen: Vec<SocketAddr>,
    /// `host:port` by which frontends reach the first of `tls_listen`. Default: that address.
    pub advertise: Option<String>,
    /// Whether clients on this machine may log in without TLS. Default: false.
    pub allow_plaintext_loopback: bool,
    /// Whether administrators keep their rights when they come through a frontend. Default:
    /// false.
    pub proxy_admins: bool,
    /// The most bytes in a command, message bodies apart. Default: 65536.
    pub max_command: usize,
    /// The most bytes in an appended message. Default: 67108864.
    pub append_limit: u64,
}

impl Default for ImapConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            tls_listen: Vec::new(),
            advertise: None,
            allow_plaintext_loopback: false,
            proxy_admins: false,
            max_command: 64 << 10,
            append_limit: 64 << 20,
        }
    }
}

/// `[lmtp]`: the LMTP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LmtpConfig {
    /// `address:port`s, with STARTTLS. Default: none.
    pub listen: Vec<SocketAddr>,
    /// `host:port` by which frontends reach the first of `listen`. Default: that address.
    pub advertise: Option<String>,
    /// Take mail from whoever connects, and not only from the nodes of the cluster and from this
    /// machine. Default: false.
    pub open: bool,
    /// The most bytes in a message. Default: 67108864.
    pub message_limit: u64,
}

impl Default for LmtpConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            advertise: None,
            open: false,
            message_limit: 64 << 20,
        }
    }
}

/// `[partitions.NAME]`: one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionSection {
    /// The partition's directory. No default.
    #[serde(deserialize_with = "path")]
    pub path: PathBuf,
}
