//! SETMETADATA (RFC 5464 section 4.3): all of it, or nothing.

use std::collections::BTreeSet;

use murder_imap::{Code, MailboxArg, MetadataEntry};
use murder_mailbox::Rights;
use murder_store::{Annotated, AnnotationChange, StoreError};

use crate::imap::account::Account;
use crate::imap::client::{Client, not_permitted};
use crate::imap::errors::{OpError, OpResult, bad, no, ok};
use crate::imap::metadata::{self, ADMIN, SHARED_SEEN, SPECIAL_USE};
use crate::imap::op::get_metadata::permitted;
use crate::node::Node;

/// `SETMETADATA mailbox (entry value …)`
pub(crate) async fn set_metadata(
    client: &mut Client,
    account: &Account,
    mailbox: &MailboxArg,
    entries: Vec<MetadataEntry>,
) -> OpResult {
    let entries = checked(&client.node, entries)?;
    match mailbox.as_bytes().is_empty() {
        true => of_server(client, account, entries).await?,
        false => of_mailbox(client, account, mailbox, entries).await?,
    }
    Ok(ok("SETMETADATA completed"))
}

/// The entries by their names, each once, with values that are not too large.
fn checked(node: &Node, entries: Vec<MetadataEntry>) -> Result<Vec<MetadataEntry>, OpError> {
    let largest = metadata::largest_value(node);
    let mut names = BTreeSet::new();
    let mut checked = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let name = metadata::entry_name(&name, false)?;
        if !names.insert(name.clone()) {
            return Err(bad("An entry has one value"));
        }
        checked.push((name, value));
    }
    let mut values = checked.iter().filter_map(|(_, value)| value.as_ref());
    match values.any(|value| value.len() > largest) {
        true => Err(too_large(node)),
        false => Ok(checked),
    }
}

/// The answer to a value that is too large.
pub(crate) fn too_large(node: &Node) -> OpError {
    let largest = metadata::largest_value(node);
    let code = Code::MetadataMaxSize(u32::try_from(largest).unwrap_or(u32::MAX));
    no(code, "The value is too large")
}

async fn of_mailbox(
    client: &Client,
    account: &Account,
    mailbox: &MailboxArg,
    entries: Vec<MetadataEntry>,
) -> Result<(), OpError> {
    let user = account.user();
    let name = client.mailbox_name(account, mailbox)?;
    let found = permitted(client, account, &name)?;
    let mut change = AnnotationChange::default();
    for (entry, value) in entries {
        match entry.as_str() {
            SHARED_SEEN => {
                if !found.rights_of(&user.identity).contains(Rights::ADMINISTER) {
                    return Err(not_permitted());
                }
                change.shared_seen = Some(boolean(value.as_deref())?);
            }
            // The master is told of it when a mailbox is made, and cannot be later.
            SPECIAL_USE => {
                let text = "The special use is given to a mailbox when it is created";
                return Err(no(Code::Cannot, text));
            }
            _ => change.entries.push((entry, value)),
        }
    }
    let (of, own) = (Annotated::Mailbox(&name), user.seen_in(&name));
    found.partition.annotate(of, own, change).await?;
    Ok(())
}

/// A value of `sharedseen`; NIL is what it is by default.
fn boolean(value: Option<&[u8]>) -> Result<bool, OpError> {
    match value {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case(b"true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case(b"false") => Ok(false),
        Some(_) => Err(no(Code::Cannot, "The value is true or false")),
    }
}

/// What all share is set by administrators, what is a user's lies in the user's home.
async fn of_server(
    client: &Client,
    account: &Account,
    entries: Vec<MetadataEntry>,
) -> Result<(), OpError> {
    let user = account.user();
    let shared = entries
        .iter()
        .filter(|(entry, _)| metadata::is_shared(entry));
    let shared = shared.count();
    if entries.iter().any(|(entry, _)| entry == ADMIN) {
        return Err(no(Code::Cannot, "The entry is read-only"));
    }
    if shared > 0 && !user.identity.admin {
        return Err(not_permitted());
    }
    if shared > 0 && shared < entries.len() {
        // They are in two homes, and one command is all or nothing.
        let text = "Shared and private entries of the server are set by commands of their own";
        return Err(no(Code::Cannot, text));
    }
    let change = AnnotationChange {
        entries,
        shared_seen: None,
    };
    if shared > 0 {
        let partition = client
            .node
            .server_partition()
            .ok_or_else(|| no(Code::Unavailable, "There is no partition here"))?;
        partition.annotate(Annotated::Server, None, change).await?;
        return Ok(());
    }
    let home = |error: StoreError| match error {
        StoreError::NoSuchHome => {
            let text = "Private entries of the server are kept with the INBOX, and there is none";
            no(Code::Cannot, text)
        }
        error => error.into(),
    };
    let (partition, key) = client.node.home_of(&user.identity).map_err(home)?;
    let done = partition.annotate(Annotated::Home(&key), None, change);
    done.await.map_err(home)
}
