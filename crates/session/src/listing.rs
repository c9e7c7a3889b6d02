//! LIST rows, worked out so that nobody else waits.

use murder_mailbox::listing::{self, Entry, Query, Row};
use tokio::task::spawn_blocking;

/// What is asked for of `entries`, as [`listing::list`]. Where that takes long, it is done on a thread
/// of its own.
pub async fn rows(entries: Vec<Entry>, separator: char, query: Query) -> Vec<Row> {
    if !query.is_long(entries.len()) {
        return listing::list(entries, separator, &query);
    }
    let listed = spawn_blocking(move || listing::list(entries, separator, &query));
    // It does not panic, and ends early only with the node.
    listed.await.unwrap_or_default()
}
