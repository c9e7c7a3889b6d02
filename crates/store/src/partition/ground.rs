//! What a start finds on disk before it reads the journal: whose partition it is, what
//! `partition.db` knows, what has become of the homes and the files of the journal.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::catalogue::{Catalogue, HomeListing};
use crate::damage::DamageCell;
use crate::error::StoreError;
use crate::home::{HomeOnDisk, schema};
use crate::identity::{self, Identity, Stamp};
use crate::io::JournalIo;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::files::{SegmentName, files};
use crate::journal::{recovery, segment};
use crate::partition_db::{self, KnownHome, KnownHomes, PartitionDb};

/// Seconds by which the time of a file may be before that of the clock.
const CLOCK_SLACK: i64 = 2;

/// What the journal is read from.
#[derive(Debug)]
pub(super) struct Ground {
    pub db: PartitionDb,
    pub catalogue: Catalogue,
    pub known: KnownHomes,
    /// Why nothing may be written or removed.
    pub why: Option<StoreError>,
    /// The last record that any home has applied, as far as homes had to be looked at.
    pub applied: u64,
    /// The greatest number of a file that such homes refer to.
    pub last_file: u64,
    pub mended: Mended,
}

/// What a repair has done about it.
#[derive(Debug, Default)]
pub(super) struct Mended {
    /// Why `partition.db` was gathered anew, or the identity file was written anew.
    pub why: Option<String>,
    /// Homes that are older than the checkpoint, with their last records.
    pub older: BTreeMap<u64, u64>,
}

/// Who looks.
#[derive(Debug)]
pub(super) struct Looking<'a> {
    /// The partition's directory.
    pub path: &'a Path,
    pub io: &'a dyn JournalIo,
    pub damage: &'a DamageCell,
    /// In repair: what cannot be used is put away and made anew.
    pub mend: bool,
    /// In repair: damaged homes that are given up.
    pub give_up: &'a BTreeSet<u64>,
}

impl Looking<'_> {
    /// Finds out; in a directory that holds nothing of a partition one is made.
    ///
    /// # Errors
    /// [`StoreError::Newer`], [`StoreError::Format`], [`StoreError::DiskFull`],
    /// [`StoreError::Io`].
    pub fn look(&self) -> Result<Ground, StoreError> {
        let stamp = usable(Stamp::read(self.path))?;
        let mut catalogue = Catalogue::default();
        let db = usable(self.open_db(&catalogue))?;
        let is_new = match &db {
            Ok((db, _)) => db.checkpoint.lsn == 0,
            Err(_) => true,
        };
        if matches!(stamp, Ok(None)) && is_new && !identity::holds_mail(self.path)? {
            // The identity file is what is made last.
            let db = match db {
                Ok((db, _)) => db,
                Err(_) => PartitionDb::create(&self.path.join(partition_db::FILE))?,
            };
            self.write_stamp(&db.stamp())?;
            return Ok(Ground::new(db, catalogue));
        }
        let (stamp, db, why) = self.judge(stamp, db)?;
        if db.is_none() {
            catalogue = Catalogue::default();
        }
        let mut ground = match db {
            Some((db, known)) => {
                let mut ground = Ground::new(db, catalogue);
                ground.known = known;
                self.survey(&mut ground)?;
                ground
            }
            None => self.gather(&stamp, None, why.as_ref())?,
        };
        ground.why = why;
        if !self.mend {
            return Ok(ground);
        }
        let give_up = self
            .give_up
            .iter()
            .any(|home| ground.known.contains_key(home));
        if ground.mended.older.is_empty() && !give_up {
            if let Some(why) = ground.why.take() {
                ground.mended.why = Some(why.to_string());
                self.put_away(&[identity::FILE])?;
                self.write_stamp(&ground.db.stamp())?;
            }
            return Ok(ground);
        }
        // What the older homes refer to has to be counted anew.
        let why = StoreError::damaged(partition_db::FILE, "homes are not as it knows them");
        self.gather(&ground.db.stamp(), Some(&ground), Some(&why))
    }

    fn open_db(&self, catalogue: &Catalogue) -> Result<(PartitionDb, KnownHomes), StoreError> {
        let db = PartitionDb::open(&self.path.join(partition_db::FILE))?;
        let known = db.load(catalogue)?;
        Ok((db, known))
    }

    fn write_stamp(&self, stamp: &Stamp) -> Result<(), StoreError> {
        let written = stamp.write(self.path);
        written.map_err(|e| StoreError::io("writing the identity file", &e))
    }

    /// Says what is to be used of the identity file and `partition.db`, and what is wrong.
    #[expect(clippy::type_complexity, reason = "it is taken apart at once")]
    fn judge(
        &self,
        stamp: Result<Option<Stamp>, StoreError>,
        db: Result<(PartitionDb, KnownHomes), StoreError>,
    ) -> Result<(Stamp, Option<(PartitionDb, KnownHomes)>, Option<StoreError>), StoreError> {
        let identity_file = self.path.join(identity::FILE);
        let db_file = self.path.join(partition_db::FILE);
        let journal = recovery::ends(self.io, &self.path.join("journal"))?;
        // Where two places agree, a foreign segment is what is foreign.
        let agree = match (&stamp, &db) {
            (Ok(Some(stamp)), Ok((db, _))) => is_same(stamp, db),
            _ => false,
        };
        let ours = |tag: u64| {
            agree || journal.is_none_or(|(oldest, newest)| [oldest.tag, newest.tag].contains(&tag))
        };
        let (stamp, stamp_why) = match stamp {
            Ok(Some(stamp)) if ours(stamp.tag) => (Some(stamp), None),
            Ok(Some(_)) => {
                let why = StoreError::damaged(identity_file, "it is another partition's");
                (None, Some(why))
            }
            Ok(None) => (
                None,
                Some(StoreError::damaged(identity_file, "it is missing")),
            ),
            Err(e) => (None, Some(e)),
        };
        let (db, db_why) = match db {
            Ok((db, _)) if !ours(db.tag) || stamp.is_some_and(|s| !is_same(&s, &db)) => {
                let why = StoreError::damaged(db_file, "it is another partition's");
                (None, Some(why))
            }
            Ok((db, _)) if stamp.is_some_and(|s| s.checkpoint.lsn > db.checkpoint.lsn) => {
                let at = db.checkpoint.lsn;
                let why = format!("it is older than the last checkpoint: of record {at}");
                (None, Some(StoreError::damaged(db_file, why)))
            }
            Ok(usable) => (Some(usable), None),
            Err(e) => (None, Some(e)),
        };
        let stamp = match (stamp, &db) {
            (_, Some((db, _))) => db.stamp(),
            (Some(stamp), None) => stamp,
            (None, None) => of_journal(journal.map(|(oldest, _)| oldest)),
        };
        Ok((stamp, db, db_why.or(stamp_why)))
    }

    /// Looks at the homes that may have changed since the checkpoint, or been changed by somebody
    /// else: whose file's times are later. No other home can have anything of a later record.
    fn survey(&self, ground: &mut Ground) -> Result<(), StoreError> {
        let dir = self.path.join("homes");
        let (tag, began) = (ground.db.tag, ground.db.checkpoint.began);
        let on_disk: HashSet<u64> = homes(&dir)?.into_iter().collect();
        let durable = ground.known.iter().filter(|(_, known)| known.durable);
        for (&home, _) in durable {
            if !on_disk.contains(&home) {
                self.damaged(&schema::missing(home));
            }
        }
        for home in on_disk {
            let known = ground.known.get(&home).copied();
            let known = known.filter(|known| known.durable);
            let error = |e: io::Error| StoreError::io("looking at a home", &e);
            if known.is_some() && changed(&dir, home).map_err(error)? < began - CLOCK_SLACK {
                continue;
            }
            match HomeOnDisk::look(&dir, home, tag, None) {
                Ok(found) => {
                    ground.met(&found);
                    if let Some(known) = known.filter(|known| found.applied_lsn < known.lsn) {
                        let (is, was) = (found.applied_lsn, known.lsn);
                        if self.mend {
                            ground.mended.older.insert(home, is);
                            continue;
                        }
                        self.damaged(&StoreError::HomeDamaged {
                            home,
                            why: format!("its file is older: it ends at record {is}, not {was}"),
                        });
                    }
                }
                // One that is made anew may be anything.
                Err(StoreError::HomeDamaged { .. }) if known.is_none() => {}
                Err(e @ StoreError::HomeDamaged { .. }) => self.damaged(&e),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn damaged(&self, error: &StoreError) {
        if let StoreError::HomeDamaged { home, why } = error {
            self.damage.home(*home, why);
        }
    }

    /// Gathers what `partition.db` knew from the homes: in memory, or in a repair in its place.
    /// `before` is what was known of homes that cannot be read now.
    fn gather(
        &self,
        stamp: &Stamp,
        before: Option<&Ground>,
        why: Option<&StoreError>,
    ) -> Result<Ground, StoreError> {
        let dir = self.path.join("homes");
        let mut found = Vec::new();
        for home in homes(&dir)? {
            if self.mend && self.give_up.contains(&home) {
                self.put_home_away(home)?;
                self.damage.forget_home(home);
                continue;
            }
            match HomeOnDisk::look(&dir, home, stamp.tag, Some(stamp.checkpoint.lsn)) {
                Ok(home) => found.push(home),
                Err(e @ StoreError::HomeDamaged { .. }) => self.damaged(&e),
                Err(e) => return Err(e),
            }
        }
        settle(&mut found);
        let mut lost: Vec<(u64, HomeListing, KnownHome)> = Vec::new();
        if let Some(before) = before {
            let there: HashSet<u64> = found.iter().map(|home| home.id).collect();
            for (&home, &known) in &before.known {
                let given_up = self.give_up.contains(&home);
                if given_up {
                    self.damage.forget_home(home);
                } else if !there.contains(&home)
                    && let Some(key) = before.catalogue.key(home)
                {
                    let listing = (key, before.catalogue.home_mailboxes(home));
                    lost.push((home, listing, known));
                }
            }
        }
        if self.mend {
            self.keep_bodies(stamp, before, &found)?;
        }
        let (db_path, new) = (
            self.path.join(partition_db::FILE),
            self.path.join("partition.db.new"),
        );
        let db = if self.mend {
            for part in ["", "-wal", "-shm"] {
                remove(&self.path.join(format!("partition.db.new{part}")))?;
            }
            drop(PartitionDb::gather(Some(&new), stamp, &found, &lost)?);
            self.put_away(&[
                identity::FILE,
                partition_db::FILE,
                "partition.db-wal",
                "partition.db-shm",
            ])?;
            let moved = fs::rename(&new, &db_path).and_then(|()| File::open(self.path)?.sync_all());
            moved.map_err(|e| StoreError::io("putting partition.db in its place", &e))?;
            let db = PartitionDb::open(&db_path)?;
            self.write_stamp(&db.stamp())?;
            db
        } else {
            PartitionDb::gather(None, stamp, &found, &lost)?
        };
        let catalogue = Catalogue::default();
        let known = db.load(&catalogue)?;
        let mut ground = Ground::new(db, catalogue);
        ground.known = known;
        for home in &found {
            ground.met(home);
        }
        if let Some(before) = before {
            ground.mended.older.clone_from(&before.mended.older);
        }
        ground.mended.why = why.map(ToString::to_string);
        Ok(ground)
    }

    /// Links files to `damaged` in which homes had bodies that they do not refer to any more, as far
    /// as that is known, and those to which nobody is known to refer.
    fn keep_bodies(
        &self,
        stamp: &Stamp,
        before: Option<&Ground>,
        found: &[HomeOnDisk],
    ) -> Result<(), StoreError> {
        let dir = self.path.join("journal");
        let mut keep: BTreeSet<u64> = BTreeSet::new();
        match before {
            Some(before) => {
                let there: HashSet<u64> = found.iter().map(|home| home.id).collect();
                let older = before.mended.older.keys();
                let gone = before.known.keys().filter(|home| !there.contains(home));
                for home in older.chain(gone) {
                    keep.extend(before.db.files_of(*home)?);
                }
            }
            None => {
                let used: HashSet<u64> = (found.iter())
                    .flat_map(|home| home.segments.keys().copied())
                    .collect();
                let Checkpoint {
                    segment, last_file, ..
                } = stamp.checkpoint;
                for file in files(self.io, &dir)? {
                    let number = file.number();
                    if number <= last_file && number < segment && !used.contains(&number) {
                        keep.insert(number);
                    }
                }
            }
        }
        let to = self.path.join("damaged");
        let link_all = || -> io::Result<()> {
            for number in keep {
                for name in [SegmentName::Journal(number), SegmentName::Blob(number)] {
                    link(&name.path(&dir), &to)?;
                }
            }
            Ok(())
        };
        link_all().map_err(|e| StoreError::io("keeping bodies", &e))
    }

    /// Moves files of the partition to its directory `damaged`.
    fn put_away(&self, names: &[&str]) -> Result<(), StoreError> {
        let to = self.path.join("damaged");
        let put = || -> io::Result<()> {
            fs::create_dir_all(&to)?;
            for name in names {
                put_away(&self.path.join(name), &to)?;
            }
            File::open(&to)?.sync_all()
        };
        put().map_err(|e| StoreError::io("putting damaged files away", &e))
    }

    fn put_home_away(&self, home: u64) -> Result<(), StoreError> {
        let to = self.path.join("damaged");
        let path = schema::path(&self.path.join("homes"), home);
        let put = || -> io::Result<()> {
            fs::create_dir_all(&to)?;
            for extension in ["db", "db-wal", "db-shm"] {
                put_away(&path.with_extension(extension), &to)?;
            }
            File::open(&to)?.sync_all()
        };
        put().map_err(|e| StoreError::io("putting a damaged home away", &e))
    }

    /// Whether every file in which bodies live is there, and as long as it has to be.
    pub fn check_files(&self, db: &PartitionDb) -> Result<(), StoreError> {
        let dir = self.path.join("journal");
        for file in db.living()? {
            let names = [
                SegmentName::Journal(file.number),
                SegmentName::Blob(file.number),
            ];
            let opened = names
                .iter()
                .find_map(|name| match self.io.open(&name.path(&dir)) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                    opened => Some(opened),
                });
            let Some(opened) = opened else {
                self.damage.file(file.number, "it is missing");
                continue;
            };
            let read = opened.and_then(|opened| {
                let mut header = [0; segment::HEADER_BYTES as usize];
                let size = opened.size()?;
                let whole = size >= segment::HEADER_BYTES;
                if whole {
                    opened.read_exact_at(&mut header, 0)?;
                }
                Ok((size, header))
            });
            let (size, header) = match read {
                Ok(read) => read,
                Err(e) => {
                    self.damage
                        .file(file.number, &format!("it cannot be read: {e}"));
                    continue;
                }
            };
            let least = (segment::HEADER_BYTES + file.largest).max(file.size);
            let header = segment::Header::decode(&header);
            if size < least {
                let why = format!("it has {size} bytes, not {least}");
                self.damage.file(file.number, &why);
            } else if header.is_none_or(|h| (h.tag, h.number) != (db.tag, file.number)) {
                self.damage.file(file.number, "its header is damaged");
            }
        }
        Ok(())
    }
}

impl Ground {
    fn new(db: PartitionDb, catalogue: Catalogue) -> Self {
        Self {
            db,
            catalogue,
            known: KnownHomes::new(),
            why: None,
            applied: 0,
            last_file: 0,
            mended: Mended::default(),
        }
    }

    fn met(&mut self, home: &HomeOnDisk) {
        self.applied = self.applied.max(home.applied_lsn);
        self.last_file = self.last_file.max(home.last_file);
    }
}

fn is_same(stamp: &Stamp, db: &PartitionDb) -> bool {
    (stamp.identity, stamp.tag) == (db.identity, db.tag)
}

/// Tells what cannot be used from what keeps the partition from being opened at all.
fn usable<T>(result: Result<T, StoreError>) -> Result<Result<T, StoreError>, StoreError> {
    match result {
        Ok(usable) => Ok(Ok(usable)),
        Err(e @ StoreError::Damaged { .. }) => Ok(Err(e)),
        Err(e) => Err(e),
    }
}

/// All that is known when only the journal is left: this is another copy of the partition then.
fn of_journal(oldest: Option<segment::Header>) -> Stamp {
    let mut identity = Identity::new();
    let mut checkpoint = Checkpoint::default();
    let mut tag = 1;
    if let Some(header) = oldest {
        identity.partition = header.partition;
        tag = header.tag;
        checkpoint.lsn = header.first_lsn.saturating_sub(1);
        checkpoint.segment = header.number;
    }
    Stamp {
        identity,
        tag,
        checkpoint,
        last_home: 0,
    }
}

fn homes(dir: &Path) -> Result<Vec<u64>, StoreError> {
    schema::homes(dir).map_err(|e| StoreError::io("listing the homes", &e))
}

/// A home that has given its name to another, and has nothing of its own, is not listed with it.
fn settle(homes: &mut [HomeOnDisk]) {
    let mut owners: BTreeMap<String, usize> = BTreeMap::new();
    for at in 0..homes.len() {
        let Some(&other) = owners.get(&homes[at].key) else {
            owners.insert(homes[at].key.clone(), at);
            continue;
        };
        let loser = match homes[at].listed.is_empty() {
            true => at,
            false => {
                owners.insert(homes[at].key.clone(), at);
                other
            }
        };
        if homes[loser].listed.is_empty() {
            homes[loser].key.clear();
        }
    }
}

/// When a home's files were changed last, in seconds since 1970: their content, or what they are,
/// which nobody can set back.
fn changed(dir: &Path, home: u64) -> io::Result<i64> {
    let mut latest = 0;
    for path in [schema::path(dir, home), schema::wal_path(dir, home)] {
        match fs::metadata(path) {
            Ok(file) => latest = latest.max(file.mtime()).max(file.ctime()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(latest)
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("removing an unfinished file", &e))
        }
        _ => Ok(()),
    }
}

/// Keeps a file in another directory of the same file system as well, if it is there.
pub(super) fn link(file: &Path, to: &Path) -> io::Result<()> {
    let kept = to.join(file.file_name().unwrap_or_default());
    if !file.exists() || kept.exists() {
        return Ok(());
    }
    fs::create_dir_all(to)?;
    fs::hard_link(file, kept)?;
    File::open(to)?.sync_all()
}

/// Moves a file to a directory, beside what was put there before.
fn put_away(file: &Path, to: &Path) -> io::Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut target = to.join(&*name);
    let mut nth = 1;
    while target.exists() {
        target = to.join(format!("{name}.{nth}"));
        nth += 1;
    }
    match fs::rename(file, target) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved,
    }
}
