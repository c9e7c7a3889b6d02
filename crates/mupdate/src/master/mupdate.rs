//! The `Mupdate` service: calls become log entries, and answers.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use murder_location::actor;
use murder_location::client::MOST_TOGETHER;
use murder_mailbox::MailboxName;
use murder_net::{Health, Limit, Role, Shutdown};
use murder_proto::v1::mupdate_server::Mupdate;
use murder_proto::v1::{self, ErrorKind, log_entry::Command, operation, single_result};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::audit;
use super::caller::{Authority, Caller, audited, invalid, too_large, unavailable};
use super::nodes::Sessions;
use crate::consensus::Consensus;
use crate::state::Outcome;
use murder_location::disk::now_ms;
use murder_location::record::{Mailbox, mailbox_to_proto, revocation_to_proto};
use murder_location::{NodeHealth, service};

/// The most operations in one batch: it is one revision.
const MAX_BATCH: usize = 10_000;
/// Mailboxes looked at in one hold of the state, so that nobody waits long for it.
pub(super) const SCAN: usize = 2_000;
/// The size of a message in a stream; a single record may be larger.
pub(super) const PART_BYTES: usize = 256 << 10;
/// Messages of a stream that wait for a slow client. What it lacks is kept in the state and
/// in the history, not for the client.
pub(super) const STREAM_QUEUE: usize = 2;
/// A client that takes nothing for so long is dropped.
pub(super) const STALL: Duration = Duration::from_secs(60);

/// Both services, over one consensus.
#[derive(Clone)]
pub(super) struct Service {
    pub consensus: Arc<dyn Consensus>,
    pub sessions: Arc<Sessions>,
    /// Reconciliations under way, by the node that asks; of operators together.
    pub reconciling: Limit<String>,
    pub shutdown: Shutdown,
    /// This master's own.
    pub health: Health,
    /// This master's name, and where its HTTP server listens.
    pub node: Arc<(String, String)>,
}

/// A stream of answers.
pub(super) type Parts<T> = ReceiverStream<Result<T, Status>>;

/// A stream made of parts, one at a time as the client takes them.
pub(super) fn parts<T: Send + 'static>(
    shutdown: &Shutdown,
    mut next: impl FnMut() -> Option<T> + Send + 'static,
) -> Parts<T> {
    let (sender, receiver) = mpsc::channel(STREAM_QUEUE);
    let stop = shutdown.token();
    shutdown.spawn(async move {
        while let Some(part) = next() {
            tokio::select! {
                sent = sender.send_timeout(Ok(part), STALL) => if sent.is_err() { return },
                () = stop.cancelled() => return,
            }
        }
    });
    ReceiverStream::new(receiver)
}

impl Service {
    pub async fn propose(
        &self,
        authority: Authority,
        command: Command,
    ) -> Result<(u64, Outcome), Status> {
        let entry = v1::LogEntry {
            time_ms: now_ms(),
            restricted_to: authority.node,
            partition: authority.partition,
            command: Some(command),
        };
        self.consensus.propose(entry).await.map_err(unavailable)
    }

    /// This master, as a node.
    pub(super) fn described_self(&self) -> v1::DescribedNode {
        let (name, http) = &*self.node;
        let node = v1::Node {
            name: name.clone(),
            roles: vec![Role::Mupdate.to_string()],
            state: v1::NodeState::Up.into(),
            incarnation: vec![0; 16],
            services: [(service::HTTP.to_owned(), http.clone())].into(),
            ..v1::Node::default()
        };
        v1::DescribedNode {
            node: Some(node),
            health: Some(NodeHealth::of(&self.health).to_proto()),
            ..v1::DescribedNode::default()
        }
    }

    async fn batch(
        &self,
        caller: &Caller,
        operations: Vec<v1::Operation>,
    ) -> Result<(u64, Vec<Result<Option<Mailbox>, v1::ErrorDetail>>), Status> {
        let authority = caller.may_write()?;
        if operations.len() > MAX_BATCH {
            return Err(too_large(format!("more than {MAX_BATCH} operations")));
        }
        let batch = v1::Batch {
            operations: operations.clone(),
        };
        match self.propose(authority, Command::Batch(batch)).await? {
            (revision, Outcome::Batch(results)) => {
                // All of it is done, or nothing.
                if results.iter().all(Result::is_ok) {
                    for kind in operations.iter().filter_map(|o| o.kind.as_ref()) {
                        audit::mailbox(caller, revision, kind);
                    }
                }
                for detail in results.iter().filter_map(|result| result.as_ref().err()) {
                    caller.note_refusal(detail);
                }
                Ok((revision, results))
            }
            (_, Outcome::Refused(detail)) => {
                caller.note_refusal(&detail);
                Err(detail.into_status())
            }
            _ => Err(Status::internal("unexpected outcome")),
        }
    }

    async fn change(
        &self,
        caller: &Caller,
        operation: v1::Operation,
    ) -> Result<v1::ChangeResponse, Status> {
        let (revision, mut results) = self.batch(caller, vec![operation]).await?;
        match results.pop() {
            Some(Ok(mailbox)) => Ok(v1::ChangeResponse {
                revision,
                mailbox: mailbox.map(|m| m.to_proto()),
            }),
            Some(Err(detail)) => Err(detail.into_status()),
            None => Err(Status::internal("no outcome")),
        }
    }

    async fn one<T>(
        &self,
        request: Request<T>,
        kind: impl FnOnce(T) -> operation::Kind,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let caller = Caller::of(&request)?;
        let kind = Some(kind(request.into_inner()));
        let changed = self.change(&caller, v1::Operation { kind }).await?;
        Ok(Response::new(changed))
    }
}

#[tonic::async_trait]
impl Mupdate for Service {
    async fn reserve(
        &self,
        request: Request<v1::ReserveRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        self.one(request, operation::Kind::Reserve).await
    }

    async fn activate(
        &self,
        request: Request<v1::ActivateRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        self.one(request, operation::Kind::Activate).await
    }

    async fn begin_delete(
        &self,
        request: Request<v1::BeginDeleteRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        self.one(request, operation::Kind::BeginDelete).await
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        self.one(request, operation::Kind::Delete).await
    }

    async fn rename(
        &self,
        request: Request<v1::RenameRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        self.one(request, operation::Kind::Rename).await
    }

    async fn set_acl(
        &self,
        request: Request<v1::SetAclRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        self.one(request, operation::Kind::SetAcl).await
    }

    async fn change_each(
        &self,
        request: Request<v1::ChangeEachRequest>,
    ) -> Result<Response<v1::ChangeEachResponse>, Status> {
        let caller = Caller::of(&request)?;
        caller.may_write()?;
        let changes = request.into_inner().changes;
        if changes.len() > MOST_TOGETHER {
            return Err(too_large(format!("more than {MOST_TOGETHER} changes")));
        }
        let changes = changes.into_iter().map(|change| {
            let caller = Caller {
                actor: actor::bounded(change.actor.unwrap_or_default()),
                partition: change.partition,
                ..caller.clone()
            };
            let operation = change.operation.unwrap_or_default();
            async move {
                let outcome = match self.change(&caller, operation).await {
                    Ok(changed) => single_result::Outcome::Changed(changed),
                    Err(status) => single_result::Outcome::Error(
                        v1::ErrorDetail::from_status(&status).unwrap_or_else(|| {
                            v1::ErrorDetail::new(ErrorKind::Unavailable, status.message())
                        }),
                    ),
                };
                v1::SingleResult {
                    outcome: Some(outcome),
                }
            }
        });
        let results = join_all(changes).await;
        Ok(Response::new(v1::ChangeEachResponse { results }))
    }

    async fn commit(
        &self,
        mut request: Request<v1::CommitRequest>,
    ) -> Result<Response<v1::CommitResponse>, Status> {
        let operations = std::mem::take(&mut request.get_mut().operations);
        let caller = Caller::of(&request)?;
        let (revision, results) = self.batch(&caller, operations).await?;
        let committed = results.iter().all(Result::is_ok);
        let results = results
            .into_iter()
            .map(|result| match result {
                Ok(mailbox) => v1::OperationResult {
                    mailbox: mailbox.map(|m| m.to_proto()),
                    error: None,
                },
                Err(detail) => v1::OperationResult {
                    mailbox: None,
                    error: Some(detail),
                },
            })
            .collect();
        Ok(Response::new(v1::CommitResponse {
            revision,
            committed,
            results,
        }))
    }

    async fn find(
        &self,
        request: Request<v1::FindRequest>,
    ) -> Result<Response<v1::FindResponse>, Status> {
        Caller::of(&request)?.may_read()?;
        let name = MailboxName::parse_canonical(&request.get_ref().name)
            .map_err(|e| invalid(e.to_string()))?;
        self.consensus.read_barrier().await.map_err(unavailable)?;
        let state = self.consensus.state();
        Ok(Response::new(v1::FindResponse {
            revision: state.revision(),
            mailbox: state
                .tables()
                .map
                .find(&name)
                .map(|location| mailbox_to_proto(&name, &location)),
        }))
    }

    type ListStream = Parts<v1::ListResponse>;

    async fn list(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Result<Response<Self::ListStream>, Status> {
        Caller::of(&request)?.may_read()?;
        self.consensus.read_barrier().await.map_err(unavailable)?;
        let v1::ListRequest {
            prefix,
            partition,
            owner,
        } = request.into_inner();
        let consensus = self.consensus.clone();
        let mut last: Option<String> = None;
        let mut complete = false;
        Ok(Response::new(parts(&self.shutdown, move || {
            if complete {
                return None;
            }
            let state = consensus.state();
            let wanted = |of: &str| {
                (partition.is_empty() || of == partition)
                    && (owner.is_empty() || state.tables().owner_of(of) == Some(&owner))
            };
            let from = match &last {
                None => Bound::Included(prefix.as_str()),
                Some(last) => Bound::Excluded(last.as_str()),
            };
            let mut mailboxes = Vec::new();
            let mut bytes = 0;
            let mut scanned = 0;
            let mut at = None;
            for entry in state
                .tables()
                .map
                .range(from)
                .take_while(|entry| entry.name().starts_with(&prefix))
            {
                scanned += 1;
                at = Some(entry.name());
                if wanted(entry.partition()) {
                    let mailbox = mailbox_to_proto(&entry.mailbox_name(), &entry.location());
                    bytes += prost::Message::encoded_len(&mailbox);
                    mailboxes.push(mailbox);
                }
                if scanned == SCAN || bytes >= PART_BYTES {
                    break;
                }
            }
            complete = scanned < SCAN && bytes < PART_BYTES;
            last = at.map(str::to_owned).or(last.take());
            // The last part is sent even when it is empty: it carries the revision.
            Some(v1::ListResponse {
                revision: state.revision(),
                mailboxes,
            })
        })))
    }

    type WatchStream = Parts<v1::WatchResponse>;

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let caller = Caller::of(&request)?;
        caller.may_read()?;
        Ok(Response::new(super::watch::start(
            self,
            &caller,
            request.into_inner(),
        )))
    }

    async fn barrier(
        &self,
        request: Request<v1::BarrierRequest>,
    ) -> Result<Response<v1::BarrierResponse>, Status> {
        Caller::of(&request)?.may_read()?;
        let revision = self.consensus.read_barrier().await.map_err(unavailable)?;
        Ok(Response::new(v1::BarrierResponse { revision }))
    }

    async fn lower_uidvalidity(
        &self,
        request: Request<v1::LowerUidvalidityRequest>,
    ) -> Result<Response<v1::LowerUidvalidityResponse>, Status> {
        let caller = Caller::of(&request)?;
        caller.may_administer()?;
        self.consensus.read_barrier().await.map_err(unavailable)?;
        let before = self.consensus.state().last_uidvalidity();
        let after = if request.into_inner().dry_run {
            self.consensus.state().lower_uidvalidity(now_ms())
        } else {
            let command = Command::UidvalidityLowered(v1::UidvalidityLowered {});
            self.propose(Authority::default(), command).await?;
            let after = self.consensus.state().last_uidvalidity();
            audited!(&caller, "murder.lower-uidvalidity", before, after);
            after
        };
        Ok(Response::new(v1::LowerUidvalidityResponse {
            before,
            after,
        }))
    }

    type RegisterStream = Parts<v1::RegisterResponse>;

    async fn register(
        &self,
        request: Request<Streaming<v1::RegisterRequest>>,
    ) -> Result<Response<Self::RegisterStream>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(super::nodes::open(
            self.clone(),
            caller,
            request.into_inner(),
        )))
    }

    async fn describe_partitions(
        &self,
        request: Request<v1::DescribePartitionsRequest>,
    ) -> Result<Response<v1::DescribePartitionsResponse>, Status> {
        Caller::of(&request)?.may_read()?;
        let described = self.described(&request.get_ref().node).await?;
        Ok(Response::new(described))
    }

    async fn adopt_partition(
        &self,
        request: Request<v1::AdoptPartitionRequest>,
    ) -> Result<Response<v1::AdoptPartitionResponse>, Status> {
        let caller = Caller::of(&request)?;
        let revision = self.adopt(&caller, request.into_inner()).await?;
        Ok(Response::new(v1::AdoptPartitionResponse { revision }))
    }

    async fn forget(
        &self,
        request: Request<v1::ForgetRequest>,
    ) -> Result<Response<v1::ForgetResponse>, Status> {
        let caller = Caller::of(&request)?;
        let revision = Self::forget(self, &caller, request.into_inner()).await?;
        Ok(Response::new(v1::ForgetResponse { revision }))
    }

    async fn succeed(
        &self,
        request: Request<v1::SucceedRequest>,
    ) -> Result<Response<v1::SucceedResponse>, Status> {
        let caller = Caller::of(&request)?;
        let succeeded = Self::succeed(self, &caller, request.into_inner()).await?;
        Ok(Response::new(succeeded))
    }

    async fn revoke_certificates(
        &self,
        request: Request<v1::RevokeCertificatesRequest>,
    ) -> Result<Response<v1::RevokeCertificatesResponse>, Status> {
        let caller = Caller::of(&request)?;
        caller.may_administer()?;
        let v1::RevokeCertificatesRequest {
            name,
            serials,
            take_back,
        } = request.into_inner();
        let revoked = Command::Revoked(v1::Revoked {
            name: name.clone(),
            serials,
            taken_back: take_back,
        });
        let revision = match self.propose(Authority::default(), revoked).await? {
            (_, Outcome::Refused(detail)) => return Err(detail.into_status()),
            (revision, _) => revision,
        };
        let revocation = self
            .consensus
            .state()
            .tables()
            .revocations
            .get(&name)
            .cloned();
        tracing::warn!(
            operator = caller.name,
            name,
            ?revocation,
            "what is revoked of certificates has changed"
        );
        Ok(Response::new(v1::RevokeCertificatesResponse {
            revision,
            revocation: revocation.as_ref().map(revocation_to_proto),
        }))
    }

    type DescribeNodesStream = Parts<v1::DescribeNodesResponse>;

    async fn describe_nodes(
        &self,
        request: Request<v1::DescribeNodesRequest>,
    ) -> Result<Response<Self::DescribeNodesStream>, Status> {
        Caller::of(&request)?.may_administer()?;
        self.consensus.read_barrier().await.map_err(unavailable)?;
        Ok(Response::new(super::nodes::describe(self)))
    }

    type ReconcileStream = Parts<v1::ReconcileResponse>;

    async fn reconcile(
        &self,
        request: Request<Streaming<v1::ReconcileRequest>>,
    ) -> Result<Response<Self::ReconcileStream>, Status> {
        let caller = Caller::of(&request)?;
        let authority = caller.may_write()?;
        let slot = self.reconciling.take(&authority.node);
        let slot = slot.ok_or_else(|| unavailable("too many reconciliations at once"))?;
        Ok(Response::new(super::reconcile::start(
            self.clone(),
            caller,
            authority,
            slot,
            request.into_inner(),
        )))
    }
}
