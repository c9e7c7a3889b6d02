//! What frontends, and other backends, say about COPY and MOVE from one backend to another: see
//! [`murder_imap::node`] and [`crate::transfer`].

use murder_imap::{Code, MailboxArg, NodeCode, SequenceSet};
use murder_net::Role;
use murder_store::{Destination, StoreError, TransferId};

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::errors::{Completion, OpError, OpResult, bad, no, ok, ok_code};
use crate::imap::op::append::{no_target, refused, target};
use crate::imap::op::copy::{copied_uids, copy_uid, readable, wanted};
use crate::imap::op::store::settable;
use crate::imap::selected::Selected;
use crate::imap::updates::{Expunges, report};
use crate::transfer::{Arrival, ArrivalError, MAX_MESSAGES, Outgoing, Transfer};

/// Octets that one X-EXPORT sends: enough that its end is not waited for often, and little to be
/// passed over when the destination does not take more.
const EXPORT_BYTES: usize = 4 << 20;

/// A frontend says something that does not belong there, or no longer: blocks that follow one that
/// was refused.
fn out_of_order() -> OpError {
    no(Code::ClientBug, "There is no such transfer")
}

fn id_of(text: &str) -> Result<TransferId, OpError> {
    text.parse().map_err(|_| bad("Not the id of a transfer"))
}

/// X-CLAIM.
pub(crate) async fn claim(
    client: &mut Client,
    account: &mut Account,
    source: &mut Selected,
    (uid, set): (bool, &SequenceSet),
    moving: bool,
) -> OpResult {
    account.transfer = None;
    let places = readable(client, account, source, (uid, set), moving).await?;
    // The mailbox that they go to is looked at first, as within a backend.
    let (uids, claim) = match wanted(source, uid, &places, moving) {
        Ok(wanted) => wanted,
        Err(OpError::Refused(Completion {
            code: Some(Code::ExpungeIssued),
            text,
            ..
        })) => {
            return Ok(Completion {
                code: Some(Code::ExpungeIssued),
                text,
                ..ok("")
            });
        }
        Err(error) => return Err(error),
    };
    let outgoing = Outgoing::new(&client.node, source, &uids, claim);
    let (messages, octets) = outgoing.amount();
    account.transfer = Some(Box::new(Transfer::Outgoing(outgoing)));
    let claimed = NodeCode::Claimed { messages, octets };
    Ok(ok_code(claimed.into(), "Claimed"))
}

/// X-EXPORT.
pub(crate) async fn export(client: &mut Client, account: &mut Account) -> OpResult {
    let Client { writer, stream, .. } = client;
    let Some(Transfer::Outgoing(outgoing)) = account.transfer.as_deref_mut() else {
        return Err(out_of_order());
    };
    let mut sent = 0;
    while sent < EXPORT_BYTES {
        let Some(block) = outgoing.block().await? else {
            let messages = outgoing.sent();
            let exported = NodeCode::Exported { messages };
            return Ok(ok_code(exported.into(), "These were all"));
        };
        sent += block.len();
        writer.block(block);
        writer.flush_if_full(stream).await?;
    }
    Ok(ok("There are more"))
}

/// X-LEAVE.
pub(crate) async fn leave(
    client: &Client,
    account: &mut Account,
    id: &str,
    to: Destination,
) -> OpResult {
    let id = id_of(id)?;
    let actor = client.actor(account);
    match account.transfer.as_deref_mut() {
        Some(Transfer::Outgoing(outgoing)) => actor.scope(outgoing.leave(id, to)).await?,
        _ => return Err(out_of_order()),
    }
    Ok(ok("They may go"))
}

/// X-DEPART.
pub(crate) async fn depart(
    client: &mut Client,
    account: &mut Account,
    selected: &mut Selected,
) -> OpResult {
    match account.transfer.take().map(|transfer| *transfer) {
        Some(Transfer::Outgoing(outgoing)) => outgoing.depart().await?,
        _ => return Err(out_of_order()),
    };
    report(client, account, selected, Expunges::Allowed).await?;
    Ok(ok("They have gone"))
}

/// X-RELEASE.
pub(crate) fn release(account: &mut Account) -> OpResult {
    if let Some(Transfer::Outgoing(outgoing)) = account.transfer.take().map(|transfer| *transfer) {
        outgoing.release();
    }
    Ok(ok("They stay"))
}

/// X-RECEIVE.
pub(crate) async fn receive(
    client: &Client,
    account: &mut Account,
    id: &str,
    mailbox: &MailboxArg,
    (messages, octets): (u32, u64),
) -> OpResult {
    account.transfer = None;
    let id = id_of(id)?;
    let user = account.user();
    let (found, rights) = target(client, account, mailbox)?;
    let name = &found.meta.name;
    if messages > 0 {
        if u64::from(messages) > MAX_MESSAGES {
            return Err(no(Code::Limit, "Too many messages at once"));
        }
        let room = found.partition.check_room(name, messages, octets).await;
        room.map_err(|error| refused(&user, error))?;
    }
    let incoming = found.partition.begin_transfer(id, name);
    let incoming = incoming.map_err(|error| refused(&user, error))?;
    let receiving = NodeCode::Receiving {
        partition: found.partition.config().name.clone(),
        home: incoming.home(),
    };
    let seen_by = user.seen_in(name).map(str::to_owned);
    let arrival = Arrival::new(&found.partition, incoming, settable(rights), seen_by);
    account.transfer = Some(Box::new(Transfer::Arrival(arrival)));
    Ok(ok_code(receiving.into(), "Go ahead"))
}

/// X-STAGE.
pub(crate) async fn stage(account: &mut Account, block: Vec<u8>) -> OpResult {
    let staged = match account.transfer.as_deref_mut() {
        Some(Transfer::Arrival(arrival)) => arrival.stage(block).await,
        _ => return Err(out_of_order()),
    };
    if let Err(error) = staged {
        // Blocks that follow are refused.
        account.transfer = None;
        return Err(not_taken(account, error));
    }
    Ok(ok("Staged"))
}

/// X-ADOPT.
pub(crate) async fn adopt(account: &mut Account, messages: u32) -> OpResult {
    let Some(Transfer::Arrival(mut arrival)) = account.transfer.take().map(|transfer| *transfer)
    else {
        return Err(out_of_order());
    };
    match arrival.adopt(messages).await {
        Ok(copied) => Ok(match copy_uid(&copied) {
            Some(code) => ok_code(code, "Adopted"),
            None => ok("Adopted"),
        }),
        // Perhaps it is on the disk: nothing is said that may turn out not to be true. The frontend
        // asks again.
        Err(ArrivalError::Store(
            error @ (StoreError::Io { .. }
            | StoreError::Closed
            | StoreError::ReadOnly { .. }
            | StoreError::HomeDamaged { .. }),
        )) => {
            tracing::error!(%error, "it is not known whether messages were adopted");
            Err(OpError::Bye("Temporarily not possible".into()))
        }
        Err(error) => Err(not_taken(account, error)),
    }
}

/// The answer to messages that are not taken.
fn not_taken(account: &Account, error: ArrivalError) -> OpError {
    match error {
        ArrivalError::Store(StoreError::NoSuchMailbox) => no_target(&account.user, false),
        ArrivalError::Store(error) => error.into(),
        error => {
            tracing::error!(%error, "what another backend sends cannot be taken");
            no(Code::ServerBug, "The messages cannot be taken")
        }
    }
}

/// X-DISCARD.
pub(crate) async fn discard(account: &mut Account) -> OpResult {
    if let Some(Transfer::Arrival(arrival)) = account.transfer.take().map(|transfer| *transfer) {
        arrival.discard().await?;
    }
    Ok(ok("Discarded"))
}

/// What became of a MOVE, which backends ask too, on a connection on which nobody logs in.
pub(crate) async fn outcome(
    client: &Client,
    account: Option<&Account>,
    id: &str,
    partition: &str,
    home: u64,
) -> OpResult {
    let peer = client.stream.peer();
    let is_backend = peer.is_some_and(|peer| peer.has_role(Role::Backend));
    if !is_backend && !account.is_some_and(Account::is_frontends) {
        return Err(bad("unknown command"));
    }
    let id = id_of(id)?;
    let Some(partition) = client.node.partitions.get(partition) else {
        return Err(no(Code::Unavailable, "There is no such partition"));
    };
    tracing::info!(transfer = %id, "asked what became of a MOVE");
    let code = match partition.settle_transfer(home, id).await? {
        Some(copied) => NodeCode::Adopted(copied_uids(&copied)),
        None => NodeCode::Refused,
    };
    Ok(ok_code(code.into(), "That is what became of it"))
}
