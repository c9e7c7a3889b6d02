#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::Path;

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
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    name: rustls_pki_types::ServerName<'static>,
) -> (io::Result<Stream>, io::Result<Stream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let accept = async {
        let (socket, _) = listener.accept().await.unwrap();
        let mut stream = Stream::new(socket).unwrap().accept_tls(server).await?;
        stream.write_all(b"hello").await?;
        // TLS 1.3: whether a client's certificate was refused shows at its first read.
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        Ok(stream)
    };
    let connect = async {
        let stream = Stream::connect(address).await.unwrap();
        let mut stream = stream.connect_tls(client, name).await?;
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
fn mail_client(ca: &Ca) -> Arc<ClientConfig> {
    use rustls_pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    let ca = ca.certificate_pem().as_bytes();
    roots
        .add(rustls_pki_types::CertificateDer::from_pem_slice(ca).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
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
    // The second is a resumed session, which must say the same.
    for _ in 0..2 {
        let name = server_name("be1", Role::Backend);
        let (accepted, connected) =
            handshake(backend.server_config(), frontend.client_config(), name).await;
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
        let (_, connected) =
            handshake(backend.server_config(), frontend.client_config(), name).await;
        assert!(connected.is_err());
    }
}

#[tokio::test]
async fn another_clusters_certificates_are_refused_at_both_ends() {
    let (ours, theirs) = (Cluster::new(), Cluster::new());
    let our_backend = ours.node("be1", &[Role::Backend]);
    let their_frontend = theirs.node("fe1", &[Role::Frontend]);
    let name = server_name("be1", Role::Backend);
    let (_, connected) = handshake(
        our_backend.server_config(),
        their_frontend.client_config(),
        name.clone(),
    )
    .await;
    assert!(connected.is_err());

    // Trusts our CA, but shows a certificate of theirs.
    let mut files = theirs.files("fe2", &[Role::Frontend]);
    files.ca = ours.ca.certificate_file();
    let impostor = NodeTls::load(&files).unwrap();
    let (accepted, _) =
        handshake(our_backend.server_config(), impostor.client_config(), name).await;
    assert!(accepted.is_err());
}

#[tokio::test]
async fn mail_clients_need_no_certificate() {
    let cluster = Cluster::new();
    let backend = cluster.node("be1", &[Role::Backend]);
    for server in [
        backend.server_config(),
        backend.client_listener_config().unwrap(),
    ] {
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
    let server = client_listener_config(&tls, Some(&backend)).unwrap();

    let name = "imap.example.org".try_into().unwrap();
    let (accepted, connected) = handshake(server.clone(), mail_client(&public.ca), name).await;
    assert_eq!(accepted.unwrap().peer(), None);
    assert_eq!(connected.unwrap().peer().unwrap().name, "www");

    let frontend = cluster.node("fe1", &[Role::Frontend]);
    let name = server_name("be1", Role::Backend);
    let (accepted, _) = handshake(server, frontend.client_config(), name).await;
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
    let server = backend.server_config();
    let (_, connected) = handshake(server.clone(), frontend.client_config(), name.clone()).await;
    assert!(connected.is_err());
    let _errors_of_other_tests = reload_all();
    let (accepted, connected) = handshake(server, frontend.client_config(), name).await;
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
