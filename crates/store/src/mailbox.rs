//! What is known about a mailbox apart from its messages.

use std::sync::Arc;

use murder_mailbox::{Acl, MailboxId, MailboxName, SpecialUse};

/// A mailbox as the partition's catalogue has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxMeta {
    /// Its canonical name.
    pub name: MailboxName,
    /// Its identity, which survives renames.
    pub id: MailboxId,
    /// UIDVALIDITY.
    pub uidvalidity: u32,
    /// Who may do what with it. One whose text cannot be read gives nobody anything but what owners
    /// and administrators cannot lose.
    pub acl: Arc<Acl>,
    /// What it is for (RFC 6154).
    pub special_use: Option<SpecialUse>,
    /// Whether `\Seen` is one flag for all users.
    pub shared_seen: bool,
}

/// What a new mailbox is made with.
#[derive(Debug, Clone)]
pub struct CreateMailbox {
    /// The new identity.
    pub id: MailboxId,
    /// UIDVALIDITY; raised by the store if the name has had a greater one.
    pub uidvalidity: u32,
    /// The access control list in Cyrus's text form.
    pub acl: String,
    /// What it is for (RFC 6154).
    pub special_use: Option<SpecialUse>,
    /// Seconds since 1970.
    pub now: i64,
    /// Whether `\Seen` is one flag for all users. What a mailbox had that is restored, or an INBOX
    /// whose messages it takes over, stays.
    pub shared_seen: bool,
}

/// One mailbox that a rename gave a new name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// The old name.
    pub from: MailboxName,
    /// The mailbox as it is now.
    pub meta: MailboxMeta,
}

/// The answer to STATUS (RFC 9051 section 6.3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxStatus {
    /// MAILBOXID (RFC 8474).
    pub id: MailboxId,
    /// MESSAGES.
    pub messages: u32,
    /// RECENT.
    pub recent: u32,
    /// UIDNEXT.
    pub uidnext: u32,
    /// UIDVALIDITY.
    pub uidvalidity: u32,
    /// UNSEEN, for the user asked about.
    pub unseen: u32,
    /// DELETED.
    pub deleted: u32,
    /// SIZE, in bytes.
    pub size: u64,
    /// HIGHESTMODSEQ (RFC 7162).
    pub highest_modseq: u64,
}
