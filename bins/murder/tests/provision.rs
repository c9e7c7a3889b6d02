//! `deploy/provision.sh` makes nodes, whatever they are called, and can be run again.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use murder_backend::BackendConfig;
use murder_frontend::FrontendConfig;
use murder_mupdate::MasterConfig;
use murder_node::RoleConfig;
use murder_testkit::wait_until;

struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let bin = dir.path().join("bin");
        std::fs::create_dir(&bin)?;
        // Below `--root` nothing of it is run.
        for program in ["murder-frontend", "murder-backend", "murder-mupdate"] {
            std::fs::write(bin.join(program), "#!/bin/true\n")?;
        }
        std::fs::write(bin.join("murder"), "#!/bin/true\n")?;
        for program in std::fs::read_dir(&bin)? {
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(program?.path(), mode)?;
        }
        let machine = Self { dir };
        machine.murder(&["cert", "init", "--dir", "ca"])?;
        Ok(machine)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn murder(&self, arguments: &[&str]) -> Result<Output> {
        let output = Command::new(env!("CARGO_BIN_EXE_murder"))
            .args(arguments)
            .current_dir(self.dir.path())
            .output()?;
        ensure!(output.status.success(), "{arguments:?}: {output:?}");
        Ok(output)
    }

    fn issue(&self, name: &str, role: &str) -> Result<String> {
        let made = self.murder(&[
            "cert",
            "issue",
            name,
            "--role",
            role,
            "--ca",
            "ca",
            "--out",
            name,
            "--if-needed",
        ])?;
        Ok(String::from_utf8(made.stdout)?)
    }

    fn provision(&self, role: &str, name: &str, more: &[&str]) -> Result<Output> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/provision.sh");
        Ok(Command::new(script)
            .args([role, "--name", name, "--cert", name])
            .args(["--bin", "bin", "--root", "root"])
            .args(more)
            .current_dir(self.dir.path())
            .output()?)
    }

    /// The configuration as the node loads it: certificates, names and roles are checked.
    fn load<S: RoleConfig>(&self, role: &str) -> Result<S> {
        Ok(murder_node::load::<S>(
            &self.path(&format!("root/etc/murder/{role}.toml")),
        )?)
    }
}

const MASTER: [&str; 2] = ["--master", "hub.example.org:3905"];

#[test]
fn nodes_of_any_name() -> Result<()> {
    let machine = Machine::new()?;
    for (role, name) in [
        ("mupdate", "hub"),
        ("backend", "store-7.west"),
        ("frontend", "door"),
        ("operator", "anna"),
    ] {
        machine.issue(name, role)?;
        let host = format!("{name}.example.org");
        let mut more = vec!["--host", host.as_str()];
        if role != "mupdate" {
            more.extend(MASTER);
        }
        let done = machine.provision(role, name, &more)?;
        ensure!(done.status.success(), "{role}: {done:?}");
    }
    let hub = machine.load::<MasterConfig>("mupdate")?;
    ensure!(hub.node.name == "hub");
    let store = machine.load::<BackendConfig>("backend")?;
    ensure!(store.node.name == "store-7.west");
    ensure!(store.mupdate.masters == ["hub.example.org:3905"]);
    ensure!(store.imap.advertise.as_deref() == Some("store-7.west.example.org:993"));
    let door = machine.load::<FrontendConfig>("frontend")?;
    ensure!(door.node.name == "door" && door.mupdate.masters == ["hub.example.org:3905"]);
    let operator = std::fs::read_to_string(machine.path("root/etc/murder/operator.toml"))?;
    ensure!(operator.contains("cert = \"tls/anna.pem\"") && operator.contains("\"tls/anna.key\""));
    Ok(())
}

#[test]
fn a_second_run_changes_nothing() -> Result<()> {
    let machine = Machine::new()?;
    machine.issue("store", "backend")?;
    let files = [
        "usr/local/bin/murder-backend",
        "etc/murder/backend.toml",
        "etc/murder/tls/store.key",
        "etc/systemd/system/murder-backend.service",
    ];
    let run = || -> Result<Vec<(u64, std::time::SystemTime)>> {
        use std::os::unix::fs::MetadataExt;
        let done = machine.provision("backend", "store", &MASTER)?;
        ensure!(done.status.success(), "{done:?}");
        let looked = files.iter().map(|file| {
            let metadata = std::fs::metadata(machine.path("root").join(file))
                .with_context(|| (*file).to_owned())?;
            Ok((metadata.ino(), metadata.modified()?))
        });
        looked.collect()
    };
    let first = run()?;
    // What an administrator has changed stays.
    let config = machine.path("root/etc/murder/backend.toml");
    let text = std::fs::read_to_string(&config)? + "\n# ours\n";
    std::fs::write(&config, &text)?;
    ensure!(machine.issue("store", "backend")? == "unchanged\n");
    let second = run()?;
    ensure!(first[0] == second[0] && first[2..] == second[2..]);
    ensure!(std::fs::read_to_string(&config)? == text);
    // A new certificate and a new binary take the place of the old ones.
    machine.murder(&[
        "cert", "issue", "store", "--role", "backend", "--ca", "ca", "--out", "store",
    ])?;
    std::fs::write(machine.path("bin/murder-backend"), "#!/bin/false\n")?;
    let third = run()?;
    ensure!(third[0] != second[0] && third[2] != second[2] && third[3] == second[3]);
    machine.load::<BackendConfig>("backend")?;
    Ok(())
}

#[test]
fn what_is_missing_is_said() -> Result<()> {
    let machine = Machine::new()?;
    machine.issue("store", "backend")?;
    for (role, name, more, said) in [
        ("backend", "store", &[][..], "say --master"),
        ("backend", "other", &MASTER[..], "is not there"),
        ("postmaster", "store", &[][..], "Usage"),
    ] {
        let refused = machine.provision(role, name, more)?;
        ensure!(!refused.status.success());
        let text = String::from_utf8_lossy(&refused.stderr);
        ensure!(text.contains(said), "{text}");
    }
    Ok(())
}

/// A node of the deployment that runs. Dropped, it is killed.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Machine {
    /// Changes a configuration to what can run beside other tests: addresses and directories.
    fn localise(&self, role: &str, changes: &[(&str, &str, toml::Value)]) -> Result<PathBuf> {
        let file = self.path(&format!("root/etc/murder/{role}.toml"));
        let mut config: toml::Table = toml::from_str(&std::fs::read_to_string(&file)?)?;
        for (section, key, value) in changes {
            let section = config.get_mut(*section).and_then(toml::Value::as_table_mut);
            let section = section.with_context(|| format!("{role}: no section of {key}"))?;
            section.insert((*key).to_owned(), value.clone());
        }
        std::fs::write(&file, toml::to_string(&config)?)?;
        Ok(file)
    }

    fn run(&self, role: &str, changes: &[(&str, &str, toml::Value)]) -> Result<Running> {
        let file = self.localise(role, changes)?;
        let log = std::fs::File::create(self.path(&format!("{role}.log")))?;
        let node = Command::new(env!("CARGO_BIN_EXE_murder"))
            .args(["role", role, "--config"])
            .arg(file)
            .stderr(log)
            .spawn()?;
        Ok(Running(node))
    }
}

#[tokio::test]
async fn the_murder_is_well_and_says_so() -> Result<()> {
    let machine = Machine::new()?;
    for (role, name) in [
        ("mupdate", "hub"),
        ("backend", "store"),
        ("frontend", "door"),
        ("operator", "anna"),
    ] {
        machine.issue(name, role)?;
        let more = if role == "mupdate" { &[][..] } else { &MASTER };
        let done = machine.provision(role, name, more)?;
        ensure!(done.status.success(), "{role}: {done:?}");
    }
    // A port of an address of its own stays free, as nobody else takes any there.
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let loopback = std::net::Ipv4Addr::new(127, 64 | (a & 63), b, c.max(1));
    let listener = std::net::TcpListener::bind((loopback, 0))?;
    let grpc = listener.local_addr()?.to_string();
    drop(listener);
    let any = || toml::Value::from(format!("{loopback}:0"));
    let all = || toml::Value::from(vec![any()]);
    let masters = || ("mupdate", "masters", toml::Value::from(vec![grpc.clone()]));
    let data = |role: &str| {
        let path = machine.path(role).display().to_string();
        ("node", "data_dir", toml::Value::from(path))
    };
    let path = machine.path("mail").display().to_string();
    let mut partition = toml::Table::new();
    partition.insert("path".into(), path.into());
    let grpc_listen = ("grpc", "listen", toml::Value::from(grpc.clone()));
    let _nodes = [
        machine.run(
            "mupdate",
            &[data("mupdate"), grpc_listen, ("http", "listen", any())],
        )?,
        machine.run(
            "backend",
            &[
                data("backend"),
                masters(),
                ("partitions", "default", partition.into()),
                ("imap", "listen", all()),
                ("imap", "tls_listen", all()),
                ("lmtp", "listen", all()),
                ("admin", "listen", any()),
                ("http", "listen", any()),
            ],
        )?,
        machine.run(
            "frontend",
            &[
                data("frontend"),
                masters(),
                ("imap", "listen", all()),
                ("imap", "tls_listen", all()),
                ("lmtp", "listen", all()),
                ("http", "listen", any()),
            ],
        )?,
    ];
    machine.localise("operator", &[masters()])?;
    let well = wait_until("`murder status --check` is green", async || {
        let status = Command::new(env!("CARGO_BIN_EXE_murder"))
            .args([
                "status",
                "--check",
                "--config",
                "root/etc/murder/operator.toml",
            ])
            .current_dir(machine.dir.path())
            .output()
            .ok()?;
        let shown = String::from_utf8_lossy(&status.stdout).into_owned();
        let all = ["hub", "store", "door", "store!default"];
        let there = all.iter().all(|name| shown.contains(name));
        (status.status.success() && there).then_some(())
    });
    well.await.with_context(|| {
        let log = |role| std::fs::read_to_string(machine.path(&format!("{role}.log")));
        format!("{:?}", ["mupdate", "backend", "frontend"].map(log))
    })
}
