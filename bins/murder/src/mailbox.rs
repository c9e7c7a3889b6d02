//! `murder mailbox`: the master's records.

use anyhow::Context;
use clap::Subcommand;
use murder_location::{Mailbox, MailboxState, Selection};
use murder_mailbox::MailboxName;
use serde::Serialize;

use crate::arguments::WrongArguments;
use crate::confirm::Confirmation;
use crate::forget;
use crate::operator::Target;
use crate::output::{Table, print, print_json, print_line};

/// What can be done with mailboxes.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show where mailboxes are
    List {
        /// Only those whose canonical names begin so, such as `user/alice`
        #[arg(default_value = "")]
        prefix: String,
        /// Only those of a partition, `node!partition`
        #[arg(long, value_name = "PARTITION", default_value = "")]
        partition: String,
        /// Only those in the partitions that a node owns
        #[arg(long, value_name = "NODE", default_value = "")]
        node: String,
        #[command(flatten)]
        target: Target,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Have the master forget mailboxes that are lost for good: their names are free then
    ///
    /// Refused where the partition is served: its backend would tell of them again.
    Forget {
        /// Canonical names, such as `user/alice/Sent`
        #[arg(required_unless_present = "partition", conflicts_with = "partition")]
        names: Vec<String>,
        /// All of this partition, `node!partition`
        #[arg(long, value_name = "PARTITION")]
        partition: Option<String>,
        #[command(flatten)]
        confirmation: Confirmation,
        #[command(flatten)]
        target: Target,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Show all that the master knows of one mailbox
    Show {
        /// Its canonical name, such as `user/alice/Sent`
        name: String,
        #[command(flatten)]
        target: Target,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    Uidvalidity(crate::uidvalidity::Args),
}

#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    partition: String,
    state: &'static str,
    id: String,
    uidvalidity: u32,
    special_use: Vec<String>,
    acl: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    identifier: String,
    rights: String,
}

impl Shown {
    fn new(mailbox: &Mailbox) -> Self {
        let location = &mailbox.location;
        let entries = location.acl.entries();
        Self {
            name: mailbox.name.to_string(),
            partition: location.partition.to_string(),
            state: match location.state {
                MailboxState::Reserved => "reserved",
                MailboxState::Active => "active",
                MailboxState::Deleting => "deleting",
            },
            id: location.id.to_string(),
            uidvalidity: location.uidvalidity,
            special_use: location.special_use.iter().map(|u| u.to_string()).collect(),
            acl: entries
                .map(|(identifier, rights)| Entry {
                    identifier: identifier.to_string(),
                    rights: rights.to_string(),
                })
                .collect(),
        }
    }

    fn acl_line(&self) -> String {
        let entries = self.acl.iter();
        let entries = entries.map(|entry| format!("{} {}", entry.identifier, entry.rights));
        entries.collect::<Vec<_>>().join(", ")
    }

    fn row(self) -> [String; 4] {
        let acl = self.acl_line();
        [self.name, self.partition, self.state.to_owned(), acl]
    }

    fn text(&self) -> String {
        let mut text = format!(
            "name         {}\npartition    {}\nstate        {}\nid           {}\nuidvalidity  {}\n",
            self.name, self.partition, self.state, self.id, self.uidvalidity
        );
        let mut more = |heading: &str, value: String| {
            if !value.is_empty() {
                text += &format!("{heading:<11}  {value}\n");
            }
        };
        more("special use", self.special_use.join(" "));
        more("acl", self.acl_line());
        text
    }
}

/// Does it.
///
/// # Errors
/// What the master refuses, or that it cannot be reached.
pub fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List {
            prefix,
            partition,
            node,
            target,
            json,
        } => target.run(async |client| {
            let selection = Selection {
                prefix: &prefix,
                partition: &partition,
                owner: &node,
            };
            let mut mailboxes = client.list(selection).await?;
            // As they come: a murder may have millions.
            let mut list = List::new(json)?;
            while let Some(part) = mailboxes.next().await? {
                list.print(&part)?;
            }
            list.end()
        }),
        Command::Forget {
            names,
            partition,
            confirmation,
            target,
            json,
        } => {
            let names: Vec<MailboxName> = names
                .iter()
                .map(|name| parse(name))
                .collect::<anyhow::Result<_>>()?;
            let forgotten = target.run(async |client| match &partition {
                Some(partition) => forget::of_partition(&client, partition, confirmation).await,
                None => forget::names(&client, &names, confirmation).await,
            })?;
            forgotten.print(json)
        }
        Command::Uidvalidity(args) => crate::uidvalidity::run(&args),
        Command::Show { name, target, json } => {
            let name = parse(&name)?;
            let found = target.run(async |client| Ok(client.find(&name).await?))?;
            let mailbox = found
                .mailbox
                .with_context(|| format!("there is no mailbox {name}"))?;
            let shown = Shown::new(&mailbox);
            if json {
                return print_json(&shown);
            }
            print(&shown.text())
        }
    }
}

fn parse(name: &str) -> anyhow::Result<MailboxName> {
    MailboxName::parse_canonical(name)
        .with_context(|| WrongArguments::new(format!("`{name}` is no canonical mailbox name")))
}

/// A list on its way to standard output.
enum List {
    Text(Table<4>),
    /// With whether nothing has been printed yet.
    Json(bool),
}

impl List {
    fn new(json: bool) -> anyhow::Result<Self> {
        if json {
            print("[")?;
            return Ok(Self::Json(true));
        }
        Ok(Self::Text(Table::new([
            "mailbox",
            "partition",
            "state",
            "acl",
        ])))
    }

    fn print(&mut self, mailboxes: &[Mailbox]) -> anyhow::Result<()> {
        let shown = mailboxes.iter().map(Shown::new);
        match self {
            Self::Text(table) => table.print(&shown.map(Shown::row).collect::<Vec<_>>()),
            Self::Json(first) => {
                let mut text = String::new();
                for mailbox in shown {
                    text += if std::mem::take(first) { "\n" } else { ",\n" };
                    text += &serde_json::to_string(&mailbox)?;
                }
                print(&text)
            }
        }
    }

    fn end(self) -> anyhow::Result<()> {
        match self {
            Self::Text(mut table) => table.print(&[]), // the headings of an empty list
            Self::Json(_) => print_line("\n]"),
        }
    }
}
