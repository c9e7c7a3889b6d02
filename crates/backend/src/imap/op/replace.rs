//! REPLACE and UID REPLACE (RFC 8508): APPEND, and another message goes with it.

use std::sync::Arc;

use murder_imap::{Replaced, Status};
use murder_mailbox::Rights;
use murder_store::{AppendMessage, MailboxHandle, Partition, StoreError, UidSet};

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::enabled::Extension;
use crate::imap::errors::{OpError, OpResult, bad, ok};
use crate::imap::op::append::{append_uid, refused};
use crate::imap::selected::Selected;
use crate::imap::uid_only;
use crate::imap::updates::{Expunges, refresh, report};
use crate::node::Found;

/// The message that is replaced.
pub(super) struct Source {
    partition: Arc<Partition>,
    handle: Arc<MailboxHandle>,
    uid: u32,
}

/// Looks for the message and for the right to remove it, before the new one comes.
///
/// # Errors
/// BAD when no mailbox is selected and for a number that there is not; NO EXPUNGEISSUED for a
/// UID that there is not.
pub(super) async fn source(
    client: &mut Client,
    account: &Account,
    selected: Option<&mut Selected>,
    replaced: &Replaced,
) -> Result<Source, OpError> {
    let selected = selected.ok_or_else(|| bad("Select a mailbox first"))?;
    if !replaced.uid && client.enabled.has(Extension::UidOnly) {
        return Err(uid_only::required());
    }
    refresh(client, account, selected, replaced.uid).await?;
    let places = selected.places(replaced.uid, &replaced.message)?;
    selected.require_writable()?;
    selected.require(
        &account.user.identity,
        Rights::DELETE_MESSAGES.union(Rights::EXPUNGE),
        "You may not remove messages from this mailbox",
    )?;
    let uids = selected.uids(&places);
    let Some(uid) = uids.iter().next() else {
        return Err(StoreError::NoSuchMessage.into());
    };
    Ok(Source {
        partition: Arc::clone(&selected.partition),
        handle: Arc::clone(&selected.handle),
        uid,
    })
}

/// Stores the new message and removes the old one. Within a home that is one change; a crash
/// between two homes or partitions leaves both messages.
pub(super) async fn replace(
    client: &mut Client,
    account: &Account,
    selected: Option<&mut Selected>,
    source: Source,
    target: &Found,
    message: Option<AppendMessage>,
) -> OpResult {
    let Some(message) = message else {
        return Err(bad("REPLACE takes one message"));
    };
    let name = &target.meta.name;
    let Source {
        partition,
        handle,
        uid,
    } = &source;
    let appended = if Arc::ptr_eq(partition, &target.partition) {
        partition.replace(handle, *uid, name, message).await
    } else if handle.view().row_by_uid(*uid).is_none() {
        Err(StoreError::NoSuchMessage)
    } else {
        match target.partition.append(name, vec![message]).await {
            Ok(appended) => {
                let removed = partition.remove(handle, &UidSet::range(*uid, *uid)).await;
                removed.map(|_| appended)
            }
            Err(error) => Err(error),
        }
    };
    let appended = appended.map_err(|error| refused(&account.user, error))?;
    let Some(selected) = selected else {
        return Err(bad("Select a mailbox first"));
    };
    selected.note_own_arrivals(target.meta.id, &appended.uids);
    // Section 3.2: before the EXPUNGE.
    if let Some(code) = append_uid(appended) {
        let text = "Replacement message ready";
        client.writer.untagged(Status::Ok, Some(&code), text);
    }
    report(client, account, selected, Expunges::Allowed).await?;
    Ok(ok("REPLACE completed"))
}
