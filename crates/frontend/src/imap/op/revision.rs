//! Waiting until the own map shows a change (the tagged OK of a change says its revision).

use std::time::Duration;

use crate::backend::Completion;
use crate::shared::Shared;

/// The client does not wait longer than this for the map; by then the change is made and
/// answering anything but OK would be wrong.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Waits until the map has the change that `completion` tells of.
pub(crate) async fn wait_for_revision(shared: &Shared, completion: &Completion) {
    let Some(revision) = completion.code("X-REVISION") else {
        return;
    };
    let Ok(revision) = revision.parse() else {
        tracing::error!(revision, "a backend told a revision that is none");
        return;
    };
    if let Err(error) = shared.router.replica().wait_for(revision, MAX_WAIT).await {
        tracing::warn!(%error, revision, "a change is done but not yet in the map");
    }
}
