//! The master's configuration file.

use std::time::Duration;

use murder_net::config::{ClusterConfig, HttpConfig, LogConfig, Mistakes, NodeConfig};
use serde::{Deserialize, Serialize};

/// A master's configuration: one field a section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MasterConfig {
    /// `[node]`: who this node is.
    #[serde(default)]
    pub node: NodeConfig,
    /// `[cluster]`: the node's certificate. Masters talk over mTLS only.
    #[serde(default)]
    pub cluster: ClusterConfig,
    /// `[grpc]`: where nodes and operators connect.
    #[serde(default)]
    pub grpc: GrpcConfig,
    /// `[http]`: health, readiness and metrics.
    #[serde(default)]
    pub http: HttpConfig,
    /// `[log]`: what is logged.
    #[serde(default)]
    pub log: LogConfig,
    /// `[limits]`: what the master keeps, and for how long.
    #[serde(default)]
    pub limits: MasterLimitsConfig,
}

/// `[grpc]`: where nodes and operators connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrpcConfig {
    /// `address:port` to listen on. Default: `0.0.0.0:3905`.
    pub listen: std::net::SocketAddr,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            listen: std::net::SocketAddr::from(([0, 0, 0, 0], 3905)),
        }
    }
}

/// `[limits]` of a master.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MasterLimitsConfig {
    /// Changes that a node may have missed and still go on without a full snapshot. Default:
    /// 1000000.
    pub history_revisions: u64,
    /// The most bytes on disk for them. Default: 1073741824.
    pub history_bytes: u64,
    /// A node that is not heard of for so long is down, and what it had reserved is free, in
    /// milliseconds. Default: 10000.
    pub lease_ms: u64,
}

impl Default for MasterLimitsConfig {
    fn default() -> Self {
        Self {
            history_revisions: 1_000_000,
            history_bytes: 1 << 30,
            lease_ms: 10_000,
        }
    }
}

/// A shorter lease would end while a heartbeat is on its way.
const LEAST_LEASE_MS: u64 = 100;

impl MasterConfig {
    /// What can be wrong beyond each key by itself.
    pub(crate) fn check_sections(&self, mistakes: &mut Mistakes) {
        mistakes.ensure(
            self.limits.lease_ms >= LEAST_LEASE_MS,
            "limits.lease_ms",
            format!("`limits.lease_ms` is less than {LEAST_LEASE_MS}"),
        );
        mistakes.ensure(
            self.grpc.listen.port() != 0 || self.grpc.listen.ip().is_loopback(),
            "grpc.listen",
            "`grpc.listen` has no port: nobody would know where to connect",
        );
        mistakes.ensure_distinct(&[
            ("grpc.listen", &[self.grpc.listen]),
            ("http.listen", self.http.listen.as_slice()),
        ]);
    }
}

impl MasterLimitsConfig {
    /// [`lease_ms`](Self::lease_ms).
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms.max(LEAST_LEASE_MS))
    }
}
