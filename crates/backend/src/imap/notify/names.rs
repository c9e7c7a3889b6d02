//! Which mailboxes are watched, and what becomes of them: names, rights, subscriptions (RFC 5465
//! sections 5.4, 5.5 and 5.9).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use murder_imap::{ListAttribute, ListRow};
use murder_mailbox::{MailboxId, MailboxName, Rights};
use murder_store::{MailboxCounters, StoreError, Watched};

use super::filter::{Events, Filter, Named};
use super::own::Own;
use super::{Known, MAX_HOMES, MAX_MAILBOXES, Notify, Stopped};
use crate::imap::account::User;
use crate::imap::client::Client;
use crate::imap::op::list;
use crate::node::Found;

/// A mailbox that the filters mean and that the user may know of.
struct Meant {
    found: Found,
    shown: String,
    events: Events,
    readable: bool,
    own_seen: bool,
}

fn inbox(user: &User) -> Result<MailboxName, Stopped> {
    MailboxName::inbox_of(&user.identity.user).map_err(|error| Stopped::Failed(error.into()))
}

/// What has become of a mailbox.
enum Change {
    Appeared,
    Gone {
        /// It is there, but not for the user.
        hidden: bool,
    },
    Renamed {
        from: Box<str>,
    },
    /// It may be read, or not any more.
    Access,
}

impl Notify {
    /// Watches the user's own home, and reads what the user is subscribed to.
    pub(super) async fn watch_own(&mut self, client: &Client, user: &User) -> Result<(), Stopped> {
        if !self.groups.0.is_empty() {
            self.watch_home(client, inbox(user)?.home_key())?;
            self.read_subscriptions(client, user).await?;
        }
        if self.groups.any(|events| events.server) {
            let partitions = client.node.partitions.open();
            let watch = partitions
                .iter()
                .map(|partition| partition.watch(Watched::Server, &self.watcher));
            self.server = watch.collect();
        }
        Ok(())
    }

    /// Watches the homes in which mailboxes may be that the filters mean, and no others.
    pub(super) fn watch_filters(&mut self, client: &Client, user: &User) -> Result<(), Stopped> {
        if self.groups.0.is_empty() {
            return Ok(());
        }
        let inbox = inbox(user)?;
        let mut homes: HashSet<Box<str>> = HashSet::from([inbox.home_key().into()]);
        let mut everywhere = false;
        for (filter, _) in &self.groups.0 {
            match filter {
                Filter::Inboxes | Filter::Personal => {}
                Filter::Subscribed => {
                    homes.extend(self.subscribed.iter().map(|name| name.home_key().into()));
                }
                Filter::Mailboxes(names) => {
                    homes.extend(names.iter().map(|name| name.home_key().into()));
                }
                Filter::Subtree(bases) => {
                    for base in bases {
                        match user.namespace.parse(base) {
                            Ok(name) => homes.extend([name.home_key().into()]),
                            // Above all homes, or above those of others.
                            Err(_) => everywhere = true,
                        }
                    }
                }
            }
        }
        if everywhere {
            if self.everywhere.is_empty() {
                let partitions = client.node.partitions.open();
                let watch = partitions
                    .iter()
                    .map(|partition| partition.watch(Watched::Names, &self.watcher));
                self.everywhere = watch.collect();
            }
            for partition in client.node.partitions.open().iter() {
                for key in partition.homes() {
                    if !homes.contains(&*key) && !self.meant(client, user, [&*key]).is_empty() {
                        homes.insert((&*key).into());
                    }
                }
            }
        }
        for home in &homes {
            self.watch_home(client, home)?;
        }
        self.watches.retain(|home, _| homes.contains(home));
        Ok(())
    }

    fn watch_home(&mut self, client: &Client, home: &str) -> Result<(), Stopped> {
        if self.watches.contains_key(home) {
            return Ok(());
        }
        if self.watches.len() >= MAX_HOMES {
            return Err(Stopped::Overflow);
        }
        let partitions = client.node.partitions.open();
        let watch = partitions
            .iter()
            .map(|partition| partition.watch(Watched::Home(home), &self.watcher));
        self.watches.insert(home.into(), watch.collect());
        Ok(())
    }

    /// Finds the mailboxes of the watched homes; returns what is to be told of those that may not
    /// be read.
    pub(super) async fn find_all(
        &mut self,
        client: &Client,
        user: &User,
    ) -> Result<Vec<ListRow>, Stopped> {
        let homes = self.watches.keys().map(|home| &**home);
        let mut rows = BTreeMap::new();
        for (id, meant) in self.meant(client, user, homes) {
            if !meant.readable {
                let row = self.row(client, user, &meant.shown, true);
                rows.insert(meant.shown.clone(), row);
            }
            self.add(id, meant, &HashMap::new()).await?;
        }
        Ok(rows.into_values().collect())
    }

    /// The mailboxes of `homes` that the filters mean.
    fn meant<'a>(
        &self,
        client: &Client,
        user: &User,
        homes: impl IntoIterator<Item = &'a str>,
    ) -> HashMap<MailboxId, Meant> {
        let mut all = HashMap::new();
        for home in homes {
            for partition in client.node.partitions.open().iter() {
                for meta in partition.home_mailboxes(home) {
                    if !list::is_visible(&user.identity, &meta) {
                        continue;
                    }
                    let Some(shown) = user.namespace.render(&meta.name) else {
                        continue;
                    };
                    let named = Named {
                        name: &meta.name,
                        shown: &shown,
                        meta: Some(&meta),
                    };
                    let events = self.groups.events(user, &self.subscribed, &named);
                    if !events.of_mailboxes() {
                        continue;
                    }
                    let partition = Arc::clone(partition);
                    let found = Found { partition, meta };
                    let readable = found.rights_of(&user.identity).contains(Rights::READ);
                    let own = found.meta.name.is_owned_by(&user.identity.user);
                    let meant = Meant {
                        own_seen: own || found.meta.shared_seen,
                        found,
                        shown,
                        events,
                        readable,
                    };
                    all.insert(meant.found.meta.id, meant);
                }
            }
        }
        all
    }

    /// Watches a mailbox from now on. One of which changes were noted had nothing before.
    async fn add(
        &mut self,
        id: MailboxId,
        meant: Meant,
        noted: &HashMap<MailboxId, MailboxCounters>,
    ) -> Result<(), Stopped> {
        if self.known.len() >= MAX_MAILBOXES {
            return Err(Stopped::Overflow);
        }
        let meta = meant.found.meta;
        let mut counters = MailboxCounters {
            uidvalidity: meta.uidvalidity,
            uidnext: 1,
            messages: 0,
            unseen: 0,
            highest_modseq: 0,
        };
        if !noted.contains_key(&id) {
            match meant.found.partition.status(&meta.name, None).await {
                Ok(status) => {
                    counters = MailboxCounters {
                        uidvalidity: status.uidvalidity,
                        uidnext: status.uidnext,
                        messages: status.messages,
                        unseen: status.unseen,
                        highest_modseq: status.highest_modseq,
                    };
                }
                // It has gone or got another name meanwhile, which will be noticed.
                Err(StoreError::NoSuchMailbox) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let known = Known {
            name: meta.name,
            shown: meant.shown.into(),
            events: meant.events,
            readable: meant.readable,
            own_seen: meant.own_seen,
            counters,
        };
        self.known.insert(id, known);
        Ok(())
    }

    /// Looks at `homes` again (`None`: all that are watched), in which names or ACLs changed;
    /// `noted` are mailboxes whose messages changed. Returns what is to be told.
    pub(super) async fn rescan(
        &mut self,
        client: &Client,
        user: &User,
        homes: Option<&HashSet<Box<str>>>,
        noted: &HashMap<MailboxId, MailboxCounters>,
    ) -> Result<Vec<ListRow>, Stopped> {
        if !self.everywhere.is_empty() {
            self.watch_new_homes(client, user, homes)?;
        }
        let concerned = |home: &str| homes.is_none_or(|homes| homes.contains(home));
        let homes: Vec<Box<str>> = self
            .watches
            .keys()
            .filter(|home| concerned(home))
            .cloned()
            .collect();
        let mut now = self.meant(client, user, homes.iter().map(|home| &**home));
        let mut changes: Vec<(Box<str>, Change)> = Vec::new();
        let ids: Vec<MailboxId> = self
            .known
            .iter()
            .filter(|(_, known)| concerned(known.name.home_key()))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let meant = now.remove(&id);
            changes.extend(self.compare(client, user, id, meant));
        }
        for (id, meant) in now {
            if meant.events.names || !meant.readable {
                changes.push((meant.shown.as_str().into(), Change::Appeared));
            }
            self.add(id, meant, noted).await?;
        }
        Ok(self.name_rows(client, user, changes))
    }

    /// What has become of a mailbox that was known, which the filters mean as `now`.
    fn compare(
        &mut self,
        client: &Client,
        user: &User,
        id: MailboxId,
        now: Option<Meant>,
    ) -> Option<(Box<str>, Change)> {
        let known = self.known.get_mut(&id)?;
        let Some(now) = now else {
            let known = self.known.remove(&id)?;
            let found = client.node.find(&known.name);
            let hidden = match found.filter(|found| found.meta.id == id) {
                None => false,
                Some(found) => {
                    if list::is_visible(&user.identity, &found.meta) {
                        // The filters do not mean it any more.
                        return None;
                    }
                    true
                }
            };
            let told = known.events.names || hidden;
            return told.then_some((known.shown, Change::Gone { hidden }));
        };
        let names = known.events.names || now.events.names;
        let access = known.readable != now.readable;
        let renamed = known.name != now.found.meta.name;
        known.name = now.found.meta.name;
        known.events = now.events;
        known.readable = now.readable;
        known.own_seen = now.own_seen;
        let shown: Box<str> = now.shown.into();
        let from = std::mem::replace(&mut known.shown, shown.clone());
        if renamed && names {
            return Some((shown, Change::Renamed { from }));
        }
        access.then_some((shown, Change::Access))
    }

    /// Watches homes in which there is something now that the filters mean.
    fn watch_new_homes(
        &mut self,
        client: &Client,
        user: &User,
        homes: Option<&HashSet<Box<str>>>,
    ) -> Result<(), Stopped> {
        let new: Vec<Box<str>> = match homes {
            Some(homes) => homes.iter().cloned().collect(),
            None => {
                let partitions = client.node.partitions.open();
                let homes = partitions.iter().flat_map(|partition| partition.homes());
                homes.map(|home| (&*home).into()).collect()
            }
        };
        for home in new {
            if !self.watches.contains_key(&home) && !self.meant(client, user, [&*home]).is_empty() {
                self.watch_home(client, &home)?;
            }
        }
        Ok(())
    }

    /// LIST responses for changes of names (RFC 5465 section 5.4).
    fn name_rows(
        &self,
        client: &Client,
        user: &User,
        mut changes: Vec<(Box<str>, Change)>,
    ) -> Vec<ListRow> {
        let separator = user.namespace.separator();
        // What lies below a renamed mailbox goes with it, untold.
        let renames: HashSet<(Box<str>, Box<str>)> = changes
            .iter()
            .filter_map(|(to, change)| match change {
                Change::Renamed { from } => Some((from.clone(), to.clone())),
                _ => None,
            })
            .collect();
        let goes_with = |from: &str, to: &str| {
            from.match_indices(separator).any(|(at, _)| {
                let above = to.strip_suffix(&from[at..]);
                above.is_some_and(|above| renames.contains(&(from[..at].into(), above.into())))
            })
        };
        changes.retain(|(shown, change)| {
            let with_parent = match change {
                Change::Renamed { from } => goes_with(from, shown),
                _ => false,
            };
            !with_parent && !self.is_own(shown, change, separator)
        });
        let mut rows = BTreeMap::new();
        for (shown, change) in &changes {
            if let Change::Appeared | Change::Gone { .. } = change
                && let Some((parent, _)) = shown.rsplit_once(separator)
                && self.wants_name(client, user, parent)
            {
                rows.insert(parent.to_owned(), self.row(client, user, parent, false));
            }
        }
        let unreadable: HashSet<&str> = self
            .known
            .values()
            .filter(|known| !known.readable)
            .map(|known| &*known.shown)
            .collect();
        for (shown, change) in changes {
            let no_access = match change {
                Change::Gone { hidden } => hidden,
                _ => unreadable.contains(&*shown),
            };
            let row = self.row(client, user, &shown, no_access);
            let old_name = match &change {
                Change::Renamed { from } => Some((&**from).into()),
                _ => None,
            };
            rows.insert(shown.into(), ListRow { old_name, ..row });
        }
        rows.into_values().collect()
    }

    /// Whether the client wants to hear of that name, of a mailbox or not.
    fn wants_name(&self, client: &Client, user: &User, shown: &str) -> bool {
        let Ok(name) = user.namespace.parse(shown) else {
            return false;
        };
        let found = client.node.find(&name);
        let named = Named {
            name: &name,
            shown,
            meta: found.as_ref().map(|found| &found.meta),
        };
        self.groups.events(user, &self.subscribed, &named).names
    }

    /// Whether the command under way has done that.
    fn is_own(&self, shown: &str, change: &Change, separator: char) -> bool {
        let below = |base: &str| {
            let below = shown.strip_prefix(base);
            below.is_some_and(|below| below.is_empty() || below.starts_with(separator))
        };
        match (&self.own, change) {
            (Some(Own::Created(name)), Change::Appeared)
            | (Some(Own::Deleted(name)), Change::Gone { hidden: false }) => **name == *shown,
            (Some(Own::Renamed { to, .. }), Change::Appeared | Change::Renamed { .. }) => below(to),
            (Some(Own::Renamed { from, .. }), Change::Gone { hidden: false }) => below(from),
            (Some(Own::Rights(name)), _) => **name == *shown,
            _ => false,
        }
    }

    /// Reads the user's subscriptions; returns those that came or went.
    pub(super) async fn read_subscriptions(
        &mut self,
        client: &Client,
        user: &User,
    ) -> Result<HashSet<MailboxName>, Stopped> {
        let now: HashSet<MailboxName> = match client.node.subscriptions(&user.identity).await {
            Ok(names) => names.into_iter().collect(),
            // No INBOX here, nothing subscribed.
            Err(StoreError::NoSuchHome) => HashSet::new(),
            Err(error) => return Err(error.into()),
        };
        if now.len() > MAX_MAILBOXES {
            return Err(Stopped::Overflow);
        }
        let changed = self
            .subscribed
            .symmetric_difference(&now)
            .cloned()
            .collect();
        self.subscribed = now;
        Ok(changed)
    }

    /// LIST responses for subscriptions that changed (RFC 5465 section 5.5).
    pub(super) fn subscription_rows(
        &self,
        client: &Client,
        user: &User,
        changed: &HashSet<MailboxName>,
    ) -> Vec<ListRow> {
        let mut rows = BTreeMap::new();
        for name in changed {
            let Some(shown) = user.namespace.render(name) else {
                continue;
            };
            let found = client.node.find(name);
            let named = Named {
                name,
                shown: &shown,
                meta: found.as_ref().map(|found| &found.meta),
            };
            // To `subscribed` belongs what was so before, or is now.
            let events = self.groups.events(user, changed, &named);
            let own = Own::Subscribed(shown.clone(), self.subscribed.contains(name));
            if events.subscriptions && self.own.as_ref() != Some(&own) {
                let row = self.row(client, user, &shown, false);
                rows.insert(shown, row);
            }
        }
        rows.into_values().collect()
    }

    /// What LIST says of a name, with `\NoAccess` if asked for.
    fn row(&self, client: &Client, user: &User, shown: &str, no_access: bool) -> ListRow {
        let name = user.namespace.parse(shown).ok();
        let subscribed = name.is_some_and(|name| self.subscribed.contains(&name));
        let mut row = list::row_about(&client.node, user, shown, subscribed);
        if no_access {
            row.attributes.push(ListAttribute::NoAccess);
        }
        row
    }
}
