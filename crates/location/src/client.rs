//! Calls to the master.

mod accounts;
mod blocks;
mod connect;
mod mailboxes;
mod metadata;
mod nodes;
mod reconcile;
mod together;

use std::time::Duration;

use murder_net::Health;
use murder_net::tls::TlsClient;
use murder_proto::v1;
use murder_proto::v1::mupdate_client::MupdateClient as Rpc;
use tokio::time::timeout;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming};

pub use accounts::UserUpdate;
pub use mailboxes::{
    Activate, Changed, Committed, Found, MailboxStream, Operation, Reserve, Selection,
};
pub use metadata::{CallMetadata, partition_of};
pub use nodes::{DescribedMurder, DescribedNode, DescribedPartition};
pub use reconcile::{Difference, DifferenceKind, Held, ReconcileReport};
pub use together::MOST_TOGETHER;

use together::Together;

use crate::error::MupdateError;
use crate::membership::Membership;
use crate::record::{Mailbox, PartitionEpoch};
use crate::session::{NodeDescription, NodeSession, NodeStatus};

/// How often a request that was not sent is tried again: a client that has slept through
/// several restarts finds one closed connection.
const UNSENT_RETRIES: usize = 2;

/// How to reach the masters.
#[derive(Debug, Clone)]
pub struct MupdateClientConfig {
    /// `host:port` of each master.
    pub masters: Vec<String>,
    /// With the node's certificate, trusting the cluster's CA.
    pub tls: TlsClient,
    /// Deadline of each call.
    pub call_timeout: Duration,
}

impl MupdateClientConfig {
    /// With the default deadline of five seconds: what a frontend waits for a backend too.
    #[must_use]
    pub fn new(masters: Vec<String>, tls: TlsClient) -> Self {
        Self {
            masters,
            tls,
            call_timeout: Duration::from_secs(5),
        }
    }
}

/// A client of the masters. Cheap to clone; all clones share one connection, made when
/// first needed and made again when lost.
#[derive(Debug, Clone)]
pub struct MupdateClient {
    channel: Channel,
    call_timeout: Duration,
    metadata: CallMetadata,
    together: Together,
    tls: TlsClient,
}

impl MupdateClient {
    /// A client for these masters; connects with the first call.
    #[must_use]
    pub fn new(config: MupdateClientConfig) -> Self {
        Self {
            channel: connect::channel(config.masters, config.tls.clone()),
            call_timeout: config.call_timeout,
            metadata: CallMetadata::default(),
            together: Together::default(),
            tls: config.tls,
        }
    }

    /// The same client, to write for a partition: what the master refuses when the caller does not
    /// own it at that epoch ([`MupdateError::NotOwner`]). Operators need not say it.
    #[must_use]
    pub fn of_partition(&self, partition: PartitionEpoch) -> Self {
        let mut client = self.clone();
        client.metadata.partition = Some(partition);
        client
    }

    /// The service as it is on the wire, for who reads its streams. No deadline is kept.
    #[must_use]
    pub fn rpc(&self) -> Rpc<InterceptedService<Channel, CallMetadata>> {
        Rpc::with_interceptor(self.channel.clone(), self.metadata.clone())
    }

    /// What its calls say of the murder that the node belongs to.
    pub(crate) const fn membership(&self) -> &Membership {
        &self.metadata.membership
    }

    /// What it makes its connections with.
    pub(crate) const fn tls(&self) -> &TlsClient {
        &self.tls
    }

    /// Waits for the next message of a stream within the deadline of a call.
    pub(crate) async fn within_call<T>(
        &self,
        message: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, MupdateError> {
        match timeout(self.call_timeout, message).await {
            Ok(message) => Ok(message?),
            Err(_) => Err(MupdateError::Unavailable("no answer in time".into())),
        }
    }

    /// Waits for an answer within the deadline of a call.
    pub(crate) async fn within<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, MupdateError> {
        match timeout(self.call_timeout, call).await {
            Ok(answer) => Ok(answer?.into_inner()),
            Err(_) => Err(MupdateError::Unavailable("no answer in time".into())),
        }
    }

    /// Calls, and calls again when the connection was found closed before the request went
    /// out, as it is when the master has just restarted. All within the deadline of a call.
    pub(crate) async fn call<R: Clone, T, F>(
        &self,
        request: R,
        attempt: impl Fn(R) -> F,
    ) -> Result<T, MupdateError>
    where
        F: Future<Output = Result<Response<T>, Status>> + Send,
    {
        self.within(async {
            for _ in 0..UNSENT_RETRIES {
                match attempt(request.clone()).await {
                    // Only hyper says so here, and only of what it did not send.
                    Err(status) if status.code() == Code::Cancelled => {}
                    answer => return answer,
                }
            }
            attempt(request).await
        })
        .await
    }

    /// The revision that contains every change answered before this call. To wait until
    /// one's own map has it, use [`crate::Replica::barrier`].
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn barrier(&self) -> Result<u64, MupdateError> {
        let answer = self
            .call(v1::BarrierRequest {}, |request| {
                let mut rpc = self.rpc();
                async move { rpc.barrier(request).await }
            })
            .await?;
        Ok(answer.revision)
    }

    /// The node's session, which [opens](NodeSession::open) when it is told what the node is. To be
    /// made once in a process's life, since it ends what an earlier process of the same node had
    /// reserved. `health` is told along.
    #[must_use]
    pub fn session(&self, health: Health) -> NodeSession {
        NodeSession::new(self.clone(), health)
    }

    /// Opens the node's session: while it lasts the master calls the node up. Keeps trying
    /// when the master cannot be reached. Else as [`session`](Self::session).
    #[must_use]
    pub fn register(
        &self,
        node: NodeDescription,
        status: NodeStatus,
        health: Health,
    ) -> NodeSession {
        let session = self.session(health);
        session.set_draining(status.draining);
        session.set_partitions(status.partitions);
        session.open(node);
        session
    }

    pub(crate) async fn watch(
        &self,
        request: v1::WatchRequest,
    ) -> Result<Streaming<v1::WatchResponse>, MupdateError> {
        self.within(self.rpc().watch(Request::new(request))).await
    }
}

fn typed(mailbox: v1::Mailbox) -> Result<Mailbox, MupdateError> {
    Mailbox::from_proto(mailbox).map_err(|e| MupdateError::Protocol(e.to_string()))
}
