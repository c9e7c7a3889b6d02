//! A copy of the partition that was put back, applied to a home.

use murder_mailbox::{MailboxId, uidvalidity};

use super::rows::Changed;
use super::{Home, Stop};
use crate::command::Restored;
use crate::entry::{ApplyResult, Outcome};
use crate::uidset::UidSet;

impl Home {
    pub(super) fn restored(&mut self, c: &Restored) -> Result<ApplyResult, Stop> {
        let mut ids: Vec<MailboxId> = self.mailboxes.keys().copied().collect();
        ids.sort_unstable();
        let mut jumped = 0;
        let mut renewed = Vec::new();
        for id in ids {
            if self.jump(id, c)? {
                jumped += 1;
            } else {
                self.renew(id, c.uidvalidity)?;
                renewed.push(id);
            }
        }
        Ok(Ok(Outcome::Restored { jumped, renewed }))
    }

    /// Takes a mailbox beyond the UIDs and MODSEQs that clients may have seen; `false`, and nothing
    /// is changed, where there are not enough or nobody knows how far they saw.
    fn jump(&mut self, id: MailboxId, c: &Restored) -> Result<bool, Stop> {
        let Some(mailbox) = self.mailboxes.get_mut(&id) else {
            return Ok(false);
        };
        let uidnext = c.uid_jump.and_then(|jump| {
            let uidnext = u64::from(mailbox.uidnext).checked_add(jump)?;
            u32::try_from(uidnext).ok()
        });
        let modseq = mailbox.highest_modseq.checked_add(c.modseq_jump);
        // SQLite's integers are signed.
        let modseq = modseq.filter(|&modseq| i64::try_from(modseq).is_ok());
        let (Some(uidnext), Some(modseq)) = (uidnext, modseq) else {
            return Ok(false);
        };
        let gone = UidSet::range(mailbox.uidnext, uidnext - 1);
        mailbox.uidnext = uidnext;
        mailbox.highest_modseq = modseq - 1;
        let work = self.begin(id);
        // A client that has seen a message expunged, or with other flags, is told of it again.
        let mut changed = Changed::default();
        for row in self.stored_states(id, &UidSet::range(1, u32::MAX))? {
            changed.push(row.uid, row.flags, row);
        }
        self.set_states(&work, changed)?;
        self.bury(work.rowno, work.modseq, &gone)?;
        self.finish(work)?;
        Ok(true)
    }

    /// Gives a mailbox a greater UIDVALIDITY. Where there is none, it gives out no UID any more.
    pub(super) fn renew(&mut self, id: MailboxId, at_least: u32) -> Result<(), Stop> {
        let Some(mailbox) = self.mailboxes.get(&id) else {
            return Ok(());
        };
        let past = self.past(&mailbox.name)?;
        let Some(mailbox) = self.mailboxes.get_mut(&id) else {
            return Ok(());
        };
        let old = mailbox.uidvalidity;
        let at_least = match at_least {
            0 => uidvalidity::EARLIEST,
            at_least => at_least,
        };
        mailbox.uidvalidity = uidvalidity::after(uidvalidity::after(at_least, past), old);
        if mailbox.uidvalidity == old {
            mailbox.uidnext = u32::MAX;
        }
        mailbox.next_modseq();
        self.catalogue = true;
        self.view(id);
        Ok(())
    }
}
