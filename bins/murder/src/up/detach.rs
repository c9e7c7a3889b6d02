//! `murder up --detach`: the supervisor in the background.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use rustix::process::{Signal, set_parent_process_death_signal};

use super::arguments::Arguments;
use super::lock::{Holder, Lock};
use super::topology::Topology;
use super::{fleet, report};
use crate::output::tail;
use crate::password::VARIABLE;

/// What the background process says on its standard output, once, when all is ready.
const READY: &str = "ready";
/// Lines of its log that a failure shows.
const LOG_LINES: usize = 30;

/// Starts the background process and waits until it is ready.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let dir = arguments.make_dir()?;
    if let Holder::Process(_) = Lock::holder(&dir)? {
        // Taking it makes the error.
        Lock::take(&dir)?;
    }
    let log = dir.join("supervisor.log");
    let log_output = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .open(&log)
        .with_context(|| log.display().to_string())?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(background_arguments(arguments, &dir))
        .envs(
            arguments
                .password
                .as_ref()
                .map(|password| (VARIABLE, password)),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log_output)
        .spawn()
        .context("cannot start the background process")?;
    let stdout = child
        .stdout
        .take()
        .context("the background process has no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let mut words = line.split_whitespace();
    if words.next() != Some(READY) {
        child.wait()?;
        bail!("the murder did not start\n{}", tail(&log, LOG_LINES));
    }
    let unready: Vec<String> = words.map(str::to_owned).collect();
    if !unready.is_empty() {
        let said = tail(&log, LOG_LINES);
        for why in said.lines().filter(|line| line.contains(fleet::NOT_READY)) {
            eprintln!("{why}");
        }
    }
    report::print(&Topology::read(&dir)?, &dir, true, &unready)
}

fn background_arguments(arguments: &Arguments, dir: &std::path::Path) -> Vec<std::ffi::OsString> {
    let mut line: Vec<std::ffi::OsString> = vec!["up".into(), "--background".into()];
    let mut option = |name: &str, value: Option<std::ffi::OsString>| {
        if let Some(value) = value {
            let mut option = std::ffi::OsString::from(format!("--{name}="));
            option.push(value);
            line.push(option);
        }
    };
    option("dir", Some(dir.into()));
    option("masters", arguments.masters.map(|n| n.to_string().into()));
    option("backends", arguments.backends.map(|n| n.to_string().into()));
    option(
        "frontends",
        arguments.frontends.map(|n| n.to_string().into()),
    );
    option("users", arguments.users.map(|n| n.to_string().into()));
    option(
        "base-port",
        arguments.base_port.map(|n| n.to_string().into()),
    );
    option("topology", arguments.topology.clone().map(Into::into));
    if arguments.no_restart {
        line.push("--no-restart".into());
    }
    line
}

/// In the background process: no terminal's signals any more; until it is ready, it ends with the
/// foreground process.
pub fn leave_session() {
    if let Err(error) = rustix::process::setsid() {
        eprintln!("murder: still in the terminal's session: {error}");
    }
    end_with_parent(Some(Signal::TERM));
}

fn end_with_parent(by: Option<Signal>) {
    if let Err(error) = set_parent_process_death_signal(by) {
        eprintln!("murder: the foreground process's end is not seen: {error}");
    }
}

/// In the background process: lets the foreground one return, with the nodes that are not ready.
pub fn say_ready(unready: &[String]) {
    end_with_parent(None);
    let mut output = std::io::stdout();
    // Nobody may be listening any more, which does not matter.
    let _ = writeln!(output, "{READY} {}", unready.join(" ")).and_then(|()| output.flush());
}
