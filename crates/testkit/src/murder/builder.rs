//! How a murder is made.

use std::path::Path;

use anyhow::Context;
use murder_auth::Account;
use murder_location::{MupdateClient, MupdateClientConfig};
use murder_net::{Ca, NodeTls, Role};

use super::config::{Addresses, Extra};
use super::node::{TestNode, TestRole};
use super::{ADMIN, Murder};
use crate::password::cheap_hash;
use crate::stream::Trust;
use crate::{loopback, wait};

/// Name of the operator's certificate.
const OPERATOR: &str = "operator";

/// The sizes of a murder, and what is special about it.
#[derive(Debug, Clone)]
pub struct Builder {
    backends: usize,
    frontends: usize,
    users: u32,
    password: String,
    extra: Extra,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            backends: 2,
            frontends: 2,
            users: 4,
            password: "secret".to_owned(),
            extra: Extra {
                // Long enough to be told from none, short enough for tests.
                limits: "failed_login_delay_ms = 200".to_owned(),
                ..Extra::default()
            },
        }
    }
}

impl Builder {
    /// Backends.
    #[must_use]
    pub fn backends(mut self, count: usize) -> Self {
        self.backends = count;
        self
    }

    /// Frontends.
    #[must_use]
    pub fn frontends(mut self, count: usize) -> Self {
        self.frontends = count;
        self
    }

    /// Users, besides the administrator.
    #[must_use]
    pub fn users(mut self, count: u32) -> Self {
        self.users = count;
        self
    }

    /// Everyone's password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        password.clone_into(&mut self.password);
        self
    }

    /// A line of `[imap]` of every frontend and backend.
    #[must_use]
    pub fn imap_setting(mut self, line: &str) -> Self {
        add(&mut self.extra.imap, line);
        self
    }

    /// A line of `[lmtp]` of every frontend and backend.
    #[must_use]
    pub fn lmtp_setting(mut self, line: &str) -> Self {
        add(&mut self.extra.lmtp, line);
        self
    }

    /// A line of `[mupdate]` of every frontend and backend.
    #[must_use]
    pub fn mupdate_setting(mut self, line: &str) -> Self {
        add(&mut self.extra.mupdate, line);
        self
    }

    /// A line of `[limits]` of every frontend and backend.
    #[must_use]
    pub fn limit(mut self, line: &str) -> Self {
        add(&mut self.extra.limits, line);
        self
    }

    /// A line of `[login]` of every frontend and backend.
    #[must_use]
    pub fn login_setting(mut self, line: &str) -> Self {
        add(&mut self.extra.login, line);
        self
    }

    /// A line of `[partitions.default]` of every backend.
    #[must_use]
    pub fn partition_setting(mut self, line: &str) -> Self {
        add(&mut self.extra.partition, line);
        self
    }

    /// Starts it; it is ready when this returns.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start(self) -> anyhow::Result<Murder> {
        wait::within("a murder's start", self.bring_up()).await
    }

    async fn bring_up(self) -> anyhow::Result<Murder> {
        let dir = tempfile::tempdir()?;
        let ca = Ca::generate(&dir.path().join("ca"))?;
        let make = Make {
            ca: &ca,
            dir: dir.path(),
            free: Addresses::free(loopback::own()),
            extra: &self.extra,
        };
        let mut master = make.node("mu1".to_owned(), None)?;
        master.start().await?;
        let grpc = Some(master.addresses.grpc);

        let folder = dir.path().join(OPERATOR);
        let files = ca.issue_into(&folder, OPERATOR, &[Role::Operator], &[])?;
        let tls = NodeTls::load(&files)?.client();
        let masters = vec![master.addresses.grpc.to_string()];
        // For `murder --dir`.
        let config = format!(
            "[cluster]\nca = \"ca.pem\"\ncert = \"{OPERATOR}.pem\"\nkey = \"{OPERATOR}.key\"\n\n\
             [mupdate]\nmasters = {masters:?}\n"
        );
        std::fs::write(folder.join("operator.toml"), config)?;
        let operator = MupdateClient::new(MupdateClientConfig::new(masters, tls));
        operator
            .add_users(&self.accounts()?)
            .await
            .context("the accounts")?;

        let mut murder = Murder {
            master,
            backends: make.nodes("be", self.backends, grpc)?,
            frontends: make.nodes("fe", self.frontends, grpc)?,
            password: self.password,
            users: self.users,
            operator,
            trust: Trust::load(&ca.certificate_file())?,
            dir,
        };
        let backends = async {
            for backend in &mut murder.backends {
                backend.start().await?;
            }
            anyhow::Ok(())
        };
        let frontends = async {
            for frontend in &mut murder.frontends {
                frontend.start().await?;
            }
            anyhow::Ok(())
        };
        tokio::try_join!(backends, frontends)?;
        murder.ready().await?;
        murder.make_inboxes().await?;
        murder.see_inboxes().await?;
        Ok(murder)
    }

    fn accounts(&self) -> anyhow::Result<Vec<Account>> {
        let hash = cheap_hash(&self.password)?;
        let account = |name: String, admin: bool| Account {
            name,
            password_hash: hash.clone(),
            admin,
            ..Account::default()
        };
        let users = (1..=self.users).map(|number| account(format!("user{number}"), false));
        Ok(users.chain([account(ADMIN.to_owned(), true)]).collect())
    }
}

fn add(lines: &mut String, line: &str) {
    // A later one of the same key replaces the earlier.
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let kept = lines.lines().filter(|known| key(known) != key(line));
    *lines = kept.chain([line]).collect::<Vec<_>>().join("\n");
}

/// What all nodes have in common.
struct Make<'a> {
    ca: &'a Ca,
    dir: &'a Path,
    free: Addresses,
    extra: &'a Extra,
}

impl Make<'_> {
    fn node<C: TestRole>(
        &self,
        name: String,
        master: Option<std::net::SocketAddr>,
    ) -> anyhow::Result<TestNode<C>> {
        let folder = self.dir.join(&name);
        self.ca.issue_into(&folder, &name, &[C::ROLE], &[])?;
        Ok(TestNode::new(
            name,
            folder,
            self.free,
            master,
            self.extra.clone(),
        ))
    }

    fn nodes<C: TestRole>(
        &self,
        prefix: &str,
        count: usize,
        master: Option<std::net::SocketAddr>,
    ) -> anyhow::Result<Vec<TestNode<C>>> {
        let numbers = 1..=count;
        numbers
            .map(|number| self.node(format!("{prefix}{number}"), master))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_later_setting_replaces() {
        let mut lines = "a = 1\nb = 2".to_owned();
        super::add(&mut lines, "a = 3");
        assert_eq!(lines, "b = 2\na = 3");
    }
}
