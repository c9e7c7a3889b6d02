//! What a stolen key is good for, and what ends it: the procedures of docs/operations.md.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use murder_location::{MupdateClient, MupdateClientConfig};
use murder_net::config::ClusterConfig;
use murder_net::tls::{TlsClient, server_name};
use murder_net::{NodeTls, Role, Stream};
use murder_testkit::{ImapClient, Processes, wait_until};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::operator::operate_in;
use crate::{MURDER, Tested, message};

/// A connection to a backend, as a frontend makes it.
struct Impostor(BufReader<Stream>);

impl Impostor {
    async fn connect(address: SocketAddr, node: &str, tls: &TlsClient) -> anyhow::Result<Self> {
        let stream = Stream::connect(address).await?;
        let stream = stream
            .connect_tls(tls, server_name(node, Role::Backend))
            .await?;
        let mut own = Self(BufReader::new(stream));
        // With TLS 1.3 this is where it shows that the certificate was refused.
        own.line().await?;
        Ok(own)
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        let read = tokio::time::timeout(std::time::Duration::from_secs(20), read);
        anyhow::ensure!(read.await?? > 0, "the connection was closed");
        Ok(line)
    }

    async fn command(&mut self, command: &str) -> anyhow::Result<String> {
        let stream = self.0.get_mut();
        stream
            .write_all(format!("a {command}\r\n").as_bytes())
            .await?;
        stream.flush().await?;
        loop {
            let line = self.line().await?;
            if line.starts_with("a ") {
                return Ok(line);
            }
        }
    }

    async fn act_for(&mut self, user: &str) -> anyhow::Result<String> {
        let user = base64::engine::general_purpose::STANDARD.encode(user);
        self.command(&format!("AUTHENTICATE EXTERNAL {user}")).await
    }
}

/// What a backend answers to a node that wants to act for a user.
pub async fn external(
    address: SocketAddr,
    node: &str,
    tls: &TlsClient,
    user: &str,
) -> anyhow::Result<String> {
    Impostor::connect(address, node, tls)
        .await?
        .act_for(user)
        .await
}

/// Files in a murder's directory, and a copy of a node's that somebody has made.
struct Theft {
    tls: TlsClient,
    master: MupdateClient,
    /// Home of user1.
    backend: String,
    imaps: SocketAddr,
    /// Logged in as user1, and open.
    session: Impostor,
}

fn cluster(dir: &Path, node: &str) -> ClusterConfig {
    let folder = dir.join(node);
    ClusterConfig {
        ca: folder.join("ca.pem"),
        cert: folder.join(format!("{node}.pem")),
        key: folder.join(format!("{node}.key")),
    }
}

impl Theft {
    async fn of(murder: &Processes, node: &str) -> anyhow::Result<Self> {
        let topology = murder.topology()?;
        let loot = murder.dir().join("loot");
        std::fs::create_dir_all(loot.join(node))?;
        let (from, to) = (cluster(murder.dir(), node), cluster(&loot, node));
        for (from, to) in [
            (from.ca, &to.ca),
            (from.cert, &to.cert),
            (from.key, &to.key),
        ] {
            std::fs::copy(from, to)?;
        }
        let tls = NodeTls::load(&to)?.client();
        let master = vec![topology.masters[0].grpc.to_string()];
        let master = MupdateClient::new(MupdateClientConfig::new(master, tls.clone()));
        master.barrier().await?;
        for backend in &topology.backends {
            let mut session = Impostor::connect(backend.imaps, &backend.name, &tls).await?;
            let answer = session.act_for("user1").await?;
            anyhow::ensure!(answer.starts_with("a OK"), "{answer}");
            if session
                .command("SELECT user/user1")
                .await?
                .starts_with("a OK")
            {
                return Ok(Self {
                    tls,
                    master,
                    backend: backend.name.clone(),
                    imaps: backend.imaps,
                    session,
                });
            }
        }
        anyhow::bail!("user1 is nowhere")
    }

    /// It is worth nothing any more: what is open ends, and nothing is opened.
    async fn is_over(&mut self) -> anyhow::Result<()> {
        let told = self.session.line().await;
        anyhow::ensure!(told.is_err(), "{told:?}");
        let login = external(self.imaps, &self.backend, &self.tls, "user1").await;
        anyhow::ensure!(login.is_err(), "{login:?}");
        let read = self.master.barrier().await;
        anyhow::ensure!(read.is_err(), "{read:?}");
        Ok(())
    }
}

async fn done(dir: &Path, words: &[&str]) -> anyhow::Result<String> {
    let said = operate_in(dir, words).await?;
    anyhow::ensure!(said.ok, "{words:?}: {}", said.error);
    Ok(said.output)
}

/// `murder cert`, without a murder.
async fn cert(words: &[&str]) -> anyhow::Result<()> {
    let mut command = tokio::process::Command::new(MURDER);
    let output = command.arg("cert").args(words).output().await?;
    let error = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{words:?}: {error}");
    Ok(())
}

async fn start(backends: usize) -> anyhow::Result<Processes> {
    let murder = Processes::builder(MURDER)
        .users(1)
        .argument("--frontends=2")
        .argument(&format!("--backends={backends}"))
        .start()
        .await?;
    murder.imap(1, "user1").await?.ok("SELECT INBOX").await?;
    Ok(murder)
}

/// Waits until user1 can work through that frontend.
async fn works(murder: &Processes, frontend: usize) -> anyhow::Result<()> {
    let works = wait_until("a session through the frontend", async || {
        let mut client = murder.imap(frontend, "user1").await.ok()?;
        client.append("INBOX", "", &message("one")).await.ok()
    });
    works.await.map(drop)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_is_worth_nothing_at_once() -> Tested {
    let murder = start(2).await?;
    let dir = murder.dir().to_owned();
    let mut theft = Theft::of(&murder, "fe1").await?;
    let mut other: ImapClient = murder.imap(2, "user1").await?;
    other.ok("SELECT INBOX").await?;

    done(&dir, &["cert", "revoke", "fe1", "--yes"]).await?;
    theft.is_over().await?;
    let listed = done(&dir, &["cert", "revoked"]).await?;
    assert!(
        listed.starts_with("fe1: every certificate issued until "),
        "{listed}"
    );
    // Nobody else has noticed.
    other.ok("FETCH 1:* FLAGS").await?;

    // The node gets another key. The stolen one stays what it is.
    let (ca, out) = (dir.join("ca"), dir.join("fe1"));
    let issue = [
        "issue",
        "fe1",
        "--role",
        "frontend",
        "--ca",
        text(&ca),
        "--out",
        text(&out),
    ];
    cert(&issue).await?;
    murder.reload("fe1")?;
    works(&murder, 1).await?;
    assert!(
        external(theft.imaps, &theft.backend, &theft.tls, "user1")
            .await
            .is_err()
    );
    other.ok("NOOP").await?;

    // A backend's key: the frontends do not talk to it either, until it has another one.
    let backend = theft.backend.clone();
    done(&dir, &["cert", "revoke", &backend, "--yes"]).await?;
    let lost = wait_until("its connections end", async || other.ok("NOOP").await.err());
    lost.await?;
    let out = dir.join(&backend);
    let issue = [
        "issue",
        &*backend,
        "--role",
        "backend",
        "--ca",
        text(&ca),
        "--out",
        text(&out),
    ];
    cert(&issue).await?;
    murder.reload(&backend)?;
    works(&murder, 1).await?;
    works(&murder, 2).await
}

/// One authority after the other, while everybody works: what is in the end known by the new one
/// only, is the end of every key of the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_authority_ends_every_old_key() -> Tested {
    let murder = start(1).await?;
    let dir = murder.dir().to_owned();
    let mut theft = Theft::of(&murder, "fe1").await?;
    let nodes = [
        ("mu1", "mupdate"),
        ("be1", "backend"),
        ("fe1", "frontend"),
        ("fe2", "frontend"),
    ];
    let authorities: Vec<PathBuf> = nodes
        .iter()
        .map(|(node, _)| cluster(&dir, node).ca)
        .chain([cluster(&dir, "operator").ca])
        .collect();
    let reload = || nodes.iter().try_for_each(|(node, _)| murder.reload(node));
    let new = dir.join("new-ca");
    cert(&["init", "--dir", text(&new)]).await?;
    let of_new = std::fs::read_to_string(new.join("ca.pem"))?;

    // Both are believed.
    for file in &authorities {
        let old = std::fs::read_to_string(file)?;
        std::fs::write(file, format!("{old}{of_new}"))?;
    }
    reload()?;
    works(&murder, 1).await?;

    // Each node shows a certificate of the new one, one node after the other.
    for (node, role) in nodes.into_iter().chain([("operator", "operator")]) {
        let out = dir.join("issued");
        cert(&[
            "issue",
            node,
            "--role",
            role,
            "--ca",
            text(&new),
            "--out",
            text(&out),
        ])
        .await?;
        let own = cluster(&dir, node);
        std::fs::copy(out.join(format!("{node}.key")), own.key)?;
        std::fs::copy(out.join(format!("{node}.pem")), own.cert)?;
        if role != "operator" {
            murder.reload(node)?;
        }
        works(&murder, 1).await?;
        works(&murder, 2).await?;
    }
    // Until here the thief has lost nothing.
    assert!(theft.session.command("NOOP").await?.starts_with("a OK"));

    // The old one is gone.
    for file in &authorities {
        std::fs::write(file, &of_new)?;
    }
    reload()?;
    theft.is_over().await?;
    works(&murder, 1).await?;
    works(&murder, 2).await?;
    done(&dir, &["user", "list"]).await.map(drop)
}
