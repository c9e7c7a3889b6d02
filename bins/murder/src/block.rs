//! `murder block`: addresses from which nobody logs in.

use std::time::Duration;

use clap::Subcommand;
use murder_auth::{IpNet, parse_network};
use serde::Serialize;

use crate::operator::Target;
use crate::output::{Table, print_json, print_line};
use crate::units::{read_duration, show_time};

/// What can be done with blocks.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show which addresses and networks are blocked, by whom, until when and why
    List {
        #[command(flatten)]
        to: To,
    },
    /// Refuse connections and logins of an address or a network, at every node
    Add {
        /// `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`
        #[arg(value_parser = parse_network)]
        network: IpNet,
        /// For so long, such as 90m, 12h, 3d [default: until it is removed]
        #[arg(long = "for", value_name = "TIME", value_parser = read_duration)]
        duration: Option<Duration>,
        /// Why, for those who look later
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        to: To,
    },
    /// Take a block back, an operator's or a node's
    Remove {
        /// As `list` shows it
        #[arg(value_parser = parse_network)]
        network: IpNet,
        #[command(flatten)]
        to: To,
    },
}

/// Which murder, and how to answer.
#[derive(Debug, clap::Args)]
pub struct To {
    #[command(flatten)]
    target: Target,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Shown {
    network: String,
    /// Seconds since 1970.
    until: Option<u64>,
    by: String,
    operator: bool,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Done {
    network: String,
    /// The master's revision with the change.
    revision: u64,
}

/// Does it.
///
/// # Errors
/// What the master refuses, or that it cannot be reached.
pub fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { to } => list(&to),
        Command::Add {
            network,
            duration,
            reason,
            to,
        } => {
            let duration = duration.unwrap_or(Duration::ZERO);
            let revision = to
                .target
                .run(async |client| Ok(client.block(network, duration, &reason).await?))?;
            done(&to, network, revision, "blocked")
        }
        Command::Remove { network, to } => {
            let revision = to
                .target
                .run(async |client| Ok(client.unblock(network).await?))?;
            done(&to, network, revision, "not blocked any more")
        }
    }
}

fn done(to: &To, network: IpNet, revision: u64, what: &str) -> anyhow::Result<()> {
    if to.json {
        return print_json(&Done {
            network: network.to_string(),
            revision,
        });
    }
    print_line(&format!("{network} {what}"))
}

fn list(to: &To) -> anyhow::Result<()> {
    let blocks = to
        .target
        .run(async |client| Ok(client.list_blocks().await?))?;
    let shown: Vec<Shown> = blocks
        .into_iter()
        .map(|(network, block)| Shown {
            network: network.to_string(),
            until: (block.until_ms > 0).then_some(block.until_ms / 1000),
            by: block.by,
            operator: block.operator,
            reason: block.reason,
        })
        .collect();
    if to.json {
        return print_json(&shown);
    }
    let rows: Vec<[String; 4]> = shown
        .into_iter()
        .map(|block| {
            let until = block.until.map_or_else(
                || "removed".to_owned(),
                |until| show_time(i64::try_from(until).unwrap_or(i64::MAX)),
            );
            [block.network, until, block.by, block.reason]
        })
        .collect();
    Table::new(["network", "until", "by", "reason"]).print(&rows)
}
