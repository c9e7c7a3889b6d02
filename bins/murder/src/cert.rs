//! `murder cert`: the cluster's certificate authority.

use std::path::PathBuf;

use clap::Subcommand;
use murder_net::{Ca, Role};

/// What can be done with certificates.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the cluster's authority: DIR/ca.pem for every node, DIR/ca.key to be kept apart
    Init {
        /// Where
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
    },
    /// Make a node's certificate: OUT/NAME.pem, OUT/NAME.key and OUT/ca.pem
    Issue {
        /// The node's name
        name: String,
        /// What it is: frontend, backend, mupdate or operator; may be repeated
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<Role>,
        /// Another DNS name or IP address that it is reached by; may be repeated
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<String>,
        /// The authority's directory
        #[arg(long, value_name = "DIR", default_value = ".")]
        ca: PathBuf,
        /// Where to write
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
}

/// Does it.
///
/// # Errors
/// When there is an authority already (`init`) or none (`issue`), or files cannot be written.
pub fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init { dir } => {
            let ca = Ca::generate(&dir)?;
            println!("{}", ca.certificate_file().display());
        }
        Command::Issue {
            name,
            roles,
            hosts,
            ca,
            out,
        } => {
            let files = Ca::load(&ca)?.issue_into(&out, &name, &roles, &hosts)?;
            for file in [files.cert, files.key, files.ca] {
                println!("{}", file.display());
            }
        }
    }
    Ok(())
}
