//! COPY and MOVE (RFC 9051 sections 6.4.7 and 6.4.8), within this node.
//!
//! Within a partition the store does it, all or nothing and without copying bytes. To another
//! partition of the node messages are read and appended in batches; a COPY that fails takes back
//! what it has appended, a MOVE removes from the source only what has arrived.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use murder_imap::{Code, MailboxArg, SequenceSet, Status, Tag};
use murder_mailbox::Rights;
use murder_store::{
    AppendMessage, Body, Copied, CopyFlags, Flags, INLINE_LIMIT, MailboxView, MessageRow,
    Partition, StoreError, StoreMode, StoreOp, UidSet,
};

use crate::imap::errors::{OpError, OpResult, no, ok, ok_code};
use crate::imap::fetch::RawPieces;
use crate::imap::op::append::{no_target, target};
use crate::imap::op::store::settable;
use crate::imap::progress::{Pace, Progress};
use crate::imap::selected::{Selected, selected};
use crate::imap::session::Session;
use crate::imap::updates::{Expunges, refreshed, report};
use crate::node::{Found, now};

/// Bytes of small messages that are in memory for one append to another partition.
const BATCH_BYTES: u64 = 4 << 20;
/// Messages in one append to another partition: as long as it lasts, the target's home waits.
const BATCH_MESSAGES: usize = 500;

/// Copies or moves messages to a mailbox of this node.
pub(crate) async fn copy(
    session: &mut Session,
    tag: &Tag,
    uid: bool,
    set: &SequenceSet,
    mailbox: &MailboxArg,
    moving: bool,
) -> OpResult {
    let user = session.user()?;
    let source = refreshed(
        &mut session.state,
        &mut session.writer,
        &mut session.stream,
        uid,
    )
    .await?;
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
    let (target, rights) = target(session, &user, mailbox)?;
    let pace = Pace::new(&session.node, &user, tag);
    let Session {
        state,
        writer,
        stream,
        node,
        ..
    } = session;
    let source = selected(state)?;
    let uids = wanted(source, uid, &places)?;
    let text = match moving {
        true => "MOVE completed",
        false => "COPY completed",
    };
    if uids.is_empty() {
        return Ok(ok(text));
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
    let copied = if !Arc::ptr_eq(partition, &target.partition) {
        let goal = u32::try_from(uids.len()).unwrap_or(u32::MAX);
        let done = AtomicU32::new(0);
        let work = across(source, &target, &uids, &flags, moving, &done);
        progress.during(Some((&done, goal)), work).await?
    } else if moving {
        let work = partition.move_messages(handle, &uids, name, flags);
        progress.during(None, work).await?
    } else {
        let work = partition.copy(handle, &uids, name, flags);
        progress.during(None, work).await?
    };
    let copied = copied.map_err(|error| match error {
        StoreError::NoSuchMailbox if !source.handle.is_deleted() => no_target(&user, false),
        error => error.into(),
    })?;
    session.note_own_arrivals(target.meta.id, &copied.target);
    let code = copy_uid(&copied);
    if !moving {
        return Ok(match code {
            Some(code) => ok_code(code, text),
            None => ok(text),
        });
    }
    // RFC 6851 section 4.3: before the EXPUNGEs, by which the client would forget the UIDs.
    if let Some(code) = code {
        session.writer.untagged(Status::Ok, Some(&code), "Moved");
    }
    report(session, Expunges::Allowed).await?;
    Ok(ok(text))
}

/// The UIDs to copy.
///
/// # Errors
/// NO EXPUNGEISSUED for a message number whose message is gone (RFC 2180 section 4.4.2): no
/// message is copied then, as a client could not tell which.
fn wanted(source: &Selected, uid: bool, places: &[RangeInclusive<u32>]) -> Result<UidSet, OpError> {
    let uids = source.uids(places);
    let now = source.handle.view();
    if uid || Arc::ptr_eq(&now, &source.view) {
        return Ok(uids);
    }
    let all_there = uids.iter().all(|uid| now.seq_of(uid).is_some());
    match all_there {
        true => Ok(uids),
        false => Err(no(
            Code::ExpungeIssued,
            "Some of the messages were expunged meanwhile",
        )),
    }
}

/// COPYUID (RFC 4315); none if nothing was copied.
fn copy_uid(copied: &Copied) -> Option<Code> {
    Some(Code::CopyUid {
        uidvalidity: copied.uidvalidity,
        from: SequenceSet::from_numbers(copied.source.iter().copied())?,
        to: SequenceSet::from_numbers(copied.target.iter().copied())?,
    })
}

/// COPY or MOVE to another partition of this node.
async fn across(
    source: &Selected,
    target: &Found,
    uids: &UidSet,
    flags: &CopyFlags,
    moving: bool,
    done: &AtomicU32,
) -> Result<Copied, StoreError> {
    let view = source.handle.view();
    let mut copied = Copied {
        uidvalidity: target.meta.uidvalidity,
        ..Copied::default()
    };
    let uids: Vec<u32> = uids.iter().collect();
    let mut next = 0;
    while next < uids.len() {
        done.store(next as u32, Ordering::Relaxed);
        let mut batch: Vec<MessageRow> = Vec::new();
        let mut bytes = 0;
        while let Some(uid) = uids.get(next) {
            if let Some(row) = view.row_by_uid(*uid) {
                bytes += in_memory(&row);
                let full = batch.len() == BATCH_MESSAGES || bytes > BATCH_BYTES;
                if full && !batch.is_empty() {
                    break;
                }
                batch.push(row);
            }
            next += 1;
        }
        let appended = append_batch(source, &view, target, &batch, flags, &mut copied).await;
        match appended {
            Ok(arrived) if moving => depart(source, &arrived, &mut copied).await?,
            Ok(_) => {}
            Err(error) => {
                if !moving {
                    take_back(target, &copied).await;
                }
                return Err(error);
            }
        }
    }
    Ok(copied)
}

/// Appends messages to the target; those expunged meanwhile are left out. Returns the source
/// UIDs of those that arrived.
async fn append_batch(
    source: &Selected,
    view: &MailboxView,
    target: &Found,
    rows: &[MessageRow],
    flags: &CopyFlags,
    copied: &mut Copied,
) -> Result<UidSet, StoreError> {
    let mut messages = Vec::with_capacity(rows.len());
    let mut email_ids = Vec::with_capacity(rows.len());
    let mut arrived = UidSet::new();
    for row in rows {
        let body = match load(&source.partition, &target.partition, row).await {
            Ok(body) => body,
            Err(StoreError::BodyGone) => continue,
            Err(error) => return Err(error),
        };
        let all = view.flags_for(row, flags.source.as_deref());
        let keywords = match flags.without_keywords {
            true => Vec::new(),
            false => {
                let names = view.keywords().names(row.keywords);
                names.map(str::to_owned).collect()
            }
        };
        messages.push(AppendMessage {
            body,
            flags: all & !flags.without,
            keywords,
            internal_date: row.internal_date,
            save_date: now(),
            seen_by: flags.target.clone(),
        });
        email_ids.push(row.email_id);
        arrived.insert(row.uid);
    }
    if messages.is_empty() {
        return Ok(arrived);
    }
    let (partition, name) = (&target.partition, &target.meta.name);
    let appended = partition.append_copies(name, messages, &email_ids).await?;
    copied.uidvalidity = appended.uidvalidity;
    copied.source.extend(arrived.iter());
    copied.target.extend(appended.uids);
    Ok(arrived)
}

/// A message's bytes, for an append: small ones in memory, large ones on the target's disk.
async fn load(from: &Partition, to: &Partition, row: &MessageRow) -> Result<Body, StoreError> {
    let at = row.location;
    if at.len as usize <= INLINE_LIMIT {
        return Ok(from.read_body(at).await?.into());
    }
    let mut writer = to.stage(u64::from(at.len)).await?;
    let mut pieces = RawPieces::new(at, 0..at.len);
    while let Some(piece) = pieces.next(from).await? {
        writer.write(piece).await?;
    }
    Ok(writer.finish().await?.into())
}

/// Bytes that a message takes in a batch.
fn in_memory(row: &MessageRow) -> u64 {
    match row.location.len as usize <= INLINE_LIMIT {
        true => u64::from(row.location.len),
        false => 0,
    }
}

/// Expunges from the source of a MOVE what has arrived at the target.
async fn depart(
    source: &Selected,
    arrived: &UidSet,
    copied: &mut Copied,
) -> Result<(), StoreError> {
    let deleted = StoreOp::new(StoreMode::Add, Flags::DELETED, Vec::new());
    let (partition, handle) = (&source.partition, &source.handle);
    partition.store_flags(handle, arrived, deleted).await?;
    let expunged = partition.expunge(handle, Some(arrived)).await?;
    copied.expunged.union_with(&expunged.uids);
    Ok(())
}

/// Removes the messages that a failed COPY has appended (RFC 9051 section 6.4.7).
async fn take_back(target: &Found, copied: &Copied) {
    let uids: UidSet = copied.target.iter().copied().collect();
    if uids.is_empty() {
        return;
    }
    let undo = async {
        let partition = &target.partition;
        let handle = partition.open_mailbox(&target.meta.name).await?;
        let deleted = StoreOp::new(StoreMode::Add, Flags::DELETED, Vec::new());
        partition.store_flags(&handle, &uids, deleted).await?;
        partition.expunge(&handle, Some(&uids)).await
    };
    if let Err(error) = undo.await {
        tracing::error!(
            mailbox = target.meta.name.as_str(),
            messages = uids.len(),
            %error,
            "cannot take back what a failed COPY has appended"
        );
    }
}
