//! DELETE (RFC 9051 section 6.3.5).

use murder_imap::{Code, MailboxArg};

use crate::imap::client::Client;
use crate::imap::errors::{OpResult, bad, no};
use crate::imap::op::create::changed;
use crate::imap::state::State;

/// DELETE mailbox
pub(crate) async fn delete(
    client: &mut Client,
    state: &mut State,
    mailbox: &MailboxArg,
) -> OpResult {
    let (account, selected) = state.logged_in().ok_or_else(|| bad("Log in first"))?;
    let user = account.user();
    let name = client.mailbox_name(account, mailbox)?;
    if name.is_inbox() && name.is_owned_by(&user.identity.user) {
        return Err(no(Code::Cannot, "INBOX cannot be deleted"));
    }
    let canonical = user.namespace.is_canonical();
    let selected = selected.and_then(|selected| selected.handle.meta());
    let is_selected = selected.is_some_and(|meta| meta.name == name);
    let changing = client.node.delete_mailbox(&user.identity, &name);
    let done = client
        .actor(account)
        .scope(changing)
        .await
        .map_err(|error| error.into_op(canonical))?;
    if is_selected {
        // This client knows, and goes on; others that have it open are sent away.
        state.select(None);
    }
    Ok(changed(done, canonical, "DELETE completed"))
}
