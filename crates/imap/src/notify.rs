//! NOTIFY (RFC 5465), and the choice of mailboxes that it shares with ESEARCH (RFC 7377).

use crate::fetch::FetchItem;
use crate::mailbox::MailboxArg;

/// `filter-mailboxes` (RFC 5465 section 6, RFC 7377 section 2.2): which mailboxes are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailboxFilter {
    /// `selected`
    Selected,
    /// `selected-delayed`: as `selected`, but expunges wait until they may be told. NOTIFY only.
    SelectedDelayed,
    /// `inboxes`: where mail may be delivered to.
    Inboxes,
    /// `personal`: the user's own.
    Personal,
    /// `subscribed`
    Subscribed,
    /// `subtree`: these and everything below; at least one.
    Subtree(Vec<MailboxArg>),
    /// `subtree-one`: these and their children; at least one. ESEARCH only.
    SubtreeOne(Vec<MailboxArg>),
    /// `mailboxes`: these; at least one.
    Mailboxes(Vec<MailboxArg>),
}

/// The NOTIFY command (RFC 5465 section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notify {
    /// `NONE`: no events from now on.
    None,
    /// `SET`: these events, instead of those before.
    Set {
        /// `STATUS`: the state of each mailbox first.
        status: bool,
        /// At least one.
        groups: Vec<EventGroup>,
    },
}

/// `event-group`: events of some mailboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventGroup {
    /// Which mailboxes.
    pub filter: MailboxFilter,
    /// Which events; empty for `NONE`.
    pub events: Vec<NotifyEvent>,
}

/// `event` (RFC 5465 section 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotifyEvent {
    /// `MessageNew`, with what is to be fetched of a new message.
    MessageNew(Vec<FetchItem>),
    /// `MessageExpunge`
    MessageExpunge,
    /// `FlagChange`
    FlagChange,
    /// `AnnotationChange`
    AnnotationChange,
    /// `MailboxName`
    MailboxName,
    /// `SubscriptionChange`
    SubscriptionChange,
    /// `MailboxMetadataChange`
    MailboxMetadataChange,
    /// `ServerMetadataChange`
    ServerMetadataChange,
    /// Any other, as sent: to be refused with `BADEVENT`.
    Other(String),
}

impl NotifyEvent {
    pub(crate) const PLAIN: [(&'static str, Self); 7] = [
        ("MessageExpunge", Self::MessageExpunge),
        ("FlagChange", Self::FlagChange),
        ("AnnotationChange", Self::AnnotationChange),
        ("MailboxName", Self::MailboxName),
        ("SubscriptionChange", Self::SubscriptionChange),
        ("MailboxMetadataChange", Self::MailboxMetadataChange),
        ("ServerMetadataChange", Self::ServerMetadataChange),
    ];

    /// The event's name on the wire.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::MessageNew(_) => "MessageNew",
            Self::Other(name) => name,
            plain => Self::PLAIN
                .iter()
                .find(|(_, event)| event == plain)
                .map_or("", |(name, _)| name),
        }
    }
}
