//! `murder user`, `murder mailbox` and `murder status` against a master of their own.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use murder_net::{Ca, Role};
use serde_json::{Value, json};

const MURDER: &str = env!("CARGO_BIN_EXE_murder");

/// A master in a directory, and an operator who knows it.
struct Master {
    dir: tempfile::TempDir,
    process: Child,
}

impl Drop for Master {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn cluster(name: &str) -> String {
    format!("[cluster]\nca = 'ca.pem'\ncert = '{name}.pem'\nkey = '{name}.key'\n")
}

impl Master {
    fn start() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let ca = Ca::generate(&dir.path().join("ca"))?;
        for (name, role) in [("mu1", Role::Mupdate), ("operator", Role::Operator)] {
            ca.issue_into(dir.path(), name, &[role], &[])?;
        }
        let config = "[node]\nname = 'mu1'\ndata_dir = 'data'\n\
             [grpc]\nlisten = '127.0.0.1:0'\n[log]\nformat = 'json'\naudit = 'audit.log'\n";
        let file = dir.path().join("mu1.toml");
        std::fs::write(&file, config.to_owned() + &cluster("mu1"))?;
        let mut process = Command::new(MURDER)
            .args(["role", "mupdate", "--config"])
            .arg(file)
            .stderr(Stdio::piped())
            .spawn()?;
        let log = process.stderr.take().context("log")?;
        let master = Self { dir, process };
        let address = listening(log)?;
        std::fs::write(
            master.dir.path().join("operator.toml"),
            format!(
                "{}[mupdate]\nmasters = ['{address}']\n",
                cluster("operator")
            ),
        )?;
        Ok(master)
    }

    fn run(&self, arguments: &[&str], input: &str) -> Result<Output> {
        let mut child = Command::new(MURDER)
            .args(arguments)
            .arg("--config")
            .arg(self.dir.path().join("operator.toml"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("input")?;
        stdin.write_all(input.as_bytes())?;
        drop(stdin);
        Ok(child.wait_with_output()?)
    }

    fn ok(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments, "s3cret\n")?;
        ensure!(output.status.success(), "{arguments:?}: {output:?}");
        Ok(String::from_utf8(output.stdout)?)
    }

    fn json(&self, arguments: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(
            &self.ok(&[arguments, &["--json"]].concat())?,
        )?)
    }

    fn refused(&self, said: &str, arguments: &[&str]) -> Result<()> {
        let output = self.run(arguments, "")?;
        let text = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code() == Some(1) && text.contains(said),
            "{arguments:?}: {output:?}"
        );
        Ok(())
    }
}

/// The gRPC address, from the log. The log is read to its end, so that the process never waits.
fn listening(log: impl std::io::Read + Send + 'static) -> Result<String> {
    let mut lines = BufReader::new(log).lines();
    let mut address = None;
    while address.is_none() {
        let line = lines.next().context("the master has ended")??;
        let event: Value = serde_json::from_str(&line).context(line)?;
        if event["protocol"] == "grpc" {
            address = event["address"].as_str().map(str::to_owned);
        }
    }
    std::thread::spawn(move || lines.count());
    address.context("no address")
}

#[test]
fn users_come_change_and_go() -> Result<()> {
    let master = Master::start()?;
    let add = [
        "user",
        "add",
        "alice",
        "--password-stdin",
        "--group",
        "staff",
    ];
    ensure!(master.ok(&add)? == "alice added\n");
    master.refused("exists", &["user", "add", "alice", "--password", "x"])?;
    let done = master.json(&["user", "add", "root", "--admin", "--password", "x"])?;
    ensure!(
        done["user"] == "root" && done["revision"].is_u64(),
        "{done}"
    );
    ensure!(master.ok(&["user", "disable", "alice"])? == "alice disabled\n");
    let listed = master.json(&["user", "list"])?;
    let expected = json!([
        {"name": "alice", "admin": false, "disabled": true, "groups": ["staff"]},
        {"name": "root", "admin": true, "disabled": false, "groups": []},
    ]);
    ensure!(listed == expected, "{listed}");
    master.ok(&["user", "enable", "alice"])?;
    master.ok(&["user", "passwd", "alice", "--password-stdin"])?;
    master.refused("no user", &["user", "passwd", "bob", "--password", "x"])?;
    master.ok(&["user", "delete", "root"])?;
    let audit = std::fs::read_to_string(master.dir.path().join("audit.log"))?;
    let of_alice = audit.lines().filter_map(|line| {
        let event: Value = serde_json::from_str(line).ok()?;
        ensure_operators(&event);
        (event["account"] == "alice").then(|| event["event"].to_string())
    });
    let of_alice: Vec<String> = of_alice.collect();
    let events = ["add", "update", "update", "password"].map(|did| format!("\"account.{did}\""));
    ensure!(of_alice == events, "{audit}");
    ensure!(
        !audit.contains("argon2") && !audit.contains("s3cret"),
        "{audit}"
    );
    let listed = master.ok(&["user", "list"])?;
    ensure!(
        listed == "user   state  groups\nalice         staff\n",
        "{listed}"
    );
    Ok(())
}

fn ensure_operators(event: &Value) {
    assert_eq!(event["target"], "audit");
    assert_eq!(
        (&event["by"], &event["role"]),
        (&json!("operator"), &json!("operator"))
    );
}

#[test]
fn an_empty_murder_is_shown() -> Result<()> {
    let master = Master::start()?;
    ensure!(master.json(&["mailbox", "list"])? == json!([]));
    master.refused("no mailbox", &["mailbox", "show", "user/alice"])?;
    let status = master.json(&["status", "--check"])?;
    let nodes = status["nodes"].as_array().context("nodes")?;
    ensure!(nodes.len() == 1 && nodes[0]["ready"] == true, "{status}");
    ensure!(nodes[0]["roles"] == json!(["mupdate"]) && status["partitions"] == json!([]));
    Ok(())
}

#[test]
fn a_master_that_is_away_is_named() -> Result<()> {
    let mut master = Master::start()?;
    master.process.kill()?;
    master.process.wait()?;
    master.refused("asked 127.0.0.1:", &["user", "list"])
}

#[test]
fn only_operators_change_users() -> Result<()> {
    let master = Master::start()?;
    let dir: &Path = master.dir.path();
    Ca::load(&dir.join("ca"))?.issue_into(dir, "operator", &[Role::Frontend], &[])?;
    master.refused("operator", &["user", "delete", "alice"])
}
