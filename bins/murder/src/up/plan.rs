//! What a local murder consists of, kept in `DIR/murder.json` so that it stays the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::arguments::Arguments;
use super::node::{Kind, Node, Service, folder};
use super::ports::{Finder, Reserved};
use super::topology::{Admin, MailNode, Master, Topology, Users};
use crate::output::write_atomically;

/// The administrator's name.
pub const ADMIN: &str = "admin";
/// The one partition of each backend.
pub const PARTITION: &str = "default";

/// The file's content.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    masters: u16,
    backends: u16,
    frontends: u16,
    users: u32,
    password: String,
    /// By node and service; also of nodes that are not used at present.
    ports: BTreeMap<String, BTreeMap<Service, u16>>,
    /// What is there already.
    #[serde(default)]
    provisioned: Provisioned,
}

/// The accounts and mailboxes that were made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provisioned {
    /// user1 to this one have an account and an INBOX.
    pub users: u32,
    /// The password that the accounts have; none when there are no accounts yet.
    pub password: Option<String>,
}

/// A local murder as it shall be.
#[derive(Debug)]
pub struct Plan {
    dir: PathBuf,
    saved: Saved,
    nodes: Vec<Node>,
    _reserved: Reserved,
}

impl Plan {
    /// What the directory says, changed by what the arguments say.
    pub fn load_or_new(dir: &Path, arguments: &Arguments) -> anyhow::Result<Self> {
        let file = dir.join("murder.json");
        let mut saved = match std::fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text)
                .with_context(|| format!("{} is not what `murder up` writes", file.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Saved {
                masters: 1,
                backends: 2,
                frontends: 2,
                users: 100,
                password: "secret".to_owned(),
                ports: BTreeMap::new(),
                provisioned: Provisioned::default(),
            },
            Err(error) => return Err(error).with_context(|| file.display().to_string()),
        };
        set(&mut saved.masters, arguments.masters);
        set(&mut saved.backends, arguments.backends);
        set(&mut saved.frontends, arguments.frontends);
        set(&mut saved.users, arguments.users);
        set(&mut saved.password, arguments.password.clone());
        if arguments.base_port.is_some() {
            saved.ports.clear();
        }
        let (nodes, reserved) = assign(dir, &mut saved, arguments.base_port)?;
        let plan = Self {
            dir: dir.to_owned(),
            saved,
            nodes,
            _reserved: reserved,
        };
        plan.save()?;
        Ok(plan)
    }

    fn save(&self) -> anyhow::Result<()> {
        write_atomically(&self.dir.join("murder.json"), &self.saved)
    }

    /// Notes that accounts and mailboxes are there as planned.
    pub fn save_provisioned(&mut self) -> anyhow::Result<()> {
        let provisioned = Provisioned {
            users: self.saved.users.max(self.saved.provisioned.users),
            password: Some(self.saved.password.clone()),
        };
        if self.saved.provisioned == provisioned {
            return Ok(());
        }
        self.saved.provisioned = provisioned;
        self.save()
    }

    /// Where everything is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Every node.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Threads for one task of one node. The nodes share the machine: with a thread for every
    /// processor in each of them, they mostly wake each other's up.
    pub fn threads(&self) -> usize {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        (processors / self.nodes.len().max(1)).max(1)
    }

    /// The nodes of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.kind == kind)
    }

    /// Everyone's password.
    pub fn password(&self) -> &str {
        &self.saved.password
    }

    /// How many users there shall be.
    pub fn users(&self) -> u32 {
        self.saved.users
    }

    /// What is there already.
    pub fn provisioned(&self) -> &Provisioned {
        &self.saved.provisioned
    }

    /// The CA's folder.
    pub fn ca_folder(&self) -> PathBuf {
        self.dir.join("ca")
    }

    /// The masters' gRPC addresses.
    pub fn masters(&self) -> Vec<String> {
        self.of(Kind::Master)
            .map(|master| master.address(Service::Grpc))
            .collect()
    }

    /// The topology, without process ids.
    pub fn topology(&self) -> Topology {
        let pop3 = |node: &Node, service| {
            let listens = node.kind.services().contains(&service);
            listens.then(|| node.address(service))
        };
        let mail_node = |node: &Node| MailNode {
            name: node.name.clone(),
            imap: node.address(Service::Imap),
            imaps: node.address(Service::Imaps),
            lmtp: node.address(Service::Lmtp),
            http: node.address(Service::Http),
            pop3: pop3(node, Service::Pop3),
            pop3s: pop3(node, Service::Pop3s),
            partitions: match node.kind {
                Kind::Backend => vec![PARTITION.to_owned()],
                Kind::Frontend | Kind::Master => Vec::new(),
            },
            pid: 0,
            config: node.config_file(),
        };
        let master = |node: &Node| Master {
            name: node.name.clone(),
            grpc: node.address(Service::Grpc),
            http: node.address(Service::Http),
            pid: 0,
            config: node.config_file(),
        };
        Topology {
            frontends: self.of(Kind::Frontend).map(mail_node).collect(),
            backends: self.of(Kind::Backend).map(mail_node).collect(),
            masters: self.of(Kind::Master).map(master).collect(),
            admin: Admin {
                user: ADMIN.to_owned(),
                password: self.saved.password.clone(),
            },
            users: Users {
                pattern: "user{}".to_owned(),
                first: 1,
                count: self.saved.users,
                password: self.saved.password.clone(),
            },
            hierarchy_separator: "/".to_owned(),
            ca: self.ca_folder().join("ca.pem"),
        }
    }
}

fn set<T>(value: &mut T, wanted: Option<T>) {
    if let Some(wanted) = wanted {
        *value = wanted;
    }
}

/// The nodes, with the ports that they had; new ones get free ports.
fn assign(
    dir: &Path,
    saved: &mut Saved,
    base: Option<u16>,
) -> anyhow::Result<(Vec<Node>, Reserved)> {
    let taken: Vec<u16> = saved
        .ports
        .values()
        .flat_map(BTreeMap::values)
        .copied()
        .collect();
    let mut finder = Finder::new(base, taken);
    let mut nodes = Vec::new();
    for kind in Kind::ALL {
        let count = match kind {
            Kind::Frontend => saved.frontends,
            Kind::Backend => saved.backends,
            Kind::Master => saved.masters,
        };
        for number in 1..=count {
            let name = format!("{}{number}", kind.prefix());
            let known = saved.ports.entry(name.clone()).or_default();
            let mut ports = Vec::new();
            for service in kind.services() {
                let port = match known.get(service) {
                    Some(port) => {
                        finder.keep(*port);
                        *port
                    }
                    None => finder.find()?,
                };
                known.insert(*service, port);
                ports.push((*service, port));
            }
            nodes.push(Node {
                folder: folder(dir, &name),
                name,
                kind,
                ports,
            });
        }
    }
    Ok((nodes, finder.into_reserved()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        up: Arguments,
    }

    fn plan(dir: &Path, arguments: &[&str]) -> Plan {
        let line = CommandLine::parse_from([&["murder"], arguments].concat());
        Plan::load_or_new(dir, &line.up).unwrap()
    }

    fn addresses(plan: &Plan) -> Vec<String> {
        let nodes = plan.nodes().iter();
        nodes
            .flat_map(|node| node.ports.iter().map(|(service, _)| node.address(*service)))
            .collect()
    }

    #[test]
    fn ports_stay_and_new_nodes_get_others() {
        let dir = tempfile::tempdir().unwrap();
        let first = plan(dir.path(), &["--frontends", "1", "--users", "3"]);
        let again = plan(dir.path(), &[]);
        assert_eq!(addresses(&first), addresses(&again));
        assert_eq!(again.users(), 3);
        assert_eq!(again.of(Kind::Frontend).count(), 1);
        let more = plan(dir.path(), &["--frontends", "2", "--password", "p"]);
        let all = addresses(&more);
        assert_eq!(all.len(), 2 * 5 + 2 * 7 + 2);
        assert_eq!(
            all.iter().collect::<std::collections::BTreeSet<_>>().len(),
            all.len()
        );
        assert!(
            addresses(&first)
                .iter()
                .all(|address| all.contains(address))
        );
        assert_eq!(more.password(), "p");
    }

    #[test]
    fn what_was_made_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = plan(dir.path(), &["--users", "5"]);
        assert_eq!(*first.provisioned(), Provisioned::default());
        first.save_provisioned().unwrap();
        let fewer = plan(dir.path(), &["--users", "2"]);
        assert_eq!(fewer.provisioned().users, 5);
        assert_eq!(fewer.provisioned().password.as_deref(), Some("secret"));
    }
}
