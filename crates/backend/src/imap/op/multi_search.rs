//! ESEARCH (RFC 7377): SEARCH in several mailboxes of this node.

use std::collections::HashSet;
use std::sync::Arc;

use murder_imap::{Code, Esearch, MailboxArg, MailboxFilter, MultiSearch, SearchReturn, Tag};
use murder_mailbox::{MailboxName, Rights};
use murder_store::{StoreError, UidSet};

use super::search::{Query, TAG_REUSE, asked, check_charset, find, finish, settle};
use crate::imap::account::{Account, User};
use crate::imap::client::Client;
use crate::imap::contexts::{self, Asked};
use crate::imap::errors::{OpError, OpResult, bad, no, ok};
use crate::imap::notify::takes_mail;
use crate::imap::progress::{Pace, Progress};
use crate::imap::search::{Circumstances, Found, Hits, Program, Returns, Scope, run};
use crate::imap::selected::Selected;
use crate::imap::updates::refresh;
use crate::node::{self, now};

/// Mailboxes that one command searches: more than people have.
const MAX_MAILBOXES: usize = 4096;
/// Sources that one command names, subtrees each: for each of them all mailboxes of a home are
/// looked at.
const MAX_PLACES: usize = 64;

/// Finds messages in mailboxes; those that the user may not read are passed over.
pub(crate) async fn multi_search(
    client: &mut Client,
    account: &Account,
    mut selected: Option<&mut Selected>,
    tag: &Tag,
    search: &MultiSearch,
) -> OpResult {
    check_charset(client, search.charset.as_deref())?;
    let sources = search
        .sources
        .as_deref()
        .unwrap_or(&[MailboxFilter::Selected]);
    if sources.contains(&MailboxFilter::Selected) && selected.is_none() {
        return Err(bad("Select a mailbox first"));
    }
    let options: &[SearchReturn] = search.returns.as_deref().unwrap_or_default();
    if let Some(selected) = selected.as_deref_mut()
        && sources.iter().all(|s| *s == MailboxFilter::Selected)
    {
        return of_selected(client, account, selected, tag, search, options).await;
    }
    if options.contains(&SearchReturn::Save) {
        return Err(bad("SAVE is for the selected mailbox alone"));
    }
    // RELEVANCY is looked at with the program.
    let updates = Returns::of(options, true, !account.is_frontends())?.update;
    if updates.is_some() {
        match &selected {
            Some(selected) if selected.contexts.has(tag) => return Err(bad(TAG_REUSE)),
            Some(_) => {}
            None => return Err(bad("UPDATE is for the selected mailbox")),
        }
    }
    let user = account.user();
    let mailboxes = mailboxes(client, account, selected.as_deref(), sources).await?;
    let mut damaged = None;
    let mut context = None;
    let mut pace = Pace::new(&client.imap, &user, tag);
    for (at, mailbox) in mailboxes.iter().enumerate() {
        if mailboxes.len() > 1 {
            pace.in_part(at, mailboxes.len());
        }
        let selected = selected.as_deref_mut();
        let asked = (tag, search, options);
        match of_mailbox(client, account, selected, asked, mailbox, &mut pace).await {
            Ok(Searched {
                damaged: None,
                begun,
            }) => context = context.or(begun),
            Ok(Searched {
                damaged: Some(error),
                ..
            })
            | Err(Stopped::Mailbox(error)) => {
                damaged = Some(error);
            }
            Err(Stopped::Command(error)) => return Err(error),
        }
    }
    if let Some(error) = damaged {
        return Err(error.into());
    }
    let writer = &mut client.writer;
    match (context, selected) {
        (Some((asked, program, hits)), Some(selected)) => {
            contexts::begin(selected, writer, asked, program, hits);
        }
        _ if updates.is_some() => {
            contexts::refuse(writer, tag, "The selected mailbox is not searched")
        }
        _ => {}
    }
    Ok(ok("ESEARCH completed"))
}

/// The selected mailbox alone: as UID SEARCH, and the result can be saved.
async fn of_selected(
    client: &mut Client,
    account: &Account,
    selected: &mut Selected,
    tag: &Tag,
    search: &MultiSearch,
    options: &[SearchReturn],
) -> OpResult {
    let user = account.user();
    let query = Query {
        uid: true,
        charset: search.charset.as_deref(),
        keys: &search.keys,
        returns: Some(options),
    };
    let result = match find(client, account, selected, tag, &query).await {
        Err(error) => Err(error),
        Ok(mut searched) => {
            let meta = searched.selected.handle.meta();
            let name = meta.and_then(|meta| user.namespace.render(&meta.name));
            let name = MailboxArg::from(name.as_deref().unwrap_or_default());
            if let Some(context) = &mut searched.context {
                let uidvalidity = searched.selected.view.uidvalidity();
                context.mailbox = Some((name.clone(), uidvalidity));
            }
            let found = Found {
                hits: &searched.hits,
                view: &searched.selected.view,
                uid: true,
                modseq: searched.program.modseq,
            };
            if let Some(returns) = &searched.returns {
                tell(tag, name, returns, &found, &mut searched.progress);
            }
            finish(searched, "ESEARCH completed")
        }
    };
    settle(selected, &query, result)
}

/// Why a mailbox was not searched.
enum Stopped {
    /// The others are.
    Mailbox(StoreError),
    /// Nothing more is.
    Command(OpError),
}

impl From<OpError> for Stopped {
    fn from(error: OpError) -> Self {
        Self::Command(error)
    }
}

/// A mailbox that was searched.
#[derive(Default)]
struct Searched {
    /// Why a message could not be looked at.
    damaged: Option<StoreError>,
    /// What a context is made of, if the client wants one and the mailbox is the selected one.
    begun: Option<(Asked, Arc<Program>, Hits)>,
}

/// Searches one mailbox.
async fn of_mailbox(
    client: &mut Client,
    account: &Account,
    selected: Option<&mut Selected>,
    (tag, search, options): (&Tag, &MultiSearch, &[SearchReturn]),
    mailbox: &node::Found,
    pace: &mut Pace,
) -> Result<Searched, Stopped> {
    let user = &account.user;
    let contexts = !account.is_frontends();
    let selected = selected.filter(|selected| selected.handle.id() == mailbox.meta.id);
    let (selected, opened) = match selected {
        Some(selected) => {
            let refreshed = refresh(client, account, selected, true).await;
            refreshed.map_err(OpError::from)?;
            (Some(&*selected), None)
        }
        None => match mailbox.partition.open_mailbox(&mailbox.meta.name).await {
            Ok(handle) => (None, Some(handle)),
            // It has gone meanwhile.
            Err(StoreError::NoSuchMailbox) => return Ok(Searched::default()),
            Err(error) => return Err(Stopped::Mailbox(error)),
        },
    };
    let Client {
        writer,
        stream,
        node,
        ..
    } = client;
    let nothing = UidSet::new();
    let view = match (selected, &opened) {
        (Some(selected), _) => Arc::clone(&selected.view),
        (None, Some(handle)) => handle.view(),
        (None, None) => return Ok(Searched::default()),
    };
    let (scope, saved) = match (selected, &opened) {
        (Some(selected), _) => (selected.scope(), Some(&selected.saved)),
        (None, Some(handle)) => {
            let scope = Scope {
                partition: &mailbox.partition,
                handle,
                view: &view,
                newest: &view,
                seen_user: user.seen_in(&mailbox.meta.name),
                recent: &nothing,
            };
            (scope, None)
        }
        (None, None) => return Ok(Searched::default()),
    };
    let context = Circumstances {
        view: &view,
        now: now(),
        saved,
    };
    let program = Program::new(search.charset.as_deref(), &search.keys, &context)?;
    let returns = Returns::of(options, program.is_fuzzy, contexts)?;
    let name = user.namespace.render(&mailbox.meta.name);
    let name = MailboxArg::from(name.as_deref().unwrap_or_default());
    let asked = match (selected, &returns.update) {
        (Some(selected), Some(items)) => Some(Asked {
            mailbox: Some((name.clone(), view.uidvalidity())),
            ..asked(selected, tag, items.clone(), user, node)?
        }),
        _ => None,
    };
    let program = Arc::new(program);
    let mut progress = Progress::new(writer, stream, &node.shutdown, pace.clone());
    // However little there is to search in each.
    progress.tick(0, view.len()).await?;
    let mut hits = run(&program, &scope, &mut progress).await?;
    let found = Found {
        hits: &hits,
        view: &view,
        uid: true,
        modseq: program.modseq,
    };
    tell(tag, name, &returns, &found, &mut progress);
    progress.make_room().await?;
    *pace = progress.into_pace();
    Ok(Searched {
        damaged: hits.damaged.take(),
        begun: asked.map(|asked| (asked, program, hits)),
    })
}

/// Writes the answer for a mailbox in which something was found.
fn tell(
    tag: &Tag,
    name: MailboxArg,
    returns: &Returns,
    found: &Found<'_>,
    progress: &mut Progress<'_>,
) {
    if found.hits.seqs.is_empty() || !returns.has_answer() {
        return;
    }
    progress.writer().esearch(&Esearch {
        tag: Some(tag.to_string()),
        mailbox: Some(name),
        uidvalidity: Some(found.view.uidvalidity()),
        ..returns.answer(found)
    });
}

/// The mailboxes of this node that are meant and may be searched, each once, in the order in
/// which they are named.
///
/// # Errors
/// NO LIMIT for more than are searched, or more places to look at.
async fn mailboxes(
    client: &Client,
    account: &Account,
    selected: Option<&Selected>,
    sources: &[MailboxFilter],
) -> Result<Vec<node::Found>, OpError> {
    let places = |source: &MailboxFilter| match source {
        MailboxFilter::Subtree(list) | MailboxFilter::SubtreeOne(list) => list.len(),
        _ => 1,
    };
    if sources.iter().map(places).sum::<usize>() > MAX_PLACES {
        return Err(no(Code::Limit, "Too many sources"));
    }
    let user = &account.user;
    let inbox = MailboxName::inbox_of(&user.identity.user)?;
    let mut chosen = Chosen {
        node: &client.node,
        user,
        known: HashSet::new(),
        found: Vec::new(),
    };
    for source in sources {
        match source {
            MailboxFilter::Selected => {
                if let Some(selected) = selected
                    && let Some(meta) = selected.handle.meta()
                {
                    chosen.add_implied(vec![meta.name])?;
                }
            }
            MailboxFilter::SelectedDelayed => return Err(bad("Not a choice of mailboxes here")),
            MailboxFilter::Personal => {
                chosen.add_implied(of_home(&client.node, &inbox, |_| true))?;
            }
            MailboxFilter::Inboxes => {
                let takes_mail = |found: node::Found| takes_mail(&found.meta);
                let inboxes = |name: &MailboxName| {
                    *name == inbox || client.node.find(name).is_some_and(takes_mail)
                };
                chosen.add_implied(of_home(&client.node, &inbox, inboxes))?;
            }
            MailboxFilter::Subscribed => {
                match client.node.subscriptions(&user.identity).await {
                    Ok(list) => chosen.add_implied(list)?,
                    // No INBOX, nothing subscribed.
                    Err(StoreError::NoSuchHome) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            MailboxFilter::Mailboxes(list) => {
                for name in named(client, account, list) {
                    chosen.add(name?, Rights::READ)?;
                }
            }
            MailboxFilter::Subtree(list) | MailboxFilter::SubtreeOne(list) => {
                let deep = matches!(source, MailboxFilter::Subtree(_));
                for base in named(client, account, list) {
                    let base = base?;
                    let below = of_home(&client.node, &base, |name| match deep {
                        true => name.is_below(&base),
                        false => name.parent().as_ref() == Some(&base),
                    });
                    chosen.add(base, Rights::READ)?;
                    chosen.add_implied(below)?;
                }
            }
        }
    }
    for found in &chosen.found {
        client.audit_access(account, "search", &found.meta.name);
    }
    Ok(chosen.found)
}

/// The mailboxes chosen so far.
struct Chosen<'a> {
    node: &'a node::Node,
    user: &'a User,
    known: HashSet<MailboxName>,
    found: Vec<node::Found>,
}

impl Chosen<'_> {
    /// Adds a mailbox in which the user has these rights.
    fn add(&mut self, name: MailboxName, needed: Rights) -> Result<(), OpError> {
        if let Some(found) = self.node.find(&name)
            && found.rights_of(&self.user.identity).contains(needed)
            && self.known.insert(name)
        {
            if self.found.len() == MAX_MAILBOXES {
                return Err(no(Code::Limit, "Too many mailboxes"));
            }
            self.found.push(found);
        }
        Ok(())
    }

    /// Adds mailboxes that the client has not named.
    fn add_implied(&mut self, names: Vec<MailboxName>) -> Result<(), OpError> {
        names
            .into_iter()
            .try_for_each(|name| self.add(name, Rights::READ.union(Rights::LOOKUP)))
    }
}

/// The names that a client has given.
fn named<'a>(
    client: &'a Client,
    account: &'a Account,
    list: &'a [MailboxArg],
) -> impl Iterator<Item = Result<MailboxName, OpError>> {
    list.iter()
        .map(|mailbox| client.mailbox_name(account, mailbox))
}

/// The mailboxes of this node in the home of `name` that are `wanted`, sorted.
fn of_home(
    node: &node::Node,
    name: &MailboxName,
    wanted: impl Fn(&MailboxName) -> bool,
) -> Vec<MailboxName> {
    let partitions = node.partitions.open();
    let all = partitions.iter();
    let all = all.flat_map(|partition| partition.home_mailboxes(name.home_key()));
    let mut names: Vec<_> = all.map(|meta| meta.name).filter(wanted).collect();
    names.sort();
    names
}
