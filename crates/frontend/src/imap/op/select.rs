//! SELECT and EXAMINE (RFC 9051 sections 6.3.2 and 6.3.3).

use murder_imap::{Command, SelectParam};
use murder_mailbox::Rights;

use crate::backend::connection::Said;
use crate::backend::{Answer, Completion, Connection};
use crate::imap::arguments::quote_always;
use crate::imap::errors::{OpResult, Refusal};
use crate::imap::op::{close, parse};
use crate::imap::selected::{Selected, write_status};
use crate::imap::session::{Session, State};
use crate::imap::table::Call;
use crate::route::{Lookup, Place};

/// SELECT or EXAMINE mailbox [(parameters)]
pub(crate) async fn select(session: &mut Session, call: Call<'_>) -> OpResult {
    // What is wrong with the command itself is said whatever the mailbox, and leaves the one that is
    // selected as it is.
    if let Command::Select { params, .. } | Command::Examine { params, .. } = parse(call.octets)?
        && params
            .iter()
            .any(|param| matches!(param, SelectParam::QResync { .. }))
    {
        return Err(Refusal::syntax("QRESYNC is not enabled").into());
    }
    let user = session.user()?;
    let mut arguments = call.arguments();
    let mailbox = arguments.mailbox(&user.namespace, session.encoding)?;
    let parameters = match arguments.take(b' ') {
        true => arguments.parenthesised()?.to_vec(),
        false => Vec::new(),
    };
    arguments.end()?;

    // From here on nothing is selected, whatever comes of it.
    let mut connection = match std::mem::replace(&mut session.state, State::Authenticated) {
        State::Selected(selected) => {
            let closed = b"* OK [CLOSED] Previous mailbox is now closed\r\n";
            session.client.wire.put(closed);
            selected.into_connection()
        }
        _ => None,
    };
    let viewer = user.viewer(Rights::READ);
    let router = session.shared.router.clone();
    let mut lookup = Lookup::default();
    let mut was_tried = false;
    let (place, completion, said) = loop {
        let found = match &mailbox {
            Ok(mailbox) => lookup
                .next_as(&router, viewer, mailbox)
                .await
                .map_err(|error| session.missing(mailbox, error)),
            Err(error) => Err(error.clone().into()),
        };
        let place = match found {
            Ok(place) => place,
            Err(refusal) => {
                // Where it was tried, nothing is selected.
                match was_tried {
                    true => give_back(session, connection),
                    false => leave(session, connection),
                }
                return Err(refusal.into());
            }
        };
        was_tried = true;
        let (completion, said) =
            attempt(session, &mut connection, &place, call.name(), &parameters).await?;
        if !completion.is_not_here() {
            break (place, completion, said);
        }
    };
    for said in said {
        match said {
            Said::Answer(answer) if is_of_select(&answer) => session.client.wire.put(&answer.bytes),
            Said::Answer(_) => {}
            // The client has been told, wherever the previous mailbox was.
            Said::Status(status) if status.code("CLOSED").is_some() => {}
            Said::Status(status) => write_status(&mut session.client, &status),
        }
    }
    if !completion.is_ok() {
        give_back(session, connection);
        return Err(Refusal::Answered(completion).into());
    }
    if let Some(connection) = connection {
        tracing::debug!(mailbox = %place.name, node = place.node, "selected");
        let shown = session
            .presence
            .as_ref()
            .and_then(|presence| presence.show_selected(place.name.as_str()));
        let selected = Selected::new(place.name, connection, shown);
        session.state = State::Selected(Box::new(selected));
    }
    Ok(completion)
}

/// Tries `place`, on `connection` when that is to the same backend. Afterwards `connection`
/// is the one that it was tried on.
async fn attempt(
    session: &mut Session,
    connection: &mut Option<Box<Connection>>,
    place: &Place,
    name: &str,
    parameters: &[u8],
) -> Result<(Completion, Vec<Said>), Refusal> {
    let mut own = match connection.take() {
        Some(own) if **own.node() == *place.node => own,
        other => {
            leave(session, other);
            Box::new(session.checkout(&place.node).await?)
        }
    };
    let mut command = format!("{name} {}", quote_always(place.name.as_str())).into_bytes();
    if !parameters.is_empty() {
        command.push(b' ');
        command.extend_from_slice(parameters);
    }
    let mut said = Vec::new();
    let completion = own.command(&command, &mut |s| said.push(s)).await?;
    *connection = Some(own);
    Ok((completion, said))
}

/// What SELECT's own answers are, besides news of the mailbox.
fn is_of_select(answer: &Answer) -> bool {
    answer.is_of_selected_mailbox()
}

/// Leaves the mailbox that was selected, without expunging and without the client waiting.
fn leave(session: &Session, connection: Option<Box<Connection>>) {
    if let Some(connection) = connection {
        close::release(&session.shared, connection);
    }
}

/// After a SELECT that failed nothing is selected on the connection.
fn give_back(session: &Session, connection: Option<Box<Connection>>) {
    if let Some(connection) = connection {
        session.shared.pool.checkin(*connection);
    }
}
