//! Items of new messages in the selected mailbox (RFC 5465 section 5.2).

use std::sync::Arc;

use murder_imap::FetchItem;
use murder_store::{MessageRow, StoreError};

use crate::imap::enabled::Extension;
use crate::imap::errors::OpError;
use crate::imap::fetch::{FetchError, Plan, RowState, RowWriter};
use crate::imap::session::{Session, State};

/// Messages that are looked at together.
const BATCH: usize = 64;

/// Sends `items` of the messages that have come, but for those that the client has put there
/// itself. `\Seen` is never set by it.
pub(super) async fn tell(session: &mut Session, items: &[FetchItem]) -> Result<(), OpError> {
    let enabled = session.enabled;
    let Session {
        state,
        writer,
        stream,
        ..
    } = session;
    let State::Selected(selected) = state else {
        return Ok(());
    };
    let mut arrived = std::mem::take(&mut selected.arrived);
    if arrived.is_empty() {
        return Ok(());
    }
    arrived.subtract(&std::mem::take(&mut selected.own_arrivals));
    let plan = Plan::new(false, items, &[], enabled)?;
    selected.condstore |= plan.condstore;
    let view = Arc::clone(&selected.view);
    let newest = Arc::clone(&selected.newest);
    let rows: Vec<MessageRow> = arrived
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
