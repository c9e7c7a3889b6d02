//! COPY and MOVE (RFC 9051 sections 6.4.7 and 6.4.8, RFC 6851).

use crate::copy::{self, Order};
use crate::imap::arguments::{Arguments, Syntax, quote_always};
use crate::imap::ask::{not_held, on_selected};
use crate::imap::errors::{OpResult, Refusal};
use crate::imap::op::append::try_create;
use crate::imap::session::{Session, State};
use crate::route::Place;

/// COPY, UID COPY, MOVE or UID MOVE
pub(crate) async fn copy(
    session: &mut Session,
    command: &str,
    mut arguments: Arguments<'_>,
) -> OpResult {
    let user = session.user()?;
    let set = arguments.word()?.to_owned();
    if !is_sequence_set(&set) {
        return Err(Syntax.into());
    }
    arguments.space()?;
    let name = arguments.mailbox(&user.namespace, session.encoding)?;
    arguments.end()?;
    let router = session.shared.router.clone();
    let mut place = router.find(&name?).await.map_err(try_create)?;
    if let State::Selected(selected) = &session.state
        && selected.node == place.node
    {
        let completion = within(session, command, &set, &place).await?;
        if completion.code("X-NOT-HERE").is_none() {
            return Ok(completion);
        }
        place = router.find_again(&place.name).await.map_err(try_create)?;
        if let State::Selected(selected) = &session.state
            && selected.node == place.node
        {
            let completion = within(session, command, &set, &place).await?;
            return match completion.code("X-NOT-HERE") {
                None => Ok(completion),
                Some(_) => Err(not_held(&place).into()),
            };
        }
    }
    let order = Order {
        uid: command.starts_with("UID "),
        moving: command.ends_with("MOVE"),
        set,
        destination: place,
    };
    copy::across(session, order).await
}

/// To a mailbox on the same backend: its own business.
async fn within(session: &mut Session, command: &str, set: &str, place: &Place) -> OpResult {
    let State::Selected(selected) = &mut session.state else {
        return Err(Refusal::syntax("Select a mailbox first").into());
    };
    if selected.connection().is_none() {
        return Err(Refusal::SelectedLost.into());
    }
    let line = format!("{command} {set} {}", quote_always(place.name.as_str()));
    let (completion, _) = on_selected(selected, &mut session.client, line.as_bytes()).await?;
    Ok(completion)
}

fn is_sequence_set(set: &str) -> bool {
    set == "$"
        || set
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b',' | b':' | b'*'))
}
