//! `murder mailbox`: the master's records.

use clap::Subcommand;
use murder_mupdate::{Mailbox, MailboxState};
use serde::Serialize;

use crate::operator::{Target, block_on};
use crate::output::{print_json, print_table};

/// What can be done with mailboxes.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show where mailboxes are
    List {
        /// Only those whose canonical names begin so, such as `user/alice`
        #[arg(default_value = "")]
        prefix: String,
        /// Only those of a partition, `node!partition`, or of a node, `node!`
        #[arg(long, value_name = "PARTITION", default_value = "")]
        partition: String,
        #[command(flatten)]
        target: Target,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    partition: String,
    state: &'static str,
    id: String,
    uidvalidity: u32,
    acl: String,
}

impl Shown {
    fn new(mailbox: &Mailbox) -> Self {
        let location = &mailbox.location;
        Self {
            name: mailbox.name.to_string(),
            partition: location.partition.to_string(),
            state: match location.state {
                MailboxState::Reserved => "reserved",
                MailboxState::Active => "active",
                MailboxState::Moving => "moving",
            },
            id: location.id.to_string(),
            uidvalidity: location.uidvalidity,
            acl: location.acl.to_string(),
        }
    }
}

/// Does it.
///
/// # Errors
/// What the master refuses, or that it cannot be reached.
pub fn run(command: Command) -> anyhow::Result<()> {
    let Command::List {
        prefix,
        partition,
        target,
        json,
    } = command;
    let client = target.connect()?;
    let mailboxes =
        block_on(async { Ok(client.list(&prefix, &partition).await?.collect().await?) })?;
    let shown = mailboxes.iter().map(Shown::new);
    if json {
        return print_json(&shown.collect::<Vec<_>>());
    }
    let rows: Vec<_> = shown
        .map(|mailbox| {
            let acl = mailbox.acl.trim_end().replace('\t', " ");
            [
                mailbox.name,
                mailbox.partition,
                mailbox.state.to_owned(),
                acl,
            ]
        })
        .collect();
    print_table(["mailbox", "partition", "state", "acl"], &rows);
    Ok(())
}
