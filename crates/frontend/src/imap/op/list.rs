//! LIST and LSUB (RFC 9051 section 6.3.9, RFC 3501 section 6.3.9, RFC 5258, RFC 5819,
//! RFC 6154, RFC 8440): answered from the map, once that has caught up with the master; only
//! subscriptions and STATUS ask backends.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use murder_imap::{Command, List, ListAttribute, ListRow, MailboxArg, ResponseWriter};
use murder_location::Within;
use murder_mailbox::listing::{self, Entry, Query, Row};
use murder_mailbox::{MailboxName, Pattern, Rights};
use murder_session::rows;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;
use tracing::Instrument;

use crate::backend::BackendError;
use crate::backend::answer::{astring, mailbox};
use crate::backend::connect::unreachable;
use crate::backend::connection::Said;
use crate::imap::arguments::{Coding, Encoding, quote_always};
use crate::imap::errors::{OpError, OpResult, Refusal, ok};
use crate::imap::op::status::renamed;
use crate::imap::op::{parse, subscribe};
use crate::imap::session::{Session, User};
use crate::route::RouteError;
use crate::shared::Shared;

/// Names that are looked at before others get their turn, also those who change the map.
const PORTION: usize = 1024;
/// STATUS commands sent to one backend before their answers are read.
const STATUS_AT_ONCE: usize = 32;
/// How long a backend may take to be reached, and to answer so many. LIST is not to wait longer for one
/// that is away, and its answer is good without.
const STATUS_LIMIT: Duration = Duration::from_secs(5);

/// LIST or LSUB
pub(crate) async fn list(session: &mut Session, command: &Bytes) -> OpResult {
    match parse(command)? {
        Command::List(list) => extended(session, list).await,
        Command::Lsub { reference, pattern } => lsub(session, &reference, &pattern).await,
        _ => Err(Refusal::syntax("Syntax error").into()),
    }
}

async fn extended(session: &mut Session, list: List) -> OpResult {
    let user = session.user()?;
    if !list.returns.metadata.is_empty() {
        return Err(Refusal::syntax("METADATA is not supported").into());
    }
    let separator = user.namespace.separator();
    if !list.extended && list.patterns.iter().all(|p| p.as_bytes().is_empty()) {
        write(session, |writer| {
            writer.list(&ListRow {
                attributes: vec![ListAttribute::NoSelect],
                separator: Some(separator),
                ..ListRow::default()
            });
        });
        return Ok(ok("LIST completed"));
    }
    session.shared.router.caught_up().await;
    // As the map is that of now, so are the user's groups.
    session.hear_news();
    let user = session.user()?;
    let subscribed = if list.selection.subscribed || list.returns.subscribed {
        subscriptions(session, &user).await?
    } else {
        HashSet::new()
    };
    let query = Query {
        patterns: patterns(session, &list.reference, &list.patterns, separator)?,
        subscribed_only: list.selection.subscribed,
        recursive_match: list.selection.recursive_match,
        special_use_only: list.selection.special_use,
    };
    let entries = entries(session, &user, &subscribed, &query).await;
    let rows = rows(entries, separator, query).await;
    let mut statuses = if list.returns.status.is_empty() {
        HashMap::new()
    } else {
        let items: Vec<&str> = list
            .returns
            .status
            .iter()
            .map(|item| item.as_str())
            .collect();
        statuses(session, &user, &rows, &items.join(" ")).await?
    };
    for row in &rows {
        let shown = ListRow::answering(&list, row, separator);
        let is_asked_about = row.exists && (list.returns.myrights || !statuses.is_empty());
        let canonical = match is_asked_about {
            true => user.namespace.parse(&row.name).ok(),
            false => None,
        };
        let rights = match &canonical {
            Some(name) if list.returns.myrights => rights(session, &user, name),
            _ => None,
        };
        write(session, |writer| {
            writer.list(&shown);
            if let Some(rights) = rights {
                writer.my_rights(&row.name, &rights.to_imap());
            }
        });
        if let Some(status) = canonical.and_then(|name| statuses.remove(&name)) {
            session.client.wire.put(&status);
        }
        session.make_room().await?;
    }
    Ok(ok("LIST completed"))
}

async fn lsub(session: &mut Session, reference: &MailboxArg, pattern: &MailboxArg) -> OpResult {
    let user = session.user()?;
    let separator = user.namespace.separator();
    session.shared.router.caught_up().await;
    session.hear_news();
    let user = session.user()?;
    let subscribed = subscriptions(session, &user).await?;
    let query = Query {
        patterns: patterns(session, reference, std::slice::from_ref(pattern), separator)?,
        subscribed_only: true,
        ..Query::default()
    };
    // Nothing is said of children, and a parent that is there is one that is not subscribed: only
    // what is subscribed need be looked at.
    let entries = subscribed
        .iter()
        .filter_map(|name| subscription(&user, name));
    for row in rows(entries.collect(), separator, query).await {
        // The parent of something subscribed that is not so itself.
        let attributes = match row.subscribed {
            true => Vec::new(),
            false => vec![ListAttribute::NoSelect],
        };
        write(session, |writer| {
            writer.lsub(&ListRow {
                attributes,
                separator: Some(separator),
                name: row.name.as_str().into(),
                ..ListRow::default()
            });
        });
        session.make_room().await?;
    }
    Ok(ok("LSUB completed"))
}

fn write(session: &mut Session, rows: impl FnOnce(&mut ResponseWriter)) {
    let mut writer = ResponseWriter::new(session.encoding);
    rows(&mut writer);
    let octets = writer.output().take();
    session.client.wire.put(&octets);
}

fn patterns(
    session: &Session,
    reference: &MailboxArg,
    patterns: &[MailboxArg],
    separator: char,
) -> Result<Vec<Pattern>, Refusal> {
    let octets = |pattern: &MailboxArg| reference.as_bytes().len() + pattern.as_bytes().len();
    if patterns.iter().map(octets).sum::<usize>() > listing::MAX_PATTERNS {
        return Err(Refusal::Limit("Patterns are too long"));
    }
    // What is no modified UTF-7, such as `a&b*`, is no mailbox's name, and no error either.
    let text = |octets: &MailboxArg| match session.encoding.decode(octets.as_bytes()) {
        Err(_) if session.encoding == Encoding::Utf7 && octets.as_bytes().is_ascii() => Ok(None),
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

/// Everything that LIST may show the user, of what is at or below the query's root and begins as its
/// pattern does.
async fn entries(
    session: &Session,
    user: &User,
    subscribed: &HashSet<MailboxName>,
    query: &Query,
) -> Vec<Entry> {
    let root = query
        .root()
        .and_then(|root| user.namespace.parse(root).ok());
    let start = user.namespace.parse_start(query.below_root());
    let within = root.as_ref().map(|root| Within {
        root,
        start: &start,
    });
    let also = subscribed.iter();
    let mut entries: Vec<Entry> = also.filter_map(|name| subscription(user, name)).collect();
    let mut last: Option<Box<str>> = None;
    loop {
        {
            let tables = session.shared.router.replica().read();
            let map = &tables.map;
            let portion = map.visible_to(&user.identity, within, last.as_deref(), PORTION);
            let visible = portion.entries.iter();
            entries.extend(visible.filter_map(|entry| shown(user, subscribed, entry)));
            last = portion.last.map(Into::into);
        }
        if last.is_none() {
            return entries;
        }
        yield_now().await;
    }
}

fn shown(
    user: &User,
    subscribed: &HashSet<MailboxName>,
    entry: &murder_location::Entry<'_>,
) -> Option<Entry> {
    let name = entry.mailbox_name();
    // A special use is its owner's view of a mailbox (RFC 6154 section 1).
    let special_use = match name.is_owned_by(&user.identity.user) {
        true => entry.special_use().iter().next(),
        false => None,
    };
    Some(Entry {
        name: user.namespace.render(&name)?,
        exists: true,
        subscribed: subscribed.contains(&name),
        special_use,
    })
}

/// What the user has subscribed to, whether or not it is there.
fn subscription(user: &User, name: &MailboxName) -> Option<Entry> {
    Some(Entry {
        name: user.namespace.render(name)?,
        exists: false,
        subscribed: true,
        special_use: None,
    })
}

/// What the user has subscribed to. A backend that is down is no empty list.
async fn subscriptions(
    session: &mut Session,
    user: &User,
) -> Result<HashSet<MailboxName>, Refusal> {
    let asked = subscribe::at_home(session, user, b"LSUB \"\" *").await;
    let (completion, answers) = match asked {
        Ok(answered) => answered,
        // No INBOX, nothing subscribed.
        Err(Refusal::Cannot(_)) => return Ok(HashSet::new()),
        Err(refusal) => return Err(refusal),
    };
    if !completion.is_ok() {
        return Err(Refusal::Answered(completion));
    }
    Ok(answers
        .iter()
        .filter(|answer| answer.keyword() == "LSUB")
        .filter_map(|answer| subscribed_name(answer.arguments()))
        .collect())
}

/// The name in `(attributes) "/" name`.
fn subscribed_name(arguments: &[u8]) -> Option<MailboxName> {
    let attributes_end = arguments.iter().position(|b| *b == b')')?;
    let rest = arguments[attributes_end + 1..].strip_prefix(b" ")?;
    let (_separator, rest) = astring(rest)?;
    mailbox(rest.strip_prefix(b" ")?).map(|(name, _)| name)
}

fn rights(session: &Session, user: &User, name: &MailboxName) -> Option<Rights> {
    let tables = session.shared.router.replica().read();
    let entry = tables.map.entry(name.as_str())?;
    Some(entry.rights_of(&user.identity))
}

/// STATUS of each row, ready to send (RFC 5819). The backends are asked side by side; what one does not
/// answer in time, or one that is down, is left out, as section 2 there allows.
async fn statuses(
    session: &Session,
    user: &Arc<User>,
    rows: &[Row],
    items: &str,
) -> Result<HashMap<MailboxName, Vec<u8>>, OpError> {
    let mut by_node: HashMap<String, Vec<MailboxName>> = HashMap::new();
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.exists) {
        if at % PORTION == PORTION - 1 {
            yield_now().await;
        }
        let place = user
            .namespace
            .parse(&row.name)
            .map_err(|_| RouteError::NotFound)
            .and_then(|name| session.shared.router.look(&name));
        if let Ok(place) = place {
            by_node.entry(place.node).or_default().push(place.name);
        }
    }
    let mut asking = JoinSet::new();
    for (node, names) in by_node {
        let statuses = Statuses {
            shared: session.shared.clone(),
            user: user.clone(),
            encoding: session.encoding,
            items: items.to_owned(),
            found: HashMap::new(),
        };
        asking.spawn(statuses.of_backend(node, names).in_current_span());
    }
    let mut statuses = HashMap::new();
    while let Some(of_backend) = asking.join_next().await {
        statuses.extend(of_backend.unwrap_or_default());
    }
    Ok(statuses)
}

/// The statuses of the mailboxes of one backend.
struct Statuses {
    shared: Arc<Shared>,
    user: Arc<User>,
    encoding: Encoding,
    items: String,
    found: HashMap<MailboxName, Vec<u8>>,
}

impl Statuses {
    /// Asks for as many as the backend gives.
    async fn of_backend(
        mut self,
        node: String,
        names: Vec<MailboxName>,
    ) -> HashMap<MailboxName, Vec<u8>> {
        if let Err(error) = self.ask(&node, &names).await {
            tracing::debug!(%error, node, "no more STATUS from this backend");
        }
        self.found
    }

    async fn ask(&mut self, node: &str, names: &[MailboxName]) -> Result<(), BackendError> {
        let late = |_| unreachable(node, "no STATUS in time");
        let connecting = self.shared.pool.checkout(node, &self.user.acting);
        let mut connection = timeout(STATUS_LIMIT, connecting).await.map_err(late)??;
        for names in names.chunks(STATUS_AT_ONCE) {
            let mut tag = 0;
            for name in names {
                let name = quote_always(name.as_str());
                tag = connection.send(format!("STATUS {name} ({})", self.items).as_bytes());
            }
            let mut read = |said| {
                if let Said::Answer(answer) = said
                    && answer.keyword() == "STATUS"
                    && let Some((name, _)) = mailbox(answer.arguments())
                    && let Some(bytes) = renamed(&answer, &self.user.namespace, self.encoding)
                {
                    self.found.insert(name, bytes);
                }
            };
            let finishing = connection.finish(tag, &mut read);
            timeout(STATUS_LIMIT, finishing).await.map_err(late)??;
        }
        self.shared.pool.checkin(connection);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn subscribed_names_are_read() {
        for (text, name) in [
            ("() \"/\" \"user/bob/Sent\"", "user/bob/Sent"),
            ("(\\NonExistent) \"/\" board", "board"),
            ("() NIL {8}\r\nuser/bob", "user/bob"),
        ] {
            assert_eq!(subscribed_name(text.as_bytes()).unwrap().as_str(), name);
        }
        assert_eq!(subscribed_name(b"nonsense"), None);
    }
}
