//! The master's tables of nodes and partitions.

use std::time::Duration;

use anyhow::Context;
use murder_mupdate::{MupdateClient, Node, Partition, Replica, ReplicaConfig, Topic};
use murder_net::tls::Revocation;
use tokio_util::sync::CancellationToken;

/// For them to come from the master.
const WAIT: Duration = Duration::from_secs(10);

/// What the master knows of nodes and partitions.
#[derive(Debug)]
pub struct Tables {
    /// The revision at which it was so, or a little later.
    pub revision: u64,
    pub nodes: Vec<Node>,
    pub partitions: Vec<Partition>,
    /// What is revoked of certificates.
    pub revocations: Vec<Revocation>,
}

impl Tables {
    /// Asks for them.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn ask(client: MupdateClient) -> anyhow::Result<Self> {
        let revision = client.barrier().await?;
        let dir = tempfile::tempdir().context("cannot make a directory for a replica")?;
        let config = ReplicaConfig {
            dir: dir.path().to_owned(),
            node: "murder".to_owned(),
            topics: vec![Topic::Nodes],
        };
        let stop = CancellationToken::new();
        let followed = async {
            let replica = Replica::start(config, client, stop.clone()).await?;
            replica.wait_for(revision, WAIT).await?;
            anyhow::Ok(Self {
                revision,
                nodes: replica.nodes(),
                partitions: replica.partitions(),
                revocations: replica.revocations(),
            })
        };
        let followed = followed.await;
        stop.cancel();
        followed
    }
}
