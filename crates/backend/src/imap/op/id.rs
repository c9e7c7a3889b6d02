//! ID (RFC 2971). Frontends say by it for which session, and for which client, they act.

use std::net::IpAddr;

use murder_net::Role;
use tracing::{debug, info_span};

use crate::imap::errors::{OpResult, ok};
use crate::imap::session::{Origin, Session};

/// The most fields of a client's ID that are logged: RFC 2971 section 3.3 has ten.
const MAX_LOGGED: usize = 10;
/// The most of a field that is logged; session ids are shorter.
const MAX_FIELD: usize = 64;
/// The frontend's name for the session.
const SESSION: &str = "x-session-id";
/// The client's address, as the frontend sees it.
const CLIENT: &str = "x-originating-ip";

/// ID: who we are; who the client is goes to the log.
pub(crate) fn id(session: &mut Session, fields: Option<&[(String, Option<String>)]>) -> OpResult {
    let fields = fields.unwrap_or_default();
    if is_node(session) {
        act_for(session, fields);
    } else if !fields.is_empty() {
        let fields: Vec<_> = fields
            .iter()
            .take(MAX_LOGGED)
            .map(|(name, value)| (cut(name), cut(value.as_deref().unwrap_or_default())))
            .collect();
        debug!(?fields, "client's ID");
    }
    let field = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    session.writer.id(Some(&[
        field("name", "murder"),
        field("version", env!("CARGO_PKG_VERSION")),
    ]));
    Ok(ok("ID completed"))
}

/// Whether it is a node that acts for clients: a frontend, or a backend that asks what became of a
/// MOVE.
fn is_node(session: &Session) -> bool {
    let peer = session.stream.peer();
    peer.is_some_and(|peer| peer.has_role(Role::Frontend) || peer.has_role(Role::Backend))
}

/// From here on the log has the frontend's session beside this one. A connection that is kept
/// for several sessions says so anew for each.
fn act_for(session: &mut Session, fields: &[(String, Option<String>)]) {
    let value = |wanted: &str| {
        let found = fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.and_then(|(_, value)| value.as_deref())
    };
    let Some(id) = value(SESSION) else { return };
    let client: Option<IpAddr> = value(CLIENT).and_then(|address| address.parse().ok());
    session.origin = Box::new(Origin {
        session: cut(id).to_owned(),
        client,
    });
    let client = client.map(tracing::field::display);
    session.via = info_span!(parent: &session.span, "frontend", session = cut(id), client);
    session
        .via
        .in_scope(|| debug!("acting for a frontend's session"));
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_FIELD)]
}
