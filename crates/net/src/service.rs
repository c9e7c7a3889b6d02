//! A role as a process: arguments, configuration, start, signals, drain, exit code.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use sd_notify::NotifyState;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{ConfigError, LogConfig, Mistakes, NodeConfig};
use crate::expiry::CertificateFile;
use crate::{Health, config, expiry, log, memory, tls};

/// The exit code for a configuration that cannot be used.
pub const EXIT_CONFIG: u8 = 2;

/// What a role's process is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The node's TOML file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Only load and check the configuration
    #[arg(long)]
    pub check: bool,
    /// How long sessions may finish what they do after SIGTERM, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub grace: u64,
    /// Stop as well when the process that has started this one, and has this id, is gone
    #[arg(long, value_name = "PID", hide = true)]
    pub with_parent: Option<i32>,
}

/// A role, as its process sees it.
pub trait Service {
    /// The whole of the node's file.
    type Config: DeserializeOwned;
    /// What runs.
    type Running;

    /// `backend`, in log lines.
    const NAME: &'static str;

    /// The file's `[node]`.
    fn node(config: &Self::Config) -> &NodeConfig;

    /// The file's `[log]`.
    fn log(config: &Self::Config) -> &LogConfig;

    /// What can be wrong with the configuration beyond each key by itself, the files that it names
    /// included; all of it. Changes nothing.
    fn check(config: &Self::Config, mistakes: &mut Mistakes);

    /// The certificates that it shows to nodes and to mail clients, and those that it believes.
    fn certificates(config: &Self::Config) -> Vec<CertificateFile>;

    /// What it says about itself while it runs.
    fn health(running: &Self::Running) -> &Health;

    /// Starts it; returns when it listens.
    ///
    /// # Errors
    /// Why it cannot be started.
    fn start(config: Self::Config) -> impl Future<Output = anyhow::Result<Self::Running>>;

    /// What it listens on: (protocol, address).
    fn addresses(running: &Self::Running) -> Vec<(String, SocketAddr)>;

    /// Stops it within `grace`.
    fn stop(running: Self::Running, grace: Duration) -> impl Future<Output = ()>;
}

/// Runs a role until SIGTERM or SIGINT: 0 after a clean stop, [`EXIT_CONFIG`] for a bad
/// configuration, 1 when it cannot start. SIGHUP reads certificates again.
#[must_use]
pub fn run<S: Service>(arguments: &Arguments) -> ExitCode {
    if arguments.check {
        return check::<S>(&arguments.config);
    }
    let config = match load::<S>(&arguments.config) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    match run_loaded::<S>(arguments, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Logging may not be set up; systemd and `murder up` show either.
            eprintln!("murder-{}: {}", S::NAME, describe(&error));
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong with a role's configuration. A certificate that has expired is wrong here,
/// while a node starts with it: some clients may still take it, and its health says so.
fn check<S: Service>(file: &Path) -> ExitCode {
    let mut soon = Vec::new();
    let checked = config::load_checked(file, |config, mistakes| {
        check_all::<S>(config, mistakes);
        for remark in expiry::remarks(&S::certificates(config), SystemTime::now()) {
            match remark.ended {
                true => mistakes.add(remark.key, remark.text),
                false => soon.push(remark.text),
            }
        }
    });
    for remark in soon {
        eprintln!("warning: {remark}");
    }
    match checked {
        Ok(_) => {
            println!("{}: ok", file.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

fn check_all<S: Service>(config: &S::Config, mistakes: &mut Mistakes) {
    log::check(S::log(config), mistakes);
    S::node(config).check(mistakes);
    S::check(config, mistakes);
}

/// Loads and checks a role's configuration.
///
/// # Errors
/// [`ConfigError`], with all that is wrong.
pub fn load<S: Service>(file: &Path) -> Result<S::Config, ConfigError> {
    config::load_checked(file, check_all::<S>)
}

/// An error with its causes in one line, without those that the one before has said already.
#[must_use]
pub fn describe(error: &anyhow::Error) -> String {
    let mut causes = error.chain().map(ToString::to_string);
    let mut text = causes.next().unwrap_or_default();
    for cause in causes {
        if !text.ends_with(&cause) {
            text += ": ";
            text += &cause;
        }
    }
    text
}

fn run_loaded<S: Service>(arguments: &Arguments, config: S::Config) -> anyhow::Result<()> {
    if let Some(parent) = arguments.with_parent {
        stop_with_parent(parent)?;
    }
    // Mail, accounts and keys are nobody else's, whatever has started the process.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    log::init(S::log(&config))?;
    raise_open_files();
    if let Err(error) = memory::without_huge_pages() {
        tracing::debug!(%error, "huge pages cannot be done without");
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all();
    match S::node(&config).worker_threads {
        0 => {}
        threads => {
            runtime.worker_threads(threads);
        }
    }
    let runtime = runtime.build()?;
    let grace = Duration::from_secs(arguments.grace);
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let certificates = S::certificates(&config);
        let running = tokio::select! {
            running = S::start(config) => running?,
            _ = signals.stop() => return Ok(()),
        };
        for (protocol, address) in S::addresses(&running) {
            tracing::info!(role = S::NAME, protocol, %address, "listening");
        }
        notify(&[NotifyState::Ready]);
        let expiring = expiry::watch(certificates, S::health(&running).clone());
        let signal = tokio::select! {
            signal = signals.stop() => signal,
            never = expiring => match never {},
            never = memory::give_back() => match never {},
        };
        tracing::info!(role = S::NAME, signal, "stopping");
        notify(&[NotifyState::Stopping]);
        tokio::select! {
            () = S::stop(running, grace) => tracing::info!(role = S::NAME, "stopped"),
            signal = signals.stop() => tracing::warn!(role = S::NAME, signal, "stopped at once"),
        }
        Ok(())
    })
}

/// SIGTERM when the parent is gone; an error if it is already.
fn stop_with_parent(parent: i32) -> anyhow::Result<()> {
    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::TERM))?;
    anyhow::ensure!(
        getppid().map(Pid::as_raw_pid) == Some(parent),
        "the process that has started this one is gone"
    );
    Ok(())
}

/// A connection is a file: takes as many as the system gives.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays at {:?}", limit.current);
    }
}

/// Tells systemd, when it wants to know.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told");
    }
}

/// The signals that a role knows.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal to stop, looking after SIGHUP meanwhile.
    async fn stop(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hang_up.recv() => reload(),
            }
        }
    }
}

fn reload() {
    let errors = tls::reload_all();
    for error in &errors {
        tracing::error!(%error, "a certificate could not be read again; the former one stays");
    }
    if errors.is_empty() {
        tracing::info!("certificates were read again");
    }
    if let Err(error) = log::reopen() {
        tracing::error!(%error, "the audit log could not be opened again; the former file stays");
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let source = std::io::Error::other("no disk");
        let read = ConfigError::Read {
            file: PathBuf::from("be1.toml"),
            source,
        };
        let error = Err::<(), _>(read).context("not started").unwrap_err();
        assert_eq!(
            describe(&error),
            "not started: be1.toml: cannot be read: no disk"
        );
    }
}
