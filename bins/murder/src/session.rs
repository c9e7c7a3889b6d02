//! `murder who` and `murder kick`: who is logged in, and ending that.

use anyhow::{bail, ensure};
use murder_proto::v1::session_admin_client::SessionAdminClient;
use murder_proto::v1::{self, end_sessions_request};
use serde::Serialize;

use crate::backends::{Backend, Backends};
use crate::operator::BackendTarget;
use crate::output::{Table, print_json, print_line};
use crate::units::show_time;

/// What `murder who` can be told.
#[derive(Debug, clap::Args)]
pub struct Who {
    /// Only sessions that act for this user, or were opened by this user's password
    #[arg(long)]
    user: Option<String>,
    #[command(flatten)]
    at: At,
}

/// What `murder kick` can be told.
#[derive(Debug, clap::Args)]
pub struct Kick {
    /// End all sessions that act for this user, or were opened by this user's password
    #[arg(required_unless_present = "session", conflicts_with = "session")]
    user: Option<String>,
    /// End the session of this name, as `murder who` and the log show it
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, clap::Args)]
struct At {
    /// Only at this node
    #[arg(long)]
    node: Option<String>,
    #[command(flatten)]
    target: BackendTarget,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

impl At {
    async fn nodes(&self, murder: &Backends) -> anyhow::Result<Vec<Backend>> {
        let mut nodes = murder.with_frontends().await?;
        if let Some(wanted) = &self.node {
            nodes.retain(|node| node.name == *wanted);
            ensure!(
                !nodes.is_empty(),
                "the master knows no node {wanted} where clients log in"
            );
        }
        Ok(nodes)
    }
}

#[derive(Debug, Serialize)]
struct Shown {
    node: String,
    session: String,
    user: String,
    /// Another than the user when an administrator acts for the user.
    authenticated: String,
    protocol: String,
    address: String,
    tls: bool,
    /// Seconds since 1970.
    since: i64,
    /// The selected mailbox; empty when there is none.
    mailbox: String,
}

/// Shows who is logged in.
///
/// # Errors
/// When not every node has answered; what has is shown before.
pub fn who(arguments: &Who) -> anyhow::Result<()> {
    let at = &arguments.at;
    at.target.run(async |murder| {
        let (mut sessions, mut failures) = (Vec::new(), Vec::new());
        for node in at.nodes(&murder).await? {
            match list(&node, arguments.user.as_deref()).await {
                Ok(some) => sessions.extend(some),
                Err(error) => failures.push(murder_node::describe(&error)),
            }
        }
        match at.json {
            true => print_json(&sessions)?,
            false => print_table(&sessions)?,
        }
        match &*failures {
            [] => Ok(()),
            failures => bail!("not everything is shown: {}", failures.join("; ")),
        }
    })
}

fn print_table(sessions: &[Shown]) -> anyhow::Result<()> {
    let rows: Vec<_> = sessions.iter().map(Shown::row).collect();
    let headings = [
        "node", "user", "by", "protocol", "address", "tls", "since", "mailbox", "session",
    ];
    Table::new(headings).print(&rows)
}

impl Shown {
    fn row(&self) -> [String; 9] {
        [
            self.node.clone(),
            self.user.clone(),
            match self.authenticated == self.user {
                true => String::new(),
                false => self.authenticated.clone(),
            },
            self.protocol.clone(),
            self.address.clone(),
            if self.tls { "yes" } else { "no" }.to_owned(),
            show_time(self.since),
            self.mailbox.clone(),
            self.session.clone(),
        ]
    }
}

async fn list(node: &Backend, user: Option<&str>) -> anyhow::Result<Vec<Shown>> {
    let mut client = SessionAdminClient::new(node.channel().await?);
    let user = user.unwrap_or_default().to_owned();
    let request = v1::ListSessionsRequest { user };
    let mut parts = node.answered(client.list_sessions(request).await)?;
    let mut sessions = Vec::new();
    while let Some(part) = node.next(&mut parts).await? {
        sessions.extend(part.sessions.into_iter().map(|session| Shown {
            node: node.name.clone(),
            session: session.id,
            user: session.user,
            authenticated: session.authenticated,
            protocol: session.protocol,
            address: session.address,
            tls: session.tls,
            since: session.since,
            mailbox: session.mailbox,
        }));
    }
    Ok(sessions)
}

#[derive(Debug, Serialize)]
struct Ended {
    ended: u64,
}

/// Ends sessions.
///
/// # Errors
/// When not every node has answered, or there is no such session.
pub fn kick(arguments: &Kick) -> anyhow::Result<()> {
    let which = match (&arguments.user, &arguments.session) {
        (_, Some(session)) => end_sessions_request::Which::Session(session.clone()),
        (user, None) => end_sessions_request::Which::User(user.clone().unwrap_or_default()),
    };
    let at = &arguments.at;
    at.target.run(async |murder| {
        let (mut ended, mut failures) = (0, Vec::new());
        for node in at.nodes(&murder).await? {
            match end(&node, which.clone()).await {
                Ok(some) => ended += some,
                Err(error) => failures.push(murder_node::describe(&error)),
            }
        }
        match at.json {
            true => print_json(&Ended { ended })?,
            false => print_line(&format!("{ended} sessions ended"))?,
        }
        if !failures.is_empty() {
            bail!("not every node was told: {}", failures.join("; "));
        }
        if let Some(session) = &arguments.session {
            ensure!(ended > 0, "there is no session {session}");
        }
        Ok(())
    })
}

async fn end(node: &Backend, which: end_sessions_request::Which) -> anyhow::Result<u64> {
    let mut client = SessionAdminClient::new(node.channel().await?);
    let request = v1::EndSessionsRequest { which: Some(which) };
    Ok(node.answered(client.end_sessions(request).await)?.ended)
}
