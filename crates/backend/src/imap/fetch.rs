//! What FETCH sends of a message: from the view's columns, from the precomputed items, or from
//! the message's bytes.

mod binary;
pub(crate) mod partial;
mod plan;
mod raw;
mod row;
mod section;
mod source;

pub(crate) use plan::Plan;
pub(crate) use raw::RawPieces;
pub(crate) use row::{FetchError, RowState, RowWriter};
pub(crate) use section::SectionOctets;
pub(crate) use source::PartCache;

use murder_store::StoreError;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Messages, and ranges of them, up to this many bytes are read at once, checked against their
/// checksum, and sent as they lie in memory. More is sent in pieces as it is read.
const WHOLE_LIMIT: u32 = 1 << 20;

/// Bytes of a piece: what a session holds of a large message besides the output's own bound.
const PIECE: u32 = 256 << 10;

/// Messages above [`WHOLE_LIMIT`] that are in memory at a time in the whole process, to find
/// their parts or to search them: each is up to APPENDLIMIT large. Nobody waits for a client
/// while holding one.
static LARGE_MESSAGES: Semaphore = Semaphore::const_new(4);

/// Room for so many bytes of a message, for as long as they are in memory; small ones need none.
pub(crate) async fn room_for(bytes: u32) -> Result<Option<SemaphorePermit<'static>>, StoreError> {
    if bytes <= WHOLE_LIMIT {
        return Ok(None);
    }
    let permit = LARGE_MESSAGES.acquire().await;
    permit.map(Some).map_err(|_| StoreError::Closed)
}
