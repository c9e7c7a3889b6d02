//! A murder of real processes, by `murder up`: for tests that kill.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::http::http_get;
use crate::imap::ImapClient;
use crate::lmtp::LmtpClient;
use crate::stream::Trust;
use crate::topology::Topology;
use crate::wait::wait_until;

/// How it is started.
#[derive(Debug)]
pub struct ProcessesBuilder {
    program: PathBuf,
    arguments: Vec<String>,
    dir: Option<PathBuf>,
}

impl ProcessesBuilder {
    /// An argument of `murder up`, such as `--users=3`.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Users.
    #[must_use]
    pub fn users(self, count: u32) -> Self {
        self.argument(&format!("--users={count}"))
    }

    /// Uses this directory, and leaves it there.
    #[must_use]
    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// Starts it; it is ready when this returns.
    ///
    /// # Errors
    /// When it does not start, with what it said.
    pub async fn start(self) -> anyhow::Result<Processes> {
        let own = match self.dir {
            Some(_) => None,
            None => Some(tempfile::tempdir()?),
        };
        let dir = match (&self.dir, &own) {
            (Some(dir), _) => dir.clone(),
            (None, Some(own)) => own.path().join("murder"),
            (None, None) => bail!("no directory"),
        };
        std::fs::create_dir_all(&dir)?;
        let topology = dir.join("test-topology.json");
        // Of a murder that was killed here.
        if topology.exists() {
            std::fs::remove_file(&topology)?;
        }
        let output = dir.join("up.log");
        let log = File::create(&output)?;
        let supervisor = Command::new(&self.program)
            .arg("up")
            .arg("--dir")
            .arg(&dir)
            .arg("--topology")
            .arg(&topology)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let mut processes = Processes {
            supervisor,
            topology,
            output,
            dir,
            own,
        };
        processes.wait_ready().await?;
        Ok(processes)
    }
}

/// A node of a running murder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningNode {
    /// Its process.
    pub pid: i32,
    /// Its TOML file.
    pub config: PathBuf,
    /// Health, readiness and metrics.
    pub http: SocketAddr,
}

/// The murder. Dropped, all of its processes are killed.
#[derive(Debug)]
pub struct Processes {
    supervisor: Child,
    topology: PathBuf,
    output: PathBuf,
    dir: PathBuf,
    own: Option<TempDir>,
}

impl Processes {
    /// One that runs `program`, which is `murder`.
    #[must_use]
    pub fn builder(program: impl Into<PathBuf>) -> ProcessesBuilder {
        ProcessesBuilder {
            program: program.into(),
            arguments: Vec::new(),
            dir: None,
        }
    }

    async fn wait_ready(&mut self) -> anyhow::Result<()> {
        let topology = self.topology.clone();
        let supervisor = &mut self.supervisor;
        let ready = wait_until("`murder up` is ready", async || {
            match supervisor.try_wait() {
                Ok(None) => topology.exists().then_some(Ok(())),
                Ok(Some(status)) => Some(Err(format!("`murder up` has ended: {status}"))),
                Err(error) => Some(Err(error.to_string())),
            }
        });
        if let Err(error) = ready.await? {
            bail!("{error}\n{}", self.output());
        }
        Ok(())
    }

    /// Where it keeps everything.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file that it writes its topology to.
    #[must_use]
    pub fn topology_file(&self) -> &Path {
        &self.topology
    }

    /// What `murder up` has said so far.
    #[must_use]
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// As it is now.
    ///
    /// # Errors
    /// When the file is not of its form.
    pub fn topology(&self) -> anyhow::Result<Topology> {
        Topology::read(&self.topology)
    }

    /// The node of that name, as it is now.
    ///
    /// # Errors
    /// When there is none.
    pub fn node(&self, name: &str) -> anyhow::Result<RunningNode> {
        let topology = self.topology()?;
        let mut processes = topology.processes();
        let found = processes.find(|(known, ..)| *known == name);
        let (_, pid, config, http) = found.with_context(|| format!("no node {name}"))?;
        Ok(RunningNode {
            pid,
            config: config.to_owned(),
            http,
        })
    }

    /// A client of frontend `number`, from 1, logged in as `user`.
    ///
    /// # Errors
    /// When it cannot log in.
    pub async fn imap(&self, number: usize, user: &str) -> anyhow::Result<ImapClient> {
        let topology = self.topology()?;
        let mut client = ImapClient::connect(topology.frontends[number - 1].imap).await?;
        client.login(user, &topology.users.password).await?;
        Ok(client)
    }

    /// An LMTP client of frontend `number`, from 1.
    ///
    /// # Errors
    /// When the frontend does not greet.
    pub async fn lmtp(&self, number: usize) -> anyhow::Result<LmtpClient> {
        LmtpClient::connect(self.topology()?.frontends[number - 1].lmtp).await
    }

    /// What clients believe.
    ///
    /// # Errors
    /// When the CA's certificate cannot be read.
    pub fn trust(&self) -> anyhow::Result<Trust> {
        Trust::load(&self.topology()?.ca)
    }

    /// `kill -9` of a node; gives the process that it was.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self, name: &str) -> anyhow::Result<i32> {
        self.signal(name, Signal::KILL)
    }

    /// Stops a node's process, which answers nothing then, until [`resume`](Self::resume).
    ///
    /// # Errors
    /// When it does not run.
    pub async fn pause(&self, name: &str) -> anyhow::Result<()> {
        let pid = self.signal(name, Signal::STOP)?;
        wait_until("the process stops", async || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let (_, state) = status.rsplit_once(") ")?;
            state.starts_with('T').then_some(())
        })
        .await
    }

    /// Lets a node that was stopped go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self, name: &str) -> anyhow::Result<()> {
        self.signal(name, Signal::CONT).map(drop)
    }

    /// Has a node read its certificates again.
    ///
    /// # Errors
    /// When it does not run.
    pub fn reload(&self, name: &str) -> anyhow::Result<()> {
        self.signal(name, Signal::HUP).map(drop)
    }

    fn signal(&self, name: &str, signal: Signal) -> anyhow::Result<i32> {
        let pid = self.node(name)?.pid;
        let process = Pid::from_raw(pid).context("no process")?;
        kill_process(process, signal).with_context(|| format!("{signal:?} to {name} ({pid})"))?;
        Ok(pid)
    }

    /// Waits until a node that was killed is back as another process, and ready; gives it.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn wait_restarted(&self, name: &str, killed: i32) -> anyhow::Result<i32> {
        let pid = wait_until("a new process", async || {
            let node = self.node(name).ok()?;
            (node.pid != killed && node.pid != 0).then_some(node.pid)
        });
        let pid = pid
            .await
            .with_context(|| format!("{name}\n{}", self.output()))?;
        self.wait_node_ready(name).await?;
        Ok(pid)
    }

    /// Waits until a node says that it is ready.
    ///
    /// # Errors
    /// When it does not.
    pub async fn wait_node_ready(&self, name: &str) -> anyhow::Result<()> {
        let http = self.node(name)?.http;
        let ready = wait_until("readiness", async || {
            let answer = http_get(http, "/readyz").await.ok()?;
            (answer.status == 200).then_some(())
        });
        ready
            .await
            .with_context(|| format!("{name}\n{}", self.output()))
    }

    /// Asks the supervisor to stop everything, and waits until it has.
    ///
    /// # Errors
    /// When it does not end well.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop_and_keep().await.map(drop)
    }

    /// As [`stop`](Self::stop); gives its directory, if it has made one of its own, to be dropped
    /// when it is not needed any more.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub async fn stop_and_keep(mut self) -> anyhow::Result<Option<TempDir>> {
        let pid = Pid::from_raw(self.supervisor.id().cast_signed()).context("no process")?;
        kill_process(pid, Signal::TERM)?;
        let supervisor = &mut self.supervisor;
        let ended = wait_until("`murder up` ends", async || {
            supervisor.try_wait().ok().flatten()
        });
        let status = ended.await?;
        if !status.success() {
            bail!("`murder up` has ended: {status}\n{}", self.output());
        }
        Ok(self.own.take())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // The supervisor first, so that it restarts nothing. What follows may be gone already.
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
        if let Ok(topology) = self.topology() {
            for (_, pid, config, _) in topology.processes() {
                if runs_with(pid, config)
                    && let Some(pid) = Pid::from_raw(pid)
                {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
        }
    }
}

/// A process id alone may have been given to something else.
fn runs_with(pid: i32, config: &Path) -> bool {
    let Ok(command) = std::fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    let config = config.as_os_str().as_encoded_bytes();
    command
        .split(|byte| *byte == 0)
        .any(|argument| argument == config)
}
