//! CREATE (RFC 9051 section 6.3.4, RFC 6154 section 3): where a new mailbox goes.

use bytes::Bytes;
use murder_imap::Command;
use murder_location::NodeState;
use murder_mailbox::{MailboxId, MailboxName, Rights};

use crate::imap::arguments::{Coding, quote_always};
use crate::imap::errors::{OpResult, Refusal, ok};
use crate::imap::op::{is_there, parse, turns_out};
use crate::imap::session::Session;
use crate::route::{Place, RouteError};
use crate::shared::Shared;

/// What is said to who lacks `k`, in the backends' words: the same, whether there is something above,
/// or at the place itself, or not.
pub(super) const MAY_NOT_CREATE: &str = "You may not create mailboxes there";

/// CREATE mailbox [(PARTITION … USE (…))]
pub(crate) async fn create(session: &mut Session, command: &Bytes) -> OpResult {
    let user = session.user()?;
    let Command::Create {
        mailbox,
        partition,
        special_use,
    } = parse(command)?
    else {
        return Err(Refusal::syntax("Syntax error").into());
    };
    let name = session
        .encoding
        .decode(mailbox.as_bytes())
        .and_then(|name| user.namespace.parse(&name))?;
    let shared = session.shared.clone();
    if partition.is_some() && !user.identity.admin {
        let only = "Only administrators choose the partition";
        return Err(Refusal::NotPermitted(only).into());
    }
    let viewer = user.viewer(Rights::LOOKUP);
    if shared.router.look_as(viewer, &name).is_ok() {
        // Unless it has been deleted just now on another frontend.
        match shared.router.find_again_as(viewer, &name).await {
            Err(RouteError::NotFound) => {}
            Ok(_) => return Err(Refusal::AlreadyExists.into()),
            Err(error) => return Err(error.into()),
        }
    }
    if !shared.router.may_create(&user.identity, &name).await {
        return Err(Refusal::NotPermitted(MAY_NOT_CREATE).into());
    }
    let (node, partition) = place(&shared, &name, partition.as_deref()).await?;
    let mut line = format!(
        "CREATE {} (PARTITION {}",
        quote_always(name.as_str()),
        quote_always(&partition)
    );
    if !special_use.is_empty() {
        line.push_str(&format!(" USE ({})", special_use.join(" ")));
    }
    line.push(')');
    let id = MailboxId::new();
    let made = session
        .on_backend_making(&node, Some(id.to_bytes()), line.as_bytes())
        .await;
    let completion = match made {
        Ok((completion, _)) => completion,
        Err(error) if error.may_be_done() => {
            return match turns_out(&shared, |map| is_there(map, &name, id)).await {
                true => Ok(ok("CREATE completed")),
                false => Err(error.into()),
            };
        }
        Err(error) => return Err(error.into()),
    };
    Ok(completion)
}

/// The node and its partition for the new mailbox.
async fn place(
    shared: &Shared,
    name: &MailboxName,
    wanted: Option<&str>,
) -> Result<(String, String), Refusal> {
    let mut above = shared.router.nearest(name);
    if above.is_none() && name.parent().is_some() {
        shared.router.barrier().await;
        above = shared.router.nearest(name);
    }
    if let Some(wanted) = wanted {
        return chosen(shared, above.as_ref(), wanted);
    }
    if let Some(above) = above {
        return Ok((above.node.clone(), above.location.partition.to_string()));
    }
    shared
        .choose_partition()
        .ok_or_else(|| Refusal::Unavailable("No backend takes new mailboxes".into()))
}

/// The partition that an administrator asked for: `node!partition`, a node, or a partition
/// of the parent's node.
fn chosen(
    shared: &Shared,
    above: Option<&Place>,
    wanted: &str,
) -> Result<(String, String), Refusal> {
    let tables = shared.router.replica().read();
    let whole = if wanted.contains('!') {
        wanted.to_owned()
    } else if tables.nodes.contains_key(wanted) {
        let mut of_node = tables.partitions.values().filter(|p| p.owner == wanted);
        match of_node.next() {
            Some(first) => first.name.clone(),
            None => wanted.to_owned(),
        }
    } else if let Some(above) = above {
        format!("{}!{wanted}", above.node)
    } else {
        wanted.to_owned()
    };
    let partition = tables
        .partitions
        .get(&whole)
        .ok_or_else(|| Refusal::Cannot(format!("There is no partition {wanted}").into()))?;
    if tables
        .nodes
        .get(&partition.owner)
        .is_none_or(|node| node.state == NodeState::Down)
    {
        return Err(Refusal::Unavailable(
            "The backend of that partition is not available".into(),
        ));
    }
    Ok((partition.owner.clone(), whole))
}
