//! Nodes, their partitions and certificates, and the murder's identity.

use murder_net::tls::Revocation;
use murder_proto::v1::{self, forget_request};
use tokio::time::timeout;

use super::MupdateClient;
use crate::error::MupdateError;
use crate::health::NodeHealth;
use crate::record::{
    InvalidRecord, Node, Partition, PartitionIdentity, Report, revocation_from_proto,
};

/// One of a node's partitions, as the master has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedPartition {
    /// Its record; the report is the last that the master has heard.
    pub partition: Partition,
    /// Mailboxes recorded in it.
    pub mailboxes: u64,
}

/// The nodes and partitions of a murder, as the master knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DescribedMurder {
    /// The revision at which it was so, or a little later.
    pub revision: u64,
    /// The master that answers, then the others by name.
    pub nodes: Vec<DescribedNode>,
    /// By name.
    pub partitions: Vec<Partition>,
    /// What is revoked of certificates, by name.
    pub revocations: Vec<Revocation>,
}

/// A node, with what the master has heard of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedNode {
    /// Its record.
    pub node: Node,
    /// What it last said of its health; `None`: nothing.
    pub health: Option<NodeHealth>,
    /// Since when it has had its session, or none, in seconds since 1970, if the master knows.
    pub since: Option<i64>,
    /// Why its last session ended; empty while it has one.
    pub ended: String,
}

impl MupdateClient {
    /// What the partitions of `node` must be.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn describe_partitions(
        &self,
        node: &str,
    ) -> Result<Vec<DescribedPartition>, MupdateError> {
        let request = v1::DescribePartitionsRequest {
            node: node.to_owned(),
        };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.rpc();
                async move { rpc.describe_partitions(request).await }
            })
            .await?;
        let described = answer.partitions.into_iter().map(|described| {
            let partition = described.partition.unwrap_or_default();
            let partition = Partition::from_proto(partition)
                .map_err(|error| MupdateError::Protocol(error.to_string()))?;
            Ok(DescribedPartition {
                partition,
                mailboxes: described.mailboxes,
            })
        });
        described.collect()
    }

    /// The nodes and partitions, with what the nodes say of their health. For operators.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn describe_nodes(&self) -> Result<DescribedMurder, MupdateError> {
        let mut stream = self
            .call(v1::DescribeNodesRequest {}, |request| {
                let mut rpc = self.rpc();
                async move { rpc.describe_nodes(request).await }
            })
            .await?;
        let mut described = DescribedMurder::default();
        let invalid = |error: InvalidRecord| MupdateError::Protocol(error.to_string());
        while let Some(part) = timeout(self.call_timeout, stream.message())
            .await
            .map_err(|_| MupdateError::Unavailable("no answer in time".into()))??
        {
            described.revision = part.revision;
            for node in part.nodes {
                let record = Node::from_proto(node.node.unwrap_or_default());
                described.nodes.push(DescribedNode {
                    node: record.map_err(invalid)?,
                    health: node.health.map(NodeHealth::from_proto),
                    since: (node.since != 0).then_some(node.since),
                    ended: node.ended,
                });
            }
            let revocations = part.revocations.into_iter();
            described
                .revocations
                .extend(revocations.map(revocation_from_proto));
            for partition in part.partitions {
                let record = Partition::from_proto(partition).map_err(invalid)?;
                described.partitions.push(record);
            }
        }
        // What it does next it does with the nodes.
        self.tls.set_revoked(described.revocations.iter().cloned());
        Ok(described)
    }

    /// Makes `identity`, which has come to `report`, the partition of the name
    /// `node!partition`, in the place of `instead_of`, by the word of `operator`.
    ///
    /// # Errors
    /// [`MupdateError::FailedPrecondition`] when another copy is that partition by now; see
    /// [`MupdateError`].
    pub async fn adopt_partition(
        &self,
        partition: &str,
        identity: PartitionIdentity,
        report: Report,
        instead_of: Option<PartitionIdentity>,
        operator: &str,
    ) -> Result<u64, MupdateError> {
        let (id, copy) = PartitionIdentity::to_proto(Some(identity));
        let request = v1::AdoptPartitionRequest {
            partition: partition.to_owned(),
            id,
            copy,
            lsn: report.lsn,
            uids: report.uids,
            instead_of: PartitionIdentity::to_proto(instead_of).1,
            operator: operator.to_owned(),
        };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.rpc();
                async move { rpc.adopt_partition(request).await }
            })
            .await?;
        Ok(answer.revision)
    }

    /// Forgets a node that is gone for good, with its partitions. No mailbox may be recorded there.
    ///
    /// # Errors
    /// [`MupdateError::FailedPrecondition`] while the node is up, or a mailbox is recorded there;
    /// see [`MupdateError`].
    pub async fn forget_node(&self, node: &str) -> Result<u64, MupdateError> {
        self.forget(forget_request::What::Node(node.to_owned()))
            .await
    }

    /// Forgets a partition that is gone for good. No mailbox may be recorded there.
    ///
    /// # Errors
    /// [`MupdateError::FailedPrecondition`] while it is served, or a mailbox is recorded there; see
    /// [`MupdateError`].
    pub async fn forget_partition(&self, partition: &str) -> Result<u64, MupdateError> {
        self.forget(forget_request::What::Partition(partition.to_owned()))
            .await
    }

    async fn forget(&self, what: forget_request::What) -> Result<u64, MupdateError> {
        let request = v1::ForgetRequest { what: Some(what) };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.rpc();
                async move { rpc.forget(request).await }
            })
            .await?;
        Ok(answer.revision)
    }

    /// Makes the master the successor of the murder with this id, or with `None` of a newer log
    /// of its own. Returns the new identity.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn succeed(&self, murder_id: Option<&[u8]>) -> Result<Vec<u8>, MupdateError> {
        let request = v1::SucceedRequest {
            murder_id: murder_id.unwrap_or_default().to_vec(),
        };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.rpc();
                async move { rpc.succeed(request).await }
            })
            .await?;
        Ok(answer.murder_id)
    }

    /// Revokes certificates of a name: those with these serial numbers or, without any, all that
    /// were issued until now. What is revoked of the name then comes back.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn revoke(
        &self,
        name: &str,
        serials: Vec<Vec<u8>>,
    ) -> Result<Option<Revocation>, MupdateError> {
        self.change_revocation(v1::RevokeCertificatesRequest {
            name: name.to_owned(),
            serials,
            take_back: false,
        })
        .await
    }

    /// Takes back what is revoked of a name.
    ///
    /// # Errors
    /// [`MupdateError::NotFound`]; see [`MupdateError`].
    pub async fn take_back_revocation(&self, name: &str) -> Result<(), MupdateError> {
        self.change_revocation(v1::RevokeCertificatesRequest {
            name: name.to_owned(),
            serials: Vec::new(),
            take_back: true,
        })
        .await
        .map(drop)
    }

    async fn change_revocation(
        &self,
        request: v1::RevokeCertificatesRequest,
    ) -> Result<Option<Revocation>, MupdateError> {
        let answer = self
            .call(request, |request| {
                let mut rpc = self.rpc();
                async move { rpc.revoke_certificates(request).await }
            })
            .await?;
        Ok(answer.revocation.map(revocation_from_proto))
    }
}
