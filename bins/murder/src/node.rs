//! `murder node`: nodes that are gone.

use clap::Subcommand;

use crate::confirm::Confirmation;
use crate::forget;
use crate::operator::Target;

/// What can be done with nodes.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Have the master forget a node that is gone for good, with its partitions
    Forget {
        /// Its name; it must be down
        node: String,
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
}

/// Does it.
///
/// # Errors
/// What the master refuses, or that it cannot be reached.
pub fn run(command: Command) -> anyhow::Result<()> {
    let Command::Forget {
        node,
        forget_mailboxes,
        confirmation,
        target,
        json,
    } = command;
    let forgotten = target
        .run(async |client| forget::node(&client, &node, forget_mailboxes, confirmation).await)?;
    forgotten.print(json)
}
