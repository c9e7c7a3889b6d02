//! The store's figures, measured: `cargo bench -p murder-store`, or with the names of some of
//! them, `cargo bench -p murder-store -- deliveries select`.
//!
//! Everything is in one run on one machine and one disk, so that ratios mean something. The
//! disk is that of `MURDER_BENCH_DIR`, or of the temporary directory.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs::OpenOptions;
use std::io::IoSlice;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use murder_mailbox::{MailboxId, MailboxName};
use murder_store::io::{DiskIo, JournalFile, JournalIo};
use murder_store::{
    AppendMessage, CreateMailbox, Flags, InternalDate, MailboxView, Metrics, Partition,
    PartitionConfig, StoreMode, StoreOp, UidSet,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// As in the backend.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WRITERS: usize = 64;
const MESSAGE_BYTES: usize = 20 << 10;

/// One measured figure.
pub struct Figure {
    pub name: &'static str,
    pub value: f64,
    pub unit: &'static str,
    /// What it has to be: at least this when positive, at most its negation otherwise.
    pub target: Option<f64>,
}

impl Figure {
    fn at_least(name: &'static str, value: f64, unit: &'static str, target: f64) -> Self {
        let target = Some(target);
        Self {
            name,
            value,
            unit,
            target,
        }
    }

    fn at_most(name: &'static str, value: f64, unit: &'static str, target: f64) -> Self {
        Self::at_least(name, value, unit, -target)
    }

    fn plain(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self {
            name,
            value,
            unit,
            target: None,
        }
    }

    fn print(&self) {
        let verdict = match self.target {
            None => String::new(),
            Some(t) if t >= 0.0 => {
                let met = if self.value >= t { "met" } else { "MISSED" };
                format!("at least {t}: {met}")
            }
            Some(t) => {
                let met = if self.value <= -t { "met" } else { "MISSED" };
                format!("at most {}: {met}", -t)
            }
        };
        println!(
            "{:<52} {:>12.2} {:<14} {verdict}",
            self.name, self.value, self.unit
        );
    }
}

/// Directories whose removal takes long: after the figures are printed.
static LEFT: Mutex<Vec<TempDir>> = Mutex::new(Vec::new());

type Bench = fn(&Runtime) -> Vec<Figure>;

/// The benches by name.
pub const BENCHES: [(&str, Bench); 9] = [
    ("deliveries", deliveries),
    ("writers", writers),
    ("mailbox", large_mailbox),
    ("replay", replay),
    ("idle", idle_homes),
    ("homes", many_homes),
    ("list", list),
    ("compaction", compaction),
    ("latency", latency),
];

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    for (name, bench) in BENCHES {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            bench(&runtime).iter().for_each(Figure::print);
            LEFT.lock().unwrap().clear();
        }
    }
}

fn scratch() -> TempDir {
    match std::env::var_os("MURDER_BENCH_DIR") {
        Some(dir) => TempDir::new_in(dir).unwrap(),
        None => TempDir::new().unwrap(),
    }
}

fn config(dir: &TempDir) -> PartitionConfig {
    PartitionConfig {
        maintenance_interval: Duration::ZERO,
        ..PartitionConfig::new("bench", dir.path().join("partition"))
    }
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse_canonical(text).unwrap()
}

fn create_mailbox() -> CreateMailbox {
    CreateMailbox {
        id: MailboxId::new(),
        uidvalidity: 1,
        acl: "anyone\tlrs\t".to_owned(),
        special_use: None,
        now: 0,
        shared_seen: false,
    }
}

fn message(n: usize, bytes: usize) -> Bytes {
    let mut text = format!(
        "Return-Path: <sender{n}@example.org>\r\n\
         Received: from mx.example.org (mx.example.org [192.0.2.1]) by mail.example.com with ESMTPS id {n:08x}\r\n\
         From: Sender {n} <sender{n}@example.org>\r\n\
         To: Somebody <somebody@example.com>\r\n\
         Subject: message number {n}\r\n\
         Date: Tue, 24 Nov 2026 01:02:03 +0100\r\n\
         Message-ID: <{n:08x}@example.org>\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n"
    );
    let line = "The quick brown fox jumps over the lazy dog, and then some more of that.\r\n";
    while text.len() + line.len() <= bytes {
        text.push_str(line);
    }
    text.into()
}

fn append(body: &Bytes) -> AppendMessage {
    AppendMessage {
        body: body.clone().into(),
        flags: Flags::NONE,
        keywords: Vec::new(),
        internal_date: InternalDate::default(),
        save_date: 0,
        seen_by: None,
    }
}

async fn create_all(partition: &Arc<Partition>, names: &[MailboxName]) {
    let mut tasks = JoinSet::new();
    for part in names.chunks(names.len().div_ceil(WRITERS)) {
        let (partition, part) = (Arc::clone(partition), part.to_vec());
        tasks.spawn(async move {
            for name in part {
                partition
                    .create_mailbox(&name, create_mailbox())
                    .await
                    .unwrap();
            }
        });
    }
    tasks.join_all().await;
}

fn users(count: usize) -> Vec<MailboxName> {
    (0..count).map(|n| name(&format!("user/u{n}"))).collect()
}

/// Each writer delivers to its own mailbox, one message after the other.
async fn deliver(
    partition: &Arc<Partition>,
    writers: usize,
    each: usize,
    bytes: usize,
) -> Duration {
    let bodies = Arc::new(bodies(bytes));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for (n, target) in users(writers).into_iter().enumerate() {
        let (partition, bodies) = (Arc::clone(partition), Arc::clone(&bodies));
        tasks.spawn(async move {
            for m in 0..each {
                let body = &bodies[(n + m) % bodies.len()];
                let results = partition
                    .deliver(std::slice::from_ref(&target), append(body))
                    .await
                    .unwrap();
                assert!(results[0].is_ok());
            }
        });
    }
    tasks.join_all().await;
    started.elapsed()
}

/// The bodies that deliveries take turns with.
fn bodies(bytes: usize) -> Vec<Bytes> {
    (0..32).map(|n| message(n, bytes)).collect()
}

/// Writes as many bytes of the same bodies in as many batches, each with one vectored write
/// and made durable, to files like segments.
fn raw_writes(dir: &Path, bodies: &[Bytes], bytes: u64, batches: u64) -> Duration {
    let segment = PartitionConfig::new("", "").segment_bytes;
    let batch_bytes = (bytes / batches) as usize;
    std::fs::create_dir_all(dir).unwrap();
    let mut bodies = bodies.iter().cycle();
    let started = Instant::now();
    let mut file: Option<(Arc<dyn JournalFile>, u64)> = None;
    for n in 0..batches {
        let (current, position) = match file.take() {
            Some((current, position)) if position + batch_bytes as u64 <= segment => {
                (current, position)
            }
            _ => {
                let new = DiskIo.create(&dir.join(format!("raw{n}"))).unwrap();
                new.allocate(segment).unwrap();
                new.sync_data().unwrap();
                (new, 0)
            }
        };
        let mut batch = Vec::new();
        let mut left = batch_bytes;
        while left > 0 {
            let body = bodies.next().unwrap();
            batch.push(IoSlice::new(&body[..body.len().min(left)]));
            left -= body.len().min(left);
        }
        current.write_all_at(&mut batch, position).unwrap();
        current.sync_data().unwrap();
        file = Some((current, position + batch_bytes as u64));
    }
    started.elapsed()
}

/// Long enough for several checkpoints.
fn deliveries(runtime: &Runtime) -> Vec<Figure> {
    const FIRST: usize = 50;
    const EACH: usize = 1000;
    let dir = scratch();
    let partition = Partition::open(config(&dir)).unwrap();
    runtime.block_on(create_all(&partition, &users(WRITERS)));
    // Batches, calls of `fdatasync` and bytes in the journal.
    let run = |each| {
        let counters = || {
            let m = partition.metrics();
            [&m.batches, &m.fsyncs, &m.journal_bytes].map(Metrics::get)
        };
        let before = counters();
        let took = runtime.block_on(deliver(&partition, WRITERS, each, MESSAGE_BYTES));
        let after = counters();
        (took, [0, 1, 2].map(|n| after[n] - before[n]))
    };
    let (_, [batches, _, bytes]) = run(FIRST);
    // What the disk does changes from second to second where others use it: asked on both sides.
    let raws = scratch();
    let bodies = bodies(MESSAGE_BYTES);
    let scale = (EACH / FIRST / 2) as u64;
    let raw_before = raw_writes(
        &raws.path().join("before"),
        &bodies,
        bytes * scale,
        batches * scale,
    );
    let cpu = cpu_time();
    let (store, [batches, fsyncs, bytes]) = run(EACH);
    let cpu = cpu_time() - cpu;
    let raw_after = raw_writes(&raws.path().join("after"), &bodies, bytes / 2, batches / 2);
    let raw = raw_before + raw_after;
    runtime.block_on(partition.shutdown()).unwrap();
    let count = (WRITERS * EACH) as f64;
    let mib = bytes as f64 / (1 << 20) as f64;
    vec![
        Figure::plain(
            "deliveries of 20 KiB, 64 writers",
            count / store.as_secs_f64(),
            "/s",
        ),
        Figure::plain("  CPU of a delivery", cpu.as_secs_f64() * 1e6 / count, "µs"),
        Figure::plain("  journal", mib / store.as_secs_f64(), "MiB/s"),
        Figure::plain(
            "  raw write + fdatasync, same batches",
            mib / raw.as_secs_f64(),
            "MiB/s",
        ),
        Figure::at_least(
            "  journal of raw",
            100.0 * raw.as_secs_f64() / store.as_secs_f64(),
            "%",
            60.0,
        ),
        Figure::at_least("  deliveries an fdatasync", count / fsyncs as f64, "", 20.0),
    ]
}

/// Fewer and more writers at a time.
fn writers(runtime: &Runtime) -> Vec<Figure> {
    const MANY: usize = 256;
    let dir = scratch();
    let partition = Partition::open(config(&dir)).unwrap();
    runtime.block_on(create_all(&partition, &users(MANY)));
    let mut figures = Vec::new();
    for (name, writers, each) in [
        ("deliveries of 20 KiB, 1 writer", 1, 2000),
        ("deliveries of 20 KiB, 8 writers", 8, 1000),
        ("deliveries of 20 KiB, 256 writers", MANY, 100),
    ] {
        runtime.block_on(deliver(&partition, writers, 5, MESSAGE_BYTES));
        let cpu = cpu_time();
        let took = runtime.block_on(deliver(&partition, writers, each, MESSAGE_BYTES));
        let cpu = cpu_time() - cpu;
        let count = (writers * each) as f64;
        figures.push(Figure::plain(name, count / took.as_secs_f64(), "/s"));
        let cpu = cpu.as_secs_f64() * 1e6 / count;
        figures.push(Figure::plain("  CPU of a delivery", cpu, "µs"));
    }
    runtime.block_on(partition.shutdown()).unwrap();
    figures
}

fn large_mailbox(runtime: &Runtime) -> Vec<Figure> {
    const MESSAGES: usize = 100_000;
    let dir = scratch();
    let inbox = name("user/bob");
    let partition = Partition::open(config(&dir)).unwrap();
    runtime.block_on(async {
        partition
            .create_mailbox(&inbox, create_mailbox())
            .await
            .unwrap();
        for n in 0..MESSAGES / 500 {
            let messages = (0..500).map(|m| append(&message(n * 500 + m, 400)));
            partition.append(&inbox, messages.collect()).await.unwrap();
        }
        partition.shutdown().await.unwrap();
    });
    drop(partition);
    let partition = Partition::open(config(&dir)).unwrap();
    let open = || {
        let started = Instant::now();
        let handle = runtime.block_on(partition.open_mailbox(&inbox)).unwrap();
        (started.elapsed(), handle)
    };
    let cpu = cpu_time();
    let (cold, handle) = open();
    let cpu = cpu_time() - cpu;
    let (warm, _) = open();
    let view = handle.view();
    assert_eq!(view.len() as usize, MESSAGES);
    let fetch = best(5, || {
        let mut sum = 0;
        for row in view.rows(1, view.len()) {
            sum += u64::from(row.uid) + u64::from(view.flags_for(&row, None).bits());
        }
        assert!(sum > 0);
    });
    // Each changes all of them.
    let mut modes = [StoreMode::Add, StoreMode::Remove].into_iter().cycle();
    let some = UidSet::range(20_001, 30_000);
    let cpu_before = cpu_time();
    let store = best(8, || {
        let mode = modes.next().unwrap();
        let op = StoreOp::new(mode, Flags::FLAGGED, Vec::new());
        runtime
            .block_on(partition.store_flags(&handle, &some, op))
            .unwrap();
    });
    let store_cpu = (cpu_time() - cpu_before) / 8;
    let old = handle.view();
    let one = best(20, || {
        runtime
            .block_on(partition.append(&inbox, vec![append(&message(1, 400))]))
            .unwrap();
    });
    let new = handle.view();
    let diff = best(20, || {
        assert_eq!(MailboxView::diff(&old, &new).added, 20);
    });
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    drop((handle, old, new, view));
    runtime.block_on(partition.shutdown()).unwrap();
    vec![
        Figure::at_most("SELECT of 100,000 messages, cold", ms(cold), "ms", 150.0),
        Figure::plain("  CPU of it", ms(cpu), "ms"),
        Figure::at_most("SELECT of 100,000 messages, warm", ms(warm), "ms", 5.0),
        Figure::at_least(
            "FETCH FLAGS through the view",
            MESSAGES as f64 / fetch.as_secs_f64() / 1e6,
            "million/s",
            2.0,
        ),
        Figure::at_most("STORE +FLAGS on 10,000 messages", ms(store), "ms", 20.0),
        Figure::plain("  CPU of it", ms(store_cpu), "ms"),
        Figure::plain("APPEND to an open mailbox of 100,000", ms(one), "ms"),
        Figure::plain("what is new in a mailbox of 100,000", ms(diff), "ms"),
    ]
}

fn replay(runtime: &Runtime) -> Vec<Figure> {
    let dir = scratch();
    let config = PartitionConfig {
        checkpoint_bytes: u64::MAX,
        ..config(&dir)
    };
    let partition = Partition::open(config.clone()).unwrap();
    runtime.block_on(create_all(&partition, &users(WRITERS)));
    runtime.block_on(deliver(&partition, WRITERS, 200, MESSAGE_BYTES));
    let bytes = Metrics::get(&partition.metrics().journal_bytes) as f64;
    let copy = scratch();
    // As after a power failure that left nothing but the journal.
    copy_dir(dir.path(), copy.path());
    std::fs::remove_dir_all(copy.path().join("partition/homes")).unwrap();
    runtime.block_on(partition.shutdown()).unwrap();
    drop(partition);
    let config = PartitionConfig {
        path: copy.path().join("partition"),
        ..config
    };
    let (started, cpu) = (Instant::now(), cpu_time());
    let partition = Partition::open(config).unwrap();
    let (took, cpu) = (started.elapsed(), cpu_time() - cpu);
    assert!(Metrics::get(&partition.metrics().replayed) as usize > WRITERS * 200);
    runtime.block_on(partition.shutdown()).unwrap();
    let mib = bytes / (1 << 20) as f64;
    vec![
        Figure::at_least(
            "replay of 20 KiB deliveries",
            mib / took.as_secs_f64(),
            "MiB/s",
            200.0,
        ),
        Figure::plain(
            "  CPU of a replayed MiB",
            cpu.as_secs_f64() * 1e3 / mib,
            "ms",
        ),
    ]
}

fn idle_homes(runtime: &Runtime) -> Vec<Figure> {
    const HOMES: usize = 2000;
    let dir = scratch();
    let partition = Partition::open(config(&dir)).unwrap();
    let names = users(HOMES);
    runtime.block_on(create_all(&partition, &names));
    runtime.block_on(partition.shutdown()).unwrap();
    drop(partition);
    let partition = Partition::open(config(&dir)).unwrap();
    let before = resident();
    let bodies: Vec<Bytes> = (0..4).map(|n| message(n, 2000)).collect();
    runtime.block_on(async {
        for body in &bodies {
            for name in &names {
                partition.append(name, vec![append(body)]).await.unwrap();
            }
        }
        partition.checkpoint().await.unwrap();
    });
    let after = resident();
    runtime.block_on(partition.shutdown()).unwrap();
    vec![Figure::at_most(
        "resident memory of an open idle home",
        after.saturating_sub(before) as f64 / 1024.0 / HOMES as f64,
        "KiB",
        200.0,
    )]
}

fn many_homes(runtime: &Runtime) -> Vec<Figure> {
    const HOMES: usize = 100_000;
    let dir = scratch();
    let partition = Partition::open(config(&dir)).unwrap();
    let names = users(HOMES);
    let started = Instant::now();
    runtime.block_on(create_all(&partition, &names));
    let created = started.elapsed();
    assert_eq!(partition.counts(), (HOMES, HOMES));
    let started = Instant::now();
    runtime.block_on(partition.shutdown()).unwrap();
    let closed = started.elapsed();
    drop(partition);
    let started = Instant::now();
    let partition = Partition::open(config(&dir)).unwrap();
    let opened = started.elapsed();
    assert_eq!(partition.counts(), (HOMES, HOMES));
    runtime.block_on(partition.shutdown()).unwrap();
    drop(partition);
    LEFT.lock().unwrap().push(dir);
    vec![
        Figure::plain(
            "100,000 homes: created",
            HOMES as f64 / created.as_secs_f64(),
            "/s",
        ),
        Figure::plain("100,000 homes: closed", closed.as_secs_f64(), "s"),
        Figure::plain("100,000 homes: opened", opened.as_secs_f64(), "s"),
    ]
}

/// What LIST looks at for a user with 20 mailboxes, beside 1,000,000 of others.
fn list(runtime: &Runtime) -> Vec<Figure> {
    const HOMES: usize = 10_000;
    const EACH: usize = 100;
    let dir = scratch();
    let partition = Partition::open(config(&dir)).unwrap();
    let acl = |owner: &str, guest: &str| CreateMailbox {
        acl: format!("{owner}\tlrswipkxtea\t{guest}"),
        ..create_mailbox()
    };
    let homes = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..4 * WRITERS {
            let (partition, homes) = (Arc::clone(&partition), Arc::clone(&homes));
            tasks.spawn(async move {
                loop {
                    let home = homes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if home >= HOMES {
                        break;
                    }
                    for mailbox in 0..EACH {
                        let user = format!("user{home}");
                        let guest = if home < 5 && mailbox == 1 {
                            "me\tlr\t"
                        } else {
                            ""
                        };
                        let mailbox = match mailbox {
                            0 => format!("user/{user}"),
                            n => format!("user/{user}/folder {n}"),
                        };
                        let create = acl(&user, guest);
                        partition
                            .create_mailbox(&name(&mailbox), create)
                            .await
                            .unwrap();
                    }
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        for mailbox in 0..15 {
            let mailbox = match mailbox {
                0 => "user/me".to_owned(),
                n => format!("user/me/folder {n}"),
            };
            partition
                .create_mailbox(&name(&mailbox), acl("me", ""))
                .await
                .unwrap();
        }
    });
    let me = murder_mailbox::Identity::user("me");
    let indexed = || {
        let granted = ["me", "anyone"].into_iter();
        let granted = granted.flat_map(|who| partition.granted(who, None).flatten());
        partition
            .home_mailboxes("user/me")
            .into_iter()
            .chain(granted)
            .count()
    };
    let all = || {
        let homes = partition.homes().into_iter();
        let mailboxes = homes.flat_map(|home| partition.home_mailboxes(&home));
        let seen = mailboxes.filter(|mailbox| {
            let rights = mailbox.acl.rights_of(&me, None);
            rights.contains(murder_mailbox::Rights::LOOKUP)
        });
        seen.count()
    };
    let best = |look: &dyn Fn() -> usize, times: usize| {
        let times = (0..times).map(|_| {
            let started = Instant::now();
            assert_eq!(look(), 20);
            started.elapsed()
        });
        times.min().unwrap().as_secs_f64() * 1000.0
    };
    let figures = vec![
        Figure::at_most(
            "LIST, 20 of 1,000,000 mailboxes",
            best(&indexed, 50),
            "ms",
            1.0,
        ),
        Figure::plain("the same by a look at all of them", best(&all, 3), "ms"),
    ];
    runtime.block_on(partition.shutdown()).unwrap();
    drop(partition);
    LEFT.lock().unwrap().push(dir);
    figures
}

/// One delivery after the other while a segment after the other is emptied.
fn compaction(runtime: &Runtime) -> Vec<Figure> {
    let dir = scratch();
    let config = PartitionConfig {
        segment_bytes: 16 << 20,
        expunge_delay: Duration::ZERO,
        ..config(&dir)
    };
    let partition = Partition::open(config).unwrap();
    runtime.block_on(create_all(&partition, &users(WRITERS)));
    runtime.block_on(deliver(&partition, WRITERS, 150, MESSAGE_BYTES));
    runtime.block_on(async {
        for target in users(WRITERS) {
            let handle = partition.open_mailbox(&target).await.unwrap();
            let dead: UidSet = (1..=150).filter(|uid| uid % 4 != 0).collect();
            let op = StoreOp::new(StoreMode::Add, Flags::DELETED, Vec::new());
            partition.store_flags(&handle, &dead, op).await.unwrap();
            partition.expunge(&handle, None).await.unwrap();
        }
        partition.checkpoint().await.unwrap();
    });
    let body = message(1, MESSAGE_BYTES);
    let target = name("user/u0");
    let one = || {
        let started = Instant::now();
        runtime
            .block_on(partition.append(&target, vec![append(&body)]))
            .unwrap();
        started.elapsed()
    };
    let quiet: Vec<Duration> = (0..300).map(|_| one()).collect();
    let compacting = runtime.spawn({
        let partition = Arc::clone(&partition);
        async move {
            let started = Instant::now();
            let done = partition.compact().await.unwrap();
            (done, started.elapsed())
        }
    });
    let mut busy = Vec::new();
    while !compacting.is_finished() {
        busy.push(one());
    }
    let (done, took) = runtime.block_on(compacting).unwrap();
    runtime.block_on(partition.shutdown()).unwrap();
    let mib = done.bytes as f64 / (1 << 20) as f64;
    vec![
        Figure::plain("compaction", mib / took.as_secs_f64(), "MiB/s"),
        Figure::plain("  median delivery without it", at(&quiet, 50), "ms"),
        Figure::plain("  99th percentile without it", at(&quiet, 99), "ms"),
        Figure::plain("  median delivery beside it", at(&busy, 50), "ms"),
        Figure::plain("  99th percentile beside it", at(&busy, 99), "ms"),
        Figure::at_most(
            "  what it adds to the 99th percentile",
            at(&busy, 99) - at(&quiet, 99),
            "ms",
            10.0,
        ),
    ]
}

/// One writer alone: what a sync costs, and what the store adds.
fn latency(runtime: &Runtime) -> Vec<Figure> {
    let dir = scratch();
    let partition = Partition::open(config(&dir)).unwrap();
    let inbox = name("user/bob");
    runtime
        .block_on(partition.create_mailbox(&inbox, create_mailbox()))
        .unwrap();
    let body = message(1, 4096);
    let times: Vec<Duration> = (0..500)
        .map(|_| {
            let started = Instant::now();
            runtime
                .block_on(partition.append(&inbox, vec![append(&body)]))
                .unwrap();
            started.elapsed()
        })
        .collect();
    runtime.block_on(partition.shutdown()).unwrap();
    let raw = raw_writes(dir.path(), &[body], 500 * 4500, 500);
    vec![
        Figure::plain("APPEND of 4 KiB, one writer: median", at(&times, 50), "ms"),
        Figure::plain(
            "  raw write + fdatasync",
            raw.as_secs_f64() * 1e3 / 500.0,
            "ms",
        ),
    ]
}

/// The shortest of some runs: what it costs when nothing disturbs.
fn best(runs: usize, mut work: impl FnMut()) -> Duration {
    (0..runs)
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed()
        })
        .min()
        .unwrap_or_default()
}

/// A percentile in milliseconds.
fn at(times: &[Duration], percent: usize) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(place).map_or(0.0, |t| t.as_secs_f64() * 1e3)
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Processor time of this process.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let rest = stat.rsplit_once(')').unwrap().1;
    let ticks: u64 = rest
        .split_ascii_whitespace()
        .skip(11)
        .take(2)
        .map(|n| n.parse::<u64>().unwrap())
        .sum();
    // Hundredths of a second on every Linux.
    Duration::from_millis(ticks * 10)
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
            OpenOptions::new()
                .write(true)
                .open(&target)
                .unwrap()
                .sync_all()
                .unwrap();
        }
    }
}
