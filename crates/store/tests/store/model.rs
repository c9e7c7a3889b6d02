//! The store beside a model that is simple enough to be right.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use murder_mailbox::MailboxId;
use murder_store::{
    Annotated, AnnotationChange, CopyFlags, CreateMailbox, Flags, INLINE_LIMIT, MAX_ANNOTATIONS,
    MailboxHandle, MailboxView, Partition, PartitionConfig, PutBack, QuotaLimits, Report,
    StoreError, StoreMode, StoreOp, UidSet,
};
use tempfile::TempDir;

use crate::support::*;

#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub body: Bytes,
    pub flags: Flags,
    pub keywords: BTreeSet<String>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?} {:?} {} bytes, CRC {:x}",
            self.flags,
            self.keywords,
            self.body.len(),
            crc32c::crc32c(&self.body)
        )
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mailbox {
    pub uidnext: u32,
    pub messages: BTreeMap<u32, Message>,
    /// Expunged messages that can be restored, and until when.
    pub kept: BTreeMap<u32, (Bytes, i64)>,
    pub annotations: Annotations,
    pub shared_seen: bool,
}

/// The partition's time; no part of what is compared.
#[derive(Debug, Clone)]
pub struct Time(pub Arc<AtomicI64>);

impl Default for Time {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(1_700_000_000)))
    }
}

impl PartialEq for Time {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Time {}

impl Time {
    /// Another clock that begins at the same time.
    pub fn fork(&self) -> Self {
        Self(Arc::new(AtomicI64::new(self.now())))
    }

    pub fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// How long the model's partitions keep what goes.
pub const DELAY: i64 = 100;

/// What the mailboxes should hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    pub mailboxes: BTreeMap<String, Mailbox>,
    /// Deleted mailboxes: the home, messages, and until when they are kept.
    pub deleted: BTreeMap<MailboxId, (String, Mailbox, i64)>,
    pub quotas: BTreeMap<String, QuotaLimits>,
    /// Of homes, and of the server, whose key is empty.
    pub annotations: BTreeMap<String, Annotations>,
    pub time: Time,
}

pub const NAMES: [&str; 8] = [
    "user/bob",
    "user/bob/a",
    "user/bob/a/b",
    "user/eve",
    "user/eve/Sent",
    "user/zoe",
    "board",
    "board/minutes",
];
const HOMES: [&str; 4] = ["user/bob", "user/eve", "user/zoe", "board"];
const KEYWORDS: [&str; 3] = ["work", "$Forwarded", "later"];

/// Plays a session that only learns of changes by diffs.
#[derive(Debug)]
struct Session {
    handle: Arc<MailboxHandle>,
    view: Arc<MailboxView>,
    /// What its client believes: UID, flags and MODSEQ in sequence.
    client: Vec<(u32, Flags, u64)>,
}

impl Session {
    async fn select(partition: &Partition, mailbox: &str) -> Self {
        let handle = partition.open_mailbox(&name(mailbox)).await.unwrap();
        let view = handle.view();
        let client = view
            .rows(1, view.len())
            .map(|r| (r.uid, r.flags, r.modseq))
            .collect();
        Self {
            handle,
            view,
            client,
        }
    }

    fn poll(&mut self) {
        let new = self.handle.view();
        let diff = MailboxView::diff(&self.view, &new);
        for seq in diff.expunged.iter().rev() {
            let (uid, ..) = self.client.remove(*seq as usize - 1);
            assert!(diff.vanished.contains(uid));
        }
        for row in new.rows(new.len() - diff.added + 1, new.len()) {
            self.client.push((row.uid, row.flags, row.modseq));
        }
        for uid in &diff.changed {
            let row = new.row_by_uid(*uid).unwrap();
            self.client[row.seq as usize - 1] = (row.uid, row.flags, row.modseq);
        }
        let truth: Vec<_> = new
            .rows(1, new.len())
            .map(|r| (r.uid, r.flags, r.modseq))
            .collect();
        assert_eq!(self.client, truth);
        self.view = new;
    }
}

impl Model {
    /// Does something at random to both.
    pub async fn step(&mut self, partition: &Partition, rng: &mut Rng) -> Result<(), StoreError> {
        let existing: Vec<String> = self.mailboxes.keys().cloned().collect();
        let some = rng.pick(&existing).cloned();
        match (rng.below(20), some) {
            (0..=2, _) | (_, None) => self.create(partition, rng).await,
            (3, Some(mailbox)) if rng.below(3) == 0 => {
                self.time.0.fetch_add(1, Ordering::SeqCst);
                let target = name(&mailbox);
                let meta = alive(partition.delete_mailbox(&target).await)?.unwrap();
                let old = self.mailboxes.remove(&mailbox).unwrap();
                let home = target.home_key().to_owned();
                let until = self.time.now() + DELAY;
                self.deleted.insert(meta.id, (home, old, until));
                self.forget_homes();
                Ok(())
            }
            (3, Some(mailbox)) if rng.below(2) == 0 => match rng.below(5) {
                3 => self.set_quota(partition, rng).await,
                4 => self.put_back(partition, rng).await,
                0 => self.restore_messages(partition, rng, &mailbox).await,
                1 => self.restore_mailbox(partition, rng).await,
                _ => self.purge(partition, rng).await,
            },
            (10, Some(mailbox)) if rng.below(2) == 0 => {
                self.annotate(partition, rng, &mailbox).await
            }
            (4, Some(mailbox)) => self.rename(partition, rng, &mailbox).await,
            (3..=8, Some(mailbox)) => self.append(partition, rng, &mailbox).await,
            (9, Some(_)) => self.deliver(partition, rng).await,
            (10..=13, Some(mailbox)) => self.store(partition, rng, &mailbox).await,
            (14..=15, Some(mailbox)) => self.expunge(partition, rng, &mailbox).await,
            (_, Some(mailbox)) => {
                let target = rng.pick(&existing).cloned().unwrap();
                let moving = rng.below(2) == 0;
                self.copy(partition, rng, &mailbox, &target, moving).await
            }
        }
    }

    async fn set_quota(&mut self, partition: &Partition, rng: &mut Rng) -> Result<(), StoreError> {
        let root = *rng.pick(&NAMES).unwrap();
        let mut limit = |below| (rng.below(2) == 0).then(|| rng.below(below));
        let limits = QuotaLimits {
            storage: limit(100),
            message: limit(30),
            mailbox: limit(4),
        };
        match alive(partition.set_quota(&name(root), limits).await)? {
            Ok(()) if limits == QuotaLimits::default() => {
                self.quotas.remove(root);
            }
            Ok(()) => {
                self.quotas.insert(root.to_owned(), limits);
            }
            Err(StoreError::NoSuchHome) => {
                let home = name(root).home_key().to_owned();
                assert!(self.mailboxes.keys().all(|m| name(m).home_key() != home));
            }
            Err(e) => panic!("{e}"),
        }
        self.forget_homes();
        Ok(())
    }

    /// Homes without mailboxes have no quota and no annotations.
    fn forget_homes(&mut self) {
        let homes: BTreeSet<String> = self
            .mailboxes
            .keys()
            .map(|m| name(m).home_key().to_owned())
            .collect();
        self.quotas
            .retain(|root, _| homes.contains(name(root).home_key()));
        self.annotations
            .retain(|home, _| home.is_empty() || homes.contains(home));
    }

    /// Sets and removes annotations, now and then too many, and switches shared `\Seen`.
    async fn annotate(
        &mut self,
        partition: &Partition,
        rng: &mut Rng,
        mailbox: &str,
    ) -> Result<(), StoreError> {
        let user = (rng.below(2) == 0).then_some("eve");
        let mut entries = BTreeMap::new();
        // A record holds at most half a segment.
        let (many, longest) = if rng.below(6) == 0 {
            (60, 300)
        } else {
            (3, 3000)
        };
        for _ in 0..=rng.below(many) {
            let scope = *rng.pick(&["shared", "private"]).unwrap();
            let number = rng.below(if many > 3 { 1000 } else { 4 });
            let value = (rng.below(3) > 0).then(|| vec![b'v'; rng.below(longest) as usize]);
            entries.insert(format!("/{scope}/vendor/test/{number}"), value);
        }
        let mailbox_name = name(mailbox);
        let home = mailbox_name.home_key().to_owned();
        let (of, place) = match rng.below(8) {
            0 => (Annotated::Home(&home), Some(home.clone())),
            1 => (Annotated::Server, Some(String::new())),
            _ => (Annotated::Mailbox(&mailbox_name), None),
        };
        let switch = place.is_none() && rng.below(3) == 0;
        let change = AnnotationChange {
            entries: entries.clone().into_iter().collect(),
            shared_seen: switch.then(|| rng.below(2) == 0),
        };
        let shared_seen = change.shared_seen;
        let result = alive(partition.annotate(of, user, change).await)?;
        let before = match &place {
            Some(home) => self.annotations.get(home).cloned().unwrap_or_default(),
            None => self.mailboxes[mailbox].annotations.clone(),
        };
        let mut after = before.clone();
        for (entry, value) in entries {
            let owner = match entry.starts_with("/shared") {
                true => String::new(),
                false => user.unwrap_or_default().to_owned(),
            };
            match value {
                Some(value) => after.insert((owner, entry), value),
                None => after.remove(&(owner, entry)),
            };
        }
        let scopes = |annotations: &Annotations| {
            let mut scopes: BTreeMap<(String, bool), u32> = BTreeMap::new();
            for (owner, entry) in annotations.keys() {
                let shared = entry.starts_with("/shared");
                *scopes.entry((owner.clone(), shared)).or_default() += 1;
            }
            scopes
        };
        let (old, new) = (scopes(&before), scopes(&after));
        let too_many = new.iter().any(|(scope, count)| {
            *count > MAX_ANNOTATIONS && *count > old.get(scope).copied().unwrap_or_default()
        });
        if too_many {
            assert!(matches!(result, Err(StoreError::TooManyAnnotations)));
            return Ok(());
        }
        result.unwrap();
        match place {
            Some(home) => {
                self.annotations.insert(home, after);
            }
            None => {
                let mailbox = self.mailboxes.get_mut(mailbox).unwrap();
                mailbox.annotations = after;
                mailbox.shared_seen = shared_seen.unwrap_or(mailbox.shared_seen);
            }
        }
        Ok(())
    }

    /// The annotations of a partition's homes and of its server.
    async fn annotations_of(partition: &Partition) -> BTreeMap<String, Annotations> {
        let mut found = BTreeMap::new();
        let homes = HOMES.iter().map(|home| (*home, Annotated::Home(home)));
        for (home, of) in homes.chain([("", Annotated::Server)]) {
            match dump_annotations(partition, of).await {
                Ok(annotations) => found.insert(home.to_owned(), annotations),
                Err(StoreError::NoSuchHome) => None,
                Err(e) => panic!("{e}"),
            };
        }
        found.retain(|_, annotations| !annotations.is_empty());
        found
    }

    fn annotations(&self) -> BTreeMap<String, Annotations> {
        let mut annotations = self.annotations.clone();
        annotations.retain(|_, annotations| !annotations.is_empty());
        annotations
    }

    /// The quota root that governs a name.
    pub fn governing(&self, mailbox: &str) -> Option<&String> {
        let mailbox = name(mailbox);
        let above = |root: &&String| mailbox == name(root) || mailbox.is_below(&name(root));
        self.quotas
            .keys()
            .filter(above)
            .max_by_key(|root| root.len())
    }

    fn usage(&self, root: &String) -> (u64, u64, u64) {
        let mut usage = (0, 0, 0);
        for (name, mailbox) in &self.mailboxes {
            if self.governing(name) == Some(root) {
                let (bytes, messages) = mailbox.amount();
                usage = (usage.0 + bytes, usage.1 + messages, usage.2 + 1);
            }
        }
        usage
    }

    /// Whether there is room for bytes, messages and mailboxes at a name.
    fn has_room(&self, mailbox: &str, more: (u64, u64, u64)) -> bool {
        let Some(root) = self.governing(mailbox) else {
            return true;
        };
        let (limits, used) = (self.quotas[root], self.usage(root));
        let fits = |limit: Option<u64>, used: u64, more: u64| {
            more == 0 || limit.is_none_or(|limit| used + more <= limit)
        };
        fits(limits.storage.map(|l| l * 1024), used.0, more.0)
            && fits(limits.message, used.1, more.1)
            && fits(limits.mailbox, used.2, more.2)
    }

    pub async fn check_quotas(&self, partition: &Partition) {
        let mut found = BTreeMap::new();
        for home in HOMES {
            let Ok(quotas) = partition.quotas(home).await else {
                continue;
            };
            let wrong = partition.check_quota(home).await.unwrap();
            assert!(wrong.is_empty(), "{wrong:?}");
            for quota in quotas {
                let usage = (
                    quota.usage.storage,
                    quota.usage.message,
                    quota.usage.mailbox,
                );
                found.insert(quota.root.to_string(), (quota.limits, usage));
            }
        }
        let expected: BTreeMap<_, _> = self
            .quotas
            .iter()
            .map(|(root, limits)| {
                let used = self.usage(root);
                let usage = (used.0.div_ceil(1024), used.1, used.2);
                (root.clone(), (*limits, usage))
            })
            .collect();
        assert_eq!(found, expected);
    }

    /// Says that the partition is an older copy of what it once was.
    async fn put_back(&mut self, partition: &Partition, rng: &mut Rng) -> Result<(), StoreError> {
        let more = rng.below(100);
        let report = partition.report();
        let known = (rng.below(4) > 0).then_some(Report {
            uids: report.uids + more,
            ..report
        });
        let put_back = PutBack {
            known,
            uidvalidity: 1,
        };
        let restored = alive(partition.restored(put_back).await)?.unwrap();
        if known.is_some() {
            assert_eq!(restored.jumped, self.mailboxes.len() as u64);
            for mailbox in self.mailboxes.values_mut() {
                mailbox.uidnext += partition.config().uid_gap + more as u32;
            }
        } else {
            assert_eq!(restored.renewed.len(), self.mailboxes.len());
        }
        Ok(())
    }

    async fn restore_messages(
        &mut self,
        partition: &Partition,
        rng: &mut Rng,
        to: &str,
    ) -> Result<(), StoreError> {
        let handle = partition.open_mailbox(&name(to)).await.unwrap();
        let mailbox = &self.mailboxes[to];
        let uids = some_uids(rng, mailbox.uidnext);
        let restored = alive(partition.restore_messages(&handle, &uids).await)?;
        let kept = mailbox.kept.iter().filter(|(uid, _)| uids.contains(**uid));
        let more = kept.fold((0, 0, 0), |sum, (_, (body, _))| {
            (sum.0 + body.len() as u64, sum.1 + 1, 0)
        });
        if !self.has_room(to, more) {
            assert!(matches!(restored, Err(StoreError::OverQuota { .. })));
            return Ok(());
        }
        let restored = restored.unwrap();
        let mailbox = self.mailboxes.get_mut(to).unwrap();
        let there: Vec<u32> = mailbox
            .kept
            .keys()
            .copied()
            .filter(|uid| uids.contains(*uid))
            .collect();
        assert_eq!(restored.source, there);
        let view = handle.view();
        for (old, new) in restored.source.into_iter().zip(restored.target) {
            let (body, _) = mailbox.kept.remove(&old).unwrap();
            let row = view.row_by_uid(new).unwrap();
            let keywords = view.keywords().names(row.keywords).map(str::to_owned);
            let message = Message {
                body,
                flags: row.flags,
                keywords: keywords.collect(),
            };
            assert!(!message.flags.contains(Flags::DELETED));
            mailbox.add(new, message);
        }
        Ok(())
    }

    async fn restore_mailbox(
        &mut self,
        partition: &Partition,
        rng: &mut Rng,
    ) -> Result<(), StoreError> {
        let to = *rng.pick(&NAMES).unwrap();
        let target = name(to);
        let ids: Vec<MailboxId> = self.deleted.keys().copied().collect();
        let Some(&id) = rng.pick(&ids) else {
            return Ok(());
        };
        let new = new_mailbox_of(rng);
        let restored = alive(partition.restore_mailbox(id, &target, new).await)?;
        if self.deleted[&id].0 != target.home_key() || self.mailboxes.contains_key(to) {
            assert!(restored.is_err());
            return Ok(());
        }
        let (bytes, messages) = self.deleted[&id].1.amount();
        if !self.has_room(to, (bytes, messages, 1)) {
            assert!(matches!(restored, Err(StoreError::OverQuota { .. })));
            return Ok(());
        }
        restored.unwrap();
        let (_, mailbox, _) = self.deleted.remove(&id).unwrap();
        self.mailboxes.insert(to.to_owned(), mailbox);
        Ok(())
    }

    async fn purge(&mut self, partition: &Partition, rng: &mut Rng) -> Result<(), StoreError> {
        let passes = rng.below(DELAY as u64) as i64;
        self.time.0.fetch_add(passes, Ordering::SeqCst);
        let purged = alive(partition.purge().await)?.unwrap();
        let (messages, mailboxes) = self.forget_due();
        assert_eq!((purged.messages, purged.mailboxes), (messages, mailboxes));
        Ok(())
    }

    /// Forgets what need not be kept any more; how many messages and mailboxes that is.
    pub fn forget_due(&mut self) -> (u64, u64) {
        let now = self.time.now();
        let mut messages = 0;
        let deleted = self.deleted.len();
        for (_, mailbox, until) in self.deleted.values_mut() {
            messages += mailbox.purge(now);
            if *until <= now {
                messages += mailbox.kept.len() + mailbox.messages.len();
            }
        }
        self.deleted.retain(|_, (_, _, until)| *until > now);
        for mailbox in self.mailboxes.values_mut() {
            messages += mailbox.purge(now);
        }
        (messages as u64, (deleted - self.deleted.len()) as u64)
    }

    async fn create(&mut self, partition: &Partition, rng: &mut Rng) -> Result<(), StoreError> {
        let new = *rng.pick(&NAMES).unwrap();
        let create = new_mailbox_of(rng);
        let result = alive(partition.create_mailbox(&name(new), create).await)?;
        if self.mailboxes.contains_key(new) {
            assert!(matches!(result, Err(StoreError::MailboxExists)));
        } else if !self.has_room(new, (0, 0, 1)) {
            assert!(matches!(result, Err(StoreError::OverQuota { .. })));
        } else {
            result.unwrap();
            self.mailboxes.insert(
                new.to_owned(),
                Mailbox {
                    uidnext: 1,
                    ..Mailbox::default()
                },
            );
        }
        Ok(())
    }

    async fn rename(
        &mut self,
        partition: &Partition,
        rng: &mut Rng,
        from: &str,
    ) -> Result<(), StoreError> {
        let to = *rng.pick(&NAMES).unwrap();
        let result = alive(partition.rename_mailbox(&name(from), &name(to)).await)?;
        let Ok(renamed) = result else {
            return Ok(());
        };
        assert!(!self.mailboxes.contains_key(to));
        let (old, new) = (
            name(from).home_key().to_owned(),
            name(to).home_key().to_owned(),
        );
        if old != new {
            // What the home that makes room kept is forgotten.
            self.deleted.retain(|_, (home, _, _)| *home != new);
            let roots: Vec<String> = self.quotas.keys().cloned().collect();
            for root in roots {
                if let Some(moved) = name(&root).moved(&name(from), &name(to)) {
                    let limits = self.quotas.remove(&root).unwrap();
                    self.quotas.insert(moved.unwrap().to_string(), limits);
                }
            }
            if let Some(annotations) = self.annotations.remove(&old) {
                self.annotations.insert(new.clone(), annotations);
            }
            for (home, _, _) in self.deleted.values_mut().filter(|d| d.0 == old) {
                home.clone_from(&new);
            }
        }
        for one in renamed {
            let mailbox = self.mailboxes.remove(one.from.as_str()).unwrap();
            self.mailboxes.insert(one.meta.name.to_string(), mailbox);
        }
        Ok(())
    }

    async fn append(
        &mut self,
        partition: &Partition,
        rng: &mut Rng,
        to: &str,
    ) -> Result<(), StoreError> {
        let messages: Vec<Message> = (0..=rng.below(3)).map(|_| new_message(rng)).collect();
        let appends = messages.iter().map(|m| {
            let mut append = of_bytes(m.body.clone());
            append.flags = m.flags;
            append.keywords = m.keywords.iter().cloned().collect();
            append
        });
        let appended = alive(partition.append(&name(to), appends.collect()).await)?;
        let more = messages.iter().fold((0, 0, 0), |sum, m| {
            (sum.0 + m.body.len() as u64, sum.1 + 1, 0)
        });
        if !self.has_room(to, more) {
            assert!(matches!(appended, Err(StoreError::OverQuota { .. })));
            return Ok(());
        }
        let appended = appended.unwrap();
        let mailbox = self.mailboxes.get_mut(to).unwrap();
        for (uid, message) in appended.uids.into_iter().zip(messages) {
            mailbox.add(uid, message);
        }
        Ok(())
    }

    async fn deliver(&mut self, partition: &Partition, rng: &mut Rng) -> Result<(), StoreError> {
        let targets: Vec<&str> = NAMES.into_iter().filter(|_| rng.below(3) == 0).collect();
        let names: Vec<_> = targets.iter().map(|t| name(t)).collect();
        let body = new_body(rng);
        let results = alive(partition.deliver(&names, of_bytes(body.clone())).await)?.unwrap();
        for (target, result) in targets.iter().zip(results) {
            if self.mailboxes.contains_key(*target)
                && !self.has_room(target, (body.len() as u64, 1, 0))
            {
                assert!(matches!(result, Err(StoreError::OverQuota { .. })));
                continue;
            }
            match self.mailboxes.get_mut(*target) {
                Some(mailbox) => mailbox.add(
                    result.unwrap().uids[0],
                    Message {
                        body: body.clone(),
                        flags: Flags::NONE,
                        keywords: BTreeSet::new(),
                    },
                ),
                None => assert!(matches!(result, Err(StoreError::NoSuchMailbox))),
            }
        }
        Ok(())
    }

    async fn store(
        &mut self,
        partition: &Partition,
        rng: &mut Rng,
        to: &str,
    ) -> Result<(), StoreError> {
        let handle = partition.open_mailbox(&name(to)).await.unwrap();
        let mailbox = self.mailboxes.get_mut(to).unwrap();
        let uids = some_uids(rng, mailbox.uidnext);
        let mode = [StoreMode::Add, StoreMode::Remove, StoreMode::Replace][rng.below(3) as usize];
        let flags = Flags::from_bits(rng.next() as u8 & rng.next() as u8);
        let keywords = some_keywords(rng);
        let mut op = StoreOp::new(mode, flags, keywords.iter().cloned().collect());
        let user = rng.below(4) == 0;
        if user {
            op.user = Some("eve".to_owned());
        }
        let stored = alive(partition.store_flags(&handle, &uids, op).await)?.unwrap();
        let mut changed = UidSet::new();
        for (&uid, message) in &mut mailbox.messages {
            if !uids.contains(uid) {
                continue;
            }
            let old = message.clone();
            let own = match user && !mailbox.shared_seen {
                true => !Flags::SEEN,
                false => Flags::ALL,
            };
            match mode {
                StoreMode::Add => {
                    message.flags |= flags & own;
                    message.keywords.extend(keywords.iter().cloned());
                }
                StoreMode::Remove => {
                    message.flags = message.flags & !(flags & own);
                    message.keywords.retain(|k| !keywords.contains(k));
                }
                StoreMode::Replace => {
                    message.flags = (message.flags & !own) | (flags & own);
                    message.keywords.clone_from(&keywords);
                }
            }
            if *message != old {
                changed.insert(uid);
            }
        }
        assert_eq!(changed.intersection(&stored.changed), changed);
        assert!(user || changed == stored.changed);
        Ok(())
    }

    async fn expunge(
        &mut self,
        partition: &Partition,
        rng: &mut Rng,
        from: &str,
    ) -> Result<(), StoreError> {
        let handle = partition.open_mailbox(&name(from)).await.unwrap();
        let mailbox = self.mailboxes.get_mut(from).unwrap();
        let uids = (rng.below(2) == 0).then(|| some_uids(rng, mailbox.uidnext));
        let expunged = alive(partition.expunge(&handle, uids.as_ref()).await)?.unwrap();
        let mut gone = UidSet::new();
        let until = self.time.now() + DELAY;
        mailbox.messages.retain(|&uid, message| {
            let goes = message.flags.contains(Flags::DELETED)
                && uids.as_ref().is_none_or(|u| u.contains(uid));
            if goes {
                gone.insert(uid);
                mailbox.kept.insert(uid, (message.body.clone(), until));
            }
            !goes
        });
        assert_eq!(gone, expunged.uids);
        Ok(())
    }

    pub async fn copy(
        &mut self,
        partition: &Partition,
        rng: &mut Rng,
        from: &str,
        to: &str,
        moving: bool,
    ) -> Result<(), StoreError> {
        let handle = partition.open_mailbox(&name(from)).await.unwrap();
        let uids = some_uids(rng, self.mailboxes[from].uidnext);
        let target = name(to);
        let seen = CopyFlags::default();
        let result = if moving {
            partition.move_messages(&handle, &uids, &target, seen).await
        } else {
            partition.copy(&handle, &uids, &target, seen).await
        };
        let copied = alive(result)?;
        let source = &self.mailboxes[from];
        let more = source
            .messages
            .iter()
            .filter(|(uid, _)| uids.contains(**uid))
            .fold((0, 0, 0), |sum, (_, m)| {
                (sum.0 + m.body.len() as u64, sum.1 + 1, 0)
            });
        let free = moving
            && name(from).home_key() == target.home_key()
            && self.governing(from) == self.governing(to);
        if !free && !self.has_room(to, more) {
            assert!(matches!(copied, Err(StoreError::OverQuota { .. })));
            return Ok(());
        }
        let copied = copied.unwrap();
        let source = self.mailboxes.get_mut(from).unwrap();
        let messages: Vec<(u32, Message)> = source
            .messages
            .iter()
            .filter(|(uid, _)| uids.contains(**uid))
            .map(|(uid, message)| (*uid, message.clone()))
            .collect();
        assert_eq!(
            copied.source,
            messages.iter().map(|(uid, _)| *uid).collect::<Vec<_>>()
        );
        if moving {
            source.messages.retain(|uid, _| !uids.contains(*uid));
            assert_eq!(copied.expunged, copied.source.iter().copied().collect());
        }
        let target = self.mailboxes.get_mut(to).unwrap();
        for (uid, (_, message)) in copied.target.into_iter().zip(messages) {
            target.add(uid, message);
        }
        Ok(())
    }

    /// The same with a clock of its own.
    pub fn fork(&self) -> Self {
        Self {
            time: self.time.fork(),
            ..self.clone()
        }
    }

    /// Whether the partition holds what the model does.
    pub async fn is_of(&self, partition: &Partition) -> bool {
        let found = Self::of(&dump(partition).await);
        let mut quotas = BTreeMap::new();
        for home in HOMES {
            if let Ok(of_home) = partition.quotas(home).await {
                quotas.extend(of_home.into_iter().map(|q| (q.root.to_string(), q.limits)));
            }
        }
        self.mailboxes == found.mailboxes
            && self.quotas == quotas
            && self.annotations() == Self::annotations_of(partition).await
            && self.deleted_summary() == Self::deleted_of(partition).await
    }

    /// Fails unless the partition holds what the model does.
    pub async fn check(&self, partition: &Partition) -> BTreeMap<String, DumpedMailbox> {
        let dumped = dump(partition).await;
        let found = Self::of(&dumped);
        assert_eq!(self.mailboxes, found.mailboxes);
        self.check_deleted(partition).await;
        self.check_quotas(partition).await;
        assert_eq!(self.annotations(), Self::annotations_of(partition).await);
        dumped
    }

    /// Fails unless the deleted mailboxes that are kept are those of the model.
    pub async fn check_deleted(&self, partition: &Partition) {
        assert_eq!(Self::deleted_of(partition).await, self.deleted_summary());
    }

    /// The deleted mailboxes of a partition: home, messages, and until when they are kept.
    pub async fn deleted_of(partition: &Partition) -> BTreeMap<MailboxId, (String, usize, i64)> {
        let mut found = BTreeMap::new();
        for home in HOMES {
            let Ok(restorable) = partition.restorable(home).await else {
                continue;
            };
            for one in restorable.mailboxes {
                found.insert(
                    one.id,
                    (home.to_owned(), one.messages as usize, one.keep_until),
                );
            }
        }
        found
    }

    /// The same of the model.
    pub fn deleted_summary(&self) -> BTreeMap<MailboxId, (String, usize, i64)> {
        self.deleted
            .iter()
            .map(|(id, (home, mailbox, until))| {
                (*id, (home.clone(), mailbox.messages.len(), *until))
            })
            .collect()
    }

    /// The model of what a partition holds.
    pub fn of(dumped: &BTreeMap<String, DumpedMailbox>) -> Self {
        let mailbox = |m: &DumpedMailbox| Mailbox {
            uidnext: m.uidnext,
            messages: m
                .rows
                .iter()
                .map(|r| {
                    let message = Message {
                        body: r.body.clone(),
                        flags: r.flags,
                        keywords: r.keywords.iter().cloned().collect(),
                    };
                    (r.uid, message)
                })
                .collect(),
            kept: m.kept.clone(),
            annotations: m.annotations.clone(),
            shared_seen: m.shared_seen,
        };
        Self {
            mailboxes: dumped
                .iter()
                .map(|(name, m)| (name.clone(), mailbox(m)))
                .collect(),
            ..Self::default()
        }
    }
}

impl Mailbox {
    fn add(&mut self, uid: u32, message: Message) {
        assert_eq!(uid, self.uidnext);
        self.uidnext += 1;
        self.messages.insert(uid, message);
    }

    fn amount(&self) -> (u64, u64) {
        let bytes = self.messages.values().map(|m| m.body.len() as u64).sum();
        (bytes, self.messages.len() as u64)
    }

    fn purge(&mut self, now: i64) -> usize {
        let before = self.kept.len();
        self.kept.retain(|_, (_, until)| *until > now);
        before - self.kept.len()
    }
}

/// The error of a disk that fails or of a store that knows it; other refusals are results.
pub fn alive<T>(result: Result<T, StoreError>) -> Result<Result<T, StoreError>, StoreError> {
    match result {
        Err(
            e @ (StoreError::Io { .. }
            | StoreError::DiskFull
            | StoreError::ReadOnly { .. }
            | StoreError::InDoubt { .. }
            | StoreError::Closed),
        ) => Err(e),
        result => Ok(result),
    }
}

/// With an identity that the seed determines.
fn new_mailbox_of(rng: &mut Rng) -> CreateMailbox {
    let id = (u128::from(rng.next()) << 64) | u128::from(rng.next());
    CreateMailbox {
        id: MailboxId::from_bytes(id.to_be_bytes()),
        ..new_mailbox()
    }
}

fn some_keywords(rng: &mut Rng) -> BTreeSet<String> {
    let picked = KEYWORDS.into_iter().filter(|_| rng.below(4) == 0);
    let mut picked: BTreeSet<String> = picked.map(str::to_owned).collect();
    // So many that some have no bits.
    if rng.below(4) == 0 {
        picked.extend((0..rng.below(8)).map(|_| format!("k{}", rng.below(120))));
    }
    picked
}

fn some_uids(rng: &mut Rng, uidnext: u32) -> UidSet {
    let mut uids = UidSet::new();
    for _ in 0..=rng.below(3) {
        let low = 1 + rng.below(u64::from(uidnext)) as u32;
        uids.insert_range(low, low + rng.below(4) as u32);
    }
    uids
}

pub fn new_body(rng: &mut Rng) -> Bytes {
    let text = format!("{:x}", rng.next());
    let mut body = raw(&text).to_vec();
    match rng.below(30) {
        0 => body.resize(INLINE_LIMIT + 1000, b'y'),
        1..=3 => body.resize(30_000, b'y'),
        _ => {}
    }
    body.into()
}

fn new_message(rng: &mut Rng) -> Message {
    Message {
        body: new_body(rng),
        flags: Flags::from_bits(rng.next() as u8 & rng.next() as u8),
        keywords: some_keywords(rng),
    }
}

/// What a model's partition is opened with.
pub fn kept_config(dir: &TempDir, time: &Time) -> PartitionConfig {
    PartitionConfig {
        expunge_delay: Duration::from_secs(DELAY as u64),
        delete_delay: Duration::from_secs(DELAY as u64),
        clock: manual_clock(&time.0),
        ..config(dir)
    }
}

/// Files in the journal's directory.
pub fn journal_files(dir: &TempDir) -> Vec<String> {
    std::fs::read_dir(dir.path().join("partition/journal"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn does_what_the_model_does() {
    each_seed(0..10, beside_the_model);
}

async fn beside_the_model(seed: u64) {
    let mut rng = Rng::new(seed);
    let dir = fast_dir();
    let mut model = Model::default();
    let time = model.time.clone();
    let config = || PartitionConfig {
        segment_bytes: 128 << 10,
        ..kept_config(&dir, &time)
    };
    let mut partition = Partition::open(config()).unwrap();
    let mut sessions: Vec<Session> = Vec::new();
    for _ in 0..120 {
        match rng.below(30) {
            0 => {
                let before = model.check(&partition).await;
                sessions.clear();
                partition.shutdown().await.unwrap();
                drop(partition);
                partition = Partition::open(config()).unwrap();
                assert_eq!(before, dump(&partition).await);
            }
            1 => partition.checkpoint().await.unwrap(),
            5 => assert!(partition.compact().await.unwrap().corrupt.is_empty()),
            2..=4 => {
                let existing: Vec<String> = model.mailboxes.keys().cloned().collect();
                if let Some(mailbox) = rng.pick(&existing) {
                    sessions.push(Session::select(&partition, mailbox).await);
                }
            }
            _ => model.step(&partition, &mut rng).await.unwrap(),
        }
        if rng.below(4) == 0 {
            sessions.iter_mut().for_each(Session::poll);
        }
    }
    model.check(&partition).await;
    sessions.iter_mut().for_each(Session::poll);
    // References are counted to the last one: without mailboxes nothing is kept.
    for mailbox in model.mailboxes.keys() {
        partition.delete_mailbox(&name(mailbox)).await.unwrap();
    }
    sessions.clear();
    time.0.fetch_add(2 * DELAY, Ordering::SeqCst);
    partition.purge().await.unwrap();
    partition.checkpoint().await.unwrap();
    let left = journal_files(&dir);
    assert_eq!(left.len(), 1, "{left:?}");
    partition.shutdown().await.unwrap();
}
