//! COPY and MOVE to a mailbox on another backend.
//!
//! Rights are checked at both ends before anything is changed. Then message after message
//! goes from the selected mailbox's connection to the destination's, streamed, with flags,
//! keywords and internal date. COPY copies all or nothing: what has arrived is removed again
//! when a later message fails. MOVE moves each message or leaves it: only what has arrived
//! is expunged.

mod transfer;

use murder_imap::{FetchData, Flag, Response, SequenceSet, Untagged, response};
use murder_mailbox::Rights;

use crate::backend::answer::{astring, mailbox};
use crate::backend::connection::Said;
use crate::backend::{Answer, BackendError, Completion, Connection, Status};
use crate::imap::arguments::quote_always;
use crate::imap::ask::not_held;
use crate::imap::client::Client;
use crate::imap::errors::{OpError, OpResult, Refusal, ok};
use crate::imap::selected::{Selected, write_status};
use crate::imap::session::{Session, State};
use crate::route::Place;
use transfer::copy_all;

/// Messages in one cross-backend command; some 200 bytes each are held while it runs.
const MAX_MESSAGES: usize = 100_000;
/// UIDs named in one command of ours, so that its line stays short however they lie.
const UIDS_A_COMMAND: usize = 1000;

/// What is to be copied where.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// `set` holds UIDs.
    pub uid: bool,
    /// MOVE.
    pub moving: bool,
    /// Which messages, as the client wrote it.
    pub set: String,
    /// Where to.
    pub destination: Place,
}

/// A message of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    uid: u32,
    flags: Vec<Flag>,
    internal_date: String,
}

/// What has arrived: UIDs there and here.
#[derive(Debug, Default)]
struct Arrived {
    uidvalidity: u32,
    from: Vec<u32>,
    to: Vec<u32>,
}

/// What went wrong, and at which end.
#[derive(Debug)]
enum Fault {
    /// The selected mailbox's connection is lost.
    Source(BackendError),
    /// The destination's connection is lost.
    Destination(BackendError),
    /// The destination does not take a message.
    Refused(Completion),
}

/// Runs `order` from the selected mailbox.
pub(crate) async fn across(session: &mut Session, order: Order) -> OpResult {
    let mut destination = check_destination(session, &order).await?;
    let State::Selected(mut selected) = std::mem::replace(&mut session.state, State::Authenticated)
    else {
        return Err(Refusal::syntax("Select a mailbox first").into());
    };
    let result = run(session, &mut selected, &mut destination, &order).await;
    let (result, destination_usable) = match result {
        Ok(completion) => (Ok(completion), true),
        Err(OpError::Refused(Refusal::Backend(error))) => {
            if *error_node(&error) == *selected.node {
                selected.forget_connection();
                (Err(Refusal::SelectedLost.into()), false)
            } else {
                (Err(Refusal::Backend(error).into()), false)
            }
        }
        Err(OpError::Refused(refusal)) => (Err(refusal.into()), true),
        Err(error) => (Err(error), false),
    };
    session.state = State::Selected(selected);
    if destination_usable {
        session.shared.pool.checkin(destination);
    }
    result
}

fn error_node(error: &BackendError) -> &str {
    match error {
        BackendError::Unreachable { node, .. }
        | BackendError::Lost { node, .. }
        | BackendError::Refused { node, .. } => node,
    }
}

/// A connection to the destination, if the user may put messages there.
async fn check_destination(session: &Session, order: &Order) -> Result<Connection, Refusal> {
    let place = &order.destination;
    let mut connection = session.checkout(&place.node).await?;
    let (completion, rights) = my_rights(&mut connection, place.name.as_str(), None).await?;
    if completion.code("X-NOT-HERE").is_some() {
        return Err(not_held(place));
    }
    if completion.code("NONEXISTENT").is_some() {
        session.shared.pool.checkin(connection);
        return Err(Refusal::TryCreate);
    }
    if !completion.is_ok() {
        session.shared.pool.checkin(connection);
        return Err(Refusal::Answered(completion));
    }
    if !rights.contains(Rights::INSERT) {
        session.shared.pool.checkin(connection);
        return Err(Refusal::NotPermitted("No right to put messages there"));
    }
    Ok(connection)
}

async fn my_rights(
    connection: &mut Connection,
    name: &str,
    mut client: Option<&mut Client>,
) -> Result<(Completion, Rights), BackendError> {
    let mut rights = Rights::NONE;
    let command = format!("MYRIGHTS {}", quote_always(name));
    let completion = connection
        .command(command.as_bytes(), &mut |said| match said {
            Said::Answer(answer) if answer.keyword() == "MYRIGHTS" => {
                rights = read_rights(&answer).unwrap_or(Rights::NONE);
            }
            Said::Answer(answer) => {
                if let Some(client) = client.as_deref_mut()
                    && answer.is_of_selected_mailbox()
                {
                    client.wire.put(&answer.bytes);
                }
            }
            Said::Status(status) => {
                if let Some(client) = client.as_deref_mut() {
                    write_status(client, &status);
                }
            }
        })
        .await?;
    Ok((completion, rights))
}

fn read_rights(answer: &Answer) -> Option<Rights> {
    let (_, rest) = mailbox(answer.arguments())?;
    let (rights, _) = astring(rest.strip_prefix(b" ")?)?;
    std::str::from_utf8(&rights).ok()?.parse().ok()
}

async fn run(
    session: &mut Session,
    selected: &mut Selected,
    destination: &mut Connection,
    order: &Order,
) -> OpResult {
    check_source(&mut session.client, selected, order).await?;
    let messages = match list_messages(&mut session.client, selected, order).await? {
        Ok(messages) => messages,
        Err(completion) => return Ok(completion),
    };
    if messages.len() > MAX_MESSAGES {
        return Err(Refusal::Limit("Too many messages at once").into());
    }
    if messages.is_empty() {
        return Ok(ok("No messages"));
    }
    let mut arrived = Arrived::default();
    let fault = copy_all(
        &mut session.client,
        selected,
        destination,
        order,
        &messages,
        &mut arrived,
    )
    .await
    .err();
    if let Some(fault) = &fault {
        tracing::warn!(
            ?fault,
            arrived = arrived.to.len(),
            of = messages.len(),
            "copy across backends failed"
        );
    }
    match (fault, order.moving) {
        (None, false) => Ok(copied(&arrived, "Copied")),
        (None, true) => {
            expunge(session, selected, destination, order, &arrived).await?;
            Ok(ok("Moved"))
        }
        (Some(fault), false) => {
            undo(session, destination, &fault, order, &arrived).await;
            Err(fault.into())
        }
        (Some(Fault::Source(error)), true) => {
            // What has arrived cannot be removed here; there must not be two of it.
            let fault = Fault::Source(error);
            undo(session, destination, &fault, order, &arrived).await;
            Err(fault.into())
        }
        (Some(fault), true) => {
            if !arrived.to.is_empty() {
                expunge(session, selected, destination, order, &arrived).await?;
            }
            Err(fault.into())
        }
    }
}

impl From<Fault> for OpError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Source(error) | Fault::Destination(error) => error.into(),
            Fault::Refused(completion) => Refusal::Answered(completion).into(),
        }
    }
}

fn lost(selected: &Selected) -> BackendError {
    crate::backend::connect::unreachable(&selected.node, "lost before")
}

/// Whether the user may take the messages from here.
async fn check_source(
    client: &mut Client,
    selected: &mut Selected,
    order: &Order,
) -> Result<(), Refusal> {
    if order.moving && selected.read_only {
        return Err(Refusal::ReadOnly);
    }
    let name = selected.mailbox.as_str().to_owned();
    let connection = selected.connection().ok_or(Refusal::SelectedLost)?;
    let (completion, rights) = my_rights(connection, &name, Some(client)).await?;
    if !completion.is_ok() {
        return Err(Refusal::Answered(completion));
    }
    let needed = match order.moving {
        true => Rights::READ
            .union(Rights::DELETE_MESSAGES)
            .union(Rights::EXPUNGE),
        false => Rights::READ,
    };
    if !rights.contains(needed) {
        return Err(Refusal::NotPermitted(match order.moving {
            true => "No right to remove the messages from here",
            false => "No right to read the messages",
        }));
    }
    Ok(())
}

/// The messages of the set, in mailbox order; the inner error is the backend's own word on
/// the set.
async fn list_messages(
    client: &mut Client,
    selected: &mut Selected,
    order: &Order,
) -> Result<Result<Vec<Message>, Completion>, Refusal> {
    let connection = selected.connection().ok_or(Refusal::SelectedLost)?;
    let uid = if order.uid { "UID " } else { "" };
    let command = format!("{uid}FETCH {} (UID FLAGS INTERNALDATE)", order.set);
    let mut messages = Vec::new();
    let completion = connection
        .command(command.as_bytes(), &mut |said| match said {
            Said::Answer(answer) => match read_message(&answer) {
                // One more than allowed is enough to know.
                Some(message) if messages.len() <= MAX_MESSAGES => messages.push(message),
                Some(_) => {}
                None => pass(client, &answer),
            },
            Said::Status(status) => write_status(client, &status),
        })
        .await?;
    messages.sort_by_key(|message: &Message| message.uid);
    messages.dedup_by_key(|message| message.uid);
    Ok(match completion.is_ok() {
        true => Ok(messages),
        false => Err(completion),
    })
}

fn pass(client: &mut Client, answer: &Answer) {
    if answer.is_of_selected_mailbox() {
        client.wire.put(&answer.bytes);
    }
}

/// The answer to our own FETCH; news of flags have no internal date.
fn read_message(answer: &Answer) -> Option<Message> {
    if answer.keyword() != "FETCH" {
        return None;
    }
    let Ok(Response::Untagged(Untagged::Fetch { items, .. })) = response::parse(&answer.bytes)
    else {
        return None;
    };
    let (mut uid, mut flags, mut date) = (None, None, None);
    for item in items {
        match item {
            FetchData::Uid(is) => uid = Some(is),
            FetchData::Flags(are) => flags = Some(are),
            FetchData::InternalDate(is) => date = Some(is.to_string()),
            _ => {}
        }
    }
    Some(Message {
        uid: uid?,
        flags: flags?,
        internal_date: date?,
    })
}

fn copied(arrived: &Arrived, text: &str) -> Completion {
    if arrived.to.is_empty() {
        return ok(text);
    }
    Completion {
        status: Status::Ok,
        code: Some(format!(
            "COPYUID {} {} {}",
            arrived.uidvalidity,
            set(&arrived.from),
            set(&arrived.to)
        )),
        text: text.to_owned(),
    }
}

/// Ascending UIDs as a set.
fn set(uids: &[u32]) -> String {
    SequenceSet::from_numbers(uids.iter().copied()).map_or_else(String::new, |set| set.to_string())
}

/// Removes from the source what has arrived, telling the client.
async fn expunge(
    session: &mut Session,
    selected: &mut Selected,
    destination: &mut Connection,
    order: &Order,
    arrived: &Arrived,
) -> Result<(), OpError> {
    let gone = lost(selected);
    let connection = selected.connection().ok_or(gone)?;
    let client = &mut session.client;
    for uids in arrived.from.chunks(UIDS_A_COMMAND) {
        let flag = format!("UID STORE {} +FLAGS.SILENT (\\Deleted)", set(uids));
        let flagged = passing_news(client, connection, &flag).await?;
        if !flagged.is_ok() {
            let fault = Fault::Refused(flagged);
            undo(session, destination, &fault, order, arrived).await;
            return Err(fault.into());
        }
    }
    // Before the EXPUNGEs, so that the client knows what became of the messages (RFC 6851
    // section 4.3).
    write_status(client, &copied(arrived, "Moved"));
    for uids in arrived.from.chunks(UIDS_A_COMMAND) {
        let remove = format!("UID EXPUNGE {}", set(uids));
        let removed = passing_news(client, connection, &remove).await?;
        if !removed.is_ok() {
            return Err(Refusal::Answered(removed).into());
        }
    }
    Ok(())
}

/// Runs a command of ours on the selected mailbox; the client hears what it changes.
async fn passing_news(
    client: &mut Client,
    connection: &mut Connection,
    command: &str,
) -> Result<Completion, BackendError> {
    connection
        .command(command.as_bytes(), &mut |said| match said {
            Said::Answer(answer) => pass(client, &answer),
            Said::Status(status) => write_status(client, &status),
        })
        .await
}

/// Removes from the destination what has arrived there.
async fn undo(
    session: &Session,
    destination: &mut Connection,
    fault: &Fault,
    order: &Order,
    arrived: &Arrived,
) {
    if arrived.to.is_empty() {
        return;
    }
    let result = match fault {
        // Half a message may be under way on the connection that there is.
        Fault::Source(_) | Fault::Destination(_) => {
            match session.checkout(&order.destination.node).await {
                Ok(mut again) => {
                    let removed = remove(&mut again, order, arrived).await;
                    if removed.is_ok() {
                        session.shared.pool.checkin(again);
                    }
                    removed
                }
                Err(Refusal::Backend(error)) => Err(error),
                Err(_) => return,
            }
        }
        Fault::Refused(_) => remove(destination, order, arrived).await,
    };
    match result {
        Ok(completion) if completion.is_ok() => {}
        Ok(completion) => {
            tracing::error!(%completion, mailbox = %order.destination.name, uids = set(&arrived.to),
                "messages of a failed copy stay behind");
        }
        Err(error) => {
            tracing::error!(%error, mailbox = %order.destination.name, uids = set(&arrived.to),
                "messages of a failed copy stay behind");
        }
    }
}

async fn remove(
    connection: &mut Connection,
    order: &Order,
    arrived: &Arrived,
) -> Result<Completion, BackendError> {
    let name = quote_always(order.destination.name.as_str());
    let mut commands = vec![format!("SELECT {name}")];
    for uids in arrived.to.chunks(UIDS_A_COMMAND) {
        let uids = set(uids);
        commands.push(format!("UID STORE {uids} +FLAGS.SILENT (\\Deleted)"));
        commands.push(format!("UID EXPUNGE {uids}"));
    }
    for command in commands {
        let completion = connection.command(command.as_bytes(), &mut |_| {}).await?;
        if !completion.is_ok() {
            return Ok(completion);
        }
    }
    connection.command(b"UNSELECT", &mut |_| {}).await
}
