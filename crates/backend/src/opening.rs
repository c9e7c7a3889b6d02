//! Whether a directory is the partition that its name stands for, before it is opened.
//!
//! The master knows which partition, and which copy of it, each name stands for, and how far that
//! had come; the replica's copy on disk knows the same when the master is away, and the node's own
//! [memory](crate::memory) for a backend that works alone. A directory that is empty, another one's
//! or older is not opened: the others are served, and an operator decides.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use murder_location::{MupdateError, PartitionIdentity};
use murder_net::Actor;
use murder_store::io::JournalIo;
use murder_store::{Found, Identity, Partition, PutBack, Report, StoreError};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use crate::memory::{Memory, Pending, Remembered};
use crate::node::{Cluster, Node};
use crate::partitions::{State, served_by};
use crate::settlement::{self, Settled};
use crate::status::condition_of;
use crate::transfer;

/// How long a start asks the master what the partitions must be; after that its copy counts.
const ASK: Duration = Duration::from_secs(3);

/// What opens partitions.
#[derive(Debug)]
pub(crate) struct Opener {
    io: Arc<dyn JournalIo>,
    /// What the node remembers of them by itself.
    pub memory: Memory,
    /// How far UIDs may run beyond what the master knows, if not as far as the store has it.
    uid_gap: Option<u32>,
    /// One at a time: the node by itself, or an operator.
    one: Mutex<()>,
}

/// What a partition must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The node that serves it, if that is another one.
    pub owner: Option<String>,
    /// `None`: nobody has ever opened one of that name.
    pub identity: Option<Identity>,
    /// How far it had come at least.
    pub report: Report,
    /// The number of its last change of owner, which its records carry.
    pub epoch: u64,
    /// Mailboxes that the master has in it; not counted without one.
    pub mailboxes: u64,
}

/// An operator's decision about a directory that is not what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The partition is lost: an empty one takes its name.
    Init {
        /// And the master forgets its mailboxes.
        forget: bool,
    },
    /// What is in the directory takes the name.
    Adopt,
    /// It is an older copy of the partition.
    Restored,
}

/// What an operator is told.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    pub expected: Expected,
    /// What the directory holds.
    pub found: String,
    /// Records of the journal that are not there.
    pub missing: u64,
    pub settled: Vec<Settled>,
}

/// Why an operator's word was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WordError {
    /// There is no such partition here.
    #[error("there is no partition {0:?} in this backend's configuration")]
    Unknown(String),
    /// It does not fit what is there.
    #[error("{0}")]
    Unfit(String),
    /// It could not be done; it can be tried again.
    #[error("{0:#}")]
    Failed(anyhow::Error),
}

impl Opener {
    pub fn new(io: Arc<dyn JournalIo>, memory: Memory, uid_gap: Option<u32>) -> Self {
        Self {
            io,
            memory,
            uid_gap,
            one: Mutex::default(),
        }
    }
}

fn to_master(identity: Identity) -> PartitionIdentity {
    PartitionIdentity {
        id: identity.partition,
        copy: identity.copy,
    }
}

const fn from_master(identity: PartitionIdentity) -> Identity {
    Identity {
        partition: identity.id,
        copy: identity.copy,
    }
}

/// A report, as the master has it.
pub(crate) const fn report_to_master(report: Report) -> murder_location::Report {
    murder_location::Report {
        lsn: report.lsn,
        uids: report.uids,
    }
}

/// An identity, as the master has it.
pub(crate) fn identity_to_master(partition: &Partition) -> PartitionIdentity {
    to_master(partition.identity())
}

/// Whether the directory may be opened under the name; `Ok(true)`: nothing is known of it and
/// nothing is there, so that it is made.
///
/// # Errors
/// What was expected, what was found, and what helps.
fn decide(place: &str, path: &Path, expected: &Expected, found: &Found) -> Result<bool, String> {
    let path = path.display();
    let lost = format!("If it is lost for good: `murder partition init {place}`");
    let Some(known) = expected.identity else {
        return match found {
            Found::Nothing if expected.mailboxes > 0 => Err(format!(
                "{path} is empty, but {} mailboxes are recorded in {place}. Is the disk mounted? \
                 {lost}",
                expected.mailboxes
            )),
            Found::Nothing => Ok(true),
            Found::Partition { .. } | Found::Damaged { .. } => Ok(false),
        };
    };
    let Report { lsn, .. } = expected.report;
    let (identity, ends_at) = match found {
        Found::Nothing => {
            return Err(format!(
                "{path} is empty, but {place} is partition {known}, which had come to record \
                 {lsn}. Is the disk mounted? {lost}"
            ));
        }
        // The store says what is wrong, as it opens it.
        Found::Damaged { identity: None, .. } => return Ok(false),
        Found::Damaged {
            identity: Some(identity),
            ..
        } => (*identity, lsn),
        Found::Partition { identity, lsn } => (*identity, *lsn),
    };
    if identity.partition != known.partition {
        return Err(format!(
            "{path} is another partition, {identity}, but {place} is {known}. If it shall be \
             {place} from now on: `murder partition adopt {place}`"
        ));
    }
    if ends_at < lsn {
        return Err(format!(
            "{path} is an older copy of {place}: it ends at record {ends_at}, and {lsn} was there \
             already. If there is nothing newer to put back: `murder partition restored {place}`"
        ));
    }
    if identity.copy != known.copy {
        return Err(format!(
            "{path} is another copy of {place}, {identity}, than {known}. If it shall be the one \
             that is served: `murder partition adopt {place}`"
        ));
    }
    Ok(false)
}

fn describe(found: &Found) -> String {
    match found {
        Found::Nothing => "nothing".to_owned(),
        Found::Partition { identity, lsn } => {
            format!("partition {identity}, which ends at record {lsn}")
        }
        Found::Damaged { why, .. } => format!("a damaged partition ({why})"),
    }
}

impl Node {
    /// What each partition must be.
    async fn expected(&self) -> BTreeMap<String, Expected> {
        let node = &self.config.node.name;
        let described = match &self.cluster {
            Some(cluster) => {
                let asked = timeout(ASK, cluster.client.describe_partitions(node)).await;
                match asked {
                    Ok(Ok(described)) => Some(described),
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "the master does not say what the partitions are");
                        None
                    }
                    Err(_) => {
                        tracing::warn!("the master does not say what the partitions are");
                        None
                    }
                }
            }
            None => None,
        };
        let all = self.partitions.names().map(|name| {
            let place = format!("{node}!{name}");
            let of_master = match (&described, &self.cluster) {
                (Some(described), _) => {
                    let mut all = described.iter();
                    all.find(|described| described.partition.name == place)
                        .map(|described| (described.partition.clone(), described.mailboxes))
                }
                (None, Some(cluster)) => cluster.replica.partition(&place).map(|p| (p, 0)),
                (None, None) => None,
            };
            let mut expected = Expected::default();
            if let Some((partition, mailboxes)) = of_master {
                expected.mailboxes = mailboxes;
                expected.identity = partition.identity.map(from_master);
                expected.epoch = partition.epoch;
                expected.owner = another(partition.owner, node);
                expected.report = Report {
                    lsn: partition.report.lsn,
                    uids: partition.report.uids,
                };
            }
            if let Some(Remembered {
                identity, report, ..
            }) = self.opener.memory.of(name)
            {
                if expected.identity.is_none() {
                    expected.identity = Some(identity);
                    expected.report = report;
                } else if expected.identity == Some(identity) {
                    expected.report.lsn = expected.report.lsn.max(report.lsn);
                    expected.report.uids = expected.report.uids.max(report.uids);
                }
            }
            (name.clone(), expected)
        });
        all.collect()
    }

    /// Opens those partitions that are not open, if they are what they must be. Returns the names
    /// of those that it has opened.
    ///
    /// # Errors
    /// When another process has one: then this is a second one of the node, by mistake.
    pub(crate) async fn open_partitions(self: &Arc<Self>) -> anyhow::Result<Vec<String>> {
        let _one = self.opener.one.lock().await;
        let closed = self.partitions.not_open();
        if closed.is_empty() {
            return Ok(Vec::new());
        }
        let expected = self.expected().await;
        let mut opening = tokio::task::JoinSet::new();
        for (name, _) in closed {
            let expected = expected.get(&name).cloned().unwrap_or_default();
            if let Some(owner) = &expected.owner {
                self.follow(&name, owner).await;
                continue;
            }
            let node = Arc::clone(self);
            opening.spawn(async move {
                let opened = node.open_if_expected(&name, &expected).await;
                (name, opened)
            });
        }
        let mut opened = Vec::new();
        let mut in_use = None;
        while let Some(done) = opening.join_next().await {
            match done {
                Ok((name, Ok(partition))) => {
                    self.serve_partition(&name, partition).await;
                    opened.push(name);
                }
                Ok((name, Err(error))) => {
                    self.leave_closed(&name, &format!("{error:#}"));
                    if is_in_use(&error) {
                        in_use = Some(error.context(format!("partition {name:?}")));
                    }
                }
                Err(error) => tracing::error!(%error, "opening a partition"),
            }
        }
        match in_use {
            Some(error) => Err(error),
            None => Ok(opened),
        }
    }

    async fn open_if_expected(
        self: &Arc<Self>,
        name: &str,
        expected: &Expected,
    ) -> anyhow::Result<Arc<Partition>> {
        let section = self.section(name).context("it is not configured")?;
        let path = section.path.clone();
        let found = inspect(path.clone()).await?;
        let create = decide(&self.place_of(name), &path, expected, &found);
        let create = create.map_err(anyhow::Error::msg)?;
        let partition = self.open_as(name, create, expected.epoch).await?;
        let remembered = self.opener.memory.of(name);
        let pending = remembered
            .filter(|remembered| remembered.identity == partition.identity())
            .and_then(|remembered| remembered.pending);
        if let Some(pending) = pending {
            // An earlier process was cut off while it carried an operator's word out.
            if let Err(error) = self.carry_out(name, &partition, pending).await {
                close(&partition).await;
                return Err(error.context("what an operator decided is not done yet"));
            }
        }
        Ok(partition)
    }

    fn section(&self, name: &str) -> Option<&crate::PartitionSection> {
        self.config.partitions.get(name)
    }

    pub(crate) fn place_of(&self, name: &str) -> String {
        format!("{}!{name}", self.config.node.name)
    }

    async fn open_as(
        &self,
        name: &str,
        create: bool,
        epoch: u64,
    ) -> anyhow::Result<Arc<Partition>> {
        let section = self.section(name).context("it is not configured")?;
        let config = section.to_store(name);
        let config = murder_store::PartitionConfig {
            uid_gap: self.opener.uid_gap.unwrap_or(config.uid_gap),
            index_texts: self.config.search.index,
            has_master: self.cluster.is_some(),
            create,
            epoch,
            ..config
        };
        let io = Arc::clone(&self.opener.io);
        let opening = tokio::task::spawn_blocking(move || Partition::open_with(config, io));
        Ok(opening.await??)
    }

    async fn serve_partition(self: &Arc<Self>, name: &str, partition: Arc<Partition>) {
        transfer::resume(self, &partition).await;
        self.remember(&partition, None);
        tracing::info!(
            partition = self.place_of(name),
            identity = %partition.identity(),
            "open"
        );
        self.health.ok(&condition_of(name));
        let served = self.shutdown.token().child_token();
        self.partitions.set(name, State::Open { partition, served });
    }

    /// Compares what is open with what the master knows, which was away when it was opened: what
    /// must not be served is closed, before the master is told anything of it.
    ///
    /// # Errors
    /// When the master is away, or refuses.
    pub(crate) async fn check_open(&self, cluster: &Cluster) -> Result<(), MupdateError> {
        let node = &self.config.node.name;
        let described = cluster.client.describe_partitions(node).await?;
        let _one = self.opener.one.lock().await;
        for partition in self.partitions.open().iter() {
            let name = &partition.config().name;
            let place = self.place_of(name);
            let mut all = described.iter().map(|described| &described.partition);
            let Some(record) = all.find(|record| record.name == place) else {
                continue;
            };
            if let Some(owner) = another(record.owner.clone(), node) {
                self.follow(name, &owner).await;
                continue;
            }
            let Some(identity) = record.identity.map(from_master) else {
                continue;
            };
            let expected = Expected {
                owner: None,
                identity: Some(identity),
                report: Report {
                    lsn: record.report.lsn,
                    uids: record.report.uids,
                },
                epoch: record.epoch,
                mailboxes: 0,
            };
            // After the master's word: it goes on growing, and the master heard it from here.
            let found = Found::Partition {
                identity: partition.identity(),
                lsn: partition.report().lsn,
            };
            let path = &partition.config().path;
            if let Err(why) = decide(&place, path, &expected, &found) {
                let why =
                    format!("closed again: it was opened while the master was away, but {why}");
                tracing::error!(partition = place, why, "a partition is not served any more");
                self.health.unhealthy(&condition_of(name), why.clone());
                self.leave(name, State::Closed { why }).await;
            } else if let Err(error) = partition.raise_epoch(record.epoch).await {
                tracing::warn!(partition = place, %error, "its records do not carry the new epoch");
            }
        }
        Ok(())
    }

    /// Leaves a partition to the node that serves it.
    async fn follow(&self, name: &str, owner: &str) {
        let place = self.place_of(name);
        let owner = owner.to_owned();
        tracing::info!(
            partition = place,
            owner,
            "another node serves the partition"
        );
        self.health.ok(&condition_of(name));
        self.leave(name, State::Follower { owner }).await;
    }

    /// Serves a partition no more, if it does: sessions that have a mailbox of it go.
    pub(crate) async fn leave(&self, name: &str, next: State) {
        if let Some(State::Open { partition, .. }) = self.partitions.set(name, next) {
            self.look_now.notify_one();
            close(&partition).await;
        }
    }

    /// Notes what a partition is and how far it has come.
    pub(crate) fn remember(&self, partition: &Partition, pending: Option<Pending>) {
        let remembered = Remembered {
            identity: partition.identity(),
            report: partition.report(),
            pending,
        };
        let name = &partition.config().name;
        self.opener.memory.note(name, remembered);
    }

    fn leave_closed(&self, name: &str, why: &str) {
        let why = format!("not open: {why}");
        let next = State::Closed { why: why.clone() };
        let before = self.partitions.set(name, next);
        if !matches!(before, Some(State::Closed { why: known }) if known == why) {
            tracing::error!(
                partition = self.place_of(name),
                why,
                "a partition is not served"
            );
        }
        self.health.unhealthy(&condition_of(name), why);
    }

    /// Carries an operator's word about a partition out; with `dry_run` only says what there is.
    ///
    /// # Errors
    /// See [`WordError`].
    pub(crate) async fn carry_word(
        self: &Arc<Self>,
        name: &str,
        word: Word,
        dry_run: bool,
        operator: &str,
    ) -> Result<Carried, WordError> {
        let one = self.opener.one.lock().await;
        let Some(section) = self.section(name) else {
            return Err(WordError::Unknown(name.to_owned()));
        };
        let place = self.place_of(name);
        if self.partitions.get(name).is_some() {
            let message = format!("{place} is open: it is what it must be");
            return Err(WordError::Unfit(message));
        }
        let failed = |error| WordError::Failed(error);
        let expected = self.expected().await.remove(name).unwrap_or_default();
        if let Some(owner) = &expected.owner {
            return Err(WordError::Unfit(format!("{place}: {}", served_by(owner))));
        }
        let found = inspect(section.path.clone()).await.map_err(failed)?;
        let made_for_init = self.opener.memory.of(name).is_some_and(|remembered| {
            matches!(&found, Found::Partition { identity, .. } if *identity == remembered.identity)
                && matches!(
                    remembered.pending,
                    Some(Pending::Init | Pending::InitAndForget)
                )
        });
        check(
            &place,
            &section.path,
            word,
            &expected,
            &found,
            made_for_init,
        )
        .map_err(WordError::Unfit)?;
        let ends_at = match &found {
            Found::Partition { lsn, .. } => *lsn,
            Found::Nothing | Found::Damaged { .. } => 0,
        };
        let mut carried = Carried {
            found: describe(&found),
            missing: match word {
                Word::Restored => expected.report.lsn.saturating_sub(ends_at),
                Word::Init { .. } | Word::Adopt => 0,
            },
            expected,
            settled: Vec::new(),
        };
        if dry_run {
            return Ok(carried);
        }
        if let Some(cluster) = &self.cluster {
            // Without the master nothing is begun that only it can end.
            let reached = cluster.client.barrier().await;
            reached.map_err(|error| failed(error.into()))?;
        }
        murder_net::audit!(
            "partition.open",
            for &Actor::operator(operator),
            partition = place,
            word = ?word
        );
        let partition = self
            .take_over(&one, name, word, &carried, operator)
            .await
            .map_err(failed)?;
        let pending = match word {
            Word::Init { forget: false } => Some(Pending::Init),
            Word::Init { forget: true } => Some(Pending::InitAndForget),
            Word::Restored => Some(Pending::Restored),
            Word::Adopt => None,
        };
        if let Some(pending) = pending {
            match self.carry_out(name, &partition, pending).await {
                Ok(settled) => carried.settled = settled,
                Err(error) => {
                    close(&partition).await;
                    return Err(failed(error));
                }
            }
        }
        self.serve_partition(name, partition).await;
        drop(one);
        self.look_now.notify_one();
        self.changes.wake();
        Ok(carried)
    }

    /// Makes the directory what its name stands for, here and at the master. It is not served yet.
    async fn take_over(
        &self,
        _one: &MutexGuard<'_, ()>,
        name: &str,
        word: Word,
        carried: &Carried,
        operator: &str,
    ) -> anyhow::Result<Arc<Partition>> {
        let expected = &carried.expected;
        let create = matches!(word, Word::Init { .. });
        let partition = self.open_as(name, create, expected.epoch).await?;
        let taken = async {
            let pending = match word {
                Word::Init { forget: false } => Some(Pending::Init),
                Word::Init { forget: true } => Some(Pending::InitAndForget),
                Word::Restored => Some(Pending::Restored),
                Word::Adopt => None,
            };
            if word == Word::Restored {
                let put_back = PutBack {
                    known: Some(expected.report),
                    uidvalidity: 0,
                };
                let restored = partition.restored(put_back).await?;
                tracing::warn!(
                    partition = self.place_of(name),
                    jumped = restored.jumped,
                    renewed = restored.renewed.len(),
                    damaged_homes = restored.damaged_homes.len(),
                    "an older copy goes on beyond what clients saw"
                );
            }
            self.remember(&partition, pending);
            if let Some(cluster) = &self.cluster {
                let place = self.place_of(name);
                let identity = identity_to_master(&partition);
                let report = report_to_master(partition.report());
                let instead_of = expected.identity.map(to_master);
                self.master_of(cluster, &partition)
                    .adopt_partition(&place, identity, report, instead_of, operator)
                    .await?;
            }
            anyhow::Ok(())
        };
        match taken.await {
            Ok(()) => Ok(partition),
            Err(error) => {
                close(&partition).await;
                Err(error)
            }
        }
    }

    /// Brings a partition that was decided about together with the master, before it is served.
    async fn carry_out(
        &self,
        name: &str,
        partition: &Arc<Partition>,
        pending: Pending,
    ) -> anyhow::Result<Vec<Settled>> {
        let Some(cluster) = &self.cluster else {
            return Ok(Vec::new());
        };
        let place = self.place_of(name);
        let master = self.master_of(cluster, partition);
        match pending {
            Pending::InitAndForget => settlement::forget(&master, &place).await,
            Pending::Init | Pending::Restored => {
                settlement::settle(&master, &place, partition).await
            }
        }
    }
}

/// Whether an operator's word fits what is there.
fn check(
    place: &str,
    path: &Path,
    word: Word,
    expected: &Expected,
    found: &Found,
    made_for_init: bool,
) -> Result<(), String> {
    let path = path.display();
    let held = describe(found);
    let known = expected.identity;
    match (word, found) {
        (Word::Init { .. }, Found::Nothing) => Ok(()),
        (Word::Init { .. }, _) if made_for_init => Ok(()),
        (Word::Init { .. }, _) => Err(format!(
            "{path} is not empty: it holds {held}. Move that away first"
        )),
        (Word::Adopt | Word::Restored, Found::Nothing) => Err(format!(
            "{path} is empty: there is nothing to serve as {place}"
        )),
        (Word::Adopt | Word::Restored, Found::Damaged { .. }) => {
            Err(format!("{path} holds {held}: see `murder repair` first"))
        }
        (Word::Adopt, Found::Partition { identity, lsn }) => match known {
            Some(known) if known == *identity && *lsn >= expected.report.lsn => {
                Err(format!("{path} is {place} already"))
            }
            Some(known) if known.partition == identity.partition && *lsn < expected.report.lsn => {
                Err(format!(
                    "{path} is an older copy of {place}: `murder partition restored {place}` keeps \
                     clients from taking new messages for old ones"
                ))
            }
            _ => Ok(()),
        },
        (Word::Restored, Found::Partition { identity, lsn }) => match known {
            None => Err(format!("nothing is known of {place} that could be newer")),
            Some(known) if known.partition != identity.partition => Err(format!(
                "{path} is another partition than {place}, not an older copy of it: see `murder \
                 partition adopt {place}`"
            )),
            Some(_) if *lsn >= expected.report.lsn => {
                Err(format!("{path} is not older than what is known of {place}"))
            }
            Some(_) => Ok(()),
        },
    }
}

fn is_in_use(error: &anyhow::Error) -> bool {
    let mut causes = error.chain();
    causes.any(|cause| matches!(cause.downcast_ref(), Some(StoreError::InUse(_))))
}

/// The owner of a partition, unless that is this node.
fn another(owner: String, node: &str) -> Option<String> {
    (!owner.is_empty() && owner != node).then_some(owner)
}

async fn inspect(path: std::path::PathBuf) -> anyhow::Result<Found> {
    let looked = tokio::task::spawn_blocking(move || murder_store::inspect(&path));
    Ok(looked.await??)
}

/// Closes a partition that will not be served.
async fn close(partition: &Partition) {
    if let Err(error) = partition.shutdown().await {
        let name = &partition.config().name;
        tracing::warn!(partition = name, %error, "not closed cleanly");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn identity(partition: u8, copy: u8) -> Identity {
        Identity {
            partition: [partition; 16],
            copy: [copy; 16],
        }
    }

    fn partition(partition: u8, copy: u8, lsn: u64) -> Found {
        Found::Partition {
            identity: identity(partition, copy),
            lsn,
        }
    }

    fn expected(lsn: u64) -> Expected {
        Expected {
            owner: None,
            identity: Some(identity(1, 1)),
            report: Report { lsn, uids: 0 },
            epoch: 1,
            mailboxes: 3,
        }
    }

    fn damaged(of: Option<Identity>) -> Found {
        Found::Damaged {
            why: "rotten".into(),
            identity: of,
        }
    }

    #[test]
    fn only_what_a_name_stands_for_is_opened() {
        let nobody = Expected::default();
        let recorded = Expected {
            mailboxes: 3,
            ..Expected::default()
        };
        let known = expected(10);
        let path = Path::new("/mail");
        let decide = |expected: &Expected, found: &Found| {
            decide("be1!default", path, expected, found).map_err(|why| {
                assert!(
                    why.contains("/mail") && why.contains("be1!default"),
                    "{why}"
                );
                let words = ["init", "adopt", "restored"];
                let named = |word: &&&str| why.contains(&format!("murder partition {word} be1!"));
                *words.iter().find(named).unwrap()
            })
        };
        // The first start makes it; nothing else ever does.
        assert_eq!(decide(&nobody, &Found::Nothing), Ok(true));
        assert_eq!(decide(&nobody, &partition(7, 7, 7)), Ok(false));
        assert_eq!(decide(&recorded, &Found::Nothing), Err("init"));
        assert_eq!(decide(&known, &Found::Nothing), Err("init"));
        assert_eq!(decide(&known, &partition(1, 1, 10)), Ok(false));
        assert_eq!(decide(&known, &partition(1, 1, 11)), Ok(false));
        assert_eq!(decide(&known, &partition(1, 1, 9)), Err("restored"));
        assert_eq!(decide(&known, &partition(1, 2, 9)), Err("restored"));
        assert_eq!(decide(&known, &partition(1, 2, 10)), Err("adopt"));
        assert_eq!(decide(&known, &partition(2, 1, 99)), Err("adopt"));
        // What is damaged is the store's to judge, but another one's is not even that.
        assert_eq!(decide(&known, &damaged(None)), Ok(false));
        assert_eq!(decide(&known, &damaged(Some(identity(1, 1)))), Ok(false));
        assert_eq!(decide(&known, &damaged(Some(identity(2, 1)))), Err("adopt"));
    }

    #[test]
    fn a_word_has_to_fit() {
        let fits = |word: Word, expected: &Expected, found: &Found| {
            check(
                "be1!default",
                Path::new("/mail"),
                word,
                expected,
                found,
                false,
            )
            .is_ok()
        };
        let init = Word::Init { forget: false };
        let known = expected(10);
        for (word, found, fit) in [
            (init, Found::Nothing, true),
            (init, partition(1, 1, 10), false),
            (init, damaged(None), false),
            (Word::Adopt, Found::Nothing, false),
            (Word::Adopt, partition(2, 1, 1), true),
            (Word::Adopt, partition(1, 2, 10), true),
            (Word::Adopt, partition(1, 2, 9), false),
            (Word::Adopt, partition(1, 1, 10), false),
            (Word::Adopt, damaged(None), false),
            (Word::Restored, Found::Nothing, false),
            (Word::Restored, partition(1, 1, 9), true),
            (Word::Restored, partition(1, 2, 9), true),
            (Word::Restored, partition(1, 1, 10), false),
            (Word::Restored, partition(2, 1, 9), false),
        ] {
            assert_eq!(fits(word, &known, &found), fit, "{word:?} {found:?}");
        }
        assert!(!fits(
            Word::Restored,
            &Expected::default(),
            &partition(1, 1, 9)
        ));
    }
}
