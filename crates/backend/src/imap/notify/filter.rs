//! Which events of which mailboxes a client wants to hear of (RFC 5465 sections 5 and 6).

use std::collections::HashSet;

use murder_mailbox::{Identity, MailboxName, Rights};
use murder_store::MailboxMeta;

use crate::imap::account::User;

/// Kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Events {
    /// MessageNew and MessageExpunge, which come together.
    pub messages: bool,
    /// FlagChange
    pub flags: bool,
    /// MailboxName
    pub names: bool,
    /// SubscriptionChange
    pub subscriptions: bool,
    /// MailboxMetadataChange
    pub annotations: bool,
    /// ServerMetadataChange, which the choice of mailboxes does not concern.
    pub server: bool,
}

impl Events {
    /// Whether there is one.
    pub fn any(self) -> bool {
        self != Self::default()
    }

    /// Whether there is one of mailboxes.
    pub fn of_mailboxes(self) -> bool {
        let server = false;
        Self { server, ..self }.any()
    }

    fn union(self, other: Self) -> Self {
        Self {
            messages: self.messages || other.messages,
            flags: self.flags || other.flags,
            names: self.names || other.names,
            subscriptions: self.subscriptions || other.subscriptions,
            annotations: self.annotations || other.annotations,
            server: self.server || other.server,
        }
    }
}

/// A choice of mailboxes other than the selected one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Where mail may be delivered to by anybody.
    Inboxes,
    /// The user's own.
    Personal,
    /// What the user is subscribed to.
    Subscribed,
    /// These names, as the client sees them, and what is below; below the empty one is all.
    Subtree(Vec<String>),
    /// These.
    Mailboxes(Vec<MailboxName>),
}

impl Filter {
    /// Whether a mailbox is meant; of a name without a mailbox there is no `meta`.
    fn has(&self, user: &User, subscribed: &HashSet<MailboxName>, mailbox: &Named<'_>) -> bool {
        let name = mailbox.name;
        let own = name.is_owned_by(&user.identity.user);
        match self {
            Self::Inboxes => own && (name.is_inbox() || mailbox.meta.is_some_and(takes_mail)),
            Self::Personal => own,
            Self::Subscribed => subscribed.contains(name),
            Self::Subtree(bases) => bases.iter().any(|base| {
                let below = mailbox.shown.strip_prefix(base.as_str());
                base.is_empty()
                    || below.is_some_and(|below| {
                        below.is_empty() || below.starts_with(user.namespace.separator())
                    })
            }),
            Self::Mailboxes(names) => names.contains(name),
        }
    }
}

/// Whether mail can be delivered there by anybody (right `p`).
pub(crate) fn takes_mail(mailbox: &MailboxMeta) -> bool {
    let anyone = Identity::user("anyone");
    mailbox.acl.rights_of(&anyone, None).contains(Rights::POST)
}

/// A name, and the mailbox that has it.
pub(crate) struct Named<'a> {
    /// The name.
    pub name: &'a MailboxName,
    /// As the client sees it.
    pub shown: &'a str,
    /// The mailbox, if it is there.
    pub meta: Option<&'a MailboxMeta>,
}

/// All choices of a client, each with its events.
#[derive(Debug, Default)]
pub(crate) struct Groups(pub Vec<(Filter, Events)>);

impl Groups {
    /// The events of a mailbox that the client wants to hear of.
    pub fn events(
        &self,
        user: &User,
        subscribed: &HashSet<MailboxName>,
        mailbox: &Named<'_>,
    ) -> Events {
        self.0
            .iter()
            .filter(|(filter, _)| filter.has(user, subscribed, mailbox))
            .fold(Events::default(), |all, (_, events)| all.union(*events))
    }

    /// Whether an event is wanted of some mailbox.
    pub fn any(&self, wanted: impl Fn(Events) -> bool) -> bool {
        self.0.iter().any(|(_, events)| wanted(*events))
    }

    /// Whether what is meant changes with the user's subscriptions.
    pub fn by_subscription(&self) -> bool {
        self.0.iter().any(|(f, _)| *f == Filter::Subscribed)
    }
}
