//! The backend as a running role: listeners, partitions, its session with the master.

use std::net::SocketAddr;
use std::time::Duration;

use murder_net::config::LogConfig;

use crate::config::BackendConfig;

/// Where a backend listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackendAddresses {
    /// IMAP with STARTTLS.
    pub imap: Vec<SocketAddr>,
    /// IMAP with implicit TLS.
    pub imaps: Vec<SocketAddr>,
    /// LMTP.
    pub lmtp: Vec<SocketAddr>,
    /// Health, readiness and metrics.
    pub http: Option<SocketAddr>,
}

/// A running backend. Dropped, it stops at once, as if it were killed.
pub struct Backend {}

impl Backend {
    /// Opens the partitions, joins the murder and listens.
    ///
    /// # Errors
    /// When a certificate, a partition or an address cannot be used.
    pub async fn start(_config: BackendConfig) -> anyhow::Result<Self> {
        anyhow::bail!("skeleton")
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &BackendAddresses {
        unimplemented!()
    }

    /// Takes no more connections, lets sessions end within `grace`, and closes the partitions.
    pub async fn shutdown(self, _grace: Duration) {}
}

/// The backend's role as [`murder_net::service`] runs it.
#[derive(Debug, Clone, Copy)]
pub struct BackendService;

impl murder_net::service::Service for BackendService {
    type Config = BackendConfig;
    type Running = Backend;

    const NAME: &'static str = "backend";

    fn log(config: &BackendConfig) -> &LogConfig {
        &config.log
    }

    fn check(_config: &BackendConfig) -> anyhow::Result<()> {
        Ok(())
    }

    async fn start(config: BackendConfig) -> anyhow::Result<Backend> {
        Backend::start(config).await
    }

    fn addresses(_running: &Backend) -> Vec<(String, SocketAddr)> {
        Vec::new()
    }

    async fn stop(running: Backend, grace: Duration) {
        running.shutdown(grace).await;
    }
}
