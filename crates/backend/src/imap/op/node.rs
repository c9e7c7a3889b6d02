//! What only frontends say: see [`NodeCommand`].

use murder_imap::{Code, MailboxArg, NodeCommand, NodeId};
use murder_store::StoreError;

use crate::imap::errors::{OpError, OpResult, bad, no, ok, ok_code};
use crate::imap::op::append::append_uid;
use crate::imap::session::Session;

/// A command of a frontend.
pub(crate) async fn node(session: &mut Session, command: NodeCommand) -> OpResult {
    if !session.is_frontends() {
        return Err(bad("unknown command"));
    }
    match command {
        NodeCommand::NextId(id) => {
            session.next_id = Some(id);
            Err(OpError::Answered)
        }
        NodeCommand::Done { mailbox, id } => done(session, &mailbox, id).await,
    }
}

/// What became of an APPEND; one that is still under way on another connection is not done any
/// more once this is answered with NO.
async fn done(session: &Session, mailbox: &MailboxArg, id: NodeId) -> OpResult {
    let name = session.mailbox_name(mailbox)?;
    let home = name.home_key();
    let partition = session.node.partition_of_home(home);
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
