//! The certificates and configuration files of a local murder's nodes.

use std::path::Path;

use anyhow::Context;
use murder_net::{Ca, Role};

use super::node::{Kind, Node, Service};
use super::plan::{PARTITION, Plan};
use crate::operator::{CONFIG_FILE, FOLDER};

/// Name and role of the certificate that `murder user` and the like use here.
const OPERATOR: &str = "operator";

/// Writes what is missing; configuration files always, since ports may have changed.
pub fn write(plan: &Plan) -> anyhow::Result<()> {
    let ca = Ca::load_or_generate(&plan.ca_folder())?;
    for node in plan.nodes() {
        issue(&ca, &node.folder, &node.name, node.kind.role())?;
        write_file(&node.config_file(), &node_config(node, plan))?;
    }
    let folder = plan.dir().join(FOLDER);
    issue(&ca, &folder, OPERATOR, Role::Operator)?;
    let config = format!("{}{}", cluster(OPERATOR), mupdate(plan));
    write_file(&folder.join(CONFIG_FILE), &config)
}

fn issue(ca: &Ca, folder: &Path, name: &str, role: Role) -> anyhow::Result<()> {
    if !folder.join(format!("{name}.pem")).exists() {
        ca.issue_into(folder, name, &[role], &[])?;
    }
    Ok(())
}

fn write_file(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Paths are relative to the file, so that the directory can be moved.
fn node_config(node: &Node, plan: &Plan) -> String {
    let name = &node.name;
    let mut text = format!(
        "# Written by `murder up`, each time.\n\n[node]\nname = \"{name}\"\ndata_dir = \"data\"\n\
         worker_threads = {}\n\n{}",
        plan.threads(),
        cluster(name)
    );
    if node.kind != Kind::Master {
        text += &mupdate(plan);
    }
    let address = |service| node.address(service);
    if node.kind == Kind::Master {
        text += &format!("[grpc]\nlisten = \"{}\"\n\n", address(Service::Grpc));
    } else {
        text += &format!(
            "[imap]\nlisten = [\"{}\"]\ntls_listen = [\"{}\"]\n\
             # For this local murder only: plaintext logins from this machine.\n\
             allow_plaintext_loopback = true\n",
            address(Service::Imap),
            address(Service::Imaps)
        );
        if node.kind == Kind::Backend {
            text += "proxy_admins = true\n";
        }
        text += &format!(
            "\n[lmtp]\nlisten = [\"{}\"]\n\n[admin]\nlisten = \"{}\"\n\n",
            address(Service::Lmtp),
            address(Service::Admin)
        );
        if node.kind == Kind::Frontend {
            text += "[placement]\nmode = \"random\"\n\n";
        }
        if node.kind == Kind::Backend {
            text += &format!(
                "[pop3]\nlisten = [\"{}\"]\ntls_listen = [\"{}\"]\n\
                 allow_plaintext_loopback = true\n\n",
                address(Service::Pop3),
                address(Service::Pop3s)
            );
            text += &format!(
                "[partitions.{PARTITION}]\npath = \"data/{PARTITION}\"\n\
                 writer_threads = {}\n\n",
                plan.threads()
            );
        }
    }
    text + &format!("[http]\nlisten = \"{}\"\n", address(Service::Http))
}

fn cluster(name: &str) -> String {
    format!("[cluster]\nca = \"ca.pem\"\ncert = \"{name}.pem\"\nkey = \"{name}.key\"\n\n")
}

fn mupdate(plan: &Plan) -> String {
    format!("[mupdate]\nmasters = {:?}\n\n", plan.masters())
}
