//! Searches whose changes a client is told (RFC 5267).
//!
//! A context knows the result as its client knows it. When the client is told what changed in the
//! mailbox, the messages that have come or that may match otherwise than before are evaluated
//! again, and what differs is told: what went before its EXPUNGE, while its number is still valid;
//! the rest behind EXISTS and FETCH. Nothing else of the mailbox is looked at.

mod told;

use std::io;
use std::sync::Arc;

use murder_imap::{
    Code, ContextUpdate, Esearch, FetchItem, MailboxArg, PartWhat, ResponseWriter, Section,
    SequenceSet, Status, Tag,
};
use murder_mailbox::Rights;
use murder_net::Shutdown;
use murder_store::{MailboxView, UidSet, ViewDiff};

use self::told::{Piece, Told};
use crate::imap::account::User;
use crate::imap::errors::OpError;
use crate::imap::notify;
use crate::imap::progress::{Pace, Progress};
use crate::imap::search::{Hits, Order, Program, Scope, run_among};
use crate::imap::selected::Selected;
use crate::node::now;
use murder_session::ClientStream;

/// Contexts of one session.
const MAX_CONTEXTS: usize = 16;
/// Octets that the contexts of a session keep, together: programs, and results at 8 octets a range
/// of UIDs, or 4 a message where they are sorted.
const MAX_OCTETS: usize = 1 << 20;
/// Different ages in one search: each costs a comparison of every message of the mailbox, up to
/// once a second.
const MAX_AGES: usize = 16;
/// Ranges in one ADDTO or REMOVEFROM, of which a response has two: clients and proxies bound their
/// lines, and this is some 20 KiB.
const IN_LINE: usize = 512;
/// Evaluated keys after which other sessions get their turn: some 100 microseconds.
const KEYS_AT_ONCE: usize = 16 * 1024;

/// The contexts of a selected mailbox.
#[derive(Default)]
pub(crate) struct Contexts {
    list: Vec<Context>,
}

/// What a context is made of besides its program and result.
pub(crate) struct Asked {
    /// The command's tag.
    pub tag: Tag,
    /// Whether the client is told UIDs.
    pub uid: bool,
    /// The selected mailbox's name and UIDVALIDITY, for ESEARCH, whose answers have them.
    pub mailbox: Option<(MailboxArg, u32)>,
    /// The order of SORT.
    pub order: Option<Order>,
    /// What is fetched of new messages that match.
    pub items: Vec<FetchItem>,
    /// Who it is for.
    pub user: Arc<User>,
    /// Of the node.
    pub shutdown: Shutdown,
}

struct Context {
    tag: Tag,
    uid: bool,
    mailbox: Option<(MailboxArg, u32)>,
    items: Vec<FetchItem>,
    user: Arc<User>,
    shutdown: Shutdown,
    program: Arc<Program>,
    told: Told,
    /// Messages that have to be evaluated.
    stale: UidSet,
    /// Those among them that are new, if items of them are wanted.
    new: UidSet,
    /// What `*` stood for when it was evaluated.
    last_uid: u32,
    /// When it was evaluated, in seconds since 1970.
    evaluated: i64,
    /// When a message comes to an age at which it matches otherwise.
    due: Option<i64>,
}

/// What is to be told of a context.
struct Change {
    removed: Vec<Piece>,
    added: Vec<Piece>,
}

impl Contexts {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// They are the same user's, who has another identity by now.
    pub fn belong_to(&mut self, user: &Arc<User>) {
        for context in &mut self.list {
            context.user = Arc::clone(user);
        }
    }

    /// Whether there is one of the command with this tag.
    pub fn has(&self, tag: &Tag) -> bool {
        self.list.iter().any(|context| context.tag == *tag)
    }

    /// Whether items of new messages are wanted.
    pub fn want_items(&self) -> bool {
        self.list.iter().any(|context| !context.items.is_empty())
    }

    /// Whether something is to be told though the mailbox is as it was.
    pub fn have_news(&self) -> bool {
        let stale = |context: &Context| !context.stale.is_empty();
        self.list.iter().any(stale) || self.due().is_some_and(|due| due <= now())
    }

    /// When something is to be told though nothing happens, in seconds since 1970.
    pub fn due(&self) -> Option<i64> {
        self.list.iter().filter_map(|context| context.due).min()
    }

    /// Ends the contexts with these tags, if there is one with each.
    pub fn cancel(&mut self, tags: &[Tag]) -> bool {
        let all = tags.iter().all(|tag| self.has(tag));
        if all {
            self.list.retain(|context| !tags.contains(&context.tag));
        }
        all
    }

    fn memory(&self) -> usize {
        self.list.iter().map(Context::memory).sum()
    }
}

impl Context {
    fn memory(&self) -> usize {
        let name = self
            .mailbox
            .as_ref()
            .map_or(0, |(name, _)| name.as_bytes().len());
        let items: usize = self.items.iter().map(memory_of).sum();
        let own = size_of::<Self>() + self.tag.as_str().len() + name + items;
        own + self.program.memory() + self.told.memory()
    }

    /// Notes what changed from `known` to the view of `scope`.
    async fn note(
        &mut self,
        known: &MailboxView,
        diff: &ViewDiff,
        scope: &Scope<'_>,
        work: &mut usize,
    ) {
        if known.uidnext() < scope.view.uidnext() {
            let (first, last) = (known.uidnext(), scope.view.uidnext() - 1);
            self.stale.insert_range(first, last);
            if !self.items.is_empty() {
                self.new.insert_range(first, last);
            }
        }
        for uid in &diff.changed {
            // Keywords' bits may be others in the two views.
            if diff.keywords || self.program.may_differ(*uid, known, scope) {
                self.stale.insert(*uid);
            }
            *work += 2 * self.program.size();
            if *work >= KEYS_AT_ONCE {
                *work = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    /// Evaluates what has to be, and makes the result what it is now.
    async fn evaluate(
        &mut self,
        scope: &Scope<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<(Change, UidSet), OpError> {
        let (view, now) = (scope.view, now());
        let mut uids = std::mem::take(&mut self.stale);
        let last_uid = view.last_uid().unwrap_or(0);
        if self.program.follows_last_uid() && last_uid != self.last_uid {
            // `n:*` has these two at most otherwise than before.
            uids.insert(self.last_uid);
            uids.insert(last_uid);
        }
        self.last_uid = last_uid;
        let due = self.due.is_some_and(|due| due <= now);
        if due {
            uids.union_with(&self.program.aged(view, self.evaluated, now));
        }
        let mut new = std::mem::take(&mut self.new);
        let mut change = Change {
            removed: Vec::new(),
            added: Vec::new(),
        };
        if uids.is_empty() && !due {
            return Ok((change, UidSet::new()));
        }
        Arc::make_mut(&mut self.program).rebind(view, now);
        self.evaluated = now;
        self.due = self.program.next_aged(view, now);
        let mut hits = run_among(&self.program, scope, &uids, progress).await?;
        let before = self.told.among(&uids);
        let mut gone = before.clone();
        gone.subtract(&hits.uids(view));
        change.removed = self.told.remove(&gone);
        hits.remove(&before, view);
        new = new.intersection(&hits.uids(view));
        change.added = self.told.add(hits, scope, progress).await?;
        Ok((change, new))
    }

    /// Tells a change, with the numbers of `view`.
    async fn tell(
        &self,
        change: &Change,
        view: &MailboxView,
        writer: &mut ResponseWriter,
        stream: &mut ClientStream,
    ) -> io::Result<()> {
        let number = |uid: u32| match self.uid {
            true => Some(uid),
            false => view.seq_of(uid),
        };
        let removed = lines(pairs(&change.removed, number, false));
        let added = lines(pairs(&change.added, number, true));
        let removed = removed.into_iter().map(ContextUpdate::RemoveFrom);
        let added = added.into_iter().map(ContextUpdate::AddTo);
        let updates: Vec<ContextUpdate> = removed.chain(added).collect();
        // What is short is one response.
        let together = if updates.len() <= 2 { 2 } else { 1 };
        for updates in updates.chunks(together) {
            writer.esearch(&Esearch {
                tag: Some(self.tag.to_string()),
                mailbox: self.mailbox.as_ref().map(|(name, _)| name.clone()),
                uidvalidity: self.mailbox.as_ref().map(|(_, uidvalidity)| *uidvalidity),
                uid: self.uid,
                updates: updates.to_vec(),
                ..Esearch::default()
            });
            writer.flush_if_full(stream).await?;
        }
        Ok(())
    }
}

/// The pairs of ADDTO, or of REMOVEFROM, each of at most [`IN_LINE`] ranges.
fn pairs(
    pieces: &[Piece],
    number: impl Fn(u32) -> Option<u32>,
    adding: bool,
) -> Vec<(u32, SequenceSet)> {
    let mut pairs = Vec::new();
    for (position, uids) in pieces {
        let set = SequenceSet::from_numbers(uids.iter().copied().filter_map(&number));
        let ranges = set.and_then(|set| set.fixed_ranges()).unwrap_or_default();
        let mut position = *position;
        for ranges in ranges.chunks(IN_LINE) {
            pairs.extend(
                SequenceSet::from_ranges(ranges.iter().cloned()).map(|set| (position, set)),
            );
            // What is removed makes the rest come up to the same position.
            if adding && position != 0 {
                position += ranges.iter().map(|r| r.end() - r.start() + 1).sum::<u32>();
            }
        }
    }
    pairs
}

/// Pairs for one response each.
fn lines(pairs: Vec<(u32, SequenceSet)>) -> Vec<Vec<(u32, SequenceSet)>> {
    let mut lines: Vec<Vec<_>> = Vec::new();
    let mut room = 0;
    for pair in pairs {
        let ranges = pair.1.range_count();
        match lines.last_mut() {
            Some(line) if ranges <= room => line.push(pair),
            _ => {
                lines.push(vec![pair]);
                room = IN_LINE;
            }
        }
        room -= ranges;
    }
    lines
}

/// Octets of memory of an item, more or less.
fn memory_of(item: &FetchItem) -> usize {
    let names = match item {
        FetchItem::BodySection {
            section:
                Section::HeaderFields { names, .. }
                | Section::Part {
                    what: PartWhat::HeaderFields { names, .. },
                    ..
                },
            ..
        } => &names[..],
        _ => &[],
    };
    let names = names.iter().map(|name| name.len() + size_of::<String>());
    // Part numbers are at most a hundred.
    size_of::<FetchItem>() + 64 + names.sum::<usize>()
}

/// Changes of the result of a command are told from now on, or it is told that they are not
/// (RFC 5267 section 4.3.1).
pub(crate) fn begin(
    selected: &mut Selected,
    writer: &mut ResponseWriter,
    asked: Asked,
    program: Arc<Program>,
    hits: Hits,
) {
    if program.ages().len() > MAX_AGES {
        return refuse(writer, &asked.tag, "Too many ages");
    }
    let view = &selected.view;
    let mut program = Arc::unwrap_or_clone(program);
    program.stand(view);
    let context = Context {
        tag: asked.tag,
        uid: asked.uid,
        mailbox: asked.mailbox,
        items: asked.items,
        user: asked.user,
        shutdown: asked.shutdown,
        told: Told::new(asked.order, hits, view),
        stale: UidSet::new(),
        new: UidSet::new(),
        last_uid: view.last_uid().unwrap_or(0),
        evaluated: program.now(),
        due: program.next_aged(view, program.now()),
        program: Arc::new(program),
    };
    let contexts = &mut selected.contexts;
    if contexts.list.len() == MAX_CONTEXTS {
        refuse(writer, &context.tag, "Too many contexts");
    } else if contexts.memory() + context.memory() > MAX_OCTETS {
        refuse(writer, &context.tag, "Contexts are too large");
    } else {
        contexts.list.push(context);
    }
}

/// `* NO [NOUPDATE "tag"] text`
pub(crate) fn refuse(writer: &mut ResponseWriter, tag: &Tag, text: &str) {
    let code = Code::NoUpdate(tag.to_string());
    writer.untagged(Status::No, Some(&code), text);
}

/// Tells which messages went out of results because they went out of the mailbox: before their
/// EXPUNGEs, whether those are told now or have to wait (RFC 5267 section 4.3.4).
///
/// # Errors
/// When the client has gone.
pub(crate) async fn tell_gone(
    selected: &mut Selected,
    writer: &mut ResponseWriter,
    stream: &mut ClientStream,
    gone: &UidSet,
) -> io::Result<()> {
    if gone.is_empty() {
        return Ok(());
    }
    for context in &mut selected.contexts.list {
        let change = Change {
            removed: context.told.remove(gone),
            added: Vec::new(),
        };
        context
            .tell(&change, &selected.view, writer, stream)
            .await?;
    }
    Ok(())
}

/// Notes what has changed from `known` to the view of `selected`.
pub(crate) async fn note(selected: &mut Selected, known: &MailboxView, diff: &ViewDiff) {
    let mut contexts = std::mem::take(&mut selected.contexts);
    let mut work = 0;
    for context in &mut contexts.list {
        context
            .note(known, diff, &selected.scope(), &mut work)
            .await;
    }
    selected.contexts = contexts;
}

/// Tells what has changed in results: items of new messages first, where they are wanted
/// (RFC 5465 section 7), unless NOTIFY wants items too, as those come together, afterwards
/// (section 5.2).
///
/// A result that cannot be made up to date, because the disk cannot be read, because it has grown
/// too large, or because the user may not read the mailbox any more, is told of no longer.
///
/// # Errors
/// When the client has gone.
pub(crate) async fn tell(
    selected: &mut Selected,
    writer: &mut ResponseWriter,
    stream: &mut ClientStream,
) -> io::Result<()> {
    let mut contexts = std::mem::take(&mut selected.contexts);
    // They are one user's.
    let may_read = contexts.list.first().is_some_and(|context| {
        let rights = selected.rights(&context.user.identity);
        rights.contains(Rights::READ)
    });
    let mut changes = Vec::with_capacity(contexts.list.len());
    for context in &mut contexts.list {
        if !may_read {
            changes.push(None);
            continue;
        }
        let shutdown = context.shutdown.clone();
        let mut progress = Progress::new(writer, stream, &shutdown, Pace::silent());
        let evaluated = context.evaluate(&selected.scope(), &mut progress).await;
        changes.push(match evaluated {
            Ok((change, new)) => {
                if !new.is_empty() {
                    selected.joined.push((new, context.items.clone()));
                }
                Some(change)
            }
            Err(OpError::Gone(error)) => return Err(error),
            // The session ends, of which it is told elsewhere.
            Err(OpError::Bye(_)) => return Ok(()),
            Err(OpError::Refused(_) | OpError::Answered) => None,
        });
    }
    // What cannot be read is not told, as with NOTIFY.
    if !selected.wants.items
        && let Err(OpError::Gone(error)) = notify::tell_items(selected, writer, stream, &[]).await
    {
        return Err(error);
    }
    let mut memory = 0;
    let mut at = 0;
    for change in changes {
        let context = &contexts.list[at];
        memory += context.memory();
        let Some(change) = change.filter(|_| memory <= MAX_OCTETS) else {
            refuse(writer, &context.tag, "Changes cannot be told any more");
            memory -= context.memory();
            contexts.list.remove(at);
            continue;
        };
        context
            .tell(&change, &selected.view, writer, stream)
            .await?;
        at += 1;
    }
    selected.contexts = contexts;
    Ok(())
}
