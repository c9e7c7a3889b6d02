//! Waiting until the own map shows a change (the tagged OK of a change says its revision), and
//! looking whether it does when its answer was lost.

use std::time::Duration;

use murder_imap::NodeCode;
use murder_location::{LocationMap, MailboxState};
use murder_mailbox::{MailboxId, MailboxName};
use tokio::time::{Instant, sleep};

use crate::backend::Completion;
use crate::shared::Shared;

/// The client does not wait longer than this for the map; by then the change is made and
/// answering anything but OK would be wrong.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Waits until the map has the change that `completion` tells of.
pub(crate) async fn wait_for_revision(shared: &Shared, completion: &Completion) {
    let Some(NodeCode::Revision(revision)) = completion.node_code() else {
        return;
    };
    if let Err(error) = shared.router.replica().wait_for(revision, MAX_WAIT).await {
        tracing::warn!(%error, revision, "a change is done but not yet in the map");
    }
}

/// Between two looks at the map.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Whether a change whose answer was lost turns out to be made: the map shows it within the time
/// that a backend, or the master, may be away. What is not seen may still be made later.
pub(crate) async fn turns_out(shared: &Shared, made: impl Fn(&LocationMap) -> bool) -> bool {
    let until = Instant::now() + shared.pool.dialer().patience();
    let shows = || made(&shared.router.replica().read().map);
    while Instant::now() < until {
        // Seen twice, with a barrier between: the map may be on its way to what it was.
        if shows() && shared.router.barrier().await && shows() {
            return true;
        }
        sleep(LOOK_EVERY).await;
    }
    false
}

/// Whether the mailbox of that name is there and is this one.
pub(crate) fn is_there(map: &LocationMap, name: &MailboxName, id: MailboxId) -> bool {
    map.entry(name.as_str())
        .is_some_and(|entry| entry.id() == id && entry.state() == MailboxState::Active)
}

/// Whether the mailbox is nowhere in the home of `name`, which it had.
pub(crate) fn is_gone(map: &LocationMap, name: &MailboxName, id: MailboxId) -> bool {
    let Ok(root) = MailboxName::parse_canonical(name.home_key()) else {
        return false;
    };
    let of_root = map.entry(root.as_str()).into_iter();
    !of_root
        .chain(map.below(&root))
        .any(|entry| entry.id() == id)
}
