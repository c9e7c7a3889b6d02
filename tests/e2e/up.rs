//! `murder up` and the programs around it, as an administrator uses them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use murder_testkit::{ImapClient, Processes, Topology, wait_until};

use crate::{MURDER, Tested, message};

/// Runs the program to its end.
fn murder(arguments: &[&str], input: &str) -> anyhow::Result<Output> {
    let mut child = Command::new(MURDER)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // One that does not read it may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Ok(child.wait_with_output()?)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Its standard output, when it has ended well.
fn said(arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let output = murder(arguments, input)?;
    anyhow::ensure!(
        output.status.success(),
        "{arguments:?}: {}\n{}",
        output.status,
        text(&output.stderr)
    );
    Ok(text(&output.stdout))
}

fn is_private(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).unwrap().permissions().mode() & 0o077 == 0
}

/// The files below `dir` that others than the owner may read or write.
fn open_to_others(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            open.extend(open_to_others(&path)?);
        } else if path.exists() && !is_private(&path) {
            open.push(path);
        }
    }
    Ok(open)
}

/// The command lines of processes, as everybody can list them, that have these words in them.
fn arguments_with(words: &str) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc")? {
        // Others come and go.
        let line = std::fs::read(process?.path().join("cmdline")).unwrap_or_default();
        let line = text(&line).replace('\0', " ");
        if line.contains(words) {
            found.push(line);
        }
    }
    Ok(found)
}

/// Mail and hashes of passwords, however generous who starts the nodes is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nodes_write_is_theirs_alone() -> Tested {
    let dir = tempfile::tempdir()?;
    let murder = Processes::builder(MURDER)
        .users(1)
        .dir(dir.path())
        .start()
        .await?;
    let mut client = murder.imap(1, "user1").await?;
    client.append("INBOX", "", &message("x")).await?;
    for node in ["mu1", "be1", "be2", "fe1", "fe2"] {
        let data = dir.path().join(node).join("data");
        assert!(std::fs::read_dir(&data)?.next().is_some(), "{node}");
        assert_eq!(open_to_others(&data)?, Vec::<PathBuf>::new(), "{node}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_topology_tells_what_runs() -> Tested {
    let murder = Processes::builder(MURDER)
        .users(3)
        .argument("--backends=3")
        .argument("--frontends=1")
        .argument("--password=other secret")
        .start()
        .await?;
    let topology = murder.topology()?;
    let names: Vec<&str> = topology.processes().map(|(name, ..)| name).collect();
    assert_eq!(names, ["fe1", "be1", "be2", "be3", "mu1"]);
    assert!(
        topology
            .backends
            .iter()
            .all(|node| node.partitions == ["default"])
    );
    assert!(
        topology
            .frontends
            .iter()
            .all(|node| node.partitions.is_empty())
    );
    assert_eq!((topology.users.first, topology.users.count), (1, 3));
    assert_eq!(topology.users.password, "other secret");
    assert_eq!(arguments_with("other secret")?, Vec::<String>::new());
    assert_eq!(
        (&*topology.admin.user, &*topology.hierarchy_separator),
        ("admin", "/")
    );
    for (name, pid, config, http) in topology.processes() {
        let command = std::fs::read(format!("/proc/{pid}/cmdline"))?;
        assert!(text(&command).contains(config.to_str().unwrap()), "{name}");
        assert_eq!(
            murder_testkit::http_get(http, "/readyz").await?.status,
            200,
            "{name}"
        );
        assert_eq!(
            murder_testkit::http_get(http, "/healthz").await?.status,
            200,
            "{name}"
        );
        let metrics = murder_testkit::http_get(http, "/metrics").await?.body;
        assert!(metrics.contains("murder_"), "{name}");
        assert!(is_private(&config.with_extension("key")), "{name}");
        // What is running has a configuration that is in order.
        let role = ["frontend", "backend", "mupdate"]
            .into_iter()
            .find(|role| role.starts_with(&name[..1]))
            .unwrap_or("mupdate");
        said(
            &[
                "role",
                role,
                "--config",
                config.to_str().unwrap(),
                "--check",
            ],
            "",
        )?;
    }
    // Each user's INBOX on the next backend.
    for number in 1..=3 {
        let user = topology.users.name(number);
        let mut direct = ImapClient::connect(topology.backends[number as usize - 1].imap).await?;
        direct.login(&user, "other secret").await?;
        assert_eq!(direct.select("INBOX").await?.exists, 0, "{user}");
    }
    let mut tls = ImapClient::connect_tls(topology.frontends[0].imaps, &murder.trust()?).await?;
    tls.login("admin", "other secret").await?;
    assert_eq!(tls.list("*").await?.len(), 3);
    let output = murder.output();
    for wanted in ["127.0.0.1", "user1", "other secret", "murder down"] {
        assert!(output.contains(wanted), "{wanted}: {output}");
    }
    murder.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_again_goes_on_with_the_same_murder() -> Tested {
    let dir = tempfile::tempdir()?;
    let start = || Processes::builder(MURDER).users(2).dir(dir.path()).start();
    let first = start().await?;
    let before = first.topology()?;
    let mut client = first.imap(1, "user1").await?;
    client.ok("CREATE Work").await?;
    client.append("Work", "", &message("kept")).await?;
    client.logout().await?;
    // One directory, one murder.
    let second = murder(&["up", "--dir", dir.path().to_str().unwrap()], "")?;
    assert!(!second.status.success());
    assert!(
        text(&second.stderr).contains("runs in"),
        "{}",
        text(&second.stderr)
    );
    first.stop().await?;
    assert!(!dir.path().join("topology.json").exists());

    let again = start().await?;
    let after = again.topology()?;
    let places = |topology: &Topology| {
        let nodes = topology.frontends.iter().chain(&topology.backends);
        let mail: Vec<_> = nodes
            .map(|node| {
                (
                    node.name.clone(),
                    node.imap,
                    node.imaps,
                    node.lmtp,
                    node.http,
                )
            })
            .collect();
        (mail, topology.masters[0].grpc, topology.masters[0].http)
    };
    assert_eq!(places(&before), places(&after));
    let mut client = again.imap(2, "user1").await?;
    client.select("Work").await?;
    assert_eq!(client.fetch_body(1).await?, message("kept"));
    again.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_dies_is_started_again() -> Tested {
    let murder = Processes::builder(MURDER).users(2).start().await?;
    let before = murder.topology()?;
    murder
        .lmtp(1)
        .await?
        .deliver_one("user1", &message("kept"))
        .await?;
    for node in ["be1", "fe1", "mu1"] {
        let killed = murder.kill(node)?;
        let pid = murder.wait_restarted(node, killed).await?;
        assert_ne!(pid, killed);
    }
    let after = murder.topology()?;
    assert_eq!(before.frontends[0].imap, after.frontends[0].imap);
    assert_eq!(before.backends[0].imap, after.backends[0].imap);
    assert_eq!(before.masters[0].grpc, after.masters[0].grpc);
    assert_eq!(before.frontends[1].pid, after.frontends[1].pid);
    let mut client = murder.imap(1, "user1").await?;
    wait_until("the mail is there", async || {
        client.select("INBOX").await.ok()
    })
    .await?;
    let body = client.fetch_body(1).await?;
    assert!(body.ends_with(&message("kept")));
    // What came through a frontend says from whom, and to whom.
    let added = text(&body[..body.len() - message("kept").len()]);
    let fields: Vec<&str> = added.split("\r\n").collect();
    assert!(fields[0].starts_with("Return-Path: <"), "{added}");
    assert!(fields[1].ends_with(" ([127.0.0.1])"), "{added}");
    assert!(fields[2].contains(" (via fe1) with LMTP id "), "{added}");
    assert_eq!(fields[3], "\tfor <user1>;");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_restart_leaves_it_dead() -> Tested {
    let murder = Processes::builder(MURDER)
        .users(2)
        .argument("--no-restart")
        .start()
        .await?;
    let killed = murder.kill("be2")?;
    wait_until("its end is told", async || {
        murder.output().contains("be2 has ended").then_some(())
    })
    .await?;
    let mut client = murder.imap(1, "user2").await?;
    client.no("SELECT INBOX", "UNAVAILABLE").await?;
    murder.imap(1, "user1").await?.select("INBOX").await?;
    assert_eq!(murder.node("be2")?.pid, killed);
    assert!(!Path::new(&format!("/proc/{killed}/cmdline")).exists());
    murder.stop().await
}

/// `murder down` at the end, whatever happens.
struct Down(PathBuf);

impl Drop for Down {
    fn drop(&mut self) {
        let _ = murder(&["down", "--dir", self.0.to_str().unwrap()], "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn detached_with_the_operators_commands() -> Tested {
    let folder = tempfile::tempdir()?;
    let dir = folder.path().join("m");
    let dir_text = dir.to_str().unwrap();
    let file = folder.path().join("topology.json");
    let _down = Down(dir.clone());
    let shown = said(
        &[
            "up",
            "--dir",
            dir_text,
            "--detach",
            "--users",
            "1",
            "--topology",
            file.to_str().unwrap(),
        ],
        "",
    )?;
    assert!(shown.contains("curl"), "{shown}");
    let topology = Topology::read(&file)?;
    let frontend = topology.frontends[1].imap;

    said(
        &[
            "user",
            "add",
            "alice",
            "--password-stdin",
            "--group",
            "staff",
            "--dir",
            dir_text,
        ],
        "wonderland\n",
    )?;
    let listed = said(&["user", "list", "--json", "--dir", dir_text], "")?;
    assert!(
        listed.contains("\"alice\"") && listed.contains("\"staff\""),
        "{listed}"
    );
    assert!(!listed.contains("argon2"), "{listed}");
    let log_in = async |password: &str| {
        wait_until("the account is as it is", async || {
            let mut client = ImapClient::connect(frontend).await.ok()?;
            client.login("alice", password).await.ok()?;
            Some(client)
        })
        .await
    };
    let mut client = log_in("wonderland").await?;
    client.select("INBOX").await?;
    said(
        &[
            "user",
            "passwd",
            "alice",
            "--password-stdin",
            "--dir",
            dir_text,
        ],
        "looking glass\n",
    )?;
    log_in("looking glass").await?;
    let mailboxes = said(&["mailbox", "list", "--dir", dir_text], "")?;
    assert!(
        mailboxes.contains("user/alice") && mailboxes.contains("!default"),
        "{mailboxes}"
    );
    let status = said(&["status", "--dir", dir_text], "")?;
    for node in ["be1", "be2"] {
        assert!(status.contains(node), "{status}");
    }
    said(&["status", "--check", "--dir", dir_text], "")?;
    said(&["user", "delete", "alice", "--dir", dir_text], "")?;
    assert!(!said(&["user", "list", "--dir", dir_text], "")?.contains("alice"));
    let unknown = murder(&["user", "delete", "alice", "--dir", dir_text], "")?;
    assert!(!unknown.status.success());

    said(&["down", "--dir", dir_text], "")?;
    assert!(ImapClient::connect(frontend).await.is_err());
    assert!(!file.exists());
    for (name, pid, ..) in topology.processes() {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(!text(&command).contains(dir_text), "{name} runs");
    }
    // Nothing to stop is no error.
    said(&["down", "--dir", dir_text], "")?;
    Ok(())
}

#[test]
fn a_bad_key_is_told_with_its_line_and_the_nearest_one() -> Tested {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("node.toml");
    let path = file.to_str().unwrap();
    for (role, content, expected) in [
        (
            "backend",
            "[node]\nname = \"be1\"\n\n[imap]\nlisen = []\n",
            ":5:1: unknown key `imap.lisen`; did you mean `listen`?",
        ),
        (
            "frontend",
            "[imap]\nallow_plaintext_lopback = true\n",
            ":2:1: unknown key `imap.allow_plaintext_lopback`; did you mean `allow_plaintext_loopback`?",
        ),
        (
            "mupdate",
            "[grcp]\n",
            ":1:2: unknown key `grcp`; did you mean `grpc`?",
        ),
        ("backend", "[imap\n", ":1:"),
        ("frontend", "[imap]\nlisten = [\"nonsense\"]\n", ":2:"),
    ] {
        std::fs::write(&file, content)?;
        for check in [&["--check"][..], &[]] {
            let arguments = [&["role", role, "--config", path], check].concat();
            let output = murder(&arguments, "")?;
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{role}: {error}");
            assert!(
                error.starts_with(&format!("{path}{expected}")),
                "{role}: {error}"
            );
        }
    }
    let missing = murder(
        &["role", "backend", "--config", "/nowhere/x.toml", "--check"],
        "",
    )?;
    assert_eq!(missing.status.code(), Some(2));
    Ok(())
}
