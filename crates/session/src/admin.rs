//! `SessionAdmin`: operators see who is logged in, and end sessions.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use murder_auth::normalize_user;
use murder_net::{Role, grpc};
use murder_proto::v1::session_admin_server::{SessionAdmin, SessionAdminServer};
use murder_proto::v1::{self, ErrorDetail, ErrorKind, end_sessions_request};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};

use crate::register::{Listed, Sessions};

/// Sessions in one message of an answer: some 100 octets each.
const IN_MESSAGE: usize = 500;
/// Messages of an answer that wait for a slow operator.
const QUEUE: usize = 4;
/// An operator's tool that takes nothing for so long is gone.
const STALL: Duration = Duration::from_secs(60);

/// The check of who calls.
type Check = fn(Request<()>) -> Result<Request<()>, Status>;

/// The service, for callers with an operator's certificate.
#[must_use]
pub fn service(sessions: Arc<Sessions>) -> InterceptedService<SessionAdminServer<Service>, Check> {
    SessionAdminServer::with_interceptor(Service(sessions), operators_only)
}

/// Lets operators call, by their certificates, and nobody else.
///
/// # Errors
/// [`ErrorKind::PermissionDenied`] for all others.
#[allow(clippy::result_large_err, reason = "tonic's form of an interceptor")]
pub fn operators_only(request: Request<()>) -> Result<Request<()>, Status> {
    let denied =
        |message: String| Err(ErrorDetail::new(ErrorKind::PermissionDenied, message).into_status());
    match grpc::peer(&request) {
        Some(peer) if peer.has_role(Role::Operator) => Ok(request),
        Some(peer) => {
            murder_net::audit!(
                "call.denied",
                by = peer.name,
                role = peer.role_names(),
                why = "no operator's certificate"
            );
            denied(format!(
                "the certificate of {:?} is no operator's",
                peer.name
            ))
        }
        None => denied("no client certificate".to_owned()),
    }
}

/// The calls, over the register.
#[derive(Debug)]
pub struct Service(Arc<Sessions>);

#[tonic::async_trait]
impl SessionAdmin for Service {
    type ListSessionsStream = ReceiverStream<Result<v1::ListSessionsResponse, Status>>;

    async fn list_sessions(
        &self,
        request: Request<v1::ListSessionsRequest>,
    ) -> Result<Response<Self::ListSessionsStream>, Status> {
        let listed = match &*request.into_inner().user {
            "" => self.0.list(None),
            user => self.0.list(Some(&user_name(user)?)),
        };
        let (sender, receiver) = mpsc::channel(QUEUE);
        // It ends with the answer, or with who asked for it.
        tokio::spawn(async move {
            for some in listed.chunks(IN_MESSAGE) {
                let sessions = some.iter().map(session).collect();
                let part = v1::ListSessionsResponse { sessions };
                if sender.send_timeout(Ok(part), STALL).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn end_sessions(
        &self,
        request: Request<v1::EndSessionsRequest>,
    ) -> Result<Response<v1::EndSessionsResponse>, Status> {
        let by = grpc::peer(&request).map_or_else(String::new, |peer| peer.name.clone());
        let ended = match request.into_inner().which {
            Some(end_sessions_request::Which::User(user)) => {
                let ended = self.0.kick_user(&user_name(&user)?);
                murder_net::audit!("session.end", operator = by, user, ended);
                ended
            }
            Some(end_sessions_request::Which::Session(id)) => {
                let ended = self.0.kick_session(&id);
                murder_net::audit!("session.end", operator = by, session = id, ended);
                ended
            }
            None => return Err(invalid("neither a user nor a session is named")),
        };
        let ended = ended as u64;
        Ok(Response::new(v1::EndSessionsResponse { ended }))
    }
}

#[allow(clippy::result_large_err, reason = "tonic's")]
fn user_name(user: &str) -> Result<String, Status> {
    normalize_user(user).map_err(|error| invalid(format!("{user:?} is no user name: {error}")))
}

fn invalid(message: impl Into<String>) -> Status {
    ErrorDetail::new(ErrorKind::InvalidArgument, message).into_status()
}

fn session(listed: &Listed) -> v1::Session {
    let about = listed.about();
    let since = listed.since().duration_since(UNIX_EPOCH);
    v1::Session {
        id: about.id.to_string(),
        user: listed.user().to_owned(),
        authenticated: listed.authenticated().to_owned(),
        protocol: about.protocol.as_str().to_owned(),
        address: about.peer.to_string(),
        tls: about.tls,
        since: since.map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        }),
        mailbox: listed.mailbox().as_deref().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use murder_net::grpc::Services;
    use murder_net::tls::server_name;
    use murder_net::{Ca, Health, Listener, NodeTls, Shutdown};
    use murder_proto::v1::session_admin_client::SessionAdminClient;
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn sessions_are_for_operators_only() {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::generate(&dir.path().join("ca")).unwrap();
        let tls = |name: &str, role: Role| {
            let files = ca.issue_into(&dir.path().join(name), name, &[role], &[]);
            NodeTls::load(&files.unwrap()).unwrap()
        };
        let own = tls("fe1", Role::Frontend);
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = listener.with_tls(own.grpc_server());
        let address = listener.local_addr().to_string();
        let (shutdown, killed) = (Shutdown::new(), CancellationToken::new());
        let sessions = Sessions::new(0);
        let mut services = Services::new();
        services.add(service(sessions));
        let descriptors = murder_proto::FILE_DESCRIPTOR_SET;
        services
            .serve(listener, 16, descriptors, Health::new(), &shutdown, &killed)
            .unwrap();
        for role in Role::ALL {
            let name = server_name("fe1", Role::Frontend);
            let caller = tls(&format!("a-{role}"), role).client();
            let channel = grpc::connect(&address, name, &caller).await.unwrap();
            let mut client = SessionAdminClient::new(channel);
            let listed = client.list_sessions(v1::ListSessionsRequest::default());
            let listed = listed.await.map(|_| ());
            let ended = client.end_sessions(v1::EndSessionsRequest {
                which: Some(end_sessions_request::Which::User("bob".to_owned())),
            });
            let ended = ended.await.map(|_| ());
            for answer in [listed, ended] {
                match answer {
                    Ok(()) => assert_eq!(role, Role::Operator),
                    Err(status) => {
                        assert_ne!(role, Role::Operator, "{status}");
                        assert_eq!(status.code(), tonic::Code::PermissionDenied);
                    }
                }
            }
        }
        shutdown.abort();
    }
}
