//! DELETE (RFC 9051 section 6.3.5).

use murder_imap::{Code, MailboxArg};

use crate::imap::errors::{OpResult, no};
use crate::imap::op::create::changed;
use crate::imap::session::Session;

/// DELETE mailbox
pub(crate) async fn delete(session: &mut Session, mailbox: &MailboxArg) -> OpResult {
    let user = session.user()?;
    let name = session.mailbox_name(mailbox)?;
    if name.is_inbox() && name.is_owned_by(&user.identity.user) {
        return Err(no(Code::Cannot, "INBOX cannot be deleted"));
    }
    let canonical = user.namespace.is_canonical();
    let done = session
        .node
        .delete_mailbox(&user.identity, &name)
        .await
        .map_err(|error| error.into_op(canonical))?;
    Ok(changed(done, canonical, "DELETE completed"))
}
