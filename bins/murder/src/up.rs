//! `murder up`: a master, backends and frontends as processes of their own on loopback, with
//! certificates, users and INBOXes, looked after until they are told to stop.

mod arguments;
mod config_files;
mod detach;
pub mod down;
mod fleet;
mod lock;
mod node;
mod plan;
mod ports;
mod provision;
mod report;
mod topology;

use std::path::Path;

use anyhow::bail;
use tokio::signal::unix::{SignalKind, signal};

pub use arguments::Arguments;
use fleet::Fleet;
use lock::Lock;
use plan::Plan;

use crate::output::print_line;

/// Starts the murder; returns when it has been stopped, or with `--detach` when it is ready.
///
/// # Errors
/// When something does not start, with the end of its log.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.detach {
        return detach::run(arguments);
    }
    if arguments.background {
        detach::leave_session();
    }
    let dir = arguments.make_dir()?;
    let _lock = Lock::take(&dir)?;
    // One thread: nodes are told to die with the thread that has started them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(supervise(&dir, arguments))
}

async fn supervise(dir: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?; // the terminal is gone
    let mut stop_signal = async || {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
            _ = hang_up.recv() => (),
        }
    };

    topology::Topology::clear_up(dir, arguments.topology.as_deref()).await?;
    let mut plan = Plan::load_or_new(dir, arguments)?;
    let topology = plan.topology();
    let mut fleet = Fleet::new(&plan, topology, arguments)?;
    let started = tokio::select! {
        started = bring_up(&mut plan, &mut fleet) => started,
        () = stop_signal() => {
            fleet.stop().await;
            bail!("stopped before it was ready");
        }
    };
    let unready = match started {
        Ok(unready) => unready,
        Err(error) => {
            fleet.stop().await;
            return Err(error);
        }
    };
    if arguments.background {
        detach::say_ready(&unready);
    } else {
        // Nobody may be listening, which does not matter.
        let _ = report::print(&fleet.topology().await, dir, false, &unready);
    }
    fleet.watch(stop_signal()).await;
    if !arguments.background {
        let _ = print_line("\nstopping");
    }
    tokio::select! {
        () = fleet.stop() => {}
        () = stop_signal() => {} // the second: whatever is left is killed
    }
    topology::Topology::remove(dir, arguments.topology.as_deref());
    Ok(())
}

/// Masters, accounts, the other nodes, mailboxes: in this order, so that a node's first replica
/// knows every account. Returns the nodes that are not ready.
async fn bring_up(plan: &mut Plan, fleet: &mut Fleet) -> anyhow::Result<Vec<String>> {
    let password = plan.password().to_owned();
    let hash = tokio::task::spawn_blocking(move || murder_auth::hash_password(&password));
    config_files::write(plan)?;
    let mut unready = fleet.start(node::Kind::Master).await?;
    provision::accounts(plan, hash).await?;
    unready.extend(fleet.start_others().await?);
    match provision::mailboxes(plan).await {
        Ok(()) => plan.save_provisioned()?,
        // What is missing is made at the next start, or at a user's first login.
        Err(error) if !unready.is_empty() => eprintln!("murder: {error:#}"),
        Err(error) => return Err(error),
    }
    fleet.publish().await?;
    Ok(unready)
}
