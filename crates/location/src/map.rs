//! The location map, compact enough for ten million mailboxes in about a gigabyte.
//!
//! A name is stored once; ACLs and partitions are interned; the ACL that gives the owner
//! everything and nobody else anything takes no room at all. An index from ACL identifiers
//! to the names that they grant something on makes what one user sees cheap to find.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use murder_mailbox::{Acl, Identity, MailboxId, MailboxName, Rights};

use crate::record::{Location, MailboxState, MailboxType, SpecialUses, is_owner_acl, owner_acl};

/// The ACL that gives the owner of the name everything; never in the table.
const OWNER_ACL: u32 = 0;

/// One mailbox; 32 bytes.
#[derive(Debug, Clone, Copy)]
struct Record {
    id: [u8; 16],
    partition: u32,
    acl: u32,
    uidvalidity: u32,
    state: MailboxState,
    mailbox_type: MailboxType,
    special_use: SpecialUses,
}

/// Mailbox name → [`Location`], in name order, with the reverse ACL index.
#[derive(Debug, Default)]
pub struct LocationMap {
    records: BTreeMap<Box<str>, Record>,
    /// Those that are not active, with the revisions at which they were reserved.
    unsettled: BTreeMap<Box<str>, u64>,
    acls: AclTable,
    partitions: PartitionTable,
    /// ACL identifier → names on which it is granted at least one right, or with `-` before it,
    /// denied one. An owner's rights on the own home are not in it: those are found by name.
    granted: HashMap<Box<str>, BTreeSet<Box<str>>>,
}

/// What would be a new user's if the name were given to one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldByName {
    /// Mailboxes of the user's own, in name order.
    pub mailboxes: Vec<String>,
    /// How many there are.
    pub mailbox_count: usize,
    /// Others' mailboxes whose ACLs have the name, with rights or negative ones; in name order.
    pub granting: Vec<String>,
    /// How many there are.
    pub granting_count: usize,
}

/// Where to look: see [`LocationMap::visible_to`].
#[derive(Debug, Clone, Copy)]
pub struct Within<'a> {
    /// Only this mailbox and those below it,
    pub root: &'a MailboxName,
    /// and where this is not empty, only those of them whose name, below the root, begins with it.
    pub start: &'a str,
}

impl<'a> From<&'a MailboxName> for Within<'a> {
    fn from(root: &'a MailboxName) -> Self {
        Self { root, start: "" }
    }
}

/// Some of what a user may look up: see [`LocationMap::visible_to`].
#[derive(Debug)]
pub struct Portion<'a> {
    /// The mailboxes, in name order.
    pub entries: Vec<Entry<'a>>,
    /// The last name that was looked at, after which to go on; `None` when there are no more.
    pub last: Option<&'a str>,
}

/// One mailbox of a [`LocationMap`], as iteration shows it.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    map: &'a LocationMap,
    name: &'a str,
    record: &'a Record,
}

impl<'a> Entry<'a> {
    /// The canonical name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The canonical name, typed.
    ///
    /// # Panics
    /// Never: every name in the map came out of a [`MailboxName`].
    #[must_use]
    pub fn mailbox_name(&self) -> MailboxName {
        MailboxName::parse_canonical(self.name).expect("names in the map are canonical")
    }

    /// The state, without making a [`Location`].
    #[must_use]
    pub fn state(&self) -> MailboxState {
        self.record.state
    }

    /// The identity.
    #[must_use]
    pub fn id(&self) -> MailboxId {
        MailboxId::from_bytes(self.record.id)
    }

    /// `node!partition`.
    #[must_use]
    pub fn partition(&self) -> &'a str {
        self.map.partitions.get(self.record.partition)
    }

    /// The special-use attributes.
    #[must_use]
    pub fn special_use(&self) -> SpecialUses {
        self.record.special_use
    }

    fn is_owned_by(&self, user: &str) -> bool {
        self.mailbox_name().is_owned_by(user)
    }

    /// Everything about it.
    #[must_use]
    pub fn location(&self) -> Location {
        self.map.location_of(self.name, self.record)
    }

    /// The rights of `identity` on it.
    #[must_use]
    pub fn rights_of(&self, identity: &Identity) -> Rights {
        let name = self.mailbox_name();
        let owner = name.owner_user();
        self.map
            .acl_of(&name, self.record)
            .rights_of(identity, owner.as_deref())
    }
}

impl std::fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name)
            .field("record", &self.record)
            .finish()
    }
}

impl LocationMap {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many mailboxes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The mailbox of that name.
    #[must_use]
    pub fn find(&self, name: &MailboxName) -> Option<Location> {
        self.entry(name.as_str()).map(|entry| entry.location())
    }

    /// The mailbox of that name, unexpanded.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<Entry<'_>> {
        let (name, record) = self.records.get_key_value(name)?;
        Some(Entry {
            map: self,
            name,
            record,
        })
    }

    /// All mailboxes whose name starts with `prefix`, in name order.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = Entry<'a>> {
        self.range(Bound::Included(prefix))
            .take_while(move |entry| entry.name.starts_with(prefix))
    }

    /// All mailboxes from a place on, in name order.
    pub fn range<'a>(&'a self, from: Bound<&str>) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        self.records
            .range::<str, _>((from, Bound::Unbounded))
            .map(|(name, record)| Entry {
                map: self,
                name,
                record,
            })
    }

    /// All mailboxes below `name`, at any depth, without itself, in name order.
    pub fn below<'a>(&'a self, name: &MailboxName) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let prefix = format!("{name}/");
        self.range(Bound::Included(&prefix))
            .take_while(move |entry| entry.name.starts_with(&prefix))
    }

    /// Whether anything is below `name`.
    #[must_use]
    pub fn has_below(&self, name: &MailboxName) -> bool {
        self.below(name).next().is_some()
    }

    /// The mailboxes that `identity` may look up (right `l`) and that are there, in name order: its
    /// own home, what it or one of its groups or `anyone` is granted; for an administrator
    /// everything that is `within`. Costs what it yields, plus what is granted but denied.
    ///
    /// At most `limit` names are looked at, those after `after`, so that whoever holds a lock can
    /// let others in before it goes on.
    #[must_use]
    pub fn visible_to<'a>(
        &'a self,
        identity: &Identity,
        within: Option<Within<'_>>,
        after: Option<&str>,
        limit: usize,
    ) -> Portion<'a> {
        let prefix = within.map(|within| format!("{}/{}", within.root, within.start));
        let starts = |prefix: &str| match after {
            Some(after) if after >= prefix => Bound::Excluded(after.to_owned()),
            _ => Bound::Included(prefix.to_owned()),
        };
        let from = starts(prefix.as_deref().unwrap_or_default());
        let from = from.as_ref().map(String::as_str);
        let is_within = |name: &str| {
            prefix
                .as_deref()
                .is_none_or(|prefix| name.starts_with(prefix))
        };
        let mut names: BTreeSet<&'a str> = BTreeSet::new();
        // It comes before all that is below it, but others may come in between.
        let root = within.filter(|within| within.start.is_empty());
        let root = root.map(|within| within.root);
        let root = root.filter(|root| after.is_none_or(|after| after < root.as_str()));
        names.extend(
            root.and_then(|root| self.entry(root.as_str()))
                .map(|e| e.name),
        );
        let entries = |from: Bound<&str>, prefix: &str| {
            self.range(from)
                .map(|entry| entry.name)
                .take_while(|name| is_within(name) && name.starts_with(prefix))
                .take(limit)
                .collect::<Vec<&'a str>>()
        };
        if identity.admin {
            names.extend(entries(from, ""));
        } else {
            if let Ok(inbox) = MailboxName::inbox_of(&identity.user) {
                let own = self.entry(inbox.as_str()).map(|entry| entry.name);
                names.extend(own.filter(|own| is_within(own) && after.is_none_or(|a| a < *own)));
                let below = format!("{inbox}/");
                let from = starts(below.as_str().max(prefix.as_deref().unwrap_or_default()));
                names.extend(entries(from.as_ref().map(String::as_str), &below));
            }
            for identifier in identity.identifiers() {
                if let Some(granted) = self.granted.get(identifier.as_ref()) {
                    let granted = granted.range::<str, _>((from, Bound::Unbounded));
                    let granted = granted
                        .map(AsRef::as_ref)
                        .take_while(|name| is_within(name));
                    names.extend(granted.take(limit));
                }
            }
        }
        let last = (names.len() >= limit)
            .then(|| names.iter().nth(limit.saturating_sub(1)).copied())
            .flatten();
        let entries = names
            .into_iter()
            .take(limit)
            .filter_map(|name| self.entry(name))
            .filter(|entry| entry.state() != MailboxState::Reserved)
            .filter(|entry| identity.admin || entry.rights_of(identity).contains(Rights::LOOKUP))
            .collect();
        Portion { entries, last }
    }

    /// What is held under the name of a user; at most `limit` names of each kind, and all of them
    /// counted.
    #[must_use]
    pub fn held_by(&self, user: &str, limit: usize) -> HeldByName {
        let mut held = HeldByName::default();
        if let Ok(inbox) = MailboxName::inbox_of(user) {
            let own = self.entry(inbox.as_str()).into_iter();
            for entry in own.chain(self.below(&inbox)) {
                held.mailbox_count += 1;
                if held.mailboxes.len() < limit {
                    held.mailboxes.push(entry.name.to_owned());
                }
            }
        }
        let negative = format!("-{user}");
        let both = [user, &negative].map(|identifier| self.granted.get(identifier));
        let names: BTreeSet<&str> = both
            .into_iter()
            .flatten()
            .flatten()
            .map(AsRef::as_ref)
            .filter(|name| self.entry(name).is_some_and(|e| !e.is_owned_by(user)))
            .collect();
        held.granting_count = names.len();
        held.granting = names.into_iter().take(limit).map(str::to_owned).collect();
        held
    }

    /// Makes the mailbox of that name be there, and so; what it was before comes back.
    pub fn put(&mut self, name: &MailboxName, location: &Location) -> Option<Location> {
        let before = self.remove(name);
        let acl = if is_owner_acl(name, &location.acl) {
            OWNER_ACL
        } else {
            for identifier in indexed(name, &location.acl) {
                self.granted
                    .entry_ref_or_default(identifier)
                    .insert(name.as_str().into());
            }
            self.acls.take(&location.acl)
        };
        let record = Record {
            id: location.id.to_bytes(),
            partition: self.partitions.number(&location.partition),
            acl,
            uidvalidity: location.uidvalidity,
            state: location.state,
            mailbox_type: location.mailbox_type,
            special_use: location.special_use,
        };
        if location.state != MailboxState::Active {
            let revision = location.reserved_revision;
            self.unsettled.insert(name.as_str().into(), revision);
        }
        self.records.insert(name.as_str().into(), record);
        before
    }

    /// Makes the mailbox of that name be gone; what it was comes back.
    pub fn remove(&mut self, name: &MailboxName) -> Option<Location> {
        let record = self.records.remove(name.as_str())?;
        let location = self.location_of(name.as_str(), &record);
        self.unsettled.remove(name.as_str());
        if record.acl != OWNER_ACL {
            for identifier in indexed(name, &location.acl) {
                if let Some(names) = self.granted.get_mut(identifier) {
                    names.remove(name.as_str());
                    if names.is_empty() {
                        self.granted.remove(identifier);
                    }
                }
            }
            self.acls.give_back(record.acl);
        }
        Some(location)
    }

    /// Packs the tree, which filling it in name order leaves half empty. Takes a while for
    /// millions; worth it after loading.
    pub fn compact(&mut self) {
        let mut before = std::mem::take(&mut self.records);
        // Appending to a tree that is not empty builds a new one with full nodes.
        if let Some((name, record)) = before.pop_first() {
            self.records.insert(name, record);
            self.records.append(&mut before);
        }
    }

    /// Mailboxes that are not active: there are never many.
    pub fn unsettled(&self) -> impl Iterator<Item = Entry<'_>> {
        self.unsettled.keys().filter_map(|name| self.entry(name))
    }

    fn acl_of(&self, name: &MailboxName, record: &Record) -> Arc<Acl> {
        match record.acl {
            OWNER_ACL => Arc::new(owner_acl(name).unwrap_or_default()),
            number => self.acls.get(number),
        }
    }

    fn location_of(&self, name: &str, record: &Record) -> Location {
        let typed = MailboxName::parse_canonical(name).expect("names in the map are canonical");
        let unsettled = match record.state {
            MailboxState::Active => None,
            _ => self.unsettled.get(name).copied(),
        };
        Location {
            id: MailboxId::from_bytes(record.id),
            partition: self.partitions.names[record.partition as usize].clone(),
            acl: self.acl_of(&typed, record),
            state: record.state,
            uidvalidity: record.uidvalidity,
            special_use: record.special_use,
            mailbox_type: record.mailbox_type,
            reserved_revision: unsettled.unwrap_or(0),
        }
    }
}

/// The identifiers under which a mailbox is found in the index: those of its ACL, but for its
/// owner.
fn indexed<'a>(name: &'a MailboxName, acl: &'a Acl) -> impl Iterator<Item = &'a str> {
    acl.entries()
        .map(|(identifier, _)| identifier)
        .filter(|identifier| !name.is_owned_by(identifier))
}

/// `HashMap::entry` that makes an owned key only for a new one.
trait EntryRef {
    fn entry_ref_or_default(&mut self, key: &str) -> &mut BTreeSet<Box<str>>;
}

impl EntryRef for HashMap<Box<str>, BTreeSet<Box<str>>> {
    fn entry_ref_or_default(&mut self, key: &str) -> &mut BTreeSet<Box<str>> {
        if !self.contains_key(key) {
            self.insert(key.into(), BTreeSet::new());
        }
        self.get_mut(key).expect("inserted when it was not there")
    }
}

/// Each different ACL once, counted. Number 0 is [`OWNER_ACL`] and never in here.
#[derive(Debug, Default)]
struct AclTable {
    numbers: HashMap<Arc<Acl>, u32>,
    slots: Vec<Option<(Arc<Acl>, u32)>>,
    free: Vec<u32>,
}

impl AclTable {
    fn take(&mut self, acl: &Arc<Acl>) -> u32 {
        if let Some(&number) = self.numbers.get(acl) {
            if let Some((_, users)) = &mut self.slots[number as usize - 1] {
                *users += 1;
            }
            return number;
        }
        let slot = Some((acl.clone(), 1));
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number as usize - 1] = slot;
                number
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len()).expect("fewer ACLs than mailboxes, and those fit")
            }
        };
        self.numbers.insert(acl.clone(), number);
        number
    }

    fn give_back(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize - 1];
        if let Some((acl, users)) = slot {
            *users -= 1;
            if *users == 0 {
                self.numbers.remove(acl);
                *slot = None;
                self.free.push(number);
            }
        }
    }

    fn get(&self, number: u32) -> Arc<Acl> {
        self.slots[number as usize - 1]
            .as_ref()
            .map(|(acl, _)| acl.clone())
            .unwrap_or_default()
    }
}

/// Each partition's name once; a murder has few, so they are never taken back.
#[derive(Debug, Default)]
struct PartitionTable {
    numbers: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl PartitionTable {
    fn number(&mut self, name: &Arc<str>) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = u32::try_from(self.names.len()).expect("few partitions");
        self.names.push(name.clone());
        self.numbers.insert(name.clone(), number);
        number
    }

    fn get(&self, number: u32) -> &str {
        &self.names[number as usize]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 12] = [
        "board",
        "board/minutes",
        "boards",
        "user/alice",
        "user/alice/Sent",
        "user/bob",
        "user/bob/Sent",
        "user/bob/Sent/2024",
        "user/bobby",
        "user/bobby/Sent",
        "example.org!user/bob",
        "example.org!board",
    ];
    const ACLS: [&str; 9] = [
        "",
        "alice\tlrswipkxtean\t",
        "bob\tlrswipkxtean\t",
        "bob\tlr\talice\tlrs\t",
        "anyone\tlr\t",
        "anyone\tlr\t-bob\tl\t",
        "group:staff\tlrs\t",
        "group:staff\tlrs\t-group:staff\tl\tbob@example.org\tlr\t",
        "bob\trs\t",
    ];

    #[derive(Debug, Clone)]
    enum Step {
        Put {
            name: usize,
            acl: usize,
            partition: usize,
            state: MailboxState,
        },
        Remove(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let state = prop_oneof![
            Just(MailboxState::Active),
            Just(MailboxState::Reserved),
            Just(MailboxState::Deleting),
        ];
        prop_oneof![
            3 => (0..NAMES.len(), 0..ACLS.len(), 0..3usize, state).prop_map(
                |(name, acl, partition, state)| Step::Put { name, acl, partition, state }
            ),
            1 => (0..NAMES.len()).prop_map(Step::Remove),
        ]
    }

    fn identities() -> Vec<Identity> {
        let with = |user: &str, groups: &[&str], admin| Identity {
            user: user.into(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            admin,
            sees_all: false,
        };
        vec![
            with("bob", &[], false),
            with("bob", &["staff"], false),
            with("alice", &["staff", "other"], false),
            with("bob@example.org", &["staff"], false),
            with("carol", &[], false),
            with("admin", &[], true),
        ]
    }

    fn location(number: u32, acl: &str, partition: usize, state: MailboxState) -> Location {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        Location {
            id: MailboxId::from_bytes(id),
            partition: format!("be{partition}!default").into(),
            acl: Arc::new(Acl::parse(acl).unwrap()),
            state,
            uidvalidity: number,
            special_use: SpecialUses::default(),
            mailbox_type: MailboxType::Mail,
            reserved_revision: match state {
                MailboxState::Reserved => u64::from(number) + 1,
                _ => 0,
            },
        }
    }

    /// What a name begins with is where it is looked from and to: nothing else is looked at.
    #[test]
    fn a_start_bounds_what_is_looked_at() {
        let mut map = LocationMap::new();
        for number in 0..300 {
            for name in [format!("user/bob/a{number}"), format!("user/eve/c{number}")] {
                let name = MailboxName::parse_canonical(&name).unwrap();
                map.put(
                    &name,
                    &location(number, "bob\tlr\t", 1, MailboxState::Active),
                );
            }
        }
        let root = MailboxName::parse_canonical("user/bob").unwrap();
        let other = MailboxName::parse_canonical("user/eve").unwrap();
        for identity in identities().iter().filter(|i| i.admin || i.user == "bob") {
            for (root, start) in [(&root, "a29"), (&other, "c29")] {
                let within = Some(Within { root, start });
                // a29 and a290 to a299, in one portion, which is not full.
                let portion = map.visible_to(identity, within, None, 12);
                assert_eq!(portion.entries.len(), 11);
                assert_eq!(portion.last, None);
            }
        }
    }

    type Model = BTreeMap<MailboxName, Location>;

    /// All that is visible, by portions of `limit`.
    fn visible(
        map: &LocationMap,
        identity: &Identity,
        within: Option<&MailboxName>,
        limit: usize,
    ) -> Vec<MailboxName> {
        let mut names = Vec::new();
        let mut last = None;
        loop {
            let within = within.map(Within::from);
            let portion = map.visible_to(identity, within, last, limit);
            assert!(portion.entries.len() <= limit);
            names.extend(portion.entries.iter().map(Entry::mailbox_name));
            last = match portion.last {
                Some(last) => Some(last),
                None => return names,
            };
        }
    }

    fn check(map: &LocationMap, model: &Model) {
        assert_eq!(map.len(), model.len());
        let listed: Model = map
            .range(Bound::Unbounded)
            .map(|entry| (entry.mailbox_name(), entry.location()))
            .collect();
        assert_eq!(&listed, model);
        for name in NAMES {
            let name = MailboxName::parse_canonical(name).unwrap();
            assert_eq!(map.find(&name), model.get(&name).cloned());
            let below: Vec<_> = map.below(&name).map(|e| e.mailbox_name()).collect();
            let expected: Vec<_> = model
                .keys()
                .filter(|n| n.is_below(&name))
                .cloned()
                .collect();
            assert_eq!(below, expected);
            assert_eq!(map.has_below(&name), !expected.is_empty());
        }
        let unsettled = model.values().filter(|l| l.state != MailboxState::Active);
        assert_eq!(map.unsettled().count(), unsettled.count());
        for identity in identities() {
            let expected: Vec<_> = model
                .iter()
                .filter(|(_, location)| location.state != MailboxState::Reserved)
                .filter(|(name, location)| {
                    location
                        .acl
                        .rights_of(&identity, name.owner_user().as_deref())
                        .contains(Rights::LOOKUP)
                })
                .map(|(name, _)| name.clone())
                .collect();
            for limit in [1, 2, 100] {
                assert_eq!(
                    visible(map, &identity, None, limit),
                    expected,
                    "{identity:?}"
                );
            }
            for root in NAMES {
                let root = MailboxName::parse_canonical(root).unwrap();
                let within = expected.iter().filter(|n| **n == root || n.is_below(&root));
                let within: Vec<_> = within.cloned().collect();
                for limit in [1, 2, 100] {
                    let got = visible(map, &identity, Some(&root), limit);
                    assert_eq!(got, within, "{identity:?} {root}");
                }
            }
        }
        // The index and the interned ACLs hold nothing that no mailbox needs.
        let granted: BTreeSet<(String, String)> = model
            .iter()
            .filter(|(name, location)| !is_owner_acl(name, &location.acl))
            .flat_map(|(name, location)| {
                indexed(name, &location.acl)
                    .map(|id| (id.to_owned(), name.to_string()))
                    .collect::<Vec<_>>()
            })
            .collect();
        let index: BTreeSet<(String, String)> = map
            .granted
            .iter()
            .flat_map(|(id, names)| names.iter().map(|n| (id.to_string(), n.to_string())))
            .collect();
        assert_eq!(index, granted);
        let acls: BTreeSet<String> = model
            .iter()
            .filter(|(name, location)| !is_owner_acl(name, &location.acl))
            .map(|(_, location)| location.acl.to_string())
            .collect();
        assert_eq!(map.acls.numbers.len(), acls.len());
        assert_eq!(map.acls.slots.iter().flatten().count(), acls.len());
    }

    proptest! {
        #[test]
        fn behaves_like_a_plain_map(steps in proptest::collection::vec(step(), 1..60)) {
            let mut map = LocationMap::new();
            let mut model = Model::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Put { name, acl, partition, state } => {
                        let name = MailboxName::parse_canonical(NAMES[name]).unwrap();
                        let number = u32::try_from(number).unwrap();
                        let location = location(number, ACLS[acl], partition, state);
                        let before = map.put(&name, &location);
                        assert_eq!(before, model.insert(name, location));
                    }
                    Step::Remove(name) => {
                        let name = MailboxName::parse_canonical(NAMES[name]).unwrap();
                        assert_eq!(map.remove(&name), model.remove(&name));
                    }
                }
            }
            check(&map, &model);
            map.compact();
            check(&map, &model);
        }
    }

    #[test]
    fn a_record_is_small() {
        assert!(size_of::<Record>() <= 32);
        assert!(size_of::<(Box<str>, Record)>() <= 48);
    }

    #[test]
    fn the_owners_acl_takes_no_room() {
        let mut map = LocationMap::new();
        for user in 0..1000 {
            let name = MailboxName::inbox_of(&format!("user{user}")).unwrap();
            let acl = format!("user{user}\tlrswipkxtean\t");
            map.put(&name, &location(user, &acl, 0, MailboxState::Active));
            assert_eq!(map.find(&name).unwrap().acl.to_string(), acl);
        }
        assert!(map.acls.slots.is_empty() && map.granted.is_empty());
        assert_eq!(map.partitions.names.len(), 1);
    }
}
