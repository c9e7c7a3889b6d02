//! `murder quota`: what mailboxes may hold, and whether it is counted right.

use anyhow::{Context, bail};
use clap::Subcommand;
use murder_mailbox::MailboxName;
use murder_proto::v1;
use serde::Serialize;

use crate::arguments::WrongArguments;
use crate::backends::Asked;
use crate::operator::BackendTarget;
use crate::output::{Table, print_json, print_line};
use crate::units::{Limit, read_limit, read_storage, show_bytes};

/// What can be done with quotas.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show quota roots with what they hold and may hold
    List {
        /// Only those of one home, such as `user/alice`
        home: Option<String>,
        #[command(flatten)]
        to: To,
    },
    /// Limit what a mailbox, and all below it, may hold
    ///
    /// Limits that are not named stay as they are. A mailbox is governed by the nearest quota root
    /// at or above it, alone. What is over a limit already stays; only more is refused.
    Set {
        /// The quota root, such as `user/alice`; it need not be a mailbox
        root: String,
        /// The sizes of messages together: 500M, 10G, or none
        #[arg(long, value_name = "SIZE", value_parser = read_storage)]
        storage: Option<Limit>,
        /// How many messages, or none
        #[arg(long, value_name = "NUMBER", value_parser = read_limit)]
        messages: Option<Limit>,
        /// How many mailboxes, or none
        #[arg(long, value_name = "NUMBER", value_parser = read_limit)]
        mailboxes: Option<Limit>,
        /// The partition, without its node, where the home is in several
        #[arg(long, value_name = "NAME", default_value = "")]
        partition: String,
        #[command(flatten)]
        to: To,
    },
    /// Take a quota root's limits away
    Remove {
        /// The quota root
        root: String,
        /// The partition, without its node, where the home is in several
        #[arg(long, value_name = "NAME", default_value = "")]
        partition: String,
        #[command(flatten)]
        to: To,
    },
    /// Count messages again, and compare with the counters
    ///
    /// Exits with 1 when something is wrong and was not repaired.
    Check {
        /// Only one home, such as `user/alice`
        home: Option<String>,
        /// Make wrong counters right
        #[arg(long)]
        repair: bool,
        #[command(flatten)]
        to: To,
    },
}

/// Which backends, and how to answer.
#[derive(Debug, clap::Args)]
pub struct To {
    #[command(flatten)]
    target: BackendTarget,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct ShownQuota {
    root: String,
    partition: String,
    /// In units of 1024 bytes, as in RFC 9208.
    storage_kib: Resource,
    messages: Resource,
    mailboxes: Resource,
}

#[derive(Debug, Default, Serialize)]
struct Resource {
    used: u64,
    limit: Option<u64>,
}

impl From<v1::Quota> for ShownQuota {
    fn from(quota: v1::Quota) -> Self {
        let resource = |wanted: v1::QuotaResource| {
            let mut resources = quota.resources.iter();
            let found = resources.find(|resource| resource.resource() == wanted);
            found.map_or_else(Resource::default, |resource| Resource {
                used: resource.usage,
                limit: resource.limit,
            })
        };
        Self {
            storage_kib: resource(v1::QuotaResource::Storage),
            messages: resource(v1::QuotaResource::Message),
            mailboxes: resource(v1::QuotaResource::Mailbox),
            root: quota.root,
            partition: quota.partition,
        }
    }
}

impl ShownQuota {
    fn row(&self) -> [String; 5] {
        let of = |resource: &Resource, show: fn(u64) -> String| match resource.limit {
            Some(limit) => format!("{} of {}", show(resource.used), show(limit)),
            None => show(resource.used),
        };
        let size = |kibibytes: u64| show_bytes(kibibytes.saturating_mul(1024));
        let number = |number: u64| number.to_string();
        [
            self.root.clone(),
            self.partition.clone(),
            of(&self.storage_kib, size),
            of(&self.messages, number),
            of(&self.mailboxes, number),
        ]
    }
}

fn print_quotas(quotas: &[ShownQuota], json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&quotas);
    }
    let rows: Vec<_> = quotas.iter().map(ShownQuota::row).collect();
    Table::new(["root", "partition", "storage", "messages", "mailboxes"]).print(&rows)
}

#[derive(Debug, Serialize)]
struct Checked {
    homes: u64,
    differences: Vec<ShownDifference>,
    unreadable: Vec<ShownUnreadable>,
}

#[derive(Debug, Serialize)]
struct ShownDifference {
    name: String,
    partition: String,
    counter: &'static str,
    resource: &'static str,
    /// Of `recorded` and `counted`, where it is a size.
    unit: Option<&'static str>,
    recorded: i64,
    counted: i64,
    repaired: bool,
}

#[derive(Debug, Serialize)]
struct ShownUnreadable {
    home: String,
    partition: String,
    why: String,
}

/// Does it.
///
/// # Errors
/// What a backend refuses, or that it or the master cannot be reached.
pub fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { home, to } => list(home.as_deref(), &to),
        Command::Set {
            root,
            storage,
            messages,
            mailboxes,
            partition,
            to,
        } => {
            use v1::QuotaResource::{Mailbox, Message, Storage};
            let given = [
                (Storage, storage),
                (Message, messages),
                (Mailbox, mailboxes),
            ];
            let given = given.into_iter().filter_map(|(resource, limit)| {
                let Limit(limit) = limit?;
                let resource = resource.into();
                Some(v1::QuotaLimit { resource, limit })
            });
            let limits: Vec<_> = given.collect();
            if limits.is_empty() {
                bail!(WrongArguments::new(
                    "which limit? Say --storage, --messages or --mailboxes"
                ));
            }
            let request = v1::SetQuotaRequest {
                root,
                limits,
                remove: false,
                partition,
            };
            set(request, &to)
        }
        Command::Remove {
            root,
            partition,
            to,
        } => {
            let request = v1::SetQuotaRequest {
                root,
                limits: Vec::new(),
                remove: true,
                partition,
            };
            set(request, &to)
        }
        Command::Check { home, repair, to } => check(home.as_deref(), repair, &to),
    }
}

fn set(request: v1::SetQuotaRequest, to: &To) -> anyhow::Result<()> {
    let text = request.root.clone();
    let root = MailboxName::parse_canonical(&text)
        .with_context(|| WrongArguments::new(format!("`{text}` is no canonical mailbox name")))?;
    let answer = to.target.run(async |backends| {
        let backend = backends.of_root(&root).await?;
        let mut client = backend.connect().await?;
        backend.answered(client.set_quota(request).await)
    })?;
    match answer.quota {
        Some(quota) => print_quotas(&[quota.into()], to.json),
        None if to.json => print_quotas(&[], true),
        None => print_line(&format!("{root} is no quota root any more")),
    }
}

fn list(home: Option<&str>, to: &To) -> anyhow::Result<()> {
    let asked = to.target.run(async |backends| {
        let all = backends.all().await?;
        anyhow::Ok(
            Asked::all(all, async |backend, mut client| {
                let home = home.unwrap_or_default().to_owned();
                let request = v1::ListQuotasRequest { home };
                let mut parts = backend.answered(client.list_quotas(request).await)?;
                let mut quotas = Vec::new();
                while let Some(part) = backend.next(&mut parts).await? {
                    quotas.extend(part.quotas.into_iter().map(ShownQuota::from));
                }
                Ok(quotas)
            })
            .await,
        )
    })?;
    let complete = asked.complete();
    let quotas = asked.answers.into_iter().flat_map(|(_, quotas)| quotas);
    let mut quotas: Vec<ShownQuota> = quotas.collect();
    quotas.sort_by(|a, b| (&a.root, &a.partition).cmp(&(&b.root, &b.partition)));
    print_quotas(&quotas, to.json)?;
    complete
}

fn check(home: Option<&str>, repair: bool, to: &To) -> anyhow::Result<()> {
    let asked = to.target.run(async |backends| {
        let all = backends.all().await?;
        let several = all.len() > 1;
        anyhow::Ok(
            Asked::all(all, async |backend, mut client| {
                let home = home.unwrap_or_default().to_owned();
                let one = !home.is_empty();
                let request = v1::CheckQuotaRequest { home, repair };
                let mut parts = backend.answered(client.check_quota(request).await)?;
                let mut all = v1::CheckQuotaResponse::default();
                loop {
                    let part = match parts.message().await {
                        Ok(Some(part)) => part,
                        Ok(None) => return Ok(all),
                        // Another backend has the home.
                        Err(status) if one && several && status.code() == tonic::Code::NotFound => {
                            return Ok(all);
                        }
                        Err(status) => return backend.answered(Err(status)),
                    };
                    all.homes += part.homes;
                    all.differences.extend(part.differences);
                    all.unreadable.extend(part.unreadable);
                }
            })
            .await,
        )
    })?;
    let mut checked = Checked {
        homes: 0,
        differences: Vec::new(),
        unreadable: Vec::new(),
    };
    for (_, answer) in &asked.answers {
        checked.homes += answer.homes;
        checked
            .differences
            .extend(answer.differences.iter().map(show_difference));
        checked
            .unreadable
            .extend(answer.unreadable.iter().map(|one| ShownUnreadable {
                home: one.home.clone(),
                partition: one.partition.clone(),
                why: one.why.clone(),
            }));
    }
    if to.json {
        print_json(&checked)?;
    } else {
        checked.print()?;
    }
    asked.complete()?;
    checked.verdict(home)
}

fn show_difference(one: &v1::QuotaDifference) -> ShownDifference {
    ShownDifference {
        name: one.name.clone(),
        partition: one.partition.clone(),
        counter: if one.of_root { "quota root" } else { "mailbox" },
        resource: match one.resource() {
            v1::QuotaResource::Storage => "storage",
            v1::QuotaResource::Message => "messages",
            v1::QuotaResource::Mailbox => "mailboxes",
            v1::QuotaResource::Unspecified => "unknown",
        },
        unit: (one.resource() == v1::QuotaResource::Storage).then_some("bytes"),
        recorded: one.recorded,
        counted: one.counted,
        repaired: one.repaired,
    }
}

impl Checked {
    fn print(&self) -> anyhow::Result<()> {
        if !self.differences.is_empty() {
            let rows: Vec<_> = self
                .differences
                .iter()
                .map(|one| {
                    [
                        one.name.clone(),
                        one.partition.clone(),
                        one.counter.to_owned(),
                        one.resource.to_owned(),
                        one.recorded.to_string(),
                        one.counted.to_string(),
                        if one.repaired { "repaired" } else { "wrong" }.to_owned(),
                    ]
                })
                .collect();
            Table::new([
                "name",
                "partition",
                "counter",
                "resource",
                "recorded",
                "counted",
                "state",
            ])
            .print(&rows)?;
        }
        for one in &self.unreadable {
            print_line(&format!("{} ({}): {}", one.home, one.partition, one.why))?;
        }
        print_line(&format!(
            "{} homes looked at, {} differences",
            self.homes,
            self.differences.len()
        ))
    }

    fn verdict(&self, home: Option<&str>) -> anyhow::Result<()> {
        if let Some(home) = home.filter(|_| self.homes == 0) {
            bail!("there is no {home}");
        }
        let wrong = self.differences.iter().filter(|one| !one.repaired).count();
        if wrong > 0 {
            bail!("{wrong} counters are wrong; `--repair` makes them right");
        }
        if !self.unreadable.is_empty() {
            bail!("{} homes cannot be read", self.unreadable.len());
        }
        Ok(())
    }
}
