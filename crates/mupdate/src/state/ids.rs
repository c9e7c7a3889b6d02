//! Which partition has the mailbox of an identity.

use std::collections::BTreeMap;

use murder_mailbox::MailboxId;

use murder_location::record::Location;

/// Some 25 bytes for each mailbox. Only the master needs it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ids {
    /// Identity → the place of its partition in `partitions`.
    holders: BTreeMap<MailboxId, u32>,
    /// How many records more have an identity: one may be renamed at its backend
    /// alone. Nearly always empty.
    more: BTreeMap<MailboxId, u32>,
    /// A murder has few, so they are never taken back.
    partitions: Vec<Box<str>>,
}

impl Ids {
    /// The partition that has the mailbox of that identity.
    pub(super) fn holder(&self, id: &MailboxId) -> Option<&str> {
        let number = *self.holders.get(id)?;
        Some(&self.partitions[number as usize])
    }

    pub(super) fn insert(&mut self, location: &Location) {
        let partition = &*location.partition;
        let known = self
            .partitions
            .iter()
            .position(|known| **known == *partition);
        let number = known.unwrap_or_else(|| {
            self.partitions.push(partition.into());
            self.partitions.len() - 1
        });
        let number = u32::try_from(number).expect("few partitions");
        if self.holders.insert(location.id, number).is_some() {
            *self.more.entry(location.id).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, id: &MailboxId) {
        match self.more.get_mut(id) {
            Some(1) => drop(self.more.remove(id)),
            Some(more) => *more -= 1,
            None => drop(self.holders.remove(id)),
        }
    }
}
