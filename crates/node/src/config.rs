//! What a node is told: the sections that every node's file has, and which roles a file is for.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use murder_auth::{LoginConfig, UsersFile};
use murder_location::Topic;
use murder_net::config::{
    AdminConfig, ClusterConfig, ConfigFile, HttpConfig, LimitsConfig, LogConfig, Mistakes,
    MupdateConfig, NodeConfig, TlsConfig,
};
use murder_net::expiry::{self, CertificateFile};
use murder_net::{ConfigError, NodeTls, Role, log};

use crate::role::{Listens, ReadRole, RoleConfig, RoleKind};

/// What a node needs, whatever its roles: one field a section.
#[derive(Debug, Clone, Default)]
pub struct RuntimeConfig {
    /// What it does; all of it is in its certificate.
    pub roles: Vec<Role>,
    /// What its roles need of the master's state.
    pub topics: Vec<Topic>,
    /// `[node]`: who this node is.
    pub node: NodeConfig,
    /// `[cluster]`: the node's certificate. `None` for a node that works alone.
    pub cluster: Option<ClusterConfig>,
    /// `[mupdate]`: where the master is. Without masters there is no replica, and no session.
    pub mupdate: MupdateConfig,
    /// The users file of a node that works alone.
    pub users: Option<PathBuf>,
    /// `[admin]`: operators' calls.
    pub admin: AdminConfig,
    /// `[tls]`: the certificate that mail clients see.
    pub tls: Option<TlsConfig>,
    /// `[login]`: what becomes of those who guess passwords.
    pub login: LoginConfig,
    /// `[limits]`: what a client may use of the node.
    pub limits: LimitsConfig,
    /// `[http]`: health, readiness and metrics.
    pub http: HttpConfig,
    /// `[log]`: what is logged.
    pub log: LogConfig,
}

impl RuntimeConfig {
    /// What can be wrong beyond each key by itself. Reads no file.
    pub(crate) fn check(&self, mistakes: &mut Mistakes) {
        log::check(&self.log, mistakes);
        self.node.check(mistakes);
        if let Some(cluster) = &self.cluster {
            cluster.check(mistakes);
        }
        self.mupdate.check(mistakes);
        if !self.mupdate.masters.is_empty() {
            self.admin.check(mistakes);
        }
        self.login.check(mistakes);
        self.limits.check(mistakes);
        if let Some(tls) = &self.tls {
            tls.check(mistakes);
        }
    }

    /// Whether the files that it names can be used.
    pub(crate) fn check_files(&self, mistakes: &mut Mistakes) {
        let cluster = self.cluster.as_ref();
        if let Some(tls) = cluster.and_then(|cluster| NodeTls::load_checked(cluster, mistakes))
            && let Err(error) = self.check_identity(&tls)
        {
            mistakes.add("cluster.cert", error.to_string());
        }
        if let Some(tls) = &self.tls
            && !mistakes.has("tls")
            && let Err(error) = murder_net::tls::client_listener(tls, None)
        {
            mistakes.add("tls", error.to_string());
        }
        if let Some(file) = &self.users
            && let Err(error) = UsersFile::open(file)
        {
            mistakes.add("users.file", error.to_string());
        }
    }

    /// Whether the certificate is this node's, for all of its roles.
    pub(crate) fn check_identity(&self, tls: &NodeTls) -> Result<(), murder_net::tls::NotTheNode> {
        let mut roles = self.roles.iter();
        roles.try_for_each(|role| tls.check_own(&self.node.name, *role))
    }

    /// The certificates that it shows to nodes and to mail clients, and those that it believes.
    pub(crate) fn certificates(&self) -> Vec<CertificateFile> {
        let of_clients = self.tls.iter();
        let of_clients = of_clients.map(|tls| CertificateFile::chain("tls.cert", &tls.cert));
        let of_nodes = self.cluster.iter().flat_map(|cluster| {
            [
                CertificateFile::chain("cluster.cert", &cluster.cert),
                CertificateFile::authorities("cluster.ca", &cluster.ca),
            ]
        });
        of_clients.chain(of_nodes).collect()
    }

    /// Adds another role of the same file. What one does not read of the shared sections it has the
    /// defaults of; the master reads least.
    fn join(&mut self, other: Self) {
        let Self { roles, topics, .. } = std::mem::replace(self, other);
        self.roles.extend(roles);
        self.topics.extend(topics);
        self.topics.sort_unstable();
        self.topics.dedup();
    }
}

/// A node's file that has been read.
pub(crate) struct NodeFile {
    pub runtime: RuntimeConfig,
    /// In the order of their start.
    pub roles: Vec<ReadRole>,
}

/// Reads a file for those of the roles that it is for: the only one, or those of which it has the
/// section.
///
/// # Errors
/// [`ConfigError`], with all that is wrong; `remarks` may add to it.
pub(crate) fn read(
    file: &Path,
    kinds: &[RoleKind],
    remarks: impl FnOnce(&RuntimeConfig, &mut Mistakes),
) -> Result<NodeFile, ConfigError> {
    let mut document = ConfigFile::open(file)?;
    let wanted = kinds.iter();
    let wanted = wanted.filter(|kind| kinds.len() == 1 || document.has(kind.section));
    let wanted: Vec<RoleKind> = wanted.copied().collect();
    let tables: Vec<&str> = match kinds.len() {
        1 => Vec::new(),
        _ => kinds.iter().filter_map(|kind| kind.own_table).collect(),
    };
    let mut listens = Listens::new();
    let mut roles = Vec::new();
    for kind in &wanted {
        let own = kind.own_table;
        let others = tables.iter().copied().filter(|table| Some(*table) != own);
        let others: Vec<&str> = others.collect();
        roles.extend((kind.read)(&mut document, &others, &mut listens));
    }
    let mut all = roles.iter().map(|role| role.runtime.clone());
    let runtime = all.next().map(|first| {
        all.fold(first, |mut runtime, other| {
            runtime.join(other);
            runtime
        })
    });
    if let Some(runtime) = &runtime {
        document.check(|mistakes| remarks(runtime, mistakes));
    }
    document.finish()?;
    let Some(runtime) = runtime else {
        let sections = kinds.iter();
        let sections = sections.map(|kind| format!("a {} has `[{}]`", kind.role, kind.section));
        let sections: Vec<String> = sections.collect();
        let why = format!("a node without a role: {}", sections.join(", "));
        return Err(ConfigError::unfit(file, why));
    };
    Ok(NodeFile { runtime, roles })
}

/// Loads and checks the file of a node with one role.
///
/// # Errors
/// [`ConfigError`], with all that is wrong.
pub fn load<C: RoleConfig>(file: &Path) -> Result<C, ConfigError> {
    murder_net::config::load_checked(file, check::<C>)
}

/// All that is wrong with the configuration of a node with one role, the files that it names
/// included.
pub fn check<C: RoleConfig>(config: &C, mistakes: &mut Mistakes) {
    config.check(mistakes);
    config.runtime().check_files(mistakes);
}

/// Says what is to be said of certificates that end. One that has ended is a mistake; returns what is
/// said of those that end soon.
pub(crate) fn check_certificates(runtime: &RuntimeConfig, mistakes: &mut Mistakes) -> Vec<String> {
    let mut soon = Vec::new();
    for remark in expiry::remarks(&runtime.certificates(), SystemTime::now()) {
        match remark.ended {
            true => mistakes.add(remark.key, remark.text),
            false => soon.push(remark.text),
        }
    }
    soon
}
