//! COPY and MOVE to a mailbox on another backend.
//!
//! Rights are checked at both ends before anything is changed. Then message after message
//! goes from the selected mailbox's connection to the destination's, streamed, with flags,
//! keywords and internal date. COPY copies all or nothing: what has arrived is removed again
//! when a later message fails. MOVE moves each message or leaves it: only what has arrived
//! is expunged.

use murder_imap::{FetchData, Flag, Response, SequenceSet, Untagged, response};
use murder_mailbox::Rights;

use crate::backend::answer::{astring, mailbox};
use crate::backend::connection::Said;
use crate::backend::scanner::literal_at_end;
use crate::backend::{Answer, BackendError, Completion, Connection, Event, Status};
use crate::imap::arguments::quote_always;
use crate::imap::client::Client;
use crate::imap::errors::{OpError, OpResult, Refusal, ok};
use crate::imap::selected::{Selected, write_status};
use crate::imap::session::{Session, State, not_held};
use crate::route::Place;
use crate::wire::{Want, either, shift};

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
            Said::Status(_) => {}
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

async fn copy_all(
    client: &mut Client,
    selected: &mut Selected,
    destination: &mut Connection,
    order: &Order,
    messages: &[Message],
    arrived: &mut Arrived,
) -> Result<(), Fault> {
    let gone = lost(selected);
    let Some(source) = selected.connection() else {
        return Err(Fault::Source(gone));
    };
    let ask = |source: &mut Connection, message: &Message| {
        source.send(format!("UID FETCH {} (BODY.PEEK[])", message.uid).as_bytes())
    };
    let mut asked = messages.first().map(|first| ask(source, first));
    for (at, message) in messages.iter().enumerate() {
        let Some(tag) = asked.take() else { break };
        let body = find_body(client, source, tag)
            .await
            .map_err(Fault::Source)?;
        let Some(octets) = body else {
            // Expunged by somebody else meanwhile: nothing to copy any more.
            asked = messages.get(at + 1).map(|next| ask(source, next));
            continue;
        };
        let append = begin_append(destination, order, message, octets);
        let early = match stream(source, destination, append, octets).await {
            // The selected mailbox is still of use, once the message has gone by.
            Err(Fault::Destination(error)) => {
                end_fetch(client, source, tag)
                    .await
                    .map_err(Fault::Source)?;
                return Err(Fault::Destination(error));
            }
            early => early?,
        };
        destination.wire.put(b"\r\n");
        end_fetch(client, source, tag)
            .await
            .map_err(Fault::Source)?;
        if early.is_none() {
            // The next message is on its way while this one is stored.
            asked = messages.get(at + 1).map(|next| ask(source, next));
        }
        let completion = match early {
            Some(completion) => Ok(completion),
            None => destination.finish(append, &mut |_| {}).await,
        };
        let completion = match completion {
            Ok(completion) => completion,
            Err(error) => {
                if let Some(tag) = asked {
                    pass_over(client, source, tag)
                        .await
                        .map_err(Fault::Source)?;
                }
                return Err(Fault::Destination(error));
            }
        };
        let uids = completion
            .is_ok()
            .then(|| completion.code("APPENDUID"))
            .flatten()
            .and_then(|code| code.split_once(' '))
            .and_then(|(v, uid)| Some((v.parse().ok()?, uid.parse().ok()?)));
        match uids {
            Some((uidvalidity, uid)) => {
                arrived.uidvalidity = uidvalidity;
                arrived.from.push(message.uid);
                arrived.to.push(uid);
            }
            None => {
                if let Some(tag) = asked {
                    pass_over(client, source, tag)
                        .await
                        .map_err(Fault::Source)?;
                }
                return Err(Fault::Refused(refused(completion)));
            }
        }
    }
    Ok(())
}

/// An OK without APPENDUID is none: nobody could say where the message is.
fn refused(completion: Completion) -> Completion {
    match completion.status {
        Status::Ok => Refusal::Cannot("The destination does not keep UIDs".into()).completion(),
        _ => completion,
    }
}

fn begin_append(
    destination: &mut Connection,
    order: &Order,
    message: &Message,
    octets: u64,
) -> u32 {
    let flags: Vec<String> = message
        .flags
        .iter()
        .map(ToString::to_string)
        .filter(|flag| !flag.eq_ignore_ascii_case("\\Recent"))
        .collect();
    let tag = destination.next_tag();
    let head = format!(
        "f{tag} APPEND {} ({}) {} {{{octets}+}}\r\n",
        quote_always(order.destination.name.as_str()),
        flags.join(" "),
        quote_always(message.internal_date.trim_matches('"')),
    );
    destination.wire.put(head.as_bytes());
    tag
}

/// Reads up to the message's first octet; its size, or `None` when the FETCH ends without.
async fn find_body(
    client: &mut Client,
    source: &mut Connection,
    tag: u32,
) -> Result<Option<u64>, BackendError> {
    let mut bytes = Vec::new();
    loop {
        match source.event()? {
            None => source.fill().await?,
            Some(Event::Untagged { len, last, .. }) => {
                source.take(len, &mut bytes);
                let is_body = bytes.windows(7).any(|w| w.eq_ignore_ascii_case(b"BODY[] "));
                if last && !is_body {
                    let bytes = std::mem::take(&mut bytes);
                    pass(client, &Answer { bytes });
                } else if last {
                    return Err(source.lost("a message came as something else than a literal"));
                } else if is_body {
                    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
                    return literal_at_end(line)
                        .map(Some)
                        .ok_or_else(|| source.lost("a message without a size"));
                }
            }
            Some(Event::Status(status)) => write_status(client, &status),
            Some(Event::Tagged(of, completion)) if of == tag => {
                if !completion.is_ok() {
                    tracing::warn!(%completion, "could not fetch a message");
                }
                return Ok(None);
            }
            Some(Event::Continuation | Event::Tagged(..)) => {}
        }
    }
}

/// Moves the message's octets. The destination may refuse it before they are all there; it
/// gets the rest all the same.
async fn stream(
    source: &mut Connection,
    destination: &mut Connection,
    append: u32,
    octets: u64,
) -> Result<Option<Completion>, Fault> {
    let mut left = octets;
    let mut early = None;
    while left > 0 {
        if destination.wire.has_room() {
            match source.event().map_err(Fault::Source)? {
                Some(Event::Untagged { len, .. }) => {
                    shift(&mut source.wire.input, &mut destination.wire.output, len);
                    left = left.saturating_sub(len as u64);
                    continue;
                }
                Some(_) => return Err(Fault::Source(source.lost("a message cut short"))),
                None => {}
            }
        }
        let room = destination.wire.has_room();
        let silence = source.silence();
        let waiting = either(
            (&mut source.wire, Want { read: room }),
            (&mut destination.wire, Want { read: true }),
        );
        let moved = tokio::time::timeout(silence, waiting).await;
        let moved = match moved {
            Ok(moved) => moved,
            Err(_) if room => return Err(Fault::Source(source.lost("no answer in time"))),
            Err(_) => {
                let error = destination.lost("does not take the message");
                return Err(Fault::Destination(error));
            }
        };
        if let Some(read @ (Ok(0) | Err(_))) = moved.first {
            return Err(Fault::Source(source.lost_io(read)));
        }
        if let Some(read @ (Ok(0) | Err(_))) = moved.second {
            return Err(Fault::Destination(destination.lost_io(read)));
        }
        while early.is_none() {
            match destination.event().map_err(Fault::Destination)? {
                Some(Event::Tagged(of, completion)) if of == append => early = Some(completion),
                Some(Event::Untagged { len, .. }) => {
                    bytes::Buf::advance(&mut destination.wire.input, len);
                }
                Some(_) => {}
                None => break,
            }
        }
    }
    Ok(early)
}

/// Reads what follows the message, to the end of the FETCH.
async fn end_fetch(
    client: &mut Client,
    source: &mut Connection,
    tag: u32,
) -> Result<(), BackendError> {
    // What is left of the message, `)`, and whatever the backend wants to tell besides.
    loop {
        match source.event()? {
            None => source.fill().await?,
            Some(Event::Untagged { len, last, .. }) => {
                bytes::Buf::advance(&mut source.wire.input, len);
                if last {
                    break;
                }
            }
            Some(_) => return Err(source.lost("a message cut short")),
        }
    }
    pass_over(client, source, tag).await
}

/// Reads to the end of a FETCH of ours, dropping messages.
async fn pass_over(
    client: &mut Client,
    source: &mut Connection,
    tag: u32,
) -> Result<(), BackendError> {
    while let Some(octets) = find_body(client, source, tag).await? {
        let mut left = octets;
        let mut ended = false;
        while !ended {
            match source.event()? {
                None => source.fill().await?,
                Some(Event::Untagged { len, last, .. }) => {
                    bytes::Buf::advance(&mut source.wire.input, len);
                    left = left.saturating_sub(len as u64);
                    ended = last;
                }
                Some(_) => return Err(source.lost("a message cut short")),
            }
        }
        debug_assert_eq!(left, 0);
    }
    Ok(())
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
        .command(command.as_bytes(), &mut |said| {
            if let Said::Answer(answer) = said {
                pass(client, &answer);
            }
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
        Fault::Destination(_) => match session.checkout(&order.destination.node).await {
            Ok(mut again) => {
                let removed = remove(&mut again, order, arrived).await;
                if removed.is_ok() {
                    session.shared.pool.checkin(again);
                }
                removed
            }
            Err(Refusal::Backend(error)) => Err(error),
            Err(_) => return,
        },
        Fault::Source(_) | Fault::Refused(_) => remove(destination, order, arrived).await,
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
