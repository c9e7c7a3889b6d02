//! APPEND (RFC 9051 section 6.3.12): decided from the map, then the message streams by.

use std::time::Duration;

use bytes::Bytes;
use murder_imap::{
    AppendData, AppendStart, LiteralHead, MailboxArg, NodeCode, NodeCommand, NodeId,
};
use murder_mailbox::Rights;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::backend::connection::Event;
use crate::backend::{BackendError, Completion, Connection};
use crate::imap::arguments::Coding;
use crate::imap::errors::{OpError, OpResult, Refusal};
use crate::imap::selected::{Selected, write_status};
use crate::imap::session::{Session, State};
use crate::route::{Lookup, Place, RouteError};
use crate::wire::{Want, either, shift};

/// A message up to this size is taken in before the backend is asked, so that it can be
/// sent to another place when the mailbox has just moved.
const WHOLE: u64 = 32 * 1024;
/// Between two tries to ask a backend that is away what became of a message.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// APPEND, up to its message. What is not taken of it is passed over before the next command.
pub(crate) async fn append(session: &mut Session, start: AppendStart) -> OpResult {
    let user = session.user()?;
    let literal = literal_of(session, &start)?;
    let name = session.encoding.decode(start.mailbox.as_bytes());
    let name = name.and_then(|name| user.namespace.parse(&name))?;
    let viewer = user.viewer(Rights::INSERT);
    let router = session.shared.router.clone();
    let mut lookup = Lookup::default();
    let found = lookup.next_as(&router, viewer, &name).await;
    let mut place = found.map_err(|error| match session.missing(&name, error) {
        Refusal::Route(error) => try_create(error),
        refusal => refusal,
    })?;
    session.client.accept_message();
    let message = Message {
        start: &start,
        literal,
        whole: match literal.len <= WHOLE {
            true => Some(take_in(session).await?),
            false => None,
        },
        id: *Uuid::now_v7().as_bytes(),
    };
    loop {
        let completion = put(session, &place, &message).await?;
        if !completion.is_not_here() {
            return Ok(completion);
        }
        if message.whole.is_none() {
            // It has gone by.
            let moved = "Mailbox has just moved, try again";
            return Err(Refusal::Unavailable(moved.into()).into());
        }
        let again = lookup.next_as(&router, viewer, &name).await;
        place = again.map_err(try_create)?;
    }
}

/// The message that is to come, if it is one that can be taken.
fn literal_of(session: &Session, start: &AppendStart) -> Result<LiteralHead, Refusal> {
    let literal = match start.data {
        AppendData::Literal(literal) if start.replaces.is_none() && !literal.utf8 => literal,
        _ => return Err(Refusal::syntax("Only literals can be appended")),
    };
    if literal.len > session.shared.settings.append_limit {
        return Err(Refusal::TooBig);
    }
    if literal.len == 0 {
        return Err(Refusal::NoMessage);
    }
    Ok(literal)
}

/// A mailbox to put messages into that is not there can be made.
pub(crate) fn try_create(error: RouteError) -> Refusal {
    match error {
        RouteError::NotFound => Refusal::TryCreate,
        other => Refusal::Route(other),
    }
}

/// Waits until the message has come, and takes it.
async fn take_in(session: &mut Session) -> Result<Whole, OpError> {
    session.flush().await?;
    let octets = loop {
        match session.client.take_message() {
            Some(octets) => break octets,
            None => session.fill_client().await?,
        }
    };
    loop {
        match session.client.ends_behind_message() {
            Some(ends) => return Ok(Whole { octets, ends }),
            None => session.fill_client().await?,
        }
    }
}

/// A message that has been taken in.
struct Whole {
    octets: Bytes,
    /// The command ends behind it.
    ends: bool,
}

struct Message<'a> {
    start: &'a AppendStart,
    literal: LiteralHead,
    /// All of it, if it is small.
    whole: Option<Whole>,
    /// By which its backend knows this APPEND: see [`asked`].
    id: NodeId,
}

/// Sends the message to `place`; finds out what has become of it if the answer is lost.
async fn put(session: &mut Session, place: &Place, message: &Message<'_>) -> OpResult {
    match attempt(session, place, message).await {
        Err(OpError::Refused(Refusal::Backend(error))) if error.may_be_done() => {
            asked(session, place, message.id, error).await
        }
        result => result,
    }
}

/// Asks the backend whether an APPEND whose answer was lost has been done. If not, it never will be,
/// also if it is still under way there; so the answer is good for the client.
///
/// # Errors
/// `lost` when nobody answers in time.
async fn asked(
    session: &Session,
    place: &Place,
    id: NodeId,
    lost: BackendError,
) -> Result<Completion, OpError> {
    let mailbox = MailboxArg(place.name.as_str().into());
    let line = NodeCommand::Done { mailbox, id }.line();
    let patience = session.shared.pool.dialer().patience();
    let asking = async {
        loop {
            let answer = match session.checkout(&place.node).await {
                Ok(mut connection) => match connection.command(&line, &mut |_| {}).await {
                    Ok(completion) => {
                        session.shared.pool.checkin(connection);
                        Some(completion)
                    }
                    Err(_) => None,
                },
                Err(_) => None,
            };
            match answer {
                Some(completion) if completion.is_ok() => return Ok(completion),
                Some(completion) if completion.node_code() == Some(NodeCode::NotDone) => {
                    return Err(());
                }
                // It may still be starting.
                _ => sleep(ASK_EVERY).await,
            }
        }
    };
    match timeout(patience, asking).await {
        Ok(Ok(mut completion)) => {
            tracing::info!(%lost, "an APPEND was done although its answer was lost");
            completion.text = "APPEND completed".into();
            Ok(completion)
        }
        Ok(Err(())) => Err(Refusal::Backend(lost.before_a_command()).into()),
        Err(_) => Err(Refusal::Backend(lost).into()),
    }
}

async fn attempt(session: &mut Session, place: &Place, message: &Message<'_>) -> OpResult {
    if let State::Selected(selected) = &mut session.state
        && selected.node == place.node
        && selected.connection().is_some()
    {
        let session_state = std::mem::replace(&mut session.state, State::Authenticated);
        let State::Selected(mut selected) = session_state else {
            return Err(Refusal::SelectedLost.into());
        };
        let result = match selected.connection() {
            Some(connection) => stream(session, connection, place, message, true).await,
            None => Err(Refusal::SelectedLost.into()),
        };
        return keep(session, selected, result);
    }
    let mut connection = session.checkout(&place.node).await?;
    let result = stream(session, &mut connection, place, message, false).await;
    if result.is_ok() {
        session.shared.pool.checkin(connection);
    }
    result
}

/// Puts the selected mailbox back, without its connection if that has been lost.
fn keep(session: &mut Session, mut selected: Box<Selected>, result: OpResult) -> OpResult {
    if result.is_err() {
        selected.forget_connection();
    }
    session.state = State::Selected(selected);
    result
}

/// Streams the message from client to backend. Nothing is stored unless its last octet and
/// the line end behind it have come: when the client goes, so does the connection.
async fn stream(
    session: &mut Session,
    connection: &mut Connection,
    place: &Place,
    message: &Message<'_>,
    selected: bool,
) -> OpResult {
    connection.name_next(message.id);
    let name = MailboxArg(place.name.as_str().into());
    let tag = connection.send_append(&name, message.start, message.literal);
    if let Some(whole) = &message.whole {
        connection.wire.put(&whole.octets);
        connection.wire.put(end_of_command(whole.ends));
        return Ok(finish(session, connection, tag, selected).await?);
    }
    // A backend that refuses before the end skips what is left, as a server must (RFC 7888
    // section 4); so it still gets all of it, and the connection stays of use.
    let mut early = None;
    loop {
        let left = usize::try_from(session.client.message_left()).unwrap_or(usize::MAX);
        let took = shift(
            &mut session.client.wire.input,
            &mut connection.wire.output,
            left,
        );
        session.client.took(took);
        if took == left
            && let Some(ends) = session.client.ends_behind_message()
        {
            connection.wire.put(end_of_command(ends));
            break;
        }
        session.client.wire.acknowledge();
        let moved = relay(session, connection).await?;
        let lost = match moved {
            Some(read @ (Ok(0) | Err(_))) => Some(connection.lost_io(read)),
            _ if early.is_some() => None,
            _ => match early_answer(session, connection, tag, selected) {
                Ok(answer) => {
                    early = answer;
                    None
                }
                Err(error) => Some(error),
            },
        };
        if let Some(error) = lost {
            // Without its end nothing is stored.
            return Err(error.before_a_command().into());
        }
    }
    match early {
        Some(completion) => {
            connection
                .wire
                .drain()
                .await
                .map_err(|e| connection.lost(e))?;
            Ok(completion)
        }
        None => Ok(finish(session, connection, tag, selected).await?),
    }
}

/// What ends the command at the backend. If the client's goes on behind the message, it is BAD there
/// too.
fn end_of_command(ends: bool) -> &'static [u8] {
    if ends { b"\r\n" } else { b" (\r\n" }
}

/// Waits for either side; what was read from the backend, if anything.
async fn relay(
    session: &mut Session,
    connection: &mut Connection,
) -> Result<Option<std::io::Result<usize>>, OpError> {
    let limit = session.shared.settings.write_timeout;
    let room = connection.wire.has_room();
    let waiting = either(
        (&mut session.client.wire, Want { read: room }),
        (&mut connection.wire, Want { read: true }),
    );
    let moved = match tokio::time::timeout(limit, waiting).await {
        Ok(moved) => moved,
        // Who of the two is to blame: a backend with a full queue does not take the message.
        Err(_) if !room => return Ok(Some(Err(std::io::ErrorKind::TimedOut.into()))),
        Err(_) => return Err(OpError::gone(std::io::ErrorKind::TimedOut.into())),
    };
    match moved.first {
        Some(Ok(0)) => Err(OpError::gone(std::io::ErrorKind::UnexpectedEof.into())),
        Some(Err(error)) => Err(OpError::gone(error)),
        Some(Ok(_)) | None => Ok(moved.second),
    }
}

/// Whether the backend has completed the command although the message is not all there.
fn early_answer(
    session: &mut Session,
    connection: &mut Connection,
    tag: u32,
    selected: bool,
) -> Result<Option<Completion>, BackendError> {
    loop {
        match connection.event()? {
            None => return Ok(None),
            Some(Event::Tagged(of, completion)) if of == tag => return Ok(Some(completion)),
            Some(Event::Untagged { len, .. }) if selected => {
                shift(
                    &mut connection.wire.input,
                    &mut session.client.wire.output,
                    len,
                );
            }
            Some(Event::Untagged { len, .. }) => {
                bytes::Buf::advance(&mut connection.wire.input, len)
            }
            // Such as PERMANENTFLAGS, which belongs to the FLAGS before it.
            Some(Event::Status(status)) if selected => write_status(&mut session.client, &status),
            Some(Event::Status(_) | Event::Continuation | Event::Tagged(..)) => {}
        }
    }
}

async fn finish(
    session: &mut Session,
    connection: &mut Connection,
    tag: u32,
    selected: bool,
) -> Result<Completion, BackendError> {
    use crate::backend::connection::Said;
    let client = &mut session.client;
    connection
        .finish(tag, &mut |said| match said {
            Said::Answer(answer) if selected && answer.is_of_selected_mailbox() => {
                client.wire.put(&answer.bytes);
            }
            Said::Status(status) if selected => write_status(client, &status),
            Said::Answer(_) | Said::Status(_) => {}
        })
        .await
}
