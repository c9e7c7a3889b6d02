//! A whole murder in the test's process: a master, backends and frontends on a loopback address of
//! their own, over mTLS, with accounts and INBOXes.

mod builder;
mod config;
mod node;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use murder_location::MupdateClient;
use murder_mupdate::MasterConfig;
use tempfile::TempDir;

use crate::imap::ImapClient;
use crate::lmtp::LmtpClient;
use crate::pop3::Pop3Client;
use crate::stream::Trust;
use crate::wait::{wait_until, within};

pub use builder::Builder;
pub use config::Addresses;
use node::TestNode;

/// The administrator's name.
pub const ADMIN: &str = "admin";
/// What sessions get to end by themselves when a node is stopped.
const GRACE: Duration = Duration::from_secs(5);

/// The murder. Nodes are counted from 1, as in their names: `be1`, `fe2`. Dropped, all of it stops
/// at once and its files are gone.
pub struct Murder {
    master: TestNode<MasterConfig>,
    backends: Vec<TestNode<murder_backend::BackendConfig>>,
    frontends: Vec<TestNode<murder_frontend::FrontendConfig>>,
    password: String,
    users: u32,
    operator: MupdateClient,
    trust: Trust,
    /// Last, so that it goes after the nodes.
    dir: TempDir,
}

impl std::fmt::Debug for Murder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Murder")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Murder {
    /// One master, two backends, two frontends, four users.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start() -> anyhow::Result<Self> {
        Self::builder().start().await
    }

    /// One of other sizes.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where everything is kept; each node in a folder of its name.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Everyone's password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Number of users, `user1` and so on; the first's INBOX is on `be1`, the second's on `be2`,
    /// and round again.
    #[must_use]
    pub fn users(&self) -> u32 {
        self.users
    }

    /// What clients believe.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// A client of the master with an operator's certificate.
    #[must_use]
    pub fn operator(&self) -> &MupdateClient {
        &self.operator
    }

    /// The addresses of frontend `number`.
    #[must_use]
    pub fn frontend(&self, number: usize) -> &Addresses {
        &self.frontends[number - 1].addresses
    }

    /// The addresses of backend `number`.
    #[must_use]
    pub fn backend(&self, number: usize) -> &Addresses {
        &self.backends[number - 1].addresses
    }

    /// The master's HTTP address.
    #[must_use]
    pub fn master_http(&self) -> SocketAddr {
        self.master.addresses.http
    }

    /// A client of frontend `number`, logged in as `user`.
    ///
    /// # Errors
    /// When it cannot log in.
    pub async fn imap(&self, number: usize, user: &str) -> anyhow::Result<ImapClient> {
        self.login(self.frontend(number).imap, user).await
    }

    /// A client of backend `number` without a frontend between, logged in as `user`.
    ///
    /// # Errors
    /// When it cannot log in.
    pub async fn imap_at_backend(&self, number: usize, user: &str) -> anyhow::Result<ImapClient> {
        self.login(self.backend(number).imap, user).await
    }

    async fn login(&self, address: SocketAddr, user: &str) -> anyhow::Result<ImapClient> {
        let mut client = ImapClient::connect(address).await?;
        client.login(user, &self.password).await?;
        Ok(client)
    }

    /// A client of frontend `number`, logged in as the administrator.
    ///
    /// # Errors
    /// When it cannot log in.
    pub async fn admin(&self, number: usize) -> anyhow::Result<ImapClient> {
        self.imap(number, ADMIN).await
    }

    /// An LMTP client of frontend `number`.
    ///
    /// # Errors
    /// When the frontend does not greet.
    pub async fn lmtp(&self, number: usize) -> anyhow::Result<LmtpClient> {
        LmtpClient::connect(self.frontend(number).lmtp).await
    }

    /// A POP3 client of backend `number`, logged in as `user`.
    ///
    /// # Errors
    /// When it cannot log in.
    pub async fn pop3(&self, number: usize, user: &str) -> anyhow::Result<Pop3Client> {
        let mut client = Pop3Client::connect(self.backend(number).pop3).await?;
        client.login(user, &self.password).await?;
        Ok(client)
    }

    /// Kills backend `number`, as `kill -9` would: nothing is put in order.
    pub async fn kill_backend(&mut self, number: usize) {
        self.backends[number - 1].kill().await;
    }

    /// Starts backend `number` again, at the same addresses, over the same data.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_backend(&mut self, number: usize) -> anyhow::Result<()> {
        self.start_backend_unready(number).await?;
        self.backends[number - 1].ready().await
    }

    /// As [`start_backend`](Self::start_backend), without waiting until it calls itself ready.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_backend_unready(&mut self, number: usize) -> anyhow::Result<()> {
        self.backends[number - 1].start().await
    }

    /// Stops backend `number` as SIGTERM would.
    pub async fn stop_backend(&mut self, number: usize) {
        self.backends[number - 1].stop(GRACE).await;
    }

    /// Kills frontend `number`, as `kill -9` would.
    pub async fn kill_frontend(&mut self, number: usize) {
        self.frontends[number - 1].kill().await;
    }

    /// Starts frontend `number` again, at the same addresses.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_frontend(&mut self, number: usize) -> anyhow::Result<()> {
        self.frontends[number - 1].start().await
    }

    /// Stops frontend `number` as SIGTERM would.
    pub async fn stop_frontend(&mut self, number: usize) {
        self.frontends[number - 1].stop(GRACE).await;
    }

    /// Kills the master, as `kill -9` would.
    pub async fn kill_master(&mut self) {
        self.master.kill().await;
    }

    /// Starts the master again, at the same address, with the same state.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_master(&mut self) -> anyhow::Result<()> {
        self.master.start().await
    }

    /// Waits until every node says that it is ready.
    ///
    /// # Errors
    /// When one does not, with its reasons.
    pub async fn ready(&self) -> anyhow::Result<()> {
        self.master.ready().await?;
        for backend in &self.backends {
            backend.ready().await?;
        }
        for frontend in &self.frontends {
            frontend.ready().await?;
        }
        Ok(())
    }

    /// Stops all of it, in order.
    pub async fn shutdown(mut self) {
        for frontend in &mut self.frontends {
            frontend.stop(GRACE).await;
        }
        for backend in &mut self.backends {
            backend.stop(GRACE).await;
        }
        self.master.stop(GRACE).await;
    }

    /// Makes the INBOXes of users that are there since.
    async fn make_inboxes(&self) -> anyhow::Result<()> {
        let count = self.backends.len();
        let make = async |number: usize| {
            let mut admin = self.imap_at_backend(number, ADMIN).await?;
            let mut tags = Vec::new();
            for user in (number..=self.users as usize).step_by(count) {
                tags.push(admin.send(&format!("CREATE user/user{user}")).await?);
            }
            for tag in tags {
                let answer = admin.finish(&tag).await?;
                if answer.status != crate::Status::Ok {
                    bail!("cannot make an INBOX: {answer:?}");
                }
            }
            anyhow::Ok(())
        };
        within("the INBOXes", async {
            for number in 1..=count {
                make(number).await?;
            }
            Ok(())
        })
        .await
    }

    /// Waits until every frontend's map shows the INBOXes.
    async fn see_inboxes(&self) -> anyhow::Result<()> {
        if self.users == 0 {
            return Ok(());
        }
        for number in 1..=self.frontends.len() {
            let mut admin = self.admin(number).await?;
            wait_until("a frontend shows all INBOXes", async || {
                let names = admin.list("*").await.ok()?;
                let inboxes = names.iter().filter(|name| is_inbox(name)).count();
                (inboxes >= self.users as usize).then_some(())
            })
            .await
            .with_context(|| format!("fe{number}"))?;
        }
        Ok(())
    }
}

fn is_inbox(name: &str) -> bool {
    let user = name.rsplit('/').next().unwrap_or_default();
    let number = user.strip_prefix("user").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}
