//! A deleted mailbox comes back: an operator's change, made as CREATE is.

use std::sync::Arc;

use murder_mailbox::{Acl, MailboxId, MailboxName};
use murder_store::{DeletedMailbox, MailboxMeta, Partition};

use super::create::{NewMailbox, Origin};
use super::{ChangeError, Done};
use crate::node::Node;

impl Node {
    /// Brings a deleted mailbox of `to`'s home back, with its messages, their UIDs and its ACL,
    /// as `to`. Its identity is new and its UIDVALIDITY greater. Asks for no rights.
    ///
    /// # Errors
    /// [`ChangeError::NoSuchMailbox`] when it is not kept any more; see [`ChangeError`].
    pub async fn restore_mailbox(
        self: &Arc<Self>,
        partition: &Arc<Partition>,
        deleted: DeletedMailbox,
        to: &MailboxName,
    ) -> Result<(Done, MailboxMeta), ChangeError> {
        let (partition, to) = (Arc::clone(partition), to.clone());
        self.to_the_end(|node| async move { node.restore(&partition, &deleted, &to).await })
            .await
    }

    async fn restore(
        &self,
        partition: &Arc<Partition>,
        deleted: &DeletedMailbox,
        to: &MailboxName,
    ) -> Result<(Done, MailboxMeta), ChangeError> {
        let _home = self.changes.of_homes(&[to.home_key()]).await;
        self.check_reachable(to)?;
        if self.find(to).is_some() {
            return Err(ChangeError::AlreadyExists);
        }
        self.check_free(to)?;
        let mut acl = Acl::parse(&deleted.acl).unwrap_or_default();
        if let Some(owner) = to.owner_user()
            && acl.get(&owner).is_empty()
        {
            // The home has got another name since.
            acl.set(&owner, Acl::owned_by(&owner).get(&owner))?;
        }
        self.make(NewMailbox {
            id: MailboxId::new(),
            name: to,
            partition,
            acl,
            special_use: deleted.special_use,
            origin: Origin::Deleted(deleted.id),
        })
        .await
    }
}
