//! UNAUTHENTICATE (RFC 8437).

use murder_imap::Code;

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::errors::{OpError, OpResult, bad, ok_code};
use crate::imap::op::capability;
use crate::imap::session::Session;

/// Whether the command is there: unless the configuration says otherwise, and not for frontends,
/// which do not pass it on.
pub(crate) fn is_offered(client: &Client, account: &Account) -> bool {
    client.node.config.imap.unauthenticate && !account.is_frontends()
}

/// The connection as it was before login, but for TLS. Messages with `\Deleted` stay.
///
/// Compression cannot be ended so that either side would know where: then the connection is
/// (RFC 8437 section 3).
pub(crate) fn unauthenticate(session: &mut Session) -> OpResult {
    let account = session.state.account();
    if !account.is_some_and(|account| is_offered(&session.client, account)) {
        return Err(bad("UNAUTHENTICATE is not offered"));
    }
    if session.client.stream.is_compressed() {
        return Err(OpError::Bye(
            "Connect again; this connection is compressed".into(),
        ));
    }
    session.log_out();
    let code = Code::Capability(capability::list(session));
    Ok(ok_code(code, "UNAUTHENTICATE completed"))
}
