//! `murder partition`: what partitions and homes take on disk.

use anyhow::bail;
use clap::Subcommand;
use murder_proto::v1;
use serde::Serialize;

use crate::backends::Asked;
use crate::operator::BackendTarget;
use crate::output::{Table, print_json};
use crate::units::show_bytes;

/// What can be asked of partitions.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what each partition takes on disk, and whether it takes changes
    List {
        #[command(flatten)]
        target: BackendTarget,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what each home takes, the largest first
    Homes {
        /// Only those whose roots' canonical names begin so, such as `user/alice`
        #[arg(default_value = "")]
        prefix: String,
        /// Only so many
        #[arg(long, value_name = "NUMBER")]
        top: Option<usize>,
        #[command(flatten)]
        target: BackendTarget,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Serialize)]
struct ShownPartition {
    name: String,
    path: String,
    writable: bool,
    /// Why it takes no changes.
    #[serde(skip_serializing_if = "String::is_empty")]
    trouble: String,
    homes: u64,
    mailboxes: u64,
    journal_bytes: u64,
    large_body_bytes: u64,
    home_bytes: u64,
    index_bytes: u64,
    other_bytes: u64,
    living_bytes: u64,
    kept_bytes: u64,
    garbage_bytes: u64,
    bytes_free: u64,
    bytes_total: u64,
}

impl From<v1::PartitionUsage> for ShownPartition {
    fn from(usage: v1::PartitionUsage) -> Self {
        Self {
            name: usage.name,
            path: usage.path,
            writable: usage.trouble.is_empty(),
            trouble: usage.trouble,
            homes: usage.homes,
            mailboxes: usage.mailboxes,
            journal_bytes: usage.journal_bytes,
            large_body_bytes: usage.large_body_bytes,
            home_bytes: usage.home_bytes,
            index_bytes: usage.index_bytes,
            other_bytes: usage.other_bytes,
            living_bytes: usage.living_bytes,
            kept_bytes: usage.kept_bytes,
            garbage_bytes: usage.garbage_bytes,
            bytes_free: usage.bytes_free,
            bytes_total: usage.bytes_total,
        }
    }
}

impl ShownPartition {
    fn used(&self) -> u64 {
        self.journal_bytes
            + self.large_body_bytes
            + self.home_bytes
            + self.index_bytes
            + self.other_bytes
    }

    fn row(&self) -> [String; 8] {
        let health = if self.writable { "ok" } else { &self.trouble };
        [
            self.name.clone(),
            self.homes.to_string(),
            show_bytes(self.used()),
            show_bytes(self.living_bytes),
            show_bytes(self.kept_bytes),
            show_bytes(self.garbage_bytes),
            format!(
                "{} of {}",
                show_bytes(self.bytes_free),
                show_bytes(self.bytes_total)
            ),
            health.to_owned(),
        ]
    }
}

#[derive(Debug, Serialize)]
struct ShownHome {
    home: String,
    partition: String,
    message_bytes: u64,
    restorable_bytes: u64,
    database_bytes: u64,
    index_bytes: u64,
}

impl ShownHome {
    fn used(&self) -> u64 {
        self.message_bytes + self.restorable_bytes + self.database_bytes + self.index_bytes
    }
}

/// Shows it.
///
/// # Errors
/// When the master or a backend cannot be reached.
pub fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { target, json } => list(&target, json),
        Command::Homes {
            prefix,
            top,
            target,
            json,
        } => homes(&prefix, top, &target, json),
    }
}

fn list(target: &BackendTarget, json: bool) -> anyhow::Result<()> {
    let asked = target.run(async |backends| {
        let all = backends.all().await?;
        anyhow::Ok(
            Asked::all(all, async |backend, mut client| {
                let request = v1::ListPartitionsRequest {};
                backend.answered(client.list_partitions(request).await)
            })
            .await,
        )
    })?;
    let partitions = asked.answers.iter();
    let shown: Vec<ShownPartition> = partitions
        .flat_map(|(_, answer)| answer.partitions.iter().cloned())
        .map(ShownPartition::from)
        .collect();
    if json {
        print_json(&shown)?;
    } else {
        let rows: Vec<_> = shown.iter().map(ShownPartition::row).collect();
        Table::new([
            "partition",
            "homes",
            "used",
            "living",
            "kept",
            "garbage",
            "free",
            "health",
        ])
        .print(&rows)?;
    }
    asked.complete()
}

fn homes(
    prefix: &str,
    top: Option<usize>,
    target: &BackendTarget,
    json: bool,
) -> anyhow::Result<()> {
    let asked = target.run(async |backends| {
        let all = backends.all().await?;
        anyhow::Ok(
            Asked::all(all, async |backend, mut client| {
                let prefix = prefix.to_owned();
                let request = v1::ListHomesRequest { prefix };
                let mut parts = backend.answered(client.list_homes(request).await)?;
                let mut homes = Vec::new();
                while let Some(part) = backend.next(&mut parts).await? {
                    homes.extend(part.homes);
                }
                Ok(homes)
            })
            .await,
        )
    })?;
    let homes = asked.answers.iter().flat_map(|(_, homes)| homes);
    let mut shown: Vec<ShownHome> = homes
        .map(|home| ShownHome {
            home: home.home.clone(),
            partition: home.partition.clone(),
            message_bytes: home.message_bytes,
            restorable_bytes: home.restorable_bytes,
            database_bytes: home.database_bytes,
            index_bytes: home.index_bytes,
        })
        .collect();
    shown.sort_by(|a, b| b.used().cmp(&a.used()).then_with(|| a.home.cmp(&b.home)));
    shown.truncate(top.unwrap_or(usize::MAX));
    if json {
        print_json(&shown)?;
    } else {
        let row = |home: &ShownHome| {
            [
                home.home.clone(),
                home.partition.clone(),
                show_bytes(home.message_bytes),
                show_bytes(home.restorable_bytes),
                show_bytes(home.database_bytes),
                show_bytes(home.index_bytes),
            ]
        };
        let rows: Vec<_> = shown.iter().map(row).collect();
        Table::new(["home", "partition", "messages", "kept", "database", "index"]).print(&rows)?;
    }
    asked.complete()?;
    if shown.is_empty() && !prefix.is_empty() {
        bail!("no home begins with {prefix}");
    }
    Ok(())
}
