//! CLOSE and UNSELECT (RFC 9051 sections 6.4.1 and 6.4.2).

use std::sync::Arc;

use crate::backend::Connection;
use crate::imap::errors::{OpResult, Refusal, ok};
use crate::imap::session::{Session, State};
use crate::imap::table::Call;
use crate::shared::Shared;

/// CLOSE or UNSELECT. Either way nothing is selected afterwards.
pub(crate) async fn close(session: &mut Session, call: Call<'_>) -> OpResult {
    let name = call.name();
    call.arguments().end()?;
    let State::Selected(selected) = std::mem::replace(&mut session.state, State::Authenticated)
    else {
        return Err(Refusal::syntax("Select a mailbox first").into());
    };
    let Some(mut connection) = selected.into_connection() else {
        // Nothing is left to be left; but CLOSE promises that messages are expunged.
        return match name {
            "UNSELECT" => Ok(ok("UNSELECT completed")),
            _ => Err(Refusal::SelectedLost.into()),
        };
    };
    let completion = connection.command(name.as_bytes(), &mut |_| {}).await?;
    if completion.is_ok() {
        session.shared.pool.checkin(*connection);
    }
    Ok(completion)
}

/// Leaves the mailbox that is selected on `connection`, expunging nothing, and keeps the
/// connection for another session of the same user. Nobody waits for it.
pub(crate) fn release(shared: &Arc<Shared>, mut connection: Box<Connection>) {
    let owner = shared.clone();
    shared.shutdown.spawn(async move {
        let mut ignore = |_| {};
        let leaving = connection.command(b"UNSELECT", &mut ignore);
        // When the node goes down there will be no other session.
        match owner.goodbye.run_until_cancelled(leaving).await {
            Some(Ok(completion)) if completion.is_ok() => owner.pool.checkin(*connection),
            Some(Err(error)) => tracing::debug!(%error, "could not leave the mailbox"),
            Some(Ok(_)) | None => {}
        }
    });
}
