//! RENAME (RFC 9051 section 6.3.6), within one backend.

use bytes::Bytes;
use murder_imap::Command;
use murder_mailbox::MailboxName;

use crate::imap::arguments::{Coding, quote_always};
use crate::imap::errors::{OpResult, Refusal};
use crate::imap::op::{parse, wait_for_revision};
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
    let line = format!(
        "RENAME {} {}",
        quote_always(from.as_str()),
        quote_always(to.as_str())
    );
    let (completion, _) = session.on_backend(&place, line.as_bytes()).await?;
    if completion.code("X-NOT-HERE").is_some() {
        shared.router.barrier().await;
        let place = source(&shared, &from).await?;
        let (completion, _) = session.on_backend(&place, line.as_bytes()).await?;
        if completion.is_ok() {
            wait_for_revision(&shared, &completion).await;
        }
        return match completion.code("X-NOT-HERE") {
            Some(_) => Err(RouteError::NotFound.into()),
            None => Ok(completion),
        };
    }
    if completion.is_ok() {
        wait_for_revision(&shared, &completion).await;
    }
    Ok(completion)
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
