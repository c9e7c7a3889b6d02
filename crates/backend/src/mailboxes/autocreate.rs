//! A user's INBOX, made when it is first needed. In a murder, frontends see to it.

use std::sync::Arc;

use murder_mailbox::{Identity, MailboxName};

use super::ChangeError;
use crate::node::Node;

impl Node {
    /// Makes the user's INBOX at login, if this backend works alone and there is none.
    /// Administrators have none: their accounts are for administering.
    ///
    /// # Errors
    /// Those of CREATE.
    pub async fn autocreate_inbox(
        self: &Arc<Self>,
        identity: &Identity,
    ) -> Result<(), ChangeError> {
        if identity.admin {
            return Ok(());
        }
        self.autocreate_for(&identity.user).await.map(|_| ())
    }

    /// The same for mail to the account `user`; whether there is an INBOX then.
    pub(crate) async fn autocreate_for(self: &Arc<Self>, user: &str) -> Result<bool, ChangeError> {
        let Ok(inbox) = MailboxName::inbox_of(user) else {
            return Ok(false);
        };
        if self.find(&inbox).is_some() {
            return Ok(true);
        }
        if self.may_lack() {
            // It may be where nobody can look.
            return Err(ChangeError::NotOpen);
        }
        if self.cluster.is_some() || !self.config.imap.autocreate_inbox {
            return Ok(false);
        }
        let owner = Identity::user(user);
        match self.create_mailbox(&owner, &inbox, None, None).await {
            Ok(_) | Err(ChangeError::AlreadyExists) => Ok(true),
            Err(error) => Err(error),
        }
    }
}
