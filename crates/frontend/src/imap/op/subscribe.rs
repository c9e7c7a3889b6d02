//! SUBSCRIBE and UNSUBSCRIBE (RFC 9051 sections 6.3.7 and 6.3.8): kept where the user's
//! INBOX is, for names anywhere in the murder.

use murder_mailbox::{MailboxName, Rights};

use crate::backend::{Answer, Completion};
use crate::imap::arguments::{Arguments, quote_always};
use crate::imap::ask::not_held;
use crate::imap::errors::{OpResult, Refusal};
use crate::imap::session::{Session, User};
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
        let viewer = user.viewer(Rights::LOOKUP);
        if let Err(error @ RouteError::NotFound) = shared.router.find_as(viewer, &name).await {
            return Err(error.into());
        }
    }
    let line = format!("{command} {}", quote_always(name.as_str())).into_bytes();
    let (completion, _) = at_home(session, &user, &line).await?;
    Ok(completion)
}

/// Runs a command about subscriptions where the user's INBOX is; looks again when it is not
/// there any more.
pub(crate) async fn at_home(
    session: &mut Session,
    user: &User,
    line: &[u8],
) -> Result<(Completion, Vec<Answer>), Refusal> {
    let shared = session.shared.clone();
    let place = home(&shared, user).await?;
    let (completion, answers) = session.on_backend(&place.node, line).await?;
    if !completion.is_not_here() {
        return Ok((completion, answers));
    }
    let place = shared.router.find_again(&place.name).await?;
    let (completion, answers) = session.on_backend(&place.node, line).await?;
    match completion.is_not_here() {
        false => Ok((completion, answers)),
        true => Err(not_held(&place)),
    }
}

/// Where the user's INBOX is.
async fn home(shared: &Shared, user: &User) -> Result<Place, Refusal> {
    let inbox = MailboxName::inbox_of(&user.identity.user)?;
    match shared.router.find(&inbox).await {
        Err(RouteError::NotFound) => Err(Refusal::Cannot(
            "Subscriptions are kept with the INBOX, and there is none".into(),
        )),
        found => Ok(found?),
    }
}
