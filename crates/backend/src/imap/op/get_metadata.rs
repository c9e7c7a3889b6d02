//! GETMETADATA (RFC 5464 section 4.2).

use murder_imap::{Code, GetMetadata};
use murder_mailbox::MailboxName;
use murder_store::Annotation;

use crate::imap::account::Account;
use crate::imap::client::{Client, not_permitted};
use crate::imap::errors::{OpError, OpResult, ok, ok_code};
use crate::imap::metadata::{self, Wanted};
use crate::node::Found;

/// Octets of values after which another response begins.
const IN_RESPONSE: usize = 64 << 10;

/// `GETMETADATA (options) mailbox entries`
pub(crate) async fn get_metadata(
    client: &mut Client,
    account: &Account,
    get: &GetMetadata,
) -> OpResult {
    let user = account.user();
    let wanted = Wanted::new(&get.entries, get.depth, get.max_size)?;
    let (shown, found) = if get.mailbox.as_bytes().is_empty() {
        let found = metadata::of_server(&client.node, &user, &wanted).await?;
        (String::new(), found)
    } else {
        let name = client.mailbox_name(account, &get.mailbox)?;
        let mailbox = permitted(client, account, &name)?;
        let found = metadata::of_mailbox(&user, &mailbox, &wanted).await?;
        (user.namespace.render(&name).unwrap_or_default(), found)
    };
    let longest = found.iter().filter(|one| one.value.is_none());
    let longest = longest.map(|one| one.size).max();
    tell(client, &shown, &wanted, &found).await?;
    const TEXT: &str = "GETMETADATA completed";
    Ok(match longest {
        Some(size) => ok_code(Code::MetadataLongEntries(size), TEXT),
        None => ok(TEXT),
    })
}

/// A mailbox whose annotations the user may have (section 3.3).
pub(super) fn permitted(
    client: &Client,
    account: &Account,
    name: &MailboxName,
) -> Result<Found, OpError> {
    let user = account.user();
    let found = client.find(account, name)?;
    match metadata::are_enough(found.rights_of(&user.identity)) {
        true => Ok(found),
        false => Err(not_permitted()),
    }
}

/// `* METADATA` of values that are not too large, and NIL for names that there is nothing of:
/// a client is told something of each.
pub(super) async fn tell(
    client: &mut Client,
    shown: &str,
    wanted: &Wanted,
    found: &[Annotation],
) -> Result<(), OpError> {
    let there = found.iter().filter(|one| one.value.is_some());
    let there = there.map(|one| (one.entry.as_str(), one.value.as_deref()));
    let missing = wanted.missing(found).map(|name| (name, None));
    let mut group = Vec::new();
    let mut octets = 0;
    for (entry, value) in there.chain(missing) {
        octets += entry.len() + value.map_or(0, <[u8]>::len);
        group.push((entry, value));
        if octets >= IN_RESPONSE {
            client.writer.metadata(shown, group.drain(..));
            client.make_room().await?;
            octets = 0;
        }
    }
    if !group.is_empty() {
        client.writer.metadata(shown, group);
    }
    Ok(())
}
