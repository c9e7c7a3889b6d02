//! `BackendAdmin`: what operators do to a running store, over gRPC.
//!
//! Callers are operators, by their certificates; nobody else gets past the first check. What they
//! do is done as any other change: in order, durable, known to the master before it is answered.

mod accounts;
mod envelope;
mod errors;
mod partitions;
mod quota;
mod restore;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use murder_mailbox::MailboxName;
use murder_net::{Actor, grpc};
use murder_node::NodeRuntime;
use murder_proto::v1;
use murder_proto::v1::backend_admin_server::{BackendAdmin, BackendAdminServer};
use murder_session::admin::operators_only;
use murder_store::{Partition, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::node::Node;
use errors::{invalid, refused, unavailable};

/// Messages of an answer that wait for a slow operator.
const QUEUE: usize = 4;
/// Entries in one message of an answer: some 100 bytes each.
const ENTRIES: usize = 500;
/// An operator's tool that takes nothing for so long is gone.
const STALL: Duration = Duration::from_secs(60);

/// Operators will be able to make these calls.
pub(crate) fn add(node: &Arc<Node>, runtime: &NodeRuntime) {
    runtime.add_admin_service(BackendAdminServer::with_interceptor(
        Service(Arc::clone(node)),
        operators_only,
    ));
}

/// Who calls, for the log.
fn operator<T>(request: &Request<T>) -> String {
    grpc::peer(request).map_or_else(String::new, |peer| peer.name.clone())
}

fn name_of(text: &str) -> Result<MailboxName, Status> {
    MailboxName::parse_canonical(text)
        .map_err(|error| invalid(format!("{text:?} is no mailbox name: {error}")))
}

/// The key of a home, which is the name of its root.
fn home_of(text: &str) -> Result<String, Status> {
    let name = name_of(text)?;
    if name.is_home_root() {
        return Ok(name.home_key().to_owned());
    }
    Err(invalid(format!(
        "{text:?} is no home; the one that it is in is {:?}",
        name.home_key()
    )))
}

/// An answer in parts.
type Parts<T> = ReceiverStream<Result<T, Status>>;

/// Where the parts of an answer go.
struct Answer<T>(mpsc::Sender<Result<T, Status>>);

impl<T> Answer<T> {
    /// Sends a part.
    ///
    /// # Errors
    /// When nobody takes it: then there is nobody to go on for.
    async fn send(&self, part: T) -> Result<(), Status> {
        let sent = self.0.send_timeout(Ok(part), STALL).await;
        sent.map_err(|_| unavailable("nobody takes the answer"))
    }
}

/// Answers in parts, made by a task that ends with the node. An error ends the answer.
fn in_parts<T, F>(node: &Node, make: impl FnOnce(Answer<T>) -> F) -> Response<Parts<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(QUEUE);
    let making = make(Answer(sender.clone()));
    let draining = node.shutdown.token();
    node.shutdown.spawn(async move {
        let made = draining.run_until_cancelled(making).await;
        let made = made.unwrap_or_else(|| Err(unavailable("this backend is stopping")));
        if let Err(status) = made {
            // The operator may have gone.
            let _ = sender.send_timeout(Err(status), STALL).await;
        }
    });
    Response::new(ReceiverStream::new(receiver))
}

/// Does something in a task of its own, which ends early only with the node.
async fn to_the_end<T: Send + 'static>(
    node: &Node,
    work: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    let (sender, done) = oneshot::channel();
    node.shutdown.spawn(async move {
        // The operator may have gone.
        let _ = sender.send(work.await);
    });
    done.await
        .unwrap_or_else(|_| Err(unavailable("this backend is stopping")))
}

/// The homes that a question is about, partition by partition: one, or all.
fn homes(node: &Node, wanted: Option<&str>) -> Vec<(Arc<Partition>, Vec<Arc<str>>)> {
    let partitions = node.partitions.open();
    partitions
        .iter()
        .map(|partition| {
            let mut homes = partition.homes();
            if let Some(wanted) = wanted {
                homes.retain(|home| &**home == wanted);
            }
            (Arc::clone(partition), homes)
        })
        .collect()
}

/// A home may go while homes are being looked at.
fn or_gone<T>(result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::NoSuchHome) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The calls, over the node.
struct Service(Arc<Node>);

#[tonic::async_trait]
impl BackendAdmin for Service {
    type ListRestorableStream = Parts<v1::ListRestorableResponse>;

    async fn list_restorable(
        &self,
        request: Request<v1::ListRestorableRequest>,
    ) -> Result<Response<Self::ListRestorableStream>, Status> {
        let request = request.into_inner();
        let (node, name) = (Arc::clone(&self.0), name_of(&request.name)?);
        Ok(in_parts(&self.0, move |answer| async move {
            restore::list(&node, &name, request.exact, &answer).await
        }))
    }

    type RestoreMessagesStream = Parts<v1::RestoreMessagesResponse>;

    async fn restore_messages(
        &self,
        request: Request<v1::RestoreMessagesRequest>,
    ) -> Result<Response<Self::RestoreMessagesStream>, Status> {
        let by = operator(&request);
        let node = Arc::clone(&self.0);
        let wanted = restore::Wanted::new(request.into_inner())?;
        Ok(in_parts(&self.0, move |answer| async move {
            restore::messages(&node, &wanted, &by, &answer).await
        }))
    }

    async fn restore_mailbox(
        &self,
        request: Request<v1::RestoreMailboxRequest>,
    ) -> Result<Response<v1::RestoreMailboxResponse>, Status> {
        let by = operator(&request);
        let restoring = restore::mailbox(&self.0, request.into_inner(), &by);
        let restored = Actor::operator(&by).scope(restoring).await?;
        Ok(Response::new(restored))
    }

    async fn delete_mailbox(
        &self,
        request: Request<v1::DeleteMailboxRequest>,
    ) -> Result<Response<v1::DeleteMailboxResponse>, Status> {
        let by = Actor::operator(&operator(&request));
        let deleting = accounts::delete_mailbox(&self.0, request.into_inner());
        let deleted = by.scope(deleting).await?;
        Ok(Response::new(deleted))
    }

    async fn remove_from_acl(
        &self,
        request: Request<v1::RemoveFromAclRequest>,
    ) -> Result<Response<v1::RemoveFromAclResponse>, Status> {
        let by = Actor::operator(&operator(&request));
        let removing = accounts::remove_from_acl(&self.0, request.into_inner());
        let removed = by.scope(removing).await?;
        Ok(Response::new(removed))
    }

    type ListQuotasStream = Parts<v1::ListQuotasResponse>;

    async fn list_quotas(
        &self,
        request: Request<v1::ListQuotasRequest>,
    ) -> Result<Response<Self::ListQuotasStream>, Status> {
        let home = optional_home(&request.into_inner().home)?;
        let node = Arc::clone(&self.0);
        Ok(in_parts(&self.0, move |answer| async move {
            quota::list(&node, home.as_deref(), &answer).await
        }))
    }

    async fn set_quota(
        &self,
        request: Request<v1::SetQuotaRequest>,
    ) -> Result<Response<v1::SetQuotaResponse>, Status> {
        let by = operator(&request);
        let quota = quota::set(&self.0, request.into_inner(), &by).await?;
        Ok(Response::new(v1::SetQuotaResponse { quota }))
    }

    type CheckQuotaStream = Parts<v1::CheckQuotaResponse>;

    async fn check_quota(
        &self,
        request: Request<v1::CheckQuotaRequest>,
    ) -> Result<Response<Self::CheckQuotaStream>, Status> {
        let request = request.into_inner();
        let home = optional_home(&request.home)?;
        let node = Arc::clone(&self.0);
        Ok(in_parts(&self.0, move |answer| async move {
            quota::check(&node, home.as_deref(), request.repair, &answer).await
        }))
    }

    async fn list_partitions(
        &self,
        _request: Request<v1::ListPartitionsRequest>,
    ) -> Result<Response<v1::ListPartitionsResponse>, Status> {
        let partitions = usage::partitions(&self.0).await.map_err(refused)?;
        Ok(Response::new(v1::ListPartitionsResponse { partitions }))
    }

    async fn open_partition(
        &self,
        request: Request<v1::OpenPartitionRequest>,
    ) -> Result<Response<v1::OpenPartitionResponse>, Status> {
        let by = operator(&request);
        let (node, request) = (Arc::clone(&self.0), request.into_inner());
        // It goes on to its end when the operator goes away.
        let operator = Actor::operator(&by);
        let opening = async move { partitions::open(&node, &request, &by).await };
        let opening = operator.scope(opening);
        to_the_end(&self.0, opening).await.map(Response::new)
    }

    async fn reconcile_partition(
        &self,
        request: Request<v1::ReconcilePartitionRequest>,
    ) -> Result<Response<v1::ReconcilePartitionResponse>, Status> {
        let by = operator(&request);
        let reconciling = partitions::reconcile(&self.0, request.get_ref(), &by);
        let reconciled = Actor::operator(&by).scope(reconciling).await?;
        Ok(Response::new(reconciled))
    }

    type ListHomesStream = Parts<v1::ListHomesResponse>;

    async fn list_homes(
        &self,
        request: Request<v1::ListHomesRequest>,
    ) -> Result<Response<Self::ListHomesStream>, Status> {
        let prefix = request.into_inner().prefix;
        let node = Arc::clone(&self.0);
        Ok(in_parts(&self.0, move |answer| async move {
            usage::homes(&node, &prefix, &answer).await
        }))
    }
}

fn optional_home(text: &str) -> Result<Option<String>, Status> {
    match text {
        "" => Ok(None),
        text => home_of(text).map(Some),
    }
}
