//! DELETE (RFC 9051 section 6.3.5).

use murder_mailbox::Rights;

use crate::imap::arguments::Arguments;
use crate::imap::errors::{OpResult, Refusal, ok};
use crate::imap::op::{is_gone, turns_out};
use crate::imap::session::Session;

/// DELETE mailbox
pub(crate) async fn delete(session: &mut Session, mut arguments: Arguments<'_>) -> OpResult {
    let user = session.user()?;
    let name = arguments.mailbox(&user.namespace, session.encoding)?;
    arguments.end()?;
    let name = name?;
    let shared = session.shared.clone();
    let viewer = user.viewer(Rights::DELETE_MAILBOX);
    let id = shared.router.find_as(viewer, &name).await?.location.id;
    let deleted = session
        .on_mailbox(&name, Rights::DELETE_MAILBOX, &|name| {
            format!("DELETE {name}").into_bytes()
        })
        .await;
    let completion = match deleted {
        Ok((completion, _)) => completion,
        Err(Refusal::Backend(error)) if error.may_be_done() => {
            return match turns_out(&shared, |map| is_gone(map, &name, id)).await {
                true => Ok(ok("DELETE completed")),
                false => Err(error.into()),
            };
        }
        Err(refusal) => return Err(refusal.into()),
    };
    Ok(completion)
}
