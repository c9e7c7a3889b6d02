//! ID (RFC 2971).

use bytes::Bytes;
use murder_imap::Command;

use crate::imap::errors::{OpResult, ok};
use crate::imap::op::parse;
use crate::imap::session::Session;

/// The most fields of a client's ID that are logged.
const MAX_LOGGED: usize = 6;

/// ID: who we are; who the client is goes to the log.
pub(crate) fn id(session: &mut Session, command: &Bytes) -> OpResult {
    if let Command::Id(Some(fields)) = parse(command)? {
        let fields: Vec<_> = fields.iter().take(MAX_LOGGED).collect();
        tracing::debug!(?fields, "client's ID");
    }
    session.client.wire.put(
        concat!(
            "* ID (\"name\" \"murder\" \"version\" \"",
            env!("CARGO_PKG_VERSION"),
            "\")\r\n"
        )
        .as_bytes(),
    );
    Ok(ok("ID completed"))
}
