//! `murder cert`: the cluster's certificate authority.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use murder_net::ca::files_in;
use murder_net::{Ca, Role};
use serde::Serialize;

use crate::output::{print_json, print_line};

/// What can be done with certificates.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the cluster's authority: DIR/ca.pem for every node, DIR/ca.key to be kept apart
    ///
    /// An authority that is there already is never overwritten: every node trusts it.
    Init {
        /// Where
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a node's certificate: OUT/NAME.pem, OUT/NAME.key and OUT/ca.pem
    ///
    /// Files that are there already are replaced, each at once: this is also how a certificate is
    /// renewed. SIGHUP makes a running node read its certificate again.
    Issue {
        /// The node's name
        name: String,
        /// What it may be: frontend, backend, mupdate or operator; may be repeated
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<Role>,
        /// Another DNS name or IP address that clients reach it by; may be repeated
        ///
        /// localhost, 127.0.0.1 and ::1 are always in the certificate. Nodes know each other by
        /// their names, whatever their addresses are.
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<String>,
        /// The authority's directory, with ca.pem and ca.key
        #[arg(long, value_name = "DIR", default_value = ".")]
        ca: PathBuf,
        /// Where to write
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
        /// Leave a certificate alone that says the same and is good for longer than --renew-before
        #[arg(long)]
        if_needed: bool,
        /// With --if-needed: days before its end in which a certificate is made anew
        #[arg(
            long,
            value_name = "DAYS",
            default_value_t = 90,
            requires = "if_needed"
        )]
        renew_before: u32,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

/// The files that were written.
#[derive(Debug, Default, Serialize)]
struct Written {
    /// False: the files were as they should be.
    changed: bool,
    ca: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    cert: Option<PathBuf>,
    key: PathBuf,
}

/// Does it.
///
/// # Errors
/// When there is an authority already (`init`) or none (`issue`), or files cannot be written.
pub fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init { dir, json } => {
            let ca = Ca::generate(&dir)?.certificate_file();
            let key = ca.with_extension("key");
            Written {
                changed: true,
                ca,
                cert: None,
                key,
            }
            .print(json)
        }
        Command::Issue {
            name,
            roles,
            hosts,
            ca,
            out,
            if_needed,
            renew_before,
            json,
        } => {
            let authority = Ca::load(&ca).with_context(|| {
                let dir = ca.display();
                format!("no usable authority in {dir} (`murder cert init --dir {dir}` makes one)")
            })?;
            let margin = Duration::from_secs(u64::from(renew_before) * 24 * 60 * 60);
            let changed = !(if_needed && authority.is_current(&out, &name, &roles, &hosts, margin));
            let files = match changed {
                true => authority.issue_into(&out, &name, &roles, &hosts)?,
                false => files_in(&out, &name),
            };
            Written {
                changed,
                ca: files.ca,
                cert: Some(files.cert),
                key: files.key,
            }
            .print(json)
        }
    }
}

impl Written {
    fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            return print_json(self);
        }
        if !self.changed {
            return print_line("unchanged");
        }
        for file in self.cert.iter().chain([&self.key, &self.ca]) {
            print_line(&file.display().to_string())?;
        }
        Ok(())
    }
}
