//! What was expunged or deleted: shown, and brought back.

use std::collections::HashMap;
use std::sync::Arc;

use murder_mailbox::{MailboxId, MailboxName};
use murder_net::Actor;
use murder_proto::v1;
use murder_store::{
    DeletedMailbox, ExpungedMessage, MAX_RESTORABLE, Partition, Restorable, UidSet,
};
use tonic::Status;

use super::errors::{invalid, not_changed, not_found, not_possible, refused};
use super::{Answer, ENTRIES, envelope, name_of, or_gone};
use crate::node::Node;

/// Messages that one change brings back: some milliseconds of their home's writer, and a mailbox
/// with sessions in it is told in steps.
const RESTORED_AT_ONCE: usize = 500;
/// Ranges of UIDs in a request.
const RANGES: usize = 10_000;

/// What one partition has of a home.
struct OfPartition {
    partition: Arc<Partition>,
    restorable: Restorable,
}

impl OfPartition {
    fn is_truncated(&self) -> bool {
        self.restorable.messages.len() >= MAX_RESTORABLE as usize
    }
}

/// What can be restored of a home, wherever it is here.
async fn of_home(node: &Node, home: &str) -> Result<Vec<OfPartition>, Status> {
    let mut found = Vec::new();
    for partition in node.partitions.open().iter() {
        if let Some(restorable) = or_gone(partition.restorable(home).await).map_err(refused)? {
            found.push(OfPartition {
                partition: Arc::clone(partition),
                restorable,
            });
        }
    }
    Ok(found)
}

/// The name that a deleted mailbox had, in the home as it is called now.
fn name_in(home: &str, deleted: &DeletedMailbox) -> Option<MailboxName> {
    match &*deleted.relative_name {
        "" => MailboxName::parse_canonical(home).ok(),
        relative => MailboxName::parse_canonical(&format!("{home}/{relative}")).ok(),
    }
}

/// Lists what can be restored of `name` and, unless `exact`, of what is below it.
pub(super) async fn list(
    node: &Node,
    name: &MailboxName,
    exact: bool,
    answer: &Answer<v1::ListRestorableResponse>,
) -> Result<(), Status> {
    let home = name.home_key();
    let wanted = |of: &MailboxName| of == name || (!exact && of.is_below(name));
    for found in of_home(node, home).await? {
        let truncated = found.is_truncated();
        let place = node.place(&found.partition);
        let held = found.partition.home_mailboxes(home);
        let names: HashMap<MailboxId, MailboxName> = held
            .into_iter()
            .filter(|meta| wanted(&meta.name))
            .map(|meta| (meta.id, meta.name))
            .collect();
        let deleted = found.restorable.mailboxes.iter().filter_map(|deleted| {
            let name = name_in(home, deleted).filter(|name| wanted(name))?;
            Some(deleted_to_proto(&name, &place, deleted))
        });
        let mut messages = found.restorable.messages.iter().filter_map(|message| {
            let mailbox = names.get(&message.mailbox)?;
            Some(message_to_proto(mailbox, message))
        });
        let mut part = v1::ListRestorableResponse {
            mailboxes: deleted.collect(),
            messages: messages.by_ref().take(ENTRIES).collect(),
            truncated,
        };
        while part != v1::ListRestorableResponse::default() {
            answer.send(part).await?;
            part = v1::ListRestorableResponse {
                messages: messages.by_ref().take(ENTRIES).collect(),
                ..v1::ListRestorableResponse::default()
            };
        }
    }
    Ok(())
}

fn deleted_to_proto(
    name: &MailboxName,
    place: &str,
    deleted: &DeletedMailbox,
) -> v1::DeletedMailbox {
    v1::DeletedMailbox {
        name: name.to_string(),
        partition: place.to_owned(),
        id: deleted.id.to_bytes().to_vec(),
        uidvalidity: deleted.uidvalidity,
        messages: deleted.messages,
        bytes: deleted.bytes,
        deleted_at: deleted.deleted_at,
        keep_until: deleted.keep_until,
    }
}

fn message_to_proto(mailbox: &MailboxName, message: &ExpungedMessage) -> v1::ExpungedMessage {
    let envelope::Shown { subject, from } = envelope::shown(&message.envelope);
    v1::ExpungedMessage {
        mailbox: mailbox.to_string(),
        uid: message.uid,
        bytes: message.location.len,
        received_at: message.internal_date.seconds,
        expunged_at: message.expunged_at,
        keep_until: message.keep_until,
        subject,
        from,
    }
}

/// Which messages are to come back.
pub(super) struct Wanted {
    mailbox: MailboxName,
    /// `None`: all.
    uids: Option<UidSet>,
    since: i64,
    dry_run: bool,
}

impl Wanted {
    pub(super) fn new(request: v1::RestoreMessagesRequest) -> Result<Self, Status> {
        if request.uids.len() > RANGES {
            return Err(invalid(format!("more than {RANGES} ranges of UIDs")));
        }
        let mut uids = UidSet::default();
        for range in &request.uids {
            let (first, last) = (range.first.min(range.last), range.first.max(range.last));
            if first == 0 {
                return Err(invalid("0 is no UID"));
            }
            uids.insert_range(first, last);
        }
        Ok(Self {
            mailbox: name_of(&request.mailbox)?,
            uids: (!request.uids.is_empty()).then_some(uids),
            since: request.expunged_since.unwrap_or(i64::MIN),
            dry_run: request.dry_run,
        })
    }

    fn is(&self, message: &ExpungedMessage) -> bool {
        message.expunged_at >= self.since
            && self
                .uids
                .as_ref()
                .is_none_or(|uids| uids.contains(message.uid))
    }
}

/// Brings messages back, in the order of the UIDs that they had.
pub(super) async fn messages(
    node: &Node,
    wanted: &Wanted,
    by: &str,
    answer: &Answer<v1::RestoreMessagesResponse>,
) -> Result<(), Status> {
    let name = &wanted.mailbox;
    let not_here = || not_found(format!("there is no mailbox {name} on this backend"));
    let found = node.find(name).ok_or_else(not_here)?;
    let restorable = found.partition.restorable(name.home_key()).await;
    let kept = restorable.map_err(refused)?.messages;
    // Listed from the last one on: what is not listed went before the last of these.
    let unlisted = kept.len() >= MAX_RESTORABLE as usize
        && kept
            .last()
            .is_some_and(|last| last.expunged_at >= wanted.since);
    if unlisted {
        return Err(not_possible(format!(
            "more than {MAX_RESTORABLE} messages were expunged from this home since then: say a \
             later time"
        )));
    }
    let mut uids: Vec<u32> = kept
        .iter()
        .filter(|message| message.mailbox == found.meta.id && wanted.is(message))
        .map(|message| message.uid)
        .collect();
    drop(kept);
    if uids.is_empty() {
        return Err(not_found(format!(
            "there is nothing of the kind to restore in {name}"
        )));
    }
    uids.sort_unstable();
    let mut restored = 0;
    if wanted.dry_run {
        for some in uids.chunks(ENTRIES) {
            answer
                .send(v1::RestoreMessagesResponse {
                    uidvalidity: found.meta.uidvalidity,
                    old_uids: some.to_vec(),
                    new_uids: Vec::new(),
                })
                .await?;
        }
        return Ok(());
    }
    let handle = found.partition.open_mailbox(name).await.map_err(refused)?;
    if handle.id() != found.meta.id {
        // Deleted and made anew just now.
        return Err(not_here());
    }
    for some in uids.chunks(RESTORED_AT_ONCE) {
        let mut set = UidSet::default();
        some.iter().for_each(|uid| set.insert(*uid));
        let copied = found.partition.restore_messages(&handle, &set).await;
        let copied = copied.map_err(refused)?;
        restored += copied.target.len();
        let messages = copied.target.len();
        let operator = Actor::operator(by);
        murder_net::audit!("messages.restore", for &operator, mailbox = %name, messages);
        answer
            .send(v1::RestoreMessagesResponse {
                uidvalidity: copied.uidvalidity,
                old_uids: copied.source,
                new_uids: copied.target,
            })
            .await?;
    }
    if restored == 0 {
        // Somebody else was faster, or their time was over meanwhile.
        return Err(not_found(format!("nothing is left to restore in {name}")));
    }
    Ok(())
}

/// Brings a deleted mailbox back.
pub(super) async fn mailbox(
    node: &Arc<Node>,
    request: v1::RestoreMailboxRequest,
    by: &str,
) -> Result<v1::RestoreMailboxResponse, Status> {
    let name = name_of(&request.name)?;
    let to = match &*request.to {
        "" => name.clone(),
        to => name_of(to)?,
    };
    let home = name.home_key();
    if to.home_key() != home {
        return Err(invalid(format!(
            "a mailbox comes back within its home, {home}; rename it afterwards, or copy its \
             messages"
        )));
    }
    let id = match &*request.id {
        [] => None,
        bytes => {
            Some(MailboxId::from_slice(bytes).ok_or_else(|| invalid("the id is not of 16 bytes"))?)
        }
    };
    let candidates = of_home(node, home).await?.into_iter().flat_map(|found| {
        let partition = found.partition;
        let mailboxes = found.restorable.mailboxes.into_iter();
        mailboxes.map(move |deleted| (Arc::clone(&partition), deleted))
    });
    let candidates = candidates.filter(|(_, deleted)| match id {
        Some(id) => deleted.id == id,
        None => name_in(home, deleted).as_ref() == Some(&name),
    });
    let (partition, deleted) = candidates
        .max_by_key(|(_, deleted)| deleted.deleted_at)
        .ok_or_else(|| not_found(format!("no deleted mailbox {name} is kept on this backend")))?;
    let messages = deleted.messages;
    let (done, meta) = node
        .restore_mailbox(&partition, deleted, &to)
        .await
        .map_err(|error| match error {
            crate::mailboxes::ChangeError::AlreadyExists => {
                let message = format!("there is a mailbox {to} already");
                let kind = v1::ErrorKind::AlreadyExists;
                v1::ErrorDetail::new(kind, message).into_status()
            }
            error => not_changed(error),
        })?;
    let operator = Actor::operator(by);
    murder_net::audit!("mailbox.restore", for &operator, mailbox = %name, %to, messages);
    Ok(v1::RestoreMailboxResponse {
        name: to.to_string(),
        partition: node.place(&partition),
        id: meta.id.to_bytes().to_vec(),
        uidvalidity: meta.uidvalidity,
        messages,
        revision: done.revision.unwrap_or_default(),
    })
}
