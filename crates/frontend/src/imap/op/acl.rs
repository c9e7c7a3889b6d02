//! SETACL, DELETEACL, GETACL, LISTRIGHTS and MYRIGHTS (RFC 4314).

use murder_mailbox::Rights;

use crate::imap::errors::OpResult;
use crate::imap::op::status::renamed;
use crate::imap::session::Session;
use crate::imap::table::Call;

/// Any of them; an answer names the mailbox.
pub(crate) async fn acl(session: &mut Session, call: Call<'_>) -> OpResult {
    let user = session.user()?;
    let mut arguments = call.arguments();
    let name = arguments.mailbox(&user.namespace, session.encoding)?;
    let rest = arguments.rest().to_vec();
    let by = match call.name() {
        "MYRIGHTS" => Rights::MYRIGHTS,
        _ => Rights::ADMINISTER,
    };
    let line = |name: &str| [call.name().as_bytes(), b" ", name.as_bytes(), &rest].concat();
    let (completion, answers) = session.on_mailbox(&name?, by, &line).await?;
    // Only what the command is about; the connection may have an ID's answer waiting.
    let keyword = match call.name() {
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
