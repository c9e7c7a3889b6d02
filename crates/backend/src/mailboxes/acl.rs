//! SETACL and DELETEACL (RFC 4314 sections 3.1 and 3.2).

use std::sync::Arc;

use murder_location::MupdateError;
use murder_mailbox::{Acl, Identity, MailboxName, Rights};
use murder_store::{MailboxMeta, Partition};

use super::{AclChange, ChangeError, Done};
use crate::node::Node;

impl Node {
    /// SETACL and DELETEACL. `identifier` begins with `-` for negative rights.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn change_acl(
        self: &Arc<Self>,
        identity: &Identity,
        name: &MailboxName,
        identifier: &str,
        change: AclChange,
    ) -> Result<Done, ChangeError> {
        let (identity, name) = (identity.clone(), name.clone());
        let identifier = normalized(identifier);
        self.to_the_end(
            |node| async move { node.set_acl(&identity, &name, &identifier, change).await },
        )
        .await
    }

    async fn set_acl(
        &self,
        identity: &Identity,
        name: &MailboxName,
        identifier: &str,
        change: AclChange,
    ) -> Result<Done, ChangeError> {
        let _home = self.changes.of_homes(&[name.home_key()]).await;
        let missing = "You may not change who may use this mailbox";
        let found = self.find_permitted(identity, name, Rights::ADMINISTER, missing)?;
        let before = found.acl();
        let mut acl = before.clone();
        match change {
            AclChange::Replace(rights) => acl.set(identifier, rights)?,
            AclChange::Add(rights) => acl.set(identifier, acl.get(identifier).union(rights))?,
            AclChange::Remove(rights) => {
                acl.set(identifier, acl.get(identifier).without(rights))?;
            }
            AclChange::Delete => {
                acl.remove(identifier);
            }
        }
        if acl == *before {
            return Ok(Done::default());
        }
        let done = match self.write_acl(&found.partition, &found.meta, &acl).await {
            Err(ChangeError::Master(
                error @ (MupdateError::NotOwner(_) | MupdateError::FailedPrecondition(_)),
            )) => {
                let Some(cluster) = &self.cluster else {
                    return Err(error.into());
                };
                if !self.is_anothers(cluster, &found).await? {
                    return Err(error.into());
                }
                // The master has no record of it that could be changed.
                found.partition.set_acl(name, &acl.to_string()).await?;
                Done::default()
            }
            done => done?,
        };
        let rights = acl.get(identifier);
        audited!("mailbox.setacl", identity, mailbox = %name, identifier, %rights);
        Ok(done)
    }

    /// Replaces a mailbox's ACL, at the master and in the store.
    pub(super) async fn write_acl(
        &self,
        partition: &Partition,
        meta: &MailboxMeta,
        acl: &Acl,
    ) -> Result<Done, ChangeError> {
        let Some(cluster) = &self.cluster else {
            partition.set_acl(&meta.name, &acl.to_string()).await?;
            return Ok(Done::default());
        };
        let unfinished = self.changes.begin();
        let master = self.master_of(cluster, partition);
        let changed = match master.set_acl(&meta.name, acl, Some(meta.id)).await {
            Ok(changed) => changed,
            Err(error) => {
                // One that the master has otherwise, or not at all, is reconciled first.
                if matches!(
                    error,
                    MupdateError::NotOwner(_) | MupdateError::InvalidArgument(_)
                ) {
                    unfinished.settled();
                }
                return Err(error.into());
            }
        };
        if let Err(error) = partition.set_acl(&meta.name, &acl.to_string()).await {
            let undone = master.set_acl(&meta.name, &meta.acl, Some(meta.id));
            match undone.await {
                Ok(_) => unfinished.settled(),
                Err(error) => {
                    tracing::warn!(mailbox = %meta.name, %error, "the ACL was not put back");
                }
            }
            return Err(error.into());
        }
        unfinished.settled();
        Ok(Done {
            revision: Some(changed.revision),
        })
    }
}

/// User names have one form; groups are what the directory says.
fn normalized(identifier: &str) -> String {
    let name = identifier.strip_prefix('-').unwrap_or(identifier);
    match name.starts_with("group:") {
        true => identifier.to_owned(),
        false => identifier.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::normalized;

    #[test]
    fn user_names_have_one_form() {
        assert_eq!(normalized("Bob@Example.ORG"), "bob@example.org");
        assert_eq!(normalized("-Anyone"), "-anyone");
        assert_eq!(normalized("group:Staff"), "group:Staff");
        assert_eq!(normalized("-group:Staff"), "-group:Staff");
    }
}
