//! The murder that is measured.

use std::path::PathBuf;

use anyhow::Context;
use murder_testkit::{ImapClient, LmtpClient, Processes, Status, Topology};

use crate::Arguments;

/// A running murder.
pub struct Target {
    topology: Topology,
    /// Its own, stopped at the end.
    _processes: Option<Processes>,
}

/// The `murder` program.
pub fn program(said: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(program) = said {
        return Ok(program.clone());
    }
    let own = std::env::current_exe()?;
    let folder = own.parent().context("this program is nowhere")?;
    let program = folder.join("murder");
    anyhow::ensure!(
        program.exists(),
        "{} is not there: `cargo build --release -p murder`, or say --murder FILE",
        program.display()
    );
    Ok(program)
}

impl Target {
    /// The one of the topology file, or a new one.
    pub async fn new(arguments: &Arguments) -> anyhow::Result<Self> {
        if let Some(file) = &arguments.topology {
            return Ok(Self {
                topology: Topology::read(file)?,
                _processes: None,
            });
        }
        let users = (2 * arguments.idle).max(100);
        let processes = Processes::builder(program(arguments.murder.as_ref())?)
            .users(users)
            .start()
            .await?;
        Ok(Self {
            topology: processes.topology()?,
            _processes: Some(processes),
        })
    }

    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The name of the user for client `number`, from 0; round again when there are fewer.
    pub fn user(&self, number: u32) -> String {
        let users = &self.topology.users;
        users.name(users.first + number % users.count.max(1))
    }

    /// Logs client `number` in, at the frontend whose turn it is.
    pub async fn client(&self, number: u32) -> anyhow::Result<ImapClient> {
        self.client_at(number as usize, &self.user(number)).await
    }

    /// Logs `user` in at a frontend, counted from 0.
    pub async fn client_at(&self, frontend: usize, user: &str) -> anyhow::Result<ImapClient> {
        let frontends = &self.topology.frontends;
        let frontend = &frontends[frontend % frontends.len()];
        let mut client = ImapClient::connect(frontend.imap).await?;
        client.login(user, &self.topology.users.password).await?;
        Ok(client)
    }

    /// Makes a mailbox, if it is not there.
    pub async fn have(client: &mut ImapClient, name: &str) -> anyhow::Result<()> {
        let answer = client.command(&format!("CREATE {name}")).await?;
        anyhow::ensure!(
            answer.status == Status::Ok || answer.code() == "ALREADYEXISTS",
            "{answer:?}"
        );
        Ok(())
    }

    /// An LMTP connection of client `number`.
    pub async fn lmtp(&self, number: u32) -> anyhow::Result<LmtpClient> {
        let frontends = &self.topology.frontends;
        LmtpClient::connect(frontends[number as usize % frontends.len()].lmtp).await
    }
}
