//! Quota (RFC 9208): limits on what the mailboxes at and below a name hold.
//!
//! A mailbox is governed by the nearest quota root at or above its name, as in Cyrus; a root
//! below another takes its mailboxes out of that one. Roots are names, which need not be
//! mailboxes and do not move when mailboxes are renamed; with the whole home they do.

use std::fmt;

use murder_mailbox::MailboxName;

/// A resource that is limited (RFC 9208 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QuotaResource {
    /// STORAGE: the sizes of messages.
    Storage,
    /// MESSAGE: how many messages.
    Message,
    /// MAILBOX: how many mailboxes.
    Mailbox,
}

impl QuotaResource {
    /// Its name in the protocol.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Storage => "STORAGE",
            Self::Message => "MESSAGE",
            Self::Mailbox => "MAILBOX",
        }
    }
}

impl fmt::Display for QuotaResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The limits of a quota root; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuotaLimits {
    /// STORAGE, in units of 1024 bytes.
    pub storage: Option<u64>,
    /// MESSAGE.
    pub message: Option<u64>,
    /// MAILBOX.
    pub mailbox: Option<u64>,
}

/// What the mailboxes of a quota root hold. What was expunged or deleted and can be restored
/// does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuotaUsage {
    /// STORAGE, in units of 1024 bytes, rounded up.
    pub storage: u64,
    /// MESSAGE.
    pub message: u64,
    /// MAILBOX.
    pub mailbox: u64,
}

/// A quota root (RFC 9208 section 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Its name.
    pub root: MailboxName,
    /// What it allows.
    pub limits: QuotaLimits,
    /// What is used.
    pub usage: QuotaUsage,
}

/// A counter that is not what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaDifference {
    /// The mailbox or, with `of_root`, the quota root.
    pub name: MailboxName,
    /// Whether it is a quota root's counter.
    pub of_root: bool,
    /// What is counted; STORAGE in bytes.
    pub resource: QuotaResource,
    /// What the counter says.
    pub recorded: i64,
    /// What there is.
    pub counted: i64,
}

/// Amounts of each resource; storage in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Amount {
    pub bytes: i64,
    pub messages: i64,
    pub mailboxes: i64,
}

impl Amount {
    pub fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.messages += other.messages;
        self.mailboxes += other.mailboxes;
    }

    pub fn usage(self) -> QuotaUsage {
        let whole = |n: i64| u64::try_from(n).unwrap_or(0);
        QuotaUsage {
            storage: whole(self.bytes).div_ceil(1024),
            message: whole(self.messages),
            mailbox: whole(self.mailboxes),
        }
    }
}

impl QuotaLimits {
    /// The first limit that `used` is over after `more` came, where something came.
    pub(crate) fn exceeded(&self, used: Amount, more: Amount) -> Option<(QuotaResource, u64, u64)> {
        let usage = used.usage();
        let over = |limit: Option<u64>, used: i64, more: i64, unit: i64| {
            let limit = i64::try_from(limit?)
                .unwrap_or(i64::MAX)
                .saturating_mul(unit);
            (more > 0 && used.saturating_add(more) > limit).then_some(())
        };
        over(self.storage, used.bytes, more.bytes, 1024)
            .map(|()| (QuotaResource::Storage, usage.storage, self.storage))
            .or_else(|| {
                over(self.message, used.messages, more.messages, 1)
                    .map(|()| (QuotaResource::Message, usage.message, self.message))
            })
            .or_else(|| {
                over(self.mailbox, used.mailboxes, more.mailboxes, 1)
                    .map(|()| (QuotaResource::Mailbox, usage.mailbox, self.mailbox))
            })
            .map(|(resource, usage, limit)| (resource, usage, limit.unwrap_or_default()))
    }

    /// Whether there is no limit.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The nearest of some roots at or above a name, all below the home's root.
pub(crate) fn root_of(name: &str, is_root: impl Fn(&str) -> bool) -> Option<&str> {
    let mut at = name;
    loop {
        if is_root(at) {
            return Some(at);
        }
        if at.is_empty() {
            return None;
        }
        at = at.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_root_governs() {
        let roots = ["", "a/b"];
        let is_root = |name: &str| roots.contains(&name);
        for (name, root) in [
            ("", ""),
            ("a", ""),
            ("a/b", "a/b"),
            ("a/b/c", "a/b"),
            ("a/bc", ""),
        ] {
            assert_eq!(root_of(name, is_root), Some(root), "{name}");
        }
        assert_eq!(root_of("a", |name| name == "b"), None);
    }

    #[test]
    fn a_limit_holds_only_for_what_comes() {
        let limits = QuotaLimits {
            storage: Some(1),
            message: Some(2),
            mailbox: None,
        };
        let amount = |bytes, messages| Amount {
            bytes,
            messages,
            mailboxes: 1,
        };
        assert_eq!(limits.exceeded(amount(0, 0), amount(1024, 2)), None);
        assert_eq!(
            limits.exceeded(amount(1, 0), amount(1024, 0)),
            Some((QuotaResource::Storage, 1, 1))
        );
        assert_eq!(limits.exceeded(amount(5000, 9), amount(0, 0)), None);
        assert_eq!(
            limits.exceeded(amount(0, 2), amount(0, 1)),
            Some((QuotaResource::Message, 2, 2))
        );
    }
}
