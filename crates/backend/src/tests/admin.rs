//! Operators' calls: who may make them, and what is left when a step of one fails.

use murder_location::service;
use murder_net::grpc;
use murder_proto::v1::backend_admin_client::BackendAdminClient;
use murder_proto::v1::{self, ErrorDetail, ErrorKind};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::*;

type Client = BackendAdminClient<Channel>;

/// A backend of the murder that takes operators' calls.
async fn backend(murder: &Murder) -> Backend {
    let mut config = murder.config("be1");
    config.admin.listen = Some(free_port());
    let backend = Backend::start(config).await.unwrap();
    ready(&backend).await;
    backend
}

async fn client(murder: &Murder, backend: &Backend, role: Role) -> Client {
    let tls = NodeTls::load(&murder.files("caller", role)).unwrap();
    let address = backend.runtime().admin().unwrap().to_string();
    let name = murder_net::tls::server_name("be1", Role::Backend);
    let channel = grpc::connect(&address, name, &tls.client()).await;
    Client::new(channel.unwrap())
}

fn of(text: &str) -> v1::RestoreMailboxRequest {
    v1::RestoreMailboxRequest {
        name: text.into(),
        ..Default::default()
    }
}

fn kind(status: &Status) -> ErrorKind {
    ErrorDetail::from_status(status).unwrap().kind()
}

/// Makes and deletes a mailbox with a message.
async fn delete_one(node: &Arc<Node>, text: &str) {
    let bob = user("bob");
    node.create_mailbox(&bob, &name(text), None, None)
        .await
        .unwrap();
    append(node, text, b"Subject: kept\r\n\r\n").await;
    node.delete_mailbox(&bob, &name(text)).await.unwrap();
}

async fn with_inbox(node: &Arc<Node>) {
    let inbox = name("user/bob");
    node.create_mailbox(&user("bob"), &inbox, None, None)
        .await
        .unwrap();
}

#[tokio::test]
async fn only_operators_may_call() {
    let murder = Murder::start().await;
    let backend = backend(&murder).await;
    for role in [Role::Frontend, Role::Backend, Role::Mupdate] {
        let mut client = client(&murder, &backend, role).await;
        let refused = client.list_partitions(v1::ListPartitionsRequest {}).await;
        let status = refused.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{role}: {status:?}");
        let refused = client.restore_mailbox(of("user/bob/a")).await;
        assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
        let refused = client.check_quota(v1::CheckQuotaRequest::default()).await;
        assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    }
    let mut operator = client(&murder, &backend, Role::Operator).await;
    let partitions = operator.list_partitions(v1::ListPartitionsRequest {}).await;
    assert_eq!(partitions.unwrap().into_inner().partitions.len(), 2);
    // The master tells where it is.
    let replica = &backend.node().cluster.as_ref().unwrap().replica;
    let address = backend.runtime().admin().unwrap().to_string();
    until("the address is known", || async {
        replica
            .node("be1")
            .is_some_and(|node| node.service(service::ADMIN) == Some(&*address))
    })
    .await;
    // A drain ends calls and connections.
    backend.shutdown(LONG).await;
    assert!(
        operator
            .list_partitions(v1::ListPartitionsRequest {})
            .await
            .is_err()
    );
}

#[tokio::test]
async fn without_the_master_it_stays_deleted() {
    let mut murder = Murder::start().await;
    let backend = backend(&murder).await;
    let node = Arc::clone(backend.node());
    with_inbox(&node).await;
    delete_one(&node, "user/bob/a").await;
    let mut operator = client(&murder, &backend, Role::Operator).await;
    murder.kill_master().await;
    let refused = operator.restore_mailbox(of("user/bob/a")).await;
    assert_eq!(kind(&refused.unwrap_err()), ErrorKind::Unavailable);
    assert!(node.find(&name("user/bob/a")).is_none());

    murder.start_master().await;
    // Whatever the master was asked is settled first.
    until("the mailbox is back", || {
        let mut operator = operator.clone();
        async move { operator.restore_mailbox(of("user/bob/a")).await.is_ok() }
    })
    .await;
    murder
        .assert_settled(&node, &["user/bob", "user/bob/a"])
        .await;
    assert_eq!(bodies(&node, "user/bob/a").await, ["Subject: kept\r\n\r\n"]);
}

#[tokio::test]
async fn a_store_that_refuses_leaves_the_name_free() {
    let murder = Murder::start().await;
    let backend = backend(&murder).await;
    let node = Arc::clone(backend.node());
    with_inbox(&node).await;
    delete_one(&node, "user/bob/a").await;
    let mut operator = client(&murder, &backend, Role::Operator).await;
    let limit = |limit| v1::SetQuotaRequest {
        root: "user/bob".into(),
        limits: vec![v1::QuotaLimit {
            resource: v1::QuotaResource::Message.into(),
            limit,
        }],
        ..Default::default()
    };
    operator.set_quota(limit(Some(0))).await.unwrap();
    let refused = operator.restore_mailbox(of("user/bob/a")).await;
    let status = refused.unwrap_err();
    assert_eq!(kind(&status), ErrorKind::FailedPrecondition);
    assert!(status.message().contains("over quota"), "{status:?}");
    murder.assert_none(&node, &["user/bob/a"]).await;
    let huge = operator.set_quota(limit(Some(u64::MAX))).await;
    assert_eq!(kind(&huge.unwrap_err()), ErrorKind::InvalidArgument);
    operator.set_quota(limit(None)).await.unwrap();
    operator.restore_mailbox(of("user/bob/a")).await.unwrap();
    murder.assert_settled(&node, &["user/bob/a"]).await;
}

/// The name is another backend's by now.
#[tokio::test]
async fn a_name_that_is_taken_elsewhere() {
    let murder = Murder::start().await;
    let backend = backend(&murder).await;
    let node = Arc::clone(backend.node());
    with_inbox(&node).await;
    delete_one(&node, "user/bob/a").await;
    let other = murder.backend("be2").await;
    other
        .node()
        .create_mailbox(&admin(), &name("user/bob/a"), None, None)
        .await
        .unwrap();
    let mut operator = client(&murder, &backend, Role::Operator).await;
    let refused = operator.restore_mailbox(of("user/bob/a")).await;
    assert_eq!(kind(&refused.unwrap_err()), ErrorKind::AlreadyExists);
    assert!(node.find(&name("user/bob/a")).is_none());
    let odd = v1::RestoreMailboxRequest {
        to: "user/bob/Shared Folders".into(),
        ..of("user/bob/a")
    };
    let refused = operator.restore_mailbox(odd).await;
    assert_eq!(kind(&refused.unwrap_err()), ErrorKind::InvalidArgument);
    let request = v1::RestoreMailboxRequest {
        to: "user/bob/b".into(),
        ..of("user/bob/a")
    };
    let restored = operator.restore_mailbox(request).await.unwrap();
    let restored = restored.into_inner();
    assert_eq!(
        (&*restored.partition, restored.messages),
        ("be1!default", 1)
    );
    murder.assert_settled(&node, &["user/bob/b"]).await;
    murder.assert_settled(other.node(), &["user/bob/a"]).await;
}

#[tokio::test]
async fn a_store_that_is_closed_gives_the_name_back() {
    let murder = Murder::start().await;
    let backend = backend(&murder).await;
    let node = Arc::clone(backend.node());
    with_inbox(&node).await;
    delete_one(&node, "user/bob/a").await;
    let mut operator = client(&murder, &backend, Role::Operator).await;
    default_partition(&node).shutdown().await.unwrap();
    let refused = operator.restore_mailbox(of("user/bob/a")).await;
    let kind = kind(&refused.unwrap_err());
    assert_eq!(kind, ErrorKind::Unavailable);
    assert_eq!(murder.find("user/bob/a").await, None);
}
