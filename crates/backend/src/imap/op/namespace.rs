//! NAMESPACE (RFC 2342).

use murder_imap::response::{NamespacePrefix, NamespaceRow};

use crate::imap::errors::{OpResult, ok};
use crate::imap::session::Session;

/// NAMESPACE
pub(crate) fn namespace(session: &mut Session) -> OpResult {
    let user = session.user()?;
    let prefixes = user.namespace.prefixes();
    let one = |prefix: String| {
        vec![NamespacePrefix {
            prefix: prefix.into(),
            separator: Some(user.namespace.separator()),
        }]
    };
    session.writer.namespace(&NamespaceRow {
        personal: one(prefixes.personal),
        other_users: one(prefixes.other_users),
        shared: one(prefixes.shared),
    });
    Ok(ok("NAMESPACE completed"))
}
