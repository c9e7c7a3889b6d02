//! COPY and MOVE (RFC 9051 sections 6.4.7 and 6.4.8, RFC 6851).

use murder_imap::SequenceSet;
use murder_mailbox::{MailboxName, Rights};

use crate::copy::{self, Order, Progress};
use crate::imap::arguments::{Line, Syntax, quote_always};
use crate::imap::errors::{OpResult, Refusal};
use crate::imap::op::append::try_create;
use crate::imap::session::{Session, State};
use crate::imap::table::Call;
use crate::route::{Lookup, RouteError};

/// COPY, UID COPY, MOVE or UID MOVE
pub(crate) async fn copy(session: &mut Session, call: Call<'_>) -> OpResult {
    let line = call.line;
    let mut arguments = call.arguments();
    let user = session.user()?;
    let set = arguments.word()?;
    let set = SequenceSet::parse(set.as_bytes()).map_err(|_| Syntax)?;
    arguments.space()?;
    let name = arguments.mailbox(&user.namespace, session.encoding)?;
    arguments.end()?;
    let name = name?;
    let router = session.shared.router.clone();
    let viewer = user.viewer(Rights::INSERT);
    let mut lookup = Lookup::default();
    let place = loop {
        let found = lookup.next_as(&router, viewer, &name).await;
        match &found {
            Ok(place) if is_selected_on(session, &place.node) => {}
            // Whatever else is wrong is said first, as to any other mailbox. Also one that the user
            // must not know of is asked about here, where it is as good as not there.
            Err(RouteError::NotFound) => {}
            _ => break found.map_err(try_create)?,
        }
        let completion = within(session, line, &set, &name).await?;
        if !completion.is_not_here() {
            return Ok(completion);
        }
        found.map_err(try_create)?;
    };
    let order = Order {
        uid: line.name.starts_with("UID "),
        moving: line.name.ends_with("MOVE"),
        set,
        destination: place.name,
    };
    Box::pin(copy::across(session, &line.tag, order)).await
}

fn is_selected_on(session: &Session, node: &str) -> bool {
    matches!(&session.state, State::Selected(selected) if selected.node == node)
}

/// To a mailbox on the same backend: its own business.
async fn within(
    session: &mut Session,
    line: &Line,
    set: &SequenceSet,
    name: &MailboxName,
) -> OpResult {
    let State::Selected(selected) = &mut session.state else {
        return Err(Refusal::syntax("Select a mailbox first").into());
    };
    selected.touch();
    let connection = selected.connection().ok_or(Refusal::SelectedLost)?;
    let command = format!("{} {set} {}", line.name, quote_always(name.as_str()));
    let tag = connection.send(command.as_bytes());
    let mut progress = Progress::new(&line.tag);
    let heard = copy::hear(&mut session.client, connection, tag, &mut progress).await;
    heard.map_err(|error| {
        tracing::warn!(%error, "lost the selected mailbox in the middle of COPY or MOVE");
        selected.forget_connection();
        // It may have been done: whether it was cannot be seen from here.
        crate::imap::errors::OpError::Bye(
            "[UNAVAILABLE] The backend of the selected mailbox has gone",
        )
    })
}
