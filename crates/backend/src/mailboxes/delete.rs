//! DELETE (RFC 9051 section 6.3.5).

use std::sync::Arc;

use murder_location::{Activate, MupdateError};
use murder_mailbox::{Identity, MailboxName, Rights};

use super::{ChangeError, Done};
use crate::node::Node;

impl Node {
    /// DELETE. Mailboxes below it stay.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn delete_mailbox(
        self: &Arc<Self>,
        identity: &Identity,
        name: &MailboxName,
    ) -> Result<Done, ChangeError> {
        let (identity, name) = (identity.clone(), name.clone());
        self.to_the_end(|node| async move { node.delete(&identity, &name).await })
            .await
    }

    async fn delete(&self, identity: &Identity, name: &MailboxName) -> Result<Done, ChangeError> {
        let _home = self.changes.of_homes(&[name.home_key()]).await;
        let missing = "You may not delete this mailbox";
        let found = self.find_permitted(identity, name, Rights::DELETE_MAILBOX, missing)?;
        if name.is_inbox() && !identity.admin {
            return Err(ChangeError::Cannot("INBOX cannot be deleted"));
        }
        let id = found.meta.id;
        let Some(cluster) = &self.cluster else {
            found.partition.delete_mailbox(name).await?;
            audited!("mailbox.delete", identity, mailbox = %name);
            return Ok(Done::default());
        };
        let unfinished = self.changes.begin();
        let master = self.master_of(cluster, &found.partition);
        match master.begin_delete(name, id).await {
            Ok(_) => {}
            Err(error) => {
                let refused = matches!(
                    error,
                    MupdateError::NotOwner(_) | MupdateError::FailedPrecondition(_)
                );
                if refused && self.is_anothers(cluster, &found).await? {
                    // The name leads to the other one: this is nobody's but this partition's.
                    unfinished.settled();
                    found.partition.delete_mailbox(name).await?;
                    audited!("mailbox.delete", identity, mailbox = %name);
                    return Ok(Done::default());
                }
                // One that the master has otherwise, or not at all, is reconciled first.
                if matches!(error, MupdateError::NotOwner(_)) {
                    unfinished.settled();
                }
                return Err(error.into());
            }
        }
        if let Err(error) = found.partition.delete_mailbox(name).await {
            let activate = Activate::new(name.clone(), id);
            match master.activate(activate).await {
                Ok(_) => unfinished.settled(),
                Err(error) => {
                    tracing::warn!(mailbox = %name, %error, "not back in service at the master");
                }
            }
            return Err(error.into());
        }
        audited!("mailbox.delete", identity, mailbox = %name);
        let revision = match master.delete(name, Some(id)).await {
            Ok(changed) => Some(changed.revision),
            Err(MupdateError::NotFound(_)) => None,
            Err(error) => return Err(ChangeError::of_last_step(error)),
        };
        unfinished.settled();
        Ok(Done { revision })
    }
}
