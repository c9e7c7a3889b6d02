//! The damage matrix: every file of a partition is missing, truncated, zeroed, wrong in a byte, as
//! it was before, or a sibling's; after a clean close and after a kill. A start says what it found
//! or shows everything as it was, removes no byte, and shows nobody another's message. So does a
//! repair, after which the partition works.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use murder_store::{
    CopyFlags, Flags, Health, INLINE_LIMIT, Partition, PartitionConfig, Repaired, StoreError,
    StoreMode, StoreOp, UidSet, repair,
};
use tempfile::TempDir;

use crate::support::*;

const USERS: [&str; 4] = ["user/bob", "user/eve", "user/zoe", "board"];

fn damage_config(dir: &TempDir) -> PartitionConfig {
    PartitionConfig {
        segment_bytes: 128 << 10,
        checkpoint_bytes: u64::MAX,
        index_delay: std::time::Duration::ZERO,
        index_least: 4,
        ..config(dir)
    }
}

/// A body that says whose it is.
fn body(user: &str, rng: &mut Rng, nth: u64) -> Bytes {
    let text = format!("{user} {nth} {}", rng.next());
    let mut bytes = raw(&text).to_vec();
    let more = match rng.below(12) {
        0 => INLINE_LIMIT + 1 + rng.below(5000) as usize,
        1..=3 => 20_000,
        _ => rng.below(2000) as usize,
    };
    bytes.resize(bytes.len() + more, b'x');
    bytes.into()
}

/// What was acknowledged: by mailbox and UID.
type Mail = BTreeMap<(String, u32), Bytes>;

/// Two states of a partition's directory, and the mail of the later.
struct Made {
    older: TempDir,
    dir: TempDir,
    mail: Mail,
    /// Every home has all of it on disk.
    committed: bool,
    /// All that was ever in each mailbox.
    ever: BTreeSet<(String, Bytes)>,
}

async fn make(rng: &mut Rng, killed: bool) -> Made {
    let work = fast_dir();
    let older = fast_dir();
    let dir = fast_dir();
    let (mut mail, mut ever) = (Mail::new(), BTreeSet::new());
    let mut nth = 0;
    let partition = Partition::open(damage_config(&work)).unwrap();
    create(&partition, &USERS).await;
    let rounds = 2 + rng.below(3);
    let early = rng.below(rounds);
    for round in 0..rounds {
        for _ in 0..4 + rng.below(12) {
            change(&partition, rng, &mut mail, &mut nth).await;
            ever.extend(
                mail.iter()
                    .map(|((user, _), body)| (user.clone(), body.clone())),
            );
        }
        if rng.below(3) == 0 {
            partition.compact().await.unwrap();
        }
        if round == early {
            partition.index_all().await;
            partition.checkpoint().await.unwrap();
            copy_dir(work.path(), older.path());
        }
        if rng.below(2) == 0 {
            partition.checkpoint().await.unwrap();
        }
    }
    let committed = !killed || rng.below(2) == 0;
    if committed {
        // What homes have in transactions that are open is not on disk yet.
        for user in USERS {
            partition.status(&name(user), None).await.unwrap();
        }
    }
    if !killed {
        partition.shutdown().await.unwrap();
    }
    copy_dir(work.path(), dir.path());
    Made {
        older,
        dir,
        mail,
        committed,
        ever,
    }
}

async fn change(partition: &Arc<Partition>, rng: &mut Rng, mail: &mut Mail, nth: &mut u64) {
    let user = *rng.pick(&USERS).unwrap();
    let mailbox = name(user);
    let handle = partition.open_mailbox(&mailbox).await.unwrap();
    let uids: Vec<u32> = handle.view().uids().collect();
    match rng.below(10) {
        0 if !uids.is_empty() => {
            let uid = *rng.pick(&uids).unwrap();
            let set = UidSet::range(uid, uid);
            let op = StoreOp::new(StoreMode::Add, Flags::DELETED, vec!["x".into()]);
            partition.store_flags(&handle, &set, op).await.unwrap();
            partition.expunge(&handle, Some(&set)).await.unwrap();
            mail.remove(&(user.to_owned(), uid));
        }
        1..=2 if !uids.is_empty() => {
            let uid = *rng.pick(&uids).unwrap();
            let target = *rng.pick(&USERS).unwrap();
            let set = UidSet::range(uid, uid);
            let copied = partition
                .copy(&handle, &set, &name(target), CopyFlags::default())
                .await
                .unwrap();
            let bytes = mail[&(user.to_owned(), uid)].clone();
            mail.insert((target.to_owned(), copied.target[0]), bytes);
        }
        _ => {
            *nth += 1;
            let bytes = body(user, rng, *nth);
            let appended = partition
                .append(&mailbox, vec![of_bytes(bytes.clone())])
                .await
                .unwrap();
            mail.insert((user.to_owned(), appended.uids[0]), bytes);
        }
    }
}

/// The files below a directory, by their path in it.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn add(dir: &Path, below: &Path, all: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(dir.join(below)).unwrap() {
            let entry = entry.unwrap();
            let path = below.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => add(dir, &path, all),
                false => drop(all.insert(path.clone(), fs::read(dir.join(path)).unwrap())),
            }
        }
    }
    let mut all = BTreeMap::new();
    add(dir, Path::new(""), &mut all);
    all
}

/// What SQLite makes anew whenever it likes, and what holds nothing.
fn is_scratch(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.ends_with("-shm") || name == "lock"
}

/// What was done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Missing,
    Truncated,
    Zeroed,
    Byte,
    Older,
    Swapped,
}

const ALL: [Wrong; 6] = [
    Wrong::Missing,
    Wrong::Truncated,
    Wrong::Zeroed,
    Wrong::Byte,
    Wrong::Older,
    Wrong::Swapped,
];

/// Damages a file; `false` when it stays what it was.
fn harm(dir: &Path, path: &Path, wrong: Wrong, older: &Path, rng: &mut Rng) -> bool {
    let file = dir.join(path);
    let was = fs::read(&file).unwrap();
    let mut now = was.clone();
    match wrong {
        Wrong::Missing => fs::remove_file(&file).unwrap(),
        Wrong::Truncated => now.truncate(rng.below(was.len() as u64) as usize),
        Wrong::Zeroed => now.fill(0),
        Wrong::Byte => {
            if let Some(at) = rng.pick(&(0..was.len()).collect::<Vec<_>>()) {
                now[*at] ^= 1 << rng.below(8);
            }
        }
        Wrong::Older => match fs::read(older.join(path)) {
            Ok(old) => now = old,
            Err(_) => return false,
        },
        Wrong::Swapped => {
            let kind = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
            let kind = |path: &Path| {
                kind(path)
                    .trim_start_matches(|c: char| c.is_ascii_hexdigit())
                    .to_owned()
            };
            let siblings: Vec<PathBuf> = files(dir)
                .into_keys()
                .filter(|other| other != path && kind(other) == kind(path))
                .collect();
            let Some(sibling) = rng.pick(&siblings) else {
                return false;
            };
            now = fs::read(dir.join(sibling)).unwrap();
            fs::write(dir.join(sibling), &was).unwrap();
        }
    }
    if wrong != Wrong::Missing {
        fs::write(file, &now).unwrap();
    }
    wrong == Wrong::Missing || now != was
}

/// What a partition shows of the mail.
#[derive(Debug, Default)]
struct Shown {
    /// Messages that could be read, and are right.
    read: BTreeSet<(String, u32)>,
    /// What was refused.
    refused: Vec<String>,
}

/// Reads everything, whole and in part. What is shown must be what was stored, or have been said
/// to be damaged.
async fn show(partition: &Partition, made: &Made, context: &str) -> Shown {
    let mut shown = Shown::default();
    let mail = &made.mail;
    for user in USERS {
        let handle = match partition.open_mailbox(&name(user)).await {
            Ok(handle) => handle,
            Err(e) => {
                shown.refused.push(format!("{user}: {e}"));
                continue;
            }
        };
        let view = handle.view();
        for row in view.rows(1, view.len()) {
            let part = partition.read_body_range(row.location, 10, 50).await;
            let whole = match partition.read_body(row.location).await {
                Ok(whole) => whole,
                Err(e @ StoreError::Corrupt { .. }) => {
                    assert!(
                        part.is_err(),
                        "{context}: a part of what is damaged is shown"
                    );
                    shown.refused.push(format!("{user} {}: {e}", row.uid));
                    continue;
                }
                // Nothing was expunged since: a client would forget the message.
                Err(e) => panic!("{context}: {user} {}: {e}", row.uid),
            };
            let end = whole.len().min(60);
            assert_eq!(part.unwrap(), whole[10.min(end)..end], "{context}");
            let key = (user.to_owned(), row.uid);
            // Under another UIDVALIDITY a UID says nothing.
            let right = mail.get(&key).filter(|_| view.uidvalidity() == 1000);
            match right {
                Some(right) => {
                    assert!(*right == whole, "{context}: {key:?} is another message");
                    shown.read.insert(key);
                }
                // An older home has what was expunged since.
                None => {
                    let its = made.ever.contains(&(user.to_owned(), whole.clone()));
                    assert!(
                        its || whole == raw("fresh"),
                        "{context}: {key:?} is somebody else's"
                    );
                }
            }
        }
    }
    shown
}

/// The messages of which all bytes are in some file, of the journal or put away by a repair.
fn whole_bodies(files: &BTreeMap<PathBuf, Vec<u8>>, mail: &Mail) -> BTreeSet<Bytes> {
    const SUBJECT: &[u8] = b"Subject: ";
    let at = raw("")
        .windows(SUBJECT.len())
        .position(|w| w == SUBJECT)
        .unwrap();
    let line = |from: &[u8]| from.iter().take_while(|&&b| b != b'\r').copied().collect();
    let bodies: BTreeMap<Vec<u8>, &Bytes> = (mail.values())
        .map(|body| (line(&body[at..]), body))
        .collect();
    let mut found = BTreeSet::new();
    for (path, bytes) in files {
        if !path.starts_with("journal") && !path.starts_with("damaged") {
            continue;
        }
        let mut from = at;
        while let Some(next) = bytes
            .get(from..)
            .and_then(|rest| rest.windows(SUBJECT.len()).position(|w| w == SUBJECT))
        {
            from += next;
            if let Some(&body) = bodies.get(&line(&bytes[from..]))
                && bytes[from - at..].starts_with(body)
            {
                found.insert(body.clone());
            }
            from += SUBJECT.len();
        }
    }
    found
}

async fn play(seed: u64) {
    let mut rng = Rng::new(seed);
    let killed = rng.below(2) == 0;
    let made = make(&mut rng, killed).await;
    let root = made.dir.path().join("partition");
    let older = made.older.path().join("partition");
    let all: Vec<PathBuf> = files(&root)
        .into_keys()
        .filter(|p| !is_scratch(p))
        .collect();
    for path in &all {
        let wrong = ALL[rng.below(ALL.len() as u64) as usize];
        let context = format!("seed {seed}, killed {killed}, {} {wrong:?}", path.display());
        let dir = fast_dir();
        copy_dir(made.dir.path(), dir.path());
        let root = dir.path().join("partition");
        if !harm(&root, path, wrong, &older, &mut rng) {
            continue;
        }
        one(&dir, &made, path, wrong, &context).await;
    }
}

async fn one(dir: &TempDir, made: &Made, path: &Path, wrong: Wrong, context: &str) {
    let root = dir.path().join("partition");
    let before = whole_bodies(&files(&root), &made.mail);
    let mail = &made.mail;
    let everything: BTreeSet<_> = mail.keys().cloned().collect();
    let config = || damage_config(dir);
    let opened = Partition::open(config());
    // A tail of which no home knows yet cannot be told from one that was never durable.
    let newest = files(&root).into_keys().filter(|p| is_segment(p)).max();
    let tail = is_segment(path) && newest.is_none_or(|newest| *path >= newest);
    let untold = tail && !made.committed;
    let mut said = Vec::new();
    match opened {
        Err(e) => said.push(e.to_string()),
        Ok(partition) => {
            if let Health::ReadOnly { why } = partition.health() {
                said.push(why);
            }
            let damage = partition.damage();
            if !damage.is_empty() {
                said.push(format!("{damage:?}"));
            }
            let shown = show(&partition, made, context).await;
            // What is met later is said where it is met.
            let silent = said.is_empty() && shown.refused.is_empty();
            if silent && !untold && !lies_in_homes(path, wrong) {
                assert_eq!(shown.read, everything, "{context}: nothing was said");
            }
            partition.shutdown().await.unwrap();
        }
    }
    let after = whole_bodies(&files(&root), mail);
    assert!(
        untold || before.is_subset(&after),
        "{context}: bytes are gone"
    );
    let report = match repair(config()) {
        Ok(report) => report,
        Err(e) => panic!("{context}: {e}; {said:?}"),
    };
    let after = whole_bodies(&files(&root), mail);
    assert!(
        untold || before.is_subset(&after),
        "{context}: bytes are gone"
    );
    let partition = Partition::open(config()).unwrap();
    let context = &format!("{context}, said {said:?}, {report:?}");
    if report.is_whole() {
        assert_eq!(partition.health(), Health::Healthy, "{context}: {report:?}");
        let shown = show(&partition, made, context).await;
        let said = report != Repaired::default() || !shown.refused.is_empty();
        if !said && !untold && !lies_in_homes(path, wrong) {
            assert_eq!(shown.read, everything, "{context}: {said:?}");
        }
        // It works, and nothing that comes is taken for what there was.
        for user in USERS {
            let fresh = raw("fresh");
            let appended = partition
                .append(&name(user), vec![of_bytes(fresh.clone())])
                .await;
            let Ok(appended) = appended else { continue };
            let opened = partition.open_mailbox(&name(user)).await;
            let handle = match opened {
                Ok(handle) => handle,
                // A wrong byte where SQLite looks for its id.
                Err(StoreError::NoSuchMailbox) if lies_in_homes(path, wrong) => continue,
                Err(e) => panic!("{context}: {user} {e} {report:?}"),
            };
            let view = handle.view();
            let row = view.row_by_uid(appended.uids[0]).unwrap();
            assert_eq!(partition.read_body(row.location).await.unwrap(), fresh);
        }
        partition.checkpoint().await.unwrap();
        // After a tail that nobody knows of, UIDs come again: only a master would know.
        if !untold {
            show(&partition, made, context).await;
        }
    }
    partition.shutdown().await.unwrap();
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "seg")
}

/// SQLite has no checksums of its own: a byte that is wrong in a home's database, or a WAL that
/// ends early, may look like what it is not. Bodies are compared all the same.
fn lies_in_homes(path: &Path, wrong: Wrong) -> bool {
    path.starts_with("homes") && matches!(wrong, Wrong::Byte)
}

#[test]
fn every_file_in_every_way() {
    each_seed(0..4, play);
}

/// A wrong byte in a table's definition: SQLite calls it an error of the statement, not of the file.
#[tokio::test]
async fn a_wrong_byte_in_a_schema_is_damage() {
    let made = make(&mut Rng::new(1), false).await;
    let root = made.dir.path().join("partition");
    let files = files(&root);
    let is_home =
        |path: &Path| path.starts_with("homes") && path.extension().is_some_and(|e| e == "db");
    let home = files.keys().find(|path| is_home(path)).unwrap().clone();
    let database = PathBuf::from("partition.db");
    for (path, word) in [
        (&database, "mailboxes BLOB"),
        (&database, "added INTEGER"),
        (&database, "bytes INTEGER NOT NULL,\n    PRIMARY"),
        (&home, "uidvalidity INTEGER"),
        (&home, "seen INTEGER"),
    ] {
        let dir = fast_dir();
        copy_dir(made.dir.path(), dir.path());
        let file = dir.path().join("partition").join(path);
        let mut bytes = fs::read(&file).unwrap();
        let word_bytes = word.as_bytes();
        let at = bytes.windows(word.len()).position(|w| w == word_bytes);
        bytes[at.unwrap()] ^= 1;
        fs::write(&file, bytes).unwrap();
        let context = format!("{} {word:?}", path.display());
        one(&dir, &made, path, Wrong::Byte, &context).await;
    }
}

/// The file of a large body has changed names with one that nothing refers to any more: what is
/// under the dead name must not be removed.
#[test]
fn a_living_file_under_a_dead_name_is_kept() {
    each_seed(5032..5033, play);
}
