//! What only frontends say: see [`NodeCommand`].

use murder_imap::{Code, MailboxArg, NodeCommand, NodeId};
use murder_store::StoreError;

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::errors::{OpError, OpResult, bad, no, ok, ok_code};
use crate::imap::op::append::append_uid;

/// A command of a frontend.
pub(crate) async fn node(client: &Client, account: &mut Account, command: NodeCommand) -> OpResult {
    if !account.is_frontends() {
        return Err(bad("unknown command"));
    }
    match command {
        NodeCommand::NextId(id) => {
            account.next_id = Some(id);
            Err(OpError::Answered)
        }
        NodeCommand::Done { mailbox, id } => done(client, account, &mailbox, id).await,
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
        Err(StoreError::Withdrawn) => Err(no(Code::not_done(), "It was not done")),
        Err(error) => Err(error.into()),
    }
}
