//! What only nodes say: see [`murder_imap::node`].

use murder_imap::{MailboxArg, NodeCode, NodeCommand, NodeId};
use murder_net::Role;
use murder_store::{Destination, StoreError};

use crate::imap::errors::{OpError, OpResult, bad, no, ok, ok_code};
use crate::imap::op::append::append_uid;
use crate::imap::op::transfer;
use crate::imap::session::{Session, State};

/// A command of another node.
pub(crate) async fn node(session: &mut Session, command: NodeCommand) -> OpResult {
    use NodeCommand as N;
    let peer = session.stream.peer();
    let is_backend = peer.is_some_and(|peer| peer.has_role(Role::Backend));
    match (&session.state, command) {
        (
            _,
            N::Outcome {
                id,
                partition,
                home,
            },
        ) if is_backend || session.is_frontends() => {
            transfer::outcome(session, &id, &partition, home).await
        }
        (State::NotAuthenticated(_) | State::Logout, N::NextId(_) | N::Done { .. }) => {
            Err(bad("Log in first"))
        }
        // As for any command that is none.
        _ if !session.is_frontends() => Err(bad("unknown command")),
        (_, N::NextId(id)) => {
            session.next_id = Some(id);
            Err(OpError::Answered)
        }
        (_, N::Done { mailbox, id }) => done(session, &mailbox, id).await,
        (State::Selected(_), N::Claim { moving, uid, set }) => {
            transfer::claim(session, moving, uid, &set).await
        }
        (State::Selected(_), N::Export) => transfer::export(session).await,
        (
            State::Selected(_),
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
            transfer::leave(session, &id, to).await
        }
        (State::Selected(_), N::Depart) => transfer::depart(session).await,
        (_, N::Release) => transfer::release(session),
        (
            _,
            N::Receive {
                id,
                mailbox,
                messages,
                octets,
            },
        ) => transfer::receive(session, &id, &mailbox, (messages, octets)).await,
        (_, N::Stage { block }) => transfer::stage(session, block).await,
        (_, N::Adopt { messages }) => transfer::adopt(session, messages).await,
        (_, N::Discard) => transfer::discard(session).await,
        (_, _) => Err(bad("Select a mailbox first")),
    }
}

/// What became of an APPEND; one that is still under way on another connection is not done any
/// more once this is answered with NO.
async fn done(session: &Session, mailbox: &MailboxArg, id: NodeId) -> OpResult {
    let name = session.mailbox_name(mailbox)?;
    let home = name.home_key();
    let partition = session.node.partition_of_home(home);
    let Some(partition) = partition.cloned() else {
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
