//! Directories that are not what they must be: a disk that is not mounted, another backend's, an
//! old copy put back, a master that knows nothing. With real processes, as an administrator and a
//! client see them.

use std::path::{Path, PathBuf};

use murder_testkit::{ImapClient, Pop3Client, Processes, Status, http_get, wait_until};
use serde_json::Value;

use crate::operator::operate_in;
use crate::{MURDER, Tested, message};

/// A murder in a directory of its own, over its restarts: user1 is on be1, user2 on be2.
struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        Ok(Self { dir })
    }

    async fn start(&self) -> anyhow::Result<Processes> {
        Processes::builder(MURDER)
            .users(2)
            .argument("--frontends=1")
            .dir(self.dir.path())
            .start()
            .await
    }

    /// The directory of a backend's partition.
    fn partition(&self, node: &str) -> PathBuf {
        self.dir.path().join(node).join("data/default")
    }

    fn aside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What the operator's tool says, in JSON.
    async fn told(&self, words: &[&str]) -> anyhow::Result<Value> {
        let said = operate_in(self.dir.path(), &[words, &["--json"]].concat()).await?;
        anyhow::ensure!(said.ok, "{words:?}: {}", said.error);
        Ok(serde_json::from_str(&said.output)?)
    }

    /// Why it does not do it.
    async fn refused(&self, words: &[&str]) -> anyhow::Result<String> {
        let said = operate_in(self.dir.path(), words).await?;
        anyhow::ensure!(!said.ok, "{words:?} succeeded: {}", said.output);
        Ok(said.error)
    }

    /// Why be1 is not ready, as `murder status` says it; the master's record agrees.
    async fn trouble(&self) -> anyhow::Result<String> {
        let status = self.told(&["status"]).await?;
        let of = |table: &str, name: &str| {
            let rows = status[table].as_array().cloned().unwrap_or_default();
            rows.into_iter().find(|row| row["name"] == name)
        };
        assert_eq!(of("partitions", "be1!default").unwrap()["state"], "offline");
        assert_eq!(of("partitions", "be2!default").unwrap()["state"], "online");
        assert_eq!(of("nodes", "be2").unwrap()["ready"], true);
        let be1 = of("nodes", "be1").unwrap();
        assert_eq!(be1["ready"], false);
        Ok(be1["reasons"].to_string())
    }
}

/// Copies a directory with everything in it.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to)?,
            false => drop(std::fs::copy(entry.path(), to)?),
        }
    }
    Ok(())
}

/// user1's mail cannot be reached, by any door, and nobody takes it for gone; user2's is there.
async fn only_user1_waits(murder: &Processes) -> Tested {
    let topology = murder.topology()?;
    let mut other = murder.imap(1, "user2").await?;
    other.select("INBOX").await?;
    murder
        .lmtp(1)
        .await?
        .deliver_one("user2", &message("flows"))
        .await?;

    let mut client = murder.imap(1, "user1").await?;
    assert!(client.list("*").await?.contains(&"INBOX".to_owned()));
    for command in ["SELECT INBOX", "STATUS INBOX (MESSAGES)", "CREATE Work/new"] {
        client.no(command, "UNAVAILABLE").await?;
    }
    let be1 = &topology.backends[0];
    let mut direct = ImapClient::connect(be1.imap).await?;
    direct.login("user1", &topology.users.password).await?;
    for command in [
        "SELECT INBOX",
        "LIST \"\" *",
        "CREATE new",
        "APPEND INBOX {1+}\r\nx",
    ] {
        direct.no(command, "UNAVAILABLE").await?;
    }
    let mut pop3 = Pop3Client::connect(be1.pop3.unwrap()).await?;
    pop3.ok("USER user1").await?;
    let refused = pop3
        .err(&format!("PASS {}", topology.users.password))
        .await?;
    assert!(refused.contains("SYS/TEMP"), "{refused}");

    let mut lmtp = murder.lmtp(1).await?;
    lmtp.mail("a@example.org").await?;
    let at_rcpt = lmtp.rcpt("user1").await?;
    let reply = match at_rcpt.code {
        250 => lmtp.data(&message("waits")).await?.remove(0),
        _ => at_rcpt,
    };
    assert!((400..500).contains(&reply.code), "{reply:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_is_missing_and_another_is_in_its_place() -> Tested {
    let site = Site::new()?;
    let murder = site.start().await?;
    let mut lmtp = murder.lmtp(1).await?;
    lmtp.deliver_one("user1", &message("mine")).await?;
    lmtp.deliver_one("user2", &message("theirs")).await?;
    let mut client = murder.imap(1, "user1").await?;
    client.ok("CREATE Work").await?;
    let before = client.select("INBOX").await?;
    murder.stop().await?;

    // Not mounted.
    let (path, away) = (site.partition("be1"), site.aside("away"));
    std::fs::rename(&path, &away)?;
    let murder = site.start().await?;
    wait_until("it is said who is not ready, and why", async || {
        let output = murder.output();
        let said = ["be1 is not ready", "is empty", "not ready: be1"];
        said.iter().all(|text| output.contains(text)).then_some(())
    })
    .await?;
    let why = site.trouble().await?;
    assert!(why.contains("murder partition init be1!default"), "{why}");
    only_user1_waits(&murder).await?;
    let recorded = site.told(&["mailbox", "list", "user/user1"]).await?;
    assert_eq!(recorded.as_array().unwrap().len(), 2);
    assert!(!path.exists());
    let listed = site.told(&["partition", "list"]).await?;
    assert_eq!(listed[0]["name"], "be1!default");
    assert!(listed[0]["trouble"].as_str().unwrap().contains("is empty"));
    let metrics = http_get(murder.node("be1")?.http, "/metrics").await?.body;
    assert!(metrics.contains("murder_backend_partition_open{partition=\"default\"} 0"));
    for words in [
        ["partition", "adopt", "be1!default", "--yes"],
        ["partition", "restored", "be1!default", "--yes"],
        ["mailbox", "forget", "user/user2", "--yes"],
        ["node", "forget", "be1", "--yes"],
    ] {
        site.refused(&words).await?;
    }
    // Nobody has agreed.
    let asked = site.refused(&["partition", "init", "be1!default"]).await?;
    assert!(
        asked.contains("2 mailboxes") && asked.contains("not confirmed"),
        "{asked}"
    );

    // Mounted, while it runs: nothing has happened.
    std::fs::rename(&away, &path)?;
    let mut client = murder.imap(1, "user1").await?;
    wait_until("the disk is noticed", async || {
        let answer = client.command("STATUS INBOX (MESSAGES)").await.ok()?;
        (answer.status == Status::Ok).then_some(())
    })
    .await?;
    let now = client.select("INBOX").await?;
    assert_eq!((now.uidvalidity, now.exists), (before.uidvalidity, 1));
    murder.wait_node_ready("be1").await?;
    murder.stop().await?;

    // Another backend's.
    std::fs::rename(&path, &away)?;
    copy(&site.partition("be2"), &path)?;
    let murder = site.start().await?;
    let why = site.trouble().await?;
    assert!(
        why.contains("another partition") && why.contains("adopt be1!default"),
        "{why}"
    );
    only_user1_waits(&murder).await?;
    site.refused(&["partition", "init", "be1!default", "--yes"])
        .await?;

    // It is lost for good after all.
    std::fs::remove_dir_all(&path)?;
    wait_until("the directory is empty", async || {
        let why = site.trouble().await.ok()?;
        why.contains("is empty").then_some(())
    })
    .await?;
    let told = site
        .told(&["partition", "init", "be1!default", "--yes"])
        .await?;
    assert_eq!(
        (&told["mailboxes"], &told["settled"]),
        (&2.into(), &2.into())
    );
    let mut client = murder.imap(1, "user1").await?;
    let now = client.select("INBOX").await?;
    assert_eq!(now.exists, 0);
    assert!(now.uidvalidity > before.uidvalidity);
    murder
        .lmtp(1)
        .await?
        .deliver_one("user1", &message("again"))
        .await?;
    murder.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_is_put_back() -> Tested {
    let site = Site::new()?;
    let murder = site.start().await?;
    murder
        .lmtp(1)
        .await?
        .deliver_one("user1", &message("old"))
        .await?;
    let mut client = murder.imap(1, "user1").await?;
    for name in ["Shared", "Gone", "Again", "Renamed"] {
        client.ok(&format!("CREATE {name}")).await?;
    }
    client.ok("SETACL Shared user2 lr").await?;
    murder.stop().await?;
    let (path, old) = (site.partition("be1"), site.aside("old"));
    copy(&path, &old)?;

    let murder = site.start().await?;
    let mut client = murder.imap(1, "user1").await?;
    client.append("INBOX", "", &message("new")).await?;
    client.ok("DELETEACL Shared user2").await?;
    client.ok("DELETE Gone").await?;
    client.ok("DELETE Again").await?;
    client.ok("CREATE Again").await?;
    client.ok("RENAME Renamed Moved").await?;
    client.ok("CREATE New").await?;
    let before = client.select("INBOX").await?;
    let (uidnext, modseq) = (
        client.status("INBOX", "UIDNEXT").await?,
        client.status("INBOX", "HIGHESTMODSEQ").await?,
    );
    // Its last word is not the only one: it was killed.
    let pid = murder.kill("be1")?;
    murder.wait_restarted("be1", pid).await?;
    murder.stop().await?;
    std::fs::rename(&path, site.aside("newest"))?;
    copy(&old, &path)?;

    let murder = site.start().await?;
    let why = site.trouble().await?;
    assert!(
        why.contains("older copy") && why.contains("restored be1!default"),
        "{why}"
    );
    only_user1_waits(&murder).await?;
    site.refused(&["partition", "adopt", "be1!default", "--yes"])
        .await?;
    let told = site
        .told(&["partition", "restored", "be1!default", "--yes"])
        .await?;
    assert!(told["missing_records"].as_u64().unwrap() >= 6, "{told}");
    for (name, part) in [
        ("user/user1/Shared", "ACL"),
        ("user/user1/Gone", "deleted since"),
        ("user/user1/Again", "made again"),
        ("user/user1/Moved", "renamed"),
        ("user/user1/New", "was not here"),
    ] {
        let settled = told["mailboxes_settled"].as_array().unwrap();
        let said = settled.iter().any(|settled| {
            settled["name"] == name && settled["what"].as_str().unwrap().contains(part)
        });
        assert!(said, "{name} {part}: {told}");
    }

    let mut client = murder.imap(1, "user1").await?;
    let mut names = client.list("*").await?;
    names.sort();
    assert_eq!(names, ["Again", "INBOX", "Moved", "New", "Shared"]);
    for name in &names {
        client.select(name).await?;
    }
    let now = client.select("INBOX").await?;
    assert_eq!((now.uidvalidity, now.exists), (before.uidvalidity, 1));
    client.append("INBOX", "", &message("newer")).await?;
    assert!(client.status("INBOX", "UIDNEXT").await? > uidnext + (1 << 20));
    assert!(client.status("INBOX", "HIGHESTMODSEQ").await? > modseq + (1 << 32));
    let mut other = murder.imap(1, "user2").await?;
    other
        .no("SELECT \"Other Users/user1/Shared\"", "NONEXISTENT")
        .await?;
    // The one that was deleted since is kept.
    let kept = site.told(&["restore", "list", "user/user1/Gone"]).await?;
    assert_eq!(kept["mailboxes"].as_array().unwrap().len(), 1, "{kept}");
    murder.stop().await?;

    // What it was put in the place of has become the older one.
    std::fs::remove_dir_all(&path)?;
    std::fs::rename(site.aside("newest"), &path)?;
    let murder = site.start().await?;
    let why = site.trouble().await?;
    assert!(why.contains("older copy"), "{why}");
    murder.stop().await
}

/// What a node says against its readiness.
async fn reasons(murder: &Processes, node: &str) -> anyhow::Result<String> {
    Ok(http_get(murder.node(node)?.http, "/readyz").await?.body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_knows_nothing() -> Tested {
    let site = Site::new()?;
    let murder = site.start().await?;
    murder
        .lmtp(1)
        .await?
        .deliver_one("user1", &message("kept"))
        .await?;
    murder.stop().await?;
    std::fs::remove_dir_all(site.dir.path().join("mu1/data"))?;
    let murder = site.start().await?;
    for node in ["fe1", "be1", "be2"] {
        let why = reasons(&murder, node).await?;
        assert!(why.contains("another murder"), "{node}: {why}");
    }
    // They serve what they know.
    let mut client = murder.imap(1, "user1").await?;
    assert_eq!(client.select("INBOX").await?.exists, 1);
    client.no("CREATE new", "UNAVAILABLE").await?;
    let recorded = site.told(&["mailbox", "list"]).await?;
    assert_eq!(recorded, Value::Array(Vec::new()), "nothing is given to it");
    // One that knows nothing itself takes nobody's password for wrong.
    let pid = murder.kill("fe1")?;
    std::fs::remove_dir_all(site.dir.path().join("fe1/data"))?;
    murder.wait_restarted("fe1", pid).await?;
    let topology = murder.topology()?;
    let mut client = ImapClient::connect(topology.frontends[0].imap).await?;
    let password = &topology.users.password;
    client
        .no(&format!("LOGIN user1 {password}"), "UNAVAILABLE")
        .await?;

    let why = reasons(&murder, "be1").await?;
    let (_, id) = why.split_once("murder master succeed ").unwrap();
    let id = &id[..32];
    site.refused(&["master", "succeed", id]).await?;
    site.refused(&["master", "succeed", "nonsense", "--yes"])
        .await?;
    site.told(&["master", "succeed", id, "--yes"]).await?;
    for node in ["fe1", "be1", "be2"] {
        murder.wait_node_ready(node).await?;
    }
    let recorded = wait_until("the backends have told what they hold", async || {
        let recorded = site.told(&["mailbox", "list"]).await.ok()?;
        (recorded.as_array()?.len() == 2).then_some(recorded)
    });
    recorded.await?;
    murder.stop().await
}

/// One partition of two cannot be opened: the other is served, and that one opens by itself when it
/// is there again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_partition_of_two() -> Tested {
    let murder = Processes::builder(MURDER)
        .users(1)
        .argument("--frontends=1")
        .argument("--backends=1")
        .start()
        .await?;
    // As an administrator would, who has a second disk.
    let be1 = murder.node("be1")?;
    let second = "\n[partitions.second]\npath = \"data/second\"\n";
    let text = std::fs::read_to_string(&be1.config)? + second;
    std::fs::write(&be1.config, text)?;
    let pid = murder.kill("be1")?;
    murder.wait_restarted("be1", pid).await?;
    let mut admin = ImapClient::connect(murder.topology()?.backends[0].imap).await?;
    let password = murder.topology()?.users.password;
    admin.login("admin", &password).await?;
    admin.ok("CREATE user/other (PARTITION second)").await?;
    admin.ok("SETACL user/other user1 lrswi").await?;

    // No directory at all.
    let dir = be1.config.parent().unwrap().join("data/default");
    let aside = dir.with_extension("aside");
    std::fs::rename(&dir, &aside)?;
    std::fs::write(&dir, "nonsense")?;
    murder.kill("be1")?;
    let why = wait_until("be1 says what is wrong", async || {
        let why = reasons(&murder, "be1").await.ok()?;
        why.contains("partition:default").then_some(why)
    });
    let why = why.await?;
    assert!(!why.contains("partition:second"), "{why}");
    let mut client = murder.imap(1, "user1").await?;
    let other = "Other Users/other";
    wait_until("the other partition is served", async || {
        client.select(other).await.ok().map(drop)
    })
    .await?;
    client.append(other, "", &message("served")).await?;
    client.no("SELECT INBOX", "UNAVAILABLE").await?;

    std::fs::remove_file(&dir)?;
    std::fs::rename(&aside, &dir)?;
    wait_until("it is there again", async || {
        let answer = client.command("SELECT INBOX").await.ok()?;
        (answer.status == Status::Ok).then_some(())
    })
    .await?;
    murder.stop().await
}
