//! What a role is to a node.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use murder_net::Role;
use murder_net::config::{ConfigFile, Mistakes};
use serde::de::DeserializeOwned;

use crate::config::RuntimeConfig;
use crate::runtime::NodeRuntime;

/// A role's part of a node's file. The sections that every node has are in it, too.
pub trait RoleConfig: DeserializeOwned + 'static {
    /// What runs.
    type Running: RunningRole;

    /// The role.
    const ROLE: Role;
    /// The section that only this role has: a file with it is one of a node with this role.
    const SECTION: &'static str;
    /// The table with the role's own form of sections that other roles read, too.
    const OWN_TABLE: Option<&'static str>;

    /// What the node needs, whatever its roles.
    fn runtime(&self) -> RuntimeConfig;

    /// What can be wrong with the role's sections beyond each key by itself. Reads no file.
    fn check_role(&self, mistakes: &mut Mistakes);

    /// What can be wrong beyond each key by itself. Reads no file.
    fn check(&self, mistakes: &mut Mistakes) {
        self.runtime().check(mistakes);
        self.check_role(mistakes);
    }

    /// Where the role itself listens, by keys.
    fn listens(&self) -> Vec<(&'static str, Vec<SocketAddr>)>;

    /// Starts the role; returns when it listens.
    ///
    /// # Errors
    /// Why it cannot be started.
    fn start(
        self,
        runtime: &Arc<NodeRuntime>,
    ) -> impl Future<Output = anyhow::Result<Self::Running>>;
}

/// A role that runs. Dropped, it stops at once, as if it were killed.
#[tonic::async_trait]
pub trait RunningRole: Send + Sync + 'static {
    /// What it listens on: the role, the protocol, the address.
    fn listeners(&self) -> Vec<(Role, &'static str, SocketAddr)>;

    /// Takes no more clients, and lets what they have under way end within `grace`. A role that the
    /// node's other roles need serves on.
    async fn drain(&mut self, grace: Duration);

    /// Ends what is left within `grace`, and puts in order what is on disk.
    async fn close(&mut self, grace: Duration);

    /// Ends everything now, as `kill -9` would: nothing is put in order, nobody is told. When it
    /// returns addresses and files are free.
    async fn kill(&mut self);
}

/// Something that is awaited in one place.
pub(crate) type Boxed<T> = Pin<Box<dyn Future<Output = T>>>;

/// Starts a role that has been read.
pub(crate) type Start =
    Box<dyn FnOnce(Arc<NodeRuntime>) -> Boxed<anyhow::Result<Box<dyn RunningRole>>>>;

/// A role that a file is read for.
pub(crate) struct ReadRole {
    pub runtime: RuntimeConfig,
    pub start: Start,
}

/// A role that a program can be.
#[derive(Debug, Clone, Copy)]
pub struct RoleKind {
    pub(crate) role: Role,
    pub(crate) section: &'static str,
    pub(crate) own_table: Option<&'static str>,
    pub(crate) read: fn(&mut ConfigFile, &[&str], &mut Listens) -> Option<ReadRole>,
}

/// Where the roles of a node listen, by keys.
pub(crate) type Listens = Vec<(&'static str, Vec<SocketAddr>)>;

impl RoleKind {
    /// The one with this configuration.
    #[must_use]
    pub fn of<C: RoleConfig>() -> Self {
        Self {
            role: C::ROLE,
            section: C::SECTION,
            own_table: C::OWN_TABLE,
            read: read::<C>,
        }
    }
}

/// Reads a role's part of a file. `others` are the tables of other roles; `listens` has where those
/// that were read before listen.
fn read<C: RoleConfig>(
    file: &mut ConfigFile,
    others: &[&str],
    listens: &mut Listens,
) -> Option<ReadRole> {
    // A program with one role has nobody to keep sections apart from.
    let own = C::OWN_TABLE.filter(|_| !others.is_empty());
    let config: C = file.read(own, others, |config: &C, mistakes| {
        crate::config::check(config, mistakes);
        listens.extend(config.listens());
        let all: Vec<_> = listens.iter().map(|(key, of)| (*key, &**of)).collect();
        mistakes.ensure_distinct(&all);
    })?;
    Some(ReadRole {
        runtime: config.runtime(),
        start: Box::new(|runtime| {
            Box::pin(async move {
                let running = config.start(&runtime).await?;
                Ok(Box::new(running) as Box<dyn RunningRole>)
            })
        }),
    })
}
