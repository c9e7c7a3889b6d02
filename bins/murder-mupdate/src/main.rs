//! The mupdate role as a process of its own.

use std::process::ExitCode;

use clap::Parser;
use murder_mupdate::MasterService;
use murder_net::service::{self, Arguments};

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
    service::run::<MasterService>(&CommandLine::parse().arguments)
}
