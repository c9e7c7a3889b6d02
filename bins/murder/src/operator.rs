//! How this tool finds the master and the backends: an operator's configuration file, with a certificate that has
//! the role `operator`.

use std::path::{Path, PathBuf};

use murder_location::{MupdateClient, MupdateClientConfig, MupdateError};
use murder_net::config::{ClusterConfig, MupdateConfig, load_checked};
use murder_net::tls::TlsClient;
use murder_net::{ConfigError, NodeTls};
use serde::Deserialize;

use crate::arguments::WrongArguments;
use crate::backends::Backends;

/// Where a local murder lives when nothing else is said.
pub const LOCAL_DIR: &str = "./murder-local";
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
    /// The operator's TOML file [default: /etc/murder/operator.toml, if ./murder-local is not there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory of a local murder [default: ./murder-local, if /etc/murder/operator.toml is not
    /// there]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OperatorConfig {
    cluster: ClusterConfig,
    /// Not needed for a backend that works alone.
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
        let (_, tls) = load(&self.target.file()?, false)?;
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
        let (config, tls) = load(&self.file()?, true)?;
        let masters = config.mupdate.masters.join(", ");
        let done =
            runtime()?.block_on(async { command(client(config.mupdate, tls.clone()), tls).await });
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
        let existing = |file: PathBuf| file.exists().then_some(file);
        Ok(the_one(
            existing(local(Path::new(LOCAL_DIR))),
            existing(PathBuf::from(SYSTEM_CONFIG)),
        )?)
    }
}

/// The operator's file that is meant where nothing is said.
fn the_one(local: Option<PathBuf>, system: Option<PathBuf>) -> Result<PathBuf, WrongArguments> {
    match (local, system) {
        // Nobody's users are to be deleted because of the folder that the shell happens to be in.
        (Some(local), Some(system)) => Err(WrongArguments::new(format!(
            "which murder? There are {} and {}: say --dir {LOCAL_DIR} or --config {}",
            local.display(),
            system.display(),
            system.display()
        ))),
        (Some(only), None) | (None, Some(only)) => Ok(only),
        (None, None) => Err(WrongArguments::new(
            "which murder? Say --dir DIR or --config FILE",
        )),
    }
}

/// A client of a local murder's master, within a runtime.
///
/// # Errors
/// When there is no usable configuration.
pub fn connect_to_dir(dir: &Path) -> anyhow::Result<MupdateClient> {
    let (config, tls) = load(&dir.join(FOLDER).join(CONFIG_FILE), true)?;
    Ok(client(config.mupdate, tls))
}

/// The operator's file, with its certificate. `of_murder`: it must name a master.
fn load(file: &Path, of_murder: bool) -> Result<(OperatorConfig, TlsClient), ConfigError> {
    let mut tls = None;
    let config: OperatorConfig = load_checked(file, |config: &OperatorConfig, mistakes| {
        config.mupdate.check(mistakes);
        mistakes.ensure(
            !of_murder || !config.mupdate.masters.is_empty(),
            "mupdate.masters",
            "`mupdate.masters` names no master",
        );
        config.cluster.check(mistakes);
        tls = NodeTls::load_checked(&config.cluster, mistakes);
    })?;
    let tls = tls.ok_or_else(|| ConfigError::unfit(file, "`[cluster]` cannot be used"))?;
    Ok((config, tls.client()))
}

fn client(mupdate: MupdateConfig, tls: TlsClient) -> MupdateClient {
    MupdateClient::new(MupdateClientConfig::new(mupdate.masters, tls))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_murder_stands_before_another_unsaid() {
        let (local, system) = (PathBuf::from("l"), PathBuf::from("s"));
        assert_eq!(the_one(Some(local.clone()), None).unwrap(), local);
        assert_eq!(the_one(None, Some(system.clone())).unwrap(), system);
        the_one(None, None).unwrap_err();
        let error = the_one(Some(local), Some(system)).unwrap_err().to_string();
        assert!(
            error.contains("--dir ./murder-local") && error.contains("--config s"),
            "{error}"
        );
    }
}
