//! RENAME (RFC 9051 section 6.3.6).

use murder_imap::{Code, MailboxArg};

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::errors::{OpResult, no};
use crate::imap::op::create::changed;

/// `RENAME from to`; with Cyrus's third argument, a partition, it is refused.
pub(crate) async fn rename(
    client: &mut Client,
    account: &Account,
    from: &MailboxArg,
    to: &MailboxArg,
    partition: Option<&str>,
) -> OpResult {
    let user = account.user();
    let (from, to) = (
        client.mailbox_name(account, from)?,
        client.mailbox_name(account, to)?,
    );
    if partition.is_some() {
        return Err(no(
            Code::Cannot,
            "Mailboxes cannot be moved to another partition",
        ));
    }
    let canonical = user.namespace.is_canonical();
    let changing = client.node.rename_mailbox(&user.identity, &from, &to);
    let done = client
        .actor(account)
        .scope(changing)
        .await
        .map_err(|error| error.into_op(canonical))?;
    Ok(changed(done, canonical, "RENAME completed"))
}
