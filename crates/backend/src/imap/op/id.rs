//! ID (RFC 2971). Frontends say by it for which session, and for which client, they act, and how
//! new what they know of accounts is.

use std::net::IpAddr;
use std::time::Duration;

use murder_net::Role;
use tracing::{debug, info_span};

use crate::imap::client::{Client, Origin};
use crate::imap::errors::{OpResult, ok};

/// The most fields of a client's ID that are logged: RFC 2971 section 3.3 has ten.
const MAX_LOGGED: usize = 10;
/// The most of a field that is logged; session ids are shorter.
const MAX_FIELD: usize = 64;
/// The frontend's name for the client.
const SESSION: &str = "x-session-id";
/// The client's address, as the frontend sees it.
const CLIENT: &str = "x-originating-ip";
/// The master's revision of the accounts as the frontend knows them.
const ACCOUNTS: &str = "x-accounts-revision";
/// How long a frontend that knows newer accounts waits until they are known here.
const CATCH_UP: Duration = Duration::from_secs(2);

/// ID: who we are; who the client is goes to the log.
pub(crate) async fn id(
    client: &mut Client,
    fields: Option<&[(String, Option<String>)]>,
) -> OpResult {
    let fields = fields.unwrap_or_default();
    if is_node(client) {
        act_for(client, fields);
        catch_up(client, fields).await;
    } else if !fields.is_empty() {
        let fields: Vec<_> = fields
            .iter()
            .take(MAX_LOGGED)
            .map(|(name, value)| (cut(name), cut(value.as_deref().unwrap_or_default())))
            .collect();
        debug!(?fields, "client's ID");
    }
    let field = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    client.writer.id(Some(&[
        field("name", "murder"),
        field("version", env!("CARGO_PKG_VERSION")),
    ]));
    Ok(ok("ID completed"))
}

/// Whether it is a node that acts for clients: a frontend, or a backend that asks what became of a
/// MOVE.
fn is_node(client: &Client) -> bool {
    let peer = client.stream.peer();
    peer.is_some_and(|peer| peer.has_role(Role::Frontend) || peer.has_role(Role::Backend))
}

/// From here on the log has the frontend's session beside this one. A connection that is kept
/// for several sessions says so anew for each.
fn act_for(client: &mut Client, fields: &[(String, Option<String>)]) {
    let Some(id) = value(fields, SESSION) else {
        return;
    };
    let address: Option<IpAddr> = value(fields, CLIENT).and_then(|address| address.parse().ok());
    *client.origin = Origin {
        session: cut(id).to_owned(),
        client: address,
    };
    let address = address.map(tracing::field::display);
    client.via = info_span!(parent: &client.span, "frontend", session = cut(id), client = address);
    client
        .via
        .in_scope(|| debug!("acting for a frontend's session"));
}

/// Waits until what the frontend knows of accounts is known here too: a mailbox that the frontend
/// shows to somebody who has joined a group a moment ago can be selected then.
async fn catch_up(client: &Client, fields: &[(String, Option<String>)]) {
    let revision = value(fields, ACCOUNTS).and_then(|revision| revision.parse().ok());
    let (Some(revision), Some(cluster)) = (revision, &client.node.cluster) else {
        return;
    };
    // Without the master nothing newer will come.
    if cluster.replica.connected()
        && let Err(error) = cluster.replica.wait_for(revision, CATCH_UP).await
    {
        debug!(%error, "the frontend knows newer accounts");
    }
}

fn value<'a>(fields: &'a [(String, Option<String>)], wanted: &str) -> Option<&'a str> {
    let found = fields
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    found.and_then(|(_, value)| value.as_deref())
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_FIELD)]
}
