//! CREATE (RFC 9051 section 6.3.4, RFC 6154 section 3).

use murder_imap::{Code, MailboxArg, NodeCode};
use murder_mailbox::{MailboxId, SpecialUse};

use crate::imap::account::Account;
use crate::imap::client::{Client, not_permitted};
use crate::imap::enabled::Extension;
use crate::imap::errors::{Completion, OpError, OpResult, no, ok, ok_code};
use crate::imap::op::list;
use crate::mailboxes::Done;

/// `CREATE mailbox (PARTITION "name" USE (\Sent))`
pub(crate) async fn create(
    client: &mut Client,
    account: &mut Account,
    mailbox: &MailboxArg,
    partition: Option<&str>,
    special_use: &[String],
) -> OpResult {
    let user = account.user();
    let name = client.mailbox_name(account, mailbox)?;
    let canonical = user.namespace.is_canonical();
    // A frontend has chosen the partition itself.
    if partition.is_some() && !canonical && !user.identity.admin {
        return Err(not_permitted());
    }
    let special_use = use_of(special_use)?;
    let id = account.next_id.take();
    let id = id.map_or_else(MailboxId::new, MailboxId::from_bytes);
    let changing = client
        .node
        .create_mailbox_as(&user.identity, &name, partition, special_use, id);
    let done = client
        .actor(account)
        .scope(changing)
        .await
        .map_err(|error| error.into_op(canonical))?;
    const TEXT: &str = "CREATE completed";
    if canonical {
        return Ok(changed(done, true, TEXT));
    }
    let found = client.node.find(&name);
    if let Some(found) = &found
        && client.enabled.has(Extension::Rev2)
        && let Some(row) = list::row_of(&client.node, &user, &found.meta, mailbox)
        && row.old_name.is_some()
    {
        client.writer.list(&row);
    }
    Ok(match found {
        Some(found) => ok_code(Code::MailboxId(found.meta.id.to_string()), TEXT),
        None => ok(TEXT),
    })
}

/// OK to a change of the list of mailboxes. A frontend is told the master's revision, which it
/// waits for.
pub(crate) fn changed(done: Done, canonical: bool, text: &'static str) -> Completion {
    match done.revision.filter(|_| canonical) {
        Some(revision) => ok_code(NodeCode::Revision(revision).into(), text),
        None => ok(text),
    }
}

/// What the new mailbox is for. A mailbox has one use here, and none that wants its messages
/// gathered from others.
fn use_of(attributes: &[String]) -> Result<Option<SpecialUse>, OpError> {
    let refused = |text: &'static str| Err(no(Code::UseAttr, text));
    let mut uses = attributes.iter().map(|attribute| attribute.parse());
    match (uses.next(), uses.next()) {
        (None, _) => Ok(None),
        (Some(Ok(SpecialUse::All | SpecialUse::Flagged)), _) => {
            refused("There are no virtual mailboxes")
        }
        (Some(Ok(special_use)), None) => Ok(Some(special_use)),
        (Some(Ok(_)), Some(_)) => refused("A mailbox has one special use only"),
        (Some(Err(_)), _) => refused("Special use is not known"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_frontends_wait_for_a_revision() {
        let code = |revision, canonical| changed(Done { revision }, canonical, "done").code;
        assert_eq!(code(Some(7), true), Some(NodeCode::Revision(7).into()));
        assert_eq!(code(Some(7), false), None);
        assert_eq!(code(None, true), None);
    }

    #[test]
    fn special_uses() {
        let uses = |attributes: &[&str]| {
            let attributes: Vec<String> = attributes.iter().map(|a| (*a).to_owned()).collect();
            use_of(&attributes)
        };
        assert_eq!(uses(&[]).unwrap(), None);
        assert_eq!(uses(&["\\sent"]).unwrap(), Some(SpecialUse::Sent));
        for refused in [&["\\All"][..], &["\\Nonsense"], &["\\Sent", "\\Drafts"]] {
            let error = uses(refused).unwrap_err();
            assert!(
                matches!(&error, OpError::Refused(c) if c.code == Some(Code::UseAttr)),
                "{error:?}"
            );
        }
    }
}
