//! `murder node`: processes with any set of roles.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use murder_auth::Account;
use murder_location::{DescribedNode, MupdateClient, MupdateClientConfig, service};
use murder_net::Role::{self, Backend, Frontend, Mupdate};
use murder_net::{Ca, NodeTls};
use murder_testkit::{
    ImapClient, LmtpClient, cheap_hash, http_get, own_loopback, wait_until, within,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{MURDER, Tested, message};

/// Nodes that share a folder and a loopback address.
struct Nodes {
    dir: TempDir,
    at: Ipv4Addr,
    ca: Ca,
    nodes: Vec<Node>,
}

struct Node {
    name: String,
    roles: Vec<Role>,
    process: Option<Process>,
}

/// Killed when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a node listens for, each at a port of its own.
#[derive(Clone, Copy)]
enum Port {
    Grpc,
    Http,
    Admin,
    FrontendImap,
    FrontendLmtp,
    BackendImap,
    BackendImaps,
    BackendLmtp,
}

impl Nodes {
    fn new(roles: &[&[Role]]) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let ca = Ca::generate(&dir.path().join("ca"))?;
        let node = |(number, roles): (usize, &&[Role])| Node {
            name: format!("n{number}"),
            roles: roles.to_vec(),
            process: None,
        };
        let nodes = Self {
            at: own_loopback(),
            ca,
            dir,
            nodes: roles.iter().enumerate().map(node).collect(),
        };
        for (number, node) in nodes.nodes.iter().enumerate() {
            let folder = nodes.dir.path().join(&node.name);
            nodes.ca.issue_into(&folder, &node.name, &node.roles, &[])?;
            std::fs::write(nodes.file(number), nodes.text(number))?;
        }
        Ok(nodes)
    }

    fn file(&self, number: usize) -> PathBuf {
        let name = &self.nodes[number].name;
        self.dir.path().join(name).join("node.toml")
    }

    fn address(&self, number: usize, port: Port) -> SocketAddr {
        let port = 2000 + 100 * number as u16 + port as u16;
        (self.at, port).into()
    }

    /// The node with a role.
    fn with(&self, role: Role) -> usize {
        let mut nodes = self.nodes.iter();
        nodes.position(|node| node.roles.contains(&role)).unwrap()
    }

    fn text(&self, number: usize) -> String {
        let Node { name, roles, .. } = &self.nodes[number];
        let at = |port| self.address(number, port);
        let mut text = format!(
            "[node]\nname = \"{name}\"\ndata_dir = \"data\"\n\
             [cluster]\nca = \"ca.pem\"\ncert = \"{name}.pem\"\nkey = \"{name}.key\"\n\
             [mupdate]\nmasters = [\"{}\"]\n\
             [http]\nlisten = \"{}\"\n[admin]\nlisten = \"{}\"\n\
             [limits]\nfailed_login_delay_ms = 1\n",
            self.address(self.with(Mupdate), Port::Grpc),
            at(Port::Http),
            at(Port::Admin),
        );
        if roles.contains(&Mupdate) {
            // The same section, but another role's key.
            text += &format!("lease_ms = 5000\n[grpc]\nlisten = \"{}\"\n", at(Port::Grpc));
        }
        if roles.contains(&Backend) {
            text += &format!(
                "[backend.imap]\nlisten = [\"{}\"]\ntls_listen = [\"{}\"]\n\
                 [backend.lmtp]\nlisten = [\"{}\"]\n[partitions.default]\npath = \"mail\"\n",
                at(Port::BackendImap),
                at(Port::BackendImaps),
                at(Port::BackendLmtp),
            );
        }
        if roles.contains(&Frontend) {
            text += &format!(
                "[frontend.imap]\nlisten = [\"{}\"]\nallow_plaintext_loopback = true\n\
                 [frontend.lmtp]\nlisten = [\"{}\"]\n[placement]\n",
                at(Port::FrontendImap),
                at(Port::FrontendLmtp),
            );
        }
        text
    }

    async fn start(&mut self) -> Tested {
        for number in 0..self.nodes.len() {
            let file = self.file(number);
            let log = std::fs::File::create(file.with_extension("log"))?;
            let process = Command::new(MURDER)
                .args(["node", "--config"])
                .arg(&file)
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()?;
            self.nodes[number].process = Some(Process(process));
        }
        for number in 0..self.nodes.len() {
            let http = self.address(number, Port::Http);
            let ready = wait_until("readiness", async || {
                let answer = http_get(http, "/readyz").await.ok()?;
                (answer.status == 200).then_some(())
            });
            ready.await.with_context(|| self.log(number))?;
        }
        Ok(())
    }

    fn log(&self, number: usize) -> String {
        let file = self.file(number).with_extension("log");
        std::fs::read_to_string(file).unwrap_or_default()
    }

    /// Stops them, those first that the others do not need.
    async fn stop(&mut self) -> Tested {
        for number in (0..self.nodes.len()).rev() {
            let mut process = self.nodes[number].process.take().unwrap();
            let pid = Pid::from_raw(process.0.id().cast_signed()).unwrap();
            kill_process(pid, Signal::TERM)?;
            let ended = within("the end of a node", async {
                loop {
                    if let Some(status) = process.0.try_wait()? {
                        return Ok(status);
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            let status = ended.await?;
            anyhow::ensure!(status.success(), "{status}\n{}", self.log(number));
        }
        Ok(())
    }

    fn operator(&self) -> anyhow::Result<MupdateClient> {
        let folder = self.dir.path().join("operator");
        let roles = [Role::Operator];
        let files = self.ca.issue_into(&folder, "operator", &roles, &[])?;
        let masters = vec![self.address(self.with(Mupdate), Port::Grpc).to_string()];
        let tls = NodeTls::load(&files)?.client();
        Ok(MupdateClient::new(MupdateClientConfig::new(masters, tls)))
    }

    async fn bob(&self) -> anyhow::Result<ImapClient> {
        let door = self.address(self.with(Frontend), Port::FrontendImap);
        let mut bob = ImapClient::connect(door).await?;
        bob.login("bob", "secret").await?;
        Ok(bob)
    }
}

/// Mail comes in, is read, and is still there after a restart; the master knows who does what.
async fn serves(roles: &[&[Role]]) -> Tested {
    let mut nodes = Nodes::new(roles)?;
    nodes.start().await?;
    let operator = nodes.operator()?;
    let bob = Account {
        name: "bob".to_owned(),
        password_hash: cheap_hash("secret")?,
        ..Account::default()
    };
    operator.add_user(&bob).await?;
    let mut bob = wait_until("the account", async || nodes.bob().await.ok()).await?;
    bob.select("INBOX").await?;
    bob.append("INBOX", "\\Flagged", &message("appended"))
        .await?;
    let door = nodes.address(nodes.with(Frontend), Port::FrontendLmtp);
    let mut lmtp = LmtpClient::connect(door).await?;
    lmtp.lhlo().await?;
    lmtp.deliver_one("bob", &message("delivered")).await?;
    bob.ok("NOOP").await?;
    bob.ok("CREATE Archive").await?;
    bob.ok("MOVE 1 Archive").await?;
    assert_eq!(bob.select("INBOX").await?.exists, 1);

    let described = operator.describe_nodes().await?.nodes;
    for (number, node) in nodes.nodes.iter().enumerate() {
        let is_it = |known: &&DescribedNode| known.node.name == node.name;
        let http = http_get(nodes.address(number, Port::Http), "/metrics").await?;
        for role in &node.roles {
            let mut known = described.iter().filter(is_it);
            let has = |it: &DescribedNode| it.node.roles.contains(&role.to_string());
            assert!(known.any(has), "{}: {role}", node.name);
            let counted = format!("murder_{role}_process_resident_bytes");
            assert!(http.body.contains(&counted), "{}", http.body);
        }
        assert_eq!(http.body.matches("# EOF").count(), 1);
    }
    // Where the other nodes connect is where the mail is.
    let backend = nodes.with(Backend);
    let imaps = nodes.address(backend, Port::BackendImaps).to_string();
    let is_it = |it: &&DescribedNode| it.node.name == nodes.nodes[backend].name;
    let mut known = described.iter().filter(is_it);
    assert!(known.any(|it| it.node.service(service::IMAPS) == Some(&*imaps)));

    nodes.stop().await?;
    nodes.start().await?;
    let mut bob = wait_until("the mailbox", async || {
        let mut bob = nodes.bob().await.ok()?;
        bob.select("Archive").await.ok()?;
        Some(bob)
    })
    .await?;
    assert_eq!(bob.fetch_all().await?.len(), 1);
    assert_eq!(bob.select("INBOX").await?.exists, 1);
    nodes.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_and_the_master_are_one_process() -> Tested {
    serves(&[&[Mupdate, Backend], &[Frontend]]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frontend_and_the_master_are_one_process() -> Tested {
    serves(&[&[Mupdate, Frontend], &[Backend]]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_roles_are_one_process() -> Tested {
    serves(&[&[Mupdate, Backend, Frontend]]).await
}

/// Runs `murder node --config FILE` with such a text; its exit code and what it says.
fn run(file: &Path, text: &str) -> anyhow::Result<(Option<i32>, String)> {
    std::fs::write(file, text)?;
    let mut command = Command::new(MURDER);
    let output = command.args(["node", "--config"]).arg(file).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status.code(), said))
}

#[test]
fn a_file_is_for_the_roles_whose_sections_it_has() -> Tested {
    let nodes = Nodes::new(&[&[Mupdate, Backend, Frontend]])?;
    let (file, text) = (nodes.file(0), nodes.text(0));
    let check = Command::new(MURDER)
        .args(["node", "--check", "--config"])
        .arg(&file)
        .output()?;
    assert!(check.status.success(), "{check:?}");
    for (text, mistake) in [
        (
            "[node]\nname = \"n0\"\n".to_owned(),
            "a node without a role: a mupdate has `[grpc]`, a backend has `[partitions]`, a frontend \
             has `[placement]`",
        ),
        (
            text.replace("[placement]", "[placement]\nmod = \"random\""),
            "unknown key `placement.mod`; did you mean `mode`?",
        ),
        (
            // Nobody is there to read it.
            text.replace("[placement]", ""),
            "unknown key `frontend`",
        ),
        (
            text.replace(
                "[backend.imap]",
                "[backend.imap]\nallow_all_subscribe = true",
            ),
            "unknown key `backend.imap.allow_all_subscribe`",
        ),
        (
            // What both have at top level is both's.
            text.replace("[backend.lmtp]", "[lmtp]").replace(
                "[frontend.lmtp]\nlisten",
                "[frontend.lmtp]\nmax_recipients = 100 #",
            ),
            "is taken by",
        ),
        (
            text.replace("name = \"n0\"", "name = \"other\""),
            "but the node is `other`",
        ),
    ] {
        let (code, said) = run(&file, &text)?;
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(mistake), "{said}");
    }
    let nothing = Command::new(MURDER).arg("node").output()?;
    assert_eq!(nothing.status.code(), Some(2));
    Ok(())
}
