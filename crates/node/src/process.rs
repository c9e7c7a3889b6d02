//! A node as a process: arguments, configuration, start, signals, drain, exit code.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use murder_net::{log, tls};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::NodeFile;
use crate::node::Node;
use crate::role::{RoleKind, RunningRole};
use crate::{config, memory};

/// The exit code for a configuration that cannot be used.
pub const EXIT_CONFIG: u8 = 2;

/// What a node's process is told.
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

/// Runs a node until SIGTERM or SIGINT: 0 after a clean stop, [`EXIT_CONFIG`] for a bad configuration, 1
/// when it cannot start. SIGHUP reads certificates again.
///
/// A program with one role is that; one with several has those of which the file has the section, and
/// starts them in this order.
#[must_use]
pub fn run(arguments: &Arguments, kinds: &[RoleKind]) -> ExitCode {
    if arguments.check {
        return check(&arguments.config, kinds);
    }
    let file = match config::read(&arguments.config, kinds, |_, _| {}) {
        Ok(file) => file,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    match run_file(arguments, file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Logging may not be set up; systemd and `murder up` show either.
            eprintln!("murder-{}: {}", name(kinds), describe(&error));
            ExitCode::FAILURE
        }
    }
}

/// What the program is, for who reads its messages.
fn name(kinds: &[RoleKind]) -> &'static str {
    match kinds {
        [only] => only.role.as_str(),
        _ => "node",
    }
}

/// Says what is wrong with a node's configuration. A certificate that has expired is wrong here, while
/// a node starts with it: some clients may still take it, and its health says so.
fn check(file: &Path, kinds: &[RoleKind]) -> ExitCode {
    let mut soon = Vec::new();
    let checked = config::read(file, kinds, |runtime, mistakes| {
        soon = config::check_certificates(runtime, mistakes);
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

fn run_file(arguments: &Arguments, file: NodeFile) -> anyhow::Result<()> {
    if let Some(parent) = arguments.with_parent {
        stop_with_parent(parent)?;
    }
    // Mail, accounts and keys are nobody else's, whatever has started the process.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    log::init(&file.runtime.log)?;
    raise_open_files();
    if let Err(error) = memory::without_huge_pages() {
        tracing::debug!(%error, "huge pages cannot be done without");
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all();
    match file.runtime.node.worker_threads {
        0 => {}
        threads => {
            runtime.worker_threads(threads);
        }
    }
    let runtime = runtime.build()?;
    let grace = Duration::from_secs(arguments.grace);
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let node = tokio::select! {
            node = Node::start_file(file) => node?,
            _ = signals.stop() => return Ok(()),
        };
        for (role, protocol, address) in node.listeners() {
            tracing::info!(role = role.as_str(), protocol, %address, "listening");
        }
        let shared = node.runtime();
        for (protocol, address) in [("admin", shared.admin()), ("http", shared.http())] {
            if let Some(address) = address {
                tracing::info!(protocol, %address, "listening");
            }
        }
        notify(&[NotifyState::Ready]);
        let signal = tokio::select! {
            signal = signals.stop() => signal,
            never = memory::give_back() => match never {},
        };
        tracing::info!(signal, "stopping");
        notify(&[NotifyState::Stopping]);
        tokio::select! {
            () = node.shutdown(grace) => tracing::info!("stopped"),
            signal = signals.stop() => tracing::warn!(signal, "stopped at once"),
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

/// The signals that a node knows.
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
    use murder_net::ConfigError;

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
