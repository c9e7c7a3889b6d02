//! `murder user`: accounts in the murder's own directory.

use std::collections::HashMap;

use anyhow::{Context, anyhow, bail};
use clap::Subcommand;
use murder_auth::{Account, normalize_user};
use murder_location::{HeldByName, MupdateClient, MupdateError, UserUpdate};
use murder_mailbox::MailboxName;
use murder_proto::v1;
use serde::Serialize;

use crate::backends::{Backend, Backends, Client};
use crate::operator::Target;
use crate::output::{Table, print, print_json, print_line};
use crate::password;

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a user; the INBOX is made with the first login or message
    ///
    /// A name is not free while there are mailboxes of an earlier holder, or others' ACLs name
    /// him: the new user would get both.
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
        /// Give the user the mail and the rights that are held under the name
        #[arg(long)]
        with_mail: bool,
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
    /// Delete a user's account; the mail stays, and the name is not free while it does
    Delete {
        /// The user
        name: String,
        /// Delete the mailboxes too, and take the user out of others' ACLs; also when the account
        /// is gone already
        #[arg(long)]
        with_mail: bool,
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
            with_mail,
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
                .run(async |client| Ok(client.add_user_to(&account, with_mail).await?))
                .map_err(|error| not_free(error, &account.name))?;
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
        Command::Delete {
            name,
            with_mail,
            to,
        } => delete(&normalize_user(&name)?, with_mail, &to),
        Command::Hash { password } => print_line(&password.hash()?),
    }
}

/// Says what can be done about a name that is not free.
fn not_free(error: anyhow::Error, name: &str) -> anyhow::Error {
    match error.downcast_ref() {
        Some(MupdateError::FailedPrecondition(why)) => anyhow!(
            "{why}; `murder user delete {name} --with-mail` removes it, \
             `murder user add {name} --with-mail` gives it to the new user"
        ),
        _ => error,
    }
}

#[derive(Debug, Serialize)]
struct Deleted<'a> {
    user: &'a str,
    /// Whether somebody else can have the name: nothing is left under it.
    name_is_free: bool,
    /// What was deleted with the account.
    mailboxes_deleted: u64,
    /// Whose ACLs named the user, and do not any more.
    acls_changed: u64,
    /// What is left: the first mailboxes, and how many.
    mailboxes: Vec<String>,
    mailbox_count: usize,
    /// The first mailboxes whose ACLs name the user, and how many.
    granting: Vec<String>,
    granting_count: usize,
}

fn delete(name: &str, with_mail: bool, to: &To) -> anyhow::Result<()> {
    let (cleared, held) = to.target.run_with(async |client, tls| {
        let had_account = match client.delete_user(name).await {
            Ok(_) => true,
            Err(MupdateError::NotFound(_)) if with_mail => false,
            Err(error) => return Err(error.into()),
        };
        let mut cleared = Cleared::default();
        let held = client.held_by(name).await?;
        if !with_mail {
            return Ok((cleared, held));
        }
        if !had_account && held == HeldByName::default() {
            bail!("there is no user {name}, and nothing is held under the name");
        }
        let backends = Backends::of_murder(client.clone(), tls);
        cleared.clear(&client, &backends, name, held).await?;
        Ok((cleared, client.held_by(name).await?))
    })?;
    let deleted = Deleted {
        user: name,
        name_is_free: held == HeldByName::default(),
        mailboxes_deleted: cleared.mailboxes,
        acls_changed: cleared.acls,
        mailboxes: held.mailboxes,
        mailbox_count: held.mailbox_count,
        granting: held.granting,
        granting_count: held.granting_count,
    };
    if to.json {
        return print_json(&deleted);
    }
    print(&deleted.text())
}

impl Deleted<'_> {
    fn text(&self) -> String {
        let name = self.user;
        let mut text = format!("{name} deleted\n");
        if self.mailboxes_deleted + self.acls_changed > 0 {
            text += &format!(
                "{} mailboxes deleted, {} ACLs changed\n",
                self.mailboxes_deleted, self.acls_changed
            );
        }
        let mut left = |heading: &str, names: &[String], count: usize| {
            if count > 0 {
                text += &format!(
                    "{count} {heading}, the first of them: {}\n",
                    names.join(" ")
                );
            }
        };
        let first = |names: &[String]| names.iter().take(SHOWN).cloned().collect::<Vec<_>>();
        left(
            "mailboxes are left",
            &first(&self.mailboxes),
            self.mailbox_count,
        );
        left(
            "mailboxes of others have the user in their ACL",
            &first(&self.granting),
            self.granting_count,
        );
        if !self.name_is_free {
            text += &format!(
                "The name is not free before they are gone: `murder user delete {name} --with-mail`\n"
            );
        }
        text
    }
}

/// Names shown of each kind of what is left.
const SHOWN: usize = 10;

/// What was removed of a user besides the account.
#[derive(Debug, Default)]
struct Cleared {
    mailboxes: u64,
    acls: u64,
    /// Backends that have been needed.
    clients: HashMap<String, Client>,
}

impl Cleared {
    /// Removes everything that is held under the name.
    ///
    /// # Errors
    /// At the first thing that cannot be removed; asked once more, it goes on there.
    async fn clear(
        &mut self,
        client: &MupdateClient,
        backends: &Backends,
        user: &str,
        mut held: HeldByName,
    ) -> anyhow::Result<()> {
        // An answer has the first names only.
        while held != HeldByName::default() {
            for name in held.mailboxes.iter().rev() {
                let (backend, mut admin) = self.at(backends, name).await?;
                let request = v1::DeleteMailboxRequest { name: name.clone() };
                backend
                    .answered(admin.delete_mailbox(request).await)
                    .with_context(|| format!("{name} was not deleted"))?;
                self.mailboxes += 1;
            }
            for name in &held.granting {
                let (backend, mut admin) = self.at(backends, name).await?;
                let request = v1::RemoveFromAclRequest {
                    name: name.clone(),
                    user: user.to_owned(),
                };
                backend
                    .answered(admin.remove_from_acl(request).await)
                    .with_context(|| format!("{user} is in the ACL of {name} still"))?;
                self.acls += 1;
            }
            let left = client.held_by(user).await?;
            if left == held {
                bail!("what was removed of {user} comes back: {left:?}");
            }
            held = left;
        }
        Ok(())
    }

    async fn at(&mut self, backends: &Backends, name: &str) -> anyhow::Result<(Backend, Client)> {
        let name = MailboxName::parse_canonical(name)?;
        let backend = backends.of_mailbox(&name).await?;
        if let Some(client) = self.clients.get(&backend.name) {
            return Ok((backend, client.clone()));
        }
        let client = backend.connect().await?;
        self.clients.insert(backend.name.clone(), client.clone());
        Ok((backend, client))
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
