//! What a session knows of its mailbox (RFC 1939 section 5).

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use murder_mailbox::{Identity, MailboxId, MailboxName, Rights};
use murder_store::{
    Flags, MailboxHandle, MailboxView, MessageRow, Partition, StoreError, StoreMode, StoreOp,
    UidSet,
};

use super::reply::{self, Reply, refused};
use crate::node::{Found, Node};

/// Removing messages takes both: `t` for marking and `e` for expunging (RFC 4314 section 4).
const DELETING: Rights = Rights::DELETE_MESSAGES.union(Rights::EXPUNGE);

/// The INBOX as it was at login, and what the client has done since.
pub(super) struct Maildrop {
    pub partition: Arc<Partition>,
    pub handle: Arc<MailboxHandle>,
    /// Message numbers are the sequence numbers of this.
    pub view: Arc<MailboxView>,
    identity: Identity,
    /// A frontend acts for the user.
    vouched: bool,
    /// UIDs marked by DELE.
    deleted: UidSet,
    /// UIDs that RETR has sent to their end.
    retrieved: UidSet,
    /// Messages whose EMAILID another message before them has; looked for when it matters.
    repeated: Option<BTreeSet<u32>>,
}

impl Maildrop {
    /// Opens the user's INBOX. `vouched`: for a frontend, which is told when it is elsewhere.
    pub(super) async fn open(
        node: &Node,
        identity: Identity,
        vouched: bool,
    ) -> Result<Self, Reply> {
        let missing = match vouched {
            _ if node.may_lack() => reply::NOT_OPEN,
            true => reply::INBOX_NOT_HERE,
            false => reply::NO_INBOX,
        };
        let inbox = MailboxName::inbox_of(&identity.user).ok();
        let Some(found) = inbox.and_then(|inbox| node.find(&inbox)) else {
            return Err(missing);
        };
        if !found.rights_of(&identity).contains(Rights::READ) {
            return Err(reply::MAY_NOT_READ);
        }
        let Found { partition, meta } = found;
        let handle = match partition.open_mailbox(&meta.name).await {
            Ok(handle) => handle,
            Err(StoreError::NoSuchMailbox) => return Err(missing),
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            view: handle.view(),
            partition,
            handle,
            identity,
            vouched,
            deleted: UidSet::new(),
            retrieved: UidSet::new(),
            repeated: None,
        })
    }

    /// The user's account has changed: other groups, other rights.
    pub(super) fn look_identity_up(&mut self, node: &Node) {
        self.identity = node.identity_now(&self.identity, self.vouched);
    }

    /// The mailbox.
    pub(super) fn id(&self) -> MailboxId {
        self.handle.id()
    }

    /// A message that is not marked as deleted.
    pub(super) fn message(&self, number: u32) -> Result<MessageRow, Reply> {
        let Some(row) = self.view.row(number) else {
            let messages = reply::messages(self.view.len().into());
            return Err(refused(format!(
                "No such message, only {messages} in maildrop"
            )));
        };
        match self.deleted.contains(row.uid) {
            true => Err(refused(format!("Message {number} was deleted"))),
            false => Ok(row),
        }
    }

    /// All messages, and the UIDs of those that are marked as deleted.
    pub(super) fn listing(&self) -> (Arc<MailboxView>, UidSet) {
        (Arc::clone(&self.view), self.deleted.clone())
    }

    /// How many messages are not marked as deleted.
    pub(super) fn count(&self) -> u64 {
        u64::from(self.view.len()) - self.deleted.len()
    }

    /// Marks a message as deleted.
    pub(super) fn delete(&mut self, number: u32) -> Result<(), Reply> {
        let row = self.message(number)?;
        if !self.rights().contains(DELETING) {
            return Err(reply::MAY_NOT_DELETE);
        }
        self.deleted.insert(row.uid);
        Ok(())
    }

    /// Takes all marks back.
    pub(super) fn reset(&mut self) {
        self.deleted = UidSet::new();
    }

    /// A message was sent to its end.
    pub(super) fn retrieved(&mut self, row: &MessageRow) {
        self.retrieved.insert(row.uid);
    }

    /// The message's unique-id: its EMAILID, which stays with it wherever it is moved; and behind
    /// it the UID if the maildrop has the same message more than once.
    pub(super) fn unique_id(&mut self, row: &MessageRow) -> String {
        let view = &self.view;
        let repeated = self.repeated.get_or_insert_with(|| {
            let mut seen = HashSet::with_capacity(view.len() as usize);
            view.rows(1, view.len())
                .filter(|row| !seen.insert(row.email_id))
                .map(|row| row.uid)
                .collect()
        });
        let id = MailboxId::from_bytes(row.email_id);
        match repeated.contains(&row.uid) {
            true => format!("{id}.{}", row.uid),
            false => id.to_string(),
        }
    }

    /// The UPDATE state: removes what is marked, as far as it is still there. Returns how many
    /// messages went.
    ///
    /// # Errors
    /// The reply when nothing was removed.
    pub(super) async fn update(&mut self) -> Result<u64, Reply> {
        if self.deleted.is_empty() {
            return Ok(0);
        }
        if !self.rights().contains(DELETING) {
            return Err(reply::NOT_REMOVED);
        }
        let removed = self.partition.remove(&self.handle, &self.deleted).await?;
        Ok(removed.uids.len())
    }

    /// Sets `\Seen` on what was retrieved and is still there.
    pub(super) async fn mark_seen(&self) {
        let newest = self.handle.view();
        let unseen: UidSet = self
            .retrieved
            .iter()
            .filter_map(|uid| newest.row_by_uid(uid))
            .filter(|row| !newest.is_seen(row, None))
            .map(|row| row.uid)
            .collect();
        if unseen.is_empty() || !self.rights().contains(Rights::SEEN) {
            return;
        }
        let op = StoreOp::new(StoreMode::Add, Flags::SEEN, Vec::new());
        if let Err(error) = self.partition.store_flags(&self.handle, &unseen, op).await {
            tracing::warn!(%error, "cannot set \\Seen for RETR");
        }
    }

    /// What the user may do in the mailbox now; nothing once it is gone.
    fn rights(&self) -> Rights {
        let Some(meta) = self.handle.meta() else {
            return Rights::NONE;
        };
        let partition = Arc::clone(&self.partition);
        Found { partition, meta }.rights_of(&self.identity)
    }
}
