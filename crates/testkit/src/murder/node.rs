//! One node that can be killed and started again.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use murder_backend::{Backend, BackendConfig};
use murder_frontend::{Frontend, FrontendConfig};
use murder_mupdate::{Master, MasterConfig};
use murder_net::{Health, Role};
use serde::de::DeserializeOwned;

use super::config::{self, Addresses, Extra};
use crate::wait::wait_until;

/// A role, as a murder in a test sees it.
pub(super) trait RunningRole: Sized {
    type Config: DeserializeOwned;
    const ROLE: Role;

    async fn start(config: Self::Config) -> anyhow::Result<Self>;
    /// Replaces the free ports by those that were taken.
    fn addresses(&self, addresses: &mut Addresses);
    fn health(&self) -> &Health;
    async fn shutdown(self, grace: Duration);
    async fn kill(self);
}

/// The node.
pub(super) struct Node<R> {
    pub name: String,
    pub addresses: Addresses,
    folder: PathBuf,
    master: Option<SocketAddr>,
    extra: Extra,
    running: Option<R>,
}

impl<R: RunningRole> Node<R> {
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
            R::ROLE,
            &self.name,
            &self.addresses,
            self.master,
            &self.extra,
        );
        let file = self.folder.join(format!("{}.toml", self.name));
        std::fs::write(&file, &text)?;
        let config = murder_net::config::parse(&text, &file, self.folder.clone())?;
        let running = R::start(config)
            .await
            .with_context(|| format!("{} does not start", self.name))?;
        running.addresses(&mut self.addresses);
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

impl RunningRole for Master {
    type Config = MasterConfig;
    const ROLE: Role = Role::Mupdate;

    async fn start(config: MasterConfig) -> anyhow::Result<Self> {
        Self::start(config).await
    }

    fn addresses(&self, addresses: &mut Addresses) {
        let taken = self.addresses();
        addresses.grpc = taken.grpc;
        set(&mut addresses.http, taken.http.as_ref());
    }

    fn health(&self) -> &Health {
        self.health()
    }

    async fn shutdown(self, grace: Duration) {
        self.shutdown(grace).await;
    }

    async fn kill(self) {
        self.kill().await;
    }
}

/// Frontends and backends have addresses of one form.
macro_rules! mail_role {
    ($role:ty, $config:ty, $kind:expr $(, $more:ident)*) => {
        impl RunningRole for $role {
            type Config = $config;
            const ROLE: Role = $kind;

            async fn start(config: $config) -> anyhow::Result<Self> {
                Self::start(config).await
            }

            fn addresses(&self, addresses: &mut Addresses) {
                let taken = self.addresses();
                set(&mut addresses.imap, taken.imap.first());
                set(&mut addresses.imaps, taken.imaps.first());
                set(&mut addresses.lmtp, taken.lmtp.first());
                $(set(&mut addresses.$more, taken.$more.first());)*
                set(&mut addresses.http, taken.http.as_ref());
                set(&mut addresses.admin, taken.admin.as_ref());
            }

            fn health(&self) -> &Health {
                self.health()
            }

            async fn shutdown(self, grace: Duration) {
                self.shutdown(grace).await;
            }

            async fn kill(self) {
                self.kill().await;
            }
        }
    };
}

mail_role!(Backend, BackendConfig, Role::Backend, pop3, pop3s);
mail_role!(Frontend, FrontendConfig, Role::Frontend);
