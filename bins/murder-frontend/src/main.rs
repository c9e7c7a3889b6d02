//! The frontend role as a process of its own.

use std::process::ExitCode;

use clap::Parser;
use murder_frontend::FrontendService;
use murder_net::service::{self, Arguments};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The frontend role of a murder.
#[derive(Debug, Parser)]
#[command(name = "murder-frontend", version)]
struct CommandLine {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> ExitCode {
    service::run::<FrontendService>(&CommandLine::parse().arguments)
}
