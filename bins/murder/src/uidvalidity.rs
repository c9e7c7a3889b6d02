//! `murder mailbox uidvalidity`: the greatest UIDVALIDITY that the master counts.

use serde::Serialize;

use crate::operator::Target;
use crate::output::{print_json, print_line};

/// Show the greatest UIDVALIDITY that the master counts; with `--lower`, forget one that is decades
/// ahead
///
/// A new mailbox gets a greater one. After a wrong clock there may be none left, or none that looks
/// like a time: then lower it. Mailboxes keep those that they have.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Go on behind the greatest that a mailbox has and that is not more than ten years ahead of the
    /// master's clock, which must be right
    #[arg(long)]
    lower: bool,
    #[command(flatten)]
    target: Target,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Shown {
    greatest: u32,
    /// What it would be lowered to; the same when nothing is decades ahead.
    lower: u32,
    lowered: bool,
}

/// Does it.
///
/// # Errors
/// What the master refuses, or that it cannot be reached.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let (before, after) = args
        .target
        .run(async |client| Ok(client.lower_uidvalidity(!args.lower).await?))?;
    if args.json {
        return print_json(&Shown {
            greatest: before,
            lower: after,
            lowered: args.lower,
        });
    }
    print_line(&match (before == after, args.lower) {
        (true, _) => format!("the greatest UIDVALIDITY is {before}, which is right"),
        (false, true) => format!("the greatest UIDVALIDITY was {before}, and is {after} now"),
        (false, false) => format!(
            "the greatest UIDVALIDITY is {before}, which is decades ahead; --lower makes it {after}"
        ),
    })
}
