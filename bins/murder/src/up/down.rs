//! `murder down`: stops a local murder and waits until it is gone.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::lock::{Holder, Lock};
use super::topology::Topology;
use crate::operator::LOCAL_DIR;
use crate::output::print_line;

/// Longer than a supervisor takes to stop its nodes, the stubborn ones included.
const WAIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// What `murder down` can be told.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The murder's directory
    #[arg(long, value_name = "DIR", default_value = LOCAL_DIR)]
    dir: PathBuf,
}

/// Stops it. Nothing to stop is no error.
///
/// # Errors
/// When there is no such directory, or the murder does not stop.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let dir = arguments
        .dir
        .canonicalize()
        .with_context(|| format!("no murder in {}", arguments.dir.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let Holder::Process(supervisor) = Lock::holder(&dir)? else {
            // Its nodes may be on their way out, if it was killed.
            Topology::clear_up(&dir, None).await?;
            return print_line(&format!("no murder runs in {}", dir.display()));
        };
        let pid = Pid::from_raw(supervisor).context("the supervisor has no process id")?;
        kill_process(pid, Signal::TERM)
            .with_context(|| format!("cannot stop the supervisor, process {supervisor}"))?;
        let begun = Instant::now();
        while Lock::holder(&dir)? == Holder::Process(supervisor) {
            if begun.elapsed() > WAIT {
                bail!("the supervisor, process {supervisor}, does not stop");
            }
            tokio::time::sleep(POLL).await;
        }
        print_line("stopped")
    })
}
