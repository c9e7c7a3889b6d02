//! THREAD and UID THREAD (RFC 5256).

use murder_imap::{Tag, Thread};

use super::search::{Query, find, finish};
use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::errors::OpResult;
use crate::imap::search;
use crate::imap::selected::Selected;

/// Finds messages and groups them by conversation.
pub(crate) async fn thread(
    client: &mut Client,
    account: &Account,
    selected: &mut Selected,
    tag: &Tag,
    thread: &Thread,
) -> OpResult {
    let query = Query {
        uid: thread.uid,
        charset: Some(&thread.charset),
        keys: &thread.keys,
        returns: None,
    };
    let mut searched = find(client, account, selected, tag, &query).await?;
    let scope = searched.selected.scope();
    let (hits, progress) = (&mut searched.hits, &mut searched.progress);
    let algorithm = thread.algorithm;
    let threads = search::thread(algorithm, hits, thread.uid, &scope, progress).await?;
    progress.writer().thread(&threads);
    finish(searched, "THREAD completed")
}
