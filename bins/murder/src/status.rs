//! `murder status`: what the master knows of the nodes and partitions, and what the nodes say of
//! themselves.

use anyhow::ensure;
use murder_mupdate::{MupdateClient, Node, NodeState, Partition, PartitionState};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::http::not_ready_reasons;
use crate::nodes::Tables;
use crate::operator::Target;
use crate::output::{Table, print, print_json, print_line};

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
    /// What its HTTP server says; absent when it has none.
    ready: Option<bool>,
    /// Why it is not ready.
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
}

/// Shows it.
///
/// # Errors
/// When the master cannot be reached; with `--check`, when something is not as it should be.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let status = arguments.target.run(ask)?;
    if arguments.json {
        print_json(&status)?;
    } else {
        status.print()?;
    }
    let troubles = status.troubles();
    ensure!(
        !arguments.check || troubles.is_empty(),
        "not well: {}",
        troubles.join(", ")
    );
    Ok(())
}

async fn ask(client: MupdateClient) -> anyhow::Result<Status> {
    let tables = Tables::ask(client).await?;
    Ok(Status {
        revision: tables.revision,
        nodes: show_nodes(tables.nodes).await,
        partitions: tables.partitions.into_iter().map(show_partition).collect(),
    })
}

async fn show_nodes(nodes: Vec<Node>) -> Vec<ShownNode> {
    let mut asking: JoinSet<ShownNode> = nodes.into_iter().map(show_node).collect();
    let mut shown = Vec::new();
    while let Some(node) = asking.join_next().await {
        shown.extend(node);
    }
    shown.sort_by(|a, b| (&a.roles, &a.name).cmp(&(&b.roles, &b.name)));
    shown
}

async fn show_node(node: Node) -> ShownNode {
    let (ready, reasons) = if node.http.is_empty() {
        (None, Vec::new())
    } else {
        match not_ready_reasons(&node.http).await {
            Ok(reasons) => (Some(reasons.is_empty()), reasons),
            Err(error) => (
                Some(false),
                vec![format!("no answer at {}: {error}", node.http)],
            ),
        }
    };
    ShownNode {
        name: node.name,
        roles: node.roles,
        state: match node.state {
            NodeState::Up => "up",
            NodeState::Draining => "draining",
            NodeState::Down => "down",
        },
        imaps: node.imaps,
        lmtp: node.lmtp,
        http: node.http,
        ready,
        reasons,
    }
}

fn show_partition(partition: Partition) -> ShownPartition {
    ShownPartition {
        name: partition.name,
        owner: partition.owner,
        epoch: partition.epoch,
        state: match partition.state {
            PartitionState::Online => "online",
            PartitionState::ReadOnly => "read-only",
            PartitionState::Offline => "offline",
        },
        bytes_total: partition.bytes_total,
        bytes_free: partition.bytes_free,
    }
}

impl Status {
    /// The nodes and partitions that are not as they should be.
    fn troubles(&self) -> Vec<&str> {
        let nodes = self
            .nodes
            .iter()
            .filter(|node| node.state != "up" || node.ready == Some(false))
            .map(|node| node.name.as_str());
        let partitions = self
            .partitions
            .iter()
            .filter(|partition| partition.state != "online")
            .map(|partition| partition.name.as_str());
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

impl ShownNode {
    fn row(&self) -> [String; 6] {
        let health = match self.ready {
            None => String::new(),
            Some(true) => "ready".to_owned(),
            Some(false) => self.reasons.join("; "),
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
    fn row(&self) -> [String; 4] {
        let free = match self.bytes_total {
            0 => "unknown".to_owned(),
            total => format!(
                "{:.1} of {:.1} GiB",
                gibibytes(self.bytes_free),
                gibibytes(total)
            ),
        };
        [
            self.name.clone(),
            self.owner.clone(),
            self.state.to_owned(),
            free,
        ]
    }
}

#[allow(clippy::cast_precision_loss)] // one decimal is shown
fn gibibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}
