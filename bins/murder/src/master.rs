//! `murder master`: which murder the master is of.

use anyhow::Context;
use clap::Subcommand;
use serde::Serialize;

use crate::arguments::WrongArguments;
use crate::confirm::Confirmation;
use crate::operator::Target;
use crate::output::{print_json, print_line};

/// What can be done with the master.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Have nodes take a master that they refuse: it was founded anew, or put back from a copy
    ///
    /// Nodes keep what they have of the murder that they know, and refuse a master of another one,
    /// and one whose log ends before what they have seen. After this they take everything from the
    /// master as it is; backends then tell it of the mailboxes that it lacks.
    Succeed {
        /// The murder that the nodes know, as their health says it; none: this master's own, of
        /// which they have seen a newer log
        murder_id: Option<String>,
        #[command(flatten)]
        confirmation: Confirmation,
        #[command(flatten)]
        target: Target,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Serialize)]
struct Succeeded {
    murder_id: String,
}

/// Does it.
///
/// # Errors
/// What the master refuses, or that it cannot be reached.
pub fn run(command: Command) -> anyhow::Result<()> {
    let Command::Succeed {
        murder_id,
        confirmation,
        target,
        json,
    } = command;
    let id = murder_id.as_deref().map(parse).transpose()?;
    let of = murder_id
        .as_deref()
        .unwrap_or("the newer log of its own murder");
    confirmation.ask(&format!(
        "Every node that knows {of} takes this master's records, accounts included, for its own."
    ))?;
    let new = target.run(async |client| Ok(client.succeed(id.as_deref()).await?))?;
    let murder_id: String = new.iter().map(|byte| format!("{byte:02x}")).collect();
    match json {
        true => print_json(&Succeeded { murder_id }),
        false => print_line(&format!("the murder is {murder_id} from now on")),
    }
}

fn parse(text: &str) -> anyhow::Result<Vec<u8>> {
    let id = u128::from_str_radix(text, 16)
        .ok()
        .filter(|_| text.len() == 32);
    let id = id.with_context(|| {
        WrongArguments::new(format!(
            "a murder's identity has 32 hexadecimal digits, not `{text}`"
        ))
    })?;
    Ok(id.to_be_bytes().to_vec())
}
