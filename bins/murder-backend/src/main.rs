//! The backend role as a process of its own.

use std::process::ExitCode;

use clap::Parser;
use murder_backend::BackendService;
use murder_net::service::{self, Arguments};

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
    service::run::<BackendService>(&CommandLine::parse().arguments)
}
