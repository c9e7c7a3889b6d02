//! DELETE (RFC 9051 section 6.3.5).

use crate::imap::arguments::Arguments;
use crate::imap::errors::OpResult;
use crate::imap::op::wait_for_revision;
use crate::imap::session::Session;

/// DELETE mailbox
pub(crate) async fn delete(session: &mut Session, mut arguments: Arguments<'_>) -> OpResult {
    let user = session.user()?;
    let name = arguments.mailbox(&user.namespace, session.encoding)?;
    arguments.end()?;
    let (completion, _) = session
        .on_mailbox(&name?, &|name| format!("DELETE {name}").into_bytes())
        .await?;
    if completion.is_ok() {
        wait_for_revision(&session.shared.clone(), &completion).await;
    }
    Ok(completion)
}
