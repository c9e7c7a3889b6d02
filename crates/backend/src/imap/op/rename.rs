//! RENAME (RFC 9051 section 6.3.6).

use murder_imap::{Code, MailboxArg};

use crate::imap::errors::{OpResult, no};
use crate::imap::op::create::changed;
use crate::imap::session::Session;

/// `RENAME from to`; with Cyrus's third argument, a partition, it is refused.
pub(crate) async fn rename(
    session: &mut Session,
    from: &MailboxArg,
    to: &MailboxArg,
    partition: Option<&str>,
) -> OpResult {
    let user = session.user()?;
    let (from, to) = (session.mailbox_name(from)?, session.mailbox_name(to)?);
    if partition.is_some() {
        return Err(no(
            Code::Cannot,
            "Mailboxes cannot be moved to another partition",
        ));
    }
    let canonical = user.namespace.is_canonical();
    let changing = session.node.rename_mailbox(&user.identity, &from, &to);
    let done = session
        .actor()
        .scope(changing)
        .await
        .map_err(|error| error.into_op(canonical))?;
    Ok(changed(done, canonical, "RENAME completed"))
}
