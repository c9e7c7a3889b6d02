//! SETACL, DELETEACL, GETACL, LISTRIGHTS and MYRIGHTS (RFC 4314).

use murder_mailbox::Rights;

use crate::backend::{Answer, Completion};
use crate::imap::arguments::Arguments;
use crate::imap::errors::{OpError, OpResult};
use crate::imap::op::status::renamed;
use crate::imap::op::wait_for_revision;
use crate::imap::session::Session;

/// SETACL and DELETEACL: done when the own map shows the change.
pub(crate) async fn change(
    session: &mut Session,
    command: &str,
    arguments: Arguments<'_>,
) -> OpResult {
    let (completion, _) = pass_on(session, command, arguments).await?;
    if completion.is_ok() {
        wait_for_revision(&session.shared.clone(), &completion).await;
    }
    Ok(completion)
}

/// GETACL, LISTRIGHTS and MYRIGHTS: the answer names the mailbox.
pub(crate) async fn ask(
    session: &mut Session,
    command: &str,
    arguments: Arguments<'_>,
) -> OpResult {
    let user = session.user()?;
    let (completion, answers) = pass_on(session, command, arguments).await?;
    // Only what the command is about; the connection may have an ID's answer waiting.
    let keyword = match command {
        "GETACL" => "ACL",
        other => other,
    };
    for answer in answers.iter().filter(|a| a.keyword() == keyword) {
        if let Some(bytes) = renamed(answer, &user.namespace, session.encoding) {
            session.client.wire.put(&bytes);
        }
    }
    Ok(completion)
}

async fn pass_on(
    session: &mut Session,
    command: &str,
    mut arguments: Arguments<'_>,
) -> Result<(Completion, Vec<Answer>), OpError> {
    let user = session.user()?;
    let name = arguments.mailbox(&user.namespace, session.encoding)?;
    let rest = arguments.rest().to_vec();
    let by = match command {
        "MYRIGHTS" => Rights::MYRIGHTS,
        _ => Rights::ADMINISTER,
    };
    let line = |name: &str| [command.as_bytes(), b" ", name.as_bytes(), &rest].concat();
    Ok(session.on_mailbox(&name?, by, &line).await?)
}
