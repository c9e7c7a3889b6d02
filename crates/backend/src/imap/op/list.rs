//! LIST and LSUB (RFC 9051 section 6.3.9, RFC 3501 section 6.3.9, RFC 5258, RFC 5819, RFC 6154,
//! RFC 8440, RFC 9590) over the mailboxes of this node.

use std::collections::HashSet;
use std::sync::Arc;

use murder_imap::{
    Code, List, ListAttribute, ListReturn, ListRow, MailboxArg, MetadataDepth, StatusItem,
};
use murder_mailbox::listing::{self, Entry, Query, Row};
use murder_mailbox::{Identity, MailboxName, Pattern, Rights};
use murder_session::rows;
use murder_store::{MailboxMeta, StoreError};
use tokio::task::yield_now;

use crate::imap::account::{Account, User};
use crate::imap::client::Client;
use crate::imap::enabled::Extension;
use crate::imap::errors::{OpError, OpResult, no, not_open, ok};
use crate::imap::metadata::{self, Wanted};
use crate::imap::op::subscribe::no_home;
use crate::imap::op::{get_metadata, status};
use crate::imap::selected::Selected;
use crate::node::Node;

/// Mailboxes that are looked at before others get their turn.
const PORTION: usize = 1024;

/// LIST
pub(crate) async fn list(
    client: &mut Client,
    account: &Account,
    mut selected: Option<&mut Selected>,
    list: &List,
) -> OpResult {
    let user = account.user();
    let separator = user.namespace.separator();
    let metadata = match list.returns.metadata.as_slice() {
        [] => None,
        entries => Some(Wanted::new(entries, MetadataDepth::Zero, None)?),
    };
    if !list.extended && list.patterns.iter().all(|p| p.as_bytes().is_empty()) {
        client.writer.list(&ListRow {
            attributes: vec![ListAttribute::NoSelect],
            separator: Some(separator),
            ..ListRow::default()
        });
        return Ok(ok("LIST completed"));
    }
    can_be_told(&client.node, &user)?;
    let subscribed = match list.selection.subscribed || list.returns.subscribed {
        true => subscriptions(&client.node, &user).await?,
        false => HashSet::new(),
    };
    let query = Query {
        patterns: patterns(client, &list.reference, &list.patterns, separator)?,
        subscribed_only: list.selection.subscribed,
        recursive_match: list.selection.recursive_match,
        special_use_only: list.selection.special_use,
    };
    let entries = entries(&client.node, &user, &subscribed, &query).await;
    let rows = rows(entries, separator, query).await;
    // IMAP4rev2 has but the extended one.
    let extended = list.extended || client.enabled.has(Extension::Rev2);
    let how = List {
        extended,
        ..list.clone()
    };
    for row in &rows {
        client
            .writer
            .list(&ListRow::answering(&how, row, separator));
        // A row that is there for what lies below it alone was not asked about (RFC 5819
        // section 3, RFC 8440 section 4).
        let asked_about = (!list.selection.subscribed || row.subscribed)
            && (!list.selection.special_use || row.special_use.is_some());
        if row.exists && asked_about {
            let selected = selected.as_deref_mut();
            details(client, account, selected, row, list, metadata.as_ref()).await?;
        }
        client.make_room().await?;
    }
    Ok(ok("LIST completed"))
}

/// LSUB reference pattern
pub(crate) async fn lsub(
    client: &mut Client,
    account: &Account,
    reference: &MailboxArg,
    pattern: &MailboxArg,
) -> OpResult {
    let user = account.user();
    let separator = user.namespace.separator();
    let query = Query {
        patterns: patterns(client, reference, std::slice::from_ref(pattern), separator)?,
        subscribed_only: true,
        ..Query::default()
    };
    // Nothing is said of children, so that only what is subscribed need be looked at.
    let entries = subscriptions(&client.node, &user)
        .await?
        .iter()
        .filter_map(|name| subscription(&client.node, &user, name))
        .collect();
    for row in rows(entries, separator, query).await {
        // The parent of something subscribed that is not so itself (RFC 3501 section 6.3.9).
        let attributes = match row.subscribed {
            true => Vec::new(),
            false => vec![ListAttribute::NoSelect],
        };
        client.writer.lsub(&ListRow {
            attributes,
            separator: Some(separator),
            name: row.name.as_str().into(),
            ..ListRow::default()
        });
        client.make_room().await?;
    }
    Ok(ok("LSUB completed"))
}

/// A client forgets what is not listed: whose home may be in a partition that is not open is told
/// nothing rather than nearly nothing.
pub(super) fn can_be_told(node: &Node, user: &User) -> Result<(), OpError> {
    let homeless = || node.home_of(&user.identity).is_err();
    match !user.namespace.is_canonical() && node.may_lack() && homeless() {
        true => Err(not_open()),
        false => Ok(()),
    }
}

fn patterns(
    client: &Client,
    reference: &MailboxArg,
    patterns: &[MailboxArg],
    separator: char,
) -> Result<Vec<Pattern>, OpError> {
    let octets = |pattern: &MailboxArg| reference.as_bytes().len() + pattern.as_bytes().len();
    if patterns.iter().map(octets).sum::<usize>() > listing::MAX_PATTERNS {
        return Err(no(Code::Limit, "Patterns are too long"));
    }
    let utf8 = client.is_utf8();
    // What is no modified UTF-7, such as `a&b*`, is no mailbox's name, and no error either.
    let text = |octets: &MailboxArg| match octets.to_utf8(utf8) {
        Err(_) if !utf8 && octets.as_bytes().is_ascii() => Ok(None),
        text => text.map(Some),
    };
    let Some(reference) = text(reference)? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::with_capacity(patterns.len());
    for pattern in patterns {
        let pattern = text(pattern)?;
        found.extend(pattern.map(|pattern| Pattern::new(&reference, &pattern, separator)));
    }
    Ok(found)
}

/// Everything here that LIST may show the user, of what is at or below the query's root, and all
/// that is subscribed.
async fn entries(
    node: &Node,
    user: &User,
    subscribed: &HashSet<MailboxName>,
    query: &Query,
) -> Vec<Entry> {
    let mut entries: Vec<Entry> = subscribed
        .iter()
        .filter_map(|name| subscription(node, user, name))
        .collect();
    let root = query
        .root()
        .and_then(|root| user.namespace.parse(root).ok());
    let identity = &user.identity;
    let within = root.as_ref().map(MailboxName::home_key);
    let mut add = |mailbox: &MailboxMeta| {
        entries.extend(entry(user, mailbox, subscribed.contains(&mailbox.name)));
    };
    for partition in node.partitions.open().iter() {
        if looks_everywhere(identity) {
            let homes = match within {
                Some(home) => vec![Arc::from(home)],
                None => partition.homes(),
            };
            let mut looked_at = 0;
            for home in homes {
                let mailboxes = partition.home_mailboxes(&home);
                mailboxes.iter().for_each(&mut add);
                looked_at += 1 + mailboxes.len();
                if looked_at >= PORTION {
                    looked_at = 0;
                    yield_now().await;
                }
            }
            continue;
        }
        let own = MailboxName::inbox_of(&identity.user).ok();
        let own = own.as_ref().map(MailboxName::home_key);
        if let Some(own) = own.filter(|own| within.is_none_or(|within| within == *own)) {
            partition.home_mailboxes(own).iter().for_each(&mut add);
        }
        for identifier in identity.identifiers() {
            for mailboxes in partition.granted(&identifier, within) {
                let shown = mailboxes
                    .iter()
                    .filter(|mailbox| is_visible(identity, mailbox));
                shown.for_each(&mut add);
                yield_now().await;
            }
        }
    }
    entries
}

fn entry(user: &User, mailbox: &MailboxMeta, subscribed: bool) -> Option<Entry> {
    let owned = mailbox.name.is_owned_by(&user.identity.user);
    Some(Entry {
        name: user.namespace.render(&mailbox.name)?,
        exists: true,
        subscribed,
        // A special use is its owner's view of a mailbox (RFC 6154 section 1).
        special_use: mailbox.special_use.filter(|_| owned),
    })
}

/// What an IMAP4rev2 client is told of a mailbox that it has named `given`: with OLDNAME if that
/// was not in the normal form (RFC 9051 sections 6.3.2 and 6.3.9.7).
pub(super) fn row_of(
    node: &Node,
    user: &User,
    mailbox: &MailboxMeta,
    given: &MailboxArg,
) -> Option<ListRow> {
    let shown = user.namespace.render(&mailbox.name)?;
    let is_normal = given.is_inbox() || given.as_bytes() == shown.as_bytes();
    Some(ListRow {
        old_name: (!is_normal).then(|| given.clone()),
        ..row_about(node, user, &shown, false)
    })
}

/// What extended LIST says of a name as the client sees it, whether there is a mailbox or not.
pub(crate) fn row_about(node: &Node, user: &User, shown: &str, subscribed: bool) -> ListRow {
    let name = user.namespace.parse(shown).ok();
    let found = name.as_ref().and_then(|name| node.find(name));
    let found = found.filter(|found| is_visible(&user.identity, &found.meta));
    let below = format!("{shown}{}", user.namespace.separator());
    let has_children = name.is_some_and(|name| {
        let partitions = node.partitions.open();
        partitions.iter().any(|partition| {
            let mut mailboxes = partition.home_mailboxes(name.home_key()).into_iter();
            mailboxes.any(|other| {
                let name = user.namespace.render(&other.name);
                name.is_some_and(|name| name.starts_with(&below))
                    && is_visible(&user.identity, &other)
            })
        })
    });
    let entry = found.and_then(|found| entry(user, &found.meta, subscribed));
    let row = Row {
        name: shown.to_owned(),
        exists: entry.is_some(),
        has_children,
        subscribed,
        special_use: entry.and_then(|entry| entry.special_use),
        child_info: false,
    };
    let how = List {
        extended: true,
        returns: ListReturn {
            subscribed: true,
            ..ListReturn::default()
        },
        ..List::default()
    };
    ListRow::answering(&how, &row, user.namespace.separator())
}

/// What is subscribed, whether it is there or not.
fn subscription(node: &Node, user: &User, name: &MailboxName) -> Option<Entry> {
    let found = node.find(name);
    match found.filter(|found| is_visible(&user.identity, &found.meta)) {
        Some(found) => entry(user, &found.meta, true),
        None => Some(Entry {
            name: user.namespace.render(name)?,
            exists: false,
            subscribed: true,
            special_use: None,
        }),
    }
}

/// Whether the user has right `l`.
pub(crate) fn is_visible(identity: &Identity, mailbox: &MailboxMeta) -> bool {
    looks_everywhere(identity)
        || mailbox.name.is_owned_by(&identity.user)
        || mailbox
            .acl
            .rights_of(identity, None)
            .contains(Rights::LOOKUP)
}

/// Whether the user has right `l` to all mailboxes.
fn looks_everywhere(identity: &Identity) -> bool {
    identity.admin || identity.sees_all
}

/// What the user has subscribed to.
async fn subscriptions(node: &Node, user: &User) -> Result<HashSet<MailboxName>, OpError> {
    let canonical = user.namespace.is_canonical();
    match node.subscriptions(&user.identity).await {
        Ok(names) => Ok(names.into_iter().collect()),
        // No INBOX, nothing subscribed; a frontend looks for it elsewhere.
        Err(StoreError::NoSuchHome) if node.may_lack() => Err(not_open()),
        Err(StoreError::NoSuchHome) if !canonical => Ok(HashSet::new()),
        Err(error) => Err(no_home(error, canonical)),
    }
}

/// MYRIGHTS, STATUS and METADATA of a row, if asked for. A mailbox that goes meanwhile, or may not
/// be read, has none (RFC 5819 section 2).
async fn details(
    client: &mut Client,
    account: &Account,
    selected: Option<&mut Selected>,
    row: &Row,
    list: &List,
    metadata: Option<&Wanted>,
) -> Result<(), OpError> {
    let user = &account.user;
    let items: &[StatusItem] = &list.returns.status;
    if items.is_empty() && !list.returns.myrights && metadata.is_none() {
        return Ok(());
    }
    let name = user.namespace.parse(&row.name).ok();
    let Some(found) = name.and_then(|name| client.node.find(&name)) else {
        return Ok(());
    };
    let rights = found.rights_of(&user.identity);
    if list.returns.myrights {
        client.writer.my_rights(&row.name, &rights.to_imap());
    }
    if !items.is_empty() && rights.contains(Rights::READ) {
        status::note_modseq(client, account, selected, items);
        match status::values(&client.node, user, &found, items).await {
            Ok(values) => client.writer.status(&row.name, &values),
            Err(error) => tracing::debug!(%error, mailbox = %found.meta.name, "no STATUS"),
        }
    }
    if let Some(wanted) = metadata
        && metadata::are_enough(rights)
    {
        match metadata::of_mailbox(user, &found, wanted).await {
            Ok(annotations) => {
                get_metadata::tell(client, &row.name, wanted, &annotations).await?;
            }
            Err(error) => tracing::debug!(%error, mailbox = %found.meta.name, "no METADATA"),
        }
    }
    Ok(())
}
