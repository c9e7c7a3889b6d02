//! SEARCH and UID SEARCH (RFC 9051 section 6.4.4, RFC 3501 for RECENT, NEW and OLD; RFC 4731,
//! RFC 5182, RFC 5267, RFC 6203 and RFC 9394 for RETURN).

use std::sync::Arc;

use murder_imap::{Esearch, FetchItem, Search, SearchKey, SearchReturn, Status, Tag};
use murder_mailbox::Rights;
use murder_store::UidSet;

use crate::imap::account::{Account, User};
use crate::imap::client::Client;
use crate::imap::contexts::{self, Asked};
use crate::imap::enabled::Extension;
use crate::imap::errors::{OpError, OpResult, bad, no, ok};
use crate::imap::fetch::Plan;
use crate::imap::progress::{Pace, Progress};
use crate::imap::search::{Circumstances, Found, Hits, Program, Returns, run};
use crate::imap::selected::Selected;
use crate::imap::updates::refresh;
use crate::node::{Node, now};

/// Ranges of a saved result: what a session may hold of them, 8 bytes each. A result of every
/// other message of a mailbox of a hundred thousand fits.
const MAX_SAVED_RANGES: usize = 64 * 1024;

/// BAD to who wants a context with the tag of another (RFC 5267 section 4.3).
pub(super) const TAG_REUSE: &str = "Tag reuse";

/// Finds messages.
pub(crate) async fn search(
    client: &mut Client,
    account: &Account,
    selected: &mut Selected,
    tag: &Tag,
    search: &Search,
) -> OpResult {
    check_charset(client, search.charset.as_deref())?;
    let query = Query {
        uid: search.uid,
        charset: search.charset.as_deref(),
        keys: &search.keys,
        returns: match &search.returns {
            // IMAP4rev2 has no SEARCH response.
            None if client.enabled.has(Extension::Rev2) => Some(&[][..]),
            returns => returns.as_deref(),
        },
    };
    let result = answer(client, account, selected, tag, &query).await;
    settle(selected, &query, result)
}

/// Refuses a charset where the client has said that all is UTF-8 (RFC 6855 section 3).
///
/// # Errors
/// BAD.
pub(super) fn check_charset(client: &Client, charset: Option<&str>) -> Result<(), OpError> {
    match charset.is_some() && client.enabled.has(Extension::Utf8) {
        true => Err(bad("With UTF8=ACCEPT enabled, a search names no charset")),
        false => Ok(()),
    }
}

/// What SEARCH, SORT and THREAD have in common.
pub(super) struct Query<'a> {
    /// Whether UIDs are asked for.
    pub uid: bool,
    pub charset: Option<&'a str>,
    pub keys: &'a [SearchKey],
    pub returns: Option<&'a [SearchReturn]>,
}

impl Query<'_> {
    /// Whether the result is to be saved.
    fn saves(&self) -> bool {
        let options = self.returns.unwrap_or_default();
        options.contains(&SearchReturn::Save)
    }
}

/// A search of the selected mailbox that has been carried out.
pub(super) struct Searched<'a> {
    pub selected: &'a mut Selected,
    pub program: Arc<Program>,
    pub hits: Hits,
    /// What is to be returned; `None` for the answer of IMAP4rev1.
    pub returns: Option<Returns>,
    pub progress: Progress<'a>,
    /// What a context is made of, if the client wants one.
    pub context: Option<Asked>,
}

/// Searches the selected mailbox.
pub(super) async fn find<'a>(
    client: &'a mut Client,
    account: &Account,
    selected: &'a mut Selected,
    tag: &Tag,
    query: &Query<'_>,
) -> Result<Searched<'a>, OpError> {
    let user = &account.user;
    let contexts = !account.is_frontends();
    refresh(client, account, selected, query.uid).await?;
    let Client {
        writer,
        stream,
        node,
        imap,
        ..
    } = client;
    selected.require(
        &user.identity,
        Rights::READ,
        "You may not read this mailbox",
    )?;
    let context = Circumstances {
        view: &selected.view,
        now: now(),
        saved: Some(&selected.saved),
    };
    let program = Program::new(query.charset, query.keys, &context)?;
    let returns = query
        .returns
        .map(|options| Returns::of(options, program.is_fuzzy, contexts))
        .transpose()?;
    let context = match returns.as_ref().and_then(|returns| returns.update.clone()) {
        Some(items) => Some(Asked {
            uid: query.uid,
            ..asked(selected, tag, items, user, node)?
        }),
        None => None,
    };
    selected.condstore |= program.modseq;
    let program = Arc::new(program);
    let pace = Pace::new(imap, user, tag);
    let mut progress = Progress::new(writer, stream, &node.shutdown, pace);
    let hits = run(&program, &selected.scope(), &mut progress).await?;
    Ok(Searched {
        selected,
        program,
        hits,
        returns,
        progress,
        context,
    })
}

/// What a context of this command is made of: of messages by UID, in the order of the mailbox.
///
/// # Errors
/// BAD for the tag of another context (RFC 5267 section 4.3), and for items that cannot be had.
pub(super) fn asked(
    selected: &Selected,
    tag: &Tag,
    items: Vec<FetchItem>,
    user: &Arc<User>,
    node: &Node,
) -> Result<Asked, OpError> {
    if selected.contexts.has(tag) {
        return Err(bad(TAG_REUSE));
    }
    Plan::new(false, &items, &[], selected.enabled)?;
    Ok(Asked {
        tag: tag.clone(),
        uid: true,
        mailbox: None,
        order: None,
        items,
        user: Arc::clone(user),
        shutdown: node.shutdown.clone(),
    })
}

async fn answer(
    client: &mut Client,
    account: &Account,
    selected: &mut Selected,
    tag: &Tag,
    query: &Query<'_>,
) -> OpResult {
    let mut searched = find(client, account, selected, tag, query).await?;
    let found = Found {
        hits: &searched.hits,
        view: &searched.selected.view,
        uid: query.uid,
        modseq: searched.program.modseq,
    };
    let writer = searched.progress.writer();
    match &searched.returns {
        None => writer.search(found.all_numbers(), found.greatest_modseq()),
        Some(returns) if returns.has_answer() => writer.esearch(&Esearch {
            tag: Some(tag.to_string()),
            ..returns.answer(&found)
        }),
        Some(_) => {}
    }
    finish(searched, "SEARCH completed")
}

/// Saves the result if that is asked for, begins a context, and ends the command.
///
/// # Errors
/// NO when a message could not be looked at, and NO NOTSAVED.
pub(super) fn finish(searched: Searched<'_>, text: &'static str) -> OpResult {
    let Searched {
        selected,
        program,
        hits,
        returns,
        mut progress,
        context,
    } = searched;
    if let Some(error) = hits.damaged {
        return Err(error.into());
    }
    if let Some(returns) = returns.filter(|returns| returns.save) {
        selected.saved = returns.saved(&hits, &selected.view);
        if selected.saved.ranges().len() > MAX_SAVED_RANGES {
            return Err(no(
                murder_imap::Code::NotSaved,
                "The result is too scattered to be saved",
            ));
        }
    }
    if let Some(context) = context {
        let writer = progress.writer();
        contexts::begin(selected, writer, context, program, hits);
    }
    Ok(ok(text))
}

/// A search that should have been saved, and was refused with NO, has saved that there is nothing
/// (RFC 5182 section 2.1).
pub(super) fn settle(selected: &mut Selected, query: &Query<'_>, result: OpResult) -> OpResult {
    if let Err(OpError::Refused(completion)) = &result
        && completion.status == Status::No
        && query.saves()
    {
        selected.saved = UidSet::new();
    }
    result
}
