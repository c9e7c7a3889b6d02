//! The selected mailbox of a session: the view that the client knows, and what it is to be told.

use std::sync::Arc;

use murder_mailbox::Rights;
use murder_store::{MailboxHandle, MailboxView, Partition};

/// A selected mailbox.
pub(crate) struct Selected {
    /// The mailbox.
    pub handle: Arc<MailboxHandle>,
    /// Where it is.
    pub partition: Arc<Partition>,
    /// What the client knows: sequence numbers are this view's.
    pub view: Arc<MailboxView>,
    /// EXAMINE, or no right to change anything.
    pub read_only: bool,
    /// The user's rights when it was selected; those that count are looked up anew.
    pub rights: Rights,
}
