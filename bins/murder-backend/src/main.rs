//! The backend role as a process of its own.

use std::process::ExitCode;

use clap::Parser;
use murder_backend::BackendConfig;
use murder_node::{Arguments, RoleKind};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The backend role of a murder.
#[derive(Debug, Parser)]
#[command(name = "murder-backend", version)]
struct CommandLine {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> ExitCode {
    let arguments = CommandLine::parse().arguments;
    murder_node::run(&arguments, &[RoleKind::of::<BackendConfig>()])
}
