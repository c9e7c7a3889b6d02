//! EXPUNGE (RFC 9051 section 6.4.3) and UID EXPUNGE (section 6.4.9).

use murder_imap::{SequenceSet, Tag};
use murder_mailbox::Rights;
use murder_store::{Flags, MailboxView, UidSet};

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::errors::{OpResult, ok};
use crate::imap::progress::{Pace, Progress};
use crate::imap::selected::Selected;
use crate::imap::updates::{Expunges, refresh, report};

/// Removes the messages with `\Deleted`, or those of `uids` that have it, and tells so.
pub(crate) async fn expunge(
    client: &mut Client,
    account: &Account,
    selected: &mut Selected,
    tag: &Tag,
    uids: Option<&SequenceSet>,
) -> OpResult {
    let user = &account.user;
    refresh(client, account, selected, uids.is_some()).await?;
    selected.require_writable()?;
    selected.require(
        &user.identity,
        Rights::EXPUNGE,
        "You may not expunge messages here",
    )?;
    let uids = match uids {
        Some(set) => Some(selected.uids(&selected.places(true, set)?)),
        None => None,
    };
    if any_deleted(&selected.handle.view(), uids.as_ref()) {
        let (partition, handle) = (&selected.partition, &selected.handle);
        let pace = Pace::new(&client.imap, user, tag);
        let (writer, stream) = (&mut client.writer, &mut client.stream);
        let mut progress = Progress::new(writer, stream, &client.node.shutdown, pace);
        let work = partition.expunge(handle, uids.as_ref());
        progress.during(None, work).await??;
    }
    report(client, account, selected, Expunges::Allowed).await?;
    Ok(ok("EXPUNGE completed"))
}

/// Whether there is a message with `\Deleted`, among `uids` if given: without one there is
/// nothing to write to the disk.
pub(super) fn any_deleted(view: &MailboxView, uids: Option<&UidSet>) -> bool {
    match uids {
        None => view.chunks().any(|(_, chunk)| {
            let mut flags = chunk.flags().iter();
            flags.any(|bits| Flags::from_bits(*bits).contains(Flags::DELETED))
        }),
        Some(uids) => uids.ranges().iter().any(|&(low, high)| {
            let mut rows = view.rows_by_uid(low, high);
            rows.any(|row| row.flags.contains(Flags::DELETED))
        }),
    }
}
