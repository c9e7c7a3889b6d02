//! How this tool finds the master and the backends: an operator's configuration file, with a certificate that has
//! the role `operator`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use murder_mupdate::{MupdateClient, MupdateClientConfig, MupdateError};
use murder_net::config::{ClusterConfig, MupdateConfig};
use murder_net::tls::TlsClient;
use murder_net::{ConfigError, NodeTls};
use serde::Deserialize;

use crate::backends::Backends;
use crate::up::DEFAULT_DIR;

/// The operator's folder in a local murder.
pub const FOLDER: &str = "operator";
/// The operator's file in it.
pub const CONFIG_FILE: &str = "operator.toml";
/// The operator's file of a machine.
const SYSTEM_CONFIG: &str = "/etc/murder/operator.toml";

/// Which murder is meant.
#[derive(Debug, Clone, clap::Args)]
#[group(multiple = false)]
pub struct Target {
    /// The operator's TOML file [default: /etc/murder/operator.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory of a local murder [default: ./murder-local, if there is one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OperatorConfig {
    cluster: ClusterConfig,
    /// Not needed for a backend that works alone.
    #[serde(default)]
    mupdate: MupdateConfig,
}

/// Which backends are meant: those of a murder, or one.
#[derive(Debug, Clone, clap::Args)]
pub struct BackendTarget {
    #[command(flatten)]
    target: Target,
    /// A backend's admin address; for one that works alone, or without asking the master
    #[arg(long, value_name = "HOST:PORT")]
    backend: Option<String>,
}

impl BackendTarget {
    /// Runs a command with the means to reach backends.
    ///
    /// # Errors
    /// When there is no usable configuration; the command's own.
    pub fn run<T>(
        &self,
        command: impl AsyncFnOnce(Backends) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let Some(address) = &self.backend else {
            return self
                .target
                .run_with(async |client, tls| command(Backends::of_murder(client, tls)).await);
        };
        let config: OperatorConfig = murder_net::load(&self.target.file()?)?;
        let tls = NodeTls::load(&config.cluster)?.client();
        runtime()?.block_on(command(Backends::one(address.clone(), tls)))
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

impl Target {
    /// Runs a command with a client of the master.
    ///
    /// # Errors
    /// When there is no usable configuration; the command's own.
    pub fn run<T>(
        &self,
        command: impl AsyncFnOnce(MupdateClient) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.run_with(async |client, _| command(client).await)
    }

    /// As [`run`](Self::run), with the operator's TLS for other nodes.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn run_with<T>(
        &self,
        command: impl AsyncFnOnce(MupdateClient, TlsClient) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let config = load(&self.file()?)?;
        let masters = config.mupdate.masters.join(", ");
        let done = runtime()?.block_on(async {
            let tls = NodeTls::load(&config.cluster)?.client();
            command(client(config.mupdate, tls.clone()), tls).await
        });
        done.map_err(|error| match error.downcast_ref::<MupdateError>() {
            Some(refused) if refused.is_unavailable() => error.context(format!("asked {masters}")),
            _ => error,
        })
    }

    fn file(&self) -> anyhow::Result<PathBuf> {
        if let Some(file) = &self.config {
            return Ok(file.clone());
        }
        let local = |dir: &Path| dir.join(FOLDER).join(CONFIG_FILE);
        if let Some(dir) = &self.dir {
            return Ok(local(dir));
        }
        let candidates = [local(Path::new(DEFAULT_DIR)), PathBuf::from(SYSTEM_CONFIG)];
        let found = candidates.into_iter().find(|file| file.exists());
        found.context("which murder? Say --dir DIR or --config FILE")
    }
}

/// A client of a local murder's master, within a runtime.
///
/// # Errors
/// When there is no usable configuration.
pub fn connect_to_dir(dir: &Path) -> anyhow::Result<MupdateClient> {
    let config = load(&dir.join(FOLDER).join(CONFIG_FILE))?;
    let tls = NodeTls::load(&config.cluster)?.client();
    Ok(client(config.mupdate, tls))
}

fn load(file: &Path) -> anyhow::Result<OperatorConfig> {
    let config: OperatorConfig = murder_net::load(file)?;
    if config.mupdate.masters.is_empty() {
        bail!(ConfigError::Unfit {
            file: file.to_owned(),
            message: "`mupdate.masters` names no master".to_owned(),
        });
    }
    Ok(config)
}

fn client(mupdate: MupdateConfig, tls: TlsClient) -> MupdateClient {
    MupdateClient::new(MupdateClientConfig::new(mupdate.masters, tls))
}
