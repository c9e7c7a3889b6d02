//! RENAME (RFC 9051 section 6.3.6), within one backend.

use bytes::Bytes;
use murder_imap::Command;
use murder_mailbox::{MailboxId, MailboxName};

use crate::backend::BackendError;
use crate::imap::arguments::{Coding, quote_always};
use crate::imap::errors::{OpResult, Refusal, ok};
use crate::imap::op::{is_there, parse, turns_out, wait_for_revision};
use crate::imap::session::Session;
use crate::route::{Place, RouteError};
use crate::shared::Shared;

/// What a client is told that wants to move mailboxes between backends.
const OTHER_BACKEND: &str = "Cannot rename to a place on another backend";

/// RENAME from to
pub(crate) async fn rename(session: &mut Session, command: &Bytes) -> OpResult {
    let user = session.user()?;
    let Command::Rename {
        from,
        to,
        partition,
    } = parse(command)?
    else {
        return Err(Refusal::syntax("Syntax error").into());
    };
    let decode = |name: &[u8]| {
        session
            .encoding
            .decode(name)
            .and_then(|name| user.namespace.parse(&name))
    };
    let (from, to) = (decode(from.as_bytes())?, decode(to.as_bytes())?);
    if partition.is_some() {
        return Err(
            Refusal::Cannot("Mailboxes cannot be moved to another partition".into()).into(),
        );
    }
    let shared = session.shared.clone();
    let place = source(&shared, &from).await?;
    if shared.router.look(&to).is_ok() {
        match shared.router.find_again(&to).await {
            Err(RouteError::NotFound) => {}
            Ok(_) => return Err(Refusal::AlreadyExists.into()),
            Err(error) => return Err(error.into()),
        }
    }
    if shared
        .router
        .nearest_above(&to)
        .is_some_and(|above| above.node != place)
        || below_elsewhere(&shared, &from, &place)
    {
        return Err(Refusal::Cannot(OTHER_BACKEND.into()).into());
    }
    // An INBOX stays; what becomes of it is a new mailbox.
    let id = match from.is_inbox() && from.home_key() == to.home_key() {
        true => None,
        false => shared
            .router
            .look(&from)
            .ok()
            .map(|place| place.location.id),
    };
    let line = format!(
        "RENAME {} {}",
        quote_always(from.as_str()),
        quote_always(to.as_str())
    );
    let mut completion = match session.on_backend(&place, line.as_bytes()).await {
        Ok((completion, _)) => completion,
        Err(error) => return lost(&shared, error, id, &to).await,
    };
    if completion.code("X-NOT-HERE").is_some() {
        shared.router.barrier().await;
        let place = source(&shared, &from).await?;
        completion = match session.on_backend(&place, line.as_bytes()).await {
            Ok((completion, _)) => completion,
            Err(error) => return lost(&shared, error, id, &to).await,
        };
        if completion.code("X-NOT-HERE").is_some() {
            return Err(RouteError::NotFound.into());
        }
    }
    if completion.is_ok() {
        wait_for_revision(&shared, &completion).await;
    }
    Ok(completion)
}

/// The answer when the backend's was lost: mailbox `id`, of which it is known that it would be
/// called `to`, tells.
async fn lost(
    shared: &Shared,
    error: BackendError,
    id: Option<MailboxId>,
    to: &MailboxName,
) -> OpResult {
    match id {
        Some(id) if error.may_be_done() && turns_out(shared, |map| is_there(map, to, id)).await => {
            Ok(ok("RENAME completed"))
        }
        _ => Err(error.into()),
    }
}

/// The backend of `from`, which may itself be no mailbox but have some below.
async fn source(shared: &Shared, from: &MailboxName) -> Result<String, Refusal> {
    let place: Result<Place, RouteError> = shared.router.find(from).await;
    match place {
        Ok(place) => Ok(place.node),
        Err(RouteError::NotFound) => {
            let below = shared
                .router
                .replica()
                .read()
                .map
                .below(from)
                .next()
                .map(|entry| entry.mailbox_name());
            match below {
                Some(below) => Ok(shared.router.look(&below)?.node),
                None => Err(RouteError::NotFound.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a mailbox below `from` is on another backend than `node`.
fn below_elsewhere(shared: &Shared, from: &MailboxName, node: &str) -> bool {
    let tables = shared.router.replica().read();
    tables.map.below(from).any(|entry| {
        tables
            .partitions
            .get(entry.partition())
            .is_none_or(|partition| partition.owner != node)
    })
}
