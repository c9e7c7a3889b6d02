//! The partition's mailboxes in memory: names, ids, ACLs.
//!
//! The truth is in the homes; the catalogue is a copy that the shards keep current after each
//! commit, written to `partition.db` at checkpoints and mended from the homes at recovery.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicU64};

use murder_mailbox::{Acl, MailboxId, MailboxName, Rights, SpecialUse};
use parking_lot::RwLock;

use crate::mailbox::MailboxMeta;

/// How many different ACLs are shared before the table of them is begun anew.
const MAX_SHARED_ACLS: usize = 65_536;

/// Mailboxes that are given out at a time, for which the tables stay as they are.
const PORTION: usize = 1024;

/// A mailbox within its home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The name below the home's root.
    pub name: Box<str>,
    pub id: MailboxId,
    pub uidvalidity: u32,
    pub acl: Arc<Acl>,
    pub special_use: Option<SpecialUse>,
    pub shared_seen: bool,
}

impl Listed {
    pub fn meta(&self, key: &str) -> Option<MailboxMeta> {
        Some(MailboxMeta {
            name: full_name(key, &self.name)?,
            id: self.id,
            uidvalidity: self.uidvalidity,
            acl: Arc::clone(&self.acl),
            special_use: self.special_use,
            shared_seen: self.shared_seen,
        })
    }
}

/// Homes that changed, by number, with their keys and mailboxes; `None` for those removed.
pub(crate) type DirtyHomes = Vec<(u64, Option<HomeListing>)>;
/// A home's key and mailboxes.
pub(crate) type HomeListing = (Arc<str>, Vec<Listed>);

/// The canonical name of what lies at `relative` in the home `key`.
pub(crate) fn full_name(key: &str, relative: &str) -> Option<MailboxName> {
    let name = if relative.is_empty() {
        MailboxName::parse_canonical(key)
    } else {
        MailboxName::parse_canonical(&format!("{key}/{relative}"))
    };
    name.inspect_err(|e| tracing::error!(home = key, mailbox = relative, error = %e, "a stored name is not valid"))
        .ok()
}

#[derive(Debug, Default)]
struct HomeEntry {
    key: Arc<str>,
    /// Sorted by name.
    mailboxes: Vec<Listed>,
}

#[derive(Debug, Default)]
struct Tables {
    keys: BTreeMap<Arc<str>, u64>,
    homes: HashMap<u64, HomeEntry>,
    /// Numbers given to keys whose first command is not applied yet.
    reserved: HashMap<String, u64>,
    next_home: u64,
    /// Homes whose rows in `partition.db` are out of date.
    dirty: HashSet<u64>,
    acls: HashSet<Arc<Acl>>,
    /// The mailboxes that somebody else than their home's user may look up (right `l`), by the
    /// identifiers in their ACLs; each by its home and its name below that.
    granted: BTreeMap<Box<str>, BTreeSet<(u64, Box<str>)>>,
}

impl Tables {
    fn share(&mut self, acl: &Arc<Acl>) -> Arc<Acl> {
        if let Some(shared) = self.acls.get(acl) {
            return Arc::clone(shared);
        }
        if self.acls.len() >= MAX_SHARED_ACLS {
            self.acls.clear();
        }
        self.acls.insert(Arc::clone(acl));
        Arc::clone(acl)
    }

    /// Enters who may look mailboxes of a home up, or takes that back.
    fn grant(&mut self, home: u64, key: &str, mailboxes: &[&Listed], enter: bool) {
        if mailboxes.is_empty() {
            return;
        }
        let owner = full_name(key, "").and_then(|root| root.owner_user());
        for mailbox in mailboxes {
            let looks = mailbox.acl.entries().filter(|(identifier, rights)| {
                rights.contains(Rights::LOOKUP)
                    && !identifier.starts_with('-')
                    && owner.as_deref() != Some(identifier)
            });
            for (identifier, _) in looks {
                let place = (home, mailbox.name.clone());
                if enter {
                    match self.granted.get_mut(identifier) {
                        Some(places) => drop(places.insert(place)),
                        None => drop(self.granted.insert(identifier.into(), [place].into())),
                    }
                } else if let Some(places) = self.granted.get_mut(identifier) {
                    places.remove(&place);
                    if places.is_empty() {
                        self.granted.remove(identifier);
                    }
                }
            }
        }
    }

    /// Enters what has changed of a home's mailboxes; both are sorted by name.
    fn grant_changes(&mut self, home: u64, old: &HomeEntry, key: &str, new: &[Listed]) {
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        let is_same_home = *old.key == *key;
        let (mut olds, mut news) = (old.mailboxes.iter().peekable(), new.iter().peekable());
        loop {
            let order = match (olds.peek(), news.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => old.name.cmp(&new.name),
            };
            let old = olds.next_if(|_| order.is_le());
            let new = news.next_if(|_| order.is_ge());
            if let (Some(old), Some(new)) = (old, new)
                && is_same_home
                && Arc::ptr_eq(&old.acl, &new.acl)
            {
                continue;
            }
            gone.extend(old);
            come.extend(new);
        }
        self.grant(home, &old.key, &gone, false);
        self.grant(home, key, &come, true);
    }
}

/// All mailboxes of a partition.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    tables: RwLock<Tables>,
    /// Grows with each change of a home's mailboxes.
    version: AtomicU64,
}

impl Catalogue {
    /// A number that is another one after each change of a mailbox's name or ACL. Read it before
    /// what is to be remembered with it.
    pub fn version(&self) -> u64 {
        self.version.load(atomic::Ordering::Acquire)
    }

    /// The mailbox of that name and its home's number.
    pub fn find(&self, name: &MailboxName) -> Option<(u64, Listed)> {
        let tables = self.tables.read();
        let home = *tables.keys.get(name.home_key())?;
        let entry = tables.homes.get(&home)?;
        let at = entry
            .mailboxes
            .binary_search_by(|m| (*m.name).cmp(name.relative()))
            .ok()?;
        Some((home, entry.mailboxes[at].clone()))
    }

    /// The mailbox with this id in that home.
    pub fn find_id(&self, home: u64, id: MailboxId) -> Option<MailboxMeta> {
        let tables = self.tables.read();
        let entry = tables.homes.get(&home)?;
        entry
            .mailboxes
            .iter()
            .find(|m| m.id == id)?
            .meta(&entry.key)
    }

    /// The number of the home with that key, if it has been created.
    pub fn home(&self, key: &str) -> Option<u64> {
        self.tables.read().keys.get(key).copied()
    }

    /// The number of the home with that key, a new one when there is none.
    pub fn home_or_reserve(&self, key: &str) -> u64 {
        let mut tables = self.tables.write();
        if let Some(&home) = tables.keys.get(key) {
            return home;
        }
        if let Some(&home) = tables.reserved.get(key) {
            return home;
        }
        tables.next_home += 1;
        let home = tables.next_home;
        tables.reserved.insert(key.to_owned(), home);
        home
    }

    /// Makes sure that no new home gets a number up to `home`.
    pub fn raise_next_home(&self, home: u64) {
        let mut tables = self.tables.write();
        tables.next_home = tables.next_home.max(home);
    }

    /// The greatest number that a home has been given.
    pub fn last_home(&self) -> u64 {
        self.tables.read().next_home
    }

    /// The numbers of all homes.
    pub fn homes(&self) -> Vec<u64> {
        self.tables.read().homes.keys().copied().collect()
    }

    /// The key of a home.
    pub fn key(&self, home: u64) -> Option<Arc<str>> {
        self.tables
            .read()
            .homes
            .get(&home)
            .map(|h| Arc::clone(&h.key))
    }

    /// A home's mailboxes.
    pub fn home_mailboxes(&self, home: u64) -> Vec<Listed> {
        let tables = self.tables.read();
        tables
            .homes
            .get(&home)
            .map(|h| h.mailboxes.clone())
            .unwrap_or_default()
    }

    /// Puts a home's mailboxes as they are now.
    pub fn put(&self, home: u64, key: &str, mut mailboxes: Vec<Listed>) {
        mailboxes.sort_by(|a, b| a.name.cmp(&b.name));
        mailboxes.shrink_to_fit();
        let mut tables = self.tables.write();
        for mailbox in &mut mailboxes {
            mailbox.acl = tables.share(&mailbox.acl);
        }
        tables.next_home = tables.next_home.max(home);
        tables.reserved.remove(key);
        let before = tables.homes.remove(&home);
        let (none, tables) = (HomeEntry::default(), &mut *tables);
        tables.grant_changes(home, before.as_ref().unwrap_or(&none), key, &mailboxes);
        let old = before.map(|before| before.key);
        let key: Arc<str> = match old {
            Some(old) if &*old == key => old,
            Some(old) => {
                if tables.keys.get(&old) == Some(&home) {
                    tables.keys.remove(&old);
                }
                key.into()
            }
            None => key.into(),
        };
        tables.keys.insert(Arc::clone(&key), home);
        tables.homes.insert(home, HomeEntry { key, mailboxes });
        tables.dirty.insert(home);
        self.version.fetch_add(1, atomic::Ordering::Release);
    }

    /// Forgets a home.
    pub fn remove(&self, home: u64) {
        let mut tables = self.tables.write();
        if let Some(entry) = tables.homes.remove(&home) {
            tables.grant_changes(home, &entry, &entry.key, &[]);
            if tables.keys.get(&entry.key) == Some(&home) {
                tables.keys.remove(&entry.key);
            }
        }
        tables.dirty.insert(home);
        self.version.fetch_add(1, atomic::Ordering::Release);
    }

    /// Makes the keys fit the homes. During replay homes take and leave keys in any order; at
    /// its end each key is one home's.
    pub fn settle_keys(&self) {
        let mut tables = self.tables.write();
        let tables = &mut *tables;
        tables.keys.clear();
        for (&home, entry) in &tables.homes {
            if let Some(other) = tables.keys.insert(Arc::clone(&entry.key), home) {
                tracing::error!(key = %entry.key, home, other, "two homes have the same key");
            }
        }
    }

    /// Homes changed since the last call, as they are now.
    pub fn take_dirty(&self) -> DirtyHomes {
        let mut tables = self.tables.write();
        let dirty = std::mem::take(&mut tables.dirty);
        dirty
            .into_iter()
            .map(|home| {
                let entry = tables.homes.get(&home);
                (
                    home,
                    entry.map(|e| (Arc::clone(&e.key), e.mailboxes.clone())),
                )
            })
            .collect()
    }

    /// Marks homes as changed again, after a checkpoint that failed.
    pub fn mark_dirty(&self, homes: impl IntoIterator<Item = u64>) {
        self.tables.write().dirty.extend(homes);
    }

    /// Every mailbox, home by home in the order of their keys.
    pub fn all(&self) -> Vec<MailboxMeta> {
        let tables = self.tables.read();
        let mut all = Vec::new();
        for (key, home) in &tables.keys {
            if let Some(entry) = tables.homes.get(home) {
                all.extend(entry.mailboxes.iter().filter_map(|m| m.meta(key)));
            }
        }
        all
    }

    /// The mailboxes of one home, in the order of their names.
    pub fn of_home(&self, key: &str) -> Vec<MailboxMeta> {
        let tables = self.tables.read();
        let Some(entry) = tables.keys.get(key).and_then(|h| tables.homes.get(h)) else {
            return Vec::new();
        };
        entry
            .mailboxes
            .iter()
            .filter_map(|m| m.meta(&entry.key))
            .collect()
    }

    /// Some of the mailboxes, of all homes or one, whose ACLs give `identifier` right `l`: those
    /// behind `after`, which then is the last of them; none when there are no more. The mailboxes
    /// that a home's user has in it are not among them for that user.
    pub fn granted(
        &self,
        identifier: &str,
        home: Option<u64>,
        after: &mut Option<(u64, Box<str>)>,
    ) -> Vec<MailboxMeta> {
        let tables = self.tables.read();
        let Some(places) = tables.granted.get(identifier) else {
            return Vec::new();
        };
        let from = match (&*after, home) {
            (Some(after), _) => Bound::Excluded(after.clone()),
            (None, Some(home)) => Bound::Included((home, Box::default())),
            (None, None) => Bound::Unbounded,
        };
        let places = places.range((from, Bound::Unbounded));
        let mut found = Vec::new();
        for place in places.take_while(|(of, _)| home.is_none_or(|home| home == *of)) {
            let (home, name) = place;
            found.extend(tables.homes.get(home).and_then(|entry| {
                let at = entry
                    .mailboxes
                    .binary_search_by(|m| m.name.cmp(name))
                    .ok()?;
                entry.mailboxes[at].meta(&entry.key)
            }));
            if found.len() >= PORTION {
                *after = Some(place.clone());
                return found;
            }
        }
        *after = Some((u64::MAX, Box::default()));
        found
    }

    /// The keys of all homes, sorted.
    pub fn keys(&self) -> Vec<Arc<str>> {
        let tables = self.tables.read();
        // One that has given its name to another has none.
        let keys = tables.homes.values().map(|h| &h.key);
        let mut keys: Vec<_> = keys.filter(|key| !key.is_empty()).cloned().collect();
        drop(tables);
        keys.sort_unstable();
        keys
    }

    /// How many homes and mailboxes there are.
    pub fn counts(&self) -> (usize, usize) {
        let tables = self.tables.read();
        let mailboxes = tables.homes.values().map(|h| h.mailboxes.len()).sum();
        (tables.homes.len(), mailboxes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn listed(name: &str) -> Listed {
        Listed {
            name: name.into(),
            id: MailboxId::new(),
            uidvalidity: 1,
            acl: Acl::parse("bob\tlrs\t").unwrap().into(),
            special_use: None,
            shared_seen: false,
        }
    }

    #[test]
    fn a_home_changes_its_key() {
        let catalogue = Catalogue::default();
        let home = catalogue.home_or_reserve("user/bob");
        assert_eq!(catalogue.home_or_reserve("user/bob"), home);
        assert_eq!(catalogue.home("user/bob"), None);
        catalogue.put(home, "user/bob", vec![listed("Sent"), listed("")]);
        let sent = MailboxName::parse_canonical("user/bob/Sent").unwrap();
        assert_eq!(catalogue.find(&sent).unwrap().0, home);
        let mailboxes = catalogue.home_mailboxes(home);
        catalogue.put(home, "user/rob", mailboxes);
        assert!(catalogue.find(&sent).is_none());
        let names: Vec<String> = catalogue
            .all()
            .iter()
            .map(|m| m.name.as_str().to_owned())
            .collect();
        assert_eq!(names, ["user/rob", "user/rob/Sent"]);
        assert_eq!(catalogue.take_dirty().len(), 1);
        assert!(catalogue.take_dirty().is_empty());
        // The order of replay: another home takes the key before the first one is gone.
        catalogue.put(home + 1, "user/rob", vec![listed("new")]);
        catalogue.put(home, "user/rob", Vec::new());
        catalogue.remove(home);
        catalogue.settle_keys();
        assert_eq!(catalogue.home("user/rob"), Some(home + 1));
        assert_eq!(catalogue.counts(), (1, 1));
        let dirty = catalogue.take_dirty();
        assert!(dirty.iter().any(|(h, entry)| *h == home && entry.is_none()));
    }

    use proptest::prelude::*;

    const USERS: [&str; 3] = ["bob", "eve", "group:staff"];
    const ACLS: [&str; 6] = [
        "bob\tlrs\t",
        "bob\tlrs\teve\tl\t",
        "anyone\tp\tgroup:staff\tlr\t",
        "anyone\tlr\t-eve\tlr\t",
        "group:staff\tr\t",
        "",
    ];
    const KEYS: [&str; 4] = ["user/bob", "user/eve", "board", "example.org!user/bob"];

    proptest! {
        /// Who is shown what the index says is shown what a look at all mailboxes says.
        #[test]
        fn the_index_knows_whom_acls_name(
            steps in prop::collection::vec(
                (0..4u64, 0..4usize, prop::collection::vec((0..5u32, 0..6usize), 0..4)),
                1..30,
            )
        ) {
            let catalogue = Catalogue::default();
            for (home, key, mailboxes) in steps {
                if mailboxes.is_empty() && key == 0 {
                    catalogue.remove(home);
                    continue;
                }
                let mut names = HashSet::new();
                let mailboxes = mailboxes.into_iter().filter(|(name, _)| names.insert(*name));
                let mailboxes = mailboxes.map(|(name, acl)| Listed {
                    acl: Acl::parse(ACLS[acl]).unwrap().into(),
                    ..listed(&format!("{name}"))
                });
                catalogue.put(home, KEYS[key], mailboxes.collect());
            }
            let tables = catalogue.tables.read();
            for identifier in USERS.into_iter().chain(["anyone"]) {
                let mut wanted = BTreeSet::new();
                for (home, entry) in &tables.homes {
                    let owner = full_name(&entry.key, "").and_then(|root| root.owner_user());
                    wanted.extend(entry.mailboxes.iter().filter(|mailbox| {
                        mailbox.acl.get(identifier).contains(Rights::LOOKUP)
                            && owner.as_deref() != Some(identifier)
                    }).map(|mailbox| (*home, mailbox.name.clone())));
                }
                let index = tables.granted.get(identifier).cloned().unwrap_or_default();
                prop_assert_eq!(index, wanted, "{}", identifier);
            }
        }
    }

    #[test]
    fn what_is_granted_comes_in_portions() {
        let catalogue = Catalogue::default();
        let shared = |count: usize| {
            let mailboxes = (0..count).map(|n| Listed {
                acl: Acl::parse("anyone\tlr\t").unwrap().into(),
                ..listed(&format!("{n:05}"))
            });
            mailboxes.collect::<Vec<_>>()
        };
        catalogue.put(1, "board", shared(PORTION + 7));
        catalogue.put(2, "club", shared(3));
        for (home, portions) in [
            (None, vec![PORTION, 10]),
            (Some(2), vec![3]),
            (Some(3), vec![]),
        ] {
            let mut after = None;
            let found = std::iter::from_fn(|| {
                let found = catalogue.granted("anyone", home, &mut after);
                (!found.is_empty()).then_some(found.len())
            });
            assert_eq!(found.collect::<Vec<_>>(), portions, "home {home:?}");
        }
    }
}
