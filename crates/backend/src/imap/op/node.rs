//! What only nodes say: see [`murder_imap::node`].

use murder_imap::{MailboxArg, NodeCode, NodeCommand, NodeId};
use murder_store::{Destination, StoreError};

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::errors::{OpError, OpResult, bad, no, ok, ok_code};
use crate::imap::op::append::append_uid;
use crate::imap::op::transfer;
use crate::imap::selected::Selected;

/// A command of a frontend.
pub(crate) async fn node(
    client: &mut Client,
    account: &mut Account,
    selected: Option<&mut Selected>,
    command: NodeCommand,
) -> OpResult {
    use NodeCommand as N;
    // As for any command that is none.
    if !account.is_frontends() {
        return Err(bad("unknown command"));
    }
    match (selected, command) {
        (_, N::NextId(id)) => {
            account.next_id = Some(id);
            Err(OpError::Answered)
        }
        (_, N::Done { mailbox, id }) => done(client, account, &mailbox, id).await,
        (Some(selected), N::Claim { moving, uid, set }) => {
            transfer::claim(client, account, selected, (uid, &set), moving).await
        }
        (Some(_), N::Export) => transfer::export(client, account).await,
        (
            Some(_),
            N::Leave {
                id,
                node,
                partition,
                home,
            },
        ) => {
            let to = Destination {
                node,
                partition,
                home,
            };
            transfer::leave(client, account, &id, to).await
        }
        (Some(selected), N::Depart) => transfer::depart(client, account, selected).await,
        (_, N::Release) => transfer::release(account),
        (
            _,
            N::Receive {
                id,
                mailbox,
                messages,
                octets,
            },
        ) => transfer::receive(client, account, &id, &mailbox, (messages, octets)).await,
        (_, N::Stage { block }) => transfer::stage(account, block).await,
        (_, N::Adopt { messages }) => transfer::adopt(account, messages).await,
        (_, N::Discard) => transfer::discard(account).await,
        (
            _,
            N::Outcome {
                id,
                partition,
                home,
            },
        ) => transfer::outcome(client, Some(account), &id, &partition, home).await,
        (None, N::Claim { .. } | N::Export | N::Leave { .. } | N::Depart) => {
            Err(bad("Select a mailbox first"))
        }
    }
}

/// What became of an APPEND; one that is still under way on another connection is not done any
/// more once this is answered with NO.
async fn done(client: &Client, account: &Account, mailbox: &MailboxArg, id: NodeId) -> OpResult {
    let name = client.mailbox_name(account, mailbox)?;
    let home = name.home_key();
    let partition = client.node.partition_of_home(home);
    let Some(partition) = partition else {
        return Err(OpError::from(StoreError::NoSuchHome));
    };
    match partition.withdraw(&name, id).await {
        Ok(appended) => Ok(match append_uid(appended) {
            Some(code) => ok_code(code, "It was done"),
            None => ok("It was done"),
        }),
        Err(StoreError::Withdrawn) => Err(no(NodeCode::NotDone.into(), "It was not done")),
        Err(error) => Err(error.into()),
    }
}
