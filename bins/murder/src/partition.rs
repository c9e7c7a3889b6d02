//! `murder partition`: what partitions and homes take on disk, and what an operator decides of a
//! directory that is not what it must be.

use anyhow::bail;
use clap::Subcommand;
use murder_location::record::valid_partition;
use murder_proto::v1;
use serde::Serialize;

use crate::arguments::WrongArguments;
use crate::backends::Asked;
use crate::confirm::Confirmation;
use crate::forget;
use crate::operator::{BackendTarget, Target};
use crate::output::{Table, print_json, print_line};
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
    /// Begin anew, empty, where a partition is lost for good
    ///
    /// What the master has of it is made anew, empty, under its old names; or forgotten.
    Init {
        /// `node!partition`; its directory must be empty
        partition: String,
        /// Have the master forget the mailboxes that it has there
        #[arg(long)]
        forget_mailboxes: bool,
        #[command(flatten)]
        how: Deciding,
    },
    /// Serve what is in a partition's directory as that partition from now on
    Adopt {
        /// `node!partition`
        partition: String,
        #[command(flatten)]
        how: Deciding,
    },
    /// Serve an older copy of a partition that was put back
    ///
    /// UIDs and MODSEQs go on beyond what clients saw. The master wins on names, ACLs and what
    /// exists; whatever is not as it was in the copy is shown.
    Restored {
        /// `node!partition`
        partition: String,
        #[command(flatten)]
        how: Deciding,
    },
    /// Compare a partition with the master's records now
    Reconcile {
        /// `node!partition`
        partition: String,
        /// Drop up to so many records of mailboxes that the partition does not have
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        drop: u64,
        #[command(flatten)]
        target: BackendTarget,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Have the master forget a partition that is gone for good
    Forget {
        /// `node!partition`, which nobody serves
        partition: String,
        /// Forget the mailboxes that are recorded there, too
        #[arg(long)]
        forget_mailboxes: bool,
        #[command(flatten)]
        confirmation: Confirmation,
        #[command(flatten)]
        target: Target,
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

/// How a decision is told to a backend.
#[derive(Debug, clap::Args)]
pub struct Deciding {
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    target: BackendTarget,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Decided {
    partition: String,
    expected: String,
    found: String,
    /// Mailboxes that the master had in it.
    mailboxes: u64,
    /// Records of the journal that were there once.
    missing_records: u64,
    /// Mailboxes that are not as they were in the directory.
    settled: u64,
    /// The first thousand of them.
    mailboxes_settled: Vec<SettledMailbox>,
}

#[derive(Debug, Serialize)]
struct SettledMailbox {
    name: String,
    what: String,
}

#[derive(Debug, Serialize)]
struct Reconciled {
    held: u64,
    differences: u64,
    conflicts: u64,
    applied: u64,
    withheld: u64,
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

/// Shows or does it.
///
/// # Errors
/// When the master or a backend cannot be reached, or refuses.
pub fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { target, json } => list(&target, json),
        Command::Init {
            partition,
            forget_mailboxes,
            how,
        } => decide(&partition, v1::PartitionWord::Init, forget_mailboxes, &how),
        Command::Adopt { partition, how } => {
            decide(&partition, v1::PartitionWord::Adopt, false, &how)
        }
        Command::Restored { partition, how } => {
            decide(&partition, v1::PartitionWord::Restored, false, &how)
        }
        Command::Reconcile {
            partition,
            drop,
            target,
            json,
        } => reconcile(&partition, drop, &target, json),
        Command::Forget {
            partition,
            forget_mailboxes,
            confirmation,
            target,
            json,
        } => target
            .run(async |client| {
                forget::partition(&client, &partition, forget_mailboxes, confirmation).await
            })?
            .print(json),
        Command::Homes {
            prefix,
            top,
            target,
            json,
        } => homes(&prefix, top, &target, json),
    }
}

/// A partition as the master and its backend name it.
fn full_name(partition: &str) -> anyhow::Result<String> {
    if !valid_partition(partition) {
        let message = format!("`{partition}` is not of the form node!partition");
        return Err(WrongArguments::new(message).into());
    }
    Ok(partition.to_owned())
}

/// Tells a backend what a directory is.
fn decide(
    partition: &str,
    word: v1::PartitionWord,
    forget_mailboxes: bool,
    how: &Deciding,
) -> anyhow::Result<()> {
    let request = v1::OpenPartitionRequest {
        partition: full_name(partition)?,
        word: word.into(),
        forget_mailboxes,
        dry_run: true,
    };
    let answer = how.target.run(async |backends| {
        let backend = backends.of_partition(partition).await?;
        let mut client = backend.connect().await?;
        let dry = backend.answered(client.open_partition(request.clone()).await)?;
        how.confirmation
            .ask(&question(partition, word, forget_mailboxes, &dry))?;
        let request = v1::OpenPartitionRequest {
            dry_run: false,
            ..request
        };
        let mut answer = backend.answered(client.open_partition(request).await)?;
        answer.mailboxes = dry.mailboxes;
        anyhow::Ok(answer)
    })?;
    let mut decided = Decided {
        partition: partition.to_owned(),
        expected: answer.expected,
        found: answer.found,
        mailboxes: answer.mailboxes,
        missing_records: answer.missing_records,
        settled: answer.settled_count,
        mailboxes_settled: Vec::new(),
    };
    let settled = answer.settled.into_iter();
    decided.mailboxes_settled = settled
        .map(|settled| SettledMailbox {
            name: settled.name,
            what: settled.what,
        })
        .collect();
    if how.json {
        return print_json(&decided);
    }
    print_line(&format!("{partition} is open"))?;
    if decided.missing_records > 0 {
        let missing = decided.missing_records;
        print_line(&format!(
            "{missing} changes that were made after the copy are not in it"
        ))?;
    }
    let shown = decided.mailboxes_settled.len();
    for settled in &decided.mailboxes_settled {
        print_line(&format!("{} {}", settled.name, settled.what))?;
    }
    match decided.settled.saturating_sub(shown as u64) {
        0 => Ok(()),
        more => print_line(&format!("and {more} more, which the backend's log names")),
    }
}

fn question(
    partition: &str,
    word: v1::PartitionWord,
    forget: bool,
    dry: &v1::OpenPartitionResponse,
) -> String {
    let expected = match dry.expected.as_str() {
        "" => "nothing that is known",
        expected => expected,
    };
    let (found, mailboxes) = (&dry.found, dry.mailboxes);
    let what = match word {
        v1::PartitionWord::Init if forget => {
            format!("It begins anew, empty; the master forgets its {mailboxes} mailboxes.")
        }
        v1::PartitionWord::Init => format!(
            "It begins anew, empty; its {mailboxes} mailboxes are made again without a message."
        ),
        v1::PartitionWord::Restored => format!(
            "It goes on from there; {} changes since are lost, and what the master has of its \
             {mailboxes} mailboxes counts.",
            dry.missing_records
        ),
        v1::PartitionWord::Adopt | v1::PartitionWord::Unspecified => {
            format!("That is {partition} from now on; the master has {mailboxes} mailboxes in it.")
        }
    };
    format!("{partition} must be {expected}; its directory holds {found}.\n{what}")
}

fn reconcile(partition: &str, drop: u64, target: &BackendTarget, json: bool) -> anyhow::Result<()> {
    let request = v1::ReconcilePartitionRequest {
        partition: full_name(partition)?,
        drop,
    };
    let answer = target.run(async |backends| {
        let backend = backends.of_partition(partition).await?;
        let mut client = backend.connect().await?;
        backend.answered(client.reconcile_partition(request).await)
    })?;
    let reconciled = Reconciled {
        held: answer.held,
        differences: answer.differences,
        conflicts: answer.conflicts,
        applied: answer.applied,
        withheld: answer.withheld,
    };
    if json {
        print_json(&reconciled)?;
    } else {
        print_line(&format!(
            "{} mailboxes, {} differences, {} conflicts, {} records changed",
            reconciled.held, reconciled.differences, reconciled.conflicts, reconciled.applied
        ))?;
    }
    match reconciled.withheld {
        0 => Ok(()),
        withheld => bail!(
            "{withheld} mailboxes of the master's are not there; to drop them: `murder partition \
             reconcile {partition} --drop {withheld}`"
        ),
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
