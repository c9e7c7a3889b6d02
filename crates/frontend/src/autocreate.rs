//! A user's INBOX, made when it is first needed.

use murder_mailbox::{Identity, MailboxName};

use crate::backend::connection::ActingFor;
use crate::backend::{BackendError, Completion};
use crate::imap::arguments::quote_always;
use crate::imap::op::wait_for_revision;
use crate::route::{Place, RouteError};
use crate::shared::Shared;

/// Why there is no INBOX.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AutocreateError {
    /// No partition takes new homes.
    #[error("no partition takes new homes")]
    NoPartition,
    /// The chosen backend cannot be used.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// It would not.
    #[error("the backend said: {0}")]
    Answered(Completion),
    /// It did, but the map does not show it.
    #[error("the INBOX is not there: {0}")]
    Route(#[from] RouteError),
}

/// Makes the INBOX of a user who has none, at login. Administrators have none: their
/// accounts are for administering.
pub(crate) async fn inbox(
    shared: &Shared,
    identity: &Identity,
    acting: &ActingFor,
) -> Result<(), AutocreateError> {
    if identity.admin || !shared.settings.autocreate_inbox {
        return Ok(());
    }
    let Ok(inbox) = MailboxName::inbox_of(&identity.user) else {
        return Ok(());
    };
    match shared.router.look(&inbox) {
        Err(RouteError::NotFound) => create(shared, &inbox, acting).await.map(|_| ()),
        _ => Ok(()),
    }
}

/// Makes `inbox` somewhere, unless it has come to be meanwhile.
pub(crate) async fn create(
    shared: &Shared,
    inbox: &MailboxName,
    acting: &ActingFor,
) -> Result<Place, AutocreateError> {
    match shared.router.find(inbox).await {
        Err(RouteError::NotFound) => {}
        found => return Ok(found?),
    }
    let (node, partition) = shared
        .choose_partition()
        .ok_or(AutocreateError::NoPartition)?;
    let mut connection = shared.pool.checkout(&node, acting).await?;
    let command = format!(
        "CREATE {} (PARTITION {})",
        quote_always(inbox.as_str()),
        quote_always(&partition)
    );
    let completion = connection.command(command.as_bytes(), &mut |_| {}).await?;
    shared.pool.checkin(connection);
    if completion.is_ok() {
        tracing::info!(mailbox = %inbox, node, partition, "created an INBOX");
        wait_for_revision(shared, &completion).await;
    } else if completion.code("ALREADYEXISTS").is_none() {
        return Err(AutocreateError::Answered(completion));
    }
    // Another frontend may have been faster.
    Ok(shared.router.find(inbox).await?)
}
