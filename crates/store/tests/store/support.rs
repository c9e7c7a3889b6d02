//! What the tests share.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use murder_mailbox::{MailboxId, MailboxName};
use murder_store::{
    Annotated, AppendMessage, Clock, CreateMailbox, Flags, InternalDate, MailboxStatus,
    MailboxView, Partition, PartitionConfig, StoreError, UidSet,
};
use tempfile::TempDir;

pub fn name(text: &str) -> MailboxName {
    MailboxName::parse_canonical(text).unwrap()
}

/// Small segments and few shards, so that tests meet every edge.
pub fn config(dir: &TempDir) -> PartitionConfig {
    PartitionConfig {
        segment_bytes: 1 << 20,
        reserve_bytes: 0,
        shards: 2,
        expunge_delay: std::time::Duration::ZERO,
        delete_delay: std::time::Duration::ZERO,
        maintenance_interval: std::time::Duration::ZERO,
        ..PartitionConfig::new("test", dir.path().join("partition"))
    }
}

/// A clock that stands until the test moves it.
pub fn manual_clock(time: &Arc<AtomicI64>) -> Clock {
    let time = Arc::clone(time);
    Clock::new(move || time.load(Ordering::SeqCst))
}

pub fn open(dir: &TempDir) -> Arc<Partition> {
    Partition::open(config(dir)).unwrap()
}

pub fn new_mailbox() -> CreateMailbox {
    CreateMailbox {
        id: MailboxId::new(),
        uidvalidity: 1000,
        acl: "anyone\tlrs\t".to_owned(),
        special_use: None,
        now: 1_700_000_000,
        shared_seen: false,
    }
}

pub async fn create(partition: &Partition, names: &[&str]) {
    for text in names {
        partition
            .create_mailbox(&name(text), new_mailbox())
            .await
            .unwrap();
    }
}

pub fn raw(text: &str) -> Bytes {
    format!("From: a@example.org\r\nDate: Tue, 24 Nov 2026 01:02:03 +0100\r\nSubject: {text}\r\n\r\n{text}\r\n")
        .into()
}

pub fn message(text: &str) -> AppendMessage {
    of_bytes(raw(text))
}

pub fn of_bytes(bytes: Bytes) -> AppendMessage {
    AppendMessage {
        body: bytes.into(),
        flags: Flags::NONE,
        keywords: Vec::new(),
        internal_date: InternalDate {
            seconds: 1_700_000_001,
            zone: 60,
        },
        save_date: 1_700_000_002,
        seen_by: None,
    }
}

pub fn uids(view: &MailboxView) -> Vec<u32> {
    view.uids().collect()
}

/// Numbers that a seed determines (splitmix64).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() {
            return None;
        }
        Some(&from[self.below(from.len() as u64) as usize])
    }
}

/// Seeds that are played at the same time: most of their time is waiting for threads.
const SEEDS_AT_ONCE: usize = 4;

/// Plays the seeds that `MURDER_SEED` names (`from..to`, or one), or else these.
pub fn each_seed<F: Future<Output = ()>>(default: Range<u64>, play: impl Fn(u64) -> F + Sync) {
    let seeds = match std::env::var("MURDER_SEED") {
        Ok(text) => match text.split_once("..") {
            Some((from, to)) => from.parse().unwrap()..to.parse().unwrap(),
            None => {
                let seed = text.parse().unwrap();
                seed..seed + 1
            }
        },
        Err(_) => default,
    };
    let next = AtomicU64::new(seeds.start);
    std::thread::scope(|scope| {
        for _ in 0..SEEDS_AT_ONCE {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        return;
                    }
                    let played = catch_unwind(AssertUnwindSafe(|| runtime.block_on(play(seed))));
                    if let Err(panic) = played {
                        // The others need not go on.
                        next.store(seeds.end, Ordering::SeqCst);
                        println!("it fails again with MURDER_SEED={seed}");
                        resume_unwind(panic);
                    }
                }
            });
        }
    });
}

/// Whether a future is not ready when it is asked once.
pub async fn is_pending(future: impl Future) -> bool {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

/// A directory in memory where there is one: the tests' own disk does the failing.
pub fn fast_dir() -> TempDir {
    TempDir::new_in("/dev/shm").unwrap_or_else(|_| TempDir::new().unwrap())
}

/// Copies a directory with everything below it.
pub fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A message as far as users can tell it.
#[derive(Clone, PartialEq, Eq)]
pub struct Dumped {
    pub uid: u32,
    pub modseq: u64,
    pub flags: Flags,
    pub keywords: Vec<String>,
    pub body: Bytes,
    pub email_id: [u8; 16],
    pub save_date: i64,
    pub envelope: Bytes,
    pub listed: Bytes,
}

impl std::fmt::Debug for Dumped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let head = String::from_utf8_lossy(&self.body[..self.body.len().min(100)]);
        let subject = head.split("Subject: ").nth(1).unwrap_or("").lines().next();
        write!(
            f,
            "{}@{} {:?} {:?} {subject:?} {}",
            self.uid,
            self.modseq,
            self.flags,
            self.keywords,
            self.body.len()
        )
    }
}

/// A mailbox as far as users can tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpedMailbox {
    pub id: MailboxId,
    pub uidvalidity: u32,
    pub uidnext: u32,
    pub highest_modseq: u64,
    pub acl: String,
    pub rows: Vec<Dumped>,
    pub expunged: UidSet,
    pub seen_by_eve: UidSet,
    /// Expunged messages that can be restored, and until when.
    pub kept: BTreeMap<u32, (Bytes, i64)>,
    pub annotations: Annotations,
    pub shared_seen: bool,
    pub status: MailboxStatus,
}

/// Annotations by user, empty for what is shared or the owner's, and entry.
pub type Annotations = BTreeMap<(String, String), Vec<u8>>;

/// What is shared, the owner's, or eve's.
pub async fn dump_annotations(
    partition: &Partition,
    of: Annotated<'_>,
) -> Result<Annotations, StoreError> {
    let mut all = Annotations::new();
    for user in [None, Some("eve")] {
        for found in partition.annotations(of, user, |_| true, u32::MAX).await? {
            let owner = match found.entry.starts_with("/shared/") {
                true => "",
                false => user.unwrap_or_default(),
            };
            let value = found.value.unwrap();
            assert_eq!(value.len(), found.size as usize);
            all.insert((owner.to_owned(), found.entry), value);
        }
    }
    Ok(all)
}

/// Everything that a partition shows.
pub async fn dump(partition: &Partition) -> BTreeMap<String, DumpedMailbox> {
    let mut all = BTreeMap::new();
    for meta in partition.mailboxes() {
        let handle = partition.open_mailbox(&meta.name).await.unwrap();
        let view = handle.view();
        let rows: Vec<_> = view.rows(1, view.len()).collect();
        let items = handle.fetch_items(&rows).await.unwrap();
        let mut dumped = Vec::new();
        for (row, items) in rows.iter().zip(items) {
            let mut keywords: Vec<String> = view
                .keywords()
                .names(row.keywords)
                .map(str::to_owned)
                .collect();
            keywords.sort();
            dumped.push(Dumped {
                uid: row.uid,
                modseq: row.modseq,
                flags: row.flags,
                keywords,
                body: partition.read_body(row.location).await.unwrap(),
                email_id: row.email_id,
                save_date: row.save_date,
                envelope: items.as_ref().unwrap().envelope().clone(),
                listed: items.unwrap().listed().unwrap().clone(),
            });
        }
        assert_eq!(view.shared_seen(), meta.shared_seen);
        let status = partition.status(&meta.name, None).await.unwrap();
        assert_eq!(status.messages, view.len());
        assert_eq!(status.uidnext, view.uidnext());
        assert_eq!(status.highest_modseq, view.highest_modseq());
        let count = |f: &dyn Fn(&Dumped) -> bool| dumped.iter().filter(|d| f(d)).count() as u32;
        assert_eq!(status.unseen, count(&|d| !d.flags.contains(Flags::SEEN)));
        assert_eq!(status.deleted, count(&|d| d.flags.contains(Flags::DELETED)));
        assert_eq!(
            status.size,
            dumped.iter().map(|d| d.body.len() as u64).sum::<u64>()
        );
        let restorable = partition.restorable(meta.name.home_key()).await.unwrap();
        let mut kept = BTreeMap::new();
        for message in restorable.messages {
            if message.mailbox == meta.id {
                let body = partition.read_body(message.location).await.unwrap();
                kept.insert(message.uid, (body, message.keep_until));
            }
        }
        all.insert(
            meta.name.to_string(),
            DumpedMailbox {
                id: meta.id,
                uidvalidity: meta.uidvalidity,
                uidnext: view.uidnext(),
                highest_modseq: view.highest_modseq(),
                acl: meta.acl.to_string(),
                rows: dumped,
                expunged: handle.expunged_since(0).await.unwrap(),
                seen_by_eve: (*view.seen_of("eve")).clone(),
                kept,
                annotations: dump_annotations(partition, Annotated::Mailbox(&meta.name))
                    .await
                    .unwrap(),
                shared_seen: meta.shared_seen,
                status,
            },
        );
    }
    all
}
