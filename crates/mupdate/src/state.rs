//! The master's state machine: deterministic, without I/O.
//!
//! [`State::apply`] takes the log's entries in order. Whether an operation is allowed is
//! decided here too, so that every master decides alike, and its outcome is what the caller
//! is answered.

mod blocks;
mod directory;
mod ids;
mod mailboxes;
mod nodes;
mod reconcile;
mod revocations;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use murder_mailbox::{Acl, MailboxId, MailboxName, uidvalidity};
use murder_proto::v1::{self, ErrorKind, log_entry::Command};

pub(crate) use nodes::heard;

use ids::Ids;

use murder_location::Tables;
use murder_location::disk::Meta;
use murder_location::record::FIRST_EPOCH;
use murder_location::record::{Change, Location, Mailbox, is_named_after, mailbox_to_proto};

/// Everything that the master knows, at one revision.
#[derive(Debug, Default)]
pub struct State {
    pub(crate) tables: Tables,
    pub(crate) murder_id: Vec<u8>,
    /// The murders that this one succeeds, by an operator's word.
    pub(crate) predecessors: Vec<Vec<u8>>,
    pub(crate) revision: u64,
    /// The greatest UIDVALIDITY ever given: the next one is greater.
    pub(crate) last_uidvalidity: u32,
    /// Of all mailboxes.
    ids: Ids,
}

/// What an entry did.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Of a batch, one result an operation: the record after it. Unless all are good,
    /// nothing was changed.
    Batch(Vec<Result<Option<Mailbox>, v1::ErrorDetail>>),
    /// Of anything else that was done.
    Done,
    /// Of anything else that was not.
    Refused(v1::ErrorDetail),
    /// Of a reconciliation: which of the records could be changed.
    Reconciled {
        /// In the order of the entry's held mailboxes.
        held: Vec<bool>,
        /// In the order of the entry's mailboxes that are not held.
        not_held: Vec<bool>,
        /// In the order of the entry's mailboxes in the place of others: the records now.
        replaced: Vec<Option<Mailbox>>,
    },
}

impl Outcome {
    /// Whether nothing was done: such an entry has no place in the log.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Batch(results) => results.iter().any(Result::is_err),
            Self::Refused(_) => true,
            Self::Done | Self::Reconciled { .. } => false,
        }
    }
}

/// An entry's outcome, and the records that it changed, as they are now.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// What the caller is answered.
    pub outcome: Outcome,
    /// In the order in which they are to be applied.
    pub changes: Vec<Change>,
}

type Refusal = v1::ErrorDetail;

fn refuse<T>(kind: ErrorKind, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(kind, message))
}

/// How a state was before an entry.
struct Before {
    /// To be applied in reverse order.
    undo: Vec<Change>,
    revision: u64,
    murder_id: Vec<u8>,
    predecessors: Vec<Vec<u8>>,
    last_uidvalidity: u32,
}

impl State {
    /// What is on disk.
    pub(crate) fn of(tables: Tables, meta: &Meta) -> Self {
        let mut ids = Ids::default();
        for entry in tables.map.range(std::ops::Bound::Unbounded) {
            ids.insert(&entry.location());
        }
        Self {
            tables,
            ids,
            murder_id: meta.murder_id.clone(),
            predecessors: meta.predecessors.clone(),
            revision: meta.revision,
            last_uidvalidity: meta.last_uidvalidity,
        }
    }

    /// The tables.
    #[must_use]
    pub const fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The revision of the last entry applied.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// The murder's identity: 16 bytes, or none before the first entry.
    #[must_use]
    pub fn murder_id(&self) -> &[u8] {
        &self.murder_id
    }

    /// The murders that this one succeeds: their nodes may take it for theirs.
    #[must_use]
    pub fn predecessors(&self) -> &[Vec<u8>] {
        &self.predecessors
    }

    /// The greatest UIDVALIDITY given or seen.
    #[must_use]
    pub const fn last_uidvalidity(&self) -> u32 {
        self.last_uidvalidity
    }

    /// What that would be without those that are far ahead of this time: the greatest that a mailbox
    /// has.
    #[must_use]
    pub fn lower_uidvalidity(&self, time_ms: u64) -> u32 {
        let now = time_of(time_ms);
        let mailboxes = self.tables.map.range(std::ops::Bound::Unbounded);
        let right = mailboxes
            .map(|mailbox| mailbox.location().uidvalidity)
            .filter(|&uidvalidity| !uidvalidity::is_far_ahead(uidvalidity, now));
        let greatest = right.max().unwrap_or(0).max(now);
        self.last_uidvalidity.min(greatest)
    }

    /// Whether a node that writes for `by` may change what is in `partition`: when it owns that at
    /// the epoch that it names. One that nobody has registered is its who made it. `node` is empty
    /// for those who may change everything.
    ///
    /// # Errors
    /// [`ErrorKind::NotOwner`].
    pub fn check_owner(
        &self,
        node: &str,
        by: Option<&v1::PartitionEpoch>,
        partition: &str,
    ) -> Result<(), v1::ErrorDetail> {
        if node.is_empty() {
            return Ok(());
        }
        let (own, epoch) = match self.tables.partitions.get(partition) {
            Some(record) => (record.owner == node, record.epoch),
            None => (is_named_after(partition, node), FIRST_EPOCH),
        };
        if own && by.is_some_and(|by| by.partition == partition && by.epoch == epoch) {
            return Ok(());
        }
        let message = match by {
            Some(by) if own && by.partition == partition => format!(
                "{node} names epoch {} of {partition}, which is at epoch {epoch}",
                by.epoch
            ),
            _ if own => format!("{node} does not name {partition} and its epoch"),
            _ => format!("{partition} is not {node}'s"),
        };
        refuse(ErrorKind::NotOwner, message)
    }

    /// Applies the log's entry at `revision`.
    pub fn apply(&mut self, revision: u64, entry: &v1::LogEntry) -> Applied {
        self.attempt(revision, entry).0
    }

    /// What would be refused of `entries` if the others came next in this order: the answer, or
    /// `None` for an entry that would do something. Changes nothing in the end.
    pub fn rehearse(&mut self, entries: &[v1::LogEntry]) -> Vec<Option<Outcome>> {
        let mut done = Vec::new();
        let refused = entries.iter().map(|entry| {
            let (applied, before) = self.attempt(self.revision + 1, entry);
            if applied.outcome.is_refusal() {
                // The next one comes in its place.
                self.take_back(before);
                return Some(applied.outcome);
            }
            done.push(before);
            None
        });
        let refused = refused.collect();
        for before in done.into_iter().rev() {
            self.take_back(before);
        }
        refused
    }

    fn take_back(&mut self, before: Before) {
        for undo in before.undo.iter().rev() {
            self.put(undo);
        }
        self.revision = before.revision;
        self.murder_id = before.murder_id;
        self.predecessors = before.predecessors;
        self.last_uidvalidity = before.last_uidvalidity;
    }

    /// Makes the record be what `change` says. The change that would undo it comes back.
    fn put(&mut self, change: &Change) -> Change {
        let undo = self.tables.apply(change);
        if let (Change::Mailbox(_, after), Change::Mailbox(_, before)) = (change, &undo) {
            if let Some(before) = before {
                self.ids.remove(&before.id);
            }
            if let Some(after) = after {
                self.ids.insert(after);
            }
        }
        undo
    }

    fn attempt(&mut self, revision: u64, entry: &v1::LogEntry) -> (Applied, Before) {
        debug_assert!(revision > self.revision, "entries come in order");
        let mut before = Before {
            undo: Vec::new(),
            revision: self.revision,
            murder_id: self.murder_id.clone(),
            predecessors: self.predecessors.clone(),
            last_uidvalidity: self.last_uidvalidity,
        };
        self.revision = revision;
        let mut change = Changing {
            state: self,
            revision,
            time_ms: entry.time_ms,
            restricted_to: &entry.restricted_to,
            partition: entry.partition.as_ref(),
            changes: Vec::new(),
            undo: Vec::new(),
        };
        let outcome = match &entry.command {
            Some(Command::Batch(batch)) => change.batch(batch),
            Some(Command::Directory(batch)) => settle(change.directory_batch(batch)),
            Some(Command::NodeRegistered(node)) => settle(change.node_registered(node)),
            Some(Command::NodeChanged(node)) => settle(change.node_changed(node)),
            Some(Command::ReservationsExpired(expired)) => {
                let of = |partition: &str| expired.partitions.iter().any(|p| p == partition);
                change.drop_reservations(expired.up_to_revision, of);
                Outcome::Done
            }
            Some(Command::Reconcile(batch)) => change.reconcile(batch),
            Some(Command::PartitionAdopted(adopted)) => settle(change.partition_adopted(adopted)),
            Some(Command::Forgotten(forgotten)) => settle(change.forgotten(forgotten)),
            Some(Command::Succeeded(succeeded)) => settle(change.succeeded(succeeded)),
            Some(Command::Blocked(block)) => settle(change.blocked(block)),
            Some(Command::Unblocked(network)) => settle(change.unblocked(network)),
            Some(Command::Founded(founded)) => {
                if change.state.murder_id.is_empty() {
                    change.state.murder_id.clone_from(&founded.murder_id);
                }
                Outcome::Done
            }
            Some(Command::Revoked(revoked)) => settle(change.revoked(revoked)),
            Some(Command::UidvalidityLowered(_)) => {
                let lower = change.state.lower_uidvalidity(entry.time_ms);
                change.state.last_uidvalidity = lower;
                Outcome::Done
            }
            None => Outcome::Refused(Refusal::new(
                ErrorKind::InvalidArgument,
                "an entry of a newer version",
            )),
        };
        let Changing {
            mut changes, undo, ..
        } = change;
        if outcome.is_refusal() {
            for undo in undo.iter().rev() {
                self.put(undo);
            }
            changes.clear();
            self.last_uidvalidity = before.last_uidvalidity;
        } else {
            before.undo = undo;
        }
        (Applied { outcome, changes }, before)
    }
}

/// The UIDVALIDITY that a time gives.
fn time_of(time_ms: u64) -> u32 {
    uidvalidity::of_time(i64::try_from(time_ms / 1000).unwrap_or(i64::MAX))
}

fn settle(result: Result<(), Refusal>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(refusal) => Outcome::Refused(refusal),
    }
}

/// One entry being applied.
struct Changing<'a> {
    state: &'a mut State,
    revision: u64,
    time_ms: u64,
    restricted_to: &'a str,
    partition: Option<&'a v1::PartitionEpoch>,
    changes: Vec<Change>,
    undo: Vec<Change>,
}

impl Changing<'_> {
    fn change(&mut self, change: Change) {
        self.undo.push(self.state.put(&change));
        self.changes.push(change);
    }

    /// Whether the proposer may change records in `partition`.
    fn demand(&self, partition: &str) -> Result<(), Refusal> {
        self.state
            .check_owner(self.restricted_to, self.partition, partition)
    }

    /// A record of a node may not carry the identity of a mailbox that another node has.
    fn demand_id(&self, id: &MailboxId, partition: &str) -> Result<(), Refusal> {
        match self.state.ids.holder(id) {
            Some(holder) if !self.have_one_owner(holder, partition) => refuse(
                ErrorKind::FailedPrecondition,
                "the id is that of another backend's mailbox",
            ),
            _ => Ok(()),
        }
    }

    /// Whether one node owns both partitions.
    fn have_one_owner(&self, one: &str, other: &str) -> bool {
        let owner = |partition| self.state.tables.owner_of(partition);
        one == other || owner(one).is_some_and(|of_one| Some(of_one) == owner(other))
    }

    /// The UIDVALIDITY that the entry's time gives; 0 when that has jumped by decades.
    fn uidvalidity_now(&self) -> u32 {
        let now = time_of(self.time_ms);
        let last = self.state.last_uidvalidity;
        match last > 0 && uidvalidity::is_far_ahead(now, last) {
            true => 0,
            false => now,
        }
    }

    /// The next UIDVALIDITY: grows for ever, and looks like a time to those who look.
    fn next_uidvalidity(&mut self) -> Result<u32, Refusal> {
        match self.state.last_uidvalidity.checked_add(1) {
            Some(next) => {
                self.state.last_uidvalidity = next.max(self.uidvalidity_now());
                Ok(self.state.last_uidvalidity)
            }
            None => refuse(
                ErrorKind::TooLarge,
                "no UIDVALIDITY left: see `murder mailbox uidvalidity`",
            ),
        }
    }

    /// Whether a UIDVALIDITY of a node is so far ahead that it can be no right one.
    fn is_far_ahead(&self, uidvalidity: u32) -> bool {
        let last = self.state.last_uidvalidity.max(self.uidvalidity_now());
        uidvalidity::is_far_ahead(uidvalidity, last)
    }

    /// The next one is greater. One that is far ahead would be the end of CREATE: its mailbox has
    /// it, and nobody else goes by it.
    fn saw_uidvalidity(&mut self, uidvalidity: u32) {
        if !self.is_far_ahead(uidvalidity) {
            self.state.last_uidvalidity = self.state.last_uidvalidity.max(uidvalidity);
        }
    }
}

fn parse_name(text: &str) -> Result<MailboxName, Refusal> {
    MailboxName::parse_canonical(text)
        .or_else(|e| refuse(ErrorKind::InvalidArgument, format!("{text:?}: {e}")))
}

fn parse_acl(text: &str) -> Result<Arc<Acl>, Refusal> {
    match Acl::parse(text) {
        Ok(acl) => Ok(Arc::new(acl)),
        Err(e) => refuse(ErrorKind::InvalidArgument, e.to_string()),
    }
}

fn parse_id(bytes: &[u8]) -> Result<MailboxId, Refusal> {
    match MailboxId::from_slice(bytes) {
        Some(id) => Ok(id),
        None => refuse(ErrorKind::InvalidArgument, "a mailbox id has 16 bytes"),
    }
}

fn parse_partition(text: &str) -> Result<Arc<str>, Refusal> {
    if murder_location::record::valid_partition(text) {
        Ok(text.into())
    } else {
        refuse(
            ErrorKind::InvalidArgument,
            format!("{text:?} is not of the form node!partition"),
        )
    }
}

/// A refusal that says who has the name.
fn held_by(kind: ErrorKind, message: String, name: &MailboxName, holder: &Location) -> Refusal {
    Refusal {
        holder: Some(Box::new(mailbox_to_proto(name, holder))),
        ..Refusal::new(kind, message)
    }
}
