//! Items of new messages in the selected mailbox (RFC 5465 sections 5.2 and 7).

use std::collections::HashSet;
use std::sync::Arc;

use murder_imap::{FetchItem, ResponseWriter};
use murder_store::{MessageRow, StoreError, UidSet};

use crate::imap::enabled::Extension;
use crate::imap::errors::OpError;
use crate::imap::fetch::{FetchError, Plan, RowState, RowWriter};
use crate::imap::selected::Selected;
use murder_session::ClientStream;

/// Messages that are looked at together.
const BATCH: usize = 64;

/// Sends what is wanted of messages that are new: `items` of all that have come, for NOTIFY, and
/// those that contexts want of what has come into their results (section 7). One message is one
/// FETCH. There is none of those that the client has put there itself, and `\Seen` is never set.
///
/// # Errors
/// When the disk cannot be read; when the client has gone.
pub(crate) async fn tell_items(
    selected: &mut Selected,
    writer: &mut ResponseWriter,
    stream: &mut ClientStream,
    items: &[FetchItem],
) -> Result<(), OpError> {
    let mut arrived = std::mem::take(&mut selected.arrived);
    let joined = std::mem::take(&mut selected.joined);
    let own = std::mem::take(&mut selected.own_arrivals);
    arrived.subtract(&own);
    let mut groups = vec![(arrived, items.to_vec())];
    for (mut uids, wanted) in joined {
        uids.subtract(&own);
        add_group(&mut groups, uids, &wanted);
    }
    for (uids, items) in groups {
        if !uids.is_empty() {
            tell_group(selected, writer, stream, &uids, &items).await?;
        }
    }
    Ok(())
}

/// Adds items that are wanted of messages to what is wanted of others, or of the same.
fn add_group(groups: &mut Vec<(UidSet, Vec<FetchItem>)>, mut uids: UidSet, items: &[FetchItem]) {
    for at in 0..groups.len() {
        let both = groups[at].0.intersection(&uids);
        if both.is_empty() {
            continue;
        }
        uids.subtract(&both);
        groups[at].0.subtract(&both);
        let mut all = groups[at].1.clone();
        let known: HashSet<FetchItem> = all.iter().cloned().collect();
        all.extend(items.iter().filter(|item| !known.contains(item)).cloned());
        groups.push((both, all));
    }
    if !uids.is_empty() {
        groups.push((uids, items.to_vec()));
    }
}

/// Sends `items` of messages.
async fn tell_group(
    selected: &mut Selected,
    writer: &mut ResponseWriter,
    stream: &mut ClientStream,
    uids: &UidSet,
    items: &[FetchItem],
) -> Result<(), OpError> {
    let enabled = selected.enabled;
    let plan = Plan::new(false, items, &[], enabled)?;
    selected.condstore |= plan.condstore;
    let view = Arc::clone(&selected.view);
    let newest = Arc::clone(&selected.newest);
    let rows: Vec<MessageRow> = uids
        .ranges()
        .iter()
        .flat_map(|&(low, high)| view.rows_by_uid(low, high))
        .filter(|row| newest.seq_of(row.uid).is_some())
        .collect();
    for rows in rows.chunks(BATCH) {
        let stored = match plan.needs_items {
            true => selected.handle.fetch_items(rows).await?,
            false => Vec::new(),
        };
        let mut to = RowWriter {
            plan: &plan,
            partition: &selected.partition,
            writer: &mut *writer,
            stream: &mut *stream,
            parts: &mut selected.parts,
        };
        for (at, row) in rows.iter().enumerate() {
            let fetched = stored.get(at).and_then(Option::as_ref);
            if plan.needs_items && fetched.is_none() {
                continue;
            }
            let state = RowState {
                view: &view,
                flags: view.flags_for(row, selected.seen_user.as_deref()),
                recent: !enabled.has(Extension::Rev2) && selected.recent.contains(row.uid),
                tell_flags: false,
                condstore: selected.condstore,
            };
            match to.write(row, state, fetched).await {
                Ok(()) | Err(FetchError::UnknownCte) => {}
                Err(FetchError::Store(StoreError::BodyGone | StoreError::Corrupt { .. })) => {}
                Err(FetchError::Store(error)) => return Err(error.into()),
                Err(FetchError::Gone(error)) => return Err(OpError::Gone(error)),
            }
        }
    }
    Ok(())
}
