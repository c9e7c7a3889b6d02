//! NAMESPACE (RFC 2342).

use murder_imap::response::{NamespacePrefix, NamespaceRow};

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::errors::{OpResult, ok};

/// NAMESPACE
pub(crate) fn namespace(client: &mut Client, account: &Account) -> OpResult {
    let user = account.user();
    let prefixes = user.namespace.prefixes();
    let one = |prefix: String| {
        vec![NamespacePrefix {
            prefix: prefix.into(),
            separator: Some(user.namespace.separator()),
        }]
    };
    client.writer.namespace(&NamespaceRow {
        personal: one(prefixes.personal),
        other_users: one(prefixes.other_users),
        shared: one(prefixes.shared),
    });
    Ok(ok("NAMESPACE completed"))
}
