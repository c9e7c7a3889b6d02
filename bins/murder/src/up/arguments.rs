//! The arguments of `murder up`.

use std::path::PathBuf;

use anyhow::Context;

use crate::operator::LOCAL_DIR;
use crate::password;

/// What `murder up` can be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Where the murder keeps everything: it goes on with what is there
    #[arg(long, value_name = "DIR", default_value = LOCAL_DIR)]
    pub dir: PathBuf,
    /// Masters; there can be one so far [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1))]
    pub masters: Option<u16>,
    /// Backends [default: 2, or as before]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub backends: Option<u16>,
    /// Frontends [default: 2, or as before]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub frontends: Option<u16>,
    /// Users: user1, user2, … [default: 100, or as before]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub users: Option<u32>,
    /// Everyone's password, also the administrator's [default: secret, or as before]
    #[arg(long, value_name = "P", env = password::VARIABLE, hide_env_values = true)]
    pub password: Option<String>,
    /// Take ports from this one upwards, instead of free ones
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u16).range(1024..))]
    pub base_port: Option<u16>,
    /// Return when everything is ready, and go on in the background
    #[arg(long)]
    pub detach: bool,
    /// Write the topology here too, besides DIR/topology.json
    #[arg(long, value_name = "FILE")]
    pub topology: Option<PathBuf>,
    /// Leave a node that dies dead
    #[arg(long)]
    pub no_restart: bool,
    /// Be the background process of `--detach`
    #[arg(long, hide = true, conflicts_with = "detach")]
    pub background: bool,
}

impl Arguments {
    /// Makes the directory; returns it without links and dots.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_dir(&self) -> anyhow::Result<PathBuf> {
        std::fs::create_dir_all(&self.dir)
            .and_then(|()| self.dir.canonicalize())
            .with_context(|| format!("cannot use {}", self.dir.display()))
    }
}
