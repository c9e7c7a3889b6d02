//! Quota of homes: setting, asking, checking.

use std::collections::BTreeMap;
use std::sync::Arc;

use murder_mailbox::MailboxName;

use super::Partition;
use crate::blocking::blocking;
use crate::catalogue::full_name;
use crate::command::{self, Op};
use crate::error::StoreError;
use crate::quota::{Amount, Quota, QuotaDifference, QuotaLimits, QuotaResource, root_of};
use crate::shared::Payload;

impl Partition {
    /// Makes `root` a quota root with these limits, which may be below what is used; without
    /// any limit it is none any more. It need not be a mailbox.
    ///
    /// # Errors
    /// [`StoreError::NoSuchHome`], also for a home without mailboxes, and those of every change.
    pub async fn set_quota(
        &self,
        root: &MailboxName,
        limits: QuotaLimits,
    ) -> Result<(), StoreError> {
        let home = self
            .shared
            .catalogue
            .home(root.home_key())
            .ok_or(StoreError::NoSuchHome)?;
        let op = Op::SetQuota(command::SetQuota {
            home,
            root: root.relative().to_owned(),
            storage: limits.storage,
            message: limits.message,
            mailbox: limits.mailbox,
        });
        self.shared.submit_one(op, Payload::default()).await?;
        Ok(())
    }

    /// The quota roots of a home (a [`MailboxName::home_key`]), sorted by name.
    ///
    /// # Errors
    /// [`StoreError::NoSuchHome`], [`StoreError::Io`].
    pub async fn quotas(&self, home: &str) -> Result<Vec<Quota>, StoreError> {
        let roots = self.roots(home).await?;
        Ok(roots
            .into_iter()
            .filter_map(|(root, limits, used)| {
                Some(Quota {
                    root: full_name(home, &root)?,
                    limits,
                    usage: used.usage(),
                })
            })
            .collect())
    }

    /// The quota roots that govern a mailbox: the nearest one at or above its name, or none
    /// (RFC 9208 section 4.1.2). The mailbox need not exist.
    ///
    /// # Errors
    /// [`StoreError::NoSuchHome`], [`StoreError::Io`].
    pub async fn quota_roots(&self, mailbox: &MailboxName) -> Result<Vec<Quota>, StoreError> {
        let mut quotas = self.quotas(mailbox.home_key()).await?;
        let governing = root_of(mailbox.relative(), |name| {
            quotas.iter().any(|q| q.root.relative() == name)
        });
        quotas.retain(|q| Some(q.root.relative()) == governing);
        Ok(quotas)
    }

    /// Whether there is room in a mailbox, as far as quota is concerned, for messages that are
    /// about to be sent. What decides is whether there is when they are appended.
    ///
    /// # Errors
    /// [`StoreError::OverQuota`], [`StoreError::NoSuchHome`], [`StoreError::Io`].
    pub async fn check_room(
        &self,
        mailbox: &MailboxName,
        messages: u32,
        bytes: u64,
    ) -> Result<(), StoreError> {
        let roots = self.roots(mailbox.home_key()).await?;
        let governing = root_of(mailbox.relative(), |name| {
            roots.iter().any(|(root, _, _)| root == name)
        });
        let more = Amount {
            bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
            messages: i64::from(messages),
            mailboxes: 0,
        };
        for (root, limits, used) in &roots {
            if Some(root.as_str()) == governing
                && let Some((resource, usage, limit)) = limits.exceeded(*used, more)
            {
                let root = full_name(mailbox.home_key(), root);
                return Err(StoreError::OverQuota {
                    root: root.map_or_else(String::new, |root| root.as_str().to_owned()),
                    resource,
                    usage,
                    limit,
                });
            }
        }
        Ok(())
    }

    /// Counts a home's messages again and compares with the counters of its mailboxes and
    /// quota roots. Nothing is changed.
    ///
    /// # Errors
    /// [`StoreError::NoSuchHome`], [`StoreError::Io`].
    pub async fn check_quota(&self, home: &str) -> Result<Vec<QuotaDifference>, StoreError> {
        let shared = Arc::clone(&self.shared);
        let number = shared.catalogue.home(home).ok_or(StoreError::NoSuchHome)?;
        let found = blocking(move || shared.readers.with(number, |r| r.recount())).await?;
        let mut counted: BTreeMap<&str, Amount> = found
            .roots
            .iter()
            .map(|(root, _, _)| (root.as_str(), Amount::default()))
            .collect();
        let mut differences = Vec::new();
        for (name, recorded, there) in &found.mailboxes {
            compare(home, name, false, *recorded, *there, &mut differences);
            let governing = root_of(name, |name| counted.contains_key(name));
            if let Some(sum) = governing.and_then(|root| counted.get_mut(root)) {
                sum.add(*there);
            }
        }
        for (root, _, recorded) in &found.roots {
            let there = counted.get(root.as_str()).copied().unwrap_or_default();
            compare(home, root, true, *recorded, there, &mut differences);
        }
        Ok(differences)
    }

    /// Makes the counters of a home's mailboxes and quota roots what there is, which
    /// [`Partition::check_quota`] compares.
    ///
    /// # Errors
    /// [`StoreError::NoSuchHome`], and those of every change.
    pub async fn repair_quota(&self, home: &str) -> Result<(), StoreError> {
        let home = self
            .shared
            .catalogue
            .home(home)
            .ok_or(StoreError::NoSuchHome)?;
        let op = Op::Recount(command::Recount { home });
        self.shared.submit_one(op, Payload::default()).await?;
        Ok(())
    }

    async fn roots(&self, home: &str) -> Result<Vec<(String, QuotaLimits, Amount)>, StoreError> {
        let shared = Arc::clone(&self.shared);
        let home = shared.catalogue.home(home).ok_or(StoreError::NoSuchHome)?;
        blocking(move || shared.readers.with(home, |r| r.quotas())).await
    }
}

fn compare(
    home: &str,
    name: &str,
    of_root: bool,
    recorded: Amount,
    counted: Amount,
    differences: &mut Vec<QuotaDifference>,
) {
    for (resource, recorded, counted) in [
        (QuotaResource::Storage, recorded.bytes, counted.bytes),
        (QuotaResource::Message, recorded.messages, counted.messages),
        (
            QuotaResource::Mailbox,
            recorded.mailboxes,
            counted.mailboxes,
        ),
    ] {
        if recorded != counted
            && let Some(name) = full_name(home, name)
        {
            differences.push(QuotaDifference {
                name,
                of_root,
                resource,
                recorded,
                counted,
            });
        }
    }
}
