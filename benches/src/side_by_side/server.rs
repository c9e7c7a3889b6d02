//! A server that is measured: where it is, and who has mail there.

use std::net::SocketAddr;
use std::str::FromStr;

use anyhow::{Context, bail};

use super::cpu;
use super::wire::Wire;

/// How ours is called.
pub const OURS: &str = "murder";

/// A server on this machine.
#[derive(Debug, Clone)]
pub struct Server {
    /// What it is called in the table.
    pub name: String,
    /// Where clients log in, in turn.
    pub imap: Vec<SocketAddr>,
    /// Where mail is delivered, in turn.
    pub lmtp: Vec<SocketAddr>,
    /// Other addresses that processes of it listen at, such as those of backends.
    nodes: Vec<SocketAddr>,
    /// The processes that it is, with all their descendants.
    pub processes: Vec<i32>,
    /// Everyone's.
    password: String,
    /// Names, with `{}` for a number from 1.
    users: String,
    /// What comes before the name of a user's own mailbox.
    pub prefix: String,
}

impl Server {
    /// Ours.
    pub fn ours(topology: &murder_testkit::Topology) -> Self {
        let frontends = &topology.frontends;
        Self {
            name: OURS.to_owned(),
            imap: frontends.iter().map(|node| node.imap).collect(),
            lmtp: frontends.iter().map(|node| node.lmtp).collect(),
            nodes: Vec::new(),
            processes: topology.processes().map(|(_, pid, ..)| pid).collect(),
            password: topology.users.password.clone(),
            users: topology.users.pattern.clone(),
            prefix: String::new(),
        }
    }

    /// Finds the processes of a peer.
    pub fn find(&mut self) -> anyhow::Result<()> {
        let addresses = self.imap.iter().chain(&self.lmtp).chain(&self.nodes);
        let addresses: Vec<SocketAddr> = addresses.copied().collect();
        self.processes = cpu::listeners(&addresses).with_context(|| self.name.clone())?;
        Ok(())
    }

    /// The name of the user with that number, from 0.
    pub fn user(&self, number: u32) -> String {
        self.users.replace("{}", &(number + 1).to_string())
    }

    /// Logs that user in.
    pub async fn client(&self, number: u32) -> anyhow::Result<Wire> {
        self.client_at(number, number).await
    }

    /// Logs the user in over connection `turn`.
    pub async fn client_at(&self, turn: u32, number: u32) -> anyhow::Result<Wire> {
        let address = self.imap[turn as usize % self.imap.len()];
        Wire::imap(address, &self.user(number), &self.password).await
    }

    /// An LMTP connection.
    pub async fn delivery(&self, turn: u32) -> anyhow::Result<Wire> {
        Wire::lmtp(self.lmtp[turn as usize % self.lmtp.len()]).await
    }

    /// A user's mailbox.
    pub fn mailbox(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

impl FromStr for Server {
    type Err = anyhow::Error;

    /// `NAME=IMAP,LMTP,PASSWORD[,prefix=TEXT][,users=PATTERN][,node=ADDRESS]…`
    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, rest) = text.split_once('=').context("no NAME=")?;
        let mut parts = rest.split(',');
        let mut next = |what| parts.next().with_context(|| format!("no {what}"));
        let address = |text: &str| -> anyhow::Result<SocketAddr> {
            let parsed = text.parse();
            parsed.with_context(|| format!("{text}: no address with a port"))
        };
        let mut server = Self {
            name: name.to_owned(),
            imap: vec![address(next("IMAP address")?)?],
            lmtp: vec![address(next("LMTP address")?)?],
            nodes: Vec::new(),
            processes: Vec::new(),
            password: next("password")?.to_owned(),
            users: "user{}".to_owned(),
            prefix: String::new(),
        };
        for part in parts {
            match part.split_once('=') {
                Some(("prefix", value)) => value.clone_into(&mut server.prefix),
                Some(("users", value)) if value.contains("{}") => {
                    value.clone_into(&mut server.users);
                }
                Some(("users", _)) => bail!("users= has no {{}} for the number"),
                Some(("node", value)) => server.nodes.push(address(value)?),
                _ => bail!("{part}: neither prefix=, users= nor node="),
            }
        }
        Ok(server)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn how_a_peer_is_said() {
        let text = "cyrus=127.0.0.10:143,127.0.0.10:2003,secret,prefix=INBOX/,users=u{}@x,\
                    node=127.0.0.11:143,node=127.0.0.12:143";
        let server: Server = text.parse().unwrap();
        assert_eq!(server.user(0), "u1@x");
        assert_eq!(server.mailbox("A"), "INBOX/A");
        assert_eq!(server.nodes.len(), 2);
        for wrong in ["x", "x=1", "x=127.0.0.1:1,127.0.0.1:2", "x=a:1,b:2,c"] {
            wrong.parse::<Server>().unwrap_err();
        }
        let wrong = "x=127.0.0.1:1,127.0.0.1:2,secret,users=me";
        assert!(
            wrong
                .parse::<Server>()
                .unwrap_err()
                .to_string()
                .contains("users=")
        );
    }
}
