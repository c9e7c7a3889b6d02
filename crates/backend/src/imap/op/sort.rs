//! SORT and UID SORT (RFC 5256, RFC 5957), with the options of SEARCH (ESORT and
//! CONTEXT=SORT of RFC 5267).

use murder_imap::{Esearch, Sort, SortKey, Tag};

use super::search::{Query, find, finish, settle};
use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::errors::{OpResult, bad};
use crate::imap::search::{self, Found, Order};
use crate::imap::selected::Selected;

/// Finds messages and puts them in order.
pub(crate) async fn sort(
    client: &mut Client,
    account: &Account,
    selected: &mut Selected,
    tag: &Tag,
    sort: &Sort,
) -> OpResult {
    let query = Query {
        uid: sort.uid,
        charset: Some(&sort.charset),
        keys: &sort.keys,
        returns: sort.returns.as_deref(),
    };
    let result = answer(client, account, selected, tag, sort, &query).await;
    settle(selected, &query, result)
}

async fn answer(
    client: &mut Client,
    account: &Account,
    selected: &mut Selected,
    tag: &Tag,
    sort: &Sort,
    query: &Query<'_>,
) -> OpResult {
    let mut searched = find(client, account, selected, tag, query).await?;
    let by_relevancy = |key| key == SortKey::Relevancy;
    if !searched.program.is_fuzzy && sort.criteria.iter().any(|c| by_relevancy(c.key)) {
        return Err(bad("RELEVANCY without a FUZZY key"));
    }
    let scope = searched.selected.scope();
    let (hits, progress) = (&mut searched.hits, &mut searched.progress);
    let order = Order::new(&sort.criteria);
    search::sort(&order, hits, &scope, progress).await?;
    let found = Found {
        hits,
        view: &searched.selected.view,
        uid: query.uid,
        modseq: searched.program.modseq,
    };
    let writer = progress.writer();
    match &searched.returns {
        None => writer.sort(found.all_numbers(), found.greatest_modseq()),
        Some(returns) if returns.has_answer() => writer.esearch(&Esearch {
            tag: Some(tag.to_string()),
            ..returns.answer(&found)
        }),
        Some(_) => {}
    }
    if let Some(context) = &mut searched.context {
        context.order = Some(order);
    }
    finish(searched, "SORT completed")
}
