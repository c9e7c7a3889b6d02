//! One node that can be killed and started again.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use murder_backend::{Backend, BackendConfig};
use murder_frontend::{Frontend, FrontendConfig};
use murder_mupdate::{Master, MasterConfig};
use murder_node::{Node, RoleConfig};

use super::config::{self, Addresses, Extra};
use crate::wait::wait_until;

/// What a role's node is told, as a murder in a test sees it.
pub(super) trait TestRole: RoleConfig {
    /// Replaces the free ports by those that were taken.
    fn taken(running: &Self::Running, addresses: &mut Addresses);
}

/// The node.
pub(super) struct TestNode<C: TestRole> {
    pub name: String,
    pub addresses: Addresses,
    folder: PathBuf,
    master: Option<SocketAddr>,
    extra: Extra,
    running: Option<Node<C::Running>>,
}

impl<C: TestRole> TestNode<C> {
    /// One that has its certificate in `folder` and does not run yet.
    pub fn new(
        name: String,
        folder: PathBuf,
        addresses: Addresses,
        master: Option<SocketAddr>,
        extra: Extra,
    ) -> Self {
        Self {
            name,
            addresses,
            folder,
            master,
            extra,
            running: None,
        }
    }

    pub async fn start(&mut self) -> anyhow::Result<()> {
        ensure!(self.running.is_none(), "{} runs already", self.name);
        let text = config::text(
            C::ROLE,
            &self.name,
            &self.addresses,
            self.master,
            &self.extra,
        );
        let file = self.folder.join(format!("{}.toml", self.name));
        std::fs::write(&file, &text)?;
        let config: C = murder_net::config::parse(&text, &file, self.folder.clone())?;
        let running = Node::start(config)
            .await
            .with_context(|| format!("{} does not start", self.name))?;
        C::taken(&running, &mut self.addresses);
        let (admin, http) = (running.runtime().admin(), running.runtime().http());
        set(&mut self.addresses.admin, admin.as_ref());
        set(&mut self.addresses.http, http.as_ref());
        self.running = Some(running);
        Ok(())
    }

    pub async fn ready(&self) -> anyhow::Result<()> {
        let running = self.running.as_ref();
        let running = running.with_context(|| format!("{} does not run", self.name))?;
        let ready = wait_until("readiness", async || running.health().ready().then_some(()));
        ready.await.with_context(|| {
            format!(
                "{}: {}",
                self.name,
                running.health().not_ready_reasons().join("; ")
            )
        })
    }

    pub async fn stop(&mut self, grace: Duration) {
        if let Some(running) = self.running.take() {
            running.shutdown(grace).await;
        }
    }

    pub async fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill().await;
        }
    }
}

fn set(address: &mut SocketAddr, taken: Option<&SocketAddr>) {
    if let Some(taken) = taken {
        *address = *taken;
    }
}

impl TestRole for MasterConfig {
    fn taken(running: &Master, addresses: &mut Addresses) {
        addresses.grpc = running.address();
    }
}

impl TestRole for BackendConfig {
    fn taken(running: &Backend, addresses: &mut Addresses) {
        let taken = running.addresses();
        set(&mut addresses.imap, taken.imap.first());
        set(&mut addresses.imaps, taken.imaps.first());
        set(&mut addresses.lmtp, taken.lmtp.first());
        set(&mut addresses.pop3, taken.pop3.first());
        set(&mut addresses.pop3s, taken.pop3s.first());
    }
}

impl TestRole for FrontendConfig {
    fn taken(running: &Frontend, addresses: &mut Addresses) {
        let taken = running.addresses();
        set(&mut addresses.imap, taken.imap.first());
        set(&mut addresses.imaps, taken.imaps.first());
        set(&mut addresses.lmtp, taken.lmtp.first());
    }
}
