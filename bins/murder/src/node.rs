//! `murder node`: a node with the roles that its file is for; and nodes that are gone.

use std::process::ExitCode;

use clap::Subcommand;
use murder_backend::BackendConfig;
use murder_frontend::FrontendConfig;
use murder_mupdate::MasterConfig;
use murder_node::RoleKind;

use crate::arguments::WrongArguments;
use crate::confirm::Confirmation;
use crate::forget;
use crate::operator::Target;

/// What `murder node` can be told.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    node: Option<murder_node::Arguments>,
}

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
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match (arguments.command, arguments.node) {
        (Some(command), _) => forget(command).map(|()| ExitCode::SUCCESS),
        (None, Some(node)) => Ok(murder_node::run(&node, &roles())),
        (None, None) => Err(WrongArguments::new("which node? Say --config FILE").into()),
    }
}

/// The roles that a node can have, in the order of their start: the others need the master, and frontends
/// the backends.
fn roles() -> [RoleKind; 3] {
    [
        RoleKind::of::<MasterConfig>(),
        RoleKind::of::<BackendConfig>(),
        RoleKind::of::<FrontendConfig>(),
    ]
}

fn forget(command: Command) -> anyhow::Result<()> {
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
