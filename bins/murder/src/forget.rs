//! What is gone for good is taken out of the master's records: mailboxes, partitions, nodes.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use murder_location::{
    DescribedMurder, MupdateClient, MupdateError, NodeState, Operation, PartitionState, Selection,
};
use murder_mailbox::{MailboxId, MailboxName};
use serde::Serialize;

use crate::confirm::Confirmation;
use crate::output::{print_json, print_line};

/// Records in one call to the master.
const BATCH: usize = 500;

/// What was forgotten.
#[derive(Debug, Default, Serialize)]
pub struct Forgotten {
    pub mailboxes: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

impl Forgotten {
    /// Says so.
    ///
    /// # Errors
    /// As [`print_line`].
    pub fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            return print_json(self);
        }
        print_line(&format!("{} mailboxes forgotten", self.mailboxes))?;
        for partition in &self.partitions {
            print_line(&format!("partition {partition} forgotten"))?;
        }
        match &self.node {
            Some(node) => print_line(&format!("node {node} forgotten")),
            None => Ok(()),
        }
    }
}

/// One record.
type Record = (MailboxName, MailboxId);

/// Has the master forget mailboxes by name.
///
/// # Errors
/// When one does not exist, or is in a partition that is served; the master's own.
pub async fn names(
    client: &MupdateClient,
    names: &[MailboxName],
    confirmation: Confirmation,
) -> anyhow::Result<Forgotten> {
    let mut records: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for name in names {
        let found = client.find(name).await?.mailbox;
        let location = found
            .with_context(|| format!("there is no mailbox {name}"))?
            .location;
        let record = (name.clone(), location.id);
        records
            .entry(location.partition.to_string())
            .or_default()
            .push(record);
    }
    let murder = client.describe_nodes().await?;
    for partition in records.keys() {
        check_lost(&murder, partition)?;
    }
    let all: Vec<Record> = records.into_values().flatten().collect();
    confirmation.ask(&format!(
        "The master forgets {} mailboxes; their names are free then.",
        all.len()
    ))?;
    let mailboxes = delete(client, &all).await?;
    Ok(Forgotten {
        mailboxes,
        ..Forgotten::default()
    })
}

/// Has the master forget all mailboxes of a partition.
///
/// # Errors
/// When it is served; the master's own.
pub async fn of_partition(
    client: &MupdateClient,
    partition: &str,
    confirmation: Confirmation,
) -> anyhow::Result<Forgotten> {
    check_lost(&client.describe_nodes().await?, partition)?;
    let all = records_of(client, Selection::in_partition(partition)).await?;
    ensure!(!all.is_empty(), "no mailbox is recorded in {partition}");
    confirmation.ask(&format!(
        "The master forgets the {} mailboxes in {partition}; their names are free then.",
        all.len()
    ))?;
    Ok(Forgotten {
        mailboxes: delete(client, &all).await?,
        ..Forgotten::default()
    })
}

/// Has the master forget a partition; with `mailboxes`, those that are recorded in it, too.
///
/// # Errors
/// As [`of_partition`].
pub async fn partition(
    client: &MupdateClient,
    partition: &str,
    mailboxes: bool,
    confirmation: Confirmation,
) -> anyhow::Result<Forgotten> {
    let murder = client.describe_nodes().await?;
    check_lost(&murder, partition)?;
    let all = records_of(client, Selection::in_partition(partition)).await?;
    agree(partition, all.len(), mailboxes, confirmation)?;
    let forgotten = delete(client, &all).await?;
    client.forget_partition(partition).await?;
    Ok(Forgotten {
        mailboxes: forgotten,
        partitions: vec![partition.to_owned()],
        node: None,
    })
}

/// Has the master forget a node with its partitions; with `mailboxes`, those that are recorded in
/// them, too.
///
/// # Errors
/// When it is up, or mailboxes are recorded there; the master's own.
pub async fn node(
    client: &MupdateClient,
    node: &str,
    mailboxes: bool,
    confirmation: Confirmation,
) -> anyhow::Result<Forgotten> {
    let murder = client.describe_nodes().await?;
    let state = murder
        .nodes
        .iter()
        .find(|of| of.node.name == node)
        .map(|of| of.node.state);
    if state.is_some_and(|state| state != NodeState::Down) {
        bail!("node {node} is up: stop it first");
    }
    let own = murder.partitions.iter().filter(|p| p.owner == node);
    let partitions: Vec<String> = own.map(|partition| partition.name.clone()).collect();
    ensure!(
        state.is_some() || !partitions.is_empty(),
        "there is no node {node}"
    );
    let owned = Selection {
        owner: node,
        ..Selection::default()
    };
    let all = records_of(client, owned).await?;
    agree(node, all.len(), mailboxes, confirmation)?;
    let forgotten = delete(client, &all).await?;
    client.forget_node(node).await?;
    Ok(Forgotten {
        mailboxes: forgotten,
        partitions,
        node: Some(node.to_owned()),
    })
}

fn agree(
    what: &str,
    recorded: usize,
    mailboxes: bool,
    confirmation: Confirmation,
) -> anyhow::Result<()> {
    ensure!(
        recorded == 0 || mailboxes,
        "{recorded} mailboxes are recorded in {what}: say `--forget-mailboxes` if they are lost for \
         good"
    );
    confirmation.ask(&format!(
        "The master forgets {what} for good, with {recorded} mailboxes."
    ))
}

/// Refuses what somebody serves: it would be told of again.
fn check_lost(murder: &DescribedMurder, partition: &str) -> anyhow::Result<()> {
    let record = murder.partitions.iter().find(|p| p.name == partition);
    // What nobody has registered nobody serves.
    let owner = record.map_or("", |record| &record.owner);
    let up = murder
        .nodes
        .iter()
        .any(|of| of.node.name == owner && of.node.state != NodeState::Down);
    let served = up && record.is_some_and(|record| record.state != PartitionState::Offline);
    ensure!(
        !served,
        "{partition} is served by {owner}, which is up: delete mailboxes there by IMAP; what lacks \
         there is dropped by `murder partition reconcile {partition} --drop NUMBER`"
    );
    Ok(())
}

async fn records_of(client: &MupdateClient, of: Selection<'_>) -> anyhow::Result<Vec<Record>> {
    let mut all = Vec::new();
    let mut parts = client.list(of).await?;
    while let Some(part) = parts.next().await? {
        all.extend(part.into_iter().map(|m| (m.name, m.location.id)));
    }
    Ok(all)
}

async fn delete(client: &MupdateClient, records: &[Record]) -> anyhow::Result<usize> {
    let mut forgotten = 0;
    for some in records.chunks(BATCH) {
        let deletes = some.iter().map(|(name, id)| Operation::Delete {
            name: name.clone(),
            id: Some(*id),
        });
        match client.commit(deletes.collect()).await {
            Ok(_) => forgotten += some.len(),
            Err(error @ MupdateError::Batch(_)) => {
                let done = format!("{forgotten} mailboxes were forgotten before that");
                return Err(anyhow::Error::from(error).context(done));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(forgotten)
}
