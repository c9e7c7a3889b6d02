//! The processes of a local murder: started, watched, restarted, stopped.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::arguments::Arguments;
use super::node::{Kind, Node, Service};
use super::plan::Plan;
use super::topology::Topology;
use crate::http::not_ready_reasons;
use crate::output::tail;
use crate::password::VARIABLE;

/// How long all nodes together may take to answer; they take a fraction of a second.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a node may go on saying why it is not ready: a journal may have to be applied again,
/// or another node is slower. After that somebody has to look.
const UNREADY_TIMEOUT: Duration = Duration::from_secs(10);
const READY_POLL: Duration = Duration::from_millis(5);
/// What sessions get to end by themselves, in seconds.
const GRACE_SECONDS: u64 = 5;
/// After which a node is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(GRACE_SECONDS + 5);
/// Before the first restart of a node that has run well; then ever longer, but always within the
/// second that is promised.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LAST_BACKOFF: Duration = Duration::from_millis(800);
/// A node that has run for so long has run well.
const RUN_WELL: Duration = Duration::from_secs(10);
/// Log files of former runs beyond this size are put aside when a node starts.
const LOG_BYTES: u64 = 16 << 20;
/// How many threads serve sessions in a node: the runtime's own variable.
const THREADS: &str = "TOKIO_WORKER_THREADS";
/// The allocator gives memory of more than so many KiB back to the system as soon as it is free, as that
/// of a password's hash: it would lie under smaller things otherwise, and stay.
const LARGE_OBJECTS: (&str, &str) = ("MIMALLOC_ARENA_MAX_OBJECT_SIZE", "8192");
/// What is said of a node that somebody has to look at.
pub const NOT_READY: &str = "is not ready";
/// Lines of a log that a failure shows.
const LOG_LINES: usize = 20;

/// The nodes and what is said about them.
#[derive(Debug)]
pub struct Fleet {
    nodes: Vec<Member>,
    board: Arc<Mutex<Board>>,
    restart: bool,
}

/// One node, and its process when it has one.
#[derive(Debug)]
struct Member {
    node: Node,
    process: Option<Process>,
    backoff: Duration,
    threads: usize,
}

#[derive(Debug)]
struct Process {
    child: Child,
    begun: Instant,
}

/// The topology and where it is written.
#[derive(Debug)]
struct Board {
    topology: Topology,
    dir: PathBuf,
    elsewhere: Option<PathBuf>,
    published: bool,
}

impl Board {
    fn set_pid(&mut self, node: &str, pid: u32) -> anyhow::Result<()> {
        self.topology.set_pid(node, pid);
        if self.published {
            self.write()?;
        }
        Ok(())
    }

    fn write(&self) -> anyhow::Result<()> {
        self.topology.write(&self.dir, self.elsewhere.as_deref())
    }
}

impl Fleet {
    /// One of the plan's nodes, none of them started.
    pub fn new(plan: &Plan, topology: Topology, arguments: &Arguments) -> anyhow::Result<Self> {
        let elsewhere = match &arguments.topology {
            Some(file) => Some(std::path::absolute(file)?),
            None => None,
        };
        let threads = plan.threads();
        let member = |node: &Node| Member {
            node: node.clone(),
            process: None,
            backoff: FIRST_BACKOFF,
            threads,
        };
        Ok(Self {
            nodes: plan.nodes().iter().map(member).collect(),
            board: Arc::new(Mutex::new(Board {
                topology,
                dir: plan.dir().to_owned(),
                elsewhere,
                published: false,
            })),
            restart: !arguments.no_restart,
        })
    }

    /// Starts the nodes of a kind and waits until they are ready, or it is clear that some will not
    /// be: says which and why, and returns their names.
    ///
    /// # Errors
    /// When one ends instead, with the end of its log.
    pub async fn start(&mut self, kind: Kind) -> anyhow::Result<Vec<String>> {
        self.start_those(|node| node.kind == kind).await
    }

    /// The same for the nodes that are not running yet.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_others(&mut self) -> anyhow::Result<Vec<String>> {
        self.start_those(|_| true).await
    }

    async fn start_those(&mut self, which: impl Fn(&Node) -> bool) -> anyhow::Result<Vec<String>> {
        let mut starting: Vec<&mut Member> = self
            .nodes
            .iter_mut()
            .filter(|member| member.process.is_none() && which(&member.node))
            .collect();
        for member in &mut starting {
            member.spawn(&self.board).await?;
        }
        let begun = Instant::now();
        let mut unready = Vec::new();
        while !starting.is_empty() {
            let mut waiting = Vec::new();
            for member in starting {
                member.still_runs()?;
                let address = member.node.address(Service::Http);
                let reasons = not_ready_reasons(&address).await;
                let waited = begun.elapsed();
                match reasons {
                    Ok(reasons) if reasons.is_empty() => {}
                    Ok(reasons) if waited > UNREADY_TIMEOUT => {
                        unready.push((member.node.name.clone(), reasons.join("; ")));
                    }
                    Err(error) if waited > START_TIMEOUT => {
                        let why = format!("no answer at {address}: {error}{}", member.log());
                        unready.push((member.node.name.clone(), why));
                    }
                    Ok(_) | Err(_) => waiting.push(member),
                }
            }
            starting = waiting;
            if !starting.is_empty() {
                sleep(READY_POLL).await;
            }
        }
        for (name, why) in &unready {
            eprintln!("murder: {name} {NOT_READY}: {why}");
        }
        Ok(unready.into_iter().map(|(name, _)| name).collect())
    }

    /// Writes the topology, and from now on with every change.
    pub async fn publish(&self) -> anyhow::Result<()> {
        let mut board = self.board.lock().await;
        board.published = true;
        board.write()
    }

    /// The topology as it is now.
    pub async fn topology(&self) -> Topology {
        self.board.lock().await.topology.clone()
    }

    /// Restarts nodes that end, until `stop` does.
    pub async fn watch(&mut self, stop: impl Future<Output = ()>) {
        let stopping = tokio_util::sync::CancellationToken::new();
        let mut keepers = JoinSet::new();
        for member in self.nodes.drain(..) {
            let (board, restart, stopping) =
                (Arc::clone(&self.board), self.restart, stopping.clone());
            keepers.spawn(async move {
                let mut member = member;
                let kept = member.keep(&board, restart);
                stopping.run_until_cancelled(kept).await;
                member
            });
        }
        stop.await;
        stopping.cancel();
        self.nodes = keepers.join_all().await;
    }

    /// Stops all nodes: first those that clients see, last those that the others need.
    pub async fn stop(&mut self) {
        for kind in Kind::ALL {
            let of_kind = || self.nodes.iter().filter(|member| member.node.kind == kind);
            of_kind().for_each(Member::ask_to_stop);
            for member in self
                .nodes
                .iter_mut()
                .filter(|member| member.node.kind == kind)
            {
                member.wait_or_kill().await;
            }
        }
    }
}

impl Member {
    async fn spawn(&mut self, board: &Mutex<Board>) -> anyhow::Result<()> {
        let log = open_log(&self.node.log_file())?;
        let mut command = Command::new(executable()?);
        if std::env::var_os(THREADS).is_none() {
            command.env(THREADS, self.threads.to_string());
        }
        if std::env::var_os(LARGE_OBJECTS.0).is_none() {
            command.env(LARGE_OBJECTS.0, LARGE_OBJECTS.1);
        }
        let child = command
            .env_remove(VARIABLE)
            .args(["node", "--config"])
            .arg(self.node.config_file())
            .args(["--grace", &GRACE_SECONDS.to_string()])
            .args(["--with-parent", &std::process::id().to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0) // Ctrl-C is for the supervisor, which stops nodes in order
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.node.name))?;
        let pid = child.id().context("the node has ended at once")?;
        self.process = Some(Process {
            child,
            begun: Instant::now(),
        });
        board.lock().await.set_pid(&self.node.name, pid)
    }

    /// An error with the end of the log when the process has ended.
    fn still_runs(&mut self) -> anyhow::Result<()> {
        let ended = match &mut self.process {
            Some(process) => process.child.try_wait()?,
            None => None,
        };
        match ended {
            Some(status) => bail!("{} did not start ({status}){}", self.node.name, self.log()),
            None => Ok(()),
        }
    }

    fn log(&self) -> String {
        let file = self.node.log_file();
        format!(
            "; the end of {}:\n{}",
            file.display(),
            tail(&file, LOG_LINES)
        )
    }

    /// Restarts the process whenever it ends; returns only when it may not.
    async fn keep(&mut self, board: &Mutex<Board>, restart: bool) {
        let name = self.node.name.clone();
        loop {
            if let Some(process) = &mut self.process {
                let status = process.child.wait().await;
                let ended = describe(status);
                if process.begun.elapsed() >= RUN_WELL {
                    self.backoff = FIRST_BACKOFF;
                }
                self.process = None;
                eprintln!("murder: {name} has ended ({ended})");
            }
            if !restart {
                return;
            }
            sleep(self.backoff).await;
            self.backoff = (self.backoff * 2).min(LAST_BACKOFF);
            match self.spawn(board).await {
                Ok(()) => eprintln!("murder: {name} was started again"),
                Err(error) => eprintln!("murder: {name} was not started again: {error:#}"),
            }
        }
    }

    fn ask_to_stop(&self) {
        let pid = self.process.as_ref().and_then(|process| process.child.id());
        if let Some(pid) = pid.and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            // One that has ended by itself needs no asking.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    async fn wait_or_kill(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        if timeout(STOP_TIMEOUT, process.child.wait()).await.is_err() {
            eprintln!("murder: {} does not stop and is killed", self.node.name);
            if let Err(error) = process.child.kill().await {
                eprintln!("murder: {} cannot be killed: {error}", self.node.name);
            }
        }
    }
}

/// The program that runs; by way of the kernel when its file was replaced meanwhile.
fn executable() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?;
    if path.exists() {
        return Ok(path);
    }
    Ok(PathBuf::from("/proc/self/exe"))
}

fn describe(status: std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

fn open_log(file: &Path) -> anyhow::Result<std::fs::File> {
    if std::fs::metadata(file).is_ok_and(|log| log.len() > LOG_BYTES) {
        std::fs::rename(file, file.with_extension("log.1"))?;
    }
    let opened = OpenOptions::new().create(true).append(true).open(file);
    opened.with_context(|| format!("cannot write {}", file.display()))
}
