//! A node that runs: its runtime, and the roles that were started with it.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use murder_net::config::Mistakes;
use murder_net::{Health, Role};
use tokio::time::Instant;

use crate::config::{NodeFile, RuntimeConfig};
use crate::role::{RoleConfig, RunningRole};
use crate::runtime::NodeRuntime;

/// A node, with its role. Dropped, it stops at once, as if it were killed.
#[derive(Debug)]
pub struct Node<R> {
    runtime: Arc<NodeRuntime>,
    role: R,
}

impl<R: RunningRole> Node<R> {
    /// Starts a node with one role.
    ///
    /// # Errors
    /// When its configuration cannot be used, or it cannot be started.
    pub async fn start<C: RoleConfig<Running = R>>(config: C) -> anyhow::Result<Self> {
        Mistakes::of(|mistakes| config.check(mistakes))?;
        Self::start_with(config.runtime(), async |runtime| {
            config.start(runtime).await
        })
        .await
    }

    /// The same with a role that is started in another way.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start_with(
        config: RuntimeConfig,
        start: impl AsyncFnOnce(&Arc<NodeRuntime>) -> anyhow::Result<R>,
    ) -> anyhow::Result<Self> {
        let runtime = NodeRuntime::start(config).await?;
        let started = start(&runtime).await;
        match started.and_then(|role| runtime.open().map(|()| role)) {
            Ok(role) => Ok(Self { runtime, role }),
            Err(error) => {
                runtime.abort();
                runtime.aborted().await;
                Err(error)
            }
        }
    }

    /// What the node's roles share.
    #[must_use]
    pub const fn runtime(&self) -> &Arc<NodeRuntime> {
        &self.runtime
    }

    /// What it says about itself.
    #[must_use]
    pub fn health(&self) -> &Health {
        self.runtime.health()
    }

    /// Takes no more clients, lets what they have under way end within `grace`, and leaves the murder.
    pub async fn shutdown(mut self, grace: Duration) {
        let end = Instant::now() + grace;
        let left = || end.saturating_duration_since(Instant::now());
        self.runtime.drain();
        self.role.drain(left()).await;
        self.runtime.close(left()).await;
        self.role.close(left()).await;
    }

    /// Stops at once, as if it were killed: nobody is told. When it returns its addresses and files are
    /// free (after a mere drop, they are soon).
    pub async fn kill(mut self) {
        self.runtime.abort();
        self.role.kill().await;
        self.runtime.aborted().await;
    }
}

impl<R> Deref for Node<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.role
    }
}

impl<R> Drop for Node<R> {
    fn drop(&mut self) {
        self.runtime.abort();
    }
}

/// Roles of one node, in the order of their start; they end in the other.
pub(crate) struct Roles(Vec<Box<dyn RunningRole>>);

impl Node<Roles> {
    /// Starts a node with the roles that its file is for.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) async fn start_file(file: NodeFile) -> anyhow::Result<Self> {
        let NodeFile { runtime, roles } = file;
        Self::start_with(runtime, async |runtime| {
            let mut running = Vec::new();
            for role in roles {
                running.push((role.start)(Arc::clone(runtime)).await?);
            }
            Ok(Roles(running))
        })
        .await
    }
}

#[tonic::async_trait]
impl RunningRole for Roles {
    fn listeners(&self) -> Vec<(Role, &'static str, SocketAddr)> {
        self.0.iter().flat_map(|role| role.listeners()).collect()
    }

    async fn drain(&mut self, grace: Duration) {
        for role in self.0.iter_mut().rev() {
            role.drain(grace).await;
        }
    }

    async fn close(&mut self, grace: Duration) {
        for role in self.0.iter_mut().rev() {
            role.close(grace).await;
        }
    }

    async fn kill(&mut self) {
        for role in self.0.iter_mut().rev() {
            role.kill().await;
        }
    }
}
