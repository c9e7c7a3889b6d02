//! Who has logged in, and what is theirs.

use std::sync::Arc;

use murder_imap::NodeId;
use murder_mailbox::{Identity, MailboxName, Namespace};
use murder_session::{CUT_OFF_AFTER, Goodbye, News, Presence};
use tokio::time::sleep;
use tracing::debug;

use crate::imap::notify::{Notify, Wants};
use crate::imap::selected::Selected;
use crate::node::Node;
use crate::transfer::Transfer;

/// Who has logged in.
pub(crate) struct User {
    /// Who it is.
    pub identity: Identity,
    /// How mailbox names look to the client: canonical for a frontend.
    pub namespace: Namespace,
}

impl User {
    /// Whose `\Seen` counts in mailbox `name`: `None` for the owner's own, see
    /// [`murder_store::AppendMessage::seen_by`].
    pub(crate) fn seen_in(&self, name: &MailboxName) -> Option<&str> {
        match name.is_owned_by(&self.identity.user) {
            true => None,
            false => Some(&self.identity.user),
        }
    }
}

/// Somebody who has logged in.
pub(crate) struct Account {
    /// Who.
    pub user: Arc<User>,
    /// The session's place among those that are logged in.
    pub presence: Presence,
    /// What the client wants to be told; `None` before its first NOTIFY.
    pub notify: Option<Box<Notify>>,
    /// A frontend's COPY or MOVE to another backend, or from one.
    pub transfer: Option<Box<Transfer>>,
    /// The id of what the next command makes, if a frontend has given it one.
    pub next_id: Option<NodeId>,
}

impl Account {
    /// Of `user`, who has just logged in.
    pub(crate) fn new(user: User, presence: Presence) -> Self {
        Self {
            user: Arc::new(user),
            presence,
            notify: None,
            transfer: None,
            next_id: None,
        }
    }

    /// Who it is, as one may hold on to it during a command.
    pub(crate) fn user(&self) -> Arc<User> {
        Arc::clone(&self.user)
    }

    /// Whether a frontend acts for the user here.
    pub(crate) fn is_frontends(&self) -> bool {
        self.user.namespace.is_canonical()
    }

    /// What the client is told of the selected mailbox.
    pub(crate) fn wants(&self) -> Wants {
        self.notify
            .as_ref()
            .map_or_else(Wants::default, |notify| notify.wants())
    }

    /// The client wants to be told this from now on.
    pub(crate) fn set_notify(&mut self, selected: Option<&mut Selected>, notify: Notify) {
        self.notify = Some(Box::new(notify));
        if let Some(selected) = selected {
            selected.wants = self.wants();
        }
    }

    /// Takes note of what has become of the account.
    ///
    /// # Errors
    /// When the session has to end.
    pub(crate) async fn hear(
        &mut self,
        node: &Node,
        selected: Option<&mut Selected>,
        news: News,
    ) -> Result<(), Goodbye> {
        match news {
            News::Changed => {
                self.look_identity_up(node, selected);
                Ok(())
            }
            News::Ended(end) => {
                // Nothing is done for a frontend any more; but it is the one to tell its client why,
                // and would take this for a backend that has gone.
                if self.is_frontends() {
                    sleep(CUT_OFF_AFTER).await;
                }
                Err(Goodbye::Ended(end))
            }
        }
    }

    /// The user's account has changed: other groups, other rights, also in the selected mailbox.
    fn look_identity_up(&mut self, node: &Node, selected: Option<&mut Selected>) {
        let user = &self.user;
        let identity = node.identity_now(&user.identity, user.namespace.is_canonical());
        if identity == user.identity {
            return;
        }
        debug!(?identity, "the account has changed");
        self.user = Arc::new(User {
            identity,
            namespace: user.namespace.clone(),
        });
        if let Some(selected) = selected {
            selected.forget_rights();
            selected.contexts.belong_to(&self.user);
        }
    }
}
