//! What is left of a user whose account was deleted: mailboxes, and places in others' ACLs.

use std::sync::Arc;

use murder_auth::normalize_user;
use murder_mailbox::Identity;
use murder_proto::v1;
use tonic::Status;

use super::errors::{invalid, not_changed};
use super::name_of;
use crate::mailboxes::AclChange;
use crate::node::Node;

/// An operator acts as an administrator does who is nobody in particular.
fn administrator() -> Identity {
    Identity {
        admin: true,
        ..Identity::default()
    }
}

/// DeleteMailbox
pub(super) async fn delete_mailbox(
    node: &Arc<Node>,
    request: v1::DeleteMailboxRequest,
) -> Result<v1::DeleteMailboxResponse, Status> {
    let name = name_of(&request.name)?;
    let deleted = node.delete_mailbox(&administrator(), &name).await;
    let done = deleted.map_err(not_changed)?;
    Ok(v1::DeleteMailboxResponse {
        revision: done.revision.unwrap_or(0),
    })
}

/// RemoveFromAcl
pub(super) async fn remove_from_acl(
    node: &Arc<Node>,
    request: v1::RemoveFromAclRequest,
) -> Result<v1::RemoveFromAclResponse, Status> {
    let name = name_of(&request.name)?;
    let user = normalize_user(&request.user)
        .map_err(|error| invalid(format!("{:?} is no user name: {error}", request.user)))?;
    let mut revision = 0;
    for identifier in [format!("-{user}"), user] {
        let changed = node
            .change_acl(&administrator(), &name, &identifier, AclChange::Delete)
            .await
            .map_err(not_changed)?;
        revision = changed.revision.unwrap_or(revision);
    }
    Ok(v1::RemoveFromAclResponse { revision })
}
