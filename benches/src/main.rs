//! The load generator behind `docs/performance.md`: measures a murder from outside, as clients see
//! it.
//!
//! Without `--topology` it starts one of its own, of real processes, with `murder` from its own
//! folder. `side-by-side` measures it beside other servers.

mod figure;
mod measure;
mod side_by_side;
mod target;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use figure::Figure;
use target::Target;

/// Measures a murder.
#[derive(Debug, Clone, Parser)]
#[command(name = "murder-bench", version, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Measure the running murder of this topology file, instead of one of its own
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// The `murder` program [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    murder: Option<PathBuf>,
    /// What to measure; all of it when not said
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<What>,
    /// Clients at the same time, where there are many
    #[arg(long, default_value_t = 16)]
    clients: u32,
    /// Seconds of each measurement of a rate
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Messages in the mailbox that is selected
    #[arg(long, default_value_t = 10_000)]
    messages: u32,
    /// Clients that are logged in and do nothing
    #[arg(long, default_value_t = 200)]
    idle: u32,
    /// Bytes of a message
    #[arg(long, default_value_t = 4096)]
    size: usize,
    /// Also write the figures into this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    SideBySide(side_by_side::Arguments),
}

/// What can be measured, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// From the start of `murder up` until it is ready
    Up,
    /// Memory of clients that do nothing
    Memory,
    /// SELECT of a large mailbox
    Select,
    /// From APPEND to an idling client on another frontend
    Push,
    /// Logins
    Login,
    /// APPENDs
    Append,
    /// LMTP deliveries
    Deliver,
    /// Fetches of whole messages
    Fetch,
    /// Changes of flags
    Store,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = Arguments::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    match arguments.command.take() {
        None => runtime.enable_all().build()?.block_on(alone(&arguments)),
        Some(Command::SideBySide(arguments)) => {
            // One thread costs the servers the least of the processors that they share with it.
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build()?;
            runtime.block_on(side_by_side::run(arguments))
        }
    }
}

async fn alone(arguments: &Arguments) -> anyhow::Result<()> {
    let wanted: Vec<What> = What::value_variants()
        .iter()
        .copied()
        .filter(|what| arguments.only.is_empty() || arguments.only.contains(what))
        .collect();
    let mut figures: Vec<Figure> = Vec::new();
    let mut target = None;
    for what in wanted {
        let measured = match (what, &mut target) {
            (What::Up, _) if arguments.topology.is_some() => continue,
            (What::Up, _) => measure::up::measure(arguments).await?,
            (what, target) => {
                let target = match target {
                    Some(target) => target,
                    None => target.insert(Target::new(arguments).await?),
                };
                measure::run(what, target, arguments).await?
            }
        };
        for figure in measured {
            println!("{}", figure.line());
            figures.push(figure);
        }
    }
    let json = serde_json::to_string_pretty(&figures)?;
    match &arguments.json {
        Some(file) => std::fs::write(file, json + "\n")?,
        None => println!("\n{json}"),
    }
    Ok(())
}
