//! Making records be what a backend really holds.

use murder_mailbox::MailboxName;
use murder_proto::v1;

use super::{Changing, Outcome, parse_id};
use murder_location::record::{Change, Mailbox, MailboxState};

impl Changing<'_> {
    pub(super) fn reconcile(&mut self, batch: &v1::ReconcileBatch) -> Outcome {
        if let Err(refusal) = self.demand(&batch.partition) {
            return Outcome::Refused(refusal);
        }
        // Old names first: a mailbox renamed at the backend only is in both lists.
        let not_held = batch
            .not_held
            .iter()
            .map(|gone| self.drop_not_held(gone, &batch.partition))
            .collect();
        let held = batch
            .held
            .iter()
            .map(|mailbox| self.adopt(mailbox, &batch.partition))
            .collect();
        let replaced = batch
            .replaced
            .iter()
            .map(|replaced| self.replace(replaced, &batch.partition))
            .collect();
        Outcome::Reconciled {
            held,
            not_held,
            replaced,
        }
    }

    /// Drops a record when it is still the one that the backend was asked about.
    fn drop_not_held(&mut self, gone: &v1::DeleteRequest, partition: &str) -> bool {
        let Ok(name) = MailboxName::parse_canonical(&gone.name) else {
            return false;
        };
        let Some(record) = self.state.tables.map.find(&name) else {
            return false;
        };
        let same =
            parse_id(&gone.id).is_ok_and(|id| id == record.id) && *record.partition == *partition;
        if same {
            self.change(Change::Mailbox(name, None));
        }
        same
    }

    /// Gives the record of a mailbox that nobody has to the one that the partition has under its
    /// name, with a UIDVALIDITY that neither had.
    fn replace(&mut self, replaced: &v1::Replaced, partition: &str) -> Option<Mailbox> {
        let held = replaced.held.clone()?;
        let Mailbox { name, mut location } = Mailbox::from_proto(held).ok()?;
        let record = self.state.tables.map.find(&name)?;
        let same = parse_id(&replaced.instead_of).is_ok_and(|id| id == record.id)
            && *record.partition == *partition
            && *location.partition == *partition;
        if !same || self.demand_id(&location.id, partition).is_err() {
            return None;
        }
        self.saw_uidvalidity(location.uidvalidity);
        location.uidvalidity = self.next_uidvalidity().ok()?;
        location.state = MailboxState::Active;
        location.reserved_revision = 0;
        self.put(&name, location)
    }

    /// Makes the record of a held mailbox; never takes a name from another mailbox, nor an
    /// identity from another node.
    fn adopt(&mut self, held: &v1::Mailbox, partition: &str) -> bool {
        let Ok(Mailbox { name, mut location }) = Mailbox::from_proto(held.clone()) else {
            return false;
        };
        if *location.partition != *partition {
            return false;
        }
        if let Some(record) = self.state.tables.map.find(&name) {
            // Between partitions of one node mailboxes do come.
            let ours = self.have_one_owner(&record.partition, partition);
            if record.id != location.id || !ours {
                return false;
            }
        } else if self.demand_id(&location.id, partition).is_err() {
            return false;
        }
        self.saw_uidvalidity(location.uidvalidity);
        if let Some(record) = self.state.tables.map.find(&name) {
            // It never shrinks: the backend raises its own.
            location.uidvalidity = location.uidvalidity.max(record.uidvalidity);
        }
        location.state = MailboxState::Active;
        location.reserved_revision = 0;
        self.change(Change::Mailbox(name, Some(location)));
        true
    }
}
