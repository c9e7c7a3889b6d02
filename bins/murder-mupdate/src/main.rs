//! The mupdate role as a process of its own.

use std::process::ExitCode;

use clap::Parser;
use murder_mupdate::MasterConfig;
use murder_node::{Arguments, RoleKind};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The mupdate role of a murder.
#[derive(Debug, Parser)]
#[command(name = "murder-mupdate", version)]
struct CommandLine {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> ExitCode {
    let arguments = CommandLine::parse().arguments;
    murder_node::run(&arguments, &[RoleKind::of::<MasterConfig>()])
}
