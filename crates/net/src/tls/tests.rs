#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::SystemTime;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::{Ca, Stream};

struct Cluster {
    folder: tempfile::TempDir,
    ca: Ca,
}

impl Cluster {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = Ca::generate(folder.path()).unwrap();
        Self { folder, ca }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn files(&self, name: &str, roles: &[Role]) -> ClusterConfig {
        self.ca
            .issue_into(&self.folder().join(name), name, roles, &[])
            .unwrap()
    }

    fn node(&self, name: &str, roles: &[Role]) -> NodeTls {
        NodeTls::load(&self.files(name, roles)).unwrap()
    }
}

/// Both ends of one handshake.
async fn handshake(
    server: TlsServer,
    client: TlsClient,
    name: rustls_pki_types::ServerName<'static>,
) -> (io::Result<Stream>, io::Result<Stream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let accept = async {
        let (socket, _) = listener.accept().await.unwrap();
        let mut stream = Stream::new(socket).unwrap().accept_tls(&server).await?;
        stream.write_all(b"hello").await?;
        // TLS 1.3: whether a client's certificate was refused shows at its first read.
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        Ok(stream)
    };
    let connect = async {
        let stream = Stream::connect(address).await.unwrap();
        let mut stream = stream.connect_tls(&client, name).await?;
        let mut greeting = [0; 5];
        stream.readable().await?;
        stream.read_exact(&mut greeting).await?;
        stream.write_all(&greeting).await?;
        Ok(stream)
    };
    tokio::join!(accept, connect)
}

fn peer(name: &str, roles: &[Role]) -> Option<Peer> {
    Some(Peer {
        name: name.to_owned(),
        roles: roles.to_vec(),
    })
}

/// A mail client that trusts the cluster's CA and has no certificate.
fn mail_client(ca: &Ca) -> TlsClient {
    let trust = Trust::load(&ca.certificate_file()).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&trust) as _)
        .with_no_client_auth();
    TlsClient::new(config, trust)
}

#[tokio::test]
async fn nodes_know_each_other() {
    let cluster = Cluster::new();
    let backend = cluster.node("be1", &[Role::Backend]);
    let frontend = cluster.node("fe1", &[Role::Frontend]);
    assert_eq!(Some(frontend.own().clone()), peer("fe1", &[Role::Frontend]));
    frontend.check_own("fe1", Role::Frontend).unwrap();
    assert_eq!(
        frontend
            .check_own("fe2", Role::Frontend)
            .unwrap_err()
            .to_string(),
        "the certificate is that of `fe1` (frontend), but the node is `fe2` (frontend)"
    );
    assert!(frontend.check_own("fe1", Role::Backend).is_err());
    for _ in 0..2 {
        let name = server_name("be1", Role::Backend);
        let (accepted, connected) = handshake(backend.server(), frontend.client(), name).await;
        let (accepted, connected) = (accepted.unwrap(), connected.unwrap());
        assert_eq!(accepted.peer(), peer("fe1", &[Role::Frontend]));
        assert_eq!(connected.peer(), peer("be1", &[Role::Backend]));
        assert!(accepted.is_tls() && connected.is_loopback());
        assert!(connected.tcp().nodelay().unwrap() && accepted.tcp().nodelay().unwrap());
    }
}

#[tokio::test]
async fn another_node_or_role_is_not_the_one_meant() {
    let cluster = Cluster::new();
    let backend = cluster.node("be1", &[Role::Backend]);
    let frontend = cluster.node("fe1", &[Role::Frontend]);
    for name in [
        server_name("be2", Role::Backend),
        server_name("be1", Role::Mupdate),
        role_server_name(Role::Mupdate),
        server_name("be 1", Role::Backend),
    ] {
        let (_, connected) = handshake(backend.server(), frontend.client(), name).await;
        assert!(connected.is_err());
    }
}

#[tokio::test]
async fn another_clusters_certificates_are_refused_at_both_ends() {
    let (ours, theirs) = (Cluster::new(), Cluster::new());
    let our_backend = ours.node("be1", &[Role::Backend]);
    let their_frontend = theirs.node("fe1", &[Role::Frontend]);
    let name = server_name("be1", Role::Backend);
    let (_, connected) =
        handshake(our_backend.server(), their_frontend.client(), name.clone()).await;
    assert!(connected.is_err());

    // Trusts our CA, but shows a certificate of theirs.
    let mut files = theirs.files("fe2", &[Role::Frontend]);
    files.ca = ours.ca.certificate_file();
    let impostor = NodeTls::load(&files).unwrap();
    let (accepted, _) = handshake(our_backend.server(), impostor.client(), name).await;
    assert!(accepted.is_err());
}

#[tokio::test]
async fn mail_clients_need_no_certificate() {
    let cluster = Cluster::new();
    let backend = cluster.node("be1", &[Role::Backend]);
    for server in [backend.server(), backend.client_listener().unwrap()] {
        for name in ["localhost", "127.0.0.1"] {
            let name = name.try_into().unwrap();
            let (accepted, connected) =
                handshake(server.clone(), mail_client(&cluster.ca), name).await;
            assert_eq!(accepted.unwrap().peer(), None);
            connected.unwrap();
        }
    }
}

#[tokio::test]
async fn one_port_shows_clients_and_nodes_each_their_certificate() {
    let (cluster, public) = (Cluster::new(), Cluster::new());
    let extra = vec!["imap.example.org".to_owned()];
    let public_files = public
        .ca
        .issue_into(
            &public.folder().join("www"),
            "www",
            &[Role::Backend],
            &extra,
        )
        .unwrap();
    let tls = TlsConfig {
        cert: public_files.cert,
        key: public_files.key,
    };
    let backend = cluster.node("be1", &[Role::Backend]);
    let server = client_listener(&tls, Some(&backend)).unwrap();

    let name = "imap.example.org".try_into().unwrap();
    let (accepted, connected) = handshake(server.clone(), mail_client(&public.ca), name).await;
    assert_eq!(accepted.unwrap().peer(), None);
    assert_eq!(connected.unwrap().peer().unwrap().name, "www");

    let frontend = cluster.node("fe1", &[Role::Frontend]);
    let name = server_name("be1", Role::Backend);
    let (accepted, _) = handshake(server, frontend.client(), name).await;
    assert_eq!(accepted.unwrap().peer(), peer("fe1", &[Role::Frontend]));
}

#[tokio::test]
async fn certificates_are_read_again() {
    let (old, new) = (Cluster::new(), Cluster::new());
    let files = old.files("be1", &[Role::Backend]);
    let backend = NodeTls::load(&files).unwrap();
    let frontend = new.node("fe1", &[Role::Frontend]);
    let name = server_name("be1", Role::Backend);

    // Half written: refused, the former stays.
    std::fs::write(&files.cert, "-----BEGIN").unwrap();
    let error = backend.reload().unwrap_err().to_string();
    assert!(error.contains("be1.pem"), "{error}");

    let fresh = new.files("be1", &[Role::Backend]);
    for (from, to) in [
        (fresh.ca, &files.ca),
        (fresh.cert, &files.cert),
        (fresh.key, &files.key),
    ] {
        std::fs::copy(from, to).unwrap();
    }
    let server = backend.server();
    let (_, connected) = handshake(server.clone(), frontend.client(), name.clone()).await;
    assert!(connected.is_err());
    let _errors_of_other_tests = reload_all();
    let (accepted, connected) = handshake(server, frontend.client(), name).await;
    assert_eq!(accepted.unwrap().peer(), peer("fe1", &[Role::Frontend]));
    connected.unwrap();
}

#[test]
fn unusable_files_are_named() {
    let cluster = Cluster::new();
    let good = cluster.files("be1", &[Role::Backend]);
    let missing = ClusterConfig {
        key: cluster.folder().join("nowhere.key"),
        ..good.clone()
    };
    assert!(
        NodeTls::load(&missing)
            .unwrap_err()
            .to_string()
            .contains("nowhere.key")
    );
    let swapped = ClusterConfig {
        key: cluster.files("be2", &[Role::Backend]).key,
        ..good.clone()
    };
    assert!(
        NodeTls::load(&swapped)
            .unwrap_err()
            .to_string()
            .contains("be2.key")
    );
    let no_node = ClusterConfig {
        cert: cluster.ca.certificate_file(),
        key: cluster.folder().join("ca.key"),
        ..good
    };
    assert!(
        NodeTls::load(&no_node)
            .unwrap_err()
            .to_string()
            .contains("names no node")
    );
}

/// What a thief's program does with the key of a node: it keeps tickets, and believes everybody.
fn thief(node: &NodeTls, versions: &[&'static rustls::SupportedProtocolVersion]) -> TlsClient {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&node.trust) as _)
        .with_client_cert_resolver(Arc::clone(&node.identity) as _);
    TlsClient::new(config, Arc::clone(&node.trust))
}

fn is_resumed(stream: &Stream) -> bool {
    let Stream::ClientTls(stream) = stream else {
        panic!("no client");
    };
    stream.tls().get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
}

/// Waits for the end of a connection, which a test would wait for in vain otherwise.
async fn ended(stream: &mut Stream) -> bool {
    let mut octet = [0];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut octet));
    matches!(read.await, Ok(Err(_) | Ok(0)))
}

fn replace(files: &ClusterConfig, by: &ClusterConfig) {
    for (from, to) in [
        (&by.ca, &files.ca),
        (&by.cert, &files.cert),
        (&by.key, &files.key),
    ] {
        std::fs::copy(from, to).unwrap();
    }
}

#[tokio::test]
async fn nodes_do_not_resume_but_mail_clients_do() {
    let cluster = Cluster::new();
    let backend = cluster.node("be1", &[Role::Backend]);
    let frontend = cluster.node("fe1", &[Role::Frontend]);
    let name = server_name("be1", Role::Backend);
    for (client, resumes) in [
        (frontend.client(), false),
        (mail_client(&cluster.ca), true),
        (thief(&frontend, VERSIONS), true),
    ] {
        for second in [false, true] {
            let (accepted, connected) =
                handshake(backend.server(), client.clone(), name.clone()).await;
            accepted.unwrap();
            assert_eq!(is_resumed(&connected.unwrap()), second && resumes);
        }
    }
}

/// By a new authority, by its end, by a revocation: a ticket is worth nothing then.
#[tokio::test]
async fn a_ticket_is_worth_what_its_certificate_is() {
    let name = || server_name("be1", Role::Backend);
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        for end in ["authority", "expiry", "revocation"] {
            let cluster = Cluster::new();
            let files = cluster.files("be1", &[Role::Backend]);
            let backend = NodeTls::load(&files).unwrap();
            let stolen = cluster.files("fe1", &[Role::Frontend]);
            if end == "expiry" {
                let until = SystemTime::now() + Duration::from_secs(3);
                let (cert, key) = cluster
                    .ca
                    .issue_until("fe1", &[Role::Frontend], &[], until)
                    .unwrap();
                std::fs::write(&stolen.cert, cert).unwrap();
                std::fs::write(&stolen.key, key).unwrap();
            }
            let client = thief(&NodeTls::load(&stolen).unwrap(), versions);
            for second in [false, true] {
                let (accepted, connected) =
                    handshake(backend.server(), client.clone(), name()).await;
                accepted.unwrap();
                assert_eq!(is_resumed(&connected.unwrap()), second, "{end}");
            }
            match end {
                "authority" => {
                    let new = Cluster::new();
                    replace(&files, &new.files("be1", &[Role::Backend]));
                    backend.reload().unwrap();
                }
                "expiry" => {
                    let certificate = read_certificates(&stolen.cert).unwrap();
                    let until = Certificate::parse(&certificate[0]).unwrap().not_after;
                    while second_of(SystemTime::now()) <= second_of(until) {
                        tokio::task::yield_now().await;
                    }
                }
                _ => backend.set_revoked([revocation_of("fe1")]),
            }
            let (accepted, _) = handshake(backend.server(), client.clone(), name()).await;
            let error = accepted.unwrap_err().to_string();
            let expected = match end {
                "authority" => "UnknownIssuer",
                "expiry" => "expired",
                _ => "Revoked",
            };
            assert!(error.contains(expected), "{end}: {error}");
        }
    }
}

fn revocation_of(name: &str) -> Revocation {
    Revocation {
        name: name.to_owned(),
        issued_until: second_of(SystemTime::now()),
        serials: Vec::new(),
    }
}

/// Open connections between `be1` and `fe1`, and others that have nothing to do with them.
struct Open {
    files: ClusterConfig,
    backend: NodeTls,
    frontend: NodeTls,
    accepted: Stream,
    connected: Stream,
    others: (Stream, Stream),
    mail: (Stream, Stream),
}

impl Open {
    async fn new(cluster: &Cluster, frontend: NodeTls) -> Self {
        let files = cluster.files("be1", &[Role::Backend]);
        let backend = NodeTls::load(&files).unwrap();
        let name = || server_name("be1", Role::Backend);
        let open = async |client| {
            let (accepted, connected) = handshake(backend.server(), client, name()).await;
            (accepted.unwrap(), connected.unwrap())
        };
        let (accepted, connected) = open(frontend.client()).await;
        let others = open(cluster.node("fe2", &[Role::Frontend]).client()).await;
        let mail = open(mail_client(&cluster.ca)).await;
        Self {
            files,
            backend,
            frontend,
            accepted,
            connected,
            others,
            mail,
        }
    }

    /// Something is said and heard.
    async fn works((one, other): &mut (Stream, Stream)) {
        one.write_all(b"x").await.unwrap();
        one.flush().await.unwrap();
        other.read_exact(&mut [0]).await.unwrap();
    }
}

#[tokio::test]
async fn revoked_connections_end_at_both_ends() {
    let cluster = Cluster::new();
    let mut open = Open::new(&cluster, cluster.node("fe1", &[Role::Frontend])).await;
    open.backend.set_revoked([revocation_of("fe1")]);
    assert!(ended(&mut open.accepted).await);
    assert!(open.accepted.write_all(b"x").await.is_err());
    Open::works(&mut open.others).await;
    Open::works(&mut open.mail).await;

    // The other way: a frontend leaves a server that is revoked.
    let mut open = Open::new(&cluster, cluster.node("fe1", &[Role::Frontend])).await;
    open.frontend.set_revoked([revocation_of("be1")]);
    assert!(ended(&mut open.connected).await);
    Open::works(&mut open.others).await;
}

#[tokio::test]
async fn a_compressed_connection_ends_as_well() {
    let cluster = Cluster::new();
    let open = Open::new(&cluster, cluster.node("fe1", &[Role::Frontend])).await;
    let mut compressed = open.accepted.compress();
    let waiting = tokio::spawn(async move { compressed.readable().await.is_err() });
    open.backend.set_revoked([revocation_of("fe1")]);
    assert!(waiting.await.unwrap());
}

#[tokio::test]
async fn a_reload_ends_what_is_not_believed_any_more() {
    let (cluster, new) = (Cluster::new(), Cluster::new());
    let mut open = Open::new(&cluster, cluster.node("fe1", &[Role::Frontend])).await;
    // Both authorities: nothing ends.
    let both = [&cluster, &new].map(|cluster| cluster.ca.certificate_pem());
    std::fs::write(&open.files.ca, both.concat()).unwrap();
    open.backend.reload().unwrap();
    let mut pair = (open.accepted, open.connected);
    Open::works(&mut pair).await;
    // Only the new one.
    std::fs::write(&open.files.ca, new.ca.certificate_pem()).unwrap();
    open.backend.reload().unwrap();
    assert!(ended(&mut pair.0).await);
    assert!(ended(&mut open.others.0).await);
    // Who has shown no certificate stays.
    Open::works(&mut open.mail).await;
}

#[tokio::test]
async fn connections_end_with_their_certificate() {
    let cluster = Cluster::new();
    let files = cluster.files("fe1", &[Role::Frontend]);
    let until = SystemTime::now() + Duration::from_secs(2);
    let (cert, key) = cluster
        .ca
        .issue_until("fe1", &[Role::Frontend], &[], until)
        .unwrap();
    std::fs::write(&files.cert, cert).unwrap();
    std::fs::write(&files.key, key).unwrap();
    let mut open = Open::new(&cluster, NodeTls::load(&files).unwrap()).await;
    let shutdown = Shutdown::new();
    open.backend.watch_expiry(&shutdown);
    assert!(ended(&mut open.accepted).await);
    assert!(SystemTime::now() > until - Duration::from_secs(1));
    Open::works(&mut open.others).await;
    assert_eq!(shutdown.drain(Duration::from_secs(20)).await, 0);
}

#[tokio::test]
async fn a_certificate_issued_later_is_another_one() {
    let cluster = Cluster::new();
    let backend = cluster.node("be1", &[Role::Backend]);
    let old = cluster.node("fe1", &[Role::Frontend]);
    let revocation = revocation_of("fe1");
    while second_of(SystemTime::now()) <= revocation.issued_until {
        tokio::task::yield_now().await;
    }
    let new = cluster.node("fe1", &[Role::Frontend]);
    let serial = old.own_certificate().unwrap().serial;
    let by_serial = Revocation {
        issued_until: 0,
        serials: vec![serial],
        ..revocation.clone()
    };
    for revoked in [revocation, by_serial] {
        backend.set_revoked([revoked]);
        for (node, good) in [(&old, false), (&new, true)] {
            let name = server_name("be1", Role::Backend);
            let (accepted, _) = handshake(backend.server(), node.client(), name).await;
            assert_eq!(accepted.is_ok(), good);
        }
    }
    backend.set_revoked([]);
    let name = server_name("be1", Role::Backend);
    let (accepted, _) = handshake(backend.server(), old.client(), name).await;
    accepted.unwrap();
}
