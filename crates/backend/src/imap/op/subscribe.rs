//! SUBSCRIBE and UNSUBSCRIBE (RFC 9051 sections 6.3.7 and 6.3.8): kept in the user's home, for
//! names anywhere in the murder.

use murder_imap::{Code, MailboxArg};
use murder_store::StoreError;

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::errors::{OpError, OpResult, no, no_such_mailbox, ok};

/// SUBSCRIBE mailbox
pub(crate) async fn subscribe(
    client: &mut Client,
    account: &Account,
    mailbox: &MailboxArg,
) -> OpResult {
    let user = account.user();
    let name = client.mailbox_name(account, mailbox)?;
    let canonical = user.namespace.is_canonical();
    if !canonical {
        // A frontend knows all of the murder, and has looked.
        client.find(account, &name)?;
    }
    client
        .node
        .subscribe(&user.identity, &name)
        .await
        .map_err(|error| no_home(error, canonical))?;
    Ok(ok("SUBSCRIBE completed"))
}

/// UNSUBSCRIBE mailbox, which need not exist.
pub(crate) async fn unsubscribe(
    client: &mut Client,
    account: &Account,
    mailbox: &MailboxArg,
) -> OpResult {
    let user = account.user();
    let name = client.mailbox_name(account, mailbox)?;
    client
        .node
        .unsubscribe(&user.identity, &name)
        .await
        .map_err(|error| no_home(error, user.namespace.is_canonical()))?;
    Ok(ok("UNSUBSCRIBE completed"))
}

/// What goes wrong with subscriptions; a frontend looks for the user's home elsewhere.
pub(crate) fn no_home(error: StoreError, canonical: bool) -> OpError {
    match error {
        StoreError::NoSuchHome if canonical => no_such_mailbox(true),
        StoreError::NoSuchHome => no(
            Code::Cannot,
            "Subscriptions are kept with the INBOX, and there is none",
        ),
        error => error.into(),
    }
}
