//! Calls to the master.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use murder_auth::Account;
use murder_mailbox::{Acl, MailboxId, MailboxName};
use murder_net::tls::{ALPN_H2, Revocation, TlsClient, role_server_name};
use murder_net::{Health, Role, Stream};
use murder_proto::v1::blocks_client::BlocksClient;
use murder_proto::v1::directory_client::DirectoryClient;
use murder_proto::v1::mupdate_client::MupdateClient as Rpc;
use murder_proto::v1::{self, operation, reconcile_request, reconcile_response};
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::error::{MupdateError, NotReached};
use crate::health::NodeHealth;
use crate::map::HeldByName;
use crate::membership::Membership;
use crate::record::{
    InvalidRecord, Mailbox, MailboxState, Node, Partition, PartitionIdentity, Report, SpecialUses,
    account_from_proto, account_to_proto, revocation_from_proto,
};
use crate::session::{NodeDescription, NodeSession, NodeStatus};

/// For TCP and TLS together, for each master tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// At least so long between two rounds over all masters when none could be reached.
const ROUND_INTERVAL: Duration = Duration::from_millis(100);
/// How often the master is asked whether it is there, and how long it may take to answer: together,
/// one that went away without a word is noticed when a call to it would fail too.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a request that was not sent is tried again: a client that has slept through
/// several restarts finds one closed connection.
const UNSENT_RETRIES: usize = 2;
/// HTTP/2 windows: a snapshot flows at this much per round trip.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
/// Held mailboxes in one message of a reconciliation, some 100 bytes each.
const RECONCILE_CHUNK: usize = 1000;
/// Chunks of a reconciliation waiting to be sent.
const RECONCILE_QUEUE: usize = 4;
/// A reconciliation ends when the master is silent for so long.
const RECONCILE_SILENCE: Duration = Duration::from_secs(60);

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
    membership: Membership,
    tls: TlsClient,
}

/// A change was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The revision that contains it.
    pub revision: u64,
    /// The record after it; `None` after a deletion. After a rename, the root's, if the
    /// root itself is a mailbox.
    pub mailbox: Option<Mailbox>,
}

/// A batch was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The revision that contains it.
    pub revision: u64,
    /// The record after each operation, in order, as in [`Changed::mailbox`].
    pub mailboxes: Vec<Option<Mailbox>>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The revision at which it was so.
    pub revision: u64,
    /// The mailbox, if there is one of that name.
    pub mailbox: Option<Mailbox>,
}

/// A name to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserve {
    /// Canonical name.
    pub name: MailboxName,
    /// The new mailbox's identity.
    pub id: MailboxId,
    /// `node!partition`.
    pub partition: String,
    /// Who may do what.
    pub acl: Acl,
    /// What it is meant for.
    pub special_use: SpecialUses,
}

/// A mailbox to put into service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activate {
    /// Canonical name.
    pub name: MailboxName,
    /// Must be the record's.
    pub id: MailboxId,
    /// A moving mailbox's new partition.
    pub partition: Option<String>,
    /// Replaces the record's ACL.
    pub acl: Option<Acl>,
    /// Replaces the record's UIDVALIDITY; must be greater.
    pub uidvalidity: Option<u32>,
}

impl Activate {
    /// As it was reserved.
    #[must_use]
    pub const fn new(name: MailboxName, id: MailboxId) -> Self {
        Self {
            name,
            id,
            partition: None,
            acl: None,
            uidvalidity: None,
        }
    }
}

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// See [`MupdateClient::reserve`].
    Reserve(Reserve),
    /// See [`MupdateClient::activate`].
    Activate(Activate),
    /// See [`MupdateClient::deactivate`].
    Deactivate {
        /// Canonical name.
        name: MailboxName,
        /// Must be the record's.
        id: MailboxId,
        /// The partition whose owner may activate it.
        moving_to: Option<String>,
    },
    /// See [`MupdateClient::delete`].
    Delete {
        /// Canonical name.
        name: MailboxName,
        /// When given, must be the record's.
        id: Option<MailboxId>,
    },
    /// See [`MupdateClient::rename`].
    Rename {
        /// Canonical name before.
        from: MailboxName,
        /// Canonical name after.
        to: MailboxName,
        /// Everything below `from` goes along.
        subtree: bool,
    },
    /// See [`MupdateClient::set_acl`].
    SetAcl {
        /// Canonical name.
        name: MailboxName,
        /// The new list.
        acl: Acl,
        /// When given, must be the record's.
        id: Option<MailboxId>,
    },
}

impl Operation {
    fn into_proto(self) -> v1::Operation {
        let id_bytes = |id: Option<MailboxId>| id.map_or_else(Vec::new, |id| id.to_bytes().into());
        let kind = match self {
            Self::Reserve(reserve) => operation::Kind::Reserve(v1::ReserveRequest {
                name: reserve.name.to_string(),
                id: id_bytes(Some(reserve.id)),
                partition: reserve.partition,
                acl: reserve.acl.to_string(),
                special_use: reserve.special_use.iter().map(|u| u.to_string()).collect(),
                r#type: v1::MailboxType::Mail.into(),
            }),
            Self::Activate(activate) => operation::Kind::Activate(v1::ActivateRequest {
                name: activate.name.to_string(),
                id: id_bytes(Some(activate.id)),
                partition: activate.partition.unwrap_or_default(),
                acl: activate.acl.map(|acl| acl.to_string()),
                uidvalidity: activate.uidvalidity,
            }),
            Self::Deactivate {
                name,
                id,
                moving_to,
            } => operation::Kind::Deactivate(v1::DeactivateRequest {
                name: name.to_string(),
                id: id_bytes(Some(id)),
                moving_to: moving_to.unwrap_or_default(),
            }),
            Self::Delete { name, id } => operation::Kind::Delete(v1::DeleteRequest {
                name: name.to_string(),
                id: id_bytes(id),
            }),
            Self::Rename { from, to, subtree } => operation::Kind::Rename(v1::RenameRequest {
                from: from.to_string(),
                to: to.to_string(),
                subtree,
            }),
            Self::SetAcl { name, acl, id } => operation::Kind::SetAcl(v1::SetAclRequest {
                name: name.to_string(),
                acl: acl.to_string(),
                id: id_bytes(id),
            }),
        };
        v1::Operation { kind: Some(kind) }
    }
}

/// A mailbox that a backend really holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Canonical name.
    pub name: MailboxName,
    /// Its identity.
    pub id: MailboxId,
    /// Who may do what.
    pub acl: Acl,
    /// Its UIDVALIDITY.
    pub uidvalidity: u32,
    /// What it is meant for.
    pub special_use: SpecialUses,
}

/// How what is held and what is recorded differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// Held, and not known to the master.
    Unknown,
    /// The record says otherwise.
    Different,
    /// Recorded, and not held.
    NotHeld,
    /// The name belongs to another mailbox; never resolved by itself.
    Conflict,
    /// The record of this very partition was of a mailbox that the backend has under no name.
    Replaced,
}

/// One thing that a reconciliation found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How they differ.
    pub kind: DifferenceKind,
    /// What the backend holds.
    pub held: Option<Mailbox>,
    /// What the master has.
    pub recorded: Option<Mailbox>,
    /// The master was changed accordingly.
    pub applied: bool,
}

/// What a reconciliation found and did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReconcileReport {
    /// The revision after what was applied.
    pub revision: u64,
    /// Mailboxes that the backend sent.
    pub held: u64,
    /// Of these, as recorded.
    pub same: u64,
    /// Records changed.
    pub applied: u64,
    /// Records that were not dropped although they are not held: too many without an operator's
    /// word.
    pub withheld: u64,
    /// Everything that differs.
    pub differences: Vec<Difference>,
}

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

impl ReconcileReport {
    /// Those that only an operator can resolve.
    pub fn conflicts(&self) -> impl Iterator<Item = &Difference> {
        self.differences
            .iter()
            .filter(|d| d.kind == DifferenceKind::Conflict)
    }
}

/// What to change of an account; `None` leaves it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserUpdate {
    /// The groups, all of them.
    pub groups: Option<Vec<String>>,
    /// Whether the user administers the murder.
    pub admin: Option<bool>,
    /// Whether the user may not log in.
    pub disabled: Option<bool>,
}

impl MupdateClient {
    /// A client for these masters; connects with the first call.
    #[must_use]
    pub fn new(config: MupdateClientConfig) -> Self {
        let connector = Arc::new(Connector {
            masters: config.masters,
            tls: config.tls.with_alpn(ALPN_H2),
            next: AtomicUsize::new(0),
            last_failed: tokio::sync::Mutex::new(None),
        });
        let channel = Endpoint::from_static("http://mupdate.murder.internal")
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .connect_with_connector_lazy(tower::service_fn(move |_| {
                let connector = connector.clone();
                async move { connector.connect().await }
            }));
        Self {
            channel,
            call_timeout: config.call_timeout,
            membership: Membership::default(),
            tls: config.tls,
        }
    }

    pub(crate) fn rpc(&self) -> Rpc<InterceptedService<Channel, Membership>> {
        Rpc::with_interceptor(self.channel.clone(), self.membership.clone())
    }

    /// What its calls say of the murder that the node belongs to.
    pub(crate) const fn membership(&self) -> &Membership {
        &self.membership
    }

    /// What it makes its connections with.
    pub(crate) const fn tls(&self) -> &TlsClient {
        &self.tls
    }

    fn directory(&self) -> DirectoryClient<Channel> {
        DirectoryClient::new(self.channel.clone())
    }

    pub(crate) fn blocks(&self) -> BlocksClient<Channel> {
        BlocksClient::new(self.channel.clone())
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

    async fn one(&self, operation: Operation) -> Result<Changed, MupdateError> {
        let kind = operation
            .into_proto()
            .kind
            .ok_or_else(|| MupdateError::InvalidArgument("no operation".into()))?;
        let answer = self
            .call(kind, |kind| {
                let mut rpc = self.rpc();
                async move {
                    match kind {
                        operation::Kind::Reserve(request) => rpc.reserve(request).await,
                        operation::Kind::Activate(request) => rpc.activate(request).await,
                        operation::Kind::Deactivate(request) => rpc.deactivate(request).await,
                        operation::Kind::Delete(request) => rpc.delete(request).await,
                        operation::Kind::Rename(request) => rpc.rename(request).await,
                        operation::Kind::SetAcl(request) => rpc.set_acl(request).await,
                    }
                }
            })
            .await?;
        Ok(Changed {
            revision: answer.revision,
            mailbox: answer.mailbox.map(typed).transpose()?,
        })
    }

    /// Takes a name for a mailbox that does not exist yet. The record that comes back has
    /// the UIDVALIDITY that the mailbox must have.
    ///
    /// # Errors
    /// [`MupdateError::AlreadyExists`] with the holder; see [`MupdateError`].
    pub async fn reserve(&self, reserve: Reserve) -> Result<Changed, MupdateError> {
        self.one(Operation::Reserve(reserve)).await
    }

    /// Says that a reserved or moving mailbox is there now. Doing it twice does no harm.
    ///
    /// # Errors
    /// [`MupdateError::NotFound`] when the reservation is gone,
    /// [`MupdateError::FailedPrecondition`] when the name is another mailbox's by now.
    pub async fn activate(&self, activate: Activate) -> Result<Changed, MupdateError> {
        self.one(Operation::Activate(activate)).await
    }

    /// Takes an active mailbox out of service while it moves, to be activated again by the
    /// owner of its partition or of `moving_to`.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn deactivate(
        &self,
        name: &MailboxName,
        id: MailboxId,
        moving_to: Option<&str>,
    ) -> Result<Changed, MupdateError> {
        self.one(Operation::Deactivate {
            name: name.clone(),
            id,
            moving_to: moving_to.map(str::to_owned),
        })
        .await
    }

    /// Forgets a mailbox, or gives a reservation back. With `id`, only that mailbox.
    ///
    /// # Errors
    /// [`MupdateError::NotFound`] when there is none (any more); see [`MupdateError`].
    pub async fn delete(
        &self,
        name: &MailboxName,
        id: Option<MailboxId>,
    ) -> Result<Changed, MupdateError> {
        let name = name.clone();
        self.one(Operation::Delete { name, id }).await
    }

    /// Renames a mailbox; with `subtree`, everything below it at the same moment. Ids,
    /// partitions, ACLs and UIDVALIDITYs stay.
    ///
    /// # Errors
    /// [`MupdateError::AlreadyExists`] with the holder when one of the new names is taken,
    /// [`MupdateError::NotFound`] when there is nothing to rename; see [`MupdateError`].
    pub async fn rename(
        &self,
        from: &MailboxName,
        to: &MailboxName,
        subtree: bool,
    ) -> Result<Changed, MupdateError> {
        self.one(Operation::Rename {
            from: from.clone(),
            to: to.clone(),
            subtree,
        })
        .await
    }

    /// Replaces a mailbox's ACL. With `id`, only that mailbox's.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn set_acl(
        &self,
        name: &MailboxName,
        acl: &Acl,
        id: Option<MailboxId>,
    ) -> Result<Changed, MupdateError> {
        self.one(Operation::SetAcl {
            name: name.clone(),
            acl: acl.clone(),
            id,
        })
        .await
    }

    /// Does all of these in order and at once, or none.
    ///
    /// # Errors
    /// [`MupdateError::Batch`] with each operation's error; see [`MupdateError`].
    pub async fn commit(&self, operations: Vec<Operation>) -> Result<Committed, MupdateError> {
        let request = v1::CommitRequest {
            operations: operations.into_iter().map(Operation::into_proto).collect(),
        };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.rpc();
                async move { rpc.commit(request).await }
            })
            .await?;
        if !answer.committed {
            return Err(MupdateError::Batch(
                answer
                    .results
                    .into_iter()
                    .map(|result| result.error.map(MupdateError::from_detail))
                    .collect(),
            ));
        }
        let mailboxes = answer
            .results
            .into_iter()
            .map(|result| result.mailbox.map(typed).transpose())
            .collect::<Result<_, _>>()?;
        Ok(Committed {
            revision: answer.revision,
            mailboxes,
        })
    }

    /// The master's own word on one name.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn find(&self, name: &MailboxName) -> Result<Found, MupdateError> {
        let request = v1::FindRequest {
            name: name.to_string(),
        };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.rpc();
                async move { rpc.find(request).await }
            })
            .await?;
        Ok(Found {
            revision: answer.revision,
            mailbox: answer.mailbox.map(typed).transpose()?,
        })
    }

    /// The master's own word on all names that start with `prefix`, in a partition
    /// (`node!partition`, or `node!` for all of a node's), or both; in name order.
    ///
    /// # Errors
    /// See [`MupdateError`]; also at the stream's end.
    pub async fn list(&self, prefix: &str, partition: &str) -> Result<MailboxStream, MupdateError> {
        let request = v1::ListRequest {
            prefix: prefix.to_owned(),
            partition: partition.to_owned(),
        };
        let stream = self
            .call(request, |request| {
                let mut rpc = self.rpc();
                async move { rpc.list(request).await }
            })
            .await?;
        Ok(MailboxStream {
            stream,
            silence: self.call_timeout,
        })
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

    /// Forgets a UIDVALIDITY that was decades ahead, which kept mailboxes from being made. With
    /// `dry_run` only says what would be. Returns the greatest that counts, before and after. For
    /// operators.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn lower_uidvalidity(&self, dry_run: bool) -> Result<(u32, u32), MupdateError> {
        let request = v1::LowerUidvalidityRequest { dry_run };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.rpc();
                async move { rpc.lower_uidvalidity(request).await }
            })
            .await?;
        Ok((answer.before, answer.after))
    }

    /// Opens the node's session: while it lasts the master calls the node up. Keeps trying
    /// when the master cannot be reached. To be called once in a process's life, since it
    /// ends what an earlier process of the same node had reserved. `health` is told along.
    #[must_use]
    pub fn register(
        &self,
        node: NodeDescription,
        status: NodeStatus,
        health: Health,
    ) -> NodeSession {
        NodeSession::open(self.clone(), node, status, health)
    }

    /// Compares what a backend holds in `partition` (`node!partition`) with the master's
    /// records. `held` is called when the master is ready and must list everything that is
    /// there at that moment or later. Nothing is changed with `dry_run`; conflicts never are.
    /// More than a few records are dropped only if an operator has agreed to that many,
    /// `may_drop`.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn reconcile<I>(
        &self,
        partition: &str,
        dry_run: bool,
        may_drop: u64,
        held: impl FnOnce() -> I,
    ) -> Result<ReconcileReport, MupdateError>
    where
        I: IntoIterator<Item = Held>,
    {
        use reconcile_request::Kind as Send;
        let (sender, receiver) = tokio::sync::mpsc::channel(RECONCILE_QUEUE);
        let send = async |kind: Send| {
            timeout(
                RECONCILE_SILENCE,
                sender.send(v1::ReconcileRequest { kind: Some(kind) }),
            )
            .await
            .map_err(|_| MupdateError::Unavailable("no answer in time".into()))?
            .map_err(|_| MupdateError::Unavailable("the master ended the stream".into()))
        };
        send(Send::Start(v1::ReconcileStart {
            partition: partition.to_owned(),
            dry_run,
            may_drop,
        }))
        .await?;
        let mut answers = self
            .within(self.rpc().reconcile(ReceiverStream::new(receiver)))
            .await?;
        match next(&mut answers).await? {
            reconcile_response::Kind::Ready(_) => {}
            _ => return Err(MupdateError::Protocol("not ready".into())),
        }
        // The master answers only after the end, so that sending it all first cannot stall.
        let mut chunk = Vec::new();
        for mailbox in held() {
            chunk.push(mailbox.into_proto(partition));
            if chunk.len() == RECONCILE_CHUNK {
                send(Send::Held(v1::HeldMailboxes {
                    mailboxes: std::mem::take(&mut chunk),
                }))
                .await?;
            }
        }
        send(Send::Held(v1::HeldMailboxes { mailboxes: chunk })).await?;
        send(Send::End(v1::ReconcileEnd {})).await?;

        let mut report = ReconcileReport::default();
        loop {
            match next(&mut answers).await? {
                reconcile_response::Kind::Ready(_) => {
                    return Err(MupdateError::Protocol("ready twice".into()));
                }
                reconcile_response::Kind::Differences(more) => {
                    for difference in more.differences {
                        report.differences.push(Difference::from_proto(difference)?);
                    }
                }
                reconcile_response::Kind::Summary(summary) => {
                    report.revision = summary.revision;
                    report.held = summary.held;
                    report.same = summary.same;
                    report.applied = summary.applied;
                    report.withheld = summary.withheld;
                    return Ok(report);
                }
            }
        }
    }

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

    /// Forgets a node that is gone for good, with its partitions; or only one of them. No mailbox
    /// may be recorded there.
    ///
    /// # Errors
    /// [`MupdateError::FailedPrecondition`] while the node is up, the partition is served, or a
    /// mailbox is recorded there; see [`MupdateError`].
    pub async fn forget(&self, node: &str, partition: Option<&str>) -> Result<u64, MupdateError> {
        let request = v1::ForgetRequest {
            node: node.to_owned(),
            partition: partition.unwrap_or_default().to_owned(),
        };
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

    /// Adds an account; its hash comes from [`murder_auth::hash_password`].
    ///
    /// # Errors
    /// [`MupdateError::AlreadyExists`]; [`MupdateError::FailedPrecondition`] while mailboxes or
    /// rights are held under the name; see [`MupdateError`].
    pub async fn add_user(&self, account: &Account) -> Result<u64, MupdateError> {
        self.add_user_to(account, false).await
    }

    /// The same; `with_mail`: also if there are mailboxes or rights of that name, which are the
    /// account's then.
    ///
    /// # Errors
    /// As for [`MupdateClient::add_user`].
    pub async fn add_user_to(
        &self,
        account: &Account,
        with_mail: bool,
    ) -> Result<u64, MupdateError> {
        let account = Some(account_to_proto(account));
        let request = v1::AddUserRequest { account, with_mail };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.directory();
                async move { rpc.add_user(request).await }
            })
            .await?;
        Ok(answer.revision)
    }

    /// Adds all of these, or none.
    ///
    /// # Errors
    /// As for [`MupdateClient::add_user`].
    pub async fn add_users(&self, accounts: &[Account]) -> Result<u64, MupdateError> {
        let accounts = accounts.iter().map(account_to_proto).collect();
        let request = v1::AddUsersRequest {
            accounts,
            with_mail: false,
        };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.directory();
                async move { rpc.add_users(request).await }
            })
            .await?;
        Ok(answer.revision)
    }

    /// Replaces an account's password hash.
    ///
    /// # Errors
    /// [`MupdateError::NotFound`]; see [`MupdateError`].
    pub async fn set_password(&self, name: &str, hash: &str) -> Result<u64, MupdateError> {
        let request = v1::SetPasswordRequest {
            name: name.to_owned(),
            password_hash: hash.to_owned(),
        };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.directory();
                async move { rpc.set_password(request).await }
            })
            .await?;
        Ok(answer.revision)
    }

    /// Changes an account.
    ///
    /// # Errors
    /// [`MupdateError::NotFound`]; see [`MupdateError`].
    pub async fn update_user(&self, name: &str, update: UserUpdate) -> Result<u64, MupdateError> {
        let request = v1::UpdateUserRequest {
            name: name.to_owned(),
            groups: update.groups.map(|groups| v1::Groups { groups }),
            admin: update.admin,
            disabled: update.disabled,
        };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.directory();
                async move { rpc.update_user(request).await }
            })
            .await?;
        Ok(answer.revision)
    }

    /// What is held under the name of a user, which nobody can be given meanwhile.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn held_by(&self, name: &str) -> Result<HeldByName, MupdateError> {
        let name = name.to_owned();
        let answer = self
            .call(v1::FindHeldRequest { name }, |request| {
                let mut rpc = self.directory();
                async move { rpc.find_held(request).await }
            })
            .await?;
        Ok(HeldByName {
            mailboxes: answer.mailboxes,
            mailbox_count: usize::try_from(answer.mailbox_count).unwrap_or(usize::MAX),
            granting: answer.granting,
            granting_count: usize::try_from(answer.granting_count).unwrap_or(usize::MAX),
        })
    }

    /// Deletes an account; its mailboxes stay.
    ///
    /// # Errors
    /// [`MupdateError::NotFound`]; see [`MupdateError`].
    pub async fn delete_user(&self, name: &str) -> Result<u64, MupdateError> {
        let request = v1::DeleteUserRequest {
            name: name.to_owned(),
        };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.directory();
                async move { rpc.delete_user(request).await }
            })
            .await?;
        Ok(answer.revision)
    }

    /// The accounts whose names start with `prefix`, in name order, without their hashes.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn list_users(&self, prefix: &str) -> Result<Vec<Account>, MupdateError> {
        let request = v1::ListUsersRequest {
            prefix: prefix.to_owned(),
        };
        let mut stream = self
            .call(request, |request| {
                let mut rpc = self.directory();
                async move { rpc.list_users(request).await }
            })
            .await?;
        let mut accounts = Vec::new();
        while let Some(part) = self.within_call(stream.message()).await? {
            accounts.extend(part.accounts.into_iter().map(account_from_proto));
        }
        Ok(accounts)
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

    pub(crate) async fn watch(
        &self,
        request: v1::WatchRequest,
    ) -> Result<Streaming<v1::WatchResponse>, MupdateError> {
        self.within(self.rpc().watch(Request::new(request))).await
    }
}

/// The answer to [`MupdateClient::list`].
#[derive(Debug)]
pub struct MailboxStream {
    stream: Streaming<v1::ListResponse>,
    silence: Duration,
}

impl MailboxStream {
    /// The next some mailboxes; `None` at the end.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn next(&mut self) -> Result<Option<Vec<Mailbox>>, MupdateError> {
        let message = timeout(self.silence, self.stream.message())
            .await
            .map_err(|_| MupdateError::Unavailable("no answer in time".into()))??;
        message
            .map(|part| part.mailboxes.into_iter().map(typed).collect())
            .transpose()
    }

    /// All of them.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn collect(mut self) -> Result<Vec<Mailbox>, MupdateError> {
        let mut all = Vec::new();
        while let Some(more) = self.next().await? {
            all.extend(more);
        }
        Ok(all)
    }
}

impl Held {
    fn into_proto(self, partition: &str) -> v1::Mailbox {
        let location = crate::record::Location {
            id: self.id,
            partition: partition.into(),
            acl: Arc::new(self.acl),
            state: MailboxState::Active,
            uidvalidity: self.uidvalidity,
            special_use: self.special_use,
            mailbox_type: crate::record::MailboxType::Mail,
            moving_to: None,
            reserved_revision: 0,
        };
        crate::record::mailbox_to_proto(&self.name, &location)
    }
}

impl Difference {
    fn from_proto(difference: v1::Difference) -> Result<Self, MupdateError> {
        let kind = match difference.kind() {
            v1::DifferenceKind::Unknown => DifferenceKind::Unknown,
            v1::DifferenceKind::Different => DifferenceKind::Different,
            v1::DifferenceKind::NotHeld => DifferenceKind::NotHeld,
            v1::DifferenceKind::Conflict => DifferenceKind::Conflict,
            v1::DifferenceKind::Replaced => DifferenceKind::Replaced,
            v1::DifferenceKind::Unspecified => {
                return Err(MupdateError::Protocol("unknown kind of difference".into()));
            }
        };
        Ok(Self {
            kind,
            held: difference.held.map(typed).transpose()?,
            recorded: difference.recorded.map(typed).transpose()?,
            applied: difference.applied,
        })
    }
}

fn typed(mailbox: v1::Mailbox) -> Result<Mailbox, MupdateError> {
    Mailbox::from_proto(mailbox).map_err(|e| MupdateError::Protocol(e.to_string()))
}

async fn next(
    answers: &mut Streaming<v1::ReconcileResponse>,
) -> Result<reconcile_response::Kind, MupdateError> {
    timeout(RECONCILE_SILENCE, answers.message())
        .await
        .map_err(|_| MupdateError::Unavailable("no answer in time".into()))??
        .and_then(|answer| answer.kind)
        .ok_or_else(|| MupdateError::Unavailable("the master ended the stream".into()))
}

/// Makes connections to whichever master can be reached.
struct Connector {
    masters: Vec<String>,
    tls: TlsClient,
    /// The master to try first: the one that last worked.
    next: AtomicUsize,
    last_failed: tokio::sync::Mutex<Option<Instant>>,
}

impl Connector {
    async fn connect(&self) -> std::io::Result<TokioIo<Stream>> {
        let mut last_failed = self.last_failed.lock().await;
        if let Some(at) = *last_failed {
            tokio::time::sleep_until(at + ROUND_INTERVAL).await;
        }
        let mut failure = std::io::Error::other("no masters configured");
        let first = self.next.load(Ordering::Relaxed);
        for turn in 0..self.masters.len() {
            let at = (first + turn) % self.masters.len();
            let attempt = timeout(CONNECT_TIMEOUT, self.connect_to(&self.masters[at]));
            match attempt
                .await
                .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut)))
            {
                Ok(stream) => {
                    self.next.store(at, Ordering::Relaxed);
                    *last_failed = None;
                    return Ok(TokioIo::new(stream));
                }
                Err(error) => {
                    tracing::debug!(master = self.masters[at], %error, "master not reached");
                    failure = error;
                }
            }
        }
        *last_failed = Some(Instant::now());
        Err(std::io::Error::other(NotReached(failure)))
    }

    async fn connect_to(&self, master: &str) -> std::io::Result<Stream> {
        let stream = Stream::connect(master).await?;
        let name = role_server_name(Role::Mupdate);
        stream.connect_tls(&self.tls, name).await
    }
}
