//! `murder up` as a supervisor: nothing is left behind, however it ends. And what its nodes count.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use murder_testkit::wait_until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const MURDER: &str = env!("CARGO_BIN_EXE_murder");

/// A directory in which a murder may run; stopped when it is dropped.
struct Place(tempfile::TempDir);

impl Drop for Place {
    fn drop(&mut self) {
        // A test that has failed may have left one.
        let _ = self.murder(&["down"]);
    }
}

impl Place {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join("murder")
    }

    fn murder(&self, arguments: &[&str]) -> Result<Output> {
        let output = Command::new(MURDER)
            .args(arguments)
            .arg("--dir")
            .arg(self.dir())
            .stdin(Stdio::null())
            .output()?;
        Ok(output)
    }

    fn up(&self, more: &[&str]) -> Result<Value> {
        let small = ["up", "--detach", "--users", "2", "--backends", "1"];
        let output = self.murder(&[&small, more].concat())?;
        ensure!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout)?;
        ensure!(
            said.contains("murder is ready") && !said.contains("Ctrl-C"),
            "{said}"
        );
        self.topology()
    }

    fn down(&self) -> Result<()> {
        let output = self.murder(&["down"])?;
        ensure!(
            output.status.success() && output.stdout == b"stopped\n",
            "{output:?}"
        );
        Ok(())
    }

    fn topology(&self) -> Result<Value> {
        let text = std::fs::read(self.dir().join("topology.json"))?;
        Ok(serde_json::from_slice(&text)?)
    }

    fn supervisor(&self) -> Result<i32> {
        let text = std::fs::read_to_string(self.dir().join("supervisor.pid"))?;
        Ok(text.trim().parse()?)
    }
}

/// Each node of a topology: name, process, configuration.
fn nodes(topology: &Value) -> Vec<(String, i32, String)> {
    let roles = ["masters", "backends", "frontends"].map(|role| topology[role].as_array());
    let nodes = roles.into_iter().flatten().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    nodes
        .map(|node| {
            let pid = node["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
            (
                text(&node["name"]),
                pid.unwrap_or_default(),
                text(&node["config"]),
            )
        })
        .collect()
}

fn pid_of(topology: &Value, name: &str) -> Result<i32> {
    let mut nodes = nodes(topology).into_iter();
    let node = nodes.find(|(known, ..)| known == name);
    Ok(node.with_context(|| name.to_owned())?.1)
}

fn runs((_, pid, config): &(String, i32, String)) -> bool {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    command
        .split(|byte| *byte == 0)
        .any(|word| word == config.as_bytes())
}

fn kill(pid: i32) -> Result<()> {
    Ok(kill_process(
        Pid::from_raw(pid).context("no process")?,
        Signal::KILL,
    )?)
}

async fn all_gone(topology: &Value) -> Result<()> {
    wait_until("no node is left", async || {
        (!nodes(topology).iter().any(runs)).then_some(())
    })
    .await
}

/// Without what differs between two runs.
fn without_processes(mut topology: Value) -> Value {
    for role in ["masters", "backends", "frontends"] {
        for node in topology[role].as_array_mut().into_iter().flatten() {
            node["pid"] = Value::Null;
        }
    }
    topology
}

#[tokio::test]
async fn a_node_that_dies_is_started_again_and_nothing_is_left_behind() -> Result<()> {
    let place = Place::new()?;
    let before = place.up(&[])?;
    ensure!(
        nodes(&before).len() == 4 && nodes(&before).iter().all(runs),
        "{before}"
    );
    for name in ["be1", "fe2", "mu1", "be1"] {
        let killed = pid_of(&place.topology()?, name)?;
        kill(killed)?;
        wait_until("another process", async || {
            let pid = pid_of(&place.topology().ok()?, name).ok()?;
            (pid != killed).then_some(())
        })
        .await?;
    }
    // A process is there before the topology says so, or another one after it.
    let after = wait_until("every node runs", async || {
        let topology = place.topology().ok()?;
        nodes(&topology).iter().all(runs).then_some(topology)
    })
    .await?;
    place.down()?;
    ensure!(!nodes(&after).iter().any(runs), "{after}");
    ensure!(place.topology().is_err(), "the topology is still there");
    ensure!(without_processes(before) == without_processes(after));
    Ok(())
}

#[tokio::test]
async fn a_supervisor_that_is_killed_takes_its_nodes_along() -> Result<()> {
    let place = Place::new()?;
    let topology = place.up(&["--frontends", "1", "--no-restart"])?;
    let dead = pid_of(&topology, "fe1")?;
    kill(dead)?;
    kill(place.supervisor()?)?;
    all_gone(&topology).await?;
    let again = place.up(&[])?;
    ensure!(pid_of(&again, "fe1")? != dead);
    place.down()
}

/// The processes whose arguments, as everybody can list them, have these words in them.
fn with_arguments(words: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc")? {
        // Others come and go.
        let line = std::fs::read(process?.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(words) {
            found.push(line);
        }
    }
    Ok(found)
}

/// The supervisor, which outlives the command, and its nodes do not show the password.
#[tokio::test]
async fn the_password_is_in_no_arguments_of_what_is_left_running() -> Result<()> {
    let place = Place::new()?;
    let password = format!("secret of {}", std::process::id());
    let topology = place.up(&["--frontends", "1", "--password", &password])?;
    ensure!(topology["users"]["password"] == *password, "{topology}");
    let supervisor = place.supervisor()?;
    ensure!(std::fs::exists(format!("/proc/{supervisor}"))?);
    let shown = with_arguments(&password)?;
    ensure!(shown.is_empty(), "{shown:?}");
    place.down()
}

#[tokio::test]
async fn ports_in_use_are_named() -> Result<()> {
    let place = Place::new()?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let output = place.murder(&["up", "--detach", "--base-port", &port])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(1) && said.contains(&format!("port {port} is not free")),
        "{said}"
    );
    Ok(())
}

/// What a node's HTTP server has at `path`.
fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[tokio::test]
async fn every_metric_is_documented() -> Result<()> {
    let documented = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let documented = std::fs::read_to_string(documented)?;
    let place = Place::new()?;
    let topology = place.up(&["--frontends", "1"])?;
    for (role, prefix) in [
        ("frontends", "murder_frontend_"),
        ("backends", "murder_backend_"),
        ("masters", "murder_mupdate_"),
    ] {
        let address = topology[role][0]["http"].as_str().context(role)?;
        let metrics = get(address, "/metrics")?;
        let types = metrics.lines().filter_map(|l| l.strip_prefix("# TYPE "));
        let mut count = 0;
        for line in types {
            let (name, kind) = line.split_once(' ').context("type")?;
            let name = name.strip_prefix(prefix).context("prefix")?;
            let name = match kind {
                "counter" => format!("`{name}_total"),
                _ => format!("`{name}"),
            };
            let found = documented
                .match_indices(&name)
                .any(|(at, _)| documented[at + name.len()..].starts_with(['`', '{']));
            ensure!(found, "{role}: {name} is not in docs/operations.md");
            count += 1;
        }
        ensure!(count >= 5, "{metrics}");
    }
    place.down()
}
