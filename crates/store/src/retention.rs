//! What was expunged or deleted and can be restored.

use std::sync::Arc;

use bytes::Bytes;
use murder_mailbox::{MailboxId, SpecialUse};

use crate::body::BodyLocation;
use crate::flags::Flags;
use crate::message::InternalDate;

/// The most expunged messages in one [`Restorable`]: what is shown to an operator.
pub const MAX_RESTORABLE: u32 = 100_000;

/// What can be restored in a home.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restorable {
    /// Deleted mailboxes with their messages, the one deleted last first.
    pub mailboxes: Vec<DeletedMailbox>,
    /// Messages expunged from mailboxes that are there, the one expunged last first; at most
    /// [`MAX_RESTORABLE`].
    pub messages: Vec<ExpungedMessage>,
}

/// A deleted mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedMailbox {
    /// The identity that it had.
    pub id: MailboxId,
    /// The name that it had below its home's root; empty for the root.
    pub relative_name: String,
    /// The UIDVALIDITY that it had.
    pub uidvalidity: u32,
    /// Its messages.
    pub messages: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Its access control list.
    pub acl: Arc<str>,
    /// What it was for.
    pub special_use: Option<SpecialUse>,
    /// When it was deleted, seconds since 1970.
    pub deleted_at: i64,
    /// Until when it is kept.
    pub keep_until: i64,
}

/// An expunged message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpungedMessage {
    /// The mailbox that it was in.
    pub mailbox: MailboxId,
    /// The UID that it had.
    pub uid: u32,
    /// EMAILID.
    pub email_id: [u8; 16],
    /// The flags that it had.
    pub flags: Flags,
    /// INTERNALDATE.
    pub internal_date: InternalDate,
    /// The body.
    pub location: BodyLocation,
    /// ENVELOPE, as in a FETCH response.
    pub envelope: Bytes,
    /// When it was expunged, seconds since 1970.
    pub expunged_at: i64,
    /// Until when it is kept.
    pub keep_until: i64,
}

/// What a purge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    /// Messages forgotten, those of mailboxes included.
    pub messages: u64,
    /// Mailboxes forgotten.
    pub mailboxes: u64,
    /// There was more to do than one record should.
    pub(crate) more: bool,
}
