//! Messages that are being moved: of several MOVEs at the same time one gets a message.

use std::collections::HashMap;
use std::sync::Arc;

use murder_mailbox::MailboxId;
use parking_lot::Mutex;

use crate::uidset::UidSet;

/// The messages of each mailbox that a MOVE has taken.
pub(crate) type Claims = Arc<Mutex<HashMap<MailboxId, UidSet>>>;

/// Messages that belong to one MOVE for as long as this lives.
#[derive(Debug)]
pub struct Claim {
    claims: Claims,
    mailbox: MailboxId,
    uids: UidSet,
}

impl Claim {
    /// Takes what `choose` makes of the messages that are taken already. While it lasts nobody
    /// else takes any: a message that is there when it looks was not moved by another.
    pub(crate) fn new(
        claims: &Claims,
        mailbox: MailboxId,
        choose: impl FnOnce(&UidSet) -> UidSet,
    ) -> Self {
        let mut all = claims.lock();
        let claimed = all.entry(mailbox).or_default();
        let uids = choose(claimed);
        debug_assert!(claimed.intersection(&uids).is_empty());
        claimed.union_with(&uids);
        if claimed.is_empty() {
            all.remove(&mailbox);
        }
        drop(all);
        Self {
            claims: Arc::clone(claims),
            mailbox,
            uids,
        }
    }

    /// The messages.
    #[must_use]
    pub fn uids(&self) -> &UidSet {
        &self.uids
    }

    /// Lets go of all but these.
    pub fn retain(&mut self, uids: &UidSet) {
        let kept = self.uids.intersection(uids);
        let mut rest = std::mem::replace(&mut self.uids, kept);
        rest.subtract(&self.uids);
        self.release(&rest);
    }

    fn release(&self, uids: &UidSet) {
        if uids.is_empty() {
            return;
        }
        let mut all = self.claims.lock();
        if let Some(claimed) = all.get_mut(&self.mailbox) {
            claimed.subtract(uids);
            if claimed.is_empty() {
                all.remove(&self.mailbox);
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.release(&self.uids);
    }
}
