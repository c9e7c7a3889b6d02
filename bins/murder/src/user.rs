//! `murder user`: accounts in the murder's own directory.

use clap::Subcommand;
use murder_auth::{Account, normalize_user};
use murder_mupdate::UserUpdate;
use serde::Serialize;

use crate::operator::Target;
use crate::output::{Table, print_json, print_line};
use crate::password;

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a user; the INBOX is made with the first login or message
    Add {
        /// `name` or `name@domain`
        name: String,
        #[command(flatten)]
        password: password::Arguments,
        /// May administer the murder
        #[arg(long)]
        admin: bool,
        /// A group the user is in; may be repeated
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        #[command(flatten)]
        to: To,
    },
    /// Show the users
    List {
        /// Only those whose names begin so
        #[arg(default_value = "")]
        prefix: String,
        #[command(flatten)]
        to: To,
    },
    /// Give a user another password, everywhere at once
    Passwd {
        /// The user
        name: String,
        #[command(flatten)]
        password: password::Arguments,
        #[command(flatten)]
        to: To,
    },
    /// Refuse a user's logins, and keep the account
    Disable {
        /// The user
        name: String,
        #[command(flatten)]
        to: To,
    },
    /// Let a disabled user log in again
    Enable {
        /// The user
        name: String,
        #[command(flatten)]
        to: To,
    },
    /// Delete a user's account; the mail stays
    Delete {
        /// The user
        name: String,
        #[command(flatten)]
        to: To,
    },
    /// Print a password's hash, for the users file of a backend that works alone
    Hash {
        #[command(flatten)]
        password: password::Arguments,
    },
}

/// Which murder, and how to answer.
#[derive(Debug, clap::Args)]
pub struct To {
    #[command(flatten)]
    target: Target,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct ShownAccount {
    name: String,
    admin: bool,
    disabled: bool,
    groups: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Done<'a> {
    user: &'a str,
    /// The master's revision with the change.
    revision: u64,
}

/// Does it.
///
/// # Errors
/// What the master refuses, or that it cannot be reached.
pub fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Add {
            name,
            password,
            admin,
            groups,
            to,
        } => {
            let account = Account {
                name: normalize_user(&name)?,
                password_hash: password.hash()?,
                groups,
                admin,
                disabled: false,
            };
            let revision = to
                .target
                .run(async |client| Ok(client.add_user(&account).await?))?;
            to.done(&account.name, "added", revision)
        }
        Command::List { prefix, to } => list(&prefix, &to),
        Command::Passwd { name, password, to } => {
            let (name, hash) = (normalize_user(&name)?, password.hash()?);
            let revision = to
                .target
                .run(async |client| Ok(client.set_password(&name, &hash).await?))?;
            to.done(&name, "has another password", revision)
        }
        Command::Disable { name, to } => set_disabled(&name, true, &to),
        Command::Enable { name, to } => set_disabled(&name, false, &to),
        Command::Delete { name, to } => {
            let name = normalize_user(&name)?;
            let revision = to
                .target
                .run(async |client| Ok(client.delete_user(&name).await?))?;
            to.done(&name, "deleted", revision)
        }
        Command::Hash { password } => print_line(&password.hash()?),
    }
}

fn set_disabled(name: &str, disabled: bool, to: &To) -> anyhow::Result<()> {
    let name = normalize_user(name)?;
    let update = UserUpdate {
        disabled: Some(disabled),
        ..UserUpdate::default()
    };
    let revision = to
        .target
        .run(async |client| Ok(client.update_user(&name, update).await?))?;
    let what = if disabled { "disabled" } else { "enabled" };
    to.done(&name, what, revision)
}

fn list(prefix: &str, to: &To) -> anyhow::Result<()> {
    let accounts = to
        .target
        .run(async |client| Ok(client.list_users(prefix).await?))?;
    let shown = accounts.into_iter().map(|account| ShownAccount {
        name: account.name,
        admin: account.admin,
        disabled: account.disabled,
        groups: account.groups,
    });
    if to.json {
        return print_json(&shown.collect::<Vec<_>>());
    }
    let flag = |set: bool, word: &str| if set { word.to_owned() } else { String::new() };
    let rows: Vec<_> = shown
        .map(|account| {
            let state = flag(account.admin, "admin ") + &flag(account.disabled, "disabled");
            [
                account.name,
                state.trim_end().to_owned(),
                account.groups.join(" "),
            ]
        })
        .collect();
    Table::new(["user", "state", "groups"]).print(&rows)
}

impl To {
    fn done(&self, user: &str, what: &str, revision: u64) -> anyhow::Result<()> {
        if self.json {
            return print_json(&Done { user, revision });
        }
        print_line(&format!("{user} {what}"))
    }
}
