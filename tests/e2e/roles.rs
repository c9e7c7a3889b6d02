//! Who may call what: every method of every service, with each role's certificate, about what is
//! the caller's own and about what is another's.

use std::collections::BTreeSet;

use bytes::{Buf, BufMut, Bytes};
use murder_location::{Activate, FIRST_EPOCH, MupdateClient, Reserve, SpecialUses};
use murder_mailbox::{Acl, MailboxId, MailboxName};
use murder_net::tls::{TlsClient, role_server_name};
use murder_net::{Ca, NodeTls, Role, grpc};
use murder_proto::v1::{
    self, ErrorKind, operation, reconcile_request, register_request, single_result,
};
use murder_testkit::Murder;
use prost::Message;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::BinaryMetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::Tested;

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Allowed {
    /// Every role, about everything.
    Everybody,
    /// Backends about their own; masters and operators about everything.
    Holder,
    /// Masters and operators.
    Administrators,
    /// Operators.
    Operators,
    /// Every node about itself, which an operator is not.
    Itself,
    /// Every backend about itself.
    BackendItself,
}

impl Allowed {
    fn includes(self, role: Role, own: bool) -> bool {
        let administers = matches!(role, Role::Mupdate | Role::Operator);
        match self {
            Self::Everybody => true,
            Self::Holder => administers || (role == Role::Backend && own),
            Self::Administrators => administers,
            Self::Operators => role == Role::Operator,
            Self::Itself => role != Role::Operator && own,
            Self::BackendItself => role == Role::Backend && own,
        }
    }
}

/// What a call is about.
struct About {
    node: String,
    partition: String,
    /// A mailbox that is recorded there.
    mailbox: MailboxName,
    id: Vec<u8>,
}

type Messages = Vec<Vec<u8>>;

struct Row {
    /// `Service/Method`.
    method: &'static str,
    allowed: Allowed,
    messages: fn(&About) -> Messages,
}

/// Of requests that do no harm when they are allowed: who may call is decided first.
fn matrix() -> Vec<Row> {
    use Allowed::{Administrators, BackendItself, Everybody, Holder, Itself, Operators};
    fn one(message: impl Message) -> Messages {
        vec![message.encode_to_vec()]
    }
    fn hello(about: &About, partitions: Vec<v1::PartitionStatus>) -> Messages {
        let hello = v1::Hello {
            node: about.node.clone(),
            incarnation: vec![7; 16],
            status: Some(v1::NodeStatus {
                draining: true,
                partitions,
                ..Default::default()
            }),
            ..Default::default()
        };
        one(v1::RegisterRequest {
            kind: Some(register_request::Kind::Hello(hello)),
        })
    }
    fn delete(about: &About) -> v1::DeleteRequest {
        v1::DeleteRequest {
            name: about.mailbox.to_string(),
            id: about.id.clone(),
        }
    }
    let row = |method, allowed, messages| Row {
        method,
        allowed,
        messages,
    };
    let mut rows = vec![
        row("Mupdate/Reserve", Holder, |about| {
            one(v1::ReserveRequest {
                name: format!("{}/new", about.mailbox),
                id: MailboxId::new().to_bytes().to_vec(),
                partition: about.partition.clone(),
                ..Default::default()
            })
        }),
        row("Mupdate/Activate", Holder, |about| {
            one(v1::ActivateRequest {
                name: about.mailbox.to_string(),
                id: about.id.clone(),
                ..Default::default()
            })
        }),
        row("Mupdate/BeginDelete", Holder, |about| {
            one(v1::BeginDeleteRequest {
                name: about.mailbox.to_string(),
                id: about.id.clone(),
            })
        }),
        row("Mupdate/Delete", Holder, |about| one(delete(about))),
        row("Mupdate/Rename", Holder, |about| {
            one(v1::RenameRequest {
                from: about.mailbox.to_string(),
                to: format!("{}x", about.mailbox),
                subtree: true,
            })
        }),
        row("Mupdate/SetAcl", Holder, |about| {
            one(v1::SetAclRequest {
                name: about.mailbox.to_string(),
                id: about.id.clone(),
                ..Default::default()
            })
        }),
        row("Mupdate/ChangeEach", Holder, |about| {
            one(v1::ChangeEachRequest {
                changes: vec![v1::SingleChange {
                    operation: Some(v1::Operation {
                        kind: Some(operation::Kind::Delete(delete(about))),
                    }),
                    partition: Some(v1::PartitionEpoch {
                        partition: about.partition.clone(),
                        epoch: FIRST_EPOCH,
                    }),
                    actor: None,
                }],
            })
        }),
        row("Mupdate/Commit", Holder, |about| {
            one(v1::CommitRequest {
                operations: vec![v1::Operation {
                    kind: Some(operation::Kind::Delete(delete(about))),
                }],
            })
        }),
        row("Mupdate/Find", Everybody, |about| {
            one(v1::FindRequest {
                name: about.mailbox.to_string(),
            })
        }),
        row("Mupdate/List", Everybody, |about| {
            one(v1::ListRequest {
                partition: about.partition.clone(),
                ..Default::default()
            })
        }),
        row("Mupdate/Watch", Everybody, |_| {
            one(v1::WatchRequest::default())
        }),
        row("Mupdate/Barrier", Everybody, |_| one(v1::BarrierRequest {})),
        row("Mupdate/LowerUidvalidity", Administrators, |_| {
            one(v1::LowerUidvalidityRequest { dry_run: true })
        }),
        row("Mupdate/Register", Itself, |about| hello(about, Vec::new())),
        row("Mupdate/Register", BackendItself, |about| {
            hello(
                about,
                vec![v1::PartitionStatus {
                    name: format!("{}!default", about.node),
                    state: v1::PartitionState::Online.into(),
                    ..Default::default()
                }],
            )
        }),
        row("Mupdate/Reconcile", Holder, |about| {
            let start = v1::ReconcileStart {
                partition: about.partition.clone(),
                dry_run: true,
                ..Default::default()
            };
            one(v1::ReconcileRequest {
                kind: Some(reconcile_request::Kind::Start(start)),
            })
        }),
        row("Mupdate/DescribePartitions", Everybody, |about| {
            one(v1::DescribePartitionsRequest {
                node: about.node.clone(),
            })
        }),
        row("Mupdate/AdoptPartition", Holder, |about| {
            one(v1::AdoptPartitionRequest {
                partition: about.partition.clone(),
                // No copy: refused, but only of who may say so.
                ..Default::default()
            })
        }),
        row("Mupdate/Forget", Administrators, |_| {
            one(v1::ForgetRequest::default())
        }),
        row("Mupdate/Succeed", Administrators, |_| {
            one(v1::SucceedRequest {
                murder_id: b"none".to_vec(),
            })
        }),
        row("Mupdate/DescribeNodes", Administrators, |_| {
            one(v1::DescribeNodesRequest {})
        }),
        row("Blocks/AddBlock", Everybody, |_| {
            one(v1::AddBlockRequest {
                network: "192.0.2.1".to_owned(),
                seconds: 60,
                reason: "a test".to_owned(),
            })
        }),
        row("Mupdate/RevokeCertificates", Administrators, |_| {
            one(v1::RevokeCertificatesRequest::default())
        }),
    ];
    // They begin with a name that nobody has, or ask for nothing.
    let administered = [
        "Blocks/RemoveBlock",
        "Blocks/ListBlocks",
        "Directory/AddUser",
        "Directory/AddUsers",
        "Directory/SetPassword",
        "Directory/UpdateUser",
        "Directory/DeleteUser",
        "Directory/FindHeld",
        "Directory/ListUsers",
    ];
    let operated = [
        "BackendAdmin/ListRestorable",
        "BackendAdmin/RestoreMessages",
        "BackendAdmin/RestoreMailbox",
        "BackendAdmin/DeleteMailbox",
        "BackendAdmin/RemoveFromAcl",
        "BackendAdmin/ListQuotas",
        "BackendAdmin/SetQuota",
        "BackendAdmin/CheckQuota",
        "BackendAdmin/ListPartitions",
        "BackendAdmin/ListHomes",
        "BackendAdmin/OpenPartition",
        "BackendAdmin/ReconcilePartition",
        "SessionAdmin/ListSessions",
        "SessionAdmin/EndSessions",
    ];
    let empty: fn(&About) -> Messages = |_| vec![Vec::new()];
    rows.extend(administered.map(|method| row(method, Administrators, empty)));
    rows.extend(operated.map(|method| row(method, Operators, empty)));
    rows
}

/// Messages as octets.
#[derive(Debug, Clone, Copy, Default)]
struct Octets;

impl Codec for Octets {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Octets {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Octets {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// Calls, whatever kind of method it is: whether the caller was allowed to.
async fn is_allowed(
    channel: &Channel,
    method: &str,
    about: &About,
    messages: Messages,
) -> anyhow::Result<bool> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await?;
    let path: PathAndQuery = format!("/murder.v1.{method}").parse()?;
    let mut request = Request::new(tokio_stream::iter(messages));
    // Whoever says what it writes for has to be its owner.
    let partition = v1::PartitionEpoch {
        partition: about.partition.clone(),
        epoch: FIRST_EPOCH,
    };
    let value = BinaryMetadataValue::from_bytes(&partition.encode_to_vec());
    request
        .metadata_mut()
        .insert_bin("murder-partition-bin", value);
    let answer = match client.streaming(request, path, Octets).await {
        Ok(answers) => answers.into_inner().message().await,
        Err(status) => Err(status),
    };
    Ok(match answer {
        // Refusals of several changes are in the answer.
        Ok(Some(answer)) if method == "Mupdate/Commit" => {
            let results = v1::CommitResponse::decode(answer)?.results;
            let mut errors = results.iter().filter_map(|result| result.error.as_ref());
            !errors.any(is_denial)
        }
        Ok(Some(answer)) if method == "Mupdate/ChangeEach" => {
            let results = v1::ChangeEachResponse::decode(answer)?.results;
            !results.iter().any(|result| match &result.outcome {
                Some(single_result::Outcome::Error(error)) => is_denial(error),
                _ => false,
            })
        }
        Ok(_) => true,
        Err(status) => {
            anyhow::ensure!(status.code() != Code::Unimplemented, "{method}: {status}");
            status.code() != Code::PermissionDenied
        }
    })
}

fn is_denial(error: &v1::ErrorDetail) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::NotOwner
    )
}

/// A mailbox that is recorded in a partition, and what it takes to speak of it.
async fn about(operator: &MupdateClient, node: &str, name: &str) -> anyhow::Result<About> {
    let mailbox = MailboxName::parse_canonical(name)?;
    let id = MailboxId::new();
    let partition = format!("{node}!default");
    let reserve = Reserve {
        name: mailbox.clone(),
        id,
        partition: partition.clone(),
        acl: Acl::default(),
        special_use: SpecialUses::default(),
    };
    operator.reserve(reserve).await?;
    operator
        .activate(Activate::new(mailbox.clone(), id))
        .await?;
    Ok(About {
        node: node.to_owned(),
        partition,
        mailbox,
        id: id.to_bytes().to_vec(),
    })
}

/// Every method that there is.
fn methods() -> anyhow::Result<BTreeSet<String>> {
    let set = prost_types::FileDescriptorSet::decode(murder_proto::FILE_DESCRIPTOR_SET)?;
    let services = set.file.iter().flat_map(|file| &file.service);
    let methods = services.flat_map(|service| {
        let of_service = |method: &prost_types::MethodDescriptorProto| {
            format!("{}/{}", service.name(), method.name())
        };
        service.method.iter().map(of_service).collect::<Vec<_>>()
    });
    Ok(methods.collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_is_for_its_roles_only() -> Tested {
    let rows = matrix();
    let covered: BTreeSet<String> = rows.iter().map(|row| row.method.to_owned()).collect();
    assert_eq!(
        covered,
        methods()?,
        "a method without a row, or the reverse"
    );

    let murder = Murder::builder()
        .backends(1)
        .frontends(1)
        .users(1)
        .start()
        .await?;
    let topology_file = murder.dir().join("operator/operator.toml");
    let config: toml::Table = toml::from_str(&std::fs::read_to_string(topology_file)?)?;
    let master = config["mupdate"]["masters"][0].as_str().unwrap().to_owned();
    let backend = murder.backend(1).admin.to_string();
    let ca = Ca::load(&murder.dir().join("ca"))?;
    let mut wrong = Vec::new();
    let mut calls = 0;
    for role in Role::ALL {
        let caller = format!("{role}9");
        let tls = tls_of(&murder, &ca, &caller, role)?;
        let to_master = grpc::connect(&master, role_server_name(Role::Mupdate), &tls).await?;
        let to_backend = grpc::connect(&backend, role_server_name(Role::Backend), &tls).await?;
        for (number, row) in rows.iter().enumerate() {
            for (own, node) in [(true, &*caller), (false, "be1")] {
                let name = format!("m{number}-{caller}-{node}");
                let about = about(murder.operator(), node, &name).await?;
                let channel = match row.allowed == Allowed::Operators {
                    true => &to_backend,
                    false => &to_master,
                };
                let allowed =
                    is_allowed(channel, row.method, &about, (row.messages)(&about)).await?;
                calls += 1;
                if allowed != row.allowed.includes(role, own) {
                    let whose = if own { "its own" } else { "another's" };
                    wrong.push(format!("{} by {role}, {whose}: {allowed}", row.method));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(calls, rows.len() * 2 * Role::ALL.len());
    Ok(())
}

fn tls_of(murder: &Murder, ca: &Ca, name: &str, role: Role) -> anyhow::Result<TlsClient> {
    let files = ca.issue_into(&murder.dir().join(name), name, &[role], &[])?;
    Ok(NodeTls::load(&files)?.client())
}

/// Acting for a user at a backend's doors is for frontends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_frontends_act_for_users() -> Tested {
    let murder = Murder::builder()
        .backends(1)
        .frontends(0)
        .users(1)
        .start()
        .await?;
    let ca = Ca::load(&murder.dir().join("ca"))?;
    let backend = murder.backend(1);
    for role in Role::ALL {
        let tls = tls_of(&murder, &ca, &format!("{role}9"), role)?;
        let answer = crate::keys::external(backend.imaps, "be1", &tls, "user1").await?;
        assert_eq!(
            answer.starts_with("a OK"),
            role == Role::Frontend,
            "{role}: {answer}"
        );
    }
    Ok(())
}
