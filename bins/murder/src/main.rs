//! The operator's tool: users, certificates, the state of a murder; and a whole murder on this
//! machine, which is what it does when it is told nothing.

mod arguments;
mod backends;
mod block;
mod cert;
mod confirm;
mod forget;
mod http;
mod mailbox;
mod master;
mod node;
mod operator;
mod output;
mod partition;
mod password;
mod quota;
mod repair;
mod restore;
mod session;
mod status;
mod uidvalidity;
mod units;
mod up;
mod user;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use murder_backend::BackendConfig;
use murder_frontend::FrontendConfig;
use murder_mupdate::MasterConfig;
use murder_node::{Arguments, EXIT_CONFIG, RoleKind, describe};

use arguments::WrongArguments;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs and looks after a murder: IMAP servers that look like one.
///
/// Without a command, `murder up`: a whole murder on this machine.
///
/// Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration.
#[derive(Debug, Parser)]
#[command(name = "murder", version, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    up: up::Arguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a murder on this machine, or go on with one
    Up(up::Arguments),
    /// Stop a murder that `up --detach` has started
    Down(up::down::Arguments),
    /// Look after the users of a murder
    #[command(subcommand)]
    User(user::Command),
    /// Keep addresses out that guess passwords or do worse
    #[command(subcommand)]
    Block(block::Command),
    /// Make the certificates by which nodes know each other
    #[command(subcommand)]
    Cert(cert::Command),
    /// Show the nodes and partitions of a murder
    Status(status::Arguments),
    /// Show who is logged in, at all nodes
    Who(session::Who),
    /// End sessions of clients
    Kick(session::Kick),
    /// Be a node with the roles that its file is for, or forget one that is gone
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Node(node::Arguments),
    /// Say which murder the master is of
    #[command(subcommand)]
    Master(master::Command),
    /// Look at the location map
    #[command(subcommand)]
    Mailbox(mailbox::Command),
    /// Bring back what was expunged or deleted
    #[command(subcommand)]
    Restore(restore::Command),
    /// Look at and set what mailboxes may hold
    #[command(subcommand)]
    Quota(quota::Command),
    /// See what partitions and homes take on disk, and decide what a directory is
    #[command(subcommand)]
    Partition(partition::Command),
    /// Salvage a damaged journal of a backend that does not run
    Repair(repair::Arguments),
    /// Be one role of a murder, as `murder-frontend`, `murder-backend`, `murder-mupdate` are
    #[command(subcommand, hide = true)]
    Role(Role),
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Take client connections, and relay to the backends
    Frontend(Arguments),
    /// Hold mail
    Backend(Arguments),
    /// Know where each mailbox is
    Mupdate(Arguments),
}

fn main() -> ExitCode {
    if let Err(error) = password::hide() {
        eprintln!("murder: {}", describe(&error));
        return ExitCode::FAILURE;
    }
    let arguments = CommandLine::parse();
    let done = match arguments.command.unwrap_or(Command::Up(arguments.up)) {
        Command::Up(arguments) => up::run(&arguments),
        Command::Down(arguments) => up::down::run(&arguments),
        Command::User(command) => user::run(command),
        Command::Block(command) => block::run(command),
        Command::Cert(command) => cert::run(command),
        Command::Status(arguments) => status::run(&arguments),
        Command::Who(arguments) => session::who(&arguments),
        Command::Kick(arguments) => session::kick(&arguments),
        Command::Node(arguments) => match node::run(arguments) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Master(command) => master::run(command),
        Command::Mailbox(command) => mailbox::run(command),
        Command::Restore(command) => restore::run(command),
        Command::Quota(command) => quota::run(command),
        Command::Partition(command) => partition::run(command),
        Command::Repair(arguments) => repair::run(&arguments),
        Command::Role(role) => return run_role(&role),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<output::ReaderGone>() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("murder: {}", describe(&error));
            if error.is::<murder_net::ConfigError>() || error.is::<WrongArguments>() {
                return ExitCode::from(EXIT_CONFIG);
            }
            ExitCode::FAILURE
        }
    }
}

fn run_role(role: &Role) -> ExitCode {
    let (arguments, kind) = match role {
        Role::Frontend(arguments) => (arguments, RoleKind::of::<FrontendConfig>()),
        Role::Backend(arguments) => (arguments, RoleKind::of::<BackendConfig>()),
        Role::Mupdate(arguments) => (arguments, RoleKind::of::<MasterConfig>()),
    };
    murder_node::run(arguments, &[kind])
}
