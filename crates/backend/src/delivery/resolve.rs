//! From the recipient of an envelope to a mailbox.

use std::sync::Arc;

use murder_auth::normalize_user;
use murder_lmtp::Recipient;
use murder_mailbox::{Identity, MailboxName, Namespace, NamespaceConfig, Rights};
use murder_store::{INLINE_LIMIT, Partition, StoreError};

use super::DeliveryError;
use crate::node::{Found, Node};

/// Where mail for a recipient goes.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub partition: Arc<Partition>,
    pub mailbox: MailboxName,
    /// The account and the detail: the recipient, however the address was written.
    pub recipient: String,
}

impl Target {
    /// Refuses a large message, of the size that the sender has declared, if it is too much for
    /// the mailbox's quota. The store looks again when it is delivered, and alone at small ones:
    /// to read a home for each would cost more than it saves.
    pub async fn check_room(&self, size: Option<u64>) -> Result<(), DeliveryError> {
        let Some(size) = size.filter(|size| *size > INLINE_LIMIT as u64) else {
            return Ok(());
        };
        match self.partition.check_room(&self.mailbox, 1, size).await {
            Err(error @ StoreError::OverQuota { .. }) => Err((&error).into()),
            // The delivery finds out the rest.
            _ => Ok(()),
        }
    }
}

/// Finds the recipient's mailbox on this node. `passed_on`: a frontend believes it to be here.
pub(crate) async fn resolve(
    node: &Arc<Node>,
    recipient: &Recipient,
    passed_on: bool,
) -> Result<Target, DeliveryError> {
    let whole = recipient
        .domain
        .as_ref()
        .map(|domain| format!("{}@{domain}", recipient.user));
    let accounts: Vec<String> = whole
        .iter()
        .chain([&recipient.user])
        .filter_map(|name| normalize_user(name).ok())
        .collect();
    for account in &accounts {
        if let Some(inbox) = inbox_of(node, account) {
            return Ok(folder(node, recipient, account, inbox));
        }
    }
    let known = accounts.iter().find(|account| node.has_account(account));
    if node.cluster.is_some() {
        // It has just moved, or is yet to be made, which is a frontend's to do: the sender comes
        // again. Nobody's mail bounces for that.
        return Err(match known.is_some() || passed_on || node.may_lack() {
            true => DeliveryError::NotHere,
            false => DeliveryError::UnknownUser,
        });
    }
    let Some(account) = known else {
        return Err(DeliveryError::UnknownUser);
    };
    match Box::pin(node.autocreate_for(account)).await {
        Ok(true) => {}
        Ok(false) => return Err(DeliveryError::UnknownUser),
        Err(error) => return Err((&error).into()),
    }
    let inbox = inbox_of(node, account).ok_or(DeliveryError::NotHere)?;
    Ok(folder(node, recipient, account, inbox))
}

fn inbox_of(node: &Node, account: &str) -> Option<Found> {
    node.find(&MailboxName::inbox_of(account).ok()?)
}

/// The mailbox that the detail names, if mail may be sent there, or else the INBOX.
fn folder(node: &Node, recipient: &Recipient, account: &str, inbox: Found) -> Target {
    let named = recipient.detail.as_deref().and_then(|detail| {
        let namespace = Namespace::client(NamespaceConfig::default(), account, false);
        let name = namespace.parse(detail).ok()?;
        // The namespace would also lead to others.
        (name.home_key() == inbox.meta.name.home_key()).then_some(name)
    });
    // The owner's own right is enough, as the address is theirs; a folder is closed by taking `p`
    // away from the owner, or from everybody with `-anyone`.
    let found = named.and_then(|name| node.find(&name)).filter(|found| {
        let acl = found.acl();
        let may_post = |user: &str| {
            let rights = acl.rights_of(&Identity::user(user), None);
            rights.contains(Rights::POST)
        };
        may_post(account) || may_post("anyone")
    });
    let Found { partition, meta } = found.unwrap_or(inbox);
    Target {
        partition,
        mailbox: meta.name,
        recipient: match &recipient.detail {
            Some(detail) => format!("{account}+{detail}"),
            None => account.to_owned(),
        },
    }
}
