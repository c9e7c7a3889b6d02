//! `murder restore`: what was expunged or deleted, and how it comes back.

use anyhow::{Context, bail};
use clap::Subcommand;
use murder_mailbox::{MailboxId, MailboxName};
use murder_proto::v1;
use serde::Serialize;

use crate::arguments::WrongArguments;
use crate::backends::{Asked, Backend, Backends, Client};
use crate::operator::BackendTarget;
use crate::output::{Table, print, print_json, print_line};
use crate::units::{read_time, show_bytes, show_time};

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what can be restored of a mailbox and everything below it
    ///
    /// `user/alice` shows everything of alice's, also when all of it was deleted.
    List {
        /// Its canonical name, such as `user/alice` or `user/alice/Sent`
        name: String,
        /// Nothing below it
        #[arg(long)]
        exact: bool,
        #[command(flatten)]
        to: To,
    },
    /// Bring expunged messages back into their mailbox, under new UIDs
    Messages {
        /// The mailbox's canonical name
        mailbox: String,
        /// Only those with these UIDs, as `list` shows them: 7, 1:5,9
        #[arg(long, value_name = "SET", value_parser = read_uids)]
        uids: Option<Uids>,
        /// Only those expunged since then: 90m, 12h, 3d, 2026-11-25T03:44 (UTC)
        #[arg(long, value_name = "TIME", value_parser = read_time, allow_hyphen_values = true)]
        since: Option<i64>,
        /// Only say what would come back
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        to: To,
    },
    /// Bring a deleted mailbox back, with its messages
    ///
    /// Of several of that name it is the one deleted last. It comes back with its ACL; its
    /// UIDVALIDITY is another, so that clients load it anew.
    Mailbox {
        /// The canonical name that it had
        name: String,
        /// The name that it shall have, in the same home [default: the one that it had]
        #[arg(long = "as", value_name = "NAME")]
        to_name: Option<String>,
        /// The one with this id, as `list` shows it
        #[arg(long, value_name = "ID")]
        id: Option<MailboxId>,
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

/// Ranges of UIDs.
#[derive(Debug, Clone)]
pub struct Uids(Vec<v1::UidRange>);

fn read_uids(text: &str) -> anyhow::Result<Uids> {
    let number = |text: &str| match text {
        "*" => Ok(u32::MAX),
        text => match text.parse::<u32>() {
            Ok(0) | Err(_) => bail!("UIDs, such as 7 or 1:5,9"),
            Ok(uid) => Ok(uid),
        },
    };
    let ranges = text.split(',').map(|range| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        anyhow::Ok(v1::UidRange {
            first: number(first)?,
            last: number(last)?,
        })
    });
    ranges.collect::<anyhow::Result<_>>().map(Uids)
}

#[derive(Debug, Default, Serialize)]
struct Restorable {
    mailboxes: Vec<ShownMailbox>,
    messages: Vec<ShownMessage>,
    /// There are more messages than are shown.
    truncated: bool,
}

#[derive(Debug, Serialize)]
struct ShownMailbox {
    name: String,
    partition: String,
    id: String,
    messages: u32,
    bytes: u64,
    /// Seconds since 1970, as all times here.
    deleted_at: i64,
    keep_until: i64,
}

#[derive(Debug, Serialize)]
struct ShownMessage {
    mailbox: String,
    uid: u32,
    bytes: u32,
    received_at: i64,
    expunged_at: i64,
    keep_until: i64,
    from: String,
    subject: String,
}

#[derive(Debug, Serialize)]
struct RestoredMessages {
    mailbox: String,
    uidvalidity: u32,
    dry_run: bool,
    /// The UIDs that they had.
    old_uids: Vec<u32>,
    /// The UIDs that they have.
    new_uids: Vec<u32>,
}

#[derive(Debug, Serialize)]
struct RestoredMailbox {
    name: String,
    partition: String,
    id: String,
    uidvalidity: u32,
    messages: u32,
}

/// Does it.
///
/// # Errors
/// What a backend refuses, that there is nothing of the kind, or that a backend or the master
/// cannot be reached.
pub fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { name, exact, to } => list(&canonical(&name)?, exact, &to),
        Command::Messages {
            mailbox,
            uids,
            since,
            dry_run,
            to,
        } => {
            let request = v1::RestoreMessagesRequest {
                mailbox: mailbox.clone(),
                uids: uids.map(|Uids(ranges)| ranges).unwrap_or_default(),
                expunged_since: since,
                dry_run,
            };
            messages(&canonical(&mailbox)?, request, &to)
        }
        Command::Mailbox {
            name,
            to_name,
            id,
            to,
        } => {
            let to_name = to_name.as_deref().map(canonical).transpose()?;
            mailbox(&canonical(&name)?, to_name.as_ref(), id, &to)
        }
    }
}

fn canonical(text: &str) -> anyhow::Result<MailboxName> {
    MailboxName::parse_canonical(text).with_context(|| {
        WrongArguments::new(format!(
            "`{text}` is no canonical mailbox name, such as `user/alice/Sent`"
        ))
    })
}

/// What one backend has.
async fn ask(
    backend: &Backend,
    mut client: Client,
    name: &MailboxName,
    exact: bool,
) -> anyhow::Result<v1::ListRestorableResponse> {
    let name = name.to_string();
    let request = v1::ListRestorableRequest { name, exact };
    let mut parts = backend.answered(client.list_restorable(request).await)?;
    let mut all = v1::ListRestorableResponse::default();
    while let Some(part) = backend.next(&mut parts).await? {
        all.mailboxes.extend(part.mailboxes);
        all.messages.extend(part.messages);
        all.truncated |= part.truncated;
    }
    Ok(all)
}

/// What all have.
async fn ask_all(
    backends: &Backends,
    name: &MailboxName,
    exact: bool,
) -> anyhow::Result<Asked<v1::ListRestorableResponse>> {
    let all = backends.all().await?;
    Ok(Asked::all(all, async |backend, client| {
        ask(backend, client, name, exact).await
    })
    .await)
}

fn list(name: &MailboxName, exact: bool, to: &To) -> anyhow::Result<()> {
    let asked = to
        .target
        .run(async |backends| ask_all(&backends, name, exact).await)?;
    let complete = asked.complete();
    let mut restorable = Restorable::default();
    for (_, answer) in asked.answers {
        restorable
            .mailboxes
            .extend(answer.mailboxes.into_iter().map(show_mailbox));
        restorable
            .messages
            .extend(answer.messages.into_iter().map(show_message));
        restorable.truncated |= answer.truncated;
    }
    restorable
        .messages
        .sort_by(|a, b| (&a.mailbox, a.uid).cmp(&(&b.mailbox, b.uid)));
    let empty = restorable.mailboxes.is_empty() && restorable.messages.is_empty();
    if to.json {
        print_json(&restorable)?;
    } else if !empty {
        restorable.print()?;
    }
    complete?;
    if empty && !to.json {
        print_line(&format!("there is nothing to restore of {name}"))?;
    }
    Ok(())
}

fn show_mailbox(mailbox: v1::DeletedMailbox) -> ShownMailbox {
    ShownMailbox {
        name: mailbox.name,
        partition: mailbox.partition,
        id: MailboxId::from_slice(&mailbox.id).map_or_else(String::new, |id| id.to_string()),
        messages: mailbox.messages,
        bytes: mailbox.bytes,
        deleted_at: mailbox.deleted_at,
        keep_until: mailbox.keep_until,
    }
}

fn show_message(message: v1::ExpungedMessage) -> ShownMessage {
    ShownMessage {
        mailbox: message.mailbox,
        uid: message.uid,
        bytes: message.bytes,
        received_at: message.received_at,
        expunged_at: message.expunged_at,
        keep_until: message.keep_until,
        from: message.from,
        subject: message.subject,
    }
}

impl Restorable {
    fn print(&self) -> anyhow::Result<()> {
        if !self.mailboxes.is_empty() {
            let row = |one: &ShownMailbox| {
                [
                    one.name.clone(),
                    show_time(one.deleted_at),
                    show_time(one.keep_until),
                    one.messages.to_string(),
                    show_bytes(one.bytes),
                    one.partition.clone(),
                    one.id.clone(),
                ]
            };
            let rows: Vec<_> = self.mailboxes.iter().map(row).collect();
            Table::new([
                "deleted mailbox",
                "deleted",
                "kept until",
                "messages",
                "size",
                "partition",
                "id",
            ])
            .print(&rows)?;
        }
        if !self.messages.is_empty() {
            if !self.mailboxes.is_empty() {
                print("\n")?;
            }
            let row = |one: &ShownMessage| {
                [
                    one.mailbox.clone(),
                    one.uid.to_string(),
                    show_time(one.expunged_at),
                    show_time(one.keep_until),
                    show_bytes(u64::from(one.bytes)),
                    one.from.clone(),
                    one.subject.clone(),
                ]
            };
            let rows: Vec<_> = self.messages.iter().map(row).collect();
            Table::new([
                "mailbox",
                "uid",
                "expunged",
                "kept until",
                "size",
                "from",
                "subject",
            ])
            .print(&rows)?;
        }
        if self.truncated {
            print_line("\nand messages that were expunged before these")?;
        }
        Ok(())
    }
}

fn messages(
    name: &MailboxName,
    request: v1::RestoreMessagesRequest,
    to: &To,
) -> anyhow::Result<()> {
    let mut restored = RestoredMessages {
        mailbox: name.to_string(),
        uidvalidity: 0,
        dry_run: request.dry_run,
        old_uids: Vec::new(),
        new_uids: Vec::new(),
    };
    let ended = to.target.run(async |backends| {
        let backend = backends.of_mailbox(name).await?;
        let mut client = backend.connect().await?;
        let mut parts = backend.answered(client.restore_messages(request).await)?;
        while let Some(part) = backend.next(&mut parts).await? {
            restored.uidvalidity = part.uidvalidity;
            restored.old_uids.extend(part.old_uids);
            restored.new_uids.extend(part.new_uids);
        }
        Ok(())
    });
    // What has come back has, also when the rest cannot.
    if ended.is_ok() || !restored.old_uids.is_empty() {
        restored.print(to.json)?;
    }
    ended
}

impl RestoredMessages {
    fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            return print_json(self);
        }
        let count = self.old_uids.len();
        let messages = if count == 1 { "message" } else { "messages" };
        let old = ranges(&self.old_uids);
        let name = &self.mailbox;
        if self.dry_run {
            return print_line(&format!(
                "{name}: {count} {messages} would come back, UIDs {old}"
            ));
        }
        let new = ranges(&self.new_uids);
        print_line(&format!(
            "{name}: {count} {messages} restored, UIDs {old} are {new} now"
        ))
    }
}

/// `1:3,7`, of numbers that grow.
fn ranges(uids: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for uid in uids {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*uid) => *last = *uid,
            _ => ranges.push((*uid, *uid)),
        }
    }
    let shown = ranges.into_iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}:{last}")
        }
    });
    shown.collect::<Vec<_>>().join(",")
}

fn mailbox(
    name: &MailboxName,
    to_name: Option<&MailboxName>,
    id: Option<MailboxId>,
    to: &To,
) -> anyhow::Result<()> {
    let restored = to.target.run(async |backends| {
        let (backend, id) = choose(&backends, name, id).await?;
        let mut client = backend.connect().await?;
        let request = v1::RestoreMailboxRequest {
            name: name.to_string(),
            id,
            to: to_name.map(MailboxName::to_string).unwrap_or_default(),
        };
        let answer = client.restore_mailbox(request).await;
        let taken = matches!(&answer, Err(status) if status.code() == tonic::Code::AlreadyExists);
        let answer = backend.answered(answer);
        if taken {
            return answer.context("its name is taken; --as NAME gives it another");
        }
        answer
    })?;
    let shown = RestoredMailbox {
        name: restored.name,
        partition: restored.partition,
        id: MailboxId::from_slice(&restored.id).map_or_else(String::new, |id| id.to_string()),
        uidvalidity: restored.uidvalidity,
        messages: restored.messages,
    };
    if to.json {
        return print_json(&shown);
    }
    let what = match shown.messages {
        1 => "1 message".to_owned(),
        count => format!("{count} messages"),
    };
    print_line(&format!(
        "{} restored with {what}, on {}",
        shown.name, shown.partition
    ))
}

/// Where the mailbox is kept that is meant, and the id that it had.
async fn choose(
    backends: &Backends,
    name: &MailboxName,
    id: Option<MailboxId>,
) -> anyhow::Result<(Backend, Vec<u8>)> {
    let asked = ask_all(backends, name, true).await?;
    let failures = asked.failures;
    let mut found = Vec::new();
    for (backend, answer) in asked.answers {
        let deleted = answer.mailboxes.into_iter();
        let deleted = deleted.filter(|one| id.is_none_or(|id| one.id == id.to_bytes()));
        found.extend(deleted.map(|one| (one.deleted_at, backend.clone(), one.id)));
    }
    let last = found.into_iter().max_by_key(|(deleted_at, ..)| *deleted_at);
    match last {
        // Another backend may have one that was deleted later.
        Some((_, _, kept)) if !failures.is_empty() && id.is_none() => {
            let kept = MailboxId::from_slice(&kept).map_or_else(String::new, |id| id.to_string());
            bail!(
                "not every backend was asked: {}; --id {kept} restores the one that was found",
                failures.join("; ")
            )
        }
        Some((_, backend, kept)) => Ok((backend, kept)),
        None if failures.is_empty() => bail!("no deleted mailbox {name} is kept anywhere"),
        None => bail!(
            "no deleted mailbox {name} was found, but not every backend was asked: {}",
            failures.join("; ")
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn uids_are_read_and_shown() {
        let Uids(read) = read_uids("7,1:5,9:*").unwrap();
        let pairs: Vec<_> = read.iter().map(|range| (range.first, range.last)).collect();
        assert_eq!(pairs, [(7, 7), (1, 5), (9, u32::MAX)]);
        for odd in ["", "0", "1:", "a", "1,,2"] {
            assert!(read_uids(odd).is_err(), "{odd}");
        }
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), "1:3,7,9:10");
        assert_eq!(ranges(&[]), "");
    }
}
