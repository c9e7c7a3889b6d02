//! Headers as far as searches look at them: what is stored beside the messages, where that will do.

use bytes::Bytes;
use murder_store::{FetchedItems, MessageRow, StoreError};

use super::run::Scope;

/// Bytes of a header that are read for the fields by which messages are sorted and threaded.
const HEADER: u32 = 256 << 10;

/// The headers of messages, in the order of `rows`, with the fields that SORT and THREAD look at;
/// empty for a message that is gone or damaged, which is told at the end of the command.
pub(super) async fn headers_of(
    scope: &Scope<'_>,
    rows: &[MessageRow],
    damaged: &mut Option<StoreError>,
) -> Result<Vec<Bytes>, StoreError> {
    let mut headers = Vec::with_capacity(rows.len());
    for (row, listed) in rows.iter().zip(listed_of(scope, rows).await?) {
        headers.push(match listed {
            Some(listed) => listed,
            None => beginning_of(scope, row, damaged).await?,
        });
    }
    Ok(headers)
}

/// The fields that are stored beside messages, in the order of `rows`; `None` where not all of
/// them are.
pub(super) async fn listed_of(
    scope: &Scope<'_>,
    rows: &[MessageRow],
) -> Result<Vec<Option<Bytes>>, StoreError> {
    let listed = |items: FetchedItems| items.listed().cloned();
    let items = scope.handle.fetch_items(rows).await?;
    Ok(items.into_iter().map(|one| one.and_then(listed)).collect())
}

async fn beginning_of(
    scope: &Scope<'_>,
    row: &MessageRow,
    damaged: &mut Option<StoreError>,
) -> Result<Bytes, StoreError> {
    let len = row.header_len.min(row.location.len).min(HEADER);
    match scope.partition.read_body_range(row.location, 0, len).await {
        Err(StoreError::BodyGone) => Ok(Bytes::new()),
        Err(error @ StoreError::Corrupt { .. }) => {
            *damaged = Some(error);
            Ok(Bytes::new())
        }
        other => other,
    }
}
