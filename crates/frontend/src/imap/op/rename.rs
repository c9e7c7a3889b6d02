//! RENAME (RFC 9051 section 6.3.6), within one backend.

use bytes::Bytes;
use murder_imap::Command;
use murder_location::{Entry, MailboxState};
use murder_mailbox::{MailboxId, MailboxName, Rights, check_rename};

use crate::backend::BackendError;
use crate::imap::arguments::{Coding, quote_always};
use crate::imap::errors::{OpResult, Refusal, ok};
use crate::imap::op::create::MAY_NOT_CREATE;
use crate::imap::op::{is_there, parse, turns_out};
use crate::imap::session::{Session, User};
use crate::route::{Lookup, RouteError};
use crate::shared::Shared;

/// What a client is told that wants to move mailboxes between backends.
const OTHER_BACKEND: &str = "Cannot rename to a place on another backend";

/// What is said to who lacks `x`, in the backends' words.
const MAY_NOT_RENAME: &str = "You may not rename this mailbox";

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
    let router = &shared.router;
    // In the backends' order, and so that what the user must not know of is as if it were not there.
    let of_inbox = from.is_inbox() && from.home_key() == to.home_key();
    let source = || source_by_map(&shared, &user, &from, of_inbox);
    let mut lookup = Lookup::default();
    let mut place = lookup.next(router, source).await?;
    let viewer = user.viewer(Rights::LOOKUP);
    if router.look_as(viewer, &to).is_ok() {
        match router.find_again_as(viewer, &to).await {
            Err(RouteError::NotFound) => {}
            Ok(_) => return Err(Refusal::AlreadyExists.into()),
            Err(error) => return Err(error.into()),
        }
    }
    check_rename(&from, &to, user.identity.admin)?;
    if !router.may_create(&user.identity, &to).await {
        return Err(Refusal::NotPermitted(MAY_NOT_CREATE).into());
    }
    if router
        .nearest_above(&to)
        .is_some_and(|above| above.node != place)
        || below_elsewhere(&shared, &from, &place)
    {
        return Err(Refusal::Cannot(OTHER_BACKEND.into()).into());
    }
    // An INBOX stays; what becomes of it is a new mailbox.
    let id = match of_inbox {
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
    loop {
        let completion = match session.on_backend(&place, line.as_bytes()).await {
            Ok((completion, _)) => completion,
            Err(error) => return lost(&shared, error, id, &to).await,
        };
        if !completion.is_not_here() {
            return Ok(completion);
        }
        place = lookup.next(router, source).await?;
    }
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

/// The backend of `from`, which may itself be no mailbox but have some below, where the user may
/// rename it.
fn source_by_map(
    shared: &Shared,
    user: &User,
    from: &MailboxName,
    of_inbox: bool,
) -> Result<String, Refusal> {
    let router = &shared.router;
    let needed = Rights::DELETE_MAILBOX;
    match router.look_as(user.viewer(needed), from) {
        Ok(place) => {
            let owner = from.owner_user();
            let rights = place
                .location
                .acl
                .rights_of(&user.identity, owner.as_deref());
            return match rights.contains(needed) {
                true => Ok(place.node),
                false => Err(Refusal::NotPermitted(MAY_NOT_RENAME)),
            };
        }
        Err(RouteError::NotFound) if !of_inbox => {}
        Err(error) => return Err(error.into()),
    }
    // None of that name, as far as the user knows: those below it are what is renamed.
    let first = {
        let map = &router.replica().read().map;
        let mut below = map
            .below(from)
            .filter(|entry| entry.state() != MailboxState::Reserved);
        let first = below.next().ok_or(RouteError::NotFound)?;
        let may = |entry: &Entry<'_>| entry.rights_of(&user.identity).contains(needed);
        if !(may(&first) && below.all(|entry| may(&entry))) {
            let known = map.visible_to(&user.identity, Some(from.into()), None, usize::MAX);
            return Err(match known.entries.is_empty() {
                false => Refusal::NotPermitted(MAY_NOT_RENAME),
                true => RouteError::NotFound.into(),
            });
        }
        if map.find(from).is_some() {
            return Err(Refusal::NotPermitted(MAY_NOT_RENAME));
        }
        first.mailbox_name()
    };
    Ok(router.look(&first)?.node)
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
