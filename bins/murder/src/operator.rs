//! How this tool finds the master: an operator's configuration file, with a certificate that has
//! the role `operator`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use murder_mupdate::{MupdateClient, MupdateClientConfig};
use murder_net::config::{ClusterConfig, MupdateConfig};
use murder_net::{ConfigError, NodeTls};
use serde::Deserialize;

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
    /// The operator's TOML file, with [cluster] and [mupdate] [default: /etc/murder/operator.toml]
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
    mupdate: MupdateConfig,
}

impl Target {
    /// A client of the master.
    ///
    /// # Errors
    /// When there is no usable configuration.
    pub fn connect(&self) -> anyhow::Result<MupdateClient> {
        connect(&self.file()?)
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

/// A client of a local murder's master.
///
/// # Errors
/// As [`Target::connect`].
pub fn connect_to_dir(dir: &Path) -> anyhow::Result<MupdateClient> {
    connect(&dir.join(FOLDER).join(CONFIG_FILE))
}

fn connect(file: &Path) -> anyhow::Result<MupdateClient> {
    let config: OperatorConfig = murder_net::load(file)?;
    if config.mupdate.masters.is_empty() {
        bail!(ConfigError::Unfit {
            file: file.to_owned(),
            message: "`mupdate.masters` names no master".to_owned(),
        });
    }
    let tls = NodeTls::load(&config.cluster)?;
    let config = MupdateClientConfig::new(config.mupdate.masters, tls.client_config());
    Ok(MupdateClient::new(config))
}

/// Runs a command that talks to the master.
pub fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)
}
