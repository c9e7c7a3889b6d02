//! SUBSCRIBE and UNSUBSCRIBE (RFC 9051 sections 6.3.7 and 6.3.8): kept where the user's
//! INBOX is, for names anywhere in the murder.

use murder_mailbox::{MailboxName, Rights};

use crate::backend::{Answer, Completion};
use crate::imap::arguments::quote_always;
use crate::imap::errors::{OpResult, Refusal};
use crate::imap::session::{Session, User};
use crate::imap::table::Call;
use crate::route::{Lookup, RouteError};

/// SUBSCRIBE or UNSUBSCRIBE mailbox
pub(crate) async fn subscribe(session: &mut Session, call: Call<'_>) -> OpResult {
    let command = call.name();
    let mut arguments = call.arguments();
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
    let router = session.shared.router.clone();
    let inbox = MailboxName::inbox_of(&user.identity.user)?;
    let mut lookup = Lookup::default();
    loop {
        let place = match lookup.next(&router, || router.look(&inbox)).await {
            Ok(place) => place,
            Err(RouteError::NotFound) => {
                return Err(Refusal::Cannot(
                    "Subscriptions are kept with the INBOX, and there is none".into(),
                ));
            }
            Err(error) => return Err(error.into()),
        };
        let (completion, answers) = session.on_backend(&place.node, line).await?;
        if !completion.is_not_here() {
            return Ok((completion, answers));
        }
    }
}
