//! CANCELUPDATE (RFC 5267 section 4.3.5).

use murder_imap::Tag;

use crate::imap::errors::{OpResult, bad, ok};
use crate::imap::selected::Selected;

/// Changes of the results of the searches with these tags are told no longer.
pub(crate) fn cancel_update(selected: &mut Selected, tags: &[Tag]) -> OpResult {
    match selected.contexts.cancel(tags) {
        true => Ok(ok("CANCELUPDATE completed")),
        false => Err(bad("No updates with that tag")),
    }
}
