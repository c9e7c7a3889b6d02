//! What a client has asked to be told without asking again (RFC 5465).
//!
//! A session watches the homes in which mailboxes lie that its filters mean. The store notes for
//! it what changes there and wakes it; the session compares that with what the client was told.
//! What the selected mailbox is concerned, [`super::updates`] does, as [`Wants`] says.

mod annotations;
mod arrivals;
mod filter;
mod names;
mod own;

use std::collections::{HashMap, HashSet};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use murder_imap::{Code, FetchItem, Status, StatusValue};
use murder_mailbox::{MailboxId, MailboxName, Rights};
use murder_store::{HomeChanges, MailboxCounters, StoreError, Watch, Watcher};
use tokio::sync::watch;
use tokio::time::sleep;

pub(crate) use arrivals::tell_items;
pub(crate) use filter::{Events, Filter, Groups, takes_mail};
pub(crate) use own::Own;

use crate::imap::account::{Account, User};
use crate::imap::client::Client;
use crate::imap::enabled::{Enabled, Extension};
use crate::imap::errors::OpError;
use crate::imap::selected::Selected;
use crate::imap::updates::{self, Expunges};
use crate::node::now;

/// Mailboxes that one session watches, and subscriptions that it knows: more than people have.
/// A mailbox takes some 200 bytes.
const MAX_MAILBOXES: usize = 4096;
/// Seconds after which a session looks again whether it is time.
const LONGEST_WAIT: i64 = 86_400;
/// Homes that one session watches.
pub(crate) const MAX_HOMES: usize = 256;

/// Which events of the selected mailbox a client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wants {
    /// NOTIFY says so, and not the base protocol.
    pub notify: bool,
    /// New messages and expunges.
    pub messages: bool,
    /// Changes of flags.
    pub flags: bool,
    /// Items of new messages.
    pub items: bool,
}

impl Default for Wants {
    /// Without NOTIFY.
    fn default() -> Self {
        Self {
            notify: false,
            messages: true,
            flags: true,
            items: false,
        }
    }
}

/// What a client wants to hear of the selected mailbox, whichever that is.
#[derive(Debug, Default)]
pub(crate) struct OfSelected {
    /// Which events; `names` and `subscriptions` are not among them.
    pub events: Events,
    /// What is told of new messages.
    pub items: Vec<FetchItem>,
    /// Expunges wait for a command that may tell them.
    pub delayed: bool,
}

/// What a client wants to hear of, and what it has been told.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    of_selected: OfSelected,
    groups: Groups,
    subscribed: HashSet<MailboxName>,
    known: HashMap<MailboxId, Known>,
    watcher: Arc<Watcher>,
    /// By home key; the watch is of each partition.
    watches: HashMap<Box<str>, Vec<Watch>>,
    /// Of names in all homes.
    everywhere: Vec<Watch>,
    /// Of the server's annotations.
    server: Vec<Watch>,
    /// What the command under way does by itself.
    own: Option<Own>,
}

/// A mailbox that is watched, as the client knows it.
#[derive(Debug)]
struct Known {
    name: MailboxName,
    shown: Box<str>,
    events: Events,
    /// The user may read it, not only look it up.
    readable: bool,
    /// UNSEEN of the home's counters is the user's own.
    own_seen: bool,
    counters: MailboxCounters,
}

/// Why nothing is told any more.
pub(crate) enum Stopped {
    /// It is too much.
    Overflow,
    /// The session ends, or a command does.
    Failed(OpError),
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl Notify {
    /// What NOTIFY SET asks for. Nothing is known yet, see [`Notify::begin`].
    pub fn new(of_selected: OfSelected, groups: Groups) -> Self {
        Self {
            of_selected,
            groups,
            ..Self::default()
        }
    }

    /// What the command under way does by itself.
    pub fn set_own(&mut self, own: Own) {
        self.own = Some(own);
    }

    /// What the client is told of the selected mailbox.
    pub fn wants(&self) -> Wants {
        let OfSelected { events, items, .. } = &self.of_selected;
        Wants {
            notify: true,
            messages: events.messages,
            flags: events.flags,
            items: !items.is_empty(),
        }
    }

    /// Whether EXPUNGE may be sent while no command is in progress.
    fn expunges_between(&self) -> Expunges {
        match self.of_selected.delayed {
            true => Expunges::Held,
            false => Expunges::Allowed,
        }
    }

    /// Begins to watch: tells which mailboxes may not be read, and with `status` the state of the
    /// others.
    pub async fn begin(
        &mut self,
        client: &mut Client,
        user: &User,
        selected: Option<&Selected>,
        status: bool,
    ) -> Result<(), Stopped> {
        self.watch_own(client, user).await?;
        self.watch_filters(client, user)?;
        let rows = self.find_all(client, user).await?;
        for row in rows {
            client.writer.list(&row);
        }
        let selected = selected.map(|selected| selected.handle.id());
        let mut known: Vec<_> = self.known.iter().collect();
        known.sort_unstable_by(|(_, a), (_, b)| a.name.cmp(&b.name));
        for (id, known) in known {
            if status && Some(*id) != selected && known.events.messages && known.readable {
                client.writer.status(&known.shown, &known.all_values());
                make_room(client).await?;
            }
        }
        Ok(())
    }

    /// Tells what has happened in mailboxes that are not selected.
    async fn tell(
        &mut self,
        client: &mut Client,
        user: &User,
        selected: Option<&Selected>,
    ) -> Result<(), Stopped> {
        let HomeChanges {
            mailboxes,
            names,
            all_names,
            subscriptions,
            annotations,
            annotations_lost,
        } = self.watcher.take();
        if annotations_lost
            && self
                .groups
                .any(|events| events.annotations || events.server)
        {
            return Err(Stopped::Overflow);
        }
        let mut everything = all_names;
        if subscriptions {
            let changed = self.read_subscriptions(client, user).await?;
            let by_subscription = !changed.is_empty() && self.groups.by_subscription();
            for row in self.subscription_rows(client, user, &changed) {
                client.writer.list(&row);
            }
            if by_subscription {
                self.watch_filters(client, user)?;
                everything = true;
            }
        }
        if everything || !names.is_empty() {
            let homes = (!everything).then_some(&names);
            let rows = self.rescan(client, user, homes, &mailboxes).await?;
            for row in rows {
                client.writer.list(&row);
            }
        }
        for (shown, entries) in self.changed_annotations(user, annotations) {
            client.writer.metadata_changed(&shown, entries);
        }
        self.own = None;
        let selected = selected.map(|selected| selected.handle.id());
        let mut told = Vec::new();
        for (id, now) in mailboxes {
            let Some(known) = self.known.get_mut(&id) else {
                continue;
            };
            // What was read from the home may be newer than what was noted.
            if now.uidvalidity == known.counters.uidvalidity
                && now.highest_modseq <= known.counters.highest_modseq
            {
                continue;
            }
            let before = std::mem::replace(&mut known.counters, now);
            let values = known.changed_values(&before, client.enabled);
            if Some(id) != selected && known.readable && !values.is_empty() {
                told.push((known.shown.clone(), values));
            }
        }
        told.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (shown, values) in told {
            client.writer.status(&shown, &values);
            make_room(client).await?;
        }
        Ok(())
    }
}

async fn make_room(client: &mut Client) -> Result<(), Stopped> {
    let room = client.make_room().await;
    room.map_err(|error| Stopped::Failed(error.into()))
}

impl Known {
    /// STATUS at the beginning (RFC 5465 section 3.1).
    fn all_values(&self) -> Vec<StatusValue> {
        let now = &self.counters;
        let mut values = vec![
            StatusValue::Messages(now.messages),
            StatusValue::UidNext(now.uidnext),
            StatusValue::UidValidity(now.uidvalidity),
        ];
        if self.events.flags {
            values.push(StatusValue::HighestModSeq(now.highest_modseq));
            if self.own_seen {
                values.push(StatusValue::Unseen(now.unseen));
            }
        }
        values
    }

    /// STATUS after a change (RFC 5465 sections 5.1 to 5.3); empty if the client does not want to
    /// hear of it.
    fn changed_values(&self, before: &MailboxCounters, enabled: Enabled) -> Vec<StatusValue> {
        let now = &self.counters;
        let mut values = Vec::new();
        if !self.events.messages {
            return values;
        }
        let condstore = enabled.has(Extension::CondStore);
        let place = |c: &MailboxCounters| (c.uidvalidity, c.uidnext, c.messages);
        if place(before) != place(now) {
            values.push(StatusValue::Messages(now.messages));
            values.push(StatusValue::UidNext(now.uidnext));
        }
        let unseen = self.events.flags && self.own_seen && before.unseen != now.unseen;
        if unseen {
            values.push(StatusValue::Unseen(now.unseen));
        }
        let modseq = before.highest_modseq != now.highest_modseq;
        let flags = self.events.flags && condstore && modseq;
        if flags || !values.is_empty() {
            values.push(StatusValue::UidValidity(now.uidvalidity));
            if condstore {
                values.push(StatusValue::HighestModSeq(now.highest_modseq));
            }
        }
        values
    }
}

/// What a session that waits for its client waits for besides.
#[derive(Default)]
pub(crate) struct Wake {
    selected: Option<watch::Receiver<u64>>,
    watcher: Option<Arc<Watcher>>,
    /// When results of searches change with time, in seconds since 1970.
    due: Option<i64>,
}

impl Wake {
    /// To be made before the client is told what there is, so that no change falls in between.
    pub fn of(account: &Account, selected: Option<&Selected>) -> Self {
        let watcher = account.notify.as_ref();
        Self {
            selected: selected.map(|selected| selected.handle.subscribe()),
            watcher: watcher.map(|notify| Arc::clone(&notify.watcher)),
            due: None,
        }
    }

    /// Waits for time too. To be called after the client was told what there is.
    pub fn set_due(&mut self, selected: Option<&Selected>) {
        let selected = selected.filter(|selected| selected.wants.messages);
        self.due = selected.and_then(|selected| selected.contexts.due());
    }

    /// Waits for something that may have to be told. Can be dropped and called again.
    pub async fn wait(&mut self) {
        let Self {
            selected,
            watcher,
            due,
        } = self;
        let selected = async {
            let alive = match selected {
                Some(changes) => changes.changed().await.is_ok(),
                None => false,
            };
            if !alive {
                pending().await
            }
        };
        let homes = async {
            match watcher {
                Some(watcher) => watcher.changed().await,
                None => pending().await,
            }
        };
        let time = async {
            match due {
                Some(due) => {
                    // It may have come just now, or not be told to who may not read any more.
                    let seconds = due.saturating_sub(now()).clamp(1, LONGEST_WAIT);
                    sleep(Duration::from_secs(seconds.unsigned_abs())).await;
                }
                None => pending().await,
            }
        };
        tokio::select! {
            () = selected => {}
            () = homes => {}
            () = time => {}
        }
    }
}

/// Tells what has happened while no command was in progress, as NOTIFY asks for.
pub(crate) async fn between_commands(
    client: &mut Client,
    account: &mut Account,
    mut selected: Option<&mut Selected>,
) -> Result<(), OpError> {
    let Some(notify) = &account.notify else {
        return Ok(());
    };
    let expunges = notify.expunges_between();
    if let Some(selected) = selected.as_deref_mut() {
        updates::news(client, account, selected, expunges).await?;
    }
    rest(client, account, selected).await
}

/// Whether the user may read the selected mailbox: who may not is told nothing of it (RFC 5465
/// section 5.9).
fn may_read(selected: &Selected, user: &User) -> bool {
    !selected.gone && selected.rights(&user.identity).contains(Rights::READ)
}

/// What NOTIFY asks for, once the news of the selected mailbox are told: items of its new
/// messages, and other mailboxes.
pub(crate) async fn rest(
    client: &mut Client,
    account: &mut Account,
    mut selected: Option<&mut Selected>,
) -> Result<(), OpError> {
    let Account { user, notify, .. } = account;
    let Some(notify) = notify else {
        return Ok(());
    };
    let arrivals = match selected.as_deref_mut() {
        Some(selected) if may_read(selected, user) => {
            let (writer, stream) = (&mut client.writer, &mut client.stream);
            tell_items(selected, writer, stream, &notify.of_selected.items).await
        }
        _ => Ok(()),
    };
    let told = match arrivals {
        Ok(()) => notify.tell(client, user, selected.as_deref()).await,
        Err(error) => Err(Stopped::Failed(error)),
    };
    match told {
        Ok(()) => {}
        Err(Stopped::Failed(error @ (OpError::Gone(_) | OpError::Bye(_)))) => return Err(error),
        // A home that cannot be read is no reason to end the session, but what happens there
        // cannot be told.
        Err(Stopped::Overflow | Stopped::Failed(_)) => overflow(client, account, selected),
    }
    Ok(())
}

/// Nothing more is told (RFC 5465 section 5.8).
fn overflow(client: &mut Client, account: &mut Account, selected: Option<&mut Selected>) {
    let text = "Nothing more is notified";
    let code = Code::NotificationOverflow;
    client.writer.untagged(Status::Ok, Some(&code), text);
    account.set_notify(selected, Notify::default());
}
