//! SUBSCRIBE and UNSUBSCRIBE (RFC 9051 sections 6.3.7 and 6.3.8): kept where the user's
//! INBOX is, for names anywhere in the murder.

use murder_mailbox::{MailboxName, Rights};

use crate::imap::arguments::{Arguments, quote_always};
use crate::imap::errors::{OpResult, Refusal};
use crate::imap::session::{Session, User, not_held};
use crate::route::{Place, RouteError};
use crate::shared::Shared;

/// SUBSCRIBE or UNSUBSCRIBE mailbox
pub(crate) async fn subscribe(
    session: &mut Session,
    command: &str,
    mut arguments: Arguments<'_>,
) -> OpResult {
    let user = session.user()?;
    let name = arguments.mailbox(&user.namespace, session.encoding)?;
    arguments.end()?;
    let name = name?;
    let shared = session.shared.clone();
    if command == "SUBSCRIBE" && !shared.settings.allow_all_subscribe {
        // Where it is, and whether that is up, does not matter.
        if let Err(error @ RouteError::NotFound) = shared.router.find(&name).await {
            return Err(error.into());
        }
        if !may_look_up(&shared, &user, &name) {
            return Err(RouteError::NotFound.into());
        }
    }
    let line = format!("{command} {}", quote_always(name.as_str())).into_bytes();
    let home = home(&shared, &user).await?;
    let (completion, _) = session.on_backend(&home.node, &line).await?;
    if completion.code("X-NOT-HERE").is_none() {
        return Ok(completion);
    }
    let home = shared.router.find_again(&home.name).await?;
    let (completion, _) = session.on_backend(&home.node, &line).await?;
    match completion.code("X-NOT-HERE") {
        None => Ok(completion),
        Some(_) => Err(not_held(&home).into()),
    }
}

/// Whether the user may know of the mailbox (RFC 4314 section 4).
fn may_look_up(shared: &Shared, user: &User, name: &MailboxName) -> bool {
    let tables = shared.router.replica().read();
    user.identity.admin
        || tables
            .map
            .entry(name.as_str())
            .is_some_and(|entry| entry.rights_of(&user.identity).contains(Rights::LOOKUP))
}

/// Where the user's INBOX is.
pub(crate) async fn home(shared: &Shared, user: &User) -> Result<Place, Refusal> {
    let inbox = MailboxName::inbox_of(&user.identity.user)?;
    match shared.router.find(&inbox).await {
        Err(RouteError::NotFound) => Err(Refusal::Cannot(
            "Subscriptions are kept with the INBOX, and there is none".into(),
        )),
        found => Ok(found?),
    }
}
