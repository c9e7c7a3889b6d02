//! DELETE (RFC 9051 section 6.3.5).

use murder_imap::{Code, MailboxArg};

use crate::imap::errors::{OpResult, no};
use crate::imap::op::create::changed;
use crate::imap::session::{Session, State};

/// DELETE mailbox
pub(crate) async fn delete(session: &mut Session, mailbox: &MailboxArg) -> OpResult {
    let user = session.user()?;
    let name = session.mailbox_name(mailbox)?;
    if name.is_inbox() && name.is_owned_by(&user.identity.user) {
        return Err(no(Code::Cannot, "INBOX cannot be deleted"));
    }
    let canonical = user.namespace.is_canonical();
    let is_selected = match &session.state {
        State::Selected(selected) => selected.handle.meta().is_some_and(|m| m.name == name),
        _ => false,
    };
    let changing = session.node.delete_mailbox(&user.identity, &name);
    let done = session
        .actor()
        .scope(changing)
        .await
        .map_err(|error| error.into_op(canonical))?;
    if is_selected {
        // This client knows, and goes on; others that have it open are sent away.
        session.state = State::Authenticated;
    }
    Ok(changed(done, canonical, "DELETE completed"))
}
