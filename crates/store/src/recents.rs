//! Marks of `\Recent` on their way to the homes' databases.

use std::collections::HashMap;

use murder_mailbox::MailboxId;
use parking_lot::Mutex;

/// Recent marks that are not in the homes' databases yet: `\Recent` is not worth a journal
/// record, and a crash may show a message as recent twice.
#[derive(Debug, Default)]
pub(crate) struct Recents {
    marks: Mutex<HashMap<MailboxId, (u64, u32)>>,
}

impl Recents {
    pub fn set(&self, home: u64, id: MailboxId, uid: u32) {
        self.marks.lock().insert(id, (home, uid));
    }

    pub fn get(&self, id: MailboxId) -> Option<u32> {
        self.marks.lock().get(&id).map(|&(_, uid)| uid)
    }

    /// Whether there is any.
    pub fn any(&self) -> bool {
        !self.marks.lock().is_empty()
    }

    /// The marks of the homes that `mine` accepts; they stay until [`Recents::written`].
    pub fn of(&self, mine: impl Fn(u64) -> bool) -> Vec<(u64, MailboxId, u32)> {
        self.marks
            .lock()
            .iter()
            .filter(|(_, (home, _))| mine(*home))
            .map(|(&id, &(home, uid))| (home, id, uid))
            .collect()
    }

    /// Forgets a mark that is in its home's database.
    pub fn written(&self, id: MailboxId, uid: u32) {
        let mut marks = self.marks.lock();
        if marks.get(&id).is_some_and(|&(_, mark)| mark == uid) {
            marks.remove(&id);
        }
    }
}
