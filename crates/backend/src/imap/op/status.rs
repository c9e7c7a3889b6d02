//! STATUS (RFC 9051 section 6.3.11).

use murder_imap::{MailboxArg, StatusItem, StatusValue};
use murder_mailbox::Rights;
use murder_store::StoreError;

use crate::imap::account::{Account, User};
use crate::imap::client::Client;
use crate::imap::enabled::Extension;
use crate::imap::errors::{OpResult, ok};
use crate::imap::selected::Selected;
use crate::node::{Found, Node};

/// STATUS mailbox (items)
pub(crate) async fn status(
    client: &mut Client,
    account: &Account,
    selected: Option<&mut Selected>,
    mailbox: &MailboxArg,
    items: &[StatusItem],
) -> OpResult {
    let user = account.user();
    let name = client.mailbox_name(account, mailbox)?;
    let found = client.find_with(account, &name, Rights::READ)?;
    let values = values(&client.node, &user, &found, items).await?;
    note_modseq(client, account, selected, items);
    // Parsed by the same namespace: it can be written in it.
    let shown = user.namespace.render(&name).unwrap_or_default();
    client.writer.status(&shown, &values);
    Ok(ok("STATUS completed"))
}

/// To ask for HIGHESTMODSEQ enables CONDSTORE (RFC 7162 section 3.1).
pub(super) fn note_modseq(
    client: &mut Client,
    account: &Account,
    selected: Option<&mut Selected>,
    items: &[StatusItem],
) {
    if items.contains(&StatusItem::HighestModSeq) {
        client.enable(account, selected, Extension::CondStore);
    }
}

/// The values of `items`, in their order.
pub(crate) async fn values(
    node: &Node,
    user: &User,
    found: &Found,
    items: &[StatusItem],
) -> Result<Vec<StatusValue>, StoreError> {
    let name = &found.meta.name;
    let status = found.partition.status(name, user.seen_in(name)).await?;
    let append_limit = node.config.imap.append_limit;
    let deleted_storage = match status.deleted > 0 && items.contains(&StatusItem::DeletedStorage) {
        true => found.partition.deleted_storage(name).await?,
        false => 0,
    };
    let value = |item: &StatusItem| match item {
        StatusItem::Messages => StatusValue::Messages(status.messages),
        StatusItem::Recent => StatusValue::Recent(status.recent),
        StatusItem::UidNext => StatusValue::UidNext(status.uidnext),
        StatusItem::UidValidity => StatusValue::UidValidity(status.uidvalidity),
        StatusItem::Unseen => StatusValue::Unseen(status.unseen),
        StatusItem::Deleted => StatusValue::Deleted(status.deleted),
        StatusItem::Size => StatusValue::Size(status.size),
        StatusItem::HighestModSeq => StatusValue::HighestModSeq(status.highest_modseq),
        StatusItem::AppendLimit => StatusValue::AppendLimit(Some(append_limit)),
        StatusItem::MailboxId => StatusValue::MailboxId(status.id.to_string()),
        StatusItem::DeletedStorage => StatusValue::DeletedStorage(deleted_storage),
    };
    Ok(items.iter().map(value).collect())
}
