//! COPY and MOVE (RFC 9051 sections 6.4.7 and 6.4.8), within this node.
//!
//! Within a partition the store does it without copying bytes; to another partition of the node
//! see [`transfer`](crate::transfer). Either is all or nothing.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use murder_imap::node::CopiedUids;
use murder_imap::{Code, MailboxArg, SequenceSet, Status, Tag};
use murder_mailbox::Rights;
use murder_store::{
    Claim, Copied, CopyFlags, Destination, StoreError, TransferId, TransferredMessage, UidSet,
};

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::errors::{OpError, OpResult, no, ok, ok_code};
use crate::imap::op::append::{no_target, target};
use crate::imap::op::store::settable;
use crate::imap::progress::{Pace, Progress};
use crate::imap::selected::Selected;
use crate::imap::updates::{Expunges, refresh, report};
use crate::node::{Found, Node};
use crate::transfer::{MAX_MESSAGES, Outgoing};

/// Copies or moves messages to a mailbox of this node.
pub(crate) async fn copy(
    client: &mut Client,
    account: &Account,
    source: &mut Selected,
    tag: &Tag,
    (uid, set): (bool, &SequenceSet),
    mailbox: &MailboxArg,
    moving: bool,
) -> OpResult {
    let user = &account.user;
    let places = readable(client, account, source, (uid, set), moving).await?;
    let (target, rights) = target(client, account, mailbox)?;
    let pace = Pace::new(&client.imap, user, tag);
    let Client {
        writer,
        stream,
        node,
        ..
    } = client;
    let elsewhere = !Arc::ptr_eq(&source.partition, &target.partition);
    // Within a partition the store takes them.
    let (uids, claim) = wanted(source, uid, &places, moving && elsewhere)?;
    let text = match moving {
        true => "MOVE completed",
        false => "COPY completed",
    };
    if uids.is_empty() {
        return Ok(ok(text));
    }
    if uids.len() > MAX_MESSAGES {
        return Err(no(Code::Limit, "Too many messages at once"));
    }
    let (allowed, keywords) = settable(rights);
    let flags = CopyFlags {
        source: source.seen_user.clone(),
        target: user.seen_in(&target.meta.name).map(str::to_owned),
        without: !allowed,
        without_keywords: !keywords,
    };
    let mut progress = Progress::new(writer, stream, &node.shutdown, pace);
    let (partition, handle, name) = (&source.partition, &source.handle, &target.meta.name);
    let copied = if elsewhere {
        let goal = u32::try_from(uids.len()).unwrap_or(u32::MAX);
        let done = AtomicU32::new(0);
        let outgoing = Outgoing::new(node, source, &uids, claim);
        let work = across(node, outgoing, &target, &flags, moving, &done);
        match progress.during(Some((&done, goal)), work).await? {
            Err(Unfinished::Removal(error)) => {
                tracing::error!(%error, "what was moved cannot be removed now; it will be");
                return Err(OpError::Bye(
                    "The messages are in the other mailbox, and will go from this one".into(),
                ));
            }
            Err(Unfinished::Copy(error)) => Err(error),
            Ok(copied) => Ok(copied),
        }
    } else if moving {
        let work = partition.move_messages(handle, &uids, name, flags);
        progress.during(None, work).await?
    } else {
        let work = partition.copy(handle, &uids, name, flags);
        progress.during(None, work).await?
    };
    let copied = copied.map_err(|error| match error {
        StoreError::NoSuchMailbox if !source.handle.is_deleted() => no_target(user, false),
        error => error.into(),
    })?;
    source.note_own_arrivals(target.meta.id, &copied.target);
    let code = copy_uid(&copied);
    if !moving {
        return Ok(match code {
            Some(code) => ok_code(code, text),
            None => ok(text),
        });
    }
    // RFC 6851 section 4.3: before the EXPUNGEs, by which the client would forget the UIDs.
    if let Some(code) = code {
        client.writer.untagged(Status::Ok, Some(&code), "Moved");
    }
    report(client, account, source, Expunges::Allowed).await?;
    Ok(ok(text))
}

/// Where the messages of `set` are in the selected mailbox, which the user may read, and for MOVE
/// remove them.
///
/// # Errors
/// BAD for a set that means nothing, NO NOPERM, NO READ-ONLY.
pub(super) async fn readable(
    client: &mut Client,
    account: &Account,
    source: &mut Selected,
    (uid, set): (bool, &SequenceSet),
    moving: bool,
) -> Result<Vec<RangeInclusive<u32>>, OpError> {
    let user = &account.user;
    refresh(client, account, source, uid).await?;
    let places = source.places(uid, set)?;
    source.require(
        &user.identity,
        Rights::READ,
        "You may not read this mailbox",
    )?;
    if moving {
        source.require_writable()?;
        source.require(
            &user.identity,
            Rights::DELETE_MESSAGES.union(Rights::EXPUNGE),
            "You may not move messages out of this mailbox",
        )?;
    }
    Ok(places)
}

/// The UIDs to copy; with `claim` they are taken from others, or those of them that nobody has
/// taken before.
///
/// # Errors
/// NO EXPUNGEISSUED for a message number whose message is gone (RFC 2180 section 4.4.2): no
/// message is copied then, as a client could not tell which.
pub(super) fn wanted(
    source: &Selected,
    uid: bool,
    places: &[RangeInclusive<u32>],
    claim: bool,
) -> Result<(UidSet, Option<Claim>), OpError> {
    let uids = source.uids(places);
    let now = source.handle.view();
    let claim = claim.then(|| source.handle.claim(&uids));
    let all_there = match &claim {
        _ if uid => true,
        Some(claim) => claim.uids().len() == uids.len(),
        None => Arc::ptr_eq(&now, &source.view) || uids.iter().all(|uid| now.seq_of(uid).is_some()),
    };
    if !all_there {
        return Err(no(
            Code::ExpungeIssued,
            "Some of the messages were expunged meanwhile",
        ));
    }
    let uids = claim.as_ref().map_or(uids, |claim| claim.uids().clone());
    Ok((uids, claim))
}

/// COPYUID (RFC 4315); none if nothing was copied.
pub(super) fn copy_uid(copied: &Copied) -> Option<Code> {
    copied_uids(copied).map(Code::from)
}

/// COPYUID's arguments.
pub(super) fn copied_uids(copied: &Copied) -> Option<CopiedUids> {
    Some(CopiedUids {
        uidvalidity: copied.uidvalidity,
        from: SequenceSet::from_numbers(copied.source.iter().copied())?,
        to: SequenceSet::from_numbers(copied.target.iter().copied())?,
    })
}

/// Why a COPY or MOVE to another partition did not come to its end.
enum Unfinished {
    /// Nothing was changed.
    Copy(StoreError),
    /// The messages are in the target, and will be removed from the source.
    Removal(StoreError),
}

/// COPY or MOVE to another partition of this node.
async fn across(
    node: &Arc<Node>,
    mut outgoing: Outgoing,
    target: &Found,
    flags: &CopyFlags,
    moving: bool,
    done: &AtomicU32,
) -> Result<Copied, Unfinished> {
    let id = TransferId::new();
    let to = &target.partition;
    let mut incoming = to
        .begin_transfer(id, &target.meta.name)
        .map_err(Unfinished::Copy)?;
    let copy = async {
        loop {
            done.store(outgoing.done(), Ordering::Relaxed);
            let mut batch = outgoing.batch(to).await?;
            if batch.is_empty() {
                break;
            }
            for TransferredMessage { message, .. } in &mut batch {
                message.flags = message.flags & !flags.without;
                message.seen_by.clone_from(&flags.target);
                if flags.without_keywords {
                    message.keywords.clear();
                }
            }
            incoming.take(batch).await?;
        }
        if moving {
            let destination = Destination {
                node: node.config.node.name.clone(),
                partition: to.config().name.clone(),
                home: incoming.home(),
            };
            outgoing.leave(id, destination).await?;
        }
        incoming.adopt().await
    };
    let mut copied = match copy.await {
        Ok(copied) => copied,
        Err(error) => match to.settle_transfer(incoming.home(), id).await {
            Ok(Some(copied)) => copied,
            Ok(None) => {
                outgoing.release();
                return Err(Unfinished::Copy(error));
            }
            // It goes on to be asked what became of it.
            Err(_) => return Err(Unfinished::Copy(error)),
        },
    };
    if moving {
        copied.expunged = outgoing.depart().await.map_err(Unfinished::Removal)?;
    }
    Ok(copied)
}
