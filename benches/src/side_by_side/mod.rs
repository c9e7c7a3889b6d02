//! Ours and other servers, side by side in one run on one machine: the same loads, one after the
//! other, server by server in each round, so that what disturbs one disturbs all.

mod cpu;
mod load;
mod mail;
mod server;
mod table;
mod window;
mod wire;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use murder_testkit::{Processes, Topology};

use load::Load;
use server::Server;
use table::Samples;

/// Compares a murder with other IMAP servers on this machine. All of a server's processes are
/// counted: those that listen at one of its addresses, and their descendants; to see them, be root.
#[derive(Debug, Clone, Parser)]
pub struct Arguments {
    /// A server: NAME=IMAP,LMTP,PASSWORD, then what differs of ,prefix=TEXT before a mailbox's
    /// name, ,users=PATTERN with {} for the number (user{}), and ,node=ADDRESS for each further
    /// node whose work counts, such as a backend
    #[arg(long = "peer", value_name = "PEER")]
    peers: Vec<Server>,
    /// Use the running murder of this topology file, instead of one of its own
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// The `murder` program [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    murder: Option<PathBuf>,
    /// What to measure; all of it when not said
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Load>,
    /// Clients at the same time, each another user
    #[arg(long, default_value_t = 16)]
    clients: u32,
    /// Users that there are
    #[arg(long, default_value_t = 100)]
    users: u32,
    /// Rounds, of which the median is told
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Seconds before it that do not count
    #[arg(long, default_value_t = 0.5)]
    warm: f64,
    /// Octets of a message
    #[arg(long, default_value_t = 4096)]
    size: usize,
    /// Messages of the large mailbox
    #[arg(long, default_value_t = 10_000)]
    messages: u32,
}

/// Measures everything and prints the table.
pub async fn run(mut arguments: Arguments) -> anyhow::Result<()> {
    ensure!(
        (1..=arguments.users).contains(&arguments.clients) && arguments.rounds > 0,
        "at least one client and round, and a user for each client"
    );
    let mut own = None;
    let topology = match &arguments.topology {
        Some(file) => Topology::read(file)?,
        None => {
            let program = crate::target::program(arguments.murder.as_ref())?;
            let builder = Processes::builder(program).users(arguments.users);
            own.insert(builder.start().await?).topology()?
        }
    };
    for peer in &mut arguments.peers {
        peer.find()?;
    }
    let mut servers = vec![Server::ours(&topology)];
    servers.append(&mut arguments.peers);
    let loads: Vec<Load> = Load::value_variants()
        .iter()
        .copied()
        .filter(|load| arguments.only.is_empty() || arguments.only.contains(load))
        .collect();
    let large = loads
        .iter()
        .any(|load| matches!(load, Load::Large | Load::Search));
    for server in &servers {
        eprintln!("{}: filling mailboxes", server.name);
        let filled = load::fill(server, &arguments, large).await;
        filled.with_context(|| format!("{}: filling mailboxes", server.name))?;
    }
    let mut results: Vec<(Load, Samples)> =
        loads.iter().map(|load| (*load, Samples::new())).collect();
    for round in 0..arguments.rounds {
        for (load, samples) in &mut results {
            for turn in 0..servers.len() {
                let server = &servers[(round + turn) % servers.len()];
                let sample = window::measure(*load, server, &arguments).await;
                let sample = sample.with_context(|| format!("{}: {load:?}", server.name))?;
                eprintln!(
                    "round {}: {load:?}, {}: {:.1} /s, {:.4} ms CPU",
                    round + 1,
                    server.name,
                    sample.rate,
                    sample.cpu
                );
                samples.entry(server.name.clone()).or_default().push(sample);
            }
        }
    }
    let names: Vec<&str> = servers.iter().map(|server| &*server.name).collect();
    print!("{}", table::table(&results, &names, &arguments));
    if let Some(own) = own {
        own.stop().await?;
    }
    Ok(())
}

#[cfg(test)]
impl Default for Arguments {
    fn default() -> Self {
        Self::parse_from(["side-by-side"])
    }
}
