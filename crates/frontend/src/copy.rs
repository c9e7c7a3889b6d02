//! COPY and MOVE to a mailbox on another backend.
//!
//! The backends do it; the frontend carries the messages from one to the other and says what comes
//! next, by the commands of `murder_imap::node`, each of which is a step here:
//!
//! 1. **Claim**: the source makes UIDs of what the client means, in the numbers that the client was
//!    told, and looks whether the user may. For MOVE it keeps the messages from other MOVEs.
//! 2. **Receive**: the destination looks whether the user may put messages there, and for room.
//! 3. **Carry**: blocks of messages, to where nobody sees them.
//! 4. **Leave** (MOVE): the source writes down what leaves.
//! 5. **Adopt**: the destination makes all messages appear, or none. This decides.
//! 6. **Depart** (MOVE): the source removes them, and its client hears of it.
//!
//! Before step 5 whatever goes wrong leaves everything as it was. When the answer to it is lost the
//! destination is asked what became of it; as long as that is not known nothing is answered, and in
//! the end the session is closed. After it the source removes the messages, if need be by itself:
//! a backend that was left in the middle of a MOVE asks the other one.

mod carry;
mod hear;
mod progress;

use murder_imap::node::CopiedUids;
use murder_imap::{Code, MailboxArg, NodeCode, NodeCommand, SequenceSet};
use murder_mailbox::{MailboxName, Rights};
use tokio::time::{Duration, Instant, sleep};
use uuid::Uuid;

use crate::backend::{BackendError, Completion, Connection, Status};
use crate::imap::client::Client;
use crate::imap::errors::{OpError, OpResult, Refusal, ok};
use crate::imap::selected::{Selected, write_status};
use crate::imap::session::{Session, State};
use crate::route::{Lookup, Place};

pub(crate) use hear::hear;
pub(crate) use progress::Progress;

/// How long the destination is asked what became of a COPY or MOVE whose answer was lost: as long
/// as a restart may take, and clients wait.
const ASK_FOR: Duration = Duration::from_secs(30);
/// How long to wait before it is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// The last word to a client that would otherwise be told something that may not be true.
const UNKNOWN: &str = "[UNAVAILABLE] It is not known whether the messages were copied";
/// The same when they were, and will go from the source, but have not yet.
const GOING: &str = "[UNAVAILABLE] The messages were moved; select the mailbox again";

/// What is to be copied where.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// `set` holds UIDs.
    pub uid: bool,
    /// MOVE.
    pub moving: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// Where to.
    pub destination: MailboxName,
}

/// What went wrong, and at which end.
#[derive(Debug)]
enum Fault {
    /// The selected mailbox's connection is lost.
    Source(BackendError),
    /// The destination's connection is lost.
    Destination(BackendError),
    /// The source does not give the messages.
    Kept(Completion),
    /// The destination does not take the messages.
    Refused(Completion),
    /// The client has gone.
    ClientGone,
}

/// Where messages are on their way to.
struct Destination {
    connection: Connection,
    /// The transfer.
    id: String,
    /// The partition there.
    partition: String,
    /// The home in it.
    home: u64,
}

/// What became of a transfer whose answer was lost.
enum Outcome {
    /// The messages are there.
    Adopted(Option<CopiedUids>),
    /// They are not, and will not be.
    Refused,
}

/// Runs `order`, given as the command `tag`, from the selected mailbox.
pub(crate) async fn across(session: &mut Session, tag: &str, order: Order) -> OpResult {
    let State::Selected(mut selected) = std::mem::replace(&mut session.state, State::Authenticated)
    else {
        return Err(Refusal::syntax("Select a mailbox first").into());
    };
    selected.touch();
    let mut progress = Progress::new(tag);
    let result = run(session, &mut selected, &order, &mut progress).await;
    session.state = State::Selected(selected);
    match progress.into_gone() {
        // Nobody is there to be told how it ended.
        Some(error) => Err(OpError::gone(error)),
        None => result,
    }
}

async fn run(
    session: &mut Session,
    selected: &mut Selected,
    order: &Order,
    progress: &mut Progress,
) -> OpResult {
    let (claimed, messages, octets) = match claim(session, selected, order, progress).await? {
        (completion, None) => return Ok(completion),
        (completion, Some((messages, octets))) => (completion, messages, octets),
    };
    let mut destination = match receive(session, order, messages, octets).await {
        Ok(destination) => destination,
        Err(refusal) => {
            release(session, selected, progress).await;
            return Err(refusal.into());
        }
    };
    let issued = claimed.code("EXPUNGEISSUED").is_some();
    if issued || messages == 0 {
        discard(session, destination).await;
        release(session, selected, progress).await;
        return Ok(match issued {
            true => Completion {
                status: Status::No,
                ..claimed
            },
            false => ok(done(order)),
        });
    }
    progress.set_goal(messages, octets);
    let carried = match source(selected) {
        Ok(source) => {
            carry::carry(
                &mut session.client,
                source,
                &mut destination.connection,
                progress,
            )
            .await
        }
        Err(fault) => Err(fault),
    };
    let carried = match carried {
        Ok(carried) if order.moving => leave(session, selected, &destination, progress)
            .await
            .map(|()| carried),
        carried => carried,
    };
    let adopted = match carried {
        Ok(messages) => adopt(session, order, destination, messages, progress).await,
        Err(fault) => {
            match &fault {
                Fault::Kept(_) | Fault::Refused(_) => discard(session, destination).await,
                // It forgets what it was sent when the connection is closed, on which half a block
                // may be under way.
                Fault::Source(_) | Fault::Destination(_) | Fault::ClientGone => {}
            }
            return give_up(session, selected, fault, progress).await;
        }
    };
    let copied = match adopted {
        Ok(copied) => copied,
        Err(Some(fault)) => return give_up(session, selected, fault, progress).await,
        Err(None) => {
            // Its backend finds out what is to become of the messages.
            selected.forget_connection();
            return Err(OpError::Bye(UNKNOWN));
        }
    };
    if !order.moving {
        return Ok(copied);
    }
    // Before the EXPUNGEs, so that the client knows what became of the messages (RFC 6851
    // section 4.3).
    if copied.code("COPYUID").is_some() {
        write_status(&mut session.client, &copied);
    }
    let departed = depart(session, selected, progress).await?;
    Ok(Completion {
        text: done(order).to_owned(),
        ..departed
    })
}

fn done(order: &Order) -> &'static str {
    match order.moving {
        true => "Moved",
        false => "Copied",
    }
}

/// The selected mailbox's connection.
fn source(selected: &mut Selected) -> Result<&mut Connection, Fault> {
    let lost = crate::backend::connect::unreachable(&selected.node, "lost before");
    selected.connection().ok_or(Fault::Source(lost))
}

/// Runs a command on the selected mailbox's connection; what it tells of the mailbox goes to the
/// client.
async fn ask_source(
    client: &mut Client,
    selected: &mut Selected,
    command: &NodeCommand,
    progress: &mut Progress,
) -> Result<Completion, Fault> {
    let source = source(selected)?;
    let tag = source.send(&command.line());
    hear(client, source, tag, progress)
        .await
        .map_err(Fault::Source)
}

/// Which messages are meant: how many, and their octets; `None` with the answer when it is over.
async fn claim(
    session: &mut Session,
    selected: &mut Selected,
    order: &Order,
    progress: &mut Progress,
) -> Result<(Completion, Option<(u32, u64)>), OpError> {
    let command = NodeCommand::Claim {
        moving: order.moving,
        uid: order.uid,
        set: order.set.clone(),
    };
    let claimed = ask_source(&mut session.client, selected, &command, progress).await;
    let claimed = match claimed {
        Ok(claimed) => claimed,
        Err(_) => {
            selected.forget_connection();
            return Err(Refusal::SelectedLost.into());
        }
    };
    if !claimed.is_ok() {
        return Ok((claimed, None));
    }
    let amount = match claimed.node_code() {
        Some(NodeCode::Claimed { messages, octets }) => (messages, octets),
        // EXPUNGEISSUED.
        _ => (0, 0),
    };
    Ok((claimed, Some(amount)))
}

/// Looks whether the destination takes messages from the user.
async fn receive(
    session: &Session,
    order: &Order,
    messages: u32,
    octets: u64,
) -> Result<Destination, Refusal> {
    let user = session.user()?;
    let viewer = user.viewer(Rights::INSERT);
    let router = &session.shared.router;
    let mut lookup = Lookup::default();
    loop {
        let place = lookup.next_as(router, viewer, &order.destination).await;
        let place = place.map_err(crate::imap::op::append::try_create)?;
        if let Some(destination) = try_receive(session, &place, messages, octets).await? {
            return Ok(destination);
        }
    }
}

/// `None`: the mailbox is not there.
async fn try_receive(
    session: &Session,
    place: &Place,
    messages: u32,
    octets: u64,
) -> Result<Option<Destination>, Refusal> {
    let mut connection = session.checkout(&place.node).await?;
    let id = Uuid::new_v4().simple().to_string();
    let receive = NodeCommand::Receive {
        id: id.clone(),
        mailbox: MailboxArg(place.name.as_str().into()),
        messages,
        octets,
    };
    let answer = connection.command(&receive.line(), &mut |_| {}).await?;
    if !answer.is_ok() {
        session.shared.pool.checkin(connection);
        return match answer.is_not_here() {
            true => Ok(None),
            false => Err(Refusal::Answered(answer)),
        };
    }
    match answer.node_code() {
        Some(NodeCode::Receiving { partition, home }) => Ok(Some(Destination {
            connection,
            id,
            partition,
            home,
        })),
        _ => Err(Refusal::Unavailable(
            "The backend of the mailbox is of another version".into(),
        )),
    }
}

/// What was sent to the destination is forgotten, and its connection is as it was.
async fn discard(session: &Session, mut destination: Destination) {
    // One that is lost forgets it as well.
    if let Ok(answer) = destination
        .connection
        .command(&NodeCommand::Discard.line(), &mut |_| {})
        .await
        && answer.is_ok()
    {
        session.shared.pool.checkin(destination.connection);
    }
}

/// The messages stay where they are.
async fn release(session: &mut Session, selected: &mut Selected, progress: &mut Progress) {
    let released = ask_source(
        &mut session.client,
        selected,
        &NodeCommand::Release,
        progress,
    )
    .await;
    if !matches!(released, Ok(answer) if answer.is_ok()) {
        selected.forget_connection();
    }
}

/// Ends what has changed nothing.
async fn give_up(
    session: &mut Session,
    selected: &mut Selected,
    fault: Fault,
    progress: &mut Progress,
) -> OpResult {
    match &fault {
        Fault::Source(error) | Fault::Destination(error) => {
            tracing::warn!(%error, "a COPY or MOVE to another backend failed");
        }
        Fault::Kept(completion) | Fault::Refused(completion) => {
            tracing::debug!(%completion, "a COPY or MOVE to another backend is refused");
        }
        Fault::ClientGone => {}
    }
    match &fault {
        // Its backend does the same.
        Fault::Source(_) => selected.forget_connection(),
        _ => release(session, selected, progress).await,
    }
    Err(match fault {
        Fault::Source(_) => Refusal::SelectedLost.into(),
        // What it had got is forgotten there: NO is true.
        Fault::Destination(error) => Refusal::Backend(error.before_a_command()).into(),
        Fault::Kept(completion) | Fault::Refused(completion) => match completion.is_not_here() {
            true => Refusal::TryCreate.into(),
            false => Refusal::Answered(completion).into(),
        },
        Fault::ClientGone => OpError::gone(std::io::ErrorKind::BrokenPipe.into()),
    })
}

/// The source writes down that the messages leave.
async fn leave(
    session: &mut Session,
    selected: &mut Selected,
    destination: &Destination,
    progress: &mut Progress,
) -> Result<(), Fault> {
    let command = NodeCommand::Leave {
        id: destination.id.clone(),
        node: destination.connection.node().to_string(),
        partition: destination.partition.clone(),
        home: destination.home,
    };
    let answer = ask_source(&mut session.client, selected, &command, progress).await?;
    match answer.is_ok() {
        true => Ok(()),
        false => Err(Fault::Kept(answer)),
    }
}

/// The destination makes the messages appear. `Err(None)`: it is not known whether it has.
async fn adopt(
    session: &mut Session,
    order: &Order,
    mut destination: Destination,
    messages: u32,
    progress: &mut Progress,
) -> Result<Completion, Option<Fault>> {
    let connection = &mut destination.connection;
    let tag = connection.send(&NodeCommand::Adopt { messages }.line());
    let answer = hear::answer(&mut session.client, connection, tag, progress).await;
    let error = match answer {
        Ok(answer) => {
            session.shared.pool.checkin(destination.connection);
            return match answer.is_ok() {
                true => Ok(Completion {
                    text: done(order).to_owned(),
                    ..answer
                }),
                false => Err(Some(Fault::Refused(answer))),
            };
        }
        Err(error) => error,
    };
    tracing::warn!(%error, transfer = destination.id, "the answer to a COPY or MOVE is lost");
    match outcome(session, &destination, progress).await {
        Some(Outcome::Adopted(copied)) => Ok(Completion {
            code: copied.map(|copied| Code::from(copied).to_string()),
            ..ok(done(order))
        }),
        Some(Outcome::Refused) => Err(Some(Fault::Destination(error))),
        None => Err(None),
    }
}

/// Asks the destination what became of it, until it answers or nobody can be expected to wait any
/// longer.
async fn outcome(
    session: &mut Session,
    destination: &Destination,
    progress: &mut Progress,
) -> Option<Outcome> {
    let id = &destination.id;
    let node = destination.connection.node().to_string();
    let command = NodeCommand::Outcome {
        id: id.clone(),
        partition: destination.partition.clone(),
        home: destination.home,
    }
    .line();
    let until = Instant::now() + ASK_FOR;
    loop {
        if let Ok(mut again) = session.checkout(&node).await {
            let answer = again.command(&command, &mut |_| {}).await;
            if let Ok(answer) = answer {
                session.shared.pool.checkin(again);
                match answer.node_code() {
                    Some(NodeCode::Adopted(copied)) => return Some(Outcome::Adopted(copied)),
                    Some(NodeCode::Refused) => return Some(Outcome::Refused),
                    _ => {}
                }
            }
        }
        if Instant::now() >= until {
            tracing::error!(
                node,
                transfer = id,
                "it is not known what became of a COPY or MOVE"
            );
            return None;
        }
        progress.tell_if_due(&mut session.client).await;
        sleep(ASK_AGAIN).await;
    }
}

/// The source removes what was adopted, telling the client.
async fn depart(
    session: &mut Session,
    selected: &mut Selected,
    progress: &mut Progress,
) -> OpResult {
    let departed = ask_source(
        &mut session.client,
        selected,
        &NodeCommand::Depart,
        progress,
    )
    .await;
    match departed {
        Ok(answer) if answer.is_ok() => Ok(answer),
        // It is decided: the source's backend removes them as soon as it can.
        other => {
            tracing::error!(answer = ?other, "what was moved is not yet removed from the source");
            selected.forget_connection();
            Err(OpError::Bye(GOING))
        }
    }
}
