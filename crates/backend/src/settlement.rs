//! A partition that an operator has put in the place of the one that the master knows is brought
//! together with the master's records before anybody is served from it.
//!
//! The master wins on name, ACL and existence: its records are what clients saw last. What it does
//! not have any more becomes a deleted mailbox, which can be restored; what it has and is not here
//! is made anew, empty, with a greater UIDVALIDITY, so that clients forget what they had of it.
//! Doing it twice does no harm.

use std::collections::HashMap;
use std::sync::Arc;

use murder_location::{
    Activate, Location, Mailbox, MailboxState, MupdateClient, Operation, Selection,
};
use murder_mailbox::{MailboxId, MailboxName};
use murder_store::{CreateMailbox, Partition};

use crate::node::now;
use crate::reconcile::follow;

/// Records in one call to the master.
const BATCH: usize = 500;

/// What became of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    pub name: MailboxName,
    pub what: &'static str,
}

/// What is told of a mailbox that was not here.
pub(crate) const MADE_EMPTY: &str = "was not here: made anew, empty, with a greater UIDVALIDITY";
pub(crate) const DELETED: &str = "was deleted since: can be restored";
pub(crate) const REPLACED: &str = "was made again since: the old one can be restored";
pub(crate) const RENAMED: &str = "was renamed since";
pub(crate) const OTHER_ACL: &str = "has the master's ACL";
pub(crate) const OTHER_USE: &str = "has the master's special use";
pub(crate) const RAISED: &str = "has a greater UIDVALIDITY";
pub(crate) const FORGOTTEN: &str = "was forgotten";
const UNSETTLED: &str = "could not be renamed as the master has it";

/// Makes the partition what the master has of it.
pub(crate) async fn settle(
    master: &MupdateClient,
    place: &str,
    partition: &Arc<Partition>,
) -> anyhow::Result<Vec<Settled>> {
    let mut settled = Vec::new();
    let records = master
        .list(Selection::in_partition(place))
        .await?
        .collect()
        .await?;
    if records.is_empty() {
        // Whoever had the master forget all of it has not deleted it: it is told of again.
        return Ok(settled);
    }
    let by_id: HashMap<MailboxId, &Mailbox> = records.iter().map(|r| (r.location.id, r)).collect();
    // First what is to go, so that its name is free.
    for held in partition.mailboxes() {
        if by_id.contains_key(&held.id) {
            continue;
        }
        partition.delete_mailbox(&held.name).await?;
        let made_again = records.iter().any(|record| record.name == held.name);
        let what = if made_again { REPLACED } else { DELETED };
        note(&mut settled, held.name, what);
    }
    let renamed: Vec<(MailboxId, MailboxName)> = partition
        .mailboxes()
        .into_iter()
        .filter_map(|held| {
            let record = by_id.get(&held.id)?;
            (record.name != held.name).then(|| (held.id, record.name.clone()))
        })
        .collect();
    if !renamed.is_empty() {
        follow(partition, renamed.clone()).await;
    }
    for (id, name) in renamed {
        let is = partition.lookup(&name).is_some_and(|held| held.id == id);
        note(&mut settled, name, if is { RENAMED } else { UNSETTLED });
    }
    for Mailbox { name, location } in &records {
        // What stopped half-way is the reconciliation's.
        if location.state == MailboxState::Active {
            settle_one(master, partition, name, location, &mut settled).await?;
        }
    }
    Ok(settled)
}

async fn settle_one(
    master: &MupdateClient,
    partition: &Partition,
    name: &MailboxName,
    location: &Location,
    settled: &mut Vec<Settled>,
) -> anyhow::Result<()> {
    let special_use = location.special_use.iter().next();
    let Some(held) = partition.lookup(name) else {
        let create = CreateMailbox {
            id: location.id,
            uidvalidity: location.uidvalidity.saturating_add(1),
            acl: location.acl.to_string(),
            special_use,
            now: now(),
            shared_seen: false,
        };
        let made = partition.create_mailbox(name, create).await?;
        let mut activate = Activate::new(name.clone(), location.id);
        activate.uidvalidity = Some(made.uidvalidity);
        master.activate(activate).await?;
        note(settled, name.clone(), MADE_EMPTY);
        return Ok(());
    };
    if held.id != location.id {
        // A name that the rename could not free.
        return Ok(());
    }
    if held.acl != location.acl {
        partition.set_acl(name, &location.acl.to_string()).await?;
        note(settled, name.clone(), OTHER_ACL);
    }
    if held.special_use != special_use {
        partition.set_special_use(name, special_use).await?;
        note(settled, name.clone(), OTHER_USE);
    }
    if held.uidvalidity < location.uidvalidity {
        partition
            .raise_uidvalidity(name, location.uidvalidity)
            .await?;
        note(settled, name.clone(), RAISED);
    }
    Ok(())
}

/// Has the master forget what it has in a partition.
pub(crate) async fn forget(master: &MupdateClient, place: &str) -> anyhow::Result<Vec<Settled>> {
    let records = master
        .list(Selection::in_partition(place))
        .await?
        .collect()
        .await?;
    let mut settled = Vec::new();
    for some in records.chunks(BATCH) {
        let deletes = some.iter().map(|record| Operation::Delete {
            name: record.name.clone(),
            id: Some(record.location.id),
        });
        master.commit(deletes.collect()).await?;
        for record in some {
            note(&mut settled, record.name.clone(), FORGOTTEN);
        }
    }
    Ok(settled)
}

fn note(settled: &mut Vec<Settled>, name: MailboxName, what: &'static str) {
    tracing::warn!(mailbox = %name, "settled: {what}");
    settled.push(Settled { name, what });
}
