//! FETCH and UID FETCH (RFC 9051 section 6.4.5).

use std::sync::Arc;

use murder_imap::{Code, FetchItem, FetchModifier, SequenceSet};
use murder_mailbox::Rights;
use murder_store::{Flags, MessageRow, StoreError, StoreMode, StoreOp, UidSet};

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::enabled::Extension;
use crate::imap::errors::{OpError, OpResult, no, ok};
use crate::imap::fetch::{FetchError, Plan, RowState, RowWriter, partial};
use crate::imap::qresync;
use crate::imap::selected::Selected;
use crate::imap::updates::{Expunges, Own, refresh, tell, tell_vanished};

/// Messages that are looked at together: one read of precomputed items, one write of `\Seen`.
const BATCH_ROWS: usize = 256;
/// Bytes of messages in a batch that needs more than columns. The precomputed items of a message
/// are no larger than the message, give or take a few bytes a part, so this bounds them too.
const BATCH_BYTES: u64 = 4 << 20;

/// Sends items of messages; sets `\Seen` where that is asked for, and tells it.
pub(crate) async fn fetch(
    client: &mut Client,
    account: &Account,
    selected: &mut Selected,
    uid: bool,
    set: &SequenceSet,
    items: &[FetchItem],
    modifiers: &[FetchModifier],
) -> OpResult {
    let plan = Plan::new(uid, items, modifiers, client.enabled)?;
    refresh(client, account, selected, uid).await?;
    let Client { writer, stream, .. } = client;
    let rights = selected.require(
        &account.user.identity,
        Rights::READ,
        "You may not read this mailbox",
    )?;
    let marks = plan.sets_seen && !selected.examined && rights.contains(Rights::SEEN);
    let mut places = selected.places(uid, set)?;
    selected.condstore |= plan.condstore;
    selected.modseq.told |= selected.condstore;
    let has_recent = !selected.enabled.has(Extension::Rev2);
    if plan.vanished {
        let since = plan.changed_since.unwrap_or_default();
        let known = known_uids(selected, set);
        let vanished = qresync::vanished(selected, since, &known).await?;
        tell_vanished(writer, stream, true, &vanished).await?;
    }
    if let Some(range) = plan.partial {
        places = partial::places(selected, &places, range);
    }
    let mut all_there = true;
    let mut damaged = None;
    let mut unknown_cte = false;
    let mut rows = Vec::new();
    for place in places {
        let (mut next, last) = place.into_inner();
        while next <= last {
            next = gather(selected, &plan, uid, next, last, &mut rows);
            let mut marked = UidSet::new();
            if marks {
                marked = mark_seen(selected, &rows).await;
                if !marked.is_empty() {
                    tell(
                        selected,
                        writer,
                        stream,
                        Expunges::Held,
                        &Own::Caller(&marked),
                    )
                    .await?;
                    for row in &mut rows {
                        // Sequence numbers stay, but flags and MODSEQ are others now.
                        *row = selected.view.row(row.seq).unwrap_or(*row);
                    }
                }
            }
            let items = match plan.needs_items && !rows.is_empty() {
                true => selected.handle.fetch_items(&rows).await?,
                false => Vec::new(),
            };
            let view = Arc::clone(&selected.view);
            let mut to = RowWriter {
                plan: &plan,
                partition: &selected.partition,
                writer: &mut *writer,
                stream: &mut *stream,
                parts: &mut selected.parts,
            };
            for (at, row) in rows.iter().enumerate() {
                let fetched = items.get(at).and_then(Option::as_ref);
                if plan.needs_items && fetched.is_none() {
                    // Either it was expunged meanwhile, or its home has lost it.
                    match selected.handle.view().row_by_uid(row.uid) {
                        None => all_there = false,
                        Some(there) => damaged = Some(there.location.corrupt()),
                    }
                    continue;
                }
                let state = RowState {
                    view: &view,
                    flags: view.flags_for(row, selected.seen_user.as_deref()),
                    recent: has_recent && selected.recent.contains(row.uid),
                    tell_flags: marked.contains(row.uid),
                    condstore: selected.condstore,
                };
                match to.write(row, state, fetched).await {
                    Ok(()) => {}
                    Err(FetchError::Store(StoreError::BodyGone)) => all_there = false,
                    // One damaged message does not hide the others.
                    Err(FetchError::Store(error @ StoreError::Corrupt { .. })) => {
                        damaged = Some(error);
                    }
                    Err(FetchError::UnknownCte) => unknown_cte = true,
                    Err(FetchError::Store(error)) => return Err(error.into()),
                    Err(FetchError::Gone(error)) => return Err(OpError::Gone(error)),
                }
            }
            tokio::task::consume_budget().await;
        }
    }
    if let Some(error) = damaged {
        return Err(error.into());
    }
    if unknown_cte {
        return Err(no(
            Code::UnknownCte,
            "A part has a transfer encoding that is not known",
        ));
    }
    match all_there || uid {
        true => Ok(ok("FETCH completed")),
        // RFC 2180 section 4.1.2.
        false => Err(no(
            Code::ExpungeIssued,
            "Some of the messages were expunged meanwhile",
        )),
    }
}

/// The UIDs of a set, of messages that are there and of others. `*` stands for the greatest UID
/// that there has been: what went from the end of the mailbox is in `1:*`.
fn known_uids(selected: &Selected, set: &SequenceSet) -> UidSet {
    let max = selected.view.uidnext().saturating_sub(1);
    let mut uids = UidSet::new();
    for range in set.resolve(max) {
        uids.insert_range(*range.start(), *range.end());
    }
    uids
}

/// Takes the next messages from `next..=last` into `rows`; returns where to go on.
fn gather(
    selected: &Selected,
    plan: &Plan,
    uid: bool,
    mut next: u32,
    last: u32,
    rows: &mut Vec<MessageRow>,
) -> u32 {
    rows.clear();
    rows.reserve(((last - next) as usize + 1).min(BATCH_ROWS));
    let heavy = plan.needs_items || plan.reads_bodies;
    let mut bytes = 0;
    for row in selected.view.rows(next, last) {
        bytes += u64::from(row.location.len);
        if rows.len() == BATCH_ROWS || (heavy && bytes > BATCH_BYTES && !rows.is_empty()) {
            return next;
        }
        next = row.seq + 1;
        let old = plan.changed_since.is_some_and(|since| row.modseq <= since);
        // By UID, a message that is gone is simply not there.
        let gone = uid && selected.holds_expunged() && selected.newest.seq_of(row.uid).is_none();
        if !old && !gone {
            rows.push(row);
        }
    }
    last + 1
}

/// Sets `\Seen`. A disk that takes no changes keeps nobody from reading: then nothing is set.
async fn mark_seen(selected: &Selected, rows: &[MessageRow]) -> UidSet {
    let view = &selected.view;
    let unseen: UidSet = rows
        .iter()
        .filter(|row| !selected.flags_of(view, row).contains(Flags::SEEN))
        .map(|row| row.uid)
        .collect();
    if unseen.is_empty() {
        return unseen;
    }
    let op = StoreOp {
        user: selected.seen_user.clone(),
        ..StoreOp::new(StoreMode::Add, Flags::SEEN, Vec::new())
    };
    let (partition, handle) = (&selected.partition, &selected.handle);
    match partition.store_flags(handle, &unseen, op).await {
        Ok(_) => unseen,
        Err(error) => {
            tracing::warn!(%error, "cannot set \\Seen for FETCH");
            UidSet::new()
        }
    }
}
