//! `murder status`: what the master knows of the nodes and partitions, and what the nodes tell it
//! of themselves.

use anyhow::ensure;
use murder_location::{
    DescribedMurder, DescribedNode, NodeHealth, NodeState, Partition, PartitionState, service,
};
use serde::Serialize;

use crate::operator::Target;
use crate::output::{Table, print, print_json, print_line};
use crate::units::{show_bytes, show_time};

/// What `murder status` can be told.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    /// Exit with 1 unless every node is up and ready and every partition takes mail
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Serialize)]
struct Status {
    revision: u64,
    /// The master that answers, too.
    nodes: Vec<ShownNode>,
    partitions: Vec<ShownPartition>,
}

#[derive(Debug, Serialize)]
struct ShownNode {
    name: String,
    roles: Vec<String>,
    state: &'static str,
    imaps: String,
    lmtp: String,
    http: String,
    /// Since when it has been connected with the master, or not, in seconds since 1970.
    since: Option<i64>,
    /// What it last told the master; absent when it is down, or has told nothing.
    ready: Option<bool>,
    /// Why it is not ready, or down.
    reasons: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ShownPartition {
    name: String,
    owner: String,
    epoch: u64,
    state: &'static str,
    bytes_total: u64,
    bytes_free: u64,
    /// Why nobody serves it although its record says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

/// Shows it.
///
/// # Errors
/// When the master cannot be reached; with `--check`, when something is not as it should be.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let murder = arguments
        .target
        .run(async |client| Ok(client.describe_nodes().await?))?;
    let status = Status::of(murder);
    if arguments.json {
        print_json(&status)?;
    } else {
        status.print()?;
    }
    let troubles = status.troubles();
    ensure!(
        !arguments.check || troubles.is_empty(),
        "not well: {}",
        troubles.join("; ")
    );
    Ok(())
}

impl Status {
    fn of(murder: DescribedMurder) -> Self {
        let mut nodes: Vec<_> = murder.nodes.into_iter().map(ShownNode::of).collect();
        nodes.sort_by(|a, b| (&a.roles, &a.name).cmp(&(&b.roles, &b.name)));
        let partitions = murder.partitions.into_iter();
        let partitions = partitions.map(|partition| {
            let owner = nodes.iter().find(|node| node.name == partition.owner);
            let up = owner.is_some_and(|owner| owner.state != state_name(NodeState::Down));
            ShownPartition::of(partition, up)
        });
        Self {
            revision: murder.revision,
            partitions: partitions.collect(),
            nodes,
        }
    }

    /// What is not as it should be, each with its reason.
    fn troubles(&self) -> Vec<String> {
        let nodes = self.nodes.iter().filter_map(|node| {
            let trouble = node.trouble()?;
            Some(format!("{} {trouble}", node.name))
        });
        let partitions = self.partitions.iter().filter_map(|partition| {
            let trouble = partition.health();
            (trouble != ONLINE).then(|| format!("{} is {trouble}", partition.name))
        });
        nodes.chain(partitions).collect()
    }

    fn print(&self) -> anyhow::Result<()> {
        let nodes: Vec<_> = self.nodes.iter().map(ShownNode::row).collect();
        Table::new(["node", "roles", "state", "imaps", "lmtp", "health"]).print(&nodes)?;
        print("\n")?;
        let partitions: Vec<_> = self.partitions.iter().map(ShownPartition::row).collect();
        Table::new(["partition", "owner", "state", "free"]).print(&partitions)?;
        print_line(&format!("\nrevision {}", self.revision))
    }
}

const ONLINE: &str = "online";

fn state_name(state: NodeState) -> &'static str {
    match state {
        NodeState::Up => "up",
        NodeState::Draining => "draining",
        NodeState::Down => "down",
    }
}

impl ShownNode {
    fn of(described: DescribedNode) -> Self {
        let DescribedNode {
            node,
            health,
            since,
            ended,
        } = described;
        let down = node.state == NodeState::Down;
        let health = health.filter(|_| !down);
        let reasons = match &health {
            Some(health) => health.reasons(),
            None if down && !ended.is_empty() => vec![ended],
            None => Vec::new(),
        };
        let address = |kind| node.service(kind).unwrap_or_default().to_owned();
        Self {
            roles: node.roles.clone(),
            state: state_name(node.state),
            imaps: address(service::IMAPS),
            lmtp: address(service::LMTP),
            http: address(service::HTTP),
            name: node.name,
            since,
            ready: health.as_ref().map(NodeHealth::is_ready),
            reasons,
        }
    }

    /// Why it is not as it should be.
    fn trouble(&self) -> Option<String> {
        let reasons = self.reasons.join(", ");
        match (self.state, self.ready) {
            ("up", Some(true)) => None,
            ("up", Some(false)) => Some(format!("is not ready: {reasons}")),
            ("up", None) => Some("says nothing of its health".to_owned()),
            (state, _) => {
                let since = self.since.map(show_time);
                let since = since.map_or_else(String::new, |since| format!(" since {since}"));
                let reasons = match reasons.is_empty() {
                    true => reasons,
                    false => format!(": {reasons}"),
                };
                Some(format!("is {state}{since}{reasons}"))
            }
        }
    }

    fn row(&self) -> [String; 6] {
        let health = match self.trouble() {
            None => "ready".to_owned(),
            Some(_) if self.state == "up" && self.ready.is_some() => self.reasons.join("; "),
            Some(trouble) => trouble,
        };
        [
            self.name.clone(),
            self.roles.join(" "),
            self.state.to_owned(),
            self.imaps.clone(),
            self.lmtp.clone(),
            health,
        ]
    }
}

impl ShownPartition {
    fn of(partition: Partition, owner_is_up: bool) -> Self {
        Self {
            trouble: (!owner_is_up).then(|| format!("{} is down", partition.owner)),
            name: partition.name,
            owner: partition.owner,
            epoch: partition.epoch,
            state: match partition.state {
                PartitionState::Online => ONLINE,
                PartitionState::ReadOnly => "read-only",
                PartitionState::Offline => "offline",
            },
            bytes_total: partition.bytes_total,
            bytes_free: partition.bytes_free,
        }
    }

    fn health(&self) -> String {
        match &self.trouble {
            None => self.state.to_owned(),
            Some(trouble) => format!("not served: {trouble}"),
        }
    }

    fn row(&self) -> [String; 4] {
        let free = match self.bytes_total {
            0 => "unknown".to_owned(),
            total => format!("{} of {}", show_bytes(self.bytes_free), show_bytes(total)),
        };
        [self.name.clone(), self.owner.clone(), self.health(), free]
    }
}
