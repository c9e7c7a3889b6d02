//! Where a new mailbox may be made, by whom, and what it inherits.

use std::sync::Arc;

use murder_mailbox::{Acl, Identity, MailboxName, Owner, Rights};
use murder_store::{Health, Partition};

use super::ChangeError;
use crate::node::Node;

/// A place for a new mailbox, that the user may make there.
pub(super) struct Place {
    /// The new mailbox's ACL.
    pub acl: Acl,
    /// Where the parent is, when it is here.
    partition: Option<Arc<Partition>>,
}

/// The nearest mailbox above a name.
struct Parent {
    acl: Acl,
    partition: Option<Arc<Partition>>,
}

impl Node {
    /// Whether `identity` may make `name`: by right `k` on the nearest mailbox above it, which
    /// also gives it its ACL. Where there is none, homes are made by their owners, and by
    /// administrators, shared trees by administrators only.
    pub(super) async fn place_for(
        &self,
        identity: &Identity,
        name: &MailboxName,
    ) -> Result<Place, ChangeError> {
        // The same, whether there is something above or not.
        const MAY_NOT: ChangeError =
            ChangeError::NotPermitted("You may not create mailboxes there");
        self.check_reachable(name)?;
        if let Some(parent) = self.nearest_parent(name).await? {
            let rights = parent.acl.rights_of(identity, name.owner_user().as_deref());
            if !rights.contains(Rights::CREATE) {
                return Err(MAY_NOT);
            }
            return Ok(Place {
                acl: parent.acl,
                partition: parent.partition,
            });
        }
        if !identity.admin && !name.is_owned_by(&identity.user) {
            return Err(MAY_NOT);
        }
        let owner = name.owner_user().unwrap_or_else(|| identity.user.clone());
        Ok(Place {
            acl: Acl::owned_by(&owner),
            partition: None,
        })
    }

    /// A user's mailbox with the name of a namespace would look like one of others to the user.
    pub(super) fn check_reachable(&self, name: &MailboxName) -> Result<(), ChangeError> {
        let top = name.relative().split('/').next().unwrap_or_default();
        if matches!(name.owner(), Owner::User(_)) && self.config.namespace.hides(top) {
            return Err(ChangeError::Cannot("The name is that of a namespace"));
        }
        Ok(())
    }

    /// Without a master nobody knows whether a partition that is not open has a mailbox of that
    /// name, or others of its home.
    pub(super) fn check_free(&self, name: &MailboxName) -> Result<(), ChangeError> {
        let known = self.cluster.is_some() || self.partition_of_home(name.home_key()).is_some();
        match known || !self.may_lack() {
            true => Ok(()),
            false => Err(ChangeError::NotOpen),
        }
    }

    /// Also asks the master: a tree's mailboxes may be on several backends.
    async fn nearest_parent(&self, name: &MailboxName) -> Result<Option<Parent>, ChangeError> {
        let mut above = name.parent();
        while let Some(name) = above {
            if let Some(found) = self.find(&name) {
                return Ok(Some(Parent {
                    acl: found.acl().clone(),
                    partition: Some(found.partition),
                }));
            }
            if let Some(cluster) = &self.cluster
                && let Some(mailbox) = cluster.client.find(&name).await?.mailbox
            {
                let place = &mailbox.location.partition;
                let closed = self.partitions.closed();
                if closed.iter().any(|(own, _)| self.place_of(own) == **place) {
                    // What is below it belongs beside it.
                    return Err(ChangeError::NotOpen);
                }
                return Ok(Some(Parent {
                    acl: Acl::clone(&mailbox.location.acl),
                    partition: None,
                }));
            }
            above = name.parent();
        }
        Ok(None)
    }

    /// The partition of that name (`default`, or `node!default`), else the parent's, else the
    /// home's, else the first that takes changes.
    pub(super) fn partition_for(
        &self,
        name: &MailboxName,
        place: &Place,
        wanted: Option<&str>,
    ) -> Result<Arc<Partition>, ChangeError> {
        if let Some(wanted) = wanted {
            let own = self.own_name(wanted);
            return match self.partitions.get(own) {
                Some(partition) => Ok(partition),
                None if self.partitions.contains(own) => Err(ChangeError::NotOpen),
                None => Err(ChangeError::Cannot("There is no such partition here")),
            };
        }
        place
            .partition
            .clone()
            .or_else(|| self.partition_of_home(name.home_key()))
            .or_else(|| {
                let all = self.partitions.open();
                let mut healthy = all.iter().filter(|open| open.health() == Health::Healthy);
                healthy.next().or(all.first()).cloned()
            })
            .ok_or(ChangeError::NotOpen)
    }
}
